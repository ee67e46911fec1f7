"""The console's commands, with a console made by hand."""

from __future__ import annotations

import re
from concurrent.futures import Future
from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mtev_conf import Configuration
from mtev_conf._apply import Policies, Rule
from mtev_conf._operating.console import register_commands
from mtev_kernel.errors import ConfigurationError

DOCUMENT = """\
<?xml version="1.0"?>
<!-- for ops -->
<app mode="fast">
  <!-- the old password was swordfish -->
  <logs>
    <log name="error" level="notice"/>
  </logs>
  <listeners address="127.0.0.1">
    <listener type="http" port="8080"/>
    <listener type="telnet" port="ENV:23:{PORT}">
      <config>
        <timeout>5</timeout>
        <value name="api_key">hunter2</value>
        <nested><deep>1</deep></nested>
        <empty/>
      </config>
    </listener>
  </listeners>
  <database password="hunter2" url="pg://me:hunter2@db/x"/>
</app>
"""


@dataclass(frozen=True)
class Session:
    name: str = "console/7"
    peer: str = "127.0.0.1:5012"
    user: str = ""


class Registry:
    """A console, or a mode of one: keeps what is registered, and gives commands as an operator does."""

    def __init__(self):
        self.commands = {}
        self.modes = {}

    def command(self, words, function, *, summary, usage="", session=False, threaded=False):
        assert session
        assert threaded, "every one of them may block"
        assert words not in self.commands
        assert summary
        assert summary == summary.strip()
        self.commands[words] = function

    def mode(self, words, enter, *, summary, usage=""):
        self.modes[words] = enter

    def give(self, line, *, session=Session()):
        """Give a command; what it shows, a refusal as its last line."""
        words = re.findall(r'"[^"]*"|\S+', line)
        name = next(name for n in (2, 1) if (name := " ".join(words[:n])) in self.commands)
        arguments = [word.strip('"') for word in words[name.count(" ") + 1 :]]
        shown = []
        try:
            shown += self.commands[name](session, arguments)
        except (ValueError, LookupError) as refusal:
            shown.append(str(refusal.args[0]))
        return "\n".join(shown)


class Kernel:
    """The context, as far as commands use it."""

    def __init__(self):
        self.outcome = Future()
        self.asked = 0

    def reload(self):
        self.asked += 1
        return self.outcome


class Editor(Registry):
    """The mode, entered."""

    def __init__(self, console):
        super().__init__()
        self.mode = console.modes["configure terminal"](Session(), [])
        self.mode.register(self)

    @property
    def prompt(self):
        return self.mode.prompt

    @property
    def place(self):
        return re.fullmatch(r"mtev\(conf:(.*)\)# ", self.prompt)[1]


@pytest.fixture
def path(tmp_path):
    file = tmp_path / "app.conf"
    file.write_text(DOCUMENT)
    return file


@pytest.fixture
def configuration(path):
    made = Configuration.load(str(path), {})
    made.set_policies(
        Policies(
            [Rule("logs", "logs", "live"), Rule("listener", "listeners"), Rule("db", "database", "restart-plugin")]
        )
    )
    return made


@pytest.fixture
def kernel():
    return Kernel()


@pytest.fixture
def console(configuration, kernel):
    registry = Registry()
    register_commands(registry, configuration, kernel)
    return registry


@pytest.fixture
def editor(console):
    return Editor(console)


# -- show conf


def test_it_shows_paths_and_texts_as_libmtev_does(console):
    assert console.give("show conf //listener[2]/config/timeout") == (
        "Looking for '//listener[2]/config/timeout'\n== 1: /app/listeners/listener[2]/config/timeout ==\n5"
    )


def test_a_plain_path_and_its_xpath_show_the_same(console):
    plain = console.give("show conf -x /app/listeners/listener").splitlines()[1:]
    xpath = console.give("show conf -x /app/listeners/listener[true()]").splitlines()[1:]
    relative = console.give("show conf -x listeners/listener").splitlines()[1:]
    from_above = console.give("show conf -x app/listeners/listener").splitlines()[1:]
    assert plain == xpath == relative == from_above
    assert plain[0] == "== 1: /app/listeners/listener[1] =="
    assert plain[1:3] == ['<?xml version="1.0"?>', '<listener type="http" port="8080"/>']


def test_attributes_texts_and_what_is_computed_are_shown_too(console):
    assert console.give("show conf //listener/@port").splitlines()[1:] == [
        "== 1: /app/listeners/listener[1]/@port ==",
        "8080",
        "== 2: /app/listeners/listener[2]/@port ==",
        "ENV:23:{PORT}",
    ]
    assert "== 1: /app/listeners/listener[2]/config/timeout/text() ==\n5" in console.give("show conf //timeout/text()")
    assert console.give("show conf count(//listener)").endswith("== 1 ==\n2")
    assert console.give("show conf //listener/@port='8080'").endswith("== 1 ==\ntrue")


@pytest.mark.parametrize("xpath", ["//nothing", "/app/nothing", "/other", "nothing/at/all"])
def test_nothing_found_is_said_so(console, xpath):
    assert console.give(f"show conf {xpath}") == f"Looking for '{xpath}'\nno elements found"


@pytest.mark.parametrize("xpath", ["//listener[", "//m:x", "$x", "f()", "/app/" + "a" * 2000])
def test_a_malformed_expression_is_said_to_be_one(console, xpath):
    shown = console.give(f"show conf {xpath}").splitlines()
    assert shown[1] == "no elements found"
    assert "XPath" in shown[2]


