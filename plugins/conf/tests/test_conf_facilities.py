"""Values from elsewhere: facilities that plugins add, and the two hooks on the way."""

from __future__ import annotations

import pytest

from mtev_conf import Configuration
from mtev_kernel.errors import ConfigurationError

TEXT = """<app a="{{consul:none:{key}}}">
  <config><k>{{consul:none:{other}}}</k></config>
  <b password="{{FILE:missing:{secret}}}" n="1"/>
</app>"""


@pytest.fixture
def configuration(tmp_path):
    path = tmp_path / "app.conf"
    path.write_text(TEXT)
    return Configuration.load(str(path), {})


def test_a_facility_serves_from_its_registration_to_its_removal(configuration):
    assert configuration.root.string("a") == "none"
    assert "facility 'consul'" in configuration.notices[0]
    remove = configuration.facilities.register("consul", lambda key: f"<{key}>")
    assert configuration.root.string("a") == "<key>"
    assert configuration.root.hash() == {"k": "<other>"}
    remove()
    remove()
    assert configuration.root.string("a") == "none"
    assert configuration.root.hash() == {"k": "none"}


@pytest.mark.parametrize("name", ["", "a:b", "a b", "{", "ENV", "FILE"])
def test_names_that_cannot_be_are_refused(configuration, name):
    with pytest.raises(ConfigurationError):
        configuration.facilities.register(name, str)


def test_a_name_is_taken_once(configuration):
    configuration.facilities.register("consul", str)
    with pytest.raises(ConfigurationError, match="'consul' is registered already"):
        configuration.facilities.register("consul", str)


def test_files_are_relative_to_the_document_and_read_again_with_it(configuration, tmp_path):
    b = configuration.section("b")
    assert b.string("password") == "missing"
    (tmp_path / "secret").write_text("hunter2\n")
    again = Configuration.load(configuration.path, {})
    secret = again.section("b").secret("password")
    assert (str(secret), secret.reveal()) == ("***", "hunter2")


def test_a_secret_is_not_told_by_an_error(configuration, tmp_path):
    (tmp_path / "secret").write_text("hunter2\n")
    again = Configuration.load(configuration.path, {})
    with pytest.raises(ConfigurationError) as caught:
        again.section("b").integer("password")
    assert "hunter2" not in str(caught.value)
    assert f"{configuration.path}:3: <b>: password: its value is not of the kind" in str(caught.value)


def test_a_file_that_cannot_be_used_is_an_error_with_its_place(configuration, tmp_path):
    (tmp_path / "secret").write_bytes(b"\xff")
    with pytest.raises(ConfigurationError, match=r"app\.conf:3: <b>: FILE: .*secret' is not UTF-8"):
        Configuration.load(configuration.path, {}).section("b").string("password")


def test_fixup_sees_every_value_and_may_replace_it(configuration):
    seen = []

    def fixup(path, name, value):
        seen.append((path, name, value))
        return "2" if name == "n" else None

    configuration.facilities.fixup = lambda: fixup
    assert configuration.section("b").integer("n") == 2
    assert configuration.root.hash() == {"k": "none"}
    assert ("/app/b[1]", "n", "1") in seen
    assert ("/app/config[1]/k[1]", "", "none") in seen
    configuration.facilities.fixup = lambda: None
    configuration._tree.changed()
    assert configuration.section("b").integer("n") == 1


def test_interpolation_is_asked_for_what_is_not_registered(configuration):
    asked = []

    def interpolate(facility, key, path):
        asked.append((facility, key, path))
        return "hooked" if key == "key" else None

    configuration.facilities.interpolate = lambda: interpolate
    assert configuration.root.string("a") == "hooked"
    assert configuration.root.hash() == {"k": "none"}
    assert asked == [("consul", "key", "/app"), ("consul", "other", "/app/config[1]/k[1]")]
