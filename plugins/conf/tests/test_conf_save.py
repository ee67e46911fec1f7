"""Writing back: only what changed, into the very files that it came from."""

from __future__ import annotations

import os
import threading
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from lxml import etree

from mtev_conf import Configuration, Conflict
from mtev_conf._disk.journalling import ChangeJournal
from mtev_kernel.errors import ConfigurationError

MAIN = """<?xml version='1.0' encoding="utf-8"?>
<!-- our service -->
<app   a='1'
       b="2">
  <include file="parts/*.conf"/>
  <include file="more.snippet" snippet="true"><inline/></include>
  <checks backingstore="store" period="60"/>
  <text>one<![CDATA[ < two]]></text>
</app>
<!-- end -->
"""
PART = "<part-file port=\"80\">\n\t<listener  name='{}'/> <!-- {} -->\n</part-file>\n"


@pytest.fixture
def main(tmp_path):
    (tmp_path / "parts").mkdir()
    for name in ("a", "b"):
        (tmp_path / f"parts/{name}.conf").write_text(PART.format(name, name))
    (tmp_path / "more.snippet").write_text("<one/>\n<two x='1'/>\n")
    path = tmp_path / "app.conf"
    path.write_text(MAIN)
    return path


def load(path):
    return Configuration.load(str(path), {})


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def difference(before: dict[str, bytes], after: dict[str, bytes]) -> dict[str, tuple[bytes | None, bytes | None]]:
    return {name: (before.get(name), after.get(name)) for name in before.keys() | after.keys()
            if before.get(name) != after.get(name)}  # fmt: skip


def with_checks(main: Path) -> Configuration:
    configuration = load(main)
    configuration.leaf(lambda element: element.tag == "check")
    with configuration.transaction() as change:
        for host in range(2):
            section = change.add(configuration.section("checks"), "host", {"name": str(host)})
            for check in range(2):
                change.add_xml(section, f"<check n='{check}'><key>v</key></check>")
    configuration.write()
    return configuration


def meaning(element):
    text = (element.text or "") + "".join(each.tail or "" for each in element)
    children = [meaning(each) for each in element.iterchildren(etree.Element)]
    return (element.tag, dict(element.attrib), text if text.strip() else "", children)


def assert_same(configuration: Configuration) -> None:
    """What is read again is what is in memory."""
    again = load(configuration.path)
    assert meaning(again._tree.root) == meaning(configuration._tree.root)


def test_a_save_without_changes_writes_nothing(main):
    def states():  # reading may change the time of access
        found = {path: path.stat() for path in main.parent.rglob("*")}
        return {path: (each.st_ino, each.st_size, each.st_mtime_ns, each.st_ctime_ns) for path, each in found.items()}

    before = states()
    assert load(main).write() == []
    assert states() == before


@pytest.mark.parametrize(
    ("xpath", "name", "file", "line"),
    [
        ("/app", "b", "app.conf", '       b="new">'),
        ("//listener[@name='b']", "name", "parts/b.conf", "\t<listener  name='new'/> <!-- b -->"),
        ("//two", "x", "more.snippet", "<two x='new'/>"),
        ("//text", "x", "app.conf", '  <text x="new">one<![CDATA[ < two]]></text>'),
        ("//include[1]", "x", "app.conf", '  <include file="parts/*.conf" x="new"/>'),
        ("//checks", "period", "app.conf", '  <checks backingstore="store" period="new"/>'),
    ],
)
def test_one_value_is_one_line_of_one_file(main, xpath, name, file, line):
    before = contents(main.parent)
    configuration = load(main)
    with configuration.transaction() as change:
        change.set(configuration.section(xpath), name, "new")
    assert configuration.write() == [str(main.parent / file)]
    changed = difference(before, contents(main.parent))
    assert list(changed) == [file]
    old, new = ((each or b"").decode().splitlines() for each in changed[file])
    assert [pair[1] for pair in zip(old, new, strict=True) if pair[0] != pair[1]] == [line]
    assert_same(configuration)
    assert configuration.write() == []


