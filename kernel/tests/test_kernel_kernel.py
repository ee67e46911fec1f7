"""The kernel as a whole: plugins that behave and plugins that do not, without any configuration file."""

import asyncio
import concurrent.futures
import logging
import re
import threading

import pytest

from mtev_kernel import (
    ABORT,
    ConfigurationError,
    ExitCode,
    Finding,
    InlinePlugin,
    Kernel,
    ModuleRequest,
    MtevError,
    Options,
    Plugin,
    PluginListing,
    PluginOffers,
    ProblemListing,
    RetriableError,
    Stanza,
    hookimpl,
    hookspec,
)
from mtev_kernel.lifecycle import RetryPolicy, Step
from mtev_kernel.manifest import parse_manifest

LIMITS = dict.fromkeys(Step, 10.0)


class Document:
    path = "<test>"

    def __init__(self, *modules, stanzas=()):
        self._modules = modules
        self._stanzas = [Stanza(name, f"t.conf:{line}") for line, name in enumerate(stanzas, 2)]

    def stanzas(self):
        return self._stanzas

    def find(self, claim):
        return next((each.where for each in self._stanzas if each.name == claim), None)

    def modules(self):
        return self._modules

    def dump(self):
        return ""


def generic(name, **fields):
    return ModuleRequest("generic", name.rpartition(":")[2], name, "t.conf:9", **fields)


def plugin(id, requires="", base=Plugin, **steps):
    """A plugin that logs its steps; a step's value is called, raised, or both."""

    class Recording(base):
        log: list = []

        def _do(self, step):
            self.log.append(f"{self.context.name}.{step}")
            act = steps.get(step)
            if isinstance(act, BaseException):
                raise act
            return act(self) if act else None

        def configure(self):
            return self._do("configure")

        def validate(self):
            return self._do("validate")

        async def start(self):
            result = self._do("start")
            if result is not None:
                await result

        def post_init(self):
            return self._do("post_init")

        def drain(self):
            return self._do("drain")

        async def stop(self):
            self._do("stop")

    if "run" in steps:

        async def run(self):
            await steps["run"](self)

        Recording.run = run
    manifest = parse_manifest(
        f'id = "{id}"\nsummary = "s"\napi = "1.0"\nrequires = {requires.split()!r}\nstanzas = ["{id}"]\n'
    )
    return InlinePlugin(manifest, Recording, f"{id}-dist 1.0")


class Service:
    """A kernel with its log, run until it is ready and then stopped, unless it ends by itself."""

    def __init__(self, *plugins, document=None, log=None, **options):
        self.log = [] if log is None else log
        for each in plugins:
            each.factory.log = self.log
        document = document or Document(stanzas=[each.manifest.id for each in plugins])
        options.setdefault("limits_s", LIMITS)
        self.kernel = Kernel(document=document, found=[], inline=plugins, options=Options(**options))

    def run(self, when_ready=None):
        def ready():
            self.log.append("READY")
            if when_ready is None:
                self.kernel.request_stop("the test is over")
            else:
                when_ready(self.kernel)

        return asyncio.run(asyncio.wait_for(self.kernel.run(ready), 30))

    def check(self):
        return asyncio.run(asyncio.wait_for(self.kernel.check(), 30))

    def record(self, name):
        return next(each for each in self.kernel.plugins() if each.name == name)


def test_a_service_comes_up_in_order_and_goes_down_in_reverse():
    service = Service(plugin("a", "b"), plugin("b"))
    assert service.run() is ExitCode.OK
    assert service.log == [
        *["b.configure", "a.configure", "b.validate", "a.validate", "b.start", "a.start"],
        *["b.post_init", "a.post_init", "READY", "a.drain", "b.drain", "a.stop", "b.stop"],
    ]
    assert service.record("a").state == "stopped"
    assert set(service.record("a").seconds) == {"load", "configure", "validate", "start", "post-init", "drain", "stop"}


def test_a_check_starts_nothing():
    service = Service(plugin("a"))
    assert service.check() == []
    assert service.log == ["a.configure", "a.validate"]


