"""Manifests: every field, every refusal."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mtev_kernel import API_VERSION, APPLY_POLICIES, ManifestError
from mtev_kernel.manifest import api_problem, parse_manifest

GOOD = 'id = "acme.greeter"\nsummary = "Greets."\napi = "1.0"\n'


def test_a_short_manifest_has_sensible_defaults():
    manifest = parse_manifest(GOOD)
    assert (manifest.id, manifest.summary, manifest.api) == ("acme.greeter", "Greets.", (1, 0))
    assert (manifest.symbol, manifest.status, manifest.requires) == ("greeter", "beta", ())
    assert manifest.names == {"acme.greeter"}


def test_every_field_arrives():
    manifest = parse_manifest(
        GOOD
        + 'requires = ["http"]\nafter = ["log"]\nprovides = ["greetings"]\nstanzas = ["greeter"]\n'
        + 'images = ["acme_greeter"]\nsymbol = "greet"\nhooks = ["greeted"]\nimplements = ["mtev_reload"]\n'
        + 'status = "stable"\nsecurity = "none to speak of"\n'
    )
    assert manifest.requires == ("http",)
    assert manifest.after == ("log",)
    assert manifest.names == {"acme.greeter", "greetings"}
    assert manifest.stanzas == ("greeter",)
    assert manifest.images == ("acme_greeter",)
    assert manifest.symbol == "greet"
    assert (manifest.hooks, manifest.implements) == (("greeted",), ("mtev_reload",))
    assert (manifest.status, manifest.security) == ("stable", "none to speak of")


def test_apply_says_what_a_change_takes_in_the_order_of_the_file_and_cannot_be_changed():
    text = GOOD + '[apply]\n"greeter" = "restart-process"\n"greeter/@x" = "live"\n" greeter/a.b " = "restart-plugin"\n'
    manifest = parse_manifest(text)
    assert list(manifest.apply.items()) == [
        ("greeter", "restart-process"),
        ("greeter/@x", "live"),
        ("greeter/a.b", "restart-plugin"),
    ]
    assert set(manifest.apply.values()) == set(APPLY_POLICIES)
    with pytest.raises(TypeError):
        manifest.apply["greeter"] = "live"
    assert parse_manifest(GOOD).apply == {}
    assert hash(manifest) == hash(parse_manifest(text))
    assert manifest == parse_manifest(text) != parse_manifest(GOOD)


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("id = ", "p.toml: not valid TOML"),
        ('summary = "x"\napi = "1.0"', "the field 'id' is required"),
        ('id = "a"\napi = "1.0"', "the field 'summary' is required"),
        ('id = "a"\nsummary = "x"', "the field 'api' is required"),
        (GOOD + 'require = ["x"]', "unknown field 'require'; did you mean 'requires'?"),
        (GOOD.replace("acme.greeter", "Acme"), "'Acme' is not a plugin id"),
        (GOOD.replace("1.0", "1"), "api = '1' is not a version"),
        (GOOD.replace('"1.0"', "1.0"), "api = 1.0 must be a string"),
        (GOOD + 'requires = "http"', "requires = 'http' must be a list of names"),
        (GOOD + 'requires = [""]', "must be a list of names"),
        (GOOD + 'requires = ["a", "a"]', "names something twice"),
        (GOOD + 'after = ["acme.greeter"]', "cannot require itself"),
        (GOOD + 'provides = ["x"]\nrequires = ["x"]', "cannot require itself ('x')"),
        (GOOD + 'apply = "live"', "apply = 'live' must be a table of claims: [apply]"),
        (GOOD + 'aply = {a = "live"}', "unknown field 'aply'; did you mean 'apply'?"),
        (GOOD + '[apply]\n"a" = "life"', "[apply] \"a\" = 'life' is none of live, restart-plugin, restart-process"),
        (GOOD + '[apply]\n"a" = "life"', "; did you mean 'live'?"),
        (GOOD + '[apply]\n"a//b" = "restart"', "did you mean 'restart-plugin'?"),
        (GOOD + '[apply]\n"a" = true', '[apply] "a" = True is none of'),
        (GOOD + '[apply]\n"a" = ["live"]', "[apply] \"a\" = ['live'] is none of"),
        (GOOD + '[apply]\n" " = "live"', "[apply] has an empty claim"),
        (GOOD + '[apply]\na.b = "live"', "[apply] a.b: a claim with a dot goes in quotes"),
        (GOOD + 'status = "great"', "status = 'great' is none of experimental, beta, stable, deprecated"),
    ],
)
def test_what_is_wrong_is_said(text, complaint):
    with pytest.raises(ManifestError) as caught:
        parse_manifest(text, "p.toml")
    assert complaint in str(caught.value)
    assert str(caught.value).startswith("p.toml: ")


def test_api_versions_say_what_to_upgrade():
    major, minor = API_VERSION
    fits = parse_manifest(GOOD.replace("1.0", f"{major}.{minor}"))
    assert api_problem(fits) == ""
    assert "upgrade mtev-kernel" in api_problem(parse_manifest(GOOD.replace("1.0", f"{major}.{minor + 1}")))
    assert "upgrade mtev-kernel" in api_problem(parse_manifest(GOOD.replace("1.0", f"{major + 1}.0")))
    assert "upgrade the plugin's distribution" in api_problem(parse_manifest(GOOD.replace("1.0", f"{major - 1}.9")))


@given(st.text())
def test_any_text_is_a_manifest_or_a_manifest_error(text):
    try:
        parse_manifest(text)
    except ManifestError as error:
        assert str(error)
