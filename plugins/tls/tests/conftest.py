"""Certificates for the tests of this distribution, and sessions without sockets."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
import trustme

from mtev_tls import ClientTls, ServerTls, TlsSettings
from mtev_tls.testing import Pair, own, trusting


@pytest.fixture(scope="session")
def authority():
    """An authority of our own."""
    return trustme.CA()


@pytest.fixture(scope="session")
def stranger():
    """Another authority, which nobody trusts."""
    return trustme.CA()


@pytest.fixture(scope="session")
def localhost(authority):
    return authority.issue_cert("localhost", "127.0.0.1", common_name="localhost")


@pytest.fixture(scope="session")
def alice(authority):
    return authority.issue_cert("alice@example.org", common_name="alice")


@pytest.fixture(scope="session")
def mallory(stranger):
    return stranger.issue_cert("mallory@example.org", common_name="alice")


@pytest.fixture
def pair(authority, localhost):
    """Makes a pair after its handshake; of the server and the client any setting may be stated."""

    def make(server=None, client=None, host="localhost", *, shake=True):
        settings = {**own(localhost), **(server or {})}
        answering = ServerTls(TlsSettings(**settings))
        calling = ClientTls(
            TlsSettings(**{"side": "client", "verify": "required", "ca": trusting(authority), **(client or {})})
        )
        answering.load()
        calling.load()
        made = Pair(answering.context, calling.context, host)
        made.tls = SimpleNamespace(server=answering, client=calling)
        return made.shake() if shake else made

    return make
