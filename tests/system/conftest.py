"""What the whole-daemon tests share: everything of ours installed, and the demo's configuration."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from echo_service import ECHO
from environment import ROOT, Environment
from wheel_writer import write_wheel

DEMO = ROOT / "examples" / "demo"


@pytest.fixture(scope="session")
def installed(environment, own_wheels, tmp_path_factory) -> Environment:
    """Every distribution of ours, and the demo's own plugin."""
    return environment(own_wheels, [write_wheel(DEMO / "plugin", tmp_path_factory.mktemp("demo"))])


@pytest.fixture(scope="session")
def echoing(environment, own_wheels, tmp_path_factory) -> Environment:
    """Every distribution of ours, and the echo."""
    return environment(own_wheels, [write_wheel(ECHO, tmp_path_factory.mktemp("echo"))])


@pytest.fixture(scope="session")
def demo_text() -> str:
    """The demo's configuration, on ports that are free."""
    text, ports = re.subn(r'port="\d+"', 'port="0"', (DEMO / "demo.conf").read_text())
    assert ports == 2
    return text


@pytest.fixture
def demo(demo_text, tmp_path) -> Path:
    """The same, in a file."""
    path = tmp_path / "demo.conf"
    path.write_text(demo_text)
    return path
