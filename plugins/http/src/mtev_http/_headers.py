"""Header fields: several values to a name, names compared without regard to case (RFC 9110, section 5)."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import lru_cache

__all__ = ["Headers", "ResponseHeaders", "check_content_type", "check_header"]

_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_VALUE = re.compile(r"[\t\x20-\x7e]*")
_FRAMING = frozenset(("connection", "content-length", "keep-alive", "te", "trailer", "transfer-encoding", "upgrade"))


class Headers(Mapping[str, str]):
    """Header fields as they were received. As a mapping it joins the values of a name with `, `, as RFC 9110 does.

    Args:
        pairs: names and values in the order of the message.
    """

    __slots__ = ("_index", "_pairs")

    def __init__(self, pairs: Iterable[tuple[str, str]] = ()) -> None:
        self._pairs = list(pairs)
        self._index: dict[str, list[str]] = {}
        for name, value in self._pairs:
            self._index.setdefault(name.lower(), []).append(value)

    @classmethod
    def from_raw(cls, raw: Sequence[tuple[bytes, bytes]]) -> Headers:
        """Headers from the bytes of a message; bytes beyond ASCII are read as Latin-1."""
        return cls([(name.decode("latin-1"), value.decode("latin-1")) for name, value in raw])

    def __getitem__(self, name: str) -> str:
        return ", ".join(self._index[name.lower()])

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str) and name.lower() in self._index

    def __iter__(self) -> Iterator[str]:
        return iter(self._index)

    def __len__(self) -> int:
        return len(self._index)

    def all(self, name: str) -> list[str]:
        """Every value of a name, in order; empty when there is none."""
        return list(self._index.get(name.lower(), ()))

    @property
    def pairs(self) -> Sequence[tuple[str, str]]:
        """Every field in order, names as they were written."""
        return self._pairs

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self._pairs!r})"


class ResponseHeaders(Headers):
    """Header fields of a response, checked as they are set.

    Args:
        pairs: as for `Headers`; checked already.
    """

    __slots__ = ()

    def add(self, name: str, value: str) -> None:
        """Add a field beside those of the same name.

        Raises:
            ValueError: see `check_header`.
        """
        check_header(name, value)
        self._pairs.append((name, value))
        self._index.setdefault(name.lower(), []).append(value)

    def set(self, name: str, value: str) -> None:
        """Put one field in the place of all of that name.

        Raises:
            ValueError: see `check_header`.
        """
        check_header(name, value)
        self.remove(name)
        self.add(name, value)

    def remove(self, name: str) -> None:
        """Remove every field of that name, if there is any."""
        lowered = name.lower()
        if self._index.pop(lowered, None) is not None:
            self._pairs[:] = [pair for pair in self._pairs if pair[0].lower() != lowered]


def check_header(name: str, value: str) -> None:
    """Check a field of a response.

    Raises:
        ValueError: the name is no token, the value is not printable ASCII, or the field is not a handler's to set.
    """
    if not _TOKEN.fullmatch(name):
        raise ValueError(f"{name!r} is not the name of a header")
    if not _VALUE.fullmatch(value):
        raise ValueError(f"the value of header '{name}' is not printable ASCII: {value!r}")
    lowered = name.lower()
    if lowered in _FRAMING:
        raise ValueError(f"the header '{name}' belongs to the engine; for Connection use close=True")
    if lowered == "content-type":
        raise ValueError("the content type is an attribute of the response; set content_type")


@lru_cache(maxsize=256)
def check_content_type(value: str) -> None:
    """Check the content type of a response. There are few of them, so what was found fit is kept.

    Raises:
        ValueError: it is not printable ASCII.
    """
    check_header("x-content-type", value)
