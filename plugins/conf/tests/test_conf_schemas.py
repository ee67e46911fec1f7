"""Schemas of plugins at work: on a document, on changes, composed; and the schema of <conf> itself."""

from __future__ import annotations

import logging
from importlib.resources import files

import pytest
from lxml import etree

from mtev_conf import ChangeRefused, Configuration
from mtev_conf._checking import schemas as module
from mtev_conf._checking.schemas import Schemas
from mtev_conf._settings import read_settings
from mtev_kernel import ConfigurationError, Found
from mtev_kernel.manifest import parse_manifest

needs_xmlschema = pytest.mark.skipif(bool(module.missing()), reason="xmlschema is not installed")

SHOP = """<xs:schema xmlns:xs="http://www.w3.org/2001/XMLSchema">
  <xs:element name="shop">
    <xs:complexType mixed="true">
      <xs:sequence><xs:any minOccurs="0" maxOccurs="unbounded" processContents="lax"/></xs:sequence>
      <xs:attribute ref="port"/>
      <xs:attribute name="colour"/>
      <xs:anyAttribute processContents="lax"/>
    </xs:complexType>
  </xs:element>
  <xs:element name="till">
    <xs:complexType mixed="true">
      <xs:sequence><xs:any minOccurs="0" maxOccurs="unbounded" processContents="lax"/></xs:sequence>
      <xs:attribute ref="port"/>
      <xs:anyAttribute processContents="lax"/>
    </xs:complexType>
  </xs:element>
  <xs:element name="limit" type="xs:nonNegativeInteger"/>
  <xs:attribute name="port">
    <xs:simpleType>
      <xs:restriction base="xs:integer"><xs:minInclusive value="0"/><xs:maxInclusive value="65535"/></xs:restriction>
    </xs:simpleType>
  </xs:attribute>
</xs:schema>"""

TILL = """<xs:schema xmlns:xs="http://www.w3.org/2001/XMLSchema">
  <xs:element name="till">
    <xs:complexType mixed="true">
      <xs:sequence><xs:any minOccurs="0" maxOccurs="unbounded" processContents="lax"/></xs:sequence>
      <xs:attribute name="currency">
        <xs:simpleType>
          <xs:restriction base="xs:token"><xs:enumeration value="EUR"/><xs:enumeration value="CHF"/></xs:restriction>
        </xs:simpleType>
      </xs:attribute>
      <xs:anyAttribute processContents="lax"/>
    </xs:complexType>
  </xs:element>
</xs:schema>"""


@pytest.fixture
def offer(tmp_path):
    def offer(name="shop", schema=SHOP, stanzas=("shop",)):
        folder = tmp_path / f"pkg_{name}"
        folder.mkdir()
        if schema is not None:
            (folder / "schema.xsd").write_text(schema)
        manifest = parse_manifest(f'id = "{name}"\nsummary = "s"\napi = "1.0"\nstanzas = {list(stanzas)!r}\n')
        return Found(name, manifest, f"dist-{name}", "1.0", "third-party", "", folder=str(folder))

    return offer


@pytest.fixture
def offers(offer):
    return [offer(), offer("till", TILL, ("shop//till",))]


def document(text, environ=None):
    return Configuration.parse(text, "app.conf", environ or {})


def texts(text, offers, environ=None):
    return [(each.severity, each.text) for each in Schemas().problems(document(text, environ), offers)]


# On a document


@needs_xmlschema
def test_each_problem_has_its_place_and_its_plugin(offers):
    text = """<app>
  <shop port="88888" color="red">
    <till port="x" currency="GBP"/>
    <config><limit>-1</limit></config>
  </shop>
  <other port="99999"/>
</app>"""
    found = Schemas().problems(document(text), offers)
    till = "<till> at /app/shop[1]/till[1]"
    assert [(each.text, each.severity, each.where, each.name, each.offer.name) for each in found] == [
        (
            "app.conf:2: <shop> at /app/shop[1]: port='88888' is not valid; expected a whole number from 0 to 65535",
            "error", "app.conf:2", "port", "shop",
        ),
        (
            "app.conf:2: <shop> at /app/shop[1]: unknown attribute 'color': did you mean 'colour'?",
            "warning", "app.conf:2", "color", "shop",
        ),
        (
            f"app.conf:3: {till}: port='x' is not valid; expected a whole number from 0 to 65535",
            "error", "app.conf:3", "port", "shop",
        ),
        (found[3].text, "error", "app.conf:4", "limit", "shop"),
        (found[4].text, "error", "app.conf:3", "currency", "till"),
    ]  # fmt: skip
    limit = "<limit> at /app/shop[1]/config[1]/limit[1]"
    assert found[3].text.startswith(f"app.conf:4: {limit}: '-1' is not valid; expected ")
    assert found[4].text.startswith(f"app.conf:3: {till}: currency='GBP' is not valid; expected one of EUR, CHF")


