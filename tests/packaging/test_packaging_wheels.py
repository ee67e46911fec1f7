"""What a stranger who installs one of our wheels gets."""

from __future__ import annotations

from packaging.version import Version


def test_wheel_holds_one_typed_package_and_its_metadata(member, wheels):
    files = wheels[member.name].files
    assert f"{member.package}/py.typed" in files
    assert f"{member.package}/__init__.py" in files
    metadata = f"{member.package}-{member.pyproject['project']['version']}.dist-info"
    assert {name.split("/")[0] for name in files} == {member.package, metadata}


def test_wheel_holds_every_file_of_the_package(member, wheels):
    here = {
        str(path.relative_to(member.source.parent))
        for path in member.source.rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    assert here <= set(wheels[member.name].files)


def test_wheel_holds_no_tests(member, wheels):
    # Templates of test files are part of the kernel: `new-plugin` writes them.
    files = [name for name in wheels[member.name].files if "/templates/" not in name]
    strays = [name for name in files if "/tests/" in name or name.split("/")[-1].startswith(("test_", "conftest"))]
    assert strays == []


def test_wheel_carries_its_license(member, wheels, root):
    wheel = wheels[member.name]
    assert wheel.distribution.metadata["License-Expression"] == "Apache-2.0"
    assert wheel.distribution.metadata.get_all("License-File") == ["LICENSE"]
    (license_file,) = [name for name in wheel.files if name.endswith(".dist-info/licenses/LICENSE")]
    assert wheel.text(license_file) == (root / "LICENSE").read_text()


def test_wheel_says_what_it_is(member, wheels):
    metadata = wheels[member.name].distribution.metadata
    assert metadata["Name"] == member.name
    assert metadata["Version"] == member.pyproject["project"]["version"]
    assert metadata["Requires-Python"] == ">=3.11"
    assert metadata["Summary"]
    assert metadata.get_payload().strip(), "the README is the description"


def test_plugin_carries_manifest_and_sample(plugin, wheels):
    wheel = wheels[plugin.name]
    assert f"{plugin.package}/plugin.toml" in wheel.files
    for manifest in wheel.manifests().values():
        if manifest.get("stanzas"):
            assert f"{plugin.package}/sample.xml" in wheel.files


def test_requirements_have_a_lower_bound(member, wheels):
    for need in wheels[member.name].requirements.values():
        assert {part.operator for part in need.specifier} & {">=", "~=", "=="}, f"{need} has no lower bound"


def test_siblings_are_required_within_one_major_version(member, members, wheels):
    for name, need in wheels[member.name].requirements.items():
        if name in members:
            version = Version(members[name].pyproject["project"]["version"])
            assert version in need.specifier, f"{need} leaves out the {version} beside it"
            assert Version(f"{version.major + 1}.0") not in need.specifier, f"{need} lets in the next major version"


def test_the_kernel_needs_three_libraries_and_no_plugin(wheels):
    assert set(wheels["mtev-kernel"].requirements) == {"anyio", "pluggy", "stevedore"}
