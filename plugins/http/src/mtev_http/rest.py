"""The REST service: what other plugins add their routes to."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, TypeVar

from . import _resource
from ._metering import Meters, Unmetered
from ._places import Nowhere, Places
from ._request import Request
from ._response import Handler, Response, error_response, json_response
from ._route import ANY, WEBSOCKET, Authorizer, Documentation, Parameter, Route
from ._router import Router
from ._websocket import SocketHandler, WebSocketOptions

if TYPE_CHECKING:
    from aiohttp import web

    from ._aiohttp_app import AiohttpMount
    from ._asgi import AsgiApplication, AsgiMount

__all__ = ["Rest", "View"]

View = Callable[..., object]
"""`function(query: Mapping[str, str], *captures: str) -> object`: returns what is to be shown as JSON. Quick."""


_PLAIN = WebSocketOptions()


class Rest:
    """The routes of the service. Published under this class; thread-safe.

    Args:
        router: holds them.
        log: for what is added and removed.
        places: finds pools and job queues; None for none.
        meters: makes what routes count in; None to count nothing.
    """

    def __init__(
        self, router: Router, log: logging.Logger, places: Places | None = None, meters: Meters | None = None
    ) -> None:
        self._router = router
        self._log = log
        self._places = places or Nowhere()
        self._meters = meters or Unmetered()

    @property
    def routes(self) -> tuple[Route, ...]:
        """Every route in the order of adding."""
        return self._router.routes()

    def add(
        self,
        method: str,
        base: str,
        expression: str,
        handler: Handler,
        *,
        summary: str,
        auth: bool | Authorizer = True,
        name: str = "",
        documentation: Documentation | None = None,
        time_limit_s: float | None = None,
        body_limit_bytes: int | None = None,
        pool: str | None = None,
        jobq: str | None = None,
    ) -> Route:
        """Add a route. It answers from the next request on.

        Args:
            method: upper case. A GET route answers HEAD too.
            base: prefix of the path; begins and ends in `/`. The longest base decides, before any expression is tried.
            expression: regular expression, searched in the rest of the path: anchor it.
            handler: `async def handler(request) -> Response`, or a plain function that is quick.
            summary: one line for listings.
            auth: ask the access control lists. Without, everybody who reaches the listener may use the route. A plain
                function of the request decides in their place; False of it denies.
            name: what the route is called in `/openapi.json`; by default made from method and place.
            documentation: more about it, for `/openapi.json` and the index.
            time_limit_s: how long an `async` handler may take until it has a response, in seconds; 0 for as long as it
                wants, None for what `<rest>` says. Beyond it the handler is cancelled, and the answer 503.
            body_limit_bytes: the largest body that it reads; None for what `<rest>` says.
            pool: name of the pool on whose loops the handler runs; None for the connection's loop.
            jobq: name of the job queue in which the handler, a plain function that may block, runs. It finds the body
                in `request.content`.

        Returns:
            The route, for `remove`.

        Raises:
            RouteError: something of it is malformed, the same method, base and expression are there already, or there
                is no such pool or job queue.
        """
        route = Route(
            method,
            base,
            expression,
            handler,
            summary,
            auth,
            name,
            documentation or Documentation(),
            time_limit_s,
            body_limit_bytes,
            self._places.pool(pool) if pool is not None else None,
            self._places.jobq(jobq) if jobq is not None else None,
            None,
            self._meters.of(base, expression),
        )
        return self._added(route)

    def websocket(
        self,
        base: str,
        expression: str,
        handler: SocketHandler,
        *,
        summary: str,
        options: WebSocketOptions = _PLAIN,
        auth: bool | Authorizer = True,
        name: str = "",
        documentation: Documentation | None = None,
    ) -> Route:
        """Add a websocket. Route, access control and subprotocol are judged before it begins.

        Args:
            base: as for `add`.
            expression: as for `add`.
            handler: `async def handler(socket: WebSocket) -> None`. The websocket is closed when it returns.
            summary: as for `add`.
            options: subprotocols, origins, limits.
            auth: as for `add`.
            name: as for `add`.
            documentation: as for `add`.

        Raises:
            RouteError: as for `add`.
        """
        route = Route(
            WEBSOCKET,
            base,
            expression,
            handler,  # type: ignore[arg-type]  # the dispatcher calls it as what it is, because `websocket` is set
            summary,
            auth,
            name,
            documentation or Documentation(),
            websocket=options,
            meter=self._meters.of(base, expression),
        )
        return self._added(route)

    def mount_asgi(
        self,
        prefix: str,
        application: AsgiApplication,
        *,
        summary: str,
        auth: bool | Authorizer = True,
        pool: str | None = None,
        options: WebSocketOptions = _PLAIN,
    ) -> AsgiMount:
        """Put an ASGI application at a path. Every method below it is the application's.

        Args:
            prefix: such as `/shop/`; begins and ends in `/`.
            application: `async def application(scope, receive, send)`, of ASGI 3.
            summary: one line for listings.
            auth: as for `add`; judged before the application is asked.
            pool: name of the pool that it runs on, for an application that belongs to one loop: one with a
                concurrency of 1. None for the loop of each connection.
            options: for its websockets; subprotocols are its own to choose.

        Returns:
            The mount: await its `start` and `stop` where the application wants to know of these (lifespan).

        Raises:
            RouteError: as for `add`.
        """
        from ._asgi import AsgiMount

        mount = AsgiMount(application, prefix[:-1], self._log, options)
        self._mounted(prefix, mount.answer, summary, auth, pool)
        return mount

    def mount_aiohttp(
        self,
        prefix: str,
        application: web.Application,
        *,
        summary: str,
        auth: bool | Authorizer = True,
        pool: str | None = None,
        options: WebSocketOptions = _PLAIN,
    ) -> AiohttpMount:
        """Put an application of aiohttp at a path. Every method below it is the application's.

        Args:
            prefix: as for `mount_asgi`; the application's own routes are below it, without it.
            application: the application.
            summary: one line for listings.
            auth: as for `mount_asgi`.
            pool: as for `mount_asgi`. An application of aiohttp belongs to one loop.
            options: for its websockets.

        Returns:
            The mount: await its `start` on the loop that the application is to run on, and its `stop`.

        Raises:
            RouteError: as for `add`.
        """
        from ._aiohttp_app import AiohttpMount

        mount = AiohttpMount(application, prefix[:-1], options)
        self._mounted(prefix, mount.answer, summary, auth, pool)
        return mount

    def remove(self, route: Route) -> None:
        """Remove a route. Requests that it answers already are not disturbed.

        Raises:
            RouteError: it is not there.
        """
        self._router.remove(route)
        self._log.debug("route %s %s removed", route.method, route.place)

    def _mounted(self, prefix: str, answer: Handler, summary: str, auth: bool | Authorizer, pool: str | None) -> Route:
        return self.add(ANY, prefix, "^", answer, summary=summary, auth=auth, pool=pool)

    def _added(self, route: Route) -> Route:
        self._router.add(route)
        self._log.debug("route %s %s added", route.method, route.place)
        return route

    def view(
        self, base: str, expression: str, function: View, *, summary: str, parameters: Mapping[str, str] = {}
    ) -> Route:
        """Add a GET route that shows data as JSON. Access control applies.

        Args:
            base: as for `add`.
            expression: as for `add`.
            function: `function(query, *captures)` returns data that msgspec can encode. It runs on the loop, so it
                must be quick. `LookupError(text)` answers 404 and `ValueError(text)` 400, both with `{"error": text}`.
            summary: one line for listings.
            parameters: fields of the query, and one line about each, for `/openapi.json`.

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

        handler = _named(show, function)
        return self.add("GET", base, expression, handler, summary=summary, documentation=_documented(parameters))

    def resource(
        self,
        method: str,
        base: str,
        expression: str,
        function: _resource.Function,
        *,
        summary: str,
        body_limit_bytes: int | None = None,
        parameters: Mapping[str, str] = {},
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
            parameters: fields of the query, and one line about each, for `/openapi.json`.

        Raises:
            RouteError: as for `add`, or the limit is negative.
        """
        handler = _named(_resource.resource(function), function)
        return self.add(
            method,
            base,
            expression,
            handler,
            summary=summary,
            body_limit_bytes=body_limit_bytes,
            documentation=_documented(parameters),
        )


H = TypeVar("H", bound=Handler)


def _named(handler: H, function: Callable[..., object]) -> H:
    """Have a handler go by the name of the function behind it, for listings."""
    handler.__module__ = getattr(function, "__module__", handler.__module__)
    handler.__qualname__ = getattr(function, "__qualname__", type(function).__qualname__)
    return handler


def _documented(parameters: Mapping[str, str]) -> Documentation:
    return Documentation(parameters=[Parameter(name, summary) for name, summary in parameters.items()])


def _text(error: LookupError | ValueError) -> str:
    """The text of an error; `str` of a KeyError would show it in quotes."""
    return str(error.args[0]) if len(error.args) == 1 else str(error)
