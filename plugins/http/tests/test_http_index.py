"""The index of all routes: as text, as a page, and in libmtev's shape."""

from html.parser import HTMLParser

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mtev_http import Route, WebSocketOptions
from mtev_http._index import INDEX_HEADERS, disclosed, index_html, index_text


def handler(request):
    raise AssertionError("nobody calls it")


def route(method="GET", base="/acme/", expression="^x$", summary="shows x", **more):
    if method == "WS":
        more["websocket"] = WebSocketOptions()
    return Route(method, base, expression, handler, summary, **more)


ROUTES = [
    route("GET", "/mtev/", r"^stats\.json$", "figures"),
    route("PUT", "/acme/", r"^items/(\d+)$", "replaces", auth=lambda request: True),
    route("GET", "/acme/", r"^items(\.json)?$", "lists", auth=False),
    route("WS", "/acme/", "^feed$", "follows"),
]


class Page(HTMLParser):
    """What a browser makes of the page, roughly."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.attributes, self.links, self.text = [], [], [], ""
        self.feed(text)
        self.close()

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes.extend(name for name, _ in attrs)
        self.links.extend(value for name, value in attrs if name == "href")

    def handle_data(self, data):
        self.text += data


def test_the_shape_of_libmtev():
    assert disclosed(ROUTES) == {
        "/acme/": [
            {"method": "PUT", "expression": r"^items/(\d+)$"},
            {"method": "GET", "expression": r"^items(\.json)?$"},
            {"method": "WS", "expression": "^feed$"},
        ],
        "/mtev/": [{"method": "GET", "expression": r"^stats\.json$"}],
    }


def test_text_for_a_terminal():
    assert index_text(ROUTES, "app 1.0").splitlines() == [
        "app 1.0",
        "",
        "/acme/",
        r"  PUT     ^items/(\d+)$     own    replaces",
        r"  GET     ^items(\.json)?$  open   lists",
        r"  WS      ^feed$            lists  follows",
        "",
        "/mtev/",
        r"  GET     ^stats\.json$  lists  figures",
    ]


def test_what_can_be_followed_is_a_link():
    page = Page(index_html(ROUTES, "app 1.0"))
    assert page.links == ["/acme/items", "/mtev/stats.json"]
    for shown in ("app 1.0", "/acme/", r"^items/(\d+)$", "replaces", "follows", "own", "open"):
        assert shown in page.text


@pytest.mark.parametrize(
    ("base", "expression", "link"),
    [
        ("/", "^/evil.example/x$", None),
        ("/a b/", "^ü&amp;$", "/a%20b/%C3%BC&amp;"),
        ("/", "^$", "/"),
        ("/", "^(.+)$", None),
    ],
)
def test_links_lead_to_this_service(base, expression, link):
    assert Page(index_html([route(base=base, expression=expression)], "x")).links == ([link] if link else [])


def test_the_page_needs_nothing_else():
    text = index_html(ROUTES, "x")
    page = Page(text)
    assert {"script", "img", "link", "iframe", "form", "object"}.isdisjoint(page.tags)
    assert not [name for name in page.attributes if name.startswith("on") or name in ("src", "style")]
    assert "url(" not in text
    assert "@import" not in text
    policy = INDEX_HEADERS["Content-Security-Policy"]
    assert policy.startswith("default-src 'none'; ")
    assert "script" not in policy


@given(st.text(min_size=1).filter(str.strip), st.text("<>&\"'a/ä{}", max_size=12))
def test_what_plugins_say_stays_text(summary, word):
    shown = [route(base=f"/x{word}/", expression="^(?:<b>)$", summary=summary)]
    plain = Page(index_html([route(base="/x/", expression="^(?:a)$", summary="s")], "t"))
    page = Page(index_html(shown, f"<i>{word}"))
    assert page.tags == plain.tags
    assert "<b>" in page.text
    assert len(index_text(shown, "t").splitlines()) == 4
