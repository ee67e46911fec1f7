"""The document as the kernel sees it: stanzas, claims, modules, dump."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from lxml import etree

from mtev_conf import Configuration
from mtev_conf._masking import sounds_secret
from mtev_kernel.document import Document
from mtev_kernel.errors import ConfigurationError

SERVICE = """<?xml version="1.0" encoding="utf8" standalone="yes"?>
<greeter lockfile="/tmp/greeter.lock">
  <eventer><config><default_queue_threads>4</default_queue_threads></config></eventer>
  <logs>
    <console_output><outlet name="stderr"/></console_output>
    <log name="internal" type="memory" path="10000,100000"/>
    <components><log name="error"/><log name="notice" disabled="true"/></components>
  </logs>
  <modules directory="/usr/libexec/greeter" start-timeout="5" on-error="retry">
    <generic image="greeter" name="greeter"><config><hello>hi</hello></config></generic>
    <group on-error="ignore"><config><shared>1</shared></config>
      <generic image="acme" name="first:acme" start-timeout="2"><config><own>2</own></config></generic>
      <generic image="acme" name="second:acme" loader="lua" require_env="NOPE"/>
      <generic image="acme" name="third:acme" loader="lua">
        <include><config><inner>3</inner></config></include></generic>
    </group>
    <loader image="lua" name="lua"/>
  </modules>
  <listeners>
    <listener type="mtev_console" address="127.0.0.1" port="32322"/>
    <listener type="http_rest_api" require_env="REST" port="8888"/>
  </listeners>
  <rest require_env="REST"><acl><rule type="allow"/></acl></rest>
</greeter>"""


def document(text=SERVICE, environ=None):
    return Configuration.parse(text, "app.conf", environ or {}).document()


def test_it_is_what_the_kernel_asks_for():
    assert isinstance(document(), Document)
    assert document().path == "app.conf"


def test_stanzas_are_the_top_level_elements_that_apply():
    stanzas = [(each.name, each.where) for each in document().stanzas()]
    assert stanzas == [
        ("eventer", "app.conf:3"),
        ("logs", "app.conf:4"),
        ("modules", "app.conf:9"),
        ("listeners", "app.conf:19"),
    ]
    assert "rest" in [each.name for each in document(environ={"REST": "1"}).stanzas()]


@pytest.mark.parametrize(
    ("claim", "where"),
    [
        ("eventer", "app.conf:3"),
        ("log", None),
        ("logs//*[@type='memory']", "app.conf:6"),
        ("listeners//*[@type='mtev_console']", "app.conf:20"),
        ("listeners//*[@type='http_rest_api']", None),
        ("rest", None),
    ],
)
def test_claims_find_what_applies(claim, where):
    assert document().find(claim) == where


def test_a_claim_finds_what_the_environment_switches_on():
    switched_on = document(environ={"REST": ""})
    assert switched_on.find("listeners//*[@type='http_rest_api' or @type='control_dispatch']") == "app.conf:21"


@pytest.mark.parametrize("claim", ["logs//[", "count(logs)", "no:prefix"])
def test_a_malformed_claim_is_an_error(claim):
    with pytest.raises(ConfigurationError):
        document().find(claim)


def test_modules_follow_libmtevs_rules():
    greeter, first, third, loader = document().modules()
    assert (greeter.kind, greeter.image, greeter.name, greeter.symbol) == ("generic", "greeter", "greeter", "greeter")
    assert (greeter.where, greeter.on_error, greeter.loader) == ("app.conf:10", "retry", "")
    assert greeter.config == {"hello": "hi"}
    assert greeter.attributes == {"lockfile": "/tmp/greeter.lock", "start-timeout": "5"}
    assert (first.symbol, first.on_error) == ("acme", "ignore")
    assert first.config == {"shared": "1", "own": "2"}
    assert first.attributes["start-timeout"] == "2"
    assert (third.loader, third.config) == ("lua", {"shared": "1", "inner": "3"})
    assert (loader.kind, loader.name, loader.loader, loader.on_error) == ("loader", "lua", "", "retry")


def test_a_condition_switches_modules_on_and_off():
    names = [each.name for each in document(environ={"NOPE": "1"}).modules()]
    assert names == ["greeter", "first:acme", "second:acme", "third:acme", "lua"]


def test_modules_are_found_anywhere_and_inherit_name_and_image():
    modules = document("<a><b><modules image='i' name='n'><generic/></modules></b></a>").modules()
    assert [(each.image, each.name) for each in modules] == [("i", "n")]


def test_no_policy_is_no_policy():
    assert document("<a><modules><generic image='i' name='n'/></modules></a>").modules()[0].on_error is None


def test_all_problems_of_all_modules_are_in_one_error():
    with pytest.raises(ConfigurationError) as caught:
        document("""<a><modules on-error="explode">
          <generic name="n"/><generic image="other" name="o"/>
          <generic image="i" on-error="fail"/>
          <generic image="" name="p:" on-error="fail"><config inherit="nobody"/></generic>
          <loader image="l" name="l" loader="m" on-error="fail"/>
          <generic require_env="NOPE"/>
          <generic image="fine" name="fine" on-error="fail"/></modules></a>""").modules()
    text = str(caught.value)
    assert text.startswith("7 problems:\n")
    assert "app.conf:2: <generic>: image is missing: which plugin to load; write <generic image=… name=…>" in text
    assert "app.conf:1: <modules>: on-error: 'explode' is none of fail, ignore, retry" in text
    assert "app.conf:3: <generic>: name is missing" in text
    assert "app.conf:4: <generic>: image is missing" in text
    assert "app.conf:4: <generic>: name='p:' has no symbol after its colon" in text
    assert "app.conf:4: inherit='nobody': no element has the id 'nobody'" in text
    assert "app.conf:5: <loader>: a <loader> is loaded by the kernel itself" in text
    assert caught.value.where == "app.conf:2"


def test_one_problem_is_reported_as_it_is():
    with pytest.raises(ConfigurationError, match=r"^app.conf:1: <generic>: name is missing"):
        document("<a><modules><generic image='i'/></modules></a>").modules()


def test_what_has_no_effect_here_is_noticed():
    configuration = Configuration.parse(
        "<a><modules directory='/x'>\n<module image='fq' name='fq'/></modules></a>", "app.conf", {}
    )
    assert configuration.document().modules() == []
    directory, module = configuration.notices
    assert directory.startswith("app.conf:1: <modules directory=…> is not used")
    assert module.startswith("app.conf:2: <module> asks for nothing; write <generic")


SECRETS = """<a xmlns:m="a://module/m"><!-- old password: hunter1 -->
  <?php hunter2 ?>
  <x password="hunter3" key_file="/etc/key.pem" user="shown1"/>
  <config><hmac_key>hunter4</hmac_key><value name="api_token">hunter5</value><m:secret>hunter6</m:secret></config>
  <credentials>hunter7<item name="shown2" value="hunter8">hunter9</item>hunter10</credentials>
  <param name="dbPassword" value="hunter11"/>
  <dsn>postgres://bob:hunter12@db/x</dsn><plain>{{ENV:none:{DB_PASSWORD}}}</plain>
  <whole dsn="ENV:none:{DB_PASSWORD}"/><shown>{{ENV:none:{PLAIN}}}</shown>
  <off require_env="NOPE"><below/></off>
