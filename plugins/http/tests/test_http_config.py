"""Reading <rest>: what is refused, where the message points, and what the defaults are."""

import pytest

from mtev_conf import Configuration
from mtev_http._compression import Compression
from mtev_http._config import RestSettings, read_access, read_finishing, read_settings
from mtev_kernel import ConfigurationError


class Caller:
    user = auth = remote_cn = ""
    peer = ("127.0.0.1", 1)

    def __init__(self, path: str = "/") -> None:
        self.path = path
        self.config = {"acl": "internal"}


def document(*lines: str, **environ: str) -> Configuration:
    return Configuration.parse("\n".join(["<example1>", *lines, "</example1>"]), "app.conf", environ)


def test_the_documented_example_of_libmtev_works():
    access = read_access(
        document(
            "<rest>",
            '<acl type="deny" listener_acl="^internal$"><rule type="allow" url="."/></acl>',
            '<acl><rule type="allow" cn="^(noc|nagios)$"/></acl>',
            "</rest>",
        )
    )
    assert access.decide(Caller("/anything")).where == "app.conf:3"
    other = Caller()
    other.config = {}
    assert not access.decide(other).allowed


def test_the_type_of_an_acl_is_honoured():
    assert read_access(document('<rest><acl type="allow"/></rest>')).decide(Caller()).allowed
    assert not read_access(document("<rest><acl/></rest>")).decide(Caller()).allowed


def test_without_lists_the_denial_says_what_is_missing():
    assert str(read_access(document()).decide(Caller())) == "denied: app.conf has no <rest>"
    assert str(read_access(document("<rest/>")).decide(Caller())) == "denied: app.conf has no <acl> in its <rest>"


def test_lists_may_stand_in_containers_and_be_switched_off():
    access = read_access(
        document(
            "<rest><group>",
            '<acl type="deny" require_env="NO"/>',
            '<acl type="deny"><rule type="deny" require_env="NO"/><rule type="allow"/></acl>',
            "</group></rest>",
        )
    )
    assert access.decide(Caller()).where == "app.conf:4"


def test_every_condition_is_read():
    access = read_access(
        document('<rest><acl type="allow" user="" auth="" cn="" url="^/$" ip="127.0.0.0/8" listener_acl="int"/></rest>')
    )
    assert access.decide(Caller()).allowed
    assert not access.decide(Caller("/x")).allowed


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ('<acl url="("/>', "url='(' is not a regular expression"),
        ('<acl><rule type="allow" user="*"/></acl>', "user='*' is not a regular expression"),
        ('<acl cn="[" type="allow"/>', "cn='[' is not"),
        ('<acl listener_acl="(" type="allow"/>', "listener_acl='(' is not"),
        ('<acl listener_="x" type="allow"/>', "'listener_' is not known"),
        ('<acl ip="10.0.0.0/33" type="allow"/>', "ip='10.0.0.0/33' is neither"),
        ('<acl ip="localhost" type="allow"/>', "ip='localhost' is neither"),
        ('<acl ip="" type="allow"/>', "ip='' is neither"),
        ('<acl type="permit"/>', "type='permit' is neither 'allow' nor 'deny'"),
        ('<acl><rule type="ALLOW"/></acl>', "type='ALLOW' is neither"),
        ('<acl><rule type="allow" usr="ann"/></acl>', "'usr' is not known"),
        ('<acl type="allow" skipto="x"/>', "'skipto' is not known"),
        ('<acl><rule type="allow" skipto="x"/></acl>', "a type and a skipto"),
        ('<acl><rule skipto="x"/></acl>', "names no <rule> further down"),
        ('<acl><rule skipto=""/></acl>', "skipto is empty"),
        ('<acl><rule name="a"/><rule name="a"/></acl>', "app.conf:3 already"),
        ('<alc type="deny" url="^/secret"/>', "<alc>: not known in <rest>"),
        ('<acl type="allow"><rul type="deny"/></acl>', "<rul>: not expected here"),
        ('<acl type="allow"><acl type="deny"/></acl>', "<acl>: not expected here"),
        ('<acl type="allow"><rule><rule type="deny"/></rule></acl>', "a <rule> belongs into an <acl>"),
        ('<group><rule type="deny"/></group>', "a <rule> belongs into an <acl>"),
        ('<group url="^/x"><acl type="allow"/></group>', "'url' is not known"),
    ],
)
def test_what_could_let_in_too_much_is_refused_at_its_line(line, message):
    with pytest.raises(ConfigurationError) as caught:
        read_access(document("<rest>", line, "</rest>"))
    assert str(caught.value).startswith("app.conf:3: <")
    assert message in str(caught.value)


