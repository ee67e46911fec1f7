"""`--check`: configure everything and start nothing; report each problem with its place."""

from __future__ import annotations

import re
from collections.abc import Sequence

import anyio

from ..exitcodes import ExitCode
from ..kernel import Kernel
from ..records import Options, Problem
from ._arguments import Arguments
from ._logging import quiet
from ._terminal import err, out, printable

__all__ = ["exit_code", "format_problem", "main"]

_PLACE = re.compile(r"(?P<place>[^\s:][^:\n]*:\d+(?::\d+)?): (?P<rest>.*)", re.DOTALL)


def main(arguments: Arguments) -> int:
    """Check a configuration and print what is wrong with it."""
    assert arguments.config is not None
    quiet(debug=arguments.debug)
    kernel = Kernel(arguments.config, options=Options(safe_mode=arguments.safe_mode, strict=arguments.strict))
    problems = anyio.run(kernel.check)
    for problem in problems:
        out(format_problem(problem, arguments.config, strict=arguments.strict))
    errors = sum(_is_error(each, arguments.strict) for each in problems)
    warnings = len(problems) - errors
    enabled = sum(each.state == "configured" for each in kernel.plugins())
    counts = (_counted(errors, "error"), _counted(warnings, "warning"), f"{_counted(enabled, 'plugin')} configured")
    err(f"{arguments.config}: {', '.join(counts)}")
    return exit_code(problems, strict=arguments.strict)


def format_problem(problem: Problem, path: str, *, strict: bool) -> str:
    """Put a problem on one line, as compilers do: `file:line: severity: message (plugin ..., distribution ...)`.

    Args:
        problem: the problem; its message may open with `file:line`, else what enabled its plugin may be such a place.
        path: what stands in place of that when there is none.
        strict: whether a warning counts as an error.
    """
    place, message = path, problem.message
    if match := _PLACE.match(problem.message):
        place, message = match["place"], match["rest"]
    elif match := _PLACE.match(f"{problem.where}: "):
        place = match["place"]
    else:
        message = message.removeprefix(f"{path}: ")
    severity = "error" if _is_error(problem, strict) else "warning"
    who = [f"plugin '{problem.plugin}'"] if problem.plugin else []
    who += [f"distribution {problem.distribution}"] if problem.distribution else []
    text = f"{place}: {severity}: {message}" + (f" ({', '.join(who)})" if who else "")
    return " ".join(printable(line.strip()) for line in text.splitlines())


def exit_code(problems: Sequence[Problem], *, strict: bool) -> ExitCode:
    """What the problems of a check mean for its caller."""
    errors = [each for each in problems if _is_error(each, strict)]
    if not errors:
        return ExitCode.OK
    return ExitCode.NO_INPUT if errors[0].code is ExitCode.NO_INPUT else ExitCode.CONFIG


def _is_error(problem: Problem, strict: bool) -> bool:
    return strict or problem.severity == "error"


def _counted(number: int, noun: str) -> str:
    return f"{number} {noun}" + ("" if number == 1 else "s")
