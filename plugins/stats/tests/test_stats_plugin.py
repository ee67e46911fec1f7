"""The plugin in a running kernel: its stanza, its routes and its commands."""

from __future__ import annotations

import json
from importlib import resources
from types import SimpleNamespace
from xml.etree import ElementTree

import pytest

from mtev_conf.plugin import ConfPlugin
from mtev_kernel import Plugin, hookimpl, hookspec
from mtev_kernel.testing import PluginConformance, inline
from mtev_stats import Stats
from mtev_stats._endpoints import preferred
from mtev_stats._exposition import DEFAULT_BUCKETS, OPENMETRICS, PLAIN
from mtev_stats._native import PROTOBUF
from mtev_stats._settings import StatsSettings, parse_buckets
from mtev_stats.plugin import StatsPlugin


class TestConformance(PluginConformance):
    plugin = "stats"
    config = "<app><stats/></app>"


class Specs:
    @hookspec
    def mtev_rest_routes(rest):
        """What mtev-http declares."""

    @hookspec
    def mtev_console_commands(console):
        """What mtev-telnet declares."""


class Above(Plugin):
    """Stands for HTTP and the console: collects what is offered to them."""

    manifest = """
        id = "above"
        summary = "for a test"
        api = "1.0"
        requires = ["stats"]
        hooks = ["mtev_rest_routes", "mtev_console_commands"]
    """

    def __init__(self, context):
        super().__init__(context)
        context.hooks.declare(Specs)
        self.routes, self.commands = {}, {}
        context.services.publish(Above, self)

    def post_init(self):
        self.context.hooks.site(Specs.mtev_rest_routes).call(self)
        self.context.hooks.site(Specs.mtev_console_commands).call(self)

    def resource(self, method, base, expression, function, *, summary, **options):
        self.routes[method, base + expression] = function

    def command(self, words, function, *, summary, **options):
        self.commands[words] = function

    def mode(self, words, enter, **options):
        self.commands[words] = enter

    def get(self, path, accept="", method="GET", **query):
        request = SimpleNamespace(headers={"accept": accept}, query=query)
        return self.routes[method, path](request)

    def stats(self, **query):
        return json.loads(self.get(r"/mtev/^stats\.json$", **query).body)

    def say(self, words, *arguments):
        return list(self.commands[words](arguments))


def manifest_of(package):
    return (resources.files(package) / "plugin.toml").read_text()


PLUGINS = (inline(ConfPlugin, manifest_of("mtev_conf")), inline(StatsPlugin, manifest_of("mtev_stats")), inline(Above))


@pytest.fixture
def service(mtev_kernel):
    def start(stanza="<stats/>", more=(), **options):
        document = f'<app><modules><generic image="above" name="above"/></modules>\n{stanza}\n</app>'
        return mtev_kernel(document, plugins=[*PLUGINS, *map(inline, more)], installed=(), **options)

    return start


def test_other_plugins_register_metrics_without_needing_statistics(service):
    class Aside(Plugin):
        manifest = 'id = "aside"\nsummary = "x"\napi = "1.0"\nrequires = ["conf"]\nstanzas = ["stats"]'

        @hookimpl(optional=True)
        def mtev_stats_metrics(self, stats):
            stats.gauge(("aside", "size"), lambda: 7, unit="lines", summary="For a test.")

    running = service(more=[Aside])
    assert running.service(Above).stats()["aside"] == {"size": {"_type": "l", "_value": 7}}


def test_metrics_are_shown_in_every_shape(service):
    running = service()
    above, stats = running.service(Above), running.service(Stats)
    stats.counter(("acme", "requests")).add(3)
    stats.histogram(("acme", "latency")).record(0.25)
    assert above.stats()["acme"] == {
        "requests": {"_type": "L", "_value": 3},
        "latency": {"_type": "H", "_value": ["H[0.25]=1"]},
    }
    assert above.stats(format="simple")["acme"] == {"requests": 3}
    assert above.stats(format="tagged")["requests"] == {"_type": "L", "_value": 3}
    leaf = above.stats(percentiles="50,100")["acme"]["latency"]
    assert leaf["_count"] == 1
    assert set(leaf["_percentiles"]) == {"50", "100"}


