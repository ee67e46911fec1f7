"""Trace context and request ids: what is carried from the client to whom the service asks in turn.

W3C Trace Context (`traceparent`, `tracestate`) comes first, then B3 in one header (`b3`), then B3 in several
(`X-B3-TraceId` …), which libmtev speaks. What is malformed is as if it were not there, as the specifications have it.
"""

from __future__ import annotations

import itertools
import re
import secrets
from collections.abc import Mapping
from dataclasses import dataclass

__all__ = ["RequestIds", "TraceContext", "valid_request_id"]

_TRACEPARENT = re.compile(r"([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?")
_B3 = re.compile(r"([0-9a-f]{16}|[0-9a-f]{32})-([0-9a-f]{16})(?:-([01d])(?:-([0-9a-f]{16}))?)?", re.IGNORECASE)
_TRACE_ID = re.compile(r"[0-9a-f]{16}|[0-9a-f]{32}", re.IGNORECASE)
_SPAN_ID = re.compile(r"[0-9a-f]{16}", re.IGNORECASE)
_REQUEST_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:+/=@-]{0,127}")
_MAX_STATE = 512


@dataclass(frozen=True, slots=True)
class TraceContext:
    """Where a request belongs in a trace.

    Attributes:
        trace_id: 32 hexadecimal digits, lower case.
        span_id: 16 of them: the span of whoever sent this.
        sampled: whether the trace is recorded; None when that is left to us.
        parent_id: the span above `span_id`, as B3 has it; `""` when not known.
        state: the value of `tracestate`; `""` without one.
        debug: B3's debug flag.
    """

    trace_id: str
    span_id: str
    sampled: bool | None = None
    parent_id: str = ""
    state: str = ""
    debug: bool = False

    @classmethod
    def extract(cls, headers: Mapping[str, str]) -> TraceContext | None:
        """The context that a request brings; None without one."""
        if (parent := headers.get("traceparent")) is not None:
            context = cls._w3c(parent, headers.get("tracestate", ""))
            if context is not None:
                return context
        if (single := headers.get("b3")) is not None and (found := _B3.fullmatch(single.strip())) is not None:
            trace, span, flag, above = found.groups()
            sampled = None if flag is None else flag != "0"
            return cls._made(trace, span, sampled, above or "", debug=flag == "d")
        trace, span = headers.get("x-b3-traceid", ""), headers.get("x-b3-spanid", "")
        if not _TRACE_ID.fullmatch(trace) or not _SPAN_ID.fullmatch(span):
            return None
        above = headers.get("x-b3-parentspanid", "")
        debug = headers.get("x-b3-flags") == "1"
        sampled = {"1": True, "true": True, "0": False, "false": False}.get(headers.get("x-b3-sampled", ""))
        above = above if _SPAN_ID.fullmatch(above) else ""
        return cls._made(trace, span, True if debug else sampled, above, debug=debug)

    def child(self) -> TraceContext:
        """A context for what is asked of somebody else: the same trace, and a span of its own below this one."""
        return TraceContext(
            self.trace_id, secrets.token_hex(8), self.sampled, self.span_id, self.state, debug=self.debug
        )

    def headers(self) -> list[tuple[str, str]]:
        """The context as header fields, W3C's and B3's."""
        flags = "01" if self.sampled else "00"
        fields = [("traceparent", f"00-{self.trace_id}-{self.span_id}-{flags}")]
        if self.state:
            fields.append(("tracestate", self.state))
        fields += [("X-B3-TraceId", self.trace_id), ("X-B3-SpanId", self.span_id)]
        if self.parent_id:
            fields.append(("X-B3-ParentSpanId", self.parent_id))
        if self.debug:
            fields.append(("X-B3-Flags", "1"))
        elif self.sampled is not None:
            fields.append(("X-B3-Sampled", "1" if self.sampled else "0"))
        return fields

    @classmethod
    def _w3c(cls, parent: str, state: str) -> TraceContext | None:
        found = _TRACEPARENT.fullmatch(parent.strip())
        if found is None:
            return None
        version, trace, span, flags, more = found.groups()
        if version == "ff" or (version == "00" and more):
            return None
        if len(state) > _MAX_STATE or not state.isprintable() or not state.isascii():
            state = ""
        return cls._made(trace, span, bool(int(flags, 16) & 1), "", state=state)

    @classmethod
    def _made(
        cls, trace: str, span: str, sampled: bool | None, above: str, *, state: str = "", debug: bool = False
    ) -> TraceContext | None:
        trace, span = trace.lower().rjust(32, "0"), span.lower()
        if not trace.strip("0") or not span.strip("0"):
            return None
        return cls(trace, span, sampled, above.lower(), state, debug=debug)


def valid_request_id(text: str) -> bool:
    """Whether a client's request id may be taken over: up to 128 letters, digits and a few signs."""
    return _REQUEST_ID.fullmatch(text) is not None


class RequestIds:
    """Makes request ids: unique in the process, and most probably in the world. Thread-safe."""

    def __init__(self) -> None:
        self._prefix = secrets.token_hex(6)
        self._numbers = itertools.count(1)

    def make(self) -> str:
        """A new id, such as `5f1d0c2ab7e4-2a`."""
        return f"{self._prefix}-{next(self._numbers):x}"
