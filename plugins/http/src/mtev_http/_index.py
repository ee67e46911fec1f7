"""What the service has to offer, for people and for scripts of libmtev's: the routes by base. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from html import escape

from ._route import Route
from ._template import encoded, templates

__all__ = ["INDEX_HEADERS", "INDEX_TYPES", "disclosed", "index_html", "index_text"]

INDEX_TYPES = ("text/plain", "text/html")
"""The forms of the index, for `choose_type`: whoever says nothing of HTML, as curl does, gets text."""

INDEX_HEADERS: Mapping[str, str] = {
    "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Vary": "Accept",
}
"""What to send with it: the page loads nothing, runs nothing, and goes into no frame."""

_STYLE = (
    "body{font:15px/1.5 system-ui,sans-serif;margin:2rem auto;max-width:70rem;padding:0 1rem}"
    "h2{font:600 1rem ui-monospace,monospace;margin:2rem 0 .3rem}"
    "table{border-collapse:collapse;width:100%}td,th{text-align:left;vertical-align:top;padding:.2rem .8rem .2rem 0;"
    "border-bottom:1px solid #8884}code{font-family:ui-monospace,monospace}"
    "th{font-weight:400;opacity:.7}:root{color-scheme:light dark}"
)


def disclosed(routes: Iterable[Route]) -> dict[str, list[dict[str, str]]]:
    """The routes in the shape of libmtev's `mtev_http_rest_disclose_endpoints`: base to method and expression.

    Args:
        routes: in the order of adding, which is kept.
    """
    return {
        base: [{"method": route.method, "expression": route.expression} for route in members]
        for base, members in _by_base(routes)
    }


def index_text(routes: Iterable[Route], title: str) -> str:
    """The index as plain text: a paragraph for each base, a line for each route.

    Args:
        routes: in any order.
        title: the first line.
    """
    lines = [title]
    for base, members in _by_base(routes):
        width = max(len(_line(route.expression)) for route in members)
        lines += ["", _line(base)]
        lines += [
            f"  {route.method:<7} {_line(route.expression):<{width}}  {_access(route):<5}  {_line(route.summary)}"
            for route in members
        ]
    return "\n".join(lines) + "\n"


def index_html(routes: Iterable[Route], title: str) -> str:
    """The index as one page of HTML that needs nothing else; to be sent with `INDEX_HEADERS`.

    Args:
        routes: in any order.
        title: what it is headed with.
    """
    return "\n".join(_page(routes, title)) + "\n"


def _page(routes: Iterable[Route], title: str) -> Iterator[str]:
    yield "<!doctype html>"
    yield '<html lang="en"><head><meta charset="utf-8">'
    yield '<meta name="viewport" content="width=device-width, initial-scale=1">'
    yield f"<title>{escape(title)}</title><style>{_STYLE}</style></head><body>"
    yield f"<h1>{escape(title)}</h1>"
    for base, members in _by_base(routes):
        yield f"<h2>{escape(base)}</h2>"
        yield "<table><thead><tr><th>Method<th>Expression<th>Access<th>Summary</thead><tbody>"
        for route in members:
            cells = (f"<code>{escape(route.method)}</code>", _linked(route), _access(route), escape(route.summary))
            yield f"<tr>{''.join(f'<td>{cell}' for cell in cells)}"
        yield "</tbody></table>"
    yield "</body></html>"


def _linked(route: Route) -> str:
    """The expression; a link where there is a path that it answers, and that may be followed."""
    code = f"<code>{escape(route.expression) or '&nbsp;'}</code>"
    path = _followed(route)
    return code if path is None else f'<a href="{escape(path)}">{code}</a>'


def _followed(route: Route) -> str | None:
    """A path that a browser can ask for and that this route answers; None when there is none without parameters."""
    if route.method != "GET":
        return None
    for template in templates(route.expression):
        if not template.parameters and not template.guess:
            path = f"{encoded(route.base)}{template.path}"
            return None if path.startswith("//") else path
    return None


def _by_base(routes: Iterable[Route]) -> list[tuple[str, list[Route]]]:
    grouped: dict[str, list[Route]] = {}
    for route in routes:
        grouped.setdefault(route.base, []).append(route)
    return sorted(grouped.items())


def _access(route: Route) -> str:
    return "lists" if route.auth is True else "own" if route.auth else "open"


def _line(text: str) -> str:
    return "".join(character if character.isprintable() else ascii(character)[1:-1] for character in text)
