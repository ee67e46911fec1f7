"""XML as it is written."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from lxml import etree

from mtev_conf._writing.markup import (
    adapted,
    attributes,
    content_of,
    declared_in,
    escaped_content,
    escaped_like,
    escaped_value,
    name_end,
    prevailing_line_break,
    remark,
    same_remark,
    start_tag,
    value_of,
)


def test_attributes_as_they_are_written():
    text = """<a  b = "1>" \n xml:c='"'xmlns=''/>"""
    found = attributes(text, name_end(text, 0))
    assert [each.name for each in found] == ["b", "xml:c", "xmlns"]
    assert [text[each.start : each.end] for each in found] == ['  b = "1>"', """ \n xml:c='"'""", "xmlns=''"]
    assert [text[each.value_start : each.value_end] for each in found] == ["1>", '"', ""]


def test_where_no_tag_begins():
    for text in ("</a>", "<!--x-->", "a", ""):
        with pytest.raises(ValueError, match="no start tag at offset 0"):
            name_end(text, 0)


def test_declarations():
    assert declared_in("<a xmlns:m='u&amp;v' xmlns='' m:x='1' xmlnsy='2'>", 0) == {"m": "u&v", None: ""}


def test_what_raw_text_means():
    assert content_of("a&#65;&#x41;&lt;&gt;&amp;&quot;&apos;<![CDATA[&lt;]]>\r\n\r&#13;") == "aAA<>&\"'&lt;\n\n\r"
    assert value_of("a&#65;&#x41;&lt;&gt;&amp;&quot;&apos;\r\n\r\t&#13;&#10;&#9;") == "aAA<>&\"'   \r\n\t"


@pytest.mark.parametrize("raw", ["&nbsp;", "&#x;", "&#x110000;", "&#99999999999999999999;", "&;", "&#a;", "&", "&#"])
def test_references_that_stand_for_nothing(raw):
    with pytest.raises(ValueError, match="stands for nothing"):
        content_of(raw)
    with pytest.raises(ValueError, match="stands for nothing"):
        value_of(raw)


@pytest.mark.parametrize(
    ("text", "line_break"),
    [("", "\n"), ("a\nb\r\nc", "\n"), ("a\nb\r\nc\r\n", "\r\n"), ("a\r\n", "\r\n"), ("a\rb", "\r"), ("a\rb\nc", "\n")],
)
def test_the_line_break_that_prevails(text, line_break):
    assert prevailing_line_break(text) == line_break


@pytest.mark.parametrize(
    ("raw", "text", "expected"),
    [
        ("x", "<", "&lt;"),
        ("<![CDATA[x]]>", "<\n", "<![CDATA[<\r\n]]>"),
        ("<![CDATA[x]]>", "", ""),
        ("<![CDATA[x]]>", "]]>", "]]&gt;"),
        ("<![CDATA[x]]>", "\r", "&#13;"),
        ("<![CDATA[x]]> ", "<", "&lt;"),
        ("<![CDATA[x]]><![CDATA[y]]>", "<", "&lt;"),
    ],
)
def test_a_section_stays_a_section(raw, text, expected):
    assert escaped_like(raw, text, "\r\n") == expected


TEXT = st.text(st.sampled_from("a <>&\"'\t\n\r]é😀\u0085\u2028;#"), max_size=12)


@given(TEXT, st.sampled_from("\"'"), st.sampled_from(["\n", "\r\n", "\r"]))
def test_what_is_written_is_read_again(text, quote, line_break):
    value, content = escaped_value(text, quote), escaped_content(text, line_break)
    assert (value_of(value), content_of(content)) == (text, text)
    root = etree.fromstring(f"<r x={quote}{value}{quote}>{content}</r>")
    assert (root.get("x"), root.text or "") == (text, text)


@pytest.mark.parametrize(
    ("raw", "node", "same"),
    [
        ("<!-- a -->", etree.Comment(" a "), True),
        ("<!--a\r\nb-->", etree.Comment("a\nb"), True),
        ("<!--a-->", etree.Comment("b"), False),
        ("<?a?>", etree.PI("a"), True),
        ("<?a   b ?>", etree.PI("a", "b "), True),
        ("<?a b?>", etree.PI("b", "b"), False),
        ("<?a b?>", etree.Comment("a b"), False),
        ("<!--a-->", etree.PI("a"), False),
        ("<!--a-->", etree.Element("a"), False),
        ("<?a?>", etree.Element("a"), False),
    ],
)
def test_remarks_are_compared_by_their_meaning(raw, node, same):
    assert same_remark(raw, node) is same


def test_remarks_are_written():
    assert remark(etree.Comment("a\rb\nc"), "\r\n") == "<!--a\r\nb\r\nc-->"
    assert remark(etree.PI("a", "b"), "\n") == "<?a b?>"
    assert remark(etree.PI("a"), "\n") == "<?a?>"
    with pytest.raises(ValueError, match="cannot be written"):
        remark(etree.Entity("a"), "\n")


def test_a_start_tag_declares_what_does_not_hold():
    element = etree.fromstring("<m:a xmlns:m='u' xmlns='d' xmlns:k='v' m:x='&lt;' k:y='&#10;'/>")
    assert start_tag(element, {}, {}) == (
        '<m:a xmlns:m="u" xmlns="d" xmlns:k="v" m:x="&lt;" k:y="&#10;"',
        {"m": "u", None: "d", "k": "v"},
    )
    scope = {"m": "u", "k": "v"}
    assert start_tag(element, scope, element.nsmap) == ('<m:a m:x="&lt;" k:y="&#10;"', scope)


def test_an_element_is_adapted_to_its_place():
    old, new = {"m": "u", "k": "v", None: "d"}, {"m": "w"}
    assert adapted("<a x='1'/>", old, new) == "<a xmlns=\"d\" x='1'/>"
    assert adapted("<m:a xmlns='e'/>", old, new) == "<m:a xmlns:m=\"u\" xmlns='e'/>"
    assert adapted("<m:a xmlns:m='z' xmlns='e'><k:b/></m:a>", old, new) == (
        "<m:a xmlns:k=\"v\" xmlns:m='z' xmlns='e'><k:b/></m:a>"
    )
    assert adapted("<m:a/>", old, old) == "<m:a/>"
