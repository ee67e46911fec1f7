r"""One line for each request, to the log stream `http/access`: Combined Log Format, and libmtev's fields.

    192.0.2.1 - ann [27/Nov/2026:02:25:01 +0000] "GET /hello?x=1 HTTP/1.1" 200 12 "-" "curl/8.5.0"

Rules:

1. While nobody reads the stream, a request costs one attribute test.
2. Nobody can forge a line or a column: in what a peer sent, quotes, backslashes and all but printable ASCII are `\xhh`.
3. No header but Referer and User-Agent is ever shown. Queries are, as in libmtev: secrets do not belong into URLs.
4. Size in the text is that of the body, as the format has it; in the fields it is what was on the wire, as in libmtev.

The log itself is not imported: `Stream` is what is needed of it.
"""

from __future__ import annotations

import re
import time
from typing import Protocol

from ._request import Request
from ._response import Response
from .errors import BadRequest

__all__ = ["FORENSIC", "NOWHERE", "STREAM", "Stream", "Streams", "combined", "fields", "write", "write_forensic"]

STREAM = "http/access"
FORENSIC = "http/access/forensic"

_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
_FORGING = re.compile(rb"[^\x20\x21\x23-\x5b\x5d-\x7e]")
_FORGING_WORD = re.compile(rb"[^\x21\x23-\x5b\x5d-\x7e]")


class Stream(Protocol):
    """What is needed of a log stream."""

    @property
    def material(self) -> bool: ...
    def log(self, message: str, /, **fields: object) -> None: ...


class Streams(Protocol):
    """What is needed of the log."""

    def stream(self, name: str) -> Stream: ...


class _Nowhere:
    """Stands for the stream where there is no log."""

    material = False

    def log(self, message: str, /, **fields: object) -> None:
        """Does nothing."""


NOWHERE: Stream = _Nowhere()
"""A stream that nobody reads."""


def write(stream: Stream, request: Request, response: Response, sent_bytes: int, latency_s: float) -> None:
    """Log a request; to be called when its response was sent and the stream is material. Never raises."""
    now_s = time.time()
    stream.log(
        combined(request, response, sent_bytes, now_s - latency_s), **fields(request, response, sent_bytes, latency_s)
    )


def combined(request: Request, response: Response, sent_bytes: int, received_s: float) -> str:
    """A request in the Combined Log Format, in UTC.

    Args:
        request: the request.
        response: its response.
        sent_bytes: size on the wire; 0 when the peer left before.
        received_s: when it came, in seconds since the epoch.
    """
    size = _body_bytes(response, sent_bytes) if request.method != "HEAD" else 0
    return (
        f"{_beginning(request, received_s)} {response.status} {size or '-'} "
        f'"{_header(request, "referer")}" "{_header(request, "user-agent")}"'
    )


def write_forensic(stream: Stream, request: Request) -> None:
    """Log a request that has come in, before anything is done about it. Never raises.

    What ends the process in the middle of a request has left its line here.
    """
    stream.log(_beginning(request, time.time()), **fields(request, None, 0, 0.0), request_id=request.id)


def _beginning(request: Request, received_s: float) -> str:
    at = time.gmtime(received_s)
    return (
        f"{_word(_address(request))} - {_word(request.user)} "
        f"[{at.tm_mday:02}/{_MONTHS[at.tm_mon - 1]}/{at.tm_year}:{at.tm_hour:02}:{at.tm_min:02}:{at.tm_sec:02} +0000] "
        f'"{_word(request.method)} {_word(request.target)} HTTP/{request.version}"'
    )


def _body_bytes(response: Response, sent_bytes: int) -> int:
    if not sent_bytes or response.stream is None:
        return len(response.body) if sent_bytes else 0
    return response.stream.length if response.stream.length is not None else sent_bytes


def fields(request: Request, response: Response | None, sent_bytes: int, latency_s: float) -> dict[str, object]:
    """The same as libmtev's fields.

    Args:
        request: the request.
        response: its response; None when there is none yet, and nothing to say of it.
        sent_bytes: size on the wire, header included.
        latency_s: from the complete header of the request to the last byte of the response.
    """
    try:
        uri, query = request.path, request.raw_query
    except BadRequest:
        uri, query = request.target, ""
    asked: dict[str, object] = {
        "ip": _address(request),
        "user": request.user,
        "method": request.method,
        "protocol": f"HTTP/{request.version}",
        "uri": _clean(uri),
        "querystring": _clean(query),
    }
    if response is None:
        return asked
    return asked | {
        "status": response.status,
        "latency": latency_s,
        "bytes_written": sent_bytes,
        "bytes_read": request.received_bytes,
        "request_id": request.id,
    }


def _address(request: Request) -> str:
    peer = request.peer
    return peer[0] if isinstance(peer, tuple) else peer or ""


def _header(request: Request, name: str) -> str:
    text = request.headers.get(name, "")
    return _escaped(_FORGING, text.encode("latin-1", "backslashreplace")) or "-"


def _word(text: str) -> str:
    return _escaped(_FORGING_WORD, text.encode("utf-8", "surrogateescape")) or "-"


def _escaped(forging: re.Pattern[bytes], raw: bytes) -> str:
    return forging.sub(lambda found: b"\\x%02x" % found[0][0], raw).decode("ascii")


def _clean(text: str) -> str:
    r"""A text that every encoder takes: what was no UTF-8 on the wire is shown as `\\xhh`."""
    return text if text.isascii() else text.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
