"""The console as a protocol of mtev-listener: the suite that every protocol has to pass."""

from __future__ import annotations

import logging

import pytest

from mtev_kernel import HookSite
from mtev_listener.testing import ListenerConformance
from mtev_telnet import Console, hookspecs
from mtev_telnet.desk import Desk, SessionCounter
from mtev_telnet.session import ConsoleSession

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
