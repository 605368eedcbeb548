"""JSON as providers and clients really send it: strict and fast first, lenient where that fails.

Nothing here raises on bad input except :class:`NotJSONError`, and nothing trusts a type: the ``as_*``
functions give ``None`` (or an empty value) for what is not of the asked kind, so that one odd field
never costs the facts beside it.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, get_args, get_origin

import msgspec

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = [
    "NotJSONError",
    "as_dict",
    "as_int",
    "as_list",
    "as_str",
    "counts",
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
    A member that is not of the Struct's type keeps its default, and the others are read all the same, at any depth.
    """
    try:
        return decoder.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        pass
    try:
        value = decode(data)
    except NotJSONError:
        return None
    return _as_struct(value, decoder.type) if isinstance(value, dict) else None


def _as_struct(value: dict[str, Any], kind: Any) -> Any:
    """What can be read of an object by a Struct; None where a member that must be there cannot."""
    members = {}
    for field in msgspec.structs.fields(kind):
        if field.encode_name not in value:
            continue
        try:
            members[field.name] = _as_type(value[field.encode_name], field.type)
        except (msgspec.MsgspecError, UnicodeError, RecursionError, OverflowError):
            continue
    try:
        return kind(**members)
    except TypeError:
        return None


def _as_type(value: Any, kind: Any) -> Any:
    """A member by its declared type, a part of it where not all of it fits. Raises what msgspec raises."""
    try:
        return msgspec.json.decode(msgspec.json.encode(value), type=kind)
    except msgspec.ValidationError:
        for choice in (kind,) if get_origin(kind) is list else (kind, *get_args(kind)):
            if isinstance(value, dict) and _is_struct(choice):
                found = _as_struct(value, choice)
                if found is not None:
                    return found
            elif isinstance(value, list) and get_origin(choice) is list and _is_struct(item := get_args(choice)[0]):
                found = (_as_struct(each, item) for each in value if isinstance(each, dict))
                return [each for each in found if each is not None]
        raise


def _is_struct(kind: Any) -> bool:
    return isinstance(kind, type) and issubclass(kind, msgspec.Struct)


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


_MOST = 2**40


def as_int(value: Any) -> int | None:
    """A count: a non-negative whole number below a trillion, else None.

    Databases add counts up in 64 bits: one near their end would keep all later ones of its session from being stored.
    """
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    if not 0 <= value < _MOST or value != int(value):
        return None
    return int(value)


def counts(counters: dict[str, Any], names: Iterable[str]) -> bool:
    """Whether any of these members is a count: where none is, nothing is known, which is not 0."""
    return any(as_int(counters.get(name)) is not None for name in names)


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
