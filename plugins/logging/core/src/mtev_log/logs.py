"""The service `Logs`: every stream of a running service, and the backends behind them."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from types import MappingProxyType

from mtev_kernel import ConfigurationError, MtevError

from ._stderr import StderrBackend, complain
from ._types import BackendTypes
from .backend import Backend, BackendFactory, BackendSettings
from .configuration import StreamSettings, build_graph
from .errors import GraphError
from .graph import Graph, Hop
from .sink import Sink, one_line
from .stream import Dispatch, LogLineSite, LogStream, Stop

__all__ = ["Logs"]


class Logs:
    """The streams of one service. Thread-safe.

    Args:
        site: the call site of the hook `mtev_log_line`.
        degraded: told why, when a backend fails.
        healthy: told when all of them work again.
        stderr_fd: the descriptor that the stream `stderr` writes to.
    """

    def __init__(
        self,
        site: LogLineSite,
        *,
        degraded: Callable[[str], None] = lambda reason: None,
        healthy: Callable[[], None] = lambda: None,
        stderr_fd: int = 2,
    ) -> None:
        self._changing = threading.Lock()  # held while backends are opened and closed; never while a line is walked
        self._lock = threading.RLock()  # held for the tables below; nothing that blocks is called under it
        self._degraded = degraded
        self._healthy = healthy
        self._stderr_fd = stderr_fd
        self._dispatch = Dispatch(site, self.complain)
        self._types = BackendTypes()
        self._watchers: list[Callable[[], None]] = []
        self._streams: dict[str, LogStream] = {}
        self._sinks: dict[str, Sink] = {}
        self._graph = Graph()
        self._routes: dict[str, tuple[Hop, ...]] = {}
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

    def register_backend(self, type: str, factory: BackendFactory) -> None:  # noqa: A002  # the attribute's own name
        """Offer a kind of backend, under the name that `<log type=>` gives it. Before `validate`, so in `configure`.

        Raises:
            LogError: that name is empty or taken.
        """
        with self._lock:
            self._types.register(type, factory)

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
            with self._lock:
                for name in self._streams:
                    graph.find(name)
                routes = graph.routes()
                self._sinks, self._graph = sinks, graph
                self._apply(routes)
            for name, sink in old.items():
                if name not in sinks:
                    sink.close()
        self._tell_watchers()

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
            self._open = True
            with self._lock:
                self._apply(self._graph.routes())
        self._tell_watchers()

    def flush(self) -> None:
        """Let every backend hand over what it holds back. May block."""
        for sink in self._all_sinks():
            sink.flush()

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

    def connect(self, name: str, outlet: str) -> bool:
        """Let a stream feed another, until the configuration is next read. Both are made when missing.

        Returns:
            False when it did so already.

        Raises:
            OutletCycle: the stream would feed itself.
            GraphError: too many ways would lead on from some stream.
            ValueError: one of them cannot be the name of a stream.
        """
        with self._lock:
            graph = self._graph.copy()
            changed = graph.connect(name, outlet)
            self._apply(graph.routes())
            self._graph = graph
        self._tell_watchers()
        return changed

    def disconnect(self, name: str, outlet: str) -> bool:
        """The reverse of `connect`. Returns False when there was nothing to part."""
        with self._lock:
            graph = self._graph.copy()
            node = graph.nodes.get(name)
            if node is None or outlet not in node.outlets:
                return False
            node.outlets.remove(outlet)
            self._apply(graph.routes())
            self._graph = graph
        self._tell_watchers()
        return True

    def describe(self, name: str) -> dict[str, object]:
        """A stream as JSON-able data, in libmtev's shape, and how its backend is.

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
            told["stats"] = False
            if sink is not None:
                if sink.settings.config:
                    told["config"] = dict(sink.settings.config)
                told["written"] = sink.written
                told["lost"] = sink.lost
                if sink.failing:
                    told["failing"] = sink.failing
            if node.outlets:
                told["outlets"] = [self._terse(outlet) for outlet in node.outlets]
            return told

    def outlets(self, name: str) -> tuple[str, ...]:
        """The streams that one feeds directly, in the order in which they get a line; none for an unknown one."""
        with self._lock:
            node = self._graph.nodes.get(name)
            return () if node is None else tuple(node.outlets)

    @property
    def nested(self) -> int:
        """How many lines were dropped because their thread was logging already."""
        return self._dispatch.nested

    @property
    def busy(self) -> bool:
        """Whether the calling thread is logging at this moment, so that what it logs now would be dropped."""
        return self._dispatch.local.busy

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

    def _terse(self, name: str) -> dict[str, object]:
        told: dict[str, object] = {"name": name}
        if outlets := self._graph.nodes[name].outlets:
            told["outlets"] = [self._terse(outlet) for outlet in outlets]
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
            if existing is not None and existing.settings == settings:
                sinks[each.name] = existing
                continue
            try:
                sinks[each.name] = self._types.make(each, self, hint)
            except ConfigurationError as error:
                problems.append(error)
        if problems:
            raise ConfigurationError.combined(problems)
        return sinks

    def _stderr_sink(self, form: str) -> Sink:
        settings = BackendSettings("stderr", format=form)
        sink = Sink(settings, StderrBackend(settings, self._stderr_fd), self)
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
        stream.rerouted(
            tuple(
                Stop(
                    stream if hop.stream == stream.name else self._streams[hop.stream],
                    hop.flags,
                    self._sinks.get(hop.stream) if hop.writes else None,
                    hop.size,
                )
                for hop in self._routes[stream.name]
            )
        )

    def _tell_watchers(self) -> None:
        for function in list(self._watchers):
            function()

