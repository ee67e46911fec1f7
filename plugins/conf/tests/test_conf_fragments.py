"""Pieces of XML: their texts, how they stand alone, and which mean the same."""

from __future__ import annotations

import pytest
from lxml import etree

from mtev_conf._editing.fragments import leaf_text, own_text, parse_xml, same_meaning, words_of, xml_of


@pytest.mark.parametrize(
    ("xml", "own", "leaf"),
    [
        ("<a/>", "", ""),
        ("<a> x </a>", " x ", " x "),
        ("<a> </a>", " ", " "),
        ("<a>\n  </a>", "\n  ", ""),
        ("<a>\u00a0</a>", "\u00a0", "\u00a0"),
        ("<a> <!--c--> </a>", "  ", ""),
        ("<a>x<?p?>y</a>", "xy", "xy"),
        ("<a>x<b>y</b>z</a>", "xz", "xz"),
        ("<a><![CDATA[<x>]]></a>", "<x>", "<x>"),
    ],
)
def test_the_text_of_an_element(xml, own, leaf):
    element = parse_xml(xml)
    assert (own_text(element), leaf_text(element)) == (own, leaf)


def test_words_are_what_is_between_blanks():
    assert words_of(" a\tb\r\nc\u00a0d ") == ["a", "b", "c\u00a0d"]


def test_an_element_stands_alone_with_the_namespaces_that_it_uses():
    root = etree.fromstring('<app xmlns:m="u" xmlns:unused="v"><m:a m:x="1"><b/><!--c--></m:a> tail</app>')
    assert xml_of(root[0]) == '<m:a xmlns:m="u" m:x="1"><b/><!--c--></m:a>'
    assert root[0].tail == " tail"


@pytest.mark.parametrize(
    "xml", ["", "x", "<a>", "<a/><b/>", "<a>&x;</a>", "<a x='1' x='2'/>", "<m:a/>", "<a>\ud800</a>"]
)
def test_what_is_not_one_element_is_refused(xml):
    with pytest.raises(ValueError, match="not the well-formed XML of one element"):
        parse_xml(xml)


@pytest.mark.parametrize(
    "doctype", ["<!DOCTYPE a>", '<!DOCTYPE a [<!ENTITY x "y">]>', '<!DOCTYPE a SYSTEM "file:///x">']
)
def test_a_doctype_is_refused(doctype):
    with pytest.raises(ValueError, match="DOCTYPE"):
        parse_xml(f"{doctype}<a/>")


def test_a_message_holds_nothing_of_the_text():
    with pytest.raises(ValueError) as error:
        parse_xml("<a password='hunter2'>hunter2")
    assert "hunter2" not in str(error.value)


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ('<a x="1" y="2"/>', "<a\n y='2' x='1'></a>", True),
        ("<a><b/><c/></a>", "<a>\n  <b/><!--x-->\n  <c/>\n</a>", True),
        ("<a> x  y </a>", "<a>x y</a>", True),
        ("<a>x<![CDATA[y]]></a>", "<a>xy</a>", True),
        ('<m:a xmlns:m="u"/>', '<n:a xmlns:n="u"/>', True),
        ("<a>xy</a>", "<a>x y</a>", False),
        ("<a><b/><c/></a>", "<a><c/><b/></a>", False),
        ("<a><b/></a>", "<a><b/><b/></a>", False),
        ('<a x="1"/>', '<a x="1 "/>', False),
        ("<a/>", "<b/>", False),
        ('<m:a xmlns:m="u"/>', "<a/>", False),
    ],
)
def test_meaning(one, other, same):
    assert same_meaning(parse_xml(one), parse_xml(other)) is same


def test_meaning_of_what_is_deep():
    def deep(word):
        return parse_xml("<a>" * 256 + word + "</a>" * 256)

    assert same_meaning(deep("x"), deep("x"))
    assert not same_meaning(deep("x"), deep("y"))
