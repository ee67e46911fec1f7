"""The plugin in a real service, over real sockets."""

import asyncio
import base64
import hashlib
import http.client
import json
import socket
import ssl
import threading
from contextlib import closing

import pytest
import trustme

from mtev_http import Response, Rest
from mtev_http_auth.hashes import ScryptHash
from mtev_http_auth.plugin import HttpAuthPlugin
from mtev_kernel import ConfigurationError, Plugin, hookimpl
from mtev_kernel.testing import NotReady, PluginConformance, inline
from mtev_listener import Listeners

SALT = b"0123456789abcdef"


def hashed(password):
    """A hash that costs little."""
    return str(ScryptHash(14, 1, 1, SALT, hashlib.scrypt(password.encode(), salt=SALT, n=1 << 14, r=1, p=1, dklen=32)))


def digest(token):
    return hashlib.sha256(token.encode()).hexdigest()


PEOPLE = f"""
  <user name="ann" password="{hashed("secret")}"/>
  <user name="bob" password="{hashed("hidden")}"/>
  <token name="ci" sha256="{digest("token")}" auth="deployment"/>
  <token name="old" sha256="{digest("expired")}" expires="1999-12-31"/>
"""
CONFIG = """<app>
  <modules><generic image="shop" name="shop"/></modules>
  <listeners address="127.0.0.1">
    <listener type="http_rest_api" port="0" ssl="{ssl}">
      <config><proxy_protocol>{proxy}</proxy_protocol></config>{listener}
    </listener>
  </listeners>
  <rest linger_timeout_ms="50"><acl>
    <rule type="allow" url="^/open"/>
    <rule type="allow" user="^(ann|ci|alice|carl)$"/>
  </acl></rest>
  <http_auth realm="the &quot;shop&quot;" {attributes}>{people}</http_auth>
</app>"""


class TestConformance(PluginConformance):
    """The rules that every plugin keeps."""

    plugin = "http.auth"
    config = f"""<app><listeners address="127.0.0.1"><listener type="http_rest_api" port="0"/></listeners>
        <rest><acl/></rest><http_auth>{PEOPLE}</http_auth></app>"""


class Shop(Plugin):
    """Somebody else's plugin: routes that tell who asks, and a user of its own."""

    manifest = """
        id = "shop"
        summary = "sells"
        api = "1.0"
        requires = ["http"]
        implements = ["http_auth"]
    """

    def __init__(self, context):
        super().__init__(context)
        context.services.publish(Shop, self)
        self.asked = []

    def start(self):
        rest = self.context.services.require(Rest)
        rest.add("GET", "/", "^(open|closed)$", self.tell, summary="who asks")
        rest.add("GET", "/", "^free$", self.tell, summary="who asks", auth=False)

    def tell(self, request):
        return Response(200, f"{request.user}/{request.auth}")

    @hookimpl(before=["http.auth"])
    async def http_auth(self, request, user, password):
        self.asked.append((user, threading.current_thread().name))
        return password == "own" if user == "carl" else None


@pytest.fixture
def service(mtev_kernel, tmp_path):
    def start(people=PEOPLE, attributes="", listener="", proxy="off"):
        text = CONFIG.format(
            people=people, attributes=attributes, listener=listener, proxy=proxy, ssl="on" if listener else "off"
        )
        (tmp_path / "app.conf").write_text(text)
        return mtev_kernel(tmp_path / "app.conf", plugins=[inline(Shop, Shop.manifest)])

    return start


def connect(running):
    bound = running.service(Listeners).bound[0]
    return http.client.HTTPConnection(bound.address, bound.port, timeout=30)


def ask(running, path="/closed", authorization=None, connection=None):
    with closing(connection or connect(running)) as connection:
        connection.request("GET", path, headers={} if authorization is None else {"Authorization": authorization})
        answer = connection.getresponse()
        return answer.status, answer.read().decode(), answer.headers


def basic(user, password):
    return "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()


def refusals(caplog):
    return [
        each.getMessage() for each in caplog.records if each.name == "mtev.http.auth" and each.levelname == "WARNING"
    ]


def test_a_right_password_is_that_user(service, caplog):
    running = service()
    for _ in range(3):
        assert ask(running, authorization=basic("ann", "secret"))[:2] == (200, "ann/basic")
    assert refusals(caplog) == []


def test_without_anything_it_is_asked_who_it_is(service):
    status, body, headers = ask(service())
    assert (status, json.loads(body)) == (401, {"error": "authentication is required"})
    assert headers.get_all("WWW-Authenticate") == [
        'Bearer realm="the \\"shop\\""',
        'Basic realm="the \\"shop\\"", charset="UTF-8"',
    ]
    assert headers["Cache-Control"] == "no-store"


