"""The zoo: little distributions that are broken in every way we could think of, really installed.

Each lives in `distributions/`. Among them is a healthy one, the keeper, whose answers show whether the service still
works. The tables below say what is wrong with each animal; the tests say what an operator sees of it.
"""

from __future__ import annotations

import json
import re
import shutil
import signal
import socket
from dataclasses import dataclass
from pathlib import Path

import pytest
from daemon import Daemon
from environment import Environment
from wheel_writer import write_wheel

DISTRIBUTIONS = Path(__file__).with_name("distributions")


@dataclass(frozen=True)
class Animal:
    """A broken distribution.

    Args:
        name: of its folder.
        says: what its error says.
        step: where it fails; empty when it is refused before any step.
        code: the exit code when the service ends by it.
        limit_s: how long that step may take, where the default would be too long to wait for.
        plugin: its id, where that is another one than its folder says.
    """

    name: str
    says: str
    step: str = ""
    code: int = 1
    limit_s: float | None = None
    plugin: str = ""

    @property
    def id(self) -> str:
        return self.plugin or f"zoo.{self.name}"

    @property
    def distribution(self) -> str:
        return f"zoo-{self.name}"

    def element(self, policy: str) -> str:
        """What asks for it in a configuration."""
        limit = f' {self.step}-timeout="{self.limit_s}"' if self.limit_s else ""
        return f'<generic image="{self.id}" name="{self.id.removeprefix("zoo.")}" on-error="{policy}"{limit}/>'

    def __str__(self) -> str:
        return self.name


# Metadata and manifests tell; nobody has to import these to know.
REFUSED = [
    Animal("api-of-tomorrow", "it needs plugin API 9.0 and this kernel has 1.0: upgrade mtev-kernel"),
    Animal("api-of-yesterday", "written for plugin API 0.9 and this kernel has 1.0: upgrade the plugin's"),
    Animal("bad-manifest", "plugin.toml: not valid TOML"),
    Animal("half-uninstalled", "the manifest zoo_half_uninstalled:plugin.toml is not there"),
    Animal("misspelt-manifest", "unknown field 'require'; did you mean 'requires'?"),
    Animal("no-factory", "the factory is missing"),
    Animal("no-manifest", "the manifest zoo_no_manifest:plugin.toml is not there; was it left out"),
    Animal("twin-a", "offered more than once (zoo-twin-a 0.1.0, zoo-twin-b 0.1.0)", plugin="zoo.twin"),
    Animal("twin-b", "offered more than once (zoo-twin-a 0.1.0, zoo-twin-b 0.1.0)", plugin="zoo.twin"),
    Animal("wrong-id", "its manifest says id = 'zoo.right-id', but its entry points"),
]

# `--check` finds these, and so does every start.
UNLOADABLE = [
    Animal("assert-at-import", "AssertionError: arithmetic is broken", "load"),
    Animal("bad-configuration", "<colour> is missing; write <colour>green</colour>", "configure", 78),
    Animal("cycle-egg", "'zoo.cycle-egg' → 'zoo.cycle-hen' → 'zoo.cycle-egg'", "load"),
    Animal("cycle-hen", "zoo.cycle-hen (zoo-cycle-hen 0.1.0) must drop its requirement", "load"),
    Animal("exit-at-import", "cannot be imported: SystemExit: 0", "load"),
    Animal("hanging-import", "it did not end within 0.5 s", "load", limit_s=0.5),
    Animal("import-error", "No module named 'a_module_that_nobody_has'", "load"),
    Animal("lame-service", "Runner, but it has no run_away", "configure"),
    Animal("lonely", "requires 'zoo.unicorn', which is not there", "load", 69),
    Animal("no-plugin", "its factory made {'name': 'zoo.no-plugin'}; expected a mtev_kernel.Plugin", "load"),
    Animal("unknown-hook", "hook 'mtev_stoping'; did you mean 'mtev_stopping'?", "validate"),
    Animal("wrong-hook-kind", "'mtev_stopping' is a plain hook; declare its implementation with 'def'", "load"),
]

