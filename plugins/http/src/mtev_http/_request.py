"""What a handler sees of a request. Nothing here knows which engine received it.

What a request may never need is made when it is first asked for: the header map, the query, the decoded path, the body.
"""

from __future__ import annotations

import asyncio
import time
import zlib
from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Protocol, TypeVar, overload

import msgspec

from ._headers import Headers
from ._target import Query, authority_of, decode_path, fit_host, parse_query, split_target
from ._trace import RequestIds, TraceContext, valid_request_id
from .errors import BadRequest, BodyTimeout, BodyTooLarge, HttpError, UnsupportedEncoding

if TYPE_CHECKING:
    from lxml import etree

    from mtev_tls import TlsPeer

    from ._forms import Form, FormLimits, Part
    from ._response import Handler
    from ._route import Route

__all__ = ["BodyLimits", "BodySource", "Link", "Request"]

T = TypeVar("T")

_ids = RequestIds()  # of the process: nothing depends on it but that no two are the same
_ID_LENGTH, _HOST_LENGTH = len("x-request-id"), len("host")

_MAX_DIGITS = 19  # a Content-Length of more digits is beyond any limit, and not worth converting


class Link(Protocol):
    """What a request needs to know of its connection. `mtev_listener.Connection` is one."""

    @property
    def peer(self) -> tuple[str, int] | str | None: ...
    @property
    def local(self) -> tuple[str, int] | str | None: ...
    @property
    def config(self) -> Mapping[str, str]: ...
    @property
    def remote_cn(self) -> str: ...
    @property
    def tls(self) -> TlsPeer | None: ...

    def touch(self) -> None:
        """Something happened on the connection; for its idle time-out."""

    def add_drain(self, callback: Callable[[], None]) -> None:
        """Have a callback called on the connection's loop when this connection is to end."""


class BodySource(Protocol):
    """Where an engine hands over a body.

    The first `read` answers `Expect: 100-continue`, so a body that nobody asks for is never invited.
    """

    async def read(self) -> bytes:
        """The next piece, as soon as there is one; `b""` at the end.

        Raises:
            BadRequest: the framing of the body is malformed.
            ClientGone: the peer left.
        """


@dataclass(frozen=True, slots=True)
class BodyLimits:
    """How much of a body is read, and for how long.

    Args:
        size_bytes: the largest body, as sent and once decompressed.
        timeout_s: from the first read to the last byte.
    """

    size_bytes: int = 1024 * 1024
    timeout_s: float = 30.0


