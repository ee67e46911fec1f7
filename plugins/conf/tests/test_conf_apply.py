"""What it takes for a change to come into force, and what waits for it."""

from __future__ import annotations

import pytest

from mtev_conf._apply import Pending, Policies, Rule, chain_of, settle
from mtev_conf._editing.changes import Change

RULES = [
    Rule("log", "logs", "live"),
    Rule("log.file", "logs//*[@type='file']", "live"),
    Rule("http", "rest", "restart-process"),
    Rule("http", "rest/*", "live"),
    Rule("http", "rest//rule/@slow", "restart-plugin"),
    Rule("listener", "listeners", stated=False),
    Rule("listener", "listeners//@idle_timeout", "live"),
    Rule("shop", "shop//price", "restart-plugin"),
    Rule("till", "shop//price", "restart-process"),
    Rule("two", "two", "live"),
    Rule("two", "two", "restart-plugin"),
]


def change(path: str, kind: str = "set", old: str | None = "1", new: str | None = "2") -> Change:
    return Change(kind, path, old, new)


@pytest.mark.parametrize(
    ("path", "plugin", "policy"),
    [
        ("/app/logs[1]/@debug", "log", "live"),
        ("/app/logs[1]/log[2]/@name", "log.file", "live"),
        ("/app/rest[1]/@engine", "http", "restart-process"),
        ("/app/rest[1]/acl[1]/rule[3]/@ip", "http", "live"),
        ("/app/rest[1]/acl[1]/rule[3]/@slow", "http", "restart-plugin"),
        ("/app/include[1]/include[2]/rest[1]/acl[1]", "http", "live"),
        ("/app/listeners[1]/listener[1]/@port", "listener", "restart-process"),
        ("/app/listeners[1]/listener[1]/@idle_timeout", "listener", "live"),
        ("/app/listeners[1]/@idle_timeout", "listener", "live"),
        ("/app/shop[1]/item[1]/price[1]", "till", "restart-process"),
        ("/app/two[1]", "two", "restart-plugin"),
        ("/app/ours[1]/@x", "", "live"),
        ("/app/@address", "", "restart-process"),
        ("/app/config[1]/port[1]", "", "restart-process"),
    ],
)
def test_the_nearest_pattern_decides(path, plugin, policy):
    assert Policies(RULES).of(change(path)) == (plugin, policy)


def test_includes_do_not_count():
    assert chain_of(change("/app/include[2]/logs[1]/include[1]/log[3]/@a")) == ["logs", "log", "@a"]


def pending(*changes: Change, before: dict[str, Pending] | None = None, generation: int = 1) -> dict[str, Pending]:
    return settle(before or {}, [Pending(each, "p", "restart-process", generation) for each in changes])


def test_a_value_that_is_what_it_was_is_no_longer_pending():
    first = pending(change("/a/b[1]/@c", old="1", new="2"))
    second = pending(change("/a/b[1]/@c", old="2", new="3"), before=first, generation=2)
    (one,) = second.values()
    assert (one.change.old, one.change.new, one.generation) == ("1", "3", 1)
    assert pending(change("/a/b[1]/@c", old="3", new="1"), before=second) == {}


def test_what_was_added_and_removed_again_is_not_pending():
    added = pending(change("/a/b[1]", "add", None, "<b/>"))
    assert pending(change("/a/b[1]", "remove", "<b/>", None), before=added) == {}
    removed = pending(change("/a/b[1]", "remove", "<b/>", None))
    assert pending(change("/a/b[1]", "add", None, "<b/>"), before=removed) == {}
    assert len(pending(change("/a/b[1]", "add", None, "<b x='1'/>"), before=removed)) == 2
