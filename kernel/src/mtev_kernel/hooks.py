"""Hook points: how one piece of code lets others take part in what it does.

A *specification* is a typed, documented function without a body, marked with `hookspec`. Whether it is `async` is part
of it. An *implementation* is a function of the same name and of the same kind, with a subset of the arguments, marked
with `hookimpl`. pluggy holds both and validates them; this module adds what a long-running service needs, and calls
implementations through sites compiled by `_compile`.

Rules:

1. A specification `returns` a *decision* (CONTINUE, DONE or ABORT; None means CONTINUE), the *first* result that is
   not None, or *all* of those. ABORT ends the walk at once; DONE makes the outcome DONE and the walk goes on (libmtev).
2. The implementation registered last is called first (libmtev's order), unless `before` and `after`, which name
   plugins, say otherwise.
3. A raising implementation is attributed to its plugin and counted, and the walk goes on as if it had returned the
   specification's `on_error` (CONTINUE, or ABORT where going on would be unsafe).
4. `call` of a site is None while nobody is attached, so an idle site costs one attribute test. It is replaced whenever
   registrations change; a walk under way goes on with what it began with.
5. An implementation may come before its specification: it waits, and is reported by `problems` if that never comes.
"""

from __future__ import annotations

import inspect
import threading
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches
from typing import Generic, ParamSpec, TypeVar, cast, overload

import pluggy

from ._compile import CONTINUE, HookResult, Implementation, SpecOptions, compile_call
from .errors import HookError, attribution

__all__ = [
    "Attachment",
    "HookDescription",
    "HookFailure",
    "HookRegistry",
    "HookSite",
    "PluginHooks",
    "hookimpl",
    "hookspec",
]

P = ParamSpec("P")
R = TypeVar("R")
F = TypeVar("F", bound=Callable[..., object])

_PROJECT = "mtev"
_mark_spec = pluggy.HookspecMarker(_PROJECT)
_mark_impl = pluggy.HookimplMarker(_PROJECT)


@overload
def hookspec(function: F, /) -> F: ...
@overload
def hookspec(*, returns: str = ..., on_error: HookResult = ...) -> Callable[[F], F]: ...
def hookspec(
    function: F | None = None, /, *, returns: str = "decision", on_error: HookResult = CONTINUE
) -> F | Callable[[F], F]:
    """Mark a function as a hook specification.

    Args:
        function: the specification; `async def` declares a hook whose implementations are awaited.
        returns: `decision`, `first` or `all`; see rule 1.
        on_error: what a failed implementation of a decision counts as: CONTINUE or ABORT.
    """

    def mark(target: F) -> F:
        if returns not in ("decision", "first", "all"):
            raise HookError(f"hook '{target.__name__}': returns={returns!r} is none of 'decision', 'first', 'all'")
        options = SpecOptions(returns, on_error, inspect.iscoroutinefunction(target))
        marked = _mark_spec(target, firstresult=returns == "first")
        marked.__mtev_spec__ = options  # type: ignore[attr-defined]  # a function takes attributes; F cannot say so
        return marked

    return mark if function is None else mark(function)


@overload
def hookimpl(function: F, /) -> F: ...
@overload
def hookimpl(
    *,
    before: Iterable[str] = ...,
    after: Iterable[str] = ...,
    optional: bool = ...,
    wrapper: bool = ...,
    specname: str | None = ...,
) -> Callable[[F], F]: ...
def hookimpl(
    function: F | None = None,
    /,
    *,
    before: Iterable[str] = (),
    after: Iterable[str] = (),
    optional: bool = False,
    wrapper: bool = False,
    specname: str | None = None,
) -> F | Callable[[F], F]:
    """Mark a function or method as a hook implementation.

    Args:
        function: the implementation, of the same kind (plain or `async`) as its specification.
        before: names of plugins whose implementations are to be called after this one.
        after: names of plugins whose implementations are to be called before this one.
        optional: do not complain when no enabled plugin declares the hook.
        wrapper: a generator that yields once, round all plain implementations; for plain hooks only.
        specname: the hook's name, when the function is called otherwise.
    """

    def mark(target: F) -> F:
        marked = _mark_impl(target, optionalhook=optional, wrapper=wrapper, specname=specname)
        marked.__mtev_order__ = (tuple(before), tuple(after))  # type: ignore[attr-defined]  # as in hookspec
        return marked

    return mark if function is None else mark(function)


