r"""mtev-http: REST for mtev-kernel.

    from mtev_http import Request, Response, json_response

    async def greet(request: Request) -> Response:
        return json_response({"hello": request.captures[0]})

    rest.add("GET", "/acme/", r"^hello/(\w+)$", greet, summary="greets")

`rest` is the `Rest` service, or the argument of the hook `mtev_rest_routes`.
"""

from __future__ import annotations

from ._acl import Verdict
from ._engine import Dispatcher, Engine, EngineFactory, EngineSettings, malformed
from ._engines import EngineHost
from ._forms import Form, FormLimits, Part, Upload
from ._headers import Headers, ResponseHeaders
from ._request import BodyLimits, BodySource, Link, Request
from ._resource import Answer
from ._response import Handler, Response, error_response, event_response, json_response, text_response
from ._route import Authorizer, Documentation, Parameter, Route
from ._serving import file_response
from ._stream import FileStream, ServerSentEvent, Stream
from ._target import Query
from ._trace import TraceContext
from ._websocket import Frames, SocketHandler, WebSocket, WebSocketOptions, WebSocketUpgrade
from ._xml import xml_response
from .errors import (
    BadRequest,
    BodyTimeout,
    BodyTooLarge,
    ClientGone,
    HttpError,
    RestError,
    RouteError,
    UnsupportedEncoding,
    UnsupportedMediaType,
    WebSocketClosed,
)
from .rest import Rest, View

__all__ = [
    "Answer",
    "Authorizer",
    "BadRequest",
    "BodyLimits",
    "BodySource",
    "BodyTimeout",
    "BodyTooLarge",
    "ClientGone",
    "Dispatcher",
    "Documentation",
    "Engine",
    "EngineFactory",
    "EngineHost",
    "EngineSettings",
    "FileStream",
    "Form",
    "FormLimits",
    "Frames",
    "Handler",
    "Headers",
    "HttpError",
    "Link",
    "Parameter",
    "Part",
    "Query",
    "Request",
    "Response",
    "ResponseHeaders",
    "Rest",
    "RestError",
    "Route",
    "RouteError",
    "ServerSentEvent",
    "SocketHandler",
    "Stream",
    "TraceContext",
    "UnsupportedEncoding",
    "UnsupportedMediaType",
    "Upload",
    "Verdict",
    "View",
    "WebSocket",
    "WebSocketClosed",
    "WebSocketOptions",
    "WebSocketUpgrade",
    "error_response",
    "event_response",
    "file_response",
    "json_response",
    "malformed",
    "text_response",
    "xml_response",
]
