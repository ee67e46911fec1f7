"""The grammar of `<layer>`: which versions and options of TLS. Pure.

    <layer>tlsv1:all,>=tlsv1.2,cipher_server_preference</layer>

What stands before the colon has no meaning, in libmtev neither. Options are taken from left to right, without regard to
case: `>=V`, `<=V` and `=V` bound the version, `!V` switches one off and `V` on again, `all` is OpenSSL's set of
work-arounds for old peers, `!all` is without it, `cipher_server_preference` lets the server's order of ciphers count.

Rules:

1. There is always a least version. Where libmtev would have none (no colon, or no `>=`), it is TLS 1.2.
2. A least version below TLS 1.2 has to be said in so many words, `>=` or `=`, and then there is a warning. SSL 2 and 3
   do not exist any more: `!sslv3` is granted, everything else about them refused.
3. A word that means nothing is an error, with the nearest one that does.
"""

from __future__ import annotations

import ssl
from dataclasses import dataclass, field
from difflib import get_close_matches
from ssl import TLSVersion

__all__ = ["DEFAULT_LAYER", "VERSIONS", "Layer", "parse_layer"]

DEFAULT_LAYER = "tlsv1:all,>=tlsv1.2,!all,!sslv3,!sslv2"
"""libmtev's, and ours: TLS 1.2 and up."""

VERSIONS = {
    "tlsv1": TLSVersion.TLSv1,
    "tlsv1.1": TLSVersion.TLSv1_1,
    "tlsv1.2": TLSVersion.TLSv1_2,
    "tlsv1.3": TLSVersion.TLSv1_3,
}
_SWITCHES = {
    "tlsv1": ssl.OP_NO_TLSv1,
    "tlsv1.1": ssl.OP_NO_TLSv1_1,
    "tlsv1.2": ssl.OP_NO_TLSv1_2,
    "tlsv1.3": ssl.OP_NO_TLSv1_3,
}
_GONE = ("sslv2", "sslv3")
_WORDS = (*VERSIONS, "all", "cipher_server_preference")


@dataclass(frozen=True, slots=True)
class Layer:
    """What a `<layer>` asks for.

    Args:
        minimum: the least version.
        maximum: the greatest version; `MAXIMUM_SUPPORTED` for no bound.
        switched_off: versions strictly between the two that are not spoken, as OpenSSL's options.
        workarounds: OpenSSL's set of work-arounds for faults of old peers.
        server_preference: the server's order of ciphers counts, not the client's.
        warnings: what the operator should know.
    """

    minimum: TLSVersion = TLSVersion.TLSv1_2
    maximum: TLSVersion = TLSVersion.MAXIMUM_SUPPORTED
    switched_off: ssl.Options = ssl.Options(0)  # noqa: RUF009  # an immutable flag
    workarounds: bool = False
    server_preference: bool = False
    warnings: tuple[str, ...] = field(default=(), compare=False)


def parse_layer(text: str = DEFAULT_LAYER) -> Layer:
    """Parse a layer.

    Args:
        text: as above; options after the first colon, with commas between.

    Raises:
        ValueError: an option means nothing, or they leave no version.
    """
    _, colon, rest = text.partition(":")
    words = [word.strip().lower() for word in rest.split(",")] if colon else []
    reading = _Reading()
    for word in words:
        if word:
            reading.take(word)
    return reading.layer(text)


class _Reading:
    """The options up to some point."""

    def __init__(self) -> None:
        self._minimum: TLSVersion | None = None
        self._maximum = TLSVersion.MAXIMUM_SUPPORTED
        self._off = ssl.Options(0)
        self._workarounds = False
        self._preference = False

    def take(self, word: str) -> None:
        """One more option."""
        for sign in (">=", "<=", "="):
            if word.startswith(sign):
                self._bound(sign, word)
                return
        negative, name = word.startswith("!"), word.removeprefix("!").strip()
        if name in _SWITCHES:
            self._off = self._off | _SWITCHES[name] if negative else self._off & ~_SWITCHES[name]
        elif name in _GONE and negative:
            pass  # they are not spoken anyway
        elif name in _GONE:
            raise ValueError(f"'{word}': {name} is broken, and no library here speaks it; leave it out")
        elif name == "all":
            self._workarounds = not negative
        elif name == "cipher_server_preference":
            self._preference = not negative
        else:
            raise ValueError(f"'{word}' is no option of a layer{_hint(name)}")

    def layer(self, text: str) -> Layer:
        """What they come to."""
        minimum = self._minimum or TLSVersion.TLSv1_2
        spoken = [
            each
            for name, each in VERSIONS.items()
            if minimum <= each <= self._highest and not _SWITCHES[name] & self._off
        ]
        if not spoken:
            least = "" if self._minimum else " (the least version is TLS 1.2 where none is stated)"
            raise ValueError(f"'{text}' leaves no version of TLS to speak{least}")
        warnings = []
        if spoken[0] < TLSVersion.TLSv1_2:
            warnings.append(f"'{text}' allows versions of TLS that are broken; the least safe one is tlsv1.2")
        open_ended = spoken[-1] == TLSVersion.TLSv1_3 and self._maximum == TLSVersion.MAXIMUM_SUPPORTED
        between = [name for name, each in VERSIONS.items() if spoken[0] < each < spoken[-1] and each not in spoken]
        off = ssl.Options(0)
        for name in between:
            off |= _SWITCHES[name]
        maximum = TLSVersion.MAXIMUM_SUPPORTED if open_ended else spoken[-1]
        return Layer(spoken[0], maximum, off, self._workarounds, self._preference, tuple(warnings))

    @property
    def _highest(self) -> TLSVersion:
        return TLSVersion.TLSv1_3 if self._maximum == TLSVersion.MAXIMUM_SUPPORTED else self._maximum

    def _bound(self, sign: str, word: str) -> None:
        name = word.removeprefix(sign).strip()
        version = VERSIONS.get(name)
        if version is None:
            gone = f"; {name} is broken, and no library here speaks it" if name in _GONE else ""
            raise ValueError(f"'{word}': '{name}' is no version; expected one of {', '.join(VERSIONS)}{gone}")
        if sign != "<=":
            self._minimum = version
        if sign != ">=":
            self._maximum = version


def _hint(name: str) -> str:
    near = get_close_matches(name, _WORDS, n=1)
    return (
        f"; did you mean '{near[0]}'?" if near else f"; expected versions ({', '.join(VERSIONS)}), all or {_WORDS[-1]}"
    )
