"""XML in bodies: what is parsed, and what a stranger may not do with it."""

import asyncio
import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st
from lxml import etree

from mtev_http import BadRequest, Request, xml_response
from mtev_http.testing import LoopbackLink


class Source:
    def __init__(self, body: bytes) -> None:
        self.left = [body]

    async def read(self) -> bytes:
        return self.left.pop() if self.left else b""


def parse(body: bytes):
    return asyncio.run(Request("POST", "/", "1.1", [], LoopbackLink(), Source(body)).xml())


def test_a_document_is_parsed():
    root = parse('<?xml version="1.0" encoding="utf-8"?><a b="1"><!-- c -->käse<d/></a>'.encode())
    assert (root.tag, root.get("b"), root[1].tag) == ("a", "1", "d")


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"nonsense",
        b"<a>",
        b"<a/><b/>",
        b"<!DOCTYPE a><a/>",
        b'<!DOCTYPE a [<!ENTITY x SYSTEM "file:///etc/passwd">]><a>&x;</a>',
        b'<!DOCTYPE a [<!ENTITY x "y"><!ENTITY z "&x;&x;&x;">]><a>&z;</a>',
        b"<a>" * 300 + b"</a>" * 300,
        b"<a>\x00</a>",
    ],
)
def test_what_is_none_or_means_no_good_is_400(body):
    with pytest.raises(BadRequest):
        parse(body)


@given(st.binary(max_size=100))
def test_no_bytes_do_harm(noise):
    for body in (noise, b"<a>" + noise + b"</a>"):
        with contextlib.suppress(BadRequest):
            parse(body)


def test_a_response_of_xml():
    response = xml_response(etree.fromstring("<a><b>käse</b></a>"), 201)
    assert (response.status, response.content_type) == (201, "application/xml")
    assert response.body.decode() == "<?xml version='1.0' encoding='utf-8'?>\n<a>\n  <b>käse</b>\n</a>\n"
