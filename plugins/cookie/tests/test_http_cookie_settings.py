"""The options: libmtev's and ours."""

import base64

import pytest

from mtev_http_cookie.settings import Settings, read
from mtev_kernel import ConfigurationError

KEY = base64.b64encode(bytes(range(32))).decode()


def test_what_there_is_without_any():
    assert read({}, "app.conf:1") == Settings(None, 86400, "", "auto", "Lax", "half", {})


def test_every_option():
    config = {
        "key": f"\n  {KEY}\n",
        "max_age": "60",
        "domain": ".Example.com",
        "secure": "on",
        "same_site": "Strict",
        "reissue": "always",
        "user_ann": "secret",
    }
    assert read(config, "app.conf:1") == Settings(
        bytes(range(32)), 60, "example.com", "on", "Strict", "always", {"ann": "secret"}
    )


@pytest.mark.parametrize(
    ("config", "said"),
    [
        ({"key": "not base64!"}, "not base64"),
        ({"key": ""}, "has 0 bytes; expected 32"),
        ({"key": base64.b64encode(b"x" * 31).decode()}, "has 31 bytes"),
        ({"key": "00" * 32}, "has 48 bytes"),
        ({"key": "schlüssel"}, "not base64"),
        ({"max_age": "0"}, "expected seconds"),
        ({"max_age": "1d"}, "expected seconds"),
        ({"max_age": "9" * 30}, "expected seconds"),
        ({"domain": "a b"}, "no domain"),
        ({"domain": "x;Secure"}, "no domain"),
        ({"secure": "maybe"}, "auto, on, off"),
        ({"same_site": "none"}, "lax, strict"),
        ({"reissue": "often"}, "half, always, never"),
        ({"user_": "x"}, "a name and a password"),
        ({"user_ann": ""}, "a name and a password"),
        ({"keys": "x"}, "<keys> is not known"),
    ],
)
def test_what_cannot_be_meant_is_refused_with_its_place(config, said):
    with pytest.raises(ConfigurationError, match="app.conf:1: ") as caught:
        read(config, "app.conf:1")
    assert said in str(caught.value)
    assert "mtev-http-cookie" in str(caught.value)


def test_secrets_are_not_shown():
    with pytest.raises(ConfigurationError) as caught:
        read({"key": "hush"}, "app.conf:1")
    assert "hush" not in str(caught.value)
    assert "hush" not in repr(read({"user_ann": "hush"}, ""))
