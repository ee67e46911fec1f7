"""The plugin of the author's guide works as it is printed, and passes the tests that are printed with it."""

from __future__ import annotations

import os
import re
import subprocess
import sys

import pytest

_FILE = re.compile(r"^```(?:python|toml)\n# (\S+\.(?:py|toml))\n(.*?)^```$", re.MULTILINE | re.DOTALL)


@pytest.fixture
def project(tmp_path, read):
    """The files that the guide prints: blocks that begin with a comment that names them."""
    for name, text in _FILE.findall(read("docs/plugin-author.md")):
        file = tmp_path / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, encoding="utf-8")
    return tmp_path


def test_the_guides_plugin_passes_the_guides_tests(project):
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--import-mode=importlib"]
    done = subprocess.run(
        command, cwd=project, env=dict(os.environ), capture_output=True, text=True, check=False, timeout=50
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert re.search(r"\b\d+ passed", done.stdout), done.stdout
    assert "failed" not in done.stdout
