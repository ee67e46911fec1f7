"""The conformance suite: what every plugin must do, as tests that its author inherits.

    class TestGreeter(PluginConformance):
        plugin = "acme.greeter"
        config = "<app>...</app>"      # what enables it, with port="0"; not needed when <modules> alone does

Rules that it proves:

1. The manifest can be used, and says the same as the code about hooks.
2. The constructor has no side effects.
3. A plugin can be configured and then thrown away.
4. It starts and stops, and leaves nothing behind.
5. `stop` works after a start that did not begin, that was cut short, or that failed at its very end.
6. It starts and stops again in the same process.
7. Its README names its hooks, its stanzas, and the options of its sample.
"""

from __future__ import annotations

import asyncio
import gc
import importlib.util
import inspect
import logging
import os
import re
import threading
import time
import xml.etree.ElementTree as ElementTree
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from ..discovery import discover
from ..document import Document
from ..errors import MtevError
from ..exitcodes import ExitCode
from ..hooks import HookRegistry
from ..loader import load_factory
from ..manifest import Manifest, api_problem, parse_manifest
from ..plugin import Context, Factory, Plugin
from ..records import InlinePlugin
from ._running import KernelStarter, RunningKernel

__all__ = ["PluginConformance"]

_SETTLING_S = 3.0
_CUT = "cut short by the conformance suite"


