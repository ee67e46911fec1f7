"""Contexts: every setting changes what a session does. Sessions run between buffers, without sockets."""

from __future__ import annotations

import datetime
import os
import ssl
import time

import pytest

from mtev_conf import Secret
from mtev_tls import (
    ClientTls,
    EngineError,
    Material,
    MaterialError,
    NamedCertificate,
    ServerTls,
    TlsSettings,
    parse_layer,
)
from mtev_tls.testing import Pair, own, pem, revocation_list, serials, trusting

LATER = datetime.datetime.now(datetime.UTC) + datetime.timedelta(days=400)
LONG_AGO = datetime.datetime(2010, 1, 1, tzinfo=datetime.UTC)


@pytest.fixture(params=["ssl", "pyOpenSSL"])
def engine(request, authority):
    """Settings that have the server's contexts made by either engine, and change nothing else."""
    return {} if request.param == "ssl" else {"ca_accept": Material("ca_accept", trusting(authority).text)}


def test_a_session_of_the_newest_version_by_default(pair, engine, localhost):
    made = pair(engine).say().say(b"x" * 16000)
    peer = made.tls.client.peer(made.client)
    assert peer.version == "TLSv1.3"
    assert peer.verified
    assert peer.bits >= 128
    assert peer.certificate.cn == "localhost" == peer.cn
    assert peer.certificate.sans == ("DNS:localhost", "IP:127.0.0.1")
    assert peer.certificate.fingerprint == made.tls.server.certificates[0].facts.fingerprint
    server_side = made.tls.server.peer(made.server)
    assert (server_side.version, server_side.certificate, server_side.server_name) == ("TLSv1.3", None, "localhost")
    assert (server_side.verified, server_side.error, server_side.cn) == (False, "", "")


def test_the_layer_bounds_the_version(pair, engine):
    made = pair({**engine, "layer": parse_layer("x:<=tlsv1.2")})
    assert made.tls.client.peer(made.client).version == "TLSv1.2"
    with pytest.raises(ssl.SSLError):
        pair({**engine, "layer": parse_layer("x:>=tlsv1.3")}, {"layer": parse_layer("x:<=tlsv1.2")})
    with pytest.raises(ssl.SSLError):
        pair({**engine, "layer": parse_layer("x:!tlsv1.3")}, {"layer": parse_layer("x:>=tlsv1.3")})


def test_old_versions_are_refused_unless_they_were_asked_for(pair):
    old = {"layer": parse_layer("x:>=tlsv1,<=tlsv1.1"), "ciphers": "ALL:@SECLEVEL=0"}
    with pytest.raises(ssl.SSLError, match=r"(?i)version|protocol"):
        pair({"ciphers": "ALL:@SECLEVEL=0"}, old)
    made = pair({"ciphers": "ALL:@SECLEVEL=0", "layer": parse_layer("x:>=tlsv1")}, old)
    assert made.tls.client.peer(made.client).version == "TLSv1.1"


def test_ciphers_and_whose_order_counts(pair, engine):
    kinds = [
        f"ECDHE-{key}-{cipher}" for cipher in ("AES128-GCM-SHA256", "AES256-GCM-SHA384") for key in ("RSA", "ECDSA")
    ]
    two = {"layer": parse_layer("x:<=tlsv1.2"), "ciphers": ":".join(kinds)}
    reverse = {**two, "ciphers": ":".join(reversed(two["ciphers"].split(":")))}
    clients = pair({**engine, **two}, reverse)
    assert "AES256" in clients.tls.client.peer(clients.client).cipher
    servers = pair({**engine, **two, "layer": parse_layer("x:<=tlsv1.2,cipher_server_preference")}, reverse)
    assert "AES128" in servers.tls.client.peer(servers.client).cipher


def test_a_list_of_unknown_ciphers_is_refused(pair, engine):
    with pytest.raises(EngineError, match="OpenSSL knows no cipher of 'NONSENSE'"):
        pair({**engine, "ciphers": "NONSENSE"})


