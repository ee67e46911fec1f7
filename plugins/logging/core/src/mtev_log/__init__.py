"""mtev-log: log streams that feed each other, and the contract of the backends that write them.

How a plugin logs:

    logs = context.services.require(Logs)
    stream = logs.stream("error/acme")
    stream.log("cannot reach the peer", peer="192.0.2.1", exception=error)

How a plugin offers a backend, in its `configure`:

    context.services.require(Logs).register_backend("acme", AcmeBackend)
"""

from __future__ import annotations

from .backend import Backend, BackendFactory, BackendSettings
from .errors import GraphError, LogError, OutletCycle
from .logs import Logs
from .record import Flags, Record
from .stream import LogStream

__all__ = [
    "Backend",
    "BackendFactory",
    "BackendSettings",
    "Flags",
    "GraphError",
    "LogError",
    "LogStream",
    "Logs",
    "OutletCycle",
    "Record",
]
