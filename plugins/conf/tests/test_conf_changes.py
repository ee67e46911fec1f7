"""Changes: as JSON, undone, applied where they fit and refused where not, and shown."""

from __future__ import annotations

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from lxml import etree

from mtev_conf._editing.changes import Change, apply, describe, from_json, inverse, labelled, labels_of, masked, to_json
from mtev_conf._editing.edit import Editor
from mtev_conf._editing.fragments import same_meaning

SECRET = "hunter2"
ONE_OF_EACH = [
    Change("set", "/app/a[1]/@x", None, "1"),
    Change("set", "/app/a[1]/@x", "1", "2", labels=("first",), keys=("k",)),
    Change("unset", "/app/a[1]/@x", "2"),
    Change("text", "/app/a[1]", "", "some text"),
    Change("add", "/app/b[1]", new="<b><c/></b>", index=1),
    Change("move", "/app/a[1]", "0", "/app/b[1]/a[1]", 1),
    Change("remove", "/app/b[1]/c[1]", "<c/>", index=0),
]


class Nobody:
    def tag(self, element): ...
    def content(self, element): ...
    def children(self, parent): ...
    def departing(self, element): ...
    def arrived(self, element, parent): ...


def xml(element):
    return etree.tostring(element, encoding="unicode")


def applied(text, *script):
    root = etree.fromstring(text)
    apply(Editor(Nobody()), root, script)
    return xml(root)


def sounds_secret(name):
    return "password" in name or name.endswith("key")


# -- JSON


def test_a_change_as_json():
    assert [to_json(change) for change in ONE_OF_EACH] == [
        {"kind": "set", "path": "/app/a[1]/@x", "new": "1"},
        {"kind": "set", "path": "/app/a[1]/@x", "old": "1", "new": "2", "labels": ["first"], "keys": ["k"]},
        {"kind": "unset", "path": "/app/a[1]/@x", "old": "2"},
        {"kind": "text", "path": "/app/a[1]", "old": "", "new": "some text"},
        {"kind": "add", "path": "/app/b[1]", "new": "<b><c/></b>", "index": 1},
        {"kind": "move", "path": "/app/a[1]", "old": "0", "new": "/app/b[1]/a[1]", "index": 1},
        {"kind": "remove", "path": "/app/b[1]/c[1]", "old": "<c/>", "index": 0},
    ]
    read = [from_json(json.loads(json.dumps(to_json(change)))) for change in ONE_OF_EACH]
    assert read == ONE_OF_EACH
    assert [(change.labels, change.keys) for change in read][1] == (("first",), ("k",))


@pytest.mark.parametrize(
    "data",
    [
        {},
        {"kind": "set"},
        {"kind": "replace", "path": "/app", "old": "", "new": ""},
        {"kind": ["set"], "path": "/app/@x", "new": "1"},
        {"kind": "set", "path": 1, "new": "1"},
        {"kind": "set", "path": "/app/@x", "new": 1},
        {"kind": "set", "path": "/app/@x"},
        {"kind": "set", "path": "/app", "new": "1"},
        {"kind": "set", "path": "app/@x", "new": "1"},
        {"kind": "set", "path": "/app/@x", "new": "1", "index": 0},
        {"kind": "set", "path": "/app/@x", "new": "1", "labels": "ab"},
        {"kind": "set", "path": "/app/@x", "new": "1", "keys": [1]},
        {"kind": "set", "path": "/app/@x", "new": "1", "why": ""},
        {"kind": "unset", "path": "/app/@x", "old": "1", "new": "2"},
        {"kind": "text", "path": "/app/@x", "old": "", "new": ""},
        {"kind": "text", "path": "/app", "new": ""},
        {"kind": "add", "path": "/app/x[1]", "new": "<x/>"},
        {"kind": "add", "path": "/app/x[1]", "new": "<x/>", "index": True},
        {"kind": "add", "path": "/app/x[1]", "new": "<x/>", "index": -1},
        {"kind": "remove", "path": "/app/x[1]", "old": "<x/>", "index": 1.5},
        {"kind": "move", "path": "/app/x[1]", "old": "first", "new": "/app/y[1]/x[1]", "index": 0},
        {"kind": "move", "path": "/app/x[1]", "old": "-1", "new": "/app/y[1]/x[1]", "index": 0},
        {"kind": "move", "path": "/app/x[1]", "new": "/app/y[1]/x[1]", "index": 0},
    ],
)
def test_what_is_no_change_is_refused(data):
    with pytest.raises(ValueError, match="no change|incomplete|no path|not a path") as error:
        from_json({**data, "old": data.get("old", SECRET)} if data.get("kind") == "replace" else data)
    assert SECRET not in str(error.value)


