"""mtev-conf: the XML configuration of a service, as plugins read and change it.

How a plugin reads:

    configuration = context.services.require(Configuration)
    for listener in configuration.sections("listeners//listener"):
        if listener.enabled:
            port = listener.integer("port", minimum=0, maximum=65535)

How it changes something, all of it or nothing:

    with configuration.transaction("acme", "found a better port") as change:
        change.set(listener, "port", "8081")
    configuration.request_write()

And how it follows changes, of which it may refuse what it could not work with:

    @hookimpl
    def mtev_conf_changing(self, proposal: Proposal) -> None: ...

    @hookimpl
    def mtev_conf_changed(self, event: ChangeEvent) -> None: ...
"""

from __future__ import annotations

from ._apply import Pending
from ._configuration import Configuration
from ._disk.commit import Conflict
from ._editing.changes import Change
from ._events import ChangeEvent, ChangeRefused, Proposal
from ._history import Generation
from ._section import Section
from ._transaction import Transaction
from ._values.duration import format_duration, parse_duration, parse_duration_s
from ._values.facilities import Facilities
from ._values.secret import Secret
from ._values.values import parse_boolean, parse_enumeration, parse_integer, parse_number, parse_path, parse_size

__all__ = [
    "Change",
    "ChangeEvent",
    "ChangeRefused",
    "Configuration",
    "Conflict",
    "Facilities",
    "Generation",
    "Pending",
    "Proposal",
    "Secret",
    "Section",
    "Transaction",
    "format_duration",
    "parse_boolean",
    "parse_duration",
    "parse_duration_s",
    "parse_enumeration",
    "parse_integer",
    "parse_number",
    "parse_path",
    "parse_size",
]
