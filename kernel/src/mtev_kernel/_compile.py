"""Compile the walk over a hook's implementations into one flat function.

A generated function calls each implementation with just the arguments that it takes, contains its failures, and ends as
the specification says. For one implementation of a plain decision hook, untimed, it reads:

    def call(request):
        outcome = CONTINUE
        try:
            result = f0(request)
        except CAUGHT as error:
            failed(i0, error)
            result = ON_ERROR
        if result is not None and result is not CONTINUE:
            if result is DONE:
                outcome = DONE
            else:
                if result is not ABORT:
                    wrong(i0, result)
                    ...
                return ABORT
        return outcome

`SystemExit` is contained like an ordinary exception: a plugin does not end the process. Cancellation and
`KeyboardInterrupt` pass through.
"""

from __future__ import annotations

import inspect
import itertools
import time
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass, field
from enum import IntEnum
from typing import cast

from .errors import HookError

__all__ = ["ABORT", "CONTINUE", "DONE", "HookResult", "Implementation", "SpecOptions", "compile_call"]


class HookResult(IntEnum):
    """What an implementation of a decision hook answers; numbers as in libmtev."""

    CONTINUE = 0
    """Go on; the same as returning None."""
    DONE = 1
    """It is taken care of. Later implementations still run, and the caller learns DONE."""
    ABORT = 2
    """Stop. Later implementations do not run, and the caller learns ABORT."""


CONTINUE, DONE, ABORT = HookResult

_INITIAL = {"decision": "CONTINUE", "first": "None", "all": "[]"}
_serial = itertools.count()


@dataclass(frozen=True, slots=True)
class SpecOptions:
    """How the results of a hook are put together."""

    returns: str
    on_error: HookResult
    is_async: bool


@dataclass(slots=True, eq=False)
class Implementation:
    """One registered implementation and what has been seen of it.

    `calls`, `total_ns` and `longest_ns` are kept only while timing is on. They are written without a lock: threads
    that call the same implementation at the same moment may lose a count.
    """

    hook: str
    plugin: str
    distribution: str
    function: Callable[..., object]
    before: tuple[str, ...] = ()
    after: tuple[str, ...] = ()
    optional: bool = False
    wrapper: bool = False
    is_async: bool = False
    arguments: tuple[str, ...] = ()
    calls: int = 0
    total_ns: int = 0
    longest_ns: int = 0
    failures: int = 0
    key: str = field(default_factory=lambda: f"implementation-{next(_serial)}")


Failed = Callable[[Implementation, Exception | SystemExit], None]
_Call = Callable[..., object]


def compile_call(
    specification: _Call, options: SpecOptions, ordered: Sequence[Implementation], *, failed: Failed, timed: bool
) -> _Call | None:
    """Compile the walk.

    Args:
        specification: gives the signature.
        options: how results are put together.
        ordered: the implementations in calling order, wrappers among them.
        failed: told of each failure; what it raises propagates to the site's caller.
        timed: record calls and times in each `Implementation`.

    Returns:
        A function of the specification's signature, or None when there is nothing to call.
    """
    if not ordered:
        return None
    plain = [each for each in ordered if not each.wrapper]
    call = _flat(specification, options, plain, failed, timed)
    for wrapper in reversed([each for each in ordered if each.wrapper]):
        call = _wrapped(specification, wrapper, call, failed)
    return call


def _flat(
    specification: _Call, options: SpecOptions, plain: Sequence[Implementation], failed: Failed, timed: bool
) -> _Call:
    scope: dict[str, object] = {
        "CONTINUE": CONTINUE,
        "DONE": DONE,
        "ABORT": ABORT,
        "ON_ERROR": options.on_error if options.returns == "decision" else None,
        "CAUGHT": (Exception, SystemExit),
        "failed": failed,
        "wrong": lambda who, result: failed(who, _wrong_result(who, result)),
        "now": time.perf_counter_ns,
    }
    names = []
    for name, parameter in inspect.signature(specification).parameters.items():
        scope[f"default_{name}"] = parameter.default
        names.append(name if parameter.default is parameter.empty else f"{name}=default_{name}")
    lines = [f"{'async ' if options.is_async else ''}def call({', '.join(names)}):"]
    lines.append(f"    outcome = {_INITIAL[options.returns]}")
    for index, implementation in enumerate(plain):
        scope[f"f{index}"] = implementation.function
        scope[f"i{index}"] = implementation
        lines += _one(index, implementation, options, timed)
    lines.append("    return outcome")
    exec(compile("\n".join(lines), f"<hook {specification.__name__}>", "exec"), scope)  # noqa: S102  # no input in it
    return cast("_Call", scope["call"])


def _one(index: int, implementation: Implementation, options: SpecOptions, timed: bool) -> list[str]:
    wait = "await " if options.is_async else ""
    lines = [
        "    try:",
        f"        result = {wait}f{index}({', '.join(implementation.arguments)})",
        "    except CAUGHT as error:",
        f"        failed(i{index}, error)",
        "        result = ON_ERROR",
    ]
    if timed:
        lines.insert(0, "    began = now()")
        lines += [
            "    took = now() - began",
            f"    i{index}.calls += 1",
            f"    i{index}.total_ns += took",
            f"    if took > i{index}.longest_ns:",
            f"        i{index}.longest_ns = took",
        ]
    if options.returns == "first":
        return [*lines, "    if result is not None:", "        return result"]
    if options.returns == "all":
        return [*lines, "    if result is not None:", "        outcome.append(result)"]
    return [
        *lines,
        "    if result is not None and result is not CONTINUE:",
        "        if result is DONE:",
        "            outcome = DONE",
        "        elif result is ABORT:",
        "            return ABORT",
        "        else:",
        f"            wrong(i{index}, result)",
        "            if ON_ERROR is ABORT:",
        "                return ABORT",
    ]


def _wrong_result(implementation: Implementation, result: object) -> HookError:
    return HookError(f"hook '{implementation.hook}' returned {result!r}; expected CONTINUE, DONE, ABORT or None")


def _wrapped(specification: _Call, wrapper: Implementation, inner: _Call, failed: Failed) -> _Call:
    signature = inspect.signature(specification)

    def call(*args: object, **kwargs: object) -> object:
        bound = signature.bind(*args, **kwargs)
        bound.apply_defaults()
        generator: Generator[None, object, object] | None = None
        try:
            generator = cast(
                "Generator[None, object, object]",
                wrapper.function(*(bound.arguments[name] for name in wrapper.arguments)),
            )
            next(generator)
        except (Exception, SystemExit) as error:
            silent = HookError(f"the wrapper of hook '{wrapper.hook}' did not yield")
            failed(wrapper, silent if isinstance(error, StopIteration) else error)
            generator = None
        result = inner(*args, **kwargs)
        if generator is None:
            return result
        try:
            generator.send(result)
        except StopIteration as end:
            return end.value
        except (Exception, SystemExit) as error:
            failed(wrapper, error)
            return result
        generator.close()
        failed(wrapper, HookError(f"the wrapper of hook '{wrapper.hook}' yielded more than once"))
        return result

    return call
