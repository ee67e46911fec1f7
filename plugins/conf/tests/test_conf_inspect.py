"""What `--check` finds in a document beyond what plugins say."""

from __future__ import annotations

import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mtev_conf import Configuration
from mtev_conf._checking import schemas as schemas_module
from mtev_conf._checking.findings import Report
from mtev_conf._checking.inspect import findings
from mtev_conf._checking.schemas import Schemas
from mtev_kernel import Found
from mtev_kernel.document import Finding
from mtev_kernel.manifest import parse_manifest

needs_xmlschema = pytest.mark.skipif(bool(schemas_module.missing()), reason="xmlschema is not installed")

SHOP = """<xs:schema xmlns:xs="http://www.w3.org/2001/XMLSchema">
  <xs:element name="shop">
    <xs:complexType mixed="true">
      <xs:sequence><xs:any minOccurs="0" maxOccurs="unbounded" processContents="lax"/></xs:sequence>
      <xs:attribute name="port" type="xs:unsignedShort"/>
      <xs:anyAttribute processContents="lax"/>
    </xs:complexType>
  </xs:element>
</xs:schema>"""


def offer(name="shop", stanzas=("shop", "listeners"), folder=""):
    manifest = parse_manifest(f'id = "{name}"\nsummary = "s"\napi = "1.0"\nstanzas = {list(stanzas)!r}\n')
    return Found(name, manifest, f"dist-{name}", "1.0", "third-party", "", folder=str(folder))


@pytest.fixture
def shop(tmp_path):
    folder = tmp_path / "pkg_shop"
    folder.mkdir()
    (folder / "schema.xsd").write_text(SHOP)
    return offer(folder=folder)


@pytest.fixture
def write(tmp_path):
    def write(**texts):
        for name, text in texts.items():
            (tmp_path / f"{name}.conf").write_text(text)
        return Configuration.load(str(tmp_path / "app.conf"), {})

    return write


def found(text, environ=None, offers=None, told=()):
    configuration = text if isinstance(text, Configuration) else Configuration.parse(text, "app.conf", environ or {})
    offers = [offer()] if offers is None else offers
    return [(each.severity, each.message) for each in findings(configuration, offers, Schemas(), told)]


def warnings(*texts):
    return [("warning", text) for text in texts]


def test_a_document_that_is_in_order_gives_nothing(tmp_path):
    (tmp_path / "key.pem").touch()
    (tmp_path / "app.conf").write_text("""<app>
      <conf write="on"/>
      <config id="slow"><timeout>5</timeout></config>
      <shop><config inherit="slow"/></shop>
      <listeners ssl="on"><sslconfig><key_file>key.pem</key_file></sslconfig><listener/></listeners>
      <mine id="1" inherit="2" x="{{ENV:default:{NOPE}}}" y="{not} {{a form}}"/><mine id="1"/>
    </app>""")
    configuration = Configuration.load(str(tmp_path / "app.conf"), {})
    assert found(configuration) == []
    assert configuration.notices == ()


# Schemas and names


@needs_xmlschema
def test_stanzas_are_held_to_the_schemas_of_their_owners(shop):
    configuration = Configuration.parse("<app>\n<shop port='x' prot='1'/></app>", "app.conf", {})
    error, warning = findings(configuration, [shop], Schemas())
    place = "app.conf:2: <shop> at /app/shop[1]"
    assert error.message.startswith(f"{place}: port='x' is not valid; expected a whole number")
    assert (error.severity, error.plugin, error.distribution) == ("error", "shop", "dist-shop 1.0")
    assert warning == Finding(
        f"{place}: unknown attribute 'prot': did you mean 'port'?", "warning", "shop", "dist-shop 1.0"
    )


@needs_xmlschema
def test_what_the_plugin_has_said_is_not_said_again(shop):
    text = "<app>\n<shop port='x'>\n<shop port='y'/></shop></app>"
    told = ["3 problems:\n  app.conf:2: <shop>: port: 'x' is not an integer\n  app.conf:3: <shop>: the port is wrong"]
    assert found(text, offers=[shop], told=told) == []
    assert len(found(text, offers=[shop], told=["app.conf:2: <shop>: support: 'x'", "app.conf:3: <port>: odd"])) == 2


