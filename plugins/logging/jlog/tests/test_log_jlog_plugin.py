"""The log type `jlog`, and the command."""

from __future__ import annotations

import importlib.resources
import subprocess
import sys
from xml.etree import ElementTree

import pytest

from mtev_kernel import ConfigurationError
from mtev_kernel.testing import NotReady, PluginConformance
from mtev_log import BackendSettings, IncompleteWrite, Logs
from mtev_log.testing import BackendConformance, line
from mtev_log_jlog import AppendFailed, Compression, Durability, Journal
from mtev_log_jlog.backend import JlogBackend, read_options
from mtev_log_jlog.cli import DAMAGED, DONE, FAILED, main
from mtev_log_jlog.plugin import LogJlogPlugin


class TestConformance(PluginConformance):
    plugin = "log.jlog"

    @pytest.fixture(autouse=True)
    def elsewhere(self, tmp_path_factory):
        path = tmp_path_factory.mktemp("journal") / "j"
        self.config = f"<app><logs><log name='x' type='jlog' path='{path}'/></logs></app>"


class TestBackend(BackendConformance):
    config: dict[str, str] = {}

    def make(self, directory):
        path = str(directory / "j(reader)")
        return JlogBackend(BackendSettings("j", type="jlog", path=path, config={"segment_size": "2000", **self.config}))

    def read(self, backend, directory):
        journal = Journal(directory / "j")
        if "look" not in journal.subscribers():
            journal.add_subscriber("look", "copy:reader")
        with journal.reader("look") as reader:
            text = b"".join(entry.body for entry in reader)
        return [each for each in text.decode("utf-8", "replace").split("\n") if each]


class TestDurableCompressedBackend(TestBackend):
    config = {"durability": "batch", "compression": "lz4"}


def settings(path, **config):
    return BackendSettings("x", type="jlog", path=path, config=config)


def opened(path, **config):
    backend = JlogBackend(settings(str(path), **config))
    backend.open()
    backend.close()
    return Journal(str(path).partition("(")[0]).subscribers()


def test_subscribers_are_those_of_the_path(tmp_path):
    path = tmp_path / "j"
    assert list(opened(path)) == ["stratcon"]
    journal = Journal(path)
    journal.add_subscriber("other")
    journal.add_subscriber("~gone")
    assert list(opened(f"{path}(*)")) == ["other", "stratcon"]
    assert list(opened(f"{path}(a, b,*)")) == ["a", "b", "other", "stratcon"]
    assert list(opened(f"{path}(a,~kept)")) == ["a", "~kept"]
    assert list(opened(path)) == ["stratcon"]


def test_options(tmp_path):
    options = read_options(settings("/x/y(a,b)", durability="record", segment_size="1000", compression="null"))
    assert (str(options.directory), options.subscribers, options.keep_others) == ("/x/y", ("a", "b"), False)
    assert (options.durability, options.segment_size, options.compression) == (
        Durability.RECORD, 1000, Compression.NULL,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("path", "config", "message"),
    [
        ("", {}, "expected the directory of a journal"),
        ("/x(a", {}, "expected the directory of a journal"),
        ("(a)", {}, "expected the directory of a journal"),
        (f"/x({'a' * 121})", {}, "more than 120 bytes"),
        ("/x", {"durability": "all"}, "durability='all' is none of none, batch, record"),
        ("/x", {"compression": "zip"}, "compression='zip' is none of none, null, lz4"),
        ("/x", {"segment_size": "4M"}, "segment_size='4M' is not a number of bytes"),
        ("/x", {"precommit": "99999999"}, "precommit='99999999' is not a number of bytes"),
    ],
)
def test_what_cannot_be_understood_is_refused(path, config, message):
    with pytest.raises(ConfigurationError, match=message.replace("(", r"\(")):
        JlogBackend(settings(path, **config))


def test_a_changed_segment_size_counts_for_a_journal_that_is_there(tmp_path):
    opened(tmp_path / "j", segment_size="1000")
    assert Journal(tmp_path / "j").metastore.unit_limit == 1000
    opened(tmp_path / "j", segment_size="2000")
    opened(tmp_path / "j")
    assert Journal(tmp_path / "j").metastore.unit_limit == 2000


def test_a_failed_append_says_what_was_written(tmp_path, monkeypatch):
    backend = JlogBackend(settings(str(tmp_path / "j")))
    backend.open()

    def fail(self, bodies):
        raise AppendFailed(2, "disk full")

    monkeypatch.setattr("mtev_log_jlog.writer.Writer.append_many", fail)
    with pytest.raises(IncompleteWrite, match="disk full") as caught:
        backend.write([line("x")] * 3)
    assert caught.value.written == 2
    backend.close()


