"""Notes: what a plugin leaves on a request for whoever looks at requests.json.

A note is a field. There are two ways to leave one:

1. `note(request, "cache", "hit")` here: shown from then on, also while the request is under way.
2. `request.notes["http_observer.cache"] = "hit"`, for plugins that do not depend on this distribution: shown once the
   request is answered, or a stream begins. Where no observer is enabled, it does nothing.

A name is up to 64 letters, digits, `_`, `.` and `-`, and none of `OWN_FIELDS`. Values are texts, numbers and booleans,
cut as all texts are. A request keeps 16 notes. The second way leaves out what breaks these rules.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from mtev_http import Request

from .entry import OWN_FIELDS, Entry, cut

__all__ = ["KEY", "MAX_NOTES", "NoteValue", "collect", "note"]

KEY = "http_observer"
"""Under which name the entry of a request is found among its notes; with a dot behind it, what notes begin with."""

MAX_NOTES = 16
NoteValue = str | int | float

_PREFIX = f"{KEY}."
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]{0,63}")
_OWN = frozenset(OWN_FIELDS)


def note(request: Request, name: str, value: NoteValue) -> None:
    """Note something on a request. Does nothing when no observer is enabled, or when it has 16 notes already.

    Args:
        request: the request. Call this where its handler runs.
        name: of the field; one that is there already is replaced.
        value: cut to 512 characters.

    Raises:
        ValueError: the name is malformed, or means something else in requests.json.
    """
    if not _NAME.fullmatch(name) or name in _OWN:
        raise ValueError(
            f"{name!r} is not a name for a note: expected up to 64 letters, digits, _ . and -, "
            f"and none of {', '.join(OWN_FIELDS)}"
        )
    held = request.notes.get(KEY)
    entry: object = getattr(held, "entry", None)
    if isinstance(entry, Entry):
        _keep(entry, name, value)


def collect(entry: Entry, notes: Mapping[str, object]) -> None:
    """Take over what was noted in the second way.

    Args:
        entry: of the request.
        notes: those of the request.
    """
    for key, value in notes.items():
        if key.startswith(_PREFIX) and isinstance(value, str | int | float):
            name = key.removeprefix(_PREFIX)
            if _NAME.fullmatch(name) and name not in _OWN:
                _keep(entry, name, value)


def _keep(entry: Entry, name: str, value: NoteValue) -> None:
    if entry.notes is None:
        entry.notes = {}
    if name in entry.notes or len(entry.notes) < MAX_NOTES:
        entry.notes[name] = cut(value) if isinstance(value, str) else cut(repr(value))
