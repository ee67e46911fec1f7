"""What a listener counts, in the statistics: `mtev.listener.<address>.<figure>`."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from mtev_stats import as_part

if TYPE_CHECKING:
    from mtev_stats import Counter, Stats

__all__ = ["Tally"]

_PATH = ("mtev", "listener")


class Tally:
    """The counters of one `<listener>`; they go with it. Thread-safe.

    Args:
        stats: where they appear.
        name: where it listens.
        kind: its type.
        connections: tells how many connections it has now.

    Attributes:
        accepted: connections that came in.
        refused: those turned away because the listener had as many as it may have.
        refused_peers: those turned away because the peer had.
        handshakes: TLS handshakes that succeeded.
        handshake_failures: those that did not.
        handshake_timeouts: those among them that took too long.
        proxy_failures: connections that began without a PROXY header, or with one that does not count.
        idle: connections that were closed because nothing was read or written for too long.
    """

    def __init__(self, stats: Stats, name: str, kind: str, connections: Callable[[], int]) -> None:
        self._stats = stats
        self._name = as_part(name)
        self._tags = {"mtev-listener": self._name, "mtev-listener-type": kind}
        self.accepted = self._counter("accepted", "Connections that came in.", "connections")
        self.refused = self._counter("refused", "Connections turned away: the listener was full.", "connections")
        self.refused_peers = self._counter("refused_peers", "Connections turned away: the peer had as many as it may.")
        self.handshakes = self._counter("handshakes", "TLS handshakes that succeeded.")
        self.handshake_failures = self._counter("handshake_failures", "TLS handshakes that failed.")
        self.handshake_timeouts = self._counter("handshake_timeouts", "TLS handshakes that took too long.")
        self.proxy_failures = self._counter("proxy_failures", "Connections without a PROXY header that counts.")
        self.idle = self._counter("idle_closed", "Connections closed because they were idle for too long.")
        stats.gauge(
            (*_PATH, self._name, "connections"),
            connections,
            tags=self._tags,
            unit="connections",
            summary="Connections that a listener has now.",
            kind="I",
        )

    def remove(self) -> None:
        """Show them no more. Whoever counts goes on unseen."""
        self._stats.remove((*_PATH, self._name))

    def _counter(self, figure: str, summary: str, unit: str = "") -> Counter:
        return self._stats.counter((*_PATH, self._name, figure), tags=self._tags, unit=unit, summary=summary)
