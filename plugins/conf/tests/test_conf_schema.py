"""Stanzas before schemas: what is found, where, in which words, and what is let through."""

from __future__ import annotations

import builtins
import socket
import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st
from lxml import etree

from mtev_kernel import ConfigurationError

pytest.importorskip("xmlschema", reason="schemas are asked with xmlschema, which is an extra")

from mtev_conf._checking.schema import SchemaProblem, SchemaSet, missing, outermost, validate
from mtev_conf._checking.xsd import SchemaError

# As a plugin's author writes one: everything open, attributes that are handed down declared by themselves.
SHOP = b"""<xs:schema xmlns:xs="http://www.w3.org/2001/XMLSchema">
  <xs:element name="shop" type="open"/>
  <xs:element name="desk">
    <xs:complexType>
      <xs:complexContent mixed="true">
        <xs:extension base="open">
          <xs:attribute ref="port"/>
          <xs:attribute name="mode" type="mode"/>
          <xs:attribute name="label" type="xs:string" use="required"/>
          <xs:attribute name="kind" type="xs:string" fixed="desk"/>
        </xs:extension>
      </xs:complexContent>
    </xs:complexType>
  </xs:element>
  <xs:element name="config" type="open"/>
  <xs:element name="timeout"><xs:simpleType><xs:restriction base="xs:integer">
    <xs:minInclusive value="1"/></xs:restriction></xs:simpleType></xs:element>
  <xs:element name="api_token"><xs:simpleType><xs:restriction base="xs:string">
    <xs:pattern value="[0-9]+"/></xs:restriction></xs:simpleType></xs:element>
  <xs:attribute name="port"><xs:simpleType><xs:restriction base="xs:integer">
    <xs:minInclusive value="0"/><xs:maxInclusive value="65535"/></xs:restriction></xs:simpleType></xs:attribute>
  <xs:complexType name="open" mixed="true">
    <xs:sequence><xs:any minOccurs="0" maxOccurs="unbounded" processContents="lax"/></xs:sequence>
    <xs:anyAttribute processContents="lax"/>
  </xs:complexType>
  <xs:simpleType name="mode"><xs:restriction base="xs:token">
    <xs:enumeration value="fair"/><xs:enumeration value="random"/></xs:restriction></xs:simpleType>
</xs:schema>"""

# Closed: XSD as it is taught.
BOOK = b"""<xs:schema xmlns:xs="http://www.w3.org/2001/XMLSchema">
  <xs:element name="book">
    <xs:complexType>
      <xs:sequence>
        <xs:element name="title" type="xs:string"/>
        <xs:element name="author" type="xs:string" minOccurs="0" maxOccurs="2"/>
        <xs:element name="pages" type="xs:positiveInteger" default="1" minOccurs="0"/>
        <xs:element name="chapter" minOccurs="0" maxOccurs="unbounded">
          <xs:complexType><xs:attribute name="id" type="xs:string"/></xs:complexType>
        </xs:element>
      </xs:sequence>
      <xs:attribute name="language" type="xs:language"/>
    </xs:complexType>
    <xs:unique name="chapters"><xs:selector xpath="chapter"/><xs:field xpath="@id"/></xs:unique>
  </xs:element>
</xs:schema>"""


@pytest.fixture(scope="module")
def schemas():
    return SchemaSet()


@pytest.fixture
def judge(schemas):
    def judge(text, xsd=SHOP, **how):
        stanza = etree.fromstring(text)
        found = schemas.validate(stanza, xsd, "shop/schema.xsd", **how)
        inside = list(stanza.iter(etree.Element))
        assert all(problem.element in inside for problem in found), "elements of the caller's own tree"
        places = [inside.index(problem.element) for problem in found]
        assert places == sorted(places), "in the order of the document"
        return found

    return judge


def told(problems):
    return [(each.element.tag, each.attribute, each.severity, each.message) for each in problems]


