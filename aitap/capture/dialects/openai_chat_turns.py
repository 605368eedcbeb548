"""Messages of Chat Completions, and of Cohere and Ollama, in normal form (see :mod:`aitap.capture.turns`)."""

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
    """One message. Reasoning beside or inside its content is left out."""
    role = message.get("role")
    parts = _parts(message.get("content"))
    if role in ("tool", "function"):
        # Ollama's results name the tool, the oldest function calls too.
        answers = message.get("tool_call_id") or message.get("tool_name") or message.get("name")
        return [Turn("tool", [turns.tool_result(answers, parts)])]
    parts += turns.text(message.get("refusal"))
    for image in as_list(message.get("images")):  # Ollama
        parts.append(turns.blob("image", None, as_str(image)))
    for call in map(as_dict, as_list(message.get("tool_calls"))):
        function = as_dict(call.get("function")) or as_dict(call.get("custom"))
        arguments = function.get("arguments", function.get("input"))
        parts.append(turns.tool_call(call.get("id"), function.get("name"), arguments))
    if any((legacy := as_dict(message.get("function_call"))).values()):
        parts.append(turns.tool_call(None, legacy.get("name"), legacy.get("arguments")))
    if not parts:
        return []
    if role == "user":
        return [Turn("user", parts)]
    return [Turn("assistant" if role == "assistant" else "system", parts)]


def _parts(content: Any) -> list[turns.Part]:
    if isinstance(content, str):
        return turns.text(content)
    return [part for item in as_list(content) for part in _part(item)]


def _part(item: Any) -> list[turns.Part]:
    if isinstance(item, str):
        return turns.text(item)
    part = as_dict(item)
    match part.get("type"):
        case "text" | "input_text" | "output_text":
            return turns.text(part.get("text"))
        case "refusal":
            return turns.text(part.get("refusal"))
        case "thinking" | "reasoning":
            return []
        case "image_url":
            image = part.get("image_url")
            return [turns.data_uri_blob("image", as_str(image) or as_str(as_dict(image).get("url")))]
        case "input_audio":
            audio = as_dict(part.get("input_audio"))
            return [turns.blob("audio", as_str(audio.get("format")), as_str(audio.get("data")) or "")]
        case "image" | "video" | "audio" | "video_url" | "audio_url" as kind if part.get(kind):
            given = part[kind]
            places = [as_str(place) or as_str(as_dict(place).get("url")) for place in as_list(given) or [given]]
            return [turns.data_uri_blob(kind.removesuffix("_url"), place) for place in places]
        case "document_url":
            return [turns.data_uri_blob("file", as_str(part.get("document_url")))]
        case "file":
            file = as_dict(part.get("file"))
            return [turns.data_uri_blob("file", as_str(file.get("file_data")) or as_str(file.get("file_id")))]
    return turns.other(part)
