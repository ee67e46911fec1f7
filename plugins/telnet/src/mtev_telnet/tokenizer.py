r"""Split a command line into words, as libmtev's console does.

1. Blank, tab, CR and LF separate words; nothing else does.
2. A word that opens with `"` goes to the next `"`. Inside it `\n \r \t \a \b \v \f \0 \\ \"` and `\ ` stand for
   one character each; a backslash before any other character is itself.
3. A word that opens with `'` goes to the next `'`, and nothing inside it is special.
4. Any other word goes to the next separator. Quotes in the middle of it are ordinary characters, and so is every
   backslash that no blank follows; `\ ` is a blank that does not separate.
5. A closing quote ends its word: `"a"b` is two words.
6. There are no comments, pipes, variables or `;`.

A quote that is not closed gives `Error at offset: N`, where N is the index of that quote. (libmtev gives the end of the
line for `"` and lets an open `'` pass in silence.)
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from .errors import LineError

__all__ = ["MAX_WORDS", "quote", "tokenize"]

MAX_WORDS = 2048
"""The most words that a line may have."""

_BLANKS = re.compile(r"[ \t\r\n]*")
_BARE = re.compile(r"(?:\\ |[^ \t\r\n])+")
_DOUBLE = re.compile(r'"([^"\\]*(?:\\.[^"\\]*)*)"', re.DOTALL)
_SINGLE = re.compile(r"'([^']*)'")
_ESCAPE = re.compile(r'\\([nrtabvf0"\\ ])')
_MEANING = {"n": "\n", "r": "\r", "t": "\t", "a": "\a", "b": "\b", "v": "\v", "f": "\f", "0": "\0"}
_SPELLING = str.maketrans({value: f"\\{key}" for key, value in _MEANING.items()} | {"\\": "\\\\", '"': '\\"'})
_PLAIN = re.compile(r"""[^\s\x00-\x1f\x7f'"\\][^\s\x00-\x1f\x7f\\]*""")


def tokenize(line: str, limit: int = MAX_WORDS) -> list[str]:
    """Split a line into words. Pure.

    Args:
        line: what the operator typed, with or without its line end.
        limit: the most words allowed.

    Raises:
        LineError: a quote is not closed, or there are too many words.
    """
    words: list[str] = []
    position = 0
    while True:
        blanks = _BLANKS.match(line, position)
        position = blanks.end() if blanks else position
        if position == len(line):
            return words
        if len(words) == limit:
            raise LineError("Command length too long.", position)
        pattern = {'"': _DOUBLE, "'": _SINGLE}.get(line[position], _BARE)
        word = pattern.match(line, position)
        if word is None:
            raise LineError(f"Error at offset: {position}", position)
        position = word.end()
        if pattern is _BARE:
            words.append(word[0].replace("\\ ", " "))
        elif pattern is _DOUBLE:
            words.append(_ESCAPE.sub(lambda found: _MEANING.get(found[1], found[1]), word[1]))
        else:
            words.append(word[1])


def quote(words: Iterable[str]) -> str:
    """Write words so that `tokenize` gives them back. The result has no line end in it. Pure."""
    return " ".join(word if _PLAIN.fullmatch(word) else f'"{word.translate(_SPELLING)}"' for word in words)
