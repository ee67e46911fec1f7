"""Publishes a service that lacks what it promises."""

from typing import Protocol

from mtev_kernel import Plugin


class Runner(Protocol):
    """What it promises."""

    def run_away(self) -> None: ...


class Animal(Plugin):
    """Cannot run."""

    def configure(self) -> None:
        self.context.services.publish(Runner, object())
