"""Amazon's event stream (``application/vnd.amazon.eventstream``), taken apart.

A frame is big-endian: its whole length and the length of its headers (4 bytes each), a CRC-32 of these
eight bytes, the headers, the payload, and a CRC-32 of everything before it. The format is Amazon's
public one ("Amazon Transcribe: event stream encoding", and Smithy's ``eventstream`` specification).

Promises:

* any split of the same bytes gives the same events;
* both checksums of every frame hold, or decoding ends there, for good, and ``problem`` says why: after
  a broken length nobody knows where the next frame begins;
* no more is held than one frame, which the format itself bounds.

An event is named by its ``:event-type``; an exception comes as ``exception:<type>``, an error frame as
``error:<code>``, its message in the same JSON that an exception's payload has.
"""

from __future__ import annotations

import struct
import uuid
from functools import lru_cache
from zlib import crc32

import msgspec

__all__ = ["EventStreamParser", "HeaderValue", "parse_headers"]

HeaderValue = bool | int | bytes | str | uuid.UUID
"""A timestamp is an int, too: milliseconds since the epoch."""

_MAX_HEADERS = 128 * 1024
_MAX_PAYLOAD = 24 * 1024 * 1024
_PRELUDE = struct.Struct(">III")
_OVERHEAD = _PRELUDE.size + 4
_NUMBERS = {2: struct.Struct(">b"), 3: struct.Struct(">h"), 4: struct.Struct(">i"), 5: struct.Struct(">q")}
_NUMBERS[8] = _NUMBERS[5]


class _MalformedError(ValueError):
    """The bytes break the format."""


def parse_headers(data: bytes) -> dict[str, HeaderValue]:
    """The headers of a frame by name. Raises ``ValueError`` where the block is malformed or a name stands twice."""
    headers: dict[str, HeaderValue] = {}
    position = 0
    try:
        while position < len(data):
            end = position + 1 + data[position]
            name = data[position + 1 : end].decode()
            value, position = _value(data, data[end], end + 1)
            if name in headers:
                raise _MalformedError(f"the header {name[:40]!r} twice")
            headers[name] = value
    except (IndexError, struct.error, UnicodeDecodeError):
        raise _MalformedError("a malformed header") from None
    return headers


def _value(data: bytes, kind: int, start: int) -> tuple[HeaderValue, int]:
    """The header value of this type at ``start``, and where it ends."""
    match kind:
        case 0 | 1:
            return kind == 0, start
        case 2 | 3 | 4 | 5 | 8:
            number: int = _NUMBERS[kind].unpack_from(data, start)[0]
            return number, start + _NUMBERS[kind].size
        case 6 | 7:
            end = start + 2 + int.from_bytes(_exactly(data, start, start + 2))
            text = _exactly(data, start + 2, end)
            return text if kind == 6 else text.decode(), end
        case 9:
            return uuid.UUID(bytes=_exactly(data, start, start + 16)), start + 16
    raise _MalformedError(f"a header of the unknown type {kind}")


def _exactly(data: bytes, start: int, end: int) -> bytes:
    if end > len(data):
        raise IndexError
    return data[start:end]


def _kind(block: bytes) -> tuple[bytes, bytes]:
    """What a frame with these headers is called, and the message the headers hold."""
    headers = parse_headers(block)
    texts = {name: value for name, value in headers.items() if isinstance(value, str)}
    match texts.get(":message-type", "event"):
        case "exception":
            return b"exception:" + texts.get(":exception-type", "").encode(), b""
        case "error":
            message = texts.get(":error-message", "")
            return b"error:" + texts.get(":error-code", "").encode(), msgspec.json.encode({"message": message})
    return texts.get(":event-type", "").encode() or b"message", b""


# A stream says the same few header blocks over and over.
_known_kind = lru_cache(maxsize=256)(_kind)


class EventStreamParser:
    """Feed bytes, get events of (type, payload). ``problem`` says why nothing more will come."""

    def __init__(self) -> None:
        self.skip: tuple[bytes, ...] = ()
        self.problem: str | None = None
        self._parts: list[bytes] = []
        self._size = 0
        self._wanted = 0
        """How many bytes there must be before it is worth while to look again."""

    def feed(self, data: bytes) -> list[tuple[bytes, bytes]]:
        """The events that these bytes complete."""
        if self.problem is not None:
            return []
        self._size += len(data)
        if self._size < self._wanted:
            self._parts.append(data)
            return []
        if self._parts:
            data = b"".join((*self._parts, data))
            self._parts.clear()
        events: list[tuple[bytes, bytes]] = []
        start = 0
        try:
            while (end := start + _frame_length(data, start)) <= len(data):
                events.append(_event(data[start:end]))
                start = end
        except _MalformedError as error:
            self.problem = f"the event stream is broken: {error}"
            return events
        self._size, self._wanted = len(data) - start, end - start
        if self._size:
            self._parts.append(data[start:])
        return events

    def finish(self) -> list[tuple[bytes, bytes]]:
        """Nothing: a frame that is not whole is none."""
        if self._size and self.problem is None:
            self.problem = "the event stream ended inside a frame"
        self._parts.clear()
        return []


def _frame_length(data: bytes, start: int) -> int:
    """The length of the frame that begins here, checked; that of a prelude where there is not even one."""
    if len(data) - start < _PRELUDE.size:
        return _PRELUDE.size
    total, headers, checksum = _PRELUDE.unpack_from(data, start)
    if crc32(data[start : start + 8]) != checksum:
        raise _MalformedError("the checksum of a frame's lengths is wrong")
    if headers > _MAX_HEADERS or not 0 <= total - headers - _OVERHEAD <= _MAX_PAYLOAD:
        raise _MalformedError(f"a frame of {total} bytes with {headers} bytes of headers")
    return int(total)


def _event(frame: bytes) -> tuple[bytes, bytes]:
    if crc32(frame[:-4]) != int.from_bytes(frame[-4:]):
        raise _MalformedError("the checksum of a frame is wrong")
    headers_end = _PRELUDE.size + int.from_bytes(frame[4:8])
    block = frame[_PRELUDE.size : headers_end]
    kind, message = _known_kind(block) if len(block) <= 512 else _kind(block)
    return kind, frame[headers_end:-4] or message
