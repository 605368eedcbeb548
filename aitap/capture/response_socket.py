"""The Responses API over a WebSocket: many responses on one connection, one interception for each.

The client sends ``{"type": "response.create", ...}`` with the usual body; the server answers with the
objects an event stream would carry, one a frame (OpenAI, "WebSocket mode"). The headers are those of
the handshake; what changes from turn to turn stands in the frame's ``client_metadata`` and wins over
them.

Requests of one ``stream_id`` are answered in their order; answers of different ones may interleave. A
client may steer (``response.steer``): the server then ends the response and begins a successor that
nobody asked for by a ``response.create``, which is recorded as the turn that the steering words make.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from aitap.capture.web_socket import MOST_OPEN, WebSocket
from aitap.capture.wire import jsontext
from aitap.capture.wire.jsontext import as_dict, as_list, value_of

if TYPE_CHECKING:
    from aitap.capture.recording import Recording

__all__ = ["Socket"]

_NONE = msgspec.Raw(b"")


class _Frame(msgspec.Struct):
    type: str = ""
    stream_id: msgspec.Raw = _NONE
    client_metadata: msgspec.Raw = _NONE
    model: msgspec.Raw = _NONE
    input: msgspec.Raw = _NONE
    response: msgspec.Raw = _NONE


class _Id(msgspec.Struct):
    id: str | None = None


_frame = msgspec.json.Decoder(_Frame)
_id = msgspec.json.Decoder(_Id)

_LAST = ("response.completed", "response.incomplete", "response.failed", "response.cancelled", "error")


class _Lane(msgspec.Struct):
    """What is known of a ``stream_id``: enough to make the request of a steered turn."""

    model: Any = None
    headers: dict[str, str] = {}
    response_id: str | None = None
    steering: list[Any] = []


class Socket(WebSocket):
    """One connection in the language of ``openai.responses``."""

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self._lanes: dict[bytes, _Lane] = {}
        self._lane_of: dict[Recording, bytes] = {}

    def from_client(self, content: bytes, at: float) -> None:
        """See :class:`WebSocket`."""
        frame: _Frame | None = jsontext.split(content, _frame)
        if frame is None:
            return
        name = bytes(frame.stream_id)
        if frame.type == "response.create":
            if len(self._lanes) > MOST_OPEN:
                self._lanes.clear()
            lane = self._lanes[name] = _Lane(value_of(frame.model), self._headers(frame))
            self._ask(name, lane, content, at)
        elif frame.type == "response.steer" and (steered := self._lanes.get(name)):
            said = value_of(frame.input)
            if len(steered.steering) < MOST_OPEN:
                steered.steering += [{"role": "user", "content": said}] if isinstance(said, str) else as_list(said)

    def _ask(self, name: bytes, lane: _Lane, body: bytes, at: float) -> Recording:
        recording = self.begin(lane.headers, at, at)
        self._lane_of[recording] = name
        recording.begin(body, at)
        recording.record.streaming = True
        recording.respond(101, {}, messages=True)
        return recording

    def _steered(self, name: bytes, lane: _Lane, at: float) -> Recording:
        """The turn that nobody asked for in one piece."""
        body = {"model": lane.model, "previous_response_id": lane.response_id, "input": lane.steering}
        lane.steering = []
        recording = self._ask(name, lane, msgspec.json.encode(body), at)
        recording.record.request_bytes = 0
        recording.record.metadata["steered"] = True
        return recording

    def _headers(self, frame: _Frame) -> dict[str, str]:
        """Those of the handshake, with what the frame says about this turn."""
        headers = dict(self.head.headers)
        for name, value in as_dict(value_of(frame.client_metadata)).items():
            if isinstance(value, str) and value:
                # What stands there as session_id is session-id among the headers.
                headers[name.lower()] = headers[name.lower().replace("_", "-")] = value
        headers.pop("content-encoding", None)
        return headers

    def from_server(self, content: bytes, at: float) -> None:
        """See :class:`WebSocket`."""
        frame: _Frame | None = jsontext.split(content, _frame)
        if frame is None:
            frame = _Frame()
        name = bytes(frame.stream_id)
        lane = self._lanes.get(name)
        recording = self._answered(name)
        if frame.type == "response.created" and lane is not None:
            if recording is None and lane.steering:
                recording = self._steered(name, lane, at)
            created: _Id | None = jsontext.split(frame.response, _id)
            lane.response_id = created.id if created is not None else None
        elif frame.type == "response.steer.failed" and lane is not None:
            lane.steering = []
        if recording is None:
            return
        recording.message(frame.type.encode(), content, at)
        if frame.type in _LAST:
            self.end(recording, at)

    def _answered(self, name: bytes) -> Recording | None:
        """The recording that an event of this lane belongs to; an event that names none goes to the oldest."""
        for recording in self._open:
            if self._lane_of.get(recording) == name:
                return recording
        return self._open[0] if self._open and not name else None

    def end(self, recording: Recording, at: float, **how: Any) -> None:
        """See :class:`WebSocket`."""
        self._lane_of.pop(recording, None)
        super().end(recording, at, **how)