def test_a_check_reports_every_problem_with_place_and_owner():
    service = Service(
        plugin("a", configure=ConfigurationError("bad port", "t.conf:2")),
        plugin("b", validate=MtevError("unknown type")),
        document=Document(stanzas=["a", "b", "zzz"]),
    )
    problems = service.check()
    assert [(each.severity, each.plugin, each.distribution, each.message) for each in problems] == [
        ("warning", "", "", "t.conf:4: no installed plugin owns <zzz>; it has no effect here"),
        ("error", "a", "a-dist 1.0", "t.conf:2: bad port"),
        ("error", "b", "b-dist 1.0", "unknown type"),
    ]


@pytest.mark.parametrize(
    ("step", "error", "code"),
    [
        ("configure", ConfigurationError("bad"), ExitCode.CONFIG),
        ("start", MtevError("no disk"), ExitCode.FAILURE),
        ("start", ZeroDivisionError(), ExitCode.FAILURE),
        ("start", SystemExit(0), ExitCode.FAILURE),
        ("post_init", MtevError("late"), ExitCode.FAILURE),
    ],
)
def test_a_failure_under_fail_ends_the_service_and_names_plugin_and_distribution(step, error, code, caplog):
    service = Service(plugin("a"), plugin("b", "a", **{step: error}))
    assert service.run() is code
    assert "READY" not in service.log
    assert service.log.count("a.stop") == service.log.count("a.start")
    assert service.log.count("b.stop") == service.log.count("b.start")
    said = step.replace("_", "-")
    assert f"plugin 'b' (b-dist 1.0) failed in step '{said}'" in caplog.text
    assert 'the service cannot go on (on-error="fail")' in caplog.text


def test_an_expected_error_comes_without_a_traceback_and_an_unexpected_one_with(caplog):
    Service(plugin("a", start=MtevError("plain words"))).run()
    assert "Traceback" not in caplog.text
    Service(plugin("a", start=ZeroDivisionError())).run()
    assert "Traceback" in caplog.text


def test_a_failure_under_ignore_leaves_the_rest_running(caplog):
    document = Document(generic("b", on_error="ignore"), stanzas=["a"])
    service = Service(plugin("a"), plugin("b", start=MtevError("no disk")), document=document)
    assert service.run() is ExitCode.OK
    assert "READY" in service.log
    assert "the service goes on without it" in caplog.text
    assert (service.record("b").state, service.record("b").cause) == ("failed", "start: no disk")


def test_a_retriable_failure_is_retried_until_it_works():
    attempts = []

    def sometimes(self):
        attempts.append(1)
        if len(attempts) < 3:
            raise RetriableError("not yet")
        self.context.request_stop("it works")

    document = Document(generic("b", on_error="retry"), stanzas=["a"])
    service = Service(plugin("a"), plugin("b", start=sometimes), document=document, retry=RetryPolicy(first_s=0.01))
    assert service.run(lambda kernel: None) is ExitCode.OK
    assert service.log.count("b.start") == 3
    assert service.log.count("b.stop") == 3
    assert service.log.index("READY") < len(service.log) - 1 - service.log[::-1].index("b.start")


def test_strict_makes_every_failure_fatal():
    document = Document(generic("b", on_error="ignore"), stanzas=["a"])
    service = Service(plugin("a"), plugin("b", start=MtevError("no disk")), document=document, strict=True)
    assert service.run() is ExitCode.FAILURE


def test_a_hanging_start_is_cut_off_and_named(caplog):
    service = Service(
        plugin("a"), plugin("b", "a", start=lambda self: asyncio.Event().wait()), limits_s={**LIMITS, Step.START: 0.05}
    )
    assert service.run() is ExitCode.FAILURE
    assert "plugin 'b' (b-dist 1.0) failed in step 'start': it did not end within 0.05 s" in caplog.text
    assert service.log[-2:] == ["b.stop", "a.stop"]


def test_a_time_limit_can_be_set_in_the_configuration():
    document = Document(generic("a", attributes={"start-timeout": "0.05"}))
    service = Service(plugin("a", start=lambda self: asyncio.Event().wait()), document=document)
    assert service.run() is ExitCode.FAILURE
    document = Document(generic("a", attributes={"start-timeout": "soon"}))
    service = Service(plugin("a"), document=document)
    assert service.run() is ExitCode.CONFIG
    assert 't.conf:9: start-timeout="soon" is not a number of seconds above 0' in service.kernel.problems[0].message