def test_protocols_are_negotiated(pair, engine, localhost, authority):
    made = pair({**engine, "alpn": ("h2", "http/1.1")}, {"alpn": ("http/1.1", "h2")})
    assert made.tls.server.peer(made.server).alpn == "h2" == made.tls.client.peer(made.client).alpn
    none = pair({**engine, "alpn": ("h2",)}, {"alpn": ("x",)})
    assert none.tls.server.peer(none.server).alpn == ""
    silent = pair({**engine, "alpn": ()}, {"alpn": ("h2",)})
    assert silent.tls.client.peer(silent.client).alpn == ""


def test_only_what_can_be_spoken_is_offered(authority, localhost):
    client = ClientTls(TlsSettings(side="client", verify="required", ca=trusting(authority), alpn=("h2", "http/1.1")))
    client.load()
    for stated, offers, expected in (
        (None, ("http/1.1",), "http/1.1"),
        (None, None, ""),
        (("h2", "http/1.1"), ("http/1.1",), "http/1.1"),
        (("h2",), ("http/1.1",), ""),
        (("h2",), None, "h2"),
    ):
        server = ServerTls(TlsSettings(**own(localhost), alpn=stated), offers=offers)
        server.load()
        assert server.peer(Pair(server.context, client.context).shake().server).alpn == expected


def test_client_certificates_may_be_asked_for(pair, engine, authority, alice):
    asked = {**engine, "ca": trusting(authority), "verify": "optional"}
    with_one = pair(asked, own(alice)).say()
    peer = with_one.tls.server.peer(with_one.server)
    assert (peer.cn, peer.verified, peer.error) == ("alice", True, "")
    assert peer.certificate.sans == ("email:alice@example.org",)
    without = pair(asked).say()
    assert without.tls.server.peer(without.server).certificate is None


def test_client_certificates_may_be_required(pair, engine, authority, alice):
    required = {**engine, "ca": trusting(authority), "verify": "required"}
    assert pair(required, own(alice)).say()
    with pytest.raises(ssl.SSLError, match=r"(?i)did not return a certificate"):
        pair(required).say()


def test_without_verification_no_certificate_is_asked_for(pair, engine, alice):
    made = pair(engine, own(alice)).say()
    assert made.tls.server.peer(made.server).certificate is None


def test_certificates_of_strangers_are_refused(pair, engine, authority, mallory):
    asked = {**engine, "ca": trusting(authority), "verify": "optional"}
    with pytest.raises(ssl.SSLError, match=r"(?i)verify failed"):
        pair(asked, own(mallory)).say()


def test_certificates_of_strangers_pass_where_that_was_asked_for_but_they_prove_nothing(pair, authority, mallory):
    for ca in (trusting(authority), None):
        made = pair({"ca": ca, "verify": "optional", "optional_no_ca": True}, own(mallory)).say()
        peer = made.tls.server.peer(made.server)
        assert peer.certificate.cn == "alice"
        assert (peer.verified, peer.cn) == (False, "")
        assert peer.error in ("its first certificate cannot be verified", "its issuer is not known")


def test_strangers_do_not_hide_other_faults(pair, authority):
    expired = authority.issue_cert(
        "old@example.org", not_before=LONG_AGO, not_after=LONG_AGO + datetime.timedelta(days=9)
    )
    with pytest.raises(ssl.SSLError, match="expired"):
        pair({"ca": trusting(authority), "verify": "optional", "optional_no_ca": True}, own(expired)).say()


def test_dates_are_ignored_where_that_was_asked_for(pair, engine, authority):
    expired = authority.issue_cert(
        "old@example.org", common_name="old", not_before=LONG_AGO, not_after=LONG_AGO + datetime.timedelta(days=9)
    )
    future = authority.issue_cert("new@example.org", common_name="new", not_before=LATER)
    asked = {**engine, "ca": trusting(authority), "verify": "optional"}
    for certificate in (expired, future):
        with pytest.raises(ssl.SSLError, match=r"(?i)expired|not yet valid|not valid yet"):
            pair(asked, own(certificate)).say()
        made = pair({**asked, "ignore_dates": True}, own(certificate)).say()
        assert made.tls.server.peer(made.server).cn in ("old", "new")


