"""`Stats`: the metrics of a service in a tree of names, as libmtev has them.

A path names a metric: `("mtev", "eventer", "pool", "default", "cycletime")`. A name may be both a metric and the
beginning of further ones. Tags stand on metrics and on the names above them; those above hold for all below.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

from .counter import Counter
from .errors import RegistrationError
from .gauge import Gauge, Kind, Observed
from .histogram import Histogram

__all__ = ["DEFAULT_LIMIT", "Entry", "Metric", "Node", "Stats", "as_part"]

Metric = Histogram | Counter | Gauge
Path = Sequence[str]
Tags = Mapping[str, str]
M = TypeVar("M", Histogram, Counter, Gauge)

DEFAULT_LIMIT = 20_000
"""How many metrics there may be unless something else is stated."""

_TAG_BYTES = 256
_TAGS = 256
_NO_TAGS: Tags = {}

_log = logging.getLogger("mtev.stats")


@dataclass(slots=True)
class Node:
    """One name of the tree.

    Args:
        tags: those that stand here.
        metric: what is measured under this very name.
        summary: of the metric: one sentence.
        children: the names below.
        before_read: called before anything here or below is read.
    """

    tags: dict[str, str] = field(default_factory=dict)
    metric: Metric | None = None
    summary: str = ""
    children: dict[str, Node] = field(default_factory=dict)
    before_read: list[Callable[[], None]] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Entry:
    """A metric with its name, for those who show all of them.

    Args:
        path: its name.
        metric: itself.
        tags: all that hold for it.
        own_tags: those among them that stand on this very name.
        summary: one sentence, or `""`.
    """

    path: tuple[str, ...]
    metric: Metric
    tags: Tags
    own_tags: Tags
    summary: str


class Stats:
    """Every metric of one service. Thread-safe; nothing here is meant for a hot path: keep what you register.

    Args:
        limit: how many metrics there may be. Beyond that a registration gets a metric that is counted nowhere, and the
            log says so once: names that peers can invent must not fill the memory.
    """

    def __init__(self, *, limit: int = DEFAULT_LIMIT) -> None:
        self.limit = limit
        self._lock = threading.RLock()  # re-entrant, because what is called before reading may register
        self._root = Node()
        self._count = 0
        self._full = False
        self._surplus: dict[type, Metric] = {}

    def __len__(self) -> int:
        return self._count

    def histogram(self, path: Path, *, tags: Tags = _NO_TAGS, unit: str = "seconds", summary: str = "") -> Histogram:
        """Register a histogram, or find it.

        Args:
            path: its name, from the outermost part to the innermost. A part may contain dots, but no `"`.
            tags: category to value.
            unit: of its values, in the plural.
            summary: one sentence for those who read the figures.

        Raises:
            RegistrationError: something of it is malformed, or another type is registered there.
        """
        return self._register(path, Histogram, lambda: Histogram(unit), tags, summary)

    def counter(self, path: Path, *, tags: Tags = _NO_TAGS, unit: str = "", summary: str = "") -> Counter:
        """Register a counter, or find it. Arguments and errors are those of `histogram`."""
        return self._register(path, Counter, lambda: Counter(unit), tags, summary)

    def gauge(
        self,
        path: Path,
        observe: Callable[[], Observed] | None = None,
        *,
        tags: Tags = _NO_TAGS,
        unit: str = "",
        summary: str = "",
        kind: Kind | None = None,
    ) -> Gauge:
        """Register a gauge, or find it. Arguments and errors are those of `histogram`.

        Args:
            path: its name.
            observe: called from any thread whenever somebody reads; quick. Without one, use `Gauge.set`.
            tags: category to value.
            unit: of the value.
            summary: one sentence.
            kind: libmtev's type; None for the one that fits the value.
        """
        return self._register(path, Gauge, lambda: Gauge(observe, unit, kind), tags, summary)

    def tag(self, path: Path, tags: Tags) -> None:
        """Set tags on a name; they hold for everything below it.

        Raises:
            RegistrationError: the path or a tag is malformed.
        """
        checked = _checked_tags(path, tags)
        with self._lock:
            self._node(_checked_path(path)).tags.update(checked)

    def before_read(self, path: Path, callback: Callable[[], None]) -> Callable[[], None]:
        """Have something called before a name is read, for figures that cost something to come by.

        Args:
            path: what is read, or a name above it.
            callback: called from any thread; quick. What it raises is logged.

        Returns:
            A function that takes it back; harmless to repeat.
        """
        with self._lock:
            callbacks = self._node(_checked_path(path)).before_read
            callbacks.append(callback)

        def forget() -> None:
            with self._lock:
                if callback in callbacks:
                    callbacks.remove(callback)

        return forget

    def remove(self, path: Path) -> bool:
        """Forget a metric and everything below its name; whoever holds one may go on using it, unseen.

        Returns:
            Whether there was anything.
        """
        *above, name = _checked_path(path)
        with self._lock:
            node = self._known(tuple(above))
            gone = node.children.pop(name, None) if node is not None else None
            if gone is None:
                return False
            self._count -= sum(1 for _ in _walk(gone, (), _NO_TAGS))
            return True

    def find(self, path: Path) -> Metric | None:
        """The metric of that name, if there is one."""
        with self._lock:
            node = self._known(tuple(path))
            return node.metric if node is not None else None

    def entries(self) -> list[Entry]:
        """Every metric, in the order of the tree, after everything that is to be called before."""
        self._prepare()
        with self._lock:
            return list(_walk(self._root, (), _NO_TAGS))

    def clear(self, kind: type[Histogram | Counter]) -> int:
        """Begin anew with every metric of a type; how many there are."""
        with self._lock:
            metrics = [entry.metric for entry in _walk(self._root, (), _NO_TAGS) if isinstance(entry.metric, kind)]
        for metric in metrics:
            metric.clear()
        return len(metrics)

    def _prepare(self) -> None:
        with self._lock:
            callbacks = [each for node in _nodes(self._root) for each in node.before_read]
        for callback in callbacks:
            try:
                callback()
            except Exception:  # one owner's fault must not cost the others their figures
                _log.exception("what was to be called before statistics are read failed: %r", callback)

    def _register(self, path: Path, kind: type[M], make: Callable[[], M], tags: Tags, summary: str) -> M:
        parts, checked = _checked_path(path), _checked_tags(path, tags)
        with self._lock:
            node = self._node(parts) if self._count < self.limit else self._known(parts)
            if node is None or (node.metric is None and self._count >= self.limit):
                return self._one_too_many(path, kind, make)
            if node.metric is None:
                node.metric = make()
                node.summary = summary
                node.tags.update(checked)
                self._count += 1
            if not isinstance(node.metric, kind):
                raise RegistrationError(
                    f"the metric '{_shown(path)}' is a {type(node.metric).__name__.lower()} already; "
                    f"it cannot be a {kind.__name__.lower()} too"
                )
            return node.metric

    def _one_too_many(self, path: Path, kind: type[M], make: Callable[[], M]) -> M:
        if not self._full:
            self._full = True
            _log.warning(
                "there are %d metrics, the limit (max_metrics); '%s' and further ones are counted nowhere",
                self._count,
                _shown(path),
            )
        surplus = self._surplus.get(kind)
        if surplus is None:
            surplus = self._surplus[kind] = make()
        assert isinstance(surplus, kind)
        return surplus

    def _node(self, parts: tuple[str, ...]) -> Node:
        node = self._root
        for part in parts:
            node = node.children.setdefault(part, Node())
        return node

    def _known(self, parts: tuple[str, ...]) -> Node | None:
        node: Node | None = self._root
        for part in parts:
            node = node.children.get(part) if node is not None else None
        return node


def _walk(node: Node, path: tuple[str, ...], tags: Tags) -> Iterator[Entry]:
    tags = {**tags, **node.tags} if node.tags else tags
    if node.metric is not None:
        yield Entry(path, node.metric, tags, node.tags, node.summary)
    for name, child in node.children.items():
        yield from _walk(child, (*path, name), tags)


def _nodes(node: Node) -> Iterator[Node]:
    yield node
    for child in node.children.values():
        yield from _nodes(child)


def as_part(text: str) -> str:
    """A text as a part of a metric's name: `?` stands for whatever cannot be in one."""
    return "".join("?" if _is_odd(letter) else letter for letter in text)


def _is_odd(letter: str) -> bool:
    return letter == '"' or ord(letter) < 32


def _checked_path(path: Path) -> tuple[str, ...]:
    if isinstance(path, str) or not path:
        raise RegistrationError(f"{path!r} is no path; expected the parts of a name, such as ('acme', 'requests')")
    for part in path:
        if not part or any(map(_is_odd, part)):
            raise RegistrationError(
                f"'{_shown(path)}' cannot name a metric: the part {part!r} is empty, or has a quotation mark or a "
                "control character"
            )
    return tuple(path)


def _checked_tags(path: Path, tags: Tags) -> dict[str, str]:
    if len(tags) > _TAGS:
        raise RegistrationError(f"the metric '{_shown(path)}' has {len(tags)} tags; {_TAGS} are the most")
    for category, value in tags.items():
        if not category or ":" in category:
            raise RegistrationError(f"the metric '{_shown(path)}' has a tag {category!r}; expected a word without ':'")
        if len(f"{category}:{value}".encode()) > _TAG_BYTES:
            raise RegistrationError(f"the tag '{category}' of '{_shown(path)}' is longer than {_TAG_BYTES} bytes")
    return dict(tags)


def _shown(path: Path) -> str:
    return path if isinstance(path, str) else ".".join(path)
