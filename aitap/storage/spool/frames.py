"""Batches of records as bytes, each with its length and its checksum. No I/O.

A segment is :data:`MAGIC`, which names the version of the format, and then frames. A frame is a head of six
32-bit numbers (marker, length of the payload, number of records in it, number of records in the segment before it,
CRC-32 of the payload, CRC-32 of the five before) and the payload: a MessagePack array of records, each a map by the
names of its fields, so that a later version, which knows more fields, reads what an earlier one wrote. Version 1 of
the format, which is read, too, has another marker and does not say what was before.

Reading never raises: what is damaged is a :class:`Damage` that says how much it is, and reading goes on at the next
head that is sound.
"""

from __future__ import annotations

import re
import struct
from typing import TYPE_CHECKING
from zlib import crc32

import msgspec

from aitap.record import Interception
from aitap.storage.statements import as_unicode

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

__all__ = ["MAGIC", "Damage", "Frame", "is_newer", "pack", "packed", "unpack"]

MAGIC = b"aitap spool 2\n"

_MAGICS = (MAGIC, b"aitap spool 1\n")
_VERSION = re.compile(rb"aitap spool (\d{1,6})\n")
_MARKER, _MARKER_1 = 0xA17A9F0C, 0xA17A9F0B
_HEAD, _HEAD_1 = struct.Struct(">IIIIII"), struct.Struct(">IIIII")
_START = _MARKER.to_bytes(4)[:3]
"""Of both."""


class Frame(msgspec.Struct, frozen=True):
    """Some records, in the order in which they were made."""

    records: list[Interception]


class Damage(msgspec.Struct, frozen=True):
    """Bytes that cannot be read."""

    bytes: int
    records: int
    """How many records were in them; where nothing tells, 1."""
    reason: str


class _Head(msgspec.Struct, frozen=True):
    size: int
    """Of the payload."""
    count: int
    check: int
    length: int
    """Of the head itself."""
    before: int | None
    """Records in the segment before this frame, where it says so."""


def is_newer(start: bytes) -> bool:
    """Whether a segment that starts so has a form that only a later version reads."""
    found = _VERSION.match(start)
    return found is not None and found[0] not in _MAGICS


def packed(record: Interception) -> bytes:
    """One record. Raises where no MessagePack can hold it: a number of more than 64 bits, a wrong type."""
    try:
        return _encode(record)
    except UnicodeEncodeError:
        return _encode(as_unicode(record))


def pack(records: Sequence[bytes], before: int = 0) -> bytes:
    """The frame of these, at most 65,535, in a segment that has so many records ``before`` it."""
    payload = b"".join((b"\xdc", len(records).to_bytes(2), *records))
    head = _HEAD.pack(_MARKER, len(payload), len(records), before, crc32(payload), 0)[:-4]
    return b"".join((head, crc32(head).to_bytes(4), payload))


def unpack(data: bytes, total: int = 0) -> Iterator[Frame | Damage]:
    """What a segment holds, in order; it is known to have had at least ``total`` records."""
    at = start = len(MAGIC)
    seen = 0
    trouble = ""
    if not data.startswith(_MAGICS):
        if not any(magic.startswith(data) for magic in _MAGICS):
            at, trouble = 0, "it does not begin as a segment does"
        elif not total:
            return  # killed before it held anything
    start = at
    while at < len(data):
        head = _head(data, at)
        if head is None:
            trouble = trouble or ("it is cut off" if len(data) - at < _HEAD.size else "a head is damaged")
            at = _next_head(data, at + 1)
            continue
        if head.before is None:
            missing = 1 if trouble else 0
        else:
            missing, seen = head.before - seen, max(seen, head.before)
        if trouble or missing > 0:
            yield Damage(at - start, max(missing, 0), trouble or "a part is not there")
        trouble = ""
        at += head.length
        payload = data[at : at + head.size]
        seen += head.count
        at = start = at + head.size
        if len(payload) < head.size:
            # The length is right, as its checksum says: nothing comes after this.
            yield Damage(len(payload), head.count + max(total - seen, 0), "it is cut off")
            return
        if crc32(payload) != head.check:
            yield Damage(head.size, head.count, "a checksum is wrong")
        else:
            yield from _decoded(payload, head.count)
    if total > seen:
        yield Damage(max(len(data) - start, 0), total - seen, trouble or "it is cut off")
    elif trouble and not total:
        yield Damage(len(data) - start, 1, trouble)
    elif trouble:
        yield Damage(len(data) - start, 0, trouble)


def _head(data: bytes, at: int) -> _Head | None:
    marker = data[at : at + 4]
    kind = _HEAD if marker == _MARKER.to_bytes(4) else _HEAD_1
    raw = data[at : at + kind.size]
    if len(raw) < kind.size or crc32(raw[:-4]) != int.from_bytes(raw[-4:]):
        return None
    if kind is _HEAD:
        _, size, count, before, check, _ = _HEAD.unpack(raw)
        return _Head(size, count, check, kind.size, before)
    _, size, count, check, _ = _HEAD_1.unpack(raw)
    return _Head(size, count, check, kind.size, None) if marker == _MARKER_1.to_bytes(4) else None


def _next_head(data: bytes, start: int) -> int:
    while (start := data.find(_START, start)) >= 0:
        if _head(data, start) is not None:
            return start
        start += 1
    return len(data)


def _decoded(payload: bytes, count: int) -> Iterator[Frame | Damage]:
    try:
        yield Frame(_decode_all(payload))
        return
    except (msgspec.MsgspecError, UnicodeDecodeError):
        pass
    # Another version wrote something that this one cannot take: the others need not suffer.
    good: list[Interception] = []
    try:
        raws = _decode_raw(payload)
    except msgspec.MsgspecError as error:
        yield Damage(len(payload), count, str(error))
        return
    for raw in raws:
        try:
            good.append(_decode(raw))
        except (msgspec.MsgspecError, UnicodeDecodeError) as error:
            yield Damage(len(raw), 1, f"a record is not one of this version: {error}")
    yield Frame(good)


_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(Interception).decode
_decode_all = msgspec.msgpack.Decoder(list[Interception]).decode
_decode_raw = msgspec.msgpack.Decoder(list[msgspec.Raw]).decode
