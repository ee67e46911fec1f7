"""The plugin: offers HTTP/2 to the listener, for what mtev-http serves."""

from __future__ import annotations

from mtev_http import EngineHost
from mtev_kernel import ConfigurationError, Plugin
from mtev_listener import Listeners

from .engine import PREFACE, Http2Engine

__all__ = ["Http2Plugin"]


class Http2Plugin(Plugin):
    """HTTP/2 on listeners of the types `http_rest_api` and `control_dispatch`; see the package's text."""

    def configure(self) -> None:
        """Register with the listener."""
        if self.context.config:
            raise ConfigurationError(
                f"the plugin 'http2' has no options, but its <config> has {', '.join(sorted(self.context.config))}; "
                "its limits are those of <rest>",
                self.context.where,
            )
        host = self.context.services.require(EngineHost)
        listeners = self.context.services.require(Listeners)
        protocol = host.serve(Http2Engine)
        for dispatch in ("http_rest_api", "control_dispatch"):
            listeners.register_type(f"{dispatch}/alpn:h2", protocol, summary="REST over HTTP/2, by ALPN")
        listeners.register_command(
            "control_dispatch", PREFACE[:4], protocol, name="mtev_wire_rest_api_h2", version="1.0"
        )
        host.recognize(PREFACE, protocol)
