"""Cohere Chat (``POST /v2/chat``), JSON and event stream.

Protocol facts are Cohere's public API reference ("Chat", "Streaming", "Tool use"): a stream ends with
``message-end``, which carries finish reason, usage and, where generation failed, an error. What is
billed is ``billed_units``; ``tokens`` also count what Cohere itself puts round the prompt, so the first
is recorded as usage and the second beside it, as is how many of them came from a cache. Before it calls
tools the model says its plan, which is a thought.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from aitap.capture.dialects.chat_answer import error_fact
from aitap.capture.dialects.openai_chat import OpenAIChat
from aitap.capture.dialects.openai_chat_turns import turns_of
from aitap.capture.facts import ErrorFact, RequestFacts, ResponseFacts, ThoughtFact, ToolFact, UsageFact
from aitap.capture.wire import jsontext
from aitap.capture.wire.jsontext import as_dict, as_int, as_list, as_str, value_of

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["CohereChat", "CohereDecoder", "counted"]

Raw = msgspec.Raw
_NONE = Raw(b"")
_chat = OpenAIChat()


class CohereChat:
    """The dialect ``cohere.chat``; its request is Chat Completions' but for the answer's schema."""

    name = "cohere.chat"

    def request(self, body: bytes, path: str) -> RequestFacts:
        facts = _chat.request(body, path)
        facts.output_schema = b'"json_schema"' in body or b'"schema"' in body
        return facts

    def decoder(self, path: str, headers: Mapping[str, str], *, keep_text: bool = False) -> CohereDecoder:  # noqa: ARG002
        return CohereDecoder(keep_text=keep_text)


class _Event(msgspec.Struct):
    type: str = ""
    id: str | None = None
    index: int = 0
    delta: Raw = _NONE
    message: Raw = _NONE


_event = msgspec.json.Decoder(_Event)


class _Call:
    """A tool call while its arguments arrive."""

    __slots__ = ("call_id", "closed", "name", "pieces")

    def __init__(self, call: dict[str, Any]) -> None:
        function = as_dict(call.get("function"))
        self.call_id = as_str(call.get("id"))
        self.name = as_str(function.get("name")) or ""
        self.pieces = [as_str(function.get("arguments")) or ""]
        self.closed = False


class CohereDecoder:
    """Decoder of one answer."""

    def __init__(self, *, keep_text: bool = False) -> None:
        self.skip: tuple[bytes, ...] = ()
        self._keep_text = keep_text
        self._texts: dict[int, list[str]] = {}
        self._facts = ResponseFacts()
        self._calls: dict[int, _Call] = {}
        self._plan: list[str] = []
        self._thoughts: dict[int, list[str]] = {}
        self._ended = False

    def event(self, kind: bytes, data: bytes, at: float) -> None:
        if data.startswith(b"[DONE]"):
            return
        facts = self._facts
        if kind == b"content-delta" and facts.first_output_at is not None and b'"thinking"' not in data:
            return  # answer text is no fact
        event: _Event | None = jsontext.split(data, _event)
        if event is None:
            return
        delta = as_dict(value_of(event.delta))
        message = as_dict(delta.get("message"))
        name = event.type or kind.decode("ascii", "replace")
        match name:
            case "message-start":
                facts.response_id = event.id
            case "content-start" | "content-delta":
                if thinking := as_str(as_dict(message.get("content")).get("thinking")):
                    self._thoughts.setdefault(event.index, []).append(thinking)
                elif text := as_str(as_dict(message.get("content")).get("text")):
                    self._text(event.index, text)
            case "tool-plan-delta":
                self._plan.append(as_str(message.get("tool_plan")) or "")
            case "tool-call-start":
                self._calls[event.index] = _Call(as_dict(message.get("tool_calls")))
            case "tool-call-delta":
                piece = as_dict(as_dict(message.get("tool_calls")).get("function")).get("arguments")
                if event.index in self._calls and isinstance(piece, str):
                    self._calls[event.index].pieces.append(piece)
            case "tool-call-end":
                if event.index in self._calls:
                    self._calls[event.index].closed = True
            case "message-end":
                self._end(delta)
            case "error":
                facts.error = error_fact(value_of(data))
            case "message":  # an error in the midst of a stream has no type
                if event.message and not event.delta:
                    facts.error = error_fact(value_of(data))
        if facts.first_output_at is None and name.endswith(("-delta", "call-start")):
            facts.first_output_at = at

    def document(self, data: bytes) -> None:
        answer = as_dict(value_of(data))
        message = answer.get("message")
        if not isinstance(message, dict):
            return
        self._facts.response_id = as_str(answer.get("id"))
        for index, part in enumerate(map(as_dict, as_list(message.get("content")))):
            if thinking := as_str(part.get("thinking")):
                self._thoughts[index] = [thinking]
            elif text := as_str(part.get("text")):
                self._text(index, text)
        if plan := as_str(message.get("tool_plan")):
            self._plan.append(plan)
        for index, item in enumerate(as_list(message.get("tool_calls"))):
            call = self._calls[index] = _Call(as_dict(item))
            call.closed = True
        self._end(answer)

    def _text(self, index: int, text: str) -> None:
        if self._keep_text:
            self._texts.setdefault(index, []).append(text)

    def _end(self, end: dict[str, Any]) -> None:
        facts = self._facts
        self._ended = True
        facts.stop_reason = as_str(end.get("finish_reason"))
        if usage := as_dict(end.get("usage")):
            facts.usage = counted(usage)
        if error := as_str(end.get("error")):
            facts.error = ErrorFact(message=error, type=facts.stop_reason)
        elif facts.stop_reason in ("ERROR", "TIMEOUT"):
            facts.error = ErrorFact(message="the provider reported a failed generation", type=facts.stop_reason)

    def facts(self) -> ResponseFacts:
        facts = self._facts
        facts.complete = self._ended and facts.error is None
        thoughts = ["".join(pieces) for _, pieces in sorted(self._thoughts.items())]
        facts.thoughts = [ThoughtFact("thinking", thought) for thought in thoughts]
        if plan := "".join(self._plan):
            facts.thoughts.append(ThoughtFact("reasoning_content", plan))
        facts.tools = [
            ToolFact(
                tool=call.name,
                input="".join(call.pieces),
                call_id=call.call_id,
                metadata={} if call.closed else {"partial": True},
            )
            for _, call in sorted(self._calls.items())
        ]
        if self._keep_text:
            said = ["".join(pieces) for _, pieces in sorted(self._texts.items())]
            calls = [{"id": t.call_id, "function": {"name": t.tool, "arguments": t.input}} for t in facts.tools]
            facts.answer = turns_of({"role": "assistant", "content": said, "tool_calls": calls})
        return facts


def counted(counters: dict[str, Any]) -> UsageFact:
    """The ``usage`` of an answer."""
    billed = as_dict(counters.get("billed_units"))
    tokens = as_dict(counters.get("tokens"))

    def count(name: str) -> int:
        return as_int(billed.get(name, tokens.get(name))) or 0

    return UsageFact(
        input_tokens=count("input_tokens"),
        output_tokens=count("output_tokens"),
        extra={
            path: number
            for path, number in jsontext.flat_numbers(counters).items()
            if path not in ("billed_units.input_tokens", "billed_units.output_tokens")
        },
    )
