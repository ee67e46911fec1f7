"""The fixtures of `mtev_kernel.testing`, used as a plugin's author would."""

from __future__ import annotations

import sys
import textwrap
import threading
from typing import Protocol

import pytest

from mtev_kernel import (
    ConfigurationError,
    Context,
    ExitCode,
    HookResult,
    ManifestError,
    MtevError,
    Plugin,
    ServiceError,
    discover,
    hookimpl,
    hookspec,
)
from mtev_kernel.testing import NotReady, PlainDocument, inline, write_metadata


class Counter(Protocol):
    value: int


class CounterPlugin(Plugin):
    manifest = 'id = "counter"\nsummary = "Counts."\napi = "1.0"\nstanzas = ["counter"]'

    def __init__(self, context: Context) -> None:
        super().__init__(context)
        self.value = 0
        context.services.publish(Counter, self)

    def configure(self) -> None:
        text = self.context.config.get("start", "0")
        if not text.isdecimal():
            raise ConfigurationError(f"start={text!r} is not a number", self.context.where)
        self.value = int(text)

    async def start(self) -> None:
        self.value += 1


class FailingStop(Plugin):
    manifest = 'id = "failing"\nsummary = "Fails."\napi = "1.0"'

    def stop(self) -> None:
        raise MtevError("will not stop")


def test_a_kernel_serves_until_it_is_stopped(mtev_kernel):
    running = mtev_kernel(plugins=[CounterPlugin])
    assert running.service(Counter).value == 1
    assert running.plugin("counter").state == "running"
    assert running.stop() == ExitCode.OK
    assert running.plugin("counter").state == "stopped"
    assert running.errors == []


def test_hashes_reach_the_plugin(mtev_kernel):
    running = mtev_kernel(plugins=[CounterPlugin], hashes={"counter": {"start": "41"}})
    assert running.service(Counter).value == 42


def test_a_stanza_of_a_plain_document_enables_its_owner(mtev_kernel):
    running = mtev_kernel(PlainDocument(names=["counter"]), plugins=[CounterPlugin])
    assert running.plugin("counter").where == "<test>:1"


def test_several_kernels_do_not_meet(mtev_kernel):
    one = mtev_kernel(plugins=[CounterPlugin])
    other = mtev_kernel(plugins=[CounterPlugin], hashes={"counter": {"start": "9"}})
    assert (one.service(Counter).value, other.service(Counter).value) == (1, 10)


def test_a_kernel_that_does_not_come_up_says_why(mtev_kernel):
    with pytest.raises(NotReady, match=r"start='x' is not a number") as caught:
        mtev_kernel(plugins=[CounterPlugin], hashes={"counter": {"start": "x"}})
    assert caught.value.running.wait() == ExitCode.CONFIG


def test_a_failing_kernel_can_be_waited_for(mtev_kernel):
    running = mtev_kernel(plugins=[CounterPlugin], hashes={"counter": {"start": "x"}}, ready=False)
    assert running.wait() == ExitCode.CONFIG
    assert [problem.plugin for problem in running.errors] == ["counter"]


def test_functions_run_on_the_kernels_loop(mtev_kernel):
    running = mtev_kernel(plugins=[CounterPlugin])

    async def where(suffix):
        return threading.current_thread().name + suffix

    assert running.call(where, "!") == "mtev-kernel!"


def test_unknown_names_are_answered_with_the_known_ones(mtev_kernel):
    running = mtev_kernel(plugins=[CounterPlugin])
    with pytest.raises(ServiceError, match="Counter"):
        running.service(int)
    with pytest.raises(LookupError, match="counter"):
        running.plugin("conter")


def test_a_factory_without_manifest_is_refused(mtev_kernel):
    with pytest.raises(TypeError, match=r"plugin\.toml"):
        mtev_kernel(plugins=[Plugin])
    with pytest.raises(ManifestError):
        inline(Plugin, "id = 1")


def test_what_nobody_looked_at_fails_the_test(pytester_run):
    result = pytester_run(
        """
        from test_kernel_testing import FailingStop

        def test_inattentive(mtev_kernel):
            mtev_kernel(plugins=[FailingStop])

        def test_attentive(mtev_kernel):
            assert mtev_kernel(plugins=[FailingStop]).stop() == 1
        """
    )
    assert "2 passed, 1 error" in result
    assert "the kernel ended with exit code 1" in result
    assert "will not stop" in result