@pytest.mark.parametrize("words", ["", "a b c", "-x", "-y //a", "history x", "diff 1 2"])
def test_other_arguments_are_refused(console, words):
    assert console.give(f"show conf {words}") in ("show conf [-x] <xpath expression>", "too many arguments")


@pytest.mark.parametrize(
    "line",
    [
        "show conf //database/@password",
        "show conf -x //database",
        "show conf -x /app",
        "show conf /app/listeners",
        "show conf string(//database/@password)",
        "show conf substring(//database/@url,1)",
        "show conf concat(//value,'')",
        "show conf //comment()",
        "show conf //*[@password='hunter2']/@url",
        "show conf count(//*[starts-with(@password,'h')])",
        "write terminal",
    ],
)
def test_no_secret_is_shown_nor_told_by_what_is_selected(console, line):
    shown = console.give(line).partition("\n")[2]
    assert "hunter2" not in shown
    assert "swordfish" not in shown
    if "[" in line:
        assert shown.splitlines()[-1] in ("no elements found", "0")


def test_output_is_limited(tmp_path, kernel):
    registry = Registry()
    many = Configuration.parse(f"<app>{'<x/>' * 1500}<big>{'a' * 2_000_000}</big><y/></app>", "app.conf", {})
    register_commands(registry, many, kernel)
    shown = registry.give("show conf /app/x").splitlines()
    assert shown[-1] == "... and 500 more elements"
    assert "== 1000: /app/x[1000] ==" in shown
    shown = registry.give("show conf /app/big|/app/y").splitlines()
    assert len(shown[2]) == 1_000_000
    assert shown[-1] == "... and 1 more elements"


def test_words_that_are_no_xpath_can_still_be_looked_for(kernel):
    registry = Registry()
    register_commands(registry, Configuration.parse("<app><history>x</history></app>", "app.conf", {}), kernel)
    assert registry.give("show conf ./history").endswith("== 1: /app/history ==\nx")
    assert "load" in registry.give("show conf history")


def test_what_stands_behind_an_include_is_found_from_the_root(tmp_path, kernel):
    (tmp_path / "more.conf").write_text("<x><acl name='a'/></x>")
    file = tmp_path / "app.conf"
    file.write_text("<app><include file='more.conf'/><acl name='b'/></app>")
    registry = Registry()
    register_commands(registry, Configuration.load(str(file), {}), kernel)
    for xpath in ("acl", "acl[@name]"):
        shown = registry.give(f"show conf {xpath}").splitlines()
        assert sorted(shown[1::2]) == ["== 1: /app/acl ==", "== 2: /app/include/acl =="]
    editor = Editor(registry)
    assert editor.give("cd include") == "reserved word [/app/include]"
    assert editor.give("cd include/acl") == ""
    assert editor.place == "/include/acl"
    assert editor.give("cd ..") == ""
    assert editor.place == "/"
    assert editor.give("section include") == "manipulation of toplevel section disallowed"
    assert editor.give("set include x") == "include is a reserved section name"


# -- history, pending, diff


