"""One step of a plugin: limits, threads, exits, cancellation."""

import asyncio
import contextvars
import threading

import pytest

from mtev_kernel import LoadError, StepTimeout
from mtev_kernel._steps import perform
from mtev_kernel.cli._stuck import StuckWatch

variable = contextvars.ContextVar("variable", default="unset")


def run(function, limit_s=5.0):
    return asyncio.run(perform(function, limit_s, "step-thread"))


def test_a_plain_step_runs_on_a_named_thread_with_the_callers_context():
    async def scenario():
        variable.set("set")
        return await perform(lambda: (threading.current_thread().name, variable.get()), 5.0, "step-thread")

    assert asyncio.run(scenario()) == ("step-thread", "set")


def test_a_coroutine_step_runs_on_the_loop():
    async def step():
        return threading.current_thread() is threading.main_thread()

    assert run(step) is True


def test_a_plain_step_may_return_an_awaitable():
    async def later():
        return 7

    assert run(lambda: later()) == 7


def test_errors_come_through_unchanged():
    with pytest.raises(ZeroDivisionError):
        run(lambda: 1 / 0)


def test_a_timeout_of_the_steps_own_is_not_taken_for_the_limit():
    def step():
        raise TimeoutError("the peer")

    with pytest.raises(TimeoutError, match="the peer"):
        run(step)


@pytest.mark.parametrize("kind", ["plain", "coroutine"])
def test_sys_exit_becomes_a_load_error(kind):
    def plain():
        raise SystemExit(3)

    async def coroutine():
        raise SystemExit(3)

    with pytest.raises(LoadError, match=r"it called sys.exit\(3\)"):
        run(plain if kind == "plain" else coroutine)


def test_a_hanging_plain_step_is_abandoned_and_its_thread_named():
    release = threading.Event()
    with pytest.raises(StepTimeout, match="did not end within 0.05 s; its thread 'step-thread' was abandoned"):
        run(release.wait, limit_s=0.05)
    release.set()


def test_a_hanging_coroutine_step_is_cancelled():
    cancelled = []

    async def step():
        try:
            await asyncio.Event().wait()
        finally:
            cancelled.append(True)

    with pytest.raises(StepTimeout, match=r"did not end within 0.05 s$"):
        run(step, limit_s=0.05)
    assert cancelled == [True]


def test_a_coroutine_step_that_ignores_its_cancellation_is_abandoned(monkeypatch):
    monkeypatch.setattr("mtev_kernel._steps._GRACE_S", 0.05)

    async def scenario():
        release = asyncio.Event()

        async def step():
            while not release.is_set():
                try:
                    await release.wait()
                except asyncio.CancelledError:
                    continue

        with pytest.raises(StepTimeout, match="ignored its cancellation"):
            await perform(step, 0.05, "t")
        release.set()
        await asyncio.sleep(0)

    asyncio.run(scenario())


def test_a_blocked_loop_is_noticed_from_another_thread_and_named():
    noticed = threading.Event()
    said = []

    def report(culprit):
        said.append(culprit)
        noticed.set()

    watch = StuckWatch(report, slack_s=0.0)
    watch.arm("plugin 'x' (x 1.0), step 'start'", 0.01)
    assert noticed.wait(10)
    watch.disarm()
    watch.arm("quick", 1000.0)
    watch.disarm()
    watch.close()
    assert said == ["plugin 'x' (x 1.0), step 'start'"]
