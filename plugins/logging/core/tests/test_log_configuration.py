"""Reading `<logs>`: what counts, what is refused with its place, what is reported."""

from __future__ import annotations

import pytest

from mtev_conf import Configuration
from mtev_kernel import ConfigurationError
from mtev_log.configuration import build_graph, read_streams
from mtev_log.filters import Filter
from mtev_log.gates import GateSettings
from mtev_log.handover import Overflow, SinkOptions
from mtev_log.record import Flags


def read(logs, environ=None):
    return read_streams(Configuration.parse(f"<app>\n<logs>\n{logs}\n</logs>\n</app>", "app.conf", environ or {}))


def one(logs, environ=None):
    streams, notices = read(logs, environ)
    assert notices == []
    assert len(streams) == 1
    return streams[0]


def refused(logs):
    with pytest.raises(ConfigurationError) as caught:
        read(logs)
    return str(caught.value)


def test_no_stanza_means_the_built_in_streams():
    assert read_streams(Configuration.parse("<app/>")) == ([], [])


def test_every_attribute_is_read():
    stream = one(
        """<log name="x" type="file" path="/x" format="json" disabled="on" debug="on" timestamps="true" facility="off">
             <outlet name="error"/><config><a>1</a></config></log>"""
    )
    assert (stream.name, stream.backend.type, stream.backend.path) == ("x", "file", "/x")
    assert stream.backend.format == "json"
    assert stream.backend.config == {"a": "1"}
    assert stream.backend.own == {"a"}
    assert stream.backend.where == "app.conf:3"
    assert not stream.enabled
    assert (stream.debug, stream.timestamps, stream.facility) == (True, True, False)
    assert [name for name, *_ in stream.outlets] == ["error"]


def test_attributes_outlets_and_config_are_inherited_and_the_nearest_counts():
    stream = one(
        """<a type="file" facility="on" timestamps="on"><outlet name="stderr"/><config><k>outer</k></config>
             <b timestamps="off"><outlet name="error"/><outlet name="stderr"/>
               <log name="x" path="p"><config><own>1</own></config></log></b></a>"""
    )
    assert stream.backend.type == "file"
    assert (stream.facility, stream.timestamps, stream.debug) == (True, False, None)
    assert [name for name, *_ in stream.outlets] == ["stderr", "error"]
    assert stream.backend.config == {"k": "outer", "own": "1"}
    assert stream.backend.own == {"own"}


def test_require_env_switches_logs_and_outlets_off():
    text = '<log name="x" require_env="YES"><outlet name="error"/><outlet name="stderr" require_env="NO"/></log>'
    assert [name for name, *_ in one(text, {"YES": ""}).outlets] == ["error"]
    assert read(text) == ([], [])


def test_values_come_from_the_environment():
    assert one('<log name="x" type="file" path="ENV:/tmp/x:{LOGFILE}"/>', {"LOGFILE": "/y"}).backend.path == "/y"


def test_example1_of_libmtev_gives_the_graph_that_it_means():
    streams, notices = read(
        """<log name="internal" type="memory" path="10000,100000"/>
           <console_output><outlet name="stderr"/><outlet name="internal"/><log name="error"/></console_output>
           <components>
             <error><outlet name="error"/><log name="error/example"/><log name="http/access"/></error>
             <debug><outlet name="debug"/><log name="debug/eventer" disabled="true"/></debug>
           </components>"""
    )
    assert notices == []
    routes = build_graph(streams).routes()
    for name in ("error", "error/example", "http/access", "notice"):
        assert [hop.stream for hop in routes[name] if hop.writes] == ["internal", "stderr"]
    assert routes["debug/eventer"] == ()


def test_meeting_a_log_enables_it_and_takes_its_implicit_outlet():
    streams, notices = read('<log name="debug"/><log name="error/x"/>')
    graph = build_graph(streams)
    assert graph.nodes["debug"].enabled
    assert graph.nodes["debug"].flags == Flags()
    assert graph.nodes["error/x"].outlets == []
    assert [each.partition(":3")[2] for each in notices] == [
        f": <log>: '{name}' has neither a type nor an outlet, so its lines go nowhere" for name in ("debug", "error/x")
    ]


def test_an_outlet_may_lead_to_a_log_that_comes_later():
    streams, _ = read('<log name="a"><outlet name="a/b"/></log><log name="a/b" type="memory"/>')
    assert [hop.stream for hop in build_graph(streams).routes()["a"]] == ["a", "a/b"]


