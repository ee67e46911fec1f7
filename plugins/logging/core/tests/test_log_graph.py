"""The graph: built-in and implicit streams, cycles, and routes against a naive evaluator."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mtev_log.errors import GraphError, OutletCycle
from mtev_log.graph import MAX_HOPS, Graph, Hop, Node, Outlet
from mtev_log.record import Flags


def writes(graph, name):
    """Where a line ends up: pairs of sink and flags, in order."""
    return [(hop.stream, hop.flags) for hop in graph.routes()[name] if hop.writes]


def test_built_in_streams_lead_to_stderr():
    graph = Graph()
    assert set(graph.nodes) == {"stderr", "error", "notice", "debug", "error/stacktrace"}
    for name in ("stderr", "error", "error/stacktrace", "notice"):
        assert [each[0] for each in writes(graph, name)] == ["stderr"]
    assert [hop.stream for hop in graph.routes()["notice"]] == ["notice", "error", "stderr"]
    assert writes(graph, "debug") == []


def test_enabled_debug_says_where_a_line_was_logged():
    graph = Graph()
    graph.nodes["debug"].enabled = True
    graph.find("debug/x")
    assert writes(graph, "debug/x") == [("stderr", Flags(timestamps=True, debug=True))]


def test_an_unknown_stream_is_made_with_its_parents():
    graph = Graph()
    assert graph.find("error/a/b") == ["error/a", "error/a/b"]
    assert graph.find("error/a/b") == []
    assert [each[0] for each in writes(graph, "error/a/b")] == ["stderr"]


def test_a_top_level_stream_leads_nowhere():
    graph = Graph()
    graph.find("http/access")
    assert writes(graph, "http/access") == []
    assert graph.nodes["http"].outlets == []


@pytest.mark.parametrize("name", ["", "x" * 256, "a\nb", "\x1b[2J"])
def test_what_cannot_be_a_name_is_refused(name):
    with pytest.raises(ValueError):
        Graph().find(name)


def test_odd_slashes_are_harmless():
    graph = Graph()
    for name in ("/", "/a", "a/", "a//b", "//"):
        graph.find(name)
    graph.routes()


def test_flags_travel_one_hop():
    graph = Graph()
    graph.nodes["stderr"].flags = Flags()
    graph.nodes["notice"].flags = Flags(timestamps=True)
    graph.nodes["error"].flags = Flags(facility=True)
    assert writes(graph, "notice") == [("stderr", Flags(facility=True))]
    assert writes(graph, "error") == [("stderr", Flags(facility=True))]


def test_the_outlet_attached_last_comes_first_and_none_counts_twice():
    graph = Graph()
    for sink in ("one", "two"):
        graph.reset(sink).sink = True
    graph.reset("x")
    assert [graph.connect("x", "one"), graph.connect("x", "two"), graph.connect("x", "one")] == [True, True, False]
    assert [each[0] for each in writes(graph, "x")] == ["two", "one"]


def test_a_stream_reached_twice_gets_the_line_twice():
    graph = Graph()
    graph.connect("x", "error")
    graph.connect("x", "stderr")
    assert [each[0] for each in writes(graph, "x")] == ["stderr", "stderr"]


def test_a_disabled_stream_passes_nothing_on():
    graph = Graph()
    graph.nodes["error"].enabled = False
    assert writes(graph, "notice") == []
    assert writes(graph, "stderr") != []


def test_a_cycle_is_refused_with_its_way_named():
    graph = Graph()
    graph.connect("a", "b")
    graph.connect("b", "c")
    with pytest.raises(OutletCycle, match=r"c -> a -> b -> c") as caught:
        graph.connect("c", "a")
    assert caught.value.members == ("c", "a", "b", "c")
    assert graph.nodes["c"].outlets == []
    with pytest.raises(OutletCycle, match=r"a -> a"):
        graph.connect("a", "a")


def test_an_outlet_below_its_own_stream_is_a_cycle():
    with pytest.raises(OutletCycle, match=r"a -> a/b -> a"):
        Graph().connect("a", "a/b")


def test_meeting_a_log_resets_it_but_stderr_stays_what_it_is():
    graph = Graph()
    assert graph.reset("error").outlets == []
    graph.nodes["stderr"].enabled = False
    stderr = graph.reset("stderr")
    assert (stderr.enabled, stderr.sink, stderr.flags) == (True, True, Flags(timestamps=True))


def test_a_copy_is_independent():
    graph = Graph()
    copy = graph.copy()
    copy.connect("error", "x")
    copy.nodes["notice"].enabled = False
    assert graph.nodes["error"].outlets == [Outlet("stderr")]
    assert graph.nodes["notice"].enabled


def test_an_explosion_of_ways_is_refused():
    graph = Graph()
    previous = "stderr"
    for level in range(MAX_HOPS.bit_length()):
        for side in "lr":
            graph.reset(f"{level}{side}")
            graph.connect(f"{level}{side}", previous)
        top = f"{level}t"
        graph.reset(top)
        graph.connect(top, f"{level}l")
        graph.connect(top, f"{level}r")
        previous = top
    with pytest.raises(GraphError, match=str(MAX_HOPS)):
        graph.routes()


flags = st.builds(Flags, st.booleans(), st.booleans(), st.booleans())
names = st.sampled_from([f"s{number}" for number in range(7)])


@st.composite
def graphs(draw):
    graph = Graph()
    for number in range(7):
        node = Node(f"s{number}", draw(st.booleans()) or draw(st.booleans()), draw(flags), draw(st.booleans()))
        graph.nodes[node.name] = node
    for _ in range(draw(st.integers(0, 12))):
        with contextlib.suppress(OutletCycle):
            graph.connect(draw(names), draw(names))
    return graph


def naive_material(graph, name):
    node = graph.nodes[name]
    return node.enabled and (node.sink or any(naive_material(graph, outlet.name) for outlet in node.outlets))


def naive_walk(graph, name, upstream, stopped):
    node = graph.nodes[name]
    if name in stopped:
        return []
    found = [(name, node.flags.union(upstream.flags if upstream else Flags()))] if node.sink else []
    for outlet in node.outlets:
        if naive_material(graph, outlet.name):
            found += naive_walk(graph, outlet.name, node, stopped)
    return found


def walk(route: tuple[Hop, ...], stopped):
    found, index = [], 0
    while index < len(route):
        hop = route[index]
        if hop.stream in stopped:
            index += hop.size
            continue
        if hop.writes:
            found.append((hop.stream, hop.flags))
        index += 1
    return found


@settings(deadline=None)
@given(graphs(), st.frozensets(names, max_size=2))
def test_routes_are_what_a_naive_walk_does(graph, stopped):
    routes = graph.routes()
    for name in graph.nodes:
        assert bool(routes[name]) == naive_material(graph, name)
        if routes[name]:
            assert walk(routes[name], stopped) == naive_walk(graph, name, None, stopped)


@settings(deadline=None)
@given(graphs(), st.lists(st.sampled_from(["s0/x", "s1/x/y", "s1/x", "z", "error/q"])))
def test_streams_made_later_get_the_routes_that_a_whole_recalculation_gives(graph, later):
    routes = graph.routes()
    for name in later:
        routes.update(graph.extend(routes, graph.find(name)))
    assert routes == graph.routes()