class PluginConformance:
    """Inherit from this in a test class whose name begins with `Test`.

    Attributes:
        plugin: id of an installed plugin (see the fixture `installed_project`); or else
        manifest: a manifest or its text, and
        factory: what makes the plugin.
        config: a configuration that enables it: text, path or document. By default, one that names it in `<modules>`.
        hashes: with no `config`, the `<config>` hash of each plugin, by id.
        readme: its README; by default the one beside the test file or in the directory above.
    """

    plugin: str = ""
    manifest: Manifest | str | None = None
    factory: Factory | None = None
    config: str | Path | Document | None = None
    hashes: Mapping[str, Mapping[str, str]] | None = None
    readme: Path | None = None

    def test_manifest_can_be_used(self) -> None:
        """Rule 1: discovery accepts it, and it says what the plugin is for."""
        manifest = self._subject().manifest
        assert api_problem(manifest) == ""
        assert manifest.summary, "the manifest has no 'summary'"
        assert manifest.security, "the manifest says nothing under 'security': who can make this plugin do what?"

    def test_manifest_says_the_same_as_the_code(self, mtev_kernel: KernelStarter) -> None:
        """Rule 1: `hooks` and `implements` are what the plugin declares and attaches to."""
        subject = self._subject()
        running = self._start(mtev_kernel, subject)
        declared, attached = _hooks_of(running, subject.manifest.id)
        assert declared == set(subject.manifest.hooks), "'hooks' of the manifest is not what the plugin declares"
        assert attached == set(subject.manifest.implements), "'implements' is not what the plugin attaches to"

    def test_constructor_has_no_side_effects(self, mtev_kernel: KernelStarter) -> None:
        """Rule 2: no threads, files, sockets, environment, working directory or log handlers."""
        subject = self._subject()
        seen: list[tuple[_Traces, _Traces]] = []

        def watched(context: Context) -> Plugin:
            before = _Traces.now()
            plugin = subject.factory(context)
            seen.append((before, _Traces.now()))
            return plugin

        self._check(mtev_kernel, subject, watched)
        assert seen, "the configuration does not enable the plugin"
        before, after = seen[0]
        assert after == before.without_ended(after), "the constructor left something behind"

    def test_configured_and_thrown_away(self, mtev_kernel: KernelStarter) -> None:
        """Rule 3: what `--check` does, twice."""
        subject = self._subject()
        self._check(mtev_kernel, subject, subject.factory)
        before = _Traces.now()
        self._check(mtev_kernel, subject, subject.factory)
        assert _Traces.settled(before) == before, "configuring without starting left something behind"

    def test_starts_and_stops_again(self, mtev_kernel: KernelStarter) -> None:
        """Rules 4 and 6: three times in a row; after the first, nothing new stays."""
        subject = self._subject()
        traces: list[_Traces] = []
        for _ in range(3):
            running = self._start(mtev_kernel, subject)
            states = {each.state for each in running.plugins() if each.plugin == subject.manifest.id}
            assert states == {"running"}
            assert running.stop() == ExitCode.OK, running.errors
            traces.append(_Traces.settled(traces[-1] if traces else None))
        assert traces[2] == traces[1], "starting and stopping left something behind"

    @pytest.mark.parametrize("cut", ["before it began", "at its first await", "after its end"])
    def test_stops_after_half_a_start(self, mtev_kernel: KernelStarter, cut: str) -> None:
        """Rule 5."""
        subject = self._subject()

        def halved(context: Context) -> Plugin:
            plugin = subject.factory(context)
            _cut_start(plugin, cut)
            return plugin

        running = mtev_kernel(self.config, plugins=[subject.inline(halved)], hashes=self._hashes(subject), ready=False)
        assert running.wait() == ExitCode.FAILURE
        others = [each.message for each in running.errors if _CUT not in each.message]
        assert not others, "stopping after half a start failed"
        failed = [each.cause for each in running.plugins() if each.plugin == subject.manifest.id]
        assert all(_CUT in cause for cause in failed), f"'stop' failed after half a start: {failed}"

    def test_readme_names_everything(self) -> None:
        """Rule 7: hooks, stanzas, and every attribute and option of `sample.xml`."""
        subject = self._subject()
        readme = self._readme()
        if readme is None:
            pytest.skip("there is no README.md beside the tests or above them")
        text = readme.read_text(encoding="utf-8")
        stanzas = [claim for claim in subject.manifest.stanzas if re.fullmatch(r"[\w.-]+", claim)]
        wanted = {*subject.manifest.hooks, *stanzas, *_options(subject.package)}
        missing = sorted(word for word in wanted if not re.search(rf"\b{re.escape(word)}\b", text))
        assert not missing, f"{readme.name} does not mention {', '.join(missing)}"

    def _subject(self) -> _Subject:
        if self.plugin:
            for found in discover():
                if found.name == self.plugin:
                    assert found.error == "", f"plugin '{found.name}' ({found.label}) is refused: {found.error}"
                    assert found.manifest is not None
                    package = found.entry_point.module.partition(".")[0] if found.entry_point else ""
                    return _Subject(found.manifest, load_factory(found), found.label, package)
            pytest.fail(f"no plugin '{self.plugin}' is installed; see the fixture 'installed_project'")
        factory = type(self).__dict__.get("factory", self.factory)
        factory = factory.__func__ if isinstance(factory, staticmethod) else factory
        if factory is None or self.manifest is None:
            pytest.fail(f"{type(self).__name__} must state 'plugin', or 'manifest' and 'factory'")
        manifest = parse_manifest(self.manifest) if isinstance(self.manifest, str) else self.manifest
        return _Subject(manifest, factory, "inline", factory.__module__.partition(".")[0])

    def _start(self, starter: KernelStarter, subject: _Subject) -> RunningKernel:
        return starter(self.config, plugins=[subject.inline(subject.factory)], hashes=self._hashes(subject))

    def _check(self, starter: KernelStarter, subject: _Subject, factory: Factory) -> None:
        kernel = starter.kernel(self.config, plugins=[subject.inline(factory)], hashes=self._hashes(subject))
        problems = asyncio.run(kernel.check())
        assert not [each.message for each in problems if each.severity == "error"]

    def _hashes(self, subject: _Subject) -> Mapping[str, Mapping[str, str]]:
        return {subject.manifest.id: {}, **(self.hashes or {})}

    def _readme(self) -> Path | None:
        if self.readme is not None:
            return self.readme
        here = Path(inspect.getfile(type(self))).resolve().parent
        candidates = (directory / "README.md" for directory in (here, here.parent))
        return next((each for each in candidates if each.is_file()), None)


