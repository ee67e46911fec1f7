"""The document as the kernel sees it: stanzas, claims, modules, dump."""

from __future__ import annotations

import pytest
from lxml import etree

from mtev_conf import Configuration
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


@pytest.fixture
def files(tmp_path):
    def write(**texts):
        for name, text in texts.items():
            (tmp_path / f"{name}.conf").write_text(text)
        return Configuration.load(str(tmp_path / "app.conf"), {}).document()

    return write


def places(found, folder):
    return [(each.name, each.where.removeprefix(f"{folder}/")) for each in found]


def test_what_includes_bring_in_below_the_root_is_at_the_top(files, tmp_path):
    found = files(
        app="""<app>
          <first/>
          <include file="a.conf"/>
          <include file="none.conf" require_env="NOPE"/>
          <include><inline/></include>
          <last><include file="deep.conf"/></last></app>""",
        a="<a>\n<logs/><!-- c --><include file='b.conf' snippet='true'/><off require_env='NOPE'/>\n<rest/></a>",
        b="<eventer/>\n<logs/>",
        deep="<deep><rest/></deep>",
    )
    assert places(found.stanzas(), tmp_path) == [
        ("first", "app.conf:2"),
        ("logs", "a.conf:2"),
        ("eventer", "b.conf:1"),
        ("logs", "b.conf:2"),
        ("rest", "a.conf:3"),
        ("last", "app.conf:6"),
    ]
    assert found.find("eventer") == f"{tmp_path}/b.conf:1"
    assert found.find("rest") == f"{tmp_path}/a.conf:3"
    assert found.find("off") is None
    assert found.find("deep") is None
    assert found.find("last//rest") == f"{tmp_path}/deep.conf:1"


def test_a_dropped_root_that_does_not_apply_takes_its_content_along(files, tmp_path):
    found = files(app="<app><include file='a.conf'/><b/></app>", a="<a require_env='NOPE'><logs/></a>")
    assert places(found.stanzas(), tmp_path) == [("b", "app.conf:1")]
    assert found.find("logs") is None


def test_modules_inherit_from_the_roots_of_included_files(files):
    found = files(
        app="""<app start-timeout="1" stop-timeout="1" backingstore="/nowhere/store">
          <include file="a.conf" readonly="true" load-timeout="2"/></app>""",
        a="""<a start-timeout="{{ENV:3:{X}}}" on-error="ignore"><modules file="own">
          <generic image="i" name="n"><include file="options.conf"/></generic></modules></a>""",
        options="<options x='4'><config><port>1</port></config></options>",
    )
    (module,) = found.modules()
    assert module.config == {"port": "1"}
    assert module.on_error == "ignore"
    assert module.attributes == {"start-timeout": "3", "stop-timeout": "1", "load-timeout": "2", "file": "own"}


def test_a_value_that_cannot_be_read_is_one_problem_among_others(tmp_path):
    text = f"""<a><modules>
      <generic image="{{{{FILE::{{{tmp_path}}}}}}}" name="n"/>
      <generic image="i" name="n" start-timeout="{{{{FILE::{{{tmp_path}}}}}}}"/>
      <generic name="m"/></modules></a>"""
    with pytest.raises(ConfigurationError) as caught:
        document(text).modules()
    message = str(caught.value)
    assert f"app.conf:2: <generic>: FILE: '{tmp_path}' is not a regular file" in message
    assert f"app.conf:3: <generic>: FILE: '{tmp_path}' is not a regular file" in message
    assert "app.conf:4: <generic>: image is missing" in message


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
    assert "  <!-- <off>: its require_env does not hold -->\n  <off require_env=" in text
    root = etree.fromstring(text)
    assert [each.tag for each in root.iter(etree.Element)] == [
        each.tag for each in etree.fromstring(SECRETS).iter(etree.Element)
    ]


def test_the_dump_leaves_the_document_as_it_is():
    configuration = Configuration.parse("<a password='x'><!-- c --></a>", environ={})
    assert configuration.document().dump().splitlines()[1:] == ['<a password="***"/> <!-- <string>:1 -->']
    assert configuration.root.string("password") == "x"
    assert configuration.notices == ()
