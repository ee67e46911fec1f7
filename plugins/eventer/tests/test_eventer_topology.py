"""Counting processors from a tree like that of Linux."""

from __future__ import annotations

from pathlib import Path

import pytest

from mtev_eventer.topology import KEYS, count


def machine(root: Path, units: list[tuple[int, int]], nodes: int) -> Path:
    for number, (package, core) in enumerate(units):
        topology = root / f"cpu/cpu{number}/topology"
        topology.mkdir(parents=True)
        (topology / "physical_package_id").write_text(f"{package}\n")
        (topology / "core_id").write_text(f"{core}\n")
    for number in range(nodes):
        (root / f"node/node{number}").mkdir(parents=True)
    return root


def test_each_kind_is_counted_for_itself(tmp_path: Path) -> None:
    # Two packages with two cores each, whose numbers repeat; two threads a core.
    system = machine(tmp_path, [(p, c) for p in (0, 1) for c in (0, 1) for _ in range(2)], nodes=2)
    assert {key: count(key, system) for key in KEYS} == {"numanodes": "2", "packages": "2", "cores": "4", "pus": "8"}


def test_units_that_are_offline_do_not_count(tmp_path: Path) -> None:
    system = machine(tmp_path, [(0, 0), (0, 1)], nodes=1)
    (system / "cpu/cpu2").mkdir()
    (system / "cpu/cpufreq").mkdir()
    assert count("pus", system) == "2"


def test_a_machine_that_tells_nothing_leaves_the_fallback(tmp_path: Path) -> None:
    assert count("cores", tmp_path) is None
    assert count("numanodes", tmp_path) == "1"


@pytest.mark.parametrize("key", ["", "gpus", "Cores"])
def test_what_is_not_known_leaves_the_fallback(key: str) -> None:
    assert count(key) is None
