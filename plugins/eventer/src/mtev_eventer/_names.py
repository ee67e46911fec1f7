"""What things are called in logs and listings."""

from __future__ import annotations

import functools
import sys
import threading
from pathlib import Path

__all__ = ["callback_name", "position"]


def callback_name(function: object) -> str:
    """A function's name as logs show it: `package.module.Class.method`. Arguments never appear."""
    while isinstance(function, functools.partial):
        function = function.func
    name = getattr(function, "__qualname__", None)
    if name is None:
        function, name = type(function), type(function).__qualname__
    module = getattr(function, "__module__", None)
    return f"{module}.{name}" if module else str(name)


def position(thread: threading.Thread) -> str:
    """Where a thread is at the moment: `in function (file.py:12)`; `""` when that cannot be known."""
    frame = sys._current_frames().get(thread.ident or 0)
    if frame is None:
        return ""
    code = frame.f_code
    return f"in {code.co_qualname} ({Path(code.co_filename).name}:{frame.f_lineno})"
