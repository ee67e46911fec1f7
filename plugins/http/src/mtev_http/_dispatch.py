"""From a request to its response: decode, route, authorize, hooks, handler. Knows no engine.

path that cannot be decoded     400, connection closed, one line in the log
http_request_complete           ABORT: 403
no route                        404; 405 with Allow where other methods have one; OPTIONS is answered with Allow
mtev_rest_get_handler           ABORT: 404; DONE: `fastpath` instead of the route's handler
access control                  denied: 403, or what rest_auth_denied says; the log has the rule
handler                         HttpError: its status; anything else: 500 with an id that is in the log
http_response_starting          for every response from here
http_request_log                once it is sent; ABORT: it is not written to the stream http/access
"""

from __future__ import annotations

import asyncio
import logging
import secrets
import time
from collections.abc import Awaitable
from dataclasses import dataclass, fields

from mtev_kernel import ABORT, DONE, Context, HookResult, HookSite

from . import _access_log, hookspecs
from ._acl import AccessLists, Verdict
from ._engine import malformed
from ._request import Request
from ._response import Handler, Response, error_response, json_response
from ._router import Miss, Route, Router
from .errors import BadRequest, ClientGone, HttpError

__all__ = ["RestDispatcher", "Sites"]


@dataclass(frozen=True, slots=True)
class Sites:
    """The compiled call sites of the hooks along the way; see `hookspecs` for what each means."""

    request_complete: HookSite[[Request], HookResult | None]
    get_handler: HookSite[[Request, Route], HookResult | None]
    auth_denied: HookSite[[Request, Verdict], Response | None]
    response_starting: HookSite[[Request, Response], HookResult | None]
    request_log: HookSite[[Request, Response, int, float], HookResult | None]

    @classmethod
    def of(cls, context: Context) -> Sites:
        """The sites of the plugin that has declared `hookspecs`."""
        site = context.hooks.site
        return cls(
            site(hookspecs.http_request_complete),
            site(hookspecs.mtev_rest_get_handler),
            site(hookspecs.rest_auth_denied),
            site(hookspecs.http_response_starting),
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
    """

    def __init__(self, router: Router, sites: Sites, log: logging.Logger) -> None:
        self.access = AccessLists()
        self.access_log = _access_log.NOWHERE
        self._router = router
        self._sites = sites
        self._log = log

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
        if (starting := self._sites.response_starting.call) is not None:
            starting(request, response)
        return response

    def completed(self, request: Request, response: Response, sent_bytes: int) -> None:
        """Tell whoever logs requests, and the access log."""
        told, stream = self._sites.request_log.call, self.access_log
        if told is None and not stream.material:
            return
        latency_s = time.perf_counter() - request.started_s
        if told is not None and told(request, response, sent_bytes, latency_s) is ABORT:
            return
        if stream.material:
            _access_log.write(stream, request, response, sent_bytes, latency_s)

    async def _answer(self, request: Request) -> Response:
        try:
            path = request.path
        except BadRequest as error:
            malformed(self._log, request.peer, f"{error}: {request.target[:100]}")
            raise
        sites = self._sites
        if (complete := sites.request_complete.call) is not None and complete(request) is ABORT:
            return error_response(403, "refused")
        found = self._router.find(request.method, path)
        if isinstance(found, Miss):
            return self._missed(request, found)
        route, request.captures = found
        request.route = route
        handler = route.handler
        if (get_handler := sites.get_handler.call) is not None:
            outcome = get_handler(request, route)
            if outcome is ABORT:
                return error_response(404, "not found")
            if outcome is DONE:
                handler = self._fastpath(request, handler)
        if route.auth:
            verdict = self.access.decide(request)
            if not verdict.allowed:
                return self._denied(request, verdict)
        result: object = handler(request)
        if isinstance(result, Awaitable):
            result = await result
        if not isinstance(result, Response):
            raise TypeError(f"the handler returned {type(result).__name__}; expected a Response")
        return result

    def _missed(self, request: Request, miss: Miss) -> Response:
        allow = self._router.methods() if request.path == "*" else miss.allow
        if not allow:
            return error_response(404, "not found")
        headers = {"Allow": ", ".join(allow)}
        if request.method == "OPTIONS":
            return Response(200, headers=headers)
        return error_response(405, "method not allowed", headers=headers)

    def _fastpath(self, request: Request, handler: Handler) -> Handler:
        if request.fastpath is None:
            self._log.error(
                "an implementation of mtev_rest_get_handler returned DONE for %s but set no request.fastpath; "
                "the route's own handler answers",
                _line(request),
            )
            return handler
        return request.fastpath

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

    def _failed(self, request: Request, error: BaseException) -> Response:
        identity = secrets.token_hex(8)
        name = request.route.name if request.route is not None else "no route"
        self._log.error("%s (%s) failed, id %s", _line(request), name, identity, exc_info=error)
        return json_response({"error": "internal error", "id": identity}, 500)


def _line(request: Request) -> str:
    """A request in one printable, bounded line."""
    return f"{request.method[:32]} {ascii(request.raw_path)[1:-1][:200]}"
