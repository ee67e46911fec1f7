"""What was verified lately, and who verifies."""

import asyncio
import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mtev_http_auth.errors import Busy
from mtev_http_auth.hasher import Hasher
from mtev_http_auth.verified import Verified

TEXTS = st.text(max_size=10)


@given(st.tuples(TEXTS, TEXTS, TEXTS), st.tuples(TEXTS, TEXTS, TEXTS))
def test_a_key_is_of_one_user_password_and_hash(one, other):
    verified = Verified(10.0)
    try:
        assert (verified.key_of(*one) == verified.key_of(*other)) == (one == other)
    except UnicodeEncodeError:
        return


def test_another_process_has_other_keys():
    assert Verified(1.0).key_of("a", "b", "c") != Verified(1.0).key_of("a", "b", "c")


def test_an_entry_ends_and_using_it_does_not_prolong_it():
    verified = Verified(10.0)
    verified.add(b"k", 100.0)
    assert verified.knows(b"k", 109.0)
    assert not verified.knows(b"k", 110.0)
    assert len(verified) == 0


def test_nothing_is_kept_where_that_is_switched_off():
    verified = Verified(0.0)
    verified.add(b"k", 100.0)
    assert not verified.knows(b"k", 100.0)


@given(st.lists(st.binary(min_size=1, max_size=2)))
def test_there_are_never_more_than_so_many(keys):
    verified = Verified(10.0, entries=5)
    for key in keys:
        verified.add(key, 0.0)
    assert len(verified) <= 5
    assert not keys or verified.knows(keys[-1], 0.0)


class Slow:
    """A hash whose verification lasts as long as the test wants."""

    def __init__(self):
        self.gate, self.asked = threading.Event(), []

    def verify(self, password):
        self.asked.append(password)
        self.gate.wait(30)
        return password == "right"


def test_those_who_ask_the_same_share_an_answer():
    async def main():
        hasher, slow = Hasher(), Slow()
        asking = [asyncio.ensure_future(hasher.verify(b"k", slow, "right")) for _ in range(20)]
        await asyncio.sleep(0)
        assert hasher.under_way(b"k")
        asking[0].cancel()
        await asyncio.gather(asking[0], return_exceptions=True)
        slow.gate.set()
        assert await asyncio.gather(*asking[1:]) == [True] * 19
        assert slow.asked == ["right"]
        assert await hasher.verify(b"k", slow, "wrong") is False
        hasher.close()

    asyncio.run(main())


def test_beyond_so_many_it_is_busy():
    async def main():
        hasher, slow = Hasher(threads=1, waiting=3), Slow()
        asking = [asyncio.ensure_future(hasher.verify(bytes([number]), slow, "right")) for number in range(3)]
        await asyncio.sleep(0)
        with pytest.raises(Busy):
            await hasher.verify(b"more", slow, "right")
        slow.gate.set()
        assert await asyncio.gather(*asking) == [True] * 3
        assert await hasher.verify(b"more", slow, "right")
        hasher.close()

    asyncio.run(main())


def test_a_password_that_fits_is_known_before_it_is_no_longer_under_way():
    seen = []

    class Right:
        def verify(self, password):
            return password == "right"

    async def main():
        hasher = Hasher()
        try:
            fits = await hasher.verify(b"k", Right(), "right", lambda: seen.append(hasher.under_way(b"k")))
            wrong = await hasher.verify(b"w", Right(), "wrong", lambda: seen.append("never"))
            return fits, wrong, hasher.under_way(b"k")
        finally:
            hasher.close()

    assert asyncio.run(main()) == (True, False, False)
    assert seen == [True]