def test_a_service_writes_its_lines_to_a_journal(mtev_kernel, tmp_path):
    running = mtev_kernel(
        f"<app><logs><log name='feed' type='jlog' path='{tmp_path / 'j'}(a)' format='json'/>"
        "<log name='error'><outlet name='feed'/></log></logs></app>"
    )
    stream = running.service(Logs).stream("error/acme")
    for number in range(100):
        stream.log("line %d", number, number=number)
    running.stop()
    with Journal(tmp_path / "j").reader("a") as reader:
        bodies = [entry.body for entry in reader]
    assert len(bodies) == 100
    assert b'"message":"line 99","number":99}\n' in bodies[-1]


def test_what_is_in_the_place_of_a_journal_stops_the_start(mtev_kernel, tmp_path):
    (tmp_path / "j").mkdir()
    with pytest.raises(NotReady, match="'x': it cannot be opened: '.*' exists already"):
        mtev_kernel(f"<app>\n<logs><log name='x' type='jlog' path='{tmp_path / 'j'}'/></logs></app>")


def test_options_in_a_generic_are_refused(make_context):
    with pytest.raises(ConfigurationError, match="'log.jlog' has no options"):
        LogJlogPlugin(make_context("log.jlog", config={"a": "1"})).configure()


def test_the_sample_is_well_formed():
    ElementTree.fromstring(importlib.resources.files("mtev_log_jlog").joinpath("sample.xml").read_text())


def test_the_command_from_end_to_end(tmp_path, capfdbinary, monkeypatch):
    path = str(tmp_path / "j")

    def run(*arguments):
        code = main([arguments[0], path, *arguments[1:]])
        return code, capfdbinary.readouterr().out.decode()

    assert run("create", "-s", "100", "-c", "lz4") == (DONE, "")
    assert run("subscriber", "-a", "a") == (DONE, "00000000:00000000\n")
    subprocess.run([sys.executable, "-m", "mtev_log_jlog.cli", "append", path], input=b"one\ntwo\nthree\n", check=True)
    assert run("read", "a", "-n", "2", "-c") == (DONE, "one\ntwo\n")
    assert run("subscriber") == (DONE, "00000000:00000002 a\n")
    assert run("subscriber", "-a", "b", "-p", "copy:a") == (DONE, "00000000:00000002\n")
    code, text = run("read", "b", "-v")
    assert text.startswith("00000000:00000003 1")
    assert text.endswith(" three\n")
    assert run("subscriber", "-u", "b", "-p", "0:1") == (DONE, "")
    assert run("subscriber", "-l") == (DONE, "00000000:00000002 a\n00000000:00000001 b\n")
    assert run("subscriber", "-e", "b") == (DONE, "")
    code, text = run("meta")
    assert "segment size: 100\n" in text
    assert "compression: lz4\n" in text
    assert "last: 00000000:00000003\n" in text
    assert run("alter", "-s", "5000", "--safety", "safe") == (DONE, "")
    assert run("clean") == (DONE, "")
    segment = tmp_path / "j/00000000"
    size = segment.stat().st_size
    assert run("data") == (DONE, f"00000000: 3 records, {size} bytes, 0 damaged, 0 incomplete, 1 subscribers pending\n")
    assert run("meta", "-f", "segment size") == (DONE, "5000\n")
    shown = "position: 00000000:00000002\nlast: 00000000:00000003\nto read: 1\n"
    assert run("subscriber", "-s", "a") == (DONE, shown)
    (tmp_path / "j/00000000.idx").write_bytes(b"x")
    assert run("data", "-i")[1].endswith(", index wrong\n")
    assert run("repair") == (DONE, "nothing to repair\n")
    assert run("repair", "-f") == (DONE, "00000000: wrong index removed\n")
    segment.write_bytes(b"junk" + segment.read_bytes())
    code, text = run("data", "-d")
    assert (code, "4 damaged" in text) == (DAMAGED, True)
    assert run("data", "-r") == (DONE, "00000000: 4 bytes of damage removed\n")
    assert run("data", "-r") == (DONE, "nothing to repair\n")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["meta", "{}/none"], "there is no journal at"),
        (["create", "{}"], "exists already"),
        (["create", "{}/n", "-c", "zip"], "compression='zip'"),
        (["subscriber", "{}/j", "-e", "x"], "has no subscriber 'x'"),
        (["subscriber", "{}/j", "-u", "x"], "say where to"),
        (["subscriber", "{}/j", "-a", "x", "-p", "nowhere"], "is not a position"),
        (["read", "{}/j", "x"], "has no subscriber 'x'"),
        (["meta", "{}/j", "-f", "colour"], "there is no field 'colour'"),
        (["alter", "{}/j"], "say what to change"),
        (["alter", "{}/j", "-s", "0"], "a segment has"),
    ],
)
def test_what_the_command_cannot_do_is_said_without_a_traceback(tmp_path, capsys, arguments, message):
    Journal.create(tmp_path / "j")
    assert main([each.format(tmp_path) for each in arguments]) == FAILED
    told = capsys.readouterr().err
    assert told.startswith("mtev-jlog: ")
    assert message in told
    assert told.count("\n") == 1
