"""Substitution of values from outside the document. Pure, but for `file_facility`, which reads files.

1. The embedded form `{{FACILITY:FALLBACK:{KEY}}}` may stand anywhere in a text, any number of times. The facility
   has no colon or brace, the fallback no colon; the key ends at the first `}}}`. What has another shape stays as it is.
2. The whole-value form `ENV:DEFAULT:{KEY}` must be the entire text. Its default ends at the first `:{`, so it may
   hold colons; its key has at most 127 characters.
3. A variable that is set but empty counts as set. An unset one gives the fallback or default, which may be empty.
4. A facility that is not registered is offered to `interpolate`. If that has no value either, it gives its fallback
   and a notice.
5. What was put in is never looked at again: a value of the environment can neither ask for another one nor complete
   a form that the text only began. (libmtev scans most of it once more.) Values are not cut (libmtev: at 1,023
   bytes), but the result is limited.
6. When `interpolate` raises `StopSubstitution`, what has been put in stays, and the rest is taken as it stands.

The order is libmtev's: the embedded form first, then the whole-value form.
"""

from __future__ import annotations

import errno
import os
import re
import stat
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

from .values import join_path, quoted

__all__ = [
    "MAX_EXPANDED_CHARS",
    "MAX_FILE_BYTES",
    "Facilities",
    "Interpolate",
    "StopSubstitution",
    "Used",
    "expand",
    "file_facility",
]

MAX_EXPANDED_CHARS = 1_048_576
"""How long a text may become by substitution."""

MAX_FILE_BYTES = 65_536
"""How large a file may be whose content is put in."""

Facilities = Mapping[str, Callable[[str], str | None]]
"""For each facility, what looks a key up: its value, or None when it has none; a `ValueError` when it cannot tell."""

Interpolate = Callable[[str, str, str], str | None]
"""Asked for a facility that is not registered, with the facility, the key, and the form as it is written; gives the
value, or None when it has none; raises `StopSubstitution` to end the substitution of this text."""

_MAX_KEY_CHARS = 127
_OPENING = re.compile(r"\{\{([^:{}]*):([^:]*):\{")
_ENV = "ENV:"


class StopSubstitution(Exception):
    """Raised by an `interpolate` that wants the rest of a text left as it stands (libmtev's ABORT)."""


@dataclass(frozen=True, slots=True)
class Used:
    """One value that a text asked for, and what it got.

    Args:
        facility: where the value was looked up, such as `ENV` or `FILE`.
        key: what was looked up there, such as the name of a variable.
        found: whether there was such a value; otherwise the fallback or default was put in.
        has_default: whether a fallback or default is written that is not empty.
        start: where in the expanded text that begins which was put in.
        end: where it ends; both are 0 when it is no part of the expanded text (it stood in the key or in the unneeded
            default of the whole-value form).
    """

    facility: str
    key: str
    found: bool
    has_default: bool
    start: int = 0
    end: int = 0

    @property
    def missing(self) -> bool:
        """Whether nothing was found and nothing is written to stand in for it, so that empty text was put in."""
        return not self.found and not self.has_default


def expand(
    text: str,
    facilities: Facilities,
    notice: Callable[[str], None],
    *,
    used: list[Used] | None = None,
    interpolate: Interpolate | None = None,
) -> str:
    """Put in what a text asks for.

    Args:
        text: an attribute's or element's text.
        facilities: where values come from; `ENV` also serves the whole-value form.
        notice: called with a sentence for each thing that was asked for and cannot be given.
        used: what the text asked for is appended to it, in the order in which it is looked up. The positions in it are
            positions in this text's result, so give each text a list of its own.
        interpolate: see `Interpolate`.

    Raises:
        ValueError: the result would exceed `MAX_EXPANDED_CHARS`, or a facility cannot tell.
    """
    if "{" not in text:
        return text
    substitution = _Substitution(facilities, notice, interpolate)
    substitution.embedded(text)
    if text.startswith(_ENV) and text.endswith("}") and not substitution.stopped:
        substitution.whole()
    if used is not None:
        used += substitution.uses
    return "".join(substitution.pieces)


def file_facility(base: str) -> Callable[[str], str | None]:
    """The facility `FILE`: its keys are paths, its values what is in the files; for secrets that are mounted as files.

    A value is the text of a regular file of at most `MAX_FILE_BYTES` bytes of UTF-8, without the line breaks at its
    end. A file that is not there has none. Each file is read once, so that one document shows one content: make a
    facility for each document.

    Args:
        base: the folder that relative paths start from.

    Returns:
        What looks a path up; it blocks on the file system, and may be called from any thread. It raises a
        `ValueError` that names the file if that cannot be read, is larger, is not regular, or holds what is no text.
    """
    known: dict[str, str | None] = {}

    def look_up(key: str) -> str | None:
        path = join_path(key, base)
        if path not in known:
            # Of two threads that read the same file at once, both get what the first one to end has read.
            known.setdefault(path, _content(path))
        return known[path]

    return look_up


