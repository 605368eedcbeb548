"""The Responses API over a WebSocket: many responses on one connection, one interception for each.

The client sends ``{"type": "response.create", ...}`` with the usual body; the server answers with the
objects an event stream would carry, one a frame (OpenAI, "WebSocket mode"). The headers are those of
the handshake; what changes from turn to turn stands in the frame's ``client_metadata`` and wins over
them. A socket may live for hours: nothing is kept of a response that is over.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Any

import msgspec

from aitap.capture.recording import Recording, RequestHead
from aitap.capture.wire import jsontext
from aitap.capture.wire.jsontext import as_dict, value_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from aitap.capture.pipeline import Pipeline

__all__ = ["Socket"]


class _Frame(msgspec.Struct):
    type: str = ""
    client_metadata: msgspec.Raw = msgspec.Raw(b"")


class _Message(msgspec.Struct, frozen=True):
    content: bytes
    from_client: bool


class _Closed(msgspec.Struct, frozen=True):
    by_client: bool
    interrupted: bool = False


_frame = msgspec.json.Decoder(_Frame)

_LAST = ("response.completed", "response.incomplete", "response.failed", "response.cancelled", "error")
_MOST_OPEN = 64


class Socket:
    """One WebSocket. The hooks call the first methods, which only append to the pipeline."""

    def __init__(self, pipeline: Pipeline, head: Callable[[], RequestHead]) -> None:
        self._pipeline = pipeline
        self._make_head = head
        self._head: RequestHead | None = None
        self._open: deque[Recording] = deque()
        self._broken = False

    def message(self, content: bytes, at: float, *, from_client: bool) -> None:
        """One whole message, inflated and joined by mitmproxy."""
        self._pipeline.put((self, _Message(content, from_client), at))

    def close(self, at: float, *, by_client: bool) -> None:
        """The connection is over, with or without a close frame."""
        self._pipeline.put((self, _Closed(by_client), at))

    # On the decoding thread

    def step(self, what: Any, at: float) -> None:
        """See :class:`aitap.capture.pipeline.Source`."""
        if self._broken:
            return
        if what.__class__ is _Closed:
            while self._open:
                self._end(at, cancelled=what.by_client, interrupted=what.interrupted)
        elif what.from_client:
            self._from_client(what.content, at)
        elif self._open:
            self._from_server(what.content, at)

    def stop(self, at: float) -> None:
        """See :class:`aitap.capture.pipeline.Source`."""
        self.step(_Closed(by_client=False, interrupted=True), at)

    def abandon(self, at: float) -> None:
        """See :class:`aitap.capture.pipeline.Source`."""
        self._broken = True
        while self._open:
            recording = self._open.popleft()
            self._pipeline.closed(recording, recording.unreadable(at))

    def _from_client(self, content: bytes, at: float) -> None:
        frame: _Frame | None = jsontext.split(content, _frame)
        if frame is None or frame.type != "response.create":
            return
        if len(self._open) >= _MOST_OPEN:
            self._end(at)  # a client that never waits for an answer shall not fill memory
        recording = Recording(self._pipeline.environment, self._turn(frame, at))
        self._open.append(recording)
        self._pipeline.opened(recording, self, at)
        recording.begin(content, at)
        recording.record.streaming = True
        recording.respond(101, {}, messages=True)

    def _turn(self, frame: _Frame, at: float) -> RequestHead:
        """The request head of one turn: the handshake's, with what the frame says about this turn."""
        if self._head is None:
            self._head = self._make_head()
        headers = dict(self._head.headers)
        for name, value in as_dict(value_of(frame.client_metadata)).items():
            if isinstance(value, str) and value:
                headers[name.lower()] = value
        headers.pop("content-encoding", None)
        return msgspec.structs.replace(self._head, headers=headers, started_at=at)

    def _from_server(self, content: bytes, at: float) -> None:
        frame: _Frame | None = jsontext.split(content, _frame)
        recording = self._open[0]
        recording.message(b"" if frame is None else frame.type.encode(), content, at)
        if frame is not None and frame.type in _LAST:
            self._end(at)

    def _end(self, at: float, *, cancelled: bool = False, interrupted: bool = False) -> None:
        recording = self._open.popleft()
        failure = None if cancelled or interrupted else "the connection was closed before the response was complete"
        record = recording.end(at, failure=failure, cancelled=cancelled, interrupted=interrupted)
        self._pipeline.closed(recording, record)
