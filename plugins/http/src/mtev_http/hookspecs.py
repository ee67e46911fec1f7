"""The hook points of mtev-http. All are called on the loop of the connection concerned; none may block."""

from __future__ import annotations

from mtev_kernel import ABORT, HookResult, hookspec

from ._acl import Verdict
from ._request import Request
from ._response import Response
from ._route import Route
from .rest import Rest

__all__ = [
    "http_auth",
    "http_authenticate",
    "http_post_request",
    "http_post_request_read_payload",
    "http_request_complete",
    "http_request_log",
    "http_response_send",
    "http_response_starting",
    "mtev_rest_get_handler",
    "mtev_rest_routes",
    "rest_auth_denied",
]


@hookspec
def mtev_rest_routes(rest: Rest) -> HookResult | None:
    """The service starts: add your routes. Called once, when the http plugin starts.

    Args:
        rest: takes routes: `view` for JSON that is quick to make, `resource` for anything, `add` with our own types.

    Note:
        Declare the implementation `optional`, so that your plugin also works where http is not enabled. The only hook
        here that is called on a worker thread.
    """


@hookspec(on_error=ABORT)
def http_request_complete(request: Request) -> HookResult | None:
    """A request has arrived, complete up to its body. Called before it is routed.

    The place to find out who it is from: set `request.user` and `request.auth`, which access control then judges.

    Args:
        request: its path is decoded; its route is not known yet.

    Returns:
        ABORT to refuse it with 403. An implementation that raises refuses it too.
    """


@hookspec(on_error=ABORT)
def http_post_request(request: Request) -> HookResult | None:
    """A request is about to be routed: after every implementation of `http_request_complete`.

    Args:
        request: as in `http_request_complete`, with what was found out there.

    Returns:
        ABORT to refuse it with 403 and close the connection. An implementation that raises refuses it too.
    """


@hookspec
def http_post_request_read_payload(request: Request, piece: bytes) -> HookResult | None:
    """A piece of a body was read, on its way to the handler.

    Args:
        request: its `received_bytes` counts the piece already.
        piece: as it was sent, without the framing; `b""` when the body has ended.

    Returns:
        ABORT keeps later implementations from being called, and changes nothing else.
    """


@hookspec(on_error=ABORT)
async def http_authenticate(request: Request) -> HookResult | None:
    """Find out who a request is from. Called for routes that ask access control, before it judges. May wait.

    Set `request.user` and `request.auth` (how that was found out), and leave a request alone whose `user` is set.

    Args:
        request: with `route` and `captures` set.

    Returns:
        ABORT to refuse it with 403. An implementation that raises refuses it too.
    """


@hookspec(returns="first")
async def http_auth(request: Request, user: str, password: str) -> bool | None:
    """Is this the password of that user? Called by authenticators that were given both. May wait.

    Args:
        request: which brought them.
        user: who the peer says that it is.
        password: what it has to show for that. Never to be logged.

    Returns:
        True or False, or None to leave it to others; when all do, nobody knows that user, and the answer is no.
    """


@hookspec(on_error=ABORT)
def mtev_rest_get_handler(request: Request, route: Route) -> HookResult | None:
    """A route was found. Called before access control.

    Args:
        request: with `route` and `captures` set. An implementation may set `fastpath` to a handler of its own.
        route: the route.

    Returns:
        DONE to have `request.fastpath` answer in the place of the route's handler; the route's access control stays in
        force. ABORT for 404. An implementation that raises counts as ABORT.
    """


@hookspec(returns="first")
def rest_auth_denied(request: Request, verdict: Verdict) -> Response | None:
    """Access control denied a request: say so in your own way, a login page or a challenge.

    The handler of the route does not run, whatever is returned.

    Args:
        request: the request.
        verdict: which rule denied it.

    Returns:
        A response with a status of 300 or above, or None for the plain 403. Any other response is reported and
        replaced by the plain 403, so that nobody takes a denial for a success.
    """


@hookspec
def http_response_starting(request: Request, response: Response) -> HookResult | None:
    """A response is about to be sent: the last chance to set its headers.

    Not called for what the engine answers by itself, which is requests that are no HTTP.

    Args:
        request: the request; its `route` is None when none was found.
        response: may be changed.

    Returns:
        ABORT keeps later implementations from being called, and changes nothing else.
    """


@hookspec
def http_response_send(request: Request, response: Response, piece: bytes) -> HookResult | None:
    """A part of a body is handed to the engine: once for a whole body, and for each piece of a stream.

    Not called for files, which the system may send by itself, nor for websockets.

    Args:
        request: the request.
        response: the response.
        piece: the bytes, compressed where the response is.

    Returns:
        ABORT keeps later implementations from being called, and changes nothing else.
    """


@hookspec
def http_request_log(request: Request, response: Response, sent_bytes: int, latency_s: float) -> HookResult | None:
    """A response was sent, or its peer left: the place for logs of requests. Then `http/access` gets its line.

    Args:
        request: the request.
        response: the response.
        sent_bytes: size on the wire, header included; 0 when the peer left before.
        latency_s: from the complete header of the request to the last byte of the response.

    Returns:
        ABORT keeps later implementations from being called, and the line out of `http/access` (libmtev).
    """
