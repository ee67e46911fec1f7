"""What a type takes, in words."""

import pytest

pytest.importorskip("xmlschema", reason="schemas are asked with xmlschema, which is an extra")

import xmlschema

from mtev_conf._checking.expectation import choices, expected

TYPES = xmlschema.XMLSchema(
    """<xs:schema xmlns:xs="http://www.w3.org/2001/XMLSchema">
<xs:simpleType name="said"><xs:annotation><xs:documentation> a port,
  0 to 65535. </xs:documentation></xs:annotation><xs:restriction base="xs:integer"/></xs:simpleType>
<xs:simpleType name="silent"><xs:restriction base="said"><xs:minInclusive value="3"/></xs:restriction></xs:simpleType>
<xs:simpleType name="words"><xs:restriction base="xs:token">
  <xs:enumeration value="x"/><xs:enumeration value="y"/></xs:restriction></xs:simpleType>
<xs:simpleType name="word"><xs:restriction base="words"><xs:enumeration value="y"/></xs:restriction></xs:simpleType>
<xs:simpleType name="least">
  <xs:restriction base="xs:integer"><xs:minInclusive value="1"/></xs:restriction></xs:simpleType>
<xs:simpleType name="below"><xs:restriction base="least"><xs:maxExclusive value="10"/></xs:restriction></xs:simpleType>
<xs:simpleType name="tighter"><xs:restriction base="below"><xs:maxInclusive value="5"/></xs:restriction></xs:simpleType>
<xs:simpleType name="most">
  <xs:restriction base="xs:decimal"><xs:maxInclusive value="2.5"/></xs:restriction></xs:simpleType>
<xs:simpleType name="above">
  <xs:restriction base="xs:double"><xs:minExclusive value="0"/></xs:restriction></xs:simpleType>
<xs:simpleType name="form">
  <xs:restriction base="xs:string"><xs:pattern value="[a-z]+"/></xs:restriction></xs:simpleType>
<xs:simpleType name="long"><xs:restriction base="xs:string"><xs:minLength value="2"/></xs:restriction></xs:simpleType>
<xs:simpleType name="short"><xs:restriction base="xs:string"><xs:maxLength value="1"/></xs:restriction></xs:simpleType>
<xs:simpleType name="both"><xs:restriction base="long"><xs:maxLength value="9"/></xs:restriction></xs:simpleType>
<xs:simpleType name="exact"><xs:restriction base="xs:string"><xs:length value="3"/></xs:restriction></xs:simpleType>
<xs:simpleType name="list"><xs:list itemType="words"/></xs:simpleType>
<xs:simpleType name="lists"><xs:restriction base="list"><xs:minLength value="2"/></xs:restriction></xs:simpleType>
<xs:simpleType name="either"><xs:union memberTypes="words xs:boolean least words"/></xs:simpleType>
<xs:simpleType name="one"><xs:restriction base="either"><xs:enumeration value="x"/></xs:restriction></xs:simpleType>
<xs:simpleType name="fitting"><xs:restriction base="either"><xs:pattern value=".*"/></xs:restriction></xs:simpleType>
</xs:schema>"""
).types


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("said", "a port, 0 to 65535"),
        ("silent", "a whole number of at least 3"),
        ("words", "one of x, y"),
        ("word", "y"),
        ("least", "a whole number of at least 1"),
        ("below", "a whole number of at least 1 and below 10"),
        ("tighter", "a whole number from 1 to 5"),
        ("most", "a number of at most 2.5"),
        ("above", "a number above 0"),
        ("form", "text of the form [a-z]+"),
        ("long", "text of at least 2 characters"),
        ("short", "text of at most 1 character"),
        ("both", "text of 2 to 9 characters"),
        ("exact", "text of 3 characters"),
        ("list", "items with blanks between them, each one of x, y"),
        ("lists", "items with blanks between them, each one of x, y"),
        ("either", "one of x, y or true, false, 1 or 0 or a whole number of at least 1"),
        ("one", "x"),
        ("fitting", "one of x, y or true, false, 1 or 0 or a whole number of at least 1"),
    ],
)
def test_a_type_in_words(name, words):
    assert expected(TYPES[name]) == words


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("unsignedByte", "a whole number from 0 to 255"),
        ("positiveInteger", "a whole number of at least 1"),
        ("integer", "a whole number"),
        ("decimal", "a number"),
        ("boolean", "true, false, 1 or 0"),
        ("date", "a date such as 2026-01-31"),
        ("anyURI", "a URI"),
        ("NCName", "a value of the type NCName"),
        ("hexBinary", "a value of the type hexBinary"),
    ],
)
def test_xsds_own_types_in_words(name, words):
    kind = TYPES["said"].maps.types[f"{{http://www.w3.org/2001/XMLSchema}}{name}"]
    assert expected(kind) == words


@pytest.mark.parametrize(
    ("name", "words"), [("words", ["x", "y"]), ("word", ["y"]), ("either", ["x", "y"]), ("one", ["x"]), ("least", [])]
)
def test_the_words_that_a_type_enumerates(name, words):
    assert choices(TYPES[name]) == words
