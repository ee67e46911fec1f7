"""Waiting for lines, without a service."""

from __future__ import annotations

import asyncio
import gc
import threading

import pytest

from mtev_log import BackendSettings
from mtev_log.testing import line
from mtev_log_memory import MemoryBackend
from mtev_log_memory._waiting import Bell, Waiting


@pytest.fixture
def backend():
    return MemoryBackend(BackendSettings("m", path="50"))


def test_every_line_is_seen_by_whoever_follows(backend):
    """However lines and questions fall together, nobody sleeps through a line."""

    async def follow(total):
        seen = []
        while len(seen) < total:
            found = await backend.next_lines(seen[-1] if seen else None, wait_s=30)
            assert found, "nothing came"
            seen += [entry.idx for entry in found]
        return seen

    async def scenario():
        followers = [asyncio.create_task(follow(40)) for _ in range(8)]
        writer = threading.Thread(target=lambda: [backend.write([line("x")]) for _ in range(40)])
        writer.start()
        seen = await asyncio.gather(*followers)
        writer.join()
        return seen

    assert asyncio.run(scenario()) == [list(range(40))] * 8


def test_on_several_loops_at_once(backend):
    found = {}

    def follow(name):
        found[name] = asyncio.run(backend.next_lines(wait_s=30))

    threads = [threading.Thread(target=follow, args=(name,)) for name in range(3)]
    for thread in threads:
        thread.start()
    backend.write([line("x")])
    for thread in threads:
        thread.join(30)
    assert [[entry.idx for entry in each] for each in found.values()] == [[0]] * 3


def test_a_line_that_is_dropped_wakes_nobody_for_good(until_armed):
    backend = MemoryBackend(BackendSettings("m", path=",60"))

    async def scenario():
        waiting = asyncio.create_task(backend.next_lines(wait_s=30))
        await until_armed(backend)
        backend.write([line("x" * 100)])
        await until_armed(backend)
        backend.write([line("short")])
        return await waiting

    assert [entry.idx for entry in asyncio.run(scenario())] == [0]
    assert backend.dropped == 1


def test_a_closed_log_is_not_waited_for_until_it_is_opened_again(backend, until_armed):
    backend.close()
    assert asyncio.run(backend.next_lines(wait_s=30)) == []
    backend.open()

    async def scenario():
        waiting = asyncio.create_task(backend.next_lines(wait_s=30))
        await until_armed(backend)
        backend.close()
        return await waiting

    assert asyncio.run(scenario()) == []


def test_whoever_is_gone_leaves_nothing(backend, until_armed):
    async def scenario():
        waiting = [asyncio.create_task(backend.next_lines(wait_s=30)) for _ in range(3)]
        await until_armed(backend, 3)
        for each in waiting:
            each.cancel()
        return await asyncio.gather(*waiting, return_exceptions=True)

    assert all(isinstance(each, asyncio.CancelledError) for each in asyncio.run(scenario()))
    assert not backend._waiting.armed
    gc.collect()
    assert not [each for each in gc.get_objects() if isinstance(each, Bell)]


def test_a_bell_of_a_closed_loop_is_silent():
    waiting = Waiting(1)

    async def scenario():
        with waiting.place() as bell, waiting.place() as second:
            assert second is None
            return bell

    bell = asyncio.run(scenario())
    waiting.arm(bell)
    waiting.ring()
    assert waiting.free == 1
