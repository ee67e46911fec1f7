"""Write to the terminal: lines, and tables that fit its width."""

from __future__ import annotations

import os
import sys
import textwrap
from collections.abc import Sequence

__all__ = ["Row", "err", "out", "printable", "table", "width"]

_GAP = "  "
_NARROWEST = 8
_UNLIMITED = 10_000

Row = tuple[Sequence[str], str]
"""The cells of a table's row, and a note on it that may be long."""


def out(text: str) -> None:
    """Write a line to standard output."""
    sys.stdout.write(f"{text}\n")


def err(text: str) -> None:
    """Write a line to standard error."""
    sys.stderr.write(f"{text}\n")


def width() -> int:
    """Columns to keep within: the terminal's or `COLUMNS`, and practically no limit where neither is known."""
    if (columns := os.environ.get("COLUMNS", "")).isdecimal() and int(columns) > 0:
        return int(columns)
    try:
        return os.get_terminal_size(sys.stdout.fileno()).columns or _UNLIMITED
    except (OSError, ValueError):
        return _UNLIMITED


def printable(text: str) -> str:
    """Show control characters as escapes: what others wrote must not steer the reader's terminal."""
    return "".join(each if each.isprintable() else each.encode("unicode_escape").decode() for each in text)


def table(headers: Sequence[str], rows: Sequence[Row], columns: int) -> list[str]:
    """Lay out a table.

    Args:
        headers: titles; the last one is the notes'.
        rows: as many cells as there are headers but the last, and a note.
        columns: width to keep within. Cells are wrapped when they must be; a note that does not fit behind its row
            stands below it, indented.

    Returns:
        The lines, without trailing blanks.
    """
    clean = [([printable(cell) for cell in cells], printable(note)) for cells, note in rows]
    widths = [len(title) for title in headers[:-1]]
    for cells, _ in clean:
        widths = [max(pair) for pair in zip(widths, map(len, cells), strict=True)]
    while sum(widths) + len(_GAP) * (len(widths) - 1) > columns and max(widths) > _NARROWEST:
        widths[widths.index(max(widths))] -= 1
    lines = _row(headers[:-1], headers[-1] if any(note for _, note in clean) else "", widths, columns)
    for cells, note in clean:
        lines += _row(cells, note, widths, columns)
    return lines


def _row(cells: Sequence[str], note: str, widths: Sequence[int], columns: int) -> list[str]:
    wrapped = [textwrap.wrap(cell, size) or [""] for cell, size in zip(cells, widths, strict=True)]
    height = max(map(len, wrapped))
    lines = [
        _GAP.join(
            (cell[index] if index < len(cell) else "").ljust(size) for cell, size in zip(wrapped, widths, strict=True)
        )
        for index in range(height)
    ]
    if len(lines[0]) + len(_GAP) + len(note) <= columns:
        lines[0] += _GAP + note
        return [line.rstrip() for line in lines]
    indented = textwrap.wrap(note, max(columns, 20), initial_indent="    ", subsequent_indent="    ")
    return [line.rstrip() for line in lines] + indented
