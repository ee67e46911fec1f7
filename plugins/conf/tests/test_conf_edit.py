"""The editor: what it does, what it refuses, what it tells, and that it undoes all of it to the byte."""

from __future__ import annotations

import copy

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from lxml import etree

from mtev_conf._editing.changes import Change, apply, inverse
from mtev_conf._editing.edit import MAX_DEPTH, Editor
from mtev_conf._editing.fragments import same_meaning, words_of
from mtev_conf._editing.paths import path_of


class Notes:
    """An observer that notes what it is told, with what it can see at that moment."""

    def __init__(self, refused=()):
        self.told = []
        self.tags, self.texts, self.nodes = set(), set(), set()
        self.refused = refused

    def _note(self, what, element, notes):
        if what in self.refused:
            raise PermissionError(what)
        self.told.append((what, xml(element)))
        notes.add(element)

    def tag(self, element):
        self._note("tag", element, self.tags)

    def content(self, element):
        assert len(element) == 0
        self._note("content", element, self.texts)

    def children(self, parent):
        self._note("children", parent, self.nodes)

    def departing(self, element):
        assert element.getparent() is not None
        self._note("departing", element, set())

    def arrived(self, element, parent):
        assert element.getparent() is parent
        self._note("arrived", element, set())


def parsed(text):
    return etree.fromstring(text, etree.XMLParser(strip_cdata=False))


def xml(element):
    return etree.tostring(element, encoding="unicode", with_tail=False)


def edited(text):
    root = parsed(text)
    notes = Notes()
    return root, notes, Editor(notes)


def test_an_attribute_is_set_replaced_and_removed():
    root, notes, editor = edited('<app><a x="1" y="2" z="3"/></app>')
    a = root[0]
    assert editor.set(a, "y", 'new & "quoted"') == Change("set", "/app/a[1]/@y", "2", 'new & "quoted"')
    assert editor.set(a, "n", "4") == Change("set", "/app/a[1]/@n", None, "4")
    assert editor.set(a, "x", None) == Change("unset", "/app/a[1]/@x", "1")
    assert xml(root) == '<app><a y="new &amp; &quot;quoted&quot;" z="3" n="4"/></app>'
    assert notes.told[0] == ("tag", '<a x="1" y="2" z="3"/>')
    assert [change.kind for change in editor.changes] == ["set", "set", "unset"]
    editor.undo()
    assert xml(root) == '<app><a x="1" y="2" z="3"/></app>'
    assert editor.changes == []


def test_attributes_with_prefixes():
    root, _, editor = edited('<app xmlns:m="u"><a m:x="1"/></app>')
    editor.set(root[0], "m:x", "2")
    editor.set(root[0], "xml:lang", "en")
    assert editor.set(root[0], "{u}y", "3") == Change("set", "/app/a[1]/@{u}y", None, "3")
    assert xml(root) == '<app xmlns:m="u"><a m:x="2" xml:lang="en" m:y="3"/></app>'
    editor.set(root[0], "m:x", None)
    editor.undo()
    assert xml(root) == '<app xmlns:m="u"><a m:x="1"/></app>'


def test_what_is_there_already_is_no_change():
    root, notes, editor = edited('<app><a x="1">text</a><b>\n</b><c><!--c--></c></app>')
    assert editor.set(root[0], "x", "1") is None
    assert editor.set(root[0], "y", None) is None
    assert editor.text(root[0], "text") is None
    assert editor.text(root[1], "") is None
    assert editor.text(root[1], "\n") is None
    assert editor.text(root[2], "") is None
    assert editor.move(root[0], root, 0) is None
    assert editor.move(root[2], root, -1) is None
    assert notes.told == editor.changes == []


