"""Kernels that run in threads of a test process."""

from __future__ import annotations

import asyncio
import sys
import threading
import traceback
from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import anyio

from ..discovery import discover
from ..document import Document, ModuleRequest, Stanza
from ..errors import MtevError, ServiceError
from ..exitcodes import ExitCode
from ..kernel import Kernel
from ..manifest import parse_manifest
from ..plugin import Factory
from ..records import InlinePlugin, Options, PluginRecord, Problem

__all__ = ["KernelStarter", "NotReady", "PlainDocument", "RunningKernel", "inline"]

T = TypeVar("T")

_PATIENCE_S = 30.0


class NotReady(MtevError):
    """A kernel did not come up. The message tells its problems; `running` is the handle."""

    def __init__(self, message: str, running: RunningKernel) -> None:
        super().__init__(message)
        self.running = running


@dataclass(frozen=True, slots=True)
class PlainDocument:
    """A configuration document made of plain data: for tests that need no configuration plugin.

    Args:
        requests: what stands under `<modules>`.
        names: further top-level elements.
        path: what to call it in messages.
    """

    requests: Sequence[ModuleRequest] = ()
    names: Sequence[str] = ()
    path: str = "<test>"

    def stanzas(self) -> Sequence[Stanza]:
        """The further top-level elements."""
        return [Stanza(name, f"{self.path}:{line}") for line, name in enumerate(self.names, start=1)]

    def find(self, claim: str) -> str | None:
        """Where the stanza of that name stands; other claims match nothing."""
        return next((stanza.where for stanza in self.stanzas() if stanza.name == claim), None)

    def modules(self) -> Sequence[ModuleRequest]:
        """What stands under `<modules>`."""
        return self.requests

    def dump(self) -> str:
        """A description of it."""
        return repr(self)


def inline(factory: Factory, manifest: str | None = None, *, distribution: str = "inline") -> InlinePlugin:
    """Describe a plugin that is defined in a test.

    Args:
        factory: makes it; usually its class.
        manifest: the text of its `plugin.toml`; by default the factory's own attribute `manifest`.
        distribution: what messages call its distribution.

    Raises:
        ManifestError: the manifest cannot be used.
        TypeError: there is no manifest.
    """
    text = manifest if manifest is not None else getattr(factory, "manifest", None)
    if not isinstance(text, str):
        raise TypeError(f"{factory!r} has no attribute 'manifest' with the text of a plugin.toml, and none was given")
    return InlinePlugin(parse_manifest(text, "inline plugin.toml"), factory, distribution)


class RunningKernel:
    """A kernel that runs in a thread with an event loop of its own.

    Attributes:
        kernel: the kernel itself.
        looked: whether somebody asked how it ended.
    """

    def __init__(self, kernel: Kernel) -> None:
        self.kernel = kernel
        self.looked = False
        self._loop: asyncio.AbstractEventLoop | None = None
        self._code: ExitCode | None = None
        self._crash: BaseException | None = None
        self._ready = False
        self._risen = threading.Event()
        self._thread = threading.Thread(target=self._main, name="mtev-kernel", daemon=True)
        self._thread.start()

    def service(self, key: Callable[..., T]) -> T:
        """The service that a plugin published under a Protocol or class.

        Raises:
            ServiceError: nobody did.
        """
        service = self.kernel.services.find(key)
        if service is None:
            known = ", ".join(name for name, _ in self.kernel.services.describe())
            raise ServiceError(f"nobody published {key!r}; there are: {known}")
        return service  # type: ignore[return-value]  # checked when it was published

    def plugins(self) -> list[PluginRecord]:
        """Every plugin found, enabled or not, by name."""
        return self.kernel.plugins()

    def plugin(self, name: str) -> PluginRecord:
        """One of them.

        Raises:
            LookupError: there is none of that name.
        """
        for record in self.plugins():
            if record.name == name:
                return record
        raise LookupError(f"no plugin '{name}'; there are: {', '.join(each.name for each in self.plugins())}")

    @property
    def errors(self) -> list[Problem]:
        """What went wrong so far."""
        self.looked = True
        return [each for each in self.kernel.problems if each.severity == "error"]

    def call(self, function: Callable[..., Awaitable[T]], *args: object, timeout_s: float = _PATIENCE_S) -> T:
        """Run a coroutine function on the kernel's loop and wait for its result. Blocks.

        Raises:
            TimeoutError: it did not end in time.
            Exception: whatever it raised.
        """
        assert self._loop is not None, "the kernel has not begun to run"

        async def called() -> T:
            return await function(*args)

        return asyncio.run_coroutine_threadsafe(called(), self._loop).result(timeout_s)

    def wait_until_ready(self, timeout_s: float = _PATIENCE_S) -> None:
        """Block until the kernel serves.

        Raises:
            NotReady: it ended instead, or did neither in time.
        """
        self._risen.wait(timeout_s)
        if self._ready:
            return
        if self._thread.is_alive() and not self._risen.is_set():
            raise NotReady(f"the kernel was not ready within {timeout_s:g} s\n{self._stack()}", self)
        self.wait()
        raise NotReady("the kernel did not come up:\n" + "\n".join(self._complaints()), self)

    def wait(self, timeout_s: float = _PATIENCE_S) -> ExitCode:
        """Block until the kernel has ended by itself, and give its exit code.

        Raises:
            TimeoutError: it did not end in time; the message shows where it is.
            Exception: whatever made it crash.
        """
        self.looked = True
        self._thread.join(timeout_s)
        if self._thread.is_alive():
            raise TimeoutError(f"the kernel did not end within {timeout_s:g} s\n{self._stack()}")
        if self._crash is not None:
            raise self._crash
        assert self._code is not None
        return self._code

    def stop(self, reason: str = "the test is over") -> ExitCode:
        """Ask the kernel to stop, block until it has, and give its exit code. Harmless to repeat.

        Raises:
            TimeoutError, Exception: as `wait`.
        """
        self.kernel.request_stop(reason)
        return self.wait(self.kernel.options.shutdown_timeout_s + _PATIENCE_S)

    def complaint(self) -> str:
        """Stop it; what the test should have looked at and did not, or `""`."""
        looked = self.looked
        try:
            code = self.stop()
        except Exception as error:  # a crash must fail the test that caused it, whatever it is
            return "" if looked else f"the kernel crashed: {error!r}"
        if looked or code is ExitCode.OK:
            return ""
        return "\n".join([f"the kernel ended with exit code {int(code)}:", *self._complaints()])

    def _main(self) -> None:
        try:
            self._code = anyio.run(self._run)
        except BaseException as error:  # carried over to the thread that waits
            self._crash = error
        finally:
            self._risen.set()

    async def _run(self) -> ExitCode:
        self._loop = asyncio.get_running_loop()
        return await self.kernel.run(self._on_ready)

    def _on_ready(self) -> None:
        self._ready = True
        self._risen.set()

    def _complaints(self) -> list[str]:
        told = [f"  {each.plugin}: {each.message}".replace("  : ", "  ") for each in self.kernel.problems]
        return told or [f"  plugin '{each.name}': {each.cause}" for each in self.plugins() if each.state == "failed"]

    def _stack(self) -> str:
        frame = sys._current_frames().get(self._thread.ident or 0)
        return "".join(traceback.format_stack(frame)) if frame is not None else ""


