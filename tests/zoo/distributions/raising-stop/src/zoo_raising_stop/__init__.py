"""Raises at stop."""

from mtev_kernel import Plugin


class Animal(Plugin):
    """Cannot let go."""

    def stop(self) -> None:
        raise OSError("cannot let go")
