"""Raises at start."""

from mtev_kernel import Plugin


class Animal(Plugin):
    """Divides by nothing."""

    def start(self) -> None:
        raise ZeroDivisionError("nobody to share with")
