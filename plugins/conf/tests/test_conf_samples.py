"""Samples of several plugins as one document."""

from __future__ import annotations

import stat

import pytest
from hypothesis import given
from hypothesis import strategies as st
from lxml import etree

from mtev_conf import Configuration
from mtev_conf._samples import compose_samples
from mtev_kernel import Found
from mtev_kernel.manifest import parse_manifest


def found(folder, name, summary="Does things."):
    manifest = parse_manifest(f'id = "{name}"\nsummary = "{summary}"\napi = "1.0"\n')
    return Found(name, manifest, f"dist-{name}", "1.0", "third-party", "", folder=str(folder))


@pytest.fixture
def offer(tmp_path):
    def offer(name, sample=None, summary="Does things."):
        folder = tmp_path / name
        folder.mkdir()
        if sample is not None:
            (folder / "sample.xml").write_bytes(sample if isinstance(sample, bytes) else sample.encode())
        return found(folder, name, summary)

    return offer


def elements(text):
    return [each.tag for each in etree.fromstring(text.encode()).iterchildren(etree.Element)]


def test_samples_come_in_their_order_with_headings_and_comments(offer):
    one = offer("one", "<?xml version='1.0'?>\n<!-- What it takes. -->\n<one>\n  <a/> <!-- the first -->\n</one>\n")
    text = compose_samples([offer("two", "<two/>"), one])
    assert text == (
        '<?xml version="1.0" encoding="UTF-8"?>\n'
        "<!-- A configuration to begin with, made of the samples of: two, one. Name the outermost element after your\n"
        "     application, and keep of the rest what you need. -->\n"
        "<example>\n\n"
        "  <!-- two (dist-two 1.0): Does things. -->\n"
        "  <two/>\n\n"
        "  <!-- one (dist-one 1.0): Does things. -->\n"
        "  <!-- What it takes. -->\n"
        "  <one>\n"
        "    <a/> <!-- the first -->\n"
        "  </one>\n\n"
        "</example>\n"
    )
    assert elements(text) == ["two", "one"]


def test_a_sample_may_be_several_elements(offer):
    text = compose_samples([offer("one", "<!-- First. -->\n<one/>\n\n<!-- Second. -->\n<two>\n</two>\n")])
    assert "\n  <one/>\n\n  <!-- Second. -->\n  <two>\n  </two>\n" in text
    assert elements(text) == ["one", "two"]


@pytest.mark.parametrize(
    ("sample", "told"),
    [
        (None, "It brings no sample along."),
        ("<a>", "Its sample is left out: it is not well-formed XML"),
        ("</example><a/>", "Its sample is left out: it is not well-formed XML"),
        ("<m:a/>", "Its sample is left out: it is not well-formed XML"),
        ("<a>&undeclared;</a>", "Its sample is left out: it is not well-formed XML"),
        ("", "Its sample is left out: it has no element."),
        ("<!-- nothing -->", "Its sample is left out: it has no element."),
        ("<!DOCTYPE a><a/>", "Its sample is left out: it is not well-formed XML"),
        (b"<a>\xff</a>", "Its sample is left out: its encoding 'utf-8' cannot be read"),
        (b"<?xml version='1.0' encoding='nonsense'?><a/>", "Its sample is left out: its encoding 'nonsense'"),
    ],
)
def test_what_has_nothing_to_show_is_mentioned(offer, sample, told):
    text = compose_samples([offer("mute", sample, summary="Says -- nothing ---"), offer("two", "<two/>")])
    assert told in " ".join(text.split())
    assert elements(text) == ["two"]


def test_a_sample_that_cannot_be_read_is_mentioned(offer, monkeypatch):
    mute = offer("mute", "<a/>")

    def refuse(self, name):
        raise PermissionError(13, "Permission denied", name)

    monkeypatch.setattr(Found, "resource", refuse)
    assert "Its sample cannot be read: Permission denied." in compose_samples([mute])


def test_no_plugin_is_an_empty_document():
    assert elements(compose_samples([])) == []


@pytest.mark.parametrize(
    "sample",
    ["<a>\n  <b>one\n  two</b>\n</a>", "<a b='one\n  two'/>", "<a>\n <b/>and\n more</a>", "<a b=\"x\"\n   c='1\n2'/>"],
)
def test_a_value_over_several_lines_is_not_changed(offer, sample):
    text = compose_samples([offer("one", sample)])
    assert f"\n{sample}\n" in text


