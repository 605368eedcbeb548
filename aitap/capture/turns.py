"""The normal form of what is said, in which contents are stored.

A turn is a list of parts, each a plain object with a ``type``:

* ``text``: ``text``
* ``tool_call``: ``id``, ``name``, ``input`` (the value; text where it is no JSON object)
* ``tool_result``: ``id``, ``content`` (parts), ``error`` where the client or provider said so
* ``image``, ``audio``, ``video``, ``file``: ``media_type``, ``bytes``, ``digest``, or ``uri`` without its query,
  which may be a signature; never the data
* anything else as the provider has it

Two ways to say the same thing give the same parts, for a message is known again by them: a text or a
list of one text part, arguments as a value or as JSON text, members in any order. What comes and goes when
a client sends a message again is left out: cache markers, signatures, encrypted copies, item ids. So is
reasoning, which clients send again or not as they like; it is kept as the thoughts of its interception.
"""

from __future__ import annotations

import base64
import binascii
from hashlib import blake2b
from typing import Any

import msgspec

from aitap.capture.credentials import bare_url
from aitap.capture.wire.jsontext import as_dict, as_list, as_str, decode

__all__ = [
    "Part",
    "blob",
    "data_uri_blob",
    "encode",
    "offered_tools",
    "other",
    "system_texts",
    "text",
    "tool_call",
    "tool_result",
]

Part = dict[str, Any]

_MARKERS = ("cache_control", "cachePoint", "prompt_cache_breakpoint")
_ACCESS = ("authorization", "authorization_token", "headers")
_VOLATILE = frozenset(
    (
        *_MARKERS,
        *("signature", "thoughtSignature", "thought_signature"),
        *("encrypted_content", "encrypted_index", "encrypted_stdout"),
    )
)
_BILLING = "x-anthropic-billing-header:"
_MEDIA = ("media_type", "mimeType", "mime_type", "format")
_DEEPEST = 200
"""Levels of arrays and objects in a part that has no form of its own; no person and no tool says anything below."""


def text(value: Any) -> list[Part]:
    """A text part; nothing for an empty text or for what is none."""
    return [{"type": "text", "text": value}] if isinstance(value, str) and value else []


def tool_call(call_id: Any, name: Any, input: Any, kind: str | None = None) -> Part:
    """A call of a tool. ``kind`` is for those that the client does not run: ``server``, ``mcp``."""
    part: Part = {"type": "tool_call", "name": as_str(name) or "", "input": _json_value(input)}
    if call_id:
        part["id"] = str(call_id)
    if kind:
        part["kind"] = kind
    return part


def _json_value(input: Any) -> Any:
    """Arguments as a value: clients send what a provider streamed as text back as an object, and the other way."""
    if not isinstance(input, str):
        return {} if input is None else input
    if not input.strip():
        return {}
    try:
        value = decode(input.encode("utf-8", "replace"))
    except ValueError:
        return input
    return value if isinstance(value, dict) else input


def tool_result(call_id: Any, content: list[Part], *, error: bool = False) -> Part:
    """What a tool gave back."""
    part: Part = {"type": "tool_result", "content": content}
    if call_id:
        part["id"] = str(call_id)
    if error:
        part["error"] = True
    return part


def blob(kind: str, media_type: str | None, data: str | None, uri: str | None = None) -> Part:
    """An image or a file: what it is, how long, and a digest by which it is known again; ``data`` is base64."""
    part: Part = {"type": kind}
    if media_type:
        part["media_type"] = media_type
    if data is not None:
        try:
            plain = base64.b64decode(data)
        except (binascii.Error, ValueError):
            plain = data.encode("utf-8", "replace")
        part |= {"bytes": len(plain), "digest": f"b2:{blake2b(plain, digest_size=20).hexdigest()}"}
    if uri:
        part["uri"] = bare_url(uri)
    return part


def data_uri_blob(kind: str, uri: str | None) -> Part:
    """The same of what may be a ``data:`` URI."""
    if not uri or not uri.startswith("data:"):
        return blob(kind, None, None, uri)
    head, _, data = uri.partition(",")
    return blob(kind, head.removeprefix("data:").partition(";")[0] or None, data)


def other(part: Any) -> list[Part]:
    """A part that has no form of its own here."""
    kept = _clean(part)
    return [{"type": "other"} | kept] if isinstance(kept, dict) and kept.keys() - {"type"} else []


def _clean(value: Any, levels: int = _DEEPEST) -> Any:
    """A value without what is volatile or nested too deeply, and without the bytes of what is no text."""
    if not isinstance(value, dict | list):
        return value
    if not levels:
        return None
    if isinstance(value, list):
        return [_clean(item, levels - 1) for item in value]
    kept = {key: _clean(item, levels - 1) for key, item in value.items() if key not in _VOLATILE}
    data, media = kept.get("data"), next((kept[name] for name in _MEDIA if name in kept), None)
    if isinstance(data, str) and isinstance(media, str):
        kept = {key: item for key, item in kept.items() if key != "data"} | blob(kept.get("type", "file"), media, data)
    return kept


def system_texts(value: Any) -> list[list[Part]]:
    """The blocks of a system prompt, in any dialect's form, without the accounting line of Claude Code."""
    if isinstance(value, str):
        blocks = [value]
    else:
        items = as_list(value) or as_list(as_dict(value).get("parts")) or [value]
        blocks = [item if isinstance(item, str) else as_str(as_dict(item).get("text")) or "" for item in items]
    return [text(block) for block in blocks if block and not block.startswith(_BILLING)]


def offered_tools(value: Any) -> list[Part]:
    """The definitions of tools as they are, but for cache markers, and for what opens an MCP server."""
    tools = map(as_dict, as_list(value) or as_list(as_dict(value).get("tools")))
    kept = [{key: item for key, item in tool.items() if key not in _MARKERS + _ACCESS} for tool in tools]
    for tool in kept:
        if isinstance(url := tool.get("server_url"), str):
            tool["server_url"] = bare_url(url)
    return [tool for tool in kept if tool]


_encoder = msgspec.json.Encoder(order="deterministic")


def encode(value: Any) -> bytes:
    """JSON of which equal values have the same bytes. Raises ``ValueError`` for what JSON cannot hold."""
    try:
        return _encoder.encode(value)
    except (UnicodeError, OverflowError, msgspec.MsgspecError) as error:
        raise ValueError(str(error)) from None