# Only a start shows what is wrong with these.
UNSTARTABLE = [
    Animal("exit-in-start", "it called sys.exit('nothing to do here')", "start"),
    Animal("hanging-start", "it did not end within 0.2 s", "start", limit_s=0.2),
    Animal("hanging-start-in-thread", "'start zoo.hanging-start-in-thread' was abandoned", "start", limit_s=0.2),
    Animal("raising-run", "ConnectionError: the peer is gone", "run"),
    Animal("raising-start", "ZeroDivisionError: nobody to share with", "start"),
    Animal("shy", "somebody is looking", "start"),
]

# Nothing is wrong with these until the service is up, or goes down.
UNSTOPPABLE = [
    Animal("hanging-drain", "its thread 'drain zoo.hanging-drain' was abandoned", "drain", limit_s=0.2),
    Animal("hanging-stop", "it did not end within 0.2 s", "stop", limit_s=0.2),
    Animal("raising-stop", "OSError: cannot let go", "stop"),
]
RAISING_HOOK = Animal("raising-hook", "failed")

# These take the whole process with them, and are told of by name.
BLOCKING_START = Animal("blocking-start", "blocks the process", "start", 70, limit_s=0.2)
LINGERING_THREAD = Animal("lingering-thread", "zoo-lingerer", code=70)

HOPELESS = [*(each for each in REFUSED if each.name != "twin-b"), *UNLOADABLE]  # one twin is enough
EVERYBODY = [*REFUSED, *UNLOADABLE, *UNSTARTABLE, *UNSTOPPABLE, RAISING_HOOK, BLOCKING_START, LINGERING_THREAD]

of_each = pytest.mark.parametrize


@pytest.fixture(scope="session")
def zoo(environment, tmp_path_factory) -> Environment:
    folder = tmp_path_factory.mktemp("zoo")
    wheels = [write_wheel(project, folder) for project in sorted(DISTRIBUTIONS.iterdir())]
    made = environment(["mtev-kernel", "mtev-conf"], wheels)
    shutil.rmtree(made.packages / "zoo_half_uninstalled")
    return made


@pytest.fixture(scope="session")
def write(tmp_path_factory):
    """Write a configuration that asks for the keeper and for animals, under one policy."""

    def write(*animals: Animal, policy: str = "fail") -> Path:
        elements = ['<generic image="zoo.keeper" name="keeper"/>', *(each.element(policy) for each in animals)]
        path = tmp_path_factory.mktemp("configuration") / "zoo.conf"
        path.write_text("\n".join(["<zoo>", "<modules>", *elements, "</modules>", "</zoo>\n"]))
        return path

    return write


def ask(daemon: Daemon, question: str) -> str:
    """Ask the keeper."""
    port = int(daemon.wait_for(r"answers on port (\d+)")[1])
    with socket.create_connection(("127.0.0.1", port), timeout=20) as connection:
        connection.sendall(question.encode() + b"\n")
        with connection.makefile() as stream:
            return stream.read()


def names(text: str, animal: Animal) -> bool:
    """Whether a message names the plugin and its distribution."""
    return f"'{animal.id}'" in text and f"{animal.distribution} 0.1.0" in text


def accusations(text: str, animal: Animal) -> list[str]:
    """The lines that accuse an animal of a failure."""
    return [line for line in text.splitlines() if " failed" in line and f"{animal.id.removeprefix('zoo.')}'" in line]


# The listing


@pytest.fixture(scope="session")
def listing(zoo) -> list[dict]:
    done = zoo.run("--list-plugins", "--json")
    assert (done.returncode, done.stderr) == (0, "")
    return json.loads(done.stdout)["plugins"]


@of_each("animal", EVERYBODY, ids=str)
def test_the_listing_tells_what_is_wrong_without_importing_anything(listing, animal):
    (entry,) = [each for each in listing if each["distribution"] == animal.distribution]
    assert (entry["name"], entry["version"], entry["origin"]) == (animal.id, "0.1.0", "third-party")
    if animal in REFUSED:
        assert entry["state"] == "refused"
        assert animal.says in entry["error"]
    else:
        assert (entry["state"], entry["error"]) == ("found", "")