def test_a_text_replaces_the_content_and_the_comments_in_it():
    root, notes, editor = edited("<app><a>old<!--c-->er<?p i?></a><b/><c>x<![CDATA[<]]>y</c></app>")
    before = xml(root)
    a, b, c = root
    assert editor.text(a, "new <text>") == Change("text", "/app/a[1]", "older", "new <text>")
    editor.text(b, "b")
    editor.text(c, "")
    assert xml(root) == "<app><a>new &lt;text&gt;</a><b>b</b><c/></app>"
    assert [what for what, _ in notes.told] == ["children", "content", "content"]
    assert notes.told[0][1] == "<a>old<!--c-->er<?p i?></a>"
    nodes = [*a]
    editor.undo()
    assert xml(root) == before
    assert nodes == []


def test_undoing_a_text_brings_the_same_comments_back():
    root, _, editor = edited("<app><a>old<!--c-->er</a></app>")
    comment = root[0][0]
    editor.text(root[0], "new")
    editor.undo()
    assert root[0][0] is comment


def test_an_element_is_added_removed_and_moved():
    root, notes, editor = edited("<app><a/><b><c/></b></app>")
    a, b = root
    new = etree.Element("new", x="1")
    assert editor.add(b, 0, new) == Change("add", "/app/b[1]/new[1]", new='<new x="1"/>', index=0)
    assert notes.told == [("children", "<b><c/></b>"), ("arrived", '<new x="1"/>')]
    assert editor.move(a, b, -1) == Change("move", "/app/a[1]", "0", "/app/b[1]/a[1]", 2)
    assert xml(root) == '<app><b><new x="1"/><c/><a/></b></app>'
    assert editor.remove(b) == Change("remove", "/app/b[1]", '<b><new x="1"/><c/><a/></b>', index=0)
    assert xml(root) == "<app/>"
    editor.undo()
    assert xml(root) == "<app><a/><b><c/></b></app>"
    assert list(root) == [a, b]


def test_a_move_tells_both_parents_before_anything_happens():
    root, notes, editor = edited("<app><a><x/></a><b/></app>")
    editor.move(root[0][0], root[1], 0)
    assert notes.told == [("departing", "<x/>"), ("children", "<a><x/></a>"), ("children", "<b/>"), ("arrived", "<x/>")]


def test_positions_after_a_move_are_counted_without_the_element():
    root, _, editor = edited("<app><a/><b/><c/><d/></app>")
    a = root[0]
    editor.move(a, root, 2)
    assert [each.tag for each in root] == ["b", "c", "a", "d"]
    editor.move(a, root, 1)
    assert [each.tag for each in root] == ["b", "a", "c", "d"]
    editor.move(a, root, 3)
    assert [each.tag for each in root] == ["b", "c", "d", "a"]
    with pytest.raises(ValueError, match="/app has no position 4 for an element, since it has 3 others; write 0 to 3"):
        editor.move(a, root, 4)


def test_text_beside_an_element_stays_when_it_goes():
    root, _, editor = edited("<app>before<a/>after<b/>end</app>")
    a, b = root
    editor.remove(a)
    assert xml(root) == "<app>beforeafter<b/>end</app>"
    editor.move(b, root, -1)
    assert xml(root) == "<app>beforeafter<b/>end</app>"
    editor.remove(b)
    assert xml(root) == "<app>beforeafterend</app>"
    editor.undo()
    assert xml(root) == "<app>before<a/>after<b/>end</app>"


def test_removed_xml_declares_its_namespaces():
    root, _, editor = edited('<app xmlns:m="u" xmlns:o="v"><m:a o:x="1"><b/></m:a>tail</app>')
    assert editor.remove(root[0]).old == '<m:a xmlns:m="u" xmlns:o="v" o:x="1"><b/></m:a>'
    editor.undo()
    assert xml(root) == '<app xmlns:m="u" xmlns:o="v"><m:a o:x="1"><b/></m:a>tail</app>'


