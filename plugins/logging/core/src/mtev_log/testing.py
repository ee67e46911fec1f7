"""What every log backend has to stand: a suite that third parties run against their own.

    class TestAcmeBackend(BackendConformance):
        def make(self, directory):
            return AcmeBackend(BackendSettings("acme", type="acme", path=str(directory / "out")))

        def read(self, backend, directory):
            return (directory / "out").read_text().splitlines()

It needs pytest; importing this module does not.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from .backend import Backend
from .record import Flags, Record

__all__ = ["BackendConformance", "line"]


def line(message: str, **fields: object) -> Record:
    """A record such as a log call makes, always with the same time and place.

    Args:
        message: its text.
        fields: its fields.
    """
    return Record(
        time_ns=1_700_000_000_123_456_000,
        facility="notice/conformance",
        message=message,
        thread_id=4711,
        thread_name="MainThread",
        file="/src/acme/plugin.py",
        line=7,
        fields=fields,
        flags=Flags(facility=True),
    )


class _Unspeakable:
    def __str__(self) -> str:
        raise RuntimeError("this value cannot be shown")

    __repr__ = __str__


class BackendConformance:
    """Subclass it as `Test…` and implement `make` and `read`."""

    def make(self, directory: Path) -> Backend:
        """A new backend, not open.

        Args:
            directory: an empty directory to work in, one for each test. Called once in a test.
        """
        raise NotImplementedError

    def read(self, backend: Backend, directory: Path) -> Sequence[str]:
        """Every line that the backend has written so far, oldest first, in whatever format; empty lines left out.

        Args:
            backend: what `make` made; open, or closed.
            directory: as given to `make`.
        """
        raise NotImplementedError

    def test_making_one_has_no_side_effects(self, tmp_path: Path) -> None:
        """`--check` makes backends too."""
        self.make(tmp_path)
        assert list(tmp_path.iterdir()) == []

    def test_lines_are_written_in_order(self, tmp_path: Path) -> None:
        """One by one, and in batches."""
        backend = self.make(tmp_path)
        backend.open()
        backend.write([line("first")])
        backend.write([line("second"), line("third")])
        backend.flush()
        self._holds(backend, tmp_path, ["first", "second", "third"])
        backend.close()

    def test_an_empty_batch_writes_nothing(self, tmp_path: Path) -> None:
        """A writer that wakes up for nothing is harmless."""
        backend = self.make(tmp_path)
        backend.open()
        backend.write([])
        backend.flush()
        self._holds(backend, tmp_path, [])
        backend.close()

    def test_a_large_batch_is_written_whole(self, tmp_path: Path) -> None:
        """Nothing is cut short or left out."""
        backend = self.make(tmp_path)
        backend.open()
        messages = [f"line-{number:04d}-end" for number in range(500)]
        backend.write([line(message) for message in messages])
        backend.flush()
        self._holds(backend, tmp_path, messages)
        backend.close()

    def test_any_text_can_be_written(self, tmp_path: Path) -> None:
        """Whatever was logged, the line after it arrives."""
        backend = self.make(tmp_path)
        backend.open()
        for text in ("", "\n", "\0", "two\nlines", "café \N{SNOWMAN}", "\udc80 \ud800", "x" * 10_000):
            backend.write([line(text)])
        backend.write([line("the-end")])
        backend.flush()
        assert "the-end" in self.read(backend, tmp_path)[-1]
        backend.close()

    def test_any_field_can_be_written(self, tmp_path: Path) -> None:
        """Values need not be JSON, nor even printable."""
        backend = self.make(tmp_path)
        backend.open()
        loop: list[object] = []
        loop.append(loop)
        for value in (None, True, 2**70, float("nan"), b"\xff", {"a": {1: (2,)}}, loop, object(), _Unspeakable()):
            backend.write([line("with-a-field", value=value, message_="x")])
        backend.flush()
        self._holds(backend, tmp_path, ["with-a-field"] * 9)
        backend.close()

    def test_encoded_lines_are_written_as_records_are(self, tmp_path: Path) -> None:
        """If it takes bytes, it does with them what it does with records, in order with those."""
        backend = self.make(tmp_path)
        encode, write_encoded = getattr(backend, "encode", None), getattr(backend, "write_encoded", None)
        assert (encode is None) == (write_encoded is None), "it has one of `encode` and `write_encoded` only"
        backend.open()
        if encode is not None and write_encoded is not None:
            backend.write([line("first")])
            records = [line("second"), line("third")]
            write_encoded(list(map(encode, records)), [record.time_ns for record in records])
            write_encoded([], [])
            backend.write([line("fourth")])
            backend.flush()
            self._holds(backend, tmp_path, ["first", "second", "third", "fourth"])
        backend.close()

    def test_records_are_left_alone(self, tmp_path: Path) -> None:
        """Other backends hold the same objects."""
        backend = self.make(tmp_path)
        backend.open()
        record = line("shared", number=1)
        backend.write([record])
        backend.flush()
        assert record == line("shared", number=1)
        backend.close()

    def test_reopening_loses_nothing(self, tmp_path: Path) -> None:
        """Reload and recovery reopen at any time."""
        backend = self.make(tmp_path)
        backend.open()
        backend.write([line("before")])
        backend.reopen()
        backend.write([line("after")])
        backend.flush()
        self._holds(backend, tmp_path, ["before", "after"])
        backend.close()

    def test_closing_is_harmless_at_any_time(self, tmp_path: Path) -> None:
        """A service stops after half a start, too."""
        backend = self.make(tmp_path)
        backend.close()
        backend.open()
        backend.close()
        backend.close()

    def test_it_can_be_opened_again(self, tmp_path: Path) -> None:
        """A service whose start failed may be started again."""
        backend = self.make(tmp_path)
        backend.open()
        backend.write([line("one")])
        backend.close()
        backend.open()
        backend.write([line("two")])
        backend.flush()
        assert "two" in self.read(backend, tmp_path)[-1]
        backend.close()

    def _holds(self, backend: Backend, directory: Path, messages: Sequence[str]) -> None:
        lines = self.read(backend, directory)
        assert len(lines) == len(messages), f"expected {len(messages)} lines, the backend wrote {len(lines)}"
        for written, message in zip(lines, messages, strict=True):
            assert message in written, f"expected {message!r} in {written!r}"
