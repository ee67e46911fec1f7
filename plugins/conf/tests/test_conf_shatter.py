"""Backing stores: round trips, libmtev's own directories, what is tolerated, what is refused, and the limits."""

from __future__ import annotations

import os
import re
import tempfile
from pathlib import Path
from xml.sax.saxutils import quoteattr

import pytest
from hypothesis import given
from hypothesis import strategies as st
from lxml import etree

from mtev_conf._disk.shatter import MAX_STORE_DEPTH, is_leaf, plan_new, plan_removal, read_store
from mtev_kernel.errors import ConfigurationError

NAMESPACES = {"m": "app://module/m", "k": "http://example.org/?a=1&b=2"}
OTHERS = {"o": "urn:other", "e": "urn:elsewhere"}
LEAF = "check"


def parse(data, path):
    try:
        return etree.fromstring(data, etree.XMLParser(resolve_entities=False, strip_cdata=False))
    except etree.XMLSyntaxError as error:
        raise ConfigurationError(f"not well-formed: {error.msg}", path) from None


def wanted(element):
    return etree.QName(element).localname == LEAF


def nothing_wanted(element):
    return False


def element(text):
    return etree.fromstring(f'<app xmlns:m="{NAMESPACES["m"]}">{text}</app>')[0]


def master():
    return etree.Element("store", nsmap=NAMESPACES)


def put(planned):
    for path, data in planned.files:
        Path(path).parent.mkdir(parents=True, exist_ok=True)
        with open(path, "xb") as file:
            file.write(data)


def remove(stored):
    unwanted_files, unwanted_directories = plan_removal(stored)
    for path in unwanted_files:
        Path(path).unlink()
    for path in unwanted_directories:
        Path(path).rmdir()


def make(directory, contents):
    for name, text in contents.items():
        path = Path(directory, name)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(text if isinstance(text, bytes) else text.encode())


def read(directory, **limits):
    parent = master()
    content = read_store(str(directory), parent, parse, **limits)
    return parent, content


def text_of(parent):
    """The children of an element as XML, without the declarations that all of them inherit."""
    return re.sub(r' xmlns:\w+="[^"]*"', "", "".join(etree.tostring(each, encoding="unicode") for each in parent))


def sentences(content, directory):
    return [each.removeprefix(f"{directory}/") for each in content.notices]


def shape(node, form=lambda element: True):
    """What there is to compare in a node. `form` says of an element whether its blank text counts."""
    exact = isinstance(node.tag, str) and form(node)

    def words(text):
        return text if exact or (text and text.strip(" \t\r\n")) else None

    return (
        node.tag if isinstance(node.tag, str) else node.tag.__name__,
        getattr(node, "prefix", None),
        getattr(node, "target", None),
        list(node.attrib.items()) if isinstance(node.tag, str) else [],
        (words(node.text) if isinstance(node.tag, str) else node.text) or None,
        [(shape(child, (lambda element: True) if exact else form), words(child.tail) or None) for child in node],
    )


# Round trips

names = st.sampled_from(
    ["host", LEAF, "a.b", "x-1", "größe", "_", "x.xml", "y.bak", "z.tmp", "{app://module/m}key", "{urn:other}o"]
)
keys = st.sampled_from(
    ["a", "b", "größe", "{app://module/m}a", "{urn:elsewhere}b", "{http://www.w3.org/XML/1998/namespace}lang"]
)
texts = st.text("aö\n\t\r &<>\"'\u00a0\U0001f600", max_size=5)
blanks = st.sampled_from(["", "\n  ", " \t"])
between = st.one_of(blanks, blanks, blanks, texts)
asides = st.sampled_from([(etree.Comment, "<no/>"), (etree.ProcessingInstruction, "why")]).map(lambda a: a[0](a[1]))
scopes = st.sampled_from([OTHERS, OTHERS | NAMESPACES])


@st.composite
def trees(draw, depth=3):
    node = etree.Element(draw(names), draw(st.dictionaries(keys, texts, max_size=2)), nsmap=draw(scopes))
    node.text = draw(between)
    for _ in range(draw(st.integers(0, 2 if depth else 0))):
        node.append(draw(st.one_of(trees(depth - 1), trees(depth - 1), trees(depth - 1), asides)))
        node[-1].tail = draw(between)
    return node


