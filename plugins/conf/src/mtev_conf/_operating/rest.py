"""REST over the configuration: `/mtev/conf.xml`, `/mtev/conf.json`, `/mtev/conf/history`, `.../pending`, and elements.

    GET     the element or attribute as it is written, secrets hidden; ETag, If-None-Match
    PUT     XML replaces or makes the element, plain text sets the attribute or the text of the element
    DELETE  removes it
    POST    to `/mtev/conf/` itself: a set of changes as JSON, carried out together; see `rest_changes`

1. Changes need `<conf rest_write="on">`. Whoever changes what is there has to know it: without If-Match or
   If-None-Match the answer is 428, with one that does not hold 412.
2. What XML replaces is compared with it, and only the differences are carried out; so one changed attribute is one
   changed line of the file.
3. Each change is one transaction. Who refuses it is heard (422), all reasons in a list. `?write=1`, or libmtev's header
   `x-mtev-conf-synch: 1`, has the files written before the answer comes.
4. What is refused is answered with `{"error": ...}`. Whatever may block runs on a thread.

HTTP itself is not imported: this knows the shape of its requests and answers only.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Protocol

from .._configuration import Configuration
from .._settings import ConfSettings
from .rest_document import Conditions, Refusal
from .rest_elements import Answer, Elements, Order
from .rest_representation import json_bytes

__all__ = ["Request", "RestRegistry", "register_routes"]

_BODY_LIMIT_BYTES = 1024 * 1024
_TRUE = ("1", "on", "true", "yes")


class Request(Protocol):
    """What is used here of an HTTP request."""

    @property
    def headers(self) -> Mapping[str, str]: ...
    @property
    def query(self) -> Mapping[str, str]: ...
    @property
    def user(self) -> str: ...
    @property
    def peer_text(self) -> str: ...
    async def body(self) -> bytes: ...


class RestRegistry(Protocol):
    """Where routes are registered: what is used here of the HTTP service."""

    def resource(
        self,
        method: str,
        base: str,
        expression: str,
        function: Callable[..., Awaitable[Answer]],
        *,
        summary: str,
        body_limit_bytes: int | None = None,
    ) -> object: ...


def register_routes(rest: RestRegistry, configuration: Configuration, settings: Callable[[], ConfSettings]) -> None:
    """Register all routes.

    Args:
        rest: the service, as its hook `mtev_rest_routes` hands it out.
        configuration: what they show and change.
        settings: what `<conf>` says now.
    """
    routes = _Routes(Elements(configuration, settings))
    for base, expression, function, summary in (
        ("/mtev/", r"^conf\.xml$", routes.document_xml, "the configuration in force, as XML"),
        ("/mtev/", r"^conf\.json$", routes.document_json, "the configuration in force, as JSON"),
        ("/mtev/conf/", r"^history$", routes.history, "the last generations of the configuration"),
        ("/mtev/conf/", r"^pending$", routes.pending, "changes of the configuration that wait for a restart"),
        ("/mtev/conf/", r"^(.*)$", routes.read, "an element or attribute of the configuration"),
    ):
        rest.resource("GET", base, expression, function, summary=summary)
    for method, function, summary in (
        ("PUT", routes.put, "change an element or attribute of the configuration, or make it"),
        ("DELETE", routes.delete, "remove an element or attribute of the configuration"),
    ):
        rest.resource(method, "/mtev/conf/", r"^(.*)$", function, summary=summary, body_limit_bytes=_BODY_LIMIT_BYTES)
    summary = "carry out a set of changes of the configuration, all of it or nothing"
    rest.resource("POST", "/mtev/conf/", "^$", routes.post, summary=summary, body_limit_bytes=_BODY_LIMIT_BYTES)


class _Routes:
    """The functions behind the routes.

    Args:
        elements: what does the work, on threads.
    """

    def __init__(self, elements: Elements) -> None:
        self._elements = elements

    async def document_xml(self, request: Request) -> Answer:
        return await _answered(self._elements.document_xml)

    async def document_json(self, request: Request) -> Answer:
        return await _answered(self._elements.document_json)

    async def history(self, request: Request) -> Answer:
        return await _answered(self._elements.history)

    async def pending(self, request: Request) -> Answer:
        return await _answered(self._elements.pending)

    async def read(self, request: Request, path: str) -> Answer:
        form, headers = request.query.get("format", ""), request.headers
        accept, known = headers.get("accept", ""), headers.get("if-none-match")
        return await _answered(lambda: self._elements.read(path, form, accept, known))

    async def put(self, request: Request, path: str) -> Answer:
        return await self._changed(request, path, self._elements.put)

    async def post(self, request: Request) -> Answer:
        return await self._changed(request, "", lambda order, body, media, _: self._elements.change(order, body, media))

    async def delete(self, request: Request, path: str) -> Answer:
        order = _order(request, path)
        return await _answered(lambda: self._elements.delete(order))

    async def _changed(
        self, request: Request, path: str, function: Callable[[Order, bytes, str, str], Answer]
    ) -> Answer:
        try:
            self._elements.check_allowed(path)  # before the body is read
        except Refusal as refusal:
            return _refused(refusal)
        body, order = await request.body(), _order(request, path)
        media, charset = _media(request.headers.get("content-type", ""))
        return await _answered(lambda: function(order, body, media, charset))


async def _answered(function: Callable[[], Answer]) -> Answer:
    try:
        return await asyncio.to_thread(function)
    except Refusal as refusal:
        return _refused(refusal)


def _refused(refusal: Refusal) -> Answer:
    return Answer(refusal.status, json_bytes({"error": str(refusal), **refusal.fields}), "application/json")


def _order(request: Request, path: str) -> Order:
    headers, write = request.headers, request.query.get("write", "")
    return Order(
        path,
        f"rest {request.user or request.peer_text}",
        Conditions(headers.get("if-match"), headers.get("if-none-match")),
        write.lower() in _TRUE or headers.get("x-mtev-conf-synch", "").strip() == "1",
    )


def _media(header: str) -> tuple[str, str]:
    """The media type of a `Content-Type`, in lower case, and its charset."""
    media, *parameters = [part.strip() for part in header.split(";")]
    charset = next((part.partition("=")[2] for part in parameters if part.lower().startswith("charset=")), "")
    return media.lower(), charset.strip('"')
