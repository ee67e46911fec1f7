"""Static files: which paths mean a file, what may be opened, and what a client gets."""

import asyncio
import os
import threading
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mtev_http import Request
from mtev_http._dates import format_date
from mtev_http._files import open_below
from mtev_http._serving import document, file_response
from mtev_http._static import media_type, segments
from mtev_http.testing import LoopbackLink


@pytest.mark.parametrize(
    ("path", "names"),
    [
        ("", ("index.html",)),
        ("a.txt", ("a.txt",)),
        ("a/b.txt", ("a", "b.txt")),
        ("a/", ("a", "index.html")),
        ("a b/ä", ("a b", "ä")),
        ("..", None),
        ("../x", None),
        ("a/../b", None),
        (".git/config", None),
        ("a/.htaccess", None),
        ("./a", None),
        ("//a", None),
        ("a//b", None),
        ("/etc/passwd", None),
        ("a\\..\\b", None),
        ("a\0b", None),
        ("x" * 256, None),
        ("a/" * 64 + "a", None),
    ],
)
def test_paths(path, names):
    assert segments(path, "index.html") == names


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("a.html", "text/html; charset=utf-8"),
        ("A.JPG", "image/jpeg"),
        ("a.tar.gz", "application/gzip"),
        ("a.lua", "text/x-mine"),
        ("a", "application/octet-stream"),
        ("html", "application/octet-stream"),
        (".html", "application/octet-stream"),
        ("a.", "application/octet-stream"),
        ("a.unknown", "application/octet-stream"),
    ],
)
def test_types(name, kind):
    assert media_type(name, {"mime_type_lua": "text/x-mine"}) == kind


@pytest.fixture(scope="module")
def tree(tmp_path_factory) -> Path:
    top = tmp_path_factory.mktemp("tree")
    root, outside = top / "www", top / "www2"
    for directory in (root / "sub", outside):
        directory.mkdir(parents=True)
    (root / "index.html").write_text("<p>index</p>")
    (root / "sub" / "index.html").write_text("sub")
    (root / "sub" / "file.txt").write_text("file")
    (root / "empty.txt").touch()
    (root / "big.bin").write_bytes(bytes(range(256)) * 1000)
    (root / ".secret").write_text("secret")
    (outside / "secret.txt").write_text("secret")
    (root / "inside.txt").symlink_to("sub/file.txt")
    (root / "sub" / "up.txt").symlink_to("../sub/./file.txt")
    (root / "dir").symlink_to("sub")
    (root / "out.txt").symlink_to("../www2/secret.txt")
    (root / "absolute.txt").symlink_to(outside / "secret.txt")
    (root / "absolute_inside.txt").symlink_to(root / "index.html")
    (root / "outdir").symlink_to("../www2")
    (root / "loop").symlink_to("loop")
    (root / "dangling").symlink_to("nothing")
    os.mkfifo(root / "pipe")
    (top / "link").symlink_to("www")
    return root


def content(root: Path, *names: str) -> bytes | None:
    opened = open_below(str(root), names)
    if opened is None:
        return None
    try:
        return os.pread(opened.descriptor, opened.size_bytes, 0)
    finally:
        os.close(opened.descriptor)


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (["index.html"], b"<p>index</p>"),
        (["sub", "file.txt"], b"file"),
        (["inside.txt"], b"file"),
        (["sub", "up.txt"], b"file"),
        (["dir", "file.txt"], b"file"),
        (["dir", "up.txt"], b"file"),
        (["empty.txt"], b""),
        (["sub"], None),
        (["dir"], None),
        (["nothing"], None),
        (["index.html", "x"], None),
        (["out.txt"], None),
        (["absolute.txt"], None),
        (["absolute_inside.txt"], None),
        (["outdir", "secret.txt"], None),
        (["loop"], None),
        (["loop", "x"], None),
        (["dangling"], None),
        (["pipe"], None),
        (["x" * 300], None),
    ],
)
def test_what_may_be_opened(tree, names, expected):
    assert content(tree, *names) == expected
    assert content(tree.parent / "link", *names) == expected


def test_no_descriptor_is_left_open(tree):
    before = len(list(Path("/proc/self/fd").iterdir()))
    for names in (["index.html"], ["dir", "up.txt"], ["outdir", "secret.txt"], ["loop"], ["sub"], ["nothing"]):
        content(tree, *names)
    assert len(list(Path("/proc/self/fd").iterdir())) == before