def test_history_says_who_when_and_how_much(console, editor, configuration):
    editor.give("cd logs/log")
    editor.give("attribute level debug")
    editor.give("attribute level error", session=Session(user="alice"))
    with configuration.transaction("acme", "tuning") as change:
        change.set(configuration.root, "mode", "slow")
    lines = console.give("show conf history").splitlines()
    assert [re.sub(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\dZ", "WHEN", line).split() for line in lines] == [
        ["1", "WHEN", "load", "0", "changes"],
        ["2", "WHEN", "change", "1", "change", "console/7", "127.0.0.1:5012"],
        ["3", "WHEN", "change", "1", "change", "console/7", "alice"],
        ["4", "WHEN", "change", "1", "change", "acme", "tuning"],
    ]
    assert editor.give("history") == "\n".join(lines)


def test_what_waits_for_a_restart_is_told_at_once_and_listed(console, editor):
    assert console.give("show conf pending") == "nothing waits for a restart"
    editor.give("cd listeners/listener[1]")
    assert editor.give("attribute port 9") == (
        "/app/listeners[1]/listener[1]/@port: in force once the service is restarted"
    )
    editor.give("cd /database")
    assert editor.give("attribute password other") == (
        "/app/database[1]/@password: in force once plugin 'db' is restarted"
    )
    expected = [
        '/app/listeners[1]/listener[1]/@port: "8080" -> "9" '
        "(in force once the service is restarted; since generation 2)",
        '/app/database[1]/@password: "***" -> "***" (in force once plugin \'db\' is restarted; since generation 3)',
    ]
    assert console.give("show conf pending").splitlines() == expected
    assert editor.give("pending").splitlines() == expected
    editor.give("cd /listeners/listener[1]")
    assert editor.give("attribute port 8080") == ""
    assert len(console.give("show conf pending").splitlines()) == 1


def test_a_live_change_is_told_without_a_word(editor):
    editor.give("cd logs/log")
    assert editor.give("attribute level debug") == ""


def test_diff_shows_what_is_not_in_the_files_without_secrets(console, editor):
    assert console.give("show conf diff") == "no changes"
    editor.give("cd listeners/listener[2]/config")
    editor.give("set timeout 7")
    editor.give("set timeout 8")
    editor.give("set fresh_token 0xdead")
    editor.give("section extra")
    assert editor.give("diff").splitlines() == [
        '/app/listeners[1]/listener[2]/config[1]/timeout[1]: "5" -> "8"',
        "/app/listeners[1]/listener[2]/config[1]/fresh_token[1]: added <fresh_token>***</fresh_token>",
        "/app/listeners[1]/listener[2]/config[1]/extra[1]: added <extra/>",
    ]
    assert console.give("show conf diff") == editor.give("diff")
    assert editor.give("diff 3").splitlines() == editor.give("diff").splitlines()[1:]
    assert editor.give("diff 5") == "no changes"
    assert "generation 99 is not kept" in editor.give("diff 99")
    for wrong in ("x", "-1", "1.5", "9" * 40, "²"):
        assert "not the number of a generation" in editor.give(f"diff {wrong}")


def test_rollback_goes_back_and_says_so_in_the_history(editor, configuration, path):
    editor.give("cd listeners/listener[1]")
    editor.give("attribute port 1")
    editor.give("cd ..")
    editor.give("no section listener")
    assert editor.give("rollback 1") == ""
    assert editor.give("diff") == "no changes"
    assert configuration.text() == DOCUMENT
    assert configuration.history()[-1].kind == "rollback"
    assert configuration.history()[-1].who == "console/7 127.0.0.1:5012"
    assert editor.give("rollback") == "requires one argument"
    assert "is not kept" in editor.give("rollback 77")


# -- write, reload


def test_write_file_says_how_much_and_where_and_changes_one_line(console, editor, path):
    assert console.give("write file") == "0 bytes written."
    editor.give("cd listeners/listener[1]")
    editor.give("attribute port 9090")
    shown = editor.give("write file")
    assert shown == f"{len(DOCUMENT)} bytes written.\n{path}"
    assert path.read_text() == DOCUMENT.replace("8080", "9090")
    editor.give("attribute port 8080")
    assert console.give("write memory").endswith(str(path))
    assert path.read_text() == DOCUMENT


def test_somebody_elses_edit_is_not_overwritten_without_force(console, editor, path):
    editor.give("attribute mode slow")
    path.write_text(DOCUMENT.replace("fast", "faster"))
    assert str(path) in console.give("write file")
    assert "faster" in path.read_text()
    assert console.give("write file force").endswith(str(path))
    assert "slow" in path.read_text()
    assert console.give("write file now") == "'now' is not understood; the only argument is 'force'"


def test_writing_that_is_switched_off_is_refused(console, configuration):
    configuration.disable_writes("<conf write='off'>")
    assert console.give("write file") == "nothing is written: <conf write='off'>"


def test_write_terminal_shows_the_file_as_it_would_be(console, editor):
    editor.give("cd logs/log")
    editor.give("attribute level debug")
    shown = console.give("write terminal")
    assert '    <log name="error" level="debug"/>' in shown.splitlines()
    assert shown.splitlines()[:2] == ['<?xml version="1.0"?>', '<app mode="fast">']
    assert editor.give("write terminal") == shown
    assert console.give("write terminal now") == "no arguments allowed to this command."


def test_includes_are_collapsed_in_write_terminal(tmp_path, kernel):
    (tmp_path / "more.conf").write_text("<x><acl/></x>")
    file = tmp_path / "app.conf"
    file.write_text("<app>\n  <include file='more.conf'/>\n</app>\n")
    registry = Registry()
    register_commands(registry, Configuration.load(str(file), {}), kernel)
    assert registry.give("write terminal") == "<app>\n  <include file='more.conf'/>\n</app>"


def test_a_reload_is_waited_for(console, kernel):
    kernel.outcome.set_result(None)
    assert console.give("configure reload") == "reload complete"


def test_a_refused_reload_gives_its_reasons_one_per_line(console, kernel):
    problems = [ConfigurationError("first", "a:1"), ConfigurationError("second", "a:2")]
    kernel.outcome.set_exception(ConfigurationError.combined(problems))
    assert console.give("configure reload") == "a:1: first\na:2: second\nerror loading config"


def test_any_other_end_of_a_reload_is_told_too(console, kernel):
    kernel.outcome.set_exception(OSError(2, "No such file", "app.conf"))
    shown = console.give("configure reload").splitlines()
    assert "No such file" in shown[0]
    assert shown[-1] == "error loading config"


def test_a_reload_that_does_not_end_is_not_waited_for_for_ever(console, monkeypatch):
    monkeypatch.setattr("mtev_conf._operating.console._RELOAD_S", 0.0)
    assert console.give("configure reload").startswith("still reading after 0 s")


def test_force_gives_up_unsaved_changes(console, editor, configuration, kernel):
    kernel.outcome.set_result(None)
    editor.give("attribute mode slow")
    assert console.give("configure reload") == "reload complete"
    with pytest.raises(ConfigurationError, match="would be lost"):
        configuration.check_unsaved()
    assert console.give("configure reload force") == "reload complete"
    configuration.check_unsaved()
    assert console.give("configure reload now") == "'now' is not understood; the only argument is 'force'"
    assert kernel.asked == 2


# -- configure terminal


def test_entering_takes_no_arguments(console):
    with pytest.raises(ValueError, match=r"^extra arguments not expected\.$"):
        console.modes["configure terminal"](Session(), ["x"])


def test_the_prompt_shows_where_one_is(editor):
    assert editor.prompt == "mtev(conf:/)# "
    editor.give("cd listeners/listener[2]/config")
    assert editor.prompt == "mtev(conf:/listeners/listener[2]/config)# "
    editor.give("cd ../..")
    assert editor.prompt == "mtev(conf:/listeners)# "
    editor.give("cd /")
    assert editor.prompt == "mtev(conf:/)# "


def test_a_long_path_keeps_its_end(editor):
    editor.give("cd logs")
    for _ in range(20):
        editor.give("section deeper")
    assert re.fullmatch(r"mtev\(conf:\.\.\.(er/deeper|.*/deeper){1,9}\)# ", editor.prompt)
    assert len(editor.prompt) == 79


@given(st.integers(0, 90))
def test_a_prompt_is_never_longer_than_libmtevs(length):
    registry = Registry()
    register_commands(registry, Configuration.parse(f"<app><{'a' * (length + 1)}/></app>", "a.conf", {}), Kernel())
    editor = Editor(registry)
    editor.give(f"cd {'a' * (length + 1)}")
    assert len(editor.prompt) == min(13 + length + 2, 79)
    assert editor.prompt.endswith("a)# ")


def test_ls_lists_settings_subsections_and_values(editor):
    assert editor.give("ls").splitlines() == [
        "== Section Settings ==",
        "@mode: fast",
        "== Subsections ==",
        "logs",
        "listeners",
        "database",
    ]
    editor.give("cd listeners/listener[2]/config")
    assert editor.give("ls").splitlines() == [
        "== Subsections ==",
        "nested",
        "empty",
        "== Values ==",
        "timeout: 5",
        'value name="api_key": ***',
    ]


def test_ls_of_other_sections_names_them_from_where_one_is(editor):
    editor.give("cd listeners")
    assert editor.give("ls listener").splitlines() == [
        "== Section Settings ==",
        "listener[1]/@type: http",
        "listener[1]/@port: 8080",
        "listener[2]/@type: telnet",
        "listener[2]/@port: ENV:23:{PORT}",
        "== Subsections ==",
        "listener[2]/config",
    ]
    assert editor.give("ls /database").splitlines() == [
        "== Section Settings ==",
        "database/@password: ***",
        "database/@url: pg://me:***@db/x",
    ]
    assert editor.give("ls ..").splitlines()[0] == "== Section Settings =="
    assert editor.give("ls /nothing") == "no such object"
    assert editor.give("ls a b") == "too many arguments"


def test_ls_of_a_crowd_is_limited(kernel):
    registry = Registry()
    register_commands(registry, Configuration.parse(f"<app>{'<x/>' * 2000}</app>", "app.conf", {}), kernel)
    shown = Editor(registry).give("ls").splitlines()
    assert shown[0] == "== Subsections =="
    assert shown[-2:] == ["x[1000]", "... and 1000 more elements"]


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("cd", "requires one argument"),
        ("cd a b", "requires one argument"),
        ("cd nothing", "no such section [/app/nothing]"),
        ("cd /nothing/at/all", "no such section [/app/nothing/at/all]"),
        ("cd //listener", "ambiguous section [/app//listener]"),
        ("cd listeners/listener", "ambiguous section [/app/listeners/listener]"),
        ("cd ..", "new path outside out tree [/app/..]"),
        ("cd /..", "new path outside out tree [/app/..]"),
        ("cd listeners/../..", "new path outside out tree [/app/listeners/../..]"),
        ("cd ../..|/app/..", "new path outside out tree [/app/../..|/app/..]"),
        ("cd @mode", "no such section [/app/@mode]"),
        ("section", "requires one argument"),
        ("section a/b", "invalid section name"),
        ("section a$b", "invalid section name"),
        ("section x", "manipulation of toplevel section disallowed"),
        ("section logs", "manipulation of toplevel section disallowed"),
        ("no section logs", "manipulation of toplevel section disallowed"),
        ("set extra 1", "manipulation of toplevel section disallowed"),
        ("no attribute nothing", "no such attribute"),
        ("no attribute", "requires one argument"),
        ("attribute a", "requires two arguments: a name and a value (in quotes, if it has blanks)"),
        ("attribute a$b c", "'a$b' cannot be a name"),
        ("set a$b c", "'a$b' cannot be a name"),
    ],
)
def test_what_cannot_be_is_refused_in_libmtevs_words(editor, configuration, line, told):
    assert editor.give(line) == told
    assert editor.place == "/"
    assert configuration.generation == 1


