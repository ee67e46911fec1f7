"""The page for users of libmtev: what it says of elements that nothing serves yet is what `--check` says."""

from __future__ import annotations

import asyncio
import re
from pathlib import Path

import pytest

from mtev_kernel import Kernel

PAGE = Path(__file__).resolve().parents[2] / "docs" / "libmtev.md"
ROWS = re.findall(r"^\| `(<.+>)` \| (error|warning) \| `(.+)` \|$", PAGE.read_text(encoding="utf-8"), re.MULTILINE)


def test_the_table_is_found():
    assert len(ROWS) > 10


@pytest.mark.parametrize(("element", "severity", "message"), ROWS, ids=[row[0][:60] for row in ROWS])
def test_check_says_what_the_page_says(tmp_path, element, severity, message):
    file = tmp_path / "app.conf"
    file.write_text(f"<app>\n{element}\n</app>", encoding="utf-8")
    problems = asyncio.run(Kernel(str(file)).check())
    assert [each.severity for each in problems if message in each.message] == [severity], problems
    if severity == "warning":
        assert [each.message for each in problems if each.severity == "error"] == []
