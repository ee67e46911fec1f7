"""tox environments made from the workspace: `alone-<distribution>` for each, so that none can be forgotten.

Such an environment is made anew for every run, holds the distribution's wheel and what the wheel declares, and runs a
copy of its tests outside the source tree: what works there works for whoever installs that one distribution.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

from tox.config.loader.memory import MemoryLoader
from tox.config.types import Command, EnvList
from tox.plugin import impl

sys.path.insert(0, str(Path(__file__).resolve().parent / "scripts"))

from workspace import ROOT, Member, members, needs_of_tests

if TYPE_CHECKING:
    from tox.config.sets import ConfigSet
    from tox.session.state import State


@impl
def tox_extend_envs() -> list[str]:
    """Tell tox that the environments exist."""
    return [_name(member) for member in members()]


@impl
def tox_add_core_config(core_conf: ConfigSet, state: State) -> None:
    """Describe them, and add them to what plain `tox` runs."""
    for member in members():
        state.conf.memory_seed_loaders[_name(member)].append(_alone(member, state.conf.work_dir / ".tox"))
    listed = core_conf.loaders[0].load_raw("env_list", state.conf, None).split()
    core_conf.loaders.insert(0, MemoryLoader(env_list=EnvList([*listed, *tox_extend_envs()])))


def _name(member: Member) -> str:
    return f"alone-{member.name}"


def _alone(member: Member, work: Path) -> MemoryLoader:
    name = _name(member)
    tests = work / name / "tmp" / "tests"
    constraints = work / "dist" / "constraints.txt"
    install = ["uv", "pip", "install", "--quiet", "--no-sources", "--constraint", str(constraints)]
    # -P and PYTHONSAFEPATH: neither the working folder nor a script's folder is on the path, here and in children.
    pytest = ["python", "-P", "-m", "pytest", "-p", "no:cacheprovider", "--hypothesis-profile=ci"]
    place = ["-c", str(ROOT / "pyproject.toml"), "--rootdir", str(tests.parent)]
    return MemoryLoader(
        description=f"{member.name}: only its wheel and its declared needs; its tests outside the source tree",
        recreate=True,
        depends=EnvList(["wheels"]),
        change_dir=tests.parent,
        commands_pre=[
            Command([*install, member.name, *needs_of_tests(member)]),
            # The README comes along: what it says of the distribution is tested too.
            Command(["cp", "-R", str(member.path / "tests"), str(member.path / "README.md"), str(tests.parent)]),
        ],
        commands=[Command([*pytest, *place, f"--junit-xml={work / 'results' / name}.xml", str(tests)])],
    )
