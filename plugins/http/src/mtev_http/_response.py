"""What a handler answers with. Nothing here knows which engine sends it."""

from __future__ import annotations

from collections.abc import AsyncIterable, Awaitable, Callable, Iterable, Mapping, Sequence

import msgspec

from ._headers import ResponseHeaders, check_content_type, check_header
from ._request import Request
from ._stream import ServerSentEvent, Stream, events

__all__ = ["Handler", "Response", "error_response", "event_response", "json_response", "text_response"]


Fields = Mapping[str, str] | Iterable[tuple[str, str]]


class Response:
    """One response.

    Args:
        status: 200 to 599.
        body: bytes, text that is sent as UTF-8, or a `Stream` that is made while it is sent.
        content_type: default: plain text for a text, octets for bytes, none for an empty body.
        headers: further fields; not those that belong to the engine (framing, Connection).
        close: close the connection after it.

    Raises:
        ValueError: the status is none, a header is not allowed, or the status (204, 304) carries no body.

    Attributes:
        body: the bytes; `b""` when there is a stream.
        stream: what makes the body while it is sent; None when `body` is all there is.
        special: whether there is more to sending it than a header and `body`: a stream, or an upgrade. What an engine
            asks first.
    """

    __slots__ = ("_headers", "_pairs", "body", "close", "content_type", "special", "status", "stream")

    def __init__(
        self,
        status: int = 200,
        body: bytes | str | Stream = b"",
        *,
        content_type: str | None = None,
        headers: Fields = (),
        close: bool = False,
    ) -> None:
        if not 200 <= status <= 599:
            raise ValueError(f"{status} is not a status to answer with; expected 200 to 599")
        if body and status in (204, 304):
            raise ValueError(f"status {status} carries no body")
        stream = None
        if isinstance(body, str):
            body = body.encode("utf-8")
            if content_type is None:
                content_type = "text/plain; charset=utf-8"
        elif content_type is None:
            content_type = "application/octet-stream" if body else ""
        if isinstance(body, Stream):
            stream, body = body, b""
        if content_type:
            check_content_type(content_type)
        self.status = status
        self.body = body
        self.stream = stream
        self.special = stream is not None
        self.content_type = content_type
        self.close = close
        self._pairs: list[tuple[str, str]] | None = None
        self._headers: ResponseHeaders | None = None
        if headers:
            pairs = list(headers.items() if isinstance(headers, Mapping) else headers)
            for name, value in pairs:
                check_header(name, value)
            self._pairs = pairs

    @property
    def headers(self) -> ResponseHeaders:
        """The header fields beside the content type, to be read and changed."""
        if self._headers is None:
            self._headers = ResponseHeaders(self._pairs or ())
            self._pairs = None
        return self._headers

    @property
    def has_fields(self) -> bool:
        """Whether there are any beside the content type."""
        return bool(self._pairs) or self._headers is not None

    def stamp(self, name: str, value: str) -> None:
        """Add a field that is known to be fit to be sent; does not build the map."""
        if self._headers is not None:
            self._headers.add(name, value)
        elif self._pairs is None:
            self._pairs = [(name, value)]
        else:
            self._pairs.append((name, value))

    def header_pairs(self) -> Sequence[tuple[str, str]]:
        """The same fields as they stand, for an engine; does not build the map."""
        if self._headers is not None:
            return self._headers.pairs
        return self._pairs or ()

    def __repr__(self) -> str:
        size = f"{len(self.body)} bytes" if self.stream is None else "a stream"
        return f"Response({self.status}, {size}, {self.content_type!r})"


Handler = Callable[[Request], Awaitable[Response] | Response]
"""What answers a route: an `async` function, or a plain one that is quick, since it runs on the connection's loop."""

_encoder = msgspec.json.Encoder()


def json_response(data: object, status: int = 200, *, headers: Fields = ()) -> Response:
    """A response of JSON, one line.

    Args:
        data: whatever msgspec encodes: builtins, dataclasses, structs, datetimes and so on.
        status: as for `Response`.
        headers: as for `Response`.

    Raises:
        TypeError: something in it cannot be encoded.
    """
    return Response(status, _encoder.encode(data) + b"\n", content_type="application/json", headers=headers)


def text_response(text: str, status: int = 200, *, headers: Fields = ()) -> Response:
    """A response of plain text in UTF-8."""
    return Response(status, text, headers=headers)


def error_response(status: int, message: str, *, close: bool = False, headers: Fields = ()) -> Response:
    """The shape of every error that this distribution answers with: `{"error": message}`."""
    response = json_response({"error": message}, status, headers=headers)
    response.close = close
    return response


def event_response(
    source: AsyncIterable[ServerSentEvent | str], *, ping_s: float | None = 15.0, headers: Fields = ()
) -> Response:
    """A stream of server-sent events, which nobody may cache or hold back.

    Args:
        source: events, or texts that are the data of one. An async generator is closed when the client leaves.
        ping_s: after how many seconds of silence a comment is sent; None for never.
        headers: as for `Response`.
    """
    pairs = list(headers.items() if isinstance(headers, Mapping) else headers)
    pairs += [("Cache-Control", "no-store"), ("X-Accel-Buffering", "no")]
    return Response(200, Stream(events(source, ping_s)), content_type="text/event-stream", headers=pairs)
