"""The plugin: its stanza, what it publishes, hooks, views and commands, alone and in a kernel."""

from __future__ import annotations

import asyncio
import importlib.resources
import logging
import re

import pytest

from mtev_conf import Configuration
from mtev_conf.plugin import ConfPlugin
from mtev_eventer import Eventer, LoopDied, SocketInfo
from mtev_eventer.plugin import EventerPlugin
from mtev_kernel import ConfigurationError, ExitCode, Plugin, hookimpl, hookspec
from mtev_kernel.testing import KernelStarter, PluginConformance, inline
from mtev_stats import Stats

SAMPLE = importlib.resources.files("mtev_eventer").joinpath("sample.xml").read_text()


def manifest_of(package):
    return importlib.resources.files(package).joinpath("plugin.toml").read_text()


@pytest.fixture
def make(make_context):
    def make(stanza="", **context):
        text = f"<app>\n{stanza}\n</app>"
        made = make_context(
            "eventer",
            manifest=manifest_of("mtev_eventer"),
            services={Configuration: Configuration.parse(text, "app.conf", {}), Stats: Stats()},
            **context,
        )
        plugin = EventerPlugin(made)
        made.hooks.attach(plugin)
        return plugin

    return make


def configured(make, stanza):
    plugin = make(stanza)
    plugin.configure()
    return plugin


def test_without_a_stanza_there_are_defaults(make):
    plugin = configured(make, "")
    assert plugin.context.services.require(Eventer) is plugin.eventer
    assert list(plugin.eventer.pools) == ["default"]
    assert list(plugin.eventer.jobqs) == ["default_queue"]
    assert plugin.context.control.warnings == []


@pytest.mark.parametrize("wrap", ["{}", "<include>{}</include>"])
def test_the_stanza_makes_pools_and_queues(make, wrap):
    stanza = "<eventer implementation='asyncio'><config><loop_web>2</loop_web><jobq_io>3</jobq_io></config></eventer>"
    eventer = configured(make, wrap.format(stanza)).eventer
    assert eventer.settings.implementation == "asyncio"
    assert [len(eventer.pool(name).loops) for name in ("default", "web")] == [1, 2]
    assert eventer.jobq("io").concurrency == 3


def test_the_sample_is_taken_without_a_word(make, caplog):
    plugin = configured(make, SAMPLE)
    assert set(plugin.eventer.pools) == {"default", "web"}
    assert plugin.eventer.settings.queues[1].order == "lifo"
    assert plugin.context.control.warnings == []


def test_errors_name_file_line_element_and_key(make):
    stanza = "<eventer>\n<config>\n<concurrency>many</concurrency>\n<jobq_io>4,2</jobq_io>\n</config></eventer>"
    with pytest.raises(ConfigurationError) as caught:
        configured(make, stanza)
    assert caught.value.where == "app.conf:4"
    assert str(caught.value).startswith("app.conf:4: <eventer>: concurrency: 'many' is not an integer")
    assert "app.conf:5: <eventer>: jobq_io: the concurrency of 4 is above the max of 2" in str(caught.value)


def test_an_unknown_implementation(make):
    with pytest.raises(ConfigurationError, match=r'app.conf:2: <eventer>: implementation="trio" is not known'):
        configured(make, "<eventer implementation='trio'/>")


@pytest.mark.parametrize(
    ("stanza", "warning"),
    [
        ("<eventer>\n<config>\n<conccurency>1</conccurency></config></eventer>", "app.conf:4: .* mean 'concurrency'?"),
        ("<eventer><config>\n<value name='wh at'>5</value></config></eventer>", "app.conf:3: .*'wh at' is not a key"),
        ("<eventer>\n<concurrency>3</concurrency></eventer>", "app.conf:3: .*outside of <config>"),
        ("<eventer implementatoin='asyncio'/>", "app.conf:2: .*attribute 'implementatoin' is not read"),
        ("<eventer><config/></eventer>\n<eventer/>", "app.conf:2: this <eventer> is not used.*app.conf:3"),
    ],
)
def test_what_has_no_effect_is_warned_of(make, stanza, warning):
    (told,) = configured(make, stanza).context.control.warnings
    assert re.match(warning, told)