def test_changes_say_what_an_element_is_called():
    root, _, editor = edited('<app><a id="1" name="old" key="k"/></app>')
    change = editor.set(root[0], "name", "new")
    assert (change.labels, change.keys) == (("old", "1", "new"), ("k",))
    assert editor.text(root[0], "x").labels == ("new", "1")


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("", "'' is no name of an attribute in XML"),
        ("a b", "'a b' is no name"),
        ("1a", "'1a' is no name"),
        ("a:b:c", "'a:b:c' is no name"),
        (":a", "':a' is no name"),
        ("a>", "'a>' is no name"),
        ("a}b", "'a}b' is no name"),
        ("{}a", "'{}a' is no name"),
        ("{u}a:b", "'{u}a:b' is no name"),
        ("xmlns", "xmlns: a namespace declaration is no attribute"),
        ("xmlns:m", "xmlns:m: a namespace declaration is no attribute"),
        ("m:a", "m:a: the prefix 'm' is not declared at <app>"),
    ],
)
def test_names_that_are_none_are_refused(name, message):
    root, notes, editor = edited("<app/>")
    with pytest.raises(ValueError, match=message):
        editor.set(root, name, "x")
    assert notes.told == []


@pytest.mark.parametrize("character", ["\0", "\x08", "\x1f", "\ud800", "\ufffe", "\uffff"])
def test_characters_that_xml_cannot_hold_are_refused(character):
    root, notes, editor = edited("<app><a/></app>")
    with pytest.raises(ValueError, match=f"the attribute 'x' cannot hold the character U\\+{ord(character):04X} at"):
        editor.set(root, "x", f"ab{character}")
    with pytest.raises(ValueError, match="the text of <a> cannot hold the character .* position 0"):
        editor.text(root[0], character)
    assert notes.told == []


def test_what_cannot_be_is_refused():
    root, notes, editor = edited("<app><a><b/></a><!--c--></app>")
    a, b = root[0], root[0][0]
    for action, message in [
        (lambda: editor.text(a, "x"), "/app/a.1. has child elements"),
        (lambda: editor.remove(root), "<app> is the root of a document, which cannot be removed"),
        (lambda: editor.move(root, a, 0), "<app> is the root of a document, which cannot be moved"),
        (lambda: editor.move(a, b, 0), "/app/a.1. cannot be moved into itself, to /app/a.1./b.1."),
        (lambda: editor.move(a, a, 0), "/app/a.1. cannot be moved into itself"),
        (lambda: editor.move(b, etree.Element("x"), 0), "cannot be moved to another document"),
        (lambda: editor.add(root, 2, etree.Element("x")), "/app has no position 2 .* it has 1 others; write 0 to 1"),
        (lambda: editor.add(root, -2, etree.Element("x")), "/app has no position -2"),
        (lambda: editor.add(root, 0, b), "/app/a.1./b.1. stands somewhere already"),
        (lambda: editor.add(a, 0, root), "<app> cannot be added to itself"),
        (lambda: editor.add(root, 0, etree.Comment("x")), "only an element can be added"),
    ]:
        with pytest.raises(ValueError, match=message):
            action()
    assert notes.told == editor.changes == []
    assert xml(root) == "<app><a><b/></a><!--c--></app>"


def test_what_could_not_be_read_back_is_refused():
    root = parsed("<a>" * (MAX_DEPTH - 1) + "</a>" * (MAX_DEPTH - 1))
    *_, deepest = root.iter()
    editor = Editor(Notes())
    with pytest.raises(ValueError, match="would have more than 256 levels"):
        editor.add(deepest, 0, parsed("<x><y/></x>"))
    added = etree.Element("x")
    editor.add(deepest, 0, added)
    assert etree.fromstring(xml(root)) is not None
    side = etree.Element("side")
    editor.add(root, 0, side)
    with pytest.raises(ValueError, match="would have more than 256 levels"):
        editor.move(side, added, 0)


