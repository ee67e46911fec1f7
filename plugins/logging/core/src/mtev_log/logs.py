"""The service `Logs`: every stream of a running service, and the backends behind them."""

from __future__ import annotations

import atexit
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from types import MappingProxyType

from mtev_kernel import ConfigurationError, HookSite, MtevError

from ._line import Step
from ._stderr import StderrBackend, complain
from ._types import BackendTypes
from .backend import Backend, BackendFactory, BackendSettings
from .configuration import StreamSettings, build_graph
from .errors import GraphError
from .filters import Filter
from .gates import GateSettings
from .graph import Graph, Hop, Outlet
from .sink import Sink, one_line
from .speculation import Speculation
from .stream import Dispatch, LogLineSite, LogPlainSite, LogStream, Stop, route_of

__all__ = ["LineCount", "Logs"]


class LineCount:
    """How many lines passed a stream. Several writers may count at once."""

    __slots__ = ("_lock", "value")

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self.value = 0

    def add(self, n: int = 1) -> None:
        """Count lines."""
        with self._lock:
            self.value += n


class Logs:
    """The streams of one service. Thread-safe.

    Args:
        site: the call site of the hook `mtev_log_line`.
        plain_site: that of `mtev_log_plain`.
        flatbuffer_site: that of `mtev_log_flatbuffer`.
        degraded: told why, when a backend fails.
        healthy: told when all of them work again.
        stderr_fd: the descriptor that the stream `stderr` writes to.
    """

    def __init__(
        self,
        site: LogLineSite,
        *,
        plain_site: LogPlainSite | None = None,
        flatbuffer_site: LogPlainSite | None = None,
        degraded: Callable[[str], None] = lambda reason: None,
        healthy: Callable[[], None] = lambda: None,
        stderr_fd: int = 2,
    ) -> None:
        self._changing = threading.Lock()  # held while backends are opened and closed; never while a line is walked
        self._lock = threading.RLock()  # held for the tables below; nothing that blocks is called under it
        self._degraded = degraded
        self._healthy = healthy
        self._stderr_fd = stderr_fd
        self._dispatch = Dispatch(
            site,
            plain_site or HookSite("mtev_log_plain"),
            flatbuffer_site or HookSite("mtev_log_flatbuffer"),
            self.complain,
        )
        self._types = BackendTypes()
        self._watchers: list[Callable[[], None]] = []
        self._streams: dict[str, LogStream] = {}
        self._sinks: dict[str, Sink] = {}
        self._graph = Graph()
        self._routes: dict[str, tuple[Hop, ...]] = {}
        self._gates: dict[str, GateSettings] = {}
        self._counts: dict[str, LineCount] = {}
        self._open = False
        self._sinks["stderr"] = self._stderr_sink("plain")
        self._apply(self._graph.routes())

    def stream(self, name: str) -> LogStream:
        """The stream of that name; made when missing, with its parents: `a/b` feeds `a`. Keep what you get.

        Raises:
            ValueError: it cannot be the name of a stream.
        """
        known = self._streams.get(name)
        if known is not None:
            return known
        with self._lock:
            made = self._graph.find(name)
            self._routes.update(self._graph.extend(self._routes, made))
            for each in made:
                stream = LogStream(each, self._dispatch)
                self._bind(stream)
                self._streams[each] = stream
            return self._streams[name]

    @property
    def streams(self) -> Mapping[str, LogStream]:
        """Every stream by name, as of now."""
        with self._lock:
            return MappingProxyType(dict(self._streams))

    def register_backend(
        self,
        type: str,  # noqa: A002  # the attribute's own name
        factory: BackendFactory,
        *,
        synchronous: bool = False,
        attributes: Sequence[str] = (),
    ) -> None:
        """Offer a kind of backend, under the name that `<log type=>` gives it. Before `validate`, so in `configure`.

        Args:
            type: that name.
            factory: makes a backend from what a `<log>` says.
            synchronous: write on the thread that logs, and not on one of the log's own.
            attributes: which of `rotate_seconds` and the like it understands, see `BackendSettings.options`; others
                are reported where a `<log>` of this type has them.

        Raises:
            LogError: the name is empty or taken.
        """
        with self._lock:
            self._types.register(type, factory, synchronous=synchronous, attributes=attributes)

    @property
    def backend_types(self) -> list[str]:
        """What `<log type=>` may say, sorted."""
        with self._lock:
            return self._types.names()

    def backend(self, name: str) -> Backend | None:
        """The backend of a stream, or None when there is no such stream or it has none. Makes no stream."""
        with self._lock:
            sink = self._sinks.get(name)
            return None if sink is None else sink.backend

    def configure(self, wanted: Sequence[StreamSettings], hint: Callable[[str], str] = lambda kind: "") -> None:
        """Make the streams what a document says; on a running service, without losing a line.

        Streams handed out before stay valid. A backend whose settings did not change is kept, and told to reopen.

        Args:
            wanted: what it says, each name once.
            hint: what to install for a log type that nobody offers.

        Raises:
            ConfigurationError: outlets form a cycle, a type is unknown, or a backend refuses its settings. Nothing
                has changed then.
            LogError: a factory failed, or what it made is no backend. As above.
        """
        with self._changing:
            old = dict(self._sinks)
            sinks = self._make_sinks(wanted, hint)
            graph = self._graph_of(wanted)
            for name, sink in sinks.items():
                before = old.get(name)
                if before is sink:
                    sink.reopen()
                    continue
                if before is not None:
                    before.close(successor=sink)
                if self._open:
                    sink.open_or_fail()
                    sink.go_asynchronous()
            with self._lock:
                for name in self._streams:
                    graph.find(name)
                routes = graph.routes()
                self._sinks, self._graph = sinks, graph
                self._gates = {each.name: each.gate for each in wanted if each.gate}
                self._counts = {
                    each.name: self._counts.get(each.name) or LineCount() for each in wanted if each.counted
                }
                self._apply(routes)
            for name, sink in old.items():
                if name not in sinks:
                    sink.close()
        self._tell_watchers()

    def without_effect(self, wanted: Sequence[StreamSettings]) -> list[str]:
        """What to tell the operator about attributes that the types of their `<log>` do not understand."""
        with self._lock:
            return [notice for each in wanted for notice in self._types.without_effect(each)]

    def check(self, wanted: Sequence[StreamSettings], hint: Callable[[str], str] = lambda kind: "") -> None:
        """Whether `configure` could make the streams what a document says. Makes backends, and opens none.

        Args:
            wanted: as for `configure`.
            hint: as for `configure`.

        Raises:
            ConfigurationError: as `configure`.
            LogError: as `configure`.
        """
        with self._changing:
            self._make_sinks(wanted, hint)
            self._graph_of(wanted)

    def open(self) -> None:
        """Open every backend and write what waited. May block.

        Raises:
            ConfigurationError: one cannot be opened; the message says where it is configured.
        """
        with self._changing:
            for sink in self._all_sinks():
                try:
                    sink.open()
                except Exception as error:
                    cause = None if isinstance(error, OSError | MtevError) else error
                    raise sink.settings.error(f"it cannot be opened: {one_line(error)}") from cause
            for sink in self._all_sinks():
                sink.go_asynchronous()
            self._open = True
            atexit.register(self.flush)
            with self._lock:
                self._apply(self._graph.routes())
        self._tell_watchers()

    def flush(self, name: str | None = None, timeout_s: float = 5.0) -> bool:
        """Write what was logged so far, and let backends hand over what they hold back. May block.

        Args:
            name: the stream whose backend is meant; None for every backend.
            timeout_s: how long to wait in all for backends that are stuck, in seconds.

        Returns:
            Whether everything is written. False as well when a backend fails.
        """
        if name is None:
            sinks = self._all_sinks()
        else:
            with self._lock:
                sinks = [self._sinks[name]] if name in self._sinks else []
        deadline = time.monotonic() + timeout_s
        done = [sink.flush(max(0.0, deadline - time.monotonic())) for sink in sinks]
        return all(done)

    def speculate(self, lines: int = 1000, size_bytes: int = 1_000_000) -> Speculation:
        """Lines that are written only if it turns out that they matter; see `Speculation`.

        Args:
            lines: how many are kept; older ones make room.
            size_bytes: how large their texts may be together.
        """
        return Speculation(self._dispatch, lines, size_bytes)

    def close(self) -> None:
        """Flush and close every backend; what is logged from now on goes to `stderr` at most. May block."""
        with self._changing:
            self._open = False
            with self._lock:
                ending = self._graph.copy()
                for name, node in ending.nodes.items():
                    node.sink = name == "stderr"
                self._apply(ending.routes())
            for name, sink in list(self._sinks.items()):
                if name != "stderr":
                    sink.close()
            self._sinks["stderr"].go_synchronous()
            atexit.unregister(self.flush)
        self._tell_watchers()

    def set_flags(
        self,
        name: str,
        *,
        enabled: bool | None = None,
        timestamps: bool | None = None,
        facility: bool | None = None,
        debug: bool | None = None,
    ) -> None:
        """Change flags of a stream, until the configuration is next read.

        Raises:
            LookupError: there is no such stream.
            GraphError: too many ways would lead on from some stream.
        """
        with self._lock:
            graph = self._graph.copy()
            if name not in graph.nodes:
                raise LookupError("no such log")
            node = graph.nodes[name]
            stated = {"timestamps": timestamps, "facility": facility, "debug": debug}
            node.flags = replace(node.flags, **{flag: value for flag, value in stated.items() if value is not None})
            node.enabled = node.enabled if enabled is None else enabled
            self._apply(graph.routes())
            self._graph = graph
        self._tell_watchers()

    def connect(self, name: str, outlet: str, filter: str = "") -> bool:  # noqa: A002  # the attribute's own name
        """Let a stream feed another, until the configuration is next read. Both are made when missing.

        Args:
            name: the stream that feeds.
            outlet: the stream that is fed.
            filter: which lines pass; `""` for all.

        Returns:
            False when it did so already.

        Raises:
            FilterError: the filter is malformed.
            OutletCycle: the stream would feed itself.
            GraphError: too many ways would lead on from some stream.
            ValueError: one of them cannot be the name of a stream.
        """
        compiled = Filter(filter) if filter else None
        with self._lock:
            graph = self._graph.copy()
            changed = graph.connect(name, outlet, compiled)
            self._apply(graph.routes())
            self._graph = graph
        self._tell_watchers()
        return changed

    def disconnect(self, name: str, outlet: str) -> bool:
        """The reverse of `connect`. Returns False when there was nothing to part."""
        with self._lock:
            graph = self._graph.copy()
            if not graph.disconnect(name, outlet):
                return False
            self._apply(graph.routes())
            self._graph = graph
        self._tell_watchers()
        return True

    def describe(self, name: str, *, nested: bool = True) -> dict[str, object]:
        """A stream as JSON-able data, in libmtev's shape, and how its backend is.

        Args:
            name: the stream.
            nested: tell of each outlet what it feeds in turn, as libmtev does.

        Raises:
            LookupError: there is no such stream.
        """
        with self._lock:
            node = self._graph.nodes.get(name)
            if node is None:
                raise LookupError("no such log")
            sink = self._sinks.get(name)
            told: dict[str, object] = {"name": name}
            if sink is not None and sink.settings.type:
                told["type"] = sink.settings.type
                told["path"] = sink.settings.path
                told["format"] = sink.settings.format
            told["enabled"] = node.enabled
            told["enabled_below"] = bool(self._routes[name])
            told["debugging"] = node.flags.debug
            told["timestamps"] = node.flags.timestamps
            told["facility"] = node.flags.facility
            told["stats"] = name in self._counts
            if name in self._counts:
                told["lines"] = self._counts[name].value
            if sink is not None:
                if sink.settings.config:
                    told["config"] = dict(sink.settings.config)
                told["written"] = sink.written
                told["lost"] = sink.lost
                told["queued"] = len(sink.queue)
                if sink.suppressed:
                    told["suppressed"] = sink.suppressed
                if sink.failing:
                    told["failing"] = sink.failing
            if node.outlets:
                told["outlets"] = [self._terse(edge, nested) for edge in node.outlets]
            return told

    def outlets(self, name: str) -> tuple[str, ...]:
        """The streams that one feeds directly, in the order in which they get a line; none for an unknown one."""
        with self._lock:
            node = self._graph.nodes.get(name)
            return () if node is None else tuple(edge.name for edge in node.outlets)

    def filter_between(self, name: str, outlet: str) -> str | None:
        """The filter of what one stream feeds another; `""` for none, None where it feeds nothing."""
        with self._lock:
            node = self._graph.nodes.get(name)
            for edge in () if node is None else node.outlets:
                if edge.name == outlet:
                    return "" if edge.filter is None else edge.filter.text
            return None

    @property
    def counted(self) -> list[str]:
        """The streams whose lines are counted."""
        with self._lock:
            return list(self._counts)

    @property
    def with_backend(self) -> list[str]:
        """The streams that have a backend."""
        with self._lock:
            return list(self._sinks)

    def figure(self, name: str, figure: str) -> int | None:
        """One number about a stream.

        Args:
            name: the stream.
            figure: `lines` of a counted one; `written`, `lost`, `suppressed`, `queued` or `failing` of one with a
                backend.

        Returns:
            The number, or None where there is none.
        """
        with self._lock:
            sink, count = self._sinks.get(name), self._counts.get(name)
        if figure == "lines":
            return None if count is None else count.value
        if sink is None:
            return None
        match figure:
            case "written":
                return sink.written
            case "lost":
                return sink.lost
            case "suppressed":
                return sink.suppressed
            case "queued":
                return len(sink.queue)
            case "failing":
                return int(bool(sink.failing))
        return None

    @property
    def nested(self) -> int:
        """How many lines were dropped because their thread was logging already."""
        return self._dispatch.nested

    @property
    def busy(self) -> bool:
        """Whether the calling thread is logging at this moment, so that what it logs now would be dropped."""
        return self._dispatch.nesting.thread is None

    def count_nested(self) -> None:
        """Count a line that was dropped because its thread is `busy`."""
        self._dispatch.nested += 1

    def when_changed(self, function: Callable[[], None]) -> Callable[[], None]:
        """Call a function after each change of what is material, on the thread that made it.

        Returns:
            A function that takes this back; harmless to repeat.
        """
        self._watchers.append(function)

        def forget() -> None:
            if function in self._watchers:
                self._watchers.remove(function)

        return forget

    def complain(self, text: str) -> None:
        """Say something about the log itself on standard error, past all streams. Never raises."""
        complain(text, self._stderr_fd)

    def sink_failed(self, sink: Sink, text: str) -> None:
        """A backend fails; called by its sink."""
        self.complain(text)
        self._degraded("; ".join(self._failing()) or text)

    def sink_recovered(self, sink: Sink, text: str) -> None:
        """A backend works again; called by its sink."""
        self.complain(text)
        if failing := self._failing():
            self._degraded("; ".join(failing))
        else:
            self._healthy()

    def _failing(self) -> list[str]:
        return [f"log '{sink.settings.name}': {sink.failing}" for sink in self._all_sinks() if sink.failing]

    def _all_sinks(self) -> list[Sink]:
        return list(self._sinks.values())

    def _terse(self, edge: Outlet, nested: bool) -> dict[str, object]:
        told: dict[str, object] = {"name": edge.name}
        if edge.filter is not None:
            told["filter"] = edge.filter.text
        if nested and (outlets := self._graph.nodes[edge.name].outlets):
            told["outlets"] = [self._terse(below, nested) for below in outlets]
        return told

    def _graph_of(self, wanted: Sequence[StreamSettings]) -> Graph:
        graph = build_graph(wanted)
        try:
            graph.routes()
        except GraphError as error:
            raise ConfigurationError(f"<logs>: {error}") from None
        return graph

    def _make_sinks(self, wanted: Sequence[StreamSettings], hint: Callable[[str], str]) -> dict[str, Sink]:
        sinks: dict[str, Sink] = {}
        problems: list[ConfigurationError] = []
        stderr_format = next((each.backend.format for each in wanted if each.name == "stderr"), "plain")
        stderr = self._sinks["stderr"]
        sinks["stderr"] = stderr if stderr.settings.format == stderr_format else self._stderr_sink(stderr_format)
        for each in wanted:
            settings = each.backend
            if not settings.type:
                continue
            existing = self._sinks.get(each.name)
            if existing is not None and existing.settings == settings and existing.options == self._types.options(each):
                sinks[each.name] = existing
                continue
            try:
                sinks[each.name] = self._types.make(each, self, self._dispatch.nesting, hint)
            except ConfigurationError as error:
                problems.append(error)
        if problems:
            raise ConfigurationError.combined(problems)
        return sinks

    def _stderr_sink(self, form: str) -> Sink:
        settings = BackendSettings("stderr", format=form)
        sink = Sink(settings, StderrBackend(settings, self._stderr_fd), self, self._dispatch.nesting)
        sink.open()
        return sink

    def _apply(self, routes: dict[str, tuple[Hop, ...]]) -> None:
        self._routes = routes
        for name in routes:
            if name not in self._streams:
                self._streams[name] = LogStream(name, self._dispatch)
        for stream in self._streams.values():
            self._bind(stream)

    def _bind(self, stream: LogStream) -> None:
        stops = tuple(
            Stop(
                stream if hop.stream == stream.name else self._streams[hop.stream],
                hop.flags,
                self._sinks.get(hop.stream) if hop.writes else None,
                hop.size,
                hop.filter,
                self._steps(hop.stream),
            )
            for hop in self._routes[stream.name]
        )
        stream.rerouted(route_of(stream.name, stops))

    def _steps(self, name: str) -> tuple[Step, ...]:
        gate, count = self._gates.get(name), self._counts.get(name)
        if gate is None and count is None:
            return ()
        return (Step(gate=None if gate is None else (name, gate), count=count),)

    def _tell_watchers(self) -> None:
        for function in list(self._watchers):
            function()
