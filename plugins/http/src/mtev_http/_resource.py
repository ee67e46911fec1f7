"""Resources: routes of plugins that know nothing of this distribution's types.

A resource is a function that is given the request and what the expression captured. What it hands back, and what it
raises, is judged by its shape alone:

1. It answers with any object that has `status`, `headers`, `body` and `content_type` (see `Answer`). A `Response` is
   one. What has not that shape, or cannot be sent, is the function's fault: a 500 with an id, as for any handler.
2. An exception with a number between 400 and 599 as its `status`, and a text, is that answer. So is LookupError with a
   text (404), and ValueError with a text (400). All three are `{"error": text}`.
3. KeyError, IndexError and UnicodeError are accidents, not answers, unless they have such a `status`. They, and every
   other exception, are a 500 with an id.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Protocol

from ._request import Request
from ._response import Response, error_response

__all__ = ["Answer", "Function", "resource"]

Function = Callable[..., object]
"""`async function(request: Request, *captures: str) -> Answer`, or a plain function that is quick."""

_ACCIDENTS = (KeyError, IndexError, UnicodeError)
_FIELDS = ("status", "headers", "body", "content_type")
_ABSENT = object()


class Answer(Protocol):
    """What a resource answers with.

    Attributes:
        status: 200 to 599.
        headers: further fields; not those that belong to the engine (framing, Connection).
        body: empty for 204 and 304.
        content_type: of the body; None for octets.
    """

    @property
    def status(self) -> int: ...
    @property
    def headers(self) -> Mapping[str, str] | Sequence[tuple[str, str]]: ...
    @property
    def body(self) -> bytes: ...
    @property
    def content_type(self) -> str | None: ...


def resource(function: Function) -> Callable[[Request], Awaitable[Response]]:
    """A handler that answers with what a function of a plugin says.

    Args:
        function: the function.
    """

    async def answer(request: Request) -> Response:
        try:
            result = function(request, *request.captures)
            if isinstance(result, Awaitable):
                result = await result
        except Exception as error:
            status = _status(error)
            if status is None:
                raise
            return error_response(status, str(error.args[0]), close=getattr(error, "close", False) is True)
        return result if isinstance(result, Response) else _response(result)

    return answer


def _status(error: Exception) -> int | None:
    """The status that an exception stands for; None when it is a failure."""
    if not error.args or not isinstance(error.args[0], str):
        return None
    status: object = getattr(error, "status", None)
    if isinstance(status, int) and 400 <= status <= 599:
        return status
    if isinstance(error, _ACCIDENTS):
        return None
    if isinstance(error, LookupError):
        return 404
    return 400 if isinstance(error, ValueError) else None


def _response(answer: object) -> Response:
    """Check what a plugin answered, which the type checker of its author may not have seen.

    Raises:
        TypeError: it has not the shape of an `Answer`.
        ValueError: it has, but it cannot be sent.
    """
    fields: list[object] = [getattr(answer, name, _ABSENT) for name in _FIELDS]
    missing = [name for name, value in zip(_FIELDS, fields, strict=True) if value is _ABSENT]
    if missing:
        raise TypeError(
            f"the resource returned {type(answer).__name__} without {', '.join(missing)}; "
            f"expected an object with {', '.join(_FIELDS)}"
        )
    status, headers, body, content_type = fields
    if not isinstance(status, int):
        raise TypeError(f"the resource answered with a status of {status!r}; expected a number")
    if not isinstance(body, bytes):
        raise TypeError(f"the resource answered with a body of {type(body).__name__}; expected bytes")
    if content_type is not None and not isinstance(content_type, str):
        raise TypeError(f"the resource answered with a content type of {content_type!r}; expected text or None")
    pairs = list(headers.items() if isinstance(headers, Mapping) else _pairs(headers))
    if not all(isinstance(text, str) for pair in pairs for text in pair):
        raise TypeError(f"the resource answered with the headers {pairs!r}; expected texts")
    return Response(int(status), body, content_type=content_type, headers=pairs)


def _pairs(headers: object) -> Sequence[tuple[str, str]]:
    if not isinstance(headers, Sequence) or not all(isinstance(pair, tuple) and len(pair) == 2 for pair in headers):
        raise TypeError(f"the resource answered with headers of {type(headers).__name__}; expected a mapping or pairs")
    return headers
