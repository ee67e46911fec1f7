"""The real command as a subprocess, with real distributions around it: what a user types, and what comes back."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from mtev_kernel import ExitCode
from mtev_kernel.cli._signals import Signals

# A configuration language of one instruction a line, so that these tests need nothing but the kernel.
READER = """
from mtev_kernel import ConfigurationError, Finding, ModuleRequest, Plugin, Stanza


class Document:
    def __init__(self, path):
        self.path = path
        with open(path) as file:
            self.lines = [(f"{path}:{number}", line.split()) for number, line in enumerate(file, start=1)]
        for where, words in self.lines:
            if words and words[0] not in ("module", "stanza"):
                raise ConfigurationError(f"'{words[0]}' is no instruction", where)

    def stanzas(self):
        return [Stanza(words[1], where) for where, words in self.lines if words[:1] == ["stanza"]]

    def find(self, claim):
        return next((stanza.where for stanza in self.stanzas() if stanza.name == claim), None)

    def modules(self):
        for where, words in self.lines:
            if words == ["module"]:
                raise ConfigurationError("which module?", where)
        return [
            ModuleRequest(
                "generic",
                words[1],
                words[1],
                where,
                on_error=(words[2:] or [None])[0],
                attributes=dict(word.split("=") for word in words[3:]),
            )
            for where, words in self.lines
            if words[:1] == ["module"]
        ]

    def dump(self):
        return "".join(" ".join(words) + "\\n" for _, words in self.lines)


class Reader(Plugin):
    def open(self, path):
        self.path = path
        return Document(path)

    def reload(self):
        return Document(self.path)

    def inspect(self):
        return [
            Finding(f"{where}:8: '{words[2]}' is one word too many", "warning", "good", "zz-good 1.0")
            for where, words in Document(self.path).lines
            if words[:1] == ["stanza"] and len(words) > 2
        ]

    def compose_schema(self, offers, root):
        schemas = [(each.name, each.resource("schema.xsd")) for each in offers]
        return "\\n".join([root, *(f"{name}: {schema.decode()}" for name, schema in schemas if schema), ""])

    def compose_samples(self, offers):
        samples = [(each.name, each.resource("sample.xml")) for each in offers]
        return "".join(f"{name}: {sample.decode() if sample else 'no sample'}\\n" for name, sample in samples)
"""

GOOD = """
import sys
from mtev_kernel import Plugin, hookimpl, hookspec

class Points:
    @hookspec
    def good_news(text: str):
        '''Something went well.'''

class Good(Plugin):
    def __init__(self, context):
        super().__init__(context)
        context.hooks.declare(Points)

    @hookimpl
    async def mtev_reload(self):
        sys.stderr.write("good: reloaded\\n")

    @hookimpl
    def mtev_stopping(self, reason):
        sys.stderr.write(f"good: stopping for {reason}\\n")
"""

PICKY = """
from mtev_kernel import ConfigurationError, Plugin

class Picky(Plugin):
    def configure(self):
        self.context.warn(f"{self.context.where}: this is hardly what you want")
        raise ConfigurationError("nothing is good enough", self.context.where)
"""

BLOCKING = """
import time
from mtev_kernel import Plugin

class Blocking(Plugin):
    async def stop(self):
        time.sleep(60)
"""

SLOW = """
import asyncio
from mtev_kernel import Plugin

class Slow(Plugin):
    async def drain(self):
        await asyncio.sleep(60)
"""

LEAVING = """
import threading, time
from mtev_kernel import Plugin

class Leaving(Plugin):
    def start(self):
        threading.Thread(target=time.sleep, args=(60,), name="left-behind", daemon=False).start()
