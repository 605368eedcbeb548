"""OpenAI Realtime over a WebSocket: a conversation in which each response is an interception.

Facts are OpenAI's public reference of Realtime client and server events. A response begins where the
client asks for it (``response.create``) or where the provider gives one by itself, having heard the end
of a turn; it is over with ``response.done``. What it answers are the items of the conversation since the
response before: text and tool results that the client put there, and speech, of which there is text only
where the session has it transcribed. A transcript may come after the response that answers it, so a
response waits for it, no longer than to the next one.

Another model makes the transcripts, and bills for it: each is an interception of its own, in which nobody
converses. A session may be for transcripts alone.

Audio passes and is counted in bytes; none of it is held.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs

import msgspec

from aitap.capture.recording import Recording
from aitap.capture.web_socket import MOST_OPEN, WebSocket
from aitap.capture.wire import jsontext
from aitap.capture.wire.jsontext import as_dict, as_list, as_str, value_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from aitap.capture.pipeline import Pipeline
    from aitap.capture.recording import RequestHead

__all__ = ["RealtimeSocket"]

Raw = msgspec.Raw
_NONE = Raw(b"")
_MOST_ITEMS = 256


class _Frame(msgspec.Struct):
    type: str = ""
    event_id: Raw = _NONE
    response_id: Raw = _NONE
    item_id: Raw = _NONE
    item: Raw = _NONE
    transcript: Raw = _NONE
    usage: Raw = _NONE
    session: Raw = _NONE
    response: Raw = _NONE
    error: Raw = _NONE


_frame = msgspec.json.Decoder(_Frame)


class _Turn(msgspec.Struct, eq=False):
    """A response, and what it answers."""

    recording: Recording
    asked_at: float
    items: list[dict[str, Any]]
    event_id: str | None = None
    """The client's own id of the event that asked for it."""
    response_id: str | None = None
    aside: bool = False
    """Is no part of the conversation."""
    heard: dict[str, str | None] = {}
    """Transcripts of speech by the item's id; None as long as there is none."""
    sent: int = 0
    received: int = 0
    done_at: float | None = None
    cancelled: bool = False


