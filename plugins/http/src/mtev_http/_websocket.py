"""WebSockets (RFC 6455) as handlers see them, and what an engine has to offer for that.

Everything is decided before the 101: route, access control, version, key, origin, subprotocol. Rules:

1. A GET that asks for an upgrade to websocket is looked up under the method WS. Where no such route is, it is an
   ordinary GET, and its Upgrade is ignored.
2. Version 13 only, else 426 with the version that is spoken. A key that is no 16 bytes in base64 is 400.
3. A request that a browser sends from another site (its Origin is not our Host) is 403, unless the route lists that
   origin: cookies would be sent along, and nothing else keeps a stranger's page from using them.
4. The first subprotocol of the client's that the route has is chosen. When both name some and none is the same, it is
   400 (libmtev: no route); when only one side names some, none is.
5. A handler that returns closes with 1000, one that fails with 1011, a draining service with 1001.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Protocol, TypeVar, overload
from urllib.parse import urlsplit

import msgspec

from ._request import Request
from ._response import Response, error_response
from .errors import BadRequest, WebSocketClosed

__all__ = ["Frames", "SocketHandler", "WebSocket", "WebSocketOptions", "WebSocketUpgrade", "refusal"]

T = TypeVar("T")

_MAX_PROTOCOLS = 32
_KEY_BYTES = 16

NORMAL, GOING_AWAY, FAILED = 1000, 1001, 1011


class Frames(Protocol):
    """An accepted websocket, as an engine hands it over. Used on the connection's loop, by one reader at a time.

    Attributes:
        close_code: what the peer or we have closed it with; None while it is open, 1006 when it broke off.
        close_reason: the text that came with it.
    """

    close_code: int | None
    close_reason: str

    async def receive(self) -> str | bytes | None:
        """The next message, as text or bytes; None once it is closed. Pings are answered on the way."""

    async def send(self, data: str | bytes) -> None:
        """Send a message; waits while the peer does not read.

        Raises:
            WebSocketClosed: it is closed.
        """

    async def ping(self, data: bytes) -> None:
        """Send a ping.

        Raises:
            WebSocketClosed: it is closed.
        """

    async def close(self, code: int, reason: str) -> None:
        """Close, and wait for the peer's answer, for a bounded time. May be called again."""


@dataclass(frozen=True, slots=True)
class WebSocketOptions:
    """How a websocket route behaves.

    Args:
        protocols: subprotocols, the names compared as they are.
        origins: further origins, such as `https://console.example.net`, that a browser may come from; `*` for any.
        message_limit_bytes: the largest message, once decompressed; beyond it 1009.
        ping_s: after how many seconds of silence a ping is sent; a peer that does not answer within half of that is
            gone. None for never.
        compress: whether permessage-deflate is agreed to.
        close_timeout_s: how long to wait for the peer's part of closing.
    """

    protocols: Sequence[str] = ()
    origins: Sequence[str] = ()
    message_limit_bytes: int = 1024 * 1024
    ping_s: float | None = 30.0
    compress: bool = True
    close_timeout_s: float = 5.0


