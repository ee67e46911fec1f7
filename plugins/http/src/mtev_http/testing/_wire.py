"""The harness of the suite: an engine on a loopback socket, and clients that send exactly what they are told to."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from .._acl import AccessList, AccessLists, Conditions
from .._dispatch import RestDispatcher, Sites
from .._engine import Engine, EngineFactory, EngineSettings
from .._request import Request
from .._response import Response, json_response
from .._router import Router
from ..errors import HttpError
from ..rest import Rest

if TYPE_CHECKING:
    from mtev_tls import TlsPeer

__all__ = [
    "HOST",
    "PATIENCE_S",
    "SHORT_S",
    "Client",
    "LoopbackLink",
    "Reply",
    "Suite",
    "Wire",
    "dribble",
    "one_line",
    "post",
]

PATIENCE_S = 20.0
SHORT_S = 0.2
HOST = b"Host: conformance\r\n"


@dataclass
class LoopbackLink:
    """A connection as an engine sees it, without a listener."""

    peer: tuple[str, int] | str | None = ("127.0.0.1", 1)
    local: tuple[str, int] | str | None = ("127.0.0.1", 2)
    config: Mapping[str, str] = field(default_factory=lambda: {"flavour": "vanilla"})
    remote_cn: str = ""
    tls: TlsPeer | None = None
    touches: int = 0
    drains: list[Callable[[], None]] = field(default_factory=list)

    def touch(self) -> None:
        """Count."""
        self.touches += 1

    def add_drain(self, callback: Callable[[], None]) -> None:
        """Keep it."""
        self.drains.append(callback)

    def drain(self) -> None:
        """Tell the engine that the connection is to end."""
        for callback in self.drains:
            callback()


@dataclass
class Reply:
    """One response as it came over the wire."""

    status: int
    headers: dict[str, list[str]]
    body: bytes
    wire_bytes: int
    trailers: dict[str, list[str]] = field(default_factory=dict)

    def header(self, name: str) -> str:
        """The values of a header joined; `""` without one."""
        return ", ".join(self.headers.get(name, []))


class Client:
    """A client that sends exactly the bytes that it is told to, and reads responses strictly."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    async def send(self, data: bytes) -> None:
        """Send bytes."""
        self._writer.write(data)
        await self._writer.drain()

    async def get(self, path: str, method: str = "GET", headers: bytes = b"") -> Reply:
        """Send a request without a body and read its response."""
        await self.send(method.encode() + b" " + path.encode() + b" HTTP/1.1\r\n" + HOST + headers + b"\r\n")
        return await self.reply(bodyless=method == "HEAD")

    async def reply(self, *, bodyless: bool = False) -> Reply:
        """Read one response."""
        head = await self._reader.readuntil(b"\r\n\r\n")
        lines = head[:-4].decode("latin-1").split("\r\n")
        version, status, _ = lines[0].split(" ", 2)
        assert version.startswith("HTTP/"), f"not a status line: {lines[0]!r}"
        headers: dict[str, list[str]] = {}
        for line in lines[1:]:
            name, _, value = line.partition(":")
            headers.setdefault(name.lower(), []).append(value.strip())
        reply = Reply(int(status), headers, b"", len(head))
        if bodyless or reply.status < 200 or reply.status in (204, 304):
            return reply
        if "transfer-encoding" in headers:
            assert headers["transfer-encoding"] == ["chunked"], "a body has one framing"
            assert "content-length" not in headers, "a body has one framing"
            while piece := await self.chunk():
                reply.body += piece
            reply.trailers = await self._fields()
            return reply
        length = int(headers["content-length"][0])
        reply.body = await self._reader.readexactly(length)
        reply.wire_bytes += length
        return reply

    async def chunk(self) -> bytes:
        """Read one chunk; `b""` for the last one, whose trailers follow."""
        size = int((await self._reader.readuntil(b"\r\n"))[:-2], 16)
        if not size:
            return b""
        framed = await self._reader.readexactly(size + 2)
        assert framed.endswith(b"\r\n"), "a chunk ends in a line end"
        return framed[:-2]

    async def _fields(self) -> dict[str, list[str]]:
        fields: dict[str, list[str]] = {}
        while (line := await self._reader.readuntil(b"\r\n")) != b"\r\n":
            name, _, value = line.decode("latin-1").partition(":")
            fields.setdefault(name.lower(), []).append(value.strip())
        return fields

    async def exactly(self, size: int) -> bytes:
        """Read so many bytes."""
        return await self._reader.readexactly(size)

    async def closed(self) -> bytes:
        """Read until the peer closes; what came before that."""
        try:
            return await self._reader.read()
        except ConnectionResetError:
            return b""

    async def end(self) -> None:
        """Close the sending side only."""
        self._writer.write_eof()

    async def leave(self) -> None:
        """Close."""
        self._writer.close()
        with suppress(ConnectionError):  # the peer may be quicker
            await self._writer.wait_closed()