@needs_xmlschema
def test_values_are_judged_as_they_are_read(offers):
    text = "<app><shop port='{{ENV:80:{PORT}}}'/></app>"
    assert texts(text, offers) == []
    assert texts(text, offers, {"PORT": "8080"}) == []
    ((severity, message),) = texts(text, offers, {"PORT": "many"})
    assert severity == "error"
    assert message.startswith("app.conf:1: <shop> at /app/shop[1]: port='many' is not valid")


@needs_xmlschema
def test_a_value_that_cannot_be_read_is_not_judged(offers, tmp_path):
    unreadable = f"{{{{FILE::{{{tmp_path}}}}}}}"
    text = (
        f"""<app><shop port='{unreadable}'><config><limit>{unreadable}</limit></config><till port='x'/></shop></app>"""
    )
    ((_, message),) = texts(text, offers)
    assert message.startswith("app.conf:1: <till> at /app/shop[1]/till[1]: port='x' is not valid")


@needs_xmlschema
@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("<shop port='{{ENV::{TOKEN}}}'/>", "port"),
        ("<shop port='{{ENV:hunter2:{A_TOKEN}}}'/>", "port"),
        ("<shop><config><limit>{{ENV::{TOKEN}}}</limit></config></shop>", "its text"),
        ("<shop><secrets><limit>hunter2</limit></secrets></shop>", "its text"),
    ],
)
def test_secrets_are_not_told(offers, text, name):
    ((_, message),) = texts(f"<app>{text}</app>", offers, {"TOKEN": "hunter2"})
    assert "hunter2" not in message
    assert f": {name}: the value, which is a secret, is not of the kind that is expected here" in message


@needs_xmlschema
@pytest.mark.parametrize(
    "text",
    [
        "<app><shop port='x' require_env='NOPE'/></app>",
        "<app require_env='NOPE'><shop port='x'/></app>",
        "<app><shop><till port='x' require_env='NOPE'/></shop></app>",
        "<app><shop><b require_env='NOPE'><till port='x' currency='GBP'/></b></shop></app>",
        "<app><mine><shop port='x'/></mine></app>",
    ],
)
def test_what_does_not_apply_is_not_judged(offers, text):
    assert texts(text, offers) == []


@needs_xmlschema
def test_included_files_are_judged_with_their_own_places(offers, tmp_path):
    (tmp_path / "app.conf").write_text("<app><include file='a.conf'/><shop><include file='b.conf'/></shop></app>")
    (tmp_path / "a.conf").write_text("<a>\n<shop port='x'/></a>")
    (tmp_path / "b.conf").write_text("<b>\n<till port='y'/>\n<include file='c.conf'/></b>")
    (tmp_path / "c.conf").write_text("<c require_env='NOPE'><till port='z'/></c>")
    configuration = Configuration.load(str(tmp_path / "app.conf"), {})
    assert [each.where for each in Schemas().problems(configuration, offers)] == [
        f"{tmp_path}/a.conf:2",
        f"{tmp_path}/b.conf:2",
    ]


@needs_xmlschema
def test_what_two_plugins_find_is_found_once(offer):
    both = [offer(), offer("other", SHOP, ("shop", "include/shop"))]
    assert len(texts("<app><shop port='x'/></app>", both)) == 1


@needs_xmlschema
def test_a_name_that_another_plugin_knows_is_no_misspelling(offer):
    assert texts("<app><shop color='red'/></app>", [offer()])
    other = offer("other", SHOP.replace("colour", "color").replace('"shop"', '"shed"'), ("shed",))
    assert texts("<app><shop color='red'/></app>", [offer("two"), other]) == []