@given(st.lists(trees(), max_size=3), st.sampled_from([wanted, nothing_wanted]), st.integers(1, 1000))
def test_what_is_written_is_read_again(elements, choice, number):
    with tempfile.TemporaryDirectory() as directory:
        parent = etree.Element("store", nsmap=NAMESPACES)
        nodes = {}
        for each in elements:
            each.tail = None
            parent.append(each)
            planned = plan_new(each, directory, number, choice, NAMESPACES)
            put(planned)
            number = planned.next_number
            nodes.update(planned.nodes)

        again, content = read(directory)

        assert [shape(each, lambda e: is_leaf(e, choice)) for each in parent] == [
            shape(each, lambda e: is_leaf(e, choice)) for each in again
        ]
        assert content.notices == ()
        assert content.highest == number - 1 or not elements
        assert list(content.nodes.values()) == list(nodes.values())


@given(st.lists(trees(), min_size=1, max_size=3))
def test_what_is_removed_leaves_nothing(elements):
    with tempfile.TemporaryDirectory() as directory:
        number = 1
        for each in elements:
            planned = plan_new(each, directory, number, wanted, NAMESPACES)
            put(planned)
            number = planned.next_number
        remove(read(directory)[1].nodes.values())
        assert list(Path(directory).iterdir()) == []


def test_elements_within_a_leaf_have_no_place_of_their_own(tmp_path):
    planned = plan_new(element("<check><a b='1'/></check>"), str(tmp_path), 7, wanted, {})
    put(planned)
    ((node, stored),) = read(tmp_path)[1].nodes.items()
    assert (node.tag, stored.number) == ("check", 7)


# libmtev's side. Its reader and its writer, as plainly as can be, by its source.


def libmtev_reads(node, directory):
    attributes = Path(directory, ".attrs")
    if attributes.exists():
        for key, value in etree.parse(str(attributes)).getroot().attrib.items():
            node.set(key, value)
    for path in Path(directory).iterdir():
        local, hash_sign, _ = path.name.partition("#")
        if hash_sign and path.is_dir():
            libmtev_reads(etree.SubElement(node, local), path)
        elif hash_sign:
            node.append(etree.parse(str(path), etree.XMLParser(remove_blank_text=True)).getroot())


def libmtev_writes(node, directory, number, leaf_names, namespaces):
    """Writes the children of a node; returns the last number that was given."""

    def save(path, text):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f'<?xml version="1.0" encoding="utf8"?>\n{text}\n')

    def attributes(element):
        prefixes = {uri: prefix for prefix, uri in node.nsmap.items()}
        pairs = [(etree.QName(key), value) for key, value in element.attrib.items()]
        return "".join(
            f' {prefixes[key.namespace] + ":" if key.namespace else ""}{key.localname}="{value}"'
            for key, value in pairs
        )

    for child in node:
        name = etree.QName(child).localname
        number += 1
        if name in leaf_names:
            declarations = "".join(f" xmlns:{prefix}={quoteattr(uri)}" for prefix, uri in namespaces.items())
            inner = "".join(f"\n  {etree.tostring(each, encoding='unicode')}" for each in child)
            save(
                directory / f"{name}#{number}.xml",
                f"<{name}{declarations}{attributes(child)}>{child.text or ''}{inner}\n</{name}>",
            )
        else:
            if child.attrib:
                save(directory / f"{name}#{number}" / ".attrs", f"<{name}{attributes(child)}/>")
            number = libmtev_writes(child, directory / f"{name}#{number}", number, leaf_names, namespaces)
    return number


plain = st.sampled_from(["host", "item", LEAF, "größe"])


@st.composite
def plain_trees(draw, depth=3):
    node = etree.Element(
        draw(plain), draw(st.dictionaries(st.sampled_from(["a", "b"]), st.text("xyz ", max_size=4), min_size=1))
    )
    for _ in range(draw(st.integers(0, 2 if depth else 0))):
        node.append(draw(plain_trees(depth - 1)))
    return node