class Wire:
    """An engine at work: its address, its routes, and what it logs.

    Args:
        engine: the engine.
        rest: its routes.
        sites: where its hooks are called.
        address: where it listens.
        records: what was logged.
    """

    def __init__(
        self,
        engine: Engine,
        rest: Rest,
        sites: Sites,
        address: tuple[str, int],
        records: list[logging.LogRecord],
        links: list[LoopbackLink],
    ) -> None:
        self.engine = engine
        self.rest = rest
        self.sites = sites
        self.records = records
        self.links = links
        self._address = address
        self._clients: list[Client] = []

    async def client(self) -> Client:
        """A new connection."""
        client = Client(*await asyncio.open_connection(*self._address))
        self._clients.append(client)
        return client

    async def leave(self) -> None:
        """Close every connection that was made."""
        for client in self._clients:
            await client.leave()


class Suite:
    """What the parts of the suite have in common.

    Attributes:
        factory: makes the engine under test.
        loop_factory: makes the event loop; None for asyncio's own.
    """

    factory: EngineFactory
    loop_factory: Callable[[], asyncio.AbstractEventLoop] | None = None

    def play(self, scenario: Callable[[Wire], Awaitable[None]], settings: EngineSettings | None = None) -> None:
        """Run one scenario against a fresh engine on a fresh loop."""

        async def main() -> None:
            async with asyncio.timeout(PATIENCE_S), self._serving(settings or EngineSettings()) as wire:
                await scenario(wire)

        with asyncio.Runner(loop_factory=self.loop_factory) as runner:
            runner.run(main())

    @asynccontextmanager
    async def _serving(self, settings: EngineSettings) -> AsyncIterator[Wire]:
        records: list[logging.LogRecord] = []
        log = logging.Logger("conformance", logging.INFO)
        log.addHandler(_Collect(records))
        sites = Sites.idle()
        router = Router()
        dispatcher = RestDispatcher(router, sites, log)
        dispatcher.access = AccessLists((AccessList(Conditions(), True, "conformance:1"),))
        rest = Rest(router, log)
        _routes(rest)
        engine = self.factory(dispatcher, settings, log)
        links: list[LoopbackLink] = []

        def protocol() -> asyncio.BaseProtocol:
            links.append(LoopbackLink())
            return engine.protocol(links[-1])

        server = await asyncio.get_running_loop().create_server(protocol, "127.0.0.1", 0)
        host, port = server.sockets[0].getsockname()[:2]
        wire = Wire(engine, rest, sites, (host, port), records, links)
        try:
            yield wire
        finally:
            server.close()
            await engine.close()
            await wire.leave()
            await server.wait_closed()


class _Collect(logging.Handler):
    def __init__(self, records: list[logging.LogRecord]) -> None:
        super().__init__()
        self._records = records

    def emit(self, record: logging.LogRecord) -> None:
        self._records.append(record)


def _routes(rest: Rest) -> None:
    async def body(request: Request) -> Response:
        return Response(200, await request.body())

    async def fail(request: Request) -> Response:
        raise RuntimeError("a secret of the service")

    async def conflict(request: Request) -> Response:
        raise HttpError(409, "taken")

    rest.add("GET", "/echo/", "^(.*)$", lambda request: Response(200, request.captures[0]), summary="says it again")
    rest.add("POST", "/", "^body$", body, summary="sends the body back")
    rest.add("POST", "/", "^ignore$", lambda request: Response(200, "ignored"), summary="reads no body")
    rest.add("GET", "/", "^fail$", fail, summary="fails")
    rest.add("GET", "/", "^conflict$", conflict, summary="raises an error status")
    rest.add("GET", "/", "^close$", lambda request: Response(200, "bye", close=True), summary="closes")
    rest.add("GET", "/", "^nothing$", lambda request: Response(204), summary="has nothing to say")
    rest.add("GET", "/", "^empty$", lambda request: Response(), summary="says nothing")
    rest.add("GET", "/", "^large$", lambda request: Response(200, b"x" * 5_000_000), summary="is large")
    rest.add("MERGE", "/", "^merge$", lambda request: json_response({}), summary="an unusual method")
    cookies = [("Set-Cookie", "a=1"), ("Set-Cookie", "b=2")]
    rest.add("GET", "/", "^teapot$", lambda request: Response(418, "käse", headers=cookies), summary="is a teapot")


def post(path: str, body: bytes, headers: bytes = b"") -> bytes:
    """The bytes of a POST request."""
    length = f"Content-Length: {len(body)}\r\n\r\n".encode()
    return b"POST " + path.encode() + b" HTTP/1.1\r\n" + HOST + headers + length + body


async def dribble(client: Client) -> None:
    """Send a byte now and then, until cancelled."""
    while True:
        await client.send(b"x")
        await asyncio.sleep(SHORT_S / 10)


def one_line(records: list[logging.LogRecord]) -> None:
    """There is one record: a bounded line without a traceback."""
    (record,) = records
    assert record.exc_info is None
    text = record.getMessage()
    assert text.isprintable()
    assert text.isascii()
    assert len(text) < 400
