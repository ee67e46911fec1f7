"""Who may do what, in a whole daemon: passwords, tokens, certificates, and logins by libmtev's stanza."""

from __future__ import annotations

import base64
import hashlib
import http.client
import http.cookiejar
import json
import ssl
import subprocess
import urllib.error
import urllib.request
from contextlib import closing
from dataclasses import dataclass
from urllib.parse import urlencode

import pytest
import trustme

KEY = base64.b64encode(hashlib.sha256(b"shared with other nodes").digest()).decode()
CONFIG = """<demo>
  <modules>
    <generic image="demo" name="demo"><config><greeting>Hello</greeting></config></generic>
    <generic image="http_hmac_cookie" name="http_hmac_cookie"><config>
      <key>{key}</key><max_age>600</max_age><user_tester>only for tests</user_tester>
    </config></generic>
  </modules>
  <logs><console_output><outlet name="stderr"/><log name="error"/><log name="notice"/></console_output></logs>
  <listeners address="127.0.0.1">
    <listener type="http_rest_api" port="0"/>
    <tls type="control_dispatch"><sslconfig>
      <certificate>{folder}/cert.pem</certificate><key>{folder}/cert.pem</key><ca_chain>{folder}/ca.pem</ca_chain>
    </sslconfig><listener port="0" ssl="on"/></tls>
  </listeners>
  <rest><acl>
    <rule type="allow" url="^/log(in|out)$"/>
    <rule type="allow" url="^/hello/public$"/>
    <rule type="deny" url="^/hello/admin$" auth="^basic$"/>
    <rule type="allow" user="^(ann|ci|ops|tester)$" url="^/hello"/>
  </acl></rest>
  <http_auth realm="demo" attempts="6" attempt_period_ms="3600000">
    <users file="users"/>
    <token name="ci" sha256="{digest}"/>
    <token name="old" sha256="{old}" expires="2020-01-01"/>
    <certificate from="cn" match="(ops)\\.example\\.com" user="\\1"/>
  </http_auth>
</demo>
"""


@dataclass
class Service:
    """The daemon, its ports, and what its clients need."""

    daemon: object
    folder: object
    issuer: trustme.CA
    port: int
    tls_port: int

    def ask(self, path="/hello/you", method="GET", body=None, *, over_tls=False, certificate=None, **headers):
        """A request on a connection of its own: status, text and fields."""
        headers = {name.replace("_", "-"): value for name, value in headers.items()}
        if over_tls:
            context = ssl.create_default_context(cafile=str(self.folder / "ca.pem"))
            if certificate:
                self.issuer.issue_cert(common_name=certificate).configure_cert(context)
            connection = http.client.HTTPSConnection("127.0.0.1", self.tls_port, timeout=20, context=context)
        else:
            connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)
        with closing(connection):
            connection.request(method, path, body, headers)
            answer = connection.getresponse()
            return answer.status, answer.read().decode(), answer.headers

    def log_in(self, user="ann", password="correct horse", whereto="/hello/you", **headers):
        form = urlencode({"username": user, "password": password, "whereto": whereto})
        return self.ask("/login", "POST", form, Content_Type="application/x-www-form-urlencoded", **headers)


@pytest.fixture
def service(installed, tmp_path):
    issuer = trustme.CA()
    issuer.cert_pem.write_to_path(tmp_path / "ca.pem")
    issuer.issue_cert("127.0.0.1").private_key_and_cert_chain_pem.write_to_path(tmp_path / "cert.pem")
    (tmp_path / "cert.pem").chmod(0o600)
    users = tmp_path / "users"
    users.write_text(f"# made by the command\n{line(installed, 'ann', 'correct horse')}")
    users.chmod(0o600)
    tokens = {"digest": sha256("token of ci"), "old": sha256("token of old")}
    (tmp_path / "demo.conf").write_text(CONFIG.format(key=KEY, folder=tmp_path, **tokens))
    with installed.start("-c", tmp_path / "demo.conf") as daemon:
        daemon.wait_for("ready: ")
        ports = [
            int(daemon.wait_for(rf"{kind} listens on \S+:(\d+)")[1]) for kind in ("http_rest_api", "control_dispatch")
        ]
        yield Service(daemon, tmp_path, issuer, *ports)
        assert daemon.stop() == 0
        assert "Traceback" not in daemon.text
        for secret in ("correct horse", "token-of-ci", KEY, "only for tests"):
            assert secret not in daemon.text


