"""Histograms and counters under several threads: nothing is lost, and nothing piles up."""

from __future__ import annotations

import gc
import threading

import pytest

from mtev_stats import Counter, Histogram, Snapshot


def in_threads(functions):
    threads = [threading.Thread(target=each) for each in functions]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def test_every_way_to_record_adds_up():
    histogram = Histogram()
    record = histogram.local()
    record(1_500_000)
    histogram.record(0.0015)
    histogram.record(0.0015, count=3)
    assert histogram.snapshot() == Snapshot.of([0.0015] * 5)


def test_many_threads_lose_nothing():
    histogram, rounds = Histogram(), 2000

    def work():
        record = histogram.local()
        for ns in range(rounds):
            record(ns)
            histogram.record(ns * 1e-9)

    in_threads([work] * 8)
    assert histogram.snapshot().count == 8 * 2 * rounds
    assert histogram.snapshot() == Snapshot.of([ns * 1e-9 for ns in range(rounds)] * 16)


def test_readers_see_counts_that_only_grow_while_others_record():
    histogram, stop, seen = Histogram(), threading.Event(), []

    def work():
        record = histogram.local()
        while not stop.is_set():
            record(1000)
            histogram.record(0.5)

    def read():
        seen.extend(histogram.snapshot().count for _ in range(200))
        stop.set()

    in_threads([work, work, read])
    assert seen == sorted(seen)


def test_what_is_gone_is_kept_and_takes_no_room():
    histogram = Histogram()
    for _ in range(50):
        histogram.local()(7)
        in_threads([lambda: histogram.record(7e-9)])
    gc.collect()
    assert histogram.snapshot() == Snapshot.of([7e-9] * 100)
    assert len(histogram._cells) == 0


def test_consumers_do_not_disturb_each_other():
    histogram = Histogram()
    histogram.record(1)
    assert histogram.since_last("one").count == 1
    histogram.record(2)
    assert histogram.since_last("one") == Snapshot.of([2])
    assert histogram.since_last("two") == Snapshot.of([1, 2])
    assert histogram.since_last("two") == Snapshot()
    assert histogram.snapshot() == Snapshot.of([1, 2])


def test_clearing_begins_anew_for_everybody():
    histogram = Histogram()
    record = histogram.local()
    record(5)
    assert histogram.since_last("one").count == 1
    histogram.clear()
    assert histogram.snapshot() == Snapshot()
    assert histogram.since_last("one") == Snapshot()
    record(6)
    assert histogram.snapshot() == histogram.since_last("new") == Snapshot.of([6e-9])


def test_a_count_below_zero_is_refused():
    with pytest.raises(ValueError, match="-1 times"):
        Histogram().record(1, count=-1)
    with pytest.raises(ValueError, match="only grows"):
        Counter().add(-1)


def test_a_histogram_that_is_gone_does_not_break_its_recorders():
    histogram = Histogram()
    record = histogram.local()
    del histogram
    gc.collect()
    record(5)
    del record
    gc.collect()


def test_counters_add_up_over_threads_and_cells():
    counter = Counter("requests")

    def work():
        cell = counter.local()
        for _ in range(1000):
            cell.n += 1
            counter.add(2)

    in_threads([work] * 8)
    gc.collect()
    assert counter.value == 8 * 3000
    assert len(counter._cells) == 0


def test_a_cleared_counter_begins_at_zero():
    counter = Counter()
    cell = counter.local()
    cell.n += 5
    counter.clear()
    assert counter.value == 0
    cell.n += 2
    assert counter.value == 2


def test_a_recorder_may_count_for_several_histograms():
    one, all_of_them = Histogram(), Histogram()
    record, other = one.local(all_of_them), all_of_them.local()
    record(7)
    other(8)
    assert one.snapshot() == Snapshot.of([7e-9])
    assert all_of_them.snapshot() == Snapshot.of([7e-9, 8e-9])
    del record
    gc.collect()
    assert one.snapshot() == Snapshot.of([7e-9])
    assert all_of_them.snapshot() == Snapshot.of([7e-9, 8e-9])
