"""Alibaba's own language on DashScope (``POST /api/v1/services/aigc/{text,multimodal}-generation/generation``).

Protocol facts are Alibaba Cloud's public API reference ("DashScope") and its published SDK. What is said stands in
``input``, how to answer in ``parameters``; whether it streams is said by a header alone. In a stream each event has
either what is new or, unless ``incremental_output`` is asked for, all that was said so far: which of the two, the
pieces themselves tell. ``finish_reason`` is the word "null" until the last. The counters are the newest each time.
An application (``/api/v1/apps/ID/completion``) is asked like a model.

A request says what one of Chat Completions says, and is read as that; the counters have the newer names of OpenAI's.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

import msgspec

from aitap.capture.dialects.chat_answer import error_fact
from aitap.capture.dialects.openai_chat import OpenAIChat
from aitap.capture.dialects.openai_chat_turns import turns_of
from aitap.capture.dialects.openai_usage import chat_usage
from aitap.capture.facts import RequestFacts, ResponseFacts, ThoughtFact, ToolFact
from aitap.capture.wire.jsontext import as_dict, as_int, as_list, as_str, value_of

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["DashScopeGeneration", "GenerationDecoder"]

_chat = OpenAIChat()
_APP = re.compile(r"/apps/([^/]+)/completion$")


class DashScopeGeneration:
    """The dialect ``dashscope.generation``."""

    name = "dashscope.generation"

    def request(self, body: bytes, path: str) -> RequestFacts:
        asked = as_dict(value_of(body))
        given, parameters = as_dict(asked.get("input")), as_dict(asked.get("parameters"))
        messages = [_message(as_dict(message)) for message in as_list(given.get("messages"))]
        if prompt := as_str(given.get("prompt")):
            messages.append({"role": "user", "content": prompt})
        names = ("tools", "max_tokens", "response_format")
        app = _APP.search(path)
        chat = {
            "model": as_str(asked.get("model")) or (unquote(app[1]) if app else ""),
            "messages": messages,
            **{name: parameters[name] for name in names if parameters.get(name)},
        }
        try:
            return _chat.request(msgspec.json.encode(chat), path)
        except (ValueError, RecursionError, OverflowError):
            return RequestFacts(model=chat["model"])

    def decoder(self, path: str, headers: Mapping[str, str], *, keep_text: bool = False) -> GenerationDecoder:  # noqa: ARG002
        return GenerationDecoder(keep_text=keep_text)


def _message(message: dict[str, Any]) -> dict[str, Any]:
    """With what its parts are in a ``type``: here the name of their one member says it."""
    content = message.get("content")
    if not isinstance(content, list):
        return message
    parts = [{"type": kind, kind: value} for part in map(as_dict, content) for kind, value in part.items()]
    return message | {"content": parts}


class _Text:
    """A text that comes in pieces, or anew each time with more of it."""

    __slots__ = ("_ends", "_last", "_pieces")

    def __init__(self) -> None:
        self._last = ""
        self._ends: list[int] = []
        self._pieces: list[str] | None = None

    def take(self, piece: str) -> None:
        if not piece:
            return
        if self._pieces is None and not piece.startswith(self._last):
            self._pieces = self._taken()
        if self._pieces is None:
            self._last = piece
            self._ends.append(len(piece))
        else:
            self._pieces.append(piece)

    def _taken(self) -> list[str]:
        """What was taken while each began with the one before."""
        return [self._last[:end] for end in self._ends]

    @property
    def grows(self) -> bool:
        """Whether all that came may be the text so far each time."""
        return self._pieces is None

    def whole(self, *, grown: bool) -> str:
        return self._last if grown else "".join(self._taken() if self._pieces is None else self._pieces)


class _Choice:
    """One choice while its pieces arrive."""

    __slots__ = ("calls", "content", "reasoning")

    def __init__(self) -> None:
        self.content = _Text()
        self.reasoning = _Text()
        self.calls: dict[int, tuple[dict[str, str], _Text]] = {}

    def texts(self) -> list[_Text]:
        return [self.content, self.reasoning, *(text for _, text in self.calls.values())]


class GenerationDecoder:
    """Decoder of one answer."""

    def __init__(self, *, keep_text: bool = False) -> None:
        self.skip: tuple[bytes, ...] = ()
        self._keep_text = keep_text
        self._facts = ResponseFacts()
        self._choices: dict[int, _Choice] = {}
        self._counters: dict[str, Any] = {}
        self._ended = False

    def event(self, kind: bytes, data: bytes, at: float) -> None:
        self._read(as_dict(value_of(data)), at, failed=kind == b"error")

    def document(self, data: bytes) -> None:
        answer = as_dict(value_of(data))
        self._read(answer, None, failed=False)
        self._ended = isinstance(answer.get("output"), dict)

    def _read(self, answer: dict[str, Any], at: float | None, *, failed: bool) -> None:
        facts = self._facts
        facts.response_id = as_str(answer.get("request_id")) or facts.response_id
        if failed or (answer.get("code") and not answer.get("output")):
            facts.error = error_fact(answer)
            return
        output = as_dict(answer.get("output"))
        usage = as_dict(answer.get("usage"))
        # An application tells of each model that it asked.
        for each in map(as_dict, as_list(usage.get("models"))):
            facts.model = as_str(each.get("model_id")) or facts.model
            for name in ("input_tokens", "output_tokens"):
                usage[name] = (as_int(usage.get(name)) or 0) + (as_int(each.get(name)) or 0)
        self._counters = usage or self._counters
        # The older form of an answer is a text alone.
        alone = {"message": {"content": output.get("text")}, "finish_reason": output.get("finish_reason")}
        for index, item in enumerate(as_list(output.get("choices")) or [alone]):
            choice = as_dict(item)
            self._take(self._choices.setdefault(as_int(choice.get("index")) or index, _Choice()), choice, at)

    def _take(self, known: _Choice, choice: dict[str, Any], at: float | None) -> None:
        facts = self._facts
        message = as_dict(choice.get("message"))
        content = message.get("content")
        text = content if isinstance(content, str) else "".join(_texts(content))
        known.content.take(text)
        reasoning = as_str(message.get("reasoning_content")) or ""
        known.reasoning.take(reasoning)
        calls = as_list(message.get("tool_calls"))
        for place, item in enumerate(map(as_dict, calls)):
            index = as_int(item.get("index"))
            told, arguments = known.calls.setdefault(place if index is None else index, ({}, _Text()))
            function = as_dict(item.get("function"))
            for name, value in (("id", item.get("id")), ("name", function.get("name"))):
                if isinstance(value, str) and value:
                    told.setdefault(name, value)
            arguments.take(as_str(function.get("arguments")) or "")
        if at is not None and facts.first_output_at is None and (text or reasoning or calls):
            facts.first_output_at = at
        if (reason := as_str(choice.get("finish_reason"))) and reason != "null":
            facts.stop_reason = facts.stop_reason or reason
            self._ended = True

    def facts(self) -> ResponseFacts:
        facts = self._facts
        facts.complete = self._ended and facts.error is None
        facts.usage = chat_usage(_named(self._counters), partial=not self._ended)
        choices = [choice for _, choice in sorted(self._choices.items())]
        # One stream is of one kind: where one text shows it, it holds for all.
        grown = all(text.grows for choice in choices for text in choice.texts())
        thoughts = [choice.reasoning.whole(grown=grown) for choice in choices]
        facts.thoughts = [ThoughtFact("reasoning_content", thought) for thought in thoughts if thought]
        metadata: dict[str, Any] = {} if self._ended else {"partial": True}
        facts.tools = []
        facts.answer = []
        for choice in choices:
            tools = [
                ToolFact(told.get("name", ""), text.whole(grown=grown), call_id=told.get("id"), metadata=dict(metadata))
                for _, (told, text) in sorted(choice.calls.items())
            ]
            facts.tools += tools
            if self._keep_text:
                calls = [{"id": t.call_id, "function": {"name": t.tool, "arguments": t.input}} for t in tools]
                said = {"role": "assistant", "content": choice.content.whole(grown=grown), "tool_calls": calls}
                facts.answer = [*facts.answer, *turns_of(said)]
        return facts


def _texts(content: Any) -> list[str]:
    return [text for part in map(as_dict, as_list(content)) if (text := as_str(part.get("text")))]


def _named(counters: dict[str, Any]) -> dict[str, Any]:
    """Under the names that Chat Completions have for them; details of the input stand in either of two places."""
    inside = as_dict(counters.get("input_tokens_details")) | as_dict(counters.get("prompt_tokens_details"))
    named = {
        "prompt_tokens": counters.get("input_tokens"),
        "completion_tokens": counters.get("output_tokens"),
        "prompt_tokens_details": inside,
        "completion_tokens_details": counters.get("output_tokens_details"),
    }
    left = ("input_tokens", "output_tokens", "input_tokens_details", "prompt_tokens_details", "output_tokens_details")
    return {name: value for name, value in counters.items() if name not in left} | named
