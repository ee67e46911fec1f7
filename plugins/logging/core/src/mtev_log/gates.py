"""Rate limits and de-duplication: which lines of a stream are held back. Pure; time comes with the lines.

Rules:

1. A rate limit of n lines a period lets a burst of n pass, and then one line each `period / n` (a token bucket).
2. De-duplication holds back a line whose text, facility, fields and exception are those of the line before, for a
   window that begins with the one that passed.
3. What was held back is counted, and said in one line as soon as another line passes, or the window is over.
4. Time is that of the lines; when it goes backwards, a gate begins anew.

Not thread-safe: each writer has its own.
"""

from __future__ import annotations

from dataclasses import dataclass

from .record import Record

__all__ = ["Gate", "GateSettings", "parse_rate"]

_SECOND_NS = 1_000_000_000
_PERIODS = {"s": 1, "min": 60, "h": 3600}


@dataclass(frozen=True, slots=True)
class GateSettings:
    """What a `<log>` says about holding lines back.

    Args:
        rate_lines: how many lines may pass in a period; 0 for any number.
        rate_period_s: the period, in seconds.
        dedup_s: for how long the same line is held back, in seconds; 0 for never.
    """

    rate_lines: int = 0
    rate_period_s: int = 1
    dedup_s: float = 0.0

    def __bool__(self) -> bool:
        return bool(self.rate_lines or self.dedup_s)


class Gate:
    """The gate of one stream in front of one sink.

    Args:
        stream: the stream's name, for what is said.
        settings: what it holds back.

    Attributes:
        settings: as given.
        suppressed: how many lines it held back altogether.
    """

    def __init__(self, stream: str, settings: GateSettings) -> None:
        self.settings = settings
        self.suppressed = 0
        self._stream = stream
        self._limited = 0
        self._repeated = 0
        self._repeated_text = ""
        self._last: Record | None = None
        self._window_ns = int(settings.dedup_s * _SECOND_NS)
        self._token_ns = settings.rate_period_s * _SECOND_NS // max(settings.rate_lines, 1)
        self._full_ns = self._token_ns * max(settings.rate_lines, 1)
        self._credit_ns = self._full_ns
        self._seen_ns = 0

    def admit(self, record: Record) -> bool:
        """Whether a line passes. When it does, ask `summary` first what to say before it."""
        if self._window_ns and self._same(record):
            self._repeated += 1
            self._repeated_text = record.message
            self.suppressed += 1
            return False
        if self.settings.rate_lines and not self._has_credit(record.time_ns):
            self._limited += 1
            self.suppressed += 1
            return False
        self._last = record
        return True

    def summary(self, now_ns: int, *, passing: bool = False) -> Record | None:
        """What to say about lines that were held back, if it is time to.

        Args:
            now_ns: the time of the line that passes, or of the clock.
            passing: whether a line is about to pass, so that it is time.
        """
        last = self._last
        if not (self._repeated or self._limited):
            return None
        if not passing and last is not None:
            over = abs(now_ns - last.time_ns)
            if over < max(self._window_ns, self._token_ns if self._limited else 0):
                return None
        parts = []
        if self._repeated:
            parts.append(f"repeated {self._repeated} times: {self._repeated_text[:200]}")
        if self._limited:
            parts.append(f"{self._limited} lines were held back by the rate limit of '{self._stream}'")
        self._repeated = self._limited = 0
        return Record(now_ns, self._stream, "; ".join(parts))

    @property
    def pending(self) -> bool:
        """Whether something was held back that has not been said yet."""
        return bool(self._repeated or self._limited)

    def _same(self, record: Record) -> bool:
        last = self._last
        return (
            last is not None
            and 0 <= record.time_ns - last.time_ns < self._window_ns
            and record.message == last.message
            and record.facility == last.facility
            and record.exception == last.exception
            and record.fields == last.fields
        )

    def _has_credit(self, now_ns: int) -> bool:
        passed = now_ns - self._seen_ns
        self._credit_ns = self._full_ns if passed < 0 else min(self._full_ns, self._credit_ns + passed)
        self._seen_ns = now_ns
        if self._credit_ns < self._token_ns:
            return False
        self._credit_ns -= self._token_ns
        return True


def parse_rate(text: str) -> tuple[int, int]:
    """A rate such as `100/s`, `5/min` or `1000/h`.

    Returns:
        Lines, and the period in seconds.

    Raises:
        ValueError: it is something else.
    """
    lines, slash, period = text.strip().partition("/")
    lines, period = lines.strip(), period.strip()
    if not (slash and lines.isascii() and lines.isdigit() and len(lines) <= 9 and int(lines) and period in _PERIODS):
        raise ValueError(f"'{text}' is not a rate; expected lines per s, min or h, such as '100/s'")
    return int(lines), _PERIODS[period]
