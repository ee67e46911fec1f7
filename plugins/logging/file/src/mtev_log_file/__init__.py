"""mtev-log-file: log lines in files. Enabled by `<log type="file" path="...">`; see the README."""

from __future__ import annotations

from .backend import FILE_MODE, FileBackend

__all__ = ["FILE_MODE", "FileBackend"]
