"""Who a request is from, with clocks and hashes of the test's own."""

import asyncio
import base64
import logging
import threading
from dataclasses import replace

import pytest

from mtev_http import Request
from mtev_http_auth.accounts import Accounts
from mtev_http_auth.authenticator import Authenticator
from mtev_http_auth.challenges import NOTE
from mtev_http_auth.hasher import Hasher
from mtev_http_auth.settings import Settings
from mtev_http_auth.tokens import Token, Tokens, digest_of


class Link:
    """A connection from this machine."""

    def __init__(self, peer=("127.0.0.1", 4711)):
        self.peer, self.local, self.config, self.remote_cn, self.tls = peer, None, {}, "", None


class Plain:
    """A hash that is none, and counts."""

    scheme, cost = "plain", ("plain",)

    def __init__(self, password, asked):
        self.password, self.asked = password, asked

    def verify(self, password):
        self.asked.append(password)
        return password == self.password

    def decoy(self):
        return Plain(None, self.asked)

    def __str__(self):
        return f"{self.password}"


class World:
    """An authenticator, its clocks, and what was verified."""

    def __init__(self, **settings):
        self.asked, self.time = [], 1000.0
        self.hasher = Hasher(waiting=settings.pop("waiting", 64))
        self.authenticator = Authenticator(
            logging.getLogger("world"), self.hasher, clock=lambda: self.time, now=lambda: self.time
        )
        self.settings = replace(
            Settings(users=[(("ann", Plain("a", self.asked)), "")], tokens=[(Token("ci", b""), "")]), **settings
        )
        self.use({"ann": "secret"})

    def use(self, users):
        known = {name: Plain(password, self.asked) for name, password in users.items()}
        tokens = Tokens([Token("ci", digest_of("token"), expires_s=2000.0)])
        self.authenticator.use(self.settings, Accounts(known, tokens, (), Plain(None, self.asked)))

    async def ask(self, authorization, peer=("127.0.0.1", 4711)):
        request = Request("GET", "/", "1.1", [(b"AUTHORIZATION", authorization.encode())], Link(peer))
        await self.authenticator.authenticate(request, self.authenticator.check)
        return request

    def answers(self, *shown):
        """The user of a request for each, one after the other."""

        async def main():
            return [(await self.ask(each)).user for each in shown]

        return asyncio.run(main())


def basic(user, password):
    return "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()


RIGHT, WRONG = basic("ann", "secret"), basic("ann", "wrong")


def test_a_right_password_is_verified_once_in_a_while():
    world = World(cache_ttl_s=60.0)
    assert world.answers(RIGHT, RIGHT, RIGHT) == ["ann"] * 3
    assert world.asked == ["secret"]
    world.time += 60
    assert world.answers(RIGHT) == ["ann"]
    assert world.asked == ["secret"] * 2


def test_a_wrong_one_is_verified_each_time():
    world = World()
    assert world.answers(WRONG, WRONG) == ["", ""]
    assert world.asked == ["wrong"] * 2


def test_what_was_verified_is_forgotten_when_accounts_change():
    world = World()
    assert world.answers(RIGHT) == ["ann"]
    world.use({"ann": "other"})
    assert world.answers(RIGHT) == [""]
    world.use({})
    assert world.answers(RIGHT) == [""]


def test_somebody_who_is_not_known_costs_as_much():
    world = World()
    assert world.answers(basic("eve", "secret")) == [""]
    assert world.asked == ["secret"]


def test_the_password_of_a_decoy_opens_nothing():
    world = World()
    assert world.answers(basic("None", "None"), basic("eve", "None")) == ["", ""]


def test_a_token_ends():
    world = World()
    assert world.answers("Bearer token") == ["ci"]
    world.time = 2000.0
    assert world.answers("Bearer token") == [""]


def test_attempts_come_back_with_time():
    world = World(attempts=2, attempt_period_s=10.0)
    other = basic("ann", "else")
    assert world.answers(WRONG, WRONG, RIGHT) == ["", "", ""]
    assert world.asked == ["wrong", "wrong"]
    world.time += 10
    assert world.answers(RIGHT, other, RIGHT) == ["ann", "", "ann"]  # being right gave the attempt back


@pytest.mark.parametrize(
    ("peer", "user"),
    [(("192.0.2.1", 1), ""), (("::ffff:127.0.0.1", 1), "ann"), (("::1", 1), "ann"), ("/run/x", "ann"), (None, "ann")],
)
def test_what_counts_as_this_machine(peer, user):
    assert asyncio.run(World().ask(RIGHT, peer)).user == user
    assert asyncio.run(World(plaintext=True).ask(RIGHT, peer)).user == "ann"


def test_when_too_many_wait_the_answer_is_503():
    world = World(waiting=1)
    entered, gate = threading.Event(), threading.Event()

    class Slow(Plain):
        def verify(self, password):
            entered.set()
            gate.wait(30)
            return super().verify(password)

    slow = Slow("secret", world.asked)
    world.authenticator.use(world.settings, Accounts({"ann": slow}, Tokens(), (), slow.decoy()))

    async def main():
        first = asyncio.ensure_future(world.ask(RIGHT))
        await asyncio.to_thread(entered.wait, 30)
        second = await world.ask(WRONG)
        gate.set()
        return await first, second

    first, second = asyncio.run(main())
    assert first.user == "ann"
    assert second.notes[NOTE].status == 503
    answer = world.authenticator.denied(second)
    assert (answer.status, answer.headers["Retry-After"]) == (503, "2")


@pytest.mark.parametrize("password", ["", "x" * 1025, "a\nb", "\udc80"])
def test_a_password_that_cannot_be_one_is_not_even_hashed(password):
    world = World()
    request = Request("GET", "/", "1.1", [], Link())
    assert asyncio.run(world.authenticator.check(request, "ann", password)) is None
    assert world.asked == []