@pytest.mark.parametrize(
    ("shown", "said"),
    [
        (basic("ann", "wrong"), "the password of user 'ann' is wrong"),
        (basic("nobody", "secret"), "the user or the password is wrong"),
        ("Basic ???", "no base64"),
        ("Basic", "malformed"),
    ],
)
def test_a_wrong_password_is_nobody_and_the_log_says_so(service, caplog, shown, said):
    running = service()
    assert ask(running, authorization=shown)[0] == 401
    assert ask(running, "/open", shown)[:2] == (200, "/")
    assert all(said in line for line in refusals(caplog))
    assert len(refusals(caplog)) == 2
    for secret in ("wrong", "secret", "nobody", "YW5u"):
        assert f"'{secret}'" not in caplog.text
    assert basic("ann", "wrong") not in caplog.text


def test_who_may_not_although_known_is_denied_without_a_challenge(service):
    status, _, headers = ask(service(), authorization=basic("bob", "hidden"))
    assert status == 403
    assert "WWW-Authenticate" not in headers


def test_a_token_is_its_user_and_label(service):
    running = service()
    assert ask(running, authorization="Bearer token")[:2] == (200, "ci/deployment")


@pytest.mark.parametrize(
    ("shown", "error"),
    [("Bearer expired", "invalid_token"), ("Bearer tokem", "invalid_token"), ("Bearer a b", "invalid_request")],
)
def test_a_token_that_counts_for_nothing_is_told_so(service, caplog, shown, error):
    running = service()
    status, _, headers = ask(running, authorization=shown)
    assert status == 401
    assert headers.get_all("WWW-Authenticate")[0] == f'Bearer realm="the \\"shop\\"", error="{error}"'
    assert ask(running, "/open", shown)[1] == "/"
    assert "tokem" not in caplog.text


def test_other_schemes_and_open_routes_are_left_alone(service, caplog):
    running = service()
    assert ask(running, "/open", "Digest username=x")[:2] == (200, "/")
    assert ask(running, "/free", basic("ann", "wrong"))[:2] == (200, "/")
    assert refusals(caplog) == []


def test_users_of_other_plugins_are_asked_for(service):
    running = service()
    assert ask(running, authorization=basic("carl", "own"))[:2] == (200, "carl/basic")
    assert ask(running, authorization=basic("carl", "else"))[0] == 401


def test_a_peer_that_goes_on_is_slowed_and_one_that_was_right_is_not(service, caplog):
    running = service(attributes='attempts="3" attempt_period_ms="3600000"')
    assert ask(running, authorization=basic("ann", "secret"))[0] == 200
    assert [ask(running, authorization=basic("ann", f"wrong{number}"))[0] for number in range(3)] == [401] * 3
    status, _, headers = ask(running, authorization=basic("bob", "hidden"))  # although it is right
    assert (status, 3000 < int(headers["Retry-After"]) <= 3600) == (429, True)
    assert ask(running, authorization="Bearer tokem")[0] == 429
    assert ask(running, authorization=basic("ann", "secret"))[0] == 200
    assert ask(running, authorization="Bearer token")[0] == 200
    assert any("tries too often" in line for line in refusals(caplog))


