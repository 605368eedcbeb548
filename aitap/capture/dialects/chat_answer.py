"""The answer of Chat Completions: :class:`ChatDecoder`. See ``openai_chat`` for the protocol."""

from __future__ import annotations

from typing import Any

import msgspec

from aitap.capture.dialects.openai_chat_turns import turns_of
from aitap.capture.facts import (
    ErrorFact,
    ResponseFacts,
    ThoughtFact,
    ToolFact,
    UsageFact,
)
from aitap.capture.wire import jsontext
from aitap.capture.wire.jsontext import as_dict, as_int, as_list, as_str, value_of

__all__ = ["ChatDecoder", "error_fact", "part_text"]

Raw = msgspec.Raw
_NONE = Raw(b"")


class _Choice(msgspec.Struct):
    index: int = 0
    delta: Raw = _NONE
    message: Raw = _NONE
    finish_reason: str | None = None


class _Chunk(msgspec.Struct):
    id: str | None = None
    model: str | None = None
    choices: list[_Choice] | None = None
    usage: Raw = _NONE
    service_tier: Raw = _NONE
    error: Raw = _NONE


_chunk = msgspec.json.Decoder(_Chunk)


class _Call:
    """A tool call while its arguments arrive."""

    __slots__ = ("call_id", "choice", "custom", "name", "pieces")

    def __init__(self, choice: int) -> None:
        self.choice = choice
        self.call_id: str | None = None
        self.name = ""
        self.custom = False
        self.pieces: list[str] = []


class ChatDecoder:
    """Decoder of one Chat Completions response."""

    def __init__(self, *, keep_text: bool = False) -> None:
        self.skip: tuple[bytes, ...] = ()
        self._keep_text = keep_text
        self._texts: dict[int, list[Any]] = {}
        self._facts = ResponseFacts()
        self._usage: dict[str, Any] | None = None
        self._calls: dict[tuple[int, int], _Call] = {}
        self._order: list[_Call] = []
        self._thought: dict[int, list[str]] = {}
        self._open: set[int] = set()
        self._finished = False
        self._done = False

    def event(self, kind: bytes, data: bytes, at: float) -> None:
        if data.startswith(b"[DONE]"):
            self._done = True
            return
        if kind == b"error" and b'"error"' not in data:
            self._facts.error = error_fact(value_of(data))
            return
        # Most chunks are one piece of answer text. None of these keys can stand unescaped inside a string.
        if (
            self._facts.first_output_at is not None
            and not self._keep_text
            and b'"finish_reason":null' in data
            and b'"finish_reason":"' not in data
            and b'"index":0' in data
            and b'"content":"' in data
            and b'"tool_calls":[' not in data
            and b'"function_call":{' not in data
            and b'"reasoning' not in data
            and b'"usage":{' not in data
            and b'"error"' not in data
        ):
            return
        self._chunk(data, at)

    def document(self, data: bytes) -> None:
        self._chunk(data, None)
        if self._facts.error is None and (self._finished or self._usage is not None or self._order):
            self._done = True

    def _chunk(self, data: bytes, at: float | None) -> None:
        chunk: _Chunk | None = jsontext.split(data, _chunk)
        if chunk is None:
            return
        facts = self._facts
        if error := value_of(chunk.error):
            facts.error = error_fact({"error": error})
        facts.response_id = facts.response_id or chunk.id or None
        facts.model = facts.model or chunk.model or None
        if usage := as_dict(value_of(chunk.usage)):
            self._usage = usage | {"service_tier": as_str(value_of(chunk.service_tier))}
        for choice in chunk.choices or ():
            delta = as_dict(value_of(choice.delta) or value_of(choice.message))
            self._open.add(choice.index)
            self._delta(choice.index, delta)
            if at is not None and facts.first_output_at is None and _has_output(delta):
                facts.first_output_at = at
            if choice.finish_reason:
                self._open.discard(choice.index)
                self._finished = True
                if choice.index == 0 or facts.stop_reason is None:
                    facts.stop_reason = choice.finish_reason

    def _delta(self, choice: int, delta: dict[str, Any]) -> None:
        if self._keep_text:
            pieces = self._texts.setdefault(choice, [])
            pieces += [piece for name in ("content", "refusal") if (piece := delta.get(name))]
        thought = as_str(delta.get("reasoning_content")) or as_str(delta.get("reasoning"))
        if thought := thought or _thinking(delta.get("content")):
            self._thought.setdefault(choice, []).append(thought)
        for position, item in enumerate(as_list(delta.get("tool_calls"))):
            call = as_dict(item)
            self._call(choice, as_int(call.get("index")), position, call)
        if legacy := as_dict(delta.get("function_call")):
            self._call(choice, -1, 0, {"function": legacy})

    def _call(self, choice: int, index: int | None, position: int, call: dict[str, Any]) -> None:
        key = (choice, position if index is None else index)
        call_id = as_str(call.get("id")) or None
        known = self._calls.get(key)
        # Some vendors give every call index 0, or none: a new id with a name starts a new call.
        function = as_dict(call.get("function")) or as_dict(call.get("custom"))
        name = as_str(function.get("name")) or ""
        if known is None or (call_id and known.call_id and call_id != known.call_id and name):
            known = self._calls[key] = _Call(choice)
            self._order.append(known)
        known.call_id = known.call_id or call_id
        known.name = known.name or name
        known.custom = known.custom or call.get("type") == "custom" or "custom" in call
        piece = function.get("input" if known.custom else "arguments")
        if isinstance(piece, str):
            known.pieces.append(piece)
        elif piece is not None:
            known.pieces.append(msgspec.json.encode(piece).decode())

    def facts(self) -> ResponseFacts:
        facts = self._facts
        ended = self._done or (self._finished and not self._open)
        facts.complete = ended and facts.error is None
        facts.usage = None if self._usage is None else _usage(self._usage, partial=not ended)
        facts.thoughts = [
            ThoughtFact("reasoning_content", "".join(pieces)) for _, pieces in sorted(self._thought.items())
        ]
        facts.tools = [
            ToolFact(
                tool=call.name,
                input="".join(call.pieces),
                kind="custom" if call.custom else "function",
                call_id=call.call_id,
                metadata={} if ended else {"partial": True},
            )
            for call in self._order
        ]
        facts.answer = [turn for choice in sorted(self._texts) for turn in turns_of(self._answer(choice))]
        return facts

    def _answer(self, choice: int) -> dict[str, Any]:
        """One choice as a client sends it back."""
        pieces = self._texts[choice]
        texts = [piece for piece in pieces if isinstance(piece, str)]
        parts = [part for piece in pieces if isinstance(piece, list) for part in piece]
        calls = [
            {"id": call.call_id, "function": {"name": call.name, "arguments": "".join(call.pieces)}}
            for call in self._order
            if call.choice == choice
        ]
        content = "".join(texts)
        return {"role": "assistant", "content": [*parts, content] if parts else content, "tool_calls": calls}


