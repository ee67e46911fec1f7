"""What is secret, and how it is shown instead. The dump of a whole document: see also test_conf_document."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from lxml import etree

from mtev_conf import Configuration
from mtev_conf._masking import (
    MASK,
    hide_secrets,
    mask_subtree,
    mask_used,
    masked_copy,
    secret_content,
    secret_source,
    shown_at,
    shown_attribute,
    shown_text,
    sounds_secret,
)
from mtev_conf._values.expansion import Used, expand


@pytest.mark.parametrize(
    "name",
    [
        "key", "keys", "password", "PASSWORD", "dbPassword", "API_TOKEN", "hmacKey1", "client-secret", "m:secret",
        "APIKey", "private", "private_key", "credentials", "cookie", "Authorization", "user.passcode", "key_id",
    ],
)  # fmt: skip
def test_names_that_sound_secret(name):
    assert sounds_secret(name)


@pytest.mark.parametrize(
    "name",
    [
        "", "1", "port", "key_file", "private_key_path", "certificate_file", "keyed", "tokenizer", "passes",
        "public_key", "publicKey", "password_length", "token_lifetime", "tokenTTL", "secret_dir", "key_type",
        "privately",
    ],
)  # fmt: skip
def test_names_that_do_not(name):
    assert not sounds_secret(name)


def test_what_comes_from_files_and_from_what_sounds_secret_is_secret():
    assert secret_source("FILE", "/run/x")
    assert secret_source("ENV", "DB_PASSWORD")
    assert secret_source("tokens", "x")
    assert not secret_source("ENV", "PORT")
    assert not secret_source("consul", "service/port")


def test_the_content_of_an_element_is_secret_by_its_names_and_labels():
    assert secret_content(["credentials", "item"], [])
    assert secret_content(["value"], ["api_key"])
    assert not secret_content(["config", "value"], ["retries"])


@pytest.mark.parametrize(
    ("tag", "name", "text", "shown"),
    [
        ("listener", "port", "80", "80"),
        ("listener", "password", "hunter2", MASK),
        ("listener", "password", "", ""),
        ("listener", "key_file", "/etc/key.pem", "/etc/key.pem"),
        ("listener", "dsn", "postgres://bob:hunter2@db/x", f"postgres://bob:{MASK}@db/x"),
        ("secret", "value", "hunter2", MASK),
        ("secret", "length", "7", "7"),
        ("param", "value", "shown", "shown"),
    ],
)
def test_attributes_are_shown_without_secrets(tag, name, text, shown):
    assert shown_attribute(tag, name, text) == shown


def test_context_and_origin_make_values_secret():
    assert shown_attribute("param", "value", "hunter2", secret=True) == MASK
    assert shown_attribute("param", "kind", "shown", secret=True) == "shown"
    used = [Used("FILE", "/run/x", True, False, 2, 9)]
    assert shown_attribute("a", "b", "a hunter2 b", used=used) == f"a {MASK} b"
    assert shown_text("a hunter2 b", secret=False, used=used) == f"a {MASK} b"
    assert shown_text("hunter2", secret=True) == MASK
    assert shown_text(" \n", secret=True) == " \n"


def test_values_are_shown_by_their_paths():
    assert shown_at("/app/user[1]/@password", "hunter2") == MASK
    assert shown_at("/app/user[1]/@port", "80") == "80"
    assert shown_at("/app/credentials[1]/item[2]", "hunter2") == MASK
    assert shown_at("/app/credentials[1]/item[2]/@value", "hunter2") == MASK
    assert shown_at("/app/config[1]/value[2]", "5") == "5"
    assert shown_at("/app/config[1]/value[2]", "hunter2", labels=["api_key"]) == MASK
    assert shown_at("/app/m:secret[1]", "hunter2") == MASK
    assert shown_at("/app/@dsn", "a://b:hunter2@c") == "a://b:***@c"


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("http://host:80/a@b", "http://host:80/a@b"),
        ("http://host:80", "http://host:80"),
        ("http://bob@host", "http://bob@host"),
        ("http://bob:@host", "http://bob:@host"),
        ("http://bob:12345@host", "http://bob:***@host"),
        ("redis://:hunter2@host", "redis://:***@host"),
        ("a://bob:p@ss:w/rd@host:1/x", "a://bob:***@host:1/x"),
        ("a://x:1@h,b://y:2@h c://z:3@h", "a://x:***@h,b://y:***@h c://z:***@h"),
        ("see http://host/path:x and bob@host", "see http://host/path:x and bob@host"),
        ("http://[::1]:80/x", "http://[::1]:80/x"),
        ("host=db password=hunter2 user=bob", "host=db password=*** user=bob"),
        ("Password = 'hunter 2'; x", "Password = ***; x"),
        ("http://h/x?a=1&token=hunter2&b=2", "http://h/x?a=1&token=***&b=2"),
        ('api_key="hunter2" b', "api_key=*** b"),
        ('api_key="hunter2', "api_key=***"),
        ("key_file=/x", "key_file=/x"),
        ("-----BEGIN RSA PRIVATE KEY-----\nhunter2\n-----END RSA PRIVATE KEY-----", MASK),
        ("-----BEGIN CERTIFICATE-----\nx", "-----BEGIN CERTIFICATE-----\nx"),
        ("{{ENV:hunter2:{DB_PASSWORD}}}", "{{ENV:***:{DB_PASSWORD}}}"),
        ("{{ENV::{DB_PASSWORD}}}", "{{ENV::{DB_PASSWORD}}}"),
        ("{{FILE:hunter2:{/run/x}}} {{ENV:80:{PORT}}}", "{{FILE:***:{/run/x}}} {{ENV:80:{PORT}}}"),
        ("ENV:hunter2:{DB_PASSWORD}", "ENV:***:{DB_PASSWORD}"),
        ("ENV:a:b:{PORT}", "ENV:a:b:{PORT}"),
        ("plain", "plain"),
    ],
)
def test_secrets_inside_texts_are_hidden(text, shown):
    assert hide_secrets(text) == shown
    assert hide_secrets(shown) == shown


@pytest.mark.timeout(20)
@pytest.mark.parametrize(
    "text",
    ["://a:" * 200_000, "a=" * 400_000, "a" * 1_000_000 + "=", "{{a:b:{" * 100_000, "{{" * 400_000, ":{" * 400_000,
     "ENV:" + ":{" * 400_000, "://:" + "@" * 900_000, "='" * 400_000, "A" * 1_000_000 + "a"],
)  # fmt: skip
def test_hostile_texts_are_read_soon(text):
    hide_secrets(text)
    sounds_secret(text)
    shown_attribute("a", text, text)


PIECES = st.lists(
    st.one_of(
        st.text("xyz ", max_size=4),
        st.sampled_from(
            ["{{ENV:w:{API_KEY}}}", "{{ENV::{PORT}}}", "{{FILE:w:{f}}}", "{{ENV:w:{NO_KEY}}}", "{{ENV::{EMPTY_KEY}}}"]
        ),
    ),
    max_size=6,
)
SHOWN = {
    "{{ENV:w:{API_KEY}}}": MASK,
    "{{ENV::{PORT}}}": "80",
    "{{FILE:w:{f}}}": MASK,
    "{{ENV:w:{NO_KEY}}}": MASK,
    "{{ENV::{EMPTY_KEY}}}": "",
}


@given(PIECES)
def test_what_came_from_secret_sources_is_hidden_exactly(pieces):
    used = []
    facilities = {"ENV": {"API_KEY": "hunter2", "PORT": "80", "EMPTY_KEY": ""}.get, "FILE": lambda key: "hunter3"}
    value = expand("".join(pieces), facilities, lambda message: None, used=used)
    assert mask_used(value, used) == "".join(SHOWN.get(each, each) for each in pieces)


def test_the_whole_value_form_is_hidden_as_well():
    def shown(text, **environ):
        used = []
        return mask_used(expand(text, {"ENV": environ.get}, lambda message: None, used=used), used)

    assert shown("ENV:w:{API_KEY}", API_KEY="hunter2") == MASK
    assert shown("ENV:w:{API_KEY}") == MASK
    assert shown("ENV::{API_KEY}") == ""
    assert shown("ENV:{{ENV::{API_KEY}}}/x:{PORT}", API_KEY="hunter2") == f"{MASK}/x"
    assert shown("ENV:{{ENV::{API_KEY}}}/x:{PORT}", API_KEY="hunter2", PORT="80") == "80"
    assert shown("ENV:{{ENV::{API_KEY}}}/x:{A_TOKEN}", API_KEY="hunter2") == MASK


def test_a_subtree_is_masked_as_it_is_written():
    root = etree.fromstring(
        """<a key="hunter1"><!-- hunter2 --><b name="db_password" kind="shown1" value="hunter3">hunter4</b>
        <dsn x="u://b:hunter5@h">{{ENV:hunter6:{A_KEY}}}<i/>password=hunter7</dsn><value>shown2</value></a>tail"""[:-4]
    )
    root.tail = "tail"
    mask_subtree(root)
    text = etree.tostring(root, encoding="unicode")
    assert "hunter" not in text
    assert all(each in text for each in ("shown1", "shown2", "{{ENV:***:{A_KEY}}}<i/>password=***", "u://b:***@h"))
    assert root.tail == "tail"


def test_what_stands_around_a_subtree_counts():
    root = etree.fromstring("<item value='hunter1'>hunter2<i/>hunter3</item>")
    mask_subtree(root, above=("app", "credentials"))
    assert etree.tostring(root) == b'<item value="***">***<i/>***</item>'


def test_a_tail_belongs_to_the_element_around_it():
    root = etree.fromstring("<a><secret>hunter1</secret>shown1<b><password/>shown2</b></a>")
    mask_subtree(root)
    assert etree.tostring(root) == b"<a><secret>***</secret>shown1<b><password/>shown2</b></a>"


def test_characters_that_no_document_can_hold_are_replaced_in_the_dump():
    configuration = Configuration.parse("<a x='{{ENV::{X}}}'>{{ENV::{X}}}</a>", environ={"X": "a\0\ud800\x1bé"})
    root = masked_copy(configuration._tree)
    assert root.get("x") == root.text == "a\ufffd\ufffd\ufffdé"


def test_the_dump_can_be_given_its_values():
    configuration = Configuration.parse("<a x='1'>t</a>", environ={})

    def value(element, text, used):
        used.append(Used("FILE", "x", True, False, 3, 4))
        return f"{element.tag}: {text}!"

    assert etree.tostring(masked_copy(configuration._tree, value)) == b'<a x="a: ***!">a: ***!</a>'
    configuration = Configuration.parse("<a x='1'/>", environ={})
    assert etree.tostring(masked_copy(configuration._tree, lambda element, text, used: text * 2)) == b'<a x="11"/>'


def test_a_value_that_grows_too_large_is_an_error_with_its_place():
    configuration = Configuration.parse(
        f"<a>\n<b>{'{{ENV::{X}}}' * 20}</b></a>", "app.conf", environ={"X": "x" * 100_000}
    )
    with pytest.raises(Exception, match=r"^app.conf:2: <b>: it expands to more than"):
        masked_copy(configuration._tree)


TAGS = st.sampled_from(["a", "password", "value", "item", "key_file"])


@given(
    st.recursive(
        TAGS.map(lambda tag: (tag, [])), lambda inner: st.tuples(TAGS, st.lists(inner, max_size=3)), max_leaves=8
    )
)
def test_no_text_inside_what_sounds_secret_is_shown(tree):
    def built(tag, children, secret):
        secret = secret or tag == "password"
        element = etree.Element(tag, value="hunter" if secret else "shown", other="shown")
        element.text = "hunter" if secret else "shown"
        for child, below in children:
            element.append(built(child, below, secret))
            element[-1].tail = element.text
        return element

    root = built(*tree, secret=False)
    expected = etree.tostring(root).replace(b"hunter", MASK.encode())
    mask_subtree(root)
    assert etree.tostring(root) == expected