def test_reset_shows_what_is_new_to_each_consumer(service):
    running = service()
    above, histogram = running.service(Above), running.service(Stats).histogram(("latency",))
    histogram.record(1)
    assert above.stats(reset="1")["latency"] == {"_type": "h", "_value": ["H[1]=1"]}
    histogram.record(2)
    assert above.stats(reset="1", consumer="mine")["latency"]["_value"] == ["H[1]=1", "H[2]=1"]
    assert above.stats(reset="1")["latency"]["_value"] == ["H[2]=1"]
    assert above.stats(reset="0")["latency"] == {"_type": "H", "_value": ["H[1]=1", "H[2]=1"]}


def test_consumers_are_bounded(service):
    above = service().service(Above)
    for number in range(16):
        above.stats(reset="1", consumer=str(number))
    with pytest.raises(ValueError, match="there are 16 of them"):
        above.stats(reset="1", consumer="one more")
    with pytest.raises(ValueError, match="longer than 64"):
        above.stats(reset="1", consumer="x" * 65)


@pytest.mark.parametrize(
    "query", [{"percentiles": "x"}, {"percentiles": "101"}, {"percentiles": ",".join("1" * 33)}, {"format": "xml"}]
)
def test_parameters_that_mean_nothing_are_refused(service, query):
    with pytest.raises(ValueError, match="expected"):
        service().service(Above).stats(**query)


def test_clearing(service):
    running = service()
    above, stats = running.service(Above), running.service(Stats)
    stats.counter(("c",)).add()
    stats.histogram(("h",)).record(1)
    delete = r"/mtev/^stats\.json$"
    assert above.get(delete, method="DELETE").body == b'{"stats_cleared":1}'
    assert above.stats()["h"]["_value"] == []
    assert above.stats()["c"]["_value"] == 1
    assert above.get(delete, method="DELETE", type="counter").body == b'{"stats_cleared":1}'
    assert above.stats()["c"]["_value"] == 0
    assert above.get(delete, method="DELETE", type="other").body == b'{"stats_cleared":0}'


def test_metrics_for_prometheus_in_the_format_that_it_asks_for(service):
    running = service('<stats buckets="1,2" native_schema="0"/>')
    running.service(Stats).histogram(("latency",)).record(1.5)
    above = running.service(Above)
    plain = above.get("/^metrics$")
    assert plain.content_type == PLAIN
    assert 'latency_seconds_bucket{le="2.0"} 1' in plain.body.decode()
    assert 'le="5.0"' not in plain.body.decode()
    openmetrics = above.get("/^metrics$", accept="application/openmetrics-text;version=1.0.0")
    assert openmetrics.content_type == OPENMETRICS
    assert openmetrics.body.endswith(b"# EOF\n")
    native = above.get("/^metrics$", accept="application/vnd.google.protobuf;proto=x;encoding=delimited, */*;q=0.1")
    assert native.content_type == PROTOBUF
    assert b"latency_seconds" in native.body


def test_contradictions_are_reported_once(service, caplog):
    running = service()
    stats, above = running.service(Stats), running.service(Above)
    stats.counter(("a", "b"))
    stats.counter(("a_b",))
    above.get("/^metrics$")
    above.get("/^metrics$")
    assert [record.message for record in caplog.records if "cannot show a_b" in record.message] == [
        "/metrics cannot show a_b in the family 'a_b': another metric has the same labels, or another type; "
        "give them tags that tell them apart"
    ]


@pytest.mark.parametrize(
    ("accept", "kind"),
    [
        ("", PLAIN),
        ("text/html", PLAIN),
        ("text/plain;q=0.5, application/openmetrics-text;q=0.4", PLAIN),
        ("text/plain, application/openmetrics-text", OPENMETRICS),
        ("application/vnd.google.protobuf;encoding=text, text/plain", PLAIN),
        ("application/openmetrics-text;q=0, text/plain;q=0.1", PLAIN),
        ("application/openmetrics-text;q=x", PLAIN),
        ("Application/OpenMetrics-Text", OPENMETRICS),
    ],
)
def test_the_client_chooses_the_format(accept, kind):
    assert preferred(accept) == kind


