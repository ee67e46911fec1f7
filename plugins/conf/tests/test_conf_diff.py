"""The difference of two documents: small, as a person would tell it, and right."""

from __future__ import annotations

import copy

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from lxml import etree

from mtev_conf._editing.changes import Change, apply, describe, from_json, inverse, to_json
from mtev_conf._editing.diff import diff
from mtev_conf._editing.edit import Editor


class Nobody:
    def tag(self, element): ...
    def content(self, element): ...
    def children(self, parent): ...
    def departing(self, element): ...
    def arrived(self, element, parent): ...


def parsed(text):
    return etree.fromstring(text, etree.XMLParser(strip_cdata=False))


def xml(element):
    return etree.tostring(element, encoding="unicode")


def app(*lines):
    return "<app>\n" + "".join(f"  {line}\n" for line in lines) + "</app>"


def told(old, new):
    """What a person is told; and that it is right, and leaves both documents alone."""
    before, after = parsed(old), parsed(new)
    script = diff(before, after)
    assert (xml(before), xml(after)) == (xml(parsed(old)), xml(parsed(new)))
    check(old, new, script)
    return [describe(change) for change in script]


def check(old, new, script):
    changed, wanted = parsed(old), parsed(new)
    editor = Editor(Nobody())
    apply(editor, changed, script)
    assert diff(changed, wanted) == []
    assert editor.changes == script or [(each.kind, each.path, each.index) for each in editor.changes] == [
        (each.kind, each.path, each.index) for each in script
    ]
    apply(Editor(Nobody()), wanted, inverse(script))
    assert diff(wanted, parsed(old)) == []
    editor.undo()
    assert xml(changed) == xml(parsed(old))
    assert [from_json(to_json(change)) for change in script] == script


@pytest.mark.parametrize(
    "other",
    [
        "<app><a x='1' y='2'>text</a><b><c/></b><d/></app>",
        '<app>\n  <a y="2" x="1">text</a>\n\n  <b>\n\t<c/>\n</b><d>\n</d></app>',
        '<app><!-- new --><a x="1" y="2">te<!--x-->xt</a><?pi?><b><c/></b><d><!-- empty --> </d></app>',
        '<app><a x="&#49;" y="2">t<![CDATA[ex]]>t</a><b><c></c></b><d></d></app>',
    ],
)
def test_what_does_not_count_is_no_difference(other):
    first = "<app><a x='1' y='2'>text</a><b><c/></b><d/></app>"
    assert told(first, other) == told(other, first) == []


def test_prefixes_do_not_count():
    assert told('<app xmlns:m="u"><m:a m:x="1"/></app>', '<app xmlns:n="u"><n:a n:x="1"/></app>') == []


def test_attributes():
    assert told('<app><a x="1" y="2" z="3"/></app>', '<app><a n="5" z="4" x="1"/></app>') == [
        '/app/a[1]/@y: "2" -> (none)',
        '/app/a[1]/@n: (none) -> "5"',
        '/app/a[1]/@z: "3" -> "4"',
    ]
    assert told('<app x="1"/>', '<app x="2"/>') == ['/app/@x: "1" -> "2"']
    assert told('<app xmlns:m="u"><a m:x="1"/></app>', '<app xmlns:m="u"><a m:x="2" xml:lang="en"/></app>') == [
        '/app/a[1]/@m:x: "1" -> "2"',
        '/app/a[1]/@xml:lang: (none) -> "en"',
    ]


def test_an_attribute_of_a_namespace_that_is_not_declared_yet():
    old, new = parsed("<app/>"), parsed('<app xmlns:m="u/v" m:x="1"/>')
    script = diff(old, new)
    assert [describe(change) for change in script] == ['/app/@{u/v}x: (none) -> "1"']
    apply(Editor(Nobody()), old, script)
    assert diff(old, new) == []
    apply(Editor(Nobody()), old, inverse(script))
    assert old.attrib == {}


