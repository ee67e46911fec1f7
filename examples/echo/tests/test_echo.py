"""The echo has to do what every protocol has to."""

from mtev_echo import Echo

from mtev_listener.testing import ListenerConformance


class TestEcho(ListenerConformance):
    question = answer = b"Is there anybody?\n"
    command = b"Is t"

    def factory(self, connection):
        return Echo(connection)
