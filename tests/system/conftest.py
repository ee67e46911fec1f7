"""What the whole-daemon tests share: everything of ours installed, and the demo's configuration."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET
from collections.abc import Callable
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
def with_logs(demo_text, tmp_path) -> Callable[[str], Path]:
    """Makes the demo's configuration with more streams: those of a `<logs>`."""

    def make(streams: str) -> Path:
        root = ET.fromstring(demo_text.encode())
        logs = root.find("logs")
        assert logs is not None
        logs.extend(ET.fromstring(streams))
        path = tmp_path / "demo.conf"
        ET.ElementTree(root).write(path, encoding="utf-8", xml_declaration=True)
        return path

    return make


@pytest.fixture
def demo(demo_text, tmp_path) -> Path:
    """The same, in a file."""
    path = tmp_path / "demo.conf"
    path.write_text(demo_text)
    return path
