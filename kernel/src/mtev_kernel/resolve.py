"""Put plugins in an order: what a plugin requires comes before it. Pure.

`requires` must be present; `after` counts only where the named plugin is enabled anyway. A name means every member that
carries or provides it. Among members that could come next the smallest name comes first, so the order is the same on
every start.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from graphlib import CycleError, TopologicalSorter

from .enabling import Enabled
from .errors import MissingRequirement, RequirementCycle, ResolutionError, attribution

__all__ = ["Resolution", "resolve"]


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


def resolve(members: Iterable[Enabled], hint: Callable[[str], str] = lambda name: "") -> Resolution:
    """Order the enabled plugins.

    Args:
        members: the enabled plugins.
        hint: for the name of something missing, what to do about it.
    """
    by_name = {member.name: member for member in members}
    carriers: dict[str, set[str]] = {}
    for member in by_name.values():
        for name in (member.name, *member.manifest.names):
            carriers.setdefault(name, set()).add(member.name)
    problems: dict[str, ResolutionError] = {}
    requirements: dict[str, frozenset[str]] = {}
    before: dict[str, set[str]] = {}
    for member in by_name.values():
        needed: set[str] = set()
        for name in member.manifest.requires:
            if name not in carriers:
                missing = f"{attribution(member.name, member.distribution)} requires '{name}', which is not there"
                problems.setdefault(member.name, MissingRequirement(": ".join(filter(None, (missing, hint(name))))))
            needed |= carriers.get(name, set())
        requirements[member.name] = frozenset(needed - {member.name})
        softly = set().union(*(carriers.get(name, set()) for name in member.manifest.after))
        before[member.name] = (needed | softly) - {member.name}
    order: list[str] = []
    while len(order) < len(before):
        try:
            order = _sorted(before)
        except CycleError as error:
            cycle = _normal(error.args[1])
            for name in cycle:
                problems[name] = RequirementCycle(_explain(cycle, by_name))
                before[name] -= set(cycle)
    order.sort(key=lambda name: name in problems)
    return Resolution(tuple(order), requirements, problems)


def _sorted(before: Mapping[str, set[str]]) -> list[str]:
    sorter = TopologicalSorter({name: sorted(earlier) for name, earlier in sorted(before.items())})
    sorter.prepare()
    ready: list[str] = []
    order: list[str] = []
    while sorter.is_active():
        for name in sorter.get_ready():
            heapq.heappush(ready, name)
        order.append(heapq.heappop(ready))
        sorter.done(order[-1])
    return order


def _normal(walk: Sequence[str]) -> list[str]:
    # graphlib goes from predecessor to successor and names the first member twice; people read "requires" onwards.
    cycle = list(reversed(walk[1:]))
    start = cycle.index(min(cycle))
    return cycle[start:] + cycle[:start]


def _explain(cycle: Sequence[str], by_name: Mapping[str, Enabled]) -> str:
    names = " → ".join(f"'{name}'" for name in (*cycle, cycle[0]))
    labels = ", ".join(f"{name} ({by_name[name].distribution})" for name in cycle)
    return f"plugins require each other in a circle: {names}; one of {labels} must drop its requirement"