def test_options_in_the_wrong_place_are_refused(make):
    with pytest.raises(ConfigurationError, match=r"test\.conf:1: .* options in <eventer><config>; .*: concurrency"):
        make(config={"concurrency": "3"}).configure()


def test_libmtevs_implementation_is_noted(make, caplog):
    caplog.set_level(logging.INFO)
    configured(make, "<eventer implementation='epoll'/>")
    assert 'app.conf:2: <eventer>: implementation="epoll" is libmtev\'s' in caplog.text


def test_life_and_second_life(make):
    plugin = configured(make, "")
    plugin.stop()
    for _ in range(2):
        plugin.start()
        assert asyncio.run(plugin.eventer.default.choose().run(asyncio.sleep, 0, "slept")) == "slept"
        plugin.drain()
        plugin.stop()


def test_stop_before_configure(make):
    make().stop()


def test_the_hook_is_called_once_all_loops_turn(make):
    plugin = configured(make, "")
    seen = []

    class Other:
        @hookimpl
        async def eventer_started(self):
            seen.append(plugin.eventer.default.choose().running)

    plugin.context.hooks.attach(Other())
    plugin.start()
    asyncio.run(plugin.post_init())
    assert seen == [True]
    plugin.stop()


def test_a_dying_loop_fails_the_plugin(make):
    plugin = configured(make, "")
    plugin.start()

    async def main():
        run = asyncio.create_task(plugin.run())
        await asyncio.sleep(0)
        plugin._loop_died(LoopDied("the loop 'e:default/0' died"))
        plugin._loop_died(LoopDied("the loop 'e:default/1' died"))
        with pytest.raises(LoopDied, match="e:default/0"):
            await run

    asyncio.run(main())
    assert plugin.context.control.reasons == ["the loop 'e:default/0' died", "the loop 'e:default/1' died"]
    plugin.stop()


def test_run_ends_when_it_is_cancelled(make):
    plugin = configured(make, "")

    async def main():
        run = asyncio.create_task(plugin.run())
        await asyncio.sleep(0)
        run.cancel()
        with pytest.raises(asyncio.CancelledError):
            await run
        plugin._loop_died(LoopDied("late"))

    asyncio.run(main())


class Registries:
    """Stands for the REST service and the console."""

    def __init__(self):
        self.views, self.commands = {}, {}

    def view(self, base, expression, function, *, summary):
        assert summary
        self.views[base + expression] = function

    def command(self, words, function, *, summary, usage=""):
        assert summary
        self.commands[words] = function


@pytest.fixture
def shown(make):
    plugin = configured(make, "<eventer><config><jobq_io>2</jobq_io></config></eventer>")
    plugin.start()
    registries = Registries()
    plugin.mtev_rest_routes(registries)
    plugin.mtev_console_commands(registries)
    yield plugin.eventer, registries
    plugin.stop()


def test_views(shown):
    eventer, registries = shown
    eventer.sockets.add(SocketInfo("echo", 5))
    eventer.default.choose().after(100, print, name="later")
    views = registries.views
    names = ("sockets", "timers", "jobq", "callbacks", "loops", "memory")
    assert set(views) == {rf"/eventer/^{name}\.json$" for name in names}
    assert [each["callback"] for each in views[r"/eventer/^sockets\.json$"]({})] == ["echo"]
    assert [each["callback"] for each in views[r"/eventer/^timers\.json$"]({})] == ["later"]
    assert list(views[r"/eventer/^jobq\.json$"]({})) == ["default_queue", "io"]
    (loop,) = views[r"/eventer/^loops\.json$"]({})
    assert (loop["loop"], loop["running"], loop["timers"]) == ("e:default/0", True, 1)
    assert views[r"/eventer/^memory\.json$"]({})["live_events"] == 2
    asyncio.run(eventer.default.choose().run(asyncio.sleep, 0))
    called = {each["callback"]: each for each in views[r"/eventer/^callbacks\.json$"]({})}
    assert called["asyncio.tasks.sleep"]["count"] >= 1
    assert called["asyncio.tasks.sleep"]["max"] >= called["asyncio.tasks.sleep"]["p50"] > 0