@pytest.mark.parametrize(
    ("refused", "act"),
    [
        ("tag", lambda editor, root: editor.set(root[0], "x", "1")),
        ("content", lambda editor, root: editor.text(root[0], "x")),
        ("children", lambda editor, root: editor.add(root[1], 0, etree.Element("new"))),
        ("children", lambda editor, root: editor.remove(root[1])),
        ("departing", lambda editor, root: editor.remove(root[1])),
        ("children", lambda editor, root: editor.move(root[0], root[1], 0)),
        ("departing", lambda editor, root: editor.move(root[0], root[1], 0)),
    ],
)
def test_an_observer_can_refuse_and_then_nothing_happens(refused, act):
    root = parsed("<app>\n  <a/>\n  <b><c/></b>\n</app>")
    before = xml(root)
    editor = Editor(Notes({refused}))
    with pytest.raises(PermissionError):
        act(editor, root)
    assert xml(root) == before
    assert editor.changes == []
    editor.undo()
    assert xml(root) == before


def test_undoing_is_told_too():
    root, notes, editor = edited("<app><a/><b/></app>")
    editor.move(root[0], root[1], 0)
    notes.told.clear()
    editor.undo()
    assert [what for what, _ in notes.told] == ["departing", "children", "children", "arrived"]


# -- Properties

TEXTS = st.sampled_from(["", "", " ", "\n", "\n    ", "  \n", "x", " y ", "x<![CDATA[<&]]>z", "&#13;&amp;"])
BLANK = st.sampled_from(["", "", " ", "\n", "\n    ", "  \n  "])
ATTRIBUTES = st.dictionaries(
    st.sampled_from(["id", "name", "x", "y", "m:x", "xml:lang"]), st.sampled_from(["1", "2", "3"]), max_size=4
)
TAGS = st.sampled_from(["a", "b", "m:c"])


def documents(between):
    def element(inner):
        content = st.lists(st.tuples(inner, between).map("".join), max_size=5).map("".join)
        return st.builds(
            lambda tag, attributes, text, content: (
                f"<{tag}{''.join(f' {name}={value!r}' for name, value in attributes.items())}>{text}{content}</{tag}>"
            ),
            TAGS,
            ATTRIBUTES,
            between,
            content,
        )

    leaves = st.sampled_from(["<!--c-->", "<?p i?>", "<a/>", "<b x='1'>text</b>", "<a>x<!--c-->y</a>", "<m:c>\n</m:c>"])
    nodes = st.recursive(leaves, element, max_leaves=15)
    return st.lists(st.tuples(nodes, between).map("".join), max_size=8).map(
        lambda content: f'<app xmlns:m="u">\n  {"".join(content)}</app>'
    )


STEPS = st.lists(
    st.tuples(
        st.sampled_from(["set", "unset", "text", "add", "add", "remove", "move", "move"]),
        st.integers(0, 30),
        st.integers(0, 30),
        st.integers(-1, 6),
        st.sampled_from(["1", "2", "", "two words", "<&>\t\n"]),
    ),
    max_size=8,
)
FRESH = ["<a/>", "<b x='1'>text</b>", "<m:c xmlns:m='u'><a/><!--c--><b><a/></b></m:c>", "<a>\n  <b/>\n</a>"]


def perform(editor, root, step):
    """One step on a tree; whether it was possible."""
    kind, first, second, position, value = step
    elements = list(root.iter(etree.Element))
    element, other = elements[first % len(elements)], elements[second % len(elements)]
    try:
        if kind == "set":
            editor.set(element, ["x", "name", "m:x", "xml:lang"][second % 4], value)
        elif kind == "unset":
            editor.set(element, ["x", "name", "m:x", "xml:lang"][second % 4], None)
        elif kind == "text":
            editor.text(element, value)
        elif kind == "add":
            editor.add(element, position, parsed(FRESH[second % len(FRESH)]))
        elif kind == "remove":
            editor.remove(element)
        else:
            editor.move(element, other, position)
    except ValueError:
        return False
    return True


@settings(max_examples=300, deadline=None)
@given(documents(TEXTS), STEPS)
def test_undo_restores_every_byte_and_every_node(text, steps):
    root = parsed(text)
    before, nodes = xml(root), list(root.iter())
    editor = Editor(Notes())
    for step in steps:
        perform(editor, root, step)
    editor.undo()
    assert xml(root) == before
    assert list(root.iter()) == nodes
    assert editor.changes == []