@needs_xmlschema
@pytest.mark.parametrize("schema", ["<xs:schema", "<other/>", SHOP.replace("xs:integer", "xs:nonsense")])
def test_a_schema_that_cannot_be_used_is_a_warning_and_hides_no_other(offers, offer, schema):
    broken = offer("broken", schema, ("mine",))
    found = Schemas().problems(document("<app><mine/><shop port='x'/></app>"), [broken, *offers])
    assert sorted((each.severity, each.offer.name, each.where) for each in found) == [
        ("error", "shop", "app.conf:1"),
        ("warning", "broken", ""),
    ]
    (warning,) = [each.text for each in found if each.severity == "warning"]
    assert "pkg_broken/schema.xsd" in warning


@needs_xmlschema
def test_a_schema_that_cannot_be_read_is_a_warning(offers, monkeypatch):
    def refuse(self, name):
        raise PermissionError(13, "Permission denied", name)

    monkeypatch.setattr(Found, "resource", refuse)
    ((severity, message),) = texts("<app><shop port='x'/></app>", offers[:1])
    assert (severity, message) == ("warning", "pkg_shop/schema.xsd: the schema cannot be read: Permission denied")


@needs_xmlschema
def test_nothing_is_needed_where_xmlschema_is(offers):
    assert Schemas().needs(document("<app><shop/></app>"), offers) == ""


@needs_xmlschema
def test_refused_plugins_and_those_without_a_schema_say_nothing(offer):
    silent = offer("silent", None)
    refused = offer("refused")
    refused = Found(**{name: getattr(refused, name) for name in refused.__slots__} | {"error": "no"})
    assert texts("<app><shop port='x'/></app>", [silent, refused]) == []


def test_without_xmlschema_nothing_is_judged_and_it_is_known_what_to_install(offers, offer, monkeypatch):
    monkeypatch.setattr(module, "missing", lambda: "pip install 'mtev-conf[schema]'")
    schemas = Schemas()
    assert schemas.problems(document("<app><shop port='x'/></app>"), offers) == []
    shop = document("<app><shop/></app>")
    assert schemas.needs(shop, offers) == "pip install 'mtev-conf[schema]'"
    assert schemas.needs(shop, [offer("silent", None)]) == ""
    assert schemas.needs(document("<app><mine/><shop require_env='NOPE'/></app>"), offers) == ""
    configuration = judged("<app><shop port='1'/></app>", offers)
    with configuration.transaction() as change:
        change.set(configuration.section("shop"), "port", "x")


# On changes


def judged(text, offers, environ=None):
    configuration = document(text, environ)
    schemas = Schemas()
    configuration.judge(lambda proposal: schemas.judge(proposal, offers))
    return configuration


@needs_xmlschema
def test_a_change_that_a_schema_forbids_is_refused_with_a_reason(offers):
    configuration = judged("<app>\n<shop port='1'/></app>", offers)
    with pytest.raises(ChangeRefused) as caught, configuration.transaction() as change:
        change.set(configuration.section("shop"), "port", "x")
    assert str(caught.value) == (
        "app.conf:2: <shop> at /app/shop[1]: port='x' is not valid; expected a whole number from 0 to 65535 "
        "(plugin 'shop', distribution dist-shop 1.0)"
    )
    assert caught.value.where == "app.conf:2"
    assert "dist-shop 1.0" in str(caught.value)
    assert configuration.section("shop").string("port") == "1"


@needs_xmlschema
def test_a_misspelling_is_no_reason_to_refuse(offers):
    configuration = judged("<app><shop/></app>", offers)
    with configuration.transaction() as change:
        change.set(configuration.section("shop"), "color", "red")


@needs_xmlschema
def test_what_was_wrong_elsewhere_stays_allowed(offers):
    text = "<app><shop port='x'><till id='t'/></shop><mine/><shop id='other' require_env='SHUT' port='y'/></app>"
    configuration = judged(text, offers)
    with configuration.transaction() as change:
        change.set(configuration.section("mine"), "port", "x")
        change.add(configuration.root, "yours", {"port": "x"})
        change.set(configuration.root, "port", "x")
    with pytest.raises(ChangeRefused, match="port='x'"), configuration.transaction() as change:
        change.set(configuration.section("shop/till"), "x", "1")


