"""Handlers that do not wait, without what waiting costs: the first step of a coroutine, and going on with the rest.

Most `async` handlers have their response without ever having to wait. `first_step` runs one up to where it does, or to
its end; `rest` goes on from there, within the same task. Both can do so in a context of the coroutine's own, so that
what it sets there is gone with it although its task goes on.
"""

from __future__ import annotations

import types
from collections.abc import Callable, Coroutine, Generator
from contextvars import Context
from typing import TypeVar

__all__ = ["Waiting", "first_step", "rest"]

T = TypeVar("T")


class Waiting:
    """Stands for the result that is not there yet."""

    __slots__ = ("wanted",)

    def __init__(self, wanted: object) -> None:
        self.wanted = wanted


def first_step(coroutine: Coroutine[object, object, T]) -> T | Waiting:
    """Run a coroutine until it waits for the first time, or ends.

    Returns:
        Its result, or what to hand to `rest`.

    Raises:
        BaseException: whatever it raised.
    """
    try:
        return Waiting(coroutine.send(None))
    except StopIteration as done:
        result: T = done.value
        return result


@types.coroutine
def rest(
    coroutine: Coroutine[object, object, T], waiting: Waiting, context: Context | None = None
) -> Generator[object, object, T]:
    """Await the rest of a coroutine whose first step was run, each step in a context if one is given."""
    wanted = waiting.wanted
    send: Callable[[object], object] = coroutine.send
    throw: Callable[[BaseException], object] = coroutine.throw
    if context is not None:
        run = context.run

        def send(value: object) -> object:
            return run(coroutine.send, value)

        def throw(error: BaseException) -> object:
            return run(coroutine.throw, error)

    while True:
        thrown: BaseException | None = None
        sent: object = None
        try:
            sent = yield wanted
        except GeneratorExit:
            coroutine.close()
            raise
        except BaseException as error:  # cancellation, for one, is the coroutine's to deal with
            thrown = error
        try:
            wanted = send(sent) if thrown is None else throw(thrown)
        except StopIteration as done:
            result: T = done.value
            return result
