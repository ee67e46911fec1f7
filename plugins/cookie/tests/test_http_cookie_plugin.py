"""The plugin in a real service, over real sockets."""

import base64
import http.client
import ssl
import time
from contextlib import closing
from http.cookies import SimpleCookie
from urllib.parse import urlencode

import pytest
import trustme

from mtev_http import Response, Rest
from mtev_http_cookie import COOKIE, Login, decode, encode
from mtev_kernel import Plugin, hookimpl
from mtev_kernel.testing import NotReady, PluginConformance, inline
from mtev_listener import Listeners

KEY = bytes(range(32))
KEY_TEXT = base64.b64encode(KEY).decode()
CONFIG = """<app>
  <modules>
    <generic image="http_hmac_cookie" name="http_hmac_cookie"><config>{options}</config></generic>
    <generic image="shop" name="shop"/>
  </modules>
  <listeners address="127.0.0.1"><listener type="http_rest_api" port="0" ssl="{ssl}">{listener}</listener></listeners>
  <rest linger_timeout_ms="50"><acl>{login}
    <rule type="deny" url="^/admin"/>
    <rule type="allow" user="."/>
  </acl></rest>
</app>"""
OPTIONS = f"<key>{KEY_TEXT}</key><user_test>swordfish</user_test>"
LOGIN = '<rule type="allow" url="^/log(in|out)$"/>'
HTML = {"Accept": "text/html,application/xhtml+xml;q=0.9,*/*;q=0.8"}


class TestConformance(PluginConformance):
    """The rules that every plugin keeps."""

    plugin = "http.cookie"
    config = f"""<app>
      <modules><generic image="http_hmac_cookie" name="http_hmac_cookie"><config>{OPTIONS}</config></generic></modules>
      <listeners address="127.0.0.1"><listener type="http_rest_api" port="0"/></listeners><rest><acl/></rest></app>"""


class Shop(Plugin):
    """Somebody else's plugin: routes that tell who asks, and who knows passwords."""

    manifest = """
        id = "shop"
        summary = "sells"
        api = "1.0"
        requires = ["http"]
        implements = ["http_auth"]
    """

    def start(self):
        rest = self.context.services.require(Rest)
        rest.add("GET", "/", "^(shop|admin)", self.tell, summary="who asks")
        rest.add("POST", "/", "^shop", self.tell, summary="who asks")
        rest.add("GET", "/", "^public$", self.public, summary="for caches")

    def tell(self, request):
        return Response(200, f"{request.user}/{request.auth}")

    def public(self, request):
        return Response(200, "x", headers={"Cache-Control": "public, max-age=60"})

    @hookimpl
    async def http_auth(self, request, user, password):
        return password == "sécret & more" if user in ("ann", "Ännchen") else None


@pytest.fixture
def service(mtev_kernel):
    def start(options=OPTIONS, login=LOGIN, listener=""):
        text = CONFIG.format(options=options, login=login, listener=listener, ssl="on" if listener else "off")
        return mtev_kernel(text, plugins=[inline(Shop, Shop.manifest)])

    return start


def ask(running, path, method="GET", body=None, headers=None, *, context=None):
    bound = running.service(Listeners).bound[0]
    if context is None:
        connection = http.client.HTTPConnection(bound.address, bound.port, timeout=30)
    else:
        connection = http.client.HTTPSConnection("127.0.0.1", bound.port, timeout=30, context=context)
    with closing(connection):
        connection.request(method, path, body, headers or {})
        answer = connection.getresponse()
        return answer.status, answer.read().decode(), answer.headers


def log_in(running, user="ann", password="sécret & more", whereto="/shop?x=1", headers=None, context=None):
    form = urlencode({"username": user, "password": password, "whereto": whereto})
    headers = {"Content-Type": "application/x-www-form-urlencoded", **(headers or {})}
    return ask(running, "/login", "POST", form, headers, context=context)


def cookie_of(headers):
    (field,) = headers.get_all("Set-Cookie")
    return SimpleCookie(field)[COOKIE]


def with_cookie(text):
    return {"Cookie": f"other=1; {COOKIE}={text}; more=2"}


def made(user="ann", auth="x", lasts_s=86400, key=KEY):
    return with_cookie(encode(Login(user, auth, int(time.time()) + lasts_s), key))


def test_a_browser_is_sent_to_the_login_and_back(service):
    running = service()
    status, _, headers = ask(running, "/shop?x=1", headers=HTML)
    assert (status, headers["Location"]) == (302, "/login?whereto=%2Fshop%3Fx%3D1")
    status, page, headers = ask(running, headers["Location"], headers=HTML)
    assert (status, headers.get_content_type()) == (200, "text/html")
    assert '<input type="hidden" name="whereto" value="/shop?x=1">' in page
    assert "frame-ancestors 'none'" in headers["Content-Security-Policy"]
    status, _, headers = log_in(running)
    assert (status, headers["Location"], headers["Cache-Control"]) == (303, "/shop?x=1", "no-store")
    cookie = cookie_of(headers)
    assert (cookie["path"], cookie["max-age"], cookie["httponly"], cookie["samesite"]) == ("/", "86400", True, "Lax")
    assert (cookie["secure"], cookie["domain"]) == ("", "")
    login = decode(cookie.value, KEY, time.time())
    assert (login.user, login.auth) == ("ann", "hmac_cookie")
    assert abs(login.expires_s - time.time() - 86400) < 60
    status, body, headers = ask(running, "/shop?x=1", headers=with_cookie(cookie.value))
    assert (status, body) == (200, "ann/hmac_cookie")
    assert headers.get_all("Set-Cookie") is None


