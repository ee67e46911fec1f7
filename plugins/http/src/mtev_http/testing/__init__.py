"""What every HTTP engine has to pass: a suite over real loopback sockets, for pytest to collect.

    class TestMyEngine(EngineConformance):
        factory = staticmethod(MyEngine)

The requests go through the real router, access control and dispatcher, so what is tested is what a service does.
"""

from __future__ import annotations

from ._bodies import Bodies
from ._connections import Connections
from ._draining import Draining
from ._malformed import Malformed
from ._responses import Responses
from ._streams import Streams
from ._websockets import WebSockets
from ._wire import Client, LoopbackLink, Reply, Wire

__all__ = ["Client", "EngineConformance", "LoopbackLink", "Reply", "Wire"]


class EngineConformance(Connections, Responses, Bodies, Streams, Malformed, Draining, WebSockets):
    """The whole suite.

    Attributes:
        factory: makes the engine under test.
        loop_factory: makes the event loop; None for asyncio's own.
    """
