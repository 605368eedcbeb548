"""WebSocket frames (RFC 6455) as both ends of the bench write and read them: whole texts, no extensions."""

from __future__ import annotations

import base64
import hashlib
import struct
from typing import NamedTuple

__all__ = ["CLOSE", "CONTINUATION", "TEXT", "Frame", "accept", "frame_at", "text"]

CONTINUATION, TEXT, CLOSE = 0, 1, 8

_FINAL = 0x80
_MASKED = 0x80
_GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"


class Frame(NamedTuple):
    """A frame that was read; ``end`` is where the next one begins."""

    opcode: int
    final: bool
    payload: bytes
    end: int


def accept(key: bytes) -> bytes:
    """The ``Sec-WebSocket-Accept`` for a ``Sec-WebSocket-Key``."""
    return base64.b64encode(hashlib.sha1(key + _GUID).digest())


def text(payload: bytes, mask: bytes = b"") -> bytes:
    """A text in one frame, masked with these four bytes as a client must."""
    size = len(payload)
    bit = _MASKED if mask else 0
    if size < 126:
        head = struct.pack(">BB", _FINAL | TEXT, bit | size)
    elif size < 1 << 16:
        head = struct.pack(">BBH", _FINAL | TEXT, bit | 126, size)
    else:
        head = struct.pack(">BBQ", _FINAL | TEXT, bit | 127, size)
    return head + mask + (_masked(payload, mask) if mask else payload)


def frame_at(data: bytes, at: int = 0) -> Frame | None:
    """The frame that begins at an offset, its payload unmasked; None while it is incomplete."""
    start = at + 2
    if len(data) < start:
        return None
    size = data[at + 1] & 0x7F
    if size > 125:
        start += 2 if size == 126 else 8
        if len(data) < start:
            return None
        size = int.from_bytes(data[at + 2 : start])
    mask = b""
    if data[at + 1] & _MASKED:
        mask = data[start : start + 4]
        start += 4
    end = start + size
    if len(data) < end:
        return None
    payload = data[start:end]
    return Frame(data[at] & 0x0F, data[at] >= _FINAL, _masked(payload, mask) if mask else payload, end)


def _masked(payload: bytes, mask: bytes) -> bytes:
    size = len(payload)
    cover = (mask * (size // 4 + 1))[:size]
    return (int.from_bytes(payload) ^ int.from_bytes(cover)).to_bytes(size)
