"""Sections: attributes, inheritance, types, conditions, XPath, places."""

from __future__ import annotations

import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mtev_conf import Configuration
from mtev_kernel.errors import ConfigurationError

TEXT = """<example1 xmlns:m="example1://module/m" lockfile="/var/run/example1.lock">
  <listeners address="127.0.0.1" backlog="100" ssl="off">
    <listener type="mtev_console" port="ENV:32322:{CONSOLE_PORT}"/>
    <group require_env="!QUIET" port="8888">
      <listener type="http_rest_api" address="{{ENV:10.0.0.1:{ADDRESS}}}" rate="2.5" m:level="high"/>
      <listener require_env="MODE~^prod" type="control_dispatch" port="many" ssl="maybe"/>
    </group>
  </listeners>
  <note>a<b>b</b> {{ENV:c:{NOPE}}}</note>
</example1>"""


def parse(environ=None):
    return Configuration.parse(TEXT, "app.conf", environ or {})


def listeners(environ=None):
    return parse(environ).sections("listeners//listener")


def test_sections_are_found_relative_and_absolute_in_document_order():
    configuration = parse()
    expected = ["/example1/listeners[1]/listener[1]", "/example1/listeners[1]/group[1]/listener[1]"]
    expected.append("/example1/listeners[1]/group[1]/listener[2]")
    for xpath in ("listeners//listener", "/example1/listeners//listener", "//listener"):
        assert [each.path for each in configuration.sections(xpath)] == expected
    for section in configuration.sections("//*"):
        assert configuration.sections(section.path) == [section]
    assert [each.where for each in configuration.sections("//listener")] == ["app.conf:3", "app.conf:5", "app.conf:6"]


def test_section_is_the_last_match_or_none():
    configuration = parse()
    assert configuration.section("//listener").string("type") == "control_dispatch"
    assert configuration.section("watchdog") is None
    group = configuration.section("listeners/group")
    assert group.section("listener[1]").string("type") == "http_rest_api"
    assert group.sections("@port | text() | listener") == group.sections("listener")


def test_sections_take_variables():
    configuration = parse()
    hostile = "x' or '1'='1"
    assert configuration.sections("//listener[@type=$type]", type=hostile) == []
    assert len(configuration.sections("//listener[@type=$type]", type="http_rest_api")) == 1


@pytest.mark.parametrize("xpath", ["", "//[", "no:prefix", "count(//*)", "'text'", "$unbound", "*" * 3000])
def test_a_wrong_xpath_is_a_configuration_error(xpath):
    with pytest.raises(ConfigurationError):
        parse().sections(xpath)


def test_attributes_are_inherited_from_the_nearest_and_expanded():
    console, rest, _ = listeners()
    assert console.string("address") == "127.0.0.1"
    assert rest.string("address") == "10.0.0.1"
    assert listeners({"ADDRESS": "::1"})[1].string("address") == "::1"
    assert console.integer("port") == 32322
    assert listeners({"CONSOLE_PORT": "1"})[0].integer("port") == 1
    assert rest.integer("port") == 8888
    assert rest.string("lockfile") == "/var/run/example1.lock"
    assert rest.string("m:level") == "high"
    assert rest.boolean("ssl") is False
    assert rest.number("rate", minimum=0) == 2.5
    assert dict(rest.attributes) == {"type": "http_rest_api", "address": "10.0.0.1", "rate": "2.5", "m:level": "high"}


def test_missing_attributes_take_the_default_or_say_what_to_do():
    console = listeners()[0]
    assert console.optional("nope") is None
    assert console.string("nope", "x") == "x"
    assert console.string("nope", None) is None
    assert console.integer("nope", 7, maximum=5) == 7
    assert console.boolean("nope", True) is True
    with pytest.raises(
        ConfigurationError, match=r"^app.conf:3: <listener>: the attribute 'nope' is required; write it"
    ):
        console.integer("nope")


def test_an_empty_attribute_is_there():
    section = Configuration.parse("<a x='1'><b x=''/></a>").section("b")
    assert section.optional("x") == section.string("x", "default") == ""


