"""OpenAI Realtime (``GET /v1/realtime``, over a WebSocket).

Protocol facts are OpenAI's public reference of Realtime client and server events. A response is over with
``response.done``, whatever its status, and its output items are those of the Responses API; counters stand
under ``input_token_details`` and ``output_token_details``, and the model is that of the session, which
:mod:`aitap.capture.realtime_socket` passes on. What a person and a client's tools say comes in items of the
conversation; the same module puts them together as the request of a response.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from aitap.capture.dialects.chat_answer import error_fact
from aitap.capture.dialects.openai_responses import OpenAIResponses
from aitap.capture.facts import ErrorFact, RequestFacts, ResponseFacts
from aitap.capture.wire.jsontext import as_dict, as_str, value_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from aitap.capture.facts import ResponseDecoder

__all__ = ["OpenAIRealtime", "RealtimeDecoder"]


_responses = OpenAIResponses()


class OpenAIRealtime:
    """The dialect ``openai.realtime``. Requests are those that the socket puts together, in the form of Responses."""

    name = "openai.realtime"

    def request(self, body: bytes, path: str) -> RequestFacts:
        return _responses.request(body, path)

    def decoder(self, path: str, headers: Mapping[str, str], *, keep_text: bool = False) -> RealtimeDecoder:
        return RealtimeDecoder(_responses.decoder(path, headers, keep_text=keep_text))


class RealtimeDecoder:
    """Decoder of one response: translates its events into those of the Responses API."""

    def __init__(self, responses: ResponseDecoder) -> None:
        self.skip: tuple[bytes, ...] = ()
        self._responses = responses
        self._model: str | None = None
        self._error: ErrorFact | None = None
        self._cancelled = False

    def event(self, kind: bytes, data: bytes, at: float) -> None:
        if kind == b"response.done":
            response = as_dict(as_dict(value_of(data)).get("response"))
            # What went wrong on the way did not prevent it.
            self._error = _error(response)
            self._cancelled = response.get("status") == "cancelled"
            self._responses.event(b"response.completed", _translated(response), at)
        elif kind in (b"session.created", b"session.updated"):
            self._model = as_str(as_dict(as_dict(value_of(data)).get("session")).get("model")) or self._model
        elif kind == b"error":
            self._error = error_fact(value_of(data))
        elif kind == b"response.created" or kind.startswith(b"response.output_item."):
            self._responses.event(kind, data, at)

    def document(self, data: bytes) -> None:
        """There is none: everything comes as an event."""

    def facts(self) -> ResponseFacts:
        facts = self._responses.facts()
        facts.model = facts.model or self._model
        if self._error is not None:
            facts.error = self._error
        facts.complete = facts.complete and not self._cancelled
        return facts


_NAMES = {"input_token_details": "input_tokens_details", "output_token_details": "output_tokens_details"}


def _translated(response: dict[str, Any]) -> bytes:
    details = as_dict(response.get("status_details"))
    reason = as_str(details.get("reason"))
    usage = {_NAMES.get(name, name): value for name, value in as_dict(response.get("usage")).items()}
    told = {**response, "usage": usage, "incomplete_details": {"reason": reason} if reason else None}
    return msgspec.json.encode({"type": "response.completed", "response": told})


def _error(response: dict[str, Any]) -> ErrorFact | None:
    if response.get("status") != "failed":
        return None
    error = as_dict(as_dict(response.get("status_details")).get("error"))
    kind = as_str(error.get("code")) or as_str(error.get("type"))
    return ErrorFact(
        message=as_str(error.get("message")) or kind or "the provider reported a failed response", type=kind
    )
