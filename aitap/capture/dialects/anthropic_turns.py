"""Messages of Anthropic's API in normal form (see :mod:`aitap.capture.turns`)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from aitap.capture import turns
from aitap.capture.facts import Turn
from aitap.capture.wire.jsontext import as_dict, as_list, as_str, value_of

if TYPE_CHECKING:
    from msgspec import Raw

__all__ = ["message_turns", "turns_of"]

_CALLS = {"tool_use": None, "server_tool_use": "server", "mcp_tool_use": "mcp"}


def message_turns(raw: Raw) -> list[Turn]:
    """One entry of ``messages``, still undecoded."""
    return turns_of(as_dict(value_of(raw)))


def turns_of(message: dict[str, Any]) -> list[Turn]:
    """One message."""
    parts = _parts(message.get("content"))
    if not parts:
        return []
    role = message.get("role")
    if role == "assistant":
        return [Turn("assistant", parts)]
    if role != "user":
        return [Turn("system", parts)]
    return [Turn("tool" if all(part["type"] == "tool_result" for part in parts) else "user", parts)]


def _parts(content: Any) -> list[turns.Part]:
    if isinstance(content, str):
        return turns.text(content)
    return [part for block in map(as_dict, as_list(content)) for part in _part(block)]


def _part(block: dict[str, Any]) -> list[turns.Part]:
    kind = as_str(block.get("type")) or ""
    if kind == "text":
        return turns.text(block.get("text"))
    if kind in ("thinking", "redacted_thinking"):
        return []
    if kind in _CALLS:
        return [turns.tool_call(block.get("id"), block.get("name"), block.get("input"), _CALLS[kind])]
    if kind.endswith("tool_result"):
        content = block.get("content")
        # The results of the provider's own tools are no messages but objects of their own.
        parts = _parts(content) if isinstance(content, str | list) else turns.other(content)
        return [turns.tool_result(block.get("tool_use_id"), parts, error=block.get("is_error") is True)]
    if kind in ("image", "document"):
        source = as_dict(block.get("source"))
        uri = as_str(source.get("url")) or as_str(source.get("file_id"))
        if (data := as_str(source.get("data"))) is None and uri is None:
            return turns.other(block)
        if source.get("type") == "text":
            return turns.text(data)
        return [turns.blob(kind, as_str(source.get("media_type")), data, uri)]
    return turns.other(block)