@settings(max_examples=150)
@given(
    st.dictionaries(
        st.sampled_from(["kind", "path", "old", "new", "index", "labels", "keys", "more"]),
        st.sampled_from(["set", "add", "move", "/app", "/app/@x", "0", "", 0, 1, -1, None, True, [], ["a"], [1], {}]),
    )
)
def test_any_json_is_a_change_or_refused(data):
    try:
        change = from_json(data)
    except ValueError:
        return
    assert from_json(to_json(change)) == change


# -- Inverse and application


def test_a_script_does_and_undoes():
    before = "<app><a>x</a></app>"
    script = [
        Change("set", "/app/a[1]/@x", None, "1"),
        Change("set", "/app/a[1]/@x", "1", "2"),
        Change("add", "/app/b[1]", new="<b><c/></b>", index=1),
        Change("move", "/app/a[1]", "0", "/app/b[1]/a[1]", 0),
        Change("text", "/app/b[1]/a[1]", "x", "y"),
        Change("remove", "/app/b[1]/c[1]", "<c/>", index=1),
        Change("unset", "/app/b[1]/a[1]/@x", "2"),
    ]
    after = applied(before, *script)
    assert after == "<app><b><a>y</a></b></app>"
    assert applied(after, *inverse(script)) == before
    assert inverse(inverse(script)) == script
    assert [change.kind for change in inverse(script)] == ["set", "add", "text", "move", "remove", "set", "unset"]


def test_an_inverse_move_is_the_same_with_its_ends_exchanged():
    # The path of the new parent is that without the element, which stood before it.
    text = "<app><x/><x><y/></x><x/></app>"
    move = Change("move", "/app/x[1]", "0", "/app/x[1]/x[1]", 1)
    assert applied(text, move) == "<app><x><y/><x/></x><x/></app>"
    assert inverse([move]) == [Change("move", "/app/x[1]/x[1]", "1", "/app/x[1]", 0)]
    assert applied(applied(text, move), *inverse([move])) == text


def test_a_script_fits_whatever_means_the_same():
    script = [
        Change("remove", "/app/a[1]", '<a x="1" y="2"><b/> <c>t u</c></a>', index=0),
        Change("text", "/app/d[1]", "x y", "z"),
    ]
    text = "<app>\n  <a y='2' x='1'><!--c--><b></b>\n<c>t\n u</c></a>\n  <d> x\n\ty</d>\n</app>"
    assert applied(text, *script) == "<app>\n  <d>z</d>\n</app>"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (Change("set", "/app/a[1]/@x", "2", "3"), "/app/a.1./@x has another value now than this change was made for"),
        (Change("set", "/app/a[1]/@y", "2", "3"), "/app/a.1./@y has another value"),
        (Change("set", "/app/a[1]/@x", None, "3"), "/app/a.1./@x has another value"),
        (Change("unset", "/app/a[1]/@x", "2"), "/app/a.1./@x has another value"),
        (Change("unset", "/app/a[1]/@m:x", "2"), "the prefix 'm' is not declared"),
        (Change("text", "/app/a[1]", "other", "new"), "/app/a.1. has another text"),
        (Change("text", "/app", "", "new"), "/app has child elements"),
        (Change("remove", "/app/a[1]", "<a/>", index=0), "/app/a.1. has other attributes or another content"),
        (Change("remove", "/app/a[1]", "<a", index=0), "not the well-formed XML"),
        (Change("remove", "/app", '<app n="1"><a x="1">text</a><b/></app>', index=0), "cannot be removed"),
        (Change("add", "/app/c[1]", new="<c/><d/>", index=0), "not the well-formed XML"),
        (Change("add", "/app/c[1]", new="<c/>", index=5), "/app has no position 5"),
        (Change("add", "/app/c[2]", new="<c/>", index=0), "/app/c.2. does not fit: .* would be /app/c.1."),
        (Change("add", "/app/c[1]", new="<d/>", index=0), "/app/c.1. does not fit: .* would be /app/d.1."),
        (Change("add", "/other", new="<other/>", index=0), "/other cannot be added: a document has one root"),
        (Change("move", "/app/a[1]", "1", "/app/b[1]/a[1]", 0), "/app/a.1. is at another position"),
        (Change("move", "/app/a[1]", "0", "/app/b[1]/a[2]", 0), "does not fit: .* would be /app/b.1./a.1."),
        (Change("move", "/app/a[1]", "0", "/app", 0), "cannot be moved to /app, which is no place for an element"),
        (Change("move", "/app/a[1]", "0", "/app/b[1]/@x", 0), "is no place for an element"),
        (Change("set", "/app/a[1]/@x", "1"), "the change 'set' is incomplete"),
    ],
)
def test_what_does_not_fit_is_refused(change, message):
    text = '<app><a x="1">text</a><b/></app>'
    root = etree.fromstring(text)
    editor = Editor(Nobody())
    with pytest.raises(ValueError, match=message):
        apply(editor, root, [Change("set", "/app/@n", None, "1"), change])
    editor.undo()
    assert xml(root) == text


