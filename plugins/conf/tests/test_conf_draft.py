"""Whether what others have changed disturbs a script."""

from __future__ import annotations

import pytest

from mtev_conf._editing.changes import Change
from mtev_conf._operating.draft import disturbance


def change(kind, path, new=None):
    return Change(kind, path, new=new)


@pytest.mark.parametrize(
    ("mine", "theirs", "disturbed"),
    [
        (change("set", "/app/a[1]/@x"), change("set", "/app/a[1]/@x"), False),  # the condition of the change says so
        (change("set", "/app/a[1]/@x"), change("text", "/app/a[2]"), False),
        (change("set", "/app/@x"), change("remove", "/app/a[1]"), False),
        (change("set", "/app/a[1]/@x"), change("remove", "/app/a[2]"), True),
        (change("set", "/app/a[1]/@x"), change("add", "/app/a[1]/b[1]"), False),
        (change("set", "/app/a[1]/b[1]/@x"), change("add", "/app/a[1]/b[2]"), True),
        (change("set", "/app/a[10]/b[1]/@x"), change("add", "/app/a[1]/b[2]"), False),
        (change("set", "/app/a[1]/b[1]/@{urn:x/y}x"), change("add", "/app/a[2]/b[1]"), False),
        (change("set", "/app/a[1]/b[1]/@x"), change("move", "/app/c[1]/d[1]", "/app/a[1]/d[1]"), True),
        (change("set", "/app/a[1]/b[1]/@x"), change("move", "/app/a[1]/d[1]", "/app/c[1]/d[1]"), True),
        (change("move", "/app/c[1]/d[1]", "/app/a[1]/d[1]"), change("add", "/app/a[1]/x[1]"), True),
        (change("remove", "/app/a[1]"), change("add", "/app/a[2]/x[1]"), True),  # which of them, their paths do not say
        (change("remove", "/app/a[1]"), change("set", "/app/a[2]/x[1]/@y"), False),
        (change("remove", "/app/a[1]/b[1]"), change("add", "/app/c[1]/x[1]"), False),
    ],
)
def test_what_changes_who_is_counted_disturbs(mine, theirs, disturbed):
    quiet = change("set", "/app/@quiet")
    assert disturbance([quiet, mine], [quiet, theirs]) is (theirs if disturbed else None)
