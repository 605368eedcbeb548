"""JSON as providers and clients really send it: strict and fast first, lenient where that fails.

Nothing here raises on bad input except :class:`NotJSONError`, and nothing trusts a type: the ``as_*``
functions give ``None`` (or an empty value) for what is not of the asked kind, so that one odd field
never costs the facts beside it.
"""

from __future__ import annotations

import json
from typing import Any

import msgspec

__all__ = [
    "NotJSONError",
    "as_dict",
    "as_int",
    "as_list",
    "as_str",
    "decode",
    "flat_numbers",
    "raw_items",
    "raw_text",
    "split",
]


class NotJSONError(ValueError):
    """The bytes are no JSON text, not even leniently read."""


_decoder = msgspec.json.Decoder()
_items = msgspec.json.Decoder(list[msgspec.Raw])


def decode(data: bytes | msgspec.Raw) -> Any:
    """The value of a JSON text. Broken UTF-8 and lone surrogates become U+FFFD. Raises :class:`NotJSONError`."""
    try:
        return _decoder.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        pass
    try:
        # Lone surrogates pass json.loads but no database takes them.
        return _clean(json.loads(bytes(data).decode("utf-8-sig", "replace"), object_pairs_hook=_clean_pairs))
    except (ValueError, RecursionError) as error:
        raise NotJSONError(str(error)[:200]) from None


def _clean(value: Any) -> Any:
    if isinstance(value, str):
        return value.encode("utf-8", "replace").decode()
    return [_clean(item) for item in value] if isinstance(value, list) else value


def _clean_pairs(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    return {_clean(key): _clean(value) for key, value in pairs}


def value_of(raw: bytes | msgspec.Raw) -> Any:
    """The value of an undecoded part; None where it is absent or broken."""
    if not raw:
        return None
    try:
        return decode(raw)
    except NotJSONError:
        return None


def split(data: bytes | msgspec.Raw, decoder: msgspec.json.Decoder[Any]) -> Any:
    """The members of a JSON object by the Struct of ``decoder``; None where it is no object at all.

    Members that the Struct does not name are skipped, not decoded: this is what makes long bodies cheap.
    A member that is not of the Struct's type keeps its default, and the others are read all the same.
    """
    try:
        return decoder.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        pass
    try:
        value = decode(data)
    except NotJSONError:
        return None
    if not isinstance(value, dict):
        return None
    kind = decoder.type
    members = {}
    for field in msgspec.structs.fields(kind):
        if field.encode_name not in value:
            continue
        try:
            text = msgspec.json.encode(value[field.encode_name])
            members[field.name] = msgspec.json.decode(text, type=field.type)
        except (msgspec.MsgspecError, UnicodeError, RecursionError, OverflowError):
            continue
    try:
        return kind(**members)
    except TypeError:
        return None


def raw_items(data: bytes | msgspec.Raw) -> list[msgspec.Raw]:
    """The elements of a JSON array, each still undecoded; empty where it is no array."""
    if not data:
        return []
    try:
        return _items.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return []


def raw_text(data: bytes | msgspec.Raw) -> str:
    """The JSON text itself, exactly as sent."""
    return bytes(data).decode("utf-8", "replace")


def as_dict(value: Any) -> dict[str, Any]:
    """The value if it is an object, else an empty one."""
    return value if isinstance(value, dict) else {}


def as_list(value: Any) -> list[Any]:
    """The value if it is an array, else an empty one."""
    return value if isinstance(value, list) else []


def as_str(value: Any) -> str | None:
    """The value if it is text, else None."""
    return value if isinstance(value, str) else None


def as_int(value: Any) -> int | None:
    """A count: a non-negative whole number that fits 64 bits, else None."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    if not 0 <= value < 2**63 or value != int(value):
        return None
    return int(value)


def flat_numbers(value: Any, prefix: str = "", levels: int = 8) -> dict[str, int | float]:
    """Every numeric leaf of nested objects by its dotted path, so many levels deep."""
    found: dict[str, int | float] = {}
    for key, item in as_dict(value).items():
        path = f"{prefix}.{key}" if prefix else key
        if isinstance(item, dict):
            found |= flat_numbers(item, path, levels - 1) if levels > 1 else {}
        elif isinstance(item, int | float) and not isinstance(item, bool) and abs(item) < 2**63:
            found[path] = item
    return found
