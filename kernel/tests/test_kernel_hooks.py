"""Hooks: what implementations are allowed, in which order they run, and what their results mean."""

import asyncio
import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mtev_kernel import ABORT, CONTINUE, DONE, HookError, hookimpl, hookspec
from mtev_kernel.hooks import HookRegistry


class Specs:
    @hookspec
    def decide(request, answer):
        """Decide something."""

    @hookspec(on_error=ABORT)
    def guard(request):
        """Decide whether somebody may."""

    @hookspec
    async def decide_later(request):
        """Decide something, slowly."""

    @hookspec(returns="first")
    def first(number, factor=2):
        """The first that is not None."""

    @hookspec(returns="all")
    def all_of(number):
        """All of them."""


@pytest.fixture
def failures():
    return []


@pytest.fixture
def hooks(failures):
    registry = HookRegistry(failures.append)
    registry.declare("owner", "owner-dist 1", Specs)
    return registry


def implementing(hook, function, **options):
    """An object with one implementation."""
    marked = hookimpl(specname=hook, **options)(function)
    return type("Implementing", (), {"method": staticmethod(marked)})()


def test_a_site_nobody_is_attached_to_has_no_call(hooks):
    assert hooks.site(Specs.decide).call is None


def test_a_detached_site_has_no_call_again(hooks):
    attachment = hooks.attach("p", "d", implementing("decide", lambda: DONE))
    site = hooks.site(Specs.decide)
    assert site.call(1, 2) is DONE
    attachment.detach()
    attachment.detach()
    assert site.call is None


def test_an_implementation_takes_a_subset_of_the_arguments_by_name(hooks):
    seen = []
    hooks.attach("p", "d", implementing("decide", lambda answer: seen.append(answer)))
    assert hooks.site(Specs.decide).call(request=1, answer=2) is CONTINUE
    assert seen == [2]


def test_done_lets_later_implementations_run_and_is_remembered(hooks):
    order = []
    hooks.attach("a", "d", implementing("decide", lambda: order.append("a")))
    hooks.attach("b", "d", implementing("decide", lambda: order.append("b") or DONE))
    assert hooks.site(Specs.decide).call(1, 2) is DONE
    assert order == ["b", "a"]


def test_abort_ends_the_walk(hooks):
    order = []
    hooks.attach("a", "d", implementing("decide", lambda: order.append("a")))
    hooks.attach("b", "d", implementing("decide", lambda: order.append("b") or ABORT))
    assert hooks.site(Specs.decide).call(1, 2) is ABORT
    assert order == ["b"]


def test_a_raising_implementation_is_attributed_and_the_others_still_run(hooks, failures):
    order = []
    hooks.attach("a", "d 1", implementing("decide", lambda: order.append("a") or DONE))
    hooks.attach("b", "d 2", implementing("decide", lambda: 1 / 0))
    assert hooks.site(Specs.decide).call(1, 2) is DONE
    assert order == ["a"]
    assert [(each.plugin, each.distribution, type(each.error)) for each in failures] == [
        ("b", "d 2", ZeroDivisionError)
    ]
    assert str(failures[0]) == "hook 'decide': the implementation of plugin 'b' (d 2) failed"


def test_sys_exit_in_an_implementation_is_contained(hooks, failures):
    def leave():
        raise SystemExit(3)

    hooks.attach("a", "d", implementing("decide", leave))
    assert hooks.site(Specs.decide).call(1, 2) is CONTINUE
    assert isinstance(failures[0].error, SystemExit)


def test_a_failed_guard_fails_closed(hooks):
    hooks.attach("a", "d", implementing("guard", lambda: 1 / 0))
    assert hooks.site(Specs.guard).call(1) is ABORT


def test_a_guard_that_answers_nonsense_fails_closed(hooks, failures):
    hooks.attach("a", "d", implementing("guard", lambda: "yes"))
    assert hooks.site(Specs.guard).call(1) is ABORT
    assert "returned 'yes'; expected CONTINUE, DONE, ABORT or None" in str(failures[0].error)


def test_nonsense_counts_as_continue_elsewhere(hooks, failures):
    hooks.attach("a", "d", implementing("decide", lambda: 2))
    assert hooks.site(Specs.decide).call(1, 2) is CONTINUE
    assert len(failures) == 1


def test_what_the_report_raises_propagates():
    def report(failure):
        raise failure.error

    hooks = HookRegistry(report)
    hooks.declare("owner", "d", Specs)
    hooks.attach("a", "d", implementing("decide", lambda: 1 / 0))
    with pytest.raises(ZeroDivisionError):
        hooks.site(Specs.decide).call(1, 2)


def test_first_result_wins_and_defaults_of_the_specification_apply(hooks):
    hooks.attach("a", "d", implementing("first", lambda number, factor: number * factor))
    hooks.attach("b", "d", implementing("first", lambda: None))
    assert hooks.site(Specs.first).call(5) == 10
    assert hooks.site(Specs.first).call(5, factor=3) == 15


