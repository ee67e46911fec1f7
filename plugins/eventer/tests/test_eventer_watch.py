"""Watches: functions that run when a descriptor is ready."""

from __future__ import annotations

import asyncio
import logging
import os
import socket
import threading

import pytest

from mtev_eventer import Eventer, EventerSettings, LoopStopped, Mask


@pytest.fixture(params=["uvloop", "asyncio"])
def eventer(request):
    eventer = Eventer(EventerSettings(request.param))
    eventer.start()
    yield eventer
    eventer.stop()


@pytest.fixture
def loop(eventer):
    return eventer.default.choose()


@pytest.fixture
def pair():
    ours, theirs = socket.socketpair()
    ours.setblocking(False)
    yield ours, theirs
    ours.close()
    theirs.close()


def on(loop, function, *args):
    async def call():
        return function(*args)

    return asyncio.run(loop.run(call))


def test_it_is_called_on_its_loop_as_long_as_there_is_something(loop, pair):
    ours, theirs = pair
    seen, enough = [], threading.Event()

    def readable(mask):
        seen.append((mask, threading.current_thread().name, ours.recv(1)))
        if len(seen) == 3:
            enough.set()

    watch = loop.watch(ours, readable, name="letters")
    theirs.sendall(b"abc")
    assert enough.wait(10)
    assert seen == [(Mask.READ, loop.name, letter) for letter in (b"a", b"b", b"c")]
    watch.cancel()


def test_it_is_listed_among_the_sockets_with_its_addresses(eventer, loop):
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        watch = loop.watch(server, lambda mask: None, name="guests")
        (info,) = eventer.sockets.entries()
        assert (info.callback, info.fd, info.mask, info.local, info.remote, info.loop) == (
            "guests",
            server.fileno(),
            "read",
            ("127.0.0.1", port),
            None,
            loop.name,
        )
        watch.mask = Mask.READ | Mask.WRITE
        assert info.mask == "read|write"
        on(loop, watch.cancel)
        assert eventer.sockets.entries() == []


def test_the_mask_can_be_changed_and_suspends(loop, pair):
    ours, theirs = pair
    calls = []
    written = threading.Event()

    def ready(mask):
        calls.append(mask)
        if mask == Mask.WRITE:
            watch.mask = Mask.NONE
            written.set()

    watch = loop.watch(ours, ready, name="both", mask=Mask.NONE)
    theirs.sendall(b"x")
    on(loop, str)
    assert calls == [], "it is suspended"
    watch.mask = Mask.WRITE
    assert written.wait(10)
    on(loop, str)
    assert calls == [Mask.WRITE], "it was suspended by itself, and is not called for what can be read"
    watch.cancel()


def test_a_trigger_calls_it_as_if_it_were_ready(loop, pair):
    calls = []
    watch = loop.watch(pair[0], calls.append, name="poked", mask=Mask.NONE)
    watch.trigger(Mask.READ)
    on(loop, str)
    assert calls == [Mask.READ]
    watch.cancel()
    watch.trigger(Mask.READ)
    on(loop, str)
    assert calls == [Mask.READ]


def test_an_async_one_is_not_called_again_before_it_has_ended(loop, pair):
    ours, theirs = pair
    running, most, seen = 0, 0, b""
    enough = threading.Event()

    async def readable(mask):
        nonlocal running, most, seen
        running += 1
        most = max(most, running)
        await asyncio.sleep(0.005)
        seen += ours.recv(1)
        running -= 1
        if len(seen) == 3:
            enough.set()

    watch = loop.watch(ours, readable, name="slow letters")
    theirs.sendall(b"abc")
    assert enough.wait(10)
    assert (most, seen) == (1, b"abc")
    watch.cancel()


def test_one_that_fails_ends_instead_of_spinning(eventer, loop, pair, caplog):
    ours, theirs = pair
    calls = []

    def readable(mask):
        calls.append(mask)
        raise ValueError("cannot read this")

    watch = loop.watch(ours, readable, name="faulty")
    theirs.sendall(b"x")
    while not watch.ended:
        on(loop, str)
    on(loop, str)
    assert calls == [Mask.READ]
    assert eventer.sockets.entries() == []
    assert "faulty on e:default/0 failed: ValueError('cannot read this')" in caplog.text
    assert "has ended, because its function failed" in caplog.text


def test_then_comes_when_nothing_watches_any_more(loop, pair):
    closed = threading.Event()
    watch = loop.watch(pair[0], lambda mask: None, name="to be closed")
    watch.cancel(lambda: (pair[0].close(), closed.set()))
    assert closed.wait(10)
    assert watch.ended
    again = threading.Event()
    watch.cancel(again.set)
    assert again.wait(10), "harmless to repeat"


def test_a_descriptor_has_one_watch(loop, pair):
    first = loop.watch(pair[0], lambda mask: None, name="first")
    with pytest.raises(ValueError, match=r"watch 'second': descriptor \d+ is watched already, by 'first'"):
        loop.watch(pair[0], lambda mask: None, name="second")
    on(loop, first.cancel)
    on(loop, loop.watch(pair[0], lambda mask: None, name="second").cancel)


def test_what_cannot_be_watched_is_refused(loop, tmp_path):
    with (tmp_path / "file").open("w") as file, pytest.raises(ValueError, match="always ready; use a job queue"):
        loop.watch(file, lambda mask: None, name="file")
    readable, writable = os.pipe()
    os.close(readable)
    os.close(writable)
    with pytest.raises(ValueError, match="Bad file descriptor"):
        loop.watch(readable, lambda mask: None, name="closed")


def test_what_a_transport_serves_is_refused_by_the_loop(loop, pair, caplog):
    transport = asyncio.run(loop.run(connect, loop, pair[0]))
    watch = loop.watch(pair[0], lambda mask: None, name="second master")
    on(loop, str)
    assert watch.ended
    assert "the watch 'second master' cannot watch descriptor" in caplog.text
    on(loop, transport.abort)


async def connect(loop, ours):
    transport, _ = await loop.asyncio_loop.connect_accepted_socket(asyncio.Protocol, ours)
    return transport


def test_the_end_of_the_loop_ends_it_and_leaves_the_descriptor_open(eventer, loop, pair):
    watch = loop.watch(pair[0], lambda mask: None, name="left")
    eventer.stop()
    assert watch.ended
    assert eventer.sockets.entries() == []
    assert pair[0].fileno() >= 0
    with pytest.raises(LoopStopped):
        loop.watch(pair[0], lambda mask: None, name="too late")
    at_once = []
    watch.cancel(lambda: at_once.append(True))
    assert at_once == [True]


def test_it_is_measured_under_its_name(eventer, loop, pair, caplog):
    caplog.set_level(logging.DEBUG)
    ours, theirs = pair
    done = threading.Event()
    watch = loop.watch(ours, lambda mask: done.set() if ours.recv(9) else None, name="timed watch")
    theirs.sendall(b"x")
    assert done.wait(10)
    on(loop, watch.cancel)
    assert {each.name: each.latency.count for each in eventer.callbacks()}["timed watch"] == 1
