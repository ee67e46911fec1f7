"""How long something has been up, and which milestone comes next. Pure: whoever asks brings the time."""

from __future__ import annotations

from dataclasses import dataclass

from .settings import Settings

__all__ = ["Uptime"]


@dataclass(slots=True)
class Uptime:
    """The uptime of one service.

    Args:
        settings: label and milestones; may be replaced at any time.
        began: when it started, on a monotonic clock, in seconds.
        told: the last milestone that others were told of; 0 before the first.
    """

    settings: Settings
    began: float = 0.0
    told: float = 0.0

    def seconds(self, now: float) -> float:
        """How long it has been up."""
        return max(now - self.began, 0.0)

    def wait_s(self, now: float) -> float | None:
        """How long to wait for the next milestone, 0 when it is due; None when there is none."""
        ahead = [each for each in self.settings.milestones_s if each > self.told]
        return max(ahead[0] - self.seconds(now), 0.0) if ahead else None

    def reach(self, now: float) -> float | None:
        """The next milestone if it is due; it then counts as told."""
        if self.wait_s(now) != 0.0:
            return None
        self.told = min(each for each in self.settings.milestones_s if each > self.told)
        return self.told

    def show(self, now: float) -> dict[str, object]:
        """Everything, as JSON-able data."""
        milestones = self.settings.milestones_s
        return {
            "label": self.settings.label,
            "seconds": round(self.seconds(now), 3),
            "reached": [each for each in milestones if each <= self.told],
            "ahead": [each for each in milestones if each > self.told],
        }
