"""Whatever a save is doing when it dies, fails or loses power: what is read afterwards is all old or all new.

Every operation of a save goes through `Files`, so a test can stop it at each of them, one after another; and a real
process is killed at moments that chance picks. MTEV_CRASH_ROUNDS says how often the latter (200 when it is not set;
thousands for a long run, on a real disk then), and multiplies the losses of power and the sets that chance makes up.
"""

from __future__ import annotations

import contextlib
import errno
import inspect
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mtev_conf._disk.commit import Remove, RemoveDirectory, Unfinished, Write, commit, digest, reading
from mtev_conf._disk.durable import Files
from mtev_kernel.errors import ConfigurationError

ROUNDS = int(os.environ.get("MTEV_CRASH_ROUNDS", "200"))
ANCHOR = "etc/app.conf"


class Died(BaseException):
    """Stands for the end of the process: whoever catches it can do nothing more to the disk."""


class Quick(Files):
    """The real disk, without waiting for it: what dies here is a process, which loses nothing."""

    def fsync(self, descriptor):
        os.fstat(descriptor)

    def sync_directory(self, path):
        path.stat()


class Probe(Quick):
    """Notes every operation; `strike` is called before each with its number, and may raise."""

    def __init__(self, strike=lambda number: None):
        self.log = []
        self.paths = {}
        self.strike = strike

    @staticmethod
    def probed(name):
        real = getattr(Quick, name)

        def operation(self, *arguments):
            self.strike(len(self.log))
            if name == "write":
                # In halves, so that a file can be torn.
                arguments = (arguments[0], arguments[1][: max(1, len(arguments[1]) // 2)])
            shown = tuple(bytes(each) if isinstance(each, memoryview) else each for each in arguments)
            if isinstance(arguments[0], int):
                shown = (self.paths[arguments[0]], *shown[1:]) if arguments[0] in self.paths else shown
            self.log.append((name, *shown))
            result = real(self, *arguments)
            if name == "create":
                self.paths[result] = arguments[0]
            return result

        return operation


for each in [name for name in vars(Files) if not name.startswith("_")]:
    setattr(Probe, each, Probe.probed(each))


def dying_at(last):
    """Stops everything from an operation on, as death does."""

    def strike(number):
        if number >= last:
            raise Died

    return Probe(strike)


def failing_at(first, error, lasting):
    """Fails at an operation; from then on always, if it is lasting."""
    struck = []

    def strike(number):
        # A failed operation is not in the log, so what comes next has the same number.
        if (number == first and not struck) or (lasting and struck):
            struck.append(number)
            raise OSError(error, os.strerror(error))

    return Probe(strike)


# --- what is saved ----------------------------------------------------------------------------------------------------


def folders(files):
    return {str(parent) for path in files for parent in Path(path).parents if str(parent) != "."}


def changes_between(root, old, new):
    """The changes that turn the files `old` (contents by path) below `root` into `new`."""
    changes = [
        Write(f"{root}/{path}", data, digest(old[path]) if path in old else None)
        for path, data in new.items()
        if old.get(path) != data
    ]
    changes += [Remove(f"{root}/{path}", digest(data)) for path, data in old.items() if path not in new]
    return changes + [RemoveDirectory(f"{root}/{each}") for each in sorted(folders(old) - folders(new))]


def lay_out(root, files):
    for path, data in files.items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_bytes(data)


def visible(root):
    """What a reader gets: files by path, None for directories; what stands for nothing is left out."""
    found = {}
    for each in sorted(root.rglob("*")):
        path = str(each.relative_to(root))
        if not any(part.startswith(".mtev-") for part in each.relative_to(root).parts):
            found[path] = each.read_bytes() if each.is_file() else None
    return found


def view(files):
    return {**dict.fromkeys(folders(files)), **files}


def nothing_is_left(root):
    return not [each for each in root.rglob(".*") if each.name.startswith(".mtev-") or each.name.endswith(".commit")]


OLD = {ANCHOR: b"<old/>", "etc/conf.d/a.conf": b"a", "etc/conf.d/b.conf": b"b", "share/x.conf": b"x"}
STORE = {
    **OLD,
    "etc/store/host#1/.attrs": b"<host/>",
    "etc/store/host#1/item#2/.attrs": b"<item/>",
    "etc/store/c#3.xml": b"<c/>",
}
SETS = {
    "one file": (OLD, {**OLD, ANCHOR: b"<new/>"}),
    "one new file": (OLD, {**OLD, "etc/conf.d/c.conf": b"c"}),
    "one removed": (OLD, {path: data for path, data in OLD.items() if path != "share/x.conf"} | {"share/y": b"y"}),
    "several files": (OLD, {path: data + b"!" for path, data in OLD.items()}),
    "a directory": (OLD, {**OLD, "etc/store/host#1/.attrs": b"1", "etc/store/host#1/item#2/deep#3/.attrs": b"2"}),
    "a directory and a file": (OLD, {**OLD, ANCHOR: b"<new/>", "etc/d/e": b"1", "etc/d/f/g": b"2", "share/s/t": b"3"}),
    "a removed directory": (STORE, {**OLD, "etc/store/c#3.xml": b"<c b=''/>"}),
    "a whole store removed": (STORE, OLD),
    "everything": (STORE, {ANCHOR: b"<new/>", "etc/store/c#3.xml": b"<c/>", "etc/store/h#4/.attrs": b"4", "o/z": b"z"}),
}


@pytest.fixture
def folder():
    """A directory for thousands of small trees: in memory where that is possible, because nothing is synced anyway."""
    memory = "/dev/shm"
    with tempfile.TemporaryDirectory(dir=memory if os.access(memory, os.W_OK) else None) as name:
        yield Path(os.path.realpath(name))


@pytest.fixture(params=list(SETS))
def case(request, folder):
    return Case(folder, *SETS[request.param])


class Case:
    """A set of files to be saved over another, each time in a new directory."""

    def __init__(self, folder, old, new):
        self.folder, self.old, self.new = folder, old, new
        self._count = 0

    def fresh(self, copied=None):
        self._count += 1
        root = self.folder / str(self._count)
        if copied is None:
            lay_out(root, self.old)
        else:
            shutil.copytree(copied, root)
        return root

    def save(self, root, files=None):
        return commit(str(root / ANCHOR), changes_between(root, self.old, self.new), files=files or Quick())

    def operations(self):
        probe = Probe()
        root = self.fresh()
        self.save(root, probe)
        assert visible(root) == view(self.new)
        assert nothing_is_left(root)
        return root, probe.log

    def read(self, root, files=None):
        with reading(str(root / ANCHOR), files=files or Quick()):
            return visible(root)

    def check(self, root):
        """What is read is old or new; after a save from there it is new, and nothing is left over."""
        found = self.read(root)
        assert found in (view(self.old), view(self.new))
        if found != view(self.new):
            self.save(root)
            assert self.read(root) == view(self.new)
        assert nothing_is_left(root)
        return found == view(self.new)


# --- death at every operation ---------------------------------------------------------------------------------------


def test_dying_before_any_operation_leaves_old_or_new(case):
    _, log = case.operations()
    outcomes = []
    for last in range(len(log) + 1):
        root = case.fresh()
        try:
            case.save(root, dying_at(last))
        except Died:
            assert last < len(log)
        outcomes.append(case.check(root))
    # Once it is new, it stays new; the first operation is too early, and after the last it is done.
    assert outcomes == sorted(outcomes)
    assert not outcomes[0]
    assert outcomes[-1]


def test_dying_while_completing_leaves_new(case):
    """The reader that completes a save dies too, at every operation of its own, and the next one completes it."""
    _, log = case.operations()
    for last in range(len(log)):
        root = case.fresh()
        with pytest.raises(Died):
            case.save(root, dying_at(last))
        if not list(root.glob("etc/.*.commit")):
            continue
        probe = Probe()
        case.read(case.fresh(root), probe)
        for second in range(len(probe.log)):
            again = case.fresh(root)
            with pytest.raises(Died):
                case.read(again, dying_at(second))
            assert case.read(again) == view(case.new)
            assert nothing_is_left(again)


PATHS = [
    "etc/conf.d/a.conf", "etc/conf.d/b.conf", "etc/x", "share/x", "share/y/z", "etc/s/c#1.xml", "etc/s/h#2/.attrs",
    "etc/s/h#2/i#3.xml", "etc/s/h#4/.attrs", "etc/s/h#4/i#5/.attrs", "etc/s/h#4/i#5/j#6.xml",
]  # fmt: skip
contents = st.dictionaries(st.sampled_from(PATHS), st.sampled_from([b"", b"1", b"two", b"3" * 100]))
documents = st.tuples(contents, st.sampled_from([b"<a/>", b"<b/>"])).map(lambda drawn: {**drawn[0], ANCHOR: drawn[1]})


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=max(40, ROUNDS // 5))
@given(old=documents, new=documents, data=st.data())
def test_dying_anywhere_in_any_set_leaves_old_or_new(folder, old, new, data):
    case = Case(Path(tempfile.mkdtemp(dir=folder)), old, new)
    _, log = case.operations()
    root = case.fresh()
    last = data.draw(st.integers(0, len(log)))
    try:
        case.save(root, dying_at(last))
    except Died:
        with contextlib.suppress(Died):
            case.read(root, dying_at(data.draw(st.integers(0, 12))))
    case.check(root)


# --- failure at every operation --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("error", "lasting"),
    [
        pytest.param(errno.ENOSPC, False, id="disk full for a moment"),
        pytest.param(errno.EIO, True, id="disk broken"),
        pytest.param(errno.EACCES, False, id="something not allowed"),
    ],
)
def test_a_failure_changes_nothing_or_is_made_good(case, error, lasting):
    _, log = case.operations()
    for first in range(len(log)):
        root = case.fresh()
        probe = failing_at(first, error, lasting)
        with pytest.raises(ConfigurationError) as caught:
            case.save(root, probe)
        if isinstance(caught.value, Unfinished):
            assert case.read(root) == view(case.new)
            assert nothing_is_left(root)
            continue
        assert "Nothing was changed" in str(caught.value)
        assert visible(root) == view(case.old)
        if not lasting and not hasattr(caught.value, "__notes__"):
            assert nothing_is_left(root)
        assert not case.check(root)


# --- the order of the operations -------------------------------------------------------------------------------------


def test_what_is_renamed_has_been_synced_and_its_directory_is_synced_after(case):
    root, log = case.operations()
    decision = next(
        (number for number, step in enumerate(log) if step[0] == "rename" and step[2].suffix == ".commit"), None
    )
    forgotten = next(
        (number for number, step in enumerate(log) if step[0] == "unlink" and step[1].suffix == ".commit"), None
    )
    renames = [number for number, step in enumerate(log) if step[0] == "rename"]
    for number in renames:
        _, source, target = log[number]
        below = [
            path
            for step in log[:number]
            if step[0] in {"create", "mkdir"}
            for path in [step[1]]
            if source == path or source in path.parents
        ]
        assert below
        for path in below:
            # The last thing that happened to it is that it was synced; a directory, after all that was made in it.
            touched = [
                (place, step[0])
                for place, step in enumerate(log[:number])
                if step[1] == path or (step[0] in {"create", "mkdir"} and step[1].parent == path)
            ]
            assert touched[-1][1] in {"fsync", "sync_directory"}
        # Its temporary name is on the medium before the record that speaks of it.
        if decision is not None and number != decision:
            made = next(place for place, step in enumerate(log) if step[0] in {"create", "mkdir"} and step[1] == source)
            assert ("sync_directory", source.parent) in log[made:decision]
            assert number > decision
        end = forgotten if forgotten is not None and number != decision else len(log)
        assert ("sync_directory", target.parent) in log[number:end]
    if decision is None:
        assert len(renames) == 1
        return
    for number, step in enumerate(log):
        if step[0] in {"unlink", "rmdir"} and number != forgotten:
            assert decision < number < forgotten
            folder = step[1].parent
            gone = [place for place, other in enumerate(log) if other == ("rmdir", folder)]
            assert gone or ("sync_directory", folder) in log[number:forgotten]
    assert log[decision + 1] == log[-1] == ("sync_directory", root / "etc")
    assert forgotten == len(log) - 2


# --- loss of power: what was not synced may be there or not ----------------------------------------------------------


class Node:
    """A file or directory of a medium that forgets what was not synced."""

    def __init__(self, now, synced):
        self.now, self.synced, self.pending = now, synced, []


class Medium:
    """Plays a log of operations, and lays out what may be left of them after a loss of power."""

    def __init__(self, root, files):
        self.root = root
        self.top = Node({}, {})
        for path, data in files.items():
            node = self.top
            *parents, name = Path(path).parts
            for part in parents:
                node.synced.setdefault(part, node.now.setdefault(part, Node({}, {})))
                node = node.now[part]
            node.now[name] = node.synced[name] = Node(data, data)

    def node(self, path):
        node = self.top
        for part in path.relative_to(self.root).parts:
            node = node.now[part]
        return node

    def play(self, name, path, *rest):
        folder = self.node(path.parent) if path != self.root else None
        if name in {"create", "mkdir"}:
            made = Node(b"", None) if name == "create" else Node({}, {})
            folder.now[path.name] = made
            folder.pending.append((None, path.name, made))
        elif name == "write":
            self.node(path).now += rest[0]
        elif name == "fsync":
            self.node(path).synced = self.node(path).now
        elif name == "sync_directory":
            self.node(path).synced = dict(self.node(path).now)
            self.node(path).pending.clear()
        elif name == "rename":
            moved = folder.now.pop(path.name)
            folder.now[rest[0].name] = moved
            folder.pending.append((path.name, rest[0].name, moved))
        elif name in {"unlink", "rmdir"}:
            del folder.now[path.name]
            folder.pending.append((path.name, None, None))

    def lay_out(self, place, chance, node=None):
        node = node or self.top
        if isinstance(node.now, dict):
            place.mkdir()
            names = dict(node.synced)
            for removed, set_, value in node.pending:
                if chance.random() < 0.5:
                    names.pop(removed, None)
                    if set_ is not None:
                        names[set_] = value
            for name, each in names.items():
                self.lay_out(place / name, chance, each)
        elif node.synced is None or node.synced != node.now:
            place.write_bytes(
                chance.choice([node.now, node.synced or b"", node.now[: len(node.now) // 2], b"\0" * len(node.now)])
            )
        else:
            place.write_bytes(node.synced)


def test_a_loss_of_power_leaves_old_or_new(case):
    root, log = case.operations()
    chance = random.Random(20)
    for last in range(len(log) + 1):
        for _ in range(max(2, ROUNDS // 100)):
            medium = Medium(root, case.old)
            for step in log[:last]:
                medium.play(*step)
            place = case.folder / "after"
            medium.lay_out(place, chance)
            found = case.read(place)
            assert found in (view(case.old), view(case.new))
            assert found == view(case.new) or last < len(log)
            shutil.rmtree(place)


def test_a_loss_of_power_while_completing_leaves_old_or_new(case):
    """The writer dies, the next one completes what it finds, which may not be on the medium, and the power goes."""
    _, log = case.operations()
    chance = random.Random(21)
    for last in range(len(log)):
        root = case.fresh()
        writer, reader = dying_at(last), Probe()
        with pytest.raises(Died):
            case.save(root, writer)
        if not list(root.glob("etc/.*.commit")):
            continue
        case.read(root, reader)
        for cut in range(len(reader.log) + 1):
            for _ in range(max(2, ROUNDS // 100)):
                medium = Medium(root, case.old)
                for step in writer.log + reader.log[:cut]:
                    medium.play(*step)
                place = case.folder / "after"
                medium.lay_out(place, chance)
                found = case.read(place)
                assert found in (view(case.old), view(case.new))
                assert found == view(case.new) or cut < len(reader.log)
                shutil.rmtree(place)


# --- a real process, killed -------------------------------------------------------------------------------------------


def model(generation):
    """The files of a generation. From one to the next: one leaf; several files; a directory comes; it goes again."""
    leaf = generation - (generation - 1) % 4
    main = generation - 1 if generation % 4 == 1 else generation
    files = {
        "etc/app.conf": b"<app n='%d'>%s</app>" % (main, b"." * (main % 7 * 1000)),
        "etc/store/leaf#1.xml": b"<leaf n='%d'/>" % leaf,
    }
    if generation % 4 in (2, 3):
        files["etc/conf.d/b.conf"] = b"<b n='%d'/>" % generation
        files["share/c.conf"] = b"<c n='%d'/>" % generation
    if generation % 4 == 3:
        files[f"etc/store/host#{generation}/.attrs"] = b"<host/>"
        files[f"etc/store/host#{generation}/item#{generation + 1}.xml"] = b"<item/>"
        files[f"etc/store/host#{generation}/sub#{generation + 2}/.attrs"] = b"<sub/>"
    return files


def main():
    """For each line that comes: forks a child that saves one generation after another, and kills it after a while.

    Prints how the child ended, and the last generation that it confirmed. "After a while" is some confirmations and a
    part of the time that one takes, so that a slow machine is killed at the same places as a quick one.
    """
    root, chance = Path(sys.argv[1]), random.Random(int(sys.argv[2]))
    anchor = f"{root}/etc/app.conf"
    pace_s = 0.01
    for _ in sys.stdin:
        source, sink = os.pipe()
        child = os.fork()
        if child == 0:
            with reading(anchor):
                texts = [(root / "etc" / name).read_bytes() for name in ("app.conf", "store/leaf#1.xml")]
            generation = max(int(text.split(b"'")[1]) for text in texts)
            while True:
                os.write(sink, b"%d\n" % generation)
                commit(anchor, changes_between(root, model(generation), model(generation + 1)))
                generation += 1
        os.close(sink)
        confirmed = b""
        wanted = chance.choice([0, 1, 1, 2, 2, 3])
        begin = time.monotonic()
        while confirmed.count(b"\n") < wanted and (more := os.read(source, 4096)):
            if confirmed:
                pace_s = (pace_s + time.monotonic() - begin) / 2
            begin = time.monotonic()
            confirmed += more
        time.sleep(chance.uniform(0, pace_s * 1.2))
        os.kill(child, signal.SIGKILL)
        _, status = os.waitpid(child, 0)
        while more := os.read(source, 4096):
            confirmed += more
        os.close(source)
        last = int(confirmed.split()[-1]) if confirmed else None
        print(json.dumps([os.waitstatus_to_exitcode(status), last]), flush=True)


def script():
    parts = [
        "import json, os, random, signal, sys, time",
        "from pathlib import Path",
        "from mtev_conf._disk.commit import Remove, RemoveDirectory, Write, commit, digest, reading",
        *(inspect.getsource(each) for each in (folders, changes_between, model, main)),
        "main()",
    ]
    return "\n".join(parts)


@pytest.mark.timeout(60 + ROUNDS)
def test_a_process_that_is_killed_leaves_old_or_new(folder, tmp_path):
    """After each death, the last generation that was confirmed is there, or the one after it; never anything else."""
    root = (tmp_path if "MTEV_CRASH_ROUNDS" in os.environ else folder) / "root"
    lay_out(root, model(0))
    (tmp_path / "saver.py").write_text(script())
    chance = random.Random(7)
    confirmed = 0
    command = [sys.executable, str(tmp_path / "saver.py"), str(root), "7"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as saver:
        for _ in range(ROUNDS):
            saver.stdin.write("again\n")
            saver.stdin.flush()
            status, last = json.loads(saver.stdout.readline())
            assert status == -signal.SIGKILL
            confirmed = confirmed if last is None else last
            if chance.random() < 0.3:
                continue  # the next child completes what this one has left, and may be killed doing it
            interrupted = (root / "etc" / ".app.conf.commit").exists()
            with reading(str(root / ANCHOR)) as notices:
                found = visible(root)
            assert bool(notices) == interrupted
            assert found in (view(model(confirmed)), view(model(confirmed + 1)))
            assert len(list(root.rglob(".mtev-*"))) <= 12
        saver.stdin.close()
        assert saver.wait() == 0
    # A round of saves that are not killed removes what the others have left.
    with reading(str(root / ANCHOR)):
        files = {path: data for path, data in visible(root).items() if data is not None}
    for generation in range(4):
        commit(str(root / ANCHOR), changes_between(root, files, model(generation)))
        files = model(generation)
    assert visible(root) == view(files)
    assert nothing_is_left(root)
