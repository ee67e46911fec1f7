"""mtev-listener: sockets on which a service listens, and the connections that come in over them.

A plugin that speaks a protocol registers it under a listener type. The factory is called once per connection, on the
connection's loop, and returns an ordinary `asyncio.Protocol`:

    class Echo(asyncio.Protocol):
        def __init__(self, connection: Connection) -> None: ...

    context.services.require(Listeners).register_type("echo", Echo, summary="says it again")
"""

from __future__ import annotations

from ._capabilities import Capabilities
from .connection import Connection, ProtocolFactory
from .errors import BindError, ListenerError, RegistrationError
from .listeners import Bound, Listeners

__all__ = [
    "BindError",
    "Bound",
    "Capabilities",
    "Connection",
    "ListenerError",
    "Listeners",
    "ProtocolFactory",
    "RegistrationError",
]
