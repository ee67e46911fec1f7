"""The stanza as plain data: inheritance, defaults, and every complaint at once, each with its place."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mtev_conf import Configuration
from mtev_kernel import ConfigurationError
from mtev_listener._address import TcpAddress, UnixAddress
from mtev_listener._settings import DEFAULT_BACKLOG, read_listeners


def read(listeners, **environ):
    return read_listeners(Configuration.parse(f"<app>\n{listeners}\n</app>", "app.conf", environ))


def one(listeners, **environ):
    reading = read(listeners, **environ)
    assert [str(each) for each in reading.problems] == []
    (settings,) = reading.listeners
    return settings


def complaints(listeners):
    reading = read(listeners)
    return [str(each) for each in reading.problems]


def test_a_bare_listener_gets_safe_defaults():
    settings = one('<listeners><listener type="echo" port="8080"/></listeners>')
    assert settings.address == TcpAddress("127.0.0.1", 8080)
    assert settings.backlog == DEFAULT_BACKLOG > 5
    assert (settings.no_delay, settings.idle_timeout_s, settings.fanout, settings.fanout_pool) == (True, 0, "", "")
    assert settings.max_connections > 0
    assert settings.command_timeout_s == 10
    assert settings.where == "app.conf:2"


def test_containers_hand_attributes_and_config_down_and_the_nearest_counts():
    settings = one(
        """<listeners address="*" backlog="9" port="1">
             <config><a>outer</a><b>outer</b><idle_timeout>1500</idle_timeout></config>
             <web port="2" type="echo">
               <config><b>inner</b></config>
               <listener port="3"/>
             </web>
           </listeners>"""
    )
    assert settings.type == "echo"
    assert settings.address == TcpAddress("0.0.0.0", 3)
    assert settings.backlog == 9
    assert settings.idle_timeout_s == 1.5
    assert settings.config == {"a": "outer", "b": "inner", "idle_timeout": "1500"}


def test_listeners_come_in_document_order_also_from_includes():
    reading = read(
        """<listeners><a><listener type="x" port="1"/></a><listener type="x" port="2"/></listeners>
           <include><listeners><listener type="x" port="3"/></listeners></include>"""
    )
    assert [each.address.port for each in reading.listeners] == [1, 2, 3]


def test_require_env_switches_listeners_off_before_anything_about_them_is_judged():
    xml = '<listeners require_env="WEB"><listener nonsense="1" port="x"/></listeners>'
    assert read(xml).problems == []
    assert read(xml).listeners == []
    assert read(xml, WEB="1").problems


def test_all_keys_are_read():
    settings = one(
        """<listeners><listener type="x" address="/run/x.sock" mode="0660" fanout_pool="web" accept_thread="off">
             <config><no_delay>off</no_delay><idle_timeout>250</idle_timeout><max_connections>7</max_connections>
             <command_timeout>100</command_timeout></config></listener></listeners>"""
    )
    assert settings.address == UnixAddress("/run/x.sock", 0o660)
    assert (settings.no_delay, settings.idle_timeout_s, settings.max_connections) == (False, 0.25, 7)
    assert settings.command_timeout_s == 0.1
    assert settings.fanout_pool == "web"
    assert settings.fanout, "naming a pool is enough (libmtev)"


def test_everything_wrong_is_reported_at_once_with_its_place():
    found = complaints(
        """<listeners>
             <listener port="80"/>
             <listener type="x" port="99999" address="localhost" backlog="none" fanout="perhaps" mode="9"/>
             <listener type="x" port="1"><config>
               <idle_timeout>soon</idle_timeout><no_delay>?</no_delay></config></listener>
           </listeners>"""
    )
    assert all(each.startswith("app.conf:") for each in found)
    for number, word in [(3, "type"), (4, "port"), (4, "localhost"), (4, "backlog"), (4, "fanout"), (4, "mode")]:
        assert any(each.startswith(f"app.conf:{number}: ") and word in each for each in found), (number, word, found)
    assert any("idle_timeout" in each and "soon" in each for each in found)
    assert any("no_delay" in each for each in found)
    text = str(ConfigurationError.combined(read("<listeners><listener port='x'/></listeners>").problems))
    assert len(text.splitlines()) == 3


def test_a_fault_on_a_container_is_reported_once_however_many_inherit_it():
    found = complaints(
        '<listeners backlog="many"><listener type="x" port="1"/><listener type="x" port="2"/></listeners>'
    )
    assert len(found) == 1


@pytest.mark.parametrize("port", ["-1", "65536", "http", ""])
def test_bad_ports_are_refused(port):
    (found,) = complaints(f'<listeners><listener type="x" port="{port}"/></listeners>')
    assert found.startswith("app.conf:2: <listener>: port: ")


def test_a_port_is_required_for_tcp_and_zero_means_any():
    (found,) = complaints('<listeners><listener type="x"/></listeners>')
    assert "'port' is required" in found
    assert one('<listeners><listener type="x" port="0"/></listeners>').address.port == 0


def test_ssl_never_becomes_plaintext():
    found = complaints('<listeners ssl="on"><listener type="x" port="1"/>\n<listener type="y" port="2"/></listeners>')
    assert len(found) == 2
    assert all("there is no <certificate>" in each for each in found)
    assert one('<listeners ssl="on"><listener type="x" port="1" ssl="off"/></listeners>')


def test_two_listeners_on_one_address_are_found_before_anything_is_bound():
    (found,) = complaints('<listeners>\n<listener type="x" port="1"/>\n<listener type="y" port="1"/></listeners>')
    assert found.startswith("app.conf:4: ")
    assert "app.conf:3" in found
    assert complaints('<listeners><listener type="x" port="0"/><listener type="x" port="0"/></listeners>') == []
    (found,) = complaints(
        '<listeners>\n<listener type="x" address="/x"/>\n<listener type="y" address="/x" mode="0666"/></listeners>'
    )
    assert "/x" in found


def test_a_misspelt_attribute_is_refused_with_the_right_one():
    (found,) = complaints('<listeners><listener type="x" port="1" adress="*"/></listeners>')
    assert "did you mean 'address'?" in found


def test_attributes_that_mean_nothing_are_told_and_tolerated():
    reading = read('<listeners><listener type="x" port="1" colour="red"/></listeners>')
    assert len(reading.listeners) == 1
    assert "colour" in reading.warnings[0]
    reading = read('<listeners idle_timeout="5"><listener type="x" port="1"/></listeners>')
    assert reading.listeners[0].idle_timeout_s == 0
    assert "<config><idle_timeout>" in reading.warnings[0]


def test_values_may_come_from_the_environment():
    assert one('<listeners><listener type="x" port="ENV:1:{PORT}"/></listeners>', PORT="77").address.port == 77


@given(
    st.dictionaries(
        st.sampled_from(
            ["type", "address", "port", "backlog", "mode", "fanout", "fanout_pool", "ssl", "accept_thread"]
        ),
        st.text(st.characters(min_codepoint=32, max_codepoint=0x2FF, exclude_characters='"<&'), max_size=12),
    ),
    st.dictionaries(
        st.sampled_from(["idle_timeout", "no_delay", "max_connections", "command_timeout", "other"]),
        st.text(st.characters(min_codepoint=32, max_codepoint=0x2FF, exclude_characters="<&"), max_size=12),
    ),
)
def test_whatever_is_written_there_is_a_listener_or_a_complaint_and_never_a_traceback(attributes, config):
    text = " ".join(f'{name}="{value}"' for name, value in attributes.items())
    keys = "".join(f"<{key}>{value.replace(chr(62), '')}</{key}>" for key, value in config.items())
    reading = read(f"<listeners><listener {text}><config>{keys}</config></listener></listeners>")
    assert bool(reading.listeners) != bool(reading.problems)
    assert all(str(each).startswith("app.conf:2") for each in reading.problems)
