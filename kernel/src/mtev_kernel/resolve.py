"""Put plugins in an order: what a plugin requires comes before it. Pure.

`requires` must be present; `after` counts only where the named plugin is enabled anyway. A name means every member that
carries or provides it. Among members that could come next the smallest name comes first, so the order is the same on
every start.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

from .errors import MissingRequirement, RequirementCycle, ResolutionError, attribution

__all__ = ["Member", "Resolution", "resolve"]


@dataclass(frozen=True, slots=True)
class Member:
    """An enabled plugin, as far as order goes.

    Args:
        name: its instance name, unique.
        distribution: for messages.
        names: every name under which others may require it.
        requires: names that must be present and come before it.
        after: names that come before it where present.
    """

    name: str
    distribution: str
    names: frozenset[str]
    requires: tuple[str, ...] = ()
    after: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Resolution:
    """The outcome of `resolve`.

    Args:
        order: names in starting order. Members with a problem of their own are in it too, last.
        requirements: for each member the members that it requires.
        problems: members that cannot be placed, with the reason. Members that merely require one of them are not here.
    """

    order: tuple[str, ...]
    requirements: Mapping[str, frozenset[str]]
    problems: Mapping[str, ResolutionError]


def resolve(members: Iterable[Member], hint: Callable[[str], str] = lambda name: "") -> Resolution:
    """Order the enabled plugins.

    Args:
        members: the enabled plugins.
        hint: for the name of something missing, what to do about it.
    """
    by_name = {member.name: member for member in members}
    carriers: dict[str, set[str]] = {}
    for member in by_name.values():
        for name in (member.name, *member.names):
            carriers.setdefault(name, set()).add(member.name)
    problems: dict[str, ResolutionError] = {}
    requirements: dict[str, frozenset[str]] = {}
    before: dict[str, set[str]] = {}
    for member in by_name.values():
        needed: set[str] = set()
        for name in member.requires:
            if name not in carriers:
                advice = hint(name)
                problems.setdefault(
                    member.name,
                    MissingRequirement(
                        f"{attribution(member.name, member.distribution)} requires '{name}', which is not there"
                        + (f": {advice}" if advice else "")
                    ),
                )
            needed |= carriers.get(name, set())
        requirements[member.name] = frozenset(needed - {member.name})
        softly = set().union(*(carriers.get(name, set()) for name in member.after))
        before[member.name] = (needed | softly) - {member.name}
    order = _sorted(before)
    stuck = set(by_name) - set(order)
    while stuck:
        cycle = _cycle(before, stuck)
        for name in cycle:
            problems[name] = RequirementCycle(_explain(cycle, by_name))
            before[name] -= set(cycle)
        order = _sorted(before)
        stuck = set(by_name) - set(order)
    order.sort(key=lambda name: name in problems)
    return Resolution(tuple(order), requirements, problems)


def _sorted(before: Mapping[str, set[str]]) -> list[str]:
    waits_for = {name: len(earlier) for name, earlier in before.items()}
    followers: dict[str, list[str]] = {}
    for name, earlier in before.items():
        for each in earlier:
            followers.setdefault(each, []).append(name)
    ready = [name for name, count in waits_for.items() if count == 0]
    heapq.heapify(ready)
    order: list[str] = []
    while ready:
        name = heapq.heappop(ready)
        order.append(name)
        for follower in followers.get(name, ()):
            waits_for[follower] -= 1
            if waits_for[follower] == 0:
                heapq.heappush(ready, follower)
    return order


def _cycle(before: Mapping[str, set[str]], stuck: set[str]) -> list[str]:
    # Every stuck member waits for another stuck one, so walking from any of them must close a circle.
    walk = [min(stuck)]
    while True:
        step = min(before[walk[-1]] & stuck)
        if step in walk:
            return walk[walk.index(step) :]
        walk.append(step)


def _explain(cycle: Sequence[str], by_name: Mapping[str, Member]) -> str:
    names = " → ".join(f"'{name}'" for name in (*cycle, cycle[0]))
    labels = ", ".join(f"{name} ({by_name[name].distribution})" for name in cycle)
    return f"plugins require each other in a circle: {names}; one of {labels} must drop its requirement"
