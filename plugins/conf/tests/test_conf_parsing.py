"""Reading documents: what is refused, and that every refusal says where."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mtev_conf import Configuration, _load
from mtev_kernel.errors import ConfigurationError


def refusal(text, environ=None):
    with pytest.raises(ConfigurationError) as caught:
        Configuration.parse(text, "app.conf", environ or {})
    assert caught.value.__cause__ is None, "a cause would print a traceback at the operator"
    return str(caught.value)


@pytest.mark.parametrize(
    ("text", "where", "message"),
    [
        ("<a>\n  <b></a>", "app.conf:2:10", "tag mismatch"),
        ("", "app.conf:1:1", "empty"),
        ("<a b='1' b='2'/>", "app.conf:1:", "redefined"),
        ("<x:a/>", "app.conf:1:5", "prefix x on a is not defined"),
        ("<a>&nope;</a>", "app.conf:1:", "'nope' not defined"),
        ("<a/><b/>", "app.conf:1:", "Extra content"),
        (b"<a>\xff</a>", "app.conf:1:", "encoding"),
        (b'<?xml version="1.0" encoding="nope"?><a/>', "app.conf:1:", "encoding"),
        ("plain text", "app.conf:1:1", "Start tag expected"),
    ],
)
def test_what_is_not_well_formed_is_refused_with_file_line_and_column(text, where, message):
    shown = refusal(text)
    assert shown.startswith(where)
    assert "not well-formed XML" in shown
    assert message in shown


def test_an_error_of_one_document_is_not_blamed_on_the_next():
    refusal("<a>\n\n\n</b>")
    assert refusal("<c>&nope;</c>").startswith("app.conf:1:")


@pytest.mark.parametrize(
    "text",
    [
        '<!DOCTYPE a [<!ENTITY x SYSTEM "file:///etc/passwd">]><a>&x;</a>',
        '<!DOCTYPE a [<!ENTITY x "y">]><a b="&x;"/>',
        '<!DOCTYPE a [<!ENTITY % x SYSTEM "http://127.0.0.1:9/x">%x;]><a/>',
        '<!DOCTYPE a [<!ATTLIST a b CDATA "x">]><a/>',
        '<!DOCTYPE a SYSTEM "http://127.0.0.1:9/a.dtd"><a>&x;</a>',
        "<!DOCTYPE a []><a/>",
        "<!DOCTYPE a><a/>",
    ],
)
def test_doctypes_are_refused(text):
    assert "DOCTYPE" in refusal(text)


@pytest.mark.timeout(20)
@pytest.mark.parametrize("place", ["<l0>&e9;</l0>", "<l0 a='&e9;'/>"])
def test_entity_bombs_are_refused(place):
    entities = "".join(f'<!ENTITY e{level} "{f"&e{level - 1};" * 10}">' for level in range(1, 10))
    assert refusal(f'<!DOCTYPE l0 [<!ENTITY e0 "{"x" * 1000}">{entities}]>{place}').startswith("app.conf")


def test_depth_and_size_are_limited_and_the_message_names_no_foreign_option():
    deep = refusal("<a>" * 300 + "</a>" * 300)
    assert "Excessive depth in document: 256" in deep
    assert "HUGE" not in deep
    long = refusal("<a>" + "x" * 10_500_000 + "</a>")
    assert "too long" in long
    assert "HUGE" not in long


def test_size_and_number_of_tags_are_limited(monkeypatch):
    monkeypatch.setattr(_load, "MAX_SIZE_BYTES", 1 << 20)
    assert "larger than 1 MiB" in refusal(b"<a>" + b" " * (1 << 20) + b"</a>")
    monkeypatch.setattr(_load, "MAX_NODES", 10)
    assert "more than 10 tags" in refusal("<a>" + "<b/>" * 10 + "</a>")


def test_an_endless_file_is_read_to_the_limit_only(monkeypatch):
    monkeypatch.setattr(_load, "MAX_SIZE_BYTES", 1 << 20)
    with pytest.raises(ConfigurationError, match="larger than 1 MiB"):
        Configuration.load("/dev/zero")


def test_xinclude_is_not_followed(tmp_path):
    (tmp_path / "secret").write_text("secret")
    configuration = Configuration.parse(
        f'<a xmlns:xi="http://www.w3.org/2001/XInclude"><xi:include href="{tmp_path}/secret" parse="text"/></a>'
    )
    assert configuration.root.text == ""


def test_xpath_cannot_open_documents():
    with pytest.raises(ConfigurationError, match="not a valid XPath"):
        Configuration.parse("<a/>").sections("document('/etc/passwd')")


@pytest.mark.parametrize("encoding", ["utf8", "utf-8", "iso-8859-1", "utf-16"])
def test_bytes_have_the_encoding_that_they_declare(encoding):
    text = f'<?xml version="1.0" encoding="{encoding}" standalone="yes"?>\n<a b="é"/>'
    assert Configuration.parse(text.encode(encoding)).root.string("b") == "é"
    assert Configuration.parse(text).root.string("b") == "é"


def test_text_that_cannot_be_encoded_is_refused():
    assert "not text" in refusal("<a b='\udc80'/>")


def test_a_document_in_no_file_includes_only_absolute_paths():
    text = refusal('<a>\n<include file="a.xml"/>\n<b><include file="b*.xml" snippet="true"/></b></a>')
    assert "2 problems" in text
    assert "app.conf:2: <include file='a.xml'>: a document that is in no file" in text
    assert "app.conf:3: <include file='b*.xml'>" in text


def test_the_store_of_a_document_in_no_file_has_an_absolute_path():
    assert refusal('<a>\n<b backingstore="dir"/></a>').startswith("app.conf:2: <b backingstore='dir'>")


def test_a_default_namespace_is_refused():
    assert "default namespace" in refusal('<a xmlns="urn:x"><b/></a>')


def test_malformed_conditions_are_refused_at_once_all_of_them():
    text = refusal('<a>\n<b require_env="X~("/>\n<c require_env=""/>\n<d require_env="{{ENV:Y~[:{Q}}}"/></a>')
    assert "3 problems" in text
    assert "app.conf:2: <b>: require_env: '(' is not a regular expression" in text
    assert "app.conf:3: <c>: require_env: '' is not a condition" in text
    assert "app.conf:4: <d>: require_env: '[' is not a regular expression" in text


def test_a_file_is_named_by_its_absolute_path(tmp_path, monkeypatch):
    (tmp_path / "app.conf").write_text("<app>\n<b/></app>")
    monkeypatch.chdir(tmp_path)
    configuration = Configuration.load("app.conf")
    assert configuration.path == str(tmp_path / "app.conf")
    assert configuration.section("b").where == f"{tmp_path}/app.conf:2"


def test_a_file_that_cannot_be_read_is_an_os_error(tmp_path):
    with pytest.raises(FileNotFoundError):
        Configuration.load(str(tmp_path / "none.conf"))
    with pytest.raises(IsADirectoryError):
        Configuration.load(str(tmp_path))


def test_lines_are_right_beyond_65535():
    assert Configuration.parse("<a>" + "\n" * 70_000 + "<b/></a>", "x").section("b").where == "x:70001"


@given(st.one_of(st.binary(max_size=200), st.text("<>/!?&;[]ab='\" x:-", max_size=60)))
def test_no_input_brings_anything_but_a_document_or_a_configuration_error(text):
    try:
        Configuration.parse(text, environ={})
    except ConfigurationError:
        return
