"""The language of `require_env`: whether an element applies in this environment. Pure.

    VAR          the variable is set (set but empty is set)        !VAR          it is not
    VAR=text     its value is this text                            !VAR=text     it is another
    VAR~regex    the expression is found in its value              !VAR~regex    it is not

An unset variable counts as empty text for `=` and `~`. Whichever of `=` and `~` comes first is the operator (libmtev
prefers `=`, so it cannot have one in an expression). Regular expressions are Python's, which agree with PCRE in
what conditions use, and no condition takes long, whatever its expression and the variable are: see `pattern`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from .pattern import BoundedPattern
from .values import quoted

__all__ = ["MAX_CONDITION_CHARS", "Condition", "parse_condition"]

MAX_CONDITION_CHARS = 4095
"""How long a condition may be; libmtev's limit."""

_SHAPE = re.compile(r"(!?)([^!=~\s]+)(?:([=~])(.*))?", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Condition:
    """A parsed `require_env`.

    Args:
        variable: name of the environment variable.
        negated: the condition opened with `!`.
        text: what the value must equal, or None.
        pattern: what must be found in the value, or None.
    """

    variable: str
    negated: bool = False
    text: str | None = None
    pattern: BoundedPattern | None = None

    def holds(self, environ: Mapping[str, str]) -> bool:
        """Whether the condition holds in an environment.

        Raises:
            ValueError: it has a regular expression that could take too long on the variable's value.
        """
        if self.text is not None:
            met = environ.get(self.variable, "") == self.text
        elif self.pattern is not None:
            met = self.pattern.found_in(environ.get(self.variable, ""))
        else:
            met = self.variable in environ
        return met != self.negated


def parse_condition(expression: str) -> Condition:
    """Parse the value of a `require_env` attribute.

    Raises:
        ValueError: it is empty, too long, names no variable, or its regular expression is not one.
    """
    if len(expression) > MAX_CONDITION_CHARS:
        raise ValueError(f"it has more than {MAX_CONDITION_CHARS} characters")
    match = _SHAPE.fullmatch(expression)
    if match is None:
        raise ValueError(
            f"{quoted(expression)} is not a condition; write VAR, VAR=text or VAR~regex, with '!' in front to negate it"
        )
    negated, variable, operator, operand = match[1] == "!", match[2], match[3], match[4]
    if operator == "=":
        return Condition(variable, negated, text=operand)
    if operator == "~":
        return Condition(variable, negated, pattern=BoundedPattern(operand))
    return Condition(variable, negated)