def test_xpath_leads_to_sections_too(editor):
    assert editor.give("cd //listener[@type='telnet']") == ""
    assert editor.place == "/listeners/listener[2]"
    assert editor.give("cd ancestor::*[1]") == ""
    assert editor.place == "/listeners"
    assert "XPath" in editor.give("cd listener[")
    assert "yields a float" in editor.give("cd count(x)") or "not a valid" in editor.give("cd count(x)")


def test_where_one_can_go_tells_nothing_about_secrets(editor):
    assert editor.give("cd //database[@password='hunter2']").startswith("no such section")
    assert editor.give("cd //database[@password='***']") == ""


def test_section_enters_or_makes(editor, configuration):
    editor.give("cd listeners")
    assert editor.give("section listener") == "cannot create section"
    assert editor.give("section include") == "include is a reserved section name"
    assert editor.give("section console").startswith("/app/listeners[1]/console[1]: in force once")
    assert editor.place == "/listeners/console"
    assert configuration.generation == 2
    editor.give("cd ..")
    assert editor.give("section console") == ""
    assert (editor.place, configuration.generation) == ("/listeners/console", 2)


def test_no_section_removes_the_first_of_the_name(editor, configuration):
    editor.give("cd listeners")
    assert editor.give("no section nothing") == "no such section"
    editor.give("no section listener")
    assert [each.string("type") for each in configuration.sections("listeners/listener")] == ["telnet"]