def test_who_is_no_browser_is_told_401(service):
    running = service()
    for headers in ({}, {"Accept": "application/json"}, {"Accept": "text/html;q=0, */*"}):
        status, _, answered = ask(running, "/shop", headers=headers)
        assert status == 401
        assert answered["WWW-Authenticate"] == 'Cookie form-action="/login", cookie-name="mtevauth"'


@pytest.mark.parametrize(
    ("user", "password", "status"),
    [
        ("ann", "wrong", 401),
        ("nobody", "x", 401),
        ("", "x", 400),
        ("ann", "", 400),
        ("a\nb", "x", 400),
        ("test", "wrong", 401),
    ],
)
def test_a_wrong_password_gets_the_form_again(service, caplog, user, password, status):
    answered, page, headers = log_in(service(), user, password)
    assert answered == status
    assert 'role="alert"' in page
    assert 'value="/shop?x=1"' in page
    assert headers.get_all("Set-Cookie") is None
    assert status == 400 or "a login failed" in caplog.text


def test_users_for_tests_log_in_with_a_warning(service, caplog):
    running = service()
    cookie = cookie_of(log_in(running, "test", "swordfish")[2])
    assert ask(running, "/shop", headers=with_cookie(cookie.value))[1] == "test/hmac_cookie_test"
    assert "<user_test>: for tests only" in caplog.text
    assert "swordfish" not in caplog.text


def test_names_and_passwords_are_those_of_people(service):
    running = service()
    cookie = cookie_of(log_in(running, "Ännchen")[2])
    assert ask(running, "/shop", headers=with_cookie(cookie.value))[:2] == (200, "Ännchen/hmac_cookie")


@pytest.mark.parametrize(
    "body", ["username=ann&password=s%C3%A9cret+%26+more", "password=s%c3%a9cret%20%26%20more&username=ann&whereto="]
)
def test_the_form_takes_what_browsers_send(service, body):
    headers = {"Content-Type": "application/x-www-form-urlencoded; charset=UTF-8"}
    status, _, answered = ask(service(), "/login", "POST", body, headers)
    assert (status, answered["Location"]) == (303, "/")


def test_a_multipart_form_is_taken_and_something_else_is_not(service):
    running = service()
    parts = "".join(
        f'--x\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n'
        for name, value in (("username", "ann"), ("password", "sécret & more"))
    )
    body = (parts + "--x--\r\n").encode()
    assert ask(running, "/login", "POST", body, {"Content-Type": "multipart/form-data; boundary=x"})[0] == 303
    assert ask(running, "/login", "POST", "{}", {"Content-Type": "application/json"})[0] == 415
    assert ask(running, "/login", "POST", "x" * 20000, {"Content-Type": "application/x-www-form-urlencoded"})[0] == 413


@pytest.mark.parametrize(
    "whereto", ["//evil.example", "https://evil.example/", "/\\evil.example", "/\t/evil.example", "evil"]
)
def test_nobody_is_sent_elsewhere(service, whereto):
    running = service()
    assert log_in(running, whereto=whereto)[2]["Location"] == "/"
    page = ask(running, f"/login?{urlencode({'whereto': whereto})}")[1]
    assert "evil" not in page


def test_a_request_for_two_slashes_is_not_a_way_out(service):
    status, _, headers = ask(service(), "//evil.example/shop", headers=HTML)
    assert status in (302, 404)
    assert "evil" not in headers.get("Location", "")


def test_the_page_shows_what_it_was_given_as_text(service):
    page = ask(service(), f"/login?{urlencode({'whereto': '/<script>' + chr(34)})}")[1]
    assert "<script>" not in page
    assert "/&lt;script&gt;&quot;" in page


@pytest.mark.parametrize(
    "headers",
    [
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
        {"Origin": "http://[", "Host": "["},
    ],
)
def test_the_form_of_another_site_is_refused(service, headers):
    running = service()
    status, _, answered = log_in(running, headers=headers)
    assert status in (400, 403)
    assert answered.get_all("Set-Cookie") is None
    assert ask(running, "/logout", "POST", headers=headers)[0] in (400, 403)


def test_the_form_of_this_one_is_taken(service):
    running = service()
    assert log_in(running, headers={"Sec-Fetch-Site": "same-origin", "Origin": "https://behind.a.proxy"})[0] == 303
    assert log_in(running, headers={"Origin": "http://shop.example:81", "Host": "shop.example:81"})[0] == 303