@given(st.lists(plain_trees(), max_size=2))
def test_libmtev_reads_what_we_write(elements):
    with tempfile.TemporaryDirectory() as directory:
        ours = etree.Element("store")
        number = 1
        for each in elements:
            planned = plan_new(each, directory, number, wanted, NAMESPACES)
            put(planned)
            number = planned.next_number
            ours.append(each)
        theirs = etree.Element("store")
        libmtev_reads(theirs, directory)
        # Its order is the directory's.
        assert unordered(theirs) == unordered(ours)


def unordered(node):
    return (node.tag, sorted(node.attrib.items()), sorted(unordered(child) for child in node))


@given(st.lists(plain_trees(), max_size=2))
def test_we_read_what_libmtev_writes(elements):
    with tempfile.TemporaryDirectory() as directory:
        theirs = etree.Element("store")
        theirs.extend(elements)
        last = libmtev_writes(theirs, Path(directory), 0, [LEAF], NAMESPACES)
        ours, content = read(directory)
        for node in ours.iter():
            node.text = node.tail = None
        assert [shape(each) for each in ours] == [shape(each) for each in theirs]
        assert content.highest == last
        assert content.notices == ()


def test_a_store_as_libmtev_leaves_it(tmp_path):
    make(
        tmp_path,
        {
            "host#1/.attrs": '<?xml version="1.0" encoding="utf8"?>\n<stub name="a" m:mode="x"/>\n',
            "host#1/item#10/.attrs": '<item n="10"/>',
            "host#1/item#2/.attrs": '<item n="2"/>',
            "group#3/check#4.xml": '<?xml version="1.0" encoding="utf8"?>\n<check xmlns:m="app://module/m" x="1">\n'
            "  <m:key>v</m:key>\n</check>\n",
        },
    )
    parent, content = read(tmp_path)
    assert text_of(parent) == (
        '<host name="a" m:mode="x"><item n="2"/><item n="10"/></host>'
        '<group><check x="1">\n  <m:key>v</m:key>\n</check></group>'
    )
    assert content.highest == 10
    assert content.notices == ()
    host, item2, item10, group, check = content.nodes.values()
    assert (host.leaf, host.number, host.digest != b"") == (False, 1, True)
    assert (item2.number, item10.number) == (2, 10)
    assert (group.digest, group.path) == (b"", f"{tmp_path}/group#3")
    assert (check.leaf, check.path, len(check.digest)) == (True, f"{tmp_path}/group#3/check#4.xml", 16)
    assert parent[0].get("{app://module/m}mode") == "x"
    assert parent[1][0].sourceline == 2


def test_a_prefix_that_nobody_declares_is_an_error(tmp_path):
    make(tmp_path, {"host#1/.attrs": '<host q:a="1"/>'})
    with pytest.raises(ConfigurationError, match=r"^\S*host#1/\.attrs: not well-formed: Namespace prefix q"):
        read(tmp_path)


def test_the_prefix_in_the_document_counts_where_the_name_is_the_same(tmp_path):
    make(
        tmp_path,
        {
            "host#1/.attrs": '<m:host xmlns:m="app://module/m"/>',
            "host#2/.attrs": '<m:other xmlns:m="app://module/m" a="1"/>',
            "host#3.xml": '<m:host xmlns:m="app://module/m"/>',
            "host#4.xml": "<other/>",
        },
    )
    parent, content = read(tmp_path)
    assert [each.tag for each in parent] == ["{app://module/m}host", "host", "{app://module/m}host", "other"]
    assert parent[1].get("a") == "1"
    assert sentences(content, tmp_path) == [
        "host#4.xml: it holds an element <other>, which counts, whatever the file is called"
    ]


def test_elements_follow_what_the_parent_has_already(tmp_path):
    make(tmp_path, {"a#1.xml": "<a/>"})
    parent = etree.fromstring("<store>\n <!-- first --><inline/>\n</store>")
    read_store(str(tmp_path), parent, parse)
    assert etree.tostring(parent) == b"<store>\n <!-- first --><inline/>\n<a/></store>"


def test_a_store_that_is_missing_is_empty(tmp_path):
    parent, content = read(tmp_path / "none")
    assert (len(parent), content.nodes, content.highest, content.notices) == (0, {}, 0, ())


