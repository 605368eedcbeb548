"""Gemini ``generateContent`` and ``streamGenerateContent``, as the Gemini API and Vertex AI speak it.

Protocol facts are Google's public references of both. What model is asked, and whether it streams, stands
in the path (``/v1beta/models/MODEL:METHOD``). Google reads protocol buffers' JSON, and so do we: names in
camel or snake case, a lone object where a list is meant, a role in capitals; a content without a role is
the user's. Answers are read in :mod:`aitap.capture.dialects.google_answer`.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

import msgspec

from aitap.capture.dialects.google_answer import AnswerDecoder
from aitap.capture.dialects.google_turns import content_turns
from aitap.capture.facts import Attachment, Message, RequestContents, RequestFacts
from aitap.capture.wire import jsontext
from aitap.capture.wire.jsontext import as_dict, as_int, as_str, value_of
from aitap.record import ToolResult

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["GoogleGenerateContent", "read_request"]

Raw = msgspec.Raw
_NONE = Raw(b"")

_TARGET = re.compile(r"(?:^|/)(?:models/)?((?:(?:tunedModels|dynamic|endpoints)/)?[^/]*):(\w+)$")


class _Body(msgspec.Struct, rename="camel"):
    contents: Raw = _NONE
    system_instruction: Raw = _NONE
    system_instruction_: Raw = msgspec.field(default=_NONE, name="system_instruction")
    tools: Raw = _NONE
    generation_config: Raw = _NONE
    generation_config_: Raw = msgspec.field(default=_NONE, name="generation_config")


class _Content(msgspec.Struct):
    role: str | None = None
    parts: Raw = _NONE


class _Part(msgspec.Struct, rename="camel"):
    text: Raw = _NONE
    thought: Raw = _NONE
    function_call: Raw = _NONE
    function_call_: Raw = msgspec.field(default=_NONE, name="function_call")
    function_response: Raw = _NONE
    function_response_: Raw = msgspec.field(default=_NONE, name="function_response")
    inline_data: Raw = _NONE
    inline_data_: Raw = msgspec.field(default=_NONE, name="inline_data")
    file_data: Raw = _NONE
    file_data_: Raw = msgspec.field(default=_NONE, name="file_data")


class _Response(msgspec.Struct):
    id: Raw = _NONE
    name: Raw = _NONE
    response: Raw = _NONE
    parts: Raw = _NONE


class _Blob(msgspec.Struct, rename="camel"):
    mime_type: Raw = _NONE
    mime_type_: Raw = msgspec.field(default=_NONE, name="mime_type")
    data: Raw = _NONE
    file_uri: Raw = _NONE
    file_uri_: Raw = msgspec.field(default=_NONE, name="file_uri")


class _Text(msgspec.Struct):
    text: str = ""


class _Words(msgspec.Struct):
    parts: list[_Text]


_body = msgspec.json.Decoder(_Body)
_words = msgspec.json.Decoder(_Words)
_content = msgspec.json.Decoder(_Content)
_part = msgspec.json.Decoder(_Part)
_response = msgspec.json.Decoder(_Response)
_blob = msgspec.json.Decoder(_Blob)


class GoogleGenerateContent:
    """The dialect ``google.generate_content``."""

    name = "google.generate_content"

    def request(self, body: bytes, path: str) -> RequestFacts:
        match = _TARGET.search(unquote(path))
        facts = read_request(body)
        if match:
            facts.model = match[1]
            facts.streaming = match[2].startswith("stream")
        return facts

    def decoder(self, path: str, headers: Mapping[str, str], *, keep_text: bool = False) -> AnswerDecoder:  # noqa: ARG002
        return AnswerDecoder(vertex="/publishers/" in path or "/endpoints/" in path, keep_text=keep_text)


def read_request(body: bytes | Raw) -> RequestFacts:
    """What a GenerateContentRequest says; its model and whether it streams stand elsewhere."""
    parts: _Body | None = jsontext.split(body, _body)
    if parts is None:
        return RequestFacts()
    contents = _contents(parts.contents)
    config = as_dict(value_of(parts.generation_config or parts.generation_config_))
    max_tokens = as_int(config.get("maxOutputTokens"))
    facts = RequestFacts(
        newest=_newest(contents),
        system=_system(parts.system_instruction or parts.system_instruction_),
        has_tools=len(parts.tools) > len(b"[]") and bytes(parts.tools) != b"null",
        max_tokens=as_int(config.get("max_output_tokens")) if max_tokens is None else max_tokens,
        output_schema=any(config.get(key) for key in _SCHEMAS),
        conversation=lambda: [_message(item) for item in contents],
        contents=lambda: RequestContents(
            _several(parts.contents),
            content_turns,
            parts.system_instruction or parts.system_instruction_,
            parts.tools,
        ),
    )
    # Google's own tools and no function: a search, not an agent. Their list is short, so it stands as it is.
    if facts.has_tools and len(parts.tools) < 256 and not _FUNCTIONS.search(parts.tools):
        facts.body_ids["tools"] = jsontext.raw_text(parts.tools)
    return facts


_FUNCTIONS = re.compile(rb'"function_?[dD]eclarations"')
_SCHEMAS = ("responseSchema", "responseJsonSchema", "response_schema", "response_json_schema")


def _several(raw: Raw) -> list[Raw]:
    """The elements of a list, or the one object that stands for a list of one."""
    return [raw] if bytes(memoryview(raw)[:1]) == b"{" else jsontext.raw_items(raw)


def _contents(raw: Raw) -> list[_Content]:
    found = (jsontext.split(item, _content) for item in _several(raw))
    return [content for content in found if content is not None]


def _parts(raw: Raw) -> list[_Part]:
    found = (jsontext.split(item, _part) for item in _several(raw))
    return [part for part in found if part is not None]


def _system(raw: Raw) -> str:
    if not raw:
        return ""
    try:  # the usual form at once: this text is the longest of many a request
        texts = [part.text for part in _words.decode(raw).parts]
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        contents = _contents(raw)
        found = [as_str(value_of(part.text)) for content in contents for part in _parts(content.parts)]
        texts = [text for text in found if text] or [as_str(value_of(raw)) or ""]
    return "\n".join(texts)[:2000]


def _is_model(content: _Content) -> bool:
    return (content.role or "").lower() in ("model", "assistant")


def _newest(contents: list[_Content]) -> list[Message]:
    start = len(contents)
    while start and not _is_model(contents[start - 1]):
        start -= 1
    asked: dict[str, list[str]] = {}
    for call in _calls(contents[start - 1]) if start else ():
        if (name := as_str(call.get("name"))) and (call_id := as_str(call.get("id"))):
            asked.setdefault(name, []).append(call_id)
    return [_message(content, asked) for content in contents[start:]]


def _message(content: _Content, asked: dict[str, list[str]] | None = None) -> Message:
    """One content. ``asked`` are the ids of the calls that it may answer, by name and in order.

    Without them it is an outline: who speaks, and a user's text, with nothing else decoded.
    """
    if _is_model(content):
        return Message(role="assistant")
    if (content.role or "user").lower() == "system":
        return Message(role="other")
    found = Message(role="user")
    answered = False
    for part in _parts(content.parts):
        if part.text:
            text = as_str(value_of(part.text))
            if text and bytes(part.thought) != b"true":
                found.texts.append(text)
        elif response := part.function_response or part.function_response_:
            answered = True
            if asked is not None and (result := _result(response, asked)):
                found.results.append(result)
        elif asked is None:
            continue
        elif blob := part.inline_data or part.inline_data_ or part.file_data or part.file_data_:
            found.attachments.append(_attachment(blob))
    if answered and not found.texts:
        found.role = "tool"
    return found


def _calls(content: _Content) -> list[dict[str, Any]]:
    return [as_dict(value_of(part.function_call or part.function_call_)) for part in _parts(content.parts)]


def _result(raw: Raw, asked: dict[str, list[str]]) -> ToolResult | None:
    """How a function went: ``response.error`` says why not; every other answer is its output.

    Google's own SDK answers by the name alone, also where the call had an id.
    """
    answer: _Response | None = jsontext.split(raw, _response)
    if answer is None:
        return None
    name, call_id = as_str(value_of(answer.name)), as_str(value_of(answer.id))
    if not call_id and name:
        call_id = asked[name].pop(0) if asked.get(name) else name
    if not call_id:
        return None
    failed = as_dict(value_of(answer.response)).get("error") is not None
    return ToolResult(
        call_id=call_id, status="error" if failed else "ok", size=len(answer.response) + len(answer.parts)
    )


def _attachment(raw: Raw) -> Attachment:
    blob: Any = jsontext.split(raw, _blob) or _Blob()
    media = as_str(value_of(blob.mime_type or blob.mime_type_))
    kind = (media or "").partition("/")[0]
    return Attachment(
        type=kind if kind in ("image", "audio", "video") else "file",
        media_type=media,
        bytes=(len(blob.data) - 2) * 3 // 4 if blob.data else None,
        uri=as_str(value_of(blob.file_uri or blob.file_uri_)),
    )
