"""The layout of backing stores: names, documents and plans, without a file system."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from lxml import etree

from mtev_conf._disk.shatter_layout import (
    MAX_STORE_DEPTH,
    MAX_STORE_FILE_BYTES,
    Stored,
    arrange,
    attrs_document,
    is_leaf,
    leaf_document,
    plan_new,
    plan_removal,
)
from mtev_kernel.errors import ConfigurationError

NAMESPACES = {"m": "app://module/m", "k": "http://example.org/?a=1&b=2"}


def wanted(element):
    return etree.QName(element).localname == "check"


def element(text):
    return etree.fromstring(f'<app xmlns:m="{NAMESPACES["m"]}">{text}</app>')[0]


def test_the_layout_is_libmtevs():
    planned = plan_new(
        element(
            '<host name="a"><item x="1"/><check y="2"><config>z</config></check><group><item x="3"/></group></host>'
        ),
        "/store",
        1,
        wanted,
        {},
    )
    declarations = ' xmlns:m="app://module/m"'
    heading = '<?xml version="1.0" encoding="UTF-8"?>\n'
    assert {path.removeprefix("/store/"): data.decode() for path, data in planned.files} == {
        "host#1/.attrs": f'{heading}<host{declarations} name="a"/>\n',
        "host#1/item#2/.attrs": f'{heading}<item{declarations} x="1"/>\n',
        "host#1/check#3.xml": f'{heading}<check{declarations} y="2"><config>z</config></check>\n',
        "host#1/group#4/.attrs": f"{heading}<group{declarations}/>\n",
        "host#1/group#4/item#5/.attrs": f'{heading}<item{declarations} x="3"/>\n',
    }
    assert planned.next_number == 6
    assert [(each.path.removeprefix("/store/"), each.number, each.leaf) for each in planned.nodes.values()] == [
        ("host#1", 1, False),
        ("host#1/item#2", 2, False),
        ("host#1/check#3.xml", 3, True),
        ("host#1/group#4", 4, False),
        ("host#1/group#4/item#5", 5, False),
    ]


# Leaf or directory


@pytest.mark.parametrize(
    ("text", "leaf"),
    [
        ("<a b='1'/>", False),
        ("<a><b/></a>", False),
        ("<a b='1'>\n  <b/>\t\r\n</a>", False),
        ("<check b='1'/>", True),
        ("<a/>", True),
        ("<a> </a>", True),
        ("<a b='1'>text</a>", True),
        ("<a b='1'>\u00a0</a>", True),  # a no-break space is text
        ("<a><b/>text</a>", True),
        ("<a b='1'><!-- why --></a>", True),
        ("<a b='1'><b/><?pi?></a>", True),
        ("<a b='1'><b/><!-- why --><b/></a>", True),
        ("<a><b>text</b></a>", False),
    ],
)
def test_a_leaf_is_what_is_wanted_as_one_and_what_a_directory_would_lose(text, leaf):
    assert is_leaf(element(text), wanted) is leaf


def test_the_tail_belongs_to_the_parent():
    assert not is_leaf(element("<a b='1'/>tail"), wanted)
    assert b"tail" not in leaf_document(element("<a b='1'/>tail"), {})


# Documents


def test_declarations_of_the_main_root_are_repeated_once():
    namespaces = {"m": "app://module/m", "n": "urn:n"}
    for document in (attrs_document, leaf_document):
        data = document(element("<m:host m:a='1'/>"), namespaces)
        assert data.count(b'xmlns:m="app://module/m"') == data.count(b'xmlns:n="urn:n"') == 1
        root = etree.fromstring(data)
        assert (root.tag, root.prefix, dict(root.attrib)) == ("{app://module/m}host", "m", {"{app://module/m}a": "1"})


def test_a_detached_element_is_complete_too():
    alone = etree.Element("host")
    alone.set("{app://module/m}a", "1")
    root = etree.fromstring(attrs_document(alone, NAMESPACES))
    assert root.attrib == {"{app://module/m}a": "1"}
    assert NAMESPACES.items() <= root.nsmap.items()


def test_default_namespaces_stay_where_they_are():
    outer = etree.fromstring('<x xmlns="urn:x"><y a="1"/><n xmlns="" a="1"/></x>')
    assert etree.fromstring(attrs_document(outer[0], {})).tag == "{urn:x}y"
    assert etree.fromstring(attrs_document(outer[1], {})).tag == "n"
    assert etree.fromstring(leaf_document(outer[1], {})).tag == "n"


def test_attributes_do_not_cost_what_is_in_the_element():
    assert b"child" not in attrs_document(element("<a b='1'><child c='2'/></a>"), {})


# Plans


def nested(levels, name="a"):
    outer = inner = etree.Element(name, b="1")
    for _ in range(levels - 1):
        inner = etree.SubElement(inner, name, b="1")
    return outer


def test_what_could_not_be_read_again_is_not_planned():
    with pytest.raises(ConfigurationError, match=r"<a> lies 201 elements deep; a backing store takes 200"):
        plan_new(nested(MAX_STORE_DEPTH + 1), "/store", 1, wanted, {})
    with pytest.raises(
        ConfigurationError, match=r"the element name <ö{101}> has 202 bytes, and a backing store takes 200"
    ):
        plan_new(etree.Element("ö" * 101, b="1"), "/store", 1, wanted, {})
    with pytest.raises(ConfigurationError, match="its path is longer than 4000 bytes"):
        plan_new(nested(50, "a" * 100), "/store", 1, wanted, {})
    large = etree.Element("check")
    large.text = "x" * MAX_STORE_FILE_BYTES
    with pytest.raises(
        ConfigurationError, match=r"check#1\.xml: <check> makes a file of 16777\d+ bytes; .*split the element"
    ):
        plan_new(large, "/store", 1, wanted, {})


def test_a_removal_names_files_first_and_the_deepest_directory_first():
    stored = [
        Stored("/s/a#1", 1, False, b"x"),
        Stored("/s/a#1/b#2", 2, False, b""),
        Stored("/s/a#1/b#2/c#3.xml", 3, True, b"x", ("/s/a#1/b#2/c#3.xml.bak",)),
        Stored("/s/a#1/b#2/d#4.xml", 4, True, b"", ("/s/a#1/b#2/d#4.xml.tmp",)),
    ]
    assert plan_removal(stored) == (
        ["/s/a#1/.attrs", "/s/a#1/b#2/c#3.xml", "/s/a#1/b#2/c#3.xml.bak", "/s/a#1/b#2/d#4.xml.tmp"],
        ["/s/a#1/b#2", "/s/a#1"],
    )
    assert plan_removal([]) == ([], [])


# Names


@given(
    st.lists(
        st.tuples(
            st.text("x#1.attsbkmp{}: é", max_size=12)
            | st.sampled_from([".attrs", ".attrs.bak", "x#1", "x#1.xml", "x#1.xml.tmp"]),
            st.sampled_from(["file", "directory", "link", "other"]),
        ),
        unique_by=lambda entry: entry[0],
        max_size=8,
    )
)
def test_whatever_the_names_are_each_is_used_once_at_most(entries):
    found = arrange(entries)
    used = [place.file_name for place in found.elements if place.present]
    used += [left for place in found.elements for left in place.leavings]
    used += found.links
    if found.attrs is not None:
        used += [".attrs"] * found.attrs.present
        used += found.attrs.leavings
    refused = [name for name, sentence in found.notices if sentence.startswith("it is not read")]
    assert len(set(used + refused)) == len(used + refused)
    assert set(used + refused) <= {name for name, _ in entries}
    assert {name for name, _ in entries if "#" in name and not name.startswith(".")} <= set(used + refused)
    assert found == arrange(reversed(entries))
