"""The REST service: what other plugins add their routes to."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import TypeVar

from . import _resource
from ._request import Request
from ._response import Handler, Response, error_response, json_response
from ._router import Route, Router
from .errors import RouteError

__all__ = ["Rest", "View"]

View = Callable[..., object]
"""`function(query: Mapping[str, str], *captures: str) -> object`: returns what is to be shown as JSON. Quick."""


class Rest:
    """The routes of the service. Published under this class; thread-safe.

    Args:
        router: holds them.
        log: for what is added and removed.
    """

    def __init__(self, router: Router, log: logging.Logger) -> None:
        self._router = router
        self._log = log

    @property
    def routes(self) -> tuple[Route, ...]:
        """Every route in the order of adding."""
        return self._router.routes()

    def add(
        self, method: str, base: str, expression: str, handler: Handler, *, summary: str, auth: bool = True
    ) -> Route:
        """Add a route. It answers from the next request on.

        Args:
            method: upper case. A GET route answers HEAD too.
            base: prefix of the path; begins and ends in `/`. The longest base decides, before any expression is tried.
            expression: regular expression, searched in the rest of the path: anchor it.
            handler: `async def handler(request) -> Response`, or a plain function that is quick.
            summary: one line for listings.
            auth: ask the access control lists. Without, everybody who reaches the listener may use the route.

        Returns:
            The route, for `remove`.

        Raises:
            RouteError: something of it is malformed, or the same method, base and expression are there already.
        """
        route = Route(method, base, expression, handler, summary, auth)
        self._router.add(route)
        self._log.debug("route %s %s added", method, route.name)
        return route

    def remove(self, route: Route) -> None:
        """Remove a route. Requests that it answers already are not disturbed.

        Raises:
            RouteError: it is not there.
        """
        self._router.remove(route)
        self._log.debug("route %s %s removed", route.method, route.name)

    def view(self, base: str, expression: str, function: View, *, summary: str) -> Route:
        """Add a GET route that shows data as JSON. Access control applies.

        Args:
            base: as for `add`.
            expression: as for `add`.
            function: `function(query, *captures)` returns data that msgspec can encode. It runs on the loop, so it
                must be quick. `LookupError(text)` answers 404 and `ValueError(text)` 400, both with `{"error": text}`.
            summary: one line for listings.

        Raises:
            RouteError: as for `add`.
        """

        def show(request: Request) -> Response:
            query = request.query
            try:
                data = function(query, *request.captures)
            except LookupError as error:
                return error_response(404, _text(error))
            except ValueError as error:
                return error_response(400, _text(error))
            return json_response(data)

        return self.add("GET", base, expression, _named(show, function), summary=summary)

    def resource(
        self,
        method: str,
        base: str,
        expression: str,
        function: _resource.Function,
        *,
        summary: str,
        body_limit_bytes: int | None = None,
    ) -> Route:
        """Add a route whose function needs nothing of this distribution's types. Access control applies.

        Args:
            method: as for `add`.
            base: as for `add`.
            expression: as for `add`.
            function: `async function(request, *captures)`, or a plain function that is quick: it runs on the
                connection's loop. The request is a `Request`. It returns any object with `status` (200 to 599),
                `headers` (a mapping or a sequence of pairs), `body` (bytes) and `content_type` (text, or None). What it
                raises answers `{"error": text}` when it is an exception with an attribute `status` of 400 to 599, a
                LookupError (404) or a ValueError (400), and has a text; anything else is a 500 with an id, KeyError,
                IndexError and UnicodeError among them.
            summary: one line for listings.
            body_limit_bytes: the largest body that `await request.body()` reads; None for what `<rest>` says.

        Raises:
            RouteError: as for `add`, or the limit is negative.
        """
        if body_limit_bytes is not None and body_limit_bytes < 0:
            raise RouteError(f"route {base}({expression}): the limit of {body_limit_bytes} bytes is below 0")
        handler = _named(_resource.resource(function, body_limit_bytes), function)
        return self.add(method, base, expression, handler, summary=summary)


H = TypeVar("H", bound=Handler)


def _named(handler: H, function: Callable[..., object]) -> H:
    """Have a handler go by the name of the function behind it, for listings."""
    handler.__module__ = getattr(function, "__module__", handler.__module__)
    handler.__qualname__ = getattr(function, "__qualname__", type(function).__qualname__)
    return handler


def _text(error: LookupError | ValueError) -> str:
    """The text of an error; `str` of a KeyError would show it in quotes."""
    return str(error.args[0]) if len(error.args) == 1 else str(error)