def test_without_xmlschema_one_warning_says_what_to_install(shop, monkeypatch):
    monkeypatch.setattr(schemas_module, "missing", lambda: "pip install 'mtev-conf[schema]'")
    text = "app.conf:1: plugins' schemas are not looked at without xmlschema: pip install 'mtev-conf[schema]'"
    assert found("<app><shop port='x'/><conf schemas='on'/></app>", offers=[shop]) == warnings(text)
    assert found("<app><shop port='x'/><conf schemas='on'/></app>") == []
    assert found("<app><shop port='x'/></app>", offers=[shop]) == []
    assert found("<app><shop port='x'/><conf schemas='off'/></app>", offers=[shop]) == []


@needs_xmlschema
def test_schemas_can_be_switched_off(shop):
    assert found("<app><shop port='x'/><conf schemas='off'/></app>", offers=[shop]) == []


@pytest.mark.parametrize(
    ("name", "near"),
    [("shpo", "shop"), ("listners", "listeners"), ("moduels", "modules"), ("confg", "config"), ("shopping", "")],
)
def test_stanzas_that_look_misspelt_are_pointed_out(name, near):
    expected = f"app.conf:1: unknown element <{name}>: did you mean <{near}>?"
    assert found(f"<app><{name}/></app>") == (warnings(expected) if near else [])
    assert found(f"<app><{name} require_env='NOPE'/></app>") == []
    assert found(f"<app><deep><{name}/></deep></app>") == []


def test_an_include_that_names_no_file_is_pointed_out():
    ((severity, message),) = found("<app>\n<include><shop/></include></app>")
    assert severity == "warning"
    assert message.startswith("app.conf:2: <include> names no file, so it brings nothing in")


# References


def test_who_inherits_from_nobody():
    text = "<app><shop>\n<config inherit='slov'/></shop>\n<config id='slow'/></app>"
    missing = "app.conf:2: inherit='slov': no element has the id 'slov'"
    unused = "app.conf:3: <config>: no element inherits id='slow'; is inherit='slov' meant for it?"
    assert found(text) == [("error", f"{missing}; did you mean 'slow'?"), ("warning", unused)]
    assert found(text, told=[f"2 problems:\n  {missing}\n  other"]) == warnings(unused)
    assert found("<app><shop><sslconfig inherit='x'/></shop></app>")[0][0] == "error"


@pytest.mark.parametrize(
    "text",
    [
        "<app><mine inherit='nobody'/></app>",
        "<app><config inherit='nobody' require_env='NOPE'/></app>",
        "<app><config inherit=''/></app>",
        "<app><mine id='a'/><mine id='a'/></app>",
        "<app><config id='a' require_env='NOPE'/><config id='a'/><shop><config inherit='a'/></shop></app>",
        "<app><config id='a'/><config inherit='{{ENV:b:{X}}}'/><config id='b'/></app>",
        "<app><config id='a'/><mine inherit='a'/></app>",
        "<app><shop><config id='a'/></shop></app>",
        "<app><mine><config id='a'/><other/></mine></app>",
        "<app><mine><config/><config id='a'/></mine></app>",
        "<app><mine><deep><config id='a'/></deep></mine></app>",
        "<app><config id='a' require_env='NOPE'/></app>",
    ],
)
def test_references_that_may_well_be_meant(text):
    assert found(text) == []


def test_inherit_is_expanded():
    text = "<app><config id='a'/><config inherit='{{ENV:b:{X}}}'/></app>"
    assert found(text, {"X": "a"}) == []
    ((severity, message),) = found(text)
    assert severity == "error"
    assert message.startswith("app.conf:1: inherit='b': no element has the id 'b'")


