"""The conformance suite: it passes a good plugin, and catches each thing that it is there for."""

from __future__ import annotations

import asyncio
import os
import threading
from pathlib import Path
from typing import ClassVar

import pytest

from mtev_kernel import CONTINUE, HookResult, Plugin, RetriableError, hookimpl, hookspec
from mtev_kernel.testing import NotReady, PluginConformance

MANIFEST = """
id = "sample"
summary = "A sample."
api = "1.0"
security = "none of its own"
hooks = ["sample_taken"]
implements = ["mtev_plugin_state", "unheard_of"]
"""


class Points:
    @hookspec
    def sample_taken() -> HookResult | None:
        """Somebody took a sample."""


class Good(Plugin):
    thread: threading.Thread | None = None

    def __init__(self, context):
        super().__init__(context)
        context.hooks.declare(Points)
        self._end = threading.Event()

    def start(self):
        self.thread = threading.Thread(target=self._end.wait, name="sample")
        self.thread.start()

    def stop(self):
        self._end.set()
        if self.thread is not None:
            self.thread.join()

    @hookimpl
    def mtev_plugin_state(self, plugin, new):
        return CONTINUE

    @hookimpl(optional=True)
    def unheard_of(self):
        return CONTINUE


class Asynchronous(Good):
    async def start(self):
        await asyncio.sleep(0)
        super().start()
        await asyncio.sleep(0)

    async def stop(self):
        super().stop()


class TestGood(PluginConformance):
    manifest = MANIFEST
    factory = Good
    readme = Path(__file__)


class TestAsynchronous(PluginConformance):
    manifest = MANIFEST
    factory = Asynchronous
    readme = Path(__file__)


class ThreadInConstructor(Good):
    ended = threading.Event()

    def __init__(self, context):
        super().__init__(context)
        threading.Thread(target=self.ended.wait, name="too early").start()


class EnvironmentInConstructor(Good):
    def __init__(self, context):
        super().__init__(context)
        os.environ["SAMPLE"] = "set"


class FileInConfigure(Good):
    kept: ClassVar[list[int]] = []

    def configure(self):
        self.kept.append(os.open(os.devnull, os.O_RDONLY))


class StopsOnlyWhatStarted(Good):
    def stop(self):
        self._end.set()
        self.thread.join()


class LeavesThread(Good):
    ended = threading.Event()

    def start(self):
        threading.Thread(target=self.ended.wait, name=f"left behind {id(self)}").start()


class Undeclared(Good):
    @hookimpl(optional=True)
    def another(self):
        return CONTINUE


class OnlyOnce(Good):
    started = False

    def start(self):
        if OnlyOnce.started:
            raise RetriableError("the port is busy")
        OnlyOnce.started = True


@pytest.mark.parametrize(
    ("factory", "test", "arguments", "message"),
    [
        (ThreadInConstructor, "test_constructor_has_no_side_effects", (), "constructor left something"),
        (EnvironmentInConstructor, "test_constructor_has_no_side_effects", (), "constructor left something"),
        (FileInConfigure, "test_configured_and_thrown_away", (), "configuring without starting"),
        (StopsOnlyWhatStarted, "test_stops_after_half_a_start", ("before it began",), "half a start"),
        (LeavesThread, "test_starts_and_stops_again", (), "left something behind"),
        (Undeclared, "test_manifest_says_the_same_as_the_code", (), "'implements' is not"),
        (OnlyOnce, "test_starts_and_stops_again", (), "port is busy"),
    ],
)
def test_faults_are_caught(mtev_kernel, monkeypatch, factory, test, arguments, message):
    suite = type("Suite", (PluginConformance,), {"manifest": MANIFEST, "factory": factory})()
    monkeypatch.setenv("SAMPLE", "unset")
    ThreadInConstructor.ended.clear()
    LeavesThread.ended.clear()
    try:
        with pytest.raises((AssertionError, NotReady), match=message):
            getattr(suite, test)(mtev_kernel, *arguments)
    finally:
        for cause in (ThreadInConstructor, LeavesThread):
            cause.ended.set()
        for descriptor in FileInConfigure.kept:
            os.close(descriptor)
        FileInConfigure.kept.clear()


@pytest.mark.parametrize(
    ("manifest", "message"),
    [(MANIFEST.replace("A sample.", " "), "summary"), (MANIFEST.replace("none of its own", ""), "security")],
)
def test_a_manifest_that_says_too_little_is_caught(manifest, message):
    suite = type("Suite", (PluginConformance,), {"manifest": manifest, "factory": Good})()
    with pytest.raises(Exception, match=message):
        suite.test_manifest_can_be_used()


def test_a_readme_that_keeps_quiet_is_caught(tmp_path):
    readme = tmp_path / "README.md"
    suite = type("Suite", (PluginConformance,), {"manifest": MANIFEST, "factory": Good, "readme": readme})()
    readme.write_text("# sample\n", encoding="utf-8")
    with pytest.raises(AssertionError, match="sample_taken"):
        suite.test_readme_names_everything()
    readme.write_text("# sample\n\nDeclares `sample_taken`.\n", encoding="utf-8")
    suite.test_readme_names_everything()


def test_a_suite_without_a_subject_says_what_to_state():
    with pytest.raises(pytest.fail.Exception, match="'plugin', or 'manifest' and 'factory'"):
        type("Suite", (PluginConformance,), {})().test_manifest_can_be_used()
    with pytest.raises(pytest.fail.Exception, match="no plugin 'absent' is installed"):
        type("Suite", (PluginConformance,), {"plugin": "absent"})().test_manifest_can_be_used()
