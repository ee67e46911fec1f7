"""Settings: the `<listeners>` stanza as plain data, checked to the last attribute. Pure; opens nothing.

Every attribute may stand on the `<listener>` or on any element round it, and the nearest counts. Keys of `<config>`
other than those named in `CONFIG_KEYS` belong to the protocol and are passed on as they are.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches
from ipaddress import IPv4Network, IPv6Network, ip_network
from types import MappingProxyType
from typing import Literal, TypeVar

from mtev_conf import Configuration, Section, parse_boolean, parse_enumeration, parse_integer
from mtev_kernel.errors import ConfigurationError
from mtev_tls import TlsSettings, read_tls

from ._address import TcpAddress, UnixAddress, parse_address

__all__ = ["ATTRIBUTES", "CONFIG_KEYS", "ListenerSettings", "Reading", "read_listeners"]

ATTRIBUTES = (
    "accept",
    "accept_thread",
    "address",
    "backlog",
    "fanout",
    "fanout_pool",
    "group",
    "mode",
    "owner",
    "port",
    "require_env",
    "ssl",
    "systemd",
    "type",
)
"""What a `<listener>` may say."""

CONFIG_KEYS = (
    "command_timeout",
    "handshake_timeout",
    "idle_timeout",
    "max_connections",
    "max_connections_per_peer",
    "no_delay",
    "proxy_from",
    "proxy_protocol",
)
"""The keys of `<config>` that the listener itself obeys."""

DEFAULT_ADDRESS = "127.0.0.1"
DEFAULT_BACKLOG = 1024
DEFAULT_COMMAND_TIMEOUT_MS = 10_000
DEFAULT_HANDSHAKE_TIMEOUT_MS = 10_000
DEFAULT_MAX_CONNECTIONS = 10_000
DEFAULT_PROXY_FROM = "127.0.0.0/8,::1/128"

Fanout = Literal["", "round_robin", "least_loaded", "peer"]
Accept = Literal["one", "each"]
ProxyVersion = Literal["off", "v1", "v2", "any"]

_FANOUTS: Mapping[str, Fanout] = {"round_robin": "round_robin", "least_loaded": "least_loaded", "peer": "peer"}
_ACCEPTS: Mapping[str, Accept] = {"one": "one", "each": "each"}
_PROXIES: Mapping[str, ProxyVersion] = {"off": "off", "v1": "v1", "v2": "v2", "any": "any"}
_LARGEST = 2**31 - 1
_LARGEST_PORT = 65535
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class ListenerSettings:
    """One `<listener>`.

    Args:
        type: which protocol it speaks.
        address: where it listens.
        where: `file:line` of the element.
        backlog: how many connections the system keeps waiting to be accepted.
        fanout: how connections are spread over the loops of the pool; "" keeps them on the accepting loop.
        fanout_pool: name of that pool; `""` for the default one.
        no_delay: send small packets at once (TCP_NODELAY).
        idle_timeout_s: close a connection on which nothing was read or written for that long; 0 means never.
        max_connections: refuse further ones beyond that many; 0 means no limit.
        command_timeout_s: how long `control_dispatch` waits for its four bytes.
        accept_thread: accept on a thread of its own, instead of on a loop.
        accept: `one` socket for all loops, or `each` loop of the pool its own (SO_REUSEPORT).
        systemd: name of the socket that systemd has opened; `""` for none.
        max_connections_per_peer: refuse further ones of the same address beyond that many; 0 means no limit.
        handshake_timeout_s: how long the TLS handshake may take, and the PROXY header before it.
        proxy_protocol: `off`, or which version of the PROXY protocol every connection begins with.
        proxy_from: who may speak it; of others the header is not read.
        tls: how to speak TLS; None for not at all.
        config: the merged `<config>`, for the protocol.
    """

    type: str
    address: TcpAddress | UnixAddress
    where: str = ""
    backlog: int = DEFAULT_BACKLOG
    fanout: Fanout = ""
    fanout_pool: str = ""
    no_delay: bool = True
    idle_timeout_s: float = 0.0
    max_connections: int = DEFAULT_MAX_CONNECTIONS
    command_timeout_s: float = DEFAULT_COMMAND_TIMEOUT_MS / 1000
    accept_thread: bool = False
    accept: Accept = "one"
    systemd: str = ""
    max_connections_per_peer: int = 0
    handshake_timeout_s: float = DEFAULT_HANDSHAKE_TIMEOUT_MS / 1000
    proxy_protocol: ProxyVersion = "off"
    proxy_from: tuple[IPv4Network | IPv6Network, ...] = ()
    tls: TlsSettings | None = None
    config: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        object.__setattr__(self, "config", MappingProxyType(dict(self.config)))  # connections share it


@dataclass(slots=True)
class Reading:
    """What came out of a stanza: the listeners that are in force, all that is wrong, and what is only odd."""

    listeners: list[ListenerSettings] = field(default_factory=list)
    problems: list[ConfigurationError] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)


def read_listeners(configuration: Configuration) -> Reading:
    """Read every `<listener>` of a document, in document order; those that `require_env` switches off are left out."""
    reading = Reading()
    taken: dict[object, str] = {}
    for section in configuration.sections("listeners//listener"):
        if not section.enabled:
            continue
        settings = _Reader(section, reading).read()
        if settings is None:
            continue
        place = _place(settings)
        if place in taken:
            reading.problems.append(
                section.error(f"{settings.address} is the address of the listener at {taken[place]} too; change one")
            )
            continue
        taken[place] = settings.where
        reading.listeners.append(settings)
    return reading


def parse_networks(text: str) -> tuple[IPv4Network | IPv6Network, ...]:
    """Addresses and networks with commas between, or `any`.

    Raises:
        ValueError: it is something else.
    """
    if text.strip() == "any":
        text = "0.0.0.0/0,::/0"
    try:
        return tuple(ip_network(each.strip()) for each in text.split(","))
    except ValueError as error:
        raise ValueError(f"{error}; write addresses or networks with commas between, or any") from None


def _place(settings: ListenerSettings) -> object:
    """What two listeners cannot have in common. Ports that the system chooses never clash."""
    match settings.address:
        case TcpAddress(port=0):
            return object()
        case UnixAddress(path=path):
            return path
        case _:
            return settings.address


class _Reader:
    """Reads one element and collects everything that is wrong with it, not only the first."""

    def __init__(self, section: Section, reading: Reading) -> None:
        self._section = section
        self._reading = reading
        self._sound = True

    def read(self) -> ListenerSettings | None:
        """The settings, or None when something is wrong; the reading then says what."""
        section = self._section
        self._check_names(section.attributes)
        config = self._try(lambda: section.hash("config"), dict[str, str]())
        kind = self._try(self._type, "")
        any_port: int | None = 0  # in place of a wrong one, so that the address is judged too
        port = self._try(self._port, any_port)
        mode = self._try(self._mode, 0o600)
        where_to = self._try(lambda: self._address(port, mode), None)
        if isinstance(where_to, UnixAddress) and where_to.abstract:
            for name in ("mode", "owner", "group"):
                if section.optional(name) is not None:
                    self._odd(f"'{name}' has no effect on {where_to}: an abstract socket has neither mode nor owner")
        systemd = section.string("systemd", "").strip()
        backlog = self._try(lambda: section.integer("backlog", DEFAULT_BACKLOG, minimum=1, maximum=_LARGEST), 1)
        fanout: Fanout = self._try(self._fanout, "")
        pool = section.string("fanout_pool", "")
        accept = _ACCEPTS[self._try(lambda: section.choice("accept", tuple(_ACCEPTS), "one"), "one")]
        accept_thread = self._try(lambda: section.boolean("accept_thread", False), False)
        tls = self._tls()
        idle_ms = self._key(config, "idle_timeout", 0, lambda text: parse_integer(text, 0, _LARGEST))
        limit = self._key(config, "max_connections", DEFAULT_MAX_CONNECTIONS, lambda text: parse_integer(text, 0))
        command_ms = self._key(
            config, "command_timeout", DEFAULT_COMMAND_TIMEOUT_MS, lambda text: parse_integer(text, 1, _LARGEST)
        )
        no_delay = self._key(config, "no_delay", True, parse_boolean)
        handshake_ms = self._key(
            config, "handshake_timeout", DEFAULT_HANDSHAKE_TIMEOUT_MS, lambda text: parse_integer(text, 1, _LARGEST)
        )
        per_peer = self._key(config, "max_connections_per_peer", 0, lambda text: parse_integer(text, 0))
        proxy = _PROXIES[
            self._key(config, "proxy_protocol", "off", lambda text: parse_enumeration(text, tuple(_PROXIES)))
        ]
        proxy_from = self._key(config, "proxy_from", parse_networks(DEFAULT_PROXY_FROM), parse_networks)
        if accept == "each" and (isinstance(where_to, UnixAddress) or accept_thread or systemd):
            self._wrong(
                section.error(
                    'accept="each" is for IP addresses that this service binds itself, and without accept_thread'
                )
            )
        if not self._sound or where_to is None:
            return None
        return ListenerSettings(
            type=kind,
            address=where_to,
            where=section.where,
            backlog=backlog,
            fanout=fanout if fanout or not pool else "round_robin",
            fanout_pool=pool,
            no_delay=no_delay,
            idle_timeout_s=idle_ms / 1000,
            max_connections=limit,
            command_timeout_s=command_ms / 1000,
            accept_thread=accept_thread,
            accept=accept,
            systemd=systemd,
            max_connections_per_peer=per_peer,
            handshake_timeout_s=handshake_ms / 1000,
            proxy_protocol=proxy,
            proxy_from=proxy_from if proxy != "off" else (),
            tls=tls,
            config=config,
        )

    def _fanout(self) -> Fanout:
        text = self._section.optional("fanout")
        if text is None:
            return ""
        text = text.strip()
        if text in _FANOUTS:
            return _FANOUTS[text]
        try:
            return "round_robin" if parse_boolean(text) else ""
        except ValueError:
            raise self._section.error(
                f"fanout: '{text}' means nothing; write on, off, or how: {', '.join(_FANOUTS)}"
            ) from None

    def _tls(self) -> TlsSettings | None:
        if not self._try(lambda: self._section.boolean("ssl", False), False):
            near = self._section.sections("sslconfig")
            if near:
                self._reading.warnings.append(str(near[-1].error('it has no effect without ssl="on" on the listener')))
            return None
        reading = read_tls(self._section, side="server")
        self._reading.warnings.extend(each for each in reading.warnings if each not in self._reading.warnings)
        for problem in reading.problems:
            self._wrong(problem)
        return reading.settings

    def _type(self) -> str:
        kind = self._section.string("type").strip()
        if not kind:
            raise self._section.error("type: it is empty; name the protocol, such as http_rest_api")
        return kind

    def _port(self) -> int | None:
        return self._section.integer("port", None, minimum=0, maximum=_LARGEST_PORT)

    def _address(self, port: int | None, mode: int) -> TcpAddress | UnixAddress:
        try:
            owner, group = self._section.string("owner", ""), self._section.string("group", "")
            return parse_address(self._section.string("address", DEFAULT_ADDRESS), port, mode, owner, group)
        except ValueError as error:
            raise self._section.error(str(error)) from error

    def _mode(self) -> int:
        text = self._section.string("mode", "0600")
        try:
            mode = int(text, 8)
        except ValueError:
            mode = -1
        if not 0 <= mode <= 0o777:
            raise self._section.error(f"mode: '{text}' is not a mode; write octal permissions from 0000 to 0777")
        return mode

    def _key(self, config: Mapping[str, str], key: str, default: T, parse: Callable[[str], T]) -> T:
        text = config.get(key)
        if text is None:
            return default
        try:
            return parse(text.strip())
        except ValueError as error:
            self._wrong(self._section.error(f"{key} in its <config>: {error}"))
            return default

    def _check_names(self, names: Iterable[str]) -> None:
        for name in names:
            if name in ATTRIBUTES or ":" in name or name.startswith("{"):
                continue
            if near := get_close_matches(name, ATTRIBUTES, n=1, cutoff=0.75):
                self._wrong(self._section.error(f"unknown attribute '{name}'; did you mean '{near[0]}'?"))
            elif name not in CONFIG_KEYS:
                self._odd(f"the attribute '{name}' has no meaning here")
        for key in CONFIG_KEYS:
            if self._section.optional(key) is not None:
                self._odd(f"'{key}' has no effect as an attribute; write <config><{key}>…</{key}></config>")

    def _odd(self, message: str) -> None:
        self._reading.warnings.append(str(self._section.error(message)))

    def _try(self, read: Callable[[], T], otherwise: T) -> T:
        try:
            return read()
        except ConfigurationError as error:
            self._wrong(error)
            return otherwise

    def _wrong(self, error: ConfigurationError) -> None:
        self._sound = False
        if all(str(error) != str(known) for known in self._reading.problems):  # an inherited fault is one fault
            self._reading.problems.append(error)
