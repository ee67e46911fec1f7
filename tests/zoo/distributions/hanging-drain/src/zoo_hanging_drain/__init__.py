"""Never finishes draining."""

import threading

from mtev_kernel import Plugin


class Animal(Plugin):
    """Has a client that never hangs up."""

    def drain(self) -> None:
        threading.Event().wait()
