"""A service that saves is killed at random moments; what is read afterwards is the old document or the new one.

`MTEV_CRASH_ROUNDS` says how often; a thousand takes some minutes.
"""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from mtev_conf import Configuration

ROUNDS = int(os.environ.get("MTEV_CRASH_ROUNDS", "12"))

MAIN = """<?xml version="1.0"?>
<!-- ours -->
<app count="0">
  <include file="parts/*.conf"/>
  <include file="more.snippet" snippet="true"/>
  <checks backingstore="store"></checks>
</app>
"""

# Each generation puts its number in every file, adds elements, and takes out those of the generation before.
CHILD = """
import sys
from mtev_conf import Configuration

configuration = Configuration.load(sys.argv[1])
configuration.leaf(lambda element: element.tag == "check")
only = sys.argv[2]
number = int(configuration.root.attributes["count"])
while True:
    number += 1
    with configuration.transaction("child") as change:
        change.set(configuration.root, "count", str(number))
        if only == "all":
            for part in configuration.sections("include/part"):
                change.set(part, "count", str(number))
                for old in part.sections("extra"):
                    change.remove(old)
                change.add(part, "extra", {"count": str(number)})
            checks = configuration.section("checks")
            for host in checks.sections("host"):
                change.remove(host)
            host = change.add(checks, "host", {"count": str(number)})
            for each in range(3):
                change.add(host, "check", {"count": str(number)}, text="x" * 2000)
    configuration.write()
    print(number, flush=True)
"""


def service(tmp_path: Path) -> Path:
    (tmp_path / "parts").mkdir()
    for name in ("a", "b"):
        (tmp_path / f"parts/{name}.conf").write_text(
            f'<part-file>\n  <part count="0"><!-- {name} --></part>\n</part-file>\n'
        )
    (tmp_path / "more.snippet").write_text('<part count="0"/>\n')
    main = tmp_path / "app.conf"
    main.write_text(MAIN)
    return main


def counts(main: Path) -> set[str]:
    """Every count in the document, which has to be one and the same."""
    configuration = Configuration.load(str(main))
    return {each.attributes["count"] for each in configuration.sections("//*[@count]")}


@pytest.mark.timeout(3600)
@pytest.mark.parametrize("files", ["one", "all"])
def test_a_killed_service_leaves_the_old_document_or_the_new_one(tmp_path: Path, files: str) -> None:
    rng = random.Random(f"{files}-{ROUNDS}")
    main = service(tmp_path)
    acknowledged = 0
    for _ in range(ROUNDS):
        child = subprocess.Popen(
            [sys.executable, "-c", CHILD, str(main), files], stdout=subprocess.PIPE, text=True, cwd=tmp_path
        )
        assert child.stdout is not None
        for _ in range(rng.randint(1, 4)):
            line = child.stdout.readline()
            assert line, "the child died by itself"
            acknowledged = int(line)
        # Somewhere within the next save, or two.
        with pytest.raises(subprocess.TimeoutExpired):
            child.wait(rng.uniform(0.0, 0.02))
        child.send_signal(signal.SIGKILL)
        rest = child.communicate()[0].split()
        acknowledged = int(rest[-1]) if rest else acknowledged
        found = {int(each) for each in counts(main)}
        if files == "one":
            found.discard(0)
        assert len(found) == 1, f"a mixture: {found}"
        # What was acknowledged is there; what was under way may be.
        assert found <= {acknowledged, acknowledged + 1}
        acknowledged = found.pop()


@pytest.mark.timeout(3600)
def test_after_many_crashes_nothing_is_left_lying_about(tmp_path: Path) -> None:
    main = service(tmp_path)
    for _ in range(min(ROUNDS, 20)):
        child = subprocess.Popen(
            [sys.executable, "-c", CHILD, str(main), "all"], stdout=subprocess.PIPE, text=True, cwd=tmp_path
        )
        assert child.stdout is not None
        child.stdout.readline()
        child.send_signal(signal.SIGKILL)
        child.communicate()
    configuration = Configuration.load(str(main))
    with configuration.transaction() as change:
        change.set(configuration.root, "count", "0")
        for part in configuration.sections("include/part"):
            change.set(part, "count", "0")
    configuration.write()
    left = [path for path in tmp_path.rglob(".*") if path.name != ".attrs"]
    assert len(left) <= 3, left
    assert len(list(tmp_path.rglob("check#*.xml"))) == 3
