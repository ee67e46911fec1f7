"""The echo has to do what every protocol has to."""

import pytest

pytest.register_assert_rewrite("mtev_listener.testing")

from mtev_echo import Echo  # noqa: E402  # rewriting has to be asked for first

from mtev_listener.testing import ListenerConformance  # noqa: E402  # likewise


class TestEcho(ListenerConformance):
    question = answer = b"Is there anybody?\n"
    command = b"Is t"

    def factory(self, connection):
        return Echo(connection)
