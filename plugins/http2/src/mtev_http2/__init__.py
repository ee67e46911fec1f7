"""mtev-http2: the routes of mtev-http over HTTP/2.

Enable the plugin `http2` beside `http`: clients that offer `h2` by ALPN, or begin with the preface of HTTP/2, get it.
"""

from __future__ import annotations

from .engine import Http2Engine

__all__ = ["Http2Engine"]