def test_all_results_are_gathered_in_calling_order(hooks):
    hooks.attach("a", "d", implementing("all_of", lambda number: number))
    hooks.attach("b", "d", implementing("all_of", lambda: None))
    hooks.attach("c", "d", implementing("all_of", lambda number: -number))
    assert hooks.site(Specs.all_of).call(7) == [-7, 7]


def test_async_implementations_are_awaited_in_order(hooks):
    order = []

    async def slow(request):
        await asyncio.sleep(0)
        order.append(("slow", request))

    async def quick():
        order.append("quick")
        return DONE

    hooks.attach("a", "d", implementing("decide_later", quick))
    hooks.attach("b", "d", implementing("decide_later", slow))
    assert asyncio.run(hooks.site(Specs.decide_later).call(1)) is DONE
    assert order == [("slow", 1), "quick"]


def test_cancellation_passes_through_an_async_implementation(hooks, failures):
    async def scenario():
        async def hang():
            await asyncio.Event().wait()

        hooks.attach("a", "d", implementing("decide_later", hang))
        task = asyncio.ensure_future(hooks.site(Specs.decide_later).call(1))
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(scenario())
    assert failures == []


@pytest.mark.parametrize(("hook", "advice"), [("decide", "with 'def'"), ("decide_later", "with 'async def'")])
def test_the_kind_of_an_implementation_must_be_that_of_its_hook(hooks, hook, advice):
    async def coroutine():
        pass

    wrong = coroutine if hook == "decide" else (lambda: None)
    with pytest.raises(HookError, match=f"plugin 'p' \\(d 1\\).*{advice}"):
        hooks.attach("p", "d 1", implementing(hook, wrong))
    assert hooks.site(getattr(Specs, hook)).call is None


def test_an_argument_that_the_specification_lacks_is_refused(hooks):
    with pytest.raises(HookError, match=r"plugin 'p' \(d 1\): hook 'decide'"):
        hooks.attach("p", "d 1", implementing("decide", lambda nonsense: None))


def test_attaching_is_all_or_nothing(hooks):
    class Half:
        @hookimpl
        def decide(self):
            return DONE

        @hookimpl
        def first(self, nonsense):
            return 1

    with pytest.raises(HookError):
        hooks.attach("p", "d", Half())
    assert hooks.site(Specs.decide).call is None


def test_an_unknown_hook_is_a_problem_with_the_nearest_name(hooks):
    hooks.attach("p", "d 1", implementing("decide_latr", lambda: None))
    [problem] = hooks.problems()
    assert (problem.plugin, problem.distribution) == ("p", "d 1")
    assert "no enabled plugin declares a hook 'decide_latr'; did you mean 'decide_later'?" in str(problem.error)


def test_an_optional_implementation_of_an_unknown_hook_is_no_problem(hooks):
    hooks.attach("p", "d", implementing("elsewhere", lambda: None, optional=True))
    assert hooks.problems() == []


def test_an_implementation_may_come_before_its_specification():
    hooks = HookRegistry(lambda failure: None)
    hooks.attach("p", "d", implementing("decide", lambda: DONE))
    hooks.declare("owner", "d", Specs)
    assert hooks.site(Specs.decide).call(1, 2) is DONE
    assert hooks.problems() == []


def test_one_that_does_not_fit_when_its_specification_comes_is_a_problem_of_its_own_plugin():
    hooks = HookRegistry(lambda failure: None)
    hooks.attach("p", "d", implementing("decide", lambda nonsense: None))
    hooks.declare("owner", "d", Specs)
    assert [problem.plugin for problem in hooks.problems()] == ["p"]
    assert hooks.site(Specs.decide).call is None


def test_a_hook_is_declared_once(hooks):
    with pytest.raises(HookError, match=r"plugin 'late' \(l 1\) declares the hook 'decide', which plugin 'owner'"):
        hooks.declare("late", "l 1", Specs)


def test_a_namespace_without_specifications_is_refused(hooks):
    with pytest.raises(HookError, match="has no @hookspec"):
        hooks.declare("p", "d", object)


def test_an_undeclared_hook_has_no_site(hooks):
    def elsewhere():
        pass

    with pytest.raises(HookError, match="'elsewhere' is not declared"):
        hooks.site(elsewhere)


def test_a_marked_function_can_be_attached_by_itself(hooks):
    @hookimpl
    def decide():
        return DONE

    hooks.attach("p", "d", decide)
    assert hooks.site(Specs.decide).call(1, 2) is DONE
    with pytest.raises(HookError, match="not marked"):
        hooks.attach("p", "d", test_an_undeclared_hook_has_no_site)