def test_a_new_element_goes_to_the_file_of_its_neighbour(main):
    configuration = load(main)
    before = contents(main.parent)
    with configuration.transaction() as change:
        change.add(configuration.section("//include[1]"), "listener", {"name": "b2"})
        change.add(configuration.section("//include[1]"), "listener", {"name": "a0"}, index=0)
        change.add(configuration.section("//include[2]"), "three")
    configuration.write()
    changed = difference(before, contents(main.parent))
    assert sorted(changed) == ["more.snippet", "parts/a.conf", "parts/b.conf"]
    assert b'name="b2"' in (changed["parts/b.conf"][1] or b"")
    assert b'name="a0"' in (changed["parts/a.conf"][1] or b"")
    assert_same(configuration)


def test_an_element_that_was_added_and_written_can_be_changed_and_written_again(main):
    configuration = load(main)
    with configuration.transaction() as change:
        new = change.add(configuration.section("//include[1]"), "added", {"n": "1"})
        change.add(configuration.root, "more")
    configuration.write()
    with configuration.transaction() as change:
        change.set(new, "n", "2")
        change.text(configuration.section("more"), "text")
    assert configuration.write() == [str(main), str(main.parent / "parts/b.conf")]
    assert_same(configuration)
    with configuration.transaction() as change:
        change.remove(change.add(new, "inner"))
        change.add(new, "inside")
    assert configuration.write() == [str(main.parent / "parts/b.conf")]
    assert_same(configuration)


def test_an_element_can_move_from_file_to_file(main):
    configuration = load(main)
    with configuration.transaction() as change:
        change.move(configuration.section("//listener[@name='a']"), configuration.root)
        change.move(configuration.section("//text"), configuration.section("//include[2]"))
    configuration.write()
    assert b"listener" not in (main.parent / "parts/a.conf").read_bytes()
    assert b"<text>" in (main.parent / "more.snippet").read_bytes()
    assert_same(configuration)


def test_lines_are_counted_in_the_file_as_it_was_written(main):
    configuration = load(main)
    text = configuration.section("text")
    assert text.where == f"{main}:8"
    with configuration.transaction() as change:
        change.add(configuration.root, "new", index=0)
    new = configuration.section("new")
    assert new.where == str(main)
    configuration.write()
    assert text.where == f"{main}:9"
    assert load(main).section("text").where == f"{main}:9"


def test_a_readonly_file_cannot_be_changed(main):
    main.write_text(MAIN.replace('*.conf"', '*.conf" readonly="true"'))
    configuration = load(main)
    for act in (
        lambda change: change.set(configuration.section("//listener"), "x", "1"),
        lambda change: change.remove(configuration.section("//listener")),
        lambda change: change.add(configuration.section("//include[1]"), "x"),
        lambda change: change.move(configuration.section("//listener"), configuration.root),
    ):
        with pytest.raises(ConfigurationError, match="readonly"), configuration.transaction() as change:
            act(change)
    assert configuration.generation == 1
    assert configuration.write() == []


def test_writing_can_be_disabled_with_a_reason(main):
    configuration = load(main)
    configuration.disable_writes("it is Friday")
    with configuration.transaction() as change:
        change.set(configuration.root, "a", "2")
    with pytest.raises(ConfigurationError, match="it is Friday"):
        configuration.write()
    configuration.disable_writes("")
    assert configuration.write() == [str(main)]


def test_a_document_in_no_file_cannot_be_written():
    with pytest.raises(ConfigurationError, match="came from no file"):
        Configuration.parse("<a/>").write()