def line(installed, user, password):
    """A line of a file of users, from the installed command."""
    command = [installed.folder / "bin" / "mtev-http-auth", "hash", user]
    done = subprocess.run(command, input=f"{password}\n", capture_output=True, text=True, check=True)
    assert password not in done.stdout
    return done.stdout


def sha256(text):
    return hashlib.sha256(text.replace(" ", "-").encode()).hexdigest()


def basic(user, password):
    return "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()


def test_passwords(service):
    assert service.ask(Authorization=basic("ann", "correct horse"))[:2] == (200, "Hello, you.\n")
    status, body, headers = service.ask(Authorization=basic("ann", "battery"))
    assert (status, json.loads(body)) == (401, {"error": "authentication is required"})
    assert 'Basic realm="demo", charset="UTF-8"' in headers.get_all("WWW-Authenticate")
    assert service.ask()[0] == 401
    assert service.ask("/hello/admin", Authorization=basic("ann", "correct horse"))[0] == 403
    assert service.ask("/hello/public", Authorization=basic("ann", "battery"))[0] == 200
    service.daemon.wait_for(r"the password of user 'ann' is wrong; the request goes on without a user")


def test_a_peer_that_guesses_is_slowed(service):
    assert service.ask(Authorization=basic("ann", "correct horse"))[0] == 200
    answers = [service.ask(Authorization=basic("ann", str(number)))[0] for number in range(8)]
    assert answers == [401] * 6 + [429] * 2
    assert service.log_in(password="guess")[0] == 429
    assert service.ask(Authorization=basic("ann", "correct horse"))[0] == 200


def test_tokens(service):
    assert service.ask(Authorization="Bearer token-of-ci")[:2] == (200, "Hello, you.\n")
    for token in ("token-of-ca", "token-of-old"):
        status, _, headers = service.ask(Authorization=f"Bearer {token}")
        assert status == 401
        assert 'Bearer realm="demo", error="invalid_token"' in headers.get_all("WWW-Authenticate")


def test_certificates(service):
    assert service.ask(over_tls=True, certificate="ops.example.com")[:2] == (200, "Hello, you.\n")
    assert service.ask(over_tls=True, certificate="notops.example.com")[0] == 401
    assert service.ask(over_tls=True)[0] == 401
    shown = {"Authorization": "Bearer token-of-ca"}
    assert service.ask(over_tls=True, certificate="ops.example.com", **shown)[0] == 401


class Browser:
    """Follows redirects and keeps cookies, as browsers do."""

    def __init__(self, service):
        self.cookies = http.cookiejar.CookieJar()
        self._base = f"http://127.0.0.1:{service.port}"
        self._opener = urllib.request.build_opener(urllib.request.HTTPCookieProcessor(self.cookies))

    def open(self, path, form=None):
        request = urllib.request.Request(self._base + path, urlencode(form).encode() if form else None)
        request.add_header("Accept", "text/html, */*;q=0.8")
        if form:
            request.add_header("Origin", self._base)
        try:
            answer = self._opener.open(request, timeout=20)
        except urllib.error.HTTPError as error:
            answer = error
        with answer:
            return answer.status, answer.url.removeprefix(self._base), answer.read().decode()


def test_a_browser_logs_in_and_out(service):
    browser = Browser(service)
    status, url, page = browser.open("/hello/you?a=b")
    assert (status, url) == (200, "/login?whereto=%2Fhello%2Fyou%3Fa%3Db")
    assert 'name="whereto" value="/hello/you?a=b"' in page
    form = {"username": "ann", "password": "correct horse", "whereto": "/hello/you?a=b"}
    assert browser.open("/login", form) == (200, "/hello/you?a=b", "Hello, you.\n")
    (cookie,) = browser.cookies
    assert (cookie.name, cookie.path, cookie.domain) == ("mtevauth", "/", "127.0.0.1")
    assert cookie.has_nonstandard_attr("HttpOnly")
    assert browser.open("/hello/me")[0] == 200
    assert "You are logged in as ann" in browser.open("/logout")[2]
    assert browser.open("/logout", {"x": "y"})[1] == "/login"
    assert len(browser.cookies) == 0
    assert browser.open("/hello/me")[1].startswith("/login")
    service.daemon.wait_for("'ann' has logged in")


