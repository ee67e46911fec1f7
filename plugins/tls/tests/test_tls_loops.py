"""Sessions on event loops: both kinds of loop, both engines, and what OpenSSL's own programs say to them."""

from __future__ import annotations

import asyncio
import contextlib
import datetime
import shutil
import ssl
import subprocess

import pytest
import uvloop
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.x509 import ocsp

from mtev_tls import ClientTls, Material, MaterialError, NamedCertificate, ServerTls, TlsSettings, parse_layer
from mtev_tls.testing import own, pem, trusting

OPENSSL = shutil.which("openssl")
real_client = pytest.mark.skipif(OPENSSL is None, reason="there is no command 'openssl' here")

LOOPS = {"asyncio": asyncio.new_event_loop, "uvloop": uvloop.new_event_loop}


@pytest.fixture(params=LOOPS)
def run(request):
    """Runs a coroutine on a loop of either kind, with a limit."""

    def running(coroutine):
        async def limited():
            async with asyncio.timeout(30):
                return await coroutine

        with asyncio.Runner(loop_factory=LOOPS[request.param]) as runner:
            return runner.run(limited())

    return running


@pytest.fixture(params=["ssl", "pyOpenSSL"])
def engine(request, authority):
    return {} if request.param == "ssl" else {"ca_accept": Material("ca_accept", trusting(authority).text)}


class Serving:
    """An echo server on loopback that says who came. Used with `async with`."""

    def __init__(self, settings):
        self.tls = ServerTls(settings)
        self.tls.load()
        self.peers = []

    async def __aenter__(self):
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0, ssl=self.tls.context)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_):
        self._server.close()

    async def _serve(self, reader, writer):
        self.peers.append(self.tls.peer(writer.get_extra_info("ssl_object")))
        try:
            while data := await reader.read(65536):
                writer.write(data)
                await writer.drain()
            writer.close()
            await writer.wait_closed()
        except (OSError, ssl.SSLError):
            writer.transport.abort()


async def ask(port, tls, question=b"hello", host="localhost"):
    reader, writer = await asyncio.open_connection("127.0.0.1", port, ssl=tls.context, server_hostname=host)
    try:
        peer = tls.peer(writer.get_extra_info("ssl_object"))
        writer.write(question)
        await writer.drain()
        answer = await reader.readexactly(len(question))
        return peer, answer
    finally:
        writer.close()
        await writer.wait_closed()


def client(authority, **more):
    made = ClientTls(TlsSettings(side="client", verify="required", ca=trusting(authority), **more))
    made.load()
    return made


def test_much_travels_both_ways(run, engine, authority, localhost, alice):
    async def main():
        settings = TlsSettings(**own(localhost), **engine, ca=trusting(authority), verify="optional", alpn=("h2",))
        async with Serving(settings) as server:
            question = bytes(range(256)) * 8000
            peer, answer = await ask(server.port, client(authority, alpn=("h2",), **own(alice)), question)
            assert answer == question
            assert (peer.alpn, peer.verified, peer.cn) == ("h2", True, "localhost")
            assert (server.peers[0].cn, server.peers[0].alpn) == ("alice", "h2")

    run(main())


def test_garbage_ends_that_connection_alone(run, engine, authority, localhost):
    async def main():
        async with Serving(TlsSettings(**own(localhost), **engine)) as server:
            for nonsense in (b"GET / HTTP/1.1\r\n\r\n", b"\x16\x03\x01\x02\x00" + b"\0" * 600, b"\xff" * 5000):
                reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
                writer.write(nonsense)
                try:
                    while await reader.read(65536):
                        pass
                except ConnectionResetError:
                    pass
                writer.close()
            assert (await ask(server.port, client(authority)))[1] == b"hello"

    run(main())


def test_a_client_of_the_other_engine_reads_and_writes(run, stranger):
    async def main():
        async with Serving(TlsSettings(**own(stranger.issue_cert("localhost")))) as server:
            calling = ClientTls(TlsSettings(side="client", verify="required", optional_no_ca=True))
            calling.load()
            peer, answer = await ask(server.port, calling, b"y" * 300_000)
            assert answer == b"y" * 300_000
            assert (peer.verified, peer.certificate.sans) == (False, ("DNS:localhost",))

    run(main())