def test_a_relative_directory_gives_absolute_paths(tmp_path, monkeypatch):
    make(tmp_path, {"store/a#1.xml": "<a/>"})
    monkeypatch.chdir(tmp_path)
    (stored,) = read("store")[1].nodes.values()
    assert stored.path == f"{tmp_path}/store/a#1.xml"


# What is tolerated


def test_numbers_may_have_any_form_that_is_one(tmp_path):
    make(tmp_path, {"a#007.xml": "<a/>", "a#0.xml": "<a zero=''/>", "b#6": "<b/>", "c#8.xml/.attrs": "<c d=''/>"})
    parent, content = read(tmp_path)
    assert text_of(parent) == '<a zero=""/><b/><a/><c d=""/>'
    assert [(each.number, each.leaf) for each in content.nodes.values()] == [
        (0, True),
        (6, True),
        (7, True),
        (8, False),
    ]


@pytest.mark.parametrize("name", ["x", "README.xml", ".x#1.xml", ".mtev-0123456789abcdef-0.tmp", ".attrs~", "x.tmp"])
def test_what_belongs_to_somebody_else_is_passed_over_in_silence(tmp_path, name):
    make(tmp_path, {name: "<x/>", f"dir#2/{name}": "<x/>", "dir#2/a#3.xml": "<a/>"})
    parent, content = read(tmp_path)
    assert text_of(parent) == "<dir><a/></dir>"
    assert content.notices == ()


@pytest.mark.parametrize(
    "name",
    [
        "x#.xml",
        "x#y",
        "x#1y",
        "x#1.xml~",
        "x#-1",
        "x# 1",
        "#1.xml",
        "a#b#3",
        "x#1.xml.bak.bak",
        "x#" + "9" * 19,
        "x#\uff11",
    ],
)
def test_what_has_no_number_is_reported(tmp_path, name):
    make(tmp_path, {name: "<x/>", f"{name}2{name}/.attrs": "<x/>", "a#1.xml": "<a/>"})
    parent, content = read(tmp_path)
    assert text_of(parent) == "<a/>"
    assert content.highest == 1
    assert sorted(sentences(content, tmp_path)) == sorted(
        f"{each}: it is not read: its name is not of the form name#number or name#number.xml"
        for each in (name, f"{name}2{name}")
    )


@pytest.mark.parametrize("name", ["1x#5", "a b#5", "m:host#5", "{urn:x}y#5"])
def test_a_directory_that_is_no_element_is_reported_and_its_number_is_taken(tmp_path, name):
    make(tmp_path, {"a#1.xml": "<a/>"})
    (tmp_path / name).mkdir()
    parent, content = read(tmp_path)
    assert (text_of(parent), content.highest) == ("<a/>", 5)
    assert sentences(content, tmp_path) == [
        f"{name}: it is not read: what is before the '#' is not the name of an element"
    ]


def test_what_is_neither_file_nor_directory_is_reported(tmp_path):
    os.mkfifo(tmp_path / "x#1.xml")
    (tmp_path / "y#2").mkdir()
    os.mkfifo(tmp_path / "y#2" / ".attrs")
    make(tmp_path, {"y#2/z#3.xml": "<z/>"})
    (tmp_path / "y#2" / "z#3.xml.tmp").mkdir()
    (tmp_path / "w#4" / ".attrs").mkdir(parents=True)
    make(tmp_path, {"w#4/z#5.xml": "<z/>"})
    parent, content = read(tmp_path)
    assert text_of(parent) == "<y><z/></y><w><z/></w>"
    assert sorted(sentences(content, tmp_path)) == [
        "w#4/.attrs: it is not read: it is a directory, but attributes are kept in a file",
        "x#1.xml: it is not read: it is neither a file nor a directory",
        "y#2/.attrs: it is not read: it is neither a file nor a directory",
        "y#2/z#3.xml.tmp: it is not read: only of leaves and of .attrs does an interrupted save leave such a thing",
    ]


def test_a_name_that_cannot_be_shown_is_escaped(tmp_path):
    (tmp_path / os.fsdecode(b"h\xf6st\n#1")).mkdir()
    parent, content = read(tmp_path)
    assert len(parent) == 0
    assert sentences(content, tmp_path) == [
        "h\\xf6st\\x0a#1: it is not read: what is before the '#' is not the name of an element"
    ]


