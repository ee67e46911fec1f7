"""Header fields of HTTP/2 as mtev-http knows them, and back. Pure.

h2 has seen to it already that pseudo fields are there and in their place, names are lower case, and nothing of a
connection's is among them (RFC 9113, section 8.2 and 8.3).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from mtev_http import EngineSettings, Response

__all__ = ["RequestHead", "request_head", "response_fields", "trailer_fields", "verdict"]

Pairs = Sequence[tuple[bytes, bytes]]

_SERVER = ("server", "mtev-http")


class RequestHead(NamedTuple):
    """What stands at the beginning of a request.

    Attributes:
        method: as it was sent.
        target: the path and query; for CONNECT, the authority.
        headers: `:authority` as `host`, then the fields; crumbs of cookies are one.
    """

    method: str
    target: str
    headers: Pairs


def request_head(fields: Iterable[tuple[bytes, bytes]]) -> RequestHead:
    """The head of a request."""
    pseudo: dict[bytes, bytes] = {}
    rest: list[tuple[bytes, bytes]] = []
    for name, value in fields:
        if name.startswith(b":"):
            pseudo[name] = value
        else:
            rest.append((bytes(name), bytes(value)))
    authority = pseudo.get(b":authority")
    if authority is not None:
        rest = [(b"host", authority), *(pair for pair in rest if pair[0] != b"host")]
    target = pseudo.get(b":path", authority or b"")
    return RequestHead(
        pseudo.get(b":method", b"").decode("latin-1"), target.decode("utf-8", "surrogateescape"), tuple(rest)
    )


def verdict(head: RequestHead, settings: EngineSettings) -> str:
    """What is too much of a head, for the log; `""` when nothing is."""
    if len(head.target) > settings.target_limit_bytes:
        return "the request target is too long"
    if len(head.headers) > settings.header_count:
        return f"the request has more than {settings.header_count} header fields"
    if any(len(name) + len(value) > settings.header_limit_bytes for name, value in head.headers):
        return "a field of the request header is too long"
    return ""


def response_fields(response: Response, length: int | None, date: str) -> list[tuple[str, str]]:
    """The header block of a response.

    Args:
        response: the response.
        length: of its body; None when it is not known, or there is to be none.
        date: what time it is.
    """
    fields = [(":status", str(response.status)), ("date", date), _SERVER]
    if response.content_type:
        fields.append(("content-type", response.content_type))
    if length is not None:
        fields.append(("content-length", str(length)))
    fields += [(name.lower(), value) for name, value in response.header_pairs()]
    return fields


def trailer_fields(fields: Iterable[tuple[str, str]]) -> list[tuple[str, str]]:
    """Trailers, as HTTP/2 wants their names."""
    return [(name.lower(), value) for name, value in fields]
