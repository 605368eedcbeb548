"""Messages of Bedrock Converse in normal form (see :mod:`aitap.capture.turns`)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from aitap.capture import turns
from aitap.capture.facts import Turn
from aitap.capture.wire.jsontext import as_dict, as_list, as_str, value_of

if TYPE_CHECKING:
    from msgspec import Raw

__all__ = ["message_turns", "turns_of"]


def message_turns(raw: Raw) -> list[Turn]:
    """One entry of ``messages``, still undecoded."""
    return turns_of(as_dict(value_of(raw)))


def turns_of(message: dict[str, Any]) -> list[Turn]:
    """One message."""
    parts = _parts(message.get("content"))
    if not parts:
        return []
    if message.get("role") in ("assistant", "system"):
        return [Turn(message["role"], parts)]
    return [Turn("tool" if all(part["type"] == "tool_result" for part in parts) else "user", parts)]


def _parts(content: Any) -> list[turns.Part]:
    if isinstance(content, str):  # Nova inside InvokeModel
        return turns.text(content)
    return [
        found
        for block in map(as_dict, as_list(content))
        for kind, value in block.items()
        for found in _part(kind, value)
    ]


def _part(kind: str, value: Any) -> list[turns.Part]:
    """One content block, which is a member that says what it is."""
    inner = as_dict(value)
    match kind:
        case "text":
            return turns.text(value)
        case "guardContent":
            image = as_dict(inner.get("image"))
            return turns.text(as_dict(inner.get("text")).get("text")) or (_blob("image", image) if image else [])
        case "reasoningContent" | "cachePoint":
            return []
        case "toolUse":
            where = "server" if inner.get("type") == "server_tool_use" else None
            return [turns.tool_call(inner.get("toolUseId"), inner.get("name"), inner.get("input"), where)]
        case "toolResult":
            failed = inner.get("status") == "error"
            return [turns.tool_result(inner.get("toolUseId"), _parts(inner.get("content")), error=failed)]
        case "json":
            return turns.other({"type": "json", "value": value})
        case "image" | "document" | "video" | "audio":
            return _blob("file" if kind == "document" else kind, inner)
    return turns.other({"type": kind, "value": value})


def _blob(kind: str, block: dict[str, Any]) -> list[turns.Part]:
    source, form = as_dict(block.get("source")), as_str(block.get("format"))
    if written := as_str(source.get("text")):
        return turns.text(written)
    uri = as_str(as_dict(source.get("s3Location")).get("uri"))
    return [turns.blob(kind, form, as_str(source.get("bytes")), uri)]
