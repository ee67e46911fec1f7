"""Forms: `application/x-www-form-urlencoded` and `multipart/form-data` (RFC 7578).

The parsing of multipart bodies is python-multipart's; this module holds it to limits, and to a form for people.

Rules:

1. A part without a name, a body that ends before its last boundary, and text that is not UTF-8 are 400.
2. More parts, longer headers of parts, or larger fields than the limits are 413. The whole has the limit of the body.
3. A file name is what the client says it is, without its directories. It is still a stranger's text: never a path.
"""

from __future__ import annotations

from collections import deque
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header

from ._target import Query, parse_query
from .errors import BadRequest, HttpError, UnsupportedMediaType

__all__ = ["Form", "FormLimits", "MultipartReader", "Part", "PartHead", "Upload", "boundary_of", "collect", "parts"]

_MULTIPART = "multipart/form-data"
_URLENCODED = "application/x-www-form-urlencoded"


@dataclass(frozen=True, slots=True)
class FormLimits:
    """How much of a form is taken.

    Args:
        parts: the most parts.
        field_bytes: the largest field that is no file.
        file_bytes: the largest file.
        header_bytes: the longest line of a part's header.
        headers: the most lines of one.
    """

    parts: int = 256
    field_bytes: int = 256 * 1024
    file_bytes: int = 1 << 40
    header_bytes: int = 4096
    headers: int = 16


@dataclass(frozen=True, slots=True)
class PartHead:
    """What stands at the beginning of a part.

    Attributes:
        name: of the field.
        filename: what the client calls the file, without directories; None for a field that is no file.
        content_type: what the client says that it is; `text/plain` when it says nothing.
    """

    name: str
    filename: str | None
    content_type: str


@dataclass(frozen=True, slots=True)
class Upload:
    """A file of a form, read whole.

    Attributes:
        filename: what the client calls it, without directories; may be empty.
        content_type: what the client says that it is.
        body: what it holds.
    """

    filename: str
    content_type: str
    body: bytes


@dataclass(frozen=True, slots=True)
class Form:
    """A form, read whole.

    Attributes:
        fields: as a mapping the first value of each name; `.all(name)` for every one.
        files: the files by the name of their field.
    """

    fields: Query = field(default_factory=Query)
    files: Mapping[str, Sequence[Upload]] = field(default_factory=dict)


class MultipartReader:
    """Takes a body of `multipart/form-data` in pieces. Pure.

    Args:
        boundary: from the content type.
        limits: for parts.
    """

    def __init__(self, boundary: bytes, limits: FormLimits) -> None:
        self._limits = limits
        self._events: list[PartHead | bytes | None] = []
        self._header: dict[str, bytes] = {}
        self._name = self._value = b""
        self._parts = self._left = 0
        self._ended = False
        self._parser = MultipartParser(
            boundary,
            {
                "on_part_begin": self._begin,
                "on_header_field": self._header_name,
                "on_header_value": self._header_value,
                "on_header_end": self._header_end,
                "on_headers_finished": self._head,
                "on_part_data": self._data,
                "on_part_end": lambda: self._events.append(None),
                "on_end": self._end,
            },
            max_header_count=limits.headers,
            max_header_size=limits.header_bytes,
        )

    def feed(self, data: bytes) -> list[PartHead | bytes | None]:
        """Take a piece of the body.

        Returns:
            What it brought: the head of a part, some of what it holds, and None for its end.

        Raises:
            BadRequest: it is malformed.
            HttpError: 413, it is more than the limits allow.
        """
        try:
            self._parser.write(data)
        except FormParserError:
            raise BadRequest("the form is malformed", close=True) from None
        events, self._events = self._events, []
        return events

    def finish(self) -> None:
        """The body has ended.

        Raises:
            BadRequest: the form has not.
        """
        if not self._ended:
            raise BadRequest("the form ends before its last boundary")

    def _begin(self) -> None:
        self._header = {}
        self._parts += 1
        if self._parts > self._limits.parts:
            raise HttpError(413, f"the form has more than {self._limits.parts} parts", close=True)

    def _header_name(self, data: bytes, start: int, end: int) -> None:
        self._name += data[start:end]

    def _header_value(self, data: bytes, start: int, end: int) -> None:
        self._value += data[start:end]

    def _header_end(self) -> None:
        self._header[self._name.decode("latin-1").lower()] = self._value
        self._name = self._value = b""

    def _head(self) -> None:
        disposition, options = parse_options_header(self._header.get("content-disposition", b"").decode("latin-1"))
        name = options.get(b"name")
        if disposition != b"form-data" or name is None:
            raise BadRequest("a part of the form has no name", close=True)
        filename = options.get(b"filename")
        kind = self._header.get("content-type", b"text/plain").decode("latin-1").strip()
        self._left = self._limits.field_bytes if filename is None else self._limits.file_bytes
        self._events.append(PartHead(_text(name), None if filename is None else _base(_text(filename)), kind))

    def _data(self, data: bytes, start: int, end: int) -> None:
        self._left -= end - start
        if self._left < 0:
            raise HttpError(413, "a part of the form is too large", close=True)
        if end > start:
            self._events.append(data[start:end])

    def _end(self) -> None:
        self._ended = True


