"""`<sslconfig>`: inheritance, every key, and what is said of what is wrong or odd."""

from __future__ import annotations

from pathlib import Path

import pytest

from mtev_conf import Configuration, Secret
from mtev_tls import KEYS, Material, NamedCertificate, TlsSettings, parse_layer, read_tls

OWN = "<certificate>/c.pem</certificate><key>/k.pem</key>"


def reading(inner, *, side="server", outer=""):
    text = f"<app><listeners>{outer}\n<listener>\n<sslconfig>{inner}</sslconfig></listener></listeners></app>"
    (section,) = Configuration.parse(text, "app.conf", {"PASS": "sesame"}).sections("//listener")
    return read_tls(section, side=side)


def read(inner, **options):
    found = reading(inner, **options)
    assert [str(each) for each in found.problems] == []
    return found.settings


def complaints(inner, **options):
    found = reading(inner, **options)
    assert found.settings is None
    return [str(each) for each in found.problems]


def test_a_certificate_and_a_key_are_all_that_a_server_needs():
    assert read(OWN) == TlsSettings(
        certificate=Material("certificate", "/c.pem", "app.conf:3"),
        key=Material("key", "/k.pem", "app.conf:3"),
        where="app.conf:2",
    )
    assert reading(OWN).warnings == []


def test_a_client_needs_nothing():
    settings = read("", side="client")
    assert (settings.verify, settings.check_hostname, settings.certificate) == ("required", True, None)


def test_keys_are_inherited_and_the_nearest_counts():
    settings = read("<key>/near.pem</key>", outer=f"<sslconfig>{OWN}<ciphers>HIGH</ciphers></sslconfig>")
    assert settings.certificate == Material("certificate", "/c.pem", "app.conf:1")
    assert settings.key == Material("key", "/near.pem", "app.conf:3")
    assert settings.ciphers == "HIGH"


def test_every_key_changes_something():
    settings = read(
        OWN
        + "<layer_openssl_11>x:>=tlsv1.3</layer_openssl_11><key_password>ENV:none:{PASS}</key_password>"
        + "<ca_chain>/ca.pem</ca_chain><ca_accept>/names.pem</ca_accept><crl>/crl.pem</crl><ciphers>HIGH</ciphers>"
        + "<alpn>h2, http/1.1,h2</alpn><verify>required</verify><optional_no_ca>true</optional_no_ca>"
        + "<ignore_dates>on</ignore_dates><session_tickets>on</session_tickets>"
        + "<unknown_server_name>refuse</unknown_server_name><ocsp_response>/ocsp.der</ocsp_response>"
        + '<server_name name="A.example.org, *.example.com"><certificate_file>/a.pem</certificate_file>'
        + "<key_file>/ak.pem</key_file></server_name>"
    )
    place = "app.conf:3"
    assert settings == TlsSettings(
        layer=parse_layer("x:>=tlsv1.3"),
        certificate=Material("certificate", "/c.pem", place),
        key=Material("key", "/k.pem", place),
        key_password=Secret("sesame"),
        ca=Material("ca_chain", "/ca.pem", place),
        ca_accept=Material("ca_accept", "/names.pem", place),
        crl=Material("crl", "/crl.pem", place),
        ciphers="HIGH",
        alpn=("h2", "http/1.1"),
        verify="required",
        optional_no_ca=True,
        ignore_dates=True,
        session_tickets=True,
        refuse_unknown_names=True,
        ocsp_response=Material("ocsp_response", "/ocsp.der", place),
        named=(
            NamedCertificate(
                ("a.example.org", "*.example.com"),
                Material("certificate_file", "/a.pem", place),
                Material("key_file", "/ak.pem", place),
                place,
            ),
        ),
        where="app.conf:2",
    )
    paths = [each.path for each in settings.materials()]
    assert paths == ["/c.pem", "/k.pem", "/ca.pem", "/names.pem", "/crl.pem", "/ocsp.der", "/a.pem", "/ak.pem"]


@pytest.mark.parametrize(
    ("inner", "field", "value"),
    [
        ("<layer>x:>=tlsv1.3</layer>", "layer", parse_layer("x:>=tlsv1.3")),
        ("<layer>zzz:zzz</layer><layer_openssl_11>x:all</layer_openssl_11>", "layer", parse_layer("x:all")),
        ("<ca_file>/a</ca_file>", "ca", Material("ca_file", "/a", "app.conf:3")),
        ("<ca_file>/a</ca_file>", "verify", "optional"),
        ("<ca_chain>/a</ca_chain><verify>none</verify>", "verify", "none"),
        ("<npn>h2</npn>", "alpn", ("h2",)),
        ("<npn>h2</npn><alpn>x</alpn>", "alpn", ("x",)),
        ("<alpn>None</alpn>", "alpn", ()),
        ("<alpn> </alpn>", "alpn", None),
        ("<ca_accept></ca_accept>", "ca_accept", Material("ca_accept", "", "app.conf:3")),
        ("<optional_no_ca>true</optional_no_ca>", "verify", "optional"),
    ],
)
def test_keys_by_themselves(inner, field, value):
    assert getattr(read(OWN + inner), field) == value