def test_the_listing_still_has_the_healthy_ones(listing):
    healthy = {each["id"]: each["state"] for each in listing if each["id"] in ("conf", "zoo.keeper")}
    assert healthy == {"conf": "found", "zoo.keeper": "found"}
    assert len(listing) == len(EVERYBODY) + 2


def test_the_table_tells_the_same(zoo):
    done = zoo.run("--list-plugins", COLUMNS="1000")
    assert (done.returncode, done.stderr) == (0, "")
    for animal in EVERYBODY:
        row = rf"{animal.id} +0\.1\.0 +{animal.distribution} .*"
        (line,) = [line for line in done.stdout.splitlines() if re.fullmatch(row, line)]
        assert (animal.says in line) == (animal in REFUSED)


@of_each("options", [[], ["--json"]], ids=["table", "json"])
def test_a_strict_listing_fails_for_what_is_broken(zoo, options):
    done = zoo.run("--list-plugins", "--strict", *options)
    assert (done.returncode, done.stderr) == (1, "")
    assert "zoo.keeper" in done.stdout


def test_a_listing_with_a_configuration_tells_what_cannot_be_ordered(zoo, write):
    hen, egg, lonely = (each for each in UNLOADABLE if each.name in ("cycle-hen", "cycle-egg", "lonely"))
    done = zoo.run("--list-plugins", "--json", "-c", write(hen, egg, lonely))
    assert done.returncode == 0
    plugins = {each["name"]: each for each in json.loads(done.stdout)["plugins"]}
    assert plugins["zoo.keeper"]["state"] == "enabled"
    for animal in (hen, egg, lonely):
        assert plugins[animal.id]["state"] == "failed"
        assert animal.says in plugins[animal.id]["error"]


def test_the_listing_of_hooks_has_the_one_that_raises(zoo, write):
    done = zoo.run("--list-plugins", "--hooks", "--json", "-c", write(RAISING_HOOK))
    hooks = {each["name"]: each for each in json.loads(done.stdout)["hooks"]}
    feeding = hooks["zoo_feeding"]
    assert feeding["owner"] == "zoo.keeper"
    assert feeding["attached"] == [{"plugin": "zoo.raising-hook", "distribution": "zoo-raising-hook 0.1.0"}]


def test_the_listing_with_a_configuration_names_the_distribution_of_what_is_refused(zoo, write):
    done = zoo.run("--list-plugins", "--json", "-c", write(REFUSED[0]))
    entries = [each for each in json.loads(done.stdout)["plugins"] if "api-of-tomorrow" in each["name"]]
    assert [(each["id"], each["distribution"]) for each in entries] == [("zoo.api-of-tomorrow", "zoo-api-of-tomorrow")]


# --check


@pytest.fixture(scope="session")
def check(zoo, write):
    return zoo.run("--check", "-c", write(*[each for each in EVERYBODY if each.name != "twin-b"]))


def test_a_check_finds_all_that_can_be_found_without_a_start(check):
    assert check.returncode == 78
    assert len(check.stdout.splitlines()) == len(HOPELESS)
    assert f"{len(HOPELESS)} errors, 0 warnings" in check.stderr
    assert "Traceback" not in check.stdout + check.stderr


@of_each("animal", HOPELESS, ids=str)
def test_a_check_names_plugin_and_distribution(check, animal):
    told = [line for line in check.stdout.splitlines() if f"'{animal.id}'" in line and animal.says in line]
    assert told
    assert all("zoo.conf" in line and ": error: " in line and names(line, animal) for line in told)


def test_a_check_says_at_which_line_each_of_them_is_asked_for(check):
    assert all(re.match(r"\S+zoo\.conf:[0-9]+: error: ", line) for line in check.stdout.splitlines())


def test_a_check_counts_as_warnings_what_the_service_can_do_without(zoo, write):
    path = write(*UNLOADABLE, policy="ignore")
    lenient, strict = zoo.run("--check", "-c", path), zoo.run("--check", "--strict", "-c", path)
    assert (lenient.returncode, strict.returncode) == (0, 78)
    assert lenient.stdout.count(": warning: ") == strict.stdout.count(": error: ") == len(UNLOADABLE)


# on-error


