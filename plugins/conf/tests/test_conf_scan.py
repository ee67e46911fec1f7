"""Where the nodes of a text begin and end."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from lxml import etree

from mtev_conf._writing.scan import COMMENT, DOCUMENT, ELEMENT, INSTRUCTION, scan

KINDS = {"e": ELEMENT, "c": COMMENT, "p": INSTRUCTION}


def shape(text):
    """All nodes as (kind, raw start tag or remark, raw content, number of the node after)."""
    spans = scan(text)
    return [
        (
            spans.kind[node],
            text[spans.start[node] : spans.tag_end[node]],
            text[spans.tag_end[node] : spans.close[node]],
            spans.after[node],
        )
        for node in range(1, len(spans))
    ]


def only(text):
    """The raw start tag, content and end tag of the first node."""
    spans = scan(text)
    return (
        text[spans.start[1] : spans.tag_end[1]],
        text[spans.tag_end[1] : spans.close[1]],
        text[spans.close[1] : spans.end[1]],
    )


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ('<a x="1">text</a>', ('<a x="1">', "text", "</a>")),
        ("<a></a>", ("<a>", "", "</a>")),
        ("<a/>", ("<a/>", "", "")),
        ("<a />", ("<a />", "", "")),
        ("<a\n\t/>", ("<a\n\t/>", "", "")),
        ("<a \r\n></a \t\n>", ("<a \r\n>", "", "</a \t\n>")),
        ("<a x='>'>></a>", ("<a x='>'>", ">", "</a>")),
        ("<a x='/>'/>", ("<a x='/>'/>", "", "")),
        ("""<a x='"' y = "'" z\n=\n'a>b"/>'>t</a>""", ("""<a x='"' y = "'" z\n=\n'a>b"/>'>""", "t", "</a>")),
        ('<a x="http://h/p?q=1&amp;r"/>', ('<a x="http://h/p?q=1&amp;r"/>', "", "")),
        ("<a><![CDATA[<b></a>]]></a>", ("<a>", "<![CDATA[<b></a>]]>", "</a>")),
        ("<a><![CDATA[]]]]></a>", ("<a>", "<![CDATA[]]]]>", "</a>")),
        ("<a>x<![CDATA[]>]]]>y</a>", ("<a>", "x<![CDATA[]>]]]>y", "</a>")),
        ("<!-- <a> - > -->", ("<!-- <a> - > -->", "", "")),
        ("<!---->", ("<!---->", "", "")),
        ("<!-- ? ]]> ' \" -->", ("<!-- ? ]]> ' \" -->", "", "")),
        ("<?x <a> ? > ??>", ("<?x <a> ? > ??>", "", "")),
        ("<?x?>", ("<?x?>", "", "")),
        ("<é:ü.-1 é='ü'>😀</é:ü.-1>", ("<é:ü.-1 é='ü'>", "😀", "</é:ü.-1>")),
    ],
)
def test_one_node(text, parts):
    assert only(text) == parts
    assert scan(text).end[1] == len(text)


def test_node_zero_is_the_text():
    text = " <a/> "
    spans = scan(text)
    assert spans.kind[0] == DOCUMENT
    assert (spans.start[0], spans.tag_end[0], spans.close[0], spans.end[0], spans.after[0]) == (0, 0, 6, 6, 2)
    assert len(scan("")) == 1


def test_nodes_are_numbered_in_document_order():
    assert shape("<a><b>t</b><!--c--><d><e/></d></a>") == [
        (ELEMENT, "<a>", "<b>t</b><!--c--><d><e/></d>", 6),
        (ELEMENT, "<b>", "t", 3),
        (COMMENT, "<!--c-->", "", 4),
        (ELEMENT, "<d>", "<e/>", 6),
        (ELEMENT, "<e/>", "", 6),
    ]


def test_what_stands_around_the_root():
    spans = scan("<?xml version='1.0'?>\n<!--a--><?b?>\n<c/><!--d-->\n")
    assert [spans.kind[node] for node in spans.children(0)] == [COMMENT, INSTRUCTION, ELEMENT, COMMENT]
    assert spans.root == 3
    assert spans.prolog == 21


def test_a_text_without_a_root():
    spans = scan("\n<!--a-->\n<b><c/></b>\n<d/>\n")
    assert spans.children(0) == [1, 2, 4]
    assert spans.root == 2
    assert scan("<!--a-->").root == 0
    assert scan("\n").root == 0


@pytest.mark.parametrize(
    ("text", "prolog", "nodes"),
    [
        ('<?xml version="1.0" encoding="utf-8"?><a/>', 38, [ELEMENT]),
        ("\ufeff<?xml version='1.0'?>\r\n<a/>", 22, [ELEMENT]),
        ("\ufeff<a/>", 1, [ELEMENT]),
        ("<?xml\nversion='1.0'\n?><a/>", 22, [ELEMENT]),
        ("<?xml-stylesheet href='a'?><a/>", 0, [INSTRUCTION, ELEMENT]),
        ("<?xmlx?><a/>", 0, [INSTRUCTION, ELEMENT]),
    ],
)
def test_the_declaration_is_no_node(text, prolog, nodes):
    spans = scan(text)
    assert spans.prolog == prolog
    assert list(spans.kind[1:]) == nodes


def test_children_are_found_by_their_place():
    spans = scan("<a> <b><x/><x/></b> <!--c--> <d>t</d> </a>")
    assert spans.children(1) == [2, 5, 6]
    assert [spans.child(1, k) for k in range(3)] == [2, 5, 6]
    assert spans.child(0, 0) == 1
    for node, k in ((1, 3), (1, -1), (6, 0), (0, 1), (1, 100)):
        with pytest.raises(IndexError, match=f"node {node} has no child {k}"):
            spans.child(node, k)


def test_ancestors():
    spans = scan("<!--x--><a><b><c/></b><d><e/><f/></d></a>")
    assert spans.ancestors(0) == []
    assert spans.ancestors(1) == [0]
    assert spans.ancestors(2) == [0]
    assert spans.ancestors(4) == [0, 2, 3]
    assert spans.ancestors(7) == [0, 2, 5]


@pytest.mark.parametrize(
    ("text", "offset"),
    [
        ("<!DOCTYPE a><a/>", 0),
        ("<a><b></a></b>", 6),
        ("<a><bc></b></a>", 7),
        ("<a><b></bc></a>", 6),
        ("<a>x</b>", 4),
        ("</a>", 0),
        ("<a/></a>", 4),
        ("<a><b>", 3),
        ("<a", 0),
        ("a <", 2),
        ("<a x='1>", 0),
        ('<a x="<b/>"/>', 0),
        ("<a x=1/2>", 0),
        ("<a>< b/></a>", 3),
        ("<a><!-- -- --></a>", 3),
        ("<a><!-- x</a>", 3),
        ("<a><?x</a>", 3),
        ("<a><![CDATA[x</a>", 3),
        ("<a><![cdata[x]]></a>", 3),
        ("<>", 0),
        ("<a/ >", 0),
    ],
)
def test_what_is_not_understood_is_refused_with_its_offset(text, offset):
    with pytest.raises(ValueError, match=rf"at offset {offset}: "):
        scan(text)


@pytest.mark.parametrize(
    "text",
    [
        "<a " + "x='" * 20_000,
        "<a " + "x='1' " * 20_000,
        "<!--" + "- " * 20_000,
        "<?" + "? " * 20_000,
        "<![CDATA[" + "]] " * 20_000,
        "<a>" * 20_000,
        "<a>" + "x" * 100_000 + "<b",
    ],
)
def test_a_long_text_that_is_not_understood_is_refused(text):
    with pytest.raises(ValueError, match="the text has"):
        scan(text)


def test_deep_and_broad_texts():
    depth, breadth = 5000, 5000
    spans = scan("<a>" * depth + "<b/>" * breadth + "</a>" * depth)
    assert len(spans) == 1 + depth + breadth
    assert spans.child(depth, breadth - 1) == depth + breadth
    assert spans.ancestors(depth) == list(range(depth))


BLANKS = st.sampled_from(["", "", " ", "\t", "\n", "\r\n", " \n\t"])
NAMES = st.sampled_from(["a", "b", "ab", "a.b", "x-y", "_1", "é"])


def joined(*pieces, most=4):
    return st.lists(st.sampled_from(pieces), max_size=most).map("".join)


VALUES = {
    '"': joined("x", " ", "\t", "\n", ">", "/>", "'", "&lt;", "&quot;", "&#10;", "=", "-->", "]]>", "é", "😀"),
    "'": joined("x", " ", "\t", "\n", ">", "/>", '"', "&lt;", "&apos;", "&#10;", "=", "-->", "]]>", "é", "😀"),
}
TEXTS = joined("x", " ", "\n", "\r\n", ">", "'", '"', "/>", "&amp;", "&#13;", "-->", "?>", "é", "😀")
COMMENTS = joined("x", " ", "- ", ">", "<", "<a>", "</a>", "&", "]]>", "?>", "'", '"', "\r\n", " -x")
INSTRUCTIONS = joined("x", " ", "?", "? >", "<a>", "</a>", "&", "-->", "'", '"', "\n").filter(
    lambda text: "?>" not in text
)
SECTIONS = joined("x", "]", " ]", "]] ", ">", "<", "<a>", "</a>", "&", "<!--", "-->", "?>", "'", "\n").filter(
    lambda text: "]]>" not in text
)


@st.composite
def tags(draw):
    text = ""
    for name in draw(st.lists(NAMES, max_size=3, unique=True)):
        quote = draw(st.sampled_from("'\""))
        equals = draw(BLANKS) + "=" + draw(BLANKS)
        text += (draw(BLANKS) or " ") + name + equals + quote + draw(VALUES[quote]) + quote
    return text + draw(BLANKS)


@st.composite
def nodes(draw, depth=3):
    """A node as it may be written, and what it is: (kind, children)."""
    kind = draw(st.sampled_from("eeeeeecp" if depth else "cp"))
    if kind == "c":
        return f"<!--{draw(COMMENTS)}-->", ("c", [])
    if kind == "p":
        return f"<?{draw(NAMES)} {draw(INSTRUCTIONS)}?>", ("p", [])
    name, tag = draw(NAMES), draw(tags())
    if draw(st.integers(0, 3)) == 0:
        return f"<{name}{tag}/>", ("e", [])
    text, inside = draw(contents(depth - 1))
    return f"<{name}{tag}>{text}</{name}{draw(BLANKS)}>", ("e", inside)


@st.composite
def contents(draw, depth):
    text, inside = draw(TEXTS), []
    for _ in range(draw(st.integers(0, 3))):
        if draw(st.integers(0, 3)) == 0:
            text += f"<![CDATA[{draw(SECTIONS)}]]>"
        else:
            raw, node = draw(nodes(depth))
            text += raw
            inside.append(node)
        text += draw(TEXTS)
    return text, inside


@settings(deadline=None)
@given(contents(depth=3))
def test_all_nodes_are_found(content):
    text, expected = content
    spans = scan(text)

    def told(node):
        return spans.kind[node], [told(child) for child in spans.children(node)]

    def wanted(node):
        return KINDS[node[0]], [wanted(child) for child in node[1]]

    assert [told(child) for child in spans.children(0)] == [wanted(node) for node in expected]


@settings(deadline=None)
@given(contents(depth=3))
def test_places_are_what_a_parser_sees_there(content):
    """Every element's raw text, parsed alone, is the element that lxml has under that number."""
    text = f"<top>{content[0]}</top>"
    root = etree.fromstring(text, etree.XMLParser(resolve_entities=False, strip_cdata=False))
    spans = scan(text)
    found = list(root.iter())
    assert len(found) == len(spans) - 1
    for number, node in enumerate(found, 1):
        raw = text[spans.start[number] : spans.end[number]]
        if spans.kind[number] != ELEMENT:
            assert not isinstance(node.tag, str)
            continue
        alone = etree.fromstring(raw)
        assert (alone.tag, dict(alone.attrib), "".join(alone.itertext())) == (
            node.tag,
            dict(node.attrib),
            "".join(node.itertext()),
        )
        assert [spans.start[child] for child in spans.children(number)] == sorted(
            spans.start[child] for child in spans.children(number)
        )
        assert len(spans.children(number)) == len(node)


@given(st.text(alphabet="<>/=?!-[]'\"& ax", max_size=40))
def test_any_text_is_scanned_or_refused(text):
    try:
        spans = scan(text)
    except ValueError:
        return
    for node in range(1, len(spans)):
        assert spans.start[node] < spans.tag_end[node] <= spans.close[node] <= spans.end[node]
        assert text[spans.start[node]] == "<"
        assert text[spans.end[node] - 1] == ">"
        assert node < spans.after[node] <= len(spans)
