"""The machine's processors, as Linux tells of them: what values of the form `{{hwloc:1:{cores}}}` ask for.

libmtev asks the library hwloc; the four counts that a configuration can ask for stand under `/sys` as well.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

__all__ = ["KEYS", "count"]

KEYS = ("numanodes", "packages", "cores", "pus")
"""What can be counted: memory nodes, processor packages, cores, and processing units (hardware threads)."""

_SYSTEM = Path("/sys/devices/system")


def count(key: str, system: Path = _SYSTEM) -> str | None:
    """How many of something the machine has online, in decimal; None for what is not known. Reads `/sys`.

    Args:
        key: one of `KEYS`.
        system: the folder in the place of `/sys/devices/system`.
    """
    counters: dict[str, Callable[[], int]] = {
        "numanodes": lambda: len(list(system.glob("node/node[0-9]*"))) or 1,
        "packages": lambda: len({package for package, _ in _cores(system)}),
        "cores": lambda: len(set(_cores(system))),
        "pus": lambda: len(_cores(system)),
    }
    counter = counters.get(key)
    found = 0 if counter is None else counter()
    return str(found) if found else None


def _cores(system: Path) -> list[tuple[str, str]]:
    """Package and core of each processing unit that is online."""
    units = []
    for unit in sorted(system.glob("cpu/cpu[0-9]*")):
        try:
            package = (unit / "topology/physical_package_id").read_text(encoding="ascii").strip()
            core = (unit / "topology/core_id").read_text(encoding="ascii").strip()
        except OSError:
            continue  # offline units have no topology
        units.append((package, core))
    return units