def test_users_for_tests_and_wrong_passwords(service):
    assert service.log_in("tester", "only for tests")[0] == 303
    service.daemon.wait_for("<user_tester>: for tests only")
    for user, password in (("tester", "wrong"), ("ann", "wrong"), ("nobody", "wrong")):
        status, page, headers = service.log_in(user, password)
        assert (status, "Set-Cookie" in headers) == (401, False)
        assert "The user or the password is wrong." in page


@pytest.mark.parametrize(
    "whereto", ["//evil.example", "https://evil.example", "/\\evil.example", "/\r/evil.example", "evil.example"]
)
def test_a_login_leads_nowhere_else(service, whereto):
    assert service.log_in(whereto=whereto)[2]["Location"] == "/"


def test_another_site_cannot_log_anybody_in(service):
    status, _, headers = service.log_in(Origin="https://evil.example")
    assert (status, "Set-Cookie" in headers) == (403, False)


def test_cookies_that_were_changed_or_are_old_are_none(service, installed):
    cookie = service.log_in()[2]["Set-Cookie"].partition(";")[0]
    assert service.ask(Cookie=cookie)[:2] == (200, "Hello, you.\n")
    assert service.ask(Cookie=cookie.replace("ann", "ops"))[0] == 401
    assert service.ask(Cookie=cookie[:-1] + ("0" if cookie[-1] != "0" else "1"))[0] == 401
    assert service.ask(Cookie=cookie, Authorization="Bearer wrong")[0] == 401
    other = "import base64, sys, time; from mtev_http_cookie import Login, encode; "
    other += "print(encode(Login('ops', 'node', int(time.time()) + int(sys.argv[2])), base64.b64decode(sys.argv[1])))"
    for lasts_s, key, status in ((60, KEY, 200), (-1, KEY, 401), (60, base64.b64encode(b"k" * 32).decode(), 401)):
        done = subprocess.run(
            [installed.python, "-c", other, key, str(lasts_s)], capture_output=True, text=True, check=True
        )
        assert service.ask(Cookie=f"mtevauth={done.stdout.strip()}")[0] == status


def test_who_is_no_browser_is_challenged_and_a_browser_is_not(service):
    assert service.ask(Accept="application/json")[0] == 401
    status, _, headers = service.ask(Accept="text/html")
    assert (status, "WWW-Authenticate" in headers) == (302, False)


def test_users_change_while_it_runs(service, installed):
    assert service.ask(Authorization=basic("ann", "correct horse"))[0] == 200
    new = service.folder / "users.new"
    new.write_text(line(installed, "ann", "another horse"))
    new.chmod(0o600)
    new.replace(service.folder / "users")
    service.daemon.wait_for("read again: 1 users, 2 tokens")
    assert service.ask(Authorization=basic("ann", "another horse"))[0] == 200
    assert service.ask(Authorization=basic("ann", "correct horse"))[0] == 401


def test_the_check_refuses_what_is_weak(installed, service):
    for hashed in ("{SHA}fEqNCco3Yq9h5ZUglD3CZJT4lBs=", "$apr1$abc$def", "plain"):
        (service.folder / "weak").write_text(f"ann:{hashed}\n")
        text = (service.folder / "demo.conf").read_text().replace('file="users"', 'file="weak"')
        (service.folder / "weak.conf").write_text(text)
        done = installed.run("--check", "-c", service.folder / "weak.conf")
        assert done.returncode != 0
        assert "weak:1: " in done.stdout
        assert "mtev-http-auth hash" in done.stdout
        assert hashed not in done.stdout
