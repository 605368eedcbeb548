"""Where the newest turn of a conversation begins, for dialects whose messages say their role in ``role``."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from aitap.capture.wire import jsontext

if TYPE_CHECKING:
    from collections.abc import Callable

    from aitap.capture.facts import Message

__all__ = ["newest_turn", "role_of"]


class _Role(msgspec.Struct):
    role: str = ""


_role = msgspec.json.Decoder(_Role)


def role_of(item: msgspec.Raw) -> str:
    """The role of an undecoded message; empty where it says none."""
    found: _Role | None = jsontext.split(item, _role)
    return "" if found is None else found.role


def newest_turn(messages: list[msgspec.Raw], read: Callable[[msgspec.Raw], Message]) -> list[Message]:
    """Every message after the last assistant's, oldest first; the others are not decoded."""
    newest = []
    for item in reversed(messages):
        if role_of(item) == "assistant":
            break
        newest.append(read(item))
    newest.reverse()
    return newest
