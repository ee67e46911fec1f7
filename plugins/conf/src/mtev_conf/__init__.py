"""mtev-conf: the XML configuration of a service, as plugins read it.

How a plugin does:

    configuration = context.services.require(Configuration)
    for listener in configuration.sections("listeners//listener"):
        if listener.enabled:
            port = listener.integer("port", minimum=0, maximum=65535)
"""

from __future__ import annotations

from ._configuration import Configuration
from ._section import Section
from ._values import parse_boolean, parse_integer, parse_number

__all__ = ["Configuration", "Section", "parse_boolean", "parse_integer", "parse_number"]
