"""A function call's arguments that arrive value by value (Vertex AI, ``streamFunctionCallArguments``).

Each piece names its place by a JSON path (RFC 9535) and holds a value, or more of the text that stands
there already (Google's reference, ``PartialArg``). The argument text is never on the wire in one piece
here, so this is the one case in which we write it ourselves.
"""

from __future__ import annotations

import re
from typing import Any

import msgspec

from aitap.capture.wire.jsontext import as_str

__all__ = ["PartialArguments"]

_STEP = re.compile(r"""\.(?P<name>[^.\[\]]+)|\[(?P<index>\d{1,4})\]|\[(?P<quote>["'])(?P<key>.*?)(?P=quote)\]""")
_DEEPEST = 64
_VALUES = ("stringValue", "numberValue", "boolValue", "nullValue")


class PartialArguments:
    """Takes the pieces of one call; ``text`` is its arguments as far as they have come."""

    def __init__(self) -> None:
        self._arguments: dict[str, Any] = {}
        self._texts: dict[str, list[str]] = {}

    def take(self, piece: dict[str, Any]) -> None:
        """One piece; what has no readable place or value is left out."""
        path = as_str(piece.get("jsonPath")) or ""
        kind = next((name for name in _VALUES if name in piece), None)
        steps = _steps(path)
        if kind is None or not steps:
            return
        if kind == "stringValue":
            texts = self._texts.setdefault(path, [])
            texts.append(as_str(piece[kind]) or "")
            _put(self._arguments, steps, texts)
        else:
            value = piece[kind] if kind != "nullValue" else None
            if isinstance(value, float) and value.is_integer() and abs(value) < 2**53:
                value = int(value)
            _put(self._arguments, steps, value)

    def text(self) -> str:
        """The arguments as JSON; empty where none came."""
        return msgspec.json.encode(_joined(self._arguments)).decode() if self._arguments else ""


def _steps(path: str) -> list[str | int]:
    """``$.files[0].name`` as names and indexes; empty where it is no such path."""
    if not path.startswith("$"):
        return []
    steps: list[str | int] = []
    end = 1
    for match in _STEP.finditer(path, 1):
        if match.start() != end:
            return []
        end = match.end()
        steps.append(int(match["index"]) if match["index"] else match["name"] or match["key"] or "")
    usable = end == len(path) and 0 < len(steps) <= _DEEPEST and isinstance(steps[0], str)
    return steps if usable else []


def _put(place: Any, steps: list[str | int], value: Any) -> None:
    """Lists are dictionaries by index until they are joined: a stranger's index must not make them long."""
    for step in steps[:-1]:
        inner = place.get(step)
        if not isinstance(inner, dict):
            inner = place[step] = {}
        place = inner
    place[steps[-1]] = value


def _joined(value: Any) -> Any:
    if isinstance(value, list):
        return "".join(value)
    if not isinstance(value, dict):
        return value
    if value and all(isinstance(key, int) for key in value):
        return [_joined(item) for _, item in sorted(value.items())]
    return {str(key): _joined(item) for key, item in value.items()}
