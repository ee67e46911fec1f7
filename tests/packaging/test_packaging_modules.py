"""What modules promise to each other: `__all__` is true, and private names stay at home."""

from __future__ import annotations

import ast
import importlib
from pathlib import Path

import pytest


def _modules(member) -> dict[str, Path]:
    """The distribution's modules by dotted name. Templates are text, not modules."""
    found = {}
    for path in sorted(member.source.rglob("*.py")):
        parts = path.relative_to(member.source.parent).with_suffix("").parts
        if "templates" not in parts and parts[-1] != "__main__":
            found[".".join(parts).removesuffix(".__init__")] = path
    return found


@pytest.mark.filterwarnings("ignore::pytest.PytestAssertRewriteWarning")
def test_every_name_in_all_exists(member):
    for name, path in _modules(member).items():
        module = importlib.import_module(name)
        listed = getattr(module, "__all__", None)
        assert listed is not None or not path.read_text().strip(), f"{name} has no __all__"
        missing = [item for item in listed or () if not hasattr(module, item)]
        assert missing == [], f"{name}.__all__ lists what it does not have"
        assert len(set(listed or ())) == len(listed or ()), f"{name}.__all__ lists a name twice"


def test_no_distribution_reaches_into_the_private_modules_of_another(member, members):
    packages = {other.package for other in members.values()} - {member.package}
    reached = [
        f"{path}:{node.lineno}: {target}"
        for path in _modules(member).values()
        for node in ast.walk(ast.parse(path.read_text()))
        for target in _imported(node)
        if target.split(".")[0] in packages and any(_private(part) for part in target.split(".")[1:])
    ]
    assert reached == []


def _private(name: str) -> bool:
    return name.startswith("_") and not name.startswith("__")


def _imported(node: ast.AST) -> list[str]:
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    if isinstance(node, ast.ImportFrom) and not node.level and node.module:
        return [f"{node.module}.{alias.name}" for alias in node.names]
    return []
