"""The completion scripts are what the parser says."""

from __future__ import annotations

import shutil
import subprocess

import pytest

from mtev_kernel.cli import main
from mtev_kernel.cli._arguments import SHELLS, build_parser
from mtev_kernel.cli.completion import GENERATED_WITH, script


@pytest.mark.parametrize("shell", SHELLS)
def test_the_script_is_printed(shell, capsys):
    assert main(["completion", shell]) == 0
    printed = capsys.readouterr().out
    assert printed == script(shell).read_text(encoding="utf-8")
    assert "list-plugins" in printed
    assert "new-plugin" in printed


@pytest.mark.parametrize("shell", SHELLS)
def test_the_script_is_up_to_date(shell):
    shtab = pytest.importorskip("shtab", reason="shtab generates the completion scripts; it is not installed")
    if shtab.__version__ != GENERATED_WITH:
        pytest.skip(f"the scripts were generated with shtab {GENERATED_WITH}; {shtab.__version__} may differ")
    fresh = shtab.complete(build_parser(), shell=shell).rstrip() + "\n"
    assert script(shell).read_text(encoding="utf-8") == fresh, "run python kernel/scripts/completions.py"


@pytest.mark.skipif(not shutil.which("bash"), reason="there is no bash")
@pytest.mark.parametrize(
    ("words", "offered"),
    [
        (["mtev-kernel", "--list"], {"--list-plugins"}),
        (["mtev-kernel", "new-plugin", "--kind", "l"], {"log-backend", "listener"}),
        (["mtev-kernel", "completion", ""], {"bash", "zsh", "tcsh"}),
        (["mtev-kernel", "s"], {"schema", "sample-config"}),
        (["mtev-kernel", "schema", "--r"], {"--root"}),
    ],
)
def test_bash_offers_what_fits(words, offered):
    code = (
        f"source {script('bash')}; COMP_WORDS=({' '.join(repr(word) for word in words)}); "
        f"COMP_CWORD={len(words) - 1}; _shtab_mtev_kernel mtev-kernel {words[-1]!r} {words[-2]!r}; "
        'printf "%s\\n" "${COMPREPLY[@]}"'
    )
    done = subprocess.run(["bash", "-c", code], capture_output=True, text=True, check=True)
    assert offered <= set(done.stdout.split())
