"""What it takes for a change to come into force: at once, with a restart of its plugin, or of the process. Pure.

1. Manifests say so under `[apply]`: `"rest//acl" = "live"`. A pattern is names below the root, `*` for any name, `//`
   for any number of elements between, and may end with `@name` or `@*`. It speaks for what it names and all inside it.
   Conditions in brackets, as claims have them, do not count.
2. The pattern that names the nearest (the longest part of the changed element's path) decides; of equally near ones in
   one manifest the later, of those of several plugins the strictest. Owning a stanza states nothing: see 3.
3. What a plugin's stanza holds and its patterns do not mention takes a restart of the process.
4. What everybody inherits (attributes of the root, a `<config>` directly below it) takes a restart of the process.
5. What no plugin owns is the application's: whoever reads it hears of the change, and nothing waits for a restart.
6. Includes do not count: what stands behind one is where it would be without.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, cast

from ._editing.changes import Change

__all__ = ["Pending", "Policies", "Policy", "Rule", "chain_of", "settle"]

Policy = Literal["live", "restart-plugin", "restart-process"]

_STRICTNESS: Sequence[Policy] = ("live", "restart-plugin", "restart-process")
_CONDITIONS = re.compile(r"\[[^\]]*\]")
_INDEX = re.compile(r"\[\d+\]$")


@dataclass(frozen=True, slots=True)
class Rule:
    """An entry of a manifest's `[apply]`, or a stanza that the plugin owns.

    Args:
        plugin: whose.
        pattern: see the module's rules.
        policy: what a change of it takes.
        stated: whether the manifest says so, rather than only owning the stanza.
    """

    plugin: str
    pattern: str
    policy: Policy = "restart-process"
    stated: bool = True


@dataclass(frozen=True, slots=True)
class Pending:
    """A change that is in the document, but not in force before a restart.

    Args:
        change: what changed; its `old` is what is still in force.
        plugin: who has to be restarted, or `""` for the process.
        policy: `restart-plugin` or `restart-process`.
        generation: since when.
    """

    change: Change
    plugin: str
    policy: Policy
    generation: int


class Policies:
    """The rules of all enabled plugins.

    Args:
        rules: in any order.
    """

    def __init__(self, rules: Iterable[Rule] = ()) -> None:
        self._rules: Sequence[tuple[Rule, re.Pattern[str]]] = [(each, _compiled(each.pattern)) for each in rules]

    def of(self, change: Change) -> tuple[str, Policy]:
        """Which plugin a change concerns (`""` for nobody in particular), and what it takes."""
        chain = chain_of(change)
        if (len(chain) == 1 and chain[0].startswith("@")) or chain[:1] == ["config"]:
            return "", "restart-process"
        nearest, found = 0, dict[tuple[bool, str], Rule]()
        for rule, pattern in self._rules:
            reach = next((end for end in range(len(chain), 0, -1) if pattern.fullmatch("/".join(chain[:end]))), 0)
            if reach > nearest:
                nearest, found = reach, {}
            if reach and reach == nearest:
                found[rule.stated, rule.plugin] = rule
        if not found:
            return "", "live"
        decisive = [rule for (stated, _), rule in found.items() if stated] or list(found.values())
        rule = max(decisive, key=lambda each: _STRICTNESS.index(each.policy))
        return rule.plugin, rule.policy


def chain_of(change: Change) -> list[str]:
    """The names from below the root to what a change is about, includes left out."""
    steps = [_INDEX.sub("", step) for step in change.path.split("/")[2:]]
    return [step for step in steps if step != "include"]


def settle(pending: Mapping[str, Pending], new: Iterable[Pending]) -> dict[str, Pending]:
    """What is pending after further changes, by path.

    An attribute or text that has its old value again is no longer pending.
    """
    settled = dict(pending)
    for each in new:
        change = each.change
        key = f"{change.kind}:{change.path}" if change.kind in ("add", "remove", "move") else change.path
        before = settled.pop(key, None)
        if before is not None and change.kind in ("set", "unset", "text"):
            change = Change(change.kind, change.path, before.change.old, change.new)
            if change.old == change.new:
                continue
            each = Pending(change, each.plugin, each.policy, before.generation)
        undone = _opposite(settled, change)
        if undone is not None:
            del settled[undone]
            continue
        settled[key] = each
    return settled


def _opposite(pending: Mapping[str, Pending], change: Change) -> str | None:
    """The key of what this change takes back, if it does: removing what was added, adding what was removed."""
    if change.kind not in ("add", "remove"):
        return None
    key = f"{'remove' if change.kind == 'add' else 'add'}:{change.path}"
    found = pending.get(key)
    if found is None:
        return None
    other = found.change
    same = (other.old or other.new) == (change.old or change.new)
    return key if same else None


def _compiled(pattern: str) -> re.Pattern[str]:
    # Each step of a chain is a name without slashes; "//" stands for none or more steps.
    text = ""
    for step in cast("list[str]", re.findall(r"//|/|[^/]+", _CONDITIONS.sub("", pattern))):
        if step == "//":
            text += "/(?:[^/]+/)*"
        elif step == "/":
            text += "/"
        else:
            text += re.escape(step).replace(r"\*", "[^/@]+")
    return re.compile(text)
