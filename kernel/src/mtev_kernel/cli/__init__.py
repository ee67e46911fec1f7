"""The command line `mtev-kernel`: one module per command, imported when it is asked for.

Reading the arguments and answering `--version` and `--list-plugins` needs neither plugins nor the libraries that run
them. Every command module has a function `main(arguments) -> int`.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from importlib import import_module

from ..errors import MtevError, describe
from ..exitcodes import ExitCode
from ._arguments import Arguments, parse
from ._terminal import err

__all__ = ["main"]

_INTERRUPTED = 130  # what shells expect of a program that Ctrl-C ended: 128 + SIGINT


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line. Blocks until the command is done; for a service, until it has stopped.

    Args:
        argv: the arguments without the program's name; those of the process by default.

    Returns:
        The exit code, one of `ExitCode`; 130 when Ctrl-C ended a command that is no service.

    Raises:
        SystemExit: with code 64 for a wrong command line, and with 0 after `--help`.
    """
    try:
        try:
            return _run(parse(argv))
        finally:
            sys.stdout.flush()
    except BrokenPipeError:
        # Whoever read our output has seen enough. Python would complain at exit about what it cannot flush.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return ExitCode.OK


def _run(arguments: Arguments) -> int:
    try:
        code: int = import_module(f".{arguments.action}", __name__).main(arguments)
    except BrokenPipeError:
        raise
    except KeyboardInterrupt:
        return _INTERRUPTED
    except MtevError as error:
        err(f"mtev-kernel: {describe(error)}")
        return error.exit_code
    except Exception as error:  # the last place that can keep a traceback from the user
        return _unexpected(error, arguments)
    return code


def _unexpected(error: Exception, arguments: Arguments) -> int:
    innermost = error
    while isinstance(innermost, ExceptionGroup) and len(innermost.exceptions) == 1:
        innermost = innermost.exceptions[0]
    hint = "" if arguments.debug else "; -d shows where"
    err(f"mtev-kernel: unexpected error, please report it: {describe(innermost)}{hint}")
    if arguments.debug:
        import traceback

        err("".join(traceback.format_exception(error)).rstrip())
    return ExitCode.SOFTWARE
