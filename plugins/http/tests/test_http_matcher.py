"""The compiled matcher against one that tries every route in order."""

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mtev_http import Request, Response, Route
from mtev_http._matcher import Matcher, literal_prefix


def answer(request: Request) -> Response:
    return Response()


def route(expression: str) -> Route:
    return Route("GET", "/", expression, answer, "a test")


def compiles(expression: str) -> bool:
    try:
        re.compile(expression)
    except re.error:
        return False
    return True


ATOMS = ["a", "b", "/", "a/", "b/", r"\.", ".", r"\d", "[a/]", "[]a]", "[^]b]", r"\|", ""]
REPEATS = ["a?", "a*", "/?", "a{0}", "x{2}"]
GROUPS = ["(a)", "(a)?", "(a|b)", "(?:b)+", "(?i)", "(?i:A)", "(?P<x>a)", r"(a)\1", "(?=a)", "(?!a)", "(?<=a)b"]
pieces = st.sampled_from([*ATOMS, *REPEATS, *GROUPS, "a|b", "|", "$", "^"])
expressions = st.builds(
    lambda anchor, parts, end: anchor + "".join(parts) + end,
    st.sampled_from(["^", "^", "^", ""]),
    st.lists(pieces, max_size=5),
    st.sampled_from(["$", "$", ""]),
).filter(compiles)
paths = st.text(alphabet="ab/.1|A", max_size=8)


@settings(max_examples=400)
@given(st.lists(expressions, min_size=1, max_size=14), st.lists(paths, min_size=1, max_size=12))
def test_it_finds_what_trying_in_order_finds(texts, asked):
    routes = [route(text) for text in texts]
    matcher = Matcher(routes)
    for path in asked:
        tried = ((each, each.pattern.search(path)) for each in routes)
        expected = next(((each, found.groups("")) for each, found in tried if found is not None), None)
        found = matcher.find(path)
        assert (None if found is None else (found.route, found.captures)) == expected, (texts, path)


@given(expressions, paths)
def test_a_path_that_an_expression_matches_begins_with_its_prefix(text, path):
    prefix, whole = literal_prefix(text)
    if re.search(text, path) is not None:
        assert path == prefix if whole else path.startswith(prefix)


@pytest.mark.parametrize(
    ("expression", "prefix", "whole"),
    [
        (r"^items\.json$", "items.json", True),
        (r"^items/(\d+)$", "items/", False),
        (r"^capa(\.json)?$", "capa", False),
        ("^a+$", "", False),
        ("^ab*$", "a", False),
        ("^a|b$", "", False),
        ("^(a|b)$", "", False),
        ("items", "", False),
        ("(?i)^items$", "", False),
        ("^(?i:a)$", "", False),
    ],
)
def test_prefixes(expression, prefix, whole):
    assert literal_prefix(expression) == (prefix, whole)


def test_many_routes_are_not_all_tried():
    routes = [route(rf"^things/{number}/(\d+)$") for number in range(5000)]
    routes += [route(rf"^item-{number}/(\w+)$") for number in range(5000)]
    routes += [route(rf"^word{number}\.json$") for number in range(5000)]
    matcher = Matcher(routes)
    tried = []

    class Spy:
        def __init__(self, pattern):
            self.pattern = pattern

        def search(self, rest):
            tried.append(self.pattern.pattern)
            return self.pattern.search(rest)

    for each in routes:
        object.__setattr__(each, "pattern", Spy(each.pattern))
    for path in ("things/4999/7", "item-4999/x", "word4999.json", "none/of/them", "none"):
        tried.clear()
        found = matcher.find(path)
        assert (found is not None) == (not path.startswith("none"))
        assert len(tried) <= 1
