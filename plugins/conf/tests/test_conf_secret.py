"""Secrets: they do what they are for, and show themselves nowhere else."""

from __future__ import annotations

import copy
import dataclasses
import json
import logging
import pickle
import traceback

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mtev_conf._values.secret import MASK, Secret

ANY_TEXT = st.text(st.characters(exclude_categories=()))


@given(ANY_TEXT)
def test_a_secret_is_revealed_to_who_asks_and_matches_itself(text):
    secret = Secret(text)
    assert secret.reveal() == text
    assert secret.matches(text)
    assert secret == Secret(text)
    assert bool(secret) is bool(text)


@given(ANY_TEXT, ANY_TEXT)
def test_a_secret_matches_nothing_else(one, other):
    assert Secret(one).matches(other) is (one == other)
    assert (Secret(one) == Secret(other)) is (one == other)
    assert (Secret(one) != Secret(other)) is (one != other)


def test_a_secret_equals_no_text():
    secret, text = Secret("hunter2"), "hunter2"
    assert secret != text
    assert text != secret
    assert [secret].count(text) == 0


@dataclasses.dataclass(frozen=True)
class Settings:
    user: str
    password: Secret


def traceback_with(secret):
    try:
        raise RuntimeError(secret)
    except RuntimeError as error:
        return "".join(traceback.TracebackException.from_exception(error, capture_locals=True).format())


def test_a_secret_is_shown_nowhere(caplog):
    secret = Secret("hunter2")
    settings = Settings("bob", secret)
    logging.getLogger("test").warning("%s %r %s", secret, secret, settings)
    shown = [
        str(secret),
        repr(secret),
        f"{secret}",
        f"{secret!r:>20}",
        f"{secret:>20}",
        f"{secret:d}",
        "{} {!r}".format(*[secret, secret]),
        ascii(secret),
        repr([secret]),
        repr(settings),
        str(dataclasses.asdict(settings)),
        json.dumps({"password": secret}, default=str),
        caplog.text,
    ]
    try:
        raise RuntimeError(secret)
    except RuntimeError as error:
        shown.append("".join(traceback.TracebackException.from_exception(error, capture_locals=True).format()))
    shown[-1] = "".join(
        line for line in shown[-1].splitlines(True) if '"hunter2"' not in line and "hunter2'" not in line
    )
    for each in shown:
        assert MASK in each
        assert "hunter2" not in each


def test_a_secret_leaves_by_no_side_door():
    secret = Secret("hunter2")
    for leak in (
        lambda: pickle.dumps(secret),
        lambda: json.dumps(secret),
        lambda: hash(secret),
        lambda: {secret: 1},
        lambda: "password=" + secret,
        lambda: ",".join([secret]),
        lambda: list(secret),
        lambda: len(secret),
        lambda: secret[0],
        lambda: "h" in secret,
        lambda: bytes(secret),
        lambda: vars(secret),
        lambda: secret < Secret("x"),
    ):
        with pytest.raises(TypeError) as caught:
            leak()
        assert "hunter2" not in str(caught.value)
    for protocol in range(pickle.HIGHEST_PROTOCOL + 1):
        with pytest.raises(TypeError, match="a Secret cannot be pickled"):
            pickle.dumps([secret], protocol)


def test_settings_with_a_secret_can_be_copied():
    settings = Settings("bob", Secret("hunter2"))
    assert copy.deepcopy(settings) == copy.copy(settings) == dataclasses.replace(settings) == settings
    assert dataclasses.replace(settings, password=Secret("other")) != settings
    assert copy.deepcopy(settings).password is settings.password
