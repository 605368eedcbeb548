"""What can go wrong with bytes, with JSON, with events and with headers; all by dice that are given."""

from __future__ import annotations

import hashlib
import json
import re
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from random import Random

__all__ = ["damaged", "disordered", "fields", "json_damaged", "split"]

_MOST = 4 << 20
"""Bytes above which nothing is doubled any more: three times sixty of a long text would be gigabytes."""

_TOKENS = (
    *(
        b"\0",
        b"\xff\xfe",
        b"\xed\xa0\x80",
        b"\xf0\x9f",
        b"\r",
        b"\n\n",
        b"\r\n\r\n",
        b"data: ",
        b"event: x\n",
        b"[DONE]",
    ),
    *(
        b'"',
        b"\\",
        b"\\u0000",
        b"\\ud800",
        b"{",
        b"}",
        b"[" * 3000,
        b'{"a":' * 3000,
        b"]" * 50,
        b"x" * 70_000,
        b":",
        b",",
    ),
    *(b"null", b"NaN", b"-Infinity", b"1e999", b"9" * 400, b"-", b"0x10", b"true", b"\xef\xbb\xbf", b": comment\n"),
)
"""What is put into the midst of bytes."""

_DENSE = hashlib.shake_256(b"dense").hexdigest(6000)
"""Long, and no database makes it shorter by compressing it."""

_VALUES: tuple[Any, ...] = (
    *(
        None,
        True,
        False,
        0,
        -1,
        1,
        2**31,
        2**53,
        2**63 - 1,
        2**63,
        2**64,
        -(2**63) - 1,
        10**30,
        1e308,
        5e-324,
        -0.0,
        0.5,
    ),
    *(
        "",
        "\0",
        "a\0b",
        "\ud800",
        "\udfff tail",
        "\U0001f600",
        "\u202e",
        "x" * 70_000,
        _DENSE,
        "\n\n",
        "data: x",
        " ",
        "é" * 999,
    ),
    *([], {}, [[]], [None], [{}], {"": None}, {"type": None}, ["\0"], {"\0": "\ud800"}, {"type": "x" * 999}),
    *("text", "user", "assistant", "tool", "function", "stop", "tool_use", "9" * 40, "1e999", "NaN", "-1"),
)
_RAW = (
    b"NaN",
    b"Infinity",
    b"-Infinity",
    b"1e999",
    b"1e-999",
    b"9" * 5000,
    b"01",
    b'"\xff"',
    b"[" * 1200 + b"]" * 1200,
)
_MARK = "@raw@"

_COUNTS: tuple[Any, ...] = (
    *(0, -1, -0.0, 0.5, 7.0, True, None, "12", "-1", "1e3", "", [], [5], {}, {"a": 5}, _MARK),
    *(2**31, 2**40 - 1, 2**40, 2**53, 2**63 - 1, 2**63, 2**64, -(2**63), 10**30, 1e308, 5e-324),
)
"""What stands where a number should."""

_ENORMOUS = 10 << 20
_MEMBER = re.compile(rb'"\w+":')

_NAMES = (
    *(b"content-type", b"content-encoding", b"content-length", b"transfer-encoding", b"user-agent", b"authorization"),
    *(
        b"x-api-key",
        b"x-request-id",
        b"request-id",
        b"session-id",
        b"x-claude-code-session-id",
        b"x-codex-turn-metadata",
    ),
    *(b"traceparent", b"tracestate", b"x-stainless-retry-count", b"cookie", b"host", b"anthropic-version", b"\xff\xfe"),
    *(b"", b"a b", b"X" * 5000, b"retry-after", b"x-amzn-requestid", b"originator", b"x-app", b"proxy-authorization"),
)
_FIELD_VALUES = (
    _DENSE.encode(),
    *(b"", b" ", b"\0", b"\xff\xfe\xfd", b"x" * 70_000, b"gzip", b"gzip, br", b"br, gzip, zstd, deflate", b"identity"),
    *(b"x-unknown", b"text/event-stream", b"application/json; charset=utf-16", b"application/vnd.amazon.eventstream"),
    *(
        b"application/x-ndjson",
        b"multipart/form-data; boundary=x",
        b"-1",
        b"99999999999999999999",
        b"1",
        b"1.5",
        b"chunked",
    ),
    *(
        b"claude-cli/2.1.0 (external, cli)",
        b"codex_cli_rs/0.169.0 (Debian)",
        b"GeminiCLI/0.1",
        b"GitHubCopilotChat/0.26",
    ),
    *(
        b"Bearer sk-ant-oat01-" + b"x" * 90,
        b"Bearer",
        b"Basic Og==",
        b"AWS4-HMAC-SHA256 Credential=",
        b"{}",
        b'{"session_id":1}',
    ),
    *("٣".encode(), b"00-" + b"0" * 32 + b"-" + b"0" * 16 + b"-01", b"\x80", b"a,b;c=d", b"\ttab\t"),
)