class Request:
    """One request.

    Made by the engine, and read by hooks and handlers on the connection's loop. Not thread-safe.

    Args:
        method: as it stands in the request line.
        target: the request target, undecoded; bytes beyond ASCII as surrogate escapes.
        version: `1.0` or `1.1`.
        raw_headers: names and values as received.
        link: the connection.
        source: the body; None when the request has none.
        limits: for the body.
        upgrade: whether the peer asks for another protocol on this connection, as websockets do.

    Attributes:
        captures: what the route's expression captured.
        route: the route that answers; None until one is found.
        fastpath: a handler that takes the place of the route's own; for `mtev_rest_get_handler`.
        user: who the request is from, once a hook has found out; `""` until then.
        auth: how that was found out; `""` until then.
        notes: for hooks and handlers to leave something for each other.
        started_s: `time.perf_counter()` when the request was complete up to its body.
        received_bytes: how much of the body has been read so far, as sent.
        upgrade: whether the peer asks for another protocol on this connection.
        on_payload: called with this request and each piece of the body that is read; `b""` at the end. The dispatcher
            sets it to the hook `http_post_request_read_payload`.
    """

    __slots__ = (
        "_body",
        "_headers",
        "_id",
        "_limits",
        "_notes",
        "_path",
        "_query",
        "_source",
        "_split",
        "auth",
        "captures",
        "fastpath",
        "link",
        "method",
        "on_payload",
        "raw_headers",
        "received_bytes",
        "route",
        "started_s",
        "target",
        "upgrade",
        "user",
        "version",
    )

    def __init__(
        self,
        method: str,
        target: str,
        version: str,
        raw_headers: Sequence[tuple[bytes, bytes]],
        link: Link,
        source: BodySource | None = None,
        limits: BodyLimits = BodyLimits(),
        upgrade: bool = False,
    ) -> None:
        self.method = method
        self.target = target
        self.version = version
        self.raw_headers = raw_headers
        self.link = link
        self.captures: tuple[str, ...] = ()
        self.route: Route | None = None
        self.fastpath: Handler | None = None
        self.user = ""
        self.auth = ""
        self.started_s = time.perf_counter()
        self.received_bytes = 0
        self.upgrade = upgrade
        self.on_payload: Callable[[Request, bytes], object] | None = None
        self._source = source
        self._limits = limits
        self._split: tuple[str, str] | None = None
        self._path: str | None = None
        self._query: Query | None = None
        self._headers: Headers | None = None
        self._body: bytes | HttpError | None = None if source is not None else b""
        self._notes: dict[str, object] | None = None
        self._id = ""

    @property
    def peer(self) -> tuple[str, int] | str | None:
        """The other end: address and port, the path of a Unix-domain socket, or None when unknown."""
        return self.link.peer

    @property
    def peer_text(self) -> str:
        """The other end in one printable word for logs: `127.0.0.1:80`, `[::1]:80`, `/run/x.sock`, or `unnamed`."""
        peer = self.link.peer
        if isinstance(peer, tuple):
            host, port = peer
            return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
        return ascii(peer)[1:-1] if peer else "unnamed"

    @property
    def local(self) -> tuple[str, int] | str | None:
        """Our own end, as `peer`."""
        return self.link.local

    @property
    def config(self) -> Mapping[str, str]:
        """The `<config>` of the listener that the request came through."""
        return self.link.config

    @property
    def remote_cn(self) -> str:
        """The common name in the client's certificate; `""` without one."""
        return self.link.remote_cn

    @property
    def tls(self) -> TlsPeer | None:
        """The TLS session and the client's certificate; None over a plain connection."""
        return self.link.tls

    @property
    def raw_path(self) -> str:
        """The path as it was sent, without the query.

        Raises:
            BadRequest: the request target is malformed.
        """
        return self._parts()[0]

    @property
    def raw_query(self) -> str:
        """The query as it was sent, without its question mark.

        Raises:
            BadRequest: the request target is malformed.
        """
        return self._parts()[1]

    @property
    def path(self) -> str:
        """The decoded path: what routing and access control judge.

        Raises:
            BadRequest: it cannot be decoded without doubt; see `_target`. Never in a handler.
        """
        if self._path is None:
            self._path = decode_path(self.raw_path)
        return self._path

    def check_host(self) -> None:
        """See to it that `Host` can be one.

        Raises:
            BadRequest: it cannot.
        """
        for name, value in self.raw_headers:
            if len(name) == _HOST_LENGTH and name.lower() == b"host" and not fit_host(value):
                raise BadRequest("the header Host is neither a name nor an address", close=True)

    @property
    def query(self) -> Query:
        """The fields of the query; as a mapping, the first value of each name.

        Raises:
            BadRequest: it cannot be decoded, or has too many fields.
        """
        if self._query is None:
            self._query = parse_query(self.raw_query)
        return self._query

    @property
    def headers(self) -> Headers:
        """The header fields."""
        if self._headers is None:
            self._headers = Headers.from_raw(self.raw_headers)
        return self._headers

    @property
    def host(self) -> str:
        """Which host the peer thinks that it talks to, with its port if it names one; `""` when it does not say."""
        return authority_of(self.target) or self.headers.get("host", "").strip()

    @property
    def id(self) -> str:
        """What it goes by in logs and in `X-Request-Id`: the client's own id where that is fit, else a new one."""
        if not self._id:
            for name, value in self.raw_headers:
                if len(name) == _ID_LENGTH and name.lower() == b"x-request-id":
                    given = value.decode("latin-1").strip()
                    if valid_request_id(given):
                        self._id = given
                        return given
            self._id = _ids.make()
        return self._id

    @property
    def trace(self) -> TraceContext | None:
        """Where it belongs in a trace, by W3C Trace Context or B3; None when it says nothing of that."""
        return TraceContext.extract(self.headers)

    @property
    def notes(self) -> dict[str, object]:
        """What hooks and handlers leave for each other, by a name that carries the plugin's."""
        if self._notes is None:
            self._notes = {}
        return self._notes

    @property
    def has_body(self) -> bool:
        """Whether it came with a body, which may be empty all the same."""
        return self._source is not None

    @property
    def is_websocket(self) -> bool:
        """Whether it asks for a websocket."""
        return self.upgrade and self.method == "GET" and "websocket" in _tokens(self.headers.get("upgrade", ""))

    def limit_body(self, size_bytes: int) -> None:
        """Have the body of this request limited otherwise than by `<rest>`; of use before it is read.

        Args:
            size_bytes: the largest body, as sent and once decompressed; 0 or more.
        """
        self._limits = replace(self._limits, size_bytes=size_bytes)

    def read_through(self, wrap: Callable[[BodySource], BodySource]) -> None:
        """Have the body read through something else; of use before it is read."""
        if self._source is not None:
            self._source = wrap(self._source)

    async def body(self) -> bytes:
        """The whole body, decompressed. Read once and kept.

        Raises:
            BadRequest: it is malformed.
            BodyTooLarge: it is larger than the limit.
            BodyTimeout: it did not arrive in time.
            UnsupportedEncoding: it is compressed with something other than gzip.
            ClientGone: the peer left before the end.
        """
        if self._body is None:
            try:
                self._body = await self._read()
            except HttpError as error:
                self._body = error
                raise
        if isinstance(self._body, HttpError):
            raise self._body
        return self._body

    @property
    def content(self) -> bytes:
        """The body, once `body` was awaited. For handlers in a job queue, for which that is done before.

        Raises:
            RuntimeError: it was not read yet.
        """
        if not isinstance(self._body, bytes):
            raise RuntimeError("the body of this request was not read; await request.body() first")
        return self._body

    async def stream(self) -> AsyncIterator[bytes]:
        """The body in pieces, as they come in and decompressed; what is not asked for is not read from the peer.

        Limited as `body` is, but only waiting for the peer counts as its time. Either this or `body` may be used.

        Raises:
            RuntimeError: the body was read already.
            BadRequest: it is malformed.
            BodyTooLarge: it is larger than the limit.
            BodyTimeout: it did not arrive in time.
            UnsupportedEncoding: it is compressed with something other than gzip.
            ClientGone: the peer left before the end.
        """
        if self._body is not None:
            if self._body != b"" or self._source is not None:
                raise RuntimeError("the body of this request was read already")
            return
        expander = self._expander()
        self._body = b""  # what is read here is not kept
        left_s = self._limits.timeout_s
        while True:
            since = time.monotonic()
            try:
                async with asyncio.timeout(left_s):
                    piece = await self._piece()
            except TimeoutError:
                raise BodyTimeout(self._limits.timeout_s) from None
            left_s -= time.monotonic() - since
            if not piece:
                break
            for expanded in expander.feed(piece):
                yield expanded
        expander.finish()

    async def text(self) -> str:
        """The body as UTF-8 text.

        Raises:
            BadRequest: it is not UTF-8; otherwise as `body`.
        """
        try:
            return (await self.body()).decode("utf-8")
        except UnicodeDecodeError:
            raise BadRequest("the body is not valid UTF-8") from None

    @overload
    async def json(self) -> object: ...
    @overload
    async def json(self, kind: type[T]) -> T: ...
    async def json(self, kind: type[T] | None = None) -> T | object:
        """The body as JSON.

        Args:
            kind: what it must be: a builtin, dataclass, TypedDict or msgspec struct; anything, when not given.

        Raises:
            BadRequest: it is no JSON, or not of that kind; otherwise as `body`.
        """
        body = await self.body()
        try:
            if kind is None:
                decoded: object = msgspec.json.decode(body)
                return decoded
            return msgspec.json.decode(body, type=kind)
        except (msgspec.DecodeError, RecursionError) as error:
            raise BadRequest(f"the body is not the JSON that was expected: {error}") from None

    async def form(self, limits: FormLimits | None = None) -> Form:
        """The body as a form, urlencoded or multipart, read whole.

        Args:
            limits: for its parts; the whole is limited as `body` is.

        Raises:
            UnsupportedMediaType: it is no form.
            BadRequest: it is malformed; otherwise as `stream`.
            HttpError: 413, a part is too large, or there are too many.
        """
        from ._forms import FormLimits, collect

        return await collect(self.headers.get("content-type", ""), self.stream(), limits or FormLimits())

    def multipart(self, limits: FormLimits | None = None) -> AsyncIterator[Part]:
        """The parts of a multipart form as they come in, for files that need not be in memory:

            async for part in request.multipart():
                async for piece in part: ...

        Args:
            limits: for its parts; the whole is limited as `body` is.

        Raises:
            HttpError: as `form`, while it is read.
        """
        from ._forms import FormLimits, MultipartReader, boundary_of, parts

        boundary = boundary_of(self.headers.get("content-type", ""))
        return parts(self.stream(), MultipartReader(boundary, limits or FormLimits()))

    async def xml(self) -> etree._Element:
        """The body as an XML document: without entities, DTDs, or anything else to be fetched.

        Returns:
            Its root, as lxml has it.

        Raises:
            BadRequest: it is no XML, or has a document type; otherwise as `body`.
        """
        from ._xml import parse_xml

        return parse_xml(await self.body())

    def _parts(self) -> tuple[str, str]:
        if self._split is None:
            self._split = split_target(self.target)
        return self._split

    async def _read(self) -> bytes:
        expander = self._expander()
        pieces: list[bytes] = []
        try:
            async with asyncio.timeout(self._limits.timeout_s):
                while piece := await self._piece():
                    pieces.extend(expander.feed(piece))
        except TimeoutError:
            raise BodyTimeout(self._limits.timeout_s) from None
        expander.finish()
        return b"".join(pieces)

    async def _piece(self) -> bytes:
        assert self._source is not None, "a request without a source has its empty body from the start"
        piece = await self._source.read()
        self.received_bytes += len(piece)
        if self.received_bytes > self._limits.size_bytes:
            raise BodyTooLarge(self._limits.size_bytes)
        self.link.touch()
        if self.on_payload is not None:
            self.on_payload(self, piece)
        return piece

    def _expander(self) -> _Expander:
        """What undoes the encoding of the body.

        Raises:
            BodyTooLarge: it says itself that it is larger than the limit.
            UnsupportedEncoding: nothing here undoes it.
        """
        limit = self._limits.size_bytes
        length = self.headers.get("content-length", "")
        if length.isdecimal() and (len(length) > _MAX_DIGITS or int(length) > limit):
            raise BodyTooLarge(limit)
        match self.headers.get("content-encoding", "").strip().lower():
            case "" | "identity":
                return _Expander()
            case "gzip" | "x-gzip":
                return _Gunzip(limit)
            case _:
                raise UnsupportedEncoding


