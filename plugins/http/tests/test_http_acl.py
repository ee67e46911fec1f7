"""Access control against a naive reference, and the rules one by one."""

import ipaddress
import re
from dataclasses import dataclass, field

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mtev_http._acl import AccessList, AccessLists, Conditions, Rule, RuleError


@dataclass
class Caller:
    user: str = ""
    auth: str = ""
    remote_cn: str = ""
    path: str = "/"
    peer: tuple[str, int] | str | None = ("127.0.0.1", 5)
    config: dict[str, str] = field(default_factory=dict)


def naive_holds(conditions: Conditions, caller: Caller) -> bool:
    for pattern, text in (
        (conditions.user, caller.user),
        (conditions.auth, caller.auth),
        (conditions.cn, caller.remote_cn),
        (conditions.url, caller.path),
    ):
        if pattern is not None and not re.search(pattern.pattern, text):
            return False
    if conditions.ip is not None:
        if not isinstance(caller.peer, tuple):
            return False
        if ipaddress.ip_address(caller.peer[0]) not in conditions.ip:
            return False
    config = caller.config
    return all(key in config and re.search(want.pattern, config[key]) for key, want in conditions.listener)


def naive(lists: list[AccessList], caller: Caller) -> bool:
    """The rules as a recursion over (list, rule) positions."""

    def go(index: int, position: int) -> bool:
        for number in range(position, len(lists[index].rules)):
            rule = lists[index].rules[number]
            if naive_holds(rule.conditions, caller):
                if not rule.skipto:
                    return rule.allow
                for to_index, other in enumerate(lists):
                    for to_number, target in enumerate(other.rules):
                        if target.name == rule.skipto:
                            if to_index != index and not naive_holds(other.conditions, caller):
                                return False
                            return go(to_index, to_number)
        return lists[index].allow

    for index, each in enumerate(lists):
        if naive_holds(each.conditions, caller):
            return go(index, 0)
    return False


def maybe(strategy):
    return st.one_of(st.none(), strategy)


words = st.sampled_from(["", "a", "b", "ab"])
patterns = st.sampled_from(["a", "^a$", "b", ".", "^$", ""]).map(re.compile)
cidrs = st.sampled_from(["127.0.0.1", "127.0.0.0/8", "10.0.0.0/8", "::1", "::/0", "0.0.0.0/0"])
networks = cidrs.map(ipaddress.ip_network)
conditions = st.builds(
    Conditions,
    user=maybe(patterns),
    auth=maybe(patterns),
    cn=maybe(patterns),
    url=maybe(patterns),
    ip=maybe(networks),
    listener=st.lists(st.tuples(st.sampled_from(["k", "l"]), patterns), max_size=1).map(tuple),
)
sparse = st.one_of(st.just(Conditions()), st.builds(Conditions, url=patterns), conditions)
callers = st.builds(
    Caller,
    user=words,
    auth=words,
    remote_cn=words,
    path=words,
    peer=st.sampled_from([("127.0.0.1", 1), ("10.1.2.3", 1), ("::1", 1), "/tmp/socket", None]),
    config=st.dictionaries(st.sampled_from(["k", "l"]), words),
)


@st.composite
def access(draw):
    shape = draw(st.lists(st.integers(0, 4), max_size=3))
    total = sum(shape)
    lists = []
    serial = 0
    for count in shape:
        rules = []
        for _ in range(count):
            later = [f"r{number}" for number in range(serial + 1, total)]
            skipto = draw(st.sampled_from(["", "", *later]))
            rules.append(Rule(draw(sparse), draw(st.booleans()), f"f:{serial}", f"r{serial}", skipto))
            serial += 1
        lists.append(AccessList(draw(sparse), draw(st.booleans()), f"l:{serial}", tuple(rules)))
    return lists


@given(access(), callers)
def test_the_lists_agree_with_a_naive_reference(lists, caller):
    verdict = AccessLists(tuple(lists)).decide(caller)
    assert verdict.allowed is naive(lists, caller)
    assert str(verdict).startswith("allowed" if verdict.allowed else "denied")


@given(access(), callers)
def test_whatever_is_allowed_was_allowed_by_an_element_that_says_allow(lists, caller):
    verdict = AccessLists(tuple(lists)).decide(caller)
    if verdict.allowed:
        rules = [rule for each in lists for rule in each.rules]
        assert verdict.where in {each.where for each in [*lists, *rules] if each.allow}


