"""Contents of Gemini in normal form (see :mod:`aitap.capture.turns`); names in camel or snake case."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from aitap.capture import turns
from aitap.capture.facts import Turn
from aitap.capture.wire.jsontext import as_dict, as_list, as_str, value_of

if TYPE_CHECKING:
    from msgspec import Raw

__all__ = ["content_turns", "turns_of"]


def content_turns(raw: Raw) -> list[Turn]:
    """One entry of ``contents``, still undecoded."""
    return turns_of(as_dict(value_of(raw)))


def turns_of(content: dict[str, Any]) -> list[Turn]:
    """One content. Texts that follow one another are one: the stream cuts them where it likes, clients join them."""
    given = content.get("parts")
    parts: list[turns.Part] = []
    for part in [given] if isinstance(given, dict) else as_list(given):
        for found in _part(as_dict(part)):
            if found["type"] == "text" and parts and parts[-1]["type"] == "text":
                parts[-1] = {"type": "text", "text": parts[-1]["text"] + found["text"]}
            else:
                parts.append(found)
    if not parts:
        return []
    role = (as_str(content.get("role")) or "user").lower()
    if role in ("model", "assistant"):
        return [Turn("assistant", parts)]
    if role == "system":
        return [Turn("system", parts)]
    return [Turn("tool" if all(part["type"] == "tool_result" for part in parts) else "user", parts)]


def _part(part: dict[str, Any]) -> list[turns.Part]:
    if part.get("thought") is True:
        return []
    if "text" in part:
        return turns.text(part["text"])
    if call := _member(part, "functionCall", "function_call"):
        return [turns.tool_call(call.get("id"), call.get("name"), call.get("args"))]
    if response := _member(part, "functionResponse", "function_response"):
        return [_result(response)]
    if data := _member(part, "inlineData", "inline_data"):
        media = as_str(data.get("mimeType", data.get("mime_type")))
        return [turns.blob(_kind(media), media, as_str(data.get("data")) or "")]
    if file := _member(part, "fileData", "file_data"):
        media = as_str(file.get("mimeType", file.get("mime_type")))
        return [turns.blob(_kind(media), media, None, as_str(file.get("fileUri", file.get("file_uri"))))]
    if code := _member(part, "executableCode", "executable_code"):
        return [turns.tool_call(code.get("id"), "code_execution", {"code": code.get("code")}, "server")]
    if result := _member(part, "codeExecutionResult", "code_execution_result"):
        failed = result.get("outcome") not in (None, "OUTCOME_OK", 1)
        return [turns.tool_result(result.get("id"), turns.text(result.get("output")), error=failed)]
    return turns.other(part)


def _member(part: dict[str, Any], *names: str) -> dict[str, Any]:
    return next((found for name in names if (found := as_dict(part.get(name)))), {})


def _kind(media: str | None) -> str:
    kind = (media or "").partition("/")[0]
    return kind if kind in ("image", "audio", "video") else "file"


def _result(response: dict[str, Any]) -> turns.Part:
    """A function's answer: ``output`` or ``error`` by custom, else whatever object there is."""
    answer = as_dict(response.get("response"))
    said = next((answer[key] for key in ("output", "error", "result") if isinstance(answer.get(key), str)), None)
    parts = turns.text(said) if said is not None and len(answer) == 1 else turns.other({"type": "json"} | answer)
    parts += [found for part in as_list(response.get("parts")) for found in _part(as_dict(part))]
    return turns.tool_result(response.get("id") or response.get("name"), parts, error=answer.get("error") is not None)
