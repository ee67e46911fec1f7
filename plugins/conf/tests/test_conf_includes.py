"""Documents that are spread over files: what stands where, what is inherited, and what is refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from mtev_conf import Configuration, _load
from mtev_kernel.errors import ConfigurationError


def files(folder: Path, **contents: str) -> Path:
    """Write `main` to app.conf and the others to files of their names, `__` for a folder; give the main file."""
    for name, content in contents.items():
        path = folder / ("app.conf" if name == "main" else name.replace("__", "/") + ".xml")
        path.parent.mkdir(exist_ok=True)
        path.write_text(content)
    return folder / "app.conf"


def load(path: Path, environ: dict[str, str] | None = None, notices: list[str] | None = None) -> Configuration:
    heard: list[str] = [] if notices is None else notices
    return Configuration.load(str(path), environ or {}, notice=heard.append)


def refusal(path: Path) -> str:
    with pytest.raises(ConfigurationError) as caught:
        load(path)
    assert caught.value.__cause__ is None
    return str(caught.value)


def test_the_content_of_a_file_stands_below_its_include(tmp_path):
    main = files(tmp_path, main='<app>\n<include file="a.xml"/>\n</app>', a='<whatever>\n\n<logs x="1"/></whatever>')
    configuration = load(main)
    (logs,) = configuration.sections("//logs")
    assert logs.path == "/app/include[1]/logs[1]"
    assert logs.where == f"{tmp_path}/a.xml:3"
    assert logs.file == f"{tmp_path}/a.xml"


def test_a_relative_expression_looks_behind_includes_below_the_root(tmp_path):
    main = files(
        tmp_path,
        main='<app><logs n="1"/><include file="a.xml"/><logs n="4"/></app>',
        a='<x><logs n="2"/><include file="b.xml"/></x>',
        b='<x><logs n="3"/><box><include file="c.xml"/></box></x>',
        c='<x><logs n="deep"/></x>',
    )
    assert [each.attributes["n"] for each in load(main).sections("logs")] == ["1", "2", "3", "4"]
    assert [each.name for each in load(main).document().stanzas()] == ["logs", "logs", "logs", "box", "logs"]


def test_patterns_bring_files_in_the_order_of_their_names(tmp_path):
    main = files(
        tmp_path,
        main='<app><include file="parts/*.xml"/></app>',
        parts__b='<x><p n="b"/></x>',
        parts__a='<x><p n="a"/></x>',
        parts__c='<x><p n="c"/></x>',
    )
    assert [each.attributes["n"] for each in load(main).sections("p")] == ["a", "b", "c"]
    main.write_text('<app><include file="parts/{c,a}.xml"/></app>')
    assert [each.attributes["n"] for each in load(main).sections("p")] == ["c", "a"]


def test_a_pattern_that_matches_nothing_is_a_notice(tmp_path):
    heard: list[str] = []
    load(files(tmp_path, main='<app>\n<include file="parts/*.xml"/></app>'), notices=heard)
    assert heard == [f"{tmp_path}/app.conf:2: <include file='parts/*.xml'>: no file matches"]


def test_a_folder_whose_name_looks_like_a_pattern_is_no_pattern(tmp_path):
    folder = tmp_path / "odd[1]"
    folder.mkdir()
    main = files(folder, main='<app><include file="*.xml"/></app>', a="<x><p/></x>")
    assert len(load(main).sections("p")) == 1


def test_a_snippet_has_no_root(tmp_path):
    main = files(
        tmp_path,
        main='<app xmlns:m="urn:m"><include file="a.xml" snippet="true"/></app>',
        a='<?xml version="1.0"?>\n<one/>\n<m:two x="{{ENV:y:{Z}}}"/>',
    )
    configuration = load(main)
    assert [each.name for each in configuration.sections("*")] == ["include", "one", "m:two"]
    assert configuration.sections("m:two")[0].where == f"{tmp_path}/a.xml:3"


def test_paths_are_relative_to_the_file_that_they_stand_in(tmp_path):
    main = files(
        tmp_path,
        main='<app><include file="sub/a.xml"/></app>',
        sub__a='<x cert="key.pem"><include file="b.xml"/></x>',
        sub__b='<x><p cert="other.pem"/><q/></x>',
    )
    configuration = load(main)
    assert configuration.sections("p")[0].filename("cert") == f"{tmp_path}/sub/other.pem"
    assert configuration.sections("q")[0].filename("cert") == f"{tmp_path}/sub/key.pem"


def test_attributes_of_the_dropped_root_are_inherited_nearest_first(tmp_path):
    main = files(
        tmp_path,
        main='<app address="a" port="1" type="t"><include file="a.xml" port="2" type="u"/></app>',
        a='<x type="v"><listener/></x>',
    )
    (listener,) = load(main).sections("listener")
    assert (listener.string("address"), listener.string("port"), listener.string("type")) == ("a", "2", "v")


def test_each_file_of_a_pattern_has_its_own_root(tmp_path):
    main = files(
        tmp_path,
        main='<app><include file="p/*.xml"/></app>',
        p__a='<x port="1"><listener/></x>',
        p__b='<x port="2"><listener/></x>',
    )
    assert [each.integer("port") for each in load(main).sections("listener")] == [1, 2]


def test_the_condition_of_a_dropped_root_counts(tmp_path):
    main = files(tmp_path, main='<app><include file="a.xml"/></app>', a='<x require_env="ON"><p/></x>')
    assert not load(main).sections("p")[0].enabled
    assert load(main, {"ON": ""}).sections("p")[0].enabled


def test_an_include_whose_condition_does_not_hold_is_not_read(tmp_path):
    main = files(tmp_path, main='<app><include file="missing.xml" require_env="ON"/></app>')
    assert load(main).sections("*")[0].name == "include"
    with pytest.raises(ConfigurationError, match="No such file"):
        load(main, {"ON": "1"})


def test_what_stands_inside_an_include_is_hidden(tmp_path):
    main = files(tmp_path, main='<app><include file="a.xml"><hidden/></include></app>', a="<x><seen/></x>")
    configuration = load(main)
    assert not configuration.sections("//hidden")
    assert configuration.text() == main.read_text()


def test_the_name_of_a_file_may_come_from_the_environment(tmp_path):
    main = files(tmp_path, main='<app><include file="{{ENV:a:{WHICH}}}.xml"/></app>', a="<x><p/></x>", b="<x><q/></x>")
    assert load(main).sections("p")
    assert load(main, {"WHICH": "b"}).sections("q")


def test_every_missing_or_broken_file_is_named_with_who_asked(tmp_path):
    main = files(
        tmp_path,
        main='<app>\n<include file="missing.xml"/>\n<include file="a.xml"/>\n<include file="s.xml" snippet="1"/></app>',
        a='<x>\n<include file="broken.xml"/></x>',
        broken="<x>\n<y></x>",
        s="<x>",
    )
    text = refusal(main)
    assert "3 problems" in text
    assert f"{tmp_path}/app.conf:2: <include file='missing.xml'>: {tmp_path}/missing.xml: No such file" in text
    assert f"{tmp_path}/a.xml:2: <include file='broken.xml'>: {tmp_path}/broken.xml:2:8: the document is not" in text
    assert f"{tmp_path}/app.conf:4: <include file='s.xml'>: {tmp_path}/s.xml:" in text


def test_a_circle_is_named_with_its_members(tmp_path):
    main = files(
        tmp_path,
        main='<app><include file="a.xml"/></app>',
        a='<x><include file="b.xml"/></x>',
        b='<x>\n<include file="a.xml"/></x>',
    )
    text = refusal(main)
    assert text.startswith(f"{tmp_path}/b.xml:2: <include file='a.xml'>: files include each other in a circle")
    assert f"{tmp_path}/app.conf -> {tmp_path}/a.xml -> {tmp_path}/b.xml -> {tmp_path}/a.xml" in text


def test_a_circle_through_a_symbolic_link_is_one(tmp_path):
    main = files(tmp_path, main='<app><include file="a.xml"/></app>', a='<x><include file="l.xml"/></x>')
    (tmp_path / "l.xml").symlink_to("a.xml")
    assert "circle" in refusal(main)


def test_depth_number_and_size_of_files_are_limited(tmp_path, monkeypatch):
    main = files(tmp_path, main='<app><include file="p/*.xml"/></app>', p__a="<x/>", p__b="<x/>", p__c="<x/>")
    monkeypatch.setattr(_load, "MAX_FILES", 2)
    assert "more than 2 files" in refusal(main)
    monkeypatch.undo()
    monkeypatch.setattr(_load, "MAX_SIZE_BYTES", 1 << 20)
    (tmp_path / "p/b.xml").write_text("<x>" + " " * (1 << 20) + "</x>")
    assert "larger than 1 MiB" in refusal(main)
    monkeypatch.undo()
    monkeypatch.setattr(_load, "MAX_DEPTH", 2)
    files(tmp_path, p__a='<x><include file="../d.xml"/></x>', p__b="<x/>", d='<x><include file="e.xml"/></x>', e="<x/>")
    assert "more than 2 deep" in refusal(main)


def test_braces_that_stand_for_too_much_are_refused(tmp_path):
    main = files(tmp_path, main='<app><include file="' + "{a,b}" * 20 + '*"/></app>')
    assert "more than 1000 patterns" in refusal(main)


@pytest.mark.parametrize("encoding", ["iso-8859-1", "utf-16", "utf-8-sig", "koi8-r"])
def test_each_file_has_its_own_encoding_and_keeps_it(tmp_path, encoding):
    main = files(tmp_path, main='<app><include file="a.xml"/></app>')
    word = "жук" if encoding == "koi8-r" else "é"
    declared = encoding.removesuffix("-sig")
    text = f'<?xml version="1.0" encoding="{declared}"?>\r\n<x>\r\n  <p word="{word}" n="1"/>\r\n</x>'
    (tmp_path / "a.xml").write_bytes(text.encode(encoding))
    configuration = load(main)
    (p,) = configuration.sections("p")
    assert p.string("word") == word
    with configuration.transaction() as change:
        change.set(p, "n", "漢")
    configuration.write()
    expected = text.replace('n="1"', 'n="&#28450;"' if encoding in ("iso-8859-1", "koi8-r") else 'n="漢"')
    assert (tmp_path / "a.xml").read_bytes() == expected.encode(encoding)
    assert load(main).sections("p")[0].string("n") == "漢"


def test_an_include_is_not_read_twice_for_one_name(tmp_path):
    main = files(tmp_path, main='<app><include file="{a,a,*}.xml"/></app>', a="<x><p/></x>")
    assert len(load(main).sections("p")) == 1
