"""Routes: one way into the service each, with all that it asks for."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

from ._elsewhere import in_jobq, on_pool
from .errors import RouteError

if TYPE_CHECKING:
    from mtev_eventer import JobQueue, Pool

    from ._request import Request
    from ._response import Handler
    from ._websocket import WebSocketOptions

__all__ = ["ANY", "WEBSOCKET", "Authorizer", "Documentation", "Meter", "Parameter", "Route"]

WEBSOCKET = "WS"
"""The method under which routes of websockets are registered (libmtev)."""

ANY = "*"
"""The method of routes that answer every method: mounted applications, which have their own routes."""

_METHOD = re.compile(r"\*|[A-Z][A-Z0-9_-]*")

Authorizer = Callable[["Request"], bool]
"""Decides in the place of the access control lists whether a request may use its route. Quick, and plain."""


class Meter(Protocol):
    """Where a route counts."""

    def record(self, latency_s: float) -> None:
        """A request was answered. From any thread; quick."""


@dataclass(frozen=True, slots=True)
class Parameter:
    """A field of the query, for the documentation of a route.

    Args:
        name: as in the query.
        summary: one line.
        kind: what msgspec can describe: `str`, `int`, `bool`, a Literal, an Annotated type.
        required: whether requests without it are refused.
    """

    name: str
    summary: str
    kind: type | object = str
    required: bool = False


@dataclass(frozen=True, slots=True)
class Documentation:
    """What a route says of itself beside its summary, for `/openapi.json` and for people.

    Args:
        text: Markdown.
        parameters: of the query.
        captures: what the groups of the expression mean, in order: names, for the path of the document. A group that
            has a name in the expression needs none here.
        body: the type of the request's body, as msgspec describes it; None when it takes none, `bytes` for anything.
        responses: status to the type of its body, or to one line about it. Those that any route may answer with (400,
            403, 404, 405, 500 …) need not be here.
        content_type: of the answer.
    """

    text: str = ""
    parameters: Sequence[Parameter] = ()
    captures: Sequence[str] = ()
    body: type | object | None = None
    responses: Mapping[int, type | object] = field(default_factory=dict)
    content_type: str = "application/json"


_UNDOCUMENTED = Documentation()


@dataclass(frozen=True, slots=True, eq=False)
class Route:
    """One way into the service.

    Attributes:
        method: compared as it is; `WS` for websockets, `*` for every other one.
        base: the prefix of the path; begins and ends in `/`.
        expression: regular expression, searched in the rest of the path.
        handler: what answers.
        summary: one line for listings.
        auth: True to ask the access control lists, False to ask nobody, or a function that decides.
        name: what it is called in `/openapi.json`; unique. By default made from method and place.
        documentation: more about it.
        time_limit_s: how long the handler may take until it has a response; None for what `<rest>` says.
        body_limit_bytes: the largest body that it reads; None for what `<rest>` says.
        pool: the loops that the handler runs on; None for the connection's.
        jobq: the job queue that the handler, a plain function then, runs in.
        websocket: how the websocket behaves, for method `WS`.
        meter: where it counts.
        pattern: the compiled expression.
        answer: the handler, behind whatever brings it to its pool or job queue.

    Raises:
        RouteError: something of it is malformed, or does not fit together.
    """

    method: str
    base: str
    expression: str
    handler: Handler
    summary: str
    auth: bool | Authorizer = True
    name: str = ""
    documentation: Documentation = _UNDOCUMENTED
    time_limit_s: float | None = None
    body_limit_bytes: int | None = None
    pool: Pool | None = None
    jobq: JobQueue | None = None
    websocket: WebSocketOptions | None = None
    meter: Meter | None = None
    pattern: re.Pattern[str] = field(init=False, repr=False)
    answer: Handler = field(init=False, repr=False)

    def __post_init__(self) -> None:
        if not _METHOD.fullmatch(self.method):
            raise self._error(f"'{self.method}' is not a method; expected one such as GET")
        if not (self.base.startswith("/") and self.base.endswith("/")):
            raise self._error(f"the base '{self.base}' must begin and end in '/'")
        if not self.summary.strip():
            raise self._error("say in a summary what it is for")
        if self.time_limit_s is not None and self.time_limit_s <= 0:
            raise self._error(f"the time limit of {self.time_limit_s:g} s is not above 0")
        if self.body_limit_bytes is not None and self.body_limit_bytes < 0:
            raise self._error(f"the limit of {self.body_limit_bytes} bytes is below 0")
        if self.pool is not None and self.jobq is not None:
            raise self._error("a handler runs either on a pool of loops or in a job queue")
        if (self.websocket is not None) != (self.method == WEBSOCKET):
            raise self._error("a websocket has the method WS, and only a websocket has it; add it with rest.websocket")
        try:
            pattern = re.compile(self.expression)
        except re.error as error:
            raise self._error(f"'{self.expression}' is not a regular expression: {error}") from error
        object.__setattr__(self, "pattern", pattern)
        object.__setattr__(self, "answer", self._placed())

    @property
    def place(self) -> str:
        """What the route is called in logs and statistics: `base(expression)`, as in libmtev."""
        return f"{self.base}({self.expression})"

    def _placed(self) -> Handler:
        if self.pool is not None:
            return on_pool(self.handler, self.pool)
        if self.jobq is not None:
            return in_jobq(self.handler, self.jobq, self.place)
        return self.handler

    def _error(self, problem: str) -> RouteError:
        return RouteError(f"route {self.place}: {problem}")
