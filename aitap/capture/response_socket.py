"""The Responses API over a WebSocket: many responses on one connection, one interception for each.

The client sends ``{"type": "response.create", ...}`` with the usual body; the server answers with the
objects an event stream would carry, one a frame (OpenAI, "WebSocket mode"). The headers are those of
the handshake; what changes from turn to turn stands in the frame's ``client_metadata`` and wins over
them.

Requests of one ``stream_id`` are answered in their order; answers of different ones may interleave. A
client may steer (``response.steer``, which names the response and no ``stream_id``): the server then ends the
response and begins a successor that nobody asked for by a ``response.create``, which is recorded as the turn that the
steering words make. Where the response waits for results first, the server puts these words before what the request
with the results says. Results may also be given while the response goes on (``response.inject``).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from aitap.capture.web_socket import MOST_OPEN, WebSocket
from aitap.capture.wire import jsontext
from aitap.capture.wire.jsontext import as_dict, as_str, raw_items, value_of

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
    previous_response_id: msgspec.Raw = _NONE
    response_id: msgspec.Raw = _NONE
    steer: msgspec.Raw = _NONE


class _Id(msgspec.Struct):
    id: str | None = None


_frame = msgspec.json.Decoder(_Frame)
_id = msgspec.json.Decoder(_Id)
_members = msgspec.json.Decoder(dict[str, msgspec.Raw])

_ASIDE = ("response.steer.", "response.inject.")
"""What becomes of the client's words beside a response; that they are refused is no failure of the response."""
_LAST = ("response.completed", "response.incomplete", "response.failed", "response.cancelled", "error")


class _Lane(msgspec.Struct):
    """What is known of a ``stream_id``: enough to make the request of a steered turn."""

    model: msgspec.Raw = _NONE
    headers: dict[str, str] = {}
    response_id: str | None = None
    steering: list[msgspec.Raw] = []
    """What was given and not answered yet, each time as it was given."""


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
            before = self._lanes.get(name)
            lane = self._lanes[name] = _Lane(msgspec.Raw(bytes(frame.model)), self._headers(frame))
            body = content
            if before is not None and before.steering and before.response_id == value_of(frame.previous_response_id):
                body = _said_first(before.steering, content)
            recording = self._ask(name, lane, body, at)
            if body is not content:
                recording.record.request_bytes = len(content)
                recording.record.metadata["steered"] = True
        elif frame.type == "response.steer":
            steered = self._lane(as_str(value_of(frame.previous_response_id)), name)
            if steered is not None and frame.input and len(steered.steering) < MOST_OPEN:
                steered.steering.append(msgspec.Raw(bytes(frame.input)))
        elif frame.type == "response.inject":
            self._inject(frame, name, content, at)

    def _lane(self, response_id: str | None, name: bytes) -> _Lane | None:
        """The lane of a response; where it is not known, the one of this name."""
        named = [lane for lane in self._lanes.values() if response_id and lane.response_id == response_id]
        return named[0] if named else self._lanes.get(name)

    def _inject(self, frame: _Frame, name: bytes, content: bytes, at: float) -> None:
        """Results of tools for a response that goes on."""
        into = self._lane(as_str(value_of(frame.response_id)), name)
        recording = next((self._answered(key) for key, lane in self._lanes.items() if lane is into), None)
        if recording is not None:
            received = recording.record.response_bytes
            recording.message(frame.type.encode(), content, at)
            recording.record.response_bytes = received
            recording.record.request_bytes += len(content)

    def _ask(self, name: bytes, lane: _Lane, body: bytes, at: float) -> Recording:
        recording = self.begin(lane.headers, at, at)
        self._lane_of[recording] = name
        recording.begin(body, at)
        recording.record.streaming = True
        recording.respond(101, {}, messages=True)
        return recording

    def _steered(self, name: bytes, lane: _Lane, at: float) -> Recording:
        """The turn that nobody asked for in one piece."""
        body = {
            "model": lane.model or msgspec.Raw(b"null"),
            "previous_response_id": lane.response_id,
            "input": [item for said in lane.steering for item in _items(said)],
        }
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
        elif frame.type == "response.steer.failed":
            self._refused(frame, name)
        if recording is None or frame.type.startswith(_ASIDE):
            return
        recording.message(frame.type.encode(), content, at)
        if frame.type in _LAST:
            self.end(recording, at)

    def _refused(self, frame: _Frame, name: bytes) -> None:
        """Words that will not be answered; where it is not said which, none of them."""
        refused = as_dict(value_of(frame.steer))
        lane = self._lane(as_str(refused.get("previous_response_id")), name)
        if lane is not None:
            said = refused.get("input")
            which = next((given for given in lane.steering if value_of(given) == said), None)
            lane.steering = [given for given in lane.steering if given is not which] if which is not None else []

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


def _items(given: msgspec.Raw) -> list[Any]:
    """The items of an ``input``, undecoded; a text is a user's message."""
    if bytes(memoryview(given)[:1]) == b'"':
        return [{"role": "user", "content": given}]
    return list(raw_items(given))


def _said_first(steering: list[msgspec.Raw], content: bytes) -> bytes:
    """A request with what was queued for it before its own input; as it is where it cannot be taken apart."""
    try:
        members: dict[str, Any] = _members.decode(content)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return content
    given = [*steering, members.get("input", _NONE)]
    members["input"] = [item for said in given for item in _items(said)]
    return msgspec.json.encode(members)
