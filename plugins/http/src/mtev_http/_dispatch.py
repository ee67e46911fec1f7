"""From a request to its response: decode, route, authorize, hooks, handler. Knows no engine.

Host or path that cannot be one 400, connection closed, one line in the log
http_request_complete           ABORT: 403
http_post_request               ABORT: 403, connection closed
no route                        a file below document_root where the listener has one; else 404, or 405 with Allow where
                                other methods have a route; OPTIONS is answered with Allow, or as CORS has it
mtev_rest_get_handler           ABORT: 404; DONE: `fastpath` instead of the route's handler
http_authenticate               finds out who it is; ABORT: 403
access control                  denied: 403, or what rest_auth_denied says; the log has the rule
websocket                       its handshake is judged; what is wrong with it is answered before any 101
handler                         HttpError: its status; late: 503; anything else: 500 with an id that is in the log
on the way out                  conditions, compression, CORS, the request's id
http_response_starting          for every response from here
http_response_send              for every part of a body
http_request_log                once it is sent; ABORT: it is not written to the stream http/access
"""

from __future__ import annotations

import asyncio
import logging
import secrets
import threading
import time
from collections.abc import Awaitable
from dataclasses import dataclass, fields
from types import CoroutineType

from mtev_kernel import ABORT, DONE, Context, HookResult, HookSite

from . import _access_log, hookspecs
from ._acl import AccessLists, Verdict
from ._engine import malformed
from ._finishing import Finishing
from ._request import Request
from ._response import Handler, Response, error_response, json_response
from ._route import ANY, WEBSOCKET, Route
from ._router import Found, Miss, Router
from ._sending import watched
from ._serving import document
from ._stepping import Waiting, first_step, rest
from ._time_limit import DEFAULT_TIME_LIMIT_S, TimeLimits
from ._websocket import FAILED, NORMAL, Frames, WebSocket, WebSocketUpgrade, refusal
from .errors import BadRequest, ClientGone, HttpError, WebSocketClosed

__all__ = ["RestDispatcher", "Sites"]

DOCUMENTS = Route("GET", "/", "^(.*)$", document, "files below the document_root of the listener")
"""What answers where no route does, on listeners that have a `document_root`."""


@dataclass(frozen=True, slots=True)
class Sites:
    """The compiled call sites of the hooks along the way; see `hookspecs` for what each means."""

    request_complete: HookSite[[Request], HookResult | None]
    post_request: HookSite[[Request], HookResult | None]
    read_payload: HookSite[[Request, bytes], HookResult | None]
    authenticate: HookSite[[Request], Awaitable[HookResult | None]]
    get_handler: HookSite[[Request, Route], HookResult | None]
    auth_denied: HookSite[[Request, Verdict], Response | None]
    response_starting: HookSite[[Request, Response], HookResult | None]
    response_send: HookSite[[Request, Response, bytes], HookResult | None]
    request_log: HookSite[[Request, Response, int, float], HookResult | None]

    @classmethod
    def of(cls, context: Context) -> Sites:
        """The sites of the plugin that has declared `hookspecs`."""
        site = context.hooks.site
        return cls(
            site(hookspecs.http_request_complete),
            site(hookspecs.http_post_request),
            site(hookspecs.http_post_request_read_payload),
            site(hookspecs.http_authenticate),
            site(hookspecs.mtev_rest_get_handler),
            site(hookspecs.rest_auth_denied),
            site(hookspecs.http_response_starting),
            site(hookspecs.http_response_send),
            site(hookspecs.http_request_log),
        )

    @classmethod
    def idle(cls) -> Sites:
        """Sites that nobody is attached to, outside a kernel."""
        return cls(*(HookSite(field.name) for field in fields(cls)))


