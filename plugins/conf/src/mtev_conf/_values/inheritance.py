"""How the `<config>` elements that apply in one place become one table of keys. Pure.

1. Tables are merged in the order in which they are given, outermost first; for each key the last value wins.
2. A table that inherits first takes what the table named by its `inherit` has, which inherits likewise, then its own
   entries. So the order within one table is: what came before, the inherited, its own.
3. Where several tables carry an id, all of them are merged in the order of the document.
4. Tables that inherit in a circle, and ids that nobody carries, are errors which name the members.
5. The same key twice in one table: the last counts, with a notice.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Sequence
from dataclasses import dataclass

from mtev_kernel.errors import ConfigurationError

__all__ = ["MAX_CHAIN", "MAX_TABLES", "Entry", "Table", "merge"]

MAX_CHAIN = 100
"""How many tables may inherit from one another in a row."""

MAX_TABLES = 10_000
"""How many tables may take part in one merge."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One key of a table, with its value and the place (`file:line`) where it stands."""

    key: str
    value: str
    where: str


@dataclass(frozen=True, slots=True)
class Table:
    """What one `<config>` element says.

    Args:
        identity: the same for two tables exactly when they come from the same element.
        where: `file:line` of the element.
        inherit: the id that it inherits from, or `""`.
        entries: its own keys, in document order.
    """

    identity: Hashable
    where: str
    inherit: str = ""
    entries: Sequence[Entry] = ()


def merge(
    tables: Iterable[Table], find: Callable[[str], Sequence[Table]], notice: Callable[[str, str], None]
) -> dict[str, Entry]:
    """Merge tables, and what they inherit.

    Args:
        tables: those that apply, outermost first.
        find: the tables that carry an id, in document order.
        notice: called with a place and a sentence for each key that a table has twice.

    Returns:
        The winning entry for each key. Keys stand in the order in which they were first met.

    Raises:
        ConfigurationError: an id is not found, tables inherit in a circle, or a limit is exceeded.
    """
    merged: dict[str, Entry] = {}
    budget = MAX_TABLES
    chain: list[Table] = []

    def take(table: Table) -> None:
        nonlocal budget
        budget -= 1
        if budget < 0:
            raise ConfigurationError(f"more than {MAX_TABLES} tables are inherited by one element", table.where)
        for position, member in enumerate(chain):
            if member.identity == table.identity:
                raise ConfigurationError(_circle(chain[position:]), member.where)
        if table.inherit:
            if len(chain) == MAX_CHAIN:
                raise ConfigurationError(f"more than {MAX_CHAIN} elements inherit in a row", chain[0].where)
            inherited = find(table.inherit)
            if not inherited:
                raise ConfigurationError(
                    f"inherit='{table.inherit}': no element has the id '{table.inherit}'", table.where
                )
            chain.append(table)
            for one in inherited:
                take(one)
            chain.pop()
        seen: set[str] = set()
        for entry in table.entries:
            if entry.key in seen:
                notice(entry.where, f"the key '{entry.key}' is given twice in one element; the last one counts")
            seen.add(entry.key)
            merged[entry.key] = entry

    for table in tables:
        take(table)
    return merged


def _circle(members: Sequence[Table]) -> str:
    steps = " -> ".join(f"inherit='{member.inherit}' ({member.where})" for member in members)
    return f"elements inherit in a circle: {steps} -> the first again; take one 'inherit' out"