class HookSite(Generic[P, R]):
    """A place in the code from which a hook is called.

        if (call := site.call) is not None and call(request) is ABORT: ...

    Attributes:
        name: the hook's name.
        call: None while nobody is attached; else the compiled walk over all implementations, called exactly as the
            specification is. Read it once per use: another thread may attach or detach meanwhile.
    """

    __slots__ = ("call", "name")

    def __init__(self, name: str) -> None:
        self.name = name
        self.call: Callable[P, R] | None = None


@dataclass(frozen=True, slots=True)
class HookFailure:
    """An implementation raised, returned what its specification does not allow, or cannot be attached at all."""

    hook: str
    plugin: str
    distribution: str
    error: Exception | SystemExit

    def __str__(self) -> str:
        return f"hook '{self.hook}': the implementation of {attribution(self.plugin, self.distribution)} failed"


@dataclass(frozen=True, slots=True)
class HookDescription:
    """A hook point and who is attached to it, in calling order; what listings show."""

    name: str
    owner: str
    kind: str
    returns: str
    summary: str
    signature: str
    attached: tuple[Implementation, ...]


@dataclass(slots=True)
class _Point:
    name: str
    owner: str
    distribution: str
    options: SpecOptions
    function: Callable[..., object]
    site: HookSite[..., object]
    implementations: list[Implementation] = field(default_factory=list)


class Attachment:
    """Implementations attached together; `detach` removes them. Thread-safe, and harmless to repeat."""

    def __init__(self, registry: HookRegistry, members: Sequence[Implementation]) -> None:
        self._registry = registry
        self._members = tuple(members)

    def detach(self) -> None:
        """Remove the implementations; a walk under way may still call them once."""
        self._registry._remove(self._members)