class WebSocket:
    """A websocket in the hands of its handler: iterate over its messages, and send.

        async def echo(socket: WebSocket) -> None:
            async for message in socket:
                await socket.send(message)

    One task may receive while others send.

    Args:
        request: what it began with.
        frames: the engine's part.
        protocol: the subprotocol that was agreed on; `""` for none.
    """

    __slots__ = ("_frames", "protocol", "request")

    def __init__(self, request: Request, frames: Frames, protocol: str) -> None:
        self.request = request
        self.protocol = protocol
        self._frames = frames

    @property
    def close_code(self) -> int | None:
        """Why it was closed; None while it is open, 1006 when it broke off without saying."""
        return self._frames.close_code

    @property
    def close_reason(self) -> str:
        """The text that came with the code."""
        return self._frames.close_reason

    async def __aiter__(self) -> AsyncIterator[str | bytes]:
        while (message := await self._frames.receive()) is not None:
            yield message

    async def receive(self) -> str | bytes:
        """The next message: text or bytes, as it was sent.

        Raises:
            WebSocketClosed: there will be none any more.
        """
        message = await self._frames.receive()
        if message is None:
            raise WebSocketClosed(self.close_code or 1006, self.close_reason)
        return message

    async def send(self, data: str | bytes) -> None:
        """Send a message. Waits while the peer does not read.

        Raises:
            WebSocketClosed: it is closed.
        """
        await self._frames.send(data)

    @overload
    async def receive_json(self) -> object: ...
    @overload
    async def receive_json(self, kind: type[T]) -> T: ...
    async def receive_json(self, kind: type[T] | None = None) -> T | object:
        """The next message as JSON.

        Args:
            kind: what it must be; anything, when not given.

        Raises:
            BadRequest: it is no JSON, or not of that kind.
            WebSocketClosed: there will be none any more.
        """
        message = await self.receive()
        try:
            if kind is None:
                decoded: object = msgspec.json.decode(message)
                return decoded
            return msgspec.json.decode(message, type=kind)
        except (msgspec.DecodeError, RecursionError) as error:
            raise BadRequest(f"the message is not the JSON that was expected: {error}") from None

    async def send_json(self, data: object) -> None:
        """Send data as JSON, in a text message.

        Raises:
            TypeError: something in it cannot be encoded.
            WebSocketClosed: it is closed.
        """
        await self._frames.send(msgspec.json.encode(data).decode())

    async def ping(self, data: bytes = b"") -> None:
        """Send a ping, beside those of `ping_s`.

        Raises:
            ValueError: it has more than 125 bytes.
            WebSocketClosed: it is closed.
        """
        if len(data) > 125:
            raise ValueError(f"a ping carries up to 125 bytes, not {len(data)}")
        await self._frames.ping(data)

    async def close(self, code: int = NORMAL, reason: str = "") -> None:
        """Close it.

        Args:
            code: 1000 to 1003, 1007 to 1014, or 3000 to 4999.
            reason: up to 123 bytes of UTF-8.

        Raises:
            ValueError: the code may not be sent, or the reason is too long.
        """
        if not (1000 <= code <= 1003 or 1007 <= code <= 1014 or 3000 <= code <= 4999):
            raise ValueError(f"{code} is not a code to close a websocket with")
        if len(reason.encode()) > 123:
            raise ValueError("the reason of a close is longer than 123 bytes")
        await self._frames.close(code, reason)


SocketHandler = Callable[[WebSocket], Awaitable[None]]
"""What answers a websocket route. Cancelled when the peer breaks off, or the service ends."""


class WebSocketUpgrade(Response):
    """The response that lets a websocket begin. An engine accepts the handshake, and awaits `run`.

    Args:
        request: the request.
        run: lives as long as the websocket does; raises nothing but cancellation, and leaves it closed.
        protocol: the subprotocol to name; `""` for none.
        options: what the engine is to hold the websocket to.
    """

    __slots__ = ("options", "protocol", "run")

    def __init__(self, run: Callable[[Frames], Awaitable[None]], protocol: str, options: WebSocketOptions) -> None:
        super().__init__(204)
        self.status = 101
        self.run = run
        self.protocol = protocol
        self.options = options
        self.special = True


def refusal(request: Request, options: WebSocketOptions) -> Response | str:
    """Judge a handshake; see rules 2 to 4.

    Returns:
        The response that refuses it, or the subprotocol (`""` for none) that it may go on with.
    """
    headers = request.headers
    if headers.get("sec-websocket-version", "").strip() != "13":
        return error_response(426, "this service speaks version 13", headers={"Sec-WebSocket-Version": "13"})
    if not _is_key(headers.get("sec-websocket-key", "")):
        return error_response(400, "Sec-WebSocket-Key is not 16 bytes in base64")
    origin = headers.get("origin")
    if origin is not None and not _same_site(origin, request.host) and not _listed(origin, options.origins):
        return error_response(403, "websockets from this origin are not allowed")
    wanted = [name.strip() for name in headers.get("sec-websocket-protocol", "").split(",")]
    wanted = [name for name in wanted if name]
    if len(wanted) > _MAX_PROTOCOLS:
        return error_response(400, f"more than {_MAX_PROTOCOLS} subprotocols")
    chosen = next((name for name in wanted if name in options.protocols), "")
    if wanted and options.protocols and not chosen:
        return error_response(400, f"expected one of the subprotocols {', '.join(options.protocols)}")
    return chosen


def _is_key(text: str) -> bool:
    try:
        return len(base64.b64decode(text.strip(), validate=True)) == _KEY_BYTES
    except (binascii.Error, ValueError):
        return False


def _same_site(origin: str, host: str) -> bool:
    try:
        return urlsplit(origin).netloc.lower() == host.lower() != ""
    except ValueError:
        return False


def _listed(origin: str, origins: Sequence[str]) -> bool:
    return "*" in origins or origin.lower() in (each.lower() for each in origins)