def test_revoked_certificates_are_refused(pair, engine, authority, alice):
    bob = authority.issue_cert("bob@example.org", common_name="bob")
    crl = Material("crl", revocation_list(authority, serials(bob)[0]))
    asked = {**engine, "ca": trusting(authority), "verify": "optional", "crl": crl}
    assert pair(asked, own(alice)).say()
    with pytest.raises(ssl.SSLError, match="revoked"):
        pair(asked, own(bob)).say()


def test_revoked_authorities_are_refused(pair, engine, authority):
    middle = authority.create_child_ca()
    carol = middle.issue_cert("carol@example.org", common_name="carol")
    theirs = revocation_list(middle)
    asked = {**engine, "ca": trusting(authority), "verify": "optional"}
    assert pair({**asked, "crl": Material("crl", revocation_list(authority) + theirs)}, own(carol)).say()
    revoked = serials(carol)[1]
    with pytest.raises(ssl.SSLError, match="revoked"):
        pair({**asked, "crl": Material("crl", revocation_list(authority, revoked) + theirs)}, own(carol)).say()


def test_the_host_must_be_the_one_that_was_called(pair, engine):
    with pytest.raises(ssl.SSLCertVerificationError, match="(?i)not (valid )?for '?elsewhere"):
        pair(engine, host="elsewhere")
    assert pair(engine, host="127.0.0.1").say()
    assert pair(engine, {"check_hostname": False}, host="elsewhere").say()


def test_a_client_may_accept_strangers_and_still_wants_the_right_host(pair, mallory, stranger):
    server = own(stranger.issue_cert("localhost"))
    with pytest.raises(ssl.SSLError, match=r"(?i)verify failed"):
        pair(server)
    made = pair(server, {"optional_no_ca": True}).say()
    peer = made.tls.client.peer(made.client)
    assert (peer.verified, bool(peer.error)) == (False, True)
    with pytest.raises(ssl.SSLCertVerificationError, match="not for 'elsewhere'"):
        pair(server, {"optional_no_ca": True}, host="elsewhere")
    assert pair(server, {"optional_no_ca": True, "check_hostname": False}, host="elsewhere").say()


def test_the_name_that_is_asked_for_chooses_the_certificate(pair, engine, authority):
    one, two = authority.issue_cert("www.example.org"), authority.issue_cert("*.example.com")
    named = tuple(
        NamedCertificate(names, **own(certificate))
        for names, certificate in ((("www.example.org",), one), (("*.example.com", "example.net"), two))
    )
    for host, source in (("localhost", 0), ("www.example.org", 1), ("a.example.com", 2)):
        made = pair({**engine, "named": named}, host=host).say()
        expected = made.tls.server.certificates[source].facts.fingerprint
        assert made.tls.client.peer(made.client).certificate.fingerprint == expected
        assert made.tls.server.peer(made.server).server_name == host
    default = pair({**engine, "named": named}, {"check_hostname": False}, host="unknown.example").say()
    assert default.tls.client.peer(default.client).cn == "localhost"


def test_unknown_names_may_be_refused(pair, engine, authority):
    named = (NamedCertificate(("localhost",), **own(authority.issue_cert("localhost"))),)
    settings = {**engine, "named": named, "refuse_unknown_names": True}
    assert pair(settings).say()
    with pytest.raises(ssl.SSLError, match=r"(?i)unrecognized.name|callback.failed"):
        pair(settings, {"check_hostname": False}, host="unknown.example")
    assert pair(settings, {"check_hostname": False}, host=None).say()


def test_a_chosen_certificate_has_the_same_rules(pair, engine, authority, alice, mallory):
    named = (NamedCertificate(("www.example.org",), **own(authority.issue_cert("www.example.org"))),)
    settings = {**engine, "named": named, "ca": trusting(authority), "verify": "required"}
    assert pair(settings, own(alice), host="www.example.org").say()
    for client in ({}, own(mallory)):
        with pytest.raises(ssl.SSLError):
            pair(settings, client, host="www.example.org").say()


