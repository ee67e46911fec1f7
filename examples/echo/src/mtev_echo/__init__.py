"""An echo server: a protocol as asyncio has them, and a plugin that offers it to listeners."""

import asyncio
from typing import cast

from mtev_kernel import Plugin
from mtev_listener import Connection, Listeners


class Echo(asyncio.Protocol):
    """Says again what it hears, and stops listening while the other side does."""

    def __init__(self, connection: Connection) -> None:
        """The connection is not needed: the transport does all that an echo asks for."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.stream = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        self.stream.write(data)

    def pause_writing(self) -> None:
        self.stream.pause_reading()

    def resume_writing(self) -> None:
        self.stream.resume_reading()


class EchoPlugin(Plugin):
    """Offers the listener type `echo`."""

    def configure(self) -> None:
        self.context.services.require(Listeners).register_type("echo", Echo, summary="says it again")
