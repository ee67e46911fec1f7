"""mtev-telnet: the operator's console, over telnet or plain TCP.

A plugin that has commands to offer implements the hook `mtev_console_commands`; it needs nothing from here. The names
below are for plugins that require the console: the service `Console`, the types of both hooks, and the rules by which
lines are split.
"""

from __future__ import annotations

from .console import Console, Registration
from .errors import CommandExists, ConsoleError, LineError
from .hookspecs import CommandRegistry, Mode, Operator, Session
from .tokenizer import quote, tokenize

__all__ = [
    "CommandExists",
    "CommandRegistry",
    "Console",
    "ConsoleError",
    "LineError",
    "Mode",
    "Operator",
    "Registration",
    "Session",
    "quote",
    "tokenize",
]
