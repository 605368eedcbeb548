"""OpenAI Responses (``POST /v1/responses``), JSON and event stream.

Protocol facts are OpenAI's public API reference. Every stream event names itself in its data's
``type``; the response is whole with ``response.completed`` or ``response.incomplete``, and over with
``response.failed``, each of which carries the response object with usage and output. Where none of
them came, the ``response.output_item.done`` events seen so far stand in. ``input_tokens`` contain
cached ones: they are taken out.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from aitap.capture.dialects.openai_chat import audio_attachment, data_uri, truthy
from aitap.capture.dialects.openai_responses_turns import item_turns
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

from aitap.capture.dialects.responses_answer import ResponsesDecoder

__all__ = ["OpenAIResponses"]


Raw = msgspec.Raw
_NONE = Raw(b"")


class _Body(msgspec.Struct):
    model: Raw = _NONE
    input: Raw = _NONE
    instructions: Raw = _NONE
    tools: Raw = _NONE
    stream: Raw = _NONE
    max_output_tokens: Raw = _NONE
    previous_response_id: Raw = _NONE
    prompt_cache_key: Raw = _NONE
    conversation: Raw = _NONE
    text: Raw = _NONE
    generate: Raw = _NONE
    prompt_cache_options: Raw = _NONE
    client_metadata: Raw = _NONE
    metadata: Raw = _NONE


class _Item(msgspec.Struct):
    type: str = ""
    role: str = ""


_body = msgspec.json.Decoder(_Body)
_item = msgspec.json.Decoder(_Item)

# What the model said or did: the newest turn begins after the last of these.
_MODEL_ITEMS = ("reasoning", "item_reference", "compaction", "mcp_list_tools", "mcp_approval_request", "program")


class OpenAIResponses:
    """The dialect ``openai.responses``."""

    name = "openai.responses"

    def request(self, body: bytes, path: str) -> RequestFacts:  # noqa: ARG002 - the body says it all
        parts: _Body | None = jsontext.split(body, _body)
        if parts is None:
            return RequestFacts()
        model = value_of(parts.model)
        if bytes(memoryview(parts.input)[:1]) == b'"':
            text = as_str(value_of(parts.input)) or ""
            items: list[Raw] = []
            newest = [Message(role="user", texts=[text])]
        else:
            items = jsontext.raw_items(parts.input)
            newest = _newest(items)
        facts = RequestFacts(
            model=model if isinstance(model, str) else str(model) if isinstance(model, int | float) else "",
            streaming=truthy(parts.stream),
            newest=newest,
            system=(as_str(value_of(parts.instructions)) or _system(items))[:2000],
            has_tools=len(parts.tools) > len(b"[]") or _offers_tools(items),
            max_tokens=as_int(value_of(parts.max_output_tokens)),
            output_schema=b"json_schema" in bytes(parts.text),
            prewarm=bytes(parts.generate) == b"false"
            or as_dict(value_of(parts.prompt_cache_options)).get("prewarm") is True,
            previous_response_id=as_str(value_of(parts.previous_response_id)) or None,
            conversation=lambda: [_outline(item) for item in items] or newest,
            contents=lambda: RequestContents(items or [parts.input], item_turns, parts.instructions, parts.tools),
        )
        if key := as_str(value_of(parts.prompt_cache_key)):
            facts.body_ids["prompt_cache_key"] = key
        if b'"mcp"' in bytes(parts.tools):
            for tool in map(as_dict, as_list(value_of(parts.tools))):
                if (label := as_str(tool.get("server_label"))) and (url := as_str(tool.get("server_url"))):
                    facts.servers[label] = url
        conversation = value_of(parts.conversation)
        if kept := as_str(conversation) or as_str(as_dict(conversation).get("id")):
            facts.body_ids["conversation"] = kept
        for name in ("client_metadata", "metadata"):
            for key, item in as_dict(value_of(getattr(parts, name))).items():
                if isinstance(item, str):
                    facts.body_ids[f"{name}.{key}"] = item
        return facts

    def decoder(self, path: str, headers: Mapping[str, str], *, keep_text: bool = False) -> ResponsesDecoder:  # noqa: ARG002
        return ResponsesDecoder(keep_text=keep_text)


def _offers_tools(items: list[Raw]) -> bool:
    """Newer Codex has no ``tools`` member: it offers them in an input item at the front."""
    return any(b'"additional_tools"' in bytes(memoryview(item)[:400]) for item in items[:2])


def _is_model_item(item: _Item) -> bool:
    return item.role == "assistant" or item.type.endswith("_call") or item.type in _MODEL_ITEMS


def _newest(items: list[Raw]) -> list[Message]:
    newest = []
    for raw in reversed(items):
        item = jsontext.split(raw, _item)
        if item is not None and _is_model_item(item):
            break
        newest.append(_message(raw))
    newest.reverse()
    return newest


def _system(items: list[Raw]) -> str:
    for raw in items[:3]:
        message = _message(raw)
        if message.role == "other" and message.texts:
            return "\n".join(message.texts)
    return ""


def _outline(raw: Raw) -> Message:
    """Who speaks, and a user's text; what model and tools said is not decoded."""
    item = jsontext.split(raw, _item)
    if item is None:
        return Message(role="other")
    if _is_model_item(item):
        return Message(role="assistant")
    if item.type.endswith("_output"):
        return Message(role="tool")
    return _message(raw) if item.role == "user" else Message(role="other")


