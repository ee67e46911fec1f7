"""Changing a document in memory: each change is known, can be undone, written down, and compared.

`edit` carries changes out (blanks by `blanks`) and tells `tracker` what that means for the files; `changes` are what
it did, with `paths` and `fragments` of XML; `diff` (with `matching`) finds them between two documents, `condense`
leaves out what was taken back, and `machinery` keeps what belongs to includes and backing stores from being changed.
"""

from __future__ import annotations

__all__: list[str] = []
