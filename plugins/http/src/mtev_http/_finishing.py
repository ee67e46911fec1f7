"""What every response gets on its way out: conditions, compression, CORS, its request's id.

Most responses need none of it but the id, and pay one test for the rest.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field

from ._compression import Compression, Encoder
from ._conditional import evaluate
from ._cors import CorsPolicy
from ._dates import parse_date
from ._negotiation import choose_encoding
from ._request import Request
from ._response import Response, error_response
from ._stream import Stream

__all__ = ["Finishing"]

_IN_A_THREAD_BYTES = 128 * 1024  # compressing that takes a millisecond or two, in which the loop can do other things


@dataclass(frozen=True, slots=True)
class Finishing:
    """What is done to every response of a service.

    Args:
        compression: what is compressed, and how.
        cors: who else may use it; the first policy that concerns a path counts.
        request_ids: whether responses carry `X-Request-Id`.
    """

    compression: Compression = field(default_factory=Compression)
    cors: Sequence[CorsPolicy] = ()
    request_ids: bool = True

    def concerns(self, response: Response) -> bool:
        """Whether there is anything to do but the id."""
        return bool(
            response.special or response.has_fields or self.cors or len(response.body) >= self.compression.min_bytes
        )

    async def apply(self, request: Request, response: Response) -> Response:
        """Do it."""
        response = await _conditional(request, response)
        if self._compressible(request, response):
            await self._compress(request, response)
        if self.cors and (origin := request.headers.get("origin")) is not None:
            for policy in self.cors:
                if policy.concerns(request.path):
                    _vary(response, policy.answer(origin))
                    break
        return response

    def preflight(self, request: Request, allow: Sequence[str]) -> Response | None:
        """The answer to a preflight; None when it is none, or nobody else may use that path anyway."""
        headers = request.headers
        origin, method = headers.get("origin"), headers.get("access-control-request-method")
        if origin is None or method is None:
            return None
        policy = next((policy for policy in self.cors if policy.concerns(request.path)), None)
        if policy is None:
            return None
        requested = headers.get("access-control-request-headers", "")
        return Response(204, headers=policy.preflight(origin, method, requested, allow))

    def _compressible(self, request: Request, response: Response) -> bool:
        compression = self.compression
        if not compression.encodings or response.status in (204, 206, 304) or request.version == "1.0":
            return False
        size = response.stream.length if response.stream is not None else len(response.body)
        if size is not None and size < compression.min_bytes:
            return False
        if not compression.concerns(response.content_type):
            return False
        headers = response.headers
        return not ("content-encoding" in headers or "no-transform" in headers.get("cache-control", ""))

    async def _compress(self, request: Request, response: Response) -> None:
        _vary(response, [("Vary", "Accept-Encoding")])
        encoding = choose_encoding(request.headers.get("accept-encoding", ""), self.compression.encodings)
        if encoding is None:
            return
        stream = response.stream
        if stream is not None:
            if request.method == "HEAD":
                return
            response.stream = _Compressed(stream, self.compression.encoder(encoding))
        else:
            compress = self.compression.compress
            if len(response.body) >= _IN_A_THREAD_BYTES:
                response.body = await asyncio.to_thread(compress, encoding, response.body)
            else:
                response.body = compress(encoding, response.body)
        response.headers.set("Content-Encoding", encoding)
        tag = response.headers.get("etag")
        if tag is not None and not tag.startswith("W/"):
            response.headers.set("ETag", f"W/{tag}")  # the same thing, but not the same bytes
        response.headers.remove("accept-ranges")


class _Compressed(Stream):
    """A stream, compressed on its way. Each piece arrives as soon as it was made."""

    __slots__ = ("_inner",)

    def __init__(self, stream: Stream, encoder: Encoder) -> None:
        super().__init__(_pieces(stream, encoder), None, stream.trailers)
        self._inner = stream

    async def close(self) -> None:
        await super().close()
        await self._inner.close()


async def _pieces(stream: Stream, encoder: Encoder) -> AsyncIterator[bytes]:
    async for piece in stream:
        if piece:
            if len(piece) >= _IN_A_THREAD_BYTES:
                yield await asyncio.to_thread(encoder.feed, piece)
            else:
                yield encoder.feed(piece)
    yield encoder.finish()


async def _conditional(request: Request, response: Response) -> Response:
    """Judge the request's conditions against what a handler says of its response."""
    if response.status != 200 or request.method not in ("GET", "HEAD") or not response.header_pairs():
        return response
    headers = response.headers
    tag, changed = headers.get("etag"), headers.get("last-modified")
    if tag is None and changed is None:
        return response
    status = evaluate(request.method, request.headers, tag, parse_date(changed) if changed is not None else None)
    if status == 412:
        if response.stream is not None:
            await response.stream.close()
        return error_response(412, "precondition failed")
    if status == 304:
        if response.stream is not None:
            await response.stream.close()
        response.body, response.content_type, response.status = b"", "", 304
        response.stream, response.special = None, False
    return response


def _vary(response: Response, fields: Sequence[tuple[str, str]]) -> None:
    """Add fields; what a response varies by is one field."""
    for name, value in fields:
        if name == "Vary" and (present := response.headers.get("vary")) is not None:
            if value.lower() not in present.lower():
                response.headers.set("Vary", f"{present}, {value}")
        else:
            response.headers.add(name, value)
