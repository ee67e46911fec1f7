"""One request as it is remembered: texts, cut, and when each phase began; nothing of the request itself."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Literal, NamedTuple

__all__ = ["OWN_FIELDS", "TEXT_LIMIT", "Entry", "Field", "Origin", "State", "cut"]

TEXT_LIMIT = 512
"""How many characters are kept of a text."""

Field = int | str
State = Literal["live", "done", "gone"]

OWN_FIELDS = (
    "request_id",
    "request_start_ms",
    "request_complete_offset_ns",
    "read_start_offset_ns",
    "read_complete_offset_ns",
    "response_start_offset_ns",
    "response_complete_offset_ns",
    "received_bytes",
    "sent_bytes",
    "remote_tls_common_name",
    "remote_address",
    "remote_port",
    "uri",
    "querystring",
    "method",
    "protocol",
    "host",
    "status",
    "id",
    "route",
    "state",
)
"""The names that no header and no note may take: libmtev's in its order, then ours."""


class Origin(NamedTuple):
    """Who asks for what, as it is kept while nobody looks: cut, and no more.

    Args:
        remote_cn: the common name of the client's certificate; `""` without one.
        peer: the other end.
        path: decoded.
        query: as it was sent.
        method: of the request.
        version: of HTTP.
        host: the field of the header; `b""` without one.
        identity: what the request goes by in logs and in `X-Request-Id`.
    """

    remote_cn: str
    peer: tuple[str, int] | str | None
    path: str
    query: str
    method: str
    version: str
    host: bytes
    identity: str


class Entry:
    """What is remembered of one request. Written on the loop of its connection; may be read from any thread.

    Args:
        number: counted from 0.
        start_ms: when it began, in milliseconds since the epoch.
        started_s: the same by the clock of the phases, in seconds.
        complete_s: when its header was complete.
        origin: who asks for what.
        received: header fields of the request that are asked for, under the names that they are shown by.

    Attributes:
        read_start_s: when the first piece of the body was read; None until then, as for all phases.
        read_complete_s: when its end was.
        response_start_s: when there was a response.
        response_complete_s: when it was sent.
        ended_s: when the request was done with, in whatever way.
        received_bytes: how much of the body has been read.
        sent_bytes: how much of the response has been sent; while it is under way, of its body alone.
        status: of the response; 0 until there is one.
        answered: header fields of the response, as `received`.
        route: what answers, or `""`.
        notes: what plugins have noted.
        state: under way, answered, or left by its client before.
    """

    __slots__ = (
        "answered",
        "complete_s",
        "ended_s",
        "notes",
        "number",
        "origin",
        "read_complete_s",
        "read_start_s",
        "received",
        "received_bytes",
        "response_complete_s",
        "response_start_s",
        "route",
        "sent_bytes",
        "start_ms",
        "started_s",
        "state",
        "status",
    )

    def __init__(
        self,
        number: int,
        start_ms: int,
        started_s: float,
        complete_s: float,
        origin: Origin,
        received: Mapping[str, str] | None = None,
    ) -> None:
        self.number = number
        self.start_ms = start_ms
        self.started_s = started_s
        self.complete_s = complete_s
        self.origin = origin
        self.received = received
        self.read_start_s: float | None = None
        self.read_complete_s: float | None = None
        self.response_start_s: float | None = None
        self.response_complete_s: float | None = None
        self.ended_s = 0.0
        self.received_bytes = 0
        self.sent_bytes = 0
        self.status = 0
        self.answered: Mapping[str, str] | None = None
        self.route = ""
        self.notes: dict[str, str] | None = None
        self.state: State = "live"

    def row(self) -> dict[str, Field]:
        """It as it is shown: libmtev's fields in its order, headers, ours, notes. What is not known is left out."""
        row: dict[str, Field] = {"request_id": self.number, "request_start_ms": self.start_ms}
        row.update(self._offsets())
        row["received_bytes"] = self.received_bytes
        row["sent_bytes"] = self.sent_bytes
        row.update(_texts(self.origin))
        if self.status:
            row["status"] = str(self.status)
        for fields in (self.received, self.answered):
            if fields:
                row.update(fields)
        row["id"] = self.origin.identity
        if self.route:
            row["route"] = self.route
        row["state"] = self.state
        if self.notes:
            row.update(self.notes.copy())
        return row

    def _offsets(self) -> Iterator[tuple[str, int]]:
        for name, moment_s in (
            ("request_complete_offset_ns", self.complete_s),
            ("read_start_offset_ns", self.read_start_s),
            ("read_complete_offset_ns", self.read_complete_s),
            ("response_start_offset_ns", self.response_start_s),
            ("response_complete_offset_ns", self.response_complete_s),
        ):
            if moment_s is not None:
                yield name, max(0, round((moment_s - self.started_s) * 1e9))


def _texts(origin: Origin) -> Iterator[tuple[str, str]]:
    """The texts that do not change any more, in the order of libmtev."""
    if origin.remote_cn:
        yield "remote_tls_common_name", cut(origin.remote_cn)
    if isinstance(origin.peer, tuple):
        yield "remote_address", origin.peer[0]
        yield "remote_port", str(origin.peer[1])
    else:
        yield "remote_address", cut(origin.peer or "")
    yield "uri", cut(origin.path)
    if origin.query:
        yield "querystring", cut(origin.query)
    yield "method", cut(origin.method)
    yield "protocol", f"HTTP/{origin.version}"
    if origin.host:
        yield "host", cut(origin.host.decode("latin-1"))


def cut(text: str) -> str:
    """The beginning of a text, and what is no Unicode in it replaced."""
    text = text[:TEXT_LIMIT]
    return text if text.isascii() else text.encode("utf-8", "surrogateescape").decode("utf-8", "replace")