def test_many_at_once_with_the_same_password_are_one_attempt(service):
    running = service(attributes='attempts="1" attempt_period_ms="3600000"')
    answers = []
    threads = [
        threading.Thread(target=lambda: answers.append(ask(running, authorization=basic("ann", "secret"))[0]))
        for _ in range(12)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert answers == [200] * 12


def proxied(running, address):
    """A connection that comes from elsewhere, as a proxy tells."""
    connection = connect(running)
    connection.connect()
    connection.sock.sendall(f"PROXY TCP4 {address} 10.0.0.1 4711 80\r\n".encode())
    return connection


def test_over_a_plain_connection_from_elsewhere_nothing_is_taken_or_asked_for(service, caplog):
    running = service(proxy="any")
    for shown in (basic("ann", "secret"), "Bearer token"):
        status, _, headers = ask(running, "/closed", shown, proxied(running, "192.0.2.1"))
        assert (status, "WWW-Authenticate" in headers) == (403, False)
    assert ask(running, "/closed", basic("ann", "secret"), proxied(running, "127.0.0.7"))[0] == 200
    assert len([line for line in refusals(caplog) if "192.0.2.1:4711: a " in line and "plain connection" in line]) == 2


def test_unless_the_stanza_allows_it(service, caplog):
    running = service(proxy="any", attributes='plaintext="allow"')
    assert ask(running, "/closed", basic("ann", "secret"), proxied(running, "192.0.2.1"))[0] == 200
    assert "which everybody on the way can read" in caplog.text


@pytest.fixture
def authority(tmp_path):
    issuer = trustme.CA()
    issuer.cert_pem.write_to_path(tmp_path / "ca.pem")
    server = issuer.issue_cert("localhost")
    server.private_key_pem.write_to_path(tmp_path / "key.pem")
    (tmp_path / "key.pem").chmod(0o600)
    (tmp_path / "cert.pem").write_bytes(b"".join(blob.bytes() for blob in server.cert_chain_pems))
    return issuer


def test_a_verified_certificate_is_its_user_unless_something_wrong_is_shown(service, authority, tmp_path):
    tls = "".join(
        f"<{key}>{tmp_path / name}</{key}>"
        for key, name in (("certificate", "cert.pem"), ("key", "key.pem"), ("ca_chain", "ca.pem"))
    )
    running = service(f'{PEOPLE}<certificate match="(\\w+) of ours"/>', listener=f"<sslconfig>{tls}</sslconfig>")
    bound = running.service(Listeners).bound[0]

    def over_tls(name=None, authorization=None):
        context = ssl.create_default_context(cafile=str(tmp_path / "ca.pem"))
        if name:
            authority.issue_cert(common_name=name).configure_cert(context)
        connection = http.client.HTTPSConnection("localhost", bound.port, timeout=30, context=context)
        connection._create_connection = lambda *_, **__: socket.create_connection((bound.address, bound.port), 30)
        return ask(running, "/closed", authorization, connection)

    assert over_tls("alice of ours")[:2] == (200, "alice/certificate")
    assert over_tls("alice of theirs")[0] == 401
    assert over_tls()[0] == 401
    assert over_tls("alice of ours", "Bearer tokem")[0] == 401
    assert over_tls("alice of ours", basic("ann", "wrong"))[0] == 401
    assert over_tls("alice of ours", basic("ann", "secret"))[:2] == (200, "ann/basic")


def test_a_file_is_read_again_when_it_changes(service, tmp_path, caplog):
    users = tmp_path / "users"
    users.write_text(f"ann:{hashed('first')}\n")
    users.chmod(0o600)
    running = service('<users file="users"/>')

    def look():  # the plugin looks by itself too; either way, afterwards it has seen the file as it is
        running.service(HttpAuthPlugin).refresh()
        running.call(asyncio.sleep, 0)

    assert ask(running, authorization=basic("ann", "first"))[0] == 200
    look()
    users.write_text(f"ann:{hashed('second')}\n# longer than before\n")
    look()
    assert ask(running, authorization=basic("ann", "first"))[0] == 401
    assert ask(running, authorization=basic("ann", "second"))[0] == 200
    users.write_text("ann:plain\n")
    look()
    look()
    assert caplog.text.count("the accounts from before stay in force") == 1
    assert running.plugin("http.auth").state == "degraded"
    assert ask(running, authorization=basic("ann", "second"))[0] == 200
    users.unlink()
    users.symlink_to("/nowhere")
    look()
    assert caplog.text.count("the accounts from before stay in force") == 2
    users.unlink()
    users.write_text(f"ann:{hashed('third')}\n")
    look()
    assert running.plugin("http.auth").state == "running"
    assert ask(running, authorization=basic("ann", "third"))[0] == 200


def test_what_cannot_be_used_stops_the_start(service):
    with pytest.raises(NotReady, match="bcrypt"):
        service('<user name="ann" password="$2b$12$abcdefghijklmnopqrstuv"/>')


def test_nobody_to_know_is_a_warning(service, caplog):
    assert ask(service(""))[0] == 401  # the shop has a user
    assert "names nobody" in caplog.text


def test_the_plugin_takes_no_config(mtev_kernel):
    generic = '<generic image="http.auth" name="http.auth"><config><realm>x</realm></config></generic>'
    with pytest.raises(NotReady, match="has its options in <http_auth>"):
        mtev_kernel(f"<app><modules>{generic}</modules></app>")


def test_a_reload_takes_the_new_stanza_or_refuses_it_whole(service, tmp_path, caplog):
    running = service()
    file = tmp_path / "app.conf"
    before = file.read_text()
    assert ask(running, authorization=basic("ann", "secret"))[0] == 200
    file.write_text(before.replace(hashed("secret"), hashed("other")))
    running.kernel.reload().result(30)
    assert ask(running, authorization=basic("ann", "secret"))[0] == 401
    assert ask(running, authorization=basic("ann", "other"))[0] == 200
    file.write_text(before.replace(hashed("secret"), "plain"))
    with pytest.raises(ConfigurationError, match="no hash"):
        running.kernel.reload().result(30)
    assert ask(running, authorization=basic("ann", "other"))[0] == 200


def test_a_file_that_everybody_may_read_is_told_of(service, tmp_path, caplog):
    users = tmp_path / "users"
    users.write_text(f"ann:{hashed('secret')}\n")
    users.chmod(0o644)
    service('<users file="users"/>')
    assert "everybody on this machine may read" in caplog.text
