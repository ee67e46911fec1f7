"""The last lines of a test run: nothing that failed may look as if it passed."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest


@pytest.fixture
def run(tmp_path, root):
    """Write what tox and pytest leave behind, and print the summary of it."""

    def run(environments: dict[str, dict], reports: dict[str, str] | None = None) -> tuple[int, list[str]]:
        content = {"testenvs": {name: {"result": result} if result else {} for name, result in environments.items()}}
        (tmp_path / "tox.json").write_text(json.dumps(content))
        for name, attributes in (reports or {}).items():
            verdict = "" if 'failures="0" errors="0"' in attributes else "<failure/>"
            case = f'<testcase classname="a.test_b" name="test_c">{verdict}</testcase>'
            suite = f"<testsuite {attributes}>{case}</testsuite>"
            (tmp_path / f"{name}.xml").write_text(f"<testsuites>{suite}</testsuites>")
        command = [sys.executable, root / "scripts" / "summary.py", tmp_path]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert done.stderr == ""
        return done.returncode, done.stdout.splitlines()

    return run


GOOD = {"success": True, "exit_code": 0, "duration": 1.0, "skipped": False}
BAD = {"success": False, "exit_code": 1, "duration": 1.0, "skipped": False}
ABSENT = {"success": True, "exit_code": 0, "duration": 0.1, "skipped": True}


def test_tests_and_checks_add_up(run):
    status, lines = run({"py311": GOOD, "lint": GOOD}, {"py311": 'tests="12" failures="0" errors="0" skipped="2"'})
    assert status == 0
    assert lines[-1] == "11 passed, 0 failed, 2 skipped in 2 environments"


def test_failed_tests_and_errors_are_failures(run):
    status, lines = run({"py311": BAD}, {"py311": 'tests="12" failures="2" errors="1" skipped="0"'})
    assert status == 1
    assert lines[1].strip() == "failed: a.test_b test_c"
    assert lines[-1] == "9 passed, 3 failed in 1 environment"


def test_an_environment_that_failed_beside_its_tests_is_a_failure(run):
    status, lines = run({"py311": BAD}, {"py311": 'tests="12" failures="0" errors="0" skipped="0"'})
    assert status == 1
    assert lines[-1].startswith("12 passed, 1 failed")


def test_a_failed_check_is_a_failure(run):
    status, lines = run({"lint": BAD})
    assert (status, lines[-1]) == (1, "0 passed, 1 failed in 1 environment")


def test_an_absent_python_is_said_and_does_not_count(run):
    status, lines = run({"py311": GOOD, "py313": ABSENT}, {"py311": 'tests="3" failures="0" errors="0" skipped="0"'})
    assert status == 0
    assert lines[1].startswith("py313")
    assert "no such Python" in lines[1]
    assert lines[-1] == "3 passed, 0 failed in 1 environment (1 not run)"


def test_nothing_run_is_not_a_success(run):
    assert run({"py313": ABSENT})[0] == 1
    assert run({"py313": {}})[0] == 1