def test_ids_that_are_carried_more_than_once():
    text = "<app><config id='a'/>\n<mine id='a'/>\n<config id='a'/><shop><config inherit='a'/></shop></app>"
    ((severity, message),) = found(text)
    assert severity == "warning"
    assert message.startswith(
        "app.conf:2: <mine>: id='a' is carried more than once, first at app.conf:1, and at app.conf:3; whoever inherits"
    )
    ((_, message),) = found("<app><shop><config id='a'/>\n<config id='a'/><mine id='a'/></shop></app>")
    assert message.startswith("app.conf:2: <config>: id='a' is carried more than once, first at app.conf:1; ")


@pytest.mark.parametrize(
    "text",
    [
        "<app>\n<config id='a'/></app>",
        "<app><templates>\n<config id='a'/></templates></app>",
        "<app>\n<config id='a'/><config inherit='b'/><config id='b' require_env='NOPE'/></app>",
    ],
)
def test_ids_that_nobody_inherits(text):
    expected = "app.conf:2: <config>: no element inherits id='a'; take the id out, or write where it is meant"
    assert found(text) == warnings(expected)


def test_an_id_behind_an_include_at_the_top(write, tmp_path):
    configuration = write(app="<app><include file='a.conf'/></app>", a="<a>\n<config id='a'/></a>")
    assert [text.partition(": ")[0] for _, text in found(configuration)] == [f"{tmp_path}/a.conf:2"]


def test_each_circle_is_told_once():
    text = """<app>
<config id="a" inherit="b"/>
<config id="b" inherit="c"/>
<config id="c" inherit="b"/>
<config id="self" inherit="self"/>
<mine id="d" inherit="e"/><mine id="e" inherit="d"/>
<config id="f" inherit="g" require_env="NOPE"/><config id="g" inherit="f" require_env="NOPE"/>
<shop><config inherit="a"/></shop>
</app>"""
    one = (
        "app.conf:3: elements inherit in a circle: inherit='c' (app.conf:3) -> inherit='b' (app.conf:4) -> the first "
        "again; take one 'inherit' out"
    )
    two = "app.conf:5: elements inherit in a circle: inherit='self' (app.conf:5) -> the first again"
    assert found(text) == [("error", one), ("error", f"{two}; take one 'inherit' out")]
    told = "app.conf:4: elements inherit in a circle: inherit='b' (app.conf:4) -> inherit='c' (app.conf:3) -> ..."
    assert [message for _, message in found(text, told=[told, two])] == []


@given(st.lists(st.tuples(st.sampled_from("abcd"), st.sampled_from("abcd")), max_size=6))
def test_a_circle_is_found_exactly_when_reading_ends_in_one(pairs):
    elements = "".join(f"<x><config id='{one}' inherit='{two}'/></x>" for one, two in pairs)
    text = f"<app><config id='a'/><config id='b'/><config id='c'/><config id='d'/>{elements}</app>"
    configuration = Configuration.parse(text, "app.conf", {})

    def ends(section):
        try:
            section.hash()
        except Exception as error:
            assert "circle" in str(error)
            return False
        return True

    circular = not all(ends(each) for each in configuration.sections("x"))
    assert any("in a circle" in text for _, text in found(configuration)) is circular


def test_long_chains_are_followed():
    chain = "".join(f"<config id='{index}' inherit='{index + 1}'/>" for index in range(3000))
    assert found(f"<app><shop>{chain}<config id='3000'/></shop></app>") == []


# What values ask for


def asked(what, where="app.conf:1", owner="<b>"):
    return warnings(f"{where}: {owner}: {what}")