def test_texts():
    assert told("<app><a>x</a></app>", "<app><a>y</a></app>") == ['/app/a[1]: "x" -> "y"']
    assert told("<app><a/></app>", "<app><a> </a></app>") == ['/app/a[1]: "" -> " "']
    assert told("<app><a> x</a></app>", "<app><a>x</a></app>") == ['/app/a[1]: " x" -> "x"']
    assert told("<app><a>\n</a></app>", "<app><a/></app>") == []
    assert told("<app>x</app>", "<app>y</app>") == ['/app: "x" -> "y"']


def test_text_and_elements_exclude_each_other():
    assert told("<app><a>x</a></app>", "<app><a><b/></a></app>") == [
        '/app/a[1]: "x" -> ""',
        "/app/a[1]/b[1]: added <b/>",
    ]
    assert told("<app><a>\n  <b/>\n  <c/>\n</a></app>", "<app><a>x</a></app>") == [
        "/app/a[1]/c[1]: removed <c/>",
        "/app/a[1]/b[1]: removed <b/>",
        '/app/a[1]: "" -> "x"',
    ]
    assert told("<app> <a/> <!--c--> </app>", "<app/>") == ["/app/a[1]: removed <a/>"]


def test_one_element_in_the_middle_of_a_thousand():
    lines = [f"<a>{number}</a>" for number in range(1000)]
    longer = [*lines[:500], "<a>new</a>", *lines[500:]]
    assert told(app(*lines), app(*longer)) == ["/app/a[501]: added <a>new</a>"]
    assert told(app(*longer), app(*lines)) == ["/app/a[501]: removed <a>new</a>"]


def test_several_elements_far_apart():
    lines = [f"<a>{number}</a>" for number in range(300)]
    other = [*lines[:50], "<a>x</a>", "<b/>", *lines[50:100], *lines[110:200], "<a>changed</a>", *lines[201:]]
    assert told(app(*lines), app(*other)) == [
        *(f"/app/a[{number + 1}]: removed <a>{number}</a>" for number in reversed(range(100, 110))),
        "/app/a[51]: added <a>x</a>",
        "/app/b[1]: added <b/>",
        '/app/a[192]: "200" -> "changed"',
    ]


def test_what_has_an_id_or_a_name_is_found_by_it():
    old = app('<log name="a" type="x"/>', '<log name="b"/>', '<acl id="1"/>')
    new = app('<log name="c"/>', '<log name="b" type="y"/>', '<acl id="1" x="2"/>', '<log name="a" type="z"/>')
    assert told(old, new) == [
        '/app/log[1]: moved to /app/log[2]',
        '/app/log[1]: added <log name="c"/>',
        '/app/log[2]/@type ("b"): (none) -> "y"',
        '/app/acl[1]/@x ("1"): (none) -> "2"',
        '/app/log[3]/@type ("a"): "x" -> "z"',
    ]  # fmt: skip


def test_an_id_counts_more_than_a_name():
    old = app('<a id="1" name="x"/>', '<a id="2" name="y"/>')
    new = app('<a id="2" name="x"/>', '<a id="1" name="y"/>')
    assert told(old, new) == [
        "/app/a[2]: moved to /app/a[1]",
        '/app/a[1]/@name ("y", "2", "x"): "y" -> "x"',
        '/app/a[2]/@name ("x", "1", "y"): "x" -> "y"',
    ]


def test_what_is_the_same_but_for_its_name_has_been_renamed():
    assert told(app('<a name="x"><b/></a>'), app('<a name="y"><b/></a>')) == ['/app/a[1]/@name ("x", "y"): "x" -> "y"']
    assert told(app("<a><b/></a>"), app('<a name="y"><b/></a>')) == ['/app/a[1]/@name ("y"): (none) -> "y"']
    assert told(app('<a name="x"><b/></a>'), app('<a name="y"><c/></a>')) == [
        '/app/a[1]: removed <a name="x"><b/></a>',
        '/app/a[1]: added <a name="y"><c/></a>',
    ]


def test_the_same_name_twice():
    old = app('<a name="x" y="1"/>', '<a name="x" y="2"/>', "<b/>")
    assert told(old, app('<a name="x" y="1"/>', '<a name="x" y="3"/>', "<b/>")) == ['/app/a[2]/@y ("x"): "2" -> "3"']
    assert told(old, app('<a name="x" y="2"/>', "<b/>")) == ['/app/a[1]: removed <a name="x" y="1"/>']


