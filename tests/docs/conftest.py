"""What the tests of the documentation share: its generator, its pages, and what is in them."""

from __future__ import annotations

import importlib.util
import os
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).resolve().parents[2]
_LEFT_OUT = ("build", "dist", "templates")
_FENCE = re.compile(r"^(?P<blanks> *)```(?P<info>[^\n`]*)\n(?P<text>.*?)^(?P=blanks)```$", re.MULTILINE | re.DOTALL)


@dataclass(frozen=True)
class Block:
    """A fenced block of a page: the words behind its fence, and its text."""

    page: Path
    line: int
    info: tuple[str, ...]
    text: str

    def __str__(self) -> str:
        return f"{self.page.relative_to(ROOT)}:{self.line}"


def pages() -> list[Path]:
    """Every page of the repository that is written for people."""
    found = []
    for folder, below, files in os.walk(ROOT):
        below[:] = [each for each in below if not each.startswith(".") and each not in _LEFT_OUT]
        found += [Path(folder, each) for each in files if each.endswith(".md")]
    return sorted(found)


def blocks(kind: str) -> Iterator[Block]:
    """Every fenced block of a kind, in every page."""
    for page in pages():
        text = page.read_text(encoding="utf-8")
        for fence in _FENCE.finditer(text):
            info = tuple(fence["info"].split())
            if info[:1] == (kind,):
                body = re.sub(f"^{fence['blanks']}", "", fence["text"], flags=re.MULTILINE)
                yield Block(page, text[: fence.start()].count("\n") + 1, info, body)


def _generator() -> ModuleType:
    spec = importlib.util.spec_from_file_location("docs_generate", ROOT / "docs" / "generate.py")
    assert spec is not None
    assert spec.loader is not None
    sys.modules[spec.name] = module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "page" in metafunc.fixturenames:
        metafunc.parametrize("page", pages(), ids=lambda page: str(page.relative_to(ROOT)))
    for kind in ("xml", "python", "console"):
        if f"{kind}_block" in metafunc.fixturenames:
            metafunc.parametrize(f"{kind}_block", list(blocks(kind)), ids=str)


@pytest.fixture(scope="session")
def root() -> Path:
    return ROOT


@pytest.fixture(scope="session")
def generate() -> ModuleType:
    """`docs/generate.py`, imported."""
    return _generator()


@pytest.fixture(scope="session")
def read(root):
    """The text of a page, by its path below the root."""
    return lambda path: (root / path).read_text(encoding="utf-8")
