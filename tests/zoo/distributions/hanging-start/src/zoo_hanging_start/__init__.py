"""Never finishes its start, which is async."""

import asyncio

from mtev_kernel import Plugin


class Animal(Plugin):
    """Waits for a peer without a limit of its own."""

    async def start(self) -> None:
        await asyncio.Event().wait()
