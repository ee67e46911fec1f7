"""What is remembered of all requests: those under way, and a ring of those that are done with.

1. An entry holds nothing of its request, so that remembering one keeps nothing alive. It is found again through the
   notes of the request.
2. A request whose client leaves before there is a response is never answered, and no hook tells. It is found out when
   the request is let go of: its notes are then too, and with them what holds the entry.
3. Every change to the two collections is under a lock; to an entry it is not, since one thread at a time writes it, and
   readers take what they find.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence

from mtev_http import Request, Response

from .entry import TEXT_LIMIT, Entry, Field, Origin, cut
from .filters import Filter, matches
from .notes import KEY, collect
from .settings import Settings

__all__ = ["HttpObserver"]

_HOST = b"host"


class HttpObserver:
    """Remembers requests. Published under this class; thread-safe, and nothing here waits.

    Args:
        settings: what, and for how long.
        clock: the clock of the phases, which is that of `Request.started_s`.
        wall: the time of day, in seconds since the epoch.
    """

    def __init__(
        self,
        settings: Settings | None = None,
        clock: Callable[[], float] = time.perf_counter,
        wall: Callable[[], float] = time.time,
    ) -> None:
        self._clock = clock
        self._wall = wall
        self._lock = threading.Lock()
        self._live: dict[int, Entry] = {}
        self._done: deque[Entry] = deque()
        self._gone: deque[Entry] = deque()  # some of those in `_live`, so that it has the same bound
        self._next = 0
        self.settings = settings or Settings()

    @property
    def settings(self) -> Settings:
        """What is remembered, and for how long."""
        return self._settings

    @settings.setter
    def settings(self, settings: Settings) -> None:
        wanted = {name.encode("latin-1"): field for name, field in settings.headers_in.items()}
        with self._lock:
            self._settings = settings
            self._wanted = wanted
            self._done = deque(self._done, settings.max_count)

    def began(self, request: Request) -> None:
        """A request is there, complete up to its body."""
        now_s = self._clock()
        started_s = request.started_s
        start_ms = int((self._wall() - (now_s - started_s)) * 1000)
        raw = request.raw_headers
        received = self._received(raw) if self._wanted else None
        link = request.link
        origin = Origin(
            link.remote_cn[:TEXT_LIMIT],
            link.peer,
            request.path[:TEXT_LIMIT],
            request.raw_query[:TEXT_LIMIT],
            request.method[:TEXT_LIMIT],
            request.version,
            _host(raw)[:TEXT_LIMIT],
            request.id,
        )
        entry = Entry(0, start_ms, started_s, now_s, origin, received)
        with self._lock:
            entry.number = self._next
            self._next += 1
            if len(self._live) >= self._settings.max_count:
                self._gather()
                if len(self._live) >= self._settings.max_count:
                    return
            self._live[entry.number] = entry
        request.notes[KEY] = _Held(entry, self._gone, self._clock)

    def routed(self, request: Request, name: str) -> None:
        """It is known what answers."""
        if (entry := _entry(request)) is not None:
            entry.route = name

    def read(self, request: Request, piece: bytes) -> None:
        """A piece of its body was read; `b""` at the end."""
        if (entry := _entry(request)) is not None:
            now_s = self._clock()
            if entry.read_start_s is None:
                entry.read_start_s = now_s
            if not piece:
                entry.read_complete_s = now_s
            entry.received_bytes = request.received_bytes

    def answering(self, request: Request, response: Response) -> None:
        """There is a response, which is about to be sent."""
        if (entry := _entry(request)) is not None:
            entry.response_start_s = self._clock()
            entry.status = response.status
            if response.special:  # it may take a while to send
                self._look(entry, request, response)

    def sending(self, request: Request, piece: bytes) -> None:
        """A part of a response is sent."""
        if (entry := _entry(request)) is not None:
            entry.sent_bytes += len(piece)

    def answered(self, request: Request, response: Response, sent_bytes: int) -> None:
        """The response was sent, or could not be."""
        entry = _entry(request)
        if entry is None:
            return
        entry.status = response.status
        self._look(entry, request, response)
        entry.received_bytes = request.received_bytes
        if sent_bytes:
            entry.sent_bytes = sent_bytes
        entry.ended_s = entry.response_complete_s = self._clock()
        entry.state = "done"
        with self._lock:
            if self._live.pop(entry.number, None) is not None:
                self._done.append(entry)
            if self._gone:
                self._gather()

    def entries(self) -> list[Entry]:
        """Those under way, then those that are done with, oldest first. Forgets what is older than `max_age`."""
        oldest_s = self._clock() - self._settings.max_age_s
        with self._lock:
            self._gather()
            done = self._done
            while done and done[0].ended_s <= oldest_s:
                done.popleft()
            return [*self._live.values(), *(entry for entry in done if entry.ended_s > oldest_s)]

    def rows(self, filters: Sequence[Filter] = ()) -> Iterator[dict[str, Field]]:
        """What is shown of them: libmtev's fields in its order, headers, ours, notes.

        Args:
            filters: all of which must hold.
        """
        for entry in self.entries():
            row = entry.row()
            if not filters or matches(filters, row):
                yield row

    def _received(self, raw: Sequence[tuple[bytes, bytes]]) -> dict[str, str]:
        """The header fields that are asked for. The values of a name are joined, as in RFC 9110."""
        received: dict[str, str] = {}
        for name, value in raw:
            if (field := self._wanted.get(name.lower())) is not None:
                text = value.decode("latin-1")
                received[field] = cut(f"{received[field]}, {text}" if field in received else text)
        return received

    def _look(self, entry: Entry, request: Request, response: Response) -> None:
        """Take over what is known by now: header fields of the response, and notes."""
        if wanted := self._settings.headers_out:
            entry.answered = _sent(response, wanted)
        if len(notes := request.notes) > 1:
            collect(entry, notes)

    def _gather(self) -> None:
        """Move those whose client has left. Called with the lock."""
        while self._gone:
            entry = self._gone.popleft()
            if self._live.pop(entry.number, None) is not None:
                self._done.append(entry)


class _Held:
    """What keeps an entry among the notes of its request, and finds out when that is let go of without an answer."""

    __slots__ = ("_clock", "_gone", "entry")

    def __init__(self, entry: Entry, gone: deque[Entry], clock: Callable[[], float]) -> None:
        self.entry = entry
        self._gone = gone
        self._clock = clock

    def __del__(self) -> None:
        # This may run at any place of any thread: no lock may be taken here, and appending to a deque needs none.
        entry = self.entry
        if entry.state == "live":
            entry.state = "gone"
            entry.ended_s = self._clock()
            self._gone.append(entry)


def _entry(request: Request) -> Entry | None:
    held = request.notes.get(KEY)
    return held.entry if type(held) is _Held else None


def _host(raw: Sequence[tuple[bytes, bytes]]) -> bytes:
    for name, value in raw:
        if len(name) == len(_HOST) and name.lower() == _HOST:
            return value
    return b""


def _sent(response: Response, wanted: Mapping[str, str]) -> dict[str, str]:
    """The header fields of a response that are asked for."""
    sent: dict[str, str] = {}
    for name, value in response.header_pairs():
        if (field := wanted.get(name.lower())) is not None:
            sent[field] = cut(f"{sent[field]}, {value}" if field in sent else value)
    if (field := wanted.get("content-type")) is not None and response.content_type:
        sent[field] = cut(response.content_type)
    return sent
