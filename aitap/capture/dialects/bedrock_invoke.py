"""Amazon Bedrock InvokeModel (``POST /model/{id}/invoke``, ``/invoke-with-response-stream``).

The envelope is Amazon's: the model in the path, the stream in ``chunk`` frames whose ``bytes`` are
base64 of one event, the counters also in ``amazon-bedrock-invocationMetrics`` of the last event or in
``x-amzn-bedrock-*-token-count`` response headers. What is inside is each vendor's own language and
told by its members alone, for the id of an inference profile names no vendor:

* Anthropic's Messages with ``anthropic_version``; Amazon Nova's is Converse; OpenAI's, AI21's and the
  newer ones of Mistral are Chat Completions: each goes to the dialect it is;
* Cohere's Command R is Cohere's older Chat;
* Meta, Mistral, Titan, older ones of Cohere and DeepSeek complete a text: prompt, usage and stop reason are read here.

Protocol facts are Amazon's public API reference and its "Inference request parameters and response
fields". A stream is whole when its own language says so, or with the metrics of the last event.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import msgspec

from aitap.capture.dialects.anthropic_answer import MessageDecoder
from aitap.capture.dialects.anthropic_messages import AnthropicMessages
from aitap.capture.dialects.bedrock_completion import CompletionDecoder, counted
from aitap.capture.dialects.bedrock_converse import BedrockConverse, model_in_path
from aitap.capture.dialects.bedrock_converse_answer import ConverseDecoder, billed_by, exception_fact
from aitap.capture.dialects.chat_answer import ChatDecoder
from aitap.capture.dialects.cohere_chat_v1 import CohereChatV1, CohereV1Decoder
from aitap.capture.dialects.openai_chat import OpenAIChat
from aitap.capture.dialects.openai_chat_turns import message_turns
from aitap.capture.facts import (
    ErrorFact,
    Message,
    RequestContents,
    RequestFacts,
    ResponseDecoder,
    ResponseFacts,
)
from aitap.capture.wire import jsontext
from aitap.capture.wire.jsontext import as_dict, as_int, as_list, as_str, value_of

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["BedrockInvoke", "InvokeDecoder"]

Raw = msgspec.Raw
_NONE = Raw(b"")
_METRICS = "amazon-bedrock-invocationMetrics"
_GUARD = "amazon-bedrock-guardrailAction"
_HEADER = "x-amzn-bedrock-"
_NUMBER = re.compile(r"[0-9]{1,18}")

_anthropic = AnthropicMessages()
_converse = BedrockConverse()
_chat = OpenAIChat()
_cohere = CohereChatV1()


class _Body(msgspec.Struct):
    anthropic_version: Raw = _NONE
    messages: Raw = _NONE
    schemaVersion: Raw = _NONE  # noqa: N815 - members are named as on the wire
    inferenceConfig: Raw = _NONE  # noqa: N815
    toolConfig: Raw = _NONE  # noqa: N815
    prompt: Raw = _NONE
    inputText: Raw = _NONE  # noqa: N815
    message: Raw = _NONE
    max_gen_len: Raw = _NONE
    max_tokens: Raw = _NONE
    textGenerationConfig: Raw = _NONE  # noqa: N815
    texts: Raw = _NONE
    input_type: Raw = _NONE
    taskType: Raw = _NONE  # noqa: N815


class _Typeless(msgspec.Struct):
    """A content part as Converse writes it says what it is by its member, not by a ``type``."""

    type: Raw = _NONE


class _Content(msgspec.Struct):
    content: list[_Typeless] = []


_body = msgspec.json.Decoder(_Body)
_content = msgspec.json.Decoder(list[_Content])


class BedrockInvoke:
    """The dialect ``bedrock.invoke``."""

    name = "bedrock.invoke"

    def request(self, body: bytes, path: str) -> RequestFacts:
        parts: _Body | None = jsontext.split(body, _body)
        if parts is None:
            facts = RequestFacts()
        elif parts.anthropic_version:
            facts = _anthropic.request(body, path)
        elif parts.messages:
            facts = (_converse if _is_converse(parts) else _chat).request(body, path)
        elif parts.message:
            facts = _cohere.request(body, path)
        else:
            facts = _completion(parts)
            if _embeds(parts, path):
                facts.body_ids["embedding"] = "asked"
        facts.model = model_in_path(path)
        facts.streaming = path.endswith("-stream")
        return facts

    def decoder(self, path: str, headers: Mapping[str, str], *, keep_text: bool = False) -> InvokeDecoder:  # noqa: ARG002
        return InvokeDecoder(headers, keep_text=keep_text)


def _is_converse(parts: _Body) -> bool:
    if parts.schemaVersion or parts.inferenceConfig or parts.toolConfig:
        return True
    try:
        messages = _content.decode(parts.messages)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return False
    return any(message.content and not message.content[0].type for message in messages)


def _embeds(parts: _Body, path: str) -> bool:
    """Whether vectors are asked for, and no words: of Cohere, Nova and Titan."""
    return bool(
        parts.texts
        or parts.input_type
        or b"EMBEDDING" in bytes(parts.taskType)
        or (parts.inputText and not parts.textGenerationConfig and "titan-text" not in path)
    )


def _completion(parts: _Body) -> RequestFacts:
    """Of a body that has a text to go on with, and maybe whole turns inside it that only the model tells apart."""
    text = next((text for raw in (parts.prompt, parts.inputText) if (text := as_str(value_of(raw)))), "")
    newest = [Message(role="user", texts=[text])] if text else []
    limits = (
        value_of(parts.max_gen_len),
        value_of(parts.max_tokens),
        as_dict(value_of(parts.textGenerationConfig)).get("maxTokenCount"),
    )
    return RequestFacts(
        newest=newest,
        max_tokens=next((number for limit in limits if (number := as_int(limit)) is not None), None),
        conversation=lambda: newest,
        contents=lambda: RequestContents([Raw(msgspec.json.encode({"role": "user", "content": text}))], message_turns),
    )


class _Chunk(msgspec.Struct, rename={"event": "bytes"}):
    event: bytes = b""
    """msgspec undoes the base64."""


class _Head(msgspec.Struct):
    type: str | None = None


_chunk = msgspec.json.Decoder(_Chunk)
_head = msgspec.json.Decoder(_Head)
_members = msgspec.json.Decoder(dict[str, Raw])


def _raw_members(data: bytes) -> dict[str, Raw]:
    try:
        return _members.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return {}


class InvokeDecoder:
    """Decoder of one InvokeModel response: opens the envelope, and passes on what is inside."""

    def __init__(self, headers: Mapping[str, str], *, keep_text: bool = False) -> None:
        self.skip: tuple[bytes, ...] = ()
        self._keep_text = keep_text
        self._headers = headers
        self._metrics: dict[str, Any] = {}
        self._blocked = False
        self._inner: ResponseDecoder | None = None
        self._exception: ErrorFact | None = None

    def event(self, kind: bytes, data: bytes, at: float) -> None:
        if kind != b"chunk":
            if kind.startswith((b"exception:", b"error:")):
                self._exception = exception_fact(kind, data)
            return
        part: _Chunk | None = jsontext.split(data, _chunk)
        event = part.event if part is not None else b""
        text = b'"delta":{"type":"text_delta"' in event
        if text and not self._keep_text and isinstance(self._inner, MessageDecoder):
            return  # answer text is no fact; no string can hold these quotes unescaped
        head: _Head | None = jsontext.split(event, _head)
        if head is None:
            return
        self._metrics_in(event)
        if self._inner is None:
            value = {"type": "message"} if head.type else as_dict(value_of(event))
            self._inner = _decoder_for(value, keep_text=self._keep_text)
        if isinstance(self._inner, ConverseDecoder):
            for name, member in _raw_members(event).items():
                self._inner.event(name.encode(), bytes(member), at)
        else:
            self._inner.event((head.type or "message").encode(), event, at)

    def document(self, data: bytes) -> None:
        value = value_of(data)
        if not isinstance(value, dict):
            return
        self._metrics_in(data)
        self._inner = _decoder_for(value, keep_text=self._keep_text)
        self._inner.document(data)

    def _metrics_in(self, data: bytes) -> None:
        if b'"amazon-bedrock-' in data:
            told = as_dict(value_of(data))
            self._metrics = as_dict(told.get(_METRICS)) or self._metrics
            self._blocked = self._blocked or told.get(_GUARD) == "INTERVENED"

    def facts(self) -> ResponseFacts:
        facts = ResponseFacts() if self._inner is None else self._inner.facts()
        if self._exception is not None:
            facts.error, facts.complete = self._exception, False
        if facts.usage is None:
            facts.usage = counted(self._metrics or self._counted_in_headers())
        if facts.usage is not None:
            facts.usage.extra |= billed_by(
                self._headers.get("x-amzn-bedrock-service-tier"),
                self._headers.get("x-amzn-bedrock-performanceconfig-latency"),
            )
            facts.usage.extra |= {
                name: number
                for name in ("invocationLatency", "firstByteLatency")
                if (number := as_int(self._metrics.get(name))) is not None
            }
        # Anthropic's stream has an end of its own; of the others some have none but these metrics.
        if self._metrics and facts.error is None and not isinstance(self._inner, MessageDecoder):
            facts.complete = True
        if self._blocked and facts.error is None:
            # What a guardrail says instead of the model is said at once, without the end of its language.
            facts.stop_reason, facts.complete = facts.stop_reason or "guardrail_intervened", True
        return facts

    def _counted_in_headers(self) -> dict[str, Any]:
        names = {
            "inputTokenCount": "input-token-count",
            "outputTokenCount": "output-token-count",
            "cacheReadInputTokenCount": "cache-read-input-token-count",
            "cacheWriteInputTokenCount": "cache-write-input-token-count",
        }
        found = {name: self._headers.get(_HEADER + header, "") for name, header in names.items()}
        return {name: int(text) for name, text in found.items() if _NUMBER.fullmatch(text)}


def _decoder_for(value: dict[str, Any], *, keep_text: bool) -> ResponseDecoder:
    """By the members of a first event or of a whole document."""
    if value.get("type") in ("message", "error") or "content" in value:
        return MessageDecoder(keep_text=keep_text)
    if "output" in value or "messageStart" in value or "contentBlockDelta" in value or "contentBlockStart" in value:
        return ConverseDecoder(keep_text=keep_text)
    if "event_type" in value or ("generation_id" in value and "text" in value):
        return CohereV1Decoder(keep_text=keep_text)
    choice = as_dict(next(iter(as_list(value.get("choices"))), None))
    if "choices" in value and "text" not in choice:
        return _BedrockChatDecoder(keep_text=keep_text)
    return CompletionDecoder(keep_text=keep_text)


class _BedrockChatDecoder(ChatDecoder):
    """Chat Completions, where Mistral on Bedrock writes ``stop_reason`` for ``finish_reason``."""

    def __init__(self, *, keep_text: bool) -> None:
        super().__init__(keep_text=keep_text)
        self._stop_reason: str | None = None

    def event(self, kind: bytes, data: bytes, at: float) -> None:
        self._look(data)
        super().event(kind, data, at)

    def document(self, data: bytes) -> None:
        self._look(data)
        super().document(data)

    def _look(self, data: bytes) -> None:
        if b'"stop_reason"' in data:
            for choice in map(as_dict, as_list(as_dict(value_of(data)).get("choices"))):
                self._stop_reason = as_str(choice.get("stop_reason")) or self._stop_reason

    def facts(self) -> ResponseFacts:
        facts = super().facts()
        facts.stop_reason = facts.stop_reason or self._stop_reason
        facts.complete = facts.complete or (self._stop_reason is not None and facts.error is None)
        return facts