def _tokens(text: str) -> list[str]:
    return [token.strip().lower() for token in text.split(",")]


class _Expander:
    """Takes a body as it is."""

    __slots__ = ()

    def feed(self, piece: bytes) -> Iterable[bytes]:
        """What a piece stands for."""
        return (piece,)

    def finish(self) -> None:
        """The body has ended."""


class _Gunzip(_Expander):
    """Undoes gzip, bounded: a piece is expanded no further than the limit."""

    __slots__ = ("_expander", "_left", "_limit")

    def __init__(self, limit: int) -> None:
        self._limit = self._left = limit
        self._expander = zlib.decompressobj(zlib.MAX_WBITS | 16)

    def feed(self, piece: bytes) -> Iterable[bytes]:
        if self._expander.eof:
            raise BadRequest("the body is not one complete gzip stream", close=True)
        try:
            expanded = self._expander.decompress(piece, self._left + 1)
        except zlib.error:
            raise BadRequest("the body is not the gzip stream that it claims to be", close=True) from None
        self._left -= len(expanded)
        if self._left < 0:
            raise BodyTooLarge(self._limit)
        if self._expander.unused_data:
            raise BadRequest("the body is not one complete gzip stream", close=True)
        return (expanded,) if expanded else ()

    def finish(self) -> None:
        if not self._expander.eof:
            raise BadRequest("the body is not one complete gzip stream")