def test_a_stop_request_cuts_a_slow_start_short():
    service = Service(plugin("a"))

    async def slow(self):
        self.context.request_stop("changed my mind")
        await asyncio.Event().wait()

    service = Service(plugin("a"), plugin("b", "a", start=lambda self: slow(self)))
    assert service.run() is ExitCode.OK
    assert service.log[-3:] == ["a.drain", "b.stop", "a.stop"]


def test_a_hanging_stop_does_not_keep_the_others_from_stopping(caplog):
    release = threading.Event()
    service = Service(plugin("a"), plugin("b", "a", drain=lambda self: release.wait()), shutdown_timeout_s=0.6)
    assert service.run() is ExitCode.FAILURE
    release.set()
    assert service.log[-2:] == ["b.stop", "a.stop"]
    assert "plugin 'b' (b-dist 1.0) failed in step 'drain'" in caplog.text
    assert "stopping goes on" in caplog.text


def test_one_image_runs_twice_with_its_own_configuration():
    seen = {}
    document = Document(generic("one:a", config={"n": "1"}), generic("two:a", config={"n": "2"}))
    recording = plugin("a", configure=lambda self: seen.update({self.context.name: self.context.config["n"]}))
    service = Service(recording, document=document)
    assert service.run() is ExitCode.OK
    assert seen == {"one:a": "1", "two:a": "2"}


def test_a_loader_loads_what_asks_for_it():
    class Loading(Plugin):
        def load(self, request):
            assert request.image == "script.x"
            return made.factory

    made = plugin("made")
    loader = plugin("scripts", base=Loading)
    document = Document(
        ModuleRequest("generic", "script.x", "hello", "t.conf:3", loader="scripts"),
        ModuleRequest("loader", "scripts", "scripts", "t.conf:4"),
    )
    log = []
    made.factory.log = log
    service = Service(loader, document=document, log=log)
    assert service.run() is ExitCode.OK
    assert log[:2] == ["scripts.configure", "hello.configure"]


def test_a_missing_requirement_says_what_to_install_and_has_its_own_exit_code(caplog):
    service = Service(plugin("a", "http"))
    assert service.run() is ExitCode.UNAVAILABLE
    assert "plugin 'a' (a-dist 1.0) requires 'http', which is not there: pip install mtev-http" in caplog.text


def test_a_cancellation_of_its_own_is_a_failure_like_any_other(caplog):
    async def cancelled():
        raise asyncio.CancelledError

    def waits_for_something_cancelled(self):
        future = concurrent.futures.Future()
        future.cancel()
        future.result()

    async def run(self):
        raise asyncio.CancelledError

    assert Service(plugin("a", start=lambda self: cancelled())).run() is ExitCode.FAILURE
    assert Service(plugin("a", configure=waits_for_something_cancelled)).run() is ExitCode.FAILURE
    assert Service(plugin("a", run=run)).run(lambda kernel: None) is ExitCode.FAILURE
    assert caplog.text.count("it was cancelled by something of its own") >= 3


def test_a_run_that_dies_ends_the_service_under_fail():
    async def die(self):
        await asyncio.sleep(0)
        raise ZeroDivisionError

    service = Service(plugin("a", run=die))
    assert service.run(lambda kernel: None) is ExitCode.FAILURE
    assert service.record("a").cause == "run: ZeroDivisionError"


def test_a_run_that_dies_under_ignore_degrades_what_requires_it():
    async def die(self):
        raise MtevError("gone")

    async def watch(self):
        listing = self.context.services.require(PluginListing)
        for _ in range(1000):
            states = {each.name: (each.state, each.cause) for each in listing.plugins()}
            if states["a"][0] == "failed":
                break
            await asyncio.sleep(0.001)
        self.context.request_stop(str(states["b"]))

    document = Document(generic("a", on_error="ignore"), generic("b"))
    service = Service(plugin("a", run=die), plugin("b", "a", run=watch), document=document)
    assert service.run(lambda kernel: None) is ExitCode.OK
    assert service.kernel._stop_reason == "plugin 'b': ('degraded', \"it requires plugin 'a', which is failed\")"


def test_run_and_spawned_tasks_end_before_stop():
    ended = []

    async def forever(self):
        try:
            await asyncio.Event().wait()
        finally:
            ended.append("task")

    service = Service(
        plugin("a", run=forever, post_init=lambda self: self.context.spawn(lambda: forever(self), "more"))
    )
    assert service.run() is ExitCode.OK
    assert ended == ["task", "task"]
    assert service.log[-1] == "a.stop"