def test_what_has_no_name_is_found_by_its_place():
    old = app("<timeout>60</timeout>", "<listener port='1'/>", "<backlog>5</backlog>", "<listener port='2'/>")
    new = app("<timeout>30</timeout>", "<listener port='1' x='1'/>", "<backlog>6</backlog>", "<listener port='2'/>")
    assert told(old, new) == [
        '/app/timeout[1]: "60" -> "30"',
        '/app/listener[1]/@x: (none) -> "1"',
        '/app/backlog[1]: "5" -> "6"',
    ]


def test_few_are_moved():
    lines = [f"<a>{number}</a>" for number in range(20)]
    assert told(app(*lines), app(*lines[1:], lines[0])) == ["/app/a[1]: moved to /app/a[20]"]
    assert told(app(*lines), app(lines[-1], *lines[:-1])) == ["/app/a[20]: moved to /app/a[1]"]
    assert (
        told(app(*lines), app(*lines[:3], *lines[8:15], *lines[3:8], *lines[15:]))
        == ["/app/a[4]: moved to /app/a[15]"] * 5
    )


def test_what_goes_to_another_parent_is_removed_and_added():
    assert told("<app><a><c/></a><b/></app>", "<app><a/><b><c/></b></app>") == [
        "/app/a[1]/c[1]: removed <c/>",
        "/app/b[1]/c[1]: added <c/>",
    ]


def test_mixed_content_is_replaced_as_a_whole():
    assert told(app("<p>some <b>bold</b> text</p>"), app("<p>some <b>bold</b> word</p>")) == [
        "/app/p[1]: removed <p>some <b>bold</b> text</p>",
        "/app/p[1]: added <p>some <b>bold</b> word</p>",
    ]
    assert told(app("<p>a<b/></p>"), app("<p><b/>a</p>")) == [
        "/app/p[1]: removed <p>a<b/></p>",
        "/app/p[1]: added <p><b/>a</p>",
    ]
    assert told(app("<p x='1'>a<b/></p>"), app("<p x='2'>a<b/></p>")) == ['/app/p[1]/@x: "1" -> "2"']
    assert told("<app>stray<a/></app>", "<app>other<a/></app>") == []
    assert told("<app>stray<a/></app>", "<app>other</app>") == ["/app/a[1]: removed <a/>", '/app: "stray" -> "other"']


def test_namespaces():
    old = '<app xmlns:m="u"><m:a/><a/><x xmlns="d"/><m:a>1</m:a></app>'
    new = (
        '<app xmlns:m="u"><m:a/><x xmlns="d" y="1"/><m:b/><m:a>2</m:a><x xmlns="d" z="1"/>'
        '<n:a xmlns:n="v" id="n"/></app>'
    )
    assert told(old, new) == [
        "/app/a[1]: removed <a/>",
        "/app/m:b[1]: added <m:b/>",
        '/app/*[5]: added <x z="1"/>',
        '/app/n:a[1]: added <n:a id="n"/>',
        '/app/*[2]/@y: (none) -> "1"',
        '/app/m:a[2]: "1" -> "2"',
    ]


def test_a_prefix_that_lxml_replaces():
    old, new = (
        parsed('<app xmlns:m="u"><m:a/></app>'),
        parsed('<app xmlns:m="u"><n:a xmlns:n="u" x="1"/><n:a xmlns:n="u"/></app>'),
    )
    script = diff(old, new)
    assert [change.path for change in script] == ["/app/m:a[1]"]
    apply(Editor(Nobody()), old, script)
    assert diff(old, new) == []


def test_roots_of_other_names():
    with pytest.raises(ValueError, match="the root is <a> in one document and <m:a> in the other"):
        diff(parsed("<a/>"), parsed('<m:a xmlns:m="u"/>'))


