"""Never finishes its stop."""

import asyncio

from mtev_kernel import Plugin


class Animal(Plugin):
    """Waits for an acknowledgement that does not come."""

    async def stop(self) -> None:
        await asyncio.Event().wait()
