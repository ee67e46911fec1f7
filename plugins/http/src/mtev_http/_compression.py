"""Compressing what is sent: what is worth it, and how. Pure.

gzip, and deflate in its zlib form (RFC 9110, section 8.4.1.2; libmtev sends it raw, which browsers had to learn).
"""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase

__all__ = ["ENCODINGS", "Compression", "Encoder"]

ENCODINGS = ("gzip", "deflate")
"""Those that can be made here."""

_WBITS = {"gzip": zlib.MAX_WBITS | 16, "deflate": zlib.MAX_WBITS}
_DEFAULT_TYPES = (
    "text/*",
    "application/json",
    "application/*+json",
    "application/xml",
    "application/*+xml",
    "application/javascript",
    "application/manifest+json",
    "application/wasm",
    "image/svg+xml",
    "image/bmp",
    "image/x-icon",
    "font/ttf",
    "font/otf",
)


class Encoder:
    """Compresses one body piece by piece.

    Args:
        level: from 1 to 9.
        wbits: as zlib has them.
    """

    __slots__ = ("_machine",)

    def __init__(self, level: int, wbits: int) -> None:
        self._machine = zlib.compressobj(level, wbits=wbits)

    def feed(self, piece: bytes) -> bytes:
        """What a piece becomes, together with what is held back so far: a reader can make out all of it at once."""
        return self._machine.compress(piece) + self._machine.flush(zlib.Z_SYNC_FLUSH)

    def finish(self) -> bytes:
        """The end of the body."""
        return self._machine.flush()


@dataclass(frozen=True, slots=True)
class Compression:
    """What is compressed, and how.

    Args:
        encodings: which may be used, what is liked best first; none of them switches compression off.
        min_bytes: the smallest body that is worth it; streams of unknown length always are.
        types: media types, with `*` for a part.
        level: from 1, quick, to 9, small.
    """

    encodings: Sequence[str] = ENCODINGS
    min_bytes: int = 1024
    types: Sequence[str] = _DEFAULT_TYPES
    level: int = 1

    def concerns(self, content_type: str) -> bool:
        """Whether bodies of a type are worth it."""
        kind = content_type.partition(";")[0].strip().lower()
        return any(fnmatchcase(kind, pattern) for pattern in self.types)

    def encoder(self, encoding: str) -> Encoder:
        """What compresses one body with one of `encodings`."""
        return Encoder(self.level, _WBITS[encoding])

    def compress(self, encoding: str, body: bytes) -> bytes:
        """A whole body, compressed."""
        return zlib.compress(body, self.level, wbits=_WBITS[encoding])
