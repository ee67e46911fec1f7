"""Order of plugins: requirements first, ties by name, and faults that explain themselves."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mtev_kernel import Manifest, MissingRequirement, RequirementCycle
from mtev_kernel.discovery import Found
from mtev_kernel.enabling import Enabled
from mtev_kernel.resolve import resolve


def enabled(name, requires=(), after=(), provides=(), plugin=None):
    manifest = Manifest(
        id=plugin or name,
        summary="",
        api=(1, 0),
        requires=tuple(requires),
        after=tuple(after),
        provides=tuple(provides),
    )
    found = Found(manifest.id, manifest, f"dist-{manifest.id}", "1.0", "third-party", "")
    return Enabled(name, manifest, found, "x.conf:1", "fail")


def test_requirements_come_first_and_ties_go_by_name():
    plugins = [enabled("z"), enabled("b", requires=["z"]), enabled("a")]
    assert resolve(plugins).order == ("a", "z", "b")


def test_after_counts_only_where_the_other_is_enabled():
    assert resolve([enabled("a", after=["z"]), enabled("z")]).order == ("z", "a")
    assert resolve([enabled("a", after=["z"])]).order == ("a",)


def test_a_provided_name_satisfies_a_requirement():
    result = resolve([enabled("a", requires=["storage"]), enabled("z", provides=["storage"])])
    assert result.order == ("z", "a")
    assert result.requirements["a"] == {"z"}
    assert result.problems == {}


def test_every_instance_of_a_required_plugin_comes_first():
    plugins = [enabled("a", requires=["demo"]), enabled("x:demo", plugin="demo"), enabled("y:demo", plugin="demo")]
    assert resolve(plugins).requirements["a"] == {"x:demo", "y:demo"}


def test_a_missing_requirement_names_plugin_distribution_and_remedy():
    result = resolve([enabled("a", requires=["http"]), enabled("b")], lambda name: f"pip install mtev-{name}")
    assert isinstance(result.problems["a"], MissingRequirement)
    assert str(result.problems["a"]) == (
        "plugin 'a' (dist-a 1.0) requires 'http', which is not there: pip install mtev-http"
    )
    assert set(result.order) == {"a", "b"}


def test_a_cycle_names_its_members_in_the_direction_of_requiring():
    plugins = [enabled("a", requires=["b"]), enabled("b", requires=["c"]), enabled("c", requires=["a"]), enabled("d")]
    result = resolve(plugins)
    assert set(result.problems) == {"a", "b", "c"}
    assert isinstance(result.problems["a"], RequirementCycle)
    assert "'a' → 'b' → 'c' → 'a'" in str(result.problems["b"])
    assert "a (dist-a 1.0), b (dist-b 1.0), c (dist-c 1.0)" in str(result.problems["c"])
    assert result.order[0] == "d"


def test_what_hangs_on_a_cycle_is_not_blamed_for_it():
    plugins = [enabled("a", requires=["b"]), enabled("b", requires=["a"]), enabled("c", requires=["a"])]
    assert set(resolve(plugins).problems) == {"a", "b"}


def test_a_cycle_through_after_counts_too():
    plugins = [enabled("a", requires=["b"]), enabled("b", after=["a"])]
    assert set(resolve(plugins).problems) == {"a", "b"}


@pytest.mark.parametrize("count", [0, 1])
def test_trivial_services(count):
    assert len(resolve([enabled("a")] * count).order) == count


@given(st.data(), st.integers(0, 8))
def test_any_graph_is_ordered_and_every_fault_is_explained(data, count):
    names = [f"p{index}" for index in range(count)]
    plugins = [
        enabled(
            name,
            requires=[other for other in data.draw(st.sets(st.sampled_from([*names, "absent"]))) if other != name],
            after=[other for other in data.draw(st.sets(st.sampled_from(names))) if other != name],
        )
        for name in names
    ]
    result = resolve(plugins)
    assert sorted(result.order) == sorted(names)
    position = {name: index for index, name in enumerate(result.order)}
    for each in plugins:
        if each.name in result.problems:
            continue
        for other in (*each.manifest.requires, *each.manifest.after):
            if other in position and other not in result.problems:
                assert position[other] < position[each.name]
    for each in plugins:
        if "absent" in each.manifest.requires:
            assert each.name in result.problems
    assert result.order == resolve(plugins[::-1]).order
