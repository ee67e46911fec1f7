"""A plugin as a user would write it: one REST route and one console command."""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable, Iterable, Sequence
from typing import Protocol

from mtev_http import Request, Response, Rest, text_response
from mtev_kernel import ConfigurationError, Context, Plugin, hookimpl
from mtev_listener import Listeners


class Console(Protocol):
    """What this plugin uses of the console; so it works without one being installed."""

    def command(self, words: str, function: Callable[[Sequence[str]], Iterable[str]], *, summary: str) -> object: ...


class DemoPlugin(Plugin):
    """Greets over REST.

    Args:
        context: `config` may hold `greeting` and `path`.
    """

    def __init__(self, context: Context) -> None:
        super().__init__(context)
        self._greeting = context.config.get("greeting", "Hello")
        self._path = context.config.get("path", "hello")
        self._counter = itertools.count(1)
        self._greeted = 0

    def configure(self) -> None:
        if not re.fullmatch(r"[a-z]+", self._path):
            raise ConfigurationError(f"<path>{self._path}</path>: expected lower-case letters", self.context.where)

    def start(self) -> None:
        rest = self.context.services.require(Rest)
        rest.add("GET", "/", rf"^{self._path}(?:/(\w{{1,64}}))?$", self._greet, summary="Greets you")

    def post_init(self) -> None:
        for bound in self.context.services.require(Listeners).bound:
            if bound.type == "mtev_console":
                self.context.log.info("console: telnet %s %s", bound.address, bound.port)
            else:
                self.context.log.info("REST: curl http://%s:%s/%s/you", bound.address, bound.port, self._path)

    @hookimpl(optional=True)
    def mtev_console_commands(self, console: Console) -> None:
        words = "show demo" if self.context.name == "demo" else f"show {self.context.name.partition(':')[0]}"
        console.command(words, self._show, summary=f"How often /{self._path} has greeted somebody")

    async def _greet(self, request: Request) -> Response:
        (name,) = request.captures or ("",)
        self._greeted = next(self._counter)
        return text_response(f"{self._greeting}, {name or 'world'}.\n")

    def _show(self, arguments: Sequence[str]) -> Iterable[str]:
        yield f"greetings: {self._greeted}"
