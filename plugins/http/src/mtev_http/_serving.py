"""Files as responses: conditions, ranges, and what is read at once or streamed."""

from __future__ import annotations

import asyncio
import os
import re
from collections.abc import AsyncIterator, Mapping
from pathlib import PurePath
from urllib.parse import quote

from ._conditional import evaluate, range_applies
from ._dates import format_date
from ._files import OpenFile, open_below, open_file
from ._ranges import Multipart, Span, content_range, resolve
from ._request import Request
from ._response import Response, error_response
from ._static import DEFAULT_INDEX, media_type, segments
from ._stream import FileStream, Stream

__all__ = ["document", "file_response"]

_AT_ONCE_BYTES = 64 * 1024
_PIECE_BYTES = 256 * 1024


async def document(request: Request) -> Response:
    """The file below `document_root` of the listener that a request means; 404 when there is none.

    Options of the listener: `document_root`, `index_file` and `mime_type_EXT`.
    """
    config = request.config
    names = segments(request.path[1:], config.get("index_file") or DEFAULT_INDEX)
    if names is None:
        return error_response(404, "not found")
    opened = await asyncio.to_thread(open_below, config["document_root"], names)
    if opened is None:
        return error_response(404, "not found")
    return await _answer(request, opened, media_type(names[-1], config), [])


async def file_response(
    request: Request,
    path: str | os.PathLike[str],
    *,
    content_type: str | None = None,
    download: str | None = None,
    config: Mapping[str, str] = {},
) -> Response:
    """A file of the service's own choice, with conditions and ranges.

    Args:
        request: its conditions and ranges are honoured.
        path: of the file. Never a text from a peer: for those there is `document_root`.
        content_type: None to go by the name.
        download: under which name a browser is to save it; None to show it.
        config: as for the media types of a listener: `mime_type_EXT`.

    Returns:
        The response; 404 when there is no such file, or it is no plain one.

    Raises:
        OSError: it cannot be read.
    """
    opened = await asyncio.to_thread(open_file, path)
    if opened is None:
        return error_response(404, "not found")
    headers: list[tuple[str, str]] = []
    if download is not None:
        headers.append(("Content-Disposition", _attachment(download)))
    return await _answer(request, opened, content_type or media_type(PurePath(path).name, config), headers)


async def _answer(request: Request, file: OpenFile, kind: str, headers: list[tuple[str, str]]) -> Response:
    """The response with an open file, which it takes over."""
    descriptor: int | None = file.descriptor
    try:
        if request.method not in ("GET", "HEAD"):
            return error_response(405, "method not allowed", headers={"Allow": "GET, HEAD"})
        headers += [
            ("ETag", file.tag),
            ("Last-Modified", format_date(file.modified_s)),
            ("Accept-Ranges", "bytes"),
            ("X-Content-Type-Options", "nosniff"),
        ]
        status = evaluate(request.method, request.headers, file.tag, file.modified_s)
        if status != 200:
            return Response(status, headers=headers) if status == 304 else error_response(412, "precondition failed")
        spans = None
        asked = request.headers.get("range")
        if asked is not None and request.method == "GET" and range_applies(request.headers, file.tag, file.modified_s):
            spans = resolve(asked, file.size_bytes)
        if spans is None:
            if file.size_bytes <= _AT_ONCE_BYTES:
                body = await asyncio.to_thread(_all, file)
                return Response(200, body, content_type=kind, headers=headers)
            descriptor = None
            return Response(200, FileStream(file.descriptor, 0, file.size_bytes), content_type=kind, headers=headers)
        if not spans:
            return error_response(416, "no such range", headers={"Content-Range": content_range(None, file.size_bytes)})
        descriptor = None
        if len(spans) == 1:
            (span,) = spans
            headers.append(("Content-Range", content_range(span, file.size_bytes)))
            part = FileStream(file.descriptor, span.offset, span.size)
            return Response(206, part, content_type=kind, headers=headers)
        parts = Multipart(spans, file.size_bytes, kind)
        stream = Stream(_parts(file.descriptor, parts), parts.length)
        return Response(206, stream, content_type=parts.content_type, headers=headers)
    finally:
        if descriptor is not None:
            os.close(descriptor)


def _attachment(name: str) -> str:
    """What has a browser save something under a name (RFC 6266)."""
    plain = re.sub(r"[^ -~]|[\"\\%]", "_", name)
    return f"attachment; filename=\"{plain}\"; filename*=UTF-8''{quote(name, safe='')}"


def _all(file: OpenFile) -> bytes:
    return os.pread(file.descriptor, file.size_bytes, 0)


async def _parts(descriptor: int, parts: Multipart) -> AsyncIterator[bytes]:
    try:
        for head, span in parts.parts:
            yield head
            async for piece in _span(descriptor, span):
                yield piece
        yield parts.end
    finally:
        os.close(descriptor)


async def _span(descriptor: int, span: Span) -> AsyncIterator[bytes]:
    offset, left = span
    while left:
        piece = await asyncio.to_thread(os.pread, descriptor, min(left, _PIECE_BYTES), offset)
        if not piece:
            raise EOFError("the file has become shorter while it was sent")
        yield piece
        offset += len(piece)
        left -= len(piece)
