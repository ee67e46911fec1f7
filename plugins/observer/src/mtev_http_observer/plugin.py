"""The plugin: follows every request through the hooks of mtev-http, and shows what it has seen."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Mapping, Sequence
from typing import Protocol

import msgspec

from mtev_http import Documentation, HttpError, Request, Response, Rest, Route, Stream
from mtev_kernel import Context, Plugin, hookimpl

from .entry import Entry, Field
from .filters import Filter, FilterError, filters_of_query, filters_of_words, matches
from .observer import HttpObserver
from .settings import read

__all__ = ["HttpObserverPlugin"]

_AT_ONCE = 64
_PATIENCE_S = 2.0
_LINES = 200


class _Console(Protocol):
    """What this plugin uses of the console."""

    def command(
        self,
        words: str,
        function: Callable[[Sequence[str]], Iterable[str]],
        *,
        summary: str,
        usage: str = "",
        threaded: bool = False,
    ) -> object: ...


class HttpObserverPlugin(Plugin):
    """Remembers the requests of the service. There is one of them.

    Args:
        context: `config` may hold `max_count`, `max_age`, `header_in_NAME`, `header_out_NAME`, `sensitive_headers`.
    """

    def __init__(self, context: Context) -> None:
        super().__init__(context)
        self._observer = HttpObserver()
        context.services.publish(HttpObserver, self._observer)

    def configure(self) -> None:
        """Read the options.

        Raises:
            ConfigurationError: one of them cannot be meant.
        """
        self._observer.settings = read(self.context.config, self.context.where)

    @hookimpl
    def http_request_complete(self, request: Request) -> None:
        """Remember it."""
        self._observer.began(request)

    @hookimpl
    def mtev_rest_get_handler(self, request: Request, route: Route) -> None:
        """Remember what answers."""
        self._observer.routed(request, route.name or route.place)

    @hookimpl
    def http_post_request_read_payload(self, request: Request, piece: bytes) -> None:
        """Count."""
        self._observer.read(request, piece)

    @hookimpl
    def http_response_starting(self, request: Request, response: Response) -> None:
        """Remember when, and the status."""
        self._observer.answering(request, response)

    @hookimpl
    def http_response_send(self, request: Request, piece: bytes) -> None:
        """Count."""
        self._observer.sending(request, piece)

    @hookimpl
    def http_request_log(self, request: Request, response: Response, sent_bytes: int) -> None:
        """It is done with."""
        self._observer.answered(request, response, sent_bytes)

    @hookimpl
    def mtev_rest_routes(self, rest: Rest) -> None:
        """Offer libmtev's `GET /module/http_observer/requests.json`."""
        rest.add(
            "GET",
            "/module/http_observer/",
            r"^requests\.json$",
            self._requests,
            summary="the requests under way, and those answered lately",
            name="http_observer_requests",
            documentation=Documentation(
                "`eq_FIELD=TEXT` and `re_FIELD=EXPRESSION` in the query choose requests; 16 at most, all must hold.",
                responses={200: list[dict[str, int | str]]},
            ),
        )

    @hookimpl(optional=True)
    def mtev_console_commands(self, console: _Console) -> None:
        """Offer `show http requests`."""
        console.command(
            "show http requests",
            self._show,
            summary="the requests under way, and those answered lately",
            usage="[FIELD=TEXT | FIELD~EXPRESSION ...]",
            threaded=True,
        )

    async def _requests(self, request: Request) -> Response:
        query = request.query
        try:
            filters = filters_of_query((name, value) for name in query for value in query.all(name))
        except FilterError as error:
            raise HttpError(400, str(error)) from None
        entries = self._observer.entries()
        if filters:
            entries = await _chosen(entries, filters)
        return Response(200, Stream(_json(entries)), content_type="application/json")

    def _show(self, arguments: Sequence[str]) -> Iterator[str]:
        rows = list(self._observer.rows(filters_of_words(arguments)))
        for row in rows[:_LINES]:
            yield _line(row)
        if len(rows) > _LINES:
            yield f"... and {len(rows) - _LINES} more; a filter says which"


async def _chosen(entries: Sequence[Entry], filters: Sequence[Filter]) -> list[Entry]:
    """Those for which all filters hold, in steps that leave the loop to others.

    Raises:
        HttpError: it takes too long.
    """
    chosen: list[Entry] = []
    left_s = _PATIENCE_S
    for first in range(0, len(entries), _AT_ONCE):
        for entry in entries[first : first + _AT_ONCE]:
            began_s = time.perf_counter()
            if matches(filters, entry.row()):
                chosen.append(entry)
            left_s -= time.perf_counter() - began_s
            if left_s < 0:
                raise HttpError(400, f"the filters take longer than {_PATIENCE_S:g} s; write simpler expressions")
        await asyncio.sleep(0)
    return chosen


async def _json(entries: Sequence[Entry]) -> AsyncIterator[bytes]:
    """A JSON array, an object to a line (libmtev)."""
    encode = msgspec.json.Encoder().encode
    before = b"["
    for first in range(0, len(entries), _AT_ONCE):
        piece = []
        for entry in entries[first : first + _AT_ONCE]:
            piece.append(before + encode(entry.row()) + b"\n")
            before = b","
        yield b"".join(piece)
        await asyncio.sleep(0)
    yield b"[]\n" if not entries else b"]\n"


def _line(row: Mapping[str, Field]) -> str:
    """A request on one line of printable characters."""
    ended, status = row.get("response_complete_offset_ns"), row.get("status", "-")
    took = f"{ended / 1e6:.3f} ms" if isinstance(ended, int) else "-"
    address, port = row.get("remote_address", ""), row.get("remote_port", "")
    query = f"?{row['querystring']}" if "querystring" in row else ""
    peer = f"{address}:{port}" if port else address
    line = f"{row['request_id']:>8} {row['state']:<4} {status:>3} {took:>14} {peer} {row['method']} {row['uri']}{query}"
    return "".join(character if character.isprintable() else ascii(character)[1:-1] for character in line)
