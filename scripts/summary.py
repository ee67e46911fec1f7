"""What a tox run came to: one line per environment, with the tests that failed in it, then one line for all of it.

    python scripts/summary.py FOLDER    # holds tox.json, and <environment>.xml from each run of pytest

An environment that runs no tests (lint, types, ...) counts as one that passed or failed. The exit code is 0 when
nothing failed and at least one environment did something.
"""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

__all__ = ["Outcome", "outcomes", "summary"]


@dataclass(frozen=True)
class Outcome:
    """How one environment ended."""

    environment: str
    passed: int
    failed: int
    skipped: int
    seconds: float
    present: bool = True
    culprits: tuple[str, ...] = ()

    def __str__(self) -> str:
        """One line for people, and one for each test that failed."""
        if not self.present:
            return f"{self.environment:24} not run: this machine has no such Python"
        skipped = f", {self.skipped} skipped" if self.skipped else ""
        line = f"{self.environment:24} {self.passed} passed, {self.failed} failed{skipped} in {self.seconds:.0f} s"
        return "\n    failed: ".join((line, *self.culprits))


def outcomes(folder: Path) -> list[Outcome]:
    """Read what tox and pytest left in the folder."""
    journal = json.loads((folder / "tox.json").read_text())
    return [
        _outcome(name, entry["result"], folder / f"{name}.xml")
        for name, entry in journal.get("testenvs", {}).items()
        if "result" in entry
    ]


def summary(results: list[Outcome]) -> str:
    """The last line, in pytest's words."""
    passed, failed, skipped = (sum(getattr(one, what) for one in results) for what in ("passed", "failed", "skipped"))
    absent = sum(not one.present for one in results)
    line = f"{passed} passed, {failed} failed"
    line += f", {skipped} skipped" if skipped else ""
    ran = len(results) - absent
    line += f" in {ran} environment{'s' * (ran != 1)}"
    return line + (f" ({absent} not run)" if absent else "")


def _outcome(name: str, result: dict[str, Any], report: Path) -> Outcome:
    seconds = float(result.get("duration", 0))
    if result.get("skipped"):
        return Outcome(name, 0, 0, 0, seconds, present=False)
    if not report.exists():
        success = bool(result["success"])
        return Outcome(name, int(success), int(not success), 0, seconds)
    tree = ElementTree.parse(report).getroot()
    suites = list(tree.iter("testsuite"))
    counts = {key: sum(int(one.get(key, 0)) for one in suites) for key in ("tests", "failures", "errors", "skipped")}
    failed = counts["failures"] + counts["errors"]
    passed = max(0, counts["tests"] - failed - counts["skipped"])
    # A run that failed without a failed test (an error at the end, an exit code of its own) is still one failure.
    failed = failed or int(not result["success"])
    cases = (case for case in tree.iter("testcase") if {"failure", "error"} & {child.tag for child in case})
    culprits = tuple(f"{case.get('classname')} {case.get('name')}" for case in cases)
    return Outcome(name, passed, failed, counts["skipped"], seconds, culprits=culprits)


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    results = outcomes(Path(sys.argv[1]))
    print(*results, summary(results), sep="\n")
    sys.exit(any(one.failed for one in results) or not any(one.passed for one in results))