def test_an_edit_by_somebody_else_is_not_overwritten_unless_asked(main):
    configuration = load(main)
    with configuration.transaction() as change:
        change.set(configuration.root, "a", "2")
        change.set(configuration.section("//two"), "x", "2")
    main.write_text(MAIN.replace("our service", "edited"))
    with pytest.raises(Conflict) as caught:
        configuration.write()
    assert str(main) in str(caught.value)
    assert "edited" in main.read_text()
    assert "x='1'" in (main.parent / "more.snippet").read_text()
    assert len(configuration.unsaved()) == 2
    configuration.write(force=True)
    assert "edited" not in main.read_text()
    assert configuration.unsaved() == []
    assert_same(configuration)


def test_mode_and_symbolic_link_stay(main, tmp_path):
    main.chmod(0o604)
    link = tmp_path / "link.conf"
    link.symlink_to("app.conf")
    configuration = load(link)
    assert configuration.path == str(link)
    with configuration.transaction() as change:
        change.set(configuration.root, "a", "2")
    configuration.write()
    assert link.is_symlink()
    assert main.stat().st_mode & 0o7777 == 0o604
    assert "a='2'" in main.read_text()


def test_a_failed_write_leaves_everything_and_can_be_repeated(main, monkeypatch):
    configuration = load(main)
    with configuration.transaction() as change:
        change.set(configuration.root, "a", "2")
        change.set(configuration.section("//two"), "x", "2")
    before = contents(main.parent)

    def full(*arguments, **keywords):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        with pytest.raises(ConfigurationError, match="No space left"):
            configuration.write()
    assert contents(main.parent) == before
    assert len(configuration.write()) == 2
    assert_same(configuration)


# Backing stores


def test_a_new_tree_is_written_as_libmtev_lays_it_out(main):
    before = contents(main.parent)
    configuration = with_checks(main)
    changed = difference(before, contents(main.parent))
    assert sorted(changed) == [
        "store/host#1/.attrs",
        "store/host#1/check#2.xml",
        "store/host#1/check#3.xml",
        "store/host#4/.attrs",
        "store/host#4/check#5.xml",
        "store/host#4/check#6.xml",
    ]
    assert_same(configuration)


def test_a_change_writes_the_touched_leaf_alone(main):
    configuration = with_checks(main)
    leaf = main.parent / "store/host#4/check#5.xml"
    leaf.write_text("<?xml version='1.0'?>\n<check   n='0' >\n  <key>v</key> <!-- kept -->\n</check>\n")
    configuration = load(main)
    before = contents(main.parent)
    with configuration.transaction() as change:
        change.text(configuration.section("//host[2]/check[1]/key"), "w")
    assert configuration.write() == [str(leaf)]
    assert list(difference(before, contents(main.parent))) == ["store/host#4/check#5.xml"]
    assert leaf.read_text() == "<?xml version='1.0'?>\n<check   n='0' >\n  <key>w</key> <!-- kept -->\n</check>\n"
    assert configuration.section("//host[2]/check[1]").where == f"{leaf}:2"
    with configuration.transaction() as change:
        change.set(configuration.section("//host[2]/check[1]"), "n", "9")
    assert configuration.write() == [str(leaf)]
    assert_same(configuration)


def test_attributes_of_a_directory_are_in_its_own_file(main):
    configuration = with_checks(main)
    with configuration.transaction() as change:
        change.set(configuration.section("//host[1]"), "address", "::1")
    assert configuration.write() == [str(main.parent / "store/host#1/.attrs")]
    assert configuration.write() == []
    assert_same(configuration)


def test_what_is_removed_goes_from_the_disk(main):
    configuration = with_checks(main)
    with configuration.transaction() as change:
        change.remove(configuration.section("//host[1]"))
        change.remove(configuration.section("//host[2]/check[2]"))
    configuration.write()
    assert sorted(path.name for path in (main.parent / "store").rglob("*")) == [".attrs", "check#5.xml", "host#4"]
    assert_same(configuration)


