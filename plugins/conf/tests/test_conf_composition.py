"""One schema out of many: what it takes, what it refuses, and that both XSD processors read it."""

from __future__ import annotations

import pytest
from lxml import etree

from mtev_conf._checking.composition import compose
from mtev_kernel import ConfigurationError

XS = "{http://www.w3.org/2001/XMLSchema}"
OPEN = """
  <xs:complexType name="open" mixed="true">
    <xs:sequence><xs:any minOccurs="0" maxOccurs="unbounded" processContents="lax"/></xs:sequence>
    <xs:anyAttribute processContents="lax"/>
  </xs:complexType>"""


def xsd(*parts):
    return ('<xs:schema xmlns:xs="http://www.w3.org/2001/XMLSchema">' + "".join(parts) + "</xs:schema>").encode()


def extended(name, *attributes):
    return (
        f'<xs:element name="{name}"><xs:complexType><xs:complexContent mixed="true"><xs:extension base="open">'
        + "".join(attributes)
        + "</xs:extension></xs:complexContent></xs:complexType></xs:element>"
    )


def documented(text):
    return f"<xs:annotation><xs:documentation>{text}</xs:documentation></xs:annotation>"


def number(name, least, most):
    return (
        f'<xs:simpleType name="{name}"><xs:restriction base="xs:integer"><xs:minInclusive value="{least}"/>'
        f'<xs:maxInclusive value="{most}"/></xs:restriction></xs:simpleType>'
    )


class Composed:
    """A composed schema, in both processors."""

    def __init__(self, schemas, root="app"):
        self.text = compose({name: (claims.split(), data) for name, (claims, data) in schemas.items()}, root)
        self.tree = etree.fromstring(self.text)
        self._libxml2 = etree.XMLSchema(self.tree)
        try:
            import xmlschema
        except ImportError:
            self._xmlschema = None
        else:
            self._xmlschema = xmlschema.XMLSchema(self.text, allow="none")

    def takes(self, text):
        document = etree.fromstring(text)
        taken = self._libxml2.validate(document)
        if self._xmlschema is not None:
            assert self._xmlschema.is_valid(document) == taken, "the processors disagree"
        return taken

    def names(self, kind):
        return [each.get("name") for each in self.tree.iterchildren(XS + kind)]

    def documentation(self, name):
        (element,) = (each for each in self.tree.iterchildren(XS + "element") if each.get("name") == name)
        return [each.text for each in element.find(XS + "annotation")]


SHOP = xsd(
    extended(
        "shop",
        '<xs:attribute ref="port"/>',
        f'<xs:attribute name="mode" type="mode">{documented("How.")}</xs:attribute>',
    ),
    '<xs:element name="config" type="open"/>',
    f'<xs:element name="timeout" type="count">{documented("Seconds.")}</xs:element>',
    '<xs:attribute name="port" type="port"/>',
    number("port", 0, 65535),
    number("count", 1, 10),
    '<xs:simpleType name="mode"><xs:restriction base="xs:token"><xs:enumeration value="fair"/></xs:restriction>',
    "</xs:simpleType>",
    OPEN,
)


@pytest.mark.parametrize(
    ("text", "taken"),
    [
        ("<app/>", True),
        ("<app a='1'>text<anything><at><all/></at></anything></app>", True),
        ("<app><shop port='80' colour='red'><x/></shop></app>", True),
        ("<app><shop port='80000'/></app>", False),
        ("<app><shop mode='odd'/></app>", False),
        ("<app><x><y><shop port='no'/></y></x></app>", False),  # wherever it stands
        ("<app><floor port='no'/></app>", True),  # a container's attribute: only the plugin's own schema judges it
        ("<app><shop><config><timeout id='t'>5</timeout><other>x</other></config></shop></app>", True),
        ("<app><shop><config><timeout>50</timeout></config></shop></app>", False),
        ("<other/>", False),
    ],
)
def test_one_schema_by_itself(text, taken):
    assert Composed({"shop": ("shop", SHOP)}).takes(text) is taken