# What is wrong


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('<shop port="0"><x port="65535"/></shop>', []),
        (
            '<shop><desk label="a" port="65536"/></shop>',
            [("desk", "port", "error", "port='65536' is not valid; expected a whole number from 0 to 65535")],
        ),
        (
            '<shop port="x"><floor port=""><desk label="a"/></floor></shop>',
            [
                ("shop", "port", "error", "port='x' is not valid; expected a whole number from 0 to 65535"),
                ("floor", "port", "error", "port='' is not valid; expected a whole number from 0 to 65535"),
            ],
        ),
        (
            '<shop><desk label="a" mode="fiar"/></shop>',
            [("desk", "mode", "error", "mode='fiar' is not valid; expected one of fair, random; did you mean 'fair'?")],
        ),
        (
            '<shop><desk label="a" mode="FAIR"/></shop>',
            [("desk", "mode", "error", "mode='FAIR' is not valid; expected one of fair, random")],
        ),
        (
            "<shop><desk/></shop>",
            [("desk", None, "error", "the attribute 'label' is required; expected a value of the type string")],
        ),
        (
            '<shop><desk label="a" kind="chair"/></shop>',
            [("desk", "kind", "error", "kind='chair' is not valid; it is always 'desk'")],
        ),
        (
            "<shop><config><timeout>0</timeout></config></shop>",
            [("timeout", None, "error", "'0' is not valid; expected a whole number of at least 1")],
        ),
        (
            "<shop><config><timeout/></config></shop>",
            [("timeout", None, "error", "it is empty; expected a whole number of at least 1")],
        ),
        (
            "<shop><config><timeout><b>5</b></timeout></config></shop>",
            [("timeout", None, "error", "it holds a text, and no elements")],
        ),
        (
            '<shop><config><value name="timeout">soon</value></config></shop>',
            [("value", None, "error", "'soon' is not valid; expected a whole number of at least 1")],
        ),
        (
            "<shop><config><api_token>hunter2</api_token></config></shop>",
            [("api_token", None, "error", "'***' is not valid; expected text of the form [0-9]+")],
        ),
    ],
)
def test_what_is_wrong_is_said_with_what_was_expected(judge, text, expected):
    assert told(judge(text)) == expected


@pytest.mark.parametrize(
    ("text", "substituted"),
    [
        ('<shop port="{{ENV::{DB_PASSWORD}}}"/>', "hunter2"),
        ('<shop port="{{FILE::{/run/secrets/x}}}"/>', "hunter2"),
        ('<shop port="ENV:hunter2:{API_KEY}"/>', "hunter2"),
        ("<shop><config><api_token>{{ENV:x:{INNOCENT}}}</api_token></config></shop>", "hunter2"),
        ('<shop><config><value name="api_token">hunter2</value></config></shop>', None),
        ("<shop><password><timeout>hunter2</timeout></password></shop>", None),
        ('<shop port="postgres://me:hunter2@host"/>', None),
    ],
)
def test_no_secret_is_told(judge, text, substituted):
    def value(element, raw):
        return raw if substituted is None or "{" not in raw else substituted

    (problem,) = judge(text, value=value)
    assert "hunter2" not in problem.message
    assert "***" in problem.message


def test_what_came_from_elsewhere_and_is_no_secret_is_told(judge):
    (problem,) = judge('<shop port="{{ENV:80:{PORT}}}"/>', value=lambda element, raw: "eighty")
    assert "port='eighty' is not valid" in problem.message


def test_a_long_value_is_not_shown_whole(judge):
    (problem,) = judge(f'<shop port="{"7" * 5000}"/>')
    assert f"port='{'7' * 60}…'" in problem.message
    assert len(problem.message) < 200


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("<book><title>x</title><author>y</author><pages>9</pages></book>", []),
        ("<book><title>x</title><pages/></book>", []),
        ("<book/>", [("book", None, "error", "something is missing in it; expected <title>")]),
        (
            "<book><!-- c --><author>y</author><title>x</title></book>",
            [("author", None, "error", "<author> is not expected here; expected <title>")],
        ),
        (
            "<book><title>x</title><page>9</page></book>",
            [
                (
                    "page",
                    None,
                    "error",
                    "<page> is not expected here; <book> may hold <title>, <author>, <pages>, <chapter>; "
                    "did you mean <pages>?",
                )
            ],
        ),
        (
            "<book><title>x</title><title>y</title></book>",
            [
                (
                    "title",
                    None,
                    "error",
                    "<title> is not expected here again; <book> may hold <title>, <author>, <pages>, <chapter>",
                )
            ],
        ),
        ("<book>stray<title>x</title></book>", [("book", None, "error", "it holds elements, and no text of its own")]),
        (
            '<book langauge="en"><title>x</title></book>',
            [("book", "langauge", "error", "the attribute 'langauge' is not allowed here; did you mean 'language'?")],
        ),
        (
            '<book colour="red"><title>x</title></book>',
            [("book", "colour", "error", "the attribute 'colour' is not allowed here")],
        ),
    ],
)
def test_content_that_a_schema_closes_is_judged_at_the_element_at_fault(judge, text, expected):
    assert told(judge(text, BOOK)) == expected