def test_the_last_of_two_logs_with_one_name_counts_and_that_is_said():
    streams, notices = read('<log name="x" type="file" path="1"/>\n<log name="x" type="file" path="2"/>')
    assert [each.backend.path for each in streams] == ["2"]
    assert notices == ["app.conf:4: <log>: 'x' was configured before, at app.conf:3; this one replaces it"]


def test_stderr_takes_flags_format_and_outlets():
    streams, _ = read('<log name="stderr" timestamps="off" facility="on" format="json"/>')
    graph = build_graph(streams)
    assert graph.nodes["stderr"].flags == Flags(facility=True)
    assert graph.nodes["stderr"].sink
    assert "standard error" in refused('<log name="stderr" type="file" path="x"/>')


@pytest.mark.parametrize(
    ("logs", "message"),
    [
        ("<log/>", "app.conf:3: <log>: the attribute 'name' is required"),
        ('<log name=""/>', "app.conf:3: <log>: name: a log stream needs a name that is not empty"),
        ('<log name="x" format="xml"/>', "'xml' is none of plain, json, logfmt, flatbuffer"),
        ('<log name="x" disabled="maybe"/>', "disabled: 'maybe'"),
        ('<log name="x" path="/tmp/x"/>', "no type says how"),
        ('<log name="x" timestmaps="on"/>', "unknown attribute 'timestmaps'; did you mean 'timestamps'?"),
        ('<c facilty="on"><log name="x"/></c>', "<c>: unknown attribute 'facilty'; did you mean 'facility'?"),
        ('<log name="x"><outlet/></log>', "app.conf:3: <outlet>: the attribute 'name' is required"),
        (
            '<log name="x"><outlet name="error" filter="line > "/></log>',
            "app.conf:3: <outlet>: filter: expected a value",
        ),
        ('<log name="x"><outlet name="error" filter="line > "/></log>', "\n    line > \n           ^"),
        ('<log name="x" rate_limit="many"/>', "rate_limit: 'many' is not a rate"),
        ('<log name="x" queue_lines="0"/>', "queue_lines"),
        ('<log name="x" overflow="explode"/>', "'explode' is none of drop, drop_oldest, block"),
        ('<log name="x" dedup_seconds="-1"/>', "dedup_seconds"),
        ('<log name="x"><outlet nmae="error" name="y"/></log>', "did you mean 'name'?"),
    ],
)
def test_what_is_wrong_is_refused_with_its_place(logs, message):
    assert message in refused(logs)


def test_every_fault_is_reported_at_once():
    text = refused('<log name=""/>\n<log name="x" format="xml"/>')
    assert text.startswith("2 problems:")
    assert "app.conf:3:" in text
    assert "app.conf:4:" in text


def test_what_only_some_types_understand_is_handed_to_the_backend():
    stream = one('<c rotate_bytes="204800" retain_seconds="60"><log name="x" type="file" path="p" utc="on"/></c>')
    assert stream.backend.options == {"rotate_bytes": "204800", "retain_seconds": "60"}
    assert stream.backend.utc


def test_how_lines_are_handed_over_and_held_back():
    stream = one(
        '<c overflow="block"><log name="x" type="file" path="p" queue_lines="10" stats="on" rate_limit="5/min" '
        'dedup_seconds="2.5"/></c>'
    )
    assert stream.options == SinkOptions(10, Overflow.BLOCK)
    assert stream.gate == GateSettings(5, 60, 2.5)
    assert stream.counted
    plain = one('<log name="x" type="file" path="p"/>')
    assert (plain.options, plain.gate, plain.counted) == (SinkOptions(), GateSettings(), False)


def test_a_filter_belongs_to_its_outlet():
    stream = one("""<log name="x"><outlet name="error" filter="status &gt;= 500"/><outlet name="stderr"/></log>""")
    assert [(name, passing and passing.text) for name, _, passing in stream.outlets] == [
        ("error", "status >= 500"),
        ("stderr", None),
    ]
    (hop, *_) = build_graph([stream]).routes()["x"][-2:]
    assert hop.stream == "error"
    assert hop.filter == Filter("status >= 500")


def test_a_misspelt_log_is_reported():
    _, notices = read('<lgo name="x"/>')
    assert notices == ["app.conf:3: <lgo>: it holds no <log>, so it has no effect"]


def test_a_cycle_of_outlets_names_the_place_and_the_way():
    streams, _ = read(
        '<log name="a"><outlet name="b"/></log>\n<log name="b"><outlet name="c"/></log>\n'
        '<log name="c"><outlet name="a"/></log>'
    )
    with pytest.raises(ConfigurationError) as caught:
        build_graph(streams)
    assert str(caught.value).startswith("app.conf:5: <outlet>: of the log 'c': ")
    assert "c -> a -> b -> c" in str(caught.value)
