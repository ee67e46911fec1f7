"""What operators see and do: the console and REST.

`console` (with its parts; `draft` is where it collects changes) and `rest` (with its parts; `rest_changes` are sets of
changes) stand on `search` and `position`, which find what an operator means, and on `shown`, which hides what nobody is
to see.
"""

from __future__ import annotations

__all__: list[str] = []