NOT_SET = "asks for the environment variable 'X', which is not set, and has no default; set it, or write a default"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("<b port='{{ENV::{X}}}'/>", asked(f"port {NOT_SET}")),
        ("<b port='ENV::{X}'/>", asked(f"port {NOT_SET}")),
        ("<b>a {{ENV::{X}}}</b>", asked(f"its text {NOT_SET}")),
        ("<b>a <i/> {{ENV::{X}}}</b>", asked(f"its text {NOT_SET}")),
        ("<b port='{{ENV::{X}}}{{ENV::{X}}}'/>", asked(f"port {NOT_SET}")),
        ("<b port='{{ENV:0:{X}}}'/>", []),
        ("<b port='{{ENV::{SET}}}'/>", []),
        ("<b require_env='NOPE' port='{{ENV::{X}}}'/>", []),
        ("<o require_env='!SET'><b port='{{ENV::{X}}}'/></o>", []),
        (
            "<b f='{{FILE::{/nowhere/x}}}'/>",
            asked(
                "f asks for the file '/nowhere/x', which is not there, and has no fallback; put it there, or write a "
                "fallback"
            ),
        ),
        (
            "<b f='{{own::{k}}}'/>",
            asked("f asks for own 'k', which has no value, and has no fallback; set it, or write a fallback"),
        ),
        (
            "<b f='{{consul:1:{k}}}'/>",
            warnings(
                "app.conf:1: '{{consul:…:{k}}}' asks for the facility 'consul', which is not known (known: ENV, FILE, "
                "own); its fallback is used"
            ),
        ),
    ],
)  # fmt: skip
def test_what_values_ask_for_and_is_not_there(text, expected):
    configuration = Configuration.parse(f"<a>{text}</a>", "app.conf", {"SET": ""})
    configuration.facilities.register("own", lambda key: None)
    assert found(configuration) == expected
    assert configuration.notices == ()


def test_what_is_among_the_notices_is_not_said_again():
    configuration = Configuration.parse("<a><b f='{{consul::{k}}}'/></a>", "app.conf", {})
    configuration.section("b").string("f")
    assert len(configuration.notices) == 1
    assert found(configuration) == []


def test_a_value_that_cannot_be_read_is_an_error(tmp_path):
    text = f"<a><b f='{{{{FILE::{{{tmp_path}}}}}}}'/></a>"
    assert found(text) == [("error", f"app.conf:1: <b>: f: FILE: '{tmp_path}' is not a regular file")]
    assert found(text, told=[f"app.conf:1: <b>: FILE: '{tmp_path}' is not a regular file"]) == []


def test_the_roots_of_included_files_are_looked_at(write, tmp_path):
    configuration = write(
        app="<app><include file='a.conf'/><include file='b.conf'/></app>",
        a="<a x='{{ENV::{X}}}'><b/></a>",
        b="<b x='{{ENV::{X}}}' require_env='NOPE'><b/></b>",
    )
    assert found(configuration) == asked(f"x {NOT_SET}", f"{tmp_path}/a.conf", "the root of the included file")


def test_no_secret_is_told(tmp_path):
    path = tmp_path / "file"
    path.write_text("hunter2")
    text = f"""<a><listeners ssl="on"><listener/><sslconfig>
      <key>{{{{FILE::{{{path}}}}}}}</key><key_file>{{{{ENV:hunter2:{{TOKEN}}}}}}</key_file></sslconfig></listeners>
      <b x="ENV::{{{{{{FILE::{{{path}}}}}}}}}"/><config inherit="{{{{FILE::{{{path}}}}}}}"/></a>"""
    configuration = Configuration.load(str(_written(tmp_path, text)), {})
    messages = [message for _, message in found(configuration)]
    assert len(messages) == 4
    assert "hunter2" not in "".join(messages)


def _written(tmp_path, text):
    (tmp_path / "app.conf").write_text(text)
    return tmp_path / "app.conf"


# Certificates


def certificates(tmp_path, content):
    (tmp_path / "there.pem").touch()
    (tmp_path / "sub").mkdir(exist_ok=True)
    (tmp_path / "sub" / "near.pem").touch()
    (tmp_path / "sub" / "x.conf").write_text(
        "<x><sslconfig><key_file>near.pem</key_file><crl>there.pem</crl></sslconfig></x>"
    )
    return [
        (severity, message.replace(str(tmp_path), "/T"))
        for severity, message in found(Configuration.load(str(_written(tmp_path, f"<app>{content}</app>")), {}))
    ]


