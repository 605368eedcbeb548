"""Amazon's event stream as it is written, and whole exchanges by host and path."""

from __future__ import annotations

import base64
import struct
from collections.abc import Iterable
from typing import Any
from zlib import crc32

from aitap.capture.environment import Environment
from aitap.capture.recording import Recording, RequestHead
from aitap.capture.retries import Retries
from aitap.capture.routes import Router
from aitap.record import Interception
from tests.capture.making import dump

__all__ = ["EVENT_STREAM", "chunks", "event", "exception", "exchange", "frame", "text_header"]

EVENT_STREAM = "application/vnd.amazon.eventstream"

# Dear to make; of what they remember only failed requests matter, and those are forgotten.
_ROUTER = Router()
_ENVIRONMENT = Environment("00000000-0000-4000-8000-000000000001", "metadata+prompt")


def frame(headers: bytes, payload: bytes) -> bytes:
    """One frame, with both of its checksums."""
    prelude = struct.pack(">II", 16 + len(headers) + len(payload), len(headers))
    start = prelude + struct.pack(">I", crc32(prelude)) + headers + payload
    return start + struct.pack(">I", crc32(start))


def text_header(name: str, value: str) -> bytes:
    """A header of type 7."""
    return struct.pack(">B", len(name)) + name.encode() + struct.pack(">BH", 7, len(value.encode())) + value.encode()


def _headers(**values: str) -> bytes:
    return b"".join(text_header(":" + name.replace("_", "-"), value) for name, value in values.items())


def event(kind: str, payload: Any) -> bytes:
    """An event frame with a JSON payload."""
    return frame(_headers(event_type=kind, content_type="application/json", message_type="event"), dump(payload))


def exception(kind: str, message: str) -> bytes:
    """An exception frame as Bedrock sends it."""
    headers = _headers(exception_type=kind, content_type="application/json", message_type="exception")
    return frame(headers, dump({"message": message}))


def chunks(events: Iterable[Any], *, blanks: bool = False) -> list[bytes]:
    """The frames of an InvokeModel stream, each with one event in base64 and padding beside it."""
    return [
        event("chunk", {"bytes": base64.b64encode(dump(item, blanks=blanks)).decode(), "p": "abcd"}) for item in events
    ]


def exchange(
    host: str,
    path: str,
    body: Any,
    response: bytes | Iterable[bytes] = b"",
    content_type: str = "application/json",
    *,
    status: int = 200,
    headers: dict[str, str] | None = None,
    response_headers: dict[str, str] | None = None,
    **ending: Any,
) -> Interception:
    """A whole exchange with whoever the provider table says is there."""
    route = _ROUTER.route(host, path)
    assert route is not None, f"{host}{path} is in no table"
    head = RequestHead(
        route=route,
        method="POST",
        host=host,
        path=path,
        query="",
        http_version="HTTP/1.1",
        headers=headers or {},
        started_at=1000.0,
    )
    _ENVIRONMENT.retries = Retries()
    recording = Recording(_ENVIRONMENT, head)
    recording.begin(dump(body), 1000.0)
    recording.respond(status, {"content-type": content_type, **(response_headers or {})})
    for piece in [response] if isinstance(response, bytes) else response:
        recording.feed(piece, 1001.0)
    return recording.end(1002.0, **ending)
