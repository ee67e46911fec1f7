"""Writing a changed document back into the text that it was read from, so that untouched characters stay untouched.

`scan` finds where each node stands in the text, `edits` are notes of what may differ, and `render` turns them into
`splices` (with `places` and `markup`). `save` plans which files a save has to write.
"""

from __future__ import annotations

__all__: list[str] = []