@of_each("animal", [*HOPELESS, *UNSTARTABLE], ids=str)
def test_the_service_ends_by_a_plugin_that_it_needs(zoo, write, animal):
    with zoo.start("-c", write(animal)) as daemon:
        assert daemon.end() == animal.code
    told = accusations(daemon.text, animal)
    assert told
    assert all(names(line, animal) for line in told)
    assert all(f"step '{animal.step or 'load'}'" in line for line in told)
    assert any(animal.says in line and 'the service cannot go on (on-error="fail")' in line for line in told)
    assert ("answers on port" in daemon.text) is ("gone home" in daemon.text) is (animal in UNSTARTABLE)


@pytest.fixture(scope="module")
def tried(zoo, write) -> str:
    with zoo.start("-c", write(*HOPELESS, policy="retry")) as daemon:
        assert daemon.end() in {animal.code for animal in HOPELESS}
        return daemon.text


@of_each("animal", HOPELESS, ids=str)
def test_a_plugin_that_cannot_be_loaded_is_not_tried_again(tried, animal):
    told = accusations(tried, animal)
    assert all(names(line, animal) for line in told)
    assert any(animal.says in line and 'cannot go on (on-error="retry", but' in line for line in told)
    assert "next attempt" not in tried


@of_each("animal", UNSTARTABLE[:-1], ids=str)
def test_a_plugin_that_does_not_ask_for_it_is_not_tried_again(zoo, write, animal):
    with zoo.start("-c", write(animal, policy="retry")) as daemon:
        assert daemon.end() == animal.code
    (told,) = accusations(daemon.text, animal)
    assert names(told, animal)
    assert animal.says in told
    assert 'cannot go on (on-error="retry", but this error is not one to retry)' in told
    assert "gone home" in daemon.text


@dataclass(frozen=True)
class Day:
    """A day on which the zoo was open although every animal in it was broken."""

    plugins: dict[str, list[str]]
    beats: tuple[int, int]
    text: str
    code: int


@pytest.fixture(scope="module")
def day(zoo, write) -> Day:
    with zoo.start("-c", write(*HOPELESS, *UNSTARTABLE, policy="ignore")) as daemon:
        daemon.wait_for("ready: [23] plugins")  # the keeper, the configuration, and perhaps still raising-run
        ask(daemon, "until zoo.raising-run failed")
        beats = int(ask(daemon, "beat"))
        plugins = json.loads(ask(daemon, "plugins"))
        return Day(plugins, (beats, int(ask(daemon, "beat"))), code=daemon.stop(), text=daemon.text)


def test_the_service_goes_on_without_all_those_that_may_be_missing(day):
    assert day.plugins["zoo.keeper"][0] == "running"
    assert 0 < day.beats[0] < day.beats[1]
    assert "gone home" in day.text
    assert day.code == 0


@of_each("animal", [*HOPELESS, *UNSTARTABLE], ids=str)
def test_the_service_tells_whom_it_goes_on_without(day, animal):
    told = accusations(day.text, animal)
    assert told
    assert all(names(line, animal) for line in told)
    assert any(animal.says in line and 'goes on without it (on-error="ignore")' in line for line in told)
    state, cause, _ = day.plugins[animal.id]
    assert state == "failed"
    assert cause == "it requires plugin 'zoo.cycle-egg', which failed" or animal.says in cause


def test_a_plugin_that_asks_for_it_is_tried_again(zoo, write):
    shy = UNSTARTABLE[-1]
    with zoo.start("-c", write(shy, policy="retry")) as daemon:
        daemon.wait_for("ready: 2 plugins")
        told = daemon.wait_for("'zoo.shy'.* failed in step 'start'.*").string
        assert names(told, shy)
        assert "next attempt in 1 s" in told
        assert json.loads(ask(daemon, "until zoo.shy running"))["zoo.keeper"][0] == "running"
        assert daemon.stop() == 0


def test_a_start_that_blocks_the_process_is_named_under_every_policy(zoo, write):
    daemons = [zoo.start("-c", write(BLOCKING_START, policy=policy)) for policy in ("fail", "ignore", "retry")]
    for daemon in daemons:
        with daemon:
            assert daemon.end() == BLOCKING_START.code
            told = daemon.wait_for(BLOCKING_START.says).string
            assert names(told, BLOCKING_START)
            assert "step 'start'" in told
            assert "zoo_blocking_start/__init__.py" in daemon.text  # where it blocks


