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

from aitap.capture.dialects.newest_turn import newest_turn, prefilled, role_of
from aitap.capture.dialects.openai_chat_turns import message_turns
from aitap.capture.facts import (
    Attachment,
    Message,
    RequestContents,
    RequestFacts,
)
from aitap.capture.wire import jsontext
from aitap.capture.wire.jsontext import as_dict, as_int, as_list, as_str, value_of
from aitap.record import ToolResult

if TYPE_CHECKING:
    from collections.abc import Mapping

from aitap.capture.dialects.chat_answer import ChatDecoder, part_text

__all__ = ["OpenAIChat", "audio_attachment", "data_uri", "truthy"]


Raw = msgspec.Raw
_NONE = Raw(b"")


class _Body(msgspec.Struct):
    model: Raw = _NONE
    model_id: Raw = _NONE
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
    request: Raw = _NONE


_body = msgspec.json.Decoder(_Body)


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
        if not parts.messages and bytes(memoryview(parts.request)[:1]) == b"{":
            # Perplexity's form of what is to be answered later.
            parts = jsontext.split(parts.request, _body) or parts
        messages = parts.messages
        model = value_of(parts.model or parts.model_id)  # the second is IBM's name for it
        max_tokens = as_int(value_of(parts.max_completion_tokens))
        newest = newest_turn(messages, _message)
        facts = RequestFacts(
            model=model if isinstance(model, str) and model else _deployment(path),
            streaming=truthy(parts.stream),
            newest=newest,
            prefilled=None if newest else prefilled(messages, _message),
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


_DEPLOYMENT = re.compile(r"/(?:deployments/([^/]+)/|serving-endpoints/([^/]+)/invocations$)")


def _deployment(path: str) -> str:
    """Azure names a deployment in the path, Databricks an endpoint; the body may name no model then."""
    match = _DEPLOYMENT.search(path)
    return unquote(match[1] or match[2]) if match else ""


def _system(messages: list[Raw]) -> str:
    for item in messages[:2]:
        role = role_of(item)
        if role in ("system", "developer"):
            return "\n".join(_message(item).texts)[:2000]
    return ""


def _outline(item: Raw) -> Message:
    """Who speaks, and a user's text; what assistant and tools said is not decoded."""
    role = role_of(item)
    match role:
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
        # Functions, as they were before there were tools, have no ids: they are answered by name.
        call_id = as_str(message.get("tool_call_id")) or as_str(message.get("name"))
        text = content if isinstance(content, str) else "".join(map(part_text, as_list(content)))
        # Cohere's results are documents, not text.
        size = len(text.encode()) if text or not content else len(msgspec.json.encode(content))
        results = [ToolResult(call_id=call_id, status=None, size=size)] if call_id else []
        return Message(role="tool", results=results, texts=[text])
    found = Message(role="user" if role == "user" else "assistant" if role == "assistant" else "other")
    if isinstance(content, str):
        found.texts = [content] if content else []
    for part in map(as_dict, as_list(content)):
        if text := part_text(part):
            found.texts.append(text)
        elif attachment := _attachment(part):
            found.attachments.append(attachment)
    for call in map(as_dict, as_list(message.get("tool_calls"))):
        name = as_dict(call.get("function") or call.get("custom")).get("name")
        found.calls.append(f"{name}:{call.get('id')}")
    return found


def data_uri(text: str | None) -> tuple[str | None, int | None, str | None]:
    """Media type, size in bytes and plain URI of what may be a ``data:`` URI; its content is not kept."""
    if not text or not text.startswith("data:"):
        return None, None, text or None
    head, _, data = text.partition(",")
    media = head.removeprefix("data:").split(";")[0] or None
    return media, len(data) * 3 // 4 if head.endswith(";base64") else len(data), None


def audio_attachment(part: dict[str, Any]) -> Attachment:
    """A part ``input_audio``, which the two APIs have in common."""
    audio = as_dict(part.get("input_audio"))
    data = as_str(audio.get("data")) or ""
    return Attachment(type="audio", media_type=as_str(audio.get("format")), bytes=len(data) * 3 // 4)


def _attachment(part: dict[str, Any]) -> Attachment | None:
    match part.get("type"):
        case "image_url":
            image = part.get("image_url")
            media, size, uri = data_uri(as_str(image) or as_str(as_dict(image).get("url")))
            return Attachment(type="image", media_type=media, bytes=size, uri=uri)
        case "input_audio":
            return audio_attachment(part)
        case "image" | "video" | "audio" | "video_url" | "audio_url" as kind if part.get(kind):
            given = part[kind]  # DashScope gives a video as a list of its pictures, too
            media, size, uri = data_uri(as_str(given) or as_str(as_dict(given).get("url")))
            return Attachment(type=kind.removesuffix("_url"), media_type=media, bytes=size, uri=uri)
        case "document_url":
            media, size, uri = data_uri(as_str(part.get("document_url")))
            return Attachment(type="file", media_type=media, bytes=size, uri=uri)
        case "file":
            file = as_dict(part.get("file"))
            media, size, uri = data_uri(as_str(file.get("file_data")))
            return Attachment(type="file", media_type=media, bytes=size, uri=uri or as_str(file.get("file_id")))
    return None