def resumable(made):
    """Whether the client may resume the session."""
    made.say()
    return made.client.session is not None and made.client.session.has_ticket


def test_sessions_cannot_be_resumed_unless_that_was_asked_for(pair):
    for layer in ("x:<=tlsv1.2", "x:>=tlsv1.3"):
        client = {"layer": parse_layer(layer)}
        assert not resumable(pair({}, client))
        assert resumable(pair({"session_tickets": True}, client))


def test_inline_and_files_are_the_same(pair, localhost, tmp_path):
    chain, key = pem(localhost)
    (tmp_path / "cert.pem").write_text(chain)
    (tmp_path / "key.pem").write_text(key)
    files = {
        "certificate": Material("certificate", str(tmp_path / "cert.pem")),
        "key": Material("key", str(tmp_path / "key.pem")),
    }
    assert pair(files).say()
    indented = {
        "certificate": Material("certificate", "\n" + "\n".join(f"    {line}" for line in chain.splitlines()) + "\n  ")
    }
    assert pair(indented).say()


def test_an_encrypted_key_needs_its_password(pair, localhost):
    from cryptography.hazmat.primitives import serialization

    key = serialization.load_pem_private_key(localhost.private_key_pem.bytes(), None)
    encrypted = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.BestAvailableEncryption(b"sesame")
    )
    material = {"key": Material("key", encrypted.decode())}
    assert pair({**material, "key_password": Secret("sesame")}).say()
    for password in (None, Secret("wrong")):
        with pytest.raises(
            MaterialError, match=r"<key> \(inline\): it is encrypted, and <key_password> is missing or wrong"
        ):
            pair({**material, "key_password": password})


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            {"certificate": Material("certificate", "/nowhere.pem", "app.conf:7")},
            r"app.conf:7: <certificate> \(/nowhere.pem\): it cannot be read: No such file",
        ),
        ({"certificate": Material("certificate", "x\ny")}, "there is no PEM in it"),
        ({"ca": Material("ca_chain", "/nowhere.pem"), "verify": "optional"}, "it cannot be read"),
        ({"crl": Material("crl", "/nowhere.pem"), "verify": "optional"}, "it cannot be read"),
        (
            {"certificate": Material("certificate", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n")},
            "cannot be",
        ),
        (
            {
                "ca": Material("ca_chain", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"),
                "verify": "optional",
            },
            "it cannot be (used|decoded)",
        ),
    ],
)
def test_what_is_wrong_with_a_file_is_said(pair, engine, change, message):
    with pytest.raises(MaterialError, match=message):
        pair({**engine, **change})


def test_a_key_of_another_certificate_is_refused(pair, engine, alice):
    with pytest.raises(MaterialError, match=r"<key> \(inline\): it is not the key of <certificate> \(inline\)"):
        pair({**engine, "key": own(alice)["key"]})


def test_things_in_each_others_place_are_named(pair, engine, localhost, authority):
    chain, key = own(localhost)["certificate"], own(localhost)["key"]
    with pytest.raises(MaterialError, match="there is no certificate in it, but .*PRIVATE KEY"):
        pair({**engine, "certificate": Material("certificate", key.text)})
    with pytest.raises(MaterialError, match="there is no private key in it, but CERTIFICATE"):
        pair({**engine, "key": Material("key", chain.text)})
    with pytest.raises(MaterialError, match="there is not a revocation list in it"):
        pair({"ca": trusting(authority), "verify": "optional", "crl": chain})


def test_nothing_shows_a_key(localhost):
    settings = TlsSettings(**own(localhost), key_password=Secret("sesame"))
    server = ServerTls(settings)
    server.load()
    for text in (repr(settings), repr(server.describe()), str(server.describe())):
        assert "PRIVATE" not in text
        assert "sesame" not in text


class Files:
    """A certificate and key in files, to be replaced."""

    def __init__(self, directory, certificate):
        self.certificate, self.key = directory / "cert.pem", directory / "key.pem"
        self.write(certificate)

    def write(self, certificate, *, only=None):
        for path, text in zip((self.certificate, self.key), pem(certificate), strict=True):
            if only in (None, path):
                fresh = path.with_suffix(".new")
                fresh.write_text(text)
                fresh.chmod(0o600)
                fresh.replace(path)

    def age(self):
        """Make it look as if nobody had written for a while."""
        for path in (self.certificate, self.key):
            if path.exists():
                os.utime(path, (time.time() - 60, time.time() - 60))

    def settings(self, **more):
        return TlsSettings(
            certificate=Material("certificate", str(self.certificate), "app.conf:3"),
            key=Material("key", str(self.key), "app.conf:4"),
            where="app.conf:2",
            **more,
        )


@pytest.fixture
def files(tmp_path, localhost):
    return Files(tmp_path, localhost)


def shown(server, client):
    return client.peer(Pair(server.context, client.context).shake().say().client).certificate.fingerprint


@pytest.fixture
def client(authority):
    made = ClientTls(TlsSettings(side="client", verify="required", ca=trusting(authority)))
    made.load()
    return made


def test_replaced_files_are_taken_up_and_sessions_go_on(files, client, authority):
    server = ServerTls(files.settings())
    server.load()
    before = shown(server, client)
    old = Pair(server.context, client.context).shake()
    assert not server.refresh()
    files.write(authority.issue_cert("localhost"))
    assert server.refresh()
    assert not server.refresh()
    assert shown(server, client) != before
    assert server.reloads == 1
    old.say()


def test_half_of_a_change_changes_nothing(files, client, authority):
    server = ServerTls(files.settings())
    server.load()
    before = shown(server, client)
    fresh = authority.issue_cert("localhost")
    files.write(fresh, only=files.certificate)
    assert not server.refresh()  # the key may still be coming
    assert shown(server, client) == before
    files.age()
    with pytest.raises(MaterialError, match="it is not the key of"):
        server.refresh()
    assert not server.refresh()  # said once
    assert "it is not the key of" in server.describe()["fault"]
    assert shown(server, client) == before
    files.write(fresh)
    assert server.refresh()
    assert server.fault == ""
    assert shown(server, client) != before


def test_a_file_that_is_gone_changes_nothing(files, client):
    server = ServerTls(files.settings())
    server.load()
    before = shown(server, client)
    files.certificate.unlink()
    with pytest.raises(MaterialError, match=r"app.conf:2: a file is gone: .*cert.pem"):
        server.refresh()
    assert not server.refresh()
    assert shown(server, client) == before


def test_a_new_revocation_list_counts_for_new_sessions(pair, files, authority, alice, tmp_path):
    crl = tmp_path / "crl.pem"
    crl.write_text(revocation_list(authority))
    server = ServerTls(files.settings(ca=trusting(authority), verify="optional", crl=Material("crl", str(crl))))
    server.load()
    calling = ClientTls(TlsSettings(side="client", verify="required", ca=trusting(authority), **own(alice)))
    calling.load()
    Pair(server.context, calling.context).shake().say()
    fresh = tmp_path / "crl.new"
    fresh.write_text(revocation_list(authority, serials(alice)[0]))
    fresh.replace(crl)
    assert server.refresh()
    with pytest.raises(ssl.SSLError, match="revoked"):
        Pair(server.context, calling.context).shake().say()


def test_what_is_odd_is_warned_of(files, authority, caplog):
    files.write(authority.issue_cert("localhost", not_before=LONG_AGO, not_after=LONG_AGO + datetime.timedelta(days=1)))
    files.key.chmod(0o644)
    ServerTls(files.settings()).load()
    assert "it expired at 2010-01-02 00:00:00 UTC" in caplog.text
    assert "anybody on this machine can read this key" in caplog.text
    caplog.clear()
    files.write(authority.issue_cert("localhost", not_before=LATER))
    ServerTls(files.settings()).load()
    assert "it is valid from" in caplog.text


def test_contexts_have_to_be_loaded(files):
    with pytest.raises(MaterialError, match="call load"):
        _ = ServerTls(files.settings()).context
    with pytest.raises(TypeError, match="is no TLS session"):
        ServerTls(files.settings()).peer(object())
