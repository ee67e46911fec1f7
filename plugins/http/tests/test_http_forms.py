"""Forms: what a browser sends, however it is cut, and what nobody should."""

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mtev_http import BadRequest, BodyLimits, FormLimits, HttpError, Request, UnsupportedMediaType
from mtev_http._forms import MultipartReader, PartHead
from mtev_http.testing import LoopbackLink

BOUNDARY = b"----WebKitFormBoundary7MA4YWxkTrZu0gW"
FORM = (
    b"--" + BOUNDARY + b'\r\nContent-Disposition: form-data; name="name"\r\n\r\nk\xc3\xa4se\r\n'
    b"--" + BOUNDARY + b'\r\nContent-Disposition: form-data; name="file"; filename="C:\\dir\\b\xc3\xa4r.txt"\r\n'
    b"Content-Type: text/csv\r\n\r\none\r\ntwo\r\n--not it\r\n"
    b"--" + BOUNDARY + b'\r\nContent-Disposition: form-data; name="name"\r\n\r\n\r\n'
    b"--" + BOUNDARY + b"--\r\n"
)


class Pieces:
    def __init__(self, body: bytes, size: int) -> None:
        self.pieces = [body[at : at + size] for at in range(0, len(body), size)]

    async def read(self) -> bytes:
        return self.pieces.pop(0) if self.pieces else b""


def request(
    body: bytes, kind: str = f"multipart/form-data; boundary={BOUNDARY.decode()}", size: int = 1 << 20
) -> Request:
    raw = [(b"Content-Type", kind.encode())]
    return Request("POST", "/", "1.1", raw, LoopbackLink(), Pieces(body, size), BodyLimits(size_bytes=1 << 20))


def form(*args, limits: FormLimits | None = None, **kw):
    return asyncio.run(request(*args, **kw).form(limits))


@given(st.integers(1, len(FORM)))
def test_a_form_is_the_same_however_it_is_cut(size):
    read = form(FORM, size=size)
    assert read.fields.pairs == (("name", "käse"), ("name", ""))
    ((upload,),) = read.files.values()
    assert (upload.filename, upload.content_type, upload.body) == ("bär.txt", "text/csv", b"one\r\ntwo\r\n--not it")


def test_a_urlencoded_form():
    read = form(b"a=1&b=k%C3%A4se+x&a=2", "application/x-www-form-urlencoded; charset=utf-8")
    assert (read.fields["a"], read.fields.all("a"), read.fields["b"]) == ("1", ["1", "2"], "käse x")
    with pytest.raises(BadRequest):
        form(b"a=%zz", "application/x-www-form-urlencoded")


def test_parts_can_be_read_as_they_come_and_skipped():
    async def main():
        seen = []
        async for part in request(FORM, size=7).multipart():
            if part.filename is None:
                continue
            seen.append((part.name, part.filename, b"".join([piece async for piece in part])))
        return seen

    assert asyncio.run(main()) == [("file", "bär.txt", b"one\r\ntwo\r\n--not it")]


def test_a_part_is_read_up_to_a_limit():
    async def main(limit):
        async for part in request(FORM).multipart():
            if part.filename is not None:
                return await part.read(limit)
        return None

    assert asyncio.run(main(18)) == b"one\r\ntwo\r\n--not it"
    with pytest.raises(HttpError, match="larger than 17 bytes"):
        asyncio.run(main(17))


@pytest.mark.parametrize(
    ("limits", "complaint"),
    [
        (FormLimits(parts=2), "more than 2 parts"),
        (FormLimits(field_bytes=4), "a part of the form is too large"),
        (FormLimits(file_bytes=4), "a part of the form is too large"),
        (FormLimits(header_bytes=20), "malformed"),
        (FormLimits(headers=1), "malformed"),
    ],
)
def test_limits(limits, complaint):
    with pytest.raises(HttpError, match=complaint):
        form(FORM, limits=limits)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        FORM[:-10],
        FORM.replace(b'name="name"', b"nothing"),
        FORM.replace(b"form-data", b"attachment"),
        FORM.replace(b"k\xc3\xa4se", b"\xff"),
        b"no form at all",
        b"--" + BOUNDARY + b"--\r\n"[:1],
    ],
)
def test_what_is_no_form_is_400(body):
    with pytest.raises(BadRequest):
        form(body)


@pytest.mark.parametrize("kind", ["", "text/plain", "multipart/mixed; boundary=x"])
def test_what_does_not_claim_to_be_one_is_415(kind):
    with pytest.raises(UnsupportedMediaType):
        form(FORM, kind)


@pytest.mark.parametrize(
    "kind", ["multipart/form-data", "multipart/form-data; boundary=", f"multipart/form-data; boundary={'x' * 71}"]
)
def test_a_boundary_has_to_be_one(kind):
    with pytest.raises(BadRequest, match="boundary"):
        form(FORM, kind)


@given(st.binary(max_size=300), st.integers(1, 50))
def test_no_bytes_do_harm(noise, at):
    for body in (noise, FORM[:at] + noise + FORM[at:], FORM[: at * 7] + noise):
        reader = MultipartReader(BOUNDARY, FormLimits())
        try:
            events = reader.feed(body)
            reader.finish()
        except HttpError:
            continue
        assert all(event is None or isinstance(event, bytes | PartHead) for event in events)


values = st.binary(max_size=200).filter(lambda value: b"--" not in value)


@given(st.lists(st.tuples(st.text("abc", min_size=1, max_size=5), values), max_size=8), st.integers(1, 64))
def test_what_is_sent_is_what_is_read(files, size):
    body = (
        b"".join(
            b'--x\r\nContent-Disposition: form-data; name="%b"; filename="f"\r\n\r\n%b\r\n' % (name.encode(), value)
            for name, value in files
        )
        + b"--x--\r\n"
    )
    read = form(body, "multipart/form-data; boundary=x", size=size)
    expected = {}
    for name, value in files:
        expected.setdefault(name, []).append(value)
    assert {name: [each.body for each in uploads] for name, uploads in read.files.items()} == expected