class HookRegistry:
    """Every hook point of one kernel. Thread-safe; nothing here blocks.

    Args:
        report: called with each failure of an implementation, on the thread where it happened. What it raises
            propagates to the caller of the site: that turns isolation off.
        timed: record calls and time of every implementation; may be changed by `set_timed`.
    """

    def __init__(self, report: Callable[[HookFailure], None], *, timed: bool = False) -> None:
        self._report = report
        self._timed = timed
        self._lock = threading.RLock()
        self._manager = pluggy.PluginManager(_PROJECT)
        self._points: dict[str, _Point] = {}
        self._waiting: list[Implementation] = []
        self._rejected: list[HookFailure] = []

    def declare(self, owner: str, distribution: str, namespace: object) -> None:
        """Declare every marked specification of a module or class.

        Args:
            owner: name of the declaring plugin.
            distribution: where it comes from, for messages.
            namespace: what holds the functions marked with `hookspec`.

        Raises:
            HookError: it holds none, or one of a name that is declared already.
        """
        specs = {
            name: (value, value.__mtev_spec__)
            for name, value in vars(namespace).items()
            if callable(value) and hasattr(value, "__mtev_spec__")
        }
        if not specs:
            raise HookError(f"{attribution(owner, distribution)} declares hooks, but {namespace!r} has no @hookspec")
        with self._lock:
            for name in specs:
                if other := self._points.get(name):
                    raise HookError(
                        f"{attribution(owner, distribution)} declares the hook '{name}', "
                        f"which {attribution(other.owner, other.distribution)} declares already"
                    )
            for name, (function, options) in specs.items():
                holder = type("Specifications", (), {name: staticmethod(function)})
                self._manager.add_hookspecs(holder)
                self._points[name] = _Point(name, owner, distribution, options, function, HookSite(name))
            waiting, self._waiting = self._waiting, []
            for implementation in waiting:
                try:
                    self._add(implementation)
                except HookError as error:
                    self._rejected.append(_failure(implementation, error))

    def attach(self, plugin: str, distribution: str, target: object) -> Attachment:
        """Attach a function marked with `hookimpl`, or every marked method of an object: all of them, or none.

        Raises:
            HookError: one does not fit its specification, or nothing is marked at all where `target` is a function.
        """
        if inspect.isroutine(target):
            if not hasattr(target, "mtev_impl"):
                raise HookError(f"{attribution(plugin, distribution)}: {target!r} is not marked with @hookimpl")
            return self._attach([_implementation(plugin, distribution, target.__name__, target)])
        members = []
        for name in dir(type(target)):
            if not isinstance(inspect.getattr_static(type(target), name), property):
                function = getattr(target, name, None)
                if callable(function) and hasattr(function, "mtev_impl"):
                    members.append(_implementation(plugin, distribution, name, function))
        return self._attach(members)

    def site(self, specification: Callable[P, R]) -> HookSite[P, R]:
        """The call site of a declared hook, typed as its specification. The same object for every caller.

        Raises:
            HookError: the hook is not declared.
        """
        name = getattr(specification, "__name__", str(specification))
        with self._lock:
            point = self._points.get(name)
        if point is None:
            raise HookError(f"hook '{name}' is not declared; declare its specification before asking for a site")
        return cast("HookSite[P, R]", point.site)

    def problems(self) -> list[HookFailure]:
        """Implementations that did not fit when their specification came, or whose hook nobody declared."""
        with self._lock:
            found = list(self._rejected)
            for waiting in self._waiting:
                if waiting.optional:
                    continue
                near = get_close_matches(waiting.hook, self._points, n=1)
                message = f"no enabled plugin declares a hook '{waiting.hook}'" + (
                    f"; did you mean '{near[0]}'?" if near else ""
                )
                found.append(_failure(waiting, HookError(message)))
            return found

    def describe(self) -> list[HookDescription]:
        """Every declared hook point, by name, with who is attached in calling order."""
        with self._lock:
            return [
                HookDescription(
                    point.name,
                    point.owner,
                    "async" if point.options.is_async else "sync",
                    point.options.returns,
                    (inspect.getdoc(point.function) or "").partition("\n")[0],
                    str(inspect.signature(point.function)).replace("'", ""),
                    tuple(_in_order(point.implementations)),
                )
                for point in sorted(self._points.values(), key=lambda each: each.name)
            ]

    def set_timed(self, timed: bool) -> None:
        """Switch the timing of implementations on or off, at once and for every site."""
        with self._lock:
            self._timed = timed
            for point in self._points.values():
                self._rebuild(point)

    def _attach(self, members: Sequence[Implementation]) -> Attachment:
        attachment = Attachment(self, members)
        with self._lock:
            try:
                for member in members:
                    self._add(member)
            except HookError:
                attachment.detach()
                raise
        return attachment

    def _add(self, new: Implementation) -> None:
        point = self._points.get(new.hook)
        if point is None:
            self._waiting.append(new)
            return
        if new.is_async != point.options.is_async:
            kinds = ("an async", "async def") if point.options.is_async else ("a plain", "def")
            raise HookError(
                f"{attribution(new.plugin, new.distribution)}: '{new.hook}' is {kinds[0]} hook; "
                f"declare its implementation with '{kinds[1]}'"
            )
        if new.wrapper and new.is_async:
            raise HookError(
                f"{attribution(new.plugin, new.distribution)}: '{new.hook}' is an async hook, which takes no wrappers"
            )
        holder = type("Implementation", (), {new.hook: staticmethod(new.function)})()
        try:
            self._manager.register(holder, name=new.key)
        except (pluggy.PluginValidationError, ValueError) as error:
            raise HookError(f"{attribution(new.plugin, new.distribution)}: hook '{new.hook}': {error}") from error
        new.arguments = next(impl.argnames for impl in self._caller(new.hook).get_hookimpls() if impl.plugin is holder)
        point.implementations.append(new)
        try:
            self._rebuild(point)
        except HookError:
            self._discard(point, new)
            raise

    def _remove(self, members: Iterable[Implementation]) -> None:
        with self._lock:
            for member in members:
                self._waiting = [each for each in self._waiting if each is not member]
                point = self._points.get(member.hook)
                if point is not None and member in point.implementations:
                    self._discard(point, member)

    def _discard(self, point: _Point, member: Implementation) -> None:
        point.implementations.remove(member)
        self._manager.unregister(name=member.key)
        self._rebuild(point)

    def _caller(self, hook: str) -> pluggy.HookCaller:
        return cast("pluggy.HookCaller", getattr(self._manager.hook, hook))

    def _rebuild(self, point: _Point) -> None:
        ordered = _in_order(point.implementations)
        point.site.call = compile_call(point.function, point.options, ordered, failed=self._failed, timed=self._timed)

    def _failed(self, implementation: Implementation, error: Exception | SystemExit) -> None:
        implementation.failures += 1
        self._report(_failure(implementation, error))


