"""Schema documents are read with suspicion, and names are compared with care."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from lxml import etree

from mtev_conf._checking.xsd import MAX_XSD_BYTES, SchemaError, declared_names, nearest, read_xsd

HEAD = b'<xs:schema xmlns:xs="http://www.w3.org/2001/XMLSchema">'


def test_a_schema_is_read_without_comments_and_hints():
    root = read_xsd(
        HEAD[:-1]
        + b' xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" xsi:schemaLocation="x /etc/passwd">'
        + b"<!-- c --><xs:element name='a'><xs:complexType><xs:attribute name='b'/></xs:complexType></xs:element>"
        + b"</xs:schema>",
        "x.xsd",
    )
    assert b"passwd" not in etree.tostring(root)
    assert b"<!--" not in etree.tostring(root)
    assert declared_names(root) == {"a", "b"}


@pytest.mark.parametrize(
    ("data", "complaint"),
    [
        (b"", "x.xsd:"),
        (b"<xs:schema", "x.xsd:1:"),
        (b"<schema/>", "<schema> is no schema"),
        (b"<!DOCTYPE x [<!ENTITY a 'b'>]>" + HEAD + b"</xs:schema>", "DOCTYPE"),
        (b"<!DOCTYPE x SYSTEM '/etc/passwd'>" + HEAD + b"</xs:schema>", "DOCTYPE"),
        (HEAD + b"\n<xs:include schemaLocation='/etc/passwd'/></xs:schema>", "x.xsd:2: xs:include is refused"),
        (HEAD + b"<xs:import namespace='urn:x' schemaLocation='http://192.0.2.1/'/></xs:schema>", "xs:import"),
        (HEAD + b"<xs:redefine schemaLocation='a.xsd'/></xs:schema>", "xs:redefine"),
        (HEAD + b"<xs:override schemaLocation='a.xsd'/></xs:schema>", "xs:override"),
        (b" " * (MAX_XSD_BYTES + 1), "larger than 1 MiB"),
    ],
)
def test_what_is_wrong_or_reaches_out_is_refused_with_its_place(data, complaint):
    with pytest.raises(SchemaError) as caught:
        read_xsd(data, "x.xsd")
    assert complaint in str(caught.value)
    assert str(caught.value).startswith("x.xsd")


@pytest.mark.parametrize(
    ("name", "near"),
    [
        ("prot", "port"),
        ("adress", "address"),
        ("backlogs", "backlog"),
        ("idle_timout", "idle_timeout"),
        ("bakclog", "backlog"),
        ("node", ""),  # nothing of ours, although one letter away from "mode"
        ("host", ""),
        ("fast", ""),
        ("x", ""),
        ("", ""),
        ("port", ""),  # it is known, and resembles no other
    ],
)
def test_a_misspelling_is_told_from_a_name_of_the_applications_own(name, near):
    assert nearest(name, ["port", "mode", "address", "backlog", "idle_timeout"]) == near


def test_of_several_the_most_alike_is_meant():
    assert nearest("body_limit_byte", ["body_limit_bytes", "header_limit_bytes"]) == "body_limit_bytes"
    assert nearest("ab", ["ba"]) == "", "two letters are too few to tell"


@given(st.text(max_size=8), st.lists(st.text(max_size=8), max_size=5))
def test_what_is_near_is_known_and_another_name(name, known):
    near = nearest(name, known)
    assert near == "" or (near in known and near != name)


@given(st.text(alphabet="abcdef", min_size=3, max_size=8), st.data())
def test_two_letters_that_changed_places_are_always_noticed(name, data):
    index = data.draw(st.integers(0, len(name) - 2))
    swapped = name[:index] + name[index + 1] + name[index] + name[index + 2 :]
    assert nearest(swapped, [name]) == ("" if swapped == name else name)
