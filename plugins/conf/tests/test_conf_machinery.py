"""What of a document no script may change: whatever says where parts of it are kept."""

from __future__ import annotations

import pytest

from mtev_conf import Configuration
from mtev_conf._editing.changes import Change
from mtev_conf._editing.machinery import check_machinery
from mtev_kernel.errors import ConfigurationError


@pytest.fixture
def tree(tmp_path):
    (tmp_path / "more.conf").write_text("<x><acl name='a'/></x>")
    (tmp_path / "store" / "host#1").mkdir(parents=True)
    (tmp_path / "store" / "host#1" / ".attrs").write_text("<host a='1'/>")
    (tmp_path / "store" / "host#2.xml").write_text("<host>x</host>")
    file = tmp_path / "app.conf"
    file.write_text(
        "<app><a><include file='more.conf'/></a><hosts backingstore='store'/><b><include/><c/></b><d/></app>"
    )
    return Configuration.load(str(file), {})._tree


@pytest.mark.parametrize(
    "change",
    [
        Change("set", "/app/d[1]/@backingstore", None, "x"),
        Change("set", "/app/hosts[1]/@backingstore", "store", "x"),
        Change("unset", "/app/hosts[1]/@backingstore", "store"),
        Change("set", "/app/a[1]/include[1]/@file", "more.conf", "x"),
        Change("set", "/app/b[1]/include[1]/@file", None, "x"),
        Change("set", "/app/a[1]/include[1]/@readonly", None, "true"),
        Change("unset", "/app/a[1]/include[1]/@snippet", "true"),
        Change("remove", "/app/a[1]", "<a/>", index=0),
        Change("remove", "/app/a[1]/include[1]", "<include/>", index=0),
        Change("remove", "/app/hosts[1]", "<hosts/>", index=1),
        Change("move", "/app/a[1]", "0", "/app/a[1]", 1),
        Change("move", "/app/hosts[1]", "1", "/app/hosts[1]", 0),
        Change("add", "/app/d[1]/e[1]", new="<e><include file='x'/></e>", index=0),
        Change("add", "/app/d[1]/include[1]", new="<include/>", index=0),
        Change("add", "/app/d[1]/e[1]", new="<e backingstore='x'/>", index=0),
        Change("add", "/app/hosts[1]/host[1]", new="<host/>", index=0),
        Change("move", "/app/hosts[1]/host[1]", "0", "/app/hosts[1]/host[2]", 0),
        Change("move", "/app/d[1]", "3", "/app/hosts[1]/d[1]", 1),
    ],
)
def test_these_are_refused(tree, change):
    with pytest.raises(
        ConfigurationError, match=r"cannot be changed while the service runs|in the order of their"
    ) as told:
        check_machinery(tree, change)
    assert told.value.where.startswith(tree.path)


@pytest.mark.parametrize(
    "change",
    [
        Change("set", "/app/a[1]/include[1]/@other", None, "x"),
        Change("set", "/app/d[1]/@file", None, "x"),
        Change("set", "/app/hosts[1]/@x", None, "x"),
        Change("set", "/app/a[1]/include[1]/acl[1]/@name", "a", "b"),
        Change("remove", "/app/a[1]/include[1]/acl[1]", "<acl/>", index=0),
        Change("remove", "/app/hosts[1]/host[1]", "<host/>", index=0),
        Change("remove", "/app/b[1]", "<b/>", index=2),
        Change("add", "/app/hosts[1]/host[3]", new="<host/>", index=2),
        Change("add", "/app/hosts[1]/host[1]/item[1]", new="<item/>", index=0),
        Change("add", "/app/hosts[1]/host[2]/item[1]", new="<item/>", index=0),
        Change("move", "/app/d[1]", "3", "/app/hosts[1]/d[1]", 2),
        Change("move", "/app/hosts[1]/host[2]", "1", "/app/d[1]/host[1]", 0),
        Change("text", "/app/d[1]", "", "x"),
    ],
)
def test_these_are_not(tree, change):
    check_machinery(tree, change)


def test_a_path_that_leads_nowhere_is_left_to_whoever_applies_it(tree):
    with pytest.raises(LookupError):
        check_machinery(tree, Change("remove", "/app/nothing[1]", "<nothing/>", index=0))