def test_the_same_number_twice_goes_by_name(tmp_path):
    make(tmp_path, {"b#1.xml": "<b/>", "a#1/.attrs": "<a/>", "a#1.xml": "<a leaf=''/>", "c#2.xml": "<c/>"})
    parent, content = read(tmp_path)
    assert text_of(parent) == '<a/><a leaf=""/><b/><c/>'
    assert sentences(content, tmp_path) == [
        "a#1.xml: a#1 has the same number; they are read in the order of their names",
        "b#1.xml: a#1.xml has the same number; they are read in the order of their names",
    ]


def test_a_directory_without_attrs_is_an_element_without_attributes(tmp_path):
    make(tmp_path, {"a#1/b#2/c#3.xml": "<c/>"})
    parent, content = read(tmp_path)
    assert text_of(parent) == "<a><b><c/></b></a>"
    assert [each.digest == b"" for each in content.nodes.values()] == [True, True, False]


def test_a_directory_that_holds_nothing_is_no_element(tmp_path):
    make(tmp_path, {"a#1/notes.txt": "x", "a#1/.mtev-0123456789abcdef-0.tmp": "x", "b#4.xml": "<b/>"})
    (tmp_path / "c#2" / "d#3").mkdir(parents=True)
    parent, content = read(tmp_path)
    assert text_of(parent) == "<b/>"
    assert len(content.nodes) == 1
    assert sentences(content, tmp_path) == [
        f"{each}: it is not read: it holds neither an element nor an .attrs; remove it"
        for each in ("a#1", "c#2/d#3", "c#2")
    ]


def test_only_attributes_are_read_from_attrs(tmp_path):
    make(tmp_path, {"a#1/.attrs": "<a b='1'><c/>text</a>", ".attrs": "<stub d='2'/>"})
    parent, content = read(tmp_path)
    assert text_of(parent) == '<a b="1"/>'
    assert parent.attrib == {}
    assert sentences(content, tmp_path) == [
        ".attrs: it is not read: the attributes of the element itself are in the main document; remove it",
        "a#1/.attrs: only its attributes are read",
    ]


# What an interrupted save of libmtev leaves: it links X to X.bak, unlinks X, writes X.tmp, links it to X, unlinks both.

OLD, NEW, HALF = '<x v="old"/>', '<x v="new"/>', '<x v="ne'


@pytest.mark.parametrize(
    ("there", "read_as", "intact"),
    [
        ({"": OLD, ".bak": OLD}, "old", True),
        ({".bak": OLD}, "old", False),
        ({".bak": OLD, ".tmp": ""}, "old", False),
        ({".bak": OLD, ".tmp": HALF}, "old", False),
        ({".bak": OLD, ".tmp": NEW}, "old", False),
        ({"": NEW, ".bak": OLD, ".tmp": NEW}, "new", True),
        ({"": NEW, ".bak": OLD}, "new", True),
        ({".tmp": NEW}, "new", False),
        ({".tmp": HALF}, None, False),
        ({".tmp": ""}, None, False),
        ({"": NEW, ".tmp": NEW}, "new", True),
        ({".bak": HALF, ".tmp": NEW}, "new", False),
    ],
)
@pytest.mark.parametrize("attrs", [False, True])
def test_an_interrupted_save_gives_the_old_or_the_new(tmp_path, there, read_as, intact, attrs):
    base = "x#3/.attrs" if attrs else "x#3.xml"
    make(tmp_path, {base + suffix: text for suffix, text in there.items()})
    make(tmp_path, {"y#1.xml": "<y/>"})

    parent, content = read(tmp_path)

    assert content.highest == 3
    assert len(content.notices) >= 1
    assert all(each.startswith(f"{tmp_path}/x#3") for each in content.notices)
    if read_as is None:
        assert text_of(parent) == "<y/>"
        return
    assert text_of(parent) == f'<y/><x v="{read_as}"/>'
    stored = content.nodes[parent[1]]
    assert stored.path == f"{tmp_path}/x#3" + ("" if attrs else ".xml")
    assert (stored.digest != b"") is intact
    assert stored.leavings == tuple(f"{tmp_path}/{base}{each}" for each in (".bak", ".tmp") if each in there)
    # What is removed does not come back.
    remove([stored])
    assert text_of(read(tmp_path)[0]) == "<y/>"


