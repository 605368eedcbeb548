"""Events framed as no provider frames them, but as the grammar allows, or nearly; by dice that are given.

Of server-sent events: every line end, a byte order mark, comments, fields nobody knows, data in many lines, blank lines
that are not there. Of Amazon's event stream: frames whose checksums hold, with other headers and other JSON in them, so
that what is inside is looked at.
"""

from __future__ import annotations

import base64
import binascii
import json
import struct
from typing import TYPE_CHECKING

from bench.fuzz.mutations import damaged, json_damaged
from tests.capture.framing import frame, text_header

if TYPE_CHECKING:
    from collections.abc import Sequence
    from random import Random

__all__ = ["frame_damaged", "reframed"]

_BOM = b"\xef\xbb\xbf"
_BETWEEN = (
    *(
        b": comment\n\n",
        b":\n",
        b"\n",
        b"\n\n\n",
        b"id: 1\nretry: 5\n\n",
        b"event: ping\n\n",
        b"data\n\n",
        b"data:\n\n",
    ),
    *(b"data: [DONE]\n\n", b"data: {}\n\n", b"data: null\n\n", b"data: []\n\n", b"data: 1\n\n", b'data: "x"\n\n'),
    *(b"\0", b"event: error\ndata: x\n\n", b"unknown: x\ndata: {\n\n", b"data: " + b"[" * 20_000 + b"\n\n"),
)


def reframed(dice: Random, pieces: Sequence[bytes]) -> list[bytes]:
    """Server-sent events in another dress; the same events, mostly."""
    found = list(pieces)
    for _ in range(dice.choice((1, 1, 2))):
        match dice.randrange(8):
            case 0:
                end = dice.choice((b"\r", b"\r\n"))
                found = [piece.replace(b"\n", end) for piece in found]
            case 1:
                found.insert(0, dice.choice((_BOM, _BOM + _BOM, b"\n", b": hi\n\n", b"\xef\xbb")))
            case 2:
                found.insert(dice.randrange(len(found) + 1), dice.choice(_BETWEEN))
            case 3 if found:
                at = dice.randrange(len(found))
                found[at] = found[at][:-1]  # no blank line
            case 4:
                found = [piece.replace(b"data: ", b"data:") for piece in found]
            case 5 if found:
                at = dice.randrange(len(found))
                found[at] = _in_lines(found[at])
            case 6:
                found = [b"".join(sorted(piece.splitlines(keepends=True))).lstrip(b"\n") + b"\n" for piece in found]
            case _:
                found = [
                    piece.replace(b"event: ", dice.choice((b"event:", b"event: \0", b"Event: ", b"id: ")))
                    for piece in found
                ]
    return found


def _in_lines(event: bytes) -> bytes:
    """JSON in as many lines of data as a printer of it makes."""
    start, end = event.find(b"{"), event.rfind(b"}")
    try:
        text = json.dumps(json.loads(event[start : end + 1]), indent=1)
    except (ValueError, RecursionError):
        return event
    return event[:start] + text.replace("\n", "\ndata: ").encode("utf-8", "surrogatepass") + event[end + 1 :]


def frame_damaged(dice: Random, data: bytes) -> bytes:
    """A frame of Amazon's with other headers or another payload, and with checksums that hold."""
    try:
        total, size = struct.unpack_from(">II", data)
    except struct.error:
        return damaged(dice, data)
    headers, payload = data[12 : 12 + size], data[12 + size : total - 4]
    if dice.random() < 0.2:
        headers = _headers_damaged(dice, headers)
    else:
        payload = _payload_damaged(dice, payload)
    return frame(headers, payload)


def _headers_damaged(dice: Random, headers: bytes) -> bytes:
    kind = dice.choice(("event", "exception", "error", "\0", ""))
    return dice.choice(
        (
            b"",
            headers + headers,
            damaged(dice, headers),
            headers + b"\x01a" + bytes([dice.randrange(12)]) + dice.randbytes(8),
            text_header(":message-type", kind) + text_header(":exception-type", "x"),
            text_header(":message-type", kind) + text_header(":error-code", "x") + text_header(":error-message", "y"),
            text_header(":event-type", dice.choice(("chunk", "metadata", "messageStop", "x"))),
        )
    )


def _payload_damaged(dice: Random, payload: bytes) -> bytes:
    """JSON; in that of InvokeModel stands other JSON, in base64."""
    start = payload.find(b'"bytes":"')
    if start < 0 or dice.random() < 0.2:
        return json_damaged(dice, payload)
    start += len(b'"bytes":"')
    end = payload.find(b'"', start)
    try:
        inner = json_damaged(dice, base64.b64decode(payload[start:end]))
    except binascii.Error:
        return damaged(dice, payload)
    return payload[:start] + base64.b64encode(inner) + payload[end:]
