r"""One line for each request, to the log stream `http/access`: Combined Log Format, and libmtev's fields.

    192.0.2.1 - ann [27/Nov/2026:02:25:01 +0000] "GET /hello?x=1 HTTP/1.1" 200 12 "-" "curl/8.5.0"

Rules:

1. While nobody reads the stream, a request costs one attribute test. While somebody does, what a line needs is put
   aside (`Entry`); the log's writer makes it a text, and fields where a format or filter wants them.
2. Nobody can forge a line or a column: in what a peer sent, quotes, backslashes and all but printable ASCII are `\xhh`.
3. No header but Referer and User-Agent is ever shown. Queries are, as in libmtev: secrets do not belong into URLs.
4. Size in the text is that of the body, as the format has it; in the fields it is what was on the wire, as in libmtev.

The log itself is not imported: `Stream` is what is needed of it.
"""

from __future__ import annotations

import re
import time
from collections.abc import Sequence
from functools import lru_cache
from typing import NamedTuple, Protocol

from ._request import Request
from ._response import Response
from ._target import decode_path, split_target
from .errors import BadRequest

__all__ = ["FORENSIC", "NOWHERE", "STREAM", "Entry", "Stream", "Streams", "write", "write_forensic"]

STREAM = "http/access"
FORENSIC = "http/access/forensic"

_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
_FORGING = re.compile(rb"[^\x20\x21\x23-\x5b\x5d-\x7e]")
_FORGING_WORD = re.compile(rb"[^\x21\x23-\x5b\x5d-\x7e]")
_PLAIN_WORD = re.compile(r"[\x21\x23-\x5b\x5d-\x7e]+").fullmatch
_REFERER_SIZE, _AGENT_SIZE = len("referer"), len("user-agent")


class Line(Protocol):
    """What a log stream makes a line of, later."""

    def __str__(self) -> str: ...
    def fields(self) -> dict[str, object]: ...


class Stream(Protocol):
    """What is needed of a log stream."""

    @property
    def material(self) -> bool: ...
    def log_later(self, line: Line, /) -> None: ...


class Streams(Protocol):
    """What is needed of the log."""

    def stream(self, name: str) -> Stream: ...


class _Nowhere:
    """Stands for the stream where there is no log."""

    material = False

    def log_later(self, line: Line, /) -> None:
        """Does nothing."""


NOWHERE: Stream = _Nowhere()
"""A stream that nobody reads."""


class Entry(NamedTuple):
    """What is told of a request. Nothing in it can change.

    Attributes:
        received_s: when it came, in seconds since the epoch.
        peer: the other end.
        user: who it was from; `""` when that is not known.
        method: as it was sent.
        target: as it was sent.
        version: of HTTP.
        headers: of the request, as they were sent.
        identity: the request's id.
        received_bytes: of its body.
        status: of the response; 0 when there is none yet.
        body_bytes: of the response; 0 for none.
        sent_bytes: on the wire, header included; 0 when the peer left before.
        latency_s: from the complete header of the request to the last byte of the response.
    """

    received_s: float
    peer: tuple[str, int] | str | None
    user: str
    method: str
    target: str
    version: str
    headers: Sequence[tuple[bytes, bytes]]
    identity: str
    received_bytes: int = 0
    status: int = 0
    body_bytes: int = 0
    sent_bytes: int = 0
    latency_s: float = 0.0

    def __str__(self) -> str:
        """The request in the Combined Log Format, in UTC; what is not known yet is left out."""
        peer, target, user = self.peer, self.target, self.user
        host = peer[0] if type(peer) is tuple else peer or ""
        begin = (
            f"{_few(host)} - {_word(user) if user else '-'} {_stamp(int(self.received_s))} "
            f'"{_few(self.method)} {target if _PLAIN_WORD(target) else _word(target)} HTTP/{self.version}"'
        )
        if not self.status:
            return begin
        return f"{begin} {self.status} {self.body_bytes or '-'} {_origin(self.headers)}"

    def fields(self) -> dict[str, object]:
        """The same as libmtev's fields, and the request's id."""
        peer = self.peer
        path, query = _parts(self.target)
        told: dict[str, object] = {
            "ip": peer[0] if isinstance(peer, tuple) else peer or "",
            "user": self.user,
            "method": self.method,
            "protocol": f"HTTP/{self.version}",
            "uri": _clean(path),
            "querystring": _clean(query),
        }
        if self.status:
            told |= {
                "status": self.status,
                "latency": self.latency_s,
                "bytes_written": self.sent_bytes,
                "bytes_read": self.received_bytes,
            }
        told["request_id"] = self.identity
        return told


def write(stream: Stream, request: Request, response: Response, sent_bytes: int, latency_s: float) -> None:
    """Log a request; to be called when its response was sent and the stream is material. Never raises."""
    body_bytes = _body_bytes(response, sent_bytes) if sent_bytes and request.method != "HEAD" else 0
    stream.log_later(
        Entry(
            time.time() - latency_s,
            request.link.peer,
            request.user,
            request.method,
            request.target,
            request.version,
            request.raw_headers,
            request.id,
            request.received_bytes,
            response.status,
            body_bytes,
            sent_bytes,
            latency_s,
        )
    )


def write_forensic(stream: Stream, request: Request) -> None:
    """Log a request that has come in, before anything is done about it. Never raises.

    What ends the process in the middle of a request has left its line here.
    """
    stream.log_later(
        Entry(
            time.time(),
            request.link.peer,
            request.user,
            request.method,
            request.target,
            request.version,
            request.raw_headers,
            request.id,
        )
    )


def _body_bytes(response: Response, sent_bytes: int) -> int:
    """How large the body was; of a stream of unknown length, the header is in it too."""
    if response.stream is None:
        return len(response.body)
    return response.stream.length if response.stream.length is not None else sent_bytes


@lru_cache(maxsize=8)
def _stamp(second: int) -> str:
    at = time.gmtime(second)
    return (
        f"[{at.tm_mday:02}/{_MONTHS[at.tm_mon - 1]}/{at.tm_year}:{at.tm_hour:02}:{at.tm_min:02}:{at.tm_sec:02} +0000]"
    )


def _origin(headers: Sequence[tuple[bytes, bytes]]) -> str:
    """Where a request says that it comes from, and what sent it."""
    referer = agent = "-"
    for name, value in headers:
        size = len(name)
        if size == _REFERER_SIZE and name.lower() == b"referer":
            referer = _quoted(value)
        elif size == _AGENT_SIZE and name.lower() == b"user-agent":
            agent = _quoted(value)
    return f'"{referer}" "{agent}"'


def _parts(target: str) -> tuple[str, str]:
    """Decoded path, and query; what cannot be decoded as it is."""
    try:
        path, query = split_target(target)
        return decode_path(path), query
    except BadRequest:
        return target, ""


@lru_cache(maxsize=1024)
def _quoted(value: bytes) -> str:
    return _escaped(_FORGING, value.strip()) or "-"


@lru_cache(maxsize=1024)
def _few(text: str) -> str:
    """A word of which there are few: an address, a method."""
    return _word(text)


def _word(text: str) -> str:
    return _escaped(_FORGING_WORD, text.encode("utf-8", "surrogateescape")) or "-"


def _escaped(forging: re.Pattern[bytes], raw: bytes) -> str:
    return forging.sub(lambda found: b"\\x%02x" % found[0][0], raw).decode("ascii")


def _clean(text: str) -> str:
    r"""A text that every encoder takes: what was no UTF-8 on the wire is shown as `\\xhh`."""
    return text if text.isascii() else text.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