class RealtimeSocket(WebSocket):
    """One connection in the language of ``openai.realtime``."""

    def __init__(self, pipeline: Pipeline, head: Callable[[], RequestHead]) -> None:
        super().__init__(pipeline, head)
        self._turns: list[_Turn] = []
        self._items: deque[dict[str, Any]] = deque(maxlen=_MOST_ITEMS)
        self._speech: dict[str, str | None] = {}
        self._spoken_at: float | None = None
        self._sent = 0
        self._last: str | None = None
        self._transcribes = False
        self._transcriber = ""
        self._transcribes_alone = False
        self._committed: dict[str, float] = {}
        self._asked_model: str | None = None
        self._model: str | None = None
        self._instructions = ""
        self._tools = False

    def from_client(self, content: bytes, at: float) -> None:
        """See :class:`WebSocket`."""
        self._sent += len(content)
        frame: _Frame | None = jsontext.split(content, _frame)
        if frame is None:
            return
        if frame.type in ("session.update", "transcription_session.update"):
            self._learn(as_dict(value_of(frame.session)), from_client=True)
        elif frame.type == "conversation.item.create":
            if item := _said(as_dict(value_of(frame.item))):
                self._items.append(item)
        elif frame.type == "response.create":
            asked = as_dict(value_of(frame.response))
            turn = self._ask(at, at)
            turn.event_id = as_str(value_of(frame.event_id))
            turn.aside = asked.get("conversation") == "none"
            if isinstance(given := asked.get("input"), list):
                turn.items = [item for entry in given if (item := _said(as_dict(entry)))]

    def from_server(self, content: bytes, at: float) -> None:
        """See :class:`WebSocket`."""
        frame: _Frame | None = jsontext.split(content, _frame)
        if frame is None:
            return
        match frame.type:
            case (
                "session.created"
                | "session.updated"
                | "transcription_session.created"
                | "transcription_session.updated"
            ):
                self._learn(as_dict(value_of(frame.session)), from_client=False)
            case "input_audio_buffer.committed":
                if item_id := as_str(value_of(frame.item_id)):
                    self._speech[item_id] = None
                    self._spoken_at = self._committed[item_id] = at
                    for memory in (self._speech, self._committed):
                        if len(memory) > _MOST_ITEMS:
                            del memory[next(iter(memory))]
            case "conversation.item.input_audio_transcription.completed":
                self._hear(as_str(value_of(frame.item_id)), as_str(value_of(frame.transcript)) or "")
                self._transcribed(frame, content, at)
            case "conversation.item.input_audio_transcription.failed":
                self._hear(as_str(value_of(frame.item_id)), "")
                self._transcribed(frame, content, at)
            case "response.created":
                self._created(frame, content, at)
            case "response.done":
                self._done(frame, content, at)
            case "error":
                self._error(as_dict(value_of(frame.error)), content, at)
            case _ if frame.response_id:
                if turn := self._of_response(as_str(value_of(frame.response_id))):
                    _pass_on(turn, frame.type, content, at)

    def over(self, at: float, *, cancelled: bool, interrupted: bool) -> None:
        """See :class:`WebSocket`."""
        while self._turns:
            self._finish(self._turns[0], at, cancelled=cancelled, interrupted=interrupted)

    # The session

    def _learn(self, session: dict[str, Any], *, from_client: bool) -> None:
        if model := as_str(session.get("model")):
            if from_client:
                self._asked_model = self._asked_model or model
            else:
                self._model = model
        heard = as_dict(as_dict(session.get("audio")).get("input"))
        for holder, name in ((session, "input_audio_transcription"), (heard, "transcription")):
            if name in holder:
                self._transcribes = bool(holder[name])
                self._transcriber = as_str(as_dict(holder[name]).get("model")) or self._transcriber
        if session.get("type") == "transcription" or session.get("object") == "realtime.transcription_session":
            self._transcribes_alone = True
        if isinstance(instructions := session.get("instructions"), str):
            self._instructions = instructions[:2000]
        if "tools" in session:
            self._tools = bool(session["tools"])

    def _requested_model(self) -> str:
        query = parse_qs(self.head.query)
        return next(
            (values[0] for name in ("model", "deployment") if (values := query.get(name))),
            self._asked_model or self._model or "",
        )

    # Responses

    def _ask(self, started_at: float, at: float) -> _Turn:
        if len(self._turns) >= MOST_OPEN:
            self._finish(self._turns[0], at)
        recording = self.begin(self.head.headers, started_at, at)
        recording.record.model = self._requested_model()[:256]
        recording.record.streaming = True
        recording.respond(101, {}, messages=True)
        turn = _Turn(recording, started_at, list(self._items), sent=self._sent)
        self._items.clear()
        self._sent = 0
        self._turns.append(turn)
        return turn

    def _of_response(self, response_id: str | None) -> _Turn | None:
        return next((turn for turn in self._turns if turn.response_id == response_id and turn.done_at is None), None)

    def _created(self, frame: _Frame, content: bytes, at: float) -> _Turn:
        """The provider begins a response: the oldest that was asked for, else one of its own accord."""
        turn = next((turn for turn in self._turns if turn.response_id is None and turn.done_at is None), None)
        if turn is None:
            turn = self._ask(self._spoken_at or at, at)
        turn.response_id = as_str(as_dict(value_of(frame.response)).get("id"))
        if not turn.aside:
            turn.heard, self._speech, self._spoken_at = self._speech, {}, None
        _pass_on(turn, "response.created", content, at)
        return turn

    def _done(self, frame: _Frame, content: bytes, at: float) -> None:
        response = as_dict(value_of(frame.response))
        turn = self._of_response(as_str(response.get("id"))) or self._created(frame, b"", at)
        for waiting in [other for other in self._turns if other.done_at is not None]:
            self._finish(waiting, at)
        _pass_on(turn, "response.done", content, at)
        turn.done_at = at
        turn.cancelled = response.get("status") == "cancelled"
        if not self._transcribes or None not in turn.heard.values():
            self._finish(turn, at)

    def _hear(self, item_id: str | None, transcript: str) -> None:
        if item_id in self._speech:
            self._speech[item_id] = transcript
        for turn in self._turns:
            if item_id in turn.heard:
                turn.heard[item_id] = transcript
                if turn.done_at is not None and None not in turn.heard.values():
                    self._finish(turn, turn.done_at)
                return

    def _transcribed(self, frame: _Frame, content: bytes, at: float) -> None:
        """A transcript is there, or failed, and what it cost, if the provider tells or it is what was asked for."""
        item_id = as_str(value_of(frame.item_id)) or ""
        usage, error = as_dict(value_of(frame.usage)), as_dict(value_of(frame.error))
        if not usage and not self._transcribes_alone:
            return
        if len(self._turns) >= MOST_OPEN:
            self._finish(self._turns[0], at)
        committed = self._committed.pop(item_id, at)
        recording = self.begin(self.head.headers, committed, committed, name=item_id)
        record = recording.record
        record.purpose = "auxiliary"
        record.metadata["purpose_reason"] = "transcription"
        recording.begin(msgspec.json.encode({"model": self._transcriber, "stream": True}), committed)
        recording.respond(101, {}, messages=True)
        answer = {"id": item_id, "model": self._transcriber, "status": "failed" if error else "completed"}
        told = {**answer, "usage": usage, "status_details": {"error": error} if error else None}
        recording.message(b"response.done", msgspec.json.encode({"response": told}), at)
        if isinstance(seconds := usage.get("seconds"), int | float) and not isinstance(seconds, bool):
            record.metadata["audio_seconds"] = seconds
        record.request_bytes, record.response_bytes = 0, len(content)
        self.end(recording, at)

    def _error(self, error: dict[str, Any], content: bytes, at: float) -> None:
        """Most are about an event of the client's, and nothing ends with them unless it asked for a response."""
        event_id = as_str(error.get("event_id"))
        asked = [turn for turn in self._turns if turn.response_id is None and turn.done_at is None]
        turn = next((turn for turn in asked if event_id in (None, turn.event_id)), None)
        if turn is not None:
            _pass_on(turn, "error", content, at)
            self._finish(turn, at)
        elif event_id is None and self._turns:
            _pass_on(self._turns[-1], "error", content, at)

    def _finish(self, turn: _Turn, at: float, *, cancelled: bool = False, interrupted: bool = False) -> None:
        """Put the request of a response together and end its recording."""
        recording, record = turn.recording, turn.recording.record
        if self._model:
            recording.message(b"session.updated", msgspec.json.encode({"session": {"model": self._model}}), at)
        recording.begin(msgspec.json.encode(self._request(turn)), turn.asked_at)
        record.request_bytes, record.response_bytes = turn.sent, turn.received
        self._turns.remove(turn)
        if turn.done_at is not None:
            at, cancelled, interrupted = turn.done_at, turn.cancelled, False
        if turn.response_id is not None and not turn.aside:
            self._last = turn.response_id
        self.end(recording, at, cancelled=cancelled, interrupted=interrupted)

    def _request(self, turn: _Turn) -> dict[str, Any]:
        spoken = [{"type": "input_text", "text": text} for text in turn.heard.values() if text]
        items = [*turn.items, {"type": "message", "role": "user", "content": spoken}] if spoken else turn.items
        joined: list[dict[str, Any]] = []
        for item in items:
            if joined and item.get("role") == joined[-1].get("role") == "user":
                joined[-1] = {**item, "content": [*joined[-1]["content"], *item["content"]]}
            else:
                joined.append(item)
        request = {
            "type": "response.create",
            "model": self._requested_model(),
            "stream": True,
            "instructions": self._instructions,
            "tools": [{}] if self._tools else [],
            "input": joined,
        }
        return request if turn.aside or self._last is None else {**request, "previous_response_id": self._last}


def _pass_on(turn: _Turn, kind: str, content: bytes, at: float) -> None:
    turn.received += len(content)
    turn.recording.message(kind.encode(), content, at)


def _said(item: dict[str, Any]) -> dict[str, Any] | None:
    """An item without its audio; None for one that says nothing to us."""
    kind = item.get("type", "message")
    if kind != "message":
        return item if kind in ("function_call_output", "mcp_approval_response") else None
    parts = map(as_dict, as_list(item.get("content")))
    kept = [part for part in parts if part.get("type") in ("input_text", "text", "input_image", "output_text")]
    return {"type": "message", "role": item.get("role"), "content": kept}
