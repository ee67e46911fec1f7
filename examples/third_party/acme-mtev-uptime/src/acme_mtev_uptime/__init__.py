"""acme-mtev-uptime: how long a service has been up, and a hook point for when it reaches a milestone."""

from __future__ import annotations

from .hookspecs import acme_uptime_reached
from .uptime import Uptime

__all__ = ["Uptime", "acme_uptime_reached"]
