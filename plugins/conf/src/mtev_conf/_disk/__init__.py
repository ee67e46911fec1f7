"""Files: whatever happens, all of a set as they were or all as they are, and what was acknowledged stays.

`commit` puts a set of files in place (with `commit_record`, `commit_staging`, `commit_steps`, `lock` and `durable`);
`journal` keeps records, and `journalling` changes in it; `shatter` and `shatter_layout` are libmtev's backing stores.
"""

from __future__ import annotations

__all__: list[str] = []