def test_what_a_recovery_says(tmp_path):
    make(
        tmp_path, {"x#3.xml.bak": OLD, "y#4.xml": "<y/>", "y#4.xml.bak": "<y/>", "z#5.xml.tmp": HALF, "w#6.bak": "<w/>"}
    )
    parent, content = read(tmp_path)
    assert text_of(parent) == '<x v="old"/><y/>'
    assert content.highest == 6
    found = sentences(content, tmp_path)
    assert found[:3] == [
        "w#6.bak: it is not read: only of leaves and of .attrs does an interrupted save leave such a thing",
        "x#3.xml.bak: an interrupted save left it behind, but no x#3.xml; it is read instead",
        "y#4.xml.bak: an interrupted save left it behind; it is not read",
    ]
    assert found[3].startswith("z#5.xml.tmp: an interrupted save left it behind, unfinished; it is not read (")


@pytest.mark.parametrize("there", [{".bak": HALF}, {".bak": HALF, ".tmp": HALF}])
def test_a_last_version_that_is_damaged_is_an_error(tmp_path, there):
    make(tmp_path, {f"x#3.xml{suffix}": text for suffix, text in there.items()})
    with pytest.raises(ConfigurationError, match=r"^\S*/x#3\.xml\.bak: not well-formed"):
        read(tmp_path)


# What is refused


def test_a_damaged_file_is_named_and_all_are(tmp_path):
    make(
        tmp_path,
        {
            "a#1.xml": "<a>",
            "b#2/.attrs": "",
            "b#2/c#3.xml": "<c/>",
            "d#4.xml": "<d/>",
            "e#5.xml": b"\0",
            "e#5.xml.bak": "<e/>",
        },
    )
    parent = etree.fromstring("<store><inline/></store>")
    with pytest.raises(ConfigurationError) as caught:
        read_store(str(tmp_path), parent, parse)
    assert [part.where for part in caught.value.parts] == [
        f"{tmp_path}/{name}" for name in ("a#1.xml", "b#2/.attrs", "e#5.xml")
    ]
    assert f"{tmp_path}/e#5.xml.bak may hold another version of it" in str(caught.value)
    assert etree.tostring(parent) == b"<store><inline/></store>"


def test_there_is_an_end_to_what_is_reported(tmp_path):
    make(tmp_path, {f"a#{number}.xml": "<a>" for number in range(150)})
    make(tmp_path / "other", {f"a#{number}.xml.bak.bak": "" for number in range(1234)})
    with pytest.raises(ConfigurationError) as caught:
        read(tmp_path)
    assert len(caught.value.parts) == 100
    notices = read(tmp_path / "other")[1].notices
    assert (len(notices), notices[-1]) == (1001, "and 234 more such notices")


def test_any_other_error_leaves_the_parent_as_it_was(tmp_path):
    make(tmp_path, {"a#1.xml": "<a/>", "b#2.xml": "<b/>"})
    parent = master()

    def interrupted(data, path):
        if path.endswith("b#2.xml"):
            raise KeyboardInterrupt
        return parse(data, path)

    with pytest.raises(KeyboardInterrupt):
        read_store(str(tmp_path), parent, interrupted)
    assert len(parent) == 0


@pytest.mark.parametrize("name", ["x#1.xml", "x#1", "x#1.xml.bak", "y#2/.attrs"])
def test_symbolic_links_are_refused_by_name(tmp_path, name):
    make(tmp_path, {"outside/.attrs": "<x/>", "outside/z#9.xml": "<z/>", "store/y#2/z#3.xml": "<z/>"})
    (tmp_path / "store" / name).symlink_to(tmp_path / "outside")
    with pytest.raises(
        ConfigurationError, match=f"^{re.escape(str(tmp_path))}/store/{re.escape(name)}: it is a symbolic link"
    ):
        read(tmp_path / "store")