def test_commands(shown):
    eventer, registries = shown
    eventer.sockets.add(SocketInfo("echo", 5))
    eventer.default.choose().after(100, print, name="later")
    shows = "show eventer debug "
    commands = {words.removeprefix(shows): each for words, each in registries.commands.items() if shows in words}
    assert {words for words in registries.commands if not words.startswith(shows)} == {
        "mtev jobq",
        "mtev eventer profile",
        "mtev eventer threshold",
    }
    assert "echo" in next(iter(commands["sockets"]([])))
    assert "later" in next(iter(commands["timers"]([])))
    assert [line for line in commands["jobq"]([]) if line.startswith("=")] == ["=== default_queue ===", "=== io ==="]
    assert next(iter(commands["jobq"](["io"]))) == "=== io ==="
    for refused in (lambda: commands["sockets"](["x"]), lambda: commands["jobq"](["x", "y"])):
        with pytest.raises(ValueError, match="allowed"):
            refused()
    with pytest.raises(LookupError, match="no jobq found for 'nope'"):
        list(commands["jobq"](["nope"]))


def test_a_job_queue_can_be_changed_on_the_console(shown):
    eventer, registries = shown
    change = next(function for words, function in registries.commands.items() if words == "mtev jobq")
    assert list(change(["io"])) == ["io: FIFO concurrency 0/2 min 0 max 0 floor 0"]
    assert list(change(["io", "max", "8"])) == ["io: FIFO concurrency 0/2 min 0 max 8 floor 0"]
    assert list(change(["io", "concurrency", "20"])) == ["io: FIFO concurrency 0/8 min 0 max 8 floor 0"]
    assert list(change(["io", "floor", "2"])) == ["io: FIFO concurrency 0/8 min 2 max 8 floor 2"]
    assert list(change(["io", "mode", "LIFO"])) == ["io: LIFO concurrency 0/8 min 2 max 8 floor 2"]
    assert eventer.jobq("io").concurrency == 8
    wrong_ones = (["io", "min", "9"], ["io", "concurrency", "0"], ["io", "mode", "x"], ["io", "speed", "1"], [])
    for wrong in (*wrong_ones, ["io", "max", "-1"]):
        with pytest.raises(ValueError, match=r"."):
            list(change(wrong))
    with pytest.raises(LookupError, match="there is no job queue 'nope'"):
        list(change(["nope"]))


def test_measuring_is_switched_on_and_off_on_the_console(shown):
    eventer, registries = shown
    switch = registries.commands["mtev eventer profile"]
    loop = eventer.default.choose()

    async def counted():
        asyncio.get_running_loop().call_soon(str)

    def counts():
        asyncio.run(loop.run(counted))
        return sum(each.latency.count for each in eventer.callbacks())

    assert list(switch([])) == ["default: profile on"]
    assert counts() > 0
    assert list(switch(["default", "off"])) == ["default: profile off"]
    before = counts()
    assert counts() == before
    assert list(switch(["default", "on"])) == ["default: profile on"]
    counts()
    assert counts() > before
    for wrong in (["default"], ["default", "perhaps"], ["default", "on", "x"]):
        with pytest.raises(ValueError, match=r"."):
            switch(wrong)
    with pytest.raises(LookupError, match="there is no pool 'nope'"):
        switch(["nope", "on"])


