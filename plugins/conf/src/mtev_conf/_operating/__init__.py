"""What operators see and do: the console and REST.

`console` (with `console_commands` and `console_editor`) and `rest` (with its parts) stand on `search`, which finds what
an operator means, and on `shown`, which hides what nobody is to see.
"""

from __future__ import annotations

__all__: list[str] = []
