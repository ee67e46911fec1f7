"""mtev-http-observer: which requests are under way, which were just answered, and where their time went.

from mtev_http_observer import note

async def handler(request: Request) -> Response:
    note(request, "cache", "hit")       # a field of this request in requests.json
"""

from __future__ import annotations

from .entry import Entry
from .filters import Filter
from .notes import note
from .observer import HttpObserver
from .settings import Settings

__all__ = ["Entry", "Filter", "HttpObserver", "Settings", "note"]
