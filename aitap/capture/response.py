"""A response body on its way from coded bytes to a dialect: decompress, frame, decode.

The framing is what the content type says and, where that says nothing or lies, what the first byte
says: a JSON document starts with a bracket, an event stream never does. What is held is one event or
one document, bounded; the rest is let go of as it passes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from aitap.capture.wire.coding import CodingError, decoder_for
from aitap.capture.wire.eventstream import EventStreamParser
from aitap.capture.wire.jsonarray import JSONArrayParser
from aitap.capture.wire.lines import LineParser
from aitap.capture.wire.sse import SSEParser

if TYPE_CHECKING:
    from collections.abc import Callable

    from aitap.capture.facts import ResponseDecoder, ResponseFacts

__all__ = ["Framer", "MessageBody", "ResponseBody"]

_MAX_DOCUMENT = 64 * 1024 * 1024
_MAX_ERROR = 64 * 1024


class Framer(Protocol):
    """Cuts a byte stream into events of (type, data); sans-IO, and the same for any split of the bytes."""

    skip: tuple[bytes, ...]
    problem: str | None
    """Why nothing after this point can be read, where the bytes break the format."""

    def feed(self, data: bytes) -> list[tuple[bytes, bytes]]:
        """The events these bytes complete."""
        ...

    def finish(self) -> list[tuple[bytes, bytes]]:
        """What the end of the stream completes."""
        ...


# By content type; a framing of None is one document.
_FRAMERS: dict[str, Callable[[], Framer]] = {
    "application/jsonl": LineParser,
    "application/stream+json": LineParser,
    "application/vnd.amazon.eventstream": EventStreamParser,
    "application/x-ndjson": LineParser,
    "text/event-stream": SSEParser,
}


def _framer(content_type: str, start: bytes) -> Framer | None:
    """How to cut a body that starts so (leading white space aside), by its declared type and by what it is."""
    declared = _FRAMERS.get(content_type.partition(";")[0].strip().lower())
    if start[:1] == b"[" and declared in (None, SSEParser):
        return JSONArrayParser()
    if start[:1] in (b"{", b"["):
        return None if declared in (None, SSEParser) else declared()
    event = start[:1] in (b"e", b"d", b":", b"i", b"r")
    if declared is not None:
        return SSEParser() if event and declared is LineParser else declared()
    return SSEParser() if event else None


class ResponseBody:
    """Feed the body as it came over the wire; ask for facts at the end.

    ``failed`` says that the HTTP status was an error: then the start of the body is kept as text.
    """

    def __init__(self, decoder: ResponseDecoder, *, content_type: str, content_encoding: str, failed: bool) -> None:
        self._decoder = decoder
        self._failed = failed
        self._content_type = content_type
        self._problem: str | None = None
        self._framer: Framer | None = None
        self._framed = False
        self._document: list[bytes] = []
        self._size = 0
        try:
            self._coding = decoder_for(content_encoding)
        except CodingError as error:
            self._coding = None
            self._problem = str(error)

    def feed(self, data: bytes, at: float) -> None:
        """More of the body, which arrived at ``at`` (epoch seconds)."""
        if self._problem is not None:
            return
        if self._coding is None:
            self._plain(data, at)
            return
        try:
            for piece in self._coding.feed(data):
                self._plain(piece, at)
        except CodingError as error:
            self._problem = str(error)

    def _plain(self, data: bytes, at: float) -> None:
        if not self._framed:
            start = data.lstrip(b" \t\r\n\xef\xbb\xbf")
            if not start:
                self._keep(data)
                return
            self._framed = True
            self._framer = _framer(self._content_type, start)
            if self._framer is not None:
                data = b"".join(self._document) + data
                self._document.clear()
        if self._framer is None or self._failed:
            self._keep(data)
        if self._framer is not None:
            self._pass_on(self._framer, self._framer.feed(data), at)

    def _pass_on(self, framer: Framer, events: list[tuple[bytes, bytes]], at: float) -> None:
        for kind, data in events:
            self._decoder.event(kind, data, at)
        framer.skip = self._decoder.skip

    def _keep(self, data: bytes) -> None:
        if self._failed:
            data = data[: max(_MAX_ERROR - self._size, 0)]
        self._size += len(data)
        if self._size <= _MAX_DOCUMENT:
            self._document.append(data)
        elif self._problem is None:
            self._document.clear()
            self._problem = "the response document is larger than can be held"

    def finish(self, at: float) -> ResponseFacts:
        """Everything the body said."""
        if self._framer is not None:
            self._pass_on(self._framer, self._framer.finish(), at)
        elif self._problem is None and self._document:
            self._decoder.document(b"".join(self._document))
        return self._decoder.facts()

    def problem(self) -> str | None:
        """Why the body could not be read to its end, if that is known."""
        if self._problem is not None:
            return self._problem
        if self._framer is not None:
            return self._framer.problem or "the event stream ended before its last event"
        return "the response body is no complete document of this API" if self._document else None

    def text(self) -> bytes:
        """The start of an error response."""
        return b"".join(self._document)


class MessageBody:
    """A response that comes as whole messages, each one event, over a WebSocket."""

    def __init__(self, decoder: ResponseDecoder) -> None:
        self._decoder = decoder

    def message(self, kind: bytes, data: bytes, at: float) -> None:
        """One message that arrived at ``at`` (epoch seconds); ``kind`` is its type."""
        self._decoder.event(kind, data, at)

    def finish(self, at: float) -> ResponseFacts:  # noqa: ARG002 - the same call as a body's
        """Everything the messages said."""
        return self._decoder.facts()

    def problem(self) -> str | None:
        """Messages are whole or not there."""
        return None

    def text(self) -> bytes:
        """There is no body beside the messages."""
        return b""