def test_set_changes_the_text_of_an_element_or_makes_it(editor, configuration):
    editor.give("cd listeners/listener[2]/config")
    editor.give("set timeout 9")
    editor.give('set greeting "good morning"')
    assert configuration.sections("//listener")[1].hash()["timeout"] == "9"
    assert configuration.sections("//listener")[1].hash()["greeting"] == "good morning"
    assert "has child elements" in editor.give("set nested 1")
    editor.give("cd ../..")
    assert editor.give("set listener x") == "ambiguous section"


def test_attributes_are_set_and_taken_out(editor, configuration):
    editor.give('attribute title "a <b> & c"')
    assert configuration.root.string("title") == "a <b> & c"
    editor.give("no attribute title")
    assert configuration.root.optional("title") is None
    assert "not declared" in editor.give("attribute m:x 1")
    assert "XML" in editor.give("attribute x \x01")
    assert "backingstore" in editor.give("attribute backingstore /tmp/x")


def test_all_reasons_of_a_refusal_are_shown_and_nothing_is_changed(editor, configuration):
    def judge(proposal):
        proposal.refuse("too slow")
        proposal.refuse(ConfigurationError("too loud", "app.conf:3"))

    configuration.judge(judge)
    assert editor.give("attribute mode slow").splitlines() == ["too slow", "app.conf:3: too loud"]
    assert configuration.root.string("mode") == "fast"


def test_who_changes_something_is_told_to_those_who_judge(editor, configuration):
    seen = []
    configuration.judge(lambda proposal: seen.append(proposal.who))
    editor.give("attribute mode slow")
    editor.give("attribute mode slower", session=Session("console/9", "[::1]:1", "bob"))
    assert seen == ["console/7 127.0.0.1:5012", "console/9 bob"]


def test_two_sessions_have_a_place_each(console):
    one, other = Editor(console), Editor(console)
    one.give("cd logs")
    other.give("cd listeners")
    assert (one.place, other.place) == ("/logs", "/listeners")


def test_one_stays_at_the_same_element_when_its_neighbours_go(console, configuration):
    one, other = Editor(console), Editor(console)
    one.give("cd listeners/listener[2]")
    other.give("cd listeners")
    other.give("no section listener")
    one.give("attribute port 99")
    assert configuration.section("//listener[@type='telnet']").string("port") == "99"
    assert one.place == "/listeners/listener"


def test_who_stands_in_what_is_removed_is_told_and_changes_nothing_by_mistake(console, configuration):
    one, other = Editor(console), Editor(console)
    one.give("cd listeners/listener[1]")
    other.give("cd listeners")
    other.give("no section listener")
    before = configuration.generation
    shown = one.give("attribute port 99").splitlines()
    # What was the second listener is the first one now.
    assert shown[0] == "that section was removed; this is /listeners/listener"
    assert shown[1] == "nothing was changed; look where you are, and repeat the command"
    assert configuration.generation == before
    one.give("attribute port 99")
    assert configuration.generation == before + 1


def test_the_nearest_place_that_is_left_takes_over(console):
    one, other = Editor(console), Editor(console)
    one.give("cd listeners/listener[2]/config/nested")
    other.give("cd listeners")
    other.give("no section listener")
    other.give("no section listener")
    assert one.give("ls").splitlines()[:3] == [
        "that section was removed; this is /listeners",
        "== Section Settings ==",
        "@address: 127.0.0.1",
    ]
    assert one.place == "/listeners"


def test_a_reload_is_noticed(console, configuration, path):
    editor = Editor(console)
    editor.give("cd listeners/listener[2]")
    path.write_text(DOCUMENT.replace("telnet", "other"))
    configuration.adopt(Configuration.load(str(path), {}))
    shown = editor.give("attribute port 1").splitlines()
    assert shown[0] == "the configuration was read again; this is /listeners/listener[2]"
    assert shown[1].startswith("nothing was changed")
    assert configuration.generation == 2
    assert "@type: other" in editor.give("ls").splitlines()


def test_a_rollback_that_takes_ones_place_away_says_so(editor):
    editor.give("cd logs")
    editor.give("section fresh")
    assert editor.place == "/logs/fresh"
    assert editor.give("rollback 1") == "that section was removed; this is /logs"
    assert editor.place == "/logs"


@given(st.text(max_size=30))
def test_no_expression_makes_a_command_fail(text):
    registry = Registry()
    register_commands(registry, Configuration.parse(DOCUMENT, "app.conf", {}), Kernel())
    editor = Editor(registry)
    for name in ("cd", "ls", "section", "no section"):
        try:
            list(editor.commands[name](Session(), [text]))
        except (ValueError, LookupError) as refusal:
            assert isinstance(refusal.args[0], str)
    try:
        assert list(registry.commands["show conf"](Session(), [text]))
    except (ValueError, LookupError) as refusal:
        assert isinstance(refusal.args[0], str)


# -- move


def types(configuration):
    return [each.optional("type") for each in configuration.sections("listeners/listener")]


def test_a_section_is_moved_to_be_the_nth_of_its_name_or_first_or_last_of_all(editor, configuration):
    editor.give("cd listeners")
    for line in ("section a", "cd .."):
        editor.give(line)
    editor.give("move listener[2] 1")
    assert types(configuration) == ["telnet", "http"]
    editor.give("move listener[1] last")
    assert [each.name for each in configuration.sections("listeners/*")] == ["listener", "a", "listener"]
    assert types(configuration) == ["http", "telnet"]
    editor.give("move /listeners/listener[2] first")
    assert types(configuration) == ["telnet", "http"]
    assert editor.give("move listener[1] 2").startswith("/app/listeners[1]/listener[1]: in force once")
    assert [each.name for each in configuration.sections("listeners/*")] == ["listener", "listener", "a"]
    assert configuration.history()[-1].who == "console/7 127.0.0.1:5012"


