"""Is the service alive, and is it ready for work? What `/livez` and `/readyz` answer. Pure.

1. Alive is who answers at all. What is wrong with a plugin is no reason to be killed: a restart heals no syslog server.
2. Ready is a service that is not about to end and whose plugins all run; only the enabled ones count. One that is
   degraded or failed takes readiness away, unless the question excludes it: `/readyz?exclude=log.syslog`.
3. The short form says nothing about plugins, so that it can be for everybody. With `verbose` each has its line, in the
   form that Kubernetes made known, or its object in JSON. Causes may name files and hosts: that form is for operators.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from typing import NamedTuple

import msgspec

from mtev_kernel import PluginRecord

__all__ = ["HEALTH_TYPES", "Health", "livez", "readyz"]

HEALTH_TYPES = ("text/plain", "application/json")
"""The forms of the answers; for `choose_type`, and where the client accepts none of them, the first."""

_NOT_ENABLED = frozenset(("found", "refused", "disabled"))
_CAUSE_LIMIT = 300


class Health(NamedTuple):
    """An answer.

    Attributes:
        status: 200 or 503.
        body: UTF-8.
        content_type: of the body.
    """

    status: int
    body: bytes
    content_type: str


def livez(*, json: bool = False) -> Health:
    """The answer of whoever is alive.

    Args:
        json: rather than text.
    """
    return _answer(True, ["ok"], {"status": "ok"}, json)


def readyz(
    plugins: Iterable[PluginRecord],
    *,
    draining: bool = False,
    verbose: bool = False,
    exclude: Collection[str] = (),
    json: bool = False,
) -> Health:
    """Whether the service is ready.

    Args:
        plugins: every plugin, enabled or not.
        draining: whether the service is about to end.
        verbose: say which plugin is not ready, and why.
        exclude: names of plugins that do not count. Those that nobody has are ignored.
        json: rather than text.
    """
    enabled = [each for each in plugins if each.state not in _NOT_ENABLED or (each.where and each.state == "refused")]
    ready = not draining and all(each.state == "running" or each.name in exclude for each in enabled)
    told = "draining" if draining else "ok" if ready else "not ready"
    if not verbose:
        return _answer(ready, [told], {"status": told}, json)
    lines = [_line(each, each.name in exclude) for each in enabled]
    if draining:
        lines.append("[-]service draining")
    lines.append(f"readyz check {'passed' if ready else 'failed'}")
    data = {"status": told, "plugins": [_data(each, each.name in exclude) for each in enabled]}
    return _answer(ready, lines, data, json)


def _line(record: PluginRecord, excluded: bool) -> str:
    if excluded:
        return f"[+]{record.name} excluded: {_state(record)}"
    return f"[{'+' if record.state == 'running' else '-'}]{record.name} {_state(record)}"


def _state(record: PluginRecord) -> str:
    if record.state == "running":
        return "ok"
    cause = _cause(record)
    return f"{record.state}: {cause}" if cause else record.state


def _data(record: PluginRecord, excluded: bool) -> dict[str, object]:
    data: dict[str, object] = {"name": record.name, "ready": record.state == "running", "state": record.state}
    if cause := _cause(record):
        data["cause"] = cause
    if excluded:
        data["excluded"] = True
    return data


def _cause(record: PluginRecord) -> str:
    """Why it is as it is, on one bounded, printable line."""
    text = " ".join(record.cause.split())[:_CAUSE_LIMIT]
    return "".join(character if character.isprintable() else "?" for character in text)


def _answer(ready: bool, lines: Sequence[str], data: object, json: bool) -> Health:
    status = 200 if ready else 503
    if json:
        return Health(status, msgspec.json.encode(data) + b"\n", HEALTH_TYPES[1])
    text = "".join(f"{line}\n" for line in lines)
    return Health(status, text.encode("utf-8", "replace"), f"{HEALTH_TYPES[0]}; charset=utf-8")
