"""Discovery: every offer is found without an import, and a broken one is a result with a cause."""

import subprocess
import sys
import textwrap

import pytest

from mtev_kernel import LoadError, discover
from mtev_kernel.discovery import catalog, hint
from mtev_kernel.loader import load_factory

MANIFEST = 'id = "{id}"\nsummary = "s"\napi = "1.0"\n'


class Site:
    """A directory that looks like site-packages."""

    def __init__(self, path):
        self.path = path

    def install(self, name, *, manifests=None, factories=None, files=None, version="1.0", metadata=None):
        info = self.path / f"{name.replace('-', '_')}-{version}.dist-info"
        info.mkdir()
        text = metadata if metadata is not None else f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n"
        (info / "METADATA").write_text(text)
        groups = {"mtev.manifests": manifests or {}, "mtev.plugins": factories or {}}
        lines = []
        for group, entries in groups.items():
            if entries:
                lines += [f"[{group}]", *(f"{key} = {value}" for key, value in entries.items())]
        (info / "entry_points.txt").write_text("\n".join(lines))
        for file, content in (files or {}).items():
            target = self.path / file
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_text(content)
        return self

    def plugin(self, name, id, code="", **options):
        package = name.replace("-", "_")
        return self.install(
            name,
            manifests={id: f"{package}:plugin.toml"},
            factories={id: f"{package}:Factory"},
            files={f"{package}/plugin.toml": MANIFEST.format(id=id), f"{package}/__init__.py": code},
            **options,
        )

    def found(self):
        return {each.name: each for each in discover([str(self.path)])}


