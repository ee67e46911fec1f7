"""What may be written as an address, and how addresses are shown."""

import ipaddress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mtev_listener._address import TcpAddress, UnixAddress, endpoint_of, parse_address, show_endpoint


@pytest.mark.parametrize(
    ("text", "host"),
    [
        ("127.0.0.1", "127.0.0.1"),
        ("::1", "::1"),
        ("0:0:0:0:0:0:0:1", "::1"),
        ("*", "0.0.0.0"),
        ("inet:*", "0.0.0.0"),
        ("inet6:*", "::"),
    ],
)
def test_addresses_as_libmtev_reads_them(text, host):
    assert parse_address(text, 80) == TcpAddress(host, 80)


def test_a_leading_slash_means_a_unix_socket_which_needs_no_port():
    assert parse_address("/run/x.sock", None) == UnixAddress("/run/x.sock", 0o600)


@pytest.mark.parametrize("text", ["localhost", "", "127.1", "256.0.0.1", "[::1]", "inet4:*", "run/x.sock", "::1/64"])
def test_what_is_no_address_is_refused_and_says_that_names_are_not_looked_up(text):
    with pytest.raises(ValueError, match="host names are not looked up"):
        parse_address(text, 80)


def test_an_at_sign_means_an_abstract_socket():
    address = parse_address("@app/console", None)
    assert (address, address.abstract, address.name) == (UnixAddress("@app/console"), True, "\0app/console")
    assert (UnixAddress("/x").abstract, UnixAddress("/x").name) == (False, "/x")
    with pytest.raises(ValueError, match="cannot be the path"):
        parse_address("@", None)


def test_a_port_is_needed_unless_it_is_a_unix_socket():
    with pytest.raises(ValueError, match="'port' is required"):
        parse_address("127.0.0.1", None)


def test_a_path_that_the_system_cannot_hold_is_refused_with_the_limit():
    with pytest.raises(ValueError, match="107 bytes"):
        parse_address("/" + "é" * 54, None)


@pytest.mark.parametrize("path", ["/run/", "/"])
def test_a_directory_is_no_socket(path):
    with pytest.raises(ValueError, match="cannot be the path"):
        parse_address(path, None)


@given(st.ip_addresses(), st.integers(0, 65535))
def test_every_literal_is_accepted_and_means_itself(address, port):
    parsed = parse_address(str(address), port)
    assert isinstance(parsed, TcpAddress)
    assert ipaddress.ip_address(parsed.host) == address
    assert str(parsed).endswith(f":{port}")


@given(st.ip_addresses(v=4), st.integers(0, 65535))
def test_ipv4_mapped_into_ipv6_is_shown_as_ipv4(address, port):
    assert endpoint_of((f"::ffff:{address}", port, 0, 0)) == (str(address), port)


@pytest.mark.parametrize(
    ("reported", "shown"),
    [
        (("10.0.0.1", 80), "10.0.0.1:80"),
        (("fe80::1%eth0", 80, 0, 2), "[fe80::1%eth0]:80"),
        ("/run/x.sock", "/run/x.sock"),
        ("", "unnamed"),
        (b"\0abstract", "@abstract"),
        (None, "unnamed"),
    ],
)
def test_endpoints_are_shown_as_people_write_them(reported, shown):
    assert show_endpoint(endpoint_of(reported)) == shown
