"""Merging of hashes: the documented cases, and random documents against a naive reading of the rules."""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mtev_conf import Configuration
from mtev_conf._values.inheritance import MAX_CHAIN, Table, merge
from mtev_kernel.errors import ConfigurationError


def parse(text, environ=None):
    return Configuration.parse(text, "app.conf", environ or {})


SIMPLE = """<app><a foo="bar">
  <config><key1>a1</key1><key2>a2</key2></config>
  <b quux="baz"><config><key1>b1</key1><key3>b3</key3></config><c foo="meme"/></b>
</a></app>"""


def test_descendants_add_to_and_override_their_ancestors():
    configuration = parse(SIMPLE)
    at = {name: configuration.section(f"//{name}") for name in "abc"}
    assert at["a"].hash() == {"key1": "a1", "key2": "a2"}
    assert at["b"].hash() == at["c"].hash() == {"key1": "b1", "key2": "a2", "key3": "b3"}
    assert [at[name].optional("foo") for name in "abc"] == ["bar", "bar", "meme"]
    assert [at[name].optional("quux") for name in "abc"] == [None, "baz", "baz"]


COMPLEX = """<app><p><config name="A">
  <key1>a</key1><key2>b</key2><key3>c</key3>
  <config name="C" inherit="bob"><key1>AAA</key1><key4>DDD</key4></config>
</config></p>
<x><config id="bob"><key2>bobB</key2><key5>bobE</key5></config></x></app>"""


def test_a_nested_config_begins_with_the_outer_one_and_adds_nothing_to_it():
    configuration = parse(COMPLEX)
    outer = {"key1": "a", "key2": "b", "key3": "c"}
    assert configuration.section("p").hash() == outer
    assert configuration.section("//config[@name='A']").hash() == outer
    assert configuration.section("//config[@name='C']").hash() == {
        "key1": "AAA",
        "key2": "bobB",
        "key3": "c",
        "key4": "DDD",
        "key5": "bobE",
    }
    assert configuration.notices == (
        "app.conf:3: <config> directly inside <config> is a table of its own; it adds nothing to the outer one",
    )


def test_siblings_merge_in_their_order_and_do_not_mix_when_asked_singly():
    configuration = parse(
        """<app><config><k>root</k><r>root</r></config>
        <a><config><k>1</k><l>1</l></config><config><k>2</k><m>2</m></config></a></app>"""
    )
    assert configuration.section("a").hash() == {"k": "2", "r": "root", "l": "1", "m": "2"}
    assert configuration.section("a/config[1]").hash() == {"k": "1", "r": "root", "l": "1"}


def test_values_by_name_text_flattening_and_prefixed_elements():
    configuration = parse(
        """<app xmlns:m="app://module/m"><a><config>
        <value name="not an XML name">1</value><value>2</value><m:key>not part</m:key>
        <text>a<b>b</b><!-- no -->c</text><empty/><kept> two </kept></config></a></app>"""
    )
    assert configuration.section("a").hash() == {
        "not an XML name": "1",
        "value": "2",
        "text": "abc",
        "empty": "",
        "kept": " two ",
    }


def test_a_value_with_an_empty_name_is_an_error():
    with pytest.raises(ConfigurationError, match=r"^app.conf:2: <value>: its name is empty"):
        parse("<app><config>\n<value name=''>1</value></config></app>").root.hash()


def test_hash_values_are_expanded():
    configuration = parse("<app><config><a>{{ENV:x:{A}}}</a><b>ENV:127.0.0.1:8:{B}</b></config></app>", {"A": "1"})
    assert configuration.root.hash() == {"a": "1", "b": "127.0.0.1:8"}


def test_the_tag_of_the_inherited_does_not_matter_nor_do_its_ancestors():
    configuration = parse(
        """<app><base><config><no>1</no></config><settings id="s"><k>s</k></settings></base>
        <a><headers inherit="s"><l>l</l></headers></a></app>"""
    )
    assert configuration.section("a").hash("headers") == {"k": "s", "l": "l"}


def test_an_id_that_nobody_carries_is_an_error():
    with pytest.raises(ConfigurationError, match=r"^app.conf:2: inherit='bob': no element has the id 'bob'"):
        parse("<app><a>\n<config inherit='bob'/></a></app>").section("a").hash()


def test_a_circle_is_explained_by_its_members():
    configuration = parse(
        """<app><config id="a" inherit="b"/>
        <x><config id="b" inherit="c"/></x>
        <y><config id="c" inherit="a"/></y><z><config inherit="c"/></z></app>"""
    )
    with pytest.raises(ConfigurationError) as caught:
        configuration.section("z").hash()
    text = str(caught.value)
    assert "in a circle: inherit='b' (app.conf:1) -> inherit='c' (app.conf:2) -> inherit='a' (app.conf:3)" in text


