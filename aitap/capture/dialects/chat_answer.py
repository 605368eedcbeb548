"""The answer of Chat Completions: :class:`ChatDecoder`. See ``openai_chat`` for the protocol."""

from __future__ import annotations

from typing import Any

import msgspec

from aitap.capture.dialects.openai_chat_turns import turns_of
from aitap.capture.dialects.openai_usage import chat_usage
from aitap.capture.facts import (
    ErrorFact,
    ResponseFacts,
    ThoughtFact,
    ToolFact,
)
from aitap.capture.wire import jsontext
from aitap.capture.wire.jsontext import as_dict, as_int, as_list, as_str, value_of
from aitap.record import ToolResult

__all__ = ["ChatDecoder", "error_fact", "part_text", "thinking_of"]

Raw = msgspec.Raw
_NONE = Raw(b"")


class _Choice(msgspec.Struct):
    index: int = 0
    delta: Raw = _NONE
    message: Raw = _NONE
    text: Raw = _NONE
    finish_reason: str | None = None
    usage: Raw = _NONE
    error: Raw = _NONE


class _Chunk(msgspec.Struct):
    id: str | None = None
    model: str | None = None
    choices: list[_Choice] | None = None
    usage: Raw = _NONE
    service_tier: Raw = _NONE
    error: Raw = _NONE
    x_groq: Raw = _NONE
    copilot_usage: Raw = _NONE  # GitHub Copilot: what its own units come to


_chunk = msgspec.json.Decoder(_Chunk)


# OpenAI has none in Chat; DeepSeek's name, OpenRouter's and vLLM's, GitHub Copilot's.
_THOUGHTS = ("reasoning_content", "reasoning", "reasoning_text")
_OUTPUT = (*_THOUGHTS, "content", "tool_calls", "refusal", "function_call", "audio", "reasoning_details")


_FEW = 64
"""Who sends no ids sends arguments whole, or nearly so."""

# Reasons to finish that are failures of the provider's: Mistral and OpenRouter; Z.ai; DeepSeek.
_FAILED = {"error": "server_error", "network_error": "server_error", "insufficient_system_resource": "overloaded"}


class _Call:
    """A tool call while its arguments arrive."""

    __slots__ = ("call_id", "choice", "custom", "name", "pieces")

    def __init__(self, choice: int) -> None:
        self.choice = choice
        self.call_id: str | None = None
        self.name = ""
        self.custom = False
        self.pieces: list[str] = []

    def followed_by(self, call_id: str | None) -> bool:
        """Whether a name with this id, which may be none, begins another call.

        Some vendors give every call index 0, or none: then a new id tells, or that nothing can follow any more.
        """
        if call_id and self.call_id:
            return call_id != self.call_id
        if call_id or not 0 < len(self.pieces) <= _FEW:
            return False
        return isinstance(value_of("".join(self.pieces).encode("utf-8", "replace")), dict)


