"""The last generations, and the way from one to the newest."""

from __future__ import annotations

import pytest

from mtev_conf._editing.changes import Change
from mtev_conf._history import Generation, History


def generation(number: int) -> Generation:
    return Generation(number, float(number), "change", changes=(Change("set", f"/a/@x{number}", None, "1"),))


def history(count: int, limit: int) -> History:
    kept = History(limit)
    for number in range(1, count + 1):
        kept.add(generation(number))
    return kept


def test_the_newest_are_kept():
    assert [each.number for each in history(5, 3).kept()] == [3, 4, 5]


def test_a_script_leads_from_a_kept_generation_to_the_newest():
    kept = history(5, 3)
    assert [each.path for each in kept.since(3)] == ["/a/@x4", "/a/@x5"]
    assert kept.since(5) == []


@pytest.mark.parametrize("number", [0, 2, 6])
def test_what_is_not_kept_is_said(number):
    with pytest.raises(LookupError, match=f"generation {number} is not kept; there are 3 to 5"):
        history(5, 3).since(number)


def test_the_limit_can_change():
    kept = history(5, 5)
    kept.resize(2)
    assert [each.number for each in kept.kept()] == [4, 5]
    kept.resize(3)
    kept.add(generation(6))
    assert [each.number for each in kept.kept()] == [4, 5, 6]