URL = re.compile("^/open")


def rule(allow: bool, where: str = "app.conf:3", url: re.Pattern[str] | None = None, **more: str) -> Rule:
    return Rule(Conditions(url=url), allow, where, **more)


def test_without_any_list_the_request_is_denied_and_the_reason_says_so():
    verdict = AccessLists(absent="app.conf has no <rest>").decide(Caller())
    assert not verdict.allowed
    assert str(verdict) == "denied: app.conf has no <rest>"


def test_when_no_list_applies_the_request_is_denied():
    only = AccessList(Conditions(url=URL), True, "app.conf:2")
    verdict = AccessLists((only,)).decide(Caller(path="/closed"))
    assert str(verdict) == "denied: no <acl> applies"


def test_the_deciding_rule_is_named():
    acl = AccessList(Conditions(), False, "app.conf:2", (rule(True, url=URL), rule(False, "app.conf:4")))
    assert AccessLists((acl,)).decide(Caller(path="/open")).allowed
    assert str(AccessLists((acl,)).decide(Caller(path="/closed"))) == "denied by <rule> (app.conf:4)"


def test_the_type_of_the_list_counts_when_no_rule_applies():
    for allow in (True, False):
        acl = AccessList(Conditions(), allow, "app.conf:2", (rule(not allow, url=URL),))
        verdict = AccessLists((acl,)).decide(Caller(path="/other"))
        assert (verdict.allowed, verdict.where) == (allow, "app.conf:2")


def test_the_first_list_that_applies_is_decisive():
    first = AccessList(Conditions(), False, "app.conf:2")
    second = AccessList(Conditions(), True, "app.conf:3")
    assert not AccessLists((first, second)).decide(Caller()).allowed


def test_skipto_goes_on_further_down():
    rules = (rule(False, skipto="end"), rule(False), rule(True, "app.conf:9", name="end"))
    verdict = AccessLists((AccessList(Conditions(), False, "app.conf:2", rules),)).decide(Caller())
    assert (verdict.allowed, verdict.where) == (True, "app.conf:9")


def test_skipto_into_a_list_that_does_not_apply_is_denied():
    first = AccessList(Conditions(), True, "app.conf:2", (rule(False, skipto="end"),))
    second = AccessList(Conditions(user=re.compile("root")), True, "app.conf:5", (rule(True, name="end"),))
    lists = AccessLists((first, second))
    assert not lists.decide(Caller()).allowed
    assert lists.decide(Caller(user="root")).allowed


@pytest.mark.parametrize("skipto", ["nowhere", "self", "above"])
def test_skipto_must_lead_down(skipto):
    rules = (rule(True, name="above"), rule(False, "app.conf:7", name="self", skipto=skipto))
    with pytest.raises(RuleError, match="names no <rule> further down") as caught:
        AccessLists((AccessList(Conditions(), False, "app.conf:2", rules),))
    assert caught.value.where == "app.conf:7"


def test_a_name_is_given_once():
    rules = (rule(True, name="a"), rule(False, "app.conf:7", name="a"))
    with pytest.raises(RuleError, match=r"app\.conf:3 already") as caught:
        AccessLists((AccessList(Conditions(), False, "app.conf:2", rules),))
    assert caught.value.where == "app.conf:7"


@pytest.mark.parametrize(
    ("peer", "network", "holds"),
    [
        (("127.0.0.1", 1), "127.0.0.0/8", True),
        (("128.0.0.1", 1), "127.0.0.0/8", False),
        (("::ffff:127.0.0.1", 1), "127.0.0.0/8", True),
        (("::1", 1), "127.0.0.0/8", False),
        (("::1", 1), "::1", True),
        (("fe80::1%eth0", 1), "fe80::/10", True),
        (("nonsense", 1), "0.0.0.0/0", False),
        ("/tmp/socket", "0.0.0.0/0", False),
        (None, "::/0", False),
    ],
)
def test_networks(peer, network, holds):
    acl = AccessList(Conditions(ip=ipaddress.ip_network(network)), True, "app.conf:2")
    assert AccessLists((acl,)).decide(Caller(peer=peer)).allowed is holds


def test_a_listener_key_must_be_there():
    acl = AccessList(Conditions(listener=(("acl", re.compile("")),)), True, "app.conf:2")
    assert AccessLists((acl,)).decide(Caller(config={"acl": ""})).allowed
    assert not AccessLists((acl,)).decide(Caller(config={"other": ""})).allowed
