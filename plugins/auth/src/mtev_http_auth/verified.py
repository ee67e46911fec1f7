"""Which users and passwords were verified lately, so that not each request costs a hash. Holds no password.

What is kept is an HMAC, under a key that is made at the start and never leaves the process, of the user, the password
and the hash that it was verified against: when the hash changes, what was verified before does not count any more.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
import threading
from collections import OrderedDict

__all__ = ["Verified"]


class Verified:
    """Thread-safe. Bounded; the entry that was added first makes room.

    Args:
        lifetime_s: for how long an entry counts, in seconds; 0 keeps none.
        entries: how many there are at most.
    """

    def __init__(self, lifetime_s: float, entries: int = 1024) -> None:
        self._lifetime_s = lifetime_s
        self._entries = entries
        self._key = secrets.token_bytes(32)
        self._until: OrderedDict[bytes, float] = OrderedDict()
        self._lock = threading.Lock()

    def __len__(self) -> int:
        return len(self._until)

    def key_of(self, user: str, password: str, against: str) -> bytes:
        """What a password of a user goes by here.

        Args:
            user: whose it is.
            password: as it was shown.
            against: the hash that it is, or was, verified against.
        """
        mac = hmac.new(self._key, digestmod=hashlib.sha256)
        for part in (user, password, against):
            raw = part.encode("utf-8", "surrogateescape")
            mac.update(len(raw).to_bytes(4, "big") + raw)  # with lengths, so that no two triples look alike
        return mac.digest()

    def knows(self, key: bytes, now_s: float) -> bool:
        """Whether it was verified lately."""
        with self._lock:
            until_s = self._until.get(key)
            if until_s is None:
                return False
            if until_s <= now_s:
                del self._until[key]
                return False
            return True

    def add(self, key: bytes, now_s: float) -> None:
        """It was verified now. Using an entry does not prolong it: the hash is asked again in the end."""
        if self._lifetime_s <= 0:
            return
        with self._lock:
            self._until[key] = now_s + self._lifetime_s
            self._until.move_to_end(key)
            if len(self._until) > self._entries:
                self._until.popitem(last=False)