def test_the_root_is_named_as_asked():
    composed = Composed({"shop": ("shop", SHOP)}, "market")
    assert composed.takes("<market><shop port='1'/></market>")
    assert not composed.takes("<app/>")


@pytest.mark.parametrize("root", ["", "a b", "1a", "x:y", "a>b", "-a"])
def test_a_root_that_is_no_name_is_refused(root):
    with pytest.raises(ConfigurationError, match="cannot name the outermost element"):
        compose({}, root)


def test_a_root_that_a_plugin_describes_is_refused():
    with pytest.raises(ConfigurationError, match="<shop>: plugin 'acme' describes one of that name"):
        compose({"acme": (["shop"], SHOP)}, "shop")


def test_no_schema_at_all_is_one_that_takes_anything():
    assert Composed({}).takes("<app><x/></app>")


# Types of one name


def test_types_that_mean_the_same_are_there_once_and_others_are_told_apart():
    one = xsd(extended("one", '<xs:attribute name="n" type="count"/>'), number("count", 1, 10), OPEN)
    same = xsd(extended("same", '<xs:attribute name="n" type="count"/>'), number("count", 1, 10), OPEN)
    other = xsd(extended("other", '<xs:attribute name="n" type="count"/>'), number("count", 1, 99), OPEN)
    composed = Composed({"a": ("one", one), "b": ("same", same), "c": ("other", other)})
    assert composed.names("simpleType") == ["count", "c.count"]
    assert composed.names("complexType") == ["open"]
    assert composed.takes("<app><one n='10'/><same n='10'/><other n='99'/></app>")
    assert not composed.takes("<app><same n='11'/></app>")


def test_types_are_told_apart_by_what_they_refer_to():
    wrapped = '<xs:simpleType name="wrapped"><xs:union memberTypes="count xs:boolean"/></xs:simpleType>'
    parts = (extended("one", '<xs:attribute name="n" type="wrapped"/>'), wrapped, OPEN)
    one = xsd(*parts, number("count", 1, 10))
    two = xsd(*parts, number("count", 1, 99)).replace(b'name="one"', b'name="two"')
    composed = Composed({"a": ("one", one), "b": ("two", two)})
    assert set(composed.names("simpleType")) == {"wrapped", "count", "b.wrapped", "b.count"}
    assert composed.takes("<app><two n='99'/><one n='true'/></app>")
    assert not composed.takes("<app><one n='99'/></app>")


def test_prefixes_are_the_authors_business():
    # One takes XSD as the default namespace, the other calls it xsd.
    one = b"""<schema xmlns="http://www.w3.org/2001/XMLSchema">
      <element name="one"><complexType><attribute name="n" type="integer"/></complexType></element></schema>"""
    two = b"""<xsd:schema xmlns:xsd="http://www.w3.org/2001/XMLSchema">
      <xsd:element name="two"><xsd:complexType><xsd:attribute name="n" type="n"/></xsd:complexType></xsd:element>
      <xsd:simpleType name="n"><xsd:restriction base="xsd:integer"/></xsd:simpleType></xsd:schema>"""
    composed = Composed({"a": ("one", one), "b": ("two", two)})
    assert composed.takes("<app><one n='1'/><two n='2'/></app>")
    assert not composed.takes("<app><one n='x'/></app>")
    assert not composed.takes("<app><two n='x'/></app>")


def test_groups_lists_and_recursion_survive():
    data = xsd(
        '<xs:element name="tree" type="node"/>',
        '<xs:complexType name="node"><xs:group ref="inner"/><xs:attributeGroup ref="both"/></xs:complexType>',
        '<xs:group name="inner"><xs:sequence><xs:element name="node" type="node" minOccurs="0"/>',
        "</xs:sequence></xs:group>",
        '<xs:attributeGroup name="both"><xs:attribute name="ns" type="ns"/></xs:attributeGroup>',
        '<xs:simpleType name="ns"><xs:list itemType="n"/></xs:simpleType>',
        number("n", 1, 3),
    )
    other = data.replace(b'value="3"', b'value="9"').replace(b'name="tree"', b'name="bush"')
    composed = Composed({"a": ("tree", data), "b": ("bush", other)})
    assert composed.takes("<app><tree ns='1 2 3'><node ns='3'><node/></node></tree><bush ns='9'/></app>")
    assert not composed.takes("<app><tree ns='1 4'/></app>")
    assert not composed.takes("<app><bush><node ns='10'/></bush></app>")