def test_attributes_on_lines_of_their_own_move_with_the_element(offer):
    text = compose_samples([offer("one", "<a b='1'\n   c='2'>\n</a>")])
    assert "\n  <a b='1'\n     c='2'>\n  </a>\n" in text


def test_encodings_are_the_authors_business(offer):
    latin = "<?xml version='1.0' encoding='iso-8859-1'?><a b='ä'/>".encode("latin-1")
    wide = "<?xml version='1.0' encoding='utf-16'?>\r\n<a b='ö'/>".encode("utf-16")
    marked = b"\xef\xbb\xbf" + "<a b='ü'/>".encode()
    text = compose_samples([offer("one", latin), offer("two", wide), offer("three", marked)])
    root = etree.fromstring(text.encode())
    assert [each.get("b") for each in root.iterchildren(etree.Element)] == ["ä", "ö", "ü"]


LOGS = """<logs>
  <log name="internal" type="memory"/>
  <group>
    <outlet name="internal"/>
    <log name="error">
      <outlet name="stderr"/>
    </log>
  </group>
</logs>"""

MEMORY = """<logs>
  <log name="internal" type="memory"><log name="inner"/></log>
  <log name="other"><outlet name="internal"/></log>
  <log name="error"/>
  <log/>
</logs>
<other>
  <log name="error"/>
</other>"""


def test_what_an_earlier_sample_defines_is_not_defined_again(offer):
    text = compose_samples([offer("log", LOGS), offer("log.memory", MEMORY)])
    root = etree.fromstring(text.encode())
    assert elements(text) == ["logs", "logs", "other"]
    assert [each.get("name") for each in root.findall("logs//log")] == ["internal", "error", "other", None]
    assert [each.get("name") for each in root.findall("other/log")] == ["error"]
    assert '\n    <!-- log "internal": see the sample of log -->\n    <log name="other">' in text
    assert '\n    <!-- log "error": see the sample of log -->\n    <log/>\n' in text


def test_what_is_defined_twice_within_a_sample_is_its_authors_business(offer):
    sample = '<modules>\n  <generic name="a"/>\n  <generic name="a" require_env="B"/>\n</modules>'
    text = compose_samples([offer("one", sample)])
    assert len(etree.fromstring(text.encode()).findall("modules/generic")) == 2


XML = st.recursive(
    st.builds(
        lambda name, text: f"<{name}>{text}</{name}>" if text else f"<{name} a='{name}\n1'/>",
        st.sampled_from("abc"),
        st.text("xy \n\u2028\t", max_size=4),
    ),
    lambda inner: st.builds(
        lambda parts: f"<d>{''.join(parts)}</d>", st.lists(inner | st.sampled_from(["\n", " <!-- c\nc -->", "t\nt"]))
    ),
    max_leaves=6,
)  # fmt: skip


@given(st.lists(XML, min_size=1, max_size=3))
def test_moving_a_sample_changes_no_value(tmp_path_factory, samples):
    folders = [tmp_path_factory.mktemp("sample") for _ in samples]
    offers = []
    for index, (folder, sample) in enumerate(zip(folders, samples, strict=True)):
        (folder / "sample.xml").write_text(sample, encoding="utf-8")
        offers.append(found(folder, f"p{index}"))
    shown = list(etree.fromstring(compose_samples(offers).encode()).iterchildren(etree.Element))
    assert [meaning(each) for each in shown] == [meaning(etree.fromstring(each)) for each in samples]


def meaning(element):
    children = list(element.iterchildren(etree.Element))
    texts = [element.text or "", *[each.tail or "" for each in element]]
    own = "".join(texts)
    return (element.tag, dict(element.attrib), own.strip() and own, [meaning(each) for each in children])


def test_the_document_can_be_opened(offer, tmp_path):
    text = compose_samples([offer("log", LOGS), offer("log.memory", MEMORY), offer("mute")])
    path = tmp_path / "app.conf"
    path.write_text(text, encoding="utf-8")
    path.chmod(stat.S_IRUSR)
    assert [each.name for each in Configuration.load(str(path), {}).document().stanzas()] == ["logs", "logs", "other"]
