"""Generate the completion scripts that `mtev-kernel completion` prints, from the argument parser.

Run it after a change of the command line, with shtab installed: python kernel/scripts/completions.py
"""

from __future__ import annotations

import shtab

from mtev_kernel.cli._arguments import SHELLS, build_parser
from mtev_kernel.cli.completion import script


def main() -> None:
    for shell in SHELLS:
        text = shtab.complete(build_parser(), shell=shell)
        script(shell).write_text(text.rstrip() + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