def test_the_store_itself_may_be_a_symbolic_link_but_to_something(tmp_path):
    make(tmp_path, {"real/x#1.xml": "<x/>"})
    (tmp_path / "store").symlink_to("real")
    (tmp_path / "dangling").symlink_to("nothing")
    parent, content = read(tmp_path / "store")
    assert text_of(parent) == "<x/>"
    assert [each.path for each in content.nodes.values()] == [f"{tmp_path}/store/x#1.xml"]
    with pytest.raises(ConfigurationError, match="dangling: .*cannot be read: No such file or directory"):
        read(tmp_path / "dangling")


def test_a_file_where_the_store_should_be_is_an_error(tmp_path):
    make(tmp_path, {"store": "x"})
    with pytest.raises(ConfigurationError, match=r"store: .*cannot be read: Not a directory"):
        read(tmp_path / "store")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_what_cannot_be_read_is_an_error(tmp_path):
    make(tmp_path, {"a#1.xml": "<a/>", "b#2/c#3.xml": "<c/>"})
    (tmp_path / "a#1.xml").chmod(0)
    (tmp_path / "b#2").chmod(0)
    try:
        with pytest.raises(ConfigurationError, match="Permission denied") as caught:
            read(tmp_path)
    finally:
        (tmp_path / "b#2").chmod(0o700)
    assert [part.where for part in caught.value.parts] == [f"{tmp_path}/a#1.xml", f"{tmp_path}/b#2"]


def test_a_file_that_vanishes_meanwhile_is_an_error(tmp_path):
    make(tmp_path, {"a#1.xml": "<a/>", "b#2.xml": "<b/>"})

    def jealous(data, path):
        (tmp_path / "b#2.xml").unlink(missing_ok=True)
        return parse(data, path)

    with pytest.raises(ConfigurationError, match=r"b#2\.xml: .*cannot be read: No such file"):
        read_store(str(tmp_path), master(), jealous)


# Limits


def test_the_number_of_entries_is_limited(tmp_path):
    make(tmp_path, {"a#1/.attrs": "<a/>", "a#1/b#2.xml": "<b/>", "junk": ""})
    assert len(read(tmp_path, max_entries=4)[0]) == 1
    with pytest.raises(
        ConfigurationError, match=r"a#1: the backing store has more than 3 entries, which is the limit$"
    ):
        read(tmp_path, max_entries=3)


def test_the_depth_is_limited(tmp_path):
    make(tmp_path, {"a#1/b#2/c#3/d#4.xml": "<d/>"})
    assert text_of(read(tmp_path, max_depth=3)[0]) == "<a><b><c><d/></c></b></a>"
    with pytest.raises(
        ConfigurationError, match=r"c#3: it lies 3 directories deep in its backing store; 2 are allowed$"
    ):
        read(tmp_path, max_depth=2)


@pytest.mark.parametrize("name", ["a#1.xml", "a#1/.attrs"])
def test_the_size_of_a_file_is_limited(tmp_path, name):
    make(tmp_path, {name: '<a b="' + "x" * 100_000 + '"/>'})
    size = (tmp_path / name).stat().st_size
    assert len(read(tmp_path, max_file_bytes=size)[0]) == 1
    with pytest.raises(ConfigurationError, match=f"{name}: it is larger than {size - 1} bytes"):
        read(tmp_path, max_file_bytes=size - 1)


def nested(levels, name="a"):
    outer = inner = etree.Element(name, b="1")
    for _ in range(levels - 1):
        inner = etree.SubElement(inner, name, b="1")
    return outer


def test_what_lies_as_deep_as_allowed_goes_there_and_back(tmp_path):
    planned = plan_new(nested(MAX_STORE_DEPTH), str(tmp_path), 1, wanted, {})
    put(planned)
    parent, content = read(tmp_path)
    assert shape(parent[0]) == shape(nested(MAX_STORE_DEPTH))
    assert len(content.nodes) == MAX_STORE_DEPTH


def test_the_longest_name_goes_there_and_back(tmp_path):
    put(plan_new(etree.Element("ö" * 100, b="1"), str(tmp_path), 10**18 - 1, wanted, {}))
    parent, content = read(tmp_path)
    assert (parent[0].tag, content.highest) == ("ö" * 100, 10**18 - 1)
