"""What `<eventer><config>` means."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mtev_eventer import JobQueueSettings, PoolSettings
from mtev_eventer._descriptors import attempts
from mtev_eventer._settings import DEFAULT_BACKLOG, default_concurrency, read_settings


def settings(**values):
    settled = read_settings(values)
    assert (settled.errors, settled.warnings) == ((), ())
    return settled.settings


def errors(**values):
    return [remark.text for remark in read_settings(values).errors]


def warnings(**values):
    return [remark.text for remark in read_settings(values).warnings]


def queue(text, name="x"):
    return settings(**{f"jobq_{name}": text}).queues[-1]


def test_nothing_said():
    said = settings()
    assert said.implementation == "uvloop"
    assert said.pools == (PoolSettings("default", 1),)
    assert said.queues == (JobQueueSettings("default_queue", 5),)
    assert said.rlim_nofiles is None
    assert not said.debugging
    assert (said.slow_loop_ms, said.slow_job_ms) == (0, 0)


def test_one_loop_where_only_one_can_run():
    assert default_concurrency(gil=True, processors=64) == 1
    assert default_concurrency(gil=False, processors=64) == 64
    assert default_concurrency(gil=False, processors=None) == 1


@pytest.mark.parametrize("name", ["epoll", "kqueue", "ports"])
def test_libmtevs_implementations_mean_the_default(name):
    settled = read_settings({}, name)
    assert settled.settings.implementation == "uvloop"
    assert settled.errors == ()
    assert name in settled.notes[0].text


def test_implementations():
    assert read_settings({}, "asyncio").settings.implementation == "asyncio"
    assert "uvloop or asyncio" in read_settings({}, "trio").errors[0].text


def test_plain_keys():
    said = settings(
        concurrency="3",
        default_queue_threads="7",
        default_jobq_ordering="LIFO",
        rlim_nofiles="65536",
        debugging="yes",
        show_loop_callbacks_threshold="2.5",
        show_jobq_callbacks_threshold="-1",
    )
    assert said.pools == (PoolSettings("default", 3),)
    assert said.queues == (JobQueueSettings("default_queue", 7, order="lifo"),)
    assert said.rlim_nofiles == 65536
    assert said.debugging
    assert (said.slow_loop_ms, said.slow_job_ms) == (2.5, -1)


def test_keys_in_any_case_but_names_as_they_are():
    said = settings(Concurrency="2", LOOP_Web="4")
    assert said.pools == (PoolSettings("default", 2), PoolSettings("Web", 4))


def test_a_key_said_twice():
    assert "keep one" in errors(concurrency="2", CONCURRENCY="3")[0]
    assert "keep one" in errors(loop_a="2", LOOP_a="3")[0]


@pytest.mark.parametrize(
    ("key", "text"),
    [
        ("concurrency", "many"),
        ("concurrency", "-1"),
        ("concurrency", "1000000"),
        ("default_queue_threads", "0"),
        ("default_jobq_ordering", "random"),
        ("rlim_nofiles", "255"),
        ("show_loop_callbacks_threshold", "slow"),
        ("loop_web", "1,2,3"),
        ("loop_web", "1,-2"),
        ("loop_we b", "1"),
        ("loop_", "1"),
        ("jobq_a/b", "1"),
    ],
)
def test_values_that_mean_nothing_name_their_key(key, text):
    found = read_settings({key: text}).errors
    assert [remark.key for remark in found] == [key]
    assert key in found[0].text


def test_every_error_is_reported():
    assert len(errors(concurrency="x", default_queue_threads="0", jobq_a="")) == 3


def test_unknown_keys_are_named_with_the_nearest_known_one():
    assert "did you mean 'concurrency'?" in warnings(conccurency="1")[0]
    assert "did you mean 'loop_<pool>'?" in warnings(lop_="1")[0]
    assert "did you mean" not in warnings(zzz="1")[0]


@pytest.mark.parametrize("key", ["default_ca_chain", "ssl_dhparam1024_file"])
def test_libmtevs_other_keys_are_without_effect(key):
    assert errors(**{key: "5"}) == []
    assert "no effect" in warnings(**{key: "5"})[0]


def test_pools():
    said = read_settings({"loop_web": "2,1.5", "loop_none": "0", "loop_empty": "", "concurrency": "3"})
    assert said.settings.pools == (
        PoolSettings("default", 3),
        PoolSettings("web", 2, 1.5),
        PoolSettings("none", 3),
        PoolSettings("empty", 3),
    )
    assert said.warnings == ()


def test_the_default_pool_and_queue_can_be_said_in_full():
    said = settings(concurrency="3", loop_default="2", jobq_default_queue="9")
    assert said.pools == (PoolSettings("default", 2),)
    assert said.queues == (JobQueueSettings("default_queue", 9),)


def test_queues():
    assert queue("4") == JobQueueSettings("x", 4)
    assert queue("4,2,8") == JobQueueSettings("x", 4, 2, 8)
    assert queue("4,0,0,cs,0,lifo") == JobQueueSettings("x", 4, 0, 0, "cs", 0, "lifo")
    assert queue("4,,8,,20") == JobQueueSettings("x", 4, 0, 8, "gc", 20)
    assert queue("2,2") == JobQueueSettings("x", 2, 2, 2)
    assert queue("4").backlog == DEFAULT_BACKLOG


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("", "concurrency is missing"),
        ("0", "too small"),
        ("4,2", "above the max of 2 (which is the min where no max is given)"),
        ("4,8,6", "min of 8 is above the max of 6"),
        ("4,5,6", "below the min of 5"),
        ("9,1,6", "above the max of 6"),
        ("4,1,6,safe", "none of gc, cs, none"),
        ("4,1,6,GC", "none of gc, cs, none"),
        ("4,1,6,gc,-1", "too small"),
        ("4,1,6,gc,1,up", "neither fifo nor lifo"),
        ("4,1,6,gc,1,fifo,x", "7 fields"),
    ],
)
def test_queues_that_cannot_be(text, complaint):
    assert complaint in errors(jobq_x=text)[0]


_KEYS = st.one_of(
    st.sampled_from(
        ["concurrency", "default_queue_threads", "default_jobq_ordering", "rlim_nofiles", "debugging",
         "show_loop_callbacks_threshold", "loop_default", "jobq_default_queue", "ssl_ctx_cache_expiry"]
    ),
    st.builds("loop_{}".format, st.text(max_size=8)),
    st.builds("jobq_{}".format, st.text(max_size=8)),
    st.text(max_size=12),
)  # fmt: skip
_NUMBER = st.integers(-2, 6000).map(str)
_FIELDS = st.lists(st.one_of(_NUMBER, st.sampled_from(["", "gc", "cs", "none", "fifo", "lifo", " 3 "])), max_size=7)
_VALUES = st.one_of(_NUMBER, _FIELDS.map(",".join), st.text(max_size=12))


@given(st.dictionaries(_KEYS, _VALUES, max_size=8), st.one_of(st.none(), st.text(max_size=8)), st.integers(1, 64))
def test_whatever_is_written_settings_come_out_valid(values, implementation, concurrency):
    settled = read_settings(values, implementation, concurrency=concurrency)
    said = settled.settings
    assert said.implementation in ("uvloop", "asyncio")
    assert said.pools[0].name == "default"
    assert said.queues[0].name == "default_queue"
    assert all(each.concurrency >= 1 and each.timeout_s >= 0 for each in said.pools)
    for each in said.queues:
        assert each.concurrency >= max(1, each.minimum)
        assert each.maximum == 0 or each.concurrency <= each.maximum
        assert each.backlog >= 0
    remarks = (*settled.errors, *settled.warnings, *settled.notes)
    assert all(remark.key in values or remark.key == "" for remark in remarks)


@given(
    st.integers(1, 50), st.integers(0, 60), st.integers(0, 60), st.sampled_from(["gc", "cs", "none"]),
    st.integers(0, 10**6), st.sampled_from(["fifo", "lifo"]),
)  # fmt: skip
def test_a_queue_is_taken_exactly_when_its_bounds_hold(concurrency, low, high, safety, backlog, order):
    settled = read_settings({"jobq_x": f"{concurrency},{low},{high},{safety},{backlog},{order}"})
    holds = low <= concurrency and (high == 0 or concurrency <= high)
    assert (settled.errors == ()) == holds
    if holds:
        assert settled.settings.queues[-1] == JobQueueSettings("x", concurrency, low, high, safety, backlog, order)


@given(st.one_of(st.none(), st.integers(256, 1 << 22)), st.integers(256, 1 << 20), st.integers(0, 1 << 20))
def test_open_files_are_asked_for_within_reason(wanted, soft, more):
    hard = soft + more
    tried = attempts(wanted, soft, hard)
    if wanted is None:
        assert tried in ([], [(hard, hard)])
        return
    if tried:
        assert tried[0][0] == wanted
        assert all(first > second for (first, _), (second, _) in itertools.pairwise(tried))
        assert tried[-1] == ((wanted, hard) if wanted <= hard else (hard, hard))
    else:
        assert wanted == soft
    assert all(hard <= limit for _, limit in tried)


def test_pools_and_queues_have_thresholds_and_profiles_of_their_own():
    said = settings(
        loop_web="1", jobq_io="1", profile="off", profile_web="on", blocked_threshold="250",
        show_loop_callbacks_threshold="1", show_loop_callbacks_threshold_web="5", show_jobq_callbacks_threshold_io="-1",
    )  # fmt: skip
    assert [(pool.name, pool.profile) for pool in said.pools] == [("default", False), ("web", True)]
    assert (said.slow_loop_of("default"), said.slow_loop_of("web")) == (1.0, 5.0)
    assert (said.slow_job_of("default_queue"), said.slow_job_of("io")) == (0.0, -1.0)
    assert said.blocked_s == 0.25


@pytest.mark.parametrize(
    ("key", "value", "error"),
    [
        ("profile", "perhaps", "profile: "),
        ("profile_nowhere", "on", "there is no pool 'nowhere'"),
        ("show_loop_callbacks_threshold_nowhere", "1", "there is no pool 'nowhere'"),
        ("show_jobq_callbacks_threshold_nowhere", "1", "there is no job queue 'nowhere'"),
        ("show_jobq_callbacks_threshold_default_queue", "x", "show_jobq_callbacks_threshold_default_queue: "),
        ("blocked_threshold", "-1", "blocked_threshold: "),
    ],
)
def test_what_they_say_has_to_mean_something(key, value, error):
    assert error in errors(**{key: value})[0]
