"""mtev-log-memory: the last log lines in memory. Enabled by `<log type="memory">`; see the README."""

from __future__ import annotations

from .backend import MemoryBackend
from .ring import Entry, Ring

__all__ = ["Entry", "MemoryBackend", "Ring"]
