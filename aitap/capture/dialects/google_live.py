"""Gemini Live (``BidiGenerateContent``, over a WebSocket), of the Gemini API and of Vertex AI.

Protocol facts are Google's public references of both ("Live API - WebSockets"): a message of the server says what the
model says now (``serverContent``), which functions it wants called (``toolCall``) or what has been counted
(``usageMetadata``), and a turn of the model's is over with ``turnComplete``. What is inside is what ``generateContent``
has inside, so each message is read as a piece of such an answer; only the answer's counters have another name. The
request of a turn is put together by :mod:`aitap.capture.live_socket`, in the form of ``generateContent``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from aitap.capture.dialects.google_answer import AnswerDecoder
from aitap.capture.dialects.google_generate_content import read_request
from aitap.capture.wire.jsontext import as_dict, as_list, as_str, value_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from aitap.capture.facts import RequestFacts, ResponseFacts

__all__ = ["GoogleLive", "LiveDecoder", "model_name"]

_COUNTERS = {"responseTokenCount": "candidatesTokenCount", "responseTokensDetails": "candidatesTokensDetails"}


def model_name(setup: Any) -> str:
    """The model that a ``setup`` asks for, without where it is kept; empty where it names none."""
    return (as_str(as_dict(setup).get("model")) or "").rpartition("models/")[2]


class GoogleLive:
    """The dialect ``google.live``."""

    name = "google.live"

    def request(self, body: bytes, path: str) -> RequestFacts:  # noqa: ARG002 - the body says it all
        facts = read_request(body)
        facts.model = model_name(value_of(body))
        facts.streaming = True
        return facts

    def decoder(self, path: str, headers: Mapping[str, str], *, keep_text: bool = False) -> LiveDecoder:  # noqa: ARG002
        return LiveDecoder(keep_text=keep_text)


class LiveDecoder:
    """Decoder of one turn: translates the server's messages into pieces of an answer of ``generateContent``."""

    def __init__(self, *, keep_text: bool = False) -> None:
        self.skip: tuple[bytes, ...] = ()
        self._answer = AnswerDecoder(keep_text=keep_text)
        self._cancelled: set[str] = set()
        self._interrupted = False

    def event(self, kind: bytes, data: bytes, at: float) -> None:
        message = as_dict(value_of(data))
        for call_id in as_list(as_dict(message.get("toolCallCancellation")).get("ids")):
            self._cancelled.add(str(call_id))
        if as_dict(message.get("serverContent")).get("interrupted") is True:
            self._interrupted = True
        try:
            piece = msgspec.json.encode(_piece(message))
        except (ValueError, RecursionError, OverflowError):
            return  # what no JSON can hold
        self._answer.event(kind, piece, at)

    def document(self, data: bytes) -> None:
        """There is none: everything comes as a message."""

    def facts(self) -> ResponseFacts:
        facts = self._answer.facts()
        for tool in facts.tools:
            if tool.call_id in self._cancelled:
                tool.metadata["cancelled"] = True
        if self._interrupted and facts.stop_reason == "STOP":
            facts.stop_reason = "INTERRUPTED"  # somebody spoke while it did
        return facts


def _piece(message: dict[str, Any]) -> dict[str, Any]:
    content = as_dict(message.get("serverContent"))
    calls = as_list(as_dict(message.get("toolCall")).get("functionCalls"))
    parts = [*as_list(as_dict(content.get("modelTurn")).get("parts")), *({"functionCall": call} for call in calls)]
    if spoken := as_str(as_dict(content.get("outputTranscription")).get("text")):
        parts.append({"text": spoken})
    candidate: dict[str, Any] = {
        name: content[name] for name in ("groundingMetadata", "urlContextMetadata") if content.get(name)
    }
    if parts:
        candidate["content"] = {"role": "model", "parts": [part for part in parts if isinstance(part, dict)]}
    if content.get("turnComplete") is True:
        candidate["finishReason"] = as_str(content.get("turnCompleteReason")) or "STOP"
    piece: dict[str, Any] = {"candidates": [candidate]} if candidate else {}
    if usage := as_dict(message.get("usageMetadata")):
        piece["usageMetadata"] = {_COUNTERS.get(name, name): value for name, value in usage.items()}
    if message.get("error"):
        piece["error"] = message["error"]
    return piece