def test_degraded_and_healthy_show_in_the_listing():
    states = []

    async def act(self):
        listing = self.context.services.require(PluginListing)
        self.context.degraded("disk full")
        states.append(next(each for each in listing.plugins() if each.name == "a"))
        self.context.healthy()
        states.append(next(each for each in listing.plugins() if each.name == "a"))
        self.context.request_stop("done")

    Service(plugin("a", run=act)).run(lambda kernel: None)
    assert [(each.state, each.cause) for each in states] == [("degraded", "disk full"), ("running", "")]


def test_a_warning_is_logged_and_kept_once_as_a_problem(caplog):
    def warn_twice(self):
        self.context.warn("t.conf:3: doubtful")
        self.context.warn("t.conf:3: doubtful")

    service = Service(plugin("a", configure=warn_twice))
    [problem] = service.check()
    assert (problem.severity, problem.plugin, problem.message) == ("warning", "a", "t.conf:3: doubtful")
    assert "doubtful" in caplog.text
    assert Service(plugin("a", configure=warn_twice)).run() is ExitCode.OK


class Specs:
    @hookspec
    def app_event(number):
        """Something happened."""


def test_plugins_declare_hooks_for_each_other_and_lose_them_when_they_stop():
    heard = []

    class Declaring(Plugin):
        def __init__(self, context):
            super().__init__(context)
            context.hooks.declare(Specs)
            self.site = context.hooks.site(Specs.app_event)

    class Hearing(Plugin):
        @hookimpl
        def app_event(self, number):
            heard.append(number)

    service = Service(plugin("a", base=Declaring, post_init=lambda self: self.site.call(7)), plugin("b", base=Hearing))
    assert service.run() is ExitCode.OK
    assert heard == [7]


def test_an_implementation_of_an_unknown_hook_fails_its_plugin_with_a_suggestion(caplog):
    class Hearing(Plugin):
        @hookimpl
        def mtev_reloaded(self):
            pass

    service = Service(plugin("b", base=Hearing))
    assert service.run() is ExitCode.FAILURE
    assert "plugin 'b' (b-dist 1.0) failed in step 'validate'" in caplog.text
    assert "did you mean 'mtev_reload'?" in caplog.text


def test_the_kernels_own_hooks_are_called():
    heard = []

    class Hearing(Plugin):
        @hookimpl
        async def dso_post_init(self):
            heard.append("post-init")

        @hookimpl
        def mtev_stopping(self, reason):
            heard.append(reason)

        @hookimpl
        def mtev_plugin_state(self, plugin, old, new):
            heard.append((plugin, old, new))

    service = Service(plugin("b", base=Hearing))
    service.run()
    assert heard[0] == ("b", "found", "loaded")
    assert heard.index("post-init") > heard.index(("b", "started", "running"))
    assert heard.index("the test is over") < heard.index(("b", "running", "draining"))


@pytest.mark.parametrize("hook", ["mtev_stopping", "mtev_plugin_state"])
def test_a_raising_hook_of_the_kernels_own_never_keeps_it_from_stopping(hook):
    class Raising(Plugin):
        pass

    def broken(self):
        raise MtevError("no")

    setattr(Raising, hook, hookimpl(specname=hook)(broken))
    for strict, code in ((False, ExitCode.OK), (True, ExitCode.FAILURE)):
        service = Service(plugin("a"), plugin("b", base=Raising), strict=strict)
        assert service.run() is code
        assert service.log.count("b.stop") == service.log.count("b.start")
        assert service.log.count("a.stop") == service.log.count("a.start")


def test_an_aborted_post_init_fails_the_start():
    class Aborting(Plugin):
        @hookimpl
        async def dso_post_init(self):
            return ABORT

    service = Service(plugin("b", base=Aborting))
    assert service.run() is ExitCode.FAILURE
    assert "READY" not in service.log


def test_a_raising_post_init_hook_fails_its_plugin_under_its_policy():
    class Raising(Plugin):
        @hookimpl
        async def dso_post_init(self):
            raise MtevError("no")

    assert Service(plugin("b", base=Raising)).run() is ExitCode.FAILURE
    document = Document(generic("b", on_error="ignore"))
    assert Service(plugin("b", base=Raising), document=document).run() is ExitCode.OK