def test_values_that_must_differ(judge):
    (problem,) = judge('<book><title>x</title><chapter id="1"/><chapter id="2"/><chapter id="1"/></book>', BOOK)
    assert problem.message == "its schema says: duplicated value ('1',) for 'chapters'"
    assert problem.element.getnext() is None


REFERRING = b"""<xs:schema xmlns:xs="http://www.w3.org/2001/XMLSchema">
  <xs:element name="net"><xs:complexType><xs:sequence>
    <xs:any minOccurs="0" maxOccurs="unbounded" processContents="strict"/>
  </xs:sequence></xs:complexType></xs:element>
  <xs:element name="node"><xs:complexType>
    <xs:attribute name="me" type="xs:ID"/><xs:attribute name="peer" type="xs:IDREF"/>
  </xs:complexType></xs:element>
  <xs:element name="none"><xs:complexType/></xs:element>
</xs:schema>"""


@pytest.mark.parametrize(
    ("text", "tag", "message"),
    [
        ('<net><node me="a"/><node peer="b"/></net>', "net", "its schema says: IDREF 'b' not found"),
        ('<net><node me="a"/><node me="a"/></net>', "node", "its schema says: attribute me='a': duplicated"),
        ("<net><other/></net>", "other", "its schema says: element 'other' not found"),
        ("<net><none>x</none></net>", "none", "it is to be empty"),
    ],
)
def test_whatever_else_a_schema_demands_is_told_in_its_own_words(judge, text, tag, message):
    (problem,) = [each for each in judge(text, REFERRING) if each.severity == "error"]
    assert problem.element.tag == tag
    assert message in problem.message


def test_all_of_it_is_found_at_once(judge):
    found = judge(
        """<shop prot="1">
             <desk mode="x" port="y"><config><timeout>z</timeout></config></desk>
             <other><desk label="a" mode="x"/></other>
           </shop>"""
    )
    assert [(each.element.tag, each.attribute) for each in found] == [
        ("shop", "prot"),
        *[("desk", "mode"), ("desk", "port"), ("desk", None), ("timeout", None), ("desk", "mode")],
    ]


# What is let through


@pytest.mark.parametrize(
    "text",
    [
        "<shop>text <b>and</b> more</shop>",
        '<shop colour="red"><window size="2"><pane/></window></shop>',
        '<shop xmlns:m="app://module/m" m:x="1"><m:thing m:port="x">1</m:thing></shop>',
        '<shop><config><timeout id="t" require_env="X" xml:space="preserve">5</timeout></config></shop>',
        '<shop><config><peer port="http"><port/></peer><value name="max age">x</value></config></shop>',
        '<shop><desk label="a" mode=" fair " port=" 7 "/></shop>',
        '<shop xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" xsi:type="x" xsi:nil="true">x</shop>',
        "<shop><config><timeout><!-- five -->5</timeout></config></shop>",
        "<shop><?pi timeout?><config/></shop>",
        "<elsewhere><something/></elsewhere>",
        "<config/>",
    ],
)
def test_what_a_schema_does_not_know_is_let_through(judge, text):
    assert judge(text) == []


def test_a_stanza_of_any_name_is_judged_around_and_inside(judge):
    found = judge(
        '<floor port="x"><room port="y"><desk port="z" label="a"/></room><config><x port="-"/></config></floor>'
    )
    assert [(each.element.tag, each.attribute) for each in found] == [
        ("floor", "port"),
        ("room", "port"),
        ("desk", "port"),
    ]


def test_nesting_as_deep_as_a_document_may_be(judge):
    text = "<shop>" + "<a>" * 253 + '<desk label="a" port="x"/>' + "</a>" * 253 + "</shop>"
    (problem,) = judge(text)
    assert problem.attribute == "port"


