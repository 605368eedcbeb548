"""Amazon Bedrock Converse (``POST /model/{id}/converse`` and ``/converse-stream``): the request.

Protocol facts are Amazon's public API reference ("Converse", "ConverseStream", "ContentBlock"): the model is named by
the path alone, and every content block is an object with one member that says what it is.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

import msgspec

from aitap.capture.dialects.bedrock_converse_answer import ConverseDecoder, tool_result
from aitap.capture.dialects.bedrock_converse_turns import message_turns
from aitap.capture.dialects.newest_turn import newest_turn, prefilled
from aitap.capture.facts import Attachment, Message, RequestContents, RequestFacts
from aitap.capture.wire import jsontext
from aitap.capture.wire.jsontext import as_dict, as_int, as_list, as_str, value_of

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["BedrockConverse", "model_in_path"]

Raw = msgspec.Raw
_NONE = Raw(b"")
_MODEL = re.compile(r"/model/(.+)/[a-z-]+$")


def model_in_path(path: str) -> str:
    """The model id of a path, decoded: clients write ``:`` as it is or as ``%3A``, and ``/`` of an ARN as ``%2F``."""
    match = _MODEL.search(path)
    return unquote(match[1]) if match else ""


class _Body(msgspec.Struct):
    messages: list[Raw] = []
    system: Raw = _NONE
    inferenceConfig: Raw = _NONE  # noqa: N815 - members are named as on the wire
    toolConfig: Raw = _NONE  # noqa: N815
    outputConfig: Raw = _NONE  # noqa: N815
    requestMetadata: Raw = _NONE  # noqa: N815


_body = msgspec.json.Decoder(_Body)


class BedrockConverse:
    """The dialect ``bedrock.converse``."""

    name = "bedrock.converse"

    def request(self, body: bytes, path: str) -> RequestFacts:
        facts = RequestFacts(model=model_in_path(path), streaming=path.endswith("-stream"))
        parts: _Body | None = jsontext.split(body, _body)
        if parts is None:
            return facts
        messages = parts.messages
        facts.newest = newest_turn(messages, _message)
        facts.prefilled = None if facts.newest else prefilled(messages, _message)
        system = value_of(parts.system)
        facts.system = "\n".join(as_str(as_dict(part).get("text")) or "" for part in as_list(system))[:2000]
        facts.has_tools = bool(as_list(as_dict(value_of(parts.toolConfig)).get("tools")))
        config = as_dict(value_of(parts.inferenceConfig))
        facts.max_tokens = as_int(config.get("maxTokens", config.get("max_new_tokens")))
        facts.output_schema = b'"textFormat"' in bytes(parts.outputConfig)
        facts.conversation = lambda: [_message(item) for item in messages]
        facts.contents = lambda: RequestContents(messages, message_turns, parts.system, parts.toolConfig)
        for key, item in as_dict(value_of(parts.requestMetadata)).items():
            if isinstance(item, str):
                facts.body_ids[f"requestMetadata.{key}"] = item
        return facts

    def decoder(self, path: str, headers: Mapping[str, str], *, keep_text: bool = False) -> ConverseDecoder:  # noqa: ARG002
        return ConverseDecoder(keep_text=keep_text)


def _message(item: Raw) -> Message:
    message = as_dict(value_of(item))
    role = message.get("role")
    found = Message(role="user" if role == "user" else "assistant" if role == "assistant" else "other")
    for part in map(as_dict, as_list(message.get("content"))):
        for kind, value in part.items():
            _content(found, kind, value)
    if found.results and not found.texts:
        found.role = "tool"
    return found


def _content(found: Message, kind: str, value: Any) -> None:
    """One content block, which is a member that says what it is."""
    match kind:
        case "text":
            if text := as_str(value):
                found.texts.append(text)
        case "guardContent":
            if text := as_str(as_dict(as_dict(value).get("text")).get("text")):
                found.texts.append(text)
            if image := as_dict(as_dict(value).get("image")):
                found.attachments.append(_attachment("image", image))
        case "toolResult":
            if result := tool_result(as_dict(value)):
                found.results.append(result)
        case "toolUse":
            found.calls.append(f"{as_dict(value).get('name')}:{as_dict(value).get('toolUseId')}")
        case "image" | "document" | "video" | "audio":
            found.attachments.append(_attachment(kind, as_dict(value)))
        case "searchResult":
            found.attachments.append(Attachment(type="search_result", uri=as_str(as_dict(value).get("source"))))


def _attachment(kind: str, block: dict[str, Any]) -> Attachment:
    source = as_dict(block.get("source"))
    data = as_str(source.get("bytes"))
    text = as_str(source.get("text"))
    form = as_str(block.get("format"))
    return Attachment(
        type=kind,
        media_type=f"image/{form}" if form and kind == "image" else form,
        bytes=len(text.encode()) if text is not None else None if data is None else len(data) * 3 // 4,
        uri=as_str(as_dict(source.get("s3Location")).get("uri")),
    )
