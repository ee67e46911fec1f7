"""The schemas of our plugins say what the plugins do: all of it, in words too, and never more strictly."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from lxml import etree

from mtev_conf import Configuration
from mtev_conf._checking.composition import compose
from mtev_conf._checking.schema import SchemaSet, outermost
from mtev_eventer._settings import read_settings as read_eventer
from mtev_http._config import read_access, read_settings
from mtev_http_auth.settings import read_settings as read_http_auth
from mtev_kernel import ConfigurationError, discover
from mtev_listener._settings import ATTRIBUTES, CONFIG_KEYS, read_listeners
from mtev_log.configuration import read_streams
from mtev_telnet.settings import Settings

pytest.importorskip("xmlschema", reason="schemas are asked with xmlschema, which is an extra")

XS = "{http://www.w3.org/2001/XMLSchema}"
FOUND = {each.name: each for each in discover() if each.origin == "first-party" and each.usable}
SCHEMAS = {name: data for name, each in FOUND.items() if (data := each.resource("schema.xsd")) is not None}
SET = SchemaSet()
KNOWN = frozenset().union(*(SET.names(data, name) for name, data in SCHEMAS.items()))


def judged(plugin, document):
    """What a plugin's schema says of a document."""
    found = []
    claims = FOUND[plugin].manifest.stanzas
    for stanza in outermost(element for claim in claims for element in document.xpath(claim)):
        found += SET.validate(stanza, SCHEMAS[plugin], plugin, known=KNOWN)
    return found


def errors(plugin, document):
    return [each.message for each in judged(plugin, document) if each.severity == "error"]


@pytest.mark.parametrize("plugin", sorted(SCHEMAS))
def test_every_declaration_is_documented(plugin):
    root = etree.fromstring(SCHEMAS[plugin])
    assert etree.XMLSchema(root) is not None, "it is XSD 1.0"
    silent = [
        each.get("name")
        for each in root.iter(XS + "element", XS + "attribute")
        if each.get("name") and not "".join(each.itertext()).strip()
    ]
    assert silent == []


@pytest.mark.parametrize("plugin", sorted(SCHEMAS))
def test_the_sample_fits_the_schema_and_shows_nothing_that_no_schema_knows(plugin):
    sample = etree.fromstring(FOUND[plugin].resource("sample.xml"))
    document = etree.Element("app")
    document.append(sample)
    assert judged(plugin, document) == []
    known = KNOWN | {"require_env", "id", "inherit", "name"}
    claimed = outermost(each for claim in FOUND[plugin].manifest.stanzas for each in document.xpath(claim))
    names = {name for stanza in claimed for each in stanza.iter(etree.Element) for name in each.attrib}
    names |= {key.tag for stanza in claimed for key in stanza.iterfind(".//config/*")}
    free = re.compile(r"loop_\w+|jobq_\w+|listener_\w+")  # names of the operator's own
    assert [name for name in names if name not in known and not free.fullmatch(name)] == []


def test_all_schemas_make_one_and_every_sample_fits_it():
    import xmlschema

    text = compose({name: (FOUND[name].manifest.stanzas, data) for name, data in SCHEMAS.items()})
    assert "is left out" not in text
    processors = (etree.XMLSchema(etree.fromstring(text)), xmlschema.XMLSchema(text, allow="none"))
    document = etree.Element("app")
    document.extend([etree.fromstring(FOUND[name].resource("sample.xml")) for name in SCHEMAS])
    assert processors[0].validate(document), processors[0].error_log
    assert list(processors[1].iter_errors(document)) == []
    document.append(etree.fromstring("<listeners><listener port='80000'/></listeners>"))
    assert not processors[0].validate(document)
    assert not processors[1].is_valid(document)


def options(stanza, key, value):
    return f"<{stanza}><config><{key}>{value}</{key}></config></{stanza}>"


def console(key, value):
    return f"<listeners><a type='mtev_console'><config><{key}>{value}</{key}></config></a></listeners>"


@pytest.mark.parametrize(
    ("plugin", "stanza", "message"),
    [
        ("eventer", "<eventer implementation='uvlop'/>", "did you mean 'uvloop'?"),
        ("eventer", options("eventer", "concurrency", "4000"), "from 0 to 1024"),
        ("eventer", options("eventer", "default_jobq_ordering", "x"), "fifo or lifo"),
        ("eventer", options("eventer", "default_que_threads", "1"), "did you mean <default_queue_threads>?"),
        ("http", "<rest engine='aiohtp'/>", "did you mean 'aiohttp'?"),
        ("http", "<rest header_count='0'/>", "from 1 to 10000"),
        ("http", "<rest><x><acl type='alow'/></x></rest>", "did you mean 'allow'?"),
        ("http", "<rest><acl><rule ip='everywhere'/></acl></rest>", "an address or a network"),
        ("http", "<rest><acl><rul type='allow'/></acl></rest>", "did you mean <rule>?"),
        ("http.auth", "<http_auth plaintext='alow'/>", "did you mean 'allow'?"),
        ("http.auth", "<http_auth><user name='ann'/></http_auth>", "'password' is required"),
        ("http.auth", "<http_auth><token name='ci' sha256='abc'/></http_auth>", "64 hexadecimal digits"),
        ("http.auth", "<http_auth><certificate from='dn'/></http_auth>", "one of cn, san, subject, fingerprint"),
        ("listener", "<listeners><x><listener prot='1'/></x></listeners>", "did you mean 'port'?"),
        ("listener", "<listeners address='localhost'><x/></listeners>", "a path that begins with /"),
        ("listener", "<listeners><x backlog='0'/></listeners>", "from 1 to 2147483647"),
        ("listener", "<listeners><x mode='0888'/></listeners>", "octal permissions"),
        ("listener", options("listeners", "idle_timeout", "5m"), "milliseconds"),
        ("log", "<logs><x disabled='perhaps'/></logs>", "expected true, on, yes"),
        ("log", "<logs><log name='a' format='jsn'/></logs>", "did you mean 'json'?"),
        ("log", "<logs><outlet/></logs>", "'name' is required"),
        ("log.file", "<logs><x><log type='file' path=''/></x></logs>", "the path of a file"),
        ("telnet", console("line_protocol", "ssh"), "telnet or raw"),
        ("telnet", console("max_sesions", "1"), "did you mean <max_sessions>?"),
    ],
)
def test_what_is_wrong_is_found(plugin, stanza, message):
    document = etree.fromstring(f"<app>{stanza}</app>")
    assert any(message in each.message for each in judged(plugin, document)), judged(plugin, document)


