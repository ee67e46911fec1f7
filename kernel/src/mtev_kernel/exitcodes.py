"""Exit codes of `mtev-kernel`: stable, documented in `docs/reference/exit-codes.md`, after BSD's sysexits(3)."""

from __future__ import annotations

from enum import IntEnum

__all__ = ["ExitCode"]


class ExitCode(IntEnum):
    """What the process tells its supervisor."""

    OK = 0
    """Everything went as asked, including an orderly stop on SIGTERM or SIGINT."""
    FAILURE = 1
    """A plugin failed to load, start, run or stop; or `--list-plugins --strict` found a broken plugin."""
    USAGE = 64
    """The command line is wrong."""
    NO_INPUT = 66
    """The configuration file does not exist or cannot be read."""
    UNAVAILABLE = 69
    """A distribution that the configuration, or the command, needs is not installed."""
    SOFTWARE = 70
    """A step blocked the process beyond its limit and could not be abandoned, or the kernel itself is at fault."""
    CONFIG = 78
    """The configuration is wrong. Restarting without changing it will not help."""