@pytest.fixture
def site(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(str(tmp_path))
    return Site(tmp_path)


def test_an_offer_is_found_without_being_imported(site):
    site.plugin("acme-one", "acme.one", code="raise AssertionError('imported')")
    found = site.found()["acme.one"]
    assert found.usable is found.manifest
    assert (found.label, found.origin, found.error) == ("acme-one 1.0", "third-party", "")
    assert found.location == str(site.path)
    assert "acme_one" not in sys.modules


def test_our_own_distributions_are_first_party_and_only_those(site):
    site.plugin("mtev-conf", "conf").plugin("mtev-confusing", "x")
    assert {name: each.origin for name, each in site.found().items()} == {"conf": "first-party", "x": "third-party"}


def test_a_package_elsewhere_on_the_path_is_found_as_for_editable_installs(site, tmp_path_factory, monkeypatch):
    source = tmp_path_factory.mktemp("source")
    (source / "acme_edit").mkdir()
    (source / "acme_edit" / "__init__.py").write_text("")
    (source / "acme_edit" / "plugin.toml").write_text(MANIFEST.format(id="acme.edit"))
    monkeypatch.syspath_prepend(str(source))
    site.install("acme-edit", manifests={"acme.edit": "acme_edit:plugin.toml"}, factories={"acme.edit": "acme_edit:F"})
    assert site.found()["acme.edit"].error == ""


@pytest.mark.parametrize(
    ("options", "cause"),
    [
        ({"factories": {"x": "p:F"}}, "no entry point 'x' in the group 'mtev.manifests'"),
        (
            {"manifests": {"x": "p:plugin.toml"}, "files": {"p/plugin.toml": MANIFEST.format(id="x")}},
            "no entry point 'x' in the group 'mtev.plugins'",
        ),
        ({"manifests": {"x": "p:absent.toml"}, "factories": {"x": "p:F"}}, "was it left out of the wheel?"),
        ({"manifests": {"x": "p"}, "factories": {"x": "p:F"}}, "expected 'package:file'"),
        ({"manifests": {"x": "../p:plugin.toml"}, "factories": {"x": "p:F"}}, "expected 'package:file'"),
        (
            {"manifests": {"x": "p:plugin.toml"}, "factories": {"x": "p:F"}, "files": {"p/plugin.toml": "id ="}},
            "not valid TOML",
        ),
        (
            {
                "manifests": {"x": "p:plugin.toml"},
                "factories": {"x": "p:F"},
                "files": {"p/plugin.toml": MANIFEST.format(id="y")},
            },
            "its manifest says id = 'y', but its entry points are named 'x'",
        ),
        (
            {
                "manifests": {"x": "p:plugin.toml"},
                "factories": {"x": "p:F"},
                "files": {"p/plugin.toml": MANIFEST.format(id="x").replace("1.0", "9.0")},
            },
            "it needs plugin API 9.0",
        ),
    ],
)
def test_a_broken_offer_is_a_result_with_a_cause_and_hides_nobody(site, options, cause):
    site.plugin("acme-good", "good").install("acme-broken", **options)
    found = site.found()
    assert cause in found["x"].error
    assert found["x"].usable is None
    assert found["good"].error == ""


def test_a_manifest_that_is_no_text_is_a_cause(site):
    site.plugin("acme-bytes", "x")
    (site.path / "acme_bytes" / "plugin.toml").write_bytes(b"\xff\xfe")
    assert "cannot be read" in site.found()["x"].error


def test_a_file_beside_the_manifest_is_read_without_an_import(site):
    site.plugin("acme-one", "one", code="raise AssertionError('imported')")
    (site.path / "acme_one" / "schema.xsd").write_bytes(b"\xff")
    (site.path / "acme_one" / "folder").mkdir()
    found = site.found()["one"]
    assert found.folder == str(site.path / "acme_one")
    assert found.resource("schema.xsd") == b"\xff"
    assert found.resource("plugin.toml") == MANIFEST.format(id="one").encode()
    assert found.resource("absent.xml") is found.resource("folder") is None
    assert "acme_one" not in sys.modules


def test_what_is_beside_a_manifest_in_a_folder_of_the_package(site):
    text = MANIFEST.format(id="x")
    files = {"p/__init__.py": "", "p/data/plugin.toml": text, "p/data/sample.xml": "<x/>", "p/sample.xml": "<wrong/>"}
    site.install("acme-x", manifests={"x": "p:data/plugin.toml"}, factories={"x": "p:F"}, files=files)
    assert site.found()["x"].resource("sample.xml") == b"<x/>"


@pytest.mark.parametrize("name", ["", ".", "..", "../plugin.toml", "/etc/hostname", "a/b", "a\\b", "a\0b"])
def test_a_resource_has_a_name_and_no_path(site, name):
    site.plugin("acme-one", "one")
    with pytest.raises(ValueError, match="leave directories out"):
        site.found()["one"].resource(name)


def test_a_refused_offer_shows_what_is_beside_its_manifest_and_one_without_has_nothing(site):
    site.plugin("acme-broken", "broken").install("acme-bare", factories={"bare": "p:F"})
    (site.path / "acme_broken" / "plugin.toml").write_text("nonsense")
    (site.path / "acme_broken" / "sample.xml").write_text("<x/>")
    found = site.found()
    assert (bool(found["broken"].error), found["broken"].resource("sample.xml")) == (True, b"<x/>")
    assert (found["bare"].folder, found["bare"].resource("sample.xml")) == ("", None)


def test_one_id_in_two_distributions_refuses_both_and_names_both(site):
    site.plugin("acme-one", "same").plugin("acme-two", "same", version="2.0")
    refused = [each for each in discover([str(site.path)]) if each.name == "same"]
    assert len(refused) == 2
    for each in refused:
        assert "(acme-one 1.0, acme-two 2.0): uninstall all but one" in each.error


def test_damaged_metadata_does_not_hide_the_offer(site):
    site.plugin("acme-odd", "odd", metadata="")
    assert site.found()["odd"].distribution == "unknown"


def test_a_distribution_that_shadows_itself_counts_once(site, tmp_path_factory):
    other = Site(tmp_path_factory.mktemp("other"))
    site.plugin("acme-one", "one")
    other.plugin("acme-one", "one", version="2.0")
    found = discover([str(site.path), str(other.path)])
    assert [(each.version, each.error) for each in found] == [("1.0", "")]


@pytest.mark.parametrize(
    ("code", "cause"),
    [
        ("import nonsense_that_is_absent", "No module named 'nonsense_that_is_absent'"),
        ("assert False, 'broken'", "AssertionError: broken"),
        ("import sys; sys.exit(4)", "SystemExit: 4"),
        ("", "has no attribute 'Factory'"),
        ("Factory = 3", "cannot be called"),
        ("Factory = (", "SyntaxError"),
    ],
)
def test_whatever_an_import_does_is_a_load_error(site, code, cause):
    name = f"acme_{abs(hash(code))}"
    site.plugin(name, "x", code=code)
    with pytest.raises(LoadError) as caught:
        load_factory(site.found()["x"])
    assert cause in str(caught.value)
    sys.modules.pop(name, None)


def test_a_factory_loads_and_stevedore_leaves_no_cache_behind(site, tmp_path_factory, monkeypatch):
    cache = tmp_path_factory.mktemp("cache")
    monkeypatch.setenv("XDG_CACHE_HOME", str(cache))
    site.plugin("acme-fine", "fine", code="def Factory(context): pass")
    assert load_factory(site.found()["fine"]).__name__ == "Factory"
    assert list(cache.iterdir()) == []


def test_hints_come_from_the_catalog():
    assert hint("plugin", "http") == "pip install mtev-http"
    assert hint("plugin", "configuration") == "pip install mtev-conf"
    assert hint("stanza", "rest") == "pip install mtev-http"
    assert hint("listener-type", "mtev_console") == "pip install mtev-telnet"
    assert hint("plugin", "nonsense") == hint("nonsense", "http") == ""
    assert set(catalog()) == {"plugins", "names", "stanzas", "listener-types", "log-types"}


def test_discovery_imports_nothing_heavy():
    code = textwrap.dedent("""
        import sys
        from mtev_kernel.discovery import discover
        discover()
        heavy = {"pluggy", "stevedore", "anyio", "asyncio", "lxml", "aiohttp"} & set(sys.modules)
        sys.exit(", ".join(sorted(heavy)) or 0)
    """)
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