def test_thresholds_are_changed_on_the_console(shown, caplog):
    eventer, registries = shown
    change = registries.commands["mtev eventer threshold"]
    assert next(iter(change(["loop", "default", "250"]))).startswith("loop default: callbacks of 250 ms and more")
    assert list(change(["jobq", "io", "-1"])) == ["jobq io: no callback is reported"]
    assert [line.partition(":")[0] for line in change([])] == ["loop default", "jobq default_queue", "jobq io"]
    assert eventer.default.profile.slow.threshold_ms == 250
    assert eventer.jobq("io").profile.slow.threshold_ms == -1
    caplog.set_level(logging.DEBUG, "eventer/callbacks/loop/default")
    assert list(change(["loop", "default", "1"])) == ["loop default: callbacks of 1 ms and more are reported"]
    for wrong in (["loop"], ["loop", "default"], ["loop", "default", "x"], ["pool", "default", "1"]):
        with pytest.raises(ValueError, match=r"."):
            change(wrong)
    for missing in (["loop", "nope", "1"], ["jobq", "nope", "1"]):
        with pytest.raises(LookupError, match="'nope'"):
            change(missing)


CONF = inline(ConfPlugin, manifest_of("mtev_conf"), distribution="mtev-conf 0.1.0")
EVENTER = inline(EventerPlugin, manifest_of("mtev_eventer"), distribution="mtev-eventer 0.1.0")


class UserSpecs:
    @hookspec
    def mtev_rest_routes(rest): ...


class User(Plugin):
    """Uses the eventer from its own start on."""

    manifest = 'id = "user"\nsummary = "x"\napi = "1.0"\nrequires = ["eventer"]\nhooks = ["mtev_rest_routes"]\n'

    def __init__(self, context):
        super().__init__(context)
        context.hooks.declare(UserSpecs)
        self.events = []
        context.services.publish(User, self)

    async def start(self):
        eventer = self.context.services.require(Eventer)
        self.events.append(await eventer.default.choose().run(asyncio.sleep, 0, "on a loop"))
        self.events.append(await eventer.jobq().run(str, "in a job"))
        registries = Registries()
        self.context.hooks.site(UserSpecs.mtev_rest_routes).call(registries)
        self.events.append(len(registries.views))

    @hookimpl
    async def eventer_started(self):
        self.events.append("eventer_started")


def test_in_a_kernel(mtev_kernel):
    stanza = "<eventer><config><loop_web>2</loop_web></config></eventer>"
    modules = "<modules><generic image='user' name='user'/></modules>"
    running = mtev_kernel(f"<app>{stanza}{modules}</app>", plugins=[CONF, EVENTER, User])
    user = running.service(User)
    assert user.events == ["on a loop", "in a job", 6, "eventer_started"]
    assert running.plugin("eventer").state == "running"
    assert running.stop() == ExitCode.OK


def test_its_stanza_behind_an_include_enables_it(mtev_kernel):
    config = "<app><include><eventer><config><loop_web>2</loop_web></config></eventer></include></app>"
    running = mtev_kernel(config, plugins=[CONF, EVENTER])
    assert running.service(Eventer).pool("web").choose().running


def test_a_dying_loop_ends_the_service(mtev_kernel):
    running = mtev_kernel("<app><eventer implementation='asyncio'/></app>", plugins=[CONF, EVENTER])
    loop = running.service(Eventer).default.choose()

    def break_machinery(timeout):
        raise OSError(9, "Bad file descriptor")

    loop.call(setattr, loop.asyncio_loop._selector, "select", break_machinery)
    assert running.wait() == ExitCode.FAILURE
    assert any("the loop 'e:default/0' died" in each.message for each in running.errors)


class Starter(KernelStarter):
    """Starts kernels with the plugin that this one requires, installed or not."""

    def kernel(self, config=None, *, plugins=(), **more):
        return super().kernel(config, plugins=[CONF, *plugins], **more)


class TestConformance(PluginConformance):
    manifest = manifest_of("mtev_eventer")
    factory = EventerPlugin
    config = f"<app>{SAMPLE}</app>"

    @pytest.fixture
    def mtev_kernel(self, tmp_path):
        starter = Starter(tmp_path)
        yield starter
        assert starter.stop_all() == []
