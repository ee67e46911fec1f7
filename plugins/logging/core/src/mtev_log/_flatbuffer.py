"""Records in libmtev's FlatBuffers schema, namespace `mtev`: one buffer a record, without framing or identifier.

    LogLine (root)  timestamp ulong in microseconds (0), threadid uint (1), line uint (2), file string (3),
                    threadname string (4), facility string (5), message string (6), kv [KVPair] (7)
    KVPair          key string (0), value Value (its type 1, itself 2)
    Value           LongValue 1, ULongValue 2, DoubleValue 3, StringValue 4, UUIDValue 5, each a table with one field

The builder is used directly: code generated from a schema would be more text for the same calls. What the schema has no
place for is a pair: `level` and `exception`. None is a StringValue without a value, as in libmtev; True and False are
1 and 0; what fits nowhere else is text.
"""

from __future__ import annotations

import logging
from uuid import UUID

import flatbuffers

from .formats import printable, short_place, text_of
from .record import Record

__all__ = ["encode_flatbuffer"]

_LONG, _ULONG, _DOUBLE, _STRING, _UUID = range(1, 6)
_MAX_UINT = 2**32 - 1


def encode_flatbuffer(record: Record) -> bytes:
    """A record as a FlatBuffer. Never raises, whatever its texts and fields are."""
    builder = flatbuffers.Builder(512)
    pairs = [_pair(builder, printable(key), value) for key, value in record.fields.items()]
    if record.level:
        pairs.append(_pair(builder, "level", logging.getLevelName(record.level)))
    if record.exception:
        pairs.append(_pair(builder, "exception", record.exception))
    vector = None
    if pairs:
        builder.StartVector(4, len(pairs), 4)
        for pair in reversed(pairs):
            builder.PrependUOffsetTRelative(pair)
        vector = builder.EndVector()
    file = _text(builder, short_place(record.file))
    thread_name = _text(builder, record.thread_name) if record.thread_name else None
    facility = _text(builder, record.facility)
    message = _text(builder, record.message)
    builder.StartObject(8)
    builder.PrependUint64Slot(0, max(record.time_ns // 1000, 0), 0)
    builder.PrependUint32Slot(1, record.thread_id & _MAX_UINT, 0)
    builder.PrependUint32Slot(2, min(max(record.line, 0), _MAX_UINT), 0)
    for slot, offset in ((3, file), (4, thread_name), (5, facility), (6, message), (7, vector)):
        if offset is not None:
            builder.PrependUOffsetTRelativeSlot(slot, offset, 0)
    builder.Finish(builder.EndObject())
    return bytes(builder.Output())


def _pair(builder: flatbuffers.Builder, key: str, value: object) -> int:
    name = _text(builder, key)
    kind, offset = _value(builder, value)
    builder.StartObject(3)
    builder.PrependUOffsetTRelativeSlot(0, name, 0)
    builder.PrependUint8Slot(1, kind, 0)
    builder.PrependUOffsetTRelativeSlot(2, offset, 0)
    return int(builder.EndObject())


def _value(builder: flatbuffers.Builder, value: object) -> tuple[int, int]:
    if isinstance(value, int) and -(2**63) <= value < 2**63:
        builder.StartObject(1)
        builder.PrependInt64Slot(0, int(value), 0)
        return _LONG, int(builder.EndObject())
    if isinstance(value, int) and 0 <= value < 2**64:
        builder.StartObject(1)
        builder.PrependUint64Slot(0, int(value), 0)
        return _ULONG, int(builder.EndObject())
    if isinstance(value, float):
        builder.StartObject(1)
        builder.PrependFloat64Slot(0, float(value), 0.0)
        return _DOUBLE, int(builder.EndObject())
    if isinstance(value, UUID):
        raw = builder.CreateByteVector(value.bytes)
        builder.StartObject(1)
        builder.PrependUOffsetTRelativeSlot(0, raw, 0)
        return _UUID, int(builder.EndObject())
    text = None if value is None else _text(builder, _shown(value))
    builder.StartObject(1)
    if text is not None:
        builder.PrependUOffsetTRelativeSlot(0, text, 0)
    return _STRING, int(builder.EndObject())


def _shown(value: object) -> str:
    try:
        return text_of(value)
    except Exception:  # whatever a value does when it is asked for its text, the line is written
        return printable(value)


def _text(builder: flatbuffers.Builder, text: str) -> int:
    return int(builder.CreateString(text.encode("utf-8", "backslashreplace")))
