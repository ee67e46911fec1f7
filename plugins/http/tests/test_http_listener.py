"""HTTP as a protocol of mtev-listener: the suite that every protocol has to pass."""

from __future__ import annotations

import logging

import pytest

from mtev_http import text_response
from mtev_http._aiohttp_engine import AiohttpEngine
from mtev_http._engines import EngineHost
from mtev_listener.testing import ListenerConformance

LOG = logging.getLogger("test.http")


class Hello:
    """Answers whatever it is asked."""

    async def respond(self, request):
        return text_response("hello" * 1000)

    def completed(self, request, response, sent_bytes):
        pass


class TestListener(ListenerConformance):
    question = b"GET /hello HTTP/1.1\r\nHost: localhost\r\n\r\n"
    answer = b"HTTP/1.1 200 OK\r\n"
    command = b"GET "
    garbage = (
        b"GET / HTTP/9.9\r\n\r\n",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b"GET / HTTP/1.1\r\nContent-Length: -1\r\n\r\n",
    )

    @pytest.fixture(autouse=True)
    def engines(self):
        self._protocol = EngineHost(Hello(), LOG).serve(AiohttpEngine)

    def factory(self, connection):
        return self._protocol(connection)
