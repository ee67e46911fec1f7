"""Hashes of passwords: what they accept, what is refused, and that the format is everybody's."""

import base64
import hashlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mtev_http_auth import HashError, hash_password
from mtev_http_auth.hashes import ScryptHash, parse_hash


def b64(raw):
    return base64.b64encode(raw).decode().rstrip("=")


def cheap(password="secret", salt=b"0123456789abcdef", ln=14, length=32):
    """A hash that is made here, by the definition of the format."""
    digest = hashlib.scrypt(password.encode(), salt=salt, n=1 << ln, r=1, p=1, dklen=length)
    return f"$scrypt$ln={ln},r=1,p=1${b64(salt)}${b64(digest)}"


def test_a_password_fits_its_hash_and_no_other_does():
    text = hash_password("correct horse ü")
    assert text.startswith("$scrypt$ln=15,r=8,p=3$")
    parsed = parse_hash(text)
    assert parsed.verify("correct horse ü")
    assert not parsed.verify("correct horse")
    assert str(parsed) == text


def test_two_hashes_of_a_password_are_different():
    assert hash_password("x") != hash_password("x")


@given(st.text(min_size=1, max_size=40), st.text(min_size=1, max_size=40))
@settings(max_examples=20)
def test_what_others_write_in_this_format_is_verified(password, other):
    try:
        text = cheap(password)
    except UnicodeEncodeError:
        return
    assert parse_hash(text).verify(password)
    assert parse_hash(text).verify(other) == (other == password)


@given(st.binary(min_size=8, max_size=64), st.binary(min_size=16, max_size=64), st.integers(14, 18))
def test_a_hash_is_read_as_it_is_written(salt, digest, ln):
    made = ScryptHash(ln, 8, 1, salt, digest)
    assert parse_hash(str(made)) == made


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("{SHA}fEqNCco3Yq9h5ZUglD3CZJT4lBs=", "{SHA}"),
        ("{SSHA}abcdefgh", "{SSHA}"),
        ("$apr1$salt$abcdefghijklmnopqrstuv", "Apache's MD5"),
        ("$1$salt$abcdefghijklmnopqrstuv", "MD5"),
        ("$2y$05$abcdefghijklmnopqrstuv", "bcrypt"),
        ("$5$salt$abc", "SHA-2"),
        ("$6$salt$abc", "SHA-2"),
        ("$y$j9T$abc", "yescrypt"),
        ("{CRYPT}abc", "braces"),
        ("rqXexS6ZhobKA", "DES"),
    ],
)
def test_a_weak_scheme_is_refused_by_name_and_not_shown(text, named):
    with pytest.raises(HashError) as caught:
        parse_hash(text)
    assert named in str(caught.value)
    assert "mtev-http-auth hash" in str(caught.value)
    assert text not in str(caught.value)


@pytest.mark.parametrize(
    "text",
    ["", "secret", "$scrypt$", "$scrypt$ln=15,r=8,p=1$a", "$argon2id$", "$scrypt$ln=15,r=8,p=1$AA$AA", "x" * 600]
    + [
        f"$scrypt$ln={ln},r={r},p={p}${'A' * 22}${'A' * 43}"
        for ln, r, p in ((13, 8, 1), (21, 8, 1), (20, 8, 1), (15, 0, 1), (15, 33, 1), (15, 8, 17))
    ]
    + [f"$argon2id$v=19$m={m},t=1,p=1${'A' * 22}${'A' * 43}" for m in (1024, 99999999)]
    + [f"$argon2i$v=19$m=65536,t=3,p=4${'A' * 22}${'A' * 43}", f"$scrypt$ln=15,r=8,p=1${'A' * 21}${'A' * 43}"],
)
def test_what_is_malformed_or_costs_too_little_or_too_much_is_refused(text):
    with pytest.raises(HashError):
        parse_hash(text)


@given(st.text(max_size=200))
def test_nothing_but_a_hash_is_taken_for_one(text):
    try:
        parsed = parse_hash(text)
    except HashError as error:
        assert len(text) < 12 or text not in str(error)
    else:
        assert str(parsed) == text


def test_a_decoy_costs_as_much_and_fits_nobody():
    known = parse_hash(cheap())
    decoy = known.decoy()
    assert decoy.cost == known.cost
    assert not decoy.verify("secret")
    assert str(decoy) != str(known)


@pytest.mark.parametrize("password", ["", "x" * 1025])
def test_a_password_has_a_length(password):
    with pytest.raises(HashError):
        hash_password(password)


def test_an_unknown_scheme_is_refused():
    with pytest.raises(HashError, match="scrypt or argon2id"):
        hash_password("x", "md5")


def test_argon2id_where_it_is_installed():
    pytest.importorskip("argon2", reason="argon2-cffi is an extra")
    parsed = parse_hash(hash_password("secret", "argon2id"))
    assert parsed.scheme == "argon2id"
    assert parsed.verify("secret")
    assert not parsed.verify("Secret")
    assert not parsed.decoy().verify("secret")
    assert parsed.decoy().cost == parsed.cost


def test_without_argon2_it_is_said_what_to_install(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "argon2", None)
    with pytest.raises(HashError, match="pip install 'mtev-http-auth"):
        parse_hash(f"$argon2id$v=19$m=65536,t=3,p=4${'A' * 22}${'A' * 43}")


def test_no_hash_is_shown_by_accident():
    assert "$" not in repr(parse_hash(cheap()))
