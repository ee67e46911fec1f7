"""Writing a changed tree back into the text that it was read from."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from lxml import etree

from mtev_conf._writing.render import Edits, Snapshot, render
from mtev_conf._writing.scan import scan

XML = "{http://www.w3.org/XML/1998/namespace}"


def parse(text):
    parser = etree.XMLParser(encoding="utf-8", resolve_entities=False, strip_cdata=False, no_network=True)
    return etree.fromstring(text.encode(), parser)


class Document:
    """The layout of a file that is a document, and the edits of whoever changes it. Changes go through its methods."""

    def __init__(self, text):
        self.text = text
        self.spans = scan(text)
        self.top = parse(text)
        self.anchor = self.spans.root
        self.edits = Edits()
        self.kept = [*self.top.iter()]  # lxml forgets which object stands for a node that nobody holds

    def opaque(self, element):
        return False

    def nodes(self, element):
        return element

    def render(self):
        return render(self.text, self.spans, self, self.edits).text

    def find(self, path):
        found = self.top.find(path, self.top.nsmap)
        assert found is not None
        return found

    def set(self, element, name, value):
        self.edits.tags.add(element)
        if value is not None:
            element.set(name, value)
        elif name in element.attrib:
            del element.attrib[name]

    def say(self, element, text):
        """Replace what is in an element without child elements, comments included."""
        self.edits.contents.add(element)
        for node in list(element):
            self.kept.append(node)
            element.remove(node)
        element.text = text

    def about(self, parent):
        if parent not in self.edits.children:
            nodes = tuple((node, node.tail) for node in self.nodes(parent))
            self.edits.children[parent] = Snapshot(parent.text, nodes)

    def add(self, parent, index, node, tail=None):
        self.about(parent)
        self.edits.fresh.add(node)
        self.kept += node.iter()
        node.tail = tail
        parent.insert(index, node)
        return node

    def remove(self, node):
        self.about(node.getparent())
        self.kept.append(node)
        node.getparent().remove(node)

    def move(self, node, parent, index):
        self.about(node.getparent())
        self.about(parent)
        parent.insert(index, node)

    def retail(self, node, tail):
        self.about(node.getparent())
        node.tail = tail

    def lead(self, parent, text):
        self.about(parent)
        parent.text = text


def told(node, *, tail=True):
    """What a node means, and all that is in it, flat."""
    lines = []
    for each in node.iter():
        text = each.text or ""
        if not isinstance(each.tag, str):
            text = text.replace("\r\n", "\n").replace("\r", "\n")
        lines.append(
            (
                sum(1 for _ in each.iterancestors()) - sum(1 for _ in node.iterancestors()),
                each.tag if isinstance(each.tag, str) else (each.tag.__name__, getattr(each, "target", "")),
                dict(each.attrib) if isinstance(each.tag, str) else {},
                text,
                (each.tail or "") if each is not node or tail else "",
            )
        )
    return lines


def changed(text, change):
    document = Document(text)
    change(document)
    rendered = document.render()
    assert told(parse(rendered)) == told(document.top)
    return rendered


def fresh(text):
    return parse(text)


# --- Attributes


@pytest.mark.parametrize(
    ("text", "name", "value", "expected"),
    [
        ('<a x="1" y="2"/>', "x", "3", '<a x="3" y="2"/>'),
        ("<a x='1' y=\"2\"/>", "x", "3", "<a x='3' y=\"2\"/>"),
        ("<a x='1'/>", "x", 'it\'s "it"', "<a x='it&apos;s \"it\"'/>"),
        ('<a x="1"/>', "x", 'it\'s "it"', '<a x="it\'s &quot;it&quot;"/>'),
        ('<a x = "1" >t</a >', "x", "2", '<a x = "2" >t</a >'),
        ('<a\n  x="1"\n  y="2"\n/>', "y", "", '<a\n  x="1"\n  y=""\n/>'),
        ('<a x=""/>', "x", "1", '<a x="1"/>'),
        ('<a x="1"/>', "x", "a<b>&c", '<a x="a&lt;b>&amp;c"/>'),
        ('<a x="1"/>', "x", "a\tb\nc\rd", '<a x="a&#9;b&#10;c&#13;d"/>'),
        ("<a/>", "x", "1", '<a x="1"/>'),
        ("<a />", "x", "1", '<a x="1" />'),
        ("<a>t</a>", "x", "1", '<a x="1">t</a>'),
        ("<a >t</a>", "x", "1", '<a x="1" >t</a>'),
        ('<a y="2">t</a>', "x", "1", '<a y="2" x="1">t</a>'),
        ('<a\n  y="2"\n>t</a>', "x", "1", '<a\n  y="2" x="1"\n>t</a>'),
        ('<a x="1">t</a>', "x", None, "<a>t</a>"),
        ('<a  x="1"\ty="2"/>', "x", None, '<a\ty="2"/>'),
        ('<a  x="1"\n\ty="2" />', "y", None, '<a  x="1" />'),
        ('<a x="1"/>', "y", None, '<a x="1"/>'),
        ('<a x="1" xml:lang="en"/>', f"{XML}lang", "de", '<a x="1" xml:lang="de"/>'),
        ('<a xml:lang="en"/>', f"{XML}lang", None, "<a/>"),
        ("<a/>", f"{XML}lang", "de", '<a xml:lang="de"/>'),
        ('<a xmlns:m="u" m:x="1" x="2"/>', "{u}x", "3", '<a xmlns:m="u" m:x="3" x="2"/>'),
        ('<a xmlns:m="u" m:x="1" x="2"/>', "x", "3", '<a xmlns:m="u" m:x="1" x="3"/>'),
        ('<a xmlns:m="u" m:x="1" x="2"/>', "{u}x", None, '<a xmlns:m="u" x="2"/>'),
        ('<a m:x="1" xmlns:m="u"/>', "{u}y", "2", '<a m:x="1" xmlns:m="u" m:y="2"/>'),
        ('<a xmlns="u" x="1"/>', "x", "2", '<a xmlns="u" x="2"/>'),
        ('<a xmlns="u"/>', "{u}x", "2", '<a xmlns="u" xmlns:ns0="u" ns0:x="2"/>'),
        ("<a/>", "{u}x", "2", '<a xmlns:ns0="u" ns0:x="2"/>'),
        ('<a xmlns:ns0="other"/>', "{u}x", "2", '<a xmlns:ns0="other" xmlns:ns1="u" ns1:x="2"/>'),
    ],
)
def test_an_attribute_changes_its_own_characters(text, name, value, expected):
    assert changed(text, lambda it: it.set(it.top, name, value)) == expected


def test_several_changes_of_one_tag():
    def change(it):
        it.set(it.top, "a", None)
        it.set(it.top, "b", "two")
        it.set(it.top, "c", None)
        it.set(it.top, "d", "four")
        it.set(it.top, "e", "five")

    assert changed("<r a='1'\n b='2'\n c='3'>t</r>", change) == '<r\n b=\'two\' d="four" e="five">t</r>'


def test_all_attributes_can_go():
    def change(it):
        for name in ("a", "b"):
            it.set(it.top, name, None)

    assert changed("<r a='1'\n b='2'\n>t</r>", change) == "<r\n>t</r>"


def test_values_that_did_not_change_stay_raw():
    text = "<r a='&#65;&lt;&#x20;&quot;\"' b='a\r\n\tb'>&#65;<![CDATA[<]]></r>"

    def change(it):
        it.set(it.top, "c", "1")
        it.set(it.top, "a", it.top.get("a"))
        it.set(it.top, "b", it.top.get("b"))
        it.edits.contents.add(it.top)

    assert changed(text, change) == text.replace("\tb'>", '\tb\' c="1">')


def test_a_prefix_declared_on_an_ancestor_is_found_and_used():
    text = '<a xmlns:m="u">\n  <b><c m:x="1"/></b>\n</a>'

    def change(it):
        it.set(it.find("b/c"), "{u}x", "2")
        it.set(it.find("b/c"), "{u}y", "3")

    assert changed(text, change) == text.replace('m:x="1"', 'm:x="2" m:y="3"')


def test_a_prefix_with_another_meaning_here_is_not_used():
    text = '<a xmlns:m="u"><b xmlns:m="v"><m:c/></b></a>'
    rendered = changed(text, lambda it: it.set(it.find("b"), "{u}x", "2"))
    assert rendered == '<a xmlns:m="u"><b xmlns:m="v" xmlns:ns0="u" ns0:x="2"><m:c/></b></a>'


# --- Text


@pytest.mark.parametrize(
    ("text", "value", "expected"),
    [
        ("<a>x</a>", "y", "<a>y</a>"),
        ("<a x='1' >x</a >", "y", "<a x='1' >y</a >"),
        ("<a>x</a>", "", "<a></a>"),
        ("<a>x</a>", None, "<a></a>"),
        ("<a></a>", "y", "<a>y</a>"),
        ("<a/>", "y", "<a>y</a>"),
        ("<a x='1' />", "y", "<a x='1'>y</a>"),
        ("<a\n/>", "y", "<a>y</a>"),
        ("<a/>", "", "<a/>"),
        ("<a></a>", None, "<a></a>"),
        ("<a>x</a>", "<&>\"'", "<a>&lt;&amp;&gt;\"'</a>"),
        ("<a>x</a>", "x]]>", "<a>x]]&gt;</a>"),
        ("<a>x</a>", "a\rb\tc", "<a>a&#13;b\tc</a>"),
        ("<a>&#120;</a>", "x", "<a>&#120;</a>"),
        ("<a><![CDATA[x]]></a>", "x", "<a><![CDATA[x]]></a>"),
        ("<a><![CDATA[x]]></a>", "a < b\nc", "<a><![CDATA[a < b\nc]]></a>"),
        ("<a><![CDATA[x]]></a>", "a]]>b", "<a>a]]&gt;b</a>"),
        ("<a><![CDATA[x]]></a>", "a\rb", "<a>a&#13;b</a>"),
        ("<a><![CDATA[x]]></a>", "", "<a></a>"),
        ("<a> <![CDATA[x]]></a>", "y", "<a>y</a>"),
        ("<a><![CDATA[x]]><![CDATA[y]]></a>", "y", "<a>y</a>"),
        ("<a>x<!--c-->y<?p?></a>", "z", "<a>z</a>"),
        ("<a>x<!--c--></a>", "x", "<a>x</a>"),
    ],
)
def test_text_changes_the_content_alone(text, value, expected):
    document = f"<r>\n  {text}\n</r>"
    assert changed(document, lambda it: it.say(it.find("a"), value)) == f"<r>\n  {expected}\n</r>"


def test_text_and_attributes_of_a_self_closing_element():
    def change(it):
        it.say(it.find("a"), "t")
        it.set(it.find("a"), "x", None)
        it.set(it.find("a"), "y", "2")

    assert changed("<r><a x='1' /></r>", change) == '<r><a y="2">t</a></r>'


def test_text_beside_a_comment_that_stays():
    def change(it):
        it.edits.contents.add(it.find("a"))
        it.find("a").text = "z\n"

    assert changed("<r>\r\n<a>x<!--c\r\nd-->y</a></r>", change) == "<r>\r\n<a>z\r\n<!--c\r\nd-->y</a></r>"


@pytest.mark.parametrize(
    ("text", "line_break"),
    [("<r>\r\n<a/>\r\n</r>", "\r\n"), ("<r>\n<a/>\n</r>", "\n"), ("<r>\r<a/>\r</r>", "\r"), ("<r><a/></r>", "\n")],
)
def test_new_lines_end_as_those_of_the_file(text, line_break):
    def change(it):
        it.say(it.find("a"), "x\ny")
        it.add(it.top, 1, etree.Comment("c\nd"), "\n")
        it.add(it.top, 2, fresh("<b>\n</b>"))
        it.add(it.top, 3, etree.PI("p", "c\nd"))

    rendered = changed(text, change)
    assert f"<a>x{line_break}y</a>" in rendered
    assert f"<!--c{line_break}d-->{line_break}<b>{line_break}</b><?p c{line_break}d?>" in rendered


def test_a_mixed_file_gets_what_prevails():
    text = "<r>\r\n<a/>\r\n<b/>\n</r>"
    assert changed(text, lambda it: it.say(it.find("a"), "\n")) == text.replace("<a/>", "<a>\r\n</a>")


# --- Children


LIST = '<r>\n  <a/>\n  <!-- b -->\n  <b  x="1"/>\n  <c>\n    <d/>\n  </c>\n</r>\n'


def test_an_element_is_inserted():
    rendered = changed(LIST, lambda it: it.add(it.top, 1, fresh('<n y="&lt;">t</n>'), "\n  "))
    assert rendered == LIST.replace("  <!--", '  <n y="&lt;">t</n>\n  <!--')


def test_an_element_is_appended_and_first():
    def change(it):
        it.retail(it.top[-1], "\n  ")
        it.add(it.top, 4, fresh("<y/>"), "\n")
        it.add(it.top, 0, fresh("<x/>"), "\n  ")

    assert changed(LIST, change) == LIST.replace("  <a/>", "  <x/>\n  <a/>").replace("\n</r>", "\n  <y/>\n</r>")


def test_an_element_is_removed():
    assert changed(LIST, lambda it: it.remove(it.find("b"))) == LIST.replace('<b  x="1"/>\n  ', "")


def test_everything_is_removed():
    def change(it):
        for node in list(it.top):
            it.remove(node)
        it.lead(it.top, None)

    assert changed(LIST, change) == "<r></r>\n"


def test_children_come_into_an_empty_element():
    def change(it):
        it.lead(it.find("a"), "\n    ")
        it.add(it.find("a"), 0, fresh("<x/>"), "\n  ")
        it.add(it.find("b"), 0, fresh("<x/>"))

    rendered = changed(LIST, change)
    assert rendered == LIST.replace("<a/>", "<a>\n    <x/>\n  </a>").replace('"1"/>', '"1"><x/></b>')


def test_elements_change_places_with_their_raw_text():
    text = "<r>\n  <a  x='&#65;'/>\n  <b\n    y='2' >&#66;</b >\n  <c/>\n</r>"

    def change(it):
        it.set(it.find("b"), "y", "3")
        it.move(it.find("b"), it.top, 0)

    assert changed(text, change) == "<r>\n  <b\n    y='3' >&#66;</b >\n  <a  x='&#65;'/>\n  <c/>\n</r>"


def test_an_element_goes_to_another_parent():
    text = "<r><a><b  x='1'><c  /></b>&#9;</a><d/></r>"

    def change(it):
        b = it.find("a/b")
        it.set(b, "x", "2")
        it.add(b[0], 0, fresh("<n/>"))
        it.move(b, it.find("d"), 0)

    assert changed(text, change) == "<r><a></a><d><b  x='2'><c><n/></c></b>&#9;</d></r>"


def test_an_element_goes_into_a_fresh_one():
    text = "<r>\n  <a  x='1'/>&#9;<b/>\n</r>"

    def change(it):
        group = it.add(it.top, 0, fresh("<g><i>t</i></g>"))
        it.set(it.find("a"), "x", "2")
        it.move(it.find("a"), group[0], 0)

    assert changed(text, change) == "<r>\n  <g><i>t<a  x='2'/>&#9;</i></g><b/>\n</r>"


def test_what_is_lifted_out_of_something_removed():
    text = "<r><a>1<b>2<c  />3</b>4</a>5<d/></r>"

    def change(it):
        it.set(it.find("a/b/c"), "x", "1")
        it.move(it.find("a/b/c"), it.find("d"), 0)
        it.remove(it.find("a"))

    assert changed(text, change) == '<r><d><c x="1"  />3</d></r>'


def test_nested_moves():
    text = "<r><a  ><b  ><c  /></b></a><d  ><e  /></d></r>"

    def change(it):
        a, b, c, d, e = (it.find(path) for path in ("a", "a/b", "a/b/c", "d", "d/e"))
        it.move(c, e, 0)  # into what will be lifted itself
        it.move(d, b, 0)
        it.move(b, it.top, 0)
        it.set(c, "x", "1")
        assert a is not None

    assert changed(text, change) == '<r><b  ><d  ><e><c x="1"  /></e></d></b><a  ></a></r>'


def test_moves_at_every_depth():
    depth = 250

    def change(it):
        chain = [*it.top.iter()]
        for node in chain:
            it.set(node, "x", "1")
            it.move(node, it.top, 0) if node is not it.top else None
        outer = it.top
        for node in reversed(chain[1:]):
            it.move(node, outer, 0)
            outer = node

    text = "<r>" + "".join(f"<a{number}  >" for number in range(depth))
    text += "".join(f"</a{number} >" for number in reversed(range(depth))) + "</r>"
    rendered = changed(text, change)
    assert rendered.startswith('<r x="1"><a249 x="1"  ><a248 x="1"  >')
    assert rendered.endswith("</a248 ></a249 ></r>")


def test_of_reordered_children_most_stay():
    text = "<r>" + "".join(f"<e  n='{n}'/>\n" for n in range(50)) + "</r>"
    document = Document(text)
    document.move(document.top[49], document.top, 0)
    rendered = render(text, document.spans, document, document.edits)
    assert told(parse(rendered.text)) == told(document.top)
    assert rendered.shifts == ((1, 1), (49, -1))


@pytest.mark.parametrize("count", [0, 1, 3, 4, 5, 20])
def test_many_edits_under_one_parent(count):
    text = "<r>" + "<e x='1'/>" * 20 + "</r>"

    def change(it):
        for element in it.top[:count]:
            it.set(element, "x", "2")

    assert changed(text, change) == text.replace("1", "2", count)


def test_edits_that_cancel_each_other_out_leave_no_trace():
    text = "<r a='&#65;'>\n <b/>x&#9;<!--c--><d >t<?p   q?></d >\n</r>"

    def change(it):
        b, c, d = it.top
        it.set(it.top, "a", "B")
        it.set(it.top, "a", None)
        it.set(it.top, "a", "A")
        it.say(b, "x")
        it.say(b, None)
        it.move(b, it.top, 2)
        it.add(it.top, 0, fresh("<n/>"))
        it.remove(c)
        it.add(d, 0, c, "y")
        it.remove(it.top[0])
        it.move(b, it.top, 0)
        it.retail(b, "x\t")
        c.tail = None
        it.move(c, it.top, 1)

    assert changed(text, change) == text


def test_no_edits_no_change():
    text = "\ufeff<?xml version='1.0'?>\r\n<!-- x -->\r\n<r a = 'b'\r\n/>\r\n<?y?>\r\n"
    document = Document(text)
    assert render(text, document.spans, document, document.edits).text is text
    document.edits.tags.add(document.top)
    document.edits.contents.add(document.top)
    document.about(document.top)
    assert render(text, document.spans, document, document.edits).text is text


def test_what_stands_around_the_root_stays():
    text = "<?xml version='1.0'?>\n<!--a-->\n<r/>\n<?b?>\n"
    assert changed(text, lambda it: it.add(it.top, 0, fresh("<x/>"))) == text.replace("<r/>", "<r><x/></r>")


def test_text_first_then_children():
    """The snapshot is then not what the file has."""

    def change(it):
        a = it.find("a")
        it.say(a, "new")
        it.add(a, 0, fresh("<n/>"))

    assert changed("<r><a>&#65;<!--c-->x</a></r>", change) == "<r><a>new<n/></a></r>"


def test_text_first_then_another_comment():
    def change(it):
        a = it.find("a")
        it.say(a, "x")
        it.add(a, 0, etree.Comment("d"))

    assert changed("<r><a>x<!--c--></a></r>", change) == "<r><a>x<!--d--></a></r>"


def test_text_first_then_a_comment_that_stood_there_goes_elsewhere():
    def change(it):
        a = it.find("a")
        comment = a[0]
        it.edits.contents.add(a)
        a.text = "new"
        it.move(comment, it.top, 0)

    assert changed("<r><a>&#65;<!--c-->x</a></r>", change) == "<r><!--c-->x<a>new</a></r>"


def test_text_noted_but_children_changed():
    def change(it):
        a = it.find("a")
        it.edits.contents.add(a)
        it.add(a, 1, fresh("<n/>"))

    assert changed("<r><a>&#65;<?c   d?>&#66;</a></r>", change) == "<r><a>&#65;<?c   d?>&#66;<n/></a></r>"


def test_children_first_then_text():
    def change(it):
        a = it.find("a")
        it.set(a[0], "x", "1")
        it.move(a[0], it.top, 0)
        it.say(a, "new")

    assert changed("<r><a>&#65;<b  />x</a></r>", change) == '<r><b x="1"  />x<a>new</a></r>'


def test_notes_about_what_is_gone_or_fresh_do_no_harm():
    def change(it):
        a = it.find("a")
        it.set(a[0], "x", "1")
        it.add(a[0], 0, fresh("<n/>"))
        it.remove(a)
        new = it.add(it.top, 0, fresh("<n><o/></n>"))
        it.set(new, "x", "1")
        it.say(new[0], "t")
        it.add(new, 0, fresh("<p/>"))

    assert changed("<r><a><b/></a></r>", change) == '<r><n x="1"><p/><o>t</o></n></r>'


# --- Namespaces of what is written elsewhere or anew


def test_a_fresh_element_repeats_no_declaration():
    text = '<r xmlns:m="u"><a/></r>'
    new = fresh('<m:n xmlns:m="u" m:x="1" xml:space="preserve"><m:o/></m:n>')
    rendered = changed(text, lambda it: it.add(it.find("a"), 0, new))
    assert rendered == '<r xmlns:m="u"><a><m:n m:x="1" xml:space="preserve"><m:o/></m:n></a></r>'


def test_a_fresh_element_declares_what_it_needs():
    new = fresh('<m:n xmlns:m="u" xmlns:k="v" k:x="1"><m:o/></m:n>')
    rendered = changed("<r/>", lambda it: it.add(it.top, 0, new))
    assert rendered == '<r><m:n xmlns:m="u" xmlns:k="v" k:x="1"><m:o/></m:n></r>'


def test_a_fresh_element_keeps_declarations_of_its_own():
    new = fresh('<n xmlns:m="u" query="m:x"><m:o/><p/></n>')
    rendered = changed("<r/>", lambda it: it.add(it.top, 0, new))
    assert rendered == '<r><n xmlns:m="u" query="m:x"><m:o/><p/></n></r>'


@pytest.mark.parametrize(
    ("text", "new", "expected"),
    [
        ('<r xmlns="d"/>', "<n><o/></n>", '<r xmlns="d"><n xmlns=""><o/></n></r>'),
        ('<r xmlns="d"/>', '<n xmlns="d"><o/></n>', '<r xmlns="d"><n><o/></n></r>'),
        ("<r/>", '<n xmlns="d"><o xmlns=""/></n>', '<r><n xmlns="d"><o xmlns=""/></n></r>'),
        ('<r xmlns:m="u"/>', '<m:n xmlns:m="v"/>', '<r xmlns:m="u"><m:n xmlns:m="v"/></r>'),
        ('<r xmlns="d"/>', '<n xmlns="d" xmlns:m="d" m:x="1"/>', '<r xmlns="d"><n xmlns:m="d" m:x="1"/></r>'),
    ],
)
def test_default_namespaces_and_shadowed_prefixes(text, new, expected):
    document = Document(text)
    document.add(document.top, 0, fresh(new))
    assert told(parse(document.render())) == told(document.top)
    assert told(parse(document.render())) == told(parse(expected))


def test_an_element_that_moves_takes_its_namespaces_along():
    text = '<r><a xmlns:m="u" xmlns:k="v"><m:b m:x="1"><c/></m:b></a><d/></r>'
    rendered = changed(text, lambda it: it.move(it.top[0][0], it.find("d"), 0))
    assert rendered == '<r><a xmlns:m="u" xmlns:k="v"></a><d><m:b xmlns:m="u" m:x="1"><c/></m:b></d></r>'


def test_an_element_that_moves_under_another_meaning_of_its_prefix():
    text = '<r><a xmlns:m="u" xmlns="d"><m:b><c/></m:b><!--m:--></a><d xmlns:m="v"><m:e/></d></r>'

    def change(it):
        it.move(it.top[0][1], it.top[1], 0)
        it.move(it.top[0][0], it.top[1], 1)

    rendered = changed(text, change)
    assert '<!--m:--><m:b xmlns:m="u" xmlns="d"><c/></m:b><m:e/>' in rendered


def test_an_element_moves_out_of_the_default_namespace():
    text = '<r><a xmlns="d"><b xmlns=""><c/></b></a><e><f/></e></r>'

    def change(it):
        e = it.find("e")
        it.move(it.top[0][0], it.top, 0)
        it.move(e, it.top[1], 0)

    rendered = changed(text, change)
    assert rendered == '<r><b xmlns=""><c/></b><a xmlns="d"><e xmlns=""><f/></e></a></r>'


# --- Files that are only part of the tree


class Part(Document):
    """A file that is included: its nodes stand in `top` among those of other files.

    `wrap` is what a file without a root is parsed in.
    """

    def __init__(self, text, before=(), after=(), wrap="{}"):
        self.text = text
        self.spans = scan(text)
        self.anchor = self.spans.root if wrap == "{}" else 0
        self.edits = Edits()
        self.wrap = wrap
        self.others = [*before, *after]
        self.text_known = not before
        root = parse(wrap.format(text))
        self.first_text = root.text or ""
        self.app = parse("<app><include file='x'/></app>")
        self.top = self.app[0]
        self.top.text = None if before else self.first_text
        for node in (*before, *root, *after):
            self.top.append(node)
        self.kept = [*self.app.iter()]

    def opaque(self, element):
        return element.tag == "include"

    def nodes(self, element):
        return [node for node in element if node not in self.others] if element is self.top else element

    def check(self):
        rendered = self.render()
        root = parse(self.wrap.format(rendered))
        assert [told(node) for node in root] == [told(node) for node in self.nodes(self.top)]
        if len(self.top) and self.top[0] in self.others:
            assert (root.text or "") == self.first_text
        elif self.text_known:
            assert (root.text or "") == (self.top.text or "")
        return rendered


INCLUDED = "<other  lost='1'>\n  <a  x='1'/>\n  <b><c/></b>\n</other>"


def foreign():
    return [etree.Element("f", x="1"), etree.Comment("f")]


@pytest.mark.parametrize("before", [0, 2])
@pytest.mark.parametrize("after", [0, 2])
def test_an_included_file_among_others(before, after):
    part = Part(INCLUDED, foreign()[:before], foreign()[:after])
    part.set(part.top[before], "x", "2")
    part.say(part.top[before + 1][0], "t")
    assert part.check() == INCLUDED.replace("'1'/>", "'2'/>").replace("<c/>", "<c>t</c>")
    part.add(part.top, before, fresh("<n/>"), "\n  ")
    part.add(part.top, before + 3, fresh("<o/>"), "\n")
    assert part.check() == ("<other  lost='1'>\n  <n/>\n  <a  x='2'/>\n  <b><c>t</c></b>\n<o/>\n</other>")
    for node in part.nodes(part.top):
        part.remove(node)
    assert part.check() in ("<other  lost='1'>\n  </other>", "<other  lost='1'></other>")


def test_text_before_a_foreign_node_is_not_ours():
    part = Part(INCLUDED, foreign())
    part.lead(part.top, "something else")
    part.remove(part.top[2])
    assert part.check() == INCLUDED.replace("<a  x='1'/>\n  ", "")


def test_the_content_of_an_opaque_element_stays_raw():
    text = "<r><include file='x'>\n <hidden  a='1'/>&#65;</include><a/></r>"

    class WithInclude(Document):
        def opaque(self, element):
            return element.tag == "include"

        def nodes(self, element):
            assert not self.opaque(element)
            return element

    it = WithInclude(text)
    include = it.top[0]
    include[:] = [fresh("<shown/>")]
    include.text = None
    it.edits.contents.add(include)
    it.about_all = it.edits.children.setdefault(include, Snapshot(None, ()))
    it.set(include, "file", "y")
    it.add(it.top, 2, fresh("<include file='z'><inside/></include>"))
    it.move(include, it.find("a"), 0)
    assert it.render() == ("<r><a><include file='y'>\n <hidden  a='1'/>&#65;</include></a><include file=\"z\"/></r>")


def test_a_change_below_an_opaque_element_is_another_files():
    class WithInclude(Document):
        def opaque(self, element):
            return element.tag == "include"

    it = WithInclude("<r><include file='x'><a/></include></r>")
    it.set(it.top[0][0], "x", "1")
    with pytest.raises(
        ValueError, match="<a> in <include> is not found in the base text: its content belongs to another"
    ):
        it.render()


SNIPPET = "<!-- s -->\n<a  x='1'/>\n<m:b m:y='1'>t</m:b>\n"


def test_a_file_without_a_root():
    part = Part(SNIPPET, wrap="<w xmlns:m='u'>{}</w>")
    part.set(part.top[1], "x", "2")
    part.set(part.top[2], "{u}y", "3")
    part.add(part.top, 0, fresh("<n/>"), "\n")
    part.add(part.top, 4, fresh("<o/>"), "\n")
    assert part.check() == "<n/>\n<!-- s -->\n<a  x='2'/>\n<m:b m:y='3'>t</m:b>\n<o/>\n"
    for node in part.nodes(part.top):
        part.remove(node)
    assert part.check() == ""
    part.add(part.top, 0, fresh("<m:p xmlns:m='u'/>"))
    assert part.check() == '<m:p xmlns:m="u"/>'


def test_an_empty_file_without_a_root():
    part = Part("", wrap="<w>{}</w>")
    part.add(part.top, 0, fresh("<n/>"), "\n")
    assert part.check() == "<n/>\n"


def test_the_declaration_of_a_file_without_a_root_stays():
    text = "<?xml version='1.0'?>\n<a/>\n"
    spans = scan(text)

    class Declared(Part):
        def __init__(self):
            super().__init__("\n<a/>\n", wrap="<w>{}</w>")
            self.text, self.spans = text, spans

    part = Declared()
    part.lead(part.top, "")
    part.remove(part.top[0])
    assert part.render() == "<?xml version='1.0'?>"


# --- Contradictions


def test_a_snapshot_that_does_not_fit_is_refused():
    it = Document("<r><a/><b/></r>")
    it.edits.children[it.top] = Snapshot(None, ((it.top[0], None),))
    it.add(it.top, 0, fresh("<n/>"))
    with pytest.raises(ValueError, match="<r>: it has 2 child nodes in the base text, but 1 in memory"):
        it.render()


def test_another_element_in_its_place_is_refused():
    it = Document("<r><!--c--><b/></r>")
    it.top[0].getparent().remove(it.top[0])
    it.set(it.top[0], "x", "1")
    with pytest.raises(ValueError, match="where <b> should be, at offset 3, the base text has ''"):
        it.render()
    it = Document("<r><a/><b/></r>")
    it.top[:] = [it.top[1]]
    it.set(it.top[0], "x", "1")
    with pytest.raises(ValueError, match="where <b> should be, at offset 3, the base text has 'a'"):
        it.render()


def test_a_node_that_was_not_noted_is_refused():
    it = Document("<r><a/></r>")
    it.top.append(fresh("<b/>"))
    it.set(it.top[1], "x", "1")
    with pytest.raises(ValueError, match="<b> in <r> is not found in the base text: node 1 has no child 1"):
        it.render()


def test_text_where_the_base_text_has_elements_is_refused():
    it = Document("<r><a/></r>")
    it.say(it.top, "t")
    with pytest.raises(ValueError, match="only the text of <r> is said to differ"):
        it.render()


def test_a_prefix_that_nobody_declares_is_refused():
    part = Part(SNIPPET, wrap="<w xmlns:m='u'>{}</w>")
    part.text = part.text.replace("m:y", "k:y")
    part.set(part.top[2], "x", "1")
    with pytest.raises(ValueError, match="the prefix of the attribute 'k:y' of <b> is not declared"):
        part.render()


def test_the_tag_of_a_file_without_a_root_is_refused():
    part = Part(SNIPPET, wrap="<w xmlns:m='u'>{}</w>")
    part.set(part.top, "x", "1")
    with pytest.raises(ValueError, match="<include> has no tag in the base text"):
        part.render()


# --- Lines


def lines(text):
    """The lines on which elements start, by their attribute n."""
    return {node.get("n"): node.sourceline for node in parse(text).iter(etree.Element)}


def moved(before, shifts):
    return {name: line + sum(added for after, added in shifts if line > after) for name, line in before.items()}


PRETTY = """\
<r n="r">
  <a n="1"
     x="1"
     y="2"/>
  <b n="2">
    <c n="3"/>
    <c n="4"/>
    <c n="5">
      text
    </c>
  </b>
  <d n="6"/>