class RestDispatcher:
    """Answers the requests of every engine of one service.

    Args:
        router: the routes.
        sites: the hooks.
        log: for denials, malformed paths and handlers that fail.

    Attributes:
        access: the access control lists in force; replaced as a whole.
        access_log: the stream that gets a line for each request.
        forensic_log: the stream that gets one when a request has come in, before anything is done about it.
        finishing: what every response gets on its way out.
        time_limit_s: how long a handler may take whose route says nothing else, in seconds; 0 for as long as it wants.
    """

    def __init__(self, router: Router, sites: Sites, log: logging.Logger) -> None:
        self.access = AccessLists()
        self.access_log = self.forensic_log = _access_log.NOWHERE
        self.finishing = Finishing()
        self.time_limit_s = DEFAULT_TIME_LIMIT_S
        self._router = router
        self._sites = sites
        self._log = log
        self._here = threading.local()

    async def respond(self, request: Request) -> Response:
        """The response to a request. Raises nothing but cancellation."""
        try:
            response = await self._answer(request)
        except HttpError as error:
            response = error_response(error.status, str(error), close=error.close)
        except ClientGone:
            response = Response(400, close=True)
        except asyncio.CancelledError as error:
            task = asyncio.current_task()
            if task is None or task.cancelling():
                raise  # the peer has left
            response = self._failed(request, error)  # the handler let go of something that it had cancelled itself
        except (Exception, SystemExit) as error:
            response = self._failed(request, error)
        finishing = self.finishing
        if finishing.concerns(response):
            response = await self._finished(request, response)
        if finishing.request_ids:
            response.stamp("X-Request-Id", request.id)
        sites = self._sites
        if (starting := sites.response_starting.call) is not None:
            starting(request, response)
        if (send := sites.response_send.call) is not None:
            watched(request, response, send)
        return response

    def completed(self, request: Request, response: Response, sent_bytes: int) -> None:
        """Count it, tell whoever logs requests, and the access log."""
        latency_s = time.perf_counter() - request.started_s
        route = request.route
        if route is not None and route.meter is not None:
            route.meter.record(latency_s)
        told, stream = self._sites.request_log.call, self.access_log
        if told is not None and told(request, response, sent_bytes, latency_s) is ABORT:
            return
        if stream.material:
            _access_log.write(stream, request, response, sent_bytes, latency_s)

    def broke(self, request: Request, error: BaseException) -> None:
        """A body failed while it was sent; the engine breaks the connection off."""
        self._log.error(
            "%s: the body of the response failed, and the connection was broken off", _line(request), exc_info=error
        )

    async def _finished(self, request: Request, response: Response) -> Response:
        try:
            return await self.finishing.apply(request, response)
        except BadRequest as error:
            return error_response(error.status, str(error), close=True)
        except Exception as error:
            return self._failed(request, error)

    async def _answer(self, request: Request) -> Response:
        try:
            request.check_host()
            path = request.path
        except BadRequest as error:
            malformed(self._log, request.peer, f"{error}: {request.target[:100]}")
            raise
        sites = self._sites
        if (complete := sites.request_complete.call) is not None and complete(request) is ABORT:
            return error_response(403, "refused")
        if (post := sites.post_request.call) is not None and post(request) is ABORT:
            return error_response(403, "refused", close=True)
        if self.forensic_log.material:
            _access_log.write_forensic(self.forensic_log, request)
        found = self._find(request, path)
        if isinstance(found, Miss):
            if found.allow or "document_root" not in request.config:
                return self._missed(request, found)
            found = Found(DOCUMENTS, (path[1:],))
        route, request.captures = found
        request.route = route
        request.on_payload = sites.read_payload.call
        handler = route.answer
        if (get_handler := sites.get_handler.call) is not None:
            outcome = get_handler(request, route)
            if outcome is ABORT:
                return error_response(404, "not found")
            if outcome is DONE:
                handler = self._fastpath(request, route)
        if route.auth:
            if (authenticate := sites.authenticate.call) is not None and await authenticate(request) is ABORT:
                return error_response(403, "refused")
            verdict = self._judged(request, route)
            if not verdict.allowed:
                return self._denied(request, verdict)
        if route.websocket is not None:
            return self._upgrade(request, route)
        if route.body_limit_bytes is not None:
            request.limit_body(route.body_limit_bytes)
        result: object = handler(request)
        if type(result) is CoroutineType:
            step = first_step(result)
            result = await self._limited(request, route, rest(result, step)) if isinstance(step, Waiting) else step
        elif isinstance(result, Awaitable):
            result = await self._limited(request, route, result)
        if not isinstance(result, Response):
            raise TypeError(f"the handler returned {type(result).__name__}; expected a Response")
        return result

    def _find(self, request: Request, path: str) -> Found | Miss:
        if request.method in (WEBSOCKET, ANY):  # ours to register with, nobody's to ask with
            return Miss(self._router.methods())
        if request.upgrade and request.is_websocket:
            found = self._router.find(WEBSOCKET, path)
            if isinstance(found, Found):
                return found
        return self._router.find(request.method, path)

    def _missed(self, request: Request, miss: Miss) -> Response:
        allow = self._router.methods() if request.path == "*" else miss.allow
        if not allow:
            return error_response(404, "not found")
        headers = {"Allow": ", ".join(allow)}
        if request.method == "OPTIONS":
            return self.finishing.preflight(request, allow) or Response(200, headers=headers)
        if request.method == "GET" and miss.websocket:
            return error_response(400, "expected the handshake of a websocket")
        return error_response(405, "method not allowed", headers=headers)

    def _fastpath(self, request: Request, route: Route) -> Handler:
        if request.fastpath is None:
            self._log.error(
                "an implementation of mtev_rest_get_handler returned DONE for %s but set no request.fastpath; "
                "the route's own handler answers",
                _line(request),
            )
            return route.answer
        return request.fastpath

    async def _limited(self, request: Request, route: Route, awaitable: Awaitable[object]) -> object:
        limit_s = self.time_limit_s if route.time_limit_s is None else route.time_limit_s
        if not limit_s:
            return await awaitable
        limits: TimeLimits | None = getattr(self._here, "limits", None)
        if limits is None or limits.loop is not asyncio.get_running_loop():
            limits = self._here.limits = TimeLimits()
        running = limits.enter(limit_s)
        try:
            return await awaitable
        except asyncio.CancelledError:
            if not running.late or running.task.uncancel():
                raise
            self._log.warning("%s was cut off after its time limit of %g s", _line(request), limit_s)
            raise HttpError(503, f"the request took longer than {limit_s:g} s", close=True) from None
        finally:
            limits.leave(running)

    def _judged(self, request: Request, route: Route) -> Verdict:
        if route.auth is True:
            return self.access.decide(request)
        assert callable(route.auth), "what is neither True nor false decides"
        allowed = route.auth(request) is True
        return Verdict(allowed, "", f"{'allowed' if allowed else 'denied'} by the route's own rule")

    def _denied(self, request: Request, verdict: Verdict) -> Response:
        who = ascii(request.peer) + (f" (CN {request.remote_cn!a})" if request.remote_cn else "")
        self._log.warning("%s from %s %s", _line(request), who, verdict)
        if (call := self._sites.auth_denied.call) is not None:
            response: object = call(request, verdict)
            if isinstance(response, Response) and response.status >= 300:
                return response
            if response is not None:
                self._log.error(
                    "an implementation of rest_auth_denied answered %s with %r; expected a Response with a status of "
                    "300 or above; the request was answered with 403",
                    _line(request),
                    response,
                )
        return error_response(403, "denied")

    def _upgrade(self, request: Request, route: Route) -> Response:
        options = route.websocket
        assert options is not None, "asked for routes of websockets only"
        agreed = refusal(request, options)
        if isinstance(agreed, Response):
            return agreed
        handler = route.handler

        async def run(frames: Frames) -> None:
            socket = WebSocket(request, frames, agreed)
            code, reason = NORMAL, ""
            try:
                await handler(socket)  # type: ignore[arg-type, misc]  # a route of a websocket has a SocketHandler
            except WebSocketClosed:
                pass
            except HttpError as error:
                code, reason = 1007 if error.status == 400 else FAILED, str(error)[:100]
            except (Exception, SystemExit) as error:
                identity = self._report(request, error)
                code, reason = FAILED, f"internal error {identity}"
            await frames.close(code, reason)

        return WebSocketUpgrade(run, agreed, options)

    def _failed(self, request: Request, error: BaseException) -> Response:
        return json_response({"error": "internal error", "id": self._report(request, error)}, 500)

    def _report(self, request: Request, error: BaseException) -> str:
        identity = secrets.token_hex(8)
        place = request.route.place if request.route is not None else "no route"
        self._log.error("%s (%s) failed, id %s", _line(request), place, identity, exc_info=error)
        return identity


def _line(request: Request) -> str:
    """A request in one printable, bounded line."""
    return f"{request.method[:32]} {ascii(request.raw_path)[1:-1][:200]}"
