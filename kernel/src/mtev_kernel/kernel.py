"""The kernel: runs the plugins that a document asks for, and tells what happens to them.

It decides little itself. `_assembly` says which plugins there are and in which order, `lifecycle` what to do next; this
module does it and reports. A kernel is an object; several may live in one process.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Sequence
from concurrent.futures import Future
from typing import cast

from . import hookspecs
from ._assembly import Assembly, Instance
from ._compile import ABORT
from ._inspection import inspected
from ._reloads import Reloads, refusal
from ._steps import StepWatch, contained, perform
from .discovery import Found
from .document import Document
from .errors import ConfigurationError, MtevError, describe
from .exitcodes import ExitCode
from .hooks import HookFailure, HookRegistry
from .lifecycle import Finished, Lifecycle, Perform, State, Step, Wait
from .plugin import Plugin
from .records import InlinePlugin, Options, PluginListing, PluginOffers, PluginRecord, Problem, ProblemListing
from .services import ServiceRegistry

__all__ = ["Kernel"]

_LAST_CHANCE_S = 0.25
_log = logging.getLogger("mtev.kernel")


class Kernel:
    """Runs one service.

    Args:
        path: the configuration file; or else
        document: a document that is there already.
        found: offers to choose from; by default, whatever is installed.
        inline: plugins to add to them.
        options: how to run.
        watch: told when each step begins and ends, so that it can notice one that blocks the loop beyond its limit.
            The command line's ends the process then: nothing gentler would work.
    """

    def __init__(
        self,
        path: str | None = None,
        *,
        document: Document | None = None,
        found: Sequence[Found] | None = None,
        inline: Sequence[InlinePlugin] = (),
        options: Options | None = None,
        watch: StepWatch | None = None,
    ) -> None:
        self.options = options or Options()
        self.services = ServiceRegistry()
        self.hooks = HookRegistry(self._hook_failed, timed=self.options.timed_hooks)
        self.document = document
        self.problems: list[Problem] = []
        """Everything found wrong so far."""
        self._path = path
        self._watch = watch
        self._assembly = Assembly(found, inline, self.options, self.hooks, self.services, self)
        self._life = Lifecycle([])
        self._states: dict[str, str] = {}
        self._loop: asyncio.AbstractEventLoop | None = None
        self._wake = asyncio.Event()
        self._work: asyncio.Future[object] | None = None
        self._interrupted = False
        self._stop_reason = ""
        self._stop_by: float | None = None
        self._reloads = Reloads()
        for service in (PluginListing, PluginOffers, ProblemListing):
            self.services.publish(service, self, "kernel", "mtev-kernel")
        self.hooks.declare("kernel", "mtev-kernel", hookspecs)
        self._post_init = self.hooks.site(hookspecs.dso_post_init)
        self._stopping = self.hooks.site(hookspecs.mtev_stopping)
        self._reloaded = self.hooks.site(hookspecs.mtev_reload)
        self._state_changed = self.hooks.site(hookspecs.mtev_plugin_state)

    async def run(self, ready: Callable[[], None] = lambda: None) -> ExitCode:
        """Boot, serve until asked to stop, drain and stop. Once per kernel.

        Args:
            ready: called once, on the loop, when every plugin that comes up at once has done so.

        Returns:
            How it ended. What went wrong is in the log, and in `problems`.
        """
        try:
            if await self._plan(Step.POST_INIT):
                await self._live(ready)
        finally:
            self._reloads.close("the service has ended")
        return self._verdict()

    async def check(self, *, inspect: bool = True) -> list[Problem]:
        """Load, configure and validate every enabled plugin; start none, open no socket. Once per kernel.

        Args:
            inspect: also report what the provider of the configuration finds in it (see `document.Inspector`).

        Returns:
            Everything that is wrong.
        """
        try:
            if await self._plan(Step.VALIDATE):
                await self._live()
            if inspect and self.document is not None:
                await self._inspect()
        finally:
            self._reloads.close("the service has ended")
        return self.problems

    def request_stop(self, reason: str) -> None:
        """Ask for an orderly stop. Thread-safe, also before `run`; the first reason counts."""

        def act() -> None:
            self._stop_reason = self._stop_reason or reason
            self._reloads.close("the service stops")
            self._wake.set()
            if self._work is not None and not self._life.stopping:
                self._interrupted = True
                self._work.cancel()

        self._on_loop(act)

    def request_reload(self) -> None:
        """Ask for the configuration to be read again. Thread-safe."""
        self.reload()

    def reload(self) -> Future[None]:
        """Ask for the configuration to be read again, and be told the outcome; see `Context.reload`. Thread-safe."""
        future = self._reloads.request()
        self._on_loop(self._wake.set)
        return future

    def plugins(self) -> list[PluginRecord]:
        """Every plugin found, enabled or not, by name. Thread-safe."""
        return self._assembly.records(self._life.states())

    def offers(self) -> list[Found]:
        """Every plugin that this kernel chooses from, enabled or not, refused ones included, by name. Thread-safe."""
        return sorted(self._assembly.found, key=lambda each: each.name)

    # What plugins ask for through their Context (`PluginControl`). Thread-safe.

    def warn(self, plugin: str, distribution: str, message: str) -> None:
        problem = Problem(message, plugin, distribution, "warning", ExitCode.CONFIG)
        if problem not in self.problems:  # a reload says the same things again
            self.problems.append(problem)

    def degraded(self, plugin: str, reason: str) -> None:
        self._on_loop(lambda: self._change(lambda: self._life.degraded(plugin, reason)))

    def healthy(self, plugin: str) -> None:
        self._on_loop(lambda: self._change(lambda: self._life.healthy(plugin)))

    def spawn(self, plugin: str, function: Callable[[], Awaitable[None]], name: str) -> None:
        self._on_loop(lambda: self._spawn(self._assembly.instances[plugin], function, name))

    # Going up, serving, going down

    async def _plan(self, last: Step) -> bool:
        self._loop = asyncio.get_running_loop()
        try:
            if self.document is None:
                self.document = await self._assembly.open(self._path, self.options.limits_s[Step.LOAD])
            selection, order, problems = self._assembly.plan(self.document)
        except (MtevError, OSError) as error:
            self._cannot_plan(error)
            return False
        for warning in selection.warnings:
            self._report(warning, severity="warning")
        self._life = Lifecycle(order, retry=self.options.retry, last=last)
        for name, problem in problems.items():
            self._failed(name, Step.LOAD, problem)
        return True

    async def _live(self, ready: Callable[[], None] | None = None) -> None:
        risen = False
        while True:
            if self._stop_reason:
                self._life.stop()
            action = self._life.next(time.monotonic())
            if self._life.stopping and self._stop_by is None:
                self._stop_by = time.monotonic() + self.options.shutdown_timeout_s
                self._reloads.close("the service stops")
                if ready is not None and self._stopping.call is not None:  # a check has nothing to stop
                    self._stopping.call(self._stop_reason or "the service ends by itself")
            match action:
                case Perform():
                    await self._perform(self._assembly.instances[action.name], action.step)
                case Wait(until=until):
                    if not risen:
                        risen = True
                        await self._all_up(ready)
                        continue
                    await self._wait(until)
                case Finished():
                    return

    async def _all_up(self, ready: Callable[[], None] | None) -> None:
        call = self._post_init.call
        if call is not None and await contained(call()) is ABORT:
            self._report("the hook 'dso_post_init' was aborted", severity="error", code=ExitCode.FAILURE)
            self._stop_reason = self._stop_reason or "dso_post_init was aborted"
        if ready is not None and not self._stop_reason and not self._life.stopping:
            ready()

    async def _wait(self, until: float | None) -> None:
        timeout_s = None if until is None else max(until - time.monotonic(), 0.0)
        try:
            await asyncio.wait_for(self._wake.wait(), timeout_s)
        except TimeoutError:
            return
        self._wake.clear()
        with self._reloads.answering() as outcome:
            if outcome.wanted:
                outcome.error = await self._reload()

    async def _perform(self, instance: Instance, step: Step) -> None:
        name = instance.enabled.name
        began = time.monotonic()
        self._change(lambda: self._life.began(name, step))
        try:
            limit_s = self._limit_s(instance, step)
            if self._watch is not None:
                self._watch.arm(f"{instance.who}, step '{step}'", limit_s)
            if step is Step.STOP:
                await self._end_tasks(instance, limit_s)
            self._interrupted = False
            self._work = asyncio.ensure_future(perform(self._function(step, instance), limit_s, f"{step} {name}"))
            await asyncio.wait({self._work})
            if self._interrupted and self._work.cancelled():
                return
            self._work.result()
        except Exception as error:  # whatever a plugin raises is attributed to it and judged by its policy
            self._failed(name, step, error)
        else:
            self._change(lambda: self._life.succeeded(name, step))
            self._after(step, instance)
        finally:
            self._work = None
            instance.seconds[step] = time.monotonic() - began
            if self._watch is not None:
                self._watch.disarm()

    def _function(self, step: Step, instance: Instance) -> Callable[[], object]:
        if step is Step.LOAD:
            return lambda: self._assembly.construct(instance)
        return cast("Callable[[], object]", getattr(instance.plugin, step.replace("-", "_")))

    def _after(self, step: Step, instance: Instance) -> None:
        if step is Step.VALIDATE:
            self._reject_hooks(instance.enabled.name)
        elif step is Step.POST_INIT and instance.plugin is not None and type(instance.plugin).run is not Plugin.run:
            self._spawn(instance, instance.plugin.run, "run")
        elif step is Step.STOP and self._life.stopping:
            instance.context.hooks.detach_all()
            self.services.withdraw(instance.enabled.name)

    def _reject_hooks(self, name: str) -> None:
        for problem in self.hooks.problems():
            if problem.plugin != name:
                continue
            owners = [each for each in self._assembly.found if each.manifest and problem.hook in each.manifest.hooks]
            advice = f"; it belongs to plugin '{owners[0].name}', which is not enabled" if owners else ""
            self._failed(name, Step.VALIDATE, MtevError(f"{problem.error}{advice}"))
            return

    def _spawn(self, instance: Instance, function: Callable[[], Awaitable[None]], task_name: str) -> None:
        name = instance.enabled.name

        async def guarded() -> None:
            try:
                await contained(function())
            except Exception as error:  # as in _perform
                self._failed(name, Step.RUN, error)
                self._wake.set()

        task = asyncio.get_running_loop().create_task(guarded(), name=f"{name}/{task_name}")
        instance.tasks.add(task)
        task.add_done_callback(instance.tasks.discard)

    async def _end_tasks(self, instance: Instance, limit_s: float) -> None:
        tasks = set(instance.tasks)
        for task in tasks:
            task.cancel()
        if tasks:
            _, stubborn = await asyncio.wait(tasks, timeout=limit_s)
            for task in stubborn:
                _log.error("%s: the task '%s' ignored its cancellation", instance.who, task.get_name())

    async def _reload(self) -> Exception | None:
        """Read the configuration again and tell everybody; what went wrong, or None. The service goes on either way."""
        provider = self._assembly.provider
        if provider is None:
            _log.warning("nothing to reload: the configuration came from no file")
            return refusal("it came from no file")
        try:
            self.document = await self._assembly.read(provider.reload, self.options.limits_s[Step.LOAD])
        except Exception as error:  # a broken file must never end a running service
            _log.error("reload failed, the configuration in force stays: %s", describe(error))
            return error
        try:
            if self._reloaded.call is not None:
                await contained(self._reloaded.call())
        except Exception as error:  # whatever an implementation does beyond raising: that is contained already
            _log.error("configuration read again, but not everybody could be told: %s", describe(error), exc_info=error)
            return error
        _log.info("configuration read again, and everybody told")
        return None

    async def _inspect(self) -> None:
        told = {(each.message, each.plugin) for each in self.problems}
        for each in await inspected(self._assembly, self.options.limits_s[Step.VALIDATE]):
            if (each.message, each.plugin) not in told:
                told.add((each.message, each.plugin))
                problem = Problem(each.message, each.plugin, each.distribution, each.severity, ExitCode.CONFIG)
                self.problems.append(problem)

    def _limit_s(self, instance: Instance, step: Step) -> float:
        limit_s = self.options.limits_s[step]
        request = instance.enabled.request
        if request is not None and (own := request.attributes.get(f"{step}-timeout")) is not None:
            try:
                limit_s = float(own)
            except ValueError:
                limit_s = 0.0
            if not 0 < limit_s < float("inf"):
                raise ConfigurationError(f'{step}-timeout="{own}" is not a number of seconds above 0', request.where)
        if self._stop_by is None:
            return limit_s
        remaining_s = self._stop_by - time.monotonic()
        if step is Step.DRAIN:  # a third of the time is kept for stopping
            remaining_s -= self.options.shutdown_timeout_s / 3
        return min(limit_s, max(remaining_s, _LAST_CHANCE_S))

    # Reporting

    def _failed(self, name: str, step: Step, error: BaseException) -> None:
        instance = self._assembly.instances[name]
        retriable = bool(getattr(error, "retriable", False))
        self._change(lambda: self._life.failed(name, step, describe(error), retriable=retriable, now=time.monotonic()))
        policy = self._assembly.policy(instance)
        retrying = self._life.states()[name][0] is State.RETRYING
        if step in (Step.DRAIN, Step.STOP):
            consequence = "stopping goes on"
        elif retrying:
            consequence = self._life.states()[name][1].rpartition("; ")[2]
        elif policy == "ignore":
            consequence = 'the service goes on without it (on-error="ignore")'
        else:
            final = ", but this error is not one to retry" if policy == "retry" else ""
            consequence = f'the service cannot go on (on-error="{policy}"{final})'
        expected = isinstance(error, MtevError) and isinstance(error.__cause__, MtevError | OSError | None)
        text = f"{instance.who} failed in step '{step}': {describe(error)}"
        _log.error("%s; %s", text, consequence, exc_info=None if expected else error)
        code = getattr(error, "exit_code", ExitCode.FAILURE)
        if step is Step.LOAD and instance.enabled.found is None:
            code = ExitCode.UNAVAILABLE
        severity = "warning" if policy == "ignore" or retrying else "error"
        enabled = instance.enabled
        for each in getattr(error, "parts", ()) or (error,):
            self.problems.append(Problem(describe(each), name, enabled.distribution, severity, code, enabled.where))

    def _report(self, message: str, *, severity: str, code: ExitCode = ExitCode.CONFIG) -> None:
        self.problems.append(Problem(message, "", "", severity, code))
        _log.log(logging.WARNING if severity == "warning" else logging.ERROR, "%s", message)

    def _hook_failed(self, failure: HookFailure) -> None:
        post_init = failure.hook == hookspecs.dso_post_init.__name__
        own = failure.hook in hookspecs.__all__
        if failure.plugin in self._assembly.instances and (post_init or (own and self.options.strict)):
            self._failed(failure.plugin, Step.POST_INIT if post_init else Step.RUN, failure.error)
            return
        _log.error("%s", failure, exc_info=failure.error)
        if self.options.strict:
            raise failure.error

    def _cannot_plan(self, error: MtevError | OSError) -> None:
        for each in getattr(error, "parts", ()) or (error,):
            text = f"{each.filename or self._path}: {each.strerror}" if isinstance(each, OSError) else describe(each)
            self._report(text, severity="error", code=getattr(each, "exit_code", ExitCode.NO_INPUT))

    def _verdict(self) -> ExitCode:
        errors = [each.code for each in self.problems if each.severity == "error"]
        if errors:
            return errors[0]
        unclean = any(failure.step in (Step.DRAIN, Step.STOP) for failure in self._life.failures)
        return ExitCode.FAILURE if unclean else ExitCode.OK

    def _change(self, change: Callable[[], None]) -> None:
        """Change the state machine, and tell of each plugin whose state is another now."""
        change()
        for name, (state, cause) in self._life.states().items():
            old = self._states.get(name, State.FOUND)
            if state != old:
                self._states[name] = state
                _log.debug("plugin '%s': %s -> %s %s", name, old, state, cause)
                if self._state_changed.call is not None:
                    self._state_changed.call(name, old, state, cause)

    def _on_loop(self, act: Callable[[], None]) -> None:
        loop = self._loop
        if loop is None:
            act()
            return
        try:
            here: asyncio.AbstractEventLoop | None = asyncio.get_running_loop()
        except RuntimeError:
            here = None
        if here is loop:
            act()
        elif not loop.is_closed():
            loop.call_soon_threadsafe(act)
