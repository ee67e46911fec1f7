"""Where a browser goes after a login: never elsewhere."""

from urllib.parse import parse_qs, urljoin, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mtev_http_cookie.whereto import local_path, login_url

HERE = "https://here.example:8443/login"


@pytest.mark.parametrize(
    "text", ["/", "/a", "/a/b?c=d&e=/f#g", "/%2F%2Fevil.example", "/.//x", "/a//b", "/a:b@c", "/login2"]
)
def test_paths_of_this_service_are_kept(text):
    assert local_path(text) == text


@pytest.mark.parametrize(
    "text",
    [
        "",
        "a",
        "//evil.example",
        "///evil.example",
        "/\\evil.example",
        "\\\\evil.example",
        "/a\\b",
        "https://evil.example/",
        "https:/evil.example",
        "javascript:alert(1)",
        "/\t/evil.example",
        "/\n/evil.example",
        "\t//evil.example",
        " //evil.example",
        "/ /evil.example",
        "/a\r\nSet-Cookie: x=y",
        "/\0",
        "/\x7f",
        "/\u00a0/evil.example",
        "?whereto=//evil.example",
        "/login",
        "/login?whereto=/login",
        "/logout",
        "/" + "a" * 3000,
        "/\ud800",
    ],
)
def test_everything_else_is_the_beginning(text):
    assert local_path(text) == "/"


@given(st.text(max_size=60) | st.text(st.sampled_from("/\\.:@?#\t\r\n% evil"), max_size=30))
def test_whatever_is_asked_for_a_browser_stays_here(text):
    place = local_path(text)
    assert place.isascii()
    assert place.isprintable()
    # What browsers do before they read an address: drop tabs and line breaks, take backslashes for slashes.
    read = place.strip().translate({9: None, 10: None, 13: None, 92: "/"})
    arrived = urlsplit(urljoin(HERE, read))
    assert (arrived.scheme, arrived.netloc) == ("https", "here.example:8443")


@given(st.text(st.characters(min_codepoint=33, max_codepoint=126, exclude_characters="\\"), max_size=60))
def test_the_login_page_is_told_where_to_go_to(text):
    url = login_url(f"/x{text}")
    assert url.startswith("/login?whereto=")
    assert parse_qs(urlsplit(url).query)["whereto"] == [f"/x{text}"]


def test_for_the_beginning_it_needs_no_telling():
    assert login_url("/") == login_url("") == login_url("//evil") == "/login"