"""


def install(site: Path, plugin: str, code: str, manifest: str = "", version: str = "1.0", **files: str) -> None:
    """Put a distribution with one plugin, and perhaps its `schema` and `sample`, into a site directory."""
    package = "zz_" + re.sub(r"\W", "_", plugin)
    name = "zz-" + re.sub(r"\W", "-", plugin)
    directory = site / package
    directory.mkdir(parents=True)
    (directory / "__init__.py").write_text(textwrap.dedent(code), encoding="utf-8")
    head = f'id = "{plugin}"\nsummary = "The plugin {plugin}."\n'
    api = "" if "api =" in manifest else 'api = "1.0"\n'
    (directory / "plugin.toml").write_text(head + api + manifest, encoding="utf-8")
    for kind, text in files.items():
        (directory / {"schema": "schema.xsd", "sample": "sample.xml"}[kind]).write_text(text, encoding="utf-8")
    metadata = site / f"{package}-{version}.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n", encoding="utf-8")
    factory = re.search(r"class (\w+)\(Plugin\)", code)
    (metadata / "entry_points.txt").write_text(
        f"[mtev.manifests]\n{plugin} = {package}:plugin.toml\n"
        f"[mtev.plugins]\n{plugin} = {package}:{factory[1] if factory else 'absent'}\n",
        encoding="utf-8",
    )


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    directory = tmp_path_factory.mktemp("site")
    # The first by name reads the configuration, whatever else is installed here.
    install(directory, "a.reader", READER, 'provides = ["configuration"]\n')
    manifest = 'hooks = ["good_news"]\nimplements = ["mtev_reload", "mtev_stopping"]\n'
    install(directory, "good", GOOD, manifest, schema="any word is good", sample="module good")
    install(directory, "other", GOOD.replace("good", "other").replace("Good", "Other"), 'after = ["good"]\n')
    install(directory, "picky", PICKY, 'stanzas = ["picky"]\n')
    install(directory, "blocking", BLOCKING)
    install(directory, "slow", SLOW)
    install(directory, "leaving", LEAVING)
    nonsense = "import nonsense_that_is_not_there\n\n\nclass Broken(Plugin): ...\n"
    install(directory, "broken.import", nonsense, sample="stanza unimportable")
    install(directory, "broken.future", GOOD, 'api = "9.0"\n', schema="a word of the future")
    install(directory, "broken.manifest", GOOD, "requires = 7\n")
    install(directory, "needy", GOOD.replace("good", "needy"), 'requires = ["listener.of.dreams"]\n')
    return directory


@pytest.fixture
def command(site, tmp_path):
    environment = dict(os.environ, PYTHONPATH=os.pathsep.join([str(site), *filter(None, sys.path)]))
    environment.pop("COLUMNS", None)
    environment["PYTHONUNBUFFERED"] = "1"

    class Command:
        def __call__(self, *arguments, **extra):
            return subprocess.run(
                [sys.executable, "-m", "mtev_kernel", *arguments],
                capture_output=True,
                text=True,
                check=False,
                cwd=tmp_path,
                env={**environment, **extra},
            )

        def start(self, *arguments):
            return subprocess.Popen(
                [sys.executable, "-m", "mtev_kernel", *arguments],
                stderr=subprocess.PIPE,
                text=True,
                cwd=tmp_path,
                env=environment,
            )

    return Command()


@pytest.fixture
def config(tmp_path):
    def write(*lines):
        (tmp_path / "app.conf").write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
        return "app.conf"

    return write


def row(listing, plugin):
    return next(line for line in listing.stdout.splitlines() if line.startswith(f"{plugin} "))


# --list-plugins


def test_listing_shows_working_and_broken_plugins_alike(command):
    listing = command("--list-plugins")
    assert (listing.returncode, listing.stderr) == (0, "")
    assert listing.stdout.splitlines()[0].split() == [
        *("ID", "VERSION", "DISTRIBUTION", "ORIGIN", "STATUS", "STATE", "API", "ERROR")
    ]
    assert row(listing, "good").split() == ["good", "1.0", "zz-good", "third-party", "beta", "found", "1.0"]
    assert "refused" in row(listing, "broken.future")
    assert "upgrade mtev-kernel" in row(listing, "broken.future")
    assert "requires = 7 must be a list" in row(listing, "broken.manifest")
    assert "found" in row(listing, "broken.import"), "an import that fails is nobody's business before it is asked for"


def test_listing_fails_for_broken_plugins_only_under_strict(command):
    assert command("--list-plugins").returncode == ExitCode.OK
    assert command("--list-plugins", "--strict").returncode == ExitCode.FAILURE


def test_listing_fits_a_narrow_terminal(command):
    listing = command("--list-plugins", COLUMNS="80")
    assert max(map(len, listing.stdout.splitlines())) <= 80
    assert "upgrade mtev-kernel" in " ".join(listing.stdout.split())


def test_listing_with_a_configuration_says_what_is_enabled_and_why(command, config):
    listing = command("--list-plugins", "-c", config("module good", "stanza picky", "module needy"))
    assert listing.returncode == 0, listing.stderr
    assert re.search(r" enabled .* app\.conf:1$", row(listing, "good"))
    assert re.search(r" enabled .*app\.conf:2$", row(listing, "picky"))
    assert re.search(r" enabled .*it reads the configuration$", row(listing, "a.reader"))
    assert re.search(r" disabled .*nothing asks for it$", row(listing, "other"))
    assert re.search(r" failed .*listener\.of\.dreams", row(listing, "needy"))
    assert " refused " in row(listing, "broken.future")


def test_listing_survives_a_configuration_that_cannot_be_used(command, config):
    missing = command("--list-plugins", "-c", "absent.conf")
    assert missing.returncode == ExitCode.NO_INPUT
    assert "absent.conf: No such file" in missing.stderr
    assert " found " in row(missing, "good")
    wrong = command("--list-plugins", "--hooks", "-c", config("poem"))
    assert wrong.returncode == ExitCode.CONFIG
    assert "app.conf:1: 'poem' is no instruction" in wrong.stderr
    assert " found " in row(wrong, "good")


@pytest.mark.parametrize("arguments", [[], ["--hooks"]])
def test_listing_survives_modules_that_make_no_sense(command, config, arguments):
    listing = command("--list-plugins", "-c", config("module good", "module"), *arguments)
    assert listing.returncode == ExitCode.CONFIG
    assert "app.conf:2: which module?" in listing.stderr
    assert " found " in row(listing, "good"), "nothing was enabled or disabled by such a configuration"


def test_safe_mode_refuses_third_parties(command, config):
    listing = command("--list-plugins", "--safe-mode", "-c", config("module good"))
    assert "--safe-mode leaves" in row(listing, "good")


@pytest.mark.parametrize(
    "arguments", [[], ["--hooks"], ["-c", "app.conf"], ["-c", "app.conf", "--hooks"], ["-c", "absent.conf"]]
)
def test_listing_as_json_follows_the_published_schema(command, config, arguments):
    config("module good", "stanza picky", "module broken.import ignore")
    import mtev_kernel.cli

    schema_file = Path(mtev_kernel.cli.__file__).parent / "schemas" / "list-plugins.schema.json"
    schema = json.loads(schema_file.read_text(encoding="utf-8"))
    document = json.loads(command("--list-plugins", "--json", *arguments).stdout)
    assert violations(document, schema, schema) == []
    assert {"good", "broken.manifest"} <= {each["id"] for each in document["plugins"]}
    assert ("hooks" in document) == ("--hooks" in arguments)


def violations(value, schema, root, path="$"):
    """Check the part of JSON Schema that the published one uses; anything else in it is an error here."""
    known = {"$schema", "$defs", "title", "description", "type", "required", "additionalProperties", "properties"}
    assert set(schema) <= known | {"items", "enum", "const", "pattern", "$ref"}, f"{path}: {set(schema) - known}"
    if "$ref" in schema:
        return violations(value, root["$defs"][schema["$ref"].rpartition("/")[2]], root, path)
    found = []
    types = {"object": dict, "array": list, "string": str, "boolean": bool, "null": type(None)}
    wanted = schema.get("type", [])
    if wanted and not isinstance(
        value, tuple(types[each] for each in ([wanted] if isinstance(wanted, str) else wanted))
    ):
        return [f"{path}: {value!r} is no {wanted}"]
    if "enum" in schema and value not in schema["enum"]:
        found.append(f"{path}: {value!r} is none of {schema['enum']}")
    if "const" in schema and value != schema["const"]:
        found.append(f"{path}: {value!r} is not {schema['const']!r}")
    if "pattern" in schema and not re.search(schema["pattern"], value):
        found.append(f"{path}: {value!r} does not match {schema['pattern']}")
    if isinstance(value, dict):
        properties = schema["properties"]
        found += [f"{path}: {name} is missing" for name in schema.get("required", ()) if name not in value]
        found += [f"{path}: {name} is not in the schema" for name in value if name not in properties]
        for name in properties.keys() & value.keys():
            found += violations(value[name], properties[name], root, f"{path}.{name}")
    if isinstance(value, list):
        for index, item in enumerate(value):
            found += violations(item, schema["items"], root, f"{path}[{index}]")
    return found


def test_the_schema_check_itself_notices_things():
    schema = {"type": "object", "required": ["a"], "properties": {"a": {"type": "string", "enum": ["x"]}}}
    assert violations({"a": "x"}, schema, schema) == []
    assert len(violations({"b": 1}, schema, schema)) == 2
    assert len(violations({"a": "y"}, schema, schema)) == 1
    assert len(violations([], schema, schema)) == 1


def test_hooks_from_manifests_say_that_they_are(command):
    text = command("--list-plugins", "--hooks").stdout
    assert "from manifests" in text
    assert "good_news  of good\n    nobody is attached" in text
    assert "mtev_stopping  of kernel, sync decision" in text
    assert "    - good (zz-good 1.0)" in text


def test_hooks_from_a_configuration_are_in_calling_order(command, config):
    text = command("--list-plugins", "--hooks", "-c", config("module good", "module other")).stdout
    assert "from manifests" not in text
    assert "good_news  of good, sync decision\n    Something went well.\n    nobody is attached" in text
    assert re.search(r"mtev_reload  of kernel, async decision\n.*\n    1\. other \(.*\)\n    2\. good \(", text)


# --check and --dump-config


def test_check_of_a_good_configuration(command, config):
    done = command("--check", "-c", config("module good"))
    assert (done.returncode, done.stdout) == (0, "")
    assert done.stderr.endswith("app.conf: 0 errors, 0 warnings, 2 plugins configured\n")


def test_check_reports_every_problem_with_its_place(command, config):
    done = command("--check", "-c", config("module good", "stanza picky", "stanza nobodys", "module broken.import"))
    assert done.returncode == ExitCode.CONFIG
    lines = [line.rpartition("/")[2] for line in done.stdout.splitlines()]
    assert "app.conf:2: error: nothing is good enough (plugin 'picky', distribution zz-picky 1.0)" in lines
    assert "app.conf:2: warning: this is hardly what you want (plugin 'picky', distribution zz-picky 1.0)" in lines
    assert any(line.startswith("app.conf:3: warning: no installed plugin owns <nobodys>") for line in lines)
    assert any("nonsense_that_is_not_there" in line and "zz-broken-import" in line for line in lines)
    assert done.stderr.endswith("2 errors, 2 warnings, 2 plugins configured\n")


def test_check_reports_what_the_provider_finds_besides(command, config):
    path = config("module good", "stanza picky twice")
    done = command("--check", "-c", path)
    assert done.returncode == ExitCode.CONFIG
    lines = done.stdout.splitlines()
    assert lines[-1] == (
        "app.conf:2:8: warning: 'twice' is one word too many (plugin 'good', distribution zz-good 1.0)"
    ), "it comes after what the plugins say, also when some have failed"
    assert done.stderr.endswith("1 error, 2 warnings, 2 plugins configured\n")
    listing = command("--list-plugins", "--hooks", "-c", path)
    assert (listing.returncode, listing.stderr) == (0, ""), "a listing is no check"


def test_warnings_are_errors_under_strict(command, config):
    path = config("module good", "stanza nobodys")
    assert command("--check", "-c", path).returncode == ExitCode.OK
    done = command("--check", "--strict", "-c", path)
    assert done.returncode == ExitCode.CONFIG
    assert "app.conf:2: error: " in done.stdout


def test_check_of_what_is_not_there(command, tmp_path):
    done = command("--check", "-c", "absent.conf")
    assert done.returncode == ExitCode.NO_INPUT
    assert done.stdout == "absent.conf: error: No such file or directory\n"


def test_dump(command, config):
    assert command("--dump-config", "-c", config("module   good")).stdout == "module good\n"
    missing = command("--dump-config", "-c", "absent.conf")
    assert (missing.returncode, missing.stdout) == (ExitCode.NO_INPUT, "")
    wrong = command("--dump-config", "-c", config("poem"))
    assert wrong.returncode == ExitCode.CONFIG
    assert "app.conf:1: 'poem' is no instruction" in wrong.stderr


# schema and sample-config


def test_the_schema_is_made_by_the_provider_of_whatever_can_be_used(command):
    done = command("schema")
    assert (done.returncode, done.stderr) == (0, "")
    lines = done.stdout.splitlines()
    assert lines[0] == "app"
    assert "good: any word is good" in lines
    assert "a word of the future" not in done.stdout
    assert command("schema", "--root", "shop").stdout.splitlines()[0] == "shop"


def test_samples_come_in_the_order_asked_for_and_nothing_is_imported(command):
    done = command("sample-config", "good", "broken.import", "other", "good")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == "good: module good\nbroken.import: stanza unimportable\nother: no sample\n"


def test_a_plugin_that_is_not_there_is_named_with_what_is(command):
    done = command("sample-config", "god", "nonsense", "broken.future", "good", "a.tls")
    assert (done.returncode, done.stdout) == (ExitCode.UNAVAILABLE, "")
    lines = done.stderr.splitlines()
    assert lines[0] == "mtev-kernel: no plugin 'god' is installed; did you mean 'good'?"
    assert lines[1] == "no plugin 'nonsense' is installed"
    assert re.fullmatch(r"plugin 'broken\.future' \(zz-broken-future 1\.0\) cannot be used: .*upgrade.*", lines[2])
    assert re.fullmatch(r"installed are: a\.reader, .*\bgood\b.*", lines[-1])
    assert "broken.future" not in lines[-1]


@pytest.mark.parametrize(
    ("arguments", "ability"), [(["schema"], "compose schemas"), (["sample-config", "plain"], "compose samples")]
)
def test_a_provider_that_cannot_is_named(tmp_path_factory, arguments, ability):
    site = tmp_path_factory.mktemp("plain")
    code = (
        "from mtev_kernel import Plugin\n\n\nclass Plain(Plugin):\n    def open(self, path): ...\n    reload = open\n"
    )
    install(site, "a.plain", code, 'provides = ["configuration"]\n')
    install(site, "plain", code)
    environment = dict(os.environ, PYTHONPATH=os.pathsep.join([str(site), *filter(None, sys.path)]))
    line = [sys.executable, "-m", "mtev_kernel", *arguments]
    done = subprocess.run(line, capture_output=True, text=True, check=False, env=environment)
    assert done.returncode == ExitCode.UNAVAILABLE
    assert done.stderr == f"mtev-kernel: plugin 'a.plain' (zz-a-plain 1.0) cannot {ability}: upgrade it\n"


# Running


def read_until(process, text):
    seen = []
    for line in process.stderr:
        seen.append(line)
        if text in line:
            return "".join(seen)
    raise AssertionError(f"the service ended without saying {text!r}:\n{''.join(seen)}")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_service_stops_in_order_when_told_to(command, config, number):
    with command.start("-c", config("module good")) as process:
        assert re.search(r"INFO mtev\.kernel: ready: 2 plugins, \d+\.\d\d s", read_until(process, "ready:"))
        process.send_signal(number)
        rest = process.stderr.read()
        assert process.wait() == ExitCode.OK
    assert f"good: stopping for {number.name}" in rest
    assert "Traceback" not in rest


def test_hangup_reads_the_configuration_again(command, config):
    with command.start("-c", config("module good")) as process:
        read_until(process, "ready:")
        process.send_signal(signal.SIGHUP)
        read_until(process, "good: reloaded")
        config("poem")
        process.send_signal(signal.SIGHUP)
        assert "the configuration in force stays" in read_until(process, "reload failed")
        process.send_signal(signal.SIGTERM)
        process.stderr.read()
        assert process.wait() == ExitCode.OK


def test_a_second_signal_ends_the_process_at_once(command, config):
    with command.start("-c", config("module slow")) as process:
        read_until(process, "ready:")
        process.send_signal(signal.SIGINT)
        read_until(process, "SIGINT: draining")
        process.send_signal(signal.SIGTERM)
        assert "a second signal (SIGTERM)" in process.stderr.read()
        assert process.wait() == ExitCode.FAILURE


def test_a_second_signal_works_although_a_plugin_blocks_the_loop(command, config):
    with command.start("-d", "-c", config("module blocking")) as process:
        read_until(process, "ready:")
        process.send_signal(signal.SIGTERM)
        read_until(process, "SIGTERM: draining")
        process.send_signal(signal.SIGINT)
        process.stderr.read()
        assert process.wait() == ExitCode.FAILURE


@pytest.mark.parametrize(("later_s", "deaths"), [(0.4, []), (0.6, ["SIGTERM"])])
def test_the_same_signal_at_once_is_the_same_request(monkeypatch, later_s, deaths):
    now = [100.0]
    monkeypatch.setattr("mtev_kernel.cli._signals.time.monotonic", lambda: now[0])
    stops, died = [], []
    signals = Signals(stops.append, lambda: None, died.append)
    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        signals._handle(signal.SIGTERM)
        now[0] += later_s
        signal.raise_signal(signal.SIGTERM)
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    assert (stops, died) == (["SIGTERM"], deaths)


def test_a_wrong_configuration_ends_with_its_code_and_no_traceback(command, config):
    done = command("-c", config("stanza picky"))
    assert done.returncode == ExitCode.CONFIG
    assert "app.conf:1: nothing is good enough" in done.stderr
    assert "zz-picky 1.0" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_missing_file_and_a_missing_requirement_have_their_own_codes(command, config):
    missing = command("-c", "absent.conf")
    assert missing.returncode == ExitCode.NO_INPUT
    assert "absent.conf: No such file or directory" in missing.stderr
    assert command("-c", config("module needy")).returncode == ExitCode.UNAVAILABLE


def test_a_step_that_blocks_the_process_is_named_and_ends_it(command, config):
    with command.start("-c", config("module blocking fail stop-timeout=0.1")) as process:
        read_until(process, "ready:")
        process.send_signal(signal.SIGTERM)
        rest = process.stderr.read()
        assert process.wait() == ExitCode.SOFTWARE
    assert "plugin 'blocking' (zz-blocking 1.0), step 'stop' blocks the process" in rest
    assert "in stop" in rest, "the stack of the culprit must be shown"


def test_a_thread_left_behind_is_named_and_does_not_keep_the_process(command, config):
    with command.start("-c", config("module leaving")) as process:
        read_until(process, "ready:")
        process.send_signal(signal.SIGTERM)
        rest = process.stderr.read()
        assert process.wait() == ExitCode.SOFTWARE
    assert "threads still there: left-behind" in rest
