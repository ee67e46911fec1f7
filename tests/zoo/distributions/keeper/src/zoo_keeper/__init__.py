"""A healthy third-party plugin among broken ones: what it answers shows whether the service still works.

It answers on a loopback port: one line in, one line out.

    beat                the number of its heartbeats, once there have been two more of them
    feed                calls the hook `zoo_feeding` and gives its outcome
    plugins             state, cause and distribution of every plugin, as JSON
    until NAME STATE    the same, once that plugin is in that state
"""

import asyncio
import json
import sys

from mtev_kernel import Context, HookResult, Plugin, PluginListing, hookspec


@hookspec
def zoo_feeding(food: str) -> HookResult | None:
    """The animals are fed.

    Args:
        food: what there is.
    """


class Keeper(Plugin):
    """See the module's own text."""

    def __init__(self, context: Context) -> None:
        super().__init__(context)
        context.hooks.declare(sys.modules[__name__])
        self._feeding = context.hooks.site(zoo_feeding)
        self._beats = 0
        self._news = asyncio.Condition()
        self._server: asyncio.Server | None = None

    async def start(self) -> None:
        self._server = await asyncio.start_server(self._answer, "127.0.0.1", 0)
        self.context.log.info("answers on port %d", self._server.sockets[0].getsockname()[1])

    async def run(self) -> None:
        while True:
            async with self._news:
                self._beats += 1
                self._news.notify_all()
            await asyncio.sleep(0.01)

    async def stop(self) -> None:
        if self._server is not None:
            self._server.close()
        self.context.log.info("gone home after %d beats", self._beats)

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        match (await reader.readline()).decode().split():
            case ["beat"]:
                reply = str(await self._two_beats_later())
            case ["feed"]:
                reply = "nobody" if self._feeding.call is None else self._feeding.call("hay").name
            case ["plugins"]:
                reply = json.dumps(self._plugins())
            case ["until", name, state]:
                async with self._news:
                    await self._news.wait_for(lambda: self._plugins()[name][0] == state)
                reply = json.dumps(self._plugins())
            case other:
                reply = f"what is {other!r}?"
        writer.write(reply.encode())
        writer.close()
        await writer.wait_closed()

    async def _two_beats_later(self) -> int:
        enough = self._beats + 2
        async with self._news:
            await self._news.wait_for(lambda: self._beats >= enough)
        return self._beats

    def _plugins(self) -> dict[str, list[str]]:
        records = self.context.services.require(PluginListing).plugins()
        return {each.name: [each.state, each.cause, each.distribution] for each in records}