async def s_client(port, *arguments, send=b""):
    """What `openssl s_client` prints."""
    process = await asyncio.create_subprocess_exec(
        OPENSSL, "s_client", "-connect", f"127.0.0.1:{port}", *arguments,
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    )  # fmt: skip
    output, _ = await process.communicate(send)
    return output.decode("utf-8", "replace")


@real_client
def test_openssl_verifies_us_and_shows_what_was_agreed(run, engine, authority, localhost, tmp_path):
    (tmp_path / "ca.pem").write_text(trusting(authority).text)

    async def main():
        other = authority.issue_cert("www.example.org")
        settings = TlsSettings(
            **own(localhost), **engine, alpn=("h2",), named=(NamedCertificate(("www.example.org",), **own(other)),)
        )
        async with Serving(settings) as server:
            said = await s_client(
                server.port, "-CAfile", tmp_path / "ca.pem", "-servername", "www.example.org",
                "-verify_hostname", "www.example.org", "-verify_return_error", "-alpn", "h2", "-no_ticket",
            )  # fmt: skip
            assert "Verify return code: 0 (ok)" in said
            assert "ALPN protocol: h2" in said
            assert "New, TLSv1.3" in said
            assert "Compression: NONE" in said
            assert server.peers[0].server_name == "www.example.org"

    run(main())


@real_client
def test_openssl_cannot_talk_us_into_an_old_version(run, engine, localhost):
    async def main():
        async with Serving(TlsSettings(**own(localhost), **engine, ciphers="ALL:@SECLEVEL=0")) as server:
            said = await s_client(server.port, "-tls1_1", "-cipher", "ALL:@SECLEVEL=0")
            assert "Cipher is (NONE)" in said
            assert "New, TLSv1.2" in await s_client(server.port, "-tls1_2")

    run(main())


@real_client
def test_openssl_gets_no_ticket_unless_they_are_on(run, localhost):
    async def main():
        for tickets, expected in ((False, False), (True, True)):
            async with Serving(TlsSettings(**own(localhost), session_tickets=tickets)) as server:
                said = await s_client(server.port, "-tls1_2", send=b"")
                assert ("TLS session ticket:" in said) is expected

    run(main())


@real_client
def test_openssl_is_told_which_authorities_we_accept(run, authority, stranger, localhost):
    async def main():
        ca = {"ca": trusting(authority, stranger), "verify": "optional"}
        named = TlsSettings(**own(localhost), **ca, ca_accept=Material("ca_accept", trusting(stranger).text))
        async with Serving(named) as server:
            said = await s_client(server.port)
            assert "Acceptable client certificate CA names" in said
            theirs = x509.load_pem_x509_certificate(stranger.cert_pem.bytes()).subject
            ours = x509.load_pem_x509_certificate(authority.cert_pem.bytes()).subject
            unit = x509.NameOID.ORGANIZATIONAL_UNIT_NAME
            assert theirs.get_attributes_for_oid(unit)[0].value in said
            assert ours.get_attributes_for_oid(unit)[0].value not in said.partition("Acceptable client")[2]
        for accept in (None, Material("ca_accept", "")):
            async with Serving(TlsSettings(**own(localhost), **ca, ca_accept=accept)) as server:
                assert "No client certificate CA names sent" in await s_client(server.port)

    run(main())


def staple(authority, certificate, path, *, status=ocsp.OCSPCertStatus.GOOD, days=1):
    """Write an OCSP response of an authority about a certificate."""
    issuer = x509.load_pem_x509_certificate(authority.cert_pem.bytes())
    key = serialization.load_pem_private_key(authority.private_key_pem.bytes(), None)
    subject = x509.load_pem_x509_certificate(certificate.cert_chain_pems[0].bytes())
    now = datetime.datetime.now(datetime.UTC)
    revoked = now if status is ocsp.OCSPCertStatus.REVOKED else None
    builder = ocsp.OCSPResponseBuilder().add_response(
        subject, issuer, hashes.SHA1(), status, now - datetime.timedelta(days=9), now + datetime.timedelta(days=days),
        revoked, None,
    )  # fmt: skip
    response = builder.responder_id(ocsp.OCSPResponderEncoding.HASH, issuer).sign(key, hashes.SHA256())
    path.write_bytes(response.public_bytes(serialization.Encoding.DER))
    return Material("ocsp_response", str(path))