class PluginHooks:
    """A plugin's own handle on the registry: what it attaches is attributed to it and removed when it stops."""

    def __init__(self, registry: HookRegistry, plugin: str, distribution: str) -> None:
        self._registry = registry
        self._plugin = plugin
        self._distribution = distribution
        self._attachments: list[Attachment] = []

    def declare(self, namespace: object) -> None:
        """Declare the hook points of a module or class; see `HookRegistry.declare`."""
        self._registry.declare(self._plugin, self._distribution, namespace)

    def attach(self, target: object) -> Attachment:
        """Attach a marked function, or the marked methods of an object; see `HookRegistry.attach`."""
        attachment = self._registry.attach(self._plugin, self._distribution, target)
        self._attachments.append(attachment)
        return attachment

    def site(self, specification: Callable[P, R]) -> HookSite[P, R]:
        """The call site of a declared hook; see `HookRegistry.site`."""
        return self._registry.site(specification)

    def describe(self) -> list[HookDescription]:
        """Every hook point of this kernel; see `HookRegistry.describe`."""
        return self._registry.describe()

    def detach_all(self) -> None:
        """Remove whatever was attached through this handle."""
        while self._attachments:
            self._attachments.pop().detach()


def _failure(implementation: Implementation, error: Exception | SystemExit) -> HookFailure:
    return HookFailure(implementation.hook, implementation.plugin, implementation.distribution, error)


def _implementation(plugin: str, distribution: str, name: str, function: Callable[..., object]) -> Implementation:
    options = function.mtev_impl  # type: ignore[attr-defined]  # set by pluggy's marker
    before, after = getattr(function, "__mtev_order__", ((), ()))
    return Implementation(
        hook=options["specname"] or name,
        plugin=plugin,
        distribution=distribution,
        function=function,
        before=before,
        after=after,
        optional=options["optionalhook"],
        wrapper=options["wrapper"],
        is_async=inspect.iscoroutinefunction(function),
    )


def _in_order(registered: Sequence[Implementation]) -> list[Implementation]:
    """Calling order: last registered first, bent as little as `before` and `after` demand."""
    waiting = list(reversed(registered))
    ordered: list[Implementation] = []
    while waiting:
        for one in waiting:
            if not any(_precedes(other, one) for other in waiting if other is not one):
                break
        else:
            plugins = ", ".join(sorted({each.plugin for each in waiting}))
            raise HookError(f"hook '{one.hook}': 'before' and 'after' of plugins {plugins} contradict each other")
        waiting.remove(one)
        ordered.append(one)
    return ordered


def _precedes(one: Implementation, other: Implementation) -> bool:
    return other.plugin in one.before or one.plugin in other.after
