"""Every exit code of the command, each from a situation that leads to it."""

from __future__ import annotations

import socket
from collections.abc import Sequence
from dataclasses import dataclass

import pytest
from environment import ROOT
from wheel_writer import write_wheel

from mtev_kernel import ExitCode

GOOD = "<app><eventer/></app>"


@dataclass(frozen=True)
class Situation:
    """A command, and what comes of it.

    Args:
        code: the exit code.
        arguments: `CONF` in them stands for the file with the configuration.
        says: part of what it writes, on either stream.
        configuration: what is in that file.
    """

    code: ExitCode
    arguments: str
    says: str
    configuration: str = GOOD

    def __str__(self) -> str:
        return f"{self.code.name.lower()}: {self.arguments or 'nothing'}: {self.says}"


MALFORMED = "<app>\n<eventer>\n</app>"
NOT_INSTALLED = '<app>\n<modules>\n<generic image="acme" name="acme"/>\n</modules>\n</app>'
WRONG_OPTION = '<app>\n<listeners>\n<listener type="control_dispatch" port="many"/>\n</listeners>\n</app>'

SITUATIONS = [
    Situation(ExitCode.OK, "--version", "mtev-kernel 0.1.0 (plugin API 1.0"),
    Situation(ExitCode.OK, "--help", "Exit codes:"),
    Situation(ExitCode.OK, "--list-plugins", "mtev-telnet"),
    Situation(ExitCode.OK, "--list-plugins --strict", "mtev-telnet"),
    Situation(ExitCode.OK, "--check -c CONF", "0 errors, 0 warnings"),
    Situation(ExitCode.OK, "--check --strict -c CONF", "0 errors, 0 warnings"),
    Situation(ExitCode.OK, "--dump-config -c CONF", "<eventer/>"),
    Situation(ExitCode.OK, "completion bash", "complete"),
    Situation(ExitCode.USAGE, "", "nothing to do"),
    Situation(ExitCode.USAGE, "--frobnicate", "--frobnicate"),
    Situation(ExitCode.USAGE, "--check", "--check needs -c FILE"),
    Situation(ExitCode.USAGE, "--json -c CONF", "--json goes with"),
    Situation(ExitCode.NO_INPUT, "-c missing.conf", "missing.conf: No such file or directory"),
    Situation(ExitCode.NO_INPUT, "--check -c missing.conf", "missing.conf"),
    Situation(ExitCode.NO_INPUT, "--dump-config -c missing.conf", "missing.conf"),
    Situation(ExitCode.NO_INPUT, "--list-plugins -c missing.conf", "missing.conf"),
    Situation(ExitCode.NO_INPUT, "-c .", "Is a directory"),
    Situation(ExitCode.UNAVAILABLE, "-c CONF", "no installed distribution offers the image 'acme'", NOT_INSTALLED),
    Situation(ExitCode.CONFIG, "-c CONF", "app.conf:3", MALFORMED),
    Situation(ExitCode.CONFIG, "--check -c CONF", "app.conf:3", MALFORMED),
    Situation(ExitCode.CONFIG, "--dump-config -c CONF", "app.conf:3", MALFORMED),
    Situation(ExitCode.CONFIG, "--list-plugins -c CONF", "app.conf:3", MALFORMED),
    Situation(ExitCode.CONFIG, "-c CONF", "app.conf:3: <listener>: port: 'many' is not an integer", WRONG_OPTION),
    Situation(ExitCode.CONFIG, "--check -c CONF", "app.conf:3: error: <listener>: port: 'many'", WRONG_OPTION),
    Situation(ExitCode.CONFIG, "--check -c CONF", "app.conf:3: error: <generic image=", NOT_INSTALLED),
    Situation(ExitCode.CONFIG, "--check --strict -c CONF", "no installed plugin owns <garden>", "<app><garden/></app>"),
]


def _arguments(text: str, configuration: object) -> Sequence[str]:
    return text.replace("CONF", str(configuration)).split()


@pytest.mark.parametrize("situation", SITUATIONS, ids=str)
def test_the_exit_code_tells_what_came_of_it(installed, tmp_path, situation):
    path = tmp_path / "app.conf"
    path.write_text(situation.configuration)
    done = installed.run(*_arguments(situation.arguments, path))
    assert (done.returncode, "Traceback" in done.stderr) == (situation.code, False)
    assert situation.says in done.stdout + done.stderr


@pytest.fixture(scope="module")
def busy(installed, tmp_path_factory) -> str:
    """What a service says whose port is taken."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        path = tmp_path_factory.mktemp("busy") / "app.conf"
        listener = f'<listener type="control_dispatch" address="127.0.0.1" port="{port}"/>'
        path.write_text(f"<app>\n<listeners>\n{listener}\n</listeners>\n</app>")
        done = installed.run("-c", path)
    assert done.returncode == ExitCode.FAILURE
    return done.stderr.replace(str(port), "PORT")


def test_a_service_that_cannot_start_fails(busy):
    (told,) = [line for line in busy.splitlines() if " ERROR " in line]
    assert "plugin 'listener' (mtev-listener 0.1.0) failed in step 'start'" in told
    assert "app.conf:3: <listener" in told
    assert "cannot listen on 127.0.0.1:PORT: Address already in use" in told


def test_what_an_operator_can_help_comes_without_a_traceback(busy):
    assert "Traceback" not in busy


def test_a_plugin_that_blocks_the_process_ends_it(environment, tmp_path):
    wheel = write_wheel(ROOT / "tests" / "zoo" / "distributions" / "blocking-start", tmp_path)
    path = tmp_path / "app.conf"
    image = '<generic image="zoo.blocking-start" name="blocking-start" start-timeout="0.1"/>'
    path.write_text(f"<app><modules>{image}</modules></app>")
    done = environment(["mtev-kernel", "mtev-conf"], [wheel]).run("-c", path)
    assert done.returncode == ExitCode.SOFTWARE
    assert "plugin 'zoo.blocking-start' (zoo-blocking-start 0.1.0), step 'start'" in done.stderr


def test_every_code_has_its_situation():
    elsewhere = {ExitCode.FAILURE, ExitCode.SOFTWARE}
    assert {each.code for each in SITUATIONS} | elsewhere == set(ExitCode)