class _Substitution:
    """The substitution of one text. `pieces` make up the result; `literal` holds the indexes of those as written."""

    def __init__(self, facilities: Facilities, notice: Callable[[str], None], interpolate: Interpolate | None) -> None:
        self._facilities = facilities
        self._notice = notice
        self._interpolate = interpolate
        self.pieces: list[str] = []
        self.uses: list[Used] = []
        self.stopped = False

    def embedded(self, text: str) -> None:
        """Replace the embedded forms. Every other piece is as written, beginning with the first and the last."""
        position = written = 0
        length = len(text)
        while (opening := _OPENING.search(text, position)) is not None:
            closing = text.find("}}}", opening.end())
            if closing < 0:
                break
            end = closing + 3
            facility, fallback, key = opening[1], opening[2], text[opening.end() : closing]
            try:
                value = self._look_up(facility, key, text[opening.start() : end])
            except StopSubstitution:
                self.stopped = True
                break
            put_in = fallback if value is None else value
            length += len(put_in) - (end - opening.start())
            if length > MAX_EXPANDED_CHARS:
                raise ValueError(f"it expands to more than {MAX_EXPANDED_CHARS} characters")
            start = written + opening.start() - position
            written = start + len(put_in)
            self.pieces += (text[position : opening.start()], put_in)
            self.uses.append(Used(facility, key, value is not None, fallback != "", start, written))
            position = end
        self.pieces.append(text[position:])

    def whole(self) -> None:
        """Replace the whole-value form, whose parts may hold what the embedded forms have put in.

        Only what is written can be part of the form itself: `ENV:` (the caller has seen it), `:{` and the last brace.
        """
        separator = self._separator()
        text = "".join(self.pieces)
        key = text[separator + 2 : -1]
        if separator < 0 or not self.pieces[-1] or len(key) > _MAX_KEY_CHARS:
            self._notice(
                f"a value opens with 'ENV:' but is not of the form ENV:default:{{VARIABLE}} with at most "
                f"{_MAX_KEY_CHARS} characters between the braces; it is taken as it stands"
            )
            return
        default = text[len(_ENV) : separator]
        look_up = self._facilities.get("ENV")
        value = None if look_up is None else look_up(key)
        shown = default if value is None else value
        self.pieces = [shown]
        self.uses = [_moved(use, separator if value is None else 0) for use in self.uses]
        self.uses.append(Used("ENV", key, value is not None, default != "", 0, len(shown)))

    def _separator(self) -> int:
        offset = 0
        for index, piece in enumerate(self.pieces):
            found = piece.find(":{", 0 if index else len(_ENV)) if index % 2 == 0 else -1
            if found >= 0:
                return offset + found
            offset += len(piece)
        return -1

    def _look_up(self, facility: str, key: str, form: str) -> str | None:
        look_up = self._facilities.get(facility)
        if look_up is not None:
            return look_up(key)
        value = None if self._interpolate is None else self._interpolate(facility, key, form)
        if value is None:
            known = ", ".join(sorted(self._facilities))
            name = quoted(facility)
            self._notice(
                f"'{{{{{name[1:-1]}:…:{{{quoted(key)[1:-1]}}}}}}}' asks for the facility {name}, which is not known "
                f"(known: {known}); its fallback is used"
            )
        return value


def _moved(use: Used, separator: int) -> Used:
    """The use when the default, which ends at the separator, has become the whole text."""
    inside = use.end <= separator and use.end > use.start
    return (
        replace(use, start=use.start - len(_ENV), end=use.end - len(_ENV)) if inside else replace(use, start=0, end=0)
    )


def _content(path: str) -> str | None:
    try:
        # Not blocking, so that a pipe which nobody writes to is refused below instead of being waited for.
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC)
    except OSError as error:
        if error.errno in (errno.ENOENT, errno.ENOTDIR):
            return None
        raise _unreadable(path, f"cannot be read: {error.strerror}") from None
    try:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise _unreadable(path, "is not a regular file")
        with open(descriptor, "rb", closefd=False) as file:
            data = file.read(MAX_FILE_BYTES + 1)
    except OSError as error:
        raise _unreadable(path, f"cannot be read: {error.strerror}") from None
    finally:
        os.close(descriptor)
    if len(data) > MAX_FILE_BYTES:
        raise _unreadable(path, f"is larger than {MAX_FILE_BYTES} bytes")
    try:
        text = data.decode()
    except UnicodeDecodeError as error:
        # The error's own message would show the byte, and this may be a secret.
        raise _unreadable(path, f"is not UTF-8 text (at byte {error.start})") from None
    if "\0" in text:
        raise _unreadable(path, "holds a NUL character, so it is no text")
    return text.rstrip("\r\n")


def _unreadable(path: str, why: str) -> ValueError:
    return ValueError(f"FILE: {quoted(path, 1000)} {why}")
