"""Where the newest turn of a conversation begins, for dialects whose messages say their role in ``role``."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from aitap.capture.wire import jsontext

if TYPE_CHECKING:
    from collections.abc import Callable

    from aitap.capture.facts import Message

__all__ = ["newest_turn", "prefilled", "role_of"]


class _Role(msgspec.Struct):
    role: str = ""
    prefix: bool = False
    partial: bool = False


class _Part(msgspec.Struct, forbid_unknown_fields=True):
    """A piece of text and nothing else."""

    text: str
    type: str = "text"


class _Words(msgspec.Struct):
    content: str | list[_Part]


_role = msgspec.json.Decoder(_Role)
_words = msgspec.json.Decoder(_Words)


def role_of(item: msgspec.Raw) -> str:
    """The role of an undecoded message; empty where it says none."""
    found: _Role | None = jsontext.split(item, _role)
    return "" if found is None else found.role


def _begun(item: msgspec.Raw) -> bool:
    """Whether the client has begun the answer that it asks for (Mistral, DeepSeek: prefix; Moonshot, Qwen: partial)."""
    found: _Role | None = jsontext.split(item, _role)
    return found is not None and (found.prefix or found.partial)


def newest_turn(messages: list[msgspec.Raw], read: Callable[[msgspec.Raw], Message]) -> list[Message]:
    """Every message after the last assistant's, oldest first; the others are not decoded."""
    newest = []
    for item in reversed(messages):
        if role_of(item) == "assistant":
            if item is messages[-1] and _begun(item):
                continue
            break
        newest.append(read(item))
    newest.reverse()
    return newest


def prefilled(
    messages: list[msgspec.Raw], read: Callable[[msgspec.Raw], Message]
) -> Callable[[], list[Message]] | None:
    """Reads the turn before words that the client puts into the model's mouth; None where it puts none there.

    Such a request ends with a text of the assistant's, as does one that has a broken off answer gone on with.
    """
    if len(messages) < 2 or role_of(messages[-1]) != "assistant":
        return None
    try:
        _words.decode(messages[-1])
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    return lambda: newest_turn(messages[:-1], read)