class Part:
    """One part of a form, while it comes in. Iterate over what it holds; what is not read is skipped.

    Attributes:
        name: of the field.
        filename: what the client calls the file, without directories; None for a field that is no file.
        content_type: what the client says that it is.
    """

    __slots__ = ("_pieces", "content_type", "filename", "name")

    def __init__(self, head: PartHead, pieces: AsyncIterator[bytes]) -> None:
        self.name = head.name
        self.filename = head.filename
        self.content_type = head.content_type
        self._pieces = pieces

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self._pieces

    async def read(self, limit_bytes: int = 1024 * 1024) -> bytes:
        """All that it holds.

        Raises:
            HttpError: 413, it is larger than the limit.
        """
        pieces, size = [], 0
        async for piece in self._pieces:
            size += len(piece)
            if size > limit_bytes:
                raise HttpError(413, f"a part of the form is larger than {limit_bytes} bytes", close=True)
            pieces.append(piece)
        return b"".join(pieces)


async def parts(body: AsyncIterator[bytes], reader: MultipartReader) -> AsyncIterator[Part]:
    """The parts of a form as they come in. One is to be read before the next is asked for.

    Raises:
        HttpError: as `MultipartReader.feed` and `finish`, and whatever reading the body raises.
    """
    waiting: deque[PartHead | bytes | None] = deque()

    async def following() -> PartHead | bytes | None:
        while not waiting:
            piece = await anext(body, b"")
            if not piece:
                reader.finish()
                raise StopAsyncIteration
            waiting.extend(reader.feed(piece))
        return waiting.popleft()

    async def pieces() -> AsyncIterator[bytes]:
        while True:
            try:
                piece = await following()
            except StopAsyncIteration:  # `finish` has seen to it that this is not in the middle of a part
                return
            if piece is None:
                return
            assert isinstance(piece, bytes), "a part ends before the next one begins"
            yield piece

    while True:
        try:
            head = await following()
        except StopAsyncIteration:
            return
        assert isinstance(head, PartHead), "what is left of a part was skipped"
        inside = pieces()
        yield Part(head, inside)
        async for _ in inside:
            pass


async def collect(content_type: str, body: AsyncIterator[bytes], limits: FormLimits) -> Form:
    """Read a form whole.

    Args:
        content_type: of the body.
        body: in pieces.
        limits: for its parts.

    Raises:
        UnsupportedMediaType: it is no form.
        HttpError: as `parts`.
    """
    kind = content_type.partition(";")[0].strip().lower()
    if kind == _URLENCODED:
        raw = b"".join([piece async for piece in body])
        return Form(parse_query(raw.decode("utf-8", "surrogateescape")))
    boundary = boundary_of(content_type)
    fields: list[tuple[str, str]] = []
    files: dict[str, list[Upload]] = {}
    async for part in parts(body, MultipartReader(boundary, limits)):
        data = b"".join([piece async for piece in part])
        if part.filename is None:
            fields.append((part.name, _text(data)))
        else:
            files.setdefault(part.name, []).append(Upload(part.filename, part.content_type, data))
    return Form(Query(tuple(fields)), files)


def boundary_of(content_type: str) -> bytes:
    """The boundary of a multipart form.

    Raises:
        UnsupportedMediaType: it is no multipart form.
        BadRequest: it has no boundary that could be one.
    """
    kind, options = parse_options_header(content_type)
    if kind.decode("latin-1") != _MULTIPART:
        raise UnsupportedMediaType(f"the body is no form; expected {_URLENCODED} or {_MULTIPART}")
    boundary = options.get(b"boundary", b"")
    if not 1 <= len(boundary) <= 70:
        raise BadRequest("the form has no boundary of 1 to 70 characters")
    return boundary


def _text(raw: bytes) -> str:
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError:
        raise BadRequest("a field of the form is not valid UTF-8") from None


def _base(name: str) -> str:
    """A file name without its directories and without control characters."""
    return "".join(_printable(name.replace("\\", "/").rpartition("/")[2]))


def _printable(text: str) -> Iterator[str]:
    return (letter for letter in text if letter.isprintable())
