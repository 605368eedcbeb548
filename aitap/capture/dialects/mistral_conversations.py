"""Mistral's Conversations (``POST /v1/conversations``, ``/v1/conversations/ID``, ``.../restart``), JSON and stream.

Protocol facts are Mistral's public API reference ("Conversations") and its published SDK: the provider keeps the
conversation, so that a request holds what is new of it, as a text or as entries; the answer is a list of entries, in
a stream pieces of them by their place, and is whole with ``conversation.response.done``, which brings the counters.
``connector_tokens`` are what the provider's own tools put into the prompt; they are counted beside it and in the total.

An entry says what a message of Chat Completions says: a request is read as those. A conversation's id stands in the
path of what continues it and in every answer, so it serves as the id of the answer.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import msgspec

from aitap.capture.dialects.chat_answer import error_fact, thinking_of
from aitap.capture.dialects.openai_chat import OpenAIChat
from aitap.capture.dialects.openai_chat_turns import turns_of
from aitap.capture.facts import RequestFacts, ResponseFacts, ThoughtFact, ToolFact, UsageFact
from aitap.capture.wire import jsontext
from aitap.capture.wire.jsontext import as_dict, as_int, as_list, as_str, value_of
from aitap.record import ToolResult

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["ConversationDecoder", "MistralConversations"]

_chat = OpenAIChat()
_CONTINUED = re.compile(r"/conversations/([^/]+)")


class MistralConversations:
    """The dialect ``mistral.conversations``."""

    name = "mistral.conversations"

    def request(self, body: bytes, path: str) -> RequestFacts:
        asked = as_dict(value_of(body))
        limits = as_dict(asked.get("completion_args"))
        messages = _messages(asked.get("inputs"))
        if instructions := as_str(asked.get("instructions")):
            messages.insert(0, {"role": "system", "content": instructions})
        chat = {
            "model": as_str(asked.get("model")) or as_str(asked.get("agent_id")) or "",
            "messages": messages,
            **{name: asked[name] for name in ("stream", "tools", "metadata") if asked.get(name)},
            **{name: limits[name] for name in ("max_tokens", "response_format") if limits.get(name)},
        }
        try:
            facts = _chat.request(msgspec.json.encode(chat), path)
        except (ValueError, RecursionError, OverflowError):
            facts = RequestFacts(model=chat["model"])
        if match := _CONTINUED.search(path):
            facts.previous_response_id = match[1]
        return facts

    def decoder(self, path: str, headers: Mapping[str, str], *, keep_text: bool = False) -> ConversationDecoder:  # noqa: ARG002
        return ConversationDecoder(keep_text=keep_text)


def _messages(inputs: Any) -> list[dict[str, Any]]:
    if isinstance(inputs, str):
        return [{"role": "user", "content": inputs}]
    return [_message(entry) for entry in map(as_dict, as_list(inputs) or [inputs]) if entry]


def _message(entry: dict[str, Any]) -> dict[str, Any]:
    match entry.get("type", "message.input"):
        case "message.input":
            return {"role": entry.get("role", "user"), "content": entry.get("content")}
        case "function.result":
            return {"role": "tool", "tool_call_id": entry.get("tool_call_id"), "content": entry.get("result")}
        case "function.call":
            return {"role": "assistant", "tool_calls": [_call(entry)]}
    return {"role": "assistant", "content": entry.get("content")}


def _call(entry: dict[str, Any]) -> dict[str, Any]:
    function = {"name": entry.get("name"), "arguments": entry.get("arguments")}
    return {"id": entry.get("tool_call_id"), "function": function}


class _Entry:
    """An entry of the answer while its pieces arrive."""

    __slots__ = ("call_id", "done", "item_id", "kind", "name", "pieces", "said", "thought")

    def __init__(self, kind: str) -> None:
        self.kind = kind
        self.name = ""
        self.call_id: str | None = None
        self.item_id: str | None = None
        self.pieces: list[str] = []
        self.said: list[str] = []
        self.thought: list[str] = []
        self.done = False


class ConversationDecoder:
    """Decoder of one answer."""

    def __init__(self, *, keep_text: bool = False) -> None:
        self.skip: tuple[bytes, ...] = ()
        self._keep_text = keep_text
        self._facts = ResponseFacts()
        self._entries: dict[Any, _Entry] = {}
        self._ended = False

    def event(self, kind: bytes, data: bytes, at: float) -> None:
        facts = self._facts
        event = as_dict(value_of(data))
        name = as_str(event.get("type")) or kind.decode("ascii", "replace")
        family, _, step = name.rpartition(".")
        match family:
            case "conversation.response" if step == "started":
                facts.response_id = as_str(event.get("conversation_id"))
            case "conversation.response" if step == "done":
                self._ended = True
                self._account(event)
            case "conversation.response" if step == "error":
                facts.error = error_fact(event)
            case "message.output" | "function.call" | "tool.execution":
                self._take(family, (event.get("output_index"), event.get("id")), event, done=step == "done")
                if facts.first_output_at is None:
                    facts.first_output_at = at
            case _ if event.get("error"):
                facts.error = error_fact(event)

    def document(self, data: bytes) -> None:
        answer = as_dict(value_of(data))
        if not isinstance(answer.get("outputs"), list):
            return
        self._facts.response_id = as_str(answer.get("conversation_id"))
        for index, entry in enumerate(map(as_dict, answer["outputs"])):
            self._take(as_str(entry.get("type")) or "", index, entry, done=True)
        self._account(answer)
        self._ended = True

    def _take(self, kind: str, place: Any, piece: dict[str, Any], *, done: bool) -> None:
        entry = self._entries.setdefault(str(place), _Entry(kind))
        self._facts.model = as_str(piece.get("model")) or self._facts.model
        entry.name = as_str(piece.get("name")) or entry.name
        entry.call_id = as_str(piece.get("tool_call_id")) or entry.call_id
        entry.item_id = as_str(piece.get("id")) or entry.item_id
        entry.done = entry.done or done
        arguments = piece.get("arguments")
        if isinstance(arguments, str):
            entry.pieces.append(arguments)
        elif arguments is not None:
            entry.pieces.append(msgspec.json.encode(arguments).decode())
        content = piece.get("content")
        parts = content if isinstance(content, list) else [content]
        if kind == "message.output":
            entry.thought.append(thinking_of(parts))
            entry.said += [text for part in parts if (text := as_str(part) or as_str(as_dict(part).get("text")))]

    def _account(self, end: dict[str, Any]) -> None:
        usage = as_dict(end.get("usage"))
        if jsontext.counts(usage, ("prompt_tokens", "completion_tokens")):
            self._facts.usage = _usage(usage)

    def facts(self) -> ResponseFacts:
        facts = self._facts
        facts.complete = self._ended and facts.error is None
        thoughts = ["".join(entry.thought) for entry in self._entries.values()]
        facts.thoughts = [ThoughtFact("thinking", thought) for thought in thoughts if thought]
        facts.tools = [self._tool(entry) for entry in self._entries.values() if entry.kind != "message.output"]
        if self._ended and facts.stop_reason is None:
            facts.stop_reason = "tool_calls" if any(tool.kind == "function" for tool in facts.tools) else "stop"
        if self._keep_text:
            facts.answer = [turn for entry in self._entries.values() for turn in turns_of(_said(entry))]
        return facts

    def _tool(self, entry: _Entry) -> ToolFact:
        text = "".join(entry.pieces)
        metadata: dict[str, Any] = {} if self._ended or entry.done else {"partial": True}
        if entry.kind == "function.call":
            return ToolFact(entry.name, text, call_id=entry.call_id, item_id=entry.item_id, metadata=metadata)
        result = ToolResult(call_id=entry.item_id or "", status="ok", size=None) if entry.done else None
        return ToolFact(
            entry.name or entry.kind, text, "server", entry.item_id, entry.item_id, result=result, metadata=metadata
        )


def _said(entry: _Entry) -> dict[str, Any]:
    if entry.kind == "message.output":
        return {"role": "assistant", "content": "".join(entry.said)}
    call = {"name": entry.name, "tool_call_id": entry.call_id or entry.item_id, "arguments": "".join(entry.pieces)}
    return {"role": "assistant", "tool_calls": [_call(call)]}


def _usage(counters: dict[str, Any]) -> UsageFact:
    def count(name: str) -> int:
        return as_int(counters.get(name)) or 0

    cached = as_int(as_dict(counters.get("prompt_tokens_details")).get("cached_tokens")) or count("num_cached_tokens")
    return UsageFact(
        input_tokens=max(count("prompt_tokens") - cached, 0) + count("connector_tokens"),
        output_tokens=count("completion_tokens"),
        cache_read_input_tokens=cached,
        extra={
            path: number
            for path, number in jsontext.flat_numbers(counters).items()
            if path not in ("prompt_tokens", "completion_tokens")
        },
    )