GONE = "'/T/gone.pem' does not exist; create it or correct the path"


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ("<listeners ssl='on'><sslconfig><key_file>gone.pem</key_file></sslconfig><listener/></listeners>",
         [("error", f"/T/app.conf:1: <key_file>: {GONE}")]),
        ("<listeners ssl='off'><sslconfig><key_file>gone.pem</key_file></sslconfig><listener/></listeners>",
         [("warning", f"/T/app.conf:1: <key_file>: {GONE}")]),
        ("<listeners><sslconfig><key_file>gone.pem</key_file></sslconfig><listener ssl='maybe'/></listeners>",
         [("warning", f"/T/app.conf:1: <key_file>: {GONE}")]),
        ("<listeners><listener ssl='on'><config><value name='crl'>gone.pem</value></config></listener></listeners>",
         [("error", f"/T/app.conf:1: <value>: crl: {GONE}")]),
        ("<listeners ssl='on' ca_chain='gone.pem'><listener/></listeners>",
         [("error", f"/T/app.conf:1: <listeners>: ca_chain: {GONE}")]),
        ("<listeners ssl='on' ca_chain='gone.pem'><listener ca_chain='there.pem'/></listeners>",
         [("warning", f"/T/app.conf:1: <listeners>: ca_chain: {GONE}")]),
        ("<listeners ssl='on'><sslconfig><ca_file>gone.pem</ca_file></sslconfig><listener><sslconfig>"
         "<ca_file>there.pem</ca_file></sslconfig></listener></listeners>",
         [("warning", f"/T/app.conf:1: <ca_file>: {GONE}")]),
        ("<sslconfig id='s'><certificate>gone.pem</certificate></sslconfig><listeners ssl='on'><listener>"
         "<sslconfig inherit='s'/></listener></listeners>",
         [("error", f"/T/app.conf:1: <certificate>: {GONE}")]),
        ("<mine key_file='gone.pem'/>", [("warning", f"/T/app.conf:1: <mine>: key_file: {GONE}")]),
        ("<mine key_file='sub'/>",
         [("warning", "/T/app.conf:1: <mine>: key_file: '/T/sub' is a folder; write the path of a file")]),
        ("<mine key_file='~/x'/>",
         [("warning", "/T/app.conf:1: <mine>: key_file: '~/x' begins with '~', which only a shell replaces; write the "
           "whole path, or './~/x' if the name itself begins with '~'")]),
        ("<sslconfig><key>gone.pem</key></sslconfig>",
         [("warning", "/T/app.conf:1: <key>: the file that it names cannot be read; see whether it is there, and who "
           "may read it")]),
        ("<include file='sub/x.conf'/>",
         [("warning", "/T/sub/x.conf:1: <crl>: '/T/sub/there.pem' does not exist; create it or correct the path")]),
        ("<mine key_file='there.pem' ca_file='' crl='  '/>", []),
        ("<mine key_file='gone.pem' require_env='NOPE'/>", []),
        ("<mine><key>gone.pem</key><certificate>gone.pem</certificate><key_file>gone.pem</key_file></mine>", []),
        ("<sslconfig><key>-----BEGIN KEY-----</key><certificate>\na\nb\n</certificate></sslconfig>", []),
        ("<mine key_file='{{ENV:there.pem:{X}}}'/>", []),
    ],
)  # fmt: skip
def test_certificates_and_keys_that_cannot_be_read(tmp_path, content, expected):
    assert certificates(tmp_path, content) == expected


def test_a_key_that_may_not_be_read(tmp_path, monkeypatch):
    monkeypatch.setattr(os, "access", lambda path, mode, **more: False)
    ((severity, message),) = certificates(tmp_path, "<mine key_file='there.pem'/>")
    assert severity == "warning"
    assert message.startswith("/T/app.conf:1: <mine>: key_file: '/T/there.pem' cannot be read by this process")


def test_a_certificate_that_its_plugin_complains_of_is_left_to_it(tmp_path):
    configuration = Configuration.load(str(_written(tmp_path, "<a><mine key_file='gone.pem'/></a>")), {})
    assert found(configuration, told=[f"{tmp_path}/app.conf:1: <mine>: key_file: there is none"]) == []