@pytest.fixture
def pytester_run(tmp_path, request):
    """Run a test module in a pytest of its own, and give what that printed."""
    import subprocess

    def run(source):
        (tmp_path / "test_inner.py").write_text(textwrap.dedent(source), encoding="utf-8")
        paths = [str(request.path.parent), *sys.path]
        command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", *_plugin_option(), str(tmp_path)]
        environment = {"PYTHONPATH": ":".join(filter(None, paths)), "PATH": "/usr/bin:/bin"}
        done = subprocess.run(command, capture_output=True, text=True, env=environment, cwd=tmp_path, check=False)
        return done.stdout + done.stderr

    return run


def _plugin_option():
    from importlib.metadata import entry_points

    found = entry_points(group="pytest11", name="mtev_kernel")
    return [] if found else ["-p", "mtev_kernel.testing.pytest_plugin"]


class Points:
    @hookspec
    def something_happened(what: str) -> HookResult | None:
        """It did."""


class Hearer(Plugin):
    heard: str = ""

    @hookimpl
    def something_happened(self, what: str) -> None:
        self.heard = what
        self.context.degraded(f"heard {what}")


def test_a_context_alone_has_hooks_services_and_a_record_of_requests(make_context):
    context = make_context("hearer", config={"a": "b"}, hooks=[Points], services={str: "a service"})
    plugin = Hearer(context)
    context.hooks.attach(plugin)
    call = context.hooks.site(Points.something_happened).call
    assert call is not None
    call("rain")
    assert plugin.heard == "rain"
    assert context.control.reasons == ["heard rain"]
    assert context.services.require(str) == "a service"
    assert context.config["a"] == "b"
    context.request_stop("enough")
    assert context.control.stops == ["plugin 'hearer': enough"]
    waiting = context.reload()
    assert context.control.reloads == [waiting]
    assert not waiting.done(), "it ends as the test wants"
    waiting.set_result(None)
    context.warn("it may rain")
    assert context.control.warnings == ["it may rain"]
    context.healthy()
    assert context.control.reasons == []


def test_a_failing_hook_is_seen_by_the_test(make_context):
    class Deaf(Plugin):
        @hookimpl
        def something_happened(self, what: str) -> None:
            raise ValueError(what)

    context = make_context(hooks=[Points])
    context.hooks.attach(Deaf(context))
    with pytest.raises(ValueError, match="rain"):
        context.hooks.site(Points.something_happened).call("rain")


@pytest.fixture
def project(tmp_path):
    package = tmp_path / "project" / "src" / "acme_sample"
    package.mkdir(parents=True)
    (tmp_path / "project" / "pyproject.toml").write_text(
        textwrap.dedent(
            """
            [project]
            name = "acme-sample"
            version = "1.2.3"
            dependencies = ["mtev-kernel"]

            [project.entry-points."mtev.manifests"]
            "acme.sample" = "acme_sample:plugin.toml"

            [project.entry-points."mtev.plugins"]
            "acme.sample" = "acme_sample:Sample"
            """
        ),
        encoding="utf-8",
    )
    (package / "plugin.toml").write_text('id = "acme.sample"\nsummary = "A sample."\napi = "1.0"\n', encoding="utf-8")
    (package / "__init__.py").write_text(
        "from mtev_kernel import Plugin\n\n\nclass Sample(Plugin):\n    pass\n", encoding="utf-8"
    )
    return tmp_path / "project"


def test_a_project_looks_installed(project, installed_project, mtev_kernel):
    assert installed_project(project) == "acme-sample"
    (found,) = [each for each in discover() if each.name == "acme.sample"]
    assert (found.error, found.label, found.origin) == ("", "acme-sample 1.2.3", "third-party")
    running = mtev_kernel(hashes={"acme.sample": {}})
    assert running.plugin("acme.sample").state == "running"
    sys.modules.pop("acme_sample")


def test_it_does_so_for_one_test_only():
    assert not [each for each in discover() if each.name == "acme.sample"]


def test_a_project_without_plain_metadata_is_refused(tmp_path):
    (tmp_path / "pyproject.toml").write_text('[project]\nname = "x"\ndynamic = ["version"]\n', encoding="utf-8")
    with pytest.raises(MtevError, match="'name' and 'version'"):
        write_metadata(tmp_path, tmp_path / "site")