def test_the_process_is_measured(service):
    running = service()
    process = running.service(Above).stats(format="simple")["process"]
    assert process["resident_memory"] > 1_000_000
    assert process["cpu"] > 0
    assert process["threads"] >= 1
    assert 0 < process["open_fds"] <= process["max_fds"]
    memory = json.loads(running.service(Above).get(r"/mtev/^memory\.json$").body)
    assert memory["resident_bytes"] > 1_000_000
    assert len(memory["gc"]) == 3


def test_the_process_is_not_measured(service):
    assert "process" not in service('<stats process="off"/>').service(Above).stats()


def test_the_console_lists_metrics_and_draws_histograms(service):
    running = service('<stats process="off"/>')
    stats, above = running.service(Stats), running.service(Above)
    histogram = stats.histogram(("acme", "latency"))
    for ms in range(1, 1000):
        histogram.record(ms / 1000)
    stats.histogram(("acme", "latency", "inner"))
    stats.counter(("acme", "requests"), unit="requests").add(3)
    stats.gauge(("load",), lambda: 0.5)
    assert above.say("show stats") == [
        "acme.latency = 999 values, mean 500ms, p50 501ms, p99 991ms",
        "acme.latency.inner = 0 values",
        "acme.requests = 3 requests",
        "load = 0.5",
    ]
    assert above.say("show stats", "requ") == ["acme.requests = 3 requests"]
    assert above.say("show stats", "l?ad") == ["load = 0.5"]
    drawn = above.say("show histogram", "acme.latency")
    assert max(map(len, drawn)) <= 80
    assert drawn[:3] == ["acme.latency", "  999 values", "  mean 500ms, deviation 288ms"]
    assert sum(int(line.split()[3]) for line in drawn if " - " in line) == 999
    assert drawn[-1].startswith("  p50 50")
    assert above.say("show histogram", "inner") == ["acme.latency.inner", "  0 values"]
    assert above.say("show histogram", "latency")[0] == "2 histograms are called so; name one of them:"


@pytest.mark.parametrize(
    ("words", "arguments", "error"),
    [
        ("show stats", ("a", "b"), ValueError),
        ("show histogram", (), ValueError),
        ("show histogram", ("nothing",), LookupError),
    ],
)
def test_commands_say_what_they_take(service, words, arguments, error):
    with pytest.raises(error):
        service().service(Above).say(words, *arguments)


@pytest.mark.parametrize(
    ("stanza", "message"),
    [
        ('<stats max_metrics="9"/>', "max_metrics"),
        ('<stats native_schema="9"/>', "native_schema"),
        ('<stats buckets="2,1"/>', "does not rise"),
        ('<stats buckets="a"/>', "buckets"),
        ('<stats process="perhaps"/>', "process"),
    ],
)
def test_a_bad_stanza_is_refused_with_its_line(service, stanza, message):
    with pytest.raises(Exception, match=rf"\.conf:2.*{message}"):
        service(stanza)


def test_what_has_no_effect_is_said(service):
    problems = service('<stats/><stats buckts="1" acme="2"><oops/></stats>').kernel.problems
    said = [str(each) for each in problems if each.severity == "warning"]
    expected = ("this <stats> is not used", "did you mean 'buckets'?", "'acme' has no meaning", "<oops> has no meaning")
    assert len(said) == len(expected)
    for text, warning in zip(expected, said, strict=True):
        assert text in warning


@pytest.mark.parametrize("text", ["", "1,,2", "nan", "inf", ",".join(map(str, range(201)))])
def test_buckets_that_are_none(text):
    with pytest.raises(ValueError, match=r".+"):
        parse_buckets(text)


def test_the_sample_shows_the_defaults():
    sample = ElementTree.fromstring((resources.files("mtev_stats") / "sample.xml").read_text())
    assert parse_buckets(sample.attrib["buckets"]) == DEFAULT_BUCKETS == StatsSettings().buckets
    assert int(sample.attrib["max_metrics"]) == StatsSettings().max_metrics
    assert int(sample.attrib["native_schema"]) == StatsSettings().native_schema
