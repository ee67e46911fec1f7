"""The way into a loop: nothing is lost, whatever threads do, and however the loop ends."""

from __future__ import annotations

import asyncio
import threading

import pytest
import uvloop

from mtev_eventer._inbox import Inbox

THREADS, ITEMS = 6, 400


@pytest.fixture(params=[asyncio.SelectorEventLoop, uvloop.new_event_loop], ids=["asyncio", "uvloop"])
def running(request):
    """A loop on a thread, and a way to end it and wait for that."""
    loop = request.param()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()

    def end():
        loop.call_soon_threadsafe(loop.stop)
        thread.join()

    yield loop, end
    if thread.is_alive():
        end()
    loop.close()


def posting(inbox, ran, abandoned, refused, begin):
    """Threads that post, and remember what was refused."""

    def post(number):
        begin.wait()
        for item in range(ITEMS):
            what = (number, item)
            if not inbox.post(ran.append, what, abandon=lambda what=what: abandoned.append(what)):
                refused.append(what)

    threads = [threading.Thread(target=post, args=(number,)) for number in range(THREADS)]
    for thread in threads:
        thread.start()
    return threads


EVERYTHING = {(number, item) for number in range(THREADS) for item in range(ITEMS)}


def test_what_many_threads_post_runs_once_and_in_the_order_of_each(running):
    loop, _ = running
    inbox, begin = Inbox(loop), threading.Event()
    ran, abandoned, refused, done = [], [], [], threading.Event()
    threads = posting(inbox, ran, abandoned, refused, begin)
    begin.set()
    for thread in threads:
        thread.join()
    assert inbox.post(done.set)
    assert done.wait(10)
    assert (abandoned, refused) == ([], [])
    assert len(ran) == len(EVERYTHING)
    for number in range(THREADS):
        assert [item for owner, item in ran if owner == number] == list(range(ITEMS))


@pytest.mark.parametrize("_", range(10))
def test_what_does_not_run_any_more_is_given_back_or_refused(running, _):
    loop, end = running
    inbox, begin, some = Inbox(loop), threading.Event(), threading.Event()
    ran, abandoned, refused = [], [], []
    threads = posting(inbox, ran, abandoned, refused, begin)
    inbox.post(some.set)
    begin.set()
    assert some.wait(10)
    end()
    for abandon in inbox.close():
        abandon()
    for thread in threads:
        thread.join()
    loop.close()
    assert not inbox.post(ran.append, "late")
    for abandon in inbox.close():  # nothing can be left, for whoever came too late took it back
        abandon()
    everything = [*ran, *abandoned, *refused]
    assert len(everything) == len(EVERYTHING)
    assert set(everything) == EVERYTHING


def test_a_loop_that_its_owner_closes_refuses_and_gives_back_what_waited():
    loop = asyncio.SelectorEventLoop()
    inbox, abandoned = Inbox(loop), []
    assert inbox.post(print, "never", abandon=lambda: abandoned.append("first"))
    loop.close()
    inbox._awake = False  # as if the loop had fallen asleep before it was closed
    assert not inbox.post(print, "never", abandon=lambda: abandoned.append("second"))
    assert abandoned == ["first"]
    assert not inbox.post(print, "never")


def test_what_waits_behind_an_escape_runs_all_the_same(running):
    loop, end = running
    inbox, done = Inbox(loop), threading.Event()
    loop.set_exception_handler(lambda loop, context: None)

    def fails():
        raise ValueError("it should have contained this")

    held, go_on = threading.Event(), threading.Event()
    inbox.post(lambda: held.set() or go_on.wait(10))
    assert held.wait(10)
    inbox.post(fails)
    inbox.post(done.set)
    go_on.set()
    assert done.wait(10)
    end()


def test_a_flood_leaves_the_loop_its_turns(running):
    loop, _ = running
    inbox, turns, done = Inbox(loop), [], threading.Event()
    held, go_on = threading.Event(), threading.Event()
    inbox.post(lambda: held.set() or go_on.wait(10))
    assert held.wait(10)
    for number in range(2000):
        inbox.post(turns.append, number)
    loop.call_soon_threadsafe(turns.append, "somebody else")
    inbox.post(done.set)
    go_on.set()
    assert done.wait(10)
    assert turns.index("somebody else") < 1000
    assert [turn for turn in turns if turn != "somebody else"] == list(range(2000))


def test_no_loop_is_kept_alive():
    loop = asyncio.SelectorEventLoop()
    inbox = Inbox(loop)
    loop.close()
    del loop
    assert not inbox.post(print, "never")