class ChatDecoder:
    """Decoder of one Chat Completions response."""

    def __init__(self, *, keep_text: bool = False) -> None:
        self.skip: tuple[bytes, ...] = ()
        self._keep_text = keep_text
        self._texts: dict[int, list[Any]] = {}
        self._facts = ResponseFacts()
        self._usage: dict[str, Any] | None = None
        self._billed: dict[str, int | float] = {}
        self._calls: dict[tuple[int, int], _Call] = {}
        self._order: list[_Call] = []
        self._run: dict[int, ToolFact] = {}
        self._thought: dict[int, list[str]] = {}
        self._hidden = 0
        self._open: set[int] = set()
        self._pieces: set[int] = set()
        self._said = False
        self._finished = False
        self._done = False

    def event(self, kind: bytes, data: bytes, at: float) -> None:
        if data.startswith(b"[DONE]"):
            self._done = True
            return
        if kind == b"error" and b'"error"' not in data:
            said = value_of(data)
            self._facts.error = error_fact(data.decode("utf-8", "replace").strip() or {} if said is None else said)
            return
        # Most chunks are one piece of answer text. None of these keys can stand unescaped inside a string.
        if (
            self._facts.first_output_at is not None
            and not self._keep_text
            and b'"finish_reason":null' in data
            and b'"finish_reason":"' not in data
            and b'"index":0' in data
            and 0 in self._open
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
        if self._facts.error is None and (self._finished or self._said or self._usage is not None or self._order):
            self._done = True
        elif self._facts.error is None and (promised := _promised(as_dict(value_of(data)))):
            self._facts.stop_reason, self._done = promised, True

    def _chunk(self, data: bytes, at: float | None) -> None:
        chunk: _Chunk | None = jsontext.split(data, _chunk)
        if chunk is None:
            return
        facts = self._facts
        groq = as_dict(value_of(chunk.x_groq))
        if error := value_of(chunk.error) or groq.get("error"):
            facts.error = error_fact({"error": error})
        facts.response_id = facts.response_id or chunk.id or None
        facts.model = facts.model or chunk.model or None
        usage = as_dict(value_of(chunk.usage)) or as_dict(groq.get("usage"))
        if chunk.copilot_usage:
            self._billed = jsontext.flat_numbers(value_of(chunk.copilot_usage), "copilot_usage")
        for choice in chunk.choices or ():
            usage = usage or as_dict(value_of(choice.usage))  # Moonshot's place for it
            self._choice(choice, at)
        if usage:
            tier = as_str(value_of(chunk.service_tier))
            self._usage = usage | {"service_tier": tier} if tier else usage  # Mistral has it among the counters
        elif not chunk.choices and facts.error is None:
            facts.error = _complaint(as_dict(value_of(data)))

    def _choice(self, choice: _Choice, at: float | None) -> None:
        facts = self._facts
        if error := value_of(choice.error):
            facts.error = error_fact({"error": error})
        delta = as_dict(value_of(choice.delta))
        if delta:
            self._pieces.add(choice.index)
        elif choice.index not in self._pieces:  # MiniMax ends a stream with the whole message, too
            delta = as_dict(value_of(choice.message))
        if choice.text:  # the older Completions
            delta = delta or {"content": as_str(value_of(choice.text))}
        self._open.add(choice.index)
        self._said = self._said or bool(delta)
        self._delta(choice.index, delta)
        if at is not None and facts.first_output_at is None and any(delta.get(key) for key in _OUTPUT):
            facts.first_output_at = at
        if choice.finish_reason:
            self._open.discard(choice.index)
            self._finished = True
            if choice.index == 0 or facts.stop_reason is None:
                facts.stop_reason = choice.finish_reason
            if choice.finish_reason in _FAILED and facts.error is None:
                facts.error = ErrorFact("the provider reported a failed generation", _FAILED[choice.finish_reason])

    def _delta(self, choice: int, delta: dict[str, Any]) -> None:
        if self._keep_text:
            said = (delta.get("content"), delta.get("refusal"), as_dict(delta.get("audio")).get("transcript"))
            self._texts.setdefault(choice, []).extend(piece for piece in said if piece)
        details = [as_dict(item) for item in as_list(delta.get("reasoning_details"))]
        thought = next((text for name in _THOUGHTS if (text := as_str(delta.get(name)))), "")
        if thought := thought or thinking_of(delta.get("content")) or "".join(map(_detail, details)):
            self._thought.setdefault(choice, []).append(thought)
        if delta.get("reasoning_opaque") or any(item.get("type") == "reasoning.encrypted" for item in details):
            self._hidden += 1
        calls = delta.get("tool_calls")
        for position, item in enumerate([calls] if isinstance(calls, dict) else as_list(calls)):
            call = as_dict(item)
            self._call(choice, as_int(call.get("index")), position, call)
        legacy = as_dict(delta.get("function_call"))
        if any(legacy.values()):  # who writes members that are not there writes them empty
            self._call(choice, -1, 0, {"function": legacy})
        for position, item in enumerate(as_list(delta.get("executed_tools"))):
            index = as_int(as_dict(item).get("index"))
            self._run[position if index is None else index] = _executed(as_dict(item))

    def _call(self, choice: int, index: int | None, position: int, call: dict[str, Any]) -> None:
        key = (choice, position if index is None else index)
        call_id = as_str(call.get("id")) or None
        known = self._calls.get(key)
        if index is None and call_id and known is not None and known.call_id != call_id:
            # Without an index it is the id that tells where a piece belongs.
            known = next((one for one in self._order if (one.choice, one.call_id) == (choice, call_id)), known)
        given = ("custom", "function") if call.get("type") == "custom" else ("function", "custom")
        function = as_dict(call.get(given[0])) or as_dict(call.get(given[1]))
        name = as_str(function.get("name")) or ""
        if known is None or (name and known.followed_by(call_id)):
            known = self._calls[key] = _Call(choice)
            self._order.append(known)
        known.call_id = known.call_id or call_id
        known.name = known.name or name
        known.custom = known.custom or call.get("type") == "custom" or ("custom" in call and not call.get("function"))
        piece = function.get("input" if known.custom else "arguments")
        if isinstance(piece, str):
            known.pieces.append(piece)
        elif piece is not None:
            known.pieces.append(msgspec.json.encode(piece).decode())

    def facts(self) -> ResponseFacts:
        facts = self._facts
        ended = self._done or (self._finished and not self._open)
        facts.complete = ended and facts.error is None
        facts.usage = None if self._usage is None else chat_usage(self._usage, partial=not ended)
        if facts.usage is not None:
            facts.usage.extra |= self._billed
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
        facts.tools += [tool for _, tool in sorted(self._run.items())]
        facts.hidden_thoughts = 0 if facts.thoughts else self._hidden
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


def thinking_of(content: Any) -> str:
    """What a model of Mistral's thinks, or Claude on Databricks: parts of the content, which is a list then."""
    parts = map(as_dict, as_list(content))
    thoughts = [part.get("summary" if part.get("type") == "reasoning" else "thinking") for part in parts]
    pieces = (as_dict(piece) for thought in thoughts for piece in as_list(thought))
    return "".join(as_str(piece.get("text")) or "" for piece in pieces if piece.get("type") in ("text", "summary_text"))


def _detail(item: dict[str, Any]) -> str:
    """OpenRouter's form of a piece of reasoning: its text, or a summary of it."""
    return as_str(item.get("text")) or as_str(item.get("summary")) or ""


def _executed(item: dict[str, Any]) -> ToolFact:
    """A tool that Groq's systems ran themselves; it comes again once its output is there."""
    output = item.get("output")
    size = len(output.encode("utf-8", "replace")) if isinstance(output, str) else 0
    return ToolFact(
        tool=as_str(item.get("name")) or as_str(item.get("type")) or "",
        input=as_str(item.get("arguments")) or "",
        kind="server",
        result=None if output is None else ToolResult(call_id="", status="ok", size=size),
    )


def _complaint(document: dict[str, Any]) -> ErrorFact | None:
    """An error of a vendor who has no ``error`` for it: a code and a message where the choices should be."""
    status = as_dict(document.get("base_resp"))  # MiniMax
    if status.get("status_code"):
        return error_fact({**status, "code": status["status_code"]})
    if document.get("object") == "error" or (document.get("code") and "choices" not in document):
        return error_fact(document) if document.get("message") or document.get("msg") else None
    return None


def _promised(document: dict[str, Any]) -> str | None:
    """How it stands with an answer that is to be fetched later (Perplexity, xAI, Z.ai); None where none is."""
    if document.get("choices") is not None:
        return None
    status = as_str(document.get("status")) or as_str(document.get("task_status")) or ""
    if status.lower() in ("created", "queued", "processing", "in_progress"):
        return status
    return "deferred" if document.keys() == {"request_id"} else None


def error_fact(document: Any) -> ErrorFact:
    """The error in a body of any of the shapes OpenAI-like services send: ``error`` as object or text, or flat."""
    outer = as_dict(document)
    error = outer.get("error") or document
    if isinstance(error, list) and error:
        error = error[0]
    if isinstance(error, str):
        return ErrorFact(message=error)
    error = as_dict(error)
    told = (_words(error.get(name)) for name in ("message", "detail", "msg", "status_msg"))
    message = next(filter(None, told), "the provider reported an error")
    if raw := as_str(as_dict(error.get("metadata")).get("raw")):  # OpenRouter: what the provider itself said
        message = f"{message}: {raw}"
    # A type may be as little as "tokens" beside a code that tells more, and that of an event is only "error".
    words = [str(word) for word in map(error.get, ("type", "code", "status")) if word and word != "error"]
    # An event over a WebSocket has the status that a response would have had beside the error.
    words += [str(status) for name in ("status", "status_code") if (status := outer.get(name)) and not words]
    return ErrorFact(message=message, type=" ".join(words)[:200] or None)


def _words(told: Any) -> str:
    """What stands where a message should: text, or what a validation found, which is told as it is."""
    if isinstance(told, dict | list) and told:
        return msgspec.json.encode(told).decode()
    return as_str(told) or ""
