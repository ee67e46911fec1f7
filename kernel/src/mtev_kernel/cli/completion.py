"""`completion`: print a shell's completion script.

The scripts are package data, generated from the parser by `kernel/scripts/completions.py`; at run time nothing is
generated.
"""

from __future__ import annotations

from pathlib import Path

from ..exitcodes import ExitCode
from ._arguments import Arguments
from ._terminal import out

__all__ = ["GENERATED_WITH", "main", "script"]

GENERATED_WITH = "1.13.0"
"""The version of shtab that the scripts came from."""


def script(shell: str) -> Path:
    """The file with a shell's completion script."""
    return Path(__file__).with_name("completions") / f"mtev-kernel.{shell}"


def main(arguments: Arguments) -> int:
    """Print the script."""
    out(script(arguments.shell).read_text(encoding="utf-8").rstrip())
    return ExitCode.OK
