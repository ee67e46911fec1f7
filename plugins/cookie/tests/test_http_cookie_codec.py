"""The cookie, byte for byte: against an implementation of the format that shares nothing with ours, and a vector."""

import hashlib
import hmac
import struct
from urllib.parse import unquote_to_bytes

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mtev_http_cookie import CookieError, Login, decode, encode

KEY = bytes(range(32))
NONCE = bytes(range(0xA0, 0xA8))
USERS = st.text(st.characters(exclude_categories=("C", "Z")), min_size=1, max_size=60)
AUTHS = st.text(st.characters(exclude_categories=("C", "Z")), max_size=60)
EXPIRIES = st.integers(1, 2**63)

UNRESERVED = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_.~"


def written(user, auth, expiry, key=KEY, nonce=NONCE):
    """What a node of libmtev writes, put together from the description of the format."""
    message = b""
    for field in (b"hmac_cookie", nonce, user.encode(), auth.encode(), str(expiry).encode()):
        message += struct.pack("B", len(field)) + field
    inner = hashlib.sha256(bytes(each ^ 0x36 for each in key.ljust(64, b"\0")) + message).digest()
    outer = hashlib.sha256(bytes(each ^ 0x5C for each in key.ljust(64, b"\0")) + inner).digest()
    return "".join(chr(each) if each in UNRESERVED else f"%{each:02X}" for each in message + b"\x20" + outer)


def read(text, key, now):
    """What a node of libmtev makes of a cookie: user and auth, or None."""
    raw, at = b"", 0
    while at < len(text):
        if text[at] == "%":
            raw, at = raw + bytes.fromhex(text[at + 1 : at + 3]), at + 3
        else:
            raw, at = raw + text[at].encode(), at + 1
    fields, at = [], 0
    for _ in range(5):
        fields.append(raw[at + 1 : at + 1 + raw[at]])
        at += 1 + raw[at]
    signature = raw[at + 1 : at + 1 + raw[at]]
    assert fields[0] == b"hmac_cookie"
    assert len(fields[1]) == 8
    if int(fields[4]) > now and hmac.new(key, raw[:at], "sha256").digest() == signature:
        return fields[2].decode(), fields[3].decode()
    return None


# made with printf and `openssl dgst -sha256 -mac HMAC`
VECTOR = bytes.fromhex(
    "0b686d61635f636f6f6b696508a0a1a2a3a4a5a6a706616e6e2fc3a90b686d61635f636f6f6b69650a34"
    "313032343434383030207e39bf9435b2db410f571b65ce35180f187584013d3fad6c2c8c347bb0d25c07"
)


def test_the_vector_is_written_and_read():
    text = encode(Login("ann/é", "hmac_cookie", 4102444800), KEY, NONCE)
    assert text.startswith("%0Bhmac_cookie%08%A0%A1%A2%A3%A4%A5%A6%A7%06ann%2F%C3%A9%0Bhmac_cookie%0A4102444800%20")
    raw = bytearray()
    at = 0
    while at < len(text):
        step = 3 if text[at] == "%" else 1
        raw += bytes.fromhex(text[at + 1 : at + 3]) if step == 3 else text[at].encode()
        at += step
    assert bytes(raw) == VECTOR
    assert decode(text, KEY, 4102444799) == Login("ann/é", "hmac_cookie", 4102444800)


@given(USERS, AUTHS, EXPIRIES, st.binary(min_size=8, max_size=8))
def test_we_write_what_libmtev_writes(user, auth, expiry, nonce):
    assert encode(Login(user, auth, expiry), KEY, nonce) == written(user, auth, expiry, nonce=nonce)


@given(USERS, AUTHS, EXPIRIES)
def test_each_reads_what_the_other_writes(user, auth, expiry):
    login = Login(user, auth, expiry)
    assert decode(written(user, auth, expiry), KEY, expiry - 1) == login
    assert read(encode(login, KEY), KEY, expiry - 1) == (user, auth)
    assert decode(encode(login, KEY), KEY, expiry - 1) == login


@given(USERS, EXPIRIES, st.integers(0, 1000), st.characters(min_codepoint=33, max_codepoint=126))
def test_not_a_bit_of_it_can_be_changed(user, expiry, at, letter):
    text = encode(Login(user, "x", expiry), KEY, NONCE)
    at %= len(text)
    changed = text[:at] + letter + text[at + 1 :]
    if unquote_to_bytes(changed) == unquote_to_bytes(text):  # another spelling, such as %c3 for %C3
        return
    with pytest.raises(CookieError):
        decode(changed, KEY, 0)


@given(USERS, EXPIRIES, st.integers(0, 500))
def test_no_part_of_it_is_one(user, expiry, length):
    text = encode(Login(user, "x", expiry), KEY)
    for part in (text[:length], text[length:]):
        if part != text:
            with pytest.raises(CookieError):
                decode(part, KEY, 0)
    with pytest.raises(CookieError):
        decode(text + "x", KEY, 0)


@given(st.text(max_size=300) | st.text(st.sampled_from("%0123456789ABCDEFabc~"), max_size=300))
def test_whatever_comes_is_refused_without_an_accident(text):
    with pytest.raises(CookieError) as caught:
        decode(text, KEY, 0)
    assert len(text) < 20 or text not in str(caught.value)


def test_another_key_and_another_time_are_told_apart():
    text = encode(Login("ann", "x", 1000), KEY)
    with pytest.raises(CookieError, match="signature"):
        decode(text, b"k" * 32, 0)
    with pytest.raises(CookieError, match="expired"):
        decode(text, KEY, 1000)
    assert decode(text, KEY, 999.9).user == "ann"


def signed(*fields):
    """Something that is signed with our key, and no cookie."""
    message = b"".join(bytes([len(field)]) + field for field in fields)
    raw = message + b"\x20" + hmac.new(KEY, message, "sha256").digest()
    return "".join(f"%{each:02X}" for each in raw)


@pytest.mark.parametrize(
    "fields",
    [
        (b"hmac_Cookie", NONCE, b"ann", b"x", b"1000"),
        (b"hmac_cookie", NONCE, b"", b"x", b"1000"),
        (b"hmac_cookie", NONCE, b"a\0b", b"x", b"1000"),
        (b"hmac_cookie", NONCE, b"\xff", b"x", b"1000"),
        (b"hmac_cookie", NONCE, b"ann", b"x\n", b"1000"),
        (b"hmac_cookie", NONCE, b"ann", b"x", b"-1"),
        (b"hmac_cookie", NONCE, b"ann", b"x", b""),
        (b"hmac_cookie", NONCE, b"ann", b"x", b"1e9"),
        (b"hmac_cookie", NONCE, b"ann", b"x"),
        (b"hmac_cookie", NONCE, b"ann", b"x", b"1000", b"more"),
    ],
)
def test_a_signature_alone_makes_no_cookie(fields):
    with pytest.raises(CookieError):
        decode(signed(*fields), KEY, 0)


@pytest.mark.parametrize(
    "login",
    [Login("", "x", 1), Login("a" * 256, "x", 1), Login("a\n", "x", 1), Login("a", "x" * 256, 1), Login("a", "x", -1)],
)
def test_what_fits_no_cookie_is_refused(login):
    with pytest.raises(ValueError, match="255"):
        encode(login, KEY)


def test_two_cookies_of_a_user_are_different():
    assert encode(Login("ann", "x", 1000), KEY) != encode(Login("ann", "x", 1000), KEY)