def test_numbers_are_never_used_again(main):
    configuration = with_checks(main)
    with configuration.transaction() as change:
        change.remove(configuration.section("//host[2]"))
        change.add(configuration.section("checks"), "host", {"name": "new"})
    configuration.write()
    assert (main.parent / "store/host#7").is_dir()
    assert_same(configuration)


def test_order_in_a_store_is_that_of_creation(main):
    configuration = with_checks(main)
    with pytest.raises(ConfigurationError, match="add it at the end"), configuration.transaction() as change:
        change.add(configuration.section("checks"), "host", index=0)
    with configuration.transaction() as change:
        change.move(configuration.section("//host[1]"), configuration.section("checks"))
    configuration.write()
    assert [each.string("name") for each in load(main).sections("checks/host")] == ["1", "0"]
    assert_same(configuration)


def test_text_makes_a_directory_a_leaf(main):
    configuration = load(main)
    with configuration.transaction() as change:
        change.add(configuration.section("checks"), "host", {"name": "x"})
    configuration.write()
    with configuration.transaction() as change:
        change.text(configuration.section("checks/host"), "some text")
    configuration.write()
    assert [path.name for path in (main.parent / "store").iterdir()] == ["host#2.xml"]
    assert_same(configuration)


def test_what_is_new_in_a_removed_element_goes_with_it(main):
    configuration = with_checks(main)
    with configuration.transaction() as change:
        change.add(configuration.section("//host[1]"), "check", {"n": "new"})
    with configuration.transaction() as change:
        change.remove(configuration.section("//host[1]"))
    configuration.write()
    assert not (main.parent / "store/host#1").exists()
    assert_same(configuration)


def test_a_refused_change_of_a_store_leaves_no_trace(main):
    configuration = with_checks(main)
    before = contents(main.parent)
    configuration.judge(lambda proposal: proposal.refuse("no"))
    with pytest.raises(ConfigurationError, match="no"), configuration.transaction() as change:  # noqa: PT012  # the end of the block raises
        change.remove(configuration.section("//host[1]"))
        change.set(configuration.section("//host[2]"), "name", "x")
        change.text(configuration.section("//host[2]/check[1]/key"), "x")
        change.add(configuration.section("checks"), "host")
        change.move(configuration.section("//host[2]/check[2]"), configuration.root)
    assert configuration.write() == []
    assert contents(main.parent) == before
    assert_same(configuration)


def test_a_leaf_that_somebody_edited_is_not_changed(main):
    configuration = with_checks(main)
    leaf = main.parent / "store/host#1/check#2.xml"
    leaf.write_text(leaf.read_text().replace("v", "edited"))
    with pytest.raises(Conflict, match="reload first"), configuration.transaction() as change:
        change.text(configuration.section("//host[1]/check[1]/key"), "x")
    assert configuration.section("//host[1]/check[1]/key").text == "v"


def test_elements_move_into_and_out_of_a_store(main):
    configuration = with_checks(main)
    with configuration.transaction() as change:
        change.move(configuration.section("//host[1]/check[1]"), configuration.root)
        change.move(configuration.section("text"), configuration.section("//host[2]"))
    configuration.write()
    assert "<check n=" in main.read_text()
    assert "<text>" not in main.read_text()
    assert_same(configuration)


