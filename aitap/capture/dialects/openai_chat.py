"""OpenAI Chat Completions (``POST /v1/chat/completions``), JSON and event stream, as many vendors speak it.

Protocol facts are OpenAI's public API reference, and of the vendors that follow it (Azure, DeepSeek,
Mistral, OpenRouter, Qwen, vLLM) where they add a field. A stream ends with ``data: [DONE]``; some
vendors leave that out, so a finish reason for every choice ends it too. Usage comes in the last chunk
that carries any, and only where the client asked for it. ``prompt_tokens`` contain cached ones: they are
taken out.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

import msgspec

from aitap.capture.dialects.openai_chat_turns import message_turns, turns_of
from aitap.capture.facts import (
    Attachment,
    ErrorFact,
    Message,
    RequestContents,
    RequestFacts,
    ResponseFacts,
    ThoughtFact,
    ToolFact,
    UsageFact,
)
from aitap.capture.wire import jsontext
from aitap.capture.wire.jsontext import as_dict, as_int, as_list, as_str, value_of
from aitap.record import ToolResult

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["ChatDecoder", "OpenAIChat", "error_fact"]

Raw = msgspec.Raw
_NONE = Raw(b"")


class _Body(msgspec.Struct):
    model: Raw = _NONE
    messages: list[Raw] = []
    tools: Raw = _NONE
    functions: Raw = _NONE
    stream: Raw = _NONE
    max_tokens: Raw = _NONE
    max_completion_tokens: Raw = _NONE
    response_format: Raw = _NONE
    prompt_cache_key: Raw = _NONE
    metadata: Raw = _NONE
    user: Raw = _NONE


class _Role(msgspec.Struct):
    role: str = ""


_body = msgspec.json.Decoder(_Body)
_role = msgspec.json.Decoder(_Role)


def truthy(raw: Raw) -> bool:
    """Whether a flag is on; a few clients send it as a string or a number."""
    return bytes(raw).strip(b'"').lower() in (b"true", b"1")


class OpenAIChat:
    """The dialect ``openai.chat_completions``."""

    name = "openai.chat_completions"

    def request(self, body: bytes, path: str) -> RequestFacts:
        parts: _Body | None = jsontext.split(body, _body)
        if parts is None:
            return RequestFacts()
        messages = parts.messages
        model = value_of(parts.model)
        max_tokens = as_int(value_of(parts.max_completion_tokens))
        facts = RequestFacts(
            model=model if isinstance(model, str) and model else _deployment(path),
            streaming=truthy(parts.stream),
            newest=_newest(messages),
            system=_system(messages),
            has_tools=len(parts.tools) > len(b"[]") or len(parts.functions) > len(b"[]"),
            max_tokens=as_int(value_of(parts.max_tokens)) if max_tokens is None else max_tokens,
            output_schema=b"json_schema" in bytes(parts.response_format),
            conversation=lambda: [_outline(item) for item in messages],
            contents=lambda: RequestContents(messages, message_turns, tools=parts.tools or parts.functions),
        )
        for name in ("prompt_cache_key", "user"):
            if text := as_str(value_of(getattr(parts, name))):
                facts.body_ids[name] = text
        for key, item in as_dict(value_of(parts.metadata)).items():
            if isinstance(item, str):
                facts.body_ids[f"metadata.{key}"] = item
        return facts

    def decoder(self, path: str, headers: Mapping[str, str], *, keep_text: bool = False) -> ChatDecoder:  # noqa: ARG002
        return ChatDecoder(keep_text=keep_text)


_DEPLOYMENT = re.compile(r"/deployments/([^/]+)/")


def _deployment(path: str) -> str:
    """Azure names a deployment in the path, and the body may name no model."""
    match = _DEPLOYMENT.search(path)
    return unquote(match[1]) if match else ""


def _system(messages: list[Raw]) -> str:
    for item in messages[:2]:
        role = jsontext.split(item, _role)
        if role is not None and role.role in ("system", "developer"):
            return "\n".join(_message(item).texts)[:2000]
    return ""


def _newest(messages: list[Raw]) -> list[Message]:
    newest = []
    for item in reversed(messages):
        role = jsontext.split(item, _role)
        if role is not None and role.role == "assistant":
            break
        newest.append(_message(item))
    newest.reverse()
    return newest


def _outline(item: Raw) -> Message:
    """Who speaks, and a user's text; what assistant and tools said is not decoded."""
    role = jsontext.split(item, _role)
    match role.role if role is not None else "":
        case "user":
            return _message(item)
        case "assistant":
            return Message(role="assistant")
        case "tool" | "function":
            return Message(role="tool")
    return Message(role="other")


