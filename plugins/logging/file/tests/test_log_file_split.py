"""Where a batch is split: the pure policy against what it promises, and the files that come of it."""

from __future__ import annotations

import dataclasses

from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule, run_state_machine_as_test

from mtev_log import BackendSettings
from mtev_log.testing import line
from mtev_log_file import FileBackend
from mtev_log_file._sharing import rotated_files
from mtev_log_file.rotation import Live, RotationPolicy

START_S = 1_700_000_400  # a multiple of 600


def split(policy, lines):
    """The files that lines, as (length, time), end up in."""
    live, files = Live(), [[]]
    lengths, times = [each[0] for each in lines], [each[1] for each in lines]
    start = 0
    while start < len(lines):
        count = policy.fitting(live, lengths, times, start)
        if not count:
            files.append([])
            live.size_bytes = 0
            continue
        files[-1] += lines[start : start + count]
        live.size_bytes += sum(lengths[start : start + count])
        live.since_s = max(live.since_s, *times[start : start + count])
        start += count
    return files


@given(
    st.lists(st.tuples(st.integers(1, 60), st.integers(START_S, START_S + 3000)), max_size=40),
    st.sampled_from([0, 1, 50, 100]),
    st.sampled_from([0, 600]),
)
def test_files_keep_the_order_the_limit_and_the_periods(lines, limit, period):
    files = split(RotationPolicy(rotate_bytes=limit, rotate_seconds=period), lines)
    assert [each for file in files for each in file] == lines
    latest = 0
    for number, file in enumerate(files):
        assert file or not lines
        size = sum(length for length, _ in file)
        assert not limit or size <= limit or len(file) == 1
        for length, time_s in file[:1] if number else ():
            before = sum(each[0] for each in files[number - 1])
            too_large = limit and before + length > limit
            assert too_large or (period and time_s // period > latest // period), "no file ends too early"
        for place, (_, time_s) in enumerate(file):
            assert not (place and period) or time_s // period <= latest // period, "it begins a file"
            latest = max(latest, time_s)


@given(st.lists(st.integers(0, 5), min_size=1, max_size=30).map(sorted))
def test_lines_in_order_are_in_the_file_of_their_period(periods):
    lines = [(10, START_S + 600 * each) for each in periods]
    for file in split(RotationPolicy(rotate_seconds=600), lines):
        assert len({time_s for _, time_s in file}) == 1


def test_a_late_line_goes_to_the_current_file():
    lines = [(10, START_S), (10, START_S + 600), (10, START_S + 599), (10, START_S + 601)]
    assert split(RotationPolicy(rotate_seconds=600), lines) == [lines[:1], lines[1:]]


class Clock:
    def __init__(self, now):
        self.now = now

    def __call__(self):
        return self.now


class RotatedLog(RuleBasedStateMachine):
    """Whatever happens to the files of a log, its lines are all there, once, and in order."""

    directory = None
    limit = 300

    def __init__(self):
        super().__init__()
        self.folder = self.directory.mktemp("machine")
        self.path = self.folder / "x.log"
        self.monotonic, self.wall = Clock(0.0), Clock(float(START_S))
        self.moved = []
        self.lines = []
        self.backend = None
        self.start()

    @property
    def files(self):
        return [each.name for each in sorted(rotated_files(self.path), key=lambda each: each.stamp)]

    @rule()
    def start(self):
        if self.backend is not None:
            self.backend.close()
        settings = BackendSettings(
            "x", path=str(self.path), options={"rotate_bytes": "102400", "rotate_seconds": "600"}
        )
        self.backend = FileBackend(settings, self.monotonic, self.wall)
        self.backend._policy = dataclasses.replace(self.backend._policy, rotate_bytes=self.limit)
        self.backend.open()

    @rule(batch=st.lists(st.tuples(st.integers(0, 150), st.integers(0, 900)), max_size=8))
    def write(self, batch):
        records = []
        for length, ago in batch:
            text = f"{len(self.lines):05d}{'x' * length}"
            self.lines.append(text)
            records.append(dataclasses.replace(line(text), time_ns=int((self.wall.now - ago) * 1e9)))
        self.backend.write(records)

    @rule(seconds=st.sampled_from([0.1, 1.0, 700.0, -5.0]))
    def pass_time(self, seconds):
        self.wall.now += seconds
        self.monotonic.now += abs(seconds)

    @rule()
    def maintain(self):
        self.backend.maintain()

    @rule()
    def somebody_takes_the_next_name(self):
        stamp = max([int(self.wall.now), *(int(each.split(".")[2]) + 1 for each in self.files)])
        (self.folder / f"x.log.{stamp}").touch()

    @rule()
    def crash(self):
        with self.path.open("ab") as file:
            file.write(b"half")
        self.start()
        self.backend.write([line("")])

    @invariant()
    def every_line_is_there_once_and_in_order(self):
        texts = [(self.folder / name).read_text() for name in [*self.files, self.path.name]]
        found = [each.partition("] ")[2] for text in texts for each in text.splitlines() if each != "half"]
        assert [each for each in found if each] == self.lines

    @invariant()
    def no_file_is_too_large(self):
        for name in [*self.files, self.path.name]:
            text = (self.folder / name).read_bytes()
            lines = [each for each in text.splitlines() if each != b"half"]
            assert len(text) <= self.limit + len("half\n") or len(lines) == 1

    def teardown(self):
        self.backend.close()


def test_whatever_happens_lines_are_there_once_and_in_order(tmp_path_factory):
    RotatedLog.directory = tmp_path_factory
    run_state_machine_as_test(RotatedLog, settings=settings(deadline=None, max_examples=30, stateful_step_count=20))
