"""What the `<config>` of a console listener may say."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from mtev_conf import parse_integer

__all__ = ["Settings"]

_DAY_MS = 24 * 60 * 60 * 1000


@dataclass(frozen=True, slots=True)
class Settings:
    """Options of one console listener.

    Args:
        telnet: speak the telnet protocol; otherwise bytes are taken and sent as they are.
        max_sessions: the most sessions of this listener at one time.
        stall_timeout_s: how long a client may leave output unread before it is cut off.
    """

    telnet: bool = False
    max_sessions: int = 32
    stall_timeout_s: float = 30.0

    @classmethod
    def parse(cls, config: Mapping[str, str]) -> Settings:
        """Read the options; keys that are not the console's are left to whom they concern.

        Args:
            config: the listener's merged `<config>`.

        Raises:
            ValueError: a value is none that the option may have; the text says which.
        """
        protocol = config.get("line_protocol", "raw").strip().casefold()
        if protocol not in ("raw", "telnet"):
            raise ValueError(f"line_protocol '{config['line_protocol']}' is neither 'telnet' nor 'raw'")
        return cls(
            telnet=protocol == "telnet",
            max_sessions=_integer(config, "max_sessions", 32, 1, 10_000),
            stall_timeout_s=_integer(config, "stall_timeout", 30_000, 100, _DAY_MS) / 1000,
        )


def _integer(config: Mapping[str, str], name: str, default: int, minimum: int, maximum: int) -> int:
    if name not in config:
        return default
    try:
        return parse_integer(config[name], minimum, maximum)
    except ValueError as error:
        raise ValueError(f"{name}: {error}") from error