def damaged(dice: Random, data: bytes) -> bytes:
    """Bytes with a few of them cut out, changed, doubled or put in."""
    for _ in range(dice.randint(1, 3)):
        at = dice.randrange(len(data) + 1)
        match dice.randrange(7):
            case 0:
                data = data[:at]
            case 1:
                data = data[:at] + data[at + dice.randint(1, 40) :]
            case 2:
                end = at + dice.randint(1, 60)
                data = data[:at] + data[at:end] * dice.randint(2, 4) + data[end:]
            case 3:
                data = data[:at] + bytes([dice.randrange(256)]) + data[at + 1 :]
            case 4 | 5:
                data = data[:at] + dice.choice(_TOKENS) + data[at:]
            case _:
                other = dice.randrange(len(data) + 1)
                data = data[:at] + data[other : other + 50] + data[at:]
    return data


def json_damaged(dice: Random, data: bytes) -> bytes:
    """A JSON document with other values in some places; what is no JSON is damaged as bytes are."""
    try:
        value = json.loads(data)
    except (ValueError, RecursionError):
        return damaged(dice, data)
    if dice.random() < 0.3:
        _recounted(dice, value)
    else:
        for _ in range(dice.randint(1, 3)):
            value = _changed(dice, value)
    try:
        text = json.dumps(value, ensure_ascii=dice.random() < 0.5, indent=dice.choice((None, None, 1)))
    except (ValueError, RecursionError):
        return damaged(dice, data)
    found = text.encode("utf-8", "surrogatepass")
    while f'"{_MARK}"'.encode() in found:
        found = found.replace(f'"{_MARK}"'.encode(), dice.choice(_RAW), 1)
    return _doubled_member(dice, found) if dice.random() < 0.05 else found


def _recounted(dice: Random, value: Any) -> None:
    """Change numbers of a value, and nothing else; there may be none."""
    places: list[tuple[Any, Any]] = []
    inside = [value]
    while inside:
        holder = inside.pop()
        pairs = holder.items() if isinstance(holder, dict) else enumerate(holder) if isinstance(holder, list) else ()
        for place, item in pairs:
            if isinstance(item, int | float) and not isinstance(item, bool):
                places.append((holder, place))
            inside.append(item)
    for holder, place in dice.sample(places, min(len(places), dice.choice((1, 1, 2, 9)))):
        holder[place] = dice.choice(_COUNTS)


def _doubled_member(dice: Random, text: bytes) -> bytes:
    """JSON with one member twice, the first of them odd."""
    members = list(_MEMBER.finditer(text))
    if not members:
        return text
    member = dice.choice(members)
    return (
        text[: member.start()]
        + member[0]
        + dice.choice((b"null", b"-1", b'"x"', b"[]"))
        + b","
        + text[member.start() :]
    )


