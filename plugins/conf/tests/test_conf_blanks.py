"""What adding, removing and moving an element does to the blanks around it, seen in the text of the document."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from lxml import etree

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
    return etree.tostring(element, encoding="unicode", with_tail=False)


def added(text, parent, position, new="<new/>"):
    root = parsed(text)
    Editor(Nobody()).add(root if parent == "." else root.find(parent), position, parsed(new))
    return xml(root)


def removed(text, element):
    root = parsed(text)
    Editor(Nobody()).remove(root.find(element))
    return xml(root)


APP = """<app>
  <a>
    <b/>
    <!-- about c -->
    <c/>
  </a>
  <d/>
</app>"""


@pytest.mark.parametrize(
    ("parent", "position", "line", "below"),
    [
        (".", 0, "  <new/>", "<app>"),
        (".", 1, "  <new/>", "  </a>"),
        (".", -1, "  <new/>", "  <d/>"),
        (".", 2, "  <new/>", "  <d/>"),
        ("a", 0, "    <new/>", "  <a>"),
        ("a", 1, "    <new/>", "    <!-- about c -->"),
        ("a", -1, "    <new/>", "    <c/>"),
    ],
)
def test_a_new_element_gets_a_line_among_its_neighbours(parent, position, line, below):
    lines = APP.split("\n")
    lines.insert(lines.index(below) + 1, line)
    assert added(APP, parent, position) == "\n".join(lines)


def test_the_first_element_opens_its_parent():
    assert added(APP, "d", 0) == APP.replace("  <d/>", "  <d>\n    <new/>\n  </d>")
    assert added(APP, "a/b", -1) == APP.replace("    <b/>", "    <b>\n      <new/>\n    </b>")
    assert added("<app/>", ".", 0) == "<app>\n  <new/>\n</app>"
    assert added("<app> </app>", ".", 0) == "<app>\n  <new/>\n</app>"
    assert added("<app>\n</app>", ".", 0) == "<app>\n  <new/>\n</app>"


@pytest.mark.parametrize("unit", ["\t", " ", "    ", "  "])
def test_the_unit_is_that_of_the_document(unit):
    text = f"<app>\n{unit}<a>\n{unit * 2}<b/>\n{unit}</a>\n{unit}<c/>\n</app>"
    assert added(text, "c", 0) == text.replace("<c/>", f"<c>\n{unit * 2}<new/>\n{unit}</c>")
    assert added(text, "a/b", 0) == text.replace("<b/>", f"<b>\n{unit * 3}<new/>\n{unit * 2}</b>")
    assert added(text, ".", -1, "<new><x/></new>") == text.replace(
        "<c/>", f"<c/>\n{unit}<new>\n{unit * 2}<x/>\n{unit}</new>"
    )


def test_the_unit_around_counts_more_than_that_of_the_root():
    text = "<app>\n <a>\n     <b/>\n </a>\n</app>"
    assert added(text, "a/b", 0) == text.replace("<b/>", "<b>\n         <new/>\n     </b>")
    assert added("<app>\n<a/>\n\t<b/>\n</app>", "a", 0) == "<app>\n<a>\n\t<new/>\n</a>\n\t<b/>\n</app>"
    assert added("<app>\n<a/>\n</app>", "a", 0) == "<app>\n<a>\n  <new/>\n</a>\n</app>"


@pytest.mark.parametrize(
    ("text", "parent", "position", "result"),
    [
        ("<app><a/><b/></app>", ".", 1, "<app><a/><new/><b/></app>"),
        ("<app><a/><b/></app>", ".", -1, "<app><a/><b/><new/></app>"),
        ("<app><a/></app>", "a", 0, "<app><a><new/></a></app>"),
        ("<app>\n  <x><a/></x>\n</app>", "x/a", 0, "<app>\n  <x><a><new/></a></x>\n</app>"),
        ("<app>\n  <x> <a/> </x>\n</app>", "x", -1, "<app>\n  <x> <a/><new/> </x>\n</app>"),
        ("<app>\n  <x> </x><y/>\n</app>", "y", -1, "<app>\n  <x> </x><y><new/></y>\n</app>"),
        ("<app>text</app>", ".", 0, "<app>text<new/></app>"),
        ("<app>text<a/>more</app>", ".", -1, "<app>text<a/>more<new/></app>"),
        ("<app>\n  <a/>\n  text\n</app>", ".", -1, "<app>\n  <a/>\n  text\n  <new/>\n</app>"),
    ],
)
def test_no_lines_are_invented(text, parent, position, result):
    assert added(text, parent, position) == result


@pytest.mark.parametrize(
    ("text", "position", "result"),
    [
        ("<app>\n  <a/></app>", -1, "<app>\n  <a/>\n  <new/></app>"),
        ("<app>\n  <a/>  \n\n</app>", -1, "<app>\n  <a/>  \n  <new/>\n\n</app>"),
        ("<app>\n\n  <a/>\n\n  <b/>\n</app>", 0, "<app>\n\n  <new/>\n  <a/>\n\n  <b/>\n</app>"),
        ("<app>\n\n  <a/>\n\n  <b/>\n</app>", 1, "<app>\n\n  <a/>\n\n  <new/>\n  <b/>\n</app>"),
        ("<app>\n  <a/> <!-- about a -->\n</app>", -1, "<app>\n  <a/> <!-- about a -->\n  <new/>\n</app>"),
        ("<app>\n  <!-- only this -->\n</app>", 0, "<app>\n  <!-- only this -->\n  <new/>\n</app>"),
        ("<app>\n  <a/><b/>\n</app>", -1, "<app>\n  <a/><b/><new/>\n</app>"),
        ("<app>\n  <a/><!--\n-->\n</app>", -1, "<app>\n  <a/><!--\n-->\n  <new/>\n</app>"),
    ],
)
def test_odd_lines(text, position, result):
    assert added(text, ".", position) == result


def test_what_is_new_is_indented_inside_unless_it_has_blanks_of_its_own():
    new = "<new><a><!--c--><b>text</b></a><c/></new>"
    inside = "<new>\n      <a>\n        <!--c-->\n        <b>text</b>\n      </a>\n      <c/>\n    </new>"
    assert added(APP, "a", 0, new) == APP.replace("<b/>", f"{inside}\n    <b/>")
    for own in ("<new> <a/></new>", "<new><a/>\n</new>", "<new>text<a/></new>", "<new><x><a/> </x></new>"):
        assert added(APP, "a", 0, own) == APP.replace("<b/>", f"{own}\n    <b/>")
    assert added("<app><a/></app>", ".", 0, new) == f"<app>{new}<a/></app>"


def test_what_is_moved_keeps_the_blanks_inside():
    root = parsed(APP)
    Editor(Nobody()).move(root[0], root[1], 0)
    assert xml(root) == ("<app>\n  <d>\n    <a>\n    <b/>\n    <!-- about c -->\n    <c/>\n  </a>\n  </d>\n</app>")
    root = parsed(APP)
    Editor(Nobody()).move(root[0], root, -1)
    assert xml(root) == "<app>\n  <d/>\n" + "\n".join(APP.split("\n")[1:6]) + "\n</app>"


@pytest.mark.parametrize(
    ("text", "element", "result"),
    [
        (APP, "a/b", APP.replace("    <b/>\n", "")),
        (APP, "a/c", APP.replace("    <c/>\n", "")),
        (APP, "d", APP.replace("  <d/>\n", "")),
        ("<app>\n  <a/>\n</app>", "a", "<app>\n</app>"),
        ("<app>\n\n  <a/>\n\n  <b/>\n</app>", "a", "<app>\n\n\n  <b/>\n</app>"),
        ("<app>\n  <a/>  \n  <b/>\n</app>", "a", "<app>\n  <b/>\n</app>"),
        ("<app>\n  <a/>\n  <b/></app>", "b", "<app>\n  <a/></app>"),
        ("<app>\n  <a/>\n  <b/>  </app>", "b", "<app>\n  <a/>  </app>"),
        ("<app>\n  <a/><b/>\n</app>", "a", "<app>\n  <b/>\n</app>"),
        ("<app>\n  <a/><b/>\n</app>", "b", "<app>\n  <a/>\n</app>"),
        ("<app>\n  <a/> text\n</app>", "a", "<app>\n   text\n</app>"),
        ("<app>\n  <a/> <!-- about a -->\n</app>", "a", "<app>\n   <!-- about a -->\n</app>"),
        ("<app>text\n  <a/>\ntext</app>", "a", "<app>text\ntext</app>"),
        ("<app><a/> <b/></app>", "a", "<app> <b/></app>"),
        ("<app><a/></app>", "a", "<app/>"),
        ("<app> <a/> </app>", "a", "<app/>"),
        ("<app> <a/>\u00a0</app>", "a", "<app> \u00a0</app>".replace("\u00a0", "&#160;")),
    ],
)
def test_what_goes_takes_its_lines_along(text, element, result):
    assert parsed(removed(text, element)).text == parsed(result).text
    assert removed(text, element) == xml(parsed(result))


# -- Properties

BETWEEN = st.sampled_from(["", "", " ", "\n", "\n    ", "\n\n  ", "  \n  ", "\n\t", "x", "\n text\n  "])


def documents():
    def element(inner):
        content = st.lists(st.tuples(inner, BETWEEN).map("".join), max_size=4).map("".join)
        return st.tuples(BETWEEN, content).map(lambda made: f"<a>{made[0]}{made[1]}</a>")

    nodes = st.recursive(st.sampled_from(["<!--c-->", "<?p i?>", "<a/>", "<b>text</b>"]), element, max_leaves=12)
    return st.tuples(BETWEEN, st.lists(st.tuples(nodes, BETWEEN).map("".join), max_size=6).map("".join)).map(
        lambda made: f"<app>{made[0]}{made[1]}</app>"
    )


FRESH = st.sampled_from(["<new/>", "<new>x</new>", "<new><a/><b><c/></b></new>", "<new>\n<a/></new>"])


@settings(max_examples=400, deadline=None)
@given(documents(), st.integers(0, 30), st.integers(-1, 5), FRESH)
def test_what_is_added_and_removed_leaves_no_trace(text, which, position, new):
    root = parsed(text)
    before = xml(root)
    parents = list(root.iter(etree.Element))
    parent = parents[which % len(parents)]
    count = len(list(parent.iterchildren(etree.Element)))
    has_nodes, on_one_line = len(parent) > 0, "\n" not in (parent.text or "")
    element = parsed(new)
    editor = Editor(Nobody())
    editor.add(parent, min(position, count), element)
    after = xml(root)
    assert parsed(after) is not None
    editor.remove(element)
    assert xml(root) == before

    # The same by an editor that does not know what was there before, as it is after a restart.
    editor = Editor(Nobody())
    editor.add(parent, min(position, count), element)
    Editor(Nobody()).remove(element)
    if has_nodes or not on_one_line or (parent.text or "").strip():
        assert xml(root) == before
    else:
        assert [each.tag for each in root.iter()] == [each.tag for each in parsed(before).iter()]


@st.composite
def laid_out(draw):
    """The lines of a well laid out document, and for each element with lines of its own the first and the last."""
    unit = draw(st.sampled_from(["  ", "\t", "    "]))
    lines, own = ["<app>"], []

    def fill(depth):
        for _ in range(draw(st.integers(0, 3 if depth < 4 else 0))):
            inside = unit * depth
            kind = draw(st.sampled_from(["comment", "blank", "leaf", "leaf", "text", "inline", "element"]))
            start, number = len(lines), len(own)
            if kind == "comment":
                lines.append(f"{inside}<!-- about the next -->")
            elif kind == "blank":
                lines.append("")
            elif kind == "element":
                own.append(None)
                lines.append(f'{inside}<a n="{number}">')
                fill(depth + 1)
                lines.append(f"{inside}</a>")
                own[number] = (start, len(lines))
            else:
                content = {"leaf": "", "text": "some\ntext ", "inline": "<x/><y>z</y>"}[kind]
                tag = f'<{kind} n="{number}"'
                lines.extend(f"{inside}{tag}>{content}</{kind}>".split("\n") if content else [f"{inside}{tag}/>"])
                own.append((start, len(lines)))

    fill(1)
    lines.append("</app>")
    return lines, own


@settings(max_examples=200, deadline=None)
@given(laid_out(), st.integers(0, 50))
def test_removing_an_element_removes_exactly_its_lines(document, which):
    lines, own = document
    if not own:
        return
    number = which % len(own)
    root = parsed("\n".join(lines))
    editor = Editor(Nobody())
    editor.remove(root.xpath("//*[@n=$n]", n=str(number))[0])
    start, stop = own[number]
    assert xml(root) == xml(parsed("\n".join(lines[:start] + lines[stop:])))
    assert xml(root).count("\n") == len(lines) - 1 - (stop - start)
    editor.undo()
    assert xml(root) == xml(parsed("\n".join(lines)))
