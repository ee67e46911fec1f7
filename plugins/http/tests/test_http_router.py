"""The router against a naive one, and what a route's author would notice."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mtev_http import Request, Response, Route, RouteError
from mtev_http._router import Found, Miss, Router


def answer(request: Request) -> Response:
    return Response()


def route(method: str, base: str, expression: str) -> Route:
    return Route(method, base, expression, answer, "a test")


def router(*routes: tuple[str, str, str]) -> Router:
    made = Router()
    for each in routes:
        made.add(route(*each))
    return made


def naive(routes: list[Route], method: str, path: str) -> tuple[Route, tuple[str, ...]] | set[str]:
    """libmtev's algorithm, spelt out: the longest base, then registration order; HEAD falls back to GET."""
    bases = {each.base for each in routes if path.startswith(each.base)}
    if not bases:
        return set()
    longest = max(bases, key=len)
    below = [each for each in routes if each.base == longest]
    rest = path[len(longest) :]
    for wanted in [method, "GET"] if method == "HEAD" else [method]:
        for each in below:
            found = re.search(each.expression, rest)
            if each.method == wanted and found:
                return each, tuple(group or "" for group in found.groups())
    allowed = {each.method for each in below if re.search(each.expression, rest)}
    if "GET" in allowed:
        allowed.add("HEAD")
    return allowed | {"OPTIONS"} if allowed else set()


segments = st.lists(st.sampled_from(["a", "b", "", "ab"]), max_size=4)
bases = segments.map(lambda parts: "/" + "".join(part + "/" for part in parts))
paths = st.builds(lambda parts, tail: "/" + "/".join(parts) + tail, segments, st.sampled_from(["", "/", "a", "x.json"]))
expressions = st.sampled_from(["^$", "^a", "a", "(.*)", "^(a)?(b)?$", r"^(\w+)\.json$", "b$", "x"])
methods = st.sampled_from(["GET", "PUT", "HEAD", "OPTIONS", "MERGE"])
keys = st.tuples(methods, bases, expressions)


@given(st.lists(keys, max_size=12, unique=True), st.lists(st.tuples(methods, paths), min_size=1, max_size=5), st.data())
def test_the_router_agrees_with_a_naive_one_while_routes_come_and_go(added, asked, data):
    real = Router()
    model: list[Route] = []
    for key in added:
        fresh = route(*key)
        real.add(fresh)
        model.append(fresh)
        if data.draw(st.booleans(), label="look up in between"):
            real.find(*asked[0])
        if data.draw(st.booleans(), label="remove one"):
            gone = data.draw(st.sampled_from(model))
            real.remove(gone)
            model.remove(gone)
    for method, path in asked:
        expected = naive(model, method, path)
        found = real.find(method, path)
        if isinstance(found, Found):
            assert (found.route, found.captures) == expected
        else:
            assert set(found.allow) == expected
            assert len(found.allow) == len(set(found.allow))
    assert list(real.routes()) == model


def test_the_longest_base_hides_shorter_ones_even_without_a_match():
    real = router(("GET", "/", "^(.*)$"), ("GET", "/foo/", "^bar$"))
    assert isinstance(real.find("GET", "/foo/bar"), Found)
    assert real.find("GET", "/foo/other") == Miss(())
    assert isinstance(real.find("GET", "/food"), Found)


def test_the_first_route_added_wins():
    real = router(("GET", "/", "^a"), ("GET", "/", "^ab"))
    found = real.find("GET", "/ab")
    assert isinstance(found, Found)
    assert found.route.expression == "^a"


def test_captures_are_texts_also_where_a_group_took_no_part_and_beyond_nine_groups():
    found = router(("GET", "/", "^(a)(b)?" + "(c)?" * 9 + "$")).find("GET", "/a")
    assert found[1] == ("a",) + ("",) * 10


def test_methods_are_compared_as_they_are():
    assert router(("GET", "/", "^a$")).find("get", "/a") == Miss(("OPTIONS", "GET", "HEAD"))


def test_a_path_of_slashes_is_no_work():
    real = router(("GET", "/a/b/", "^c$"))
    assert real.find("GET", "/" * 8000) == Miss(())


def test_changes_raise_the_generation_and_take_effect_at_once():
    real = router()
    assert real.find("GET", "/a") == Miss(())
    before = real.generation
    added = route("GET", "/", "^a$")
    real.add(added)
    assert real.generation > before
    assert isinstance(real.find("GET", "/a"), Found)
    real.remove(added)
    assert real.find("GET", "/a") == Miss(())
    with pytest.raises(RouteError, match="is not there"):
        real.remove(added)


def test_the_same_route_cannot_be_added_twice():
    real = router(("GET", "/", "^a$"))
    with pytest.raises(RouteError, match=r"GET /\(\^a\$\) exists already"):
        real.add(route("GET", "/", "^a$"))


@pytest.mark.parametrize(
    ("key", "message"),
    [
        (("GET", "/a", "^b$"), "must begin and end in '/'"),
        (("GET", "a/", "^b$"), "must begin and end in '/'"),
        (("GET", "/", "("), "is not a regular expression"),
        (("get", "/", "^b$"), "'get' is not a method"),
        (("", "/", "^b$"), "is not a method"),
    ],
)
def test_a_malformed_route_is_refused(key, message):
    with pytest.raises(RouteError, match=message):
        route(*key)


def test_a_route_says_what_it_is_for():
    with pytest.raises(RouteError, match="summary"):
        Route("GET", "/", "^a$", answer, " ")