# Misspellings


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('<shop><desk label="a" prot="1"/></shop>', "unknown attribute 'prot': did you mean 'port'?"),
        ('<shop><floor prot="1"/></shop>', "unknown attribute 'prot': did you mean 'port'?"),
        ('<shop><desk label="a" modes="1"/></shop>', "unknown attribute 'modes': did you mean 'mode'?"),
        (
            '<shop><desk label="a" require_evn="X"/></shop>',
            "unknown attribute 'require_evn': did you mean 'require_env'?",
        ),
        ("<shop><dest/></shop>", ""),
        ("<shop><desks/></shop>", "unknown element <desks>: did you mean <desk>?"),
        ('<shop><desks><desk label="a"/></desks></shop>', ""),  # a container may have any name
        ("<shop><confg><timeout>1</timeout></confg></shop>", "unknown element <confg>: did you mean <config>?"),
        ("<shop><config><timout>1</timout></config></shop>", "unknown element <timout>: did you mean <timeout>?"),
        ("<shop><config><desks>1</desks></config></shop>", ""),  # not of those that may be keys
        ('<shop><desk label="a" node="1" tail="x" ports_of_call="y"/></shop>', ""),
        ('<shop xmlns:m="urn:m"><m:desks/></shop>', ""),
    ],
)
def test_a_name_that_resembles_a_known_one_is_a_warning(judge, text, message):
    found = [(each.severity, each.message) for each in judge(text)]
    assert found == ([("warning", message)] if message else [])


def test_a_name_that_others_know_is_no_misspelling(judge):
    text = '<shop><desk label="a" ports="x"/><desks/><config><timeouts>1</timeouts></config></shop>'
    assert len(judge(text)) == 3
    assert judge(text, known={"ports", "desks", "timeouts"}) == []


# Values, conditions, several plugins


def test_values_are_judged_as_they_are_once_substituted(judge):
    text = '<shop port="ENV:80:{P}"><config><timeout>{{ENV:1:{T}}}</timeout></config></shop>'
    seen = []

    def value(element, raw):
        seen.append((element, raw))
        return {"ENV:80:{P}": "80", "{{ENV:1:{T}}}": "none"}.get(raw, raw)

    (problem,) = judge(text, value=value)
    assert (problem.element.tag, problem.element.text) == ("timeout", "{{ENV:1:{T}}}"), "the caller's tree is as it was"
    assert "'none' is not valid" in problem.message
    assert len(judge(text)) == 2
    assert {element.getroottree().getroot().tag for element, _ in seen} == {"shop"}


def test_a_value_from_outside_may_hold_what_xml_cannot(judge):
    (problem,) = judge('<shop port="{{ENV:80:{PORT}}}"/>', value=lambda element, raw: "8\x000\ud800")
    assert "is not valid" in problem.message


def test_what_does_not_apply_is_left_out_with_all_that_is_in_it(judge):
    text = '<shop><floor off="1" port="x"><desk/></floor><desk label="a" off="1" port="x"/><desk/></shop>'
    (problem,) = judge(text, applies=lambda element: "off" not in element.attrib)
    assert problem.element.getprevious() is not None
    assert problem.attribute is None


def test_what_the_callers_functions_raise_comes_out(judge):
    def value(element, raw):
        raise ConfigurationError("it expands to too much", "app.conf:1")

    with pytest.raises(ConfigurationError, match="too much"):
        judge("<shop port='1'/>", value=value)


def test_a_part_of_a_larger_tree_is_judged_by_itself_and_left_as_it_is(schemas):
    tree = etree.fromstring("<app port='x'><shop><!-- a --><desk port='y' label='a'/></shop>tail<desk port='z'/></app>")
    before = etree.tostring(tree)
    (problem,) = schemas.validate(tree[0], SHOP, "x")
    assert problem.element is tree[0][1]
    assert etree.tostring(tree) == before


def test_of_elements_within_each_other_the_outer_ones():
    tree = etree.fromstring("<a><b><c/></b><d><e/></d></a>")
    b, c, d, e = tree[0], tree[0][0], tree[1], tree[1][0]
    assert outermost([c, b, e]) == [b, e]
    assert outermost([b, d]) == [b, d]
    assert outermost([]) == []


def test_one_stanza_by_itself():
    stanza = etree.fromstring("<shop port='x'/>")
    message = "port='x' is not valid; expected a whole number from 0 to 65535"
    assert validate(stanza, SHOP, "x") == [SchemaProblem(stanza, "port", message, "error")]


