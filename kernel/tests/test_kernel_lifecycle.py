"""The life-cycle state machine, by example and against its own numbered rules."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mtev_kernel.lifecycle import Finished, Lifecycle, Participant, Perform, RetryPolicy, State, Step, Wait

UP = [Step.LOAD, Step.CONFIGURE, Step.VALIDATE, Step.START, Step.POST_INIT]


def participants(*texts):
    """`name:on_error>required,required` in short."""
    made = []
    for text in texts:
        head, _, required = text.partition(">")
        name, _, policy = head.partition(":")
        made.append(Participant(name, frozenset(filter(None, required.split(","))), policy or "fail"))
    return made


def drive(life, fail=None, now=0.0):
    """Perform whatever is asked for until there is nothing to do; `fail` maps (name, step) to retriable or not."""
    done = []
    while isinstance(action := life.next(now), Perform):
        done.append((action.name, action.step))
        life.began(action.name, action.step)
        if fail and (action.name, action.step) in fail:
            life.failed(action.name, action.step, "broken", retriable=fail[action.name, action.step], now=now)
        else:
            life.succeeded(action.name, action.step)
    return done, action


def state(life, name):
    return life.states()[name][0]


def test_up_goes_stage_by_stage_in_order_and_down_in_reverse():
    life = Lifecycle(participants("a", "b>a"))
    up, rest = drive(life)
    assert up == [
        *[("a", Step.LOAD), ("a", Step.CONFIGURE), ("b", Step.LOAD), ("b", Step.CONFIGURE)],
        *[("a", Step.VALIDATE), ("b", Step.VALIDATE), ("a", Step.START), ("b", Step.START)],
        *[("a", Step.POST_INIT), ("b", Step.POST_INIT)],
    ]
    assert rest == Wait(None)
    assert state(life, "a") is State.RUNNING
    life.stop()
    down, rest = drive(life)
    assert down == [("b", Step.DRAIN), ("a", Step.DRAIN), ("b", Step.STOP), ("a", Step.STOP)]
    assert rest == Finished()
    assert state(life, "b") is State.STOPPED


def test_nothing_to_run_waits_until_it_is_stopped():
    life = Lifecycle([])
    assert life.next(0) == Wait(None)
    life.stop()
    assert life.next(0) == Finished()


def test_a_check_ends_by_itself_and_starts_nothing():
    done, rest = drive(Lifecycle(participants("a", "b>a"), last=Step.VALIDATE))
    assert {step for _, step in done} == {Step.LOAD, Step.CONFIGURE, Step.VALIDATE}
    assert rest == Finished()


def test_a_failed_start_ends_the_service_and_is_itself_stopped():
    life = Lifecycle(participants("a", "b>a", "c"))
    done, rest = drive(life, {("b", Step.START): False})
    assert done[-4:] == [("b", Step.START), ("a", Step.DRAIN), ("b", Step.STOP), ("a", Step.STOP)]
    assert rest == Finished()
    assert (life.fatal.name, life.fatal.step) == ("b", Step.START)
    assert ("c", Step.START) not in done


def test_every_configuration_fault_is_found_before_the_service_gives_up():
    life = Lifecycle(participants("a", "b", "c"))
    done, rest = drive(life, {("a", Step.CONFIGURE): False, ("c", Step.VALIDATE): False})
    assert [(each.name, each.step) for each in life.failures] == [("a", Step.CONFIGURE), ("c", Step.VALIDATE)]
    assert not any(step is Step.START for _, step in done)
    assert rest == Finished()


def test_an_ignored_failure_leaves_the_rest_running():
    life = Lifecycle(participants("a:ignore", "b"))
    done, rest = drive(life, {("a", Step.START): False})
    assert ("a", Step.STOP) in done
    assert done.index(("a", Step.STOP)) < done.index(("b", Step.START))
    assert rest == Wait(None)
    assert (state(life, "a"), state(life, "b")) == (State.FAILED, State.RUNNING)


@pytest.mark.parametrize(("policy", "survives"), [("ignore", True), ("fail", False)])
def test_what_requires_a_failed_plugin_fails_under_its_own_policy(policy, survives):
    life = Lifecycle(participants("a:ignore", f"b:{policy}>a", "c"))
    _, rest = drive(life, {("a", Step.LOAD): False})
    assert life.states()["b"] == (State.FAILED, "it requires plugin 'a', which failed")
    assert rest == (Wait(None) if survives else Finished())
    assert (life.fatal is None) is survives


@pytest.mark.parametrize("policy", ["fail", "ignore"])
def test_what_requires_an_unconfigured_plugin_is_still_checked_but_never_started(policy):
    life = Lifecycle(participants(f"a:{policy}", "b:ignore>a", "c:ignore>b"))
    done, _ = drive(life, {("a", Step.CONFIGURE): False, ("b", Step.VALIDATE): False})
    assert [(each.name, each.step) for each in life.failures] == [("a", Step.CONFIGURE), ("b", Step.VALIDATE)]
    assert ("c", Step.VALIDATE) in done
    assert not any(step is Step.START for _, step in done)
    assert life.states()["c"] == (State.FAILED, "it requires plugin 'b', which failed")


def test_a_retriable_failure_is_tried_again_after_its_stop_while_the_rest_runs():
    life = Lifecycle(participants("a:retry", "b>a", "c"), retry=RetryPolicy(first_s=2.0))
    fail = {("a", Step.START): True}
    done, rest = drive(life, fail, now=10.0)
    assert rest == Wait(12.0)
    assert done[done.index(("a", Step.START)) + 1] == ("a", Step.STOP)
    assert [state(life, each) for each in "abc"] == [State.RETRYING, State.CONFIGURED, State.RUNNING]
    assert drive(life, fail, now=11.9)[0] == []
    done, rest = drive(life, fail, now=12.0)
    assert (done, rest) == ([("a", Step.START), ("a", Step.STOP)], Wait(16.0))
    done, rest = drive(life, now=16.0)
    assert done == [("a", Step.START), ("b", Step.START), ("a", Step.POST_INIT), ("b", Step.POST_INIT)]
    assert rest == Wait(None)


def test_delays_double_up_to_the_longest():
    policy = RetryPolicy(first_s=1.0, longest_s=5.0)
    assert [policy.delay_s(count) for count in (1, 2, 3, 4, 10_000)] == [1.0, 2.0, 4.0, 5.0, 5.0]


def test_an_error_that_is_not_retriable_is_final_under_retry():
    life = Lifecycle(participants("a:retry"))
    _, rest = drive(life, {("a", Step.START): False})
    assert rest == Finished()
    assert life.fatal.name == "a"


def test_a_plugin_that_dies_while_running_degrades_what_requires_it():
    life = Lifecycle(participants("a:ignore", "b>a"))
    drive(life)
    life.failed("a", Step.RUN, "gone")
    assert life.states()["b"] == (State.DEGRADED, "it requires plugin 'a', which is failed")
    done, _ = drive(life)
    assert done == [("a", Step.STOP)]
    life.stop()
    assert drive(life)[0] == [("b", Step.DRAIN), ("b", Step.STOP)]


def test_a_dead_plugin_that_comes_back_heals_what_requires_it():
    life = Lifecycle(participants("a:retry", "b>a"))
    drive(life)
    life.failed("a", Step.RUN, "gone", retriable=True, now=0.0)
    drive(life, now=0.0)
    assert state(life, "b") is State.DEGRADED
    drive(life, now=1.0)
    assert state(life, "b") is State.RUNNING


def test_degraded_is_said_and_taken_back():
    life = Lifecycle(participants("a"))
    life.degraded("a", "too early to say")
    assert state(life, "a") is State.FOUND
    drive(life)
    life.degraded("a", "disk full")
    assert life.states()["a"] == (State.DEGRADED, "disk full")
    life.healthy("a")
    assert life.states()["a"] == (State.RUNNING, "")


def test_failures_on_the_way_down_never_keep_the_others_from_stopping():
    life = Lifecycle(participants("a", "b>a"))
    drive(life)
    life.stop()
    done, rest = drive(life, {("b", Step.DRAIN): False, ("b", Step.STOP): False})
    assert done == [("b", Step.DRAIN), ("a", Step.DRAIN), ("b", Step.STOP), ("a", Step.STOP)]
    assert rest == Finished()
    assert life.fatal is None
    assert state(life, "b") is State.FAILED


def test_a_stop_in_the_middle_of_a_start_stops_what_was_begun():
    life = Lifecycle(participants("a", "b>a"))
    while life.next(0) != Perform("b", Step.START):
        action = life.next(0)
        life.began(action.name, action.step)
        life.succeeded(action.name, action.step)
    life.began("b", Step.START)
    life.stop()  # the step is cut short: neither succeeded nor failed
    assert drive(life)[0] == [("a", Step.DRAIN), ("b", Step.STOP), ("a", Step.STOP)]


@st.composite
def services(draw):
    count = draw(st.integers(0, 6))
    made = []
    for index in range(count):
        required = draw(st.sets(st.integers(0, index - 1))) if index else set()
        policy = draw(st.sampled_from(["fail", "ignore", "retry"]))
        made.append(Participant(f"p{index}", frozenset(f"p{each}" for each in required), policy))
    return made


@settings(max_examples=400)
@given(services(), st.data())
def test_whatever_fails_whenever_the_numbered_rules_hold(order, data):
    life = Lifecycle(order, retry=RetryPolicy(first_s=1.0, longest_s=4.0))
    requires = {each.name: each.requires for each in order}
    position = {each.name: index for index, each in enumerate(order)}
    unstopped: list[str] = []
    passed: dict[str, list[Step]] = {each.name: [] for each in order}
    running: set[str] = set()
    going_down = False
    now = 0.0
    for _ in range(400):
        event = data.draw(st.integers(0, 40), label="event")
        if event == 0:
            life.stop()
        elif event == 1 and running:
            victim = data.draw(st.sampled_from(sorted(running)))
            life.failed(victim, Step.RUN, "died", retriable=data.draw(st.booleans()), now=now)
            running.discard(victim)
        action = life.next(now)
        if isinstance(action, Finished):
            break
        if isinstance(action, Wait):
            if action.until is None:
                life.stop()
            else:
                assert action.until > now
                now = action.until
            continue
        name, step = action.name, action.step
        if step in UP:
            assert not life.stopping
            for other in requires[name]:
                over = life.states()[other][0] is State.FAILED
                assert over or step in passed[other] or (step is Step.LOAD and Step.CONFIGURE in passed[other])
        if step is Step.START:
            assert name not in unstopped
            unstopped.append(name)
        elif step is Step.DRAIN:
            assert name in unstopped
            assert not going_down
        elif step is Step.STOP:
            going_down = going_down or life.stopping
            unstopped.remove(name)
            running.discard(name)
        life.began(name, step)
        if data.draw(st.integers(0, 5), label="outcome") == 0:
            life.failed(name, step, "broken", retriable=data.draw(st.booleans()), now=now)
        else:
            life.succeeded(name, step)
            if step in UP:
                passed[name].append(step)
            if step is Step.POST_INIT:
                running.add(name)
    else:
        life.stop()
        last = None
        while isinstance(action := life.next(now), Perform):
            life.began(action.name, action.step)
            life.succeeded(action.name, action.step)
            if action.step is Step.STOP:
                unstopped.remove(action.name)
                assert last is None or position[action.name] < last
                last = position[action.name]
    assert unstopped == []