def test_the_settings_have_defaults_and_units():
    assert read_settings(document()) == RestSettings()
    settings = read_settings(
        document('<rest body_limit_bytes="10" body_timeout_ms="1500" keepalive_timeout_ms="250" header_count="7"/>')
    )
    assert settings.limits.body.size_bytes == 10
    assert settings.limits.body.timeout_s == 1.5
    assert settings.limits.keepalive_timeout_s == 0.25
    assert settings.limits.header_count == 7
    assert settings.drain_timeout_s == RestSettings().drain_timeout_s


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ('<rest body_limit="10"/>', "'body_limit' is not known"),
        ('<rest body_limit_bytes="many"/>', "body_limit_bytes"),
        ('<rest keepalive_timeout_ms="0"/>', "keepalive_timeout_ms"),
        ('<rest engine="apache"/>', "apache"),
        ('<rest engine="aiohttp"/><rest header_count="5"/>', "in one place"),
    ],
)
def test_settings_that_are_not_understood_are_refused(line, message):
    with pytest.raises(ConfigurationError) as caught:
        read_settings(document(line))
    assert str(caught.value).startswith("app.conf:2: ")
    assert message in str(caught.value)


def test_policies_are_read():
    finishing = read_finishing(
        document(
            '<rest request_ids="off">',
            '<compression encodings="deflate" min_bytes="10" level="9" types="image/*"/>',
            '<cors origin="https://a.example https://b.example" url="^/x" methods="put" headers="X-A" exposed="ETag"',
            ' credentials="on" max_age="5"/>',
            "</rest>",
        )
    )
    assert finishing.compression == Compression(("deflate",), 10, ("image/*",), 9)
    assert finishing.request_ids is False
    (cors,) = finishing.cors
    assert (cors.origins, cors.methods, cors.headers) == (
        ["https://a.example", "https://b.example"],
        ("PUT",),
        ("X-A",),
    )
    assert (cors.exposed, cors.credentials, cors.max_age_s, cors.url.pattern) == (("ETag",), True, 5, "^/x")
    plain = read_finishing(document())
    assert (plain.compression, plain.cors, plain.request_ids) == (Compression(), (), True)
    assert read_finishing(document('<rest><compression encodings=""/></rest>')).compression.encodings == ()


def test_limits_of_time_and_of_connections_are_read():
    settings = read_settings(
        document('<rest time_limit_ms="0" write_timeout_ms="1500" requests_per_connection="7" request_ids="off"/>')
    )
    assert (settings.time_limit_s, settings.limits.write_timeout_s) == (0, 1.5)
    assert (settings.limits.requests_per_connection, settings.request_ids) == (7, False)


@pytest.mark.parametrize(
    ("line", "complaint"),
    [
        ("<cors/>", "it names no origin"),
        ('<cors origin="console.example.net"/>', "'console.example.net' is no origin"),
        ('<cors origin="https://a.example/"/>', "'https://a.example/' is no origin"),
        ('<cors origin="*" credentials="on"/>', "any page act as the user"),
        ('<cors origin="*" url="("/>', r"url='\(' is not a regular expression"),
        ('<cors origin="*" exposed="a:b"/>', "'a:b' is not the name of a header"),
        ('<cors origin="*" max_age="-1"/>', "max_age"),
        ('<cors origin="*" origins="x"/>', "the attribute 'origins' is not known"),
        ('<compression encodings="br"/>', "the encoding 'br' cannot be made; expected gzip, deflate"),
        ('<compression level="10"/>', "level"),
        ("<compression/><compression/>", r"compression is set at app\.conf:2 already"),
        ("<group><cors origin='*'/></group>", "stand in <rest>, and hold nothing"),
        ("<cors origin='*'><acl/></cors>", "stand in <rest>, and hold nothing"),
    ],
)
def test_a_policy_that_is_not_understood_is_refused(line, complaint):
    configuration = document(f"<rest>{line}</rest>")

    def read() -> None:
        read_access(configuration)
        read_finishing(configuration)

    with pytest.raises(ConfigurationError, match=rf"app\.conf:2.*{complaint}"):
        read()
