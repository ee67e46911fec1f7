"""Implements a plain hook with a coroutine function."""

from mtev_kernel import Plugin, hookimpl


class Animal(Plugin):
    """Would be awaited by nobody."""

    @hookimpl
    async def mtev_stopping(self, reason: str) -> None:
        raise AssertionError("never called")
