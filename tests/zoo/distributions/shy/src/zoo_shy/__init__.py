"""Comes up at the second attempt."""

from mtev_kernel import Context, Plugin, RetriableError


class Animal(Plugin):
    """Wants to be asked twice."""

    def __init__(self, context: Context) -> None:
        super().__init__(context)
        self._asked = 0

    def start(self) -> None:
        self._asked += 1
        if self._asked == 1:
            raise RetriableError("somebody is looking")
