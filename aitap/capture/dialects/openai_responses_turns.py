"""Items of the Responses API in normal form (see :mod:`aitap.capture.turns`); each is a turn of its own."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from aitap.capture import turns
from aitap.capture.facts import Turn
from aitap.capture.wire.jsontext import as_dict, as_list, as_str, value_of

if TYPE_CHECKING:
    from msgspec import Raw

__all__ = ["item_turns", "turns_of"]

_INPUTS = ("arguments", "input", "action", "actions", "code", "operation", "queries")
_RESULTS = ("output", "outputs", "results", "result", "error")


def item_turns(raw: Raw) -> list[Turn]:
    """One entry of ``input`` or ``output``, still undecoded; or an ``input`` that is one text."""
    value = value_of(raw)
    return [Turn("user", turns.text(value))] if isinstance(value, str) and value else turns_of(as_dict(value))


def turns_of(item: dict[str, Any]) -> list[Turn]:
    """One item."""
    kind = as_str(item.get("type")) or ""
    if kind in ("", "message"):
        parts = _parts(item.get("content"))
        role = item.get("role")
        if not parts:
            return []
        if role == "user":
            return [Turn("user", parts)]
        return [Turn("assistant" if role == "assistant" else "system", parts)]
    if kind == "reasoning":
        return []
    if kind.endswith("_call") or kind == "program":
        return _call(kind, item)
    if kind.endswith("_output"):
        content = item.get("output", item.get("result"))
        parts = _parts(content) if isinstance(content, str | list) else turns.other(content)
        return [Turn("tool", [turns.tool_result(item.get("call_id"), parts, error=item.get("status") == "failed")])]
    kept = turns.other({key: value for key, value in item.items() if key not in ("id", "status")})
    return [Turn("assistant" if item.get("role") is None else "system", kept)] if kept else []


def _call(kind: str, item: dict[str, Any]) -> list[Turn]:
    name = item.get("action" if kind == "multi_agent_call" else "name") or kind.removesuffix("_call")
    where = None if kind in ("function_call", "custom_tool_call") else "mcp" if kind == "mcp_call" else "server"
    given = next((item[key] for key in _INPUTS if item.get(key) is not None), None)
    call_id = item.get("call_id") or item.get("id")
    parts = [turns.tool_call(call_id, name, given, where)]
    # Of tools that the provider ran itself the item also holds what came of it.
    for key in _RESULTS:
        if (value := item.get(key)) is None:
            continue
        if kind == "image_generation_call" and isinstance(value, str):
            content = [turns.blob("image", as_str(item.get("output_format")), value)]
        else:
            content = _parts(value) if isinstance(value, str | list) else turns.other(value)
        parts.append(turns.tool_result(call_id, content, error=key == "error"))
    return [Turn("assistant", parts)]


def _parts(content: Any) -> list[turns.Part]:
    if isinstance(content, str):
        return turns.text(content)
    return [part for item in as_list(content) for part in _part(as_dict(item))]


def _part(part: dict[str, Any]) -> list[turns.Part]:
    match part.get("type"):
        case "input_text" | "output_text" | "text" | "summary_text":
            return turns.text(part.get("text"))
        case "refusal":
            return turns.text(part.get("refusal"))
        case "input_audio" | "output_audio" | "audio":
            part = as_dict(part.get("input_audio")) or part
            data = as_str(part.get("audio")) or as_str(part.get("data"))
            return turns.text(part.get("transcript")) or [turns.blob("audio", as_str(part.get("format")), data)]
        case "input_image":
            return [turns.data_uri_blob("image", as_str(part.get("image_url")) or as_str(part.get("file_id")))]
        case "input_file":
            places = (part.get(key) for key in ("file_data", "file_url", "file_id"))
            return [turns.data_uri_blob("file", next((text for place in places if (text := as_str(place))), None))]
    return turns.other(part)