def test_a_section_is_moved_to_another_place(editor, configuration):
    editor.give("move logs/log to listeners/listener[2]/config 1")
    assert [each.name for each in configuration.sections("//config/*")][-1] == "log"
    editor.give("move listeners/listener[2]/config/log to logs first")
    editor.give("move //timeout to /logs")
    assert [each.name for each in configuration.sections("logs/*")] == ["log", "timeout"]
    editor.give("move //timeout to . 1")
    assert configuration.section("timeout").path == "/app/timeout[1]"


def test_whoever_stands_in_what_is_moved_goes_along(editor):
    editor.give("cd listeners/listener[2]")
    editor.give("move /listeners/listener[2] 1")
    assert editor.place == "/listeners/listener[1]"


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("move", "move XPATH N|first|last, or move XPATH to XPATH [N|first|last]"),
        ("move a b c", "move XPATH N|first|last, or move XPATH to XPATH [N|first|last]"),
        ("move logs 0", "'0' is no place; write first, last, or a number that counts from 1 as in paths"),
        ("move logs -1", "'-1' is no place; write first, last, or a number that counts from 1 as in paths"),
        ("move logs 1234567890", "'1234567890' is no place"),
        ("move logs to listeners up", "'up' is no place"),
        ("move nothing 1", "no such section [/app/nothing]"),
        ("move logs to nothing", "no such section [/app/nothing]"),
        ("move //listener 1", "ambiguous section [/app//listener]"),
        ("move . 1", "manipulation of toplevel section disallowed"),
        ("move .. 1", "new path outside out tree [/app/..]"),
        ("move logs to logs/log", "/app/logs[1] cannot be moved into itself, to /app/logs[1]/log[1]"),
        ("move . to logs", "<app> is the root of a document, which cannot be moved"),
        ("move listeners/listener[1] 3", "nothing can become listener[3] in /app/listeners[1], which has 1 others"),
    ],
)
def test_what_cannot_be_moved_is_refused(editor, configuration, line, told):
    assert editor.give(line).startswith(told)
    assert configuration.generation == 1


# -- begin, commit, abort


def test_what_is_collected_is_carried_out_together(editor, configuration, path):
    editor.give("cd listeners/listener[2]")
    assert editor.give("begin") == "changes are collected from now on; commit carries them out, abort forgets them"
    assert editor.prompt == "mtev(conf:/listeners/listener[2]*)# "
    for line in (
        "attribute port 99",
        "no attribute type",
        "section extra",
        "set greeting hello",
        "set greeting goodbye",
        "cd ..",
        "no section config",
        "cd ..",
        "move listener[2] 1",
    ):
        assert editor.give(line) == "", line
    assert editor.prompt == "mtev(conf:/listeners*)# "
    assert "listener[1]/@port: 99" in editor.give("ls listener").splitlines()
    assert editor.give("ls listener[1]/extra").endswith("greeting: goodbye")
    assert configuration.text() == DOCUMENT
    assert configuration.generation == 1
    shown = editor.give("diff").splitlines()
    assert len(shown) == 7
    assert shown[0] == '/app/listeners[1]/listener[2]/@port: "ENV:23:{PORT}" -> "99"'
    assert "hunter2" not in "".join(shown)
    told = editor.give("commit as agreed").splitlines()
    assert told[0] == "generation 2: 7 changes"
    assert all("in force once" in line for line in told[1:])
    assert editor.prompt == "mtev(conf:/listeners)# "
    assert types(configuration) == [None, "http"]
    made = configuration.history()[-1]
    assert (made.number, made.who, made.why, len(made.changes)) == (2, "console/7 127.0.0.1:5012", "as agreed", 7)
    editor.give("rollback 1")
    assert configuration.text() == DOCUMENT


def test_what_is_taken_back_is_not_carried_out(editor, configuration):
    editor.give("begin")
    editor.give("attribute mode slow")
    editor.give("attribute mode fast")
    assert editor.give("diff") == "no changes"
    assert editor.give("commit") == "no changes"
    assert editor.prompt == "mtev(conf:/)# "
    assert configuration.generation == 1


def test_nobody_is_asked_before_the_end_and_a_refusal_keeps_what_is_collected(editor, configuration):
    asked = []

    def judge(proposal):
        asked.append([each.path for each in proposal.changes])
        if len(asked) == 1:
            proposal.refuse("too slow")
            proposal.refuse(ConfigurationError("too loud", "app.conf:3"))

    configuration.judge(judge)
    editor.give("begin")
    editor.give("attribute mode slow")
    editor.give("cd logs")
    editor.give("section extra")
    assert not asked
    assert editor.give("commit").splitlines() == [
        "too slow",
        "app.conf:3: too loud",
        "nothing was changed; what is collected stays",
    ]
    assert editor.prompt == "mtev(conf:/logs/extra*)# "
    assert configuration.text() == DOCUMENT
    assert editor.give("commit") == "generation 2: 2 changes\n/app/@mode: in force once the service is restarted"
    assert asked == [["/app/@mode", "/app/logs[1]/extra[1]"]] * 2
    assert editor.prompt == "mtev(conf:/logs/extra)# "