# One element, several plugins


LOG = xsd(
    extended(
        "log",
        f'<xs:attribute name="path" type="xs:string">{documented("Where.")}</xs:attribute>',
        '<xs:attribute name="name" type="xs:string" use="required"/>',
        '<xs:attribute name="level" type="level"/>',
    ).replace("<xs:complexType>", documented("A stream.") + "<xs:complexType>", 1),
    number("level", 0, 3),
    OPEN,
)
LOG_FILE = xsd(
    extended(
        "log",
        f'<xs:attribute name="path" type="path" use="required">{documented("The file.")}</xs:attribute>',
        '<xs:attribute name="mode" type="xs:integer" use="required"/>',
        '<xs:attribute name="level" type="level"/>',
    ).replace("<xs:complexType>", documented("A log file.") + "<xs:complexType>", 1),
    number("level", 5, 7),
    '<xs:simpleType name="path"><xs:restriction base="xs:string"><xs:minLength value="1"/></xs:restriction>',
    "</xs:simpleType>",
    OPEN,
)


@pytest.mark.parametrize("order", [("log.file", "log"), ("log", "log.file")])
def test_attributes_of_all_are_allowed_and_the_outermost_claim_decides(order):
    schemas = {"log": ("logs", LOG), "log.file": ("logs//*[@type='a/b/c']", LOG_FILE)}
    composed = Composed({name: schemas[name] for name in order})
    assert composed.takes("<app><log name='x'/></app>"), "what others require is not required of every log"
    assert not composed.takes("<app><log/></app>")
    assert composed.takes("<app><log name='x' mode='7' path='' level='2'/></app>")
    assert composed.takes("<app><log name='x' level='6'/></app>")
    assert not composed.takes("<app><log name='x' level='4'/></app>")
    assert not composed.takes("<app><log name='x' mode='rw'/></app>")
    assert composed.documentation("log") == ["log: A stream.", "log.file: A log file."]
    assert "<xs:documentation>log.file: The file.</xs:documentation>" in composed.text


def test_a_key_that_several_describe_takes_what_any_of_them_takes():
    def schema(least, most):
        return xsd(f'<xs:element name="n" type="n">{documented(f"To {most}.")}</xs:element>', number("n", least, most))

    inline = xsd('<xs:element name="n"><xs:simpleType><xs:restriction base="xs:token"><xs:enumeration value="many"/>'
                 "</xs:restriction></xs:simpleType></xs:element>")  # fmt: skip
    composed = Composed(
        {"a": ("a", schema(1, 3)), "b": ("b", schema(1, 3)), "c": ("c", schema(7, 9)), "d": ("d", inline)}
    )
    for text, taken in (("3", True), ("8", True), ("many", True), ("5", False), ("", False)):
        assert composed.takes(f"<app><n id='x'>{text}</n></app>") is taken, text
    assert composed.documentation("n") == ["a, b: To 3.", "c: To 9."]


def test_a_default_of_a_key_survives_where_there_is_one_description():
    composed = Composed({"a": ("a", xsd('<xs:element name="n" type="xs:integer" default="5"/>'))})
    assert composed.takes("<app><n/></app>")


BOOK = xsd(
    """<xs:element name="book"><xs:complexType>
         <xs:sequence>
           <xs:element name="title" type="xs:string"/>
           <xs:element name="page" type="page" maxOccurs="9"/>
         </xs:sequence>
         <xs:attribute name="id" type="xs:integer" use="required"/></xs:complexType>
       <xs:unique name="u"><xs:selector xpath="page"/><xs:field xpath="@n"/></xs:unique></xs:element>
       <xs:complexType name="page"><xs:attribute name="n" type="xs:integer"/></xs:complexType>"""
)