def _message(item: Raw) -> Message:
    message = as_dict(value_of(item))
    role = message.get("role")
    content = message.get("content")
    if role in ("tool", "function"):
        call_id = as_str(message.get("tool_call_id"))
        text = content if isinstance(content, str) else "".join(map(_part_text, as_list(content)))
        # Cohere's results are documents, not text.
        size = len(text.encode()) if text or not content else len(msgspec.json.encode(content))
        results = [ToolResult(call_id=call_id, status=None, size=size)] if call_id else []
        return Message(role="tool", results=results, texts=[text])
    found = Message(role="user" if role == "user" else "assistant" if role == "assistant" else "other")
    if isinstance(content, str):
        found.texts = [content] if content else []
    for part in map(as_dict, as_list(content)):
        if text := _part_text(part):
            found.texts.append(text)
        elif attachment := _attachment(part):
            found.attachments.append(attachment)
    for call in map(as_dict, as_list(message.get("tool_calls"))):
        name = as_dict(call.get("function") or call.get("custom")).get("name")
        found.calls.append(f"{name}:{call.get('id')}")
    return found


def _part_text(part: Any) -> str:
    part = as_dict(part)
    return as_str(part.get("text")) or "" if part.get("type") in ("text", "input_text", "refusal") else ""


def data_uri(text: str | None) -> tuple[str | None, int | None, str | None]:
    """Media type, size in bytes and plain URI of what may be a ``data:`` URI; its content is not kept."""
    if not text or not text.startswith("data:"):
        return None, None, text or None
    head, _, data = text.partition(",")
    media = head.removeprefix("data:").split(";")[0] or None
    return media, len(data) * 3 // 4 if head.endswith(";base64") else len(data), None


def _attachment(part: dict[str, Any]) -> Attachment | None:
    match part.get("type"):
        case "image_url":
            image = part.get("image_url")
            media, size, uri = data_uri(as_str(image) or as_str(as_dict(image).get("url")))
            return Attachment(type="image", media_type=media, bytes=size, uri=uri)
        case "input_audio":
            audio = as_dict(part.get("input_audio"))
            return Attachment(
                type="audio",
                media_type=as_str(audio.get("format")),
                bytes=len(as_str(audio.get("data")) or "") * 3 // 4,
            )
        case "document_url":
            media, size, uri = data_uri(as_str(part.get("document_url")))
            return Attachment(type="file", media_type=media, bytes=size, uri=uri)
        case "file":
            file = as_dict(part.get("file"))
            media, size, uri = data_uri(as_str(file.get("file_data")))
            return Attachment(type="file", media_type=media, bytes=size, uri=uri or as_str(file.get("file_id")))
    return None


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
            self._usage = usage
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


def _thinking(content: Any) -> str:
    """What a model of Mistral's thinks: parts of the content, which is a list then."""
    thoughts = [as_dict(part).get("thinking") for part in as_list(content)]
    return "".join(_part_text(piece) for thought in thoughts for piece in as_list(thought))


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
    if partial:
        extra["partial"] = True
    return UsageFact(
        input_tokens=max(prompt - cached - written, 0),
        output_tokens=as_int(counters.get("completion_tokens")) or 0,
        cache_read_input_tokens=cached,
        cache_write_input_tokens=written,
        extra=extra,
    )
