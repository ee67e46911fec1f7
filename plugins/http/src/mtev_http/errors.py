"""The error tree of mtev-http.

    MtevError
    └── RestError
        ├── RouteError             a route that cannot be added or removed
        ├── HttpError              "answer this request with that status"; raised by handlers and by Request
        │   ├── BadRequest             400
        │   ├── BodyTimeout            408
        │   ├── BodyTooLarge           413
        │   ├── UnsupportedEncoding    415
        │   └── UnsupportedMediaType   415
        ├── ClientGone             the peer left before its request was complete; there is nobody to answer
        └── WebSocketClosed        a websocket is closed: nothing more can be sent or received

A handler may raise any `HttpError`; the dispatcher turns it into a response.
"""

from __future__ import annotations

from mtev_kernel import MtevError

__all__ = [
    "BadRequest",
    "BodyTimeout",
    "BodyTooLarge",
    "ClientGone",
    "HttpError",
    "RestError",
    "RouteError",
    "UnsupportedEncoding",
    "UnsupportedMediaType",
    "WebSocketClosed",
]


class RestError(MtevError):
    """Root of the errors of this distribution."""


class RouteError(RestError):
    """A route is malformed, exists already, or is not there to be removed."""


class HttpError(RestError):
    """Answer the request with an error status and `{"error": message}`.

    Args:
        status: 400 to 599.
        message: for the client; say nothing in it that a stranger may not know.
        close: close the connection after the answer, because what follows on it cannot be trusted or is not wanted.
    """

    def __init__(self, status: int, message: str, *, close: bool = False) -> None:
        if not 400 <= status <= 599:
            raise ValueError(f"{status} is not an error status; expected 400 to 599")
        super().__init__(message)
        self.status = status
        self.close = close


class BadRequest(HttpError):
    """The request is malformed."""

    def __init__(self, message: str, *, close: bool = False) -> None:
        super().__init__(400, message, close=close)


class BodyTimeout(HttpError):
    """The body did not arrive in time."""

    def __init__(self, timeout_s: float) -> None:
        super().__init__(408, f"the body did not arrive within {timeout_s:g} s", close=True)


class BodyTooLarge(HttpError):
    """The body is larger than the limit, as sent or once decompressed."""

    def __init__(self, limit_bytes: int) -> None:
        super().__init__(413, f"the body is larger than {limit_bytes} bytes", close=True)


class UnsupportedEncoding(HttpError):
    """The body has a `Content-Encoding` other than gzip."""

    def __init__(self) -> None:
        super().__init__(415, "the content encoding is not supported; expected gzip, or none", close=True)


class UnsupportedMediaType(HttpError):
    """The body is of a type that the handler does not take."""

    def __init__(self, message: str) -> None:
        super().__init__(415, message)


class ClientGone(RestError):
    """The peer closed the connection in the middle of its request."""


class WebSocketClosed(RestError):
    """A websocket is closed, by the peer, by us, or because the connection broke.

    Args:
        code: what it was closed with; 1006 when it broke off.
        reason: the text that came with it.
    """

    def __init__(self, code: int, reason: str = "") -> None:
        super().__init__(f"the websocket is closed: {code}" + (f" {reason!a}" if reason else ""))
        self.code = code
        self.reason = reason