def test_files_have_second_names():
    settings = read("<certificate_file>/c</certificate_file><key_file>/k</key_file>")
    assert (settings.certificate.path, settings.key.path) == ("/c", "/k")


@pytest.mark.parametrize(
    ("inner", "complaint"),
    [
        ("", "app.conf:2: <listener>: <sslconfig>: there is no <certificate>; TLS cannot be spoken without one"),
        ("<key>/k</key>", "there is no <certificate>"),
        ("<certificate>/c</certificate>", "there is a <certificate> and no <key> for it"),
        (OWN + "<layer>x:>=tls1.2</layer>", "app.conf:3: <listener>: <sslconfig>: layer: '>=tls1.2'"),
        (OWN + "<verify>required</verify>", "verify: 'required' needs <ca_chain>"),
        (OWN + "<verify>always</verify>", "verify: "),
        (OWN + "<ignore_dates>perhaps</ignore_dates>", "ignore_dates: "),
        (OWN + "<crl>/crl</crl>", "crl: certificates that are not verified cannot be found revoked"),
        (OWN + "<ciphersuites>X</ciphersuites>", "ciphersuites: "),
        (OWN + f"<alpn>{'x' * 256}</alpn>", "alpn: "),
        (OWN + '<server_name name="*">' + OWN + "</server_name>", "<server_name>: name: '*' is no name of a server"),
        (OWN + "<server_name>" + OWN + "</server_name>", "<server_name>: name: '' is no name of a server"),
        (OWN + '<server_name name="a.org"/>', "<server_name>: it needs a <certificate> and a <key>"),
        (OWN + f'<server_name name="a.b,A.b">{OWN}</server_name>', "'a.b' has a certificate already, at app.conf"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_said_with_its_place(inner, complaint):
    (told,) = complaints(inner)
    assert complaint in told


@pytest.mark.parametrize(
    ("inner", "warning"),
    [
        ("<certifcate>x</certifcate>", "'certifcate' is not a key of <sslconfig> and has no effect; did you mean"),
        ("<zzz>x</zzz>", "'zzz' is not a key of <sslconfig> and has no effect"),
        ("<certificate_file>/x</certificate_file>", "'certificate_file' has no effect: 'certificate' is there"),
        ("<layer_openssl_10>x</layer_openssl_10>", "'layer_openssl_10' has no effect"),
        ("<layer>x:>=tlsv1.1</layer>", "layer: 'x:>=tlsv1.1' allows versions of TLS that are broken"),
        ("<optional_no_ca>true</optional_no_ca>", "optional_no_ca: whoever asks"),
        ("<ignore_dates>true</ignore_dates>", "ignore_dates: certificates are accepted for ever"),
        ("<check_hostname>off</check_hostname>", "'check_hostname' is for clients"),
        (f'<server_name name="a.org">{OWN}<ciphers/></server_name>', "<ciphers>: it has no meaning in <server_name>"),
    ],
)  # fmt: skip
def test_what_is_odd_is_warned_of_with_its_place(inner, warning):
    found = reading(OWN + inner)
    assert found.problems == []
    (told,) = found.warnings
    assert told.startswith("app.conf:3: <")
    assert warning in told


@pytest.mark.parametrize(
    ("inner", "warning"),
    [
        ("<session_tickets>on</session_tickets>", "'session_tickets' is for servers"),
        ("<ca_accept>/a</ca_accept>", "'ca_accept' is for servers"),
        ("<verify>none</verify>", "'verify' is for servers: a client always verifies the server"),
        (f'<server_name name="a.org">{OWN}</server_name>', "<server_name> is for servers"),
        ("<check_hostname>off</check_hostname>", "check_hostname: any host with a valid certificate can pass"),
    ],
)
def test_what_is_odd_for_a_client(inner, warning):
    (told,) = reading(inner, side="client").warnings
    assert warning in told


def test_the_readme_explains_every_key():
    readme = (Path(__file__).parent.parent / "README.md").read_text()
    assert [key for key in KEYS if f"`{key}`" not in readme] == []
    for other in ("server_name", "ssl_ctx_cache_expiry", "show tls", "tls refresh", "/tls/certificates.json"):
        assert f"`{other}" in readme or f"`GET {other}" in readme
