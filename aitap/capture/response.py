"""A response body on its way from coded bytes to a dialect: decompress, frame, decode.

The framing is what the content type says and, where that says nothing or lies, what the first byte
says: a JSON document starts with a bracket, an event stream never does. What is held is one event or
one document, bounded; the rest is let go of as it passes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from aitap.capture.wire.coding import CodingError, decoder_for
from aitap.capture.wire.sse import SSEParser

if TYPE_CHECKING:
    from aitap.capture.facts import ResponseDecoder, ResponseFacts

__all__ = ["ResponseBody"]

_MAX_DOCUMENT = 64 * 1024 * 1024
_MAX_ERROR = 64 * 1024


class ResponseBody:
    """Feed the body as it came over the wire; ask for facts at the end.

    ``failed`` says that the HTTP status was an error: then the start of the body is kept as text.
    """

    def __init__(self, decoder: ResponseDecoder, *, content_type: str, content_encoding: str, failed: bool) -> None:
        self._decoder = decoder
        self._failed = failed
        self._problem: str | None = None
        self._events: SSEParser | None = None
        self._document: list[bytes] = []
        self._size = 0
        self._framed = False
        self._declared_events = "event-stream" in content_type.lower()
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
            if start[0] not in b"{[" and (self._declared_events or start[:1] in (b"e", b"d", b":", b"i", b"r")):
                self._events = SSEParser()
                data = b"".join(self._document) + data
                self._document.clear()
        if self._events is None:
            self._keep(data)
            return
        if self._failed:
            self._keep(data)
        self._pass_on(self._events.feed(data), at)

    def _pass_on(self, events: list[tuple[bytes, bytes]], at: float) -> None:
        decoder, parser = self._decoder, self._events
        assert parser is not None  # noqa: S101
        for kind, data in events:
            decoder.event(kind, data, at)
        parser.skip = decoder.skip

    def _keep(self, data: bytes) -> None:
        self._size += len(data)
        if self._size <= (_MAX_ERROR if self._failed else _MAX_DOCUMENT):
            self._document.append(data)
        elif not self._failed and self._problem is None:
            self._document.clear()
            self._problem = "the response document is larger than can be held"

    def finish(self, at: float) -> ResponseFacts:
        """Everything the body said."""
        if self._events is not None:
            self._pass_on(self._events.finish(), at)
        elif self._problem is None and self._document:
            self._decoder.document(b"".join(self._document))
        return self._decoder.facts()

    def problem(self) -> str | None:
        """Why the body could not be read to its end, if that is known."""
        if self._problem is not None:
            return self._problem
        if self._events is None and self._document:
            return "the response body is no complete document of this API"
        return "the event stream ended before its last event" if self._events is not None else None

    def text(self) -> bytes:
        """The start of an error response."""
        return b"".join(self._document)
