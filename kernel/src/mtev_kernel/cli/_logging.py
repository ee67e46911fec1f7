"""Log to standard error until a plugin takes logging over."""

from __future__ import annotations

import logging
import sys

__all__ = ["StartupHandler", "quiet", "to_stderr"]

_FORMAT = "%(asctime)s.%(msecs)03d %(levelname)s %(name)s: %(message)s"
_DATES = "%Y-%m-%d %H:%M:%S"


class StartupHandler(logging.StreamHandler):  # type: ignore[type-arg]  # generic in stubs, not at run time
    """Writes to standard error, and keeps silent for as long as the root logger has another handler.

    A log plugin so takes over by adding its own handler, and gives back by removing it; neither knows of the other.
    """

    def emit(self, record: logging.LogRecord) -> None:
        """Write a record, unless somebody else does."""
        if all(isinstance(handler, StartupHandler) for handler in logging.getLogger().handlers):
            super().emit(record)


def to_stderr(*, debug: bool) -> None:
    """Log what the kernel and its plugins say: INFO and above, or everything under `debug`."""
    handler = StartupHandler(sys.stderr)
    handler.setFormatter(logging.Formatter(_FORMAT, _DATES))
    root = logging.getLogger()
    root.addHandler(handler)
    logging.getLogger("mtev").setLevel(logging.DEBUG if debug else logging.INFO)
    if debug:
        root.setLevel(logging.DEBUG)


def quiet(*, debug: bool) -> None:
    """Log nothing, for a command whose output says it all; everything under `debug`."""
    if debug:
        to_stderr(debug=True)
    else:
        logging.getLogger().addHandler(logging.NullHandler())
