"""Ollama's own API (``POST /api/chat``, ``/api/generate``), JSON lines or one JSON document.

Protocol facts are Ollama's public API reference: it streams unless ``stream`` is false; the last object
has ``done: true`` and the counters; a tool call comes whole, its arguments as an object, and with an id
in newer versions only; an error in the midst of a stream is a line of its own. ``prompt_eval_count`` is
all of the prompt where ``prompt_eval_cached_count`` tells what of it was read from the model's own cache; older
versions do not tell, and count what was evaluated.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from aitap.capture.dialects.chat_answer import ChatDecoder, error_fact
from aitap.capture.dialects.newest_turn import newest_turn
from aitap.capture.dialects.openai_chat_turns import message_turns, turns_of
from aitap.capture.dialects.openai_completions import is_gap
from aitap.capture.facts import (
    Attachment,
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

__all__ = ["Ollama", "OllamaDecoder"]

Raw = msgspec.Raw
_NONE = Raw(b"")


class _Body(msgspec.Struct):
    model: Raw = _NONE
    messages: list[Raw] = []
    prompt: Raw = _NONE
    images: Raw = _NONE
    suffix: Raw = _NONE
    system: Raw = _NONE
    tools: Raw = _NONE
    stream: Raw = _NONE
    options: Raw = _NONE
    format: Raw = _NONE


_body = msgspec.json.Decoder(_Body)


class Ollama:
    """The dialects ``ollama.chat`` and ``ollama.generate``: a text to go on with is a conversation of one turn."""

    def __init__(self, name: str) -> None:
        self.name = name

    def request(self, body: bytes, path: str) -> RequestFacts:  # noqa: ARG002 - the body says it all
        parts: _Body | None = jsontext.split(body, _body)
        if parts is None:
            return RequestFacts(streaming=True)
        messages = parts.messages
        if prompt := as_str(value_of(parts.prompt)):
            newest = [Message(role="user", texts=[prompt], attachments=_images(value_of(parts.images)))]
        else:
            newest = newest_turn(messages, _message)
        gap = prompt and (as_str(value_of(parts.suffix)) or is_gap(prompt))
        return RequestFacts(
            model=as_str(value_of(parts.model)) or "",
            streaming=bytes(parts.stream) != b"false",
            newest=newest,
            system=(as_str(value_of(parts.system)) or _system(messages))[:2000],
            has_tools=len(parts.tools) > len(b"[]") and bytes(parts.tools) != b"null",
            max_tokens=as_int(as_dict(value_of(parts.options)).get("num_predict")),
            output_schema=bytes(parts.format).startswith(b"{"),
            # Loading a model is asked for by a request without words.
            prewarm=not messages and not prompt,
            # A gap in the midst of a text is one that an editor has filled in.
            body_ids={"suffix": "given"} if gap else {},
            conversation=lambda: [_message(item) for item in messages] or newest,
            contents=lambda: RequestContents(
                messages or [_as_message(parts)], message_turns, parts.system, parts.tools
            ),
        )

    def decoder(self, path: str, headers: Mapping[str, str], *, keep_text: bool = False) -> OllamaDecoder:  # noqa: ARG002
        return OllamaDecoder(keep_text=keep_text)


def _as_message(parts: _Body) -> Raw:
    """A text to go on with as the one message of a chat."""
    message = {"role": "user", "content": value_of(parts.prompt), "images": value_of(parts.images)}
    return Raw(msgspec.json.encode(message))


def _system(messages: list[Raw]) -> str:
    first = _message(messages[0]) if messages else Message(role="other")
    return "\n".join(first.texts) if first.role == "other" else ""


def _message(item: Raw) -> Message:
    message = as_dict(value_of(item))
    text = as_str(message.get("content")) or ""
    texts = [text] if text else []
    match message.get("role"):
        case "user":
            return Message(role="user", texts=texts, attachments=_images(message.get("images")))
        case "assistant":
            calls = [as_dict(as_dict(call).get("function")).get("name") for call in as_list(message.get("tool_calls"))]
            return Message(role="assistant", texts=texts, calls=[str(name) for name in calls])
        case "tool":
            # Where calls have no id, their results name the tool, or come in the order of the calls.
            call_id = as_str(message.get("tool_call_id")) or as_str(message.get("tool_name")) or ""
            result = ToolResult(call_id=call_id, status=None, size=len(text.encode()))
            return Message(role="tool", texts=texts, results=[result])
    return Message(role="other", texts=texts)


def _images(value: Any) -> list[Attachment]:
    return [Attachment(type="image", bytes=len(data) * 3 // 4) for data in as_list(value) if isinstance(data, str)]


class _Function(msgspec.Struct):
    name: str = ""
    arguments: Raw = _NONE


class _Call(msgspec.Struct):
    id: str | None = None
    function: _Function | None = None


class _Answer(msgspec.Struct):
    content: str | None = None
    thinking: str | None = None
    tool_calls: list[_Call] | None = None


class _Line(msgspec.Struct):
    model: str | None = None
    message: _Answer | None = None
    response: str | None = None
    thinking: str | None = None
    done: bool | None = None
    done_reason: str | None = None
    error: Raw = _NONE


_line = msgspec.json.Decoder(_Line)


class OllamaDecoder:
    """Decoder of one answer."""

    def __init__(self, *, keep_text: bool = False) -> None:
        self.skip: tuple[bytes, ...] = ()
        self._keep_text = keep_text
        self._said: list[str] = []
        self._facts = ResponseFacts()
        self._thought: list[str] = []
        self._done = False
        self._chat: ChatDecoder | None = None

    def event(self, kind: bytes, data: bytes, at: float) -> None:
        facts = self._facts
        # Most lines are one piece of answer text. None of these keys can stand unescaped inside a string.
        if (
            facts.first_output_at is not None
            and not self._keep_text
            and b'"done":false' in data
            and b'"thinking"' not in data
            and b'"tool_calls"' not in data
            and b'"error"' not in data
        ):
            return
        if self._chat is None and not self._done and facts.model is None and b'"choices"' in data:
            # llama.cpp has Ollama's address, and OpenAI's language.
            self._chat = ChatDecoder(keep_text=self._keep_text)
        if self._chat is not None:
            self._chat.event(kind, data, at)
            return
        line: _Line | None = jsontext.split(data, _line)
        if line is None:
            return
        if line.error and (error := value_of(line.error)):
            facts.error = error_fact({"error": error})
        facts.model = facts.model or line.model
        message = line.message or _Answer()
        if self._keep_text and (said := message.content or line.response):
            self._said.append(said)
        if thinking := message.thinking or line.thinking:
            self._thought.append(thinking)
        facts.tools += [_tool(call.id, call.function) for call in message.tool_calls or () if call.function is not None]
        if facts.first_output_at is None and (thinking or message.content or message.tool_calls or line.response):
            facts.first_output_at = at
        if line.done:
            self._done = True
            facts.stop_reason = line.done_reason
            facts.usage = _usage(as_dict(value_of(data)))

    def document(self, data: bytes) -> None:
        # Lines that are not declared as such are a document that does not parse.
        whole = value_of(data)
        if isinstance(whole, dict) and "choices" in whole:
            self._chat = ChatDecoder(keep_text=self._keep_text)
            self._chat.document(data)
            return
        pieces = [data] if isinstance(whole, dict) else data.splitlines()
        for piece in pieces:
            self.event(b"line", piece, 0.0)
        self._facts.first_output_at = None

    def facts(self) -> ResponseFacts:
        if self._chat is not None:
            return self._chat.facts()
        facts = self._facts
        facts.complete = self._done and facts.error is None
        facts.thoughts = [ThoughtFact("thinking", "".join(self._thought))] if self._thought else []
        if self._keep_text:
            calls = [{"id": t.call_id, "function": {"name": t.tool, "arguments": t.input}} for t in facts.tools]
            facts.answer = turns_of({"role": "assistant", "content": "".join(self._said), "tool_calls": calls})
        return facts


def _tool(call_id: str | None, function: _Function) -> ToolFact:
    text = as_str(value_of(function.arguments))
    arguments = jsontext.raw_text(function.arguments) if text is None else text
    return ToolFact(tool=function.name, input=arguments, call_id=call_id or None)


def _usage(line: dict[str, Any]) -> UsageFact | None:
    read = as_int(line.get("prompt_eval_count"))
    written = as_int(line.get("eval_count"))
    if read is None and written is None:
        return None
    cached = min(as_int(line.get("prompt_eval_cached_count")) or 0, read or 0)
    return UsageFact(
        input_tokens=(read or 0) - cached,
        output_tokens=written or 0,
        cache_read_input_tokens=cached,
        extra={name: number for name, number in jsontext.flat_numbers(line).items() if name.endswith("_duration")},
    )
