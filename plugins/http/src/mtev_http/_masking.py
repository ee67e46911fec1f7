"""Whether a websocket's client masks its frames, as it must (RFC 6455, section 5.1). Pure.

For codecs that do not look: it reads the headers of frames, and skips what is between them.
"""

from __future__ import annotations

__all__ = ["MaskCheck"]

_SIZES = {126: 2, 127: 8}
_MASK_BYTES = 4


class MaskCheck:
    """Follows the frames of one client."""

    __slots__ = ("_head", "_skip")

    def __init__(self) -> None:
        self._head = b""
        self._skip = 0

    def feed(self, data: bytes) -> bool:
        """Take what the client sent.

        Returns:
            False as soon as a frame is not masked.
        """
        position, size = 0, len(data)
        while position < size:
            if self._skip:
                skipped = min(self._skip, size - position)
                self._skip -= skipped
                position += skipped
                continue
            missing = self._wanted() - len(self._head)
            self._head += data[position : position + missing]
            position += missing
            if len(self._head) >= 2:
                if not self._head[1] & 0x80:
                    return False
                if len(self._head) == self._wanted():
                    self._skip = self._payload() + _MASK_BYTES
                    self._head = b""
        return True

    def _wanted(self) -> int:
        return 2 + _SIZES.get(self._head[1] & 0x7F, 0) if len(self._head) >= 2 else 2

    def _payload(self) -> int:
        short = self._head[1] & 0x7F
        return int.from_bytes(self._head[2:], "big") if short in _SIZES else short
