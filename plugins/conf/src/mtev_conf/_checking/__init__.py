"""What is wrong with a document beyond what plugins say of it.

`inspect` gathers `findings`: `references` that lead nowhere, `certificates` that cannot be read, and what `schemas`,
one for each plugin, do not allow. `schema` (with `judgement`, `expectation`, `xsd`, `xsd_source`) asks one of them;
`composition` makes one of all.
"""

from __future__ import annotations

__all__: list[str] = []