@pytest.mark.parametrize(
    "headers",
    [
        made(lasts_s=-1),
        made(key=b"k" * 32),
        with_cookie("x"),
        with_cookie(""),
        {"Cookie": COOKIE},
        {"Cookie": f"{COOKIE}x=1"},
        with_cookie(encode(Login("ann", "x", int(time.time()) + 99), KEY).replace("ann", "bob")),
    ],
)
def test_a_cookie_that_is_old_or_was_made_up_is_none(service, headers):
    running = service()
    assert ask(running, "/shop", headers=headers)[0] == 401
    assert ask(running, "/login", headers=headers)[0] == 200


def test_the_first_cookie_that_counts_is_taken_of_a_few(service):
    running = service()
    good = made()["Cookie"]
    assert ask(running, "/shop", headers={"Cookie": f"{COOKIE}=bad; {good}"})[0] == 200
    assert ask(running, "/shop", headers={"Cookie": f"{COOKIE}=bad; " * 4 + good})[0] == 401


def test_a_cookie_is_given_out_anew_after_half_of_its_life(service):
    running = service()
    assert ask(running, "/shop", headers=made(lasts_s=50000))[2].get_all("Set-Cookie") is None
    status, _, headers = ask(running, "/shop", headers=made(auth="elsewhere", lasts_s=40000))
    login = decode(cookie_of(headers).value, KEY, time.time())
    assert (status, login.user, login.auth) == (200, "ann", "elsewhere")
    assert login.expires_s > time.time() + 80000
    assert headers["Cache-Control"] == "private"
    assert ask(running, "/public", headers=made(lasts_s=40000))[2].get_all("Set-Cookie") is None


@pytest.mark.parametrize(("reissue", "lasts_s", "given"), [("always", 86000, True), ("never", 10, False)])
def test_or_always_as_in_libmtev_or_never(service, reissue, lasts_s, given):
    running = service(f"{OPTIONS}<reissue>{reissue}</reissue>")
    headers = ask(running, "/shop", headers=made(lasts_s=lasts_s))[2]
    assert (headers.get_all("Set-Cookie") is not None) == given


def test_a_logout_takes_the_cookie_back(service):
    running = service()
    status, page, _ = ask(running, "/logout", headers=made())
    assert (status, "You are logged in as ann." in page) == (200, True)
    status, _, headers = ask(running, "/logout", "POST", headers=made(lasts_s=10))
    assert (status, headers["Location"]) == (303, "/login")
    cookie = cookie_of(headers)
    assert (cookie.value, cookie["max-age"], cookie["path"]) == ("", "0", "/")


def test_who_may_not_although_logged_in_is_told_so(service):
    running = service()
    status, page, _ = ask(running, "/admin", headers={**HTML, **made("a<b", "hmac_cookie")})
    assert status == 403
    assert "a&lt;b" in page
    assert 'href="/login?whereto=%2Fadmin"' in page
    assert ask(running, "/admin", headers=made())[0] == 403


def test_a_form_that_was_denied_comes_back_to_the_beginning(service):
    status, _, headers = ask(service(), "/shop", "POST", "x", HTML)
    assert (status, headers["Location"]) == (302, "/login")


def test_where_the_lists_deny_the_login_itself_the_log_says_so_once(service, caplog):
    running = service(login="")
    for _ in range(2):
        assert ask(running, "/login", headers=HTML)[0] == 403
    assert caplog.text.count("nobody can log in") == 1


def test_domain_secure_and_same_site(service):
    running = service(f"{OPTIONS}<domain>example.com</domain><secure>on</secure><same_site>strict</same_site>")
    cookie = cookie_of(log_in(running)[2])
    assert (cookie["domain"], cookie["secure"], cookie["samesite"]) == ("example.com", True, "Strict")


def test_over_tls_the_cookie_stays_there(service, tmp_path):
    issuer = trustme.CA()
    issuer.issue_cert("127.0.0.1").private_key_and_cert_chain_pem.write_to_path(tmp_path / "both.pem")
    (tmp_path / "both.pem").chmod(0o600)
    both = tmp_path / "both.pem"
    running = service(listener=f"<sslconfig><certificate>{both}</certificate><key>{both}</key></sslconfig>")
    context = ssl.create_default_context()
    issuer.configure_trust(context)
    assert cookie_of(log_in(running, context=context)[2])["secure"] is True


def test_without_a_key_there_is_a_warning_and_logins_work(service, caplog):
    running = service("")
    assert "there is no <key>" in caplog.text
    cookie = cookie_of(log_in(running)[2])
    assert ask(running, "/shop", headers=with_cookie(cookie.value))[0] == 200


def test_a_key_that_is_none_stops_the_start(service):
    with pytest.raises(NotReady, match="expected 32 random ones"):
        service("<key>c2hvcnQ=</key>")