def test_errors_stand_where_the_value_stands():
    last = listeners()[2]
    with pytest.raises(ConfigurationError, match=r"^app.conf:6: <listener>: port: 'many' is not an integer"):
        last.integer("port")
    with pytest.raises(ConfigurationError, match=r"^app.conf:6: <listener>: ssl: 'maybe' is not a boolean"):
        last.boolean("ssl", False)
    with pytest.raises(ConfigurationError, match=r"^app.conf:2: <listeners>: backlog: '100' is too large; at most 50"):
        last.integer("backlog", maximum=50)
    with pytest.raises(ConfigurationError, match=r"^app.conf:6: <listener>: type: 'control_dispatch' is none of a, b"):
        last.choice("type", ("a", "b"))
    error = last.error("is not served")
    assert (str(error), error.where) == ("app.conf:6: <listener>: is not served", "app.conf:6")


@pytest.mark.parametrize(
    ("environ", "enabled"),
    [
        ({}, [True, True, False]),
        ({"MODE": "production"}, [True, True, True]),
        ({"MODE": "production", "QUIET": ""}, [True, False, False]),
        ({"MODE": "xprod"}, [True, True, False]),
    ],
)
def test_every_level_is_judged_by_itself(environ, enabled):
    assert [each.enabled for each in listeners(environ)] == enabled


CONDITIONS = st.sampled_from(["A", "!A", "B", "!B", "A=1", "!A=1", "B~^1", "!B~^1", None])


@given(st.lists(CONDITIONS, min_size=1, max_size=5), st.dictionaries(st.sampled_from("AB"), st.sampled_from(["", "1"])))
def test_stacked_conditions_all_have_to_hold(stack, environ):
    def naive(condition):
        if condition is None:
            return True
        bare = condition.lstrip("!")
        met = environ.get(bare[0], "") == "1" if len(bare) > 1 else bare in environ
        return met != condition.startswith("!")

    opening = "".join("<n>" if each is None else f'<n require_env="{each}">' for each in stack)
    configuration = Configuration.parse(f"{opening}{'</n>' * len(stack)}", environ=environ)
    assert configuration.sections("//n")[-1].enabled is all(map(naive, stack))


def test_text_is_flattened_and_expanded():
    assert parse().section("note").text == "ab c"


def test_sections_are_equal_when_they_are_the_same_element():
    configuration = parse()
    assert configuration.section("listeners") == configuration.section("//listeners")
    assert len({configuration.root, configuration.root, configuration.section("note")}) == 2
    assert configuration.root != parse().root
    assert repr(configuration.section("note")) == "<Section /example1/note[1] at app.conf:9>"


def test_the_environment_is_the_one_at_the_time_of_reading(monkeypatch):
    monkeypatch.setenv("MTEV_CONF_TEST", "before")
    configuration = Configuration.parse("<a b='{{ENV::{MTEV_CONF_TEST}}}'/>")
    monkeypatch.setenv("MTEV_CONF_TEST", "after")
    assert configuration.root.string("b") == "before"


def test_notices_come_once_and_with_their_place():
    heard = []
    configuration = Configuration.parse("<a>\n<b c='{{hwloc:1:{cores}}}'/></a>", "x", {}, notice=heard.append)
    for _ in range(3):
        assert configuration.section("b").string("c") == "1"
    assert heard == list(configuration.notices)
    assert len(heard) == 1
    assert heard[0].startswith("x:2: '{{hwloc:")


def test_a_configuration_without_a_document_says_so():
    with pytest.raises(ConfigurationError, match="no configuration document has been opened"):
        Configuration().sections("a")
    assert Configuration().generation == 0


def test_adopting_swaps_the_document_and_leaves_old_sections_alone():
    configuration = Configuration.parse("<a b='1'/>", "one")
    old = configuration.root
    configuration.adopt(Configuration.parse("<a b='2'/>", "two"))
    assert (old.string("b"), old.where) == ("1", "one:1")
    assert (configuration.root.string("b"), configuration.path, configuration.generation) == ("2", "two", 2)


def test_readers_in_threads_always_see_one_whole_document():
    def document(number):
        return "<app>" + f"<n v='{number}'><config><k>{number}</k></config></n>" * 50 + "</app>"

    configuration = Configuration.parse(document(0))
    others = [Configuration.parse(document(number)) for number in (1, 2)]
    done = threading.Event()
    wrong = []

    def read():
        while not done.is_set():
            root = configuration.root
            seen = {each.string("v") for each in root.sections("n")} | {root.sections("n")[7].hash()["k"]}
            if len(seen) != 1:
                wrong.append(seen)

    readers = [threading.Thread(target=read) for _ in range(3)]
    for reader in readers:
        reader.start()
    for step in range(200):
        configuration.adopt(others[step % 2])
        assert len(configuration.sections("//n")) == 50
    done.set()
    for reader in readers:
        reader.join()
    assert wrong == []
    assert configuration.generation == 201