# The schemas themselves


def test_a_schema_is_compiled_once_for_its_content(schemas, monkeypatch):
    import xmlschema

    made = []
    real = xmlschema.XMLSchema
    monkeypatch.setattr(xmlschema, "XMLSchema", lambda *args, **how: made.append(args) or real(*args, **how))
    fresh = SchemaSet()
    for name in ("one", "two"):
        fresh.validate(etree.fromstring("<shop/>"), bytes(SHOP), name)
    fresh.validate(etree.fromstring("<book/>"), BOOK, "book")
    assert len(made) == 2
    assert fresh.names(SHOP, "x") >= {"shop", "desk", "port", "label", "timeout"}


@pytest.mark.parametrize(
    ("xsd", "complaint"),
    [
        (b"<x/>", "is no schema"),
        (SHOP.replace(b'type="mode"', b'type="mood"'), "it is no valid schema: "),
        (
            SHOP.replace(b"<xs:element name", b"<xs:include schemaLocation='/etc/passwd'/><xs:element name", 1),
            "xs:include",
        ),
    ],
)
def test_a_schema_that_cannot_be_used_is_refused_every_time_with_its_name(schemas, xsd, complaint):
    for _ in range(2):
        with pytest.raises(SchemaError) as caught:
            schemas.validate(etree.fromstring("<shop/>"), xsd, "acme/schema.xsd")
        assert str(caught.value).startswith("acme/schema.xsd")
        assert complaint in str(caught.value)


def test_nothing_is_opened_and_nobody_asked_whatever_a_document_hints_at(judge, monkeypatch):
    judge("<shop/>")  # xmlschema reads its own files when it is imported

    def refused(*args, **how):
        raise AssertionError(f"opened {args}")

    monkeypatch.setattr(builtins, "open", refused)
    monkeypatch.setattr(socket, "socket", refused)
    hints = (
        'xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" xsi:noNamespaceSchemaLocation="/etc/passwd" '
        'xsi:schemaLocation="urn:m http://192.0.2.1/m.xsd" xmlns:m="urn:m"'
    )
    assert judge(f'<shop {hints}><m:a/><desk {hints} label="a"/></shop>') == []


def test_xmlschema_is_imported_when_the_first_schema_is_asked():
    assert missing() == ""
    code = "import sys, mtev_conf, mtev_conf._checking.schema; sys.exit('xmlschema' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_without_xmlschema_it_is_said_what_to_install(monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    assert missing() == "pip install 'mtev-conf[schema]'"
    with pytest.raises(SchemaError, match="pip install"):
        validate(etree.fromstring("<shop/>"), SHOP, "x")


# Whatever is in a stanza

NAMES = st.sampled_from(["shop", "desk", "config", "timeout", "value", "floor", "desks", "port", "a"])
ATTRIBUTES = st.dictionaries(
    st.sampled_from(["port", "mode", "label", "kind", "name", "id", "prot", "q"]),
    st.text(st.characters(min_codepoint=32, max_codepoint=0x2FF), max_size=6) | st.integers().map(str),
    max_size=3,
)


def element(name, attributes, children, text):
    made = etree.Element(name, attributes)
    made.text = text
    made.extend(children)
    return made


TREES = st.recursive(
    st.builds(element, NAMES, ATTRIBUTES, st.just([]), st.sampled_from([None, "5", "x", " "])),
    lambda inner: st.builds(element, NAMES, ATTRIBUTES, st.lists(inner, max_size=3), st.none()),
    max_leaves=8,
)


@given(TREES)
def test_any_stanza_gets_a_judgement_that_agrees_with_libxml2(tree):
    text = etree.tostring(tree)
    found = SCHEMAS.validate(etree.fromstring(text), SHOP, "x")
    errors = {(each.element.sourceline, each.element.tag) for each in found if each.severity == "error"}
    # libxml2 knows neither <config> nor <value>, nor that keys may have attributes; where it is content, so are we.
    top = etree.fromstring(text)
    if top.tag in ("shop", "desk") and LIBXML2.validate(top):
        assert not [each for each in found if each.severity == "error" and each.element.tag != "value"], errors


SCHEMAS = SchemaSet()
LIBXML2 = etree.XMLSchema(etree.fromstring(SHOP))
