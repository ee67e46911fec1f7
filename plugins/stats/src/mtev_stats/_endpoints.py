"""REST over the statistics: `/mtev/stats.json`, `/mtev/memory.json` and `/metrics`.

HTTP itself is not imported: this knows the shape of its requests and answers only.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Protocol

from . import _exposition, _json, _native
from ._families import Family, families
from ._process import memory
from ._settings import StatsSettings
from .counter import Counter
from .histogram import Histogram
from .registry import Stats

__all__ = ["Answer", "Endpoints", "Request", "RestRegistry"]

_CONSUMERS = 16
_CONSUMER_LETTERS = 64
_MOST_PERCENTILES = 32
_CLEARED: Mapping[str, type[Histogram | Counter]] = {"histogram": Histogram, "counter": Counter}
_FORMATS = ("", "nested", "simple", "tagged")


class Request(Protocol):
    """What is used here of an HTTP request."""

    @property
    def headers(self) -> Mapping[str, str]: ...
    @property
    def query(self) -> Mapping[str, str]: ...


@dataclass(frozen=True, slots=True)
class Answer:
    """What HTTP makes a response of."""

    body: bytes
    content_type: str
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)


class RestRegistry(Protocol):
    """Where routes are registered: what is used here of the HTTP service."""

    def resource(
        self, method: str, base: str, expression: str, function: Callable[..., Answer], *, summary: str
    ) -> object: ...


class Endpoints:
    """The functions behind the routes.

    Args:
        stats: what they show.
        settings: what `<stats>` says.
        complain: told once for each family of Prometheus that cannot show all its members.
    """

    def __init__(self, stats: Stats, settings: StatsSettings, complain: Callable[[str], None]) -> None:
        self._stats = stats
        self._settings = settings
        self._complain = complain
        self._complained: set[str] = set()
        self._consumers: set[str] = set()

    def register(self, rest: RestRegistry) -> None:
        """Add the routes."""
        for method, base, expression, function, summary in (
            ("GET", "/mtev/", r"^stats\.json$", self.stats, "every metric, in libmtev's shapes"),
            ("DELETE", "/mtev/", r"^stats\.json$", self.clear, "begin anew with every histogram, or every counter"),
            ("GET", "/mtev/", r"^memory\.json$", self.memory, "what the process has of memory"),
            ("GET", "/", r"^metrics$", self.metrics, "every metric, for Prometheus"),
        ):
            rest.resource(method, base, expression, function, summary=summary)

    def stats(self, request: Request) -> Answer:
        """`GET /mtev/stats.json`.

        Raises:
            ValueError: a parameter means nothing.
        """
        query = request.query
        shape = query.get("format", "")
        if shape not in _FORMATS:
            raise ValueError(f"format={shape}: expected simple or tagged, or nothing for objects within objects")
        view = self._view(query)
        entries = self._stats.entries()
        match shape:
            case "simple":
                return _json_answer(_json.simple(entries))
            case "tagged":
                return _json_answer(_json.tagged(entries, view))
            case _:
                return _json_answer(_json.nested(entries, view))

    def clear(self, request: Request) -> Answer:
        """`DELETE /mtev/stats.json`. Another type than the two known ones clears nothing, as in libmtev."""
        kind = _CLEARED.get(request.query.get("type", "histogram"))
        return _json_answer({"stats_cleared": 0 if kind is None else self._stats.clear(kind)})

    def memory(self, request: Request) -> Answer:
        """`GET /mtev/memory.json`."""
        return _json_answer(memory())

    def metrics(self, request: Request) -> Answer:
        """`GET /metrics`: in the format that the client prefers, of those that it accepts."""
        found = families(self._stats.entries())
        self._report(found)
        match preferred(request.headers.get("accept", "")):
            case _native.PROTOBUF as kind:
                body = _native.exposition(found, schema=self._settings.native_schema)
            case kind:
                openmetrics = kind == _exposition.OPENMETRICS
                text = _exposition.exposition(found, openmetrics=openmetrics, buckets=self._settings.buckets)
                body = text.encode()
        return Answer(body, kind, headers={"Vary": "Accept"})

    def _view(self, query: Mapping[str, str]) -> _json.HistogramView:
        percentiles = _percentiles(query.get("percentiles", ""))
        if query.get("reset") != "1":
            return _json.histogram_view(Histogram.snapshot, "H", percentiles)
        consumer = query.get("consumer", "")
        if consumer not in self._consumers:
            if len(self._consumers) >= _CONSUMERS or len(consumer) > _CONSUMER_LETTERS:
                raise ValueError(
                    f"consumer={consumer[:_CONSUMER_LETTERS]}: there are {_CONSUMERS} of them, the most, "
                    f"or the name is longer than {_CONSUMER_LETTERS} letters"
                )
            self._consumers.add(consumer)
        return _json.histogram_view(lambda histogram: histogram.since_last(consumer), "h", percentiles)

    def _report(self, found: list[Family]) -> None:
        for family in found:
            if family.left_out and family.name not in self._complained:
                self._complained.add(family.name)
                self._complain(
                    f"/metrics cannot show {', '.join(family.left_out)} in the family '{family.name}': "
                    "another metric has the same labels, or another type; give them tags that tell them apart"
                )


def preferred(accept: str) -> str:
    """The content type to answer with: the accepted one of highest quality, of equal ones the richest.

    Args:
        accept: the header of that name; a client that sends none gets plain text.
    """
    best, best_quality = _exposition.PLAIN, 0.0
    for each in accept.split(","):
        media, *parameters = (part.strip().lower() for part in each.split(";"))
        options = dict(parameter.partition("=")[::2] for parameter in parameters)
        quality = _quality(options.get("q", "1"))
        match media:
            case "application/vnd.google.protobuf" if options.get("encoding", "delimited") == "delimited":
                kind, bonus = _native.PROTOBUF, 2e-6
            case "application/openmetrics-text":
                kind, bonus = _exposition.OPENMETRICS, 1e-6
            case "text/plain" | "text/*" | "*/*":
                kind, bonus = _exposition.PLAIN, 0.0
            case _:
                continue
        if quality > 0 and quality + bonus > best_quality:
            best, best_quality = kind, quality + bonus
    return best


def _quality(text: str) -> float:
    try:
        return min(max(float(text), 0.0), 1.0)
    except ValueError:
        return 0.0


def _percentiles(text: str) -> list[float]:
    if not text:
        return []
    try:
        wanted = [float(each) for each in text.split(",")]
    except ValueError:
        wanted = [-1.0]
    if len(wanted) > _MOST_PERCENTILES or not all(0.0 <= each <= 100.0 for each in wanted):
        raise ValueError(
            f"percentiles={text[:100]}: expected at most {_MOST_PERCENTILES} numbers from 0 to 100 with commas between"
        )
    return wanted


def _json_answer(data: object) -> Answer:
    text = json.dumps(data, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    return Answer(text.encode(), "application/json")
