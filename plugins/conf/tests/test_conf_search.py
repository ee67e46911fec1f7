"""Finding elements by XPath from outside: plain paths are followed in place, and mean what XPath means by them."""

from __future__ import annotations

import re

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from lxml import etree

from mtev_conf import Configuration
from mtev_conf._operating.search import Match, OutsideTree, find_matches, find_sections, position_below_root, shown_path
from mtev_kernel.errors import ConfigurationError

XML = "<app><a><b x='1'/><b><a/></b></a><a/><c><b/></c></app>"


def paths(found):
    return [each.path if isinstance(each, Match) else shown_path(each) for each in found]


STEPS = st.lists(st.sampled_from(["app", "a", "b", "c", "a[1]", "a[2]", "b[2]", ".", ".."]), min_size=1, max_size=5)


@given(STEPS, st.booleans())
def test_a_plain_path_finds_what_xpath_finds(steps, absolute):
    configuration = Configuration.parse(XML, "app.conf", {})
    expression = ("/" if absolute else "") + "/".join(steps)
    root = etree.fromstring(XML)
    expected = root.xpath(expression)
    if absolute or ".." in steps:
        assume(root.xpath(f"count({expression})") == len(expected))  # lxml leaves the document itself out
    found = find_matches(configuration, expression)
    if not expected and not absolute and steps[0] == "app":
        expected = root.xpath(f"/{expression}")
    assert paths(found) == [root.getroottree().getpath(each) for each in expected]


@pytest.mark.parametrize(
    ("expression", "found"),
    [
        ("//b", ["/app/a[1]/b[1]", "/app/a[1]/b[2]", "/app/c/b"]),
        ("//b/@x", ["/app/a[1]/b[1]/@x"]),
        ("a[b]", ["/app/a[1]"]),
        ("/app/a/b[a]", ["/app/a[1]/b[2]"]),
        ("count(//b)", [""]),
        ("//namespace::*", []),
    ],
)
def test_everything_else_is_xpath(expression, found):
    assert paths(find_matches(Configuration.parse(XML, "app.conf", {}), expression)) == found


def test_what_is_found_on_the_copy_is_the_element_itself():
    configuration = Configuration.parse(XML, "app.conf", {})
    (found,) = find_sections(configuration, "//b[a]")
    assert found == configuration.sections("//b[a]")[0]
    assert position_below_root(found) == "/a[1]/b[2]"
    assert position_below_root(configuration.root) == "/"


def test_a_change_during_the_search_does_not_mislead():
    configuration = Configuration.parse("<app><a n='1'/><a n='2'/></app>", "app.conf", {})
    asked = []

    def look_up(path):
        if not asked:
            asked.append(path)
            with configuration.transaction() as change:
                change.remove(configuration.section("a[@n='1']"))
        return Configuration.at(configuration, path)

    configuration.at = look_up  # what another thread does meanwhile
    (found,) = find_sections(configuration, "//a[@n='2']")
    assert found.string("n") == "2"


def test_a_document_that_never_rests_is_an_error():
    configuration = Configuration.parse("<app><a/></app>", "app.conf", {})

    def look_up(path):
        with configuration.transaction() as change:
            change.set(configuration.root, "n", str(configuration.generation))
        return Configuration.at(configuration, path)

    configuration.at = look_up  # as above
    with pytest.raises(ConfigurationError, match="changing all the time"):
        find_sections(configuration, "//a[1]")


@pytest.mark.parametrize("expression", ["//a[", "", "$x", "a" * 2001, "//m:a", "concat("])
def test_what_is_malformed_is_an_error(expression):
    configuration = Configuration.parse(XML, "app.conf", {})
    for find in (find_matches, find_sections):
        with pytest.raises(ConfigurationError, match="XPath"):
            find(configuration, expression)


def test_only_elements_are_sections():
    configuration = Configuration.parse(XML, "app.conf", {})
    assert find_sections(configuration, "//@x") == []
    with pytest.raises(ConfigurationError, match=re.escape("yields a float")):
        find_sections(configuration, "count(//a)")
    with pytest.raises(OutsideTree):
        find_sections(configuration, "/app/a/../..")
    with pytest.raises(OutsideTree):
        find_sections(configuration, "/")


def test_prefixes_are_those_of_the_root():
    configuration = Configuration.parse("<app xmlns:m='app://m'><m:k v='1'/><k/></app>", "app.conf", {})
    assert [each.string("v") for each in find_sections(configuration, "/app/m:k")] == ["1"]
    assert len(find_sections(configuration, "/app/k")) == 1