class KernelStarter:
    """What the fixture `mtev_kernel` gives: called, it starts a kernel and waits until it serves.

        running = mtev_kernel("<app><http/>...</app>")                  # installed plugins, text of a configuration
        running = mtev_kernel(plugins=[inline(MyPlugin, "id = ...")])   # no configuration plugin needed

    Use port="0" in configurations, and ask the service in question for the real one.

    Args:
        directory: where to write configurations that are given as text.
    """

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._running: list[RunningKernel] = []

    def __call__(
        self,
        config: str | Path | Document | None = None,
        *,
        plugins: Iterable[InlinePlugin | Factory] = (),
        installed: Collection[str] | None = None,
        hashes: Mapping[str, Mapping[str, str]] | None = None,
        options: Options | None = None,
        ready: bool = True,
    ) -> RunningKernel:
        """Start a kernel in a thread.

        Args:
            config: the text of a configuration, which begins with `<`; or the path of one; or a document. None
                enables just `plugins`.
            plugins: plugins of the test's own, beside what is installed; a factory needs an attribute `manifest`.
            installed: ids of the installed plugins that may take part; None for all. Name them in a test whose outcome
                must not depend on what else is installed.
            hashes: with `config` None, the `<config>` hash of each plugin, by id; further ids are enabled too.
            options: how to run.
            ready: wait until it serves. False returns at once, for a kernel that is expected to fail.

        Raises:
            NotReady: it did not come up.
        """
        kernel = self.kernel(config, plugins=plugins, installed=installed, hashes=hashes, options=options)
        running = RunningKernel(kernel)
        self._running.append(running)
        if ready:
            running.wait_until_ready()
        return running

    def kernel(
        self,
        config: str | Path | Document | None = None,
        *,
        plugins: Iterable[InlinePlugin | Factory] = (),
        installed: Collection[str] | None = None,
        hashes: Mapping[str, Mapping[str, str]] | None = None,
        options: Options | None = None,
    ) -> Kernel:
        """Make a kernel as `__call__` would, and leave running or checking it to the caller."""
        found = None if installed is None else [each for each in discover() if each.name in installed]
        given = [each if isinstance(each, InlinePlugin) else inline(each) for each in plugins]
        if config is None:
            wanted = {**{each.manifest.id: {} for each in given}, **(hashes or {})}
            requests = [
                ModuleRequest("generic", name, name, f"<test>:{line}", config=values)
                for line, (name, values) in enumerate(wanted.items(), start=1)
            ]
            config = PlainDocument(requests)
        if isinstance(config, str) and config.lstrip().startswith("<"):
            self._directory.mkdir(parents=True, exist_ok=True)
            number = len(list(self._directory.glob("service*.conf")))
            file = self._directory / f"service{number or ''}.conf"
            file.write_text(config, encoding="utf-8")
            config = file
        if isinstance(config, str | Path):
            return Kernel(str(config), found=found, inline=given, options=options)
        return Kernel(document=config, found=found, inline=given, options=options)

    def stop_all(self) -> list[str]:
        """Stop every kernel, the youngest first; what went wrong with those that nobody looked after."""
        complaints = [running.complaint() for running in reversed(self._running)]
        self._running.clear()
        return [each for each in complaints if each]