@pytest.mark.parametrize("named", [True, False])
def test_closed_content_of_the_outermost_claim_stays_and_attributes_are_added(named):
    data = BOOK
    if named:
        data = data.replace(b'<xs:element name="book"><xs:complexType>', b'<xs:complexType name="b">')
        data = data.replace(b"</xs:complexType>", b'</xs:complexType><xs:element name="book" type="b">', 1)
    other = xsd(extended("book", '<xs:attribute name="lent" type="xs:boolean"/>', '<xs:attribute name="id"/>'), OPEN)
    composed = Composed({"other": ("shelf//book", other), "book": ("book", data)})
    assert composed.takes("<app><book id='1' lent='true'><title/><page n='1'/><page n='2'/></book></app>")
    assert not composed.takes("<app><book id='x'><title/><page/></book></app>")
    assert not composed.takes("<app><book id='1' lent='maybe'><title/><page/></book></app>")
    assert not composed.takes("<app><book id='1'><page/></book></app>")
    assert not composed.takes("<app><book id='1'><title/><page n='1'/><page n='1'/></book></app>")


def test_a_text_with_attributes_is_content_too():
    data = xsd(
        """<xs:element name="price"><xs:complexType><xs:simpleContent><xs:extension base="xs:decimal">
             <xs:attribute name="in" type="xs:string"/>
           </xs:extension></xs:simpleContent></xs:complexType></xs:element>"""
    )
    other = xsd(extended("price", '<xs:attribute name="vat" type="xs:integer"/>'), OPEN)
    composed = Composed({"a": ("price", data), "b": ("x/price", other)})
    assert composed.takes("<app><price in='EUR' vat='19'>2.50</price></app>")
    assert not composed.takes("<app><price>much</price></app>")


def test_a_key_of_one_and_a_container_of_another_is_anything():
    key = xsd('<xs:element name="x" type="xs:integer"/>')
    container = xsd(extended("x", '<xs:attribute name="n" type="xs:integer" use="required"/>'), OPEN)
    for first, second in ((key, container), (container, key)):
        composed = Composed({"a": ("x", first), "b": ("y/x", second)})
        assert composed.takes("<app><x n='1'><y/></x></app>")
        assert not composed.takes("<app><x n='z'/></app>")


def test_what_is_said_to_be_prohibited_is_not_allowed_to_others_by_accident():
    data = xsd(
        """<xs:element name="x"><xs:complexType><xs:complexContent><xs:restriction base="b">
           <xs:attribute name="n" use="prohibited"/></xs:restriction></xs:complexContent></xs:complexType></xs:element>
           <xs:complexType name="b">
             <xs:attribute name="n" type="xs:integer"/><xs:attribute name="m"/></xs:complexType>"""
    )
    other = xsd(extended("x", '<xs:attribute name="o" type="xs:integer"/>'), OPEN)
    assert Composed({"b": ("y/x", data), "a": ("x", other)}).takes("<app><x m='1' o='2'/></app>")


# What cannot be used


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"nonsense", "not well-formed"),
        (xsd("<xs:include schemaLocation='x'/>"), "xs:include is refused"),
        (xsd('<xs:element name="a" type="nowhere"/>'), "it is no valid schema"),
        (xsd().replace(b"<xs:schema", b"<xs:schema targetNamespace='urn:x'"), "of a namespace"),
        (
            xsd("<xs:element name='a'><xs:complexType><xs:assert test='1'/></xs:complexType></xs:element>"),
            "no valid schema",
        ),
    ],
)
def test_a_schema_that_cannot_be_used_is_left_out_and_a_comment_says_why(data, reason):
    composed = Composed({"bad--one": ("a", data), "shop": ("shop", SHOP)})
    comments = [each.text for each in composed.tree.iter(etree.Comment)]
    assert any("plugin 'bad- -one' is left out" in each and reason in each for each in comments)
    assert composed.names("element") == ["app", "shop", "config", "timeout"]


def test_composing_again_gives_the_same():
    schemas = {"log": (["logs"], LOG), "log.file": (["logs//x"], LOG_FILE), "shop": (["shop"], SHOP)}
    assert compose(schemas) == compose(dict(schemas))
