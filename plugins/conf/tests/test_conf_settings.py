"""The stanza `<conf>`."""

from __future__ import annotations

import pytest

from mtev_conf import Configuration
from mtev_conf._settings import ConfSettings, read_settings
from mtev_kernel.errors import ConfigurationError


def read(stanza: str) -> ConfSettings:
    return read_settings(Configuration.parse(f"<app>\n{stanza}</app>", "/etc/app.conf", {}))


def test_without_a_stanza_everything_is_as_documented():
    settings = read("")
    assert settings == ConfSettings(journal="/etc/.app.conf.journal")
    assert (settings.write, settings.write_back, settings.rest_write) == (True, "explicit", False)


def test_everything_can_be_said():
    written = 'write="yes" write_back="journal" write_delay="250ms" journal="j"'
    assert read(f'<conf {written} history="5" rest_write="on" schemas="off"/>') == ConfSettings(
        True, "journal", 0.25, 5, True, False, "/etc/j", "/etc/app.conf:2"
    )


def test_the_last_stanza_that_applies_counts():
    assert read('<conf history="1"/><conf history="2"/><conf require_env="NO" history="3"/>').history == 2


@pytest.mark.parametrize(
    ("stanza", "message"),
    [
        ('<conf writeback="journal"/>', "there is no attribute 'writeback'; did you mean 'write_back'?"),
        ('<conf write_back="journaled"/>', "journal"),
        ('<conf write_delay="5"/>', "write_delay"),
        ('<conf history="0"/>', "at least 1"),
        ('<conf write="off" write_back="coalesced"/>', "leaves nothing to write_back"),
        ("<conf><x/></conf>", "has attributes only"),
    ],
)
def test_what_is_wrong_is_said_with_its_place(stanza, message):
    with pytest.raises(ConfigurationError) as caught:
        read(stanza)
    assert str(caught.value).startswith("/etc/app.conf:2: <")
    assert message in str(caught.value)