def test_deep_documents():
    def deep(inside):
        return "<app>" + "<a><b/>" * 254 + inside + "</a>" * 254 + "</app>"

    path = "/app" + "/a[1]" * 254
    assert told(deep("<c/>"), deep('<c x="1"/>')) == [f'{path}/c[1]/@x: (none) -> "1"']
    assert told(deep("<c>x</c>"), deep("")) == [f"{path}/c[1]: removed <c>x</c>"]
    assert told(deep("x"), deep("y"))[0].startswith(f"{path}: removed <a>")


def test_a_large_document_that_is_laid_out_anew():
    hosts = [
        f'<host name="h{host}">' + "".join(f'<check id="{check}"><a>1</a></check>' for check in range(20)) + "</host>"
        for host in range(50)
    ]
    new = app(*hosts).replace("><", ">\n<").replace('<check id="7"><a>1', '<check id="7"><a>2', 1)
    new = new.replace('<check id="7">\n<a>1', '<check id="7">\n<a>2', 1)
    assert told(app(*hosts), new) == ['/app/host[1]/check[8]/a[1]: "1" -> "2"']


def test_all_new_and_all_gone():
    lines = [f'<a id="{number}"><b/></a>' for number in range(50)]
    assert len(told(app(*lines), "<app/>")) == len(told("<app/>", app(*lines))) == 50
    assert len(told(app(*lines), app(*reversed(lines)))) == 49


# -- Properties

BLANK = st.sampled_from(["", "", " ", "\n", "\n  ", "  \n"])
BETWEEN = st.sampled_from(["", "", " ", "\n", "\n  ", "x", " y ", "\n  \n ", "  \n", "x<![CDATA[<]]>z"])
ATTRIBUTES = st.dictionaries(
    st.sampled_from(["id", "name", "x", "m:k", "xml:lang"]), st.sampled_from(["1", "2", "3"]), max_size=3
)


def _element(inner):
    content = st.lists(st.tuples(inner, BETWEEN).map("".join), max_size=5).map("".join)
    return st.builds(
        lambda tag, attributes, text, content: (
            f"<{tag}{''.join(f' {name}={value!r}' for name, value in attributes.items())}>{text}{content}</{tag}>"
        ),
        st.sampled_from(["a", "b", "m:c"]),
        ATTRIBUTES,
        BETWEEN,
        content,
    )


NODES = st.recursive(
    st.sampled_from(["<!--c-->", "<?p i?>", "<a/>", "<b x='1'/>", "<a>1</a>"]), _element, max_leaves=12
)
DOCUMENTS = st.lists(st.tuples(NODES, BLANK).map("".join), max_size=8).map(
    lambda content: f'<app xmlns:m="u">{"".join(content)}</app>'
)


@settings(max_examples=300, deadline=None)
@given(DOCUMENTS, DOCUMENTS)
def test_any_document_becomes_any_other(old, new):
    check(old, new, diff(parsed(old), parsed(new)))


LISTS = st.lists(
    st.sampled_from(["<a/>", "<a>1</a>", "<b/>", "<a id='1'/>", "<a id='2'/>", "<a id='2' x='1'/>"]), max_size=12
)


@settings(max_examples=300, deadline=None)
@given(LISTS, LISTS)
def test_any_list_becomes_any_other(old, new):
    check(app(*old), app(*new), diff(parsed(app(*old)), parsed(app(*new))))


@settings(max_examples=150, deadline=None)
@given(DOCUMENTS, st.lists(st.integers(0, 30), max_size=3))
def test_a_few_changes_are_told_as_few(text, places):
    root, changed = parsed(text), parsed(text)
    for place in places:
        elements = list(changed.iter(etree.Element))
        elements[place % len(elements)].set("changed", "yes")
    script = diff(root, changed)
    check(text, xml(changed), script)
    assert len(script) <= 2 * len(set(places))
    assert diff(root, copy.deepcopy(root)) == []


def test_labels_tell_what_a_path_means():
    (change,) = diff(parsed('<app><a name="n" key="k">x</a></app>'), parsed('<app><a name="n" key="k">y</a></app>'))
    assert change == Change("text", "/app/a[1]", "x", "y")
    assert (change.labels, change.keys) == (("n",), ("k",))
