"""What timers, watches and recurrent functions need of the loop that they belong to."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Protocol

__all__ = ["FAILED", "LoopHost"]

FAILED = object()
"""What `LoopHost.perform` returns for a function that raised."""


class LoopHost(Protocol):
    """The loop, as they see it: see `Loop`."""

    @property
    def here(self) -> bool: ...
    @property
    def asyncio_loop(self) -> asyncio.AbstractEventLoop: ...
    def post(self, run: Callable[[], None]) -> bool: ...
    def perform(self, name: str, function: Callable[[], object], created: str) -> object: ...
    def follow(self, name: str, awaitable: Awaitable[object], ended: Callable[[], None], title: str) -> None: ...