</r>
"""


@pytest.mark.parametrize(
    "change",
    [
        lambda it: it.set(it.top[0], "x", None),
        lambda it: it.set(it.top[0], "y", None),
        lambda it: it.set(it.top[0], "x", "5"),
        lambda it: it.add(it.top, 0, fresh("<n n='n'>\n\n</n>"), "\n  "),
        lambda it: it.add(it.top, 1, fresh("<n n='n'/>"), "\n  "),
        lambda it: it.add(it.top, 2, fresh("<n n='n'/>"), "\n  "),
        lambda it: (it.retail(it.top[2], "\n  "), it.add(it.top, 3, fresh("<n n='n'/>"), "\n")),
        lambda it: (it.lead(it.top, "\n\n  "), it.retail(it.top[0], "\n\n\n  ")),
        lambda it: it.remove(it.top[0]),
        lambda it: it.remove(it.top[1]),
        lambda it: it.remove(it.top[1][1]),
        lambda it: (it.remove(it.top[1][2]), it.remove(it.top[0])),
        lambda it: it.say(it.top[1][2], "a\nb\nc\nd\n"),
        lambda it: it.say(it.top[1][2], "a"),
        lambda it: it.say(it.top[1][0], "\n\n"),
        lambda it: (it.say(it.top[1][0], "\n\n"), it.say(it.top[1][2], ""), it.remove(it.top[1][1])),
    ],
)
def test_lines_of_what_stays_are_known(change):
    it = Document(PRETTY)
    before = lines(PRETTY)
    change(it)
    rendered = render(it.text, it.spans, it, it.edits)
    after = lines(rendered.text)
    predicted = moved(before, rendered.shifts)
    assert after.keys() - predicted.keys() <= {"n"}
    assert {name: line for name, line in after.items() if name != "n"} == {
        name: line for name, line in predicted.items() if name in after
    }


def test_a_change_within_its_lines_shifts_none():
    it = Document(PRETTY)
    it.set(it.top[2], "x", "1")
    assert render(it.text, it.spans, it, it.edits).shifts == ()


# --- Random documents, random edits

NAMES = st.sampled_from(["a", "b", "c.d", "é"])
BLANKS = st.sampled_from(["", "", " ", "\n ", "\t", "\r\n"])
URIS = st.sampled_from(["u", "v"])


def joined(*pieces, most=3):
    return st.lists(st.sampled_from(pieces), max_size=most).map("".join)


TEXTS = joined(
    "x", " ", "\n", "\r\n", "\r", ">", "&amp;", "&#13;", "&#x9;", "<![CDATA[<&]]>", "<![CDATA[]]]]>", "é", most=2
)
VALUES = {
    '"': joined("x", " ", "\t", "\r\n", ">", "'", "&lt;", "&quot;", "&#10;", "&#65;", "é"),
    "'": joined("x", " ", "\t", "\r\n", ">", '"', "&lt;", "&apos;", "&#13;", "&#65;", "é"),
}
REMARKS = st.sampled_from(
    ["<!---->", "<!-- x -->", "<!-- > \r\n<a> -->", "<?p?>", "<?p  x ?>", "<?q <b/>\n?>", "<?p ??>"]
)


@st.composite
def elements(draw, scope, depth):
    """An element as it may be written. `scope` is what prefixes mean here."""
    scope = dict(scope)
    declared = (
        draw(st.dictionaries(st.sampled_from(["m", "k", ""]), URIS, max_size=2)) if draw(st.integers(0, 3)) == 0 else {}
    )
    if "" in declared and draw(st.booleans()):
        declared[""] = ""
    scope.update(declared)
    bound = [prefix for prefix in scope if prefix]
    tag = ""
    seen = set()
    for prefix, uri in declared.items():
        tag += f" xmlns{prefix and ':' + prefix}='{uri}'"
    for _ in range(draw(st.integers(0, 3))):
        name, prefix = draw(NAMES), draw(st.sampled_from(["", "", "xml", *bound]))
        if (name, scope.get(prefix) if prefix else "") in seen:
            continue
        seen.add((name, scope.get(prefix) if prefix else ""))
        quote = draw(st.sampled_from("'\""))
        spaced = draw(BLANKS) or " "
        tag += (
            f"{spaced}{prefix and prefix + ':'}{name}{draw(BLANKS)}={draw(BLANKS)}{quote}{draw(VALUES[quote])}{quote}"
        )
    prefix = draw(st.sampled_from(["", "", *bound]))
    name = f"{prefix and prefix + ':'}{draw(NAMES)}"
    if draw(st.integers(0, 3)) == 0:
        return f"<{name}{tag}{draw(BLANKS)}/>"
    return f"<{name}{tag}{draw(BLANKS)}>{draw(contents(scope, depth - 1))}</{name}{draw(BLANKS)}>"


@st.composite
def contents(draw, scope, depth):
    text = draw(TEXTS)
    for _ in range(draw(st.integers(0, 3 if depth > 0 else 1))):
        text += draw(elements(scope, depth)) if depth > 0 and draw(st.integers(0, 3)) else draw(REMARKS)
        text += draw(TEXTS)
    return text


@st.composite
def documents(draw):
    declaration = draw(st.sampled_from(["", "<?xml version='1.0'?>", '<?xml version="1.0"  encoding="utf-8" ?>\r\n']))
    prolog, epilog = draw(joined("\n", "<!-- a -->", "<?b c?>")), draw(joined("\n", "<!-- a -->", "<?b c?>"))
    return f"{declaration}{prolog}{draw(elements({}, 3))}{epilog}"


FRESH = st.sampled_from(
    [
        "<n/>",
        "<n x='1'>t<!--c--></n>",
        "<n xmlns='u'><o xmlns=''/></n>",
        "<m:n xmlns:m='u' m:x='1'/>",
        "<n xmlns:m='v' xmlns:z='u' m:x='&#10;' z:x='&lt;'><o><m:p/></o></n>",
        "<n><a><b>&#13;\n</b></a>&gt;</n>",
        "<?p x?>",
        "<!-- c\nd -->",
    ]
)
SAID = st.sampled_from([None, "", "x", "\n  ", "a\rb", "<&>]]>", "A", "é"])
KEYS = st.sampled_from(["a", "b", "n", "é", "{u}a", "{v}n", f"{XML}lang"])


def node_of(text):
    return parse(f"<w>{text}</w>")[0]


def edit(data, it, present):
    """One random change, made as an owner of a file makes it."""
    inside = [node for node in present if node is not it.top]
    parents = [node for node in present if isinstance(node.tag, str)]
    what = data.draw(st.sampled_from(["set", "set", "unset", "say", "add", "remove", "move", "move", "tail", "lead"]))
    parent = data.draw(st.sampled_from(parents))
    tagged = parent is not it.top or not isinstance(it, Part)
    if what == "set" and tagged:
        it.set(parent, data.draw(KEYS), data.draw(SAID) or "")
    elif what == "unset" and tagged and parent.attrib:
        it.set(parent, data.draw(st.sampled_from(sorted(parent.attrib))), None)
    elif what == "say" and not any(isinstance(node.tag, str) for node in parent) and parent is not it.top:
        it.say(parent, data.draw(SAID))
    elif what == "add":
        it.add(parent, data.draw(st.integers(0, len(parent))), node_of(data.draw(FRESH)), data.draw(SAID))
    elif what == "remove" and inside:
        it.remove(data.draw(st.sampled_from(inside)))
    elif what == "move" and inside:
        node = data.draw(st.sampled_from(inside))
        if node is not parent and node not in parent.iterancestors():
            it.move(node, parent, data.draw(st.integers(0, len(parent))))
    elif what == "tail" and inside:
        it.retail(data.draw(st.sampled_from(inside)), data.draw(SAID))
    elif what == "lead" and len(parent):
        it.lead(parent, data.draw(SAID))


def still(it):
    """All that is in a tree, to be put back: (node, attributes, text, child nodes with their tails)."""
    return [
        (
            node,
            dict(node.attrib) if isinstance(node.tag, str) else None,
            node.text,
            [(child, child.tail) for child in node],
        )
        for node in it.top.iter()
    ]


def put_back(it, picture):
    for node, attributes, text, children in picture:
        if attributes is None:
            continue
        if dict(node.attrib) != attributes:
            it.edits.tags.add(node)
            for name in set(node.attrib) - set(attributes):
                del node.attrib[name]
            for name, value in attributes.items():
                node.set(name, value)
        if [*node] != [child for child, _ in children]:
            it.about(node)
            for child, _ in children:
                if child.getparent() is not None and child.getparent() is not node:
                    it.about(child.getparent())
            node[:] = [child for child, _ in children]
        if (node.text or "") != (text or ""):
            it.lead(node, text)
        for child, tail in children:
            if (child.tail or "") != (tail or ""):
                it.retail(child, tail)


SETTINGS = settings(deadline=None, max_examples=200, suppress_health_check=[HealthCheck.too_slow])


@SETTINGS
@given(documents(), st.data())
def test_the_rendered_text_means_what_is_in_memory(text, data):
    it = Document(text)
    for _ in range(data.draw(st.integers(1, 8))):
        edit(data, it, [*it.top.iter()])
        if data.draw(st.booleans()):
            assert told(parse(it.render())) == told(it.top, tail=True)
    assert told(parse(it.render())) == told(it.top)


@SETTINGS
@given(documents(), st.data())
def test_undone_edits_leave_every_byte(text, data):
    it = Document(text)
    picture = still(it)
    for _ in range(data.draw(st.integers(1, 6))):
        edit(data, it, [*it.top.iter()])
    put_back(it, picture)
    assert it.render() == text


@SETTINGS
@given(documents(), st.data())
def test_one_value_changes_its_own_characters(text, data):
    it = Document(text)
    element = data.draw(st.sampled_from([*it.top.iter(etree.Element)]))
    # A blank may be a line break in the file.
    name = data.draw(st.sampled_from(["new", *(name for name, value in element.items() if " " not in value)]))
    it.set(element, name, data.draw(SAID) or "")
    before, after = text.split("\n"), it.render().split("\n")
    differing = [number for number, (old, new) in enumerate(zip(before, after, strict=True)) if old != new]
    assert len(differing) <= 1
    assert told(parse(it.render())) == told(it.top)


@SETTINGS
@given(st.data(), st.integers(0, 2), st.integers(0, 2), st.booleans())
def test_a_part_means_what_is_in_memory(data, before, after, rooted):
    content = data.draw(contents({}, 2))
    text, wrap = (f"<root  x='1'>{content}</root>", "{}") if rooted else (content, "<w>{}</w>")
    it = Part(text, foreign()[:before], foreign()[:after], wrap)
    for _ in range(data.draw(st.integers(1, 6))):
        edit(data, it, [it.top, *(each for node in it.nodes(it.top) for each in node.iter())])
    it.check()