def test_an_element_that_inherits_from_itself_is_a_circle():
    with pytest.raises(ConfigurationError, match="in a circle"):
        parse("<app><config id='a' inherit='a'/></app>").root.hash()


def test_a_diamond_is_no_circle():
    configuration = parse(
        """<app><config id="top"><k>top</k></config><l><config id="both" inherit="top"/></l>
        <r><config id="both" inherit="top"><k>r</k></config></r><z><config inherit="both"/></z></app>"""
    )
    assert configuration.section("z").hash() == {"k": "r"}


def test_a_doubled_key_counts_last_and_is_reported():
    configuration = parse("<app><config><k>1</k>\n<k>2</k></config></app>")
    assert configuration.root.hash() == {"k": "2"}
    assert configuration.notices == ("app.conf:2: the key 'k' is given twice in one element; the last one counts",)


def test_chains_and_merges_are_limited():
    chain = {str(number): [Table(number, f"f:{number}", str(number + 1))] for number in range(MAX_CHAIN + 2)}
    with pytest.raises(ConfigurationError, match="inherit in a row"):
        merge(chain["0"], chain.__getitem__, lambda where, message: None)
    # 20 carriers of each of 10 ids would be 20 ** 10 tables.
    wide = {str(level): [Table((level, each), "f", str(level + 1)) for each in range(20)] for level in range(10)}
    wide["10"] = [Table("end", "f")]
    with pytest.raises(ConfigurationError, match="tables are inherited"):
        merge(wide["0"], wide.__getitem__, lambda where, message: None)


@dataclass
class Hash:
    entries: list
    id: str
    inherit: str
    nested: list = field(default_factory=list)


@dataclass
class Node:
    hashes: list
    children: list


IDS = st.sampled_from(["", "", "p", "q", "r"])
ENTRIES = st.lists(st.tuples(st.sampled_from("klmn"), st.text("xyz", max_size=3)), max_size=3)
FLAT = st.builds(Hash, ENTRIES, IDS, IDS)
HASHES = st.builds(Hash, ENTRIES, IDS, IDS, st.lists(FLAT, max_size=1))
NODES = st.recursive(
    st.builds(Node, st.lists(HASHES, max_size=2), st.just([])),
    lambda children: st.builds(Node, st.lists(HASHES, max_size=2), st.lists(children, max_size=3)),
    max_leaves=6,
)


def written_hash(one):
    attributes = "".join(f' {key}="{value}"' for key, value in (("id", one.id), ("inherit", one.inherit)) if value)
    entries = "".join(f"<{key}>{value}</{key}>" for key, value in one.entries)
    return f"<config{attributes}>{entries}{''.join(map(written_hash, one.nested))}</config>"


def written(node):
    return f"<node>{''.join(map(written_hash, node.hashes))}{''.join(map(written, node.children))}</node>"


def all_hashes(node):
    for one in node.hashes:
        yield one
        yield from one.nested
    for child in node.children:
        yield from all_hashes(child)


class Circle(Exception):
    pass


class Nobody(Exception):
    pass


def naive_one(one, everything, way=()):
    """What one config says alone: the inherited, then its own."""
    if any(each is one for each in way):
        raise Circle
    merged = {}
    if one.inherit:
        carriers = [each for each in everything if each.id == one.inherit]
        if not carriers:
            raise Nobody
        for each in carriers:
            merged.update(naive_one(each, everything, (*way, one)))
    merged.update(one.entries)
    return merged


def naive_nodes(node, everything, above=()):
    """The hash expected at each node and each config, in document order of `<node>` and `<config>`."""
    here = [*above, *node.hashes]
    yield here
    for one in node.hashes:
        yield [*above, one]
        for inner in one.nested:
            yield [*above, one, inner]
    for child in node.children:
        yield from naive_nodes(child, everything, here)


@settings(max_examples=300)
@given(NODES)
def test_random_documents_merge_as_a_naive_reading_of_the_rules_says(node):
    configuration = parse(f"<app>{written(node)}</app>")
    everything = list(all_hashes(node))
    sections = configuration.sections("descendant::node | descendant::config")
    expectations = list(naive_nodes(node, everything))
    assert len(sections) == len(expectations)
    for section, line in zip(sections, expectations, strict=True):
        expected = {}
        try:
            for one in line:
                expected.update(naive_one(one, everything))
        except Circle:
            with pytest.raises(ConfigurationError, match="in a circle"):
                section.hash()
        except Nobody:
            with pytest.raises(ConfigurationError, match="no element has the id"):
                section.hash()
        else:
            assert section.hash() == expected