def test_paths_of_a_document_that_is_in_no_file_are_looked_at_if_they_are_whole():
    ((_, message),) = found("<a><mine key_file='gone.pem' ca_file='/nowhere/ca.pem'/></a>")
    assert message.startswith("app.conf:1: <mine>: ca_file: '/nowhere/ca.pem' does not exist")


# Writing


@pytest.fixture
def closed(monkeypatch):
    """Folders that nothing can be put into, also by root."""
    folders = set()
    real = os.access

    def access(path, mode, **more):
        return not (mode & os.W_OK and os.path.realpath(path) in folders) and real(path, mode, **more)

    monkeypatch.setattr(os, "access", access)
    return folders


def writing(write, tmp_path, closed, conf, **more):
    (tmp_path / "sub").mkdir(exist_ok=True)
    (tmp_path / "sub" / "x.conf").write_text("<x/>")
    (tmp_path / "sub" / "y.conf").write_text("<y/>")
    closed.add(str(tmp_path / "sub"))
    app = f"<app>{conf}\n<include file='sub/*.conf'/>\n<store backingstore='sub/store/deep'/></app>"
    return [text.replace(str(tmp_path), "/T") for _, text in found(write(app=app, **more))]


def test_files_that_could_not_be_written_although_that_is_wanted(write, tmp_path, closed):
    wish = "while the configuration is to be written (/T/app.conf:1): nothing can be put into /T/sub"
    for conf in ("<conf write='on'/>", "<conf write_back='journal'/>"):
        assert writing(write, tmp_path, closed, conf) == [f"/T/app.conf:2: /T/sub/x.conf cannot be written, {wish}"]
    closed.add(str(tmp_path))
    assert [text.partition(", while")[0] for text in writing(write, tmp_path, closed, "<conf write='on'/>")] == [
        "/T/app.conf: /T/app.conf cannot be written",
        "/T/app.conf:2: /T/sub/x.conf cannot be written",
    ]


def test_a_store_that_could_not_be_written(write, tmp_path, closed):
    (tmp_path / "sub" / "store").mkdir(parents=True)
    closed.add(str(tmp_path / "sub" / "store"))
    _, text = writing(write, tmp_path, closed, "<conf write='on'/>")
    assert text == (
        "/T/app.conf:3: <store backingstore='/T/sub/store/deep'>: it cannot be written, while the configuration is to "
        "be written (/T/app.conf:1): nothing can be put into /T/sub/store"
    )


@pytest.mark.parametrize("conf", ["", "<conf/>", "<conf write='off'/>", "<conf write='on' require_env='NOPE'/>"])
def test_nobody_asks_for_writing(write, tmp_path, closed, conf):
    assert writing(write, tmp_path, closed, conf) == []


def test_what_is_included_readonly_need_not_be_written(write, tmp_path, closed):
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "x.conf").write_text("<x/>")
    closed.add(str(tmp_path / "sub"))
    configuration = write(app="<app><conf write='on'/><include file='sub/x.conf' readonly='true'/></app>")
    assert found(configuration) == []


# The report


def test_a_report_says_each_thing_once():
    report = Report(["1: a\n  2: b", "3: <x>: port: 'y'"])
    for text in ("1: a", "4: d", "4: d", "2: b"):
        report.add(text)
    report.add("5: e; advice", core="2: b")
    assert [each.message for each in report.findings] == ["4: d"]
    assert report.names("3", "port")
    assert not report.names("3", "por")
    assert not report.names("3", "x")
    assert not report.names("", "port")


@given(st.text("<>abc={}:'\"/ \n", max_size=60))
def test_nothing_that_can_be_loaded_makes_it_fail(text):
    try:
        configuration = Configuration.parse(f"<app><config id='a'/>{text}<conf/></app>", "app.conf", {})
    except Exception:
        return
    for each in findings(configuration, [offer()], Schemas()):
        assert each.message.startswith("app.conf:")
