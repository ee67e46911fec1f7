"""`--dump-config`: print the effective configuration."""

from __future__ import annotations

import anyio

from ..exitcodes import ExitCode
from ..records import Options
from ._arguments import Arguments
from ._logging import quiet
from ._opened import assembly_for, opened
from ._terminal import out

__all__ = ["main"]


def main(arguments: Arguments) -> int:
    """Print what the configuration amounts to, secrets masked."""
    assert arguments.config is not None
    quiet(debug=arguments.debug)
    options = Options(safe_mode=arguments.safe_mode)
    document = anyio.run(opened, assembly_for(arguments.config, options), arguments.config, options)
    out(document.dump().rstrip("\n"))
    return ExitCode.OK
