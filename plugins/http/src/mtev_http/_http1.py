"""HTTP/1.1 on the wire, our half of it: the header of a response, and chunks. Pure, but for the clock of `DateLine`.

Rules (RFC 9112):

1. One header block, one write: the caller joins it with a whole body.
2. A body without a length is chunked for HTTP/1.1; for HTTP/1.0 it ends with the connection.
3. 204 and 304 have no body, and 204 no length either. HEAD has the header that GET would have, and no body.
4. Trailers go into the last chunk, so a body with a length has none.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from http import HTTPStatus

__all__ = ["CONTINUE", "SERVER", "DateLine", "chunk", "head", "last_chunk"]

CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"

SERVER = "mtev-http"
_STATUS = {status.value: f"{status.value} {status.phrase}" for status in HTTPStatus}
_DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")


class DateLine:
    """The fields `Date` and `Server`, made once a second. For one loop."""

    __slots__ = ("_second", "_text")

    def __init__(self) -> None:
        self._second = 0
        self._text = ""

    def text(self) -> str:
        """Both fields, each with its line end."""
        now = int(time.time())
        if now != self._second:
            at = time.gmtime(now)
            self._second = now
            self._text = (
                f"Date: {_DAYS[at.tm_wday]}, {at.tm_mday:02} {_MONTHS[at.tm_mon - 1]} {at.tm_year} "
                f"{at.tm_hour:02}:{at.tm_min:02}:{at.tm_sec:02} GMT\r\nServer: {SERVER}\r\n"
            )
        return self._text


def head(status: int, content_type: str, pairs: Sequence[tuple[str, str]], framing: str, date: str) -> bytes:
    """The header block of a response.

    Args:
        status: three digits.
        content_type: `""` for none.
        pairs: further fields, checked.
        framing: lines that say where the body ends and whether the connection goes on, each with its line end.
        date: what `DateLine.text` says.
    """
    kind = f"Content-Type: {content_type}\r\n" if content_type else ""
    line = _STATUS.get(status) or f"{status} Unknown"
    if pairs:
        fields = "".join([f"{name}: {value}\r\n" for name, value in pairs])
        return f"HTTP/1.1 {line}\r\n{kind}{framing}{date}{fields}\r\n".encode("latin-1")
    return f"HTTP/1.1 {line}\r\n{kind}{framing}{date}\r\n".encode("latin-1")


def chunk(piece: bytes) -> bytes:
    """A piece of a chunked body; not empty, which would be the last one."""
    return b"%x\r\n%b\r\n" % (len(piece), piece)


def last_chunk(trailers: Sequence[tuple[str, str]]) -> bytes:
    """The end of a chunked body."""
    if not trailers:
        return b"0\r\n\r\n"
    fields = "".join([f"{name}: {value}\r\n" for name, value in trailers])
    return f"0\r\n{fields}\r\n".encode("latin-1")