@pytest.mark.parametrize("plugin", sorted(SCHEMAS))
def test_what_is_the_applications_own_is_let_through(plugin):
    document = etree.fromstring(
        """<app xmlns:m="app://module/m"><shop><listener port="x"/></shop>
        <listeners m:port="x"><config><colour shade="2">red</colour><m:x>1</m:x></config><any/>
          <a type="mtev_console" team="red"><b/></a></listeners>
        <logs><any type="file"><log name="a" path="x"/></any></logs><rest><any><acl/></any></rest><eventer/></app>"""
    )
    assert judged(plugin, document) == []


# A schema never refuses what its plugin takes.

WORDS = (
    *("on", "Off", "TRUE", "no", "1", "0", " yes ", "fifo", "LIFO", "raw", "Telnet", "json", "plain", "allow", "deny"),
    *("uvloop", "asyncio", "epoll", "*", "inet6:*", "127.0.0.1", "::1", "10.0.0.0/8", "/run/x", "0x10", "+7", "-0x1"),
    *("007", "1e3", "10.", ".5", "-1", "0600", "0o17", "", " ", "aiohttp", "fe80::1%eth0", "::/0", "1_0", "0_6_0_0"),
)
VALUES = st.sampled_from(WORDS) | st.integers(-10, 70_000).map(str) | st.text("0123456789abcdefox+-._/:* ", max_size=6)


def tree(stanza, attributes, options, inner=""):
    document = etree.Element("app")
    top = etree.SubElement(document, stanza)
    element = etree.SubElement(top, inner, attributes) if inner else top
    if not inner:
        for name, value in attributes.items():
            element.set(name, value)
    config = etree.SubElement(element, "config")
    for name, value in options.items():
        etree.SubElement(config, name).text = value
    return document


def some(*names):
    return st.dictionaries(st.sampled_from(names), VALUES, max_size=3)


def configuration(document):
    return Configuration.parse(etree.tostring(document), "app.conf", {})


@given(some(*sorted({*ATTRIBUTES} - {"require_env"})), some(*CONFIG_KEYS))
def test_listeners_that_are_taken_fit_the_schema(attributes, options):
    document = tree("listeners", {"type": "x", "port": "0", **attributes}, options, "listener")
    if not read_listeners(configuration(document)).problems:
        assert errors("listener", document) == []


@given(some("implementation"), some(*sorted(each for each in SET.names(SCHEMAS["eventer"], "eventer") if "_" in each)))
def test_eventers_that_are_taken_fit_the_schema(attributes, options):
    document = tree("eventer", attributes, options)
    if not read_eventer(options, attributes.get("implementation")).errors:
        assert errors("eventer", document) == []


@given(some("line_protocol", "max_sessions", "stall_timeout", "history_file"))
def test_consoles_that_are_taken_fit_the_schema(options):
    try:
        Settings.parse(options)
    except ValueError:
        return
    assert errors("telnet", tree("listeners", {"type": "mtev_console"}, options, "listener")) == []


SETTINGS = ("engine", "header_count", "header_limit_bytes", "body_limit_bytes", "body_timeout_ms", "linger_timeout_ms")


@given(some(*SETTINGS), some("ip", "type", "url"), some("ip", "type", "name", "cn"))
def test_rest_that_is_taken_fits_the_schema(settings, acl, rule):
    document = etree.Element("app")
    rest = etree.SubElement(document, "rest", settings)
    etree.SubElement(etree.SubElement(rest, "acl", acl), "rule", rule)
    try:
        read_settings(configuration(document))
        read_access(configuration(document))
    except ConfigurationError:
        return
    assert errors("http", document) == []


PEOPLE = st.sampled_from(("user", "users", "token", "tokens", "certificate"))
SAID = some("name", "file", "sha256", "password", "expires", "auth", "from", "match", "user", "issuer")


@given(some("realm", "plaintext", "cache_ttl_ms", "attempts", "attempt_period_ms"), PEOPLE, SAID)
def test_http_auth_that_is_taken_fits_the_schema(settings, kind, said):
    document = etree.Element("app")
    etree.SubElement(etree.SubElement(document, "http_auth", settings), kind, said)
    try:
        read_http_auth(configuration(document))
    except ConfigurationError:
        return
    assert errors("http.auth", document) == []


@given(some("disabled", "debug", "format", "facility", "path", "type", "name", "rotate_seconds"))
def test_logs_that_are_taken_fit_the_schema(attributes):
    document = etree.Element("app")
    etree.SubElement(
        etree.SubElement(document, "logs"), "log", {"name": "a", "type": "file", "path": "x", **attributes}
    )
    try:
        read_streams(configuration(document))
    except ConfigurationError:
        return
    assert errors("log", document) == []
