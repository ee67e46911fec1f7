"""Every example of a configuration passes `--check`, and every example of code is code.

A block that begins with a stanza or a module is put where such a thing belongs before it is checked. What is no example
of its own says so: the fence of it reads "xml fragment" or "python fragment".
"""

from __future__ import annotations

import ast
import asyncio
import re
import textwrap
import tomllib

import pytest

from mtev_kernel import Kernel, discover

PLACES = {"generic": "modules", "loader": "modules", "log": "logs", "listener": "listeners", "acl": "rest"}
PROJECTS = ("examples/demo/plugin", "examples/echo", "examples/third_party/acme-mtev-uptime")
HARMLESS = (
    r"has no <rest>: every route that asks access control is denied",  # true of an example that is about listeners
    r"no installed distribution offers the image 'acme\.",  # the reader's own plugin
)


@pytest.fixture
def problems(tmp_path, root, installed_project):
    """What `--check` says of a document."""

    def problems(text):
        for project in PROJECTS:
            installed_project(root / project)
        file = tmp_path / "example.conf"
        file.write_text(whole(text, stanzas()), encoding="utf-8")
        found = [each.message for each in asyncio.run(Kernel(str(file)).check())]
        return [message for message in found if not any(re.search(each, message) for each in HARMLESS)]

    return problems


def stanzas():
    claims = {claim for each in discover() if each.manifest for claim in each.manifest.stanzas}
    return {"modules", *(claim for claim in claims if re.fullmatch(r"[\w-]+", claim))}


def whole(text, known):
    """A document made of an example, whatever part of one it is."""
    text = re.sub(r"<\?xml[^>]*\?>", "", text).strip()
    first = re.search(r"<([A-Za-z_][\w.-]*)", re.sub(r"<!--.*?-->", "", text, flags=re.DOTALL))
    name = first[1] if first else ""
    if name in PLACES:
        text, name = f"<{PLACES[name]}>{text}</{PLACES[name]}>", PLACES[name]
    return f"<example>{text}</example>" if name in known else text


def test_every_configuration_passes_the_check(xml_block, problems):
    if "fragment" not in xml_block.info:
        assert problems(xml_block.text) == []


def test_a_wrong_example_would_be_noticed(problems):
    (problem,) = problems('<listener type="http_rest_api" port="88888"/>')
    assert "88888" in problem


def test_every_piece_of_python_is_python(python_block):
    if "fragment" not in python_block.info:
        ast.parse(textwrap.dedent(python_block.text), str(python_block))


@pytest.fixture(scope="module")
def folders(root):
    """The folder of each distribution of the workspace, by name."""
    members = tomllib.loads((root / "pyproject.toml").read_text())["tool"]["uv"]["workspace"]["members"]
    names = {root / each: tomllib.loads((root / each / "pyproject.toml").read_text()) for each in members}
    return {project["project"]["name"]: folder for folder, project in names.items()}


@pytest.fixture
def readme(folders):
    return lambda found: (folders[found.distribution] / "README.md").read_text(encoding="utf-8")


OURS = [each for each in discover() if each.origin == "first-party" and each.manifest]


@pytest.mark.parametrize("found", OURS, ids=lambda found: found.name)
def test_readme_and_reference_tell_of_every_stanza(found, readme, read):
    # Of a claim such as logs//*[@type='file'], the element and the value have to be there.
    claims = " ".join(found.manifest.stanzas)
    words = set(re.findall(r"[\w-]+", claims)) - {"type", "or", "include"}
    for name, text in (("README", readme(found)), ("reference", read("docs/reference/configuration.md"))):
        missing = sorted(word for word in words if not re.search(rf"\b{re.escape(word)}\b", text))
        assert missing == [], f"the {name} does not mention them"


@pytest.mark.parametrize("found", OURS, ids=lambda found: found.name)
def test_readme_tells_of_every_hook_command_and_route(found, readme, generate):
    text = readme(found)
    offered = generate.offered()
    commands = [each.words for each in offered.commands if each.plugin == found.name]
    routes = [each for each in offered.endpoints if each.plugin == found.name]
    # Of an expression, what comes before its first group; of flags, READMEs write "[no] log enable|..." in one line.
    words = [*found.manifest.hooks, *(each.base + re.sub(r"\(.*|[\\^$]", "", each.expression) for each in routes)]
    words += [each for each in commands if not (each.removeprefix("no ").startswith("log ") and "[no] log " in text)]
    assert [word for word in words if word not in text] == []


@pytest.mark.parametrize("found", OURS, ids=lambda found: found.name)
def test_every_sample_passes_the_check(found, folders, problems):
    samples = list((folders[found.distribution] / "src").glob("*/sample.xml"))
    if found.manifest.stanzas:
        assert samples
    for sample in samples:
        assert problems(sample.read_text(encoding="utf-8")) == []
