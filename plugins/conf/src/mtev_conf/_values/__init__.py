"""Values: from the text that somebody wrote to what it means, and who may see it.

`expansion` puts in what comes from outside, through `facilities`; `values`, `duration` and `secret` say what a text
means; `condition` (with `pattern`) is the language of `require_env`; `inheritance` merges `<config>` tables.
"""

from __future__ import annotations

__all__: list[str] = []