def _message(raw: Raw) -> Message:
    item = as_dict(value_of(raw))
    kind = as_str(item.get("type")) or ""
    if kind.endswith("_output") or kind == "mcp_approval_response":
        return _output(kind, item)
    role = item.get("role")
    if kind.endswith("_call"):
        return Message(role="assistant", calls=[f"{item.get('name') or kind}:{item.get('call_id') or item.get('id')}"])
    if kind not in ("", "message") or role not in ("user", "assistant"):
        texts = [text for part in as_list(item.get("content")) if (text := as_str(as_dict(part).get("text")))]
        content = as_str(item.get("content"))
        return Message(role="assistant" if kind in _MODEL_ITEMS else "other", texts=[content] if content else texts)
    found = Message(role="user" if role == "user" else "assistant")
    content = item.get("content")
    if isinstance(content, str):
        found.texts = [content] if content else []
    for part in map(as_dict, as_list(content)):
        match part.get("type"):
            case "input_text" | "output_text" | "text":
                if text := as_str(part.get("text")):
                    found.texts.append(text)
            case "input_image":
                media, size, uri = data_uri(as_str(part.get("image_url")))
                found.attachments.append(
                    Attachment(type="image", media_type=media, bytes=size, uri=uri or as_str(part.get("file_id")))
                )
            case "input_audio":
                found.attachments.append(audio_attachment(part))
            case "input_file":
                media, size, uri = data_uri(as_str(part.get("file_data")))
                uri = uri or as_str(part.get("file_url")) or as_str(part.get("file_id"))
                found.attachments.append(Attachment(type="file", media_type=media, bytes=size, uri=uri))
    return found


def _output(kind: str, item: dict[str, Any]) -> Message:
    call_id = as_str(item.get("call_id")) or as_str(item.get("approval_request_id")) or as_str(item.get("id"))
    output = item.get("output")
    size = len(output.encode()) if isinstance(output, str) else len(msgspec.json.encode(output)) if output else 0
    status = "error" if item.get("status") in ("failed", "incomplete") else "ok" if item.get("status") else None
    if kind == "mcp_approval_response" and isinstance(item.get("approve"), bool):
        status = "ok" if item["approve"] else "error"
    results = [ToolResult(call_id=call_id, status=status, size=size)] if call_id else []  # type: ignore[arg-type]
    return Message(role="tool", results=results, texts=[output] if isinstance(output, str) else [kind])