# Hooks


def test_a_hook_that_raises_is_attributed_and_changes_nothing(zoo, write):
    with zoo.start("-c", write(RAISING_HOOK)) as daemon:
        daemon.wait_for("ready: 3 plugins")
        assert ask(daemon, "feed") == "CONTINUE"
        assert ask(daemon, "feed") == "CONTINUE"
        assert json.loads(ask(daemon, "plugins"))["zoo.raising-hook"][0] == "running"
        assert daemon.stop() == 0
    told = accusations(daemon.text, RAISING_HOOK)
    assert [line.partition("hook '")[2].partition("'")[0] for line in told] == [
        "zoo_feeding",
        "zoo_feeding",
        "mtev_stopping",
    ]
    assert all(names(line, RAISING_HOOK) for line in told)
    assert "ValueError: hay again" in daemon.text


# Going down


@of_each("policy", ["fail", "ignore", "retry"])
def test_what_cannot_stop_keeps_nobody_else_from_stopping(zoo, write, policy):
    with zoo.start("-c", write(*UNSTOPPABLE, policy=policy)) as daemon:
        daemon.wait_for("ready: 5 plugins")
        assert int(ask(daemon, "beat")) > 0
        assert daemon.stop() == 1
    for animal in UNSTOPPABLE:
        (told,) = accusations(daemon.text, animal)
        assert names(told, animal)
        assert f"step '{animal.step}': {animal.says}" in told or animal.says in told
        assert "stopping goes on" in told
    assert "gone home" in daemon.text


def test_a_thread_left_behind_is_named_and_does_not_keep_the_process(zoo, write):
    with zoo.start("-c", write(LINGERING_THREAD)) as daemon:
        daemon.wait_for("ready: 3 plugins")
        assert daemon.stop() == LINGERING_THREAD.code
    assert "gone home" in daemon.text
    assert LINGERING_THREAD.says in daemon.text


def test_a_stop_does_not_wait_for_a_start(zoo, write):
    patient = Animal("hanging-start", "", "start")
    with zoo.start("-c", write(patient)) as daemon:
        daemon.wait_for("answers on port")
        assert daemon.stop() == 0
    assert "gone home" in daemon.text


def test_a_second_signal_does_not_wait_for_anybody(zoo, write):
    patient = Animal("hanging-stop", "", "stop")
    with zoo.start("-c", write(patient)) as daemon:
        daemon.wait_for("ready: 3 plugins")
        daemon.signal(signal.SIGTERM)
        daemon.wait_for("gone home")
        daemon.signal(signal.SIGINT)
        assert daemon.end() == 1
    assert "a second signal (SIGINT)" in daemon.text


# --safe-mode and --strict


def test_safe_mode_leaves_them_all_out(zoo, write):
    done = zoo.run("--list-plugins", "--json", "--safe-mode", "-c", write())
    plugins = [each for each in json.loads(done.stdout)["plugins"] if each["distribution"].startswith("zoo-")]
    assert len(plugins) >= len(EVERYBODY)
    assert {each["state"] for each in plugins} == {"refused"}


def test_the_service_comes_up_in_safe_mode(zoo, write):
    with zoo.start("--safe-mode", "-c", write(*UNLOADABLE)) as daemon:
        daemon.wait_for("ready: 1 plugin")
        assert all(each.distribution in daemon.text for each in UNLOADABLE)
        assert daemon.stop() == 0


def test_strict_ignores_nothing(zoo, write):
    animal = next(each for each in UNSTARTABLE if each.name == "raising-start")
    with zoo.start("--strict", "-c", write(animal, policy="ignore")) as daemon:
        assert daemon.end() == 1
    assert "ready" not in daemon.text
    assert "gone home" in daemon.text


def test_strict_stops_in_order_although_a_hook_raises(zoo, write):
    with zoo.start("--strict", "-c", write(RAISING_HOOK)) as daemon:
        daemon.wait_for("ready: 3 plugins")
        assert daemon.stop() == 1
    assert "gone home" in daemon.text
    assert "please report it" not in daemon.text
