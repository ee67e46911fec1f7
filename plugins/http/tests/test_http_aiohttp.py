"""The aiohttp engine against the conformance suite, on both event loops."""

import pytest

pytest.register_assert_rewrite("mtev_http.testing")

from mtev_http._aiohttp_engine import AiohttpEngine  # noqa: E402  # rewriting has to be asked for first
from mtev_http.testing import EngineConformance  # noqa: E402  # likewise


class TestAiohttpOnAsyncio(EngineConformance):
    factory = staticmethod(AiohttpEngine)


class TestAiohttpOnUvloop(EngineConformance):
    factory = staticmethod(AiohttpEngine)
    loop_factory = staticmethod(pytest.importorskip("uvloop").new_event_loop)
