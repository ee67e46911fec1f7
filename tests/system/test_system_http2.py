"""A daemon that speaks HTTP/2, with curl as its client: in plain text and over TLS."""

import shutil
import subprocess

import pytest
import trustme

CURL = shutil.which("curl")

pytestmark = pytest.mark.skipif(CURL is None, reason="curl is not installed")

CONFIG = """<app>
  <logs><log name="error"><outlet name="stderr"/></log></logs>
  <listeners address="127.0.0.1">
    <listener type="http_rest_api" port="0"/>
    <listener type="control_dispatch" port="0"/>
    <listener type="http_rest_api" port="0" ssl="on">
      <sslconfig><certificate_file>{cert}</certificate_file><key_file>{key}</key_file></sslconfig>
    </listener>
  </listeners>
  <rest><acl><rule type="allow" ip="127.0.0.1"/></acl></rest>
  <modules><generic image="http2" name="http2"/></modules>
</app>"""

FORMAT = "%{http_version} %{response_code}\n"


def curl(*arguments: str) -> tuple[str, str]:
    """Its answer and its verdict: the version spoken, and the status."""
    done = subprocess.run(
        [CURL, "--silent", "--show-error", "--max-time", "20", "--write-out", f"\n{FORMAT}", *arguments],
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    body, _, verdict = done.stdout.rstrip("\n").rpartition("\n")
    return body, verdict


@pytest.fixture
def daemon(installed, tmp_path):
    cert, key, ca = (tmp_path / name for name in ("cert.pem", "key.pem", "ca.pem"))
    authority = trustme.CA()
    authority.cert_pem.write_to_path(ca)
    issued = authority.issue_cert("localhost", "127.0.0.1")
    issued.cert_chain_pems[0].write_to_path(cert)
    issued.private_key_pem.write_to_path(key)
    config = tmp_path / "app.conf"
    config.write_text(CONFIG.format(cert=cert, key=key))
    with installed.start("-c", config) as daemon:
        daemon.wait_for("ready: ")
        daemon.ca = str(ca)
        yield daemon


def ports(daemon) -> list[str]:
    return [
        f"127.0.0.1:{each}"
        for each in (daemon.wait_for(rf"\.conf:{line}: \S+ listens on \S+:(\d+)")[1] for line in (4, 5, 6))
    ]


def test_curl_speaks_it_in_plain_text_and_over_tls(daemon):
    plain, dispatch, secure = ports(daemon)
    for address in (plain, dispatch):
        body, verdict = curl("--http2-prior-knowledge", f"http://{address}/livez")
        assert (body, verdict) == ("ok\n", "2 200")
        body, verdict = curl("--http1.1", f"http://{address}/livez")
        assert (body, verdict) == ("ok\n", "1.1 200")
        assert curl("--http2", f"http://{address}/livez")[1] == "1.1 200"
    body, verdict = curl("--cacert", daemon.ca, f"https://{secure}/livez")
    assert (body, verdict) == ("ok\n", "2 200")
    body, verdict = curl("--cacert", daemon.ca, "--http1.1", f"https://{secure}/livez")
    assert (body, verdict) == ("ok\n", "1.1 200")
    assert daemon.stop() == 0


def test_it_is_one_of_the_plugins_and_its_routes_are_the_same(daemon):
    plain, _, _ = ports(daemon)
    for how in ("--http2-prior-knowledge", "--http1.1"):
        body, verdict = curl(how, f"http://{plain}/mtev/plugins.json")
        assert verdict.endswith(" 200")
        assert '"http2"' in body
        body, verdict = curl(how, "--head", f"http://{plain}/openapi.json")
        assert verdict.endswith(" 200")
        assert curl(how, f"http://{plain}/no/such")[1].endswith(" 404")
    assert daemon.stop() == 0