@real_client
def test_openssl_gets_the_stapled_response(run, authority, localhost, tmp_path):
    (tmp_path / "ca.pem").write_text(trusting(authority).text)

    async def main():
        response = staple(authority, localhost, tmp_path / "ocsp.der")
        async with Serving(TlsSettings(**own(localhost), ocsp_response=response)) as server:
            said = await s_client(server.port, "-status", "-CAfile", tmp_path / "ca.pem")
            assert "OCSP Response Status: successful" in said
            assert "Cert Status: good" in said
            assert "Verify return code: 0 (ok)" in said
        async with Serving(TlsSettings(**own(localhost))) as server:
            assert "OCSP response: no response sent" in await s_client(server.port, "-status")

    run(main())


@real_client
def test_an_outdated_response_is_not_stapled_and_a_renewed_one_is(run, authority, localhost, tmp_path, caplog):
    async def main():
        response = staple(authority, localhost, tmp_path / "ocsp.der", days=-1)
        async with Serving(TlsSettings(**own(localhost), ocsp_response=response)) as server:
            for _ in range(2):
                assert "OCSP response: no response sent" in await s_client(server.port, "-status")
            assert caplog.text.count("it is outdated; nothing is stapled") == 1
            staple(authority, localhost, tmp_path / "new.der")
            (tmp_path / "new.der").replace(tmp_path / "ocsp.der")
            assert server.tls.refresh()
        async with Serving(server.tls.settings) as server:
            assert "Cert Status: good" in await s_client(server.port, "-status")

    run(main())


def test_responses_that_are_none_or_not_about_us_are_refused(authority, localhost, alice, tmp_path):
    bad = tmp_path / "bad.der"
    bad.write_bytes(b"nonsense")
    for response, reason in (
        (Material("ocsp_response", str(bad)), "it is no OCSP response in DER"),
        (Material("ocsp_response", "a\nb"), "it is binary, and has to be a file"),
        (staple(authority, alice, tmp_path / "other.der"), "it is about another certificate"),
        (
            staple(authority, localhost, tmp_path / "revoked.der", status=ocsp.OCSPCertStatus.REVOKED),
            "it says that our certificate is revoked",
        ),
    ):
        with pytest.raises(MaterialError, match=reason):
            ServerTls(TlsSettings(**own(localhost), ocsp_response=response)).load()


@real_client
def test_openssl_serves_us(run, authority, localhost, tmp_path):
    chain, key = pem(localhost)
    (tmp_path / "c.pem").write_text(chain)
    (tmp_path / "k.pem").write_text(key)

    async def main():
        process = await asyncio.create_subprocess_exec(
            OPENSSL, "s_server", "-accept", "127.0.0.1:0", "-cert", tmp_path / "c.pem", "-key", tmp_path / "k.pem",
            "-cert_chain", tmp_path / "c.pem", "-rev", "-alpn", "x", "-naccept", "2",
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        )  # fmt: skip
        try:
            port = 0
            while not port:
                line = (await process.stdout.readline()).decode()
                assert line, "s_server ended"
                if line.startswith("ACCEPT "):
                    port = int(line.rpartition(":")[2])
            for calling in (client(authority, alpn=("x",)), client(authority, alpn=("x",), optional_no_ca=True)):
                peer, answer = await ask(port, calling, b"hello\n")
                assert answer == b"olleh\n"
                assert (peer.alpn, peer.verified) == ("x", True)
        finally:
            with contextlib.suppress(ProcessLookupError):  # it ends by itself after the second connection
                process.kill()
            await process.communicate()

    run(main())


def test_layers_of_client_and_server_meet(run, engine, authority, localhost):
    async def main():
        async with Serving(TlsSettings(**own(localhost), **engine, layer=parse_layer("x:<=tlsv1.2"))) as server:
            peer, _ = await ask(server.port, client(authority))
            assert peer.version == "TLSv1.2"

    run(main())
