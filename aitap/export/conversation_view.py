"""What was said, for reading on a terminal: texts, tool calls with their inputs, results.

A long text is cut, and says so, unless all of it is asked for.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec
from rich.text import Text

from aitap.export import human

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

__all__ = ["messages_view", "parts_view"]

Record = dict[str, Any]

_LIMIT = 1200
_LABELS = {"user": "bold green", "assistant": "bold blue", "tool": "bold cyan", "system": "bold magenta"}


def messages_view(record: Record, messages: list[Record], *, full: bool) -> Iterator[Text]:
    """The messages that came with one interception: what was asked, what the model thought, what it said."""
    asked, answered = _split(record, messages)
    for message in asked:
        if message["role"] in ("system", "tools") and not full:
            yield _left_out(message)
        else:
            yield from _message(message, full=full)
    for thought in record["model_thoughts"]:
        yield _labelled("thought", "italic dim", _cut(thought["content"], full=full), "italic dim")
    for message in answered:
        yield from _message(message, full=full)


def parts_view(parts: Iterable[Record], *, full: bool) -> Iterator[Text]:
    """The parts of a message, without who says them."""
    for part in parts:
        yield _cut(_said(part), full=full)


def _split(record: Record, messages: list[Record]) -> tuple[list[Record], list[Record]]:
    """What was asked, and the answer: the messages at the end that continue the request."""
    asked = record["request_digest"]
    own = {asked}
    answered = []
    for message in messages:
        if record["response_digest"] and message["role"] == "assistant" and message["parent_digest"] in own:
            own.add(message["digest"])
            answered.append(message)
    known = {message["digest"] for message in answered}
    return [message for message in messages if message["digest"] not in known], answered


def _message(message: Record, *, full: bool) -> Iterator[Text]:
    role = message["role"]
    for part in message["content"]:
        label, style = role, _LABELS.get(role, "bold")
        if part.get("type") == "tool_call":
            label, style = "call", "bold cyan"
        elif part.get("type") == "tool_result":
            label, style = ("error", "bold red") if part.get("error") else ("result", "bold cyan")
        yield _labelled(label, style, _cut(_said(part), full=full))


def _left_out(message: Record) -> Text:
    size = len(msgspec.json.encode(message["content"]))
    what = "system prompt" if message["role"] == "system" else "tools offered"
    return Text(f"{what}, {human.size(size)}", style="dim")


def _labelled(label: str, label_style: str, said: Text, style: str = "") -> Text:
    said.stylize(style)
    return Text.assemble((label, label_style), " ", said)


def _cut(said: str, *, full: bool) -> Text:
    if full or len(said) <= _LIMIT:
        return Text(human.safe(said))
    more = len(said) - _LIMIT
    return Text.assemble(human.safe(said[:_LIMIT]), (f"\n... {more:,} more characters: --full shows all", "dim"))


def _said(part: Record) -> str:
    """One part as text."""
    match part.get("type"):
        case "text":
            return str(part.get("text", ""))
        case "tool_call":
            return f"{part.get('name')} {_json(part.get('input'))}"
        case "tool_result":
            return "\n".join(_said(inner) for inner in part.get("content") or [] if isinstance(inner, dict))
        case "image" | "audio" | "video" | "file" | "document" as kind:
            facts = (part.get("media_type"), human.size(part["bytes"]) if "bytes" in part else None, part.get("uri"))
            return f"[{kind}: {', '.join(str(fact) for fact in facts if fact)}]"
    return _json(part)


def _json(value: Any) -> str:
    return value if isinstance(value, str) else msgspec.json.encode(value).decode()