def part_text(part: Any) -> str:
    """The text of a content part; empty where it is none."""
    part = as_dict(part)
    return as_str(part.get("text")) or "" if part.get("type") in ("text", "input_text", "refusal") else ""


def _thinking(content: Any) -> str:
    """What a model of Mistral's thinks: parts of the content, which is a list then."""
    thoughts = [as_dict(part).get("thinking") for part in as_list(content)]
    return "".join(part_text(piece) for thought in thoughts for piece in as_list(thought))


def _has_output(delta: dict[str, Any]) -> bool:
    return any(
        delta.get(key)
        for key in ("content", "tool_calls", "reasoning_content", "reasoning", "refusal", "function_call")
    )


def error_fact(document: Any) -> ErrorFact:
    """The error in a body of any of the shapes OpenAI-like services send: ``error`` as object or text, or flat."""
    error = as_dict(document).get("error", document)
    if isinstance(error, str):
        return ErrorFact(message=error)
    error = as_dict(error)
    message = as_str(error.get("message")) or as_str(error.get("detail")) or "the provider reported an error"
    # A type may be as little as "tokens" beside a code that tells more, and that of an event is only "error".
    words = [str(word) for word in map(error.get, ("type", "code", "status")) if word and word != "error"]
    return ErrorFact(message=message, type=" ".join(words)[:200] or None)


_NAMES = {
    "prompt_tokens_details.audio_tokens": "prompt_audio",
    "prompt_tokens_details.cached_tokens": "prompt_cached",
    "completion_tokens_details.audio_tokens": "completion_audio",
    "completion_tokens_details.reasoning_tokens": "completion_reasoning",
    "completion_tokens_details.accepted_prediction_tokens": "completion_accepted_prediction",
    "completion_tokens_details.rejected_prediction_tokens": "completion_rejected_prediction",
}


def _usage(counters: dict[str, Any], *, partial: bool) -> UsageFact:
    details = as_dict(counters.get("prompt_tokens_details"))
    cached = as_int(details.get("cached_tokens"))
    if cached is None:  # DeepSeek and Moonshot put it beside, not inside
        cached = as_int(counters.get("prompt_cache_hit_tokens")) or as_int(counters.get("cached_tokens")) or 0
    written = as_int(details.get("cache_write_tokens")) or 0
    prompt = as_int(counters.get("prompt_tokens")) or 0
    extra: dict[str, Any] = {
        _NAMES.get(path, path): number
        for path, number in jsontext.flat_numbers(counters).items()
        if path not in ("prompt_tokens", "completion_tokens")
    }
    if tier := as_str(counters.get("service_tier")):
        extra["service_tier"] = tier
    if partial:
        extra["partial"] = True
    return UsageFact(
        input_tokens=max(prompt - cached - written, 0),
        output_tokens=as_int(counters.get("completion_tokens")) or 0,
        cache_read_input_tokens=cached,
        cache_write_input_tokens=written,
        extra=extra,
    )
