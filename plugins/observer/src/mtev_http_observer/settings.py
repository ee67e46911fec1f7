"""What the `<config>` of the plugin says, as plain data."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from mtev_kernel import ConfigurationError

from .entry import OWN_FIELDS

__all__ = ["SENSITIVE", "Settings", "read"]

SENSITIVE = re.compile(r"auth(?!or\b)|cookie|credential|passw|secret|session|signature|token|api-?key|client-cert")
"""What the names of headers have in them that carry secrets: those are not shown unless the configuration insists."""

_IN, _OUT = "header_in_", "header_out_"
_PLAIN = ("max_count", "max_age", "sensitive_headers")
_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9a-z-]{1,64}")
_FIELD = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]{0,63}")
_MAX_COUNT = 1_000_000
_MAX_AGE_S = 1e9
_MAX_HEADERS = 16
_SWITCH = {"true": True, "on": True, "yes": True, "1": True, "false": False, "off": False, "no": False, "0": False}


@dataclass(frozen=True, slots=True)
class Settings:
    """What is remembered, and for how long.

    Args:
        max_count: how many requests that are done with, and how many that are under way.
        max_age_s: for how many seconds after their end.
        headers_in: fields of requests, by their names in lower case, and what each is shown as.
        headers_out: the same of responses.
    """

    max_count: int = 10_000
    max_age_s: float = 30.0
    headers_in: Mapping[str, str] = field(default_factory=dict)
    headers_out: Mapping[str, str] = field(default_factory=dict)


def read(config: Mapping[str, str], where: str) -> Settings:
    """Read a `<config>`.

    Args:
        config: its names and values.
        where: what to say that it stands at.

    Raises:
        ConfigurationError: something in it cannot be meant.
    """
    sensitive = _switch(config, where)
    headers: dict[str, dict[str, str]] = {_IN: {}, _OUT: {}}
    for name, value in config.items():
        prefix = next((each for each in headers if name.startswith(each)), None)
        if prefix is not None:
            header = name.removeprefix(prefix).lower()
            _check(name, header, value, sensitive, where)
            headers[prefix][header] = value
        elif name not in _PLAIN:
            raise _error(where, f"<{name}> is not known; expected {', '.join(_PLAIN)}, {_IN}NAME or {_OUT}NAME")
    for prefix, found in headers.items():
        if len(found) > _MAX_HEADERS:
            raise _error(where, f"more than {_MAX_HEADERS} of {prefix}NAME")
    default = Settings()
    count = _number(config, "max_count", default.max_count, 1, _MAX_COUNT, where)
    if count != int(count):
        raise _error(where, f"<max_count>{config['max_count']}</max_count>: expected a whole number")
    age = _number(config, "max_age", default.max_age_s, 0, _MAX_AGE_S, where)
    return Settings(int(count), age, headers[_IN], headers[_OUT])


def _check(name: str, header: str, value: str, sensitive: bool, where: str) -> None:
    if not _TOKEN.fullmatch(header):
        raise _error(where, f"<{name}>: '{header}' is not the name of a header")
    if not _FIELD.fullmatch(value):
        raise _error(where, f"<{name}>: '{value}' is not the name of a field: letters, digits, _ . -, 64 at most")
    if value in OWN_FIELDS:
        raise _error(where, f"<{name}>: the field '{value}' means something else already; choose another name")
    if SENSITIVE.search(header) and not sensitive:
        raise _error(
            where,
            f"<{name}>: '{header}' carries secrets, which everybody who may see requests.json would see; "
            "leave it out, or write <sensitive_headers>on</sensitive_headers> beside it",
        )


def _number(config: Mapping[str, str], name: str, default: float, minimum: float, maximum: float, where: str) -> float:
    text = config.get(name)
    if text is None:
        return default
    try:
        value = float(text)
    except ValueError:
        value = float("nan")
    if not minimum <= value <= maximum:
        raise _error(where, f"<{name}>{text}</{name}>: expected a number from {minimum:g} to {maximum:.0f}")
    return value


def _switch(config: Mapping[str, str], where: str) -> bool:
    text = config.get("sensitive_headers", "off")
    value = _SWITCH.get(text.strip().lower())
    if value is None:
        raise _error(where, f"<sensitive_headers>{text}</sensitive_headers>: expected on or off")
    return value


def _error(where: str, message: str) -> ConfigurationError:
    return ConfigurationError(f"the <config> of plugin 'http_observer' (mtev-http-observer): {message}", where)
