"""A script without what it takes back again, for people who want to know what is different. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from .changes import Change, inverse, parse_xml, same_meaning

__all__ = ["condensed"]

_VALUES = ("set", "unset", "text")


def condensed(script: Iterable[Change]) -> list[Change]:
    """A script that does the same with no more, and often fewer, changes.

    A change right after one that it undoes goes with it, and so does a whole script before its inverse. Of several
    changes of one value in a row, one is left.
    """
    kept: list[Change] = []
    for change in script:
        before = kept[-1] if kept else None
        if before is not None and _undoes(before, change):
            kept.pop()
        elif before is not None and before.path == change.path and {before.kind, change.kind} <= {*_VALUES}:
            kept[-1] = replace(change, old=before.old, labels=before.labels or change.labels)
        else:
            kept.append(change)
    return kept


def _undoes(before: Change, change: Change) -> bool:
    (wanted,) = inverse([before])
    if wanted == change:
        return True
    if wanted.kind not in ("add", "remove") or (wanted.kind, wanted.path, wanted.index) != (
        change.kind,
        change.path,
        change.index,
    ):
        return False
    one, other = wanted.old or wanted.new or "", change.old or change.new or ""
    return same_meaning(parse_xml(one), parse_xml(other))
