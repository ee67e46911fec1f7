"""What people are shown: the text of a file keeps its layout, and nothing of a secret stays."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from lxml import etree

from mtev_conf import Configuration
from mtev_conf._editing.changes import Change
from mtev_conf._operating.shown import all_text, masked_changes, masked_element, masked_text
from mtev_kernel.errors import ConfigurationError


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("<a/>", "<a/>\n"),
        ("<a  b = '1'\n/>\n", "<a  b = '1'\n/>\n"),
        ("<?xml version='1.0' encoding='latin-1'?>\n\n<a/>", "<?xml version='1.0' encoding='latin-1'?>\n<a/>\n"),
        ("<!-- x --><?pi y?>\n<a/>\n<!-- z -->\n", "<a/>\n"),
        ("<a>\n  <!-- x -->\n  <b/>\n</a>", "<a>\n  <b/>\n</a>\n"),
        ("<a>\n  <b/> <!-- x -->\n  <!-- y -->\n</a>", "<a>\n  <b/>\n</a>\n"),
        ("<a>x<!-- x -->y<?z?></a>", "<a>xy</a>\n"),
        ("<a><!-- x --></a>", "<a></a>\n"),
        ("<a>\r\n  <b password='x'/>\r\n</a>\r\n", "<a>\r\n  <b password='***'/>\r\n</a>\n"),
        ("<a password='it&apos;s' b=\"'\"/>", "<a password='***' b=\"'\"/>\n"),
        ("<a><token>x</token>  <b>&lt;</b></a>", "<a><token>***</token>  <b>&lt;</b></a>\n"),
        ("<a><token><![CDATA[x]]></token></a>", "<a><token>***</token></a>\n"),
        ("<a>pg://u:p@h</a>", "<a>pg://u:***@h</a>\n"),
        ("<secret>x<b/>y<!-- z --></secret>", "<secret>***<b/>***</secret>\n"),
    ],
)
def test_the_text_of_a_file_keeps_its_layout(text, shown):
    assert masked_text(text, "a.conf") == shown


def test_a_text_that_is_no_document_is_an_error():
    with pytest.raises(ConfigurationError, match=r"^a\.conf:1"):
        masked_text("<a>", "a.conf")


SECRET = "sw0rdfish"
NODES = st.recursive(
    st.sampled_from(
        [
            f"<!-- {SECRET} -->", f"<?x {SECRET}?>", "<b/>", " ", "\n  ", "text", f"<password>{SECRET}</password>",
            f"<c api_key='{SECRET}'/>", f"<value name='token'>{SECRET}</value>", f"http://me:{SECRET}@host/",
            f"<e value='{SECRET}' name='secret'/>",
        ]
    ),
    lambda inner: st.lists(inner, max_size=5).map(lambda parts: f"<d x='1'>{''.join(parts)}</d>"),
)  # fmt: skip


@given(st.lists(NODES, max_size=6))
def test_nothing_of_a_secret_stays_and_nothing_else_goes(parts):
    text = f"<app>\n{''.join(parts)}</app>\n"
    shown = masked_text(text, "a.conf")
    assert SECRET not in shown
    before, after = etree.fromstring(text), etree.fromstring(shown)
    assert [each.tag for each in before.iter(etree.Element)] == [each.tag for each in after.iter(etree.Element)]
    assert [list(each.keys()) for each in before.iter(etree.Element)] == [
        list(each.keys()) for each in after.iter(etree.Element)
    ]
    copy = masked_element(Configuration.parse(text, "a.conf", {}).root)
    assert all_text(copy).split() == all_text(after).split()


def test_a_part_of_a_secret_is_secret():
    configuration = Configuration.parse("<app><secrets><a x='1'>y</a>z</secrets></app>", "a.conf", {})
    shown = masked_element(configuration.section("secrets/a"))
    assert etree.tostring(shown) == b'<a x="1">***</a>'
    assert configuration.section("secrets/a").text == "y"


def test_changes_are_shown_without_secrets():
    changes = [
        Change("set", "/a/@password", "x", "y"),
        Change("text", "/a/value[1]", "x", "y", labels=("api_key",)),
        Change("set", "/a/@url", "x", "pg://u:p@h"),
        Change("add", "/a/b[1]", new="<b><!-- x --><token>x</token></b>", index=0),
        Change("move", "/a/b[1]", "0", "/a/b[2]", 1),
    ]
    shown = masked_changes(changes)
    assert [(each.old, each.new) for each in shown] == [
        ("***", "***"),
        ("***", "***"),
        ("x", "pg://u:***@h"),
        (None, "<b><token>***</token></b>"),
        ("0", "/a/b[2]"),
    ]