def test_what_cannot_be_is_refused_at_once_and_not_collected(editor, configuration):
    editor.give("begin")
    editor.give("cd listeners/listener[2]")
    assert "not declared" in editor.give("attribute m:x 1")
    assert "backingstore" in editor.give("attribute backingstore /tmp/x")
    editor.give("no section config")
    assert editor.give("cd config").startswith("no such section")
    assert editor.give("no section config") == "no such section"
    editor.give("cd ..")
    assert editor.give("move listener[1] to /") == ""
    assert "has child elements" in editor.give("cd /") + editor.give("set listeners x")
    editor.give("cd listeners")
    assert (
        editor.give("move listener 3")
        == "nothing can become listener[3] in /app/listeners[1], which has 0 others of that name; write 1 to 1"
    )
    assert len(editor.give("diff").splitlines()) == 2


def test_abort_forgets_and_goes_back_to_what_is_there(editor, configuration):
    editor.give("cd listeners")
    editor.give("begin")
    editor.give("no section listener")
    editor.give("cd listener")
    assert editor.prompt == "mtev(conf:/listeners/listener*)# "
    assert editor.give("abort") == "1 change forgotten\nthis is /listeners/listener[2]"
    editor.give("begin")
    editor.give("section extra")
    assert editor.give("abort") == "1 change forgotten\nthis is /listeners/listener[2]"
    assert editor.give("begin now") == "no arguments allowed to this command."
    assert editor.give("abort") == "no changes are being collected; begin does that"
    assert editor.give("commit") == "no changes are being collected; begin does that"
    assert configuration.generation == 1


def test_meanwhile_other_commands_work_as_ever(editor, console, configuration, path):
    editor.give("attribute mode slow")
    editor.give("begin")
    assert editor.give("begin") == "changes are being collected already; commit or abort first"
    editor.give("attribute mode slower")
    assert editor.give("diff") == '/app/@mode: "slow" -> "slower"'
    assert editor.give("diff 1") == '/app/@mode: "fast" -> "slow"'
    assert console.give("show conf diff") == '/app/@mode: "fast" -> "slow"'
    assert editor.give("rollback 1") == "changes are being collected; commit or abort first"
    assert "slower" not in editor.give("write terminal")
    assert editor.give("write file").endswith(str(path))
    assert 'mode="slow"' in path.read_text()
    assert len(editor.give("history").splitlines()) == 2
    assert editor.give("commit a\x07").startswith("the reason has to be one line of text")
    assert editor.give("commit").startswith("generation 3: 1 change\n")


def test_changes_of_others_elsewhere_do_no_harm(console, configuration):
    one, other = Editor(console), Editor(console)
    one.give("cd listeners/listener[2]")
    one.give("begin")
    one.give("attribute port 99")
    one.give("no section config")
    other.give("attribute mode slow")
    other.give("cd logs")
    other.give("section extra")
    assert one.give("commit").startswith("generation 4: 2 changes")
    assert configuration.root.string("mode") == "slow"
    assert one.place == "/listeners/listener[2]"


def test_changes_of_others_in_the_way_are_told_and_what_is_collected_stays(console, configuration):
    one, other = Editor(console), Editor(console)
    one.give("cd listeners/listener[2]")
    one.give("begin")
    one.give("attribute color 1")
    other.give("cd listeners/listener[2]")
    other.give("attribute color 2")
    shown = one.give("commit").splitlines()
    assert shown[0].startswith("/app/listeners[1]/listener[2]/@color has another value now")
    assert shown[-1] == "nothing was changed; what is collected stays"
    other.give("no attribute color")
    other.give("cd ..")
    other.give("no section listener")
    other.give("section listener")
    # What was the second listener is the first one now; there is another second one, which would do as well.
    shown = one.give("commit").splitlines()
    assert shown[0].startswith("somebody else has changed which elements there are")
    assert "/app/listeners[1]/listener[1]: removed" in shown[0]
    assert one.prompt == "mtev(conf:/listeners/listener[2]*)# "
    assert one.give("abort") == "1 change forgotten\nthis is /listeners/listener"


def test_a_reload_and_a_short_history_are_changes_of_others(console, configuration, path):
    editor = Editor(console)
    editor.give("cd listeners/listener[2]")
    editor.give("begin")
    editor.give("attribute port 99")
    path.write_text(DOCUMENT.replace('port="8080"', 'port="8081"'))
    configuration.adopt(Configuration.load(str(path), {}))
    assert editor.give("commit").startswith("generation 3: 1 change\n")
    assert editor.place == "/listeners/listener[2]"
    assert editor.give("ls").splitlines()[2] == "@port: 99"
    editor.give("begin")
    editor.give("attribute port 100")
    configuration.keep_history(1)
    with configuration.transaction() as change:
        change.set(configuration.root, "mode", "slow")
    with configuration.transaction() as change:
        change.set(configuration.root, "mode", "fast")
    assert editor.give("commit").startswith("what has been changed since generation 3, in which this was begun, is not")


def test_leaving_says_what_is_forgotten(editor, configuration, caplog):
    assert editor.mode.close() == ""
    editor.give("begin")
    assert editor.mode.close() == ""
    editor.give("begin")
    editor.give("attribute mode slow")
    assert editor.mode.close() == "1 change not committed, and forgotten"
    assert "1 change not committed, and forgotten" in caplog.text
    assert configuration.generation == 1


