"""Never finishes its start, which is plain."""

import threading

from mtev_kernel import Plugin


class Animal(Plugin):
    """Waits on a thread, which nobody can cancel."""

    def start(self) -> None:
        threading.Event().wait()
