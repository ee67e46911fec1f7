"""Raises from the hooks that it attaches to."""

from mtev_kernel import Plugin, hookimpl


class Animal(Plugin):
    """Bites whoever feeds it, and whoever wants to go home."""

    @hookimpl
    def zoo_feeding(self, food: str) -> None:
        raise ValueError(f"{food} again")

    @hookimpl
    def mtev_stopping(self, reason: str) -> None:
        raise ValueError("not before I have eaten")