@pytest.mark.parametrize(
    "change",
    [
        Change("set", "/app/a[2]/@x", None, "1"),
        Change("text", "/app/c[1]", "", "1"),
        Change("add", "/app/c[1]/d[1]", new="<d/>", index=0),
        Change("move", "/app/a[1]", "0", "/app/a[1]/a[1]", 0),
        Change("remove", "/other", "<other/>", index=0),
    ],
)
def test_a_path_that_leads_nowhere(change):
    with pytest.raises(LookupError, match="there is no "):
        applied("<app><a/><b/></app>", change)


def test_messages_tell_no_values():
    text = f"<app><password x='{SECRET}'>{SECRET}</password></app>"
    for change in (
        Change("set", "/app/password[1]/@x", "x", SECRET),
        Change("text", "/app/password[1]", SECRET * 2, SECRET),
        Change("remove", "/app/password[1]", f"<password>{SECRET}</password>", index=0),
        Change("add", "/app/x[1]", new=f"<password>{SECRET}", index=0),
    ):
        with pytest.raises(ValueError) as error:
            applied(text, change)
        assert SECRET not in str(error.value)


def test_another_prefix_for_the_same_namespace_is_no_obstacle():
    added = Change("add", "/app/n:x[1]", new='<n:x xmlns:n="u"/>', index=0)
    assert applied('<app xmlns:m="u"/>', added) == '<app xmlns:m="u">\n  <m:x/>\n</app>'


def test_entities_and_files_are_out_of_reach():
    for text in ('<!DOCTYPE a [<!ENTITY e "boo">]><a>&e;</a>', '<!DOCTYPE a SYSTEM "file:///etc/hostname"><a/>'):
        with pytest.raises(ValueError, match="DOCTYPE"):
            applied("<app/>", Change("add", "/app/a[1]", new=text, index=0))


# -- Shown


@pytest.mark.parametrize(
    ("change", "line"),
    [
        (Change("set", "/app/a[1]/@port", "80", "8080"), '/app/a[1]/@port: "80" -> "8080"'),
        (Change("set", "/app/a[1]/@port", None, "80", labels=("x",)), '/app/a[1]/@port ("x"): (none) -> "80"'),
        (Change("unset", "/app/a[1]/@port", "80"), '/app/a[1]/@port: "80" -> (none)'),
        (Change("text", "/app/a[1]", "", 'say "hi"'), '/app/a[1]: "" -> "say \\"hi\\""'),
        (Change("add", "/app/a[1]", new="<a>\n  <b/>\n</a>", index=0), "/app/a[1]: added <a><b/></a>"),
        (Change("remove", "/app/m:a[1]", '<m:a xmlns:m="u" x="1"/>', index=0), '/app/m:a[1]: removed <m:a x="1"/>'),
        (Change("move", "/app/a[1]", "0", "/app/b[1]/a[1]", 0), "/app/a[1]: moved to /app/b[1]/a[1]"),
    ],
)
def test_a_change_in_one_line(change, line):
    assert describe(change) == line


def test_what_acts_on_a_terminal_is_escaped():
    line = describe(Change("text", "/app/a[1]", "\x1b[2J\n\u202e", "\x9b31m", labels=("a\x07b",)))
    assert line == '/app/a[1] ("a\\u0007b"): "\\u001b[2J\\n\\u202e" -> "\\u009b31m"'
    assert "\\u000a" in describe(Change("add", "/app/a[1]", new="<a>x\ny</a>", index=0))


