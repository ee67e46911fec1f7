"""The console as a protocol of mtev-listener: the suite that every protocol has to pass."""

from __future__ import annotations

import logging

import pytest

pytest.register_assert_rewrite("mtev_listener.testing")

from mtev_kernel import HookSite  # noqa: E402  # rewriting has to be asked for first
from mtev_listener.testing import ListenerConformance  # noqa: E402  # likewise
from mtev_telnet import Console, hookspecs  # noqa: E402  # likewise
from mtev_telnet.desk import Desk, SessionCounter  # noqa: E402  # likewise
from mtev_telnet.session import ConsoleSession  # noqa: E402  # likewise

LOG = logging.getLogger("test.session")


class TestListener(ListenerConformance):
    hello = b"mtev: (no auth)\napp# "
    hello_over_tls = b"mtev(secure): (no auth)\napp# "
    question = b"show words\n"
    answer = b"words " * 1000 + b"\napp# "

    @pytest.fixture(autouse=True)
    def desk(self):
        console = Console(lambda function: "plugin 'test'")
        console.command("show words", lambda words: ["words " * 1000], summary="many words")
        site = HookSite(hookspecs.mtev_console_dispatch.__name__)
        self._desk = Desk(console.root, "app# ", site, SessionCounter(), LOG)

    def factory(self, connection):
        return ConsoleSession(connection, self._desk)
