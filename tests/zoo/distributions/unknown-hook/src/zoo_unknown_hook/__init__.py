"""Attaches to a hook that nobody declares."""

from mtev_kernel import Plugin, hookimpl


class Animal(Plugin):
    """Misspells `mtev_stopping`."""

    @hookimpl
    def mtev_stoping(self, reason: str) -> None:
        raise AssertionError("never called")
