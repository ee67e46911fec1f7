"""The stanza and its files: what is taken, and what is refused where."""

import hashlib

import pytest

from mtev_conf import Configuration
from mtev_http_auth.hashes import ScryptHash
from mtev_http_auth.settings import load, read_settings
from mtev_kernel import ConfigurationError

HASH = str(ScryptHash(14, 1, 1, b"0" * 16, b"1" * 32))
DIGEST = hashlib.sha256(b"abc").hexdigest()


@pytest.fixture
def read(tmp_path):
    def read(content, attributes=""):
        text = f"<app>\n<http_auth {attributes}>\n{content}\n</http_auth>\n</app>"
        return read_settings(Configuration.parse(text.encode(), str(tmp_path / "app.conf"), {}))

    return read


def test_everything_there_is(read, tmp_path):
    (tmp_path / "users").write_text(f"# people\n\nbob:{HASH}\n  eve : {HASH}\n")
    (tmp_path / "tokens").write_text(f"ci:{DIGEST} expires=2027-01-01\n")
    settings = read(
        f'<user name="ann" password="{HASH}"/><users file="users"/><token name="t" sha256="{"0" * 64}" auth="x"/>'
        '<tokens file="tokens"/><certificate/><certificate from="san" match="(a)" user="\\1" issuer="b"/>',
        'realm="r" plaintext="allow" cache_ttl_ms="0" attempts="3" attempt_period_ms="1500"',
    )
    assert (settings.realm, settings.plaintext, settings.cache_ttl_s) == ("r", True, 0.0)
    assert (settings.attempts, settings.attempt_period_s) == (3, 1.5)
    assert settings.takes_passwords
    assert settings.takes_tokens
    accounts, identities = load(settings)
    assert sorted(accounts.users) == ["ann", "bob", "eve"]
    assert accounts.tokens.find("abc").name == "ci"
    assert len(accounts.certificates) == 2
    assert len(identities) == 2
    assert None not in identities


def test_without_a_stanza_there_is_nobody():
    settings = read_settings(Configuration.parse(b"<app/>", "app.conf", {}))
    assert load(settings)[0].decoy is None
    assert not settings.takes_passwords


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ('<user name="ann"/>', "'password' is required"),
        (f'<user password="{HASH}"/>', "'name' is required"),
        ('<user name="ann" password="secret"/>', "no hash"),
        (f'<user name="a:b" password="{HASH}"/>', "no colon"),
        (f'<user name="ann" password="{HASH}" admin="1"/>', "'admin' is not known"),
        (f'<user name="ann" password="{HASH}"><x/></user>', "holds nothing"),
        ("<usr/>", "not known in <http_auth>"),
        ("<users/>", "'file' is required"),
        ('<token name="x" sha256="abc"/>', "64 hexadecimal"),
        (f'<token name="x" sha256="{DIGEST}" expires="soon"/>', "no time"),
        (f'<token name="x" sha256="{DIGEST}" auth="basic"/>', "something else"),
        ('<certificate from="dn"/>', "none of cn, san"),
        ('<certificate match="("/>', "not a regular expression"),
        ('<certificate user="root"/>', "every certificate would be that user"),
        ('<certificate from="subject"/>', "needs a match"),
        ('<certificate match="a" user="\\1"/>', "user="),
    ],
)
def test_what_is_not_understood_is_refused_with_its_place(read, content, said):
    with pytest.raises(ConfigurationError, match="app.conf:3: ") as caught:
        read(content)
    assert said in str(caught.value)
    assert HASH not in str(caught.value)
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize(
    "attributes",
    [
        'reallm="x"',
        'realm=""',
        'realm="ü"',
        'plaintext="yes"',
        'attempts="0"',
        'cache_ttl_ms="-1"',
        'attempt_period_ms="0"',
    ],
)
def test_an_attribute_that_cannot_be_meant_is_refused(read, attributes):
    with pytest.raises(ConfigurationError, match="app.conf:2: "):
        read("", attributes)


def test_there_is_one_stanza():
    text = b"<app><http_auth/><a><http_auth/></a></app>"
    with pytest.raises(ConfigurationError, match="write everything in one"):
        read_settings(Configuration.parse(text, "app.conf", {}))


def test_a_user_who_is_there_twice_is_refused_with_both_places(read, tmp_path):
    (tmp_path / "users").write_text(f"bob:{HASH}\nann:{HASH}\n")
    settings = read(f'<user name="ann" password="{HASH}"/>\n<users file="users"/>')
    with pytest.raises(ConfigurationError, match=r"users:2: .*app\.conf:3"):
        load(settings)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("ann\n", "users:1: .*NAME:HASH"),
        ("\nann:{SHA}abc=\n", r"users:2: .*\{SHA\}"),
        ("ann:secret\n", "no hash"),
        ("\xff", "not UTF-8"),
    ],
)
def test_a_file_with_something_else_is_refused(read, tmp_path, text, said):
    (tmp_path / "users").write_bytes(text.encode("latin-1"))
    with pytest.raises(ConfigurationError, match=said) as caught:
        load(read('<users file="users"/>'))
    assert "secret" not in str(caught.value)


def test_a_file_that_is_not_there_is_refused(read):
    with pytest.raises(ConfigurationError, match=r"app\.conf:3: .*cannot be read"):
        load(read('<tokens file="missing"/>'))


def test_what_an_environment_switches_off_is_not_there():
    text = f'<app><http_auth><user name="ann" password="{HASH}" require_env="NOBODY_SETS_THIS"/></http_auth></app>'
    assert not read_settings(Configuration.parse(text.encode(), "app.conf", {})).takes_passwords
