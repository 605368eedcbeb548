"""Batches of records as bytes, each with its length and its checksum. No I/O.

A segment is :data:`MAGIC`, which names the version of the format, and then frames. A frame is a head of five
32-bit numbers (marker, length of the payload, number of records in it, CRC-32 of the payload, CRC-32 of the
four before) and the payload: a MessagePack array of records, each a map by the names of its fields, so that a
later version, which knows more fields, reads what an earlier one wrote.

Reading never raises: what is damaged is a :class:`Damage` that says how much it is, and reading goes on at the next
head that is sound.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING
from zlib import crc32

import msgspec

from aitap.record import Interception
from aitap.storage.statements import as_unicode

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

__all__ = ["MAGIC", "Damage", "Frame", "pack", "packed", "unpack"]

MAGIC = b"aitap spool 1\n"

_MARKER = 0xA17A9F0B
_HEAD = struct.Struct(">IIIII")
_START = _MARKER.to_bytes(4)


class Frame(msgspec.Struct, frozen=True):
    """Some records, in the order in which they were made."""

    records: list[Interception]


class Damage(msgspec.Struct, frozen=True):
    """Bytes that cannot be read."""

    bytes: int
    records: int
    """How many records are in them; where nothing tells, 1."""
    reason: str


def packed(record: Interception) -> bytes:
    """One record. Raises where no MessagePack can hold it: a number of more than 64 bits, a wrong type."""
    try:
        return _encode(record)
    except UnicodeEncodeError:
        return _encode(as_unicode(record))


def pack(records: Sequence[bytes]) -> bytes:
    """The frame of these, at most 65,535."""
    payload = b"".join((b"\xdc", len(records).to_bytes(2), *records))
    head = _HEAD.pack(_MARKER, len(payload), len(records), crc32(payload), 0)[:-4]
    return b"".join((head, crc32(head).to_bytes(4), payload))


def unpack(data: bytes) -> Iterator[Frame | Damage]:
    """What a segment holds, in order."""
    at = len(MAGIC)
    if not data.startswith(MAGIC):
        if MAGIC.startswith(data):
            return  # killed before it held anything
        yield Damage(0, 1, "it does not begin as a segment does")
        at = 0
    while at < len(data):
        head = _head(data, at)
        if head is None:
            after = _next_head(data, at + 1)
            cut = after == len(data) and len(data) - at < _HEAD.size
            yield Damage(after - at, 1, "it is cut off" if cut else "a head is damaged")
            at = after
            continue
        size, count, check = head
        at += _HEAD.size
        payload = data[at : at + size]
        if len(payload) < size:
            # The length is right, as its checksum says: nothing comes after this.
            yield Damage(len(payload), count, "it is cut off")
            return
        at += size
        if crc32(payload) != check:
            yield Damage(size, count, "a checksum is wrong")
        else:
            yield from _decoded(payload, count)


def _head(data: bytes, at: int) -> tuple[int, int, int] | None:
    raw = data[at : at + _HEAD.size]
    if len(raw) < _HEAD.size:
        return None
    marker, size, count, check, own = _HEAD.unpack(raw)
    return (size, count, check) if marker == _MARKER and crc32(raw[:-4]) == own else None


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