</a>"""


def test_the_dump_is_expanded_and_masks_secrets():
    text = document(SECRETS, {"DB_PASSWORD": "hunter13", "PLAIN": "shown3"}).dump()
    assert "hunter" not in text
    for shown in ("shown1", "shown2", "<shown>shown3</shown>", "/etc/key.pem", "bob:***@db", 'password="***"'):
        assert shown in text
    assert "<!-- <off>: its require_env does not hold --><off" in text
    root = etree.fromstring(text)
    assert [each.tag for each in root.iter(etree.Element)] == [
        each.tag for each in etree.fromstring(SECRETS).iter(etree.Element)
    ]


def test_the_dump_leaves_the_document_as_it_is():
    configuration = Configuration.parse("<a password='x'><!-- c --></a>", environ={})
    assert configuration.document().dump() == '<!-- <string> -->\n<a password="***"/>\n'
    assert configuration.root.string("password") == "x"
    assert configuration.notices == ()


@pytest.mark.parametrize("environ", [{}, {"X": ""}])
def test_a_root_that_does_not_apply_is_marked_inside(environ):
    assert ("does not hold" in document("<a require_env='X'/>", environ).dump()) is (not environ)


@pytest.mark.parametrize(
    "name",
    ["key", "password", "API_TOKEN", "hmacKey1", "client-secret", "apikey", "SECRETS", "db.passwd", "passphrase"],
)
def test_names_that_sound_secret(name):
    assert sounds_secret(name)


@pytest.mark.parametrize(
    "name", ["key_file", "certificate_file", "keyed", "port", "", "1", "tokenizer", "passes", "token-path"]
)
def test_names_that_do_not(name):
    assert not sounds_secret(name)


@given(st.text("abcXYZ <>&'\"é{}:*", max_size=20))
def test_every_dump_is_a_document_with_the_same_text(text):
    root = etree.Element("a", b=text)
    etree.SubElement(root, "c").text = text
    configuration = Configuration.parse(etree.tostring(root), environ={})
    dumped = Configuration.parse(configuration.document().dump(), environ={})
    assert dumped.root.string("b") == configuration.root.string("b")
    assert dumped.section("c").text == configuration.section("c").text
