"""Names and paths: what they are for each element, and what they lead to."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from lxml import etree

from mtev_conf._editing.paths import (
    attribute_key,
    attribute_name,
    parse_path,
    path_of,
    position_of,
    resolve,
    step_name,
    written_name,
)

APP = """<app xmlns:m="app://module/m">
  <listeners/>
  <!-- these count for nothing --><?nor this?>
  <listeners><listener/><m:listener/><listener port="1"/></listeners>
  <x xmlns="u"><y/></x>
  <n:x xmlns:n="app://module/m"/>
  <m:x xmlns:m="other"/>
</app>"""


def parsed(text):
    return etree.fromstring(text)


def test_each_element_has_a_path():
    root = parsed(APP)
    assert [path_of(each) for each in root.iter(etree.Element)] == [
        "/app",
        "/app/listeners[1]",
        "/app/listeners[2]",
        "/app/listeners[2]/listener[1]",
        "/app/listeners[2]/m:listener[1]",
        "/app/listeners[2]/listener[2]",
        "/app/*[3]",
        "/app/*[3]/*[1]",
        "/app/n:x[1]",
        "/app/m:x[1]",
    ]
    assert [position_of(each) for each in root.iterchildren(etree.Element)] == [0, 1, 2, 3, 4]
    assert [(written_name(each), step_name(each)) for each in root.iterchildren(etree.Element)][2:] == [
        ("x", "*"),
        ("n:x", "n:x"),
        ("m:x", "m:x"),
    ]


def test_long_names_are_counted_right():
    name = "n" * 150
    root = parsed(f'<app xmlns:m="u"><a/><m:{name}1/><m:{name}2><b/></m:{name}2><m:{name}2/></app>')
    paths = [path_of(each) for each in root]
    assert paths == ["/app/a[1]", f"/app/m:{name}1[1]", f"/app/m:{name}2[1]", f"/app/m:{name}2[2]"]
    assert path_of(root[2][0]) == f"/app/m:{name}2[1]/b[1]"
    assert [resolve(root, path) for path in paths] == list(root)


def test_a_path_of_an_attribute_leads_to_its_element_and_name():
    root = parsed(APP)
    assert resolve(root, "/app/listeners[2]/listener[2]/@port") == (root[3][2], "port")
    assert resolve(root, "/app/@m:not-yet-there") == (root, "m:not-yet-there")
    assert resolve(root, "/app/@{a/b}c") == (root, "{a/b}c")


def test_an_index_may_be_left_out_where_there_is_one_only():
    root = parsed(APP)
    assert resolve(root, "/app/listeners[2]/m:listener") is root[3][1]
    assert resolve(root, "/app[1]/n:x") is root[5]
    with pytest.raises(LookupError, match=r"/app/listeners is more than one element: /app has several <listeners>"):
        resolve(root, "/app/listeners")


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("/app/listeners[2]/listener[3]", r"/app/listeners[2] has 2 <listener>"),
        ("/app/listeners[2]/cluster[1]/node[1]", r"/app/listeners[2] has no <cluster>"),
        ("/app/o:x[1]", r"/app has no <o:x>"),
        ("/app/*[7]", r"/app has 5 <*>"),
        ("/other/x[1]", r"the root of the document is /app"),
        ("/app[2]", r"the root of the document is /app"),
    ],
)
def test_what_is_not_there_is_reported_with_the_nearest_ancestor(path, message):
    with pytest.raises(LookupError) as error:
        resolve(parsed(APP), path)
    assert str(error.value) == f"there is no {path}: {message}"


@pytest.mark.parametrize(
    "path", ["", "/", "app", "app/x", "//app", "/app/", "/app//x", "/app/@", "/app/x[0]", "/app/x[-1]", "/app/x[a]",
             "/app/x[1][2]", "/app/x y", "/@x", "/app/x[1]y", "/app/x[9999999999]", "/app/.[1]/[1]", "x" * 500]
)  # fmt: skip
def test_what_is_no_path_is_refused(path):
    with pytest.raises(ValueError, match=r"is not a path; write one such as /app/listeners\[1\]") as error:
        parse_path(path)
    assert len(str(error.value)) < 250


def test_names_of_attributes_go_both_ways():
    element = parsed('<a xmlns:m="u" xmlns="d" m:x="1" xml:lang="en" y="2"/>')
    keys = ["{u}x", "{http://www.w3.org/XML/1998/namespace}lang", "y"]
    assert [attribute_name(element, key) for key in keys] == ["m:x", "xml:lang", "y"]
    assert [attribute_key(element, name) for name in ("m:x", "xml:lang", "y")] == keys
    assert attribute_name(element, "{d}z") == attribute_key(element, "{d}z") == "{d}z"
    with pytest.raises(ValueError, match="q:x: the prefix 'q' is not declared at <a>"):
        attribute_key(element, "q:x")


names = st.sampled_from(["a", "b", "m:a", "n:a", "xé"])
trees = st.recursive(
    names.map(lambda name: f"<{name}/>") | st.sampled_from(["<!--c-->", "<?p?>", "text", "<a xmlns='d'/>"]),
    lambda inner: st.tuples(names, st.lists(inner, max_size=6)).map(
        lambda made: f"<{made[0]}>{''.join(made[1])}</{made[0]}>"
    ),
    max_leaves=25,
)


@settings(max_examples=150, deadline=None)
@given(st.lists(trees, max_size=6))
def test_a_path_leads_back_to_its_element(children):
    root = parsed(f'<app xmlns:m="u" xmlns:n="v">{"".join(children)}</app>')
    elements = list(root.iter(etree.Element))
    paths = [path_of(each) for each in elements]
    assert len(set(paths)) == len(paths)
    assert [resolve(root, path) for path in paths] == elements


@settings(max_examples=200)
@given(st.text(alphabet="/[]@*.:a1é \n{}", max_size=30))
def test_any_text_is_a_path_or_refused(text):
    try:
        steps, attribute = parse_path(text)
    except ValueError:
        return
    written = "".join(f"/{name}[{index}]" if index else f"/{name}" for name, index in steps)
    assert text == written + ("" if attribute is None else f"/@{attribute}")
