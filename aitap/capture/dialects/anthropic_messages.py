"""Anthropic Messages (``POST /v1/messages``), JSON and event stream.

Protocol facts are Anthropic's public API reference ("Messages", "Streaming messages"): usage in
``message_delta`` is cumulative, so the last value of each counter wins; a message is whole with
``message_stop``; ``ping`` and unknown events mean nothing. Input tokens exclude cached ones.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from aitap.capture.dialects.anthropic_turns import message_turns
from aitap.capture.dialects.newest_turn import newest_turn, prefilled
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

from aitap.capture.dialects.anthropic_answer import MessageDecoder

__all__ = ["AnthropicMessages"]


Raw = msgspec.Raw
_NONE = Raw(b"")


class _Body(msgspec.Struct):
    model: Raw = _NONE
    messages: list[Raw] = []
    system: Raw = _NONE
    tools: Raw = _NONE
    stream: Raw = _NONE
    max_tokens: Raw = _NONE
    metadata: Raw = _NONE
    output_config: Raw = _NONE
    output_format: Raw = _NONE
    diagnostics: Raw = _NONE
    thread: Raw = _NONE
    mcp_servers: Raw = _NONE
    compaction: Raw = _NONE


_body = msgspec.json.Decoder(_Body)


class AnthropicMessages:
    """The dialect ``anthropic.messages``."""

    name = "anthropic.messages"

    def request(self, body: bytes, path: str) -> RequestFacts:  # noqa: ARG002 - the body says it all
        parts: _Body | None = jsontext.split(body, _body)
        if parts is None:
            return RequestFacts()
        messages = parts.messages
        system, accounting = _system(parts.system)
        newest = newest_turn(messages, _message)
        facts = RequestFacts(
            model=as_str(value_of(parts.model)) or "",
            streaming=bytes(parts.stream) == b"true",
            newest=newest,
            prefilled=None if newest else prefilled(messages, _message),
            system=system,
            has_tools=len(parts.tools) > len(b"[]") and bytes(parts.tools) != b"null",
            max_tokens=as_int(value_of(parts.max_tokens)),
            output_schema=bool(parts.output_format) or b'"format"' in bytes(parts.output_config),
            # In a thread the provider holds what was said before ("Message threads").
            previous_response_id=as_str(as_dict(value_of(parts.thread)).get("previous_message_id")) or None,
            conversation=lambda: [_outline(item) for item in messages],
            contents=lambda: RequestContents(messages, message_turns, parts.system, parts.tools),
        )
        # Nothing shall be generated: the prompt is put into the cache.
        facts.prewarm = facts.max_tokens == 0
        for server in map(as_dict, as_list(value_of(parts.mcp_servers))):
            if (name := as_str(server.get("name"))) and (url := as_str(server.get("url"))):
                facts.servers[name] = url
        # Nothing shall be answered: what was said is to be summarized ("Compaction on demand").
        if (wanted := as_str(as_dict(value_of(parts.compaction)).get("type"))) is not None:
            facts.body_ids["compaction.type"] = wanted[:64]
        if "cc_is_subagent=true" in accounting:
            facts.body_ids["system.cc_is_subagent"] = "true"
        if user_id := as_str(as_dict(value_of(parts.metadata)).get("user_id")):
            facts.body_ids["metadata.user_id"] = user_id
        # Claude Code says which answer it speaks after, also where it answers no tool call and no person spoke.
        if previous := as_str(as_dict(value_of(parts.diagnostics)).get("previous_message_id")):
            facts.body_ids["diagnostics.previous_message_id"] = previous
        return facts

    def decoder(self, path: str, headers: Mapping[str, str], *, keep_text: bool = False) -> MessageDecoder:  # noqa: ARG002
        return MessageDecoder(keep_text=keep_text)


def _system(raw: Raw) -> tuple[str, str]:
    """The system text, and the accounting line that Claude Code puts before it."""
    value = value_of(raw)
    texts = [value] if isinstance(value, str) else [as_str(as_dict(part).get("text")) or "" for part in as_list(value)]
    accounting = texts.pop(0) if texts and texts[0].startswith("x-anthropic-billing-header:") else ""
    return "\n".join(texts)[:2000], accounting


class _Part(msgspec.Struct):
    type: str = ""
    text: str = ""


class _Light(msgspec.Struct):
    role: str = ""
    content: str | list[_Part] = ""


_light = msgspec.json.Decoder(_Light)


def _outline(item: Raw) -> Message:
    """Who speaks and the text of it; everything else of the message is skipped, not decoded."""
    try:
        message = _light.decode(item)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return _message(item)
    if message.role != "user":
        return Message(role="assistant" if message.role == "assistant" else "other")
    if isinstance(message.content, str):
        return Message(role="user", texts=[message.content])
    texts = [part.text for part in message.content if part.type == "text" and part.text]
    only_results = not texts and any(part.type == "tool_result" for part in message.content)
    return Message(role="tool" if only_results else "user", texts=texts)


def _message(item: Raw) -> Message:
    message = as_dict(value_of(item))
    role = message.get("role")
    content = message.get("content")
    parts = [{"type": "text", "text": content}] if isinstance(content, str) else as_list(content)
    found = Message(role="user" if role == "user" else "assistant" if role == "assistant" else "other")
    for part in map(as_dict, parts):
        match part.get("type"):
            case "text":
                if text := as_str(part.get("text")):
                    found.texts.append(text)
            case "tool_result":
                if result := _result(part):
                    found.results.append(result)
                    found.told.append(_told(part.get("content")))
            case "tool_use":
                found.calls.append(f"{part.get('name')}:{part.get('id')}")
            case "image" | "document" as kind:
                found.attachments.append(_attachment(kind, as_dict(part.get("source"))))
            case "container_upload" as kind:
                found.attachments.append(Attachment(type=kind, uri=as_str(part.get("file_id"))))
            case "search_result" as kind:
                found.attachments.append(Attachment(type=kind, uri=as_str(part.get("source"))))
    return found


def _result(part: dict[str, Any]) -> ToolResult | None:
    call_id = as_str(part.get("tool_use_id"))
    content = part.get("content")
    size = len(content.encode()) if isinstance(content, str) else len(msgspec.json.encode(content)) if content else 0
    return (
        ToolResult(call_id=call_id, status="error" if part.get("is_error") is True else "ok", size=size)
        if call_id
        else None
    )


def _told(content: Any) -> str:
    parts = [content] if isinstance(content, str) else [as_dict(part).get("text") for part in as_list(content)]
    return "\n".join(text for text in parts if isinstance(text, str))


def _attachment(kind: str, source: dict[str, Any]) -> Attachment:
    data = source.get("data")
    plain = source.get("type") == "text"
    return Attachment(
        type=kind,
        media_type=as_str(source.get("media_type")),
        bytes=None if not isinstance(data, str) else len(data.encode()) if plain else len(data) * 3 // 4,
        uri=as_str(source.get("url")) or as_str(source.get("file_id")),
    )
