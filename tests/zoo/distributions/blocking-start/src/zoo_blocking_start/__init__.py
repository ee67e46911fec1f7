"""Blocks the loop at start."""

import threading

from mtev_kernel import Plugin


class Animal(Plugin):
    """Waits in a coroutine as if it were a thread."""

    async def start(self) -> None:
        threading.Event().wait()