def test_properties_of_a_plugin_are_not_evaluated(hooks):
    class Touchy:
        @property
        def trap(self):
            raise AssertionError("evaluated")

        @hookimpl
        def decide(self):
            return DONE

    hooks.attach("p", "d", Touchy())
    assert hooks.site(Specs.decide).call(1, 2) is DONE


def test_before_and_after_bend_the_order(hooks):
    order = []

    def log(name):
        return lambda: order.append(name)

    hooks.attach("a", "d", implementing("decide", log("a"), before=["c"]))
    hooks.attach("b", "d", implementing("decide", log("b")))
    hooks.attach("c", "d", implementing("decide", log("c")))
    hooks.attach("d", "d", implementing("decide", log("d"), after=["a"]))
    hooks.site(Specs.decide).call(1, 2)
    assert order == ["b", "a", "c", "d"] or order.index("a") < order.index("c")
    assert order.index("a") < order.index("d")
    assert [each.plugin for each in hooks.describe()[1].attached] == order


def test_contradicting_relations_name_the_plugins(hooks):
    hooks.attach("a", "d", implementing("decide", lambda: None, before=["b"]))
    with pytest.raises(HookError, match="plugins a, b contradict"):
        hooks.attach("b", "d", implementing("decide", lambda: None, before=["a"]))
    assert [each.plugin for each in hooks.describe()[1].attached] == ["a"]


@given(st.lists(st.sampled_from("abcdef"), unique=True), st.data())
def test_every_relation_holds_and_without_any_the_last_comes_first(names, data):
    hooks = HookRegistry(lambda failure: None)
    hooks.declare("owner", "d", Specs)
    order = []
    relations = []
    for position, name in enumerate(names):
        earlier = names[:position]
        before = data.draw(st.lists(st.sampled_from(earlier), unique=True)) if earlier else []
        relations += [(name, other) for other in before]
        hooks.attach(name, "d", implementing("decide", lambda name=name: order.append(name), before=before))
    if names:
        hooks.site(Specs.decide).call(1, 2)
    assert sorted(order) == sorted(names)
    assert all(order.index(first) < order.index(second) for first, second in relations)
    if not relations:
        assert order == names[::-1]


def test_a_wrapper_goes_round_the_others_and_may_change_the_result(hooks):
    order = []

    def around():
        order.append("before")
        result = yield
        order.append("after")
        return ABORT if result is DONE else result

    hooks.attach("w", "d", implementing("decide", around, wrapper=True))
    hooks.attach("a", "d", implementing("decide", lambda: order.append("inside") or DONE))
    assert hooks.site(Specs.decide).call(1, 2) is ABORT
    assert order == ["before", "inside", "after"]


@pytest.mark.parametrize("fault", ["raises first", "raises last", "does not yield", "yields twice"])
def test_a_broken_wrapper_does_not_change_the_outcome(hooks, failures, fault):
    def around():
        if fault == "raises first":
            raise RuntimeError
        if fault != "does not yield":
            yield
        if fault == "raises last":
            raise RuntimeError
        if fault == "yields twice":
            yield

    hooks.attach("a", "d", implementing("decide", lambda: DONE))
    hooks.attach("w", "d", implementing("decide", around, wrapper=True))
    assert hooks.site(Specs.decide).call(1, 2) is DONE
    assert [each.plugin for each in failures] == ["w"]


def test_timing_counts_calls_and_can_be_switched_at_run_time(hooks):
    hooks.attach("a", "d", implementing("decide", lambda: None))
    site = hooks.site(Specs.decide)
    site.call(1, 2)
    hooks.set_timed(True)
    site.call(1, 2)
    site.call(1, 2)
    hooks.set_timed(False)
    site.call(1, 2)
    [seen] = hooks.describe()[1].attached
    assert seen.calls == 2
    assert seen.total_ns >= seen.longest_ns > 0


def test_a_description_says_all_that_a_listing_needs(hooks):
    by_name = {each.name: each for each in hooks.describe()}
    assert list(by_name) == sorted(by_name)
    assert by_name["decide_later"].kind == "async"
    assert by_name["guard"].summary == "Decide whether somebody may."
    assert by_name["first"].signature == "(number, factor=2)"
    assert by_name["all_of"].returns == "all"
    assert by_name["decide"].owner == "owner"


def test_attaching_and_calling_from_many_threads_at_once(hooks):
    site = hooks.site(Specs.decide)
    stop = threading.Event()
    errors = []

    def call():
        while not stop.is_set():
            walk = site.call
            if walk is not None and walk(1, 2) not in (CONTINUE, DONE):
                errors.append("wrong result")

    def churn(name):
        for _ in range(100):
            hooks.attach(name, "d", implementing("decide", lambda: DONE)).detach()

    caller = threading.Thread(target=call)
    churners = [threading.Thread(target=churn, args=(name,)) for name in "abc"]
    caller.start()
    for thread in churners:
        thread.start()
    for thread in churners:
        thread.join()
    stop.set()
    caller.join()
    assert errors == []
    assert site.call is None
