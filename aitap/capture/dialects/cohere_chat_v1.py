"""Cohere's older Chat (``POST /v1/chat``), JSON and JSON lines.

Protocol facts are Cohere's public API reference ("Chat (V1)", "Streaming", "Tool use") and its published SDK: the
newest turn is ``message``, or ``tool_results`` that answer calls by what was called; what came before is
``chat_history``. A stream ends with ``stream-end``, whose ``response`` is the whole answer, with the counters in
``meta`` as the newer Chat has them in ``usage``. Calls have no ids.

A request is read as the messages of Chat Completions that it says.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from aitap.capture.dialects.chat_answer import error_fact
from aitap.capture.dialects.cohere_chat import counted
from aitap.capture.dialects.openai_chat import OpenAIChat
from aitap.capture.dialects.openai_chat_turns import turns_of
from aitap.capture.facts import ErrorFact, RequestFacts, ResponseFacts, ThoughtFact, ToolFact
from aitap.capture.wire.jsontext import as_dict, as_int, as_list, as_str, value_of

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["CohereChatV1", "CohereV1Decoder"]

_chat = OpenAIChat()
_ROLES = {"CHATBOT": "assistant", "SYSTEM": "system", "TOOL": "tool"}


class CohereChatV1:
    """``cohere.chat`` as it was first."""

    name = "cohere.chat"

    def request(self, body: bytes, path: str) -> RequestFacts:
        asked = as_dict(value_of(body))
        messages = [message for turn in as_list(asked.get("chat_history")) for message in _messages(as_dict(turn))]
        if preamble := as_str(asked.get("preamble")):
            messages.insert(0, {"role": "system", "content": preamble})
        messages += _messages({"role": "USER", "message": asked.get("message")})
        messages += _messages({"role": "TOOL", "tool_results": asked.get("tool_results")})
        names = ("model", "stream", "tools", "max_tokens", "response_format")
        chat = {"messages": messages, **{name: asked[name] for name in names if asked.get(name)}}
        try:
            facts = _chat.request(msgspec.json.encode(chat), path)
        except (ValueError, RecursionError, OverflowError):
            return RequestFacts(model=as_str(asked.get("model")) or "")
        facts.output_schema = "schema" in as_dict(asked.get("response_format"))
        if conversation := as_str(asked.get("conversation_id")):
            facts.body_ids["conversation_id"] = conversation
        return facts

    def decoder(self, path: str, headers: Mapping[str, str], *, keep_text: bool = False) -> CohereV1Decoder:  # noqa: ARG002
        return CohereV1Decoder(keep_text=keep_text)


def _messages(turn: dict[str, Any]) -> list[dict[str, Any]]:
    """One turn: several messages where it holds the results of several calls."""
    role = _ROLES.get((as_str(turn.get("role")) or "").upper(), "user")
    results = [as_dict(result) for result in as_list(turn.get("tool_results"))]
    if results:
        return [
            {
                "role": "tool",
                "tool_call_id": as_dict(result.get("call")).get("name"),
                "content": msgspec.json.encode(result.get("outputs")).decode(),
            }
            for result in results
        ]
    calls = [{"function": _function(as_dict(call))} for call in as_list(turn.get("tool_calls"))]
    text = as_str(turn.get("message"))
    return [{"role": role, "content": text, "tool_calls": calls}] if text or calls else []


def _function(call: dict[str, Any]) -> dict[str, Any]:
    parameters = call.get("parameters")
    text = parameters if isinstance(parameters, str) else msgspec.json.encode(parameters or {}).decode()
    return {"name": as_str(call.get("name")) or "", "arguments": text}


class CohereV1Decoder:
    """Decoder of one answer."""

    def __init__(self, *, keep_text: bool = False) -> None:
        self.skip: tuple[bytes, ...] = ()
        self._keep_text = keep_text
        self._facts = ResponseFacts()
        self._said: list[str] = []
        self._plan: list[str] = []
        self._pieces: dict[int, tuple[list[str], list[str]]] = {}
        self._calls: list[Any] = []
        self._ended = False

    def event(self, kind: bytes, data: bytes, at: float) -> None:  # noqa: ARG002 - a line says its type itself
        facts = self._facts
        if facts.first_output_at is not None and not self._keep_text and b'"text-generation"' in data[:256]:
            return  # answer text is no fact
        event = as_dict(value_of(data))
        name = as_str(event.get("event_type")) or ""
        match name:
            case "stream-start":
                facts.response_id = as_str(event.get("generation_id"))
            case "text-generation":
                self._said.append(as_str(event.get("text")) or "")
            case "tool-calls-chunk":
                self._plan.append(as_str(event.get("text")) or "")
                delta = as_dict(event.get("tool_call_delta"))
                names, parameters = self._pieces.setdefault(as_int(delta.get("index")) or 0, ([], []))
                names.append(as_str(delta.get("name")) or "")
                parameters.append(as_str(delta.get("parameters")) or "")
            case "tool-calls-generation":
                self._calls = as_list(event.get("tool_calls"))
                self._plan = [as_str(event.get("text")) or ""] if event.get("text") else self._plan
            case "stream-end":
                self._end(as_dict(event.get("response")), as_str(event.get("finish_reason")))
            case "" if event.get("message"):
                facts.error = error_fact(event)  # in the midst of a stream it has no type
        if facts.first_output_at is None and name in ("text-generation", "tool-calls-chunk", "tool-calls-generation"):
            facts.first_output_at = at

    def document(self, data: bytes) -> None:
        # Lines that are not declared as such are a document that does not parse.
        answer = value_of(data)
        if not isinstance(answer, dict):
            for line in data.splitlines():
                self.event(b"line", line, 0.0)
            self._facts.first_output_at = None
        elif "text" in answer or "tool_calls" in answer:
            self._end(answer, as_str(answer.get("finish_reason")))
        elif "event_type" in answer:
            self.event(b"line", data, 0.0)

    def _end(self, answer: dict[str, Any], reason: str | None) -> None:
        facts = self._facts
        self._ended = True
        facts.stop_reason = reason
        facts.response_id = as_str(answer.get("generation_id")) or facts.response_id
        self._calls = as_list(answer.get("tool_calls")) or self._calls
        text = as_str(answer.get("text")) or ""
        if self._calls:  # the words before calls are the plan
            self._plan = [text] if text else self._plan
            self._said = []
        elif text:
            self._said = [text]
        meta = as_dict(answer.get("meta"))
        if meta.get("billed_units") or meta.get("tokens"):
            names = ("billed_units", "tokens", "cached_tokens")
            facts.usage = counted({name: meta[name] for name in names if name in meta})
        if reason in ("ERROR", "ERROR_LIMIT", "TIMEOUT"):
            facts.error = ErrorFact(message="the provider reported a failed generation", type=reason)

    def facts(self) -> ResponseFacts:
        facts = self._facts
        facts.complete = self._ended and facts.error is None
        functions = [_function(as_dict(call)) for call in self._calls]
        partial: dict[str, Any] = {}
        if not functions:
            partial = {} if self._ended else {"partial": True}
            pieces = (self._pieces[index] for index in sorted(self._pieces))
            functions = [{"name": "".join(names), "arguments": "".join(given)} for names, given in pieces]
        facts.tools = [
            ToolFact(tool=call["name"], input=call["arguments"], metadata=dict(partial)) for call in functions
        ]
        plan = "".join(self._plan)
        facts.thoughts = [ThoughtFact("reasoning_content", plan)] if plan else []
        if self._keep_text:
            calls = [{"function": function} for function in functions]
            facts.answer = turns_of({"role": "assistant", "content": "".join(self._said), "tool_calls": calls})
        return facts
