"""A running process whose output a test can wait for."""

from __future__ import annotations

import re
import signal
import subprocess
import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

__all__ = ["Daemon"]

_DEADLINE_S = 30.0


class Daemon:
    """A process. Used in a `with`, whose end kills what is left of it.

    Args:
        argv: what to run.
        env: its environment.
        cwd: where.
        pass_fds: descriptors that it inherits.
    """

    def __init__(self, argv: Sequence[str], *, env: Mapping[str, str], cwd: Path, pass_fds: Sequence[int] = ()) -> None:
        self._process = subprocess.Popen(
            argv,
            env=env,
            cwd=cwd,
            pass_fds=pass_fds,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        self._lines: list[str] = []
        self._ended = False
        self._changed = threading.Condition()
        self._reader = threading.Thread(target=self._read, name="output of the daemon")
        self._reader.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._process.kill()
        self._process.wait()
        self._reader.join()
        assert self._process.stdout is not None
        self._process.stdout.close()

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def lines(self) -> list[str]:
        """What it has written so far, both streams together."""
        with self._changed:
            return list(self._lines)

    @property
    def text(self) -> str:
        return "\n".join(self.lines)

    def wait_for(self, pattern: str, *, after: int = 0) -> re.Match[str]:
        """Wait for a line of output that matches.

        Args:
            pattern: a regular expression, searched for in each line.
            after: how many lines from the beginning to leave out.

        Returns:
            The first match.

        Raises:
            AssertionError: the process ended, or the deadline passed, before there was one.
        """
        until = time.monotonic() + _DEADLINE_S
        with self._changed:
            while True:
                for line in self._lines[after:]:
                    if match := re.search(pattern, line):
                        return match
                remaining_s = until - time.monotonic()
                if self._ended or remaining_s <= 0:
                    raise AssertionError(f"no line matches {pattern!r} in:\n" + "\n".join(self._lines))
                self._changed.wait(remaining_s)

    def signal(self, number: signal.Signals) -> None:
        """Send it a signal."""
        self._process.send_signal(number)

    def reload(self) -> None:
        """Have the configuration read twice: before the second reading begins, the first one has taken effect."""
        for _ in range(2):
            seen = len(self.lines)
            self.signal(signal.SIGHUP)
            self.wait_for("configuration read again", after=seen)

    def end(self) -> int:
        """Wait for its end, and for all its output.

        Returns:
            The exit code.

        Raises:
            AssertionError: the deadline passed.
        """
        try:
            code = self._process.wait(_DEADLINE_S)
        except subprocess.TimeoutExpired:
            raise AssertionError("it does not end; it wrote:\n" + self.text) from None
        self._reader.join()
        return code

    def stop(self) -> int:
        """Send SIGTERM and wait for the end; the exit code."""
        self.signal(signal.SIGTERM)
        return self.end()

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            with self._changed:
                self._lines.append(line.rstrip("\n"))
                self._changed.notify_all()
        with self._changed:
            self._ended = True
            self._changed.notify_all()