def test_a_directory_that_is_exchanged_while_it_is_opened_leads_nowhere(tmp_path):
    root, secret = tmp_path / "root", tmp_path / "secret"
    root.mkdir()
    secret.mkdir()
    (secret / "f").write_text("secret")
    real, link, place = tmp_path / "real", tmp_path / "link", root / "d"
    real.mkdir()
    (real / "f").write_text("public")
    link.symlink_to(secret)
    stop = threading.Event()

    def exchange() -> None:
        while not stop.is_set():
            real.rename(place)
            place.rename(real)
            link.rename(place)
            place.rename(link)

    thread = threading.Thread(target=exchange)
    thread.start()
    try:
        seen = {content(root, "d", "f") for _ in range(3000)}
    finally:
        stop.set()
        thread.join()
    assert b"secret" not in seen


@given(
    st.lists(
        st.sampled_from(["sub", "dir", "outdir", "out.txt", "up.txt", "file.txt", "loop", "secret.txt"]),
        min_size=1,
        max_size=5,
    )
)
def test_no_way_leads_out(tree, names):
    assert content(tree, *names) in (None, b"file")


class Ask:
    def __init__(self, root: Path, **config: str) -> None:
        self.config = {"document_root": str(root)} | config

    def __call__(self, path: str, method: str = "GET", **fields: str):
        raw = [(name.replace("_", "-").encode(), value.encode()) for name, value in fields.items()]
        request = Request(method, path, "1.1", raw, LoopbackLink(config=self.config))

        async def main():
            response = await document(request)
            if response.stream is None:
                return response, response.body
            try:
                body = b"".join([piece async for piece in response.stream])
            finally:
                await response.stream.close()
            assert len(body) == response.stream.length
            return response, body

        return asyncio.run(main())


def test_a_file_is_served_with_its_type_tag_and_date(tree):
    ask = Ask(tree)
    response, body = ask("/")
    assert (response.status, response.content_type, body) == (200, "text/html; charset=utf-8", b"<p>index</p>")
    about = (tree / "index.html").stat()
    assert response.headers["last-modified"] == format_date(about.st_mtime)
    assert response.headers["x-content-type-options"] == "nosniff"
    tag = response.headers["etag"]
    assert ask("/", If_None_Match=tag)[0].status == 304
    assert ask("/", If_None_Match='"other"')[0].status == 200
    assert ask("/", If_Modified_Since=format_date(about.st_mtime))[0].status == 304
    assert ask("/", If_Match='"other"')[0].status == 412
    assert ask("/sub/")[1] == b"sub"
    assert Ask(tree, index_file="file.txt")("/sub/")[1] == b"file"
    os.utime(tree / "index.html", (1, 1))
    assert ask("/", If_None_Match=tag)[0].status == 200


@pytest.mark.parametrize(
    "path", ["/nothing", "/sub", "/.secret", "/%2e%2e/www2/secret.txt", "/out.txt", "/sub%2F..%2Fx"]
)
def test_what_is_not_there_and_what_must_not_be_seen_look_alike(tree, path):
    response, body = Ask(tree)(path)
    assert (response.status, body) == (404, b'{"error":"not found"}\n')


def test_parts_of_a_file(tree):
    ask, whole = Ask(tree), bytes(range(256)) * 1000
    response, body = ask("/big.bin")
    assert (response.status, body, response.stream.length) == (200, whole, 256_000)
    response, body = ask("/big.bin", Range="bytes=1000-1999")
    assert (response.status, body) == (206, whole[1000:2000])
    assert response.headers["content-range"] == "bytes 1000-1999/256000"
    tag = response.headers["etag"]
    assert ask("/big.bin", Range="bytes=0-0", If_Range=tag)[0].status == 206
    assert ask("/big.bin", Range="bytes=0-0", If_Range='"old"')[0].status == 200
    response, body = ask("/big.bin", Range="bytes=0-1,-2")
    assert response.content_type.startswith("multipart/byteranges; boundary=")
    assert b"Content-Range: bytes 255998-255999/256000\r\n\r\n\xfe\xff\r\n" in body
    response, body = ask("/big.bin", Range="bytes=256000-")
    assert (response.status, response.headers["content-range"]) == (416, "bytes */256000")
    assert ask("/big.bin", "HEAD", Range="bytes=0-0")[0].status == 200
    assert ask("/big.bin", "PUT")[0].status == 405
    assert ask("/empty.txt")[1] == b""


def test_a_file_of_the_services_own_choice(tree, tmp_path):
    (tmp_path / "link").symlink_to(tree / "index.html")

    def send(path, **options):
        return asyncio.run(file_response(Request("GET", "/", "1.1", [], LoopbackLink()), path, **options))

    response = send(tmp_path / "link", content_type="text/plain", download='käse "1".txt')
    assert (response.status, response.body, response.content_type) == (200, b"<p>index</p>", "text/plain")
    assert response.headers["content-disposition"] == (
        "attachment; filename=\"k_se _1_.txt\"; filename*=UTF-8''k%C3%A4se%20%221%22.txt"
    )
    assert send(tree / "nothing").status == 404
    assert send(tree / "sub").status == 404
