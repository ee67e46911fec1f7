"""What a `<log>` may say, and what is said about the rest."""

from __future__ import annotations

import pytest

from mtev_kernel import ConfigurationError
from mtev_log import BackendSettings
from mtev_log_syslog import JournaldBackend, SyslogBackend
from mtev_log_syslog.address import parse_address
from mtev_log_syslog.options import read_options


def settings(path="", type="syslog", format="plain", **config):
    return BackendSettings("x", type=type, path=path, format=format, config=config, own=frozenset(config))


@pytest.mark.parametrize(
    ("path", "shown"),
    [
        ("", "unix:/dev/log"), ("/run/x", "unix:/run/x"), ("unix:/run/x", "unix:/run/x"), ("udp://a", "udp://a:514"),
        ("tcp://a.b.", "tcp://a.b.:601"), ("TLS://[::1]", "tls://[::1]:6514"),
        ("udp://[fe80::1%eth0]:1", "udp://[fe80::1%eth0]:1"),
        ("tcp://127.0.0.1:65535/", "tcp://127.0.0.1:65535"),
    ],
)  # fmt: skip
def test_addresses(path, shown):
    assert str(parse_address(path)) == shown


@pytest.mark.parametrize(
    "path",
    [
        "x", "unix:x", "unix:///x", "http://a", "udp://", "udp://a:0", "udp://a:65536", "udp://::1",
        "udp://[::g]", "tcp://a b",
        "tcp://-a", "tcp://a..b", "tcp://1.2.3", "tcp://a:x", "tcp://a/b", "/" + "x" * 200, "tcp://" + "a" * 64, "udp://ä",
    ],
)  # fmt: skip
def test_addresses_that_are_none(path):
    with pytest.raises(ConfigurationError, match=r"<log>: 'x': path='.*': .*(expected|has at most|is no IPv)"):
        SyslogBackend(settings(path))


@pytest.mark.parametrize(
    ("path", "config", "message"),
    [
        ("", {"facility": "x"}, "facility='x': there is no facility 'x'; expected 0 to 23, or kern"),
        ("", {"severity": "8"}, "severity='8': there is no severity '8'; expected 0 to 7, or emerg"),
        ("", {"app_name": "a b"}, "app_name='a b': expected 1 to 48 visible ASCII"),
        ("", {"hostname": "ä"}, "hostname='ä': expected 1 to 255"),
        ("udp://a", {"sd_id": "x"}, "sd_id='x': expected name@number"),
        ("udp://a", {"rfc": "1"}, "rfc='1': '1' is none of 5424, 3164"),
        ("tcp://a", {"framing": "x"}, "framing='x': 'x' is none of octet-counting, newline"),
        ("udp://a", {"framing": "newline"}, "the option 'framing' is for tcp, tls and local sockets only"),
        ("udp://a", {"max_bytes": "479"}, "max_bytes='479'"),
        ("udp://a", {"max_bytes": "65508"}, "max_bytes='65508'"),
        ("udp://a", {"bom": "x"}, "bom='x': 'x' is not a boolean"),
        ("", {"bom": "on"}, "the option 'bom' is for rfc='5424' only"),
        ("", {"connect_timeout": "1s"}, "the option 'connect_timeout' is for receivers on the network only"),
        ("tcp://a", {"connect_timeout": "0s"}, "connect_timeout='0s': expected 10ms to 60s"),
        ("tcp://a", {"write_timeout": "2min"}, "write_timeout='2min': expected 10ms to 60s"),
        ("tcp://a", {"ca_chain": "/x"}, "the option 'ca_chain' is for path='tls://...' only"),
        ("tls://a", {"key_file": "/x"}, "key_file is of no use without certificate_file"),
        ("tls://a", {"verify": "x"}, "verify='x'"),
        ("", {"facilty": "x"}, "has no option 'facilty' in <config>; did you mean 'facility'"),
    ],
)
def test_options_that_are_refused(path, config, message):
    with pytest.raises(ConfigurationError) as caught:
        SyslogBackend(settings(path, **config))
    assert message in str(caught.value)


def test_journald_options():
    assert JournaldBackend(settings(type="journald")).path == "/run/systemd/journal/socket"
    with pytest.raises(ConfigurationError, match="has no option 'rfc'"):
        JournaldBackend(settings(type="journald", rfc="3164"))
    with pytest.raises(ConfigurationError, match="path='udp://a': expected the absolute path"):
        JournaldBackend(settings("udp://a", type="journald"))


@pytest.mark.parametrize("kind", [SyslogBackend, JournaldBackend])
def test_a_format_that_is_no_text_is_refused(kind):
    with pytest.raises(ConfigurationError, match="takes text; format='flatbuffer' is none"):
        kind(settings(format="flatbuffer"))


def test_defaults_and_inherited_options():
    assert (read_options(settings()).rfc, read_options(settings()).framing) == ("3164", "newline")
    udp = read_options(
        BackendSettings("x", type="syslog", path="udp://a", config={"ca_chain": "/x", "framing": "newline"})
    )
    assert (udp.rfc, udp.max_bytes, udp.tls, udp.facility, udp.severity) == ("5424", 2048, None, 3, -1)
    tls = read_options(settings("tls://a.b.", sd_id="-", facility="local0", severity="debug"))
    assert (tls.tls.tls_name, tls.tls.verify, tls.sd_id, tls.facility, tls.severity) == ("a.b", True, "", 16, 7)
    assert (tls.max_bytes, tls.framing) == (8192, "octet-counting")