@needs_xmlschema
@pytest.mark.parametrize(
    "act",
    [
        lambda change, root: change.add_xml(root, "<shop port='x'/>"),
        lambda change, root: change.add_xml(root.section("shop[1]"), "<deep><till port='x'/></deep>"),
        lambda change, root: change.text(root.section("shop/config/limit"), "many"),
        lambda change, root: change.unset(root, "require_env") or change.set(root.section("shop[2]"), "port", "x"),
        lambda change, root: change.set(root.section("shop/till"), "currency", "GBP"),
        lambda change, root: change.move(root.section("stock/till"), root.section("shop[1]")),
        lambda change, root: change.unset(root.section("shop[3]"), "require_env"),
        lambda change, root: change.remove(root.section("shop[1]")) or change.set(root.section("shop[2]"), "port", "x"),
    ],
)
def test_every_kind_of_change_is_judged(offers, act):
    configuration = judged(
        """<app><shop><config><limit>1</limit></config><till/></shop><shop/><shop require_env='NOPE' port='x'/>
        <stock><till port='x'/></stock></app>""",
        offers,
    )
    before = etree.tostring(configuration._tree.root)
    with pytest.raises(ChangeRefused, match="is not valid"), configuration.transaction() as change:
        act(change, configuration.root)
    assert etree.tostring(configuration._tree.root) == before


@needs_xmlschema
def test_what_makes_everything_apply_concerns_everything(offers):
    configuration = judged("<app require_env='NOPE'><shop port='x'/></app>", offers)
    with pytest.raises(ChangeRefused, match="port='x'"), configuration.transaction() as change:
        change.unset(configuration.root, "require_env")


@needs_xmlschema
def test_a_reload_is_judged_by_what_is_different(offers):
    configuration = judged("<app><shop/><mine/></app>", offers)
    with pytest.raises(ChangeRefused, match="port='x'"):
        configuration.adopt(document("<app><shop port='x'/><mine/></app>"))
    assert configuration.section("shop[@port]") is None
    configuration.adopt(document("<app><shop/><mine x='1'/></app>"))


@needs_xmlschema
def test_a_schema_that_cannot_be_used_refuses_nothing_and_is_logged_once(offer, caplog):
    configuration = judged("<app><shop/></app>", [offer("shop", "<xs:schema")])
    with caplog.at_level(logging.WARNING, "mtev.conf"):
        for port in "xyz":
            with configuration.transaction() as change:
                change.set(configuration.section("shop"), "port", port)
    assert [record.message.partition(":")[0] for record in caplog.records] == ["pkg_shop/schema.xsd"]


# Composed


def test_one_schema_of_all(offers, offer):
    text = Schemas().composed([*offers, offer("silent", None)], "site")
    names = {each.get("name") for each in etree.fromstring(text).iterchildren("{*}element")}
    assert names >= {"site", "shop", "till", "limit"}


def test_a_broken_schema_does_not_spoil_the_whole(offers, offer):
    text = Schemas().composed([*offers, offer("broken", "<xs:schema", ("mine",))])
    assert "shop" in {each.get("name") for each in etree.fromstring(text).iterchildren("{*}element")}
    assert "plugin 'broken' is left out" in text


def test_a_name_that_is_none_is_refused(offers):
    with pytest.raises(ConfigurationError, match="outermost"):
        Schemas().composed(offers, "no name")


# The schema of <conf>


CONF = files("mtev_conf").joinpath("schema.xsd").read_text(encoding="utf-8")


@needs_xmlschema
@pytest.mark.parametrize(
    "attributes",
    [
        "",
        "write='on' write_back='coalesced' write_delay='1s' history='20' rest_write='off' schemas='YES' journal='x/y'",
        "write_back='journal' write_delay='1min 30sec' history='1'", "write_delay='500 ms' id='c'",
        "write='maybe'", "write=''", "write_back='Journal'", "write_back='sometimes'", "write_delay='1'",
        "write_delay='1.5s'", "write_delay=''", "history='0'", "history='10001'", "history='x'", "history='10000'",
        "rest_write='2'", "schemas='x'", "journal=''", "journal='~/x'", "journal='/var/x'", "writ='on'", "x='1'",
    ],
)  # fmt: skip
def test_the_schema_of_conf_says_what_the_plugin_says(offer, attributes):
    conf = offer("conf", CONF, ("config", "conf"))
    configuration = document(f"<app><conf {attributes}/></app>")
    try:
        read_settings(configuration)
        accepted = True
    except ConfigurationError:
        accepted = False
    assert (Schemas().problems(configuration, [conf]) == []) is accepted


@needs_xmlschema
def test_conf_holds_no_elements(offer):
    conf = offer("conf", CONF, ("config", "conf"))
    assert texts("<app><conf><x/></conf></app>", [conf])
    assert texts("<app><config><write>maybe</write><conf2/></config></app>", [conf]) == []
