"""What the tests of the memory log share."""

from __future__ import annotations

import asyncio

import pytest


@pytest.fixture
def until_armed():
    """A function to await until so many wait for lines of a log."""

    async def wait(backend, count=1):
        async with asyncio.timeout(30):
            while len(backend._waiting.armed) != count:  # noqa: ASYNC110  # no event tells that somebody begins to wait
                await asyncio.sleep(0.001)

    return wait