def _changed(dice: Random, value: Any) -> Any:
    """The same with one place changed, somewhere in the depth."""
    if isinstance(value, dict) and value and dice.random() < 0.85:
        name = dice.choice(list(value))
        match dice.randrange(12):
            case 0:
                return {key: item for key, item in value.items() if key != name}
            case 1:
                return {**value, dice.choice(("", "\0", "type", "usage", "id", "x" * 300)): dice.choice(_VALUES)}
            case _:
                return {**value, name: _changed(dice, value[name])}
    if isinstance(value, list) and value and dice.random() < 0.85:
        at = dice.randrange(len(value))
        match dice.randrange(8):
            case 0:
                return value[:at] + value[at + 1 :]
            case 1:
                return value[:at] + [value[at]] * _times(dice, _weight(value[at])) + value[at:]
            case _:
                return [*value[:at], _changed(dice, value[at]), *value[at + 1 :]]
    match dice.randrange(6):
        case 0:
            return _MARK
        case 1:
            deep: Any = value
            for _ in range(dice.choice((3, 60, 400, 900))):
                deep = [deep] if dice.random() < 0.5 else {"a": deep}
            return deep
        case _:
            if dice.random() < 0.0005:
                return "9" * _ENORMOUS
            return dice.choice(_VALUES)


def _times(dice: Random, size: int) -> int:
    """How often something of so many bytes is said again."""
    return max(1, min(dice.choice((1, 1, 2, 60)), _MOST // (size + 1)))


def _weight(value: Any) -> int:
    """About the bytes of a value as JSON, as far as that matters."""
    total = 0
    inside = [value]
    while inside and total < _MOST:
        item = inside.pop()
        total += len(item) if isinstance(item, str) else 8
        if isinstance(item, dict | list):
            inside += item.values() if isinstance(item, dict) else item
    return total


def disordered(
    dice: Random, pieces: Sequence[bytes], event_damaged: Callable[[Random, bytes], bytes] | None = None
) -> list[bytes]:
    """Events with some of them left out, doubled, swapped, changed, or the rest of them missing.

    ``event_damaged`` changes what is inside of one; without it that is the JSON that stands in a text.
    """
    change = event_damaged or _event_damaged
    found = list(pieces)
    for _ in range(dice.randint(0, 3)):
        if not found:
            break
        at = dice.randrange(len(found))
        match dice.randrange(8):
            case 0:
                del found[at]
            case 1:
                found[at:at] = [found[at]] * _times(dice, len(found[at]))
            case 2:
                other = dice.randrange(len(found))
                found[at], found[other] = found[other], found[at]
            case 3:
                del found[at:]
            case 4 | 5:
                found[at] = change(dice, found[at])
            case 6:
                found[at] = damaged(dice, found[at])
            case _:
                found.insert(at, dice.choice(_TOKENS))
    return found


def _event_damaged(dice: Random, event: bytes) -> bytes:
    """A server-sent event or a line whose JSON is changed; other events as bytes are."""
    start, end = event.find(b"{"), event.rfind(b"}")
    if start < 0 or end < start or b"\0" in event[:start]:
        return damaged(dice, event)
    return event[:start] + json_damaged(dice, event[start : end + 1]) + event[end + 1 :]


def split(dice: Random, data: bytes) -> list[bytes]:
    """Bytes cut at any places, or not at all; empty pieces among them."""
    if len(data) < 2 or dice.random() < 0.2:
        return [data]
    if len(data) < 400 and dice.random() < 0.05:
        return [data[at : at + 1] for at in range(len(data))]
    cuts = sorted(dice.randrange(len(data) + 1) for _ in range(dice.choice((1, 2, 5, 90))))
    return [data[start:end] for start, end in zip([0, *cuts], [*cuts, len(data)], strict=True)]


def fields(dice: Random, given: Sequence[tuple[bytes, bytes]]) -> tuple[tuple[bytes, bytes], ...]:
    """Header fields, some of them odd, doubled or missing."""
    found = list(given)
    for _ in range(dice.choice((0, 0, 1, 1, 2, 6))):
        match dice.randrange(4):
            case 0 if found:
                found.pop(dice.randrange(len(found)))
            case 1 if found:
                at = dice.randrange(len(found))
                found[at] = (found[at][0], dice.choice(_FIELD_VALUES))
            case 2 if found:
                found.append(dice.choice(found))
            case _:
                found.append((dice.choice(_NAMES), dice.choice(_FIELD_VALUES)))
    return tuple(found)
