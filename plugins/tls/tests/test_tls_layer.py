"""The grammar of layers: there is always a least version, and nothing is guessed."""

from __future__ import annotations

import ssl
from ssl import TLSVersion

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mtev_tls import Layer, parse_layer
from mtev_tls.layer import DEFAULT_LAYER, VERSIONS

words = st.sampled_from(
    [sign + name for sign in ("", "!", ">=", "<=", "=") for name in VERSIONS]
    + ["all", "!all", "!sslv2", "!sslv3", "cipher_server_preference", "", " "]
)


@pytest.mark.parametrize("text", [DEFAULT_LAYER, "tlsv1.2", "tlsv1", "sslv23", "", "tlsv1:all", ":", "x:,,"])
def test_the_least_version_is_tls_1_2_where_none_is_stated(text):
    layer = parse_layer(text)
    assert (layer.minimum, layer.maximum) == (TLSVersion.TLSv1_2, TLSVersion.MAXIMUM_SUPPORTED)
    assert layer.warnings == ()


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("x:>=TLSv1.3", Layer(TLSVersion.TLSv1_3)),
        ("x:=tlsv1.2", Layer(TLSVersion.TLSv1_2, TLSVersion.TLSv1_2)),
        ("x:<=tlsv1.2", Layer(TLSVersion.TLSv1_2, TLSVersion.TLSv1_2)),
        ("x:!tlsv1.2", Layer(TLSVersion.TLSv1_3)),
        ("x:!tlsv1.3", Layer(maximum=TLSVersion.TLSv1_2)),
        ("x:>=tlsv1.1,!tlsv1.2", Layer(TLSVersion.TLSv1_1, switched_off=ssl.OP_NO_TLSv1_2)),
        ("x:!tlsv1.2,TLSV1.2", Layer()),
        ("x:all", Layer(workarounds=True)),
        ("x:all,!all", Layer()),
        ("x: Cipher_Server_Preference ", Layer(server_preference=True)),
        ("x:>=tlsv1,>=tlsv1.3", Layer(TLSVersion.TLSv1_3)),
        ("x:!sslv3,!sslv2", Layer()),
    ],
)
def test_options(text, expected):
    assert parse_layer(text) == expected


@pytest.mark.parametrize("text", ["x:>=tlsv1", "x:=tlsv1.1", "x:>=tlsv1.1,!tlsv1.3"])
def test_a_broken_version_has_to_be_said_and_is_warned_of(text):
    layer = parse_layer(text)
    assert layer.minimum < TLSVersion.TLSv1_2
    assert "broken" in layer.warnings[0]


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("x:>=tls1.2", "'tls1.2' is no version; expected one of tlsv1, tlsv1.1, tlsv1.2, tlsv1.3"),
        ("x:>=sslv3", "sslv3 is broken"),
        ("x:sslv3", "sslv3 is broken"),
        ("x:cipher_server_prefrence", "did you mean 'cipher_server_preference'"),
        ("x:zzz", "expected versions"),
        ("x:<=tlsv1.1", "leaves no version of TLS to speak .the least version is TLS 1.2"),
        ("x:!tlsv1.2,!tlsv1.3", "leaves no version"),
        ("x:>=tlsv1.3,<=tlsv1.2", "leaves no version"),
    ],
)
def test_what_means_nothing_is_refused(text, reason):
    with pytest.raises(ValueError, match=reason):
        parse_layer(text)


@given(st.lists(words, max_size=6))
def test_whatever_is_said_there_is_a_least_version_and_it_is_safe_unless_warned_of(said):
    try:
        layer = parse_layer("x:" + ",".join(said))
    except ValueError as error:
        assert str(error)
        return
    assert layer.minimum in VERSIONS.values()
    assert (layer.minimum < TLSVersion.TLSv1_2) == bool(layer.warnings)
    if layer.minimum < TLSVersion.TLSv1_2:
        assert any(word.startswith((">=", "=")) for word in said)
    assert not layer.switched_off & ~(ssl.OP_NO_TLSv1_1 | ssl.OP_NO_TLSv1_2)
