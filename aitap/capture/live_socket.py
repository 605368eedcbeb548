"""Gemini Live over a WebSocket: a conversation in which each turn of the model's is an interception.

Facts are Google's public references of the Live API. The client's first message sets the session up, and names the
model. A turn begins where the client has said something the model shall answer (``clientContent``, a text of
``realtimeInput``, ``toolResponse``), or where the model begins to speak because it has heard the end of somebody's
turn; what was heard is known where the session has it transcribed. It is over with ``turnComplete``, or where the
client answers the calls that it asked for. Counters may come after that, in a message of their own: a turn waits for
them, no longer than to the next one.

Speech and pictures pass and are counted in bytes; none of it is held.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Any

import msgspec

from aitap.capture.dialects.google_live import model_name
from aitap.capture.web_socket import WebSocket
from aitap.capture.wire import jsontext
from aitap.capture.wire.jsontext import as_dict, as_list, as_str, value_of

if TYPE_CHECKING:
    from aitap.capture.recording import Recording

__all__ = ["LiveSocket"]

Raw = msgspec.Raw
_NONE = Raw(b"")
_MOST_CONTENTS = 256


class _Client(msgspec.Struct, rename="camel"):
    setup: Raw = _NONE
    client_content: Raw = _NONE
    client_content_: Raw = msgspec.field(default=_NONE, name="client_content")
    realtime_input: Raw = _NONE
    realtime_input_: Raw = msgspec.field(default=_NONE, name="realtime_input")
    tool_response: Raw = _NONE
    tool_response_: Raw = msgspec.field(default=_NONE, name="tool_response")


class _Server(msgspec.Struct, rename="camel"):
    server_content: Raw = _NONE
    tool_call: Raw = _NONE
    tool_call_cancellation: Raw = _NONE
    usage_metadata: Raw = _NONE
    error: Raw = _NONE


class _Content(msgspec.Struct, rename="camel"):
    model_turn: Raw = _NONE
    output_transcription: Raw = _NONE
    input_transcription: Raw = _NONE
    turn_complete: Raw = _NONE


_ANSWERED = b'{"serverContent":{"turnComplete":true,"turnCompleteReason":"TOOL_CALL"}}'

_client = msgspec.json.Decoder(_Client)
_server = msgspec.json.Decoder(_Server)
_content = msgspec.json.Decoder(_Content)


class LiveSocket(WebSocket):
    """One connection in the language of ``google.live``."""

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self._setup: dict[str, Any] = {}
        self._said: deque[dict[str, Any]] = deque(maxlen=_MOST_CONTENTS)
        """Contents that no turn has answered yet."""
        self._last: str | None = None
        self._heard: list[str] = []
        self._sent = self._received = 0
        self._turn: Recording | None = None
        self._asked_at = 0.0
        self._calls = self._counted = False
        self._done_at: float | None = None

    def from_client(self, content: bytes, at: float) -> None:
        """See :class:`WebSocket`."""
        self._sent += len(content)
        frame: _Client | None = jsontext.split(content, _client)
        if frame is None:
            return
        written = frame.client_content or frame.client_content_
        answered = frame.tool_response or frame.tool_response_
        if self._done_at is not None and (written or answered):
            self._finish(at)
        if frame.setup:
            self._setup = as_dict(value_of(frame.setup))
        elif written:
            said = as_dict(value_of(written))
            turns = said.get("turns")
            self._say([as_dict(turn) for turn in (turns if isinstance(turns, list) else [turns])])
            if said.get("turnComplete", said.get("turn_complete", True)) is not False:
                self._begin(at)
        elif answered:
            answers = as_dict(value_of(answered))
            results = as_list(answers.get("functionResponses", answers.get("function_responses")))
            if self._turn is not None and self._calls:
                self._finish(at)
            self._say([{"role": "user", "parts": [{"functionResponse": result} for result in results]}])
            self._begin(at)
        elif (given := frame.realtime_input or frame.realtime_input_) and (text := _typed(given)):
            if self._done_at is not None:
                self._finish(at)
            self._say([{"role": "user", "parts": [{"text": text}]}])
            self._begin(at)

    def from_server(self, content: bytes, at: float) -> None:
        """See :class:`WebSocket`."""
        self._received += len(content)
        frame: _Server | None = jsontext.split(content, _server)
        if frame is None or not (frame.server_content or frame.tool_call or frame.usage_metadata or frame.error):
            if self._turn is not None and frame is not None and frame.tool_call_cancellation:
                self._turn.message(b"message", content, at)
            return
        told: _Content = (
            jsontext.split(frame.server_content, _content) if frame.server_content else None
        ) or _Content()
        if told.input_transcription:
            self._heard.append(as_str(as_dict(value_of(told.input_transcription)).get("text")) or "")
        speaks = bool(told.model_turn or told.output_transcription or frame.tool_call)
        turn = self._turn
        if turn is None or (self._done_at is not None and speaks):
            if not speaks:
                return
            turn = self._begin(at)
        turn.message(b"message", content, at)
        self._calls = self._calls or bool(frame.tool_call)
        self._counted = self._counted or bool(frame.usage_metadata)
        if bytes(told.turn_complete) == b"true":
            self._done_at = at
            self._understand()
        if self._done_at is not None and self._counted:
            self._finish(at)

    def over(self, at: float, *, cancelled: bool, interrupted: bool) -> None:
        """See :class:`WebSocket`."""
        if self._turn is not None:
            self._finish(at, cancelled=cancelled, interrupted=interrupted)
        super().over(at, cancelled=cancelled, interrupted=interrupted)

    def _say(self, contents: list[dict[str, Any]]) -> None:
        self._said.extend(content for content in contents if content)

    def _understand(self) -> None:
        """What was heard until now was said in this turn."""
        if heard := "".join(self._heard):
            self._say([{"role": "user", "parts": [{"text": heard}]}])
        self._heard.clear()

    def _begin(self, at: float) -> Recording:
        """A turn; what the client adds while the model has said nothing yet is part of it."""
        turn = self._turn
        if turn is not None and self._done_at is None and not turn.record.response_bytes:
            return turn
        self._finish(at)
        turn = self._turn = self.begin(self.head.headers, at, at)
        turn.record.model = model_name(self._setup)[:256]
        turn.record.streaming = True
        turn.respond(101, {}, messages=True)
        self._asked_at = at
        self._calls = self._counted = False
        return turn

    def _finish(self, at: float, *, cancelled: bool = False, interrupted: bool = False) -> None:
        """Put the request of the turn together and end its recording."""
        turn, self._turn = self._turn, None
        if turn is None:
            return
        done_at, self._done_at = self._done_at, None
        if done_at is not None:
            at, cancelled, interrupted = done_at, False, False
        elif not (cancelled or interrupted):
            self._understand()
            if self._calls:  # and they are answered: what follows is another turn
                turn.message(b"message", _ANSWERED, at)
        turn.begin(msgspec.json.encode({**self._setup, "contents": [*self._said]}), self._asked_at)
        self._said.clear()
        # Turns have no ids on the wire by which one could name the one before; but they came by one socket.
        turn.record.lineage.history = [link for link in (self._last, turn.record.id) if link]
        self._last = turn.record.id
        turn.record.request_bytes, turn.record.response_bytes = self._sent, self._received
        self._sent = self._received = 0
        self.end(turn, at, cancelled=cancelled, interrupted=interrupted)


def _typed(realtime_input: Raw) -> str | None:
    """What was written into a stream of speech, which is not read: it is long."""
    if b'"text"' not in bytes(memoryview(realtime_input)[:64]) and len(realtime_input) > 64 * 1024:
        return None
    return as_str(as_dict(value_of(realtime_input)).get("text"))
