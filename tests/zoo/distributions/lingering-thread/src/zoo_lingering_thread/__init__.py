"""Leaves a thread behind that never ends."""

import threading

from mtev_kernel import Plugin


class Animal(Plugin):
    """Starts a thread and forgets it. It is no daemon, so the interpreter waits for it."""

    def start(self) -> None:
        threading.Thread(target=threading.Event().wait, name="zoo-lingerer", daemon=False).start()
