"""The dump of a document: what it shows, where that comes from, and what it must never show."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from lxml import etree

from mtev_conf import Configuration


def dumped(text, environ=None, path="app.conf"):
    return Configuration.parse(text, path, environ or {}).document().dump()


def lines(text):
    """The lines after the heading, with one blank where the column of the remarks has several."""
    return [re.sub(r"(?<=\S) +(?=<!-- )", " ", line) for line in text.split("\n")[1:-1]]


@pytest.fixture
def load(tmp_path):
    def load(environ=None, **files):
        for name, text in files.items():
            (tmp_path / f"{name}.conf").write_text(text)
        return Configuration.load(str(tmp_path / "app.conf"), environ or {})

    return load


# Layout


def test_each_element_has_its_line_and_its_place():
    text = dumped(
        """<?xml version="1.0"?>
<!-- c -->
<app a="1"  b='2'><logs/>
  <!-- c -->
  <config><port>80</port><host>
  </host><blank>  </blank></config>
</app>"""
    )
    assert text.splitlines()[0] == "<!-- app.conf: what is in force, and where it comes from -->"
    assert text.splitlines()[1:] == [
        '<app a="1" b="2">     <!-- app.conf:3 -->',
        "  <logs/>             <!-- app.conf:3 -->",
        "  <config>            <!-- app.conf:5 -->",
        "    <port>80</port>   <!-- app.conf:5 -->",
        "    <host/>           <!-- app.conf:5 -->",
        "    <blank>  </blank> <!-- app.conf:6 -->",
        "  </config>",
        "</app>",
    ]
    assert text.endswith("</app>\n")


def test_long_tags_have_an_attribute_a_line_and_do_not_widen_the_rest():
    text = dumped(f'<a><b first="{"x" * 60}" second="{"y" * 60}"/><c/></a>').splitlines()
    assert text[1] == "<a>    <!-- app.conf:1 -->"
    assert text[2:4] == [f'  <b first="{"x" * 60}"', f'     second="{"y" * 60}"/> <!-- app.conf:1 -->']
    assert text[4] == "  <c/> <!-- app.conf:1 -->"


def test_a_text_keeps_its_lines():
    assert lines(dumped("<a><b>one\n  two </b></a>"))[1:3] == ["  <b>one", "  two </b> <!-- app.conf:1 -->"]


def test_text_among_elements_is_kept_to_the_character():
    text = dumped("<a>one <b>two<!-- gone --> {{ENV:x:{X}}}</b>\n<!-- gone -->three<c>\n<d/></c></a>", {"X": "4"})
    assert lines(text) == [
        "<a>one <b>two 4</b><!-- app.conf:1; text from ENV X -->",
        "three<c><!-- app.conf:2 -->",
        "<d/><!-- app.conf:3 --></c></a> <!-- app.conf:1 -->",
    ]
    root = etree.fromstring(text)
    assert root.xpath("string()") == "one two 4\nthree\n"


def test_namespaces_are_declared_where_they_begin():
    source = """<a xmlns:m="u:m"><m:b m:x="1" xml:lang="en"><c xmlns="u:c"><d xmlns=""/><e/></c></m:b><m:b/></a>"""
    text = dumped(source)
    assert meaning(etree.fromstring(text)) == meaning(etree.fromstring(source))
    assert text.count("u:m") == 1
    assert text.count("u:c") == 1


def test_what_xml_cannot_hold_is_replaced():
    text = dumped('<a b="{{ENV::{X}}}">{{ENV::{X}}}</a>', {"X": 'x\0\x1b<&">\ud800'})
    root = etree.fromstring(text.encode())
    assert root.get("b") == root.text == 'x\ufffd\ufffd<&">\ufffd'


def test_line_breaks_in_values_survive():
    root = etree.fromstring(dumped("<a b='1&#10;2&#9;3&#13;4'>1&#13;2</a>"))
    assert (root.get("b"), root.text) == ("1\n2\t3\r4", "1\r2")


# Origins


def origin(text, environ=None):
    """The remark behind the second element."""
    return lines(dumped(f"<a>{text}</a>", environ))[1].partition(" <!-- app.conf:1; ")[2].removesuffix(" -->")


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("<b port='{{ENV:80:{PORT}}}'/>", "port from ENV PORT"),
        ("<b port='ENV:80:{PORT}'/>", "port from ENV PORT"),
        ("<b port='ENV:80:{NO}'/>", "port from default of ENV NO, which is not set"),
        ("<b port='{{ENV::{NO}}}'/>", "port from ENV NO, which is not set"),
        ("<b>{{ENV:80:{PORT}}}</b>", "text from ENV PORT"),
        ("<b x='{{ENV::{PORT}}}{{ENV:1:{NO}}}'/>", "x from ENV PORT and default of ENV NO, which is not set"),
        ("<b x='{{ENV::{PORT}}}{{ENV::{PORT}}}'/>", "x from ENV PORT"),
        ("<b x='{{ENV::{PORT}}}' y='1' z='{{ENV::{PORT}}}'/>", "x from ENV PORT; z from ENV PORT"),
        ("<b x='{{consul:1:{a/b}}}'/>", "x from default of consul a/b, which has no value"),
        ("<b x='{{FILE:1:{/nowhere/x}}}'/>", "x from default of FILE /nowhere/x, which is not there"),
        ("<b x='{{ENV::{A -- B}}}'/>", "x from ENV A - - B, which is not set"),
        ("<b x='1'/>", ""),
    ],
)
def test_values_have_their_origin(text, told):
    assert origin(text, {"PORT": "8080"}) == told


def test_facilities_of_plugins_are_asked_and_named():
    configuration = Configuration.parse("<a x='{{consul::{k}}}'/>", "app.conf", {})
    configuration.facilities.register("consul", {"k": "v"}.get)
    assert lines(configuration.document().dump()) == ['<a x="v"/> <!-- app.conf:1; x from consul k -->']


def test_a_file_is_named_and_its_content_hidden(load, tmp_path):
    (tmp_path / "pw").write_text("hunter2\n")
    text = load(app="<a x='user:{{FILE::{pw}}}'><y>{{FILE::{pw}}}</y></a>").document().dump()
    assert '<a x="user:***"> <!-- app.conf:1; x from FILE pw -->' in lines(text)
    assert "  <y>***</y> <!-- app.conf:1; text from FILE pw -->" in lines(text)


def test_a_value_that_cannot_be_read_is_shown_as_written_with_the_reason(tmp_path):
    text = lines(dumped(f"<a x='{{{{FILE:y:{{{tmp_path}}}}}}}'>{{{{FILE:hunter2:{{{tmp_path}}}}}}}</a>"))
    reason = f"cannot be read: FILE: '{tmp_path}' is not a regular file"
    assert text == [
        f'<a x="{{{{FILE:***:{{{tmp_path}}}}}}}">{{{{FILE:***:{{{tmp_path}}}}}}}</a> '
        f"<!-- app.conf:1; x {reason}; text {reason} -->"
    ]


def test_a_dump_gives_no_notice():
    configuration = Configuration.parse("<a x='{{consul:1:{k}}}'/>", "app.conf", {})
    configuration.document().dump()
    assert configuration.notices == ()


# What applies


@pytest.mark.parametrize(("environ", "marked"), [({}, True), ({"X": ""}, False)])
def test_what_does_not_apply_is_marked(environ, marked):
    mark = "its require_env does not hold"
    text = dumped("<a><b require_env='X'/>text<b require_env='X'/></a>", environ)
    assert text.count(f"<!-- <b>: {mark} --><b ") == 2 * marked
    assert lines(dumped("<a><b require_env='X'/></a>", environ))[1:2] == (
        [f"  <!-- <b>: {mark} -->"] if marked else ['  <b require_env="X"/> <!-- app.conf:1 -->']
    )
    text = dumped("<a require_env='X'/>", environ)
    assert (f"\n<!-- <a>: {mark} -->\n" in text) is marked
    assert etree.fromstring(text).tag == "a"


def test_a_condition_that_went_bad_is_told_and_no_failure():
    configuration = Configuration.parse("<a><b require_env='{{ENV:X:{Y}}}'/></a>", "app.conf", {})
    configuration._tree.root[0].set("require_env", "X~(")
    assert "\n  <!-- app.conf:1: <b>: require_env: " in configuration.document().dump()


# Includes


def test_included_files_are_named_with_what_their_roots_hand_down(load):
    text = (
        load(
            {"T": "9"},
            app="""<app>
  <include file="[ab].conf"/>
  <include file="c.conf" snippet="true" readonly="true"/>
  <include file="none*"/>
  <include file="off.conf" require_env="NOPE"/></app>""",
            a='<a timeout="{{ENV:5:{T}}}" token="hunter2" require_env="NOPE">\n<x/></a>',
            b="<b/>",
            c="<y/>\n<z/>",
        )
        .document()
        .dump()
    )
    assert lines(text) == [
        "<app> <!-- app.conf:1 -->",
        '  <include file="[ab].conf"> <!-- app.conf:2 -->',
        '    <!-- a.conf: its root hands down timeout="9" token="***" require_env="NOPE"; timeout from ENV T; '
        "its require_env does not hold -->",
        "    <x/> <!-- a.conf:2 -->",
        "    <!-- b.conf -->",
        "  </include>",
        '  <include file="c.conf" snippet="true" readonly="true"> <!-- app.conf:3 -->',
        "    <!-- c.conf (snippet, read-only) -->",
        "    <y/> <!-- c.conf:1 -->",
        "    <z/> <!-- c.conf:2 -->",
        "  </include>",
        '  <include file="none*"> <!-- app.conf:4 -->',
        "    <!-- no file matches -->",
        "  </include>",
        "  <!-- <include>: its require_env does not hold -->",
        '  <include file="off.conf" require_env="NOPE"/> <!-- app.conf:5 -->',
        "</app>",
    ]


def test_files_elsewhere_have_their_whole_path(load, tmp_path):
    other = tmp_path / "x.conf"
    other.write_text("<x><y/></x>")
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "app.conf").write_text("<app><include file='../x.conf'/></app>")
    text = Configuration.load(str(tmp_path / "sub" / "app.conf"), {}).document().dump()
    assert f"    <y/> <!-- {other}:1 -->" in lines(text)


def include(index):
    return f"<include file='f{index}.conf'/>"


def test_includes_may_be_deeper_than_the_stack_of_python(load, tmp_path):
    nested = "<x>" * 200 + "{}" + "</x>" * 200
    files = {f"f{index}": f"<f>{nested.format(include(index + 1))}</f>" for index in range(20)}
    files |= {"app": f"<app>{nested.format(include(0))}</app>", "f20": "<f><end/></f>"}
    configuration = load(**files)
    root = configuration._tree.root
    text = configuration.document().dump()
    assert text.count("<x>") == len(list(root.iter("x"))) == 21 * 200
    assert "<!-- f20.conf:1 -->" in text


def test_files_within_text_are_named_there(load):
    text = load(app="<app>one <include file='a.conf'/> two</app>", a="<a>x<b/></a>").document().dump()
    assert '<include file="a.conf"><!-- a.conf -->x<b/><!-- a.conf:1 --></include> two</app>' in text


# Backing stores, and what is not in a file


def test_backing_stores_show_their_files(load, tmp_path):
    (tmp_path / "store" / "host#1").mkdir(parents=True)
    (tmp_path / "store" / "host#1" / ".attrs").write_text("<host name='a'/>")
    (tmp_path / "store" / "host#1" / "check#2.xml").write_text("<check>\n<v>1</v></check>")
    text = load(app="<app><hosts backingstore='store'/></app>").document().dump()
    assert lines(text)[1:] == [
        '  <hosts backingstore="store"> <!-- app.conf:1 -->',
        "    <!-- store/: each element in a file of its own -->",
        '    <host name="a"> <!-- store/host#1/.attrs:1 -->',
        "      <check> <!-- store/host#1/check#2.xml:1 -->",
        "        <v>1</v> <!-- store/host#1/check#2.xml:2 -->",
        "      </check>",
        "    </host>",
        "  </hosts>",
        "</app>",
    ]


def test_what_was_changed_at_run_time_is_told(load, tmp_path):
    (tmp_path / "store" / "host#1").mkdir(parents=True)
    (tmp_path / "store" / "host#1" / ".attrs").write_text("<host name='a'/>")
    configuration = load(app="<app><b x='1'/><c>1</c><hosts backingstore='store'/></app>")
    with configuration.transaction() as change:
        change.set(configuration.section("b"), "x", "2")
        change.text(configuration.section("c"), "2")
        change.set(configuration.section("hosts/host"), "name", "b")
        change.add_xml(configuration.root, "<new>\n<inner/></new>")
        change.add(configuration.section("hosts"), "host", {"name": "c"})
    text = lines(configuration.document().dump())
    changed = "; changed since it was read -->"
    assert f'  <b x="2"/> <!-- app.conf:1{changed}' in text
    assert f"  <c>2</c> <!-- app.conf:1{changed}" in text
    assert f'    <host name="b"/> <!-- store/host#1/.attrs:1{changed}' in text
    assert text[-4:] == [
        "  <new> <!-- not in a file yet -->",
        "    <inner/> <!-- not in a file yet -->",
        "  </new>",
        "</app>",
    ]
    assert '    <host name="c"/> <!-- not in a file yet -->' in text
    configuration.write()
    text = lines(configuration.document().dump())
    assert '  <b x="2"/> <!-- app.conf:1 -->' in text
    assert '    <host name="c"/> <!-- store/host#2/.attrs -->' in text
    assert text[-4:-1] == ["  <new> <!-- app.conf -->", "    <inner/> <!-- app.conf -->", "  </new>"]


# Secrets


@pytest.mark.parametrize(
    "text",
    [
        "<b password='{}'/>",
        "<b x='postgres://u:{}@h/d'/>",
        "<b x='host=h password={}'/>",
        "<password>{}</password>",
        "<password><b x='1'>{}</b></password>",
        "<b name='api_token' value='{}'>{}</b>",
        "<b name='{{{{ENV::{{NAME}}}}}}'>{}</b>",
        "<secret>x <b>{}</b> {}</secret>",
        "<b name='token'>x <i>{}</i> y</b>",
        "<value name='token'><i>{}</i></value>",
        "<b x='{{{{ENV:{}:{{DB_PASSWORD}}}}}}'/>",
        "<b x='ENV:{}:{{DB_PASSWORD}}'/>",
        "<!-- {} --><b/><?p {}?>",
    ],
)
def test_no_secret_that_is_written_is_shown(text):
    shown = dumped(f"<a>{text.format('hunter2', 'hunter2')}</a>", {"NAME": "token"})
    assert "hunter2" not in shown
    etree.fromstring(shown)


def test_what_is_only_named_after_a_secret_is_shown():
    text = dumped("<a><listener name='token_api'><config><port>80</port></config></listener></a>")
    assert '<listener name="token_api">' in text
    assert "<port>80</port>" in text


FORMS = (
    "{{ENV:x:{TOKEN}}}", "{{ENV::{TOKEN}}}", "ENV:x:{TOKEN}", "a {{ENV:1:{PLAIN}}} {{ENV:x:{TOKEN}}} b",
    "{{FILE::{%s}}}", "ENV:{{ENV::{TOKEN}}}:{NONE}", "ENV:x:{{{ENV::{TOKEN}}}}", "ENV:x{{ENV::{PLAIN}}}:{TOKEN}",
    "{{ENV:x:{PLAIN}}}{{ENV:x:{TOKEN}}}{{FILE::{%s}}}",
)  # fmt: skip


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("place", ["<a x='{}'/>", "<a>{}</a>", "<a>{}<b/>{}</a>", "<a><b/>x<b>{}</b></a>"])
def test_no_secret_from_outside_is_shown(tmp_path, form, place):
    path = tmp_path / "file"
    path.write_text("hunter2")
    form = form.replace("%s", str(path))
    text = dumped(place.replace("{}", form), {"TOKEN": "hunter2", "PLAIN": "p"})
    assert "hunter2" not in text
    assert "***" in text or "NONE" in form


def test_a_hook_cannot_bring_a_secret_to_light():
    configuration = Configuration.parse(
        "<a x='12{{ENV::{TOKEN}}}' y='{{ENV::{X}}}'/>", "app.conf", {"TOKEN": "hunter2"}
    )
    configuration.facilities.fixup = lambda: lambda path, name, value: value[::-1] + path
    assert '<a x="***" y="/a"/>' in configuration.document().dump()


def test_what_a_hook_leaves_alone_is_masked_as_ever():
    configuration = Configuration.parse("<a x='1{{ENV::{TOKEN}}}'/>", "app.conf", {"TOKEN": "hunter2"})
    configuration.facilities.fixup = lambda: lambda path, name, value: None
    assert '<a x="1***"/>' in configuration.document().dump()


# Properties


NAMES = st.sampled_from(["a", "b", "port", "m:c"])
TEXTS = st.text("abc <>&'\"é{}:*-\n\t\u2028", max_size=8)
ATTRIBUTES = st.dictionaries(st.sampled_from(["x", "y", "m:z"]), TEXTS, max_size=2)


def key(name):
    return name.replace("m:", "{u:m}")


@st.composite
def documents(draw, depth=3):
    element = etree.Element(key(draw(NAMES)), {key(k): v for k, v in draw(ATTRIBUTES).items()}, nsmap={"m": "u:m"})
    element.text = draw(TEXTS)
    for _ in range(draw(st.integers(0, 3)) if depth else 0):
        kind = draw(st.integers(0, 4))
        child = etree.Comment("c") if kind == 0 else draw(documents(depth=depth - 1))
        child.tail = draw(st.sampled_from(["", "\n  "]) | TEXTS)
        element.append(child)
    return element


def meaning(element, expand=lambda text: text):
    """All that a plugin can read of an element, but for blanks that only serve the layout."""
    children = list(element.iterchildren(etree.Element))
    pieces = [[element.text or ""]]
    for node in element:
        if isinstance(node.tag, str):
            pieces.append([])
        pieces[-1].append(node.tail or "")
    texts = ["".join(each) for each in pieces]
    if not "".join(texts).strip(" \t\r\n") and (children or len(element) or "\n" in "".join(texts)):
        texts = ["" for _ in texts]
    return (element.tag, dict(element.attrib), texts, [meaning(each) for each in children])


@given(documents())
def test_a_dump_means_what_the_document_means(element):
    source = etree.tostring(element)
    configuration = Configuration.parse(source, environ={})
    text = configuration.document().dump()
    assert meaning(etree.fromstring(text.encode())) == meaning(etree.fromstring(source))
    assert text.count("<!-- <string>") >= 1


@given(st.text("abcXYZ <>&'\"é{}:*", max_size=20))
def test_a_dump_can_be_read_like_the_document(text):
    root = etree.Element("a", b=text)
    etree.SubElement(root, "c").text = text
    configuration = Configuration.parse(etree.tostring(root), environ={})
    again = Configuration.parse(configuration.document().dump(), environ={})
    assert again.root.string("b") == configuration.root.string("b")
    assert again.section("c").text == configuration.section("c").text
