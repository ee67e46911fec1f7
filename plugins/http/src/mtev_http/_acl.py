"""Access control: whether a request may reach a route, and which rule says so. Pure; reading it is `_config`'s part.

Rules:

1. Lists (`<acl>`) are asked in order. The first one whose conditions all hold is decisive; later ones are not asked.
2. Its rules are asked in order. The first one whose conditions all hold decides: its type, or where to go on.
3. `skipto` goes on at the named rule, further down in the same list or in a later one. A later list becomes the
   decisive one, and its own conditions must hold too; where they do not, the request is denied.
4. When no rule applies, the type of the list decides; without a type it denies.
5. When no list applies, and when there is none, the request is denied.
6. A condition that is absent holds. A condition that cannot be judged (no such listener key, an address that is none,
   a Unix-domain peer) does not hold. What cannot be compiled never gets this far.

Regular expressions are searched, not anchored.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import NamedTuple, Protocol

__all__ = ["AccessList", "AccessLists", "Conditions", "Rule", "RuleError", "Subject", "Verdict"]

Network = ipaddress.IPv4Network | ipaddress.IPv6Network


class RuleError(ValueError):
    """The rules contradict each other; `where` is the `file:line` of the one at fault."""

    def __init__(self, message: str, where: str) -> None:
        super().__init__(message)
        self.where = where


class Subject(Protocol):
    """What is judged. A `Request` is one."""

    @property
    def user(self) -> str: ...
    @property
    def auth(self) -> str: ...
    @property
    def remote_cn(self) -> str: ...
    @property
    def path(self) -> str: ...
    @property
    def peer(self) -> tuple[str, int] | str | None: ...
    @property
    def config(self) -> Mapping[str, str]: ...


class Verdict(NamedTuple):
    """What came of a request.

    Attributes:
        allowed: whether it may go on.
        where: `file:line` of the element that decided; `""` when none did.
        reason: one sentence for the log, never for the client.
    """

    allowed: bool
    where: str
    reason: str

    def __str__(self) -> str:
        return f"{self.reason} ({self.where})" if self.where else self.reason


@dataclass(frozen=True, slots=True)
class Conditions:
    """The conditions of a list or a rule, compiled; None and empty ones are absent."""

    user: re.Pattern[str] | None = None
    auth: re.Pattern[str] | None = None
    cn: re.Pattern[str] | None = None
    url: re.Pattern[str] | None = None
    ip: Network | None = None
    listener: tuple[tuple[str, re.Pattern[str]], ...] = ()
    _numbers: tuple[int, int, int] = field(init=False, repr=False, compare=False, default=(0, 0, 0))

    def __post_init__(self) -> None:
        if self.ip is not None:  # numbers compare in a tenth of the time that addresses take
            numbers = (self.ip.version, int(self.ip.netmask), int(self.ip.network_address))
            object.__setattr__(self, "_numbers", numbers)

    def hold(self, subject: Subject) -> bool:
        """Whether all of them hold for a subject."""
        if self.url is not None and self.url.search(subject.path) is None:
            return False
        if self.user is not None and self.user.search(subject.user) is None:
            return False
        if self.auth is not None and self.auth.search(subject.auth) is None:
            return False
        if self.cn is not None and self.cn.search(subject.remote_cn) is None:
            return False
        if self.ip is not None and not _within(subject.peer, *self._numbers):
            return False
        for key, pattern in self.listener:
            value = subject.config.get(key)
            if value is None or pattern.search(value) is None:
                return False
        return True


@dataclass(frozen=True, slots=True)
class Rule:
    """A `<rule>`.

    Attributes:
        conditions: what must hold for it to decide.
        allow: what it decides, unless `skipto` is set.
        where: `file:line`.
        name: under which `skipto` finds it; may be empty.
        skipto: name of the rule to go on at; `""` for none.
        verdict: what it decides, in words.
    """

    conditions: Conditions
    allow: bool
    where: str
    name: str = ""
    skipto: str = ""
    verdict: Verdict = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "verdict", Verdict(self.allow, self.where, f"{_word(self.allow)} by <rule>"))


@dataclass(frozen=True, slots=True)
class AccessList:
    """An `<acl>`.

    Attributes:
        conditions: what must hold for it to be decisive.
        allow: what it decides when none of its rules does.
        where: `file:line`.
        rules: in order.
        verdict: what it decides then, in words.
    """

    conditions: Conditions
    allow: bool
    where: str
    rules: tuple[Rule, ...] = ()
    verdict: Verdict = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        reason = f"{_word(self.allow)} by <acl>: no <rule> applies"
        object.__setattr__(self, "verdict", Verdict(self.allow, self.where, reason))


@dataclass(frozen=True, slots=True)
class AccessLists:
    """Every list of a configuration, in order.

    Args:
        lists: the lists.
        absent: the sentence to deny with when there is none.

    Raises:
        RuleError: a name is given twice, or a `skipto` names no rule further down.
    """

    lists: tuple[AccessList, ...] = ()
    absent: str = "there is no <acl>"
    _targets: Mapping[str, tuple[int, int]] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_targets", _targets(self.lists))

    def decide(self, subject: Subject) -> Verdict:
        """Judge a request."""
        for index, each in enumerate(self.lists):
            if each.conditions.hold(subject):
                return self._walk(subject, index, 0)
        if not self.lists:
            return Verdict(False, "", f"denied: {self.absent}")
        return Verdict(False, "", "denied: no <acl> applies")

    def _walk(self, subject: Subject, index: int, position: int) -> Verdict:
        while True:
            current = self.lists[index]
            for number in range(position, len(current.rules)):
                rule = current.rules[number]
                if not rule.conditions.hold(subject):
                    continue
                if not rule.skipto:
                    return rule.verdict
                target, position = self._targets[rule.skipto]
                if target != index and not self.lists[target].conditions.hold(subject):
                    return Verdict(False, rule.where, f"denied: the <acl> of skipto '{rule.skipto}' does not apply")
                index = target
                break
            else:
                return current.verdict


def _targets(lists: Sequence[AccessList]) -> dict[str, tuple[int, int]]:
    places: dict[str, tuple[int, int]] = {}
    for index, each in enumerate(lists):
        for number, rule in enumerate(each.rules):
            if rule.name:
                if rule.name in places:
                    first_index, first_number = places[rule.name]
                    first = lists[first_index].rules[first_number].where
                    raise RuleError(f"the name '{rule.name}' is that of the <rule> at {first} already", rule.where)
                places[rule.name] = (index, number)
    for index, each in enumerate(lists):
        for number, rule in enumerate(each.rules):
            if rule.skipto and places.get(rule.skipto, (-1, -1)) <= (index, number):
                raise RuleError(f"skipto='{rule.skipto}' names no <rule> further down", rule.where)
    return places


def _within(peer: tuple[str, int] | str | None, version: int, mask: int, network: int) -> bool:
    if not isinstance(peer, tuple):
        return False
    address = _parsed(peer[0], version)
    return address is not None and address & mask == network


@lru_cache(maxsize=4096)
def _parsed(text: str, version: int) -> int | None:
    """An address as a number; None when it is none of that version."""
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return None
    if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped is not None and version == 4:
        address = address.ipv4_mapped
    return int(address) if address.version == version else None


def _word(allow: bool) -> str:
    return "allowed" if allow else "denied"
