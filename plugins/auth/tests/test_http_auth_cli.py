"""The command `mtev-http-auth`."""

import io

import pytest

from mtev_http_auth import cli
from mtev_http_auth.accounts import parse_token, parse_user
from mtev_http_auth.hashes import parse_hash
from mtev_http_auth.tokens import digest_of


class Terminal(io.StringIO):
    def isatty(self):
        return True


def test_a_password_from_stdin_is_hashed(monkeypatch, capsys):
    monkeypatch.setattr("sys.stdin", io.StringIO("secret\nmore\n"))
    assert cli.main(["hash"]) == 0
    assert parse_hash(capsys.readouterr().out.strip()).verify("secret")


def test_a_line_for_a_file_is_made(monkeypatch, capsys):
    monkeypatch.setattr("sys.stdin", io.StringIO("secret"))
    assert cli.main(["hash", "ann"]) == 0
    name, hashed = parse_user(capsys.readouterr().out.strip())
    assert name == "ann"
    assert hashed.verify("secret")


def test_at_a_terminal_it_asks_twice(monkeypatch, capsys):
    monkeypatch.setattr("sys.stdin", Terminal())
    monkeypatch.setattr("getpass.getpass", lambda prompt: "secret")
    assert cli.main(["hash"]) == 0
    assert parse_hash(capsys.readouterr().out.strip()).verify("secret")
    answers = iter(["one", "two"])
    monkeypatch.setattr("getpass.getpass", lambda prompt: next(answers))
    assert cli.main(["hash"]) == 1
    assert capsys.readouterr() == ("", "mtev-http-auth: the two are not the same\n")


@pytest.mark.parametrize("name", ["a:b", ""])
def test_a_user_who_cannot_be_one_is_refused(monkeypatch, capsys, name):
    monkeypatch.setattr("sys.stdin", io.StringIO("secret\n"))
    assert cli.main(["hash", name]) == 1
    assert "no colon" in capsys.readouterr().err


def test_an_empty_password_is_refused(monkeypatch, capsys):
    monkeypatch.setattr("sys.stdin", io.StringIO(""))
    assert cli.main(["hash"]) == 1
    assert "1 to 1024 bytes" in capsys.readouterr().err


def test_a_token_is_made_and_shown_apart_from_its_digest(capsys):
    assert cli.main(["token", "ci", "-e", "1970-01-01T00:01:00Z", "-a", "deployment"]) == 0
    made = capsys.readouterr()
    token = parse_token(made.out.strip())
    assert (token.name, token.expires_s, token.auth) == ("ci", 60.0, "deployment")
    assert token.digest == digest_of(made.err.split()[-1])
    assert made.err.split()[-1] not in made.out


@pytest.mark.parametrize("arguments", [["ci", "-e", "soon"], ["ci", "-a", "basic"], ["c i"], ["a:b"]])
def test_a_token_that_cannot_be_meant_is_refused(capsys, arguments):
    assert cli.main(["token", *arguments]) == 1
    assert capsys.readouterr().out == ""


def test_a_password_is_no_argument():
    with pytest.raises(SystemExit) as caught:
        cli.main(["hash", "ann", "secret"])
    assert caught.value.code == 2
