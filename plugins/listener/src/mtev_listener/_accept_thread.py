"""A thread that accepts, for listeners whose accepting must not wait for a busy loop (libmtev: `accept_thread`)."""

from __future__ import annotations

import os
import select
import socket
import threading
from collections.abc import Callable

__all__ = ["AcceptThread"]


class AcceptThread:
    """Waits for connections on a thread of its own.

    Args:
        name: of the thread.
        listening: the socket to watch.
        accept: called when connections wait; returns for how many seconds not to look again.
        ended: called on the thread as the last thing, when it has stopped looking at the socket.
    """

    def __init__(
        self, name: str, listening: socket.socket, accept: Callable[[], float], ended: Callable[[], None]
    ) -> None:
        self._ended = ended
        self._listening = listening
        self._accept = accept
        self._wake, self._woken = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
        self._thread = threading.Thread(target=self._main, name=name, daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def stop(self) -> None:
        """Have it end soon. Does not block; thread-safe; to be called once."""
        os.write(self._woken, b".")

    def _main(self) -> None:
        poll = select.poll()
        poll.register(self._wake, select.POLLIN)
        poll.register(self._listening, select.POLLIN)
        pause_s = 0.0
        try:
            while True:
                if pause_s:
                    poll.unregister(self._listening)
                    ready = poll.poll(pause_s * 1000)
                    poll.register(self._listening, select.POLLIN)
                else:
                    ready = poll.poll()
                if any(descriptor == self._wake for descriptor, _ in ready):
                    return
                pause_s = self._accept()
        finally:
            self._ended()
            os.close(self._wake)
            os.close(self._woken)
