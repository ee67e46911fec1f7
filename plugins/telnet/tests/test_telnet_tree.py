"""Which command a word means, and what may be registered where."""

from __future__ import annotations

import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mtev_telnet import CommandExists, ConsoleError
from mtev_telnet.tree import Command, State

NAMES = st.sampled_from(["exit", "exec", "ex", "e", "Show", "shutdown", "sh", "log", "LOGIN", "", "?"])


def leaf(name, owner="somebody"):
    return Command(name, lambda shell, words: [], owner=owner)


def naive(names, word):
    """What the rules say, without a tree."""
    lowered = {name.lower(): name for name in names}
    if word.lower() in lowered:
        return lowered[word.lower()], []
    begin = sorted((name for name in names if name.lower().startswith(word.lower())), key=str.lower)
    if len(begin) > 1:
        return None, begin
    if len(begin) == 1 and begin[0].lower() != "exit":
        return begin[0], []
    return None, []


@given(st.sets(NAMES), NAMES | st.text(alphabet="eExXiItshSo?", max_size=4))
def test_a_word_means_what_the_rules_say(names, word):
    state = State()
    for name in names:
        state.add((), leaf(name))
    found = state.match(word)
    assert (found.command and found.command.name, [each.name for each in found.candidates]) == naive(names, word)


def test_levels_on_the_way_are_made_and_go_with_their_last_command():
    root = State()
    one, two = leaf("sockets"), leaf("timers")
    root.add(("show", "eventer"), one)
    root.add(("SHOW", "Eventer"), two)
    root.remove(("show", "eventer"), one)
    assert root.match("show").command.state.match("eventer").command.state.match("t").command is two
    root.remove(("show", "eventer"), two)
    root.remove(("show", "eventer"), two)
    assert root.find("show") is None


def test_a_name_that_is_taken_names_both_owners():
    root = State()
    root.add(("show",), leaf("version", owner="plugin 'a' (acme 1)"))
    with pytest.raises(CommandExists, match=r"plugin 'b' \(b 2\).*'show VERSION'.*plugin 'a' \(acme 1\)"):
        root.add(("show",), leaf("VERSION", owner="plugin 'b' (b 2)"))
    with pytest.raises(CommandExists, match=r"'show'.*plugin 'a'"):
        root.add((), leaf("show", owner="plugin 'b'"))


def test_nothing_can_be_put_below_a_plain_command():
    root = State()
    root.add((), leaf("log", owner="plugin 'a'"))
    with pytest.raises(ConsoleError, match=r"'log to disk'.*plugin 'a' registered 'log' as a command without"):
        root.add(("log", "to"), leaf("disk", owner="plugin 'b'"))
    assert [each.name for each in root] == ["log"]


def test_removing_a_command_leaves_another_of_that_name_alone():
    root = State()
    old, new = leaf("x"), leaf("x")
    root.add((), old)
    root.remove((), old)
    root.add((), new)
    root.remove((), old)
    assert root.find("x") is new


def test_commands_come_and_go_while_others_read():
    root = State()
    stop = threading.Event()
    failures = []

    def read():
        while not stop.is_set():
            try:
                [each.name for each in root]
                root.match("c")
            except Exception as error:
                failures.append(error)

    reader = threading.Thread(target=read)
    reader.start()
    for round_ in range(500):
        command = leaf(f"c{round_ % 7}")
        root.add(("below",), command)
        root.remove(("below",), command)
    stop.set()
    reader.join()
    assert not failures