OPERATIONS = st.lists(
    st.tuples(
        st.sampled_from(["set", "unset", "text", "add", "remove", "move", "write", "refused"]),
        st.integers(0, 60),
        st.integers(0, 60),
        st.sampled_from(["", "v", "<&>\"'\n"]),
    ),
    min_size=1,
    max_size=10,
)


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(operations=OPERATIONS)
def test_what_is_saved_is_what_is_read_again(tmp_path_factory, operations):
    folder = tmp_path_factory.mktemp("service")
    (folder / "parts").mkdir()
    for name in ("a", "b"):
        (folder / f"parts/{name}.conf").write_text(PART.format(name, name))
    (folder / "more.snippet").write_text("<one/>\n<two x='1'/>\n")
    (folder / "app.conf").write_text(MAIN)
    configuration = with_checks(folder / "app.conf")
    refusing = []
    configuration.judge(lambda proposal: refusing and proposal.refuse("no"))
    for kind, first, second, value in operations:
        sections = configuration.sections("//*")
        section, other = sections[first % len(sections)], sections[second % len(sections)]
        if kind == "write":
            configuration.write()
            assert_same(configuration)
            continue
        try:
            refusing[:] = [True] if kind == "refused" else []
            with configuration.transaction() as change:
                change.set(section, "z", value + "!")
                if kind == "unset":
                    change.unset(section, "n")
                elif kind == "text":
                    change.text(section, value)
                elif kind == "add":
                    change.add(section, "added", {"n": value}, text=value)
                elif kind in ("remove", "refused"):
                    change.remove(section)
                elif kind == "move":
                    change.move(section, other)
        except ConfigurationError:
            continue
    configuration.write()
    assert_same(configuration)
    assert configuration.write() == []


# The journal


def journalled(main):
    configuration = load(main)
    journal = ChangeJournal(str(main.parent / "app.journal"))
    if journal.present:
        configuration.replay(journal)
    configuration.keep_journal(journal)
    return configuration


def test_journalled_changes_are_there_after_a_crash(main):
    configuration = journalled(main)
    before = contents(main.parent)
    with configuration.transaction("me", "test") as change:
        change.set(configuration.root, "a", "2")
        change.add_xml(configuration.root, "<new>\n  <x/></new>")
    assert difference(before, contents(main.parent)).keys() == {"app.journal"}
    again = journalled(main)
    assert meaning(again._tree.root) == meaning(configuration._tree.root)
    assert [(each.kind, each.who, each.why) for each in again.history()] == [("load", "", ""), ("replay", "me", "test")]
    assert len(again.unsaved()) == 2
    again.write()
    assert not (main.parent / "app.journal").exists()
    assert_same(again)


def test_a_journal_of_files_that_were_edited_is_not_guessed_at(main):
    configuration = journalled(main)
    with configuration.transaction() as change:
        change.set(configuration.root, "a", "2")
    main.write_text(MAIN + "\n")
    with pytest.raises(ConfigurationError, match=r"1 change for files that somebody has edited since .*app\.conf"):
        journalled(main)


def test_a_change_that_cannot_be_journalled_is_not_made(main, monkeypatch):
    configuration = journalled(main)

    def full(*arguments, **keywords):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        with pytest.raises(ConfigurationError, match="No space left"), configuration.transaction() as change:
            change.set(configuration.root, "a", "2")
    assert configuration.root.string("a") == "1"
    assert configuration.generation == 1


def test_a_reload_loses_unsaved_changes_only_when_it_may(main):
    configuration = journalled(main)
    with configuration.transaction() as change:
        change.set(configuration.root, "a", "2")
    with pytest.raises(ConfigurationError, match="1 change made while the service runs would be lost"):
        configuration.check_unsaved()
    configuration.discard_unsaved()
    configuration.check_unsaved()
    configuration.adopt(load(main))
    assert configuration.root.string("a") == "1"
    assert configuration.unsaved() == []
    assert not (main.parent / "app.journal").exists()
    with configuration.transaction() as change:
        change.set(configuration.root, "a", "3")
    with pytest.raises(ConfigurationError, match="would be lost"):
        configuration.check_unsaved()
    assert journalled(main).root.string("a") == "3"


def test_saves_from_two_threads_are_one_after_the_other(main):
    configuration = load(main)
    problems = []

    def work(name):
        try:
            for number in range(10):
                with configuration.transaction() as change:
                    change.set(configuration.root, name, str(number))
                configuration.write()
        except Exception as error:
            problems.append(error)

    threads = [threading.Thread(target=work, args=(name,)) for name in ("x", "y")]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    assert problems == []
    assert_same(configuration)
