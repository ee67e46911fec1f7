"""The life cycle of a service's plugins as a pure state machine: no clock, no threads, no awaits.

The shell (`kernel`) asks `next(now)` what to do, does it, and says how it went with `succeeded` or `failed`; with
neither, when a step was cut short because the service is to stop. One thing
is done at a time. Going up, a plugin passes the steps LOAD, CONFIGURE, VALIDATE, START and POST_INIT, in four stages
(LOAD and CONFIGURE are one); going down, DRAIN and STOP. RUN stands for what goes on in between.

Rules:

1. A step is performed only when everything the plugin requires has passed the same stage. What requires a plugin that
   could not be configured is configured and validated all the same, to find its own faults, and never started.
2. No plugin enters a stage before all others have passed the stage before it; failed ones, and those that wait for a
   retry or for somebody who does, are not waited for.
3. Under `fail`, a failure ends the service: what has started is drained and stopped. Failures of LOAD, CONFIGURE and
   VALIDATE end it only after all other plugins have been configured and validated, so that every fault is reported.
4. Under `ignore`, the plugin is given up, and what requires it fails too, each under its own policy.
5. Under `retry`, an error that is marked retriable leads to another attempt after a delay that doubles; any other error
   is final. Meanwhile the rest goes on without the plugin.
6. STOP is performed exactly once after every attempt at START, successful or not, in the reverse of the order, and
   before the next attempt. DRAIN is performed, in reverse order too, for what has started, and before any STOP.
7. A failure of DRAIN or STOP is recorded and never keeps the others from stopping.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from .document import OnError

__all__ = ["Failure", "Finished", "Lifecycle", "Participant", "Perform", "RetryPolicy", "State", "Step", "Wait"]


class Step(StrEnum):
    """What a plugin can be asked to do."""

    LOAD = "load"
    CONFIGURE = "configure"
    VALIDATE = "validate"
    START = "start"
    POST_INIT = "post-init"
    RUN = "run"
    DRAIN = "drain"
    STOP = "stop"


class State(StrEnum):
    """What a plugin is; the words that every listing uses."""

    FOUND = "found"
    REFUSED = "refused"
    DISABLED = "disabled"
    LOADED = "loaded"
    CONFIGURED = "configured"
    STARTED = "started"
    RUNNING = "running"
    DEGRADED = "degraded"
    RETRYING = "retrying"
    DRAINING = "draining"
    STOPPED = "stopped"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Participant:
    """A plugin as the state machine sees it.

    Args:
        name: its instance name.
        requires: instance names of what it requires.
        on_error: its failure policy.
    """

    name: str
    requires: frozenset[str] = frozenset()
    on_error: OnError = "fail"


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """How long to wait before trying again: `first_s`, doubled each time, never above `longest_s`.

    A plugin that has run for `forgiven_after_s` since its last failure begins with `first_s` again.
    """

    first_s: float = 1.0
    longest_s: float = 60.0
    forgiven_after_s: float = 300.0

    def delay_s(self, failures: int) -> float:
        """The delay after that many failures in a row, in seconds."""
        return min(self.longest_s, self.first_s * 2.0 ** min(failures - 1, 64))


@dataclass(frozen=True, slots=True)
class Failure:
    """A step that failed. `fatal` when it ended, or would by itself have ended, the service."""

    name: str
    step: Step
    cause: str
    fatal: bool


@dataclass(frozen=True, slots=True)
class Perform:
    """Do this step of this plugin, then call `succeeded` or `failed`."""

    name: str
    step: Step


@dataclass(frozen=True, slots=True)
class Wait:
    """Nothing to do until something happens, or until the clock shows `until`."""

    until: float | None


@dataclass(frozen=True, slots=True)
class Finished:
    """All is done; nothing that was started is still unstopped."""


_UP = (Step.LOAD, Step.CONFIGURE, Step.VALIDATE, Step.START, Step.POST_INIT)
_STAGE = (0, 0, 1, 2, 3)
_START = _UP.index(Step.START)
_AFTER = (State.LOADED, State.CONFIGURED, State.CONFIGURED, State.STARTED, State.RUNNING)


@dataclass(slots=True)
class _Life:
    participant: Participant
    passed: int = 0
    state: State = State.FOUND
    cause: str = ""
    unstopped: bool = False
    drained: bool = False
    given_up: bool = False
    failures: int = 0
    failed_at: float = 0.0
    resume_at: float | None = None


class Lifecycle:
    """See the module's own text for the rules. Not thread-safe: one owner calls it.

    Args:
        order: the participants, each after those that it requires.
        retry: delays under `on-error="retry"`.
        last: the last step on the way up; VALIDATE for a check that starts nothing.
    """

    def __init__(
        self, order: Sequence[Participant], *, retry: RetryPolicy | None = None, last: Step = Step.POST_INIT
    ) -> None:
        self._lives = {each.name: _Life(each) for each in order}
        self._retry = retry or RetryPolicy()
        self._top = _UP.index(last) + 1
        self._falling = False
        self._stopping = False
        self._failures: list[Failure] = []

    @property
    def failures(self) -> Sequence[Failure]:
        """Every failure so far, in the order of their happening; consequences of others left out."""
        return self._failures

    @property
    def fatal(self) -> Failure | None:
        """The failure that ended the service, if one did."""
        return next((failure for failure in self._failures if failure.fatal), None)

    @property
    def stopping(self) -> bool:
        """Whether the service is on its way down."""
        return self._stopping or self._falling

    def states(self) -> Mapping[str, tuple[State, str]]:
        """Each plugin's state with its cause. What runs although something that it requires failed is degraded."""
        shown: dict[str, tuple[State, str]] = {}
        for name, life in self._lives.items():
            shown[name] = (life.state, life.cause)
            for other in sorted(life.participant.requires):
                if life.state is State.RUNNING and shown[other][0] in (State.FAILED, State.RETRYING):
                    shown[name] = (State.DEGRADED, f"it requires plugin '{other}', which is {shown[other][0]}")
        return shown

    def next(self, now: float) -> Perform | Wait | Finished:
        """What to do now.

        Args:
            now: a monotonic clock, in seconds.
        """
        if not self._falling:
            for life in reversed(self._lives.values()):
                if life.unstopped and not self._stopping and (life.given_up or life.resume_at is not None):
                    return Perform(life.participant.name, Step.STOP)
            if (step := self._rise(now)) is not None:
                return step
            if not self._stopping and self.fatal is None and (self._top == len(_UP) or self._blocked()):
                resumptions = (life.resume_at for life in self._lives.values() if life.resume_at is not None)
                return Wait(min(resumptions, default=None))
            self._falling = True
        for life in reversed(self._lives.values()):
            if life.unstopped and not life.drained and life.passed > _START and not life.given_up:
                return Perform(life.participant.name, Step.DRAIN)
        for life in reversed(self._lives.values()):
            if life.unstopped:
                return Perform(life.participant.name, Step.STOP)
        return Finished()

    def began(self, name: str, step: Step) -> None:
        """A step is about to be performed."""
        life = self._lives[name]
        if step is Step.START:
            life.unstopped = True
            life.drained = False
        elif step is Step.DRAIN:
            life.state = State.DRAINING

    def succeeded(self, name: str, step: Step) -> None:
        """A step went well."""
        life = self._lives[name]
        if step is Step.DRAIN:
            life.drained = True
        elif step is Step.STOP:
            life.unstopped = False
            life.passed = min(life.passed, _START)
            if not life.given_up and life.resume_at is None:
                life.state, life.cause = State.STOPPED, ""
        elif not life.given_up and life.resume_at is None:
            life.passed = _UP.index(step) + 1
            life.state, life.cause = _AFTER[life.passed - 1], ""

    def failed(self, name: str, step: Step, cause: str, *, retriable: bool = False, now: float = 0.0) -> None:
        """A step failed.

        Args:
            name: whose.
            step: which; RUN for what failed while the plugin was running.
            cause: why, in words.
            retriable: whether trying again may help.
            now: a monotonic clock, in seconds.
        """
        life = self._lives[name]
        if step in (Step.DRAIN, Step.STOP):
            self._failures.append(Failure(name, step, cause, fatal=False))
            self.succeeded(name, step)
            life.state, life.cause = State.FAILED, f"{step}: {cause}"
            return
        if life.given_up or life.resume_at is not None:
            return
        policy = life.participant.on_error
        if policy == "retry" and retriable and not self.stopping and self._top == len(_UP):
            if now - life.failed_at > self._retry.forgiven_after_s:
                life.failures = 0
            life.failures += 1
            life.failed_at = now
            delay_s = self._retry.delay_s(life.failures)
            life.resume_at = now + delay_s
            life.state, life.cause = State.RETRYING, f"{step}: {cause}; next attempt in {delay_s:g} s"
            self._failures.append(Failure(name, step, cause, fatal=False))
            return
        fatal = policy != "ignore"
        self._failures.append(Failure(name, step, cause, fatal))
        self._give_up(life, f"{step}: {cause}")
        if fatal:
            self._stopping = self._stopping or step not in _UP[:_START]

    def degraded(self, name: str, cause: str) -> None:
        """A running plugin works, but not as it should."""
        life = self._lives[name]
        if life.state in (State.RUNNING, State.DEGRADED):
            life.state, life.cause = State.DEGRADED, cause

    def healthy(self, name: str) -> None:
        """A degraded plugin works as it should again."""
        life = self._lives[name]
        if life.state is State.DEGRADED:
            life.state, life.cause = State.RUNNING, ""

    def stop(self) -> None:
        """The service is to stop; harmless to repeat."""
        self._stopping = True

    def _rise(self, now: float) -> Perform | None:
        self._give_up_dependents()
        if self._stopping:
            return None
        for life in self._lives.values():
            if life.resume_at is not None and life.resume_at <= now and not life.unstopped:
                life.resume_at = None
        blocked = self._blocked()
        active = [
            life
            for life in self._lives.values()
            if life.passed < self._top and not life.given_up and life.participant.name not in blocked
        ]
        if not active:
            return None
        stage = min(_STAGE[life.passed] for life in active)
        if self.fatal and stage >= _STAGE[_START]:
            return None
        for life in active:
            if _STAGE[life.passed] == stage and self._requirements_passed(life, stage):
                return Perform(life.participant.name, _UP[life.passed])
        return None

    def _requirements_passed(self, life: _Life, stage: int) -> bool:
        required = (self._lives[name] for name in life.participant.requires)
        return all(other.given_up or other.passed == len(_UP) or _STAGE[other.passed] > stage for other in required)

    def _blocked(self) -> set[str]:
        # Participants stand after what they require, so one pass reaches everything that waits for somebody waiting.
        blocked: set[str] = set()
        for name, life in self._lives.items():
            if life.resume_at is not None or blocked & life.participant.requires:
                blocked.add(name)
        return blocked

    def _give_up(self, life: _Life, cause: str) -> None:
        life.given_up = True
        life.resume_at = None
        life.state, life.cause = State.FAILED, cause

    def _give_up_dependents(self) -> None:
        # What only failed to be configured still lets its dependents find their own faults; none of them starts.
        for name, life in self._lives.items():
            if life.given_up or life.unstopped or life.passed not in (0, _START):
                continue
            for other in sorted(life.participant.requires):
                if self._lives[other].given_up and (life.passed == _START or self._lives[other].passed == 0):
                    self._give_up(life, f"it requires plugin '{other}', which failed")
                    if life.participant.on_error != "ignore" and self.fatal is None:
                        self._failures.append(Failure(name, _UP[life.passed], life.cause, fatal=True))
                        self._stopping = self._stopping or life.passed == _START
                    break
