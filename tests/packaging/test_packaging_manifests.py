"""Manifests, entry points and declared dependencies say the same. Nothing is imported to find out."""

from __future__ import annotations

import ast
import re

from mtev_kernel.manifest import api_problem, parse_manifest


def test_every_plugin_has_both_entry_points_under_its_id(plugin, wheels):
    wheel = wheels[plugin.name]
    manifests = wheel.manifests()
    assert manifests, "no entry point in the group mtev.manifests"
    assert set(wheel.entry_points("mtev.plugins")) == set(manifests)
    assert {name: manifest["id"] for name, manifest in manifests.items()} == {name: name for name in manifests}


def test_the_distribution_is_named_after_the_plugin(plugin, wheels):
    assert {f"mtev-{re.sub('[._]', '-', name)}" for name in wheels[plugin.name].manifests()} == {plugin.name}


def test_the_manifest_is_valid_for_this_kernel(plugin, wheels):
    wheel = wheels[plugin.name]
    for value in wheel.entry_points("mtev.manifests").values():
        package, _, file = value.partition(":")
        manifest = parse_manifest(wheel.text(f"{package}/{file}"), value)
        assert api_problem(manifest) == ""
        assert manifest.summary
        assert manifest.security, "the security posture is for whoever decides to enable it"


def test_the_factory_is_defined_where_the_entry_point_says(plugin, wheels):
    wheel = wheels[plugin.name]
    for value in wheel.entry_points("mtev.plugins").values():
        module, _, factory = value.partition(":")
        tree = ast.parse(wheel.text(f"{module.replace('.', '/')}.py"))
        assert factory in {node.name for node in tree.body if isinstance(node, (ast.ClassDef, ast.FunctionDef))}


def test_ids_and_provided_names_are_unique(members, wheels):
    names = [
        name
        for distribution in members
        for manifest in wheels[distribution].manifests().values()
        for name in (manifest["id"], *manifest.get("provides", ()))
    ]
    assert sorted(names) == sorted(set(names))


def test_what_the_manifest_requires_is_what_pip_installs(plugin, members, wheels):
    homes = {
        name: distribution
        for distribution in members
        for manifest in wheels[distribution].manifests().values()
        for name in (manifest["id"], *manifest.get("provides", ()))
    }
    siblings = (set(wheels[plugin.name].requirements) & set(members)) - {"mtev-kernel"}
    for manifest in wheels[plugin.name].manifests().values():
        required = {homes[name] for name in manifest.get("requires", ())}
        after = {homes[name] for name in manifest.get("after", ()) if name in homes}
        assert required <= siblings, "required for the start, not declared for pip"
        assert siblings <= required | after, "declared for pip, but the start order does not know"
        assert "mtev-kernel" in wheels[plugin.name].requirements