@dataclass(frozen=True, slots=True)
class _Subject:
    manifest: Manifest
    factory: Factory
    distribution: str
    package: str

    def inline(self, factory: Factory) -> InlinePlugin:
        return InlinePlugin(self.manifest, factory, self.distribution)


@dataclass(frozen=True, slots=True)
class _Traces:
    """What a process has that a plugin may leave behind."""

    threads: tuple[str, ...]
    files: tuple[str, ...]
    directory: str
    environment: frozenset[tuple[str, str]]
    log_handlers: int

    @classmethod
    def now(cls) -> _Traces:
        gc.collect()
        return cls(
            threads=tuple(sorted(each.name for each in threading.enumerate())),
            files=_open_files(),
            directory=str(Path.cwd()),
            environment=frozenset((k, v) for k, v in os.environ.items() if k != "PYTEST_CURRENT_TEST"),
            log_handlers=len(logging.getLogger().handlers),
        )

    def without_ended(self, later: _Traces) -> _Traces:
        """The same without those threads that have ended until later: whoever made them, nothing of them is left."""
        alive = Counter(self.threads) & Counter(later.threads)
        return replace(self, threads=tuple(sorted(alive.elements())))

    @classmethod
    def settled(cls, expected: _Traces | None) -> _Traces:
        """What there is once threads that have done their work have ended, for which they take their time."""
        until = time.monotonic() + _SETTLING_S
        while (found := cls.now()) != expected and expected is not None and time.monotonic() < until:
            time.sleep(0.02)
        return found


def _open_files() -> tuple[str, ...]:
    descriptors = Path("/proc/self/fd")
    kinds = []
    for entry in descriptors.iterdir() if descriptors.is_dir() else ():
        try:
            # "socket:[123]" becomes "socket": numbers differ from one kernel to the next, counts must not.
            kinds.append(str(entry.readlink()).partition(":[")[0])
        except OSError:
            continue  # the descriptor of the scan itself is gone by now
    return tuple(sorted(kinds))


def _hooks_of(running: RunningKernel, plugin: str) -> tuple[set[str], set[str]]:
    names = {each.name for each in running.plugins() if each.plugin == plugin}
    registry: HookRegistry = running.kernel.hooks
    points = registry.describe()
    declared = {each.name for each in points if each.owner in names}
    attached = {each.name for each in points for member in each.attached if member.plugin in names}
    # Optional implementations of hooks that nobody declares here are part of what the manifest promises.
    attached |= {each.hook for each in registry._waiting if each.plugin in names}
    return declared, attached


def _cut_start(plugin: Plugin, cut: str) -> None:
    start: Callable[[], Awaitable[None] | None] = plugin.start

    def plain() -> None:
        if cut == "after its end":
            start()
        raise MtevError(_CUT)

    async def awaiting() -> None:
        task = asyncio.ensure_future(_awaited(start))
        if cut == "at its first await":
            await asyncio.sleep(0)
            await asyncio.sleep(0)
            task.cancel()
        elif cut == "before it began":
            task.cancel()
        await asyncio.wait({task})
        if not task.cancelled():
            task.result()
        raise MtevError(_CUT)

    plugin.start = awaiting if inspect.iscoroutinefunction(start) else plain  # type: ignore[method-assign]  # the point of it


async def _awaited(start: Callable[[], Awaitable[None] | None]) -> None:
    result = start()
    if result is not None:
        await result


def _options(package: str) -> set[str]:
    spec = importlib.util.find_spec(package) if package else None
    for place in (spec.submodule_search_locations or ()) if spec else ():
        sample = Path(place, "sample.xml")
        if sample.is_file():
            root = ElementTree.fromstring(sample.read_text(encoding="utf-8"))  # noqa: S314  # the author's own file
            names = {name for element in root.iter() for name in element.attrib}
            return names | {option.tag for config in root.iter("config") for option in config}
    return set()
