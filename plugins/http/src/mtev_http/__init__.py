r"""mtev-http: REST for mtev-kernel.

    from mtev_http import Request, Response, json_response

    async def greet(request: Request) -> Response:
        return json_response({"hello": request.captures[0]})

    rest.add("GET", "/acme/", r"^hello/(\w+)$", greet, summary="greets")

`rest` is the `Rest` service, or the argument of the hook `mtev_rest_routes`.
"""

from __future__ import annotations

from ._acl import Verdict
from ._engine import Dispatcher, Engine, EngineFactory, EngineSettings
from ._headers import Headers, ResponseHeaders
from ._request import BodyLimits, BodySource, Link, Request
from ._resource import Answer
from ._response import Handler, Response, error_response, json_response, text_response
from ._router import Route
from ._target import Query
from .errors import (
    BadRequest,
    BodyTimeout,
    BodyTooLarge,
    ClientGone,
    HttpError,
    RestError,
    RouteError,
    UnsupportedEncoding,
)
from .rest import Rest, View

__all__ = [
    "Answer",
    "BadRequest",
    "BodyLimits",
    "BodySource",
    "BodyTimeout",
    "BodyTooLarge",
    "ClientGone",
    "Dispatcher",
    "Engine",
    "EngineFactory",
    "EngineSettings",
    "Handler",
    "Headers",
    "HttpError",
    "Link",
    "Query",
    "Request",
    "Response",
    "ResponseHeaders",
    "Rest",
    "RestError",
    "Route",
    "RouteError",
    "UnsupportedEncoding",
    "Verdict",
    "View",
    "error_response",
    "json_response",
    "text_response",
]