class Reading(Plugin):
    """A provider of configurations that are a list of stanza names, one a line."""

    def open(self, path):
        self.path = path
        return self.reload()

    def reload(self):
        with open(self.path, encoding="utf-8") as file:
            names = file.read().split()
        if "broken" in names:
            raise ConfigurationError("it is broken", f"{self.path}:1")
        return Document(stanzas=names)


READER = InlinePlugin(
    parse_manifest('id = "reader"\nsummary = "s"\napi = "1.0"\nprovides = ["configuration"]\n'), Reading, "reader 1"
)


def test_the_configuration_is_read_by_whoever_provides_it(tmp_path):
    (tmp_path / "app.conf").write_text("a")
    recording = plugin("a")
    recording.factory.log = log = []
    kernel = Kernel(str(tmp_path / "app.conf"), found=[], inline=[READER, recording])
    assert asyncio.run(kernel.run(lambda: kernel.request_stop("done"))) is ExitCode.OK
    assert "a.start" in log


@pytest.mark.parametrize(
    ("content", "inline", "code", "complaint"),
    [
        ("broken", [READER], ExitCode.CONFIG, "app.conf:1: it is broken"),
        (None, [READER], ExitCode.NO_INPUT, "app.conf: No such file or directory"),
        ("a", [], ExitCode.UNAVAILABLE, "no installed plugin can read a configuration"),
    ],
)
def test_a_configuration_that_cannot_be_read(tmp_path, content, inline, code, complaint):
    path = tmp_path / "app.conf"
    if content is not None:
        path.write_text(content)
    kernel = Kernel(str(path), found=[], inline=inline)
    assert asyncio.run(kernel.run()) is code
    assert complaint in kernel.problems[0].message


def test_a_reload_tells_the_plugins_and_a_broken_one_changes_nothing(tmp_path, caplog):
    caplog.set_level(logging.INFO)
    path = tmp_path / "app.conf"
    path.write_text("b")
    told = []

    class Hearing(Plugin):
        @hookimpl
        async def mtev_reload(self):
            told.append(kernel.document)
            kernel.request_stop("done")

    async def scenario():
        def ready():
            path.write_text("broken")
            kernel.request_reload()
            asyncio.get_running_loop().call_later(0.05, again)

        def again():
            assert told == []
            path.write_text("b c")
            kernel.request_reload()

        return await asyncio.wait_for(kernel.run(ready), 20)

    recording = plugin("b", base=Hearing)
    recording.factory.log = []
    kernel = Kernel(str(path), found=[], inline=[READER, recording])
    assert asyncio.run(scenario()) is ExitCode.OK
    assert [each.name for each in told[0].stanzas()] == ["b", "c"]
    assert "the configuration in force stays" in caplog.text


def test_several_kernels_live_side_by_side():
    services = [Service(plugin("a")) for _ in range(3)]
    threads = [threading.Thread(target=each.run) for each in services]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert all(each.log[-1] == "a.stop" for each in services)


def test_a_stop_asked_for_before_the_start_is_honoured():
    service = Service(plugin("a"))
    service.kernel.request_stop("never mind")
    assert service.run() is ExitCode.OK
    assert "a.start" not in service.log


# What a provider finds in the document, for a check


class Inspecting(Reading):
    """A provider that finds what the class attribute says."""

    findings: object = ()

    def inspect(self):
        known = self.context.services.require(ProblemListing).problems
        offers = self.context.services.require(PluginOffers).offers()
        self.context.log.info(
            "known: %s, offered: %s", [each.message for each in known], [each.name for each in offers]
        )
        if isinstance(self.findings, Exception):
            raise self.findings
        return self.findings


def inspecting(findings):
    provider = type("Provider", (Inspecting,), {"findings": findings})
    return InlinePlugin(READER.manifest, provider, "reader 1")


def checked(path, inline, **how):
    kernel = Kernel(str(path), found=[], inline=inline)
    return asyncio.run(asyncio.wait_for(kernel.check(**how), 30))


