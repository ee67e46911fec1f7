"""The graph of log streams: who feeds whom, and what becomes of a line. Plain data; no I/O, no locks.

A *stream* has a name, flags, perhaps a sink of its own, and *outlets*: other streams that it feeds. A line goes to the
stream that it was logged to and from there, depth first, along the outlets.

Rules (libmtev's, but for the refusals):

1. `stderr`, `error`, `notice`, `debug` and `error/stacktrace` are always there. `debug` is disabled at first.
2. A stream that is asked for by name is made when missing: enabled, without a sink, and with its parent for outlet:
   `a/b/c` feeds `a/b`. A name without a slash has no parent, so what is logged to it goes nowhere.
3. A stream is *material* when it is enabled and has a sink or a material outlet. What is not material is not walked.
4. The outlet attached last comes first. A second edge to the same outlet adds nothing, whatever its filter.
5. A line has, at a sink, the flags of the sink's stream and of the stream directly upstream, and no others.
6. A stream that can be reached in two ways gets the line twice, perhaps with different flags.
7. Refused: a cycle, and a stream from which more than `MAX_HOPS` ways lead on.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from graphlib import TopologicalSorter

from .errors import GraphError, OutletCycle
from .filters import Filter
from .record import NO_FLAGS, Flags

__all__ = ["MAX_HOPS", "MAX_NAME", "Graph", "Hop", "Node", "Outlet", "check_name"]

MAX_HOPS = 4096
"""How many streams one line may pass, each counted as often as it is passed."""

MAX_NAME = 255
"""Longest name of a stream, in characters."""

_BUILT_IN = (("error", "stderr"), ("notice", "error"), ("debug", "stderr"), ("error/stacktrace", "error"))
_TIMESTAMPS = Flags(timestamps=True)
_DEBUG = Flags(debug=True)


@dataclass(frozen=True, slots=True)
class Outlet:
    """An edge of the graph.

    Args:
        name: the stream that is fed.
        filter: which lines pass; None for all.
    """

    name: str
    filter: Filter | None = None


@dataclass(slots=True)
class Node:
    """One stream.

    Args:
        name: its name.
        enabled: whether it passes anything on.
        flags: its own.
        sink: whether it writes somewhere itself.
        outlets: the streams that it feeds, in the order in which they get a line.
    """

    name: str
    enabled: bool = True
    flags: Flags = NO_FLAGS
    sink: bool = False
    outlets: list[Outlet] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Hop:
    """One step of a line's way.

    Args:
        stream: the stream that it passes.
        flags: the flags in effect there.
        writes: whether it is written there.
        size: how many hops to skip when it stops here, this one included.
        filter: that of the edge which leads here; None for none, and for the first hop.
    """

    stream: str
    flags: Flags
    writes: bool
    size: int
    filter: Filter | None = None


class Graph:
    """The streams of one service. Not thread-safe.

    Attributes:
        nodes: every stream by name.
    """

    def __init__(self) -> None:
        self.nodes: dict[str, Node] = {}
        self.nodes["stderr"] = Node("stderr", flags=_TIMESTAMPS, sink=True)
        for name, outlet in _BUILT_IN:
            self.nodes[name] = Node(name, outlets=[Outlet(outlet)])
        self.nodes["debug"].enabled = False
        self.nodes["debug"].flags = _DEBUG

    def copy(self) -> Graph:
        """An independent copy."""
        other = Graph()
        other.nodes = {name: replace(node, outlets=list(node.outlets)) for name, node in self.nodes.items()}
        return other

    def find(self, name: str) -> list[str]:
        """Make a stream and its parents where they are missing (rule 2).

        Returns:
            The names of those that were made, outlets first.

        Raises:
            ValueError: it cannot be the name of a stream.
        """
        if name in self.nodes:
            return []
        check_name(name)
        parent = name.rpartition("/")[0]
        made = self.find(parent) if parent else []
        self.nodes[name] = Node(name, outlets=[Outlet(parent)] if parent else [])
        return [*made, name]

    def reset(self, name: str) -> Node:
        """What meeting a `<log>` does: the stream is as new, enabled, and has no outlets.

        `stderr` keeps its sink and its flags.

        Raises:
            ValueError: it cannot be the name of a stream.
        """
        check_name(name)
        if name == "stderr":
            node = self.nodes[name]
            node.enabled = True
            node.outlets = []
            return node
        node = self.nodes[name] = Node(name)
        return node

    def connect(self, name: str, outlet: str, passing: Filter | None = None) -> bool:
        """Let a stream feed another; both are made when missing.

        Args:
            name: the stream that feeds.
            outlet: the stream that is fed.
            passing: which lines pass; None for all.

        Returns:
            False when it does so already, through whatever filter; nothing has changed then.

        Raises:
            OutletCycle: the stream would feed itself.
            ValueError: one of them cannot be the name of a stream.
        """
        self.find(name)
        self.find(outlet)
        node = self.nodes[name]
        if any(edge.name == outlet for edge in node.outlets):
            return False
        if way := self._way(outlet, name):
            raise OutletCycle((name, *way))
        node.outlets.insert(0, Outlet(outlet, passing))
        return True

    def disconnect(self, name: str, outlet: str) -> bool:
        """The reverse of `connect`. Returns False when there was nothing to part."""
        node = self.nodes.get(name)
        edge = next((edge for edge in node.outlets if edge.name == outlet), None) if node is not None else None
        if node is None or edge is None:
            return False
        node.outlets.remove(edge)
        return True

    def routes(self) -> dict[str, tuple[Hop, ...]]:
        """The way of a line from every stream, in the order of the walk; empty for what is not material.

        Raises:
            GraphError: a way has more than `MAX_HOPS` hops.
        """
        edges = {name: [edge.name for edge in node.outlets] for name, node in self.nodes.items()}
        return self.extend({}, TopologicalSorter(edges).static_order())

    def extend(self, routes: Mapping[str, tuple[Hop, ...]], names: Iterable[str]) -> dict[str, tuple[Hop, ...]]:
        """Routes of some streams, from those of their outlets.

        Args:
            routes: what is known already.
            names: the streams that are wanted, outlets first.

        Returns:
            The routes of `names` only.

        Raises:
            GraphError: a way has more than `MAX_HOPS` hops.
        """
        found: dict[str, tuple[Hop, ...]] = {}
        for name in names:
            node = self.nodes[name]
            below: list[Hop] = []
            for edge in node.outlets if node.enabled else ():
                way = found[edge.name] if edge.name in found else routes[edge.name]
                if way:
                    below.append(replace(way[0], flags=way[0].flags.union(node.flags), filter=edge.filter))
                    below += way[1:]
                    if len(below) >= MAX_HOPS:
                        raise GraphError(
                            f"a line logged to '{name}' would pass more than {MAX_HOPS} streams; connect fewer outlets"
                        )
            if node.enabled and (node.sink or below):
                found[name] = (Hop(name, node.flags, node.sink, len(below) + 1), *below)
            else:
                found[name] = ()
        return found

    def _way(self, start: str, goal: str) -> tuple[str, ...]:
        came_from: dict[str, str] = {start: ""}
        waiting = [start]
        while waiting:
            name = waiting.pop()
            if name == goal:
                way = [name]
                while came_from[way[-1]]:
                    way.append(came_from[way[-1]])
                return tuple(reversed(way))
            for edge in self.nodes[name].outlets:
                if edge.name not in came_from:
                    came_from[edge.name] = name
                    waiting.append(edge.name)
        return ()


def check_name(name: str) -> None:
    """Check that a text can be the name of a stream.

    Raises:
        ValueError: it is empty, longer than `MAX_NAME`, or holds something unprintable.
    """
    if not name:
        raise ValueError("a log stream needs a name that is not empty")
    if len(name) > MAX_NAME:
        raise ValueError(f"the name of a log stream has at most {MAX_NAME} characters, this one has {len(name)}")
    if not name.isprintable():
        raise ValueError(f"{name!r} holds characters that the name of a log stream may not hold")