def test_a_large_document_and_many_changes_are_refused(kernel, monkeypatch):
    registry = Registry()
    register_commands(registry, Configuration.parse(f"<app>{'<x/>' * 100_000}</app>", "app.conf", {}), kernel)
    editor = Editor(registry)
    assert editor.give("begin").startswith("the document has more than 100000 elements, too many to make a copy of it")
    editor.give("no section x")
    assert editor.prompt == "mtev(conf:/)# "
    monkeypatch.setattr("mtev_conf._operating.draft.MAX_CHANGES", 2)
    registry = Registry()
    register_commands(registry, Configuration.parse("<app/>", "app.conf", {}), kernel)
    editor = Editor(registry)
    editor.give("begin")
    assert editor.give("attribute a 1") == editor.give("attribute b 1") == ""
    assert editor.give("attribute c 1") == "2 changes are collected already; commit them, or abort"
    assert editor.give("commit").startswith("generation 2: 2 changes")


def test_parts_that_name_files_are_guarded_in_what_is_collected_too(tmp_path, kernel):
    (tmp_path / "more.conf").write_text("<x><acl name='a'/></x>")
    (tmp_path / "fixed.conf").write_text("<x><frozen/></x>")
    (tmp_path / "store").mkdir()
    (tmp_path / "store" / "check#1.xml").write_text("<check name='one'>x</check>")
    (tmp_path / "store" / "check#2.xml").write_text("<check name='two'>x</check>")
    file = tmp_path / "app.conf"
    file.write_text(
        "<app><a><include file='more.conf'/></a><include file='fixed.conf' readonly='true'/>"
        "<checks backingstore='store'/></app>"
    )
    registry = Registry()
    configuration = Configuration.load(str(file), {})
    register_commands(registry, configuration, kernel)
    editor = Editor(registry)
    editor.give("begin")
    for line in ("move a/include first", "move a to checks", "move checks/check[2] 1", "move checks to a"):
        assert re.search("cannot be changed while the service runs|are kept in", editor.give(line)), line
    editor.give("cd a/include/acl")
    assert editor.give("attribute name b") == ""
    editor.give("cd /checks/check[2]")
    assert editor.give("attribute name three") == ""
    assert editor.give("commit").startswith("generation 2: 2 changes")
    editor.give("write file")
    assert "name='b'" in (tmp_path / "more.conf").read_text()
    assert "name='three'" in (tmp_path / "store" / "check#2.xml").read_text()
    editor.give("cd /include/frozen")
    editor.give("begin")
    assert editor.give("attribute x 1") == ""
    assert "included as readonly" in editor.give("commit")


lines = st.sampled_from(
    [
        *("cd a", "cd a[2]", "cd b", "cd ..", "cd /", "section a", "section b", "no section a", "no section b"),
        *("attribute x 1", "attribute x 2", "no attribute x", "set b one", "set b two", "move a[1] last", "move a 2"),
        *("move a[2] first", "move b to ..", "move a[1] to ../a[2] 1", "move a to ../b first", "move b[1] to a[1]"),
    ]
)


@given(st.lists(lines, max_size=25))
def test_what_is_collected_makes_of_the_document_what_the_same_commands_make_one_by_one(given):
    text = "<app><a x='1'><a><b>t</b></a></a><a><b/><a x='2'/></a><b>z</b></app>"
    texts, places = [], []
    for together in (False, True):
        registry = Registry()
        configuration = Configuration.parse(text, "app.conf", {})
        register_commands(registry, configuration, Kernel())
        editor = Editor(registry)
        if together:
            editor.give("begin")
        shown = [re.sub(r"^.*: in force once .*$", "", editor.give(line)) for line in given]
        if together:
            listed = editor.give("ls")
            assert re.match(r"no changes|generation 2: ", editor.give("commit"))
            assert editor.give("ls") == listed
        texts.append((same_tree(configuration.root._element), shown))
        places.append(editor.place)
    assert texts[0] == texts[1]
    assert places[0] == places[1]


def same_tree(element):
    """What an element means, as plain values."""
    return element.tag, dict(element.attrib), (element.text or "").strip(), [same_tree(each) for each in element]


paths = st.lists(st.sampled_from(["a[1]", "a[2]", "b[1]"]), min_size=1, max_size=3).map(lambda x: "/app/" + "/".join(x))


@given(st.data())
def test_a_script_that_is_not_disturbed_leads_to_the_same_elements(data):
    """Whatever others do: either it is told, or the path still leads to the element that it was collected for."""
    registry = Registry()
    inner = "<a><a/><a/><b/></a>" * 2 + "<b><a/><a/><b/></b>"
    configuration = Configuration.parse(f"<app>{inner}</app>", "app.conf", {})
    register_commands(registry, configuration, Kernel())
    wanted = configuration.at(data.draw(paths))
    if wanted is None:
        return
    editor = Editor(registry)
    editor.give(f"cd {'/'.join(wanted.path.split('/')[2:])}")
    editor.give("begin")
    editor.give("attribute mine 1")
    for _ in range(data.draw(st.integers(0, 3))):
        found = configuration.at(data.draw(paths))
        with configuration.transaction() as change:
            if found is None:
                continue
            match data.draw(st.sampled_from(["remove", "add", "first"])):
                case "remove" if found.parent is not None:
                    change.remove(found)
                case "add":
                    change.add(found, "a", index=0)
                case _:
                    change.move(found, found.parent, index=0)
    told = editor.give("commit")
    if told.startswith("generation"):
        assert [each.get("mine") for each in configuration.root._element.iter() if each.get("mine")] == ["1"]
        assert wanted._element.get("mine") == "1"