@settings(max_examples=150, deadline=None)
@given(documents(TEXTS), STEPS)
def test_whatever_differs_has_been_told(text, steps):
    root = parsed(text)
    before = {
        each: (each.items(), each.text, [(node, node.tail) for node in each]) for each in root.iter(etree.Element)
    }
    notes = Notes()
    editor = Editor(notes)
    for step in steps:
        perform(editor, root, step)
    for element, (items, first, nodes) in before.items():
        assert element.items() == items or element in notes.tags
        same_text = (element.text or "") == (first or "")
        assert [(node, node.tail or "") for node in element] == [(node, tail or "") for node, tail in nodes] or (
            element in notes.nodes
        )
        assert same_text or element in notes.nodes | notes.texts


@settings(max_examples=150, deadline=None)
@given(documents(BLANK), STEPS)
def test_the_changes_are_a_script_that_can_be_repeated_and_undone(text, steps):
    root, repeated = parsed(text), parsed(text)
    editor = Editor(Notes())
    for step in steps:
        perform(editor, root, step)
    script = editor.changes
    again = Editor(Notes())
    apply(again, repeated, script)
    assert same_meaning(repeated, root)
    assert again.changes == script
    apply(Editor(Notes()), root, inverse(script))
    assert same_meaning(root, parsed(text))


class Plain:
    """A document as nested lists: what the editor has to agree with."""

    def __init__(self, element):
        self.tag, self.attributes, self.parent = element.tag, dict(element.items()), None
        self.text = words_of("".join([element.text or "", *(each.tail or "" for each in element)]))
        self.children = [Plain(each) for each in element.iterchildren(etree.Element)]
        for child in self.children:
            child.parent = self

    def all(self):
        return [self, *(each for child in self.children for each in child.all())]

    def above(self):
        return [] if self.parent is None else [self.parent, *self.parent.above()]

    def told(self):
        return (self.tag, self.attributes, self.text, [child.told() for child in self.children])

    def put(self, child, position):
        if position not in range(-1, len(self.children) + 1):
            return False
        self.children.insert(len(self.children) if position == -1 else position, child)
        child.parent = self
        return True


def perform_plainly(root, step):
    kind, first, second, position, value = step
    elements = root.all()
    element, other = elements[first % len(elements)], elements[second % len(elements)]
    if kind in ("set", "unset"):
        name = ["x", "name", "{u}x", "{http://www.w3.org/XML/1998/namespace}lang"][second % 4]
        element.attributes.pop(name, None)
        if kind == "set":
            element.attributes[name] = value
    elif kind == "text":
        if element.children:
            return False
        element.text = words_of(value)
    elif kind == "add":
        return element.put(Plain(parsed(FRESH[second % len(FRESH)])), position)
    elif element.parent is None or (kind == "move" and element in [other, *other.above()]):
        return False
    else:
        parent, place = element.parent, element.parent.children.index(element)
        parent.children.remove(element)
        if kind == "move" and not other.put(element, position):
            parent.children.insert(place, element)
            return False
    return True


@settings(max_examples=300, deadline=None)
@given(documents(TEXTS), STEPS)
def test_any_sequence_of_edits_equals_the_same_on_nested_lists(text, steps):
    root = parsed(text)
    plain = Plain(root)
    editor = Editor(Notes())
    for step in steps:
        assert perform(editor, root, step) is perform_plainly(plain, step)
        assert flat(Plain(root).told()) == flat(plain.told())
    assert [path_of(each) for each in root.iter(etree.Element)]


def flat(told):
    """Texts beside elements are joined in another order when elements move between them, so only their words count."""
    tag, attributes, text, children = told
    return tag, attributes, sorted("".join(text)), [flat(child) for child in children]


def test_an_edited_tree_can_be_copied_while_the_editor_lives():
    root, _, editor = edited("<app><a/></app>")
    editor.remove(root[0])
    copied = copy.deepcopy(root)
    editor.undo()
    assert (xml(copied), xml(root)) == ("<app/>", "<app><a/></app>")