def test_a_check_ends_with_what_the_provider_finds_also_when_plugins_failed(tmp_path, caplog):
    caplog.set_level(logging.INFO, "mtev")
    path = tmp_path / "app.conf"
    path.write_text("a zzz")
    wrong = plugin("a", configure=ConfigurationError("bad port", "app.conf:1"))
    wrong.factory.log = []
    findings = [
        Finding("app.conf:1: bad port", "error", "a", "a-dist 1.0"),  # what the plugin has said is not said again
        Finding("app.conf:2:7: 'prot' is hardly meant", "warning", "a", "a-dist 1.0"),
        Finding("app.conf:3: nobody has the id 'x'", "error"),
        Finding("app.conf:3: nobody has the id 'x'", "error"),
    ]
    problems = checked(path, [inspecting(findings), wrong])
    assert [(each.message, each.severity, each.plugin, each.distribution) for each in problems[1:]] == [
        ("app.conf:1: bad port", "error", "a", "a-dist 1.0"),
        ("app.conf:2:7: 'prot' is hardly meant", "warning", "a", "a-dist 1.0"),
        ("app.conf:3: nobody has the id 'x'", "error", "", ""),
    ]
    assert "zzz" in problems[0].message
    assert problems[3].code is ExitCode.CONFIG
    assert re.search(r"known: \[.*zzz.*bad port.*\], offered: \['a', 'reader'\]", caplog.text)


def test_modules_that_cannot_be_do_not_keep_the_provider_from_looking(tmp_path):
    class Malformed(Document):
        def modules(self):
            raise ConfigurationError("a module without a name", "app.conf:4")

    class Provider(Inspecting):
        findings = (Finding("app.conf:5: more", "error"),)

        def reload(self):
            return Malformed()

    (tmp_path / "app.conf").write_text("")
    problems = checked(tmp_path / "app.conf", [InlinePlugin(READER.manifest, Provider, "reader 1")])
    assert [each.message for each in problems] == ["app.conf:4: a module without a name", "app.conf:5: more"]


def test_a_document_that_cannot_be_read_is_not_looked_through(tmp_path):
    (tmp_path / "app.conf").write_text("broken")
    (problem,) = checked(tmp_path / "app.conf", [inspecting([Finding("never", "error")])])
    assert "it is broken" in problem.message


@pytest.mark.parametrize(
    ("findings", "message"),
    [
        (MtevError("no schemas today"), "the document could not be looked through: no schemas today"),
        (ZeroDivisionError("oh"), "the document could not be looked through: ZeroDivisionError: oh"),
    ],
)
def test_a_provider_that_fails_to_look_is_a_problem_with_its_name(tmp_path, caplog, findings, message):
    (tmp_path / "app.conf").write_text("")
    (problem,) = checked(tmp_path / "app.conf", [inspecting(findings)])
    assert (problem.message, problem.severity) == (message, "error")
    assert (problem.plugin, problem.distribution) == ("reader", "reader 1")
    assert ("Traceback" in caplog.text) is isinstance(findings, ZeroDivisionError)


def test_a_check_can_do_without_and_a_service_does(tmp_path):
    (tmp_path / "app.conf").write_text("")
    inline = [inspecting([Finding("found", "error")])]
    assert checked(tmp_path / "app.conf", inline, inspect=False) == []
    kernel = Kernel(str(tmp_path / "app.conf"), found=[], inline=inline)
    assert asyncio.run(kernel.run(lambda: kernel.request_stop("done"))) is ExitCode.OK


def test_the_kernel_says_what_there_is_to_choose_from():
    service = Service(plugin("b"), plugin("a"))
    offers = service.kernel.services.find(PluginOffers).offers()
    assert [(each.name, each.distribution) for each in offers] == [("a", "a-dist 1.0"), ("b", "b-dist 1.0")]


# Reloads whose outcome somebody waits for


class Asking(Plugin):
    """Asks for reloads on behalf of the test, from a thread, and hears of each that succeeds."""

    def __init__(self, context):
        super().__init__(context)
        self.told = []
        self.script = lambda plugin: None

    @hookimpl
    async def mtev_reload(self):
        self.told.append(1)

    async def run(self):
        try:
            await asyncio.to_thread(type(self).script, self)
        finally:
            self.context.request_stop("done")


def asking(tmp_path, script, provider=Reading):
    """Run a service with a script in a thread of it; what the script raised is raised here."""
    path = tmp_path / "app.conf"
    path.write_text("b")
    raised = []

    def watched(self):
        try:
            script(self, path)
        except BaseException as error:
            raised.append(error)

    base = type("Script", (Asking,), {"script": watched})
    inline = [InlinePlugin(READER.manifest, provider, "r 1"), InlinePlugin(plugin("b").manifest, base, "b 1")]
    kernel = Kernel(str(path), found=[], inline=inline)
    assert asyncio.run(asyncio.wait_for(kernel.run(), 30)) is ExitCode.OK
    for error in raised:
        raise error
    return kernel