def test_long_texts_are_cut():
    line = describe(Change("text", "/app/a[1]", "x" * 1000, "y" * 1000))
    assert line == f'/app/a[1]: "{"x" * 60}…" -> "{"y" * 60}…"'
    assert len(describe(Change("add", "/app/a[1]", new=f"<a>{'x' * 1000}</a>", index=0))) < 100


@settings(max_examples=150)
@given(st.text(max_size=100), st.text(max_size=100))
def test_a_line_is_one_line_and_printable(old, new):
    for change in (Change("text", "/app", old, new), Change("add", "/app", new=new), Change("set", "/app/@x", new=new)):
        assert describe(change).isprintable()


@pytest.mark.parametrize(
    ("change", "old", "new"),
    [
        (Change("set", "/app/@password", "x", "y"), "***", "***"),
        (Change("set", "/app/@password", None, ""), None, ""),
        (Change("unset", "/app/@password", "x"), "***", None),
        (Change("set", "/app/password[1]/@type", "x", "y"), "x", "y"),
        (Change("set", "/app/password[1]/@value", "x", "y"), "***", "***"),
        (Change("set", "/app/password[1]/part[1]/@value", "x", "y"), "***", "***"),
        (Change("text", "/app/password[1]/part[1]", "x", "y"), "***", "***"),
        (Change("text", "/app/a[1]", "x", "y"), "x", "y"),
        (Change("text", "/app/a[1]", "x", "y", labels=("db_password",)), "***", "***"),
        (Change("text", "/app/a[1]", "x", "y", keys=("db_password",)), "***", "***"),
        (Change("set", "/app/a[1]/@value", "x", "y", labels=("db_password",)), "***", "***"),
        (Change("set", "/app/a[1]/@other", "x", "y", labels=("db_password",)), "x", "y"),
        (Change("text", "/app/a[1]", "user:x@", "user:y@"), "user:?@", "user:?@"),
        (Change("move", "/app/password[1]", "0", "/app/a[1]/password[1]", 0), "0", "/app/a[1]/password[1]"),
    ],
)
def test_secrets_are_masked(change, old, new):
    shown = masked(change, sounds_secret, hide=lambda text: text.replace("x@", "?@").replace("y@", "?@"))
    assert (shown.old, shown.new, shown.kind, shown.path) == (old, new, change.kind, change.path)


def test_secrets_inside_what_is_added_or_removed_are_masked():
    text = (
        f'<a key="{SECRET}" x="1"><!-- {SECRET} --><password value="{SECRET}" type="t">{SECRET}<part>{SECRET}</part>'
        f'{SECRET}</password><value name="the_password">{SECRET}</value><value name="color">blue</value><b m:key="'
        f'{SECRET}" xmlns:m="u"/> <?pi {SECRET}?></a>'
    )
    shown = (
        '<a key="***" x="1"><password value="***" type="t">***<part>***</part>***</password>'
        '<value name="the_password">***</value><value name="color">blue</value><b xmlns:m="u" m:key="***"/> </a>'
    )
    assert masked(Change("add", "/app/a[1]", new=text, index=0), sounds_secret).new == shown
    assert masked(Change("remove", "/app/a[1]", text, index=0), sounds_secret).old == shown
    inner = Change("add", "/app/passwords[1]/a[1]", new="<a><b>x</b></a>", index=0)
    assert masked(inner, sounds_secret).new == "<a><b>***</b></a>"


def test_a_key_that_may_be_a_secret_itself_is_not_shown():
    element = etree.fromstring(f'<a name="n" id="i" key="{SECRET}"/>')
    change = labelled(Change("text", "/app/a[1]", "", "x"), element)
    assert labels_of(element) == ("n", SECRET, "i")
    assert (change.labels, change.keys) == (("n", "i"), (SECRET,))
    assert SECRET not in describe(change)
    assert SECRET not in repr(masked(change, sounds_secret))


def test_what_is_masked_cannot_be_applied():
    shown = masked(Change("set", "/app/@password", "x", "y"), sounds_secret)
    with pytest.raises(ValueError, match="has another value"):
        applied("<app password='x'/>", shown)


def test_a_script_repeated_gives_the_same():
    script = [Change("add", "/app/a[1]", new="<a>x</a>", index=0), Change("text", "/app/a[1]", "x", "y")]
    assert same_meaning(etree.fromstring(applied("<app/>", *script)), etree.fromstring("<app><a>y</a></app>"))
