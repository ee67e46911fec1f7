"""The aiohttp engine against the conformance suite, on both event loops."""

import pytest

from mtev_http._aiohttp_engine import AiohttpEngine
from mtev_http.testing import EngineConformance


class TestAiohttpOnAsyncio(EngineConformance):
    factory = staticmethod(AiohttpEngine)


class TestAiohttpOnUvloop(EngineConformance):
    factory = staticmethod(AiohttpEngine)
    loop_factory = staticmethod(pytest.importorskip("uvloop").new_event_loop)
