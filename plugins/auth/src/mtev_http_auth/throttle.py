"""How often one peer may try: a bucket of attempts for each address, in constant memory. Pure, without a clock.

1. A peer has `burst` attempts; every `period_s` it gets one back, up to `burst`.
2. An attempt is taken before it is made, so trying many times at once gains nothing; one that succeeds is returned.
3. An address of IPv6 counts by its first 64 bits, which is what one customer has.
4. The table holds so many addresses. The one that has not tried for longest makes room: its bucket is nearly full, so
   little is forgotten.

One number for each address is enough (the generic cell rate algorithm): the moment at which its bucket is full again.
"""

from __future__ import annotations

import ipaddress
import threading
from collections import OrderedDict

__all__ = ["Throttle", "address_of"]

_ADDRESSES = 4096


class Throttle:
    """Thread-safe.

    Args:
        burst: attempts in a row, 1 or more.
        period_s: how long it takes to get one back, in seconds; above 0.
        addresses: how many addresses are remembered.
    """

    def __init__(self, burst: int, period_s: float, addresses: int = _ADDRESSES) -> None:
        self._burst = burst
        self._period_s = period_s
        self._addresses = addresses
        self._full_at: OrderedDict[str, float] = OrderedDict()
        self._lock = threading.Lock()

    def __len__(self) -> int:
        return len(self._full_at)

    def take(self, address: str, now_s: float) -> float:
        """Take an attempt.

        Args:
            address: see `address_of`.
            now_s: a clock that does not go back, in seconds.

        Returns:
            0 when it may be made; else how long to wait for the next one, in seconds, and nothing was taken.
        """
        with self._lock:
            full_at = max(self._full_at.get(address, now_s), now_s)
            wait_s = full_at - now_s - (self._burst - 1) * self._period_s
            if wait_s > 1e-9:
                self._full_at.move_to_end(address)
                return wait_s
            self._full_at[address] = full_at + self._period_s
            self._full_at.move_to_end(address)
            if len(self._full_at) > self._addresses:
                self._full_at.popitem(last=False)
            return 0.0

    def give_back(self, address: str) -> None:
        """Return an attempt that was taken: it was a success."""
        with self._lock:
            if address in self._full_at:
                self._full_at[address] -= self._period_s


def address_of(peer: tuple[str, int] | str | None) -> str:
    """What a peer counts under: its IPv4 address, the first 64 bits of its IPv6 address, or `unix`."""
    if not isinstance(peer, tuple):
        return "unix"
    try:
        address = ipaddress.ip_address(peer[0].partition("%")[0])
    except ValueError:
        return peer[0][:64]
    if isinstance(address, ipaddress.IPv6Address):
        if address.ipv4_mapped is None:
            return str(ipaddress.IPv6Address(int(address) >> 64 << 64))
        address = address.ipv4_mapped
    return str(address)