def test_a_reload_ends_when_everybody_has_been_told(tmp_path):
    def script(asked, path):
        path.write_text("b c")
        assert asked.context.reload().result(20) is None
        assert asked.told == [1]

    kernel = asking(tmp_path, script)
    assert [each.name for each in kernel.document.stanzas()] == ["b", "c"]


def test_a_reload_that_is_refused_says_why_and_leaves_the_document(tmp_path):
    def script(asked, path):
        path.write_text("b broken")
        with pytest.raises(ConfigurationError, match="app.conf:1: it is broken"):
            asked.context.reload().result(20)
        path.unlink()
        with pytest.raises(FileNotFoundError):
            asked.context.reload().result(20)
        assert asked.told == []

    kernel = asking(tmp_path, script)
    assert [each.name for each in kernel.document.stanzas()] == ["b"]


def test_those_who_ask_before_a_reading_begins_share_it_and_none_can_cancel_it(tmp_path):
    loop = []

    class Provider(Reading):
        async def start(self):
            loop.append(asyncio.get_running_loop())

    def script(asked, path):
        async def both():  # on the kernel's loop: nothing is read between the two
            return asked.context.reload(), asked.context.reload()

        first, second = asyncio.run_coroutine_threadsafe(both(), loop[0]).result(20)
        assert not first.cancel()
        assert (first.result(20), second.result(20), asked.told) == (None, None, [1])
        asked.context.reload().result(20)
        assert asked.told == [1, 1]

    asking(tmp_path, script, Provider)


def test_nobody_waits_for_a_reload_that_will_not_come(tmp_path):
    (tmp_path / "app.conf").write_text("b")
    futures = []

    class Late(Plugin):
        def configure(self):
            futures.append(self.context.reload())  # before the service is up: read when it is

        async def drain(self):
            futures.append(self.context.reload())

    inline = [READER, InlinePlugin(plugin("b").manifest, Late, "b 1")]
    kernel = Kernel(str(tmp_path / "app.conf"), found=[], inline=inline)

    def ready():
        kernel.request_stop("done")
        futures.append(kernel.reload())

    assert asyncio.run(kernel.run(ready)) is ExitCode.OK
    futures.append(kernel.reload())
    assert len(futures) == 4
    for future in futures:
        with pytest.raises(MtevError, match="is not read again: the service stops"):
            future.result(0)


def test_a_check_reads_once(tmp_path):
    (tmp_path / "app.conf").write_text("b")
    futures = []
    wishing = plugin("b", configure=lambda self: futures.append(self.context.reload()))
    wishing.factory.log = []
    assert checked(tmp_path / "app.conf", [READER, wishing]) == []
    with pytest.raises(MtevError, match="is not read again"):
        futures[0].result(0)


def test_what_came_from_no_file_cannot_be_read_again(caplog):
    service = Service(plugin("a"))
    futures = []

    def ready(kernel):
        futures.append(kernel.reload())
        futures[0].add_done_callback(lambda future: kernel.request_stop("done"))

    assert service.run(ready) is ExitCode.OK
    with pytest.raises(MtevError, match="it came from no file"):
        futures[0].result(0)
    assert "nothing to reload" in caplog.text


def test_a_kernel_that_is_cancelled_leaves_nobody_waiting(tmp_path):
    (tmp_path / "app.conf").write_text("b")
    began, release, futures = threading.Event(), threading.Event(), []

    class Slow(Reading):
        def reload(self):
            if futures:
                began.set()
                release.wait(20)
            return super().reload()

    quiet = plugin("b")
    quiet.factory.log = []
    kernel = Kernel(str(tmp_path / "app.conf"), found=[], inline=[InlinePlugin(READER.manifest, Slow, "r 1"), quiet])

    async def scenario():
        ready = asyncio.Event()
        task = asyncio.create_task(kernel.run(ready.set))
        await ready.wait()
        futures.append(kernel.reload())
        await asyncio.to_thread(began.wait, 20)
        task.cancel()
        await asyncio.wait({task})
        return task.cancelled()

    try:
        assert asyncio.run(scenario())
    finally:
        release.set()
    with pytest.raises(MtevError, match="the service has ended meanwhile"):
        futures[0].result(0)
