"""Options: what they mean, and what is refused."""

import pytest

from mtev_http_observer.settings import Settings, read
from mtev_kernel import ConfigurationError


def test_the_defaults_are_those_of_libmtev():
    settings = read({}, "app.conf:3")
    assert (settings.max_count, settings.max_age_s) == (10_000, 30)
    assert settings == Settings()


def test_libmtevs_options_are_read():
    settings = read(
        {"max_count": "5", "max_age": "1.5", "header_in_User-Agent": "agent", "header_out_x-cache": "cache"}, ""
    )
    assert settings == Settings(5, 1.5, {"user-agent": "agent"}, {"x-cache": "cache"})


SECRET = [
    *("authorization", "proxy-authorization", "authentication-info", "www-authenticate", "cookie", "set-cookie"),
    *("x-api-key", "apikey", "x-auth-token", "private-token", "x-amz-security-token", "x-csrf-token", "x-session-id"),
    *("x-hub-signature-256", "x-forwarded-client-cert", "x-password", "x-client-secret", "x-goog-credential"),
]


@pytest.mark.parametrize("name", SECRET)
@pytest.mark.parametrize("prefix", ["header_in_", "header_out_"])
def test_what_carries_secrets_needs_a_word_more(prefix, name):
    with pytest.raises(ConfigurationError, match=f"app.conf:3: .*'{name}' carries secrets"):
        read({prefix + name.title(): "secret"}, "app.conf:3")
    assert read({prefix + name: "secret", "sensitive_headers": "on"}, "")


@pytest.mark.parametrize(
    "name", ["user-agent", "referer", "x-request-id", "x-forwarded-for", "x-author", "x-cache", "etag"]
)
def test_what_carries_none_needs_none(name):
    assert read({f"header_in_{name}": "field"}, "").headers_in == {name: "field"}


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"max_count": "0"}, "expected a number from 1 to 1000000"),
        ({"max_count": "2.5"}, "whole number"),
        ({"max_count": "many"}, "expected a number"),
        ({"max_count": "nan"}, "expected a number"),
        ({"max_age": "-1"}, "expected a number from 0"),
        ({"max_size": "1"}, "<max_size> is not known; expected max_count, max_age, sensitive_headers, header_in_NAME"),
        ({"header_in_": "x"}, "'' is not the name of a header"),
        ({"header_in_a b": "x"}, "'a b' is not the name of a header"),
        ({"header_in_x": ""}, "'' is not the name of a field"),
        ({"header_in_x": "a b"}, "'a b' is not the name of a field"),
        ({"header_out_x": "uri"}, "the field 'uri' means something else already"),
        ({"sensitive_headers": "perhaps"}, "expected on or off"),
        ({f"header_in_x{number}": f"x{number}" for number in range(17)}, "more than 16 of header_in_NAME"),
    ],
)
def test_what_cannot_be_meant_is_refused(config, message):
    with pytest.raises(ConfigurationError, match=message) as error:
        read(config, "app.conf:3")
    assert str(error.value).startswith("app.conf:3: the <config> of plugin 'http_observer' (mtev-http-observer): ")
