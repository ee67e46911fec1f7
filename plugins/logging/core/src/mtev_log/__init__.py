"""mtev-log: log streams that feed each other, and the contract of the backends that write them.

How a plugin logs:

    logs = context.services.require(Logs)
    stream = logs.stream("error/acme")
    stream.log("cannot reach the peer", peer="192.0.2.1", exception=error)

How a plugin offers a backend, in its `configure`:

    context.services.require(Logs).register_backend("acme", AcmeBackend)
"""

from __future__ import annotations

from ._line import Later
from .backend import Backend, BackendFactory, BackendSettings
from .bridge import LogHandler
from .errors import FilterError, GraphError, IncompleteWrite, LogError, OutletCycle
from .logs import Logs
from .record import Flags, Record
from .speculation import Speculation
from .stream import LogStream

__all__ = [
    "Backend",
    "BackendFactory",
    "BackendSettings",
    "FilterError",
    "Flags",
    "GraphError",
    "IncompleteWrite",
    "Later",
    "LogError",
    "LogHandler",
    "LogStream",
    "Logs",
    "OutletCycle",
    "Record",
    "Speculation",
]
