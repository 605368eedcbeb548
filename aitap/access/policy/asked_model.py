"""Which models a request names, read as cheaply as can be on the event loop.

The path tells, or one member of a body of megabytes. A JSON parser that only skips takes 2 ms for each of these,
and everybody's streams would wait. So a body is searched in slices for the places where ``"model"`` is a key,
with other work in between, and only a place that may be the one is looked at. What is looked for cannot hide: a
quote inside a string is escaped, and a key with escaped letters, or more places than clients have, makes us read
the whole body after all, on a thread.

A request may name several: Azure's deployment and the body, a member that is there twice, or in other letters too
(``Model``: Go's encoding/json, and so Ollama, reads either), OpenRouter's list of ``models`` to fall back to. They all
count, for it is the server's choice which one it goes by. None is named where the body is no JSON, or says nothing of
a model.
"""

from __future__ import annotations

import asyncio
import json
import re
from typing import TYPE_CHECKING
from urllib.parse import parse_qs, unquote

import msgspec

from aitap.capture.dialects import DIALECTS
from aitap.capture.wire import jsontext
from aitap.capture.wire.coding import CodingError, decode_all
from aitap.capture.wire.jsontext import as_dict, as_list, value_of

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["in_body", "in_frame", "in_header", "in_path", "in_query", "undone"]

_MAX_BODY = 64 * 1024 * 1024
_SLICE = 256 * 1024
_MOST_PLACES = 8
_LONGEST = 256
"""Characters of a model's name that count, as in a record."""

_BY_PATH = ("bedrock.invoke", "bedrock.converse", "cloudflare.run", "google.generate_content", "vertex.anthropic")
_RAW_PREDICT = re.compile(r"/models/([^/:]+):(?:streamR|r)awPredict$")
_KEY = re.compile(rb'"model(?:"[ \t\r\n]*:[ \t\r\n]*(?=")|s"[ \t\r\n]*:[ \t\r\n]*(?=\[))', re.IGNORECASE)
_VALUE = re.compile(rb'"(?:[^"\\]|\\.){0,1024}"|\[[^\[\]{}]{0,16384}\]')

Raw = msgspec.Raw
_NONE = Raw(b"")


class _Asked(msgspec.Struct):
    model: Raw = _NONE
    models: Raw = _NONE
    request: Raw = _NONE


class _Frame(msgspec.Struct):
    type: Raw = _NONE
    model: Raw = _NONE
    session: Raw = _NONE
    response: Raw = _NONE


class _Nothing(msgspec.Struct):
    pass


_asked = msgspec.json.Decoder(_Asked)
_frame = msgspec.json.Decoder(_Frame)
_object = msgspec.json.Decoder(_Nothing)


def in_path(api: str, path: str) -> tuple[tuple[str, ...], bool]:
    """The models that a path (still percent-encoded) names, and whether that settles it: the body need not be read."""
    if api in _BY_PATH:
        model = DIALECTS[api].request(b"{}", path).model
        settled = bool(model) and not (api == "vertex.anthropic" and model == "count-tokens")
        return (_names([model]), True) if settled else ((), False)
    if api == "openai.chat_completions":
        raw = _RAW_PREDICT.search(unquote(path))
        return _names([raw[1] if raw else DIALECTS[api].request(b"{}", path).model]), False
    return (), False


def in_query(query: str) -> tuple[str, ...]:
    """The models that the query of a Realtime handshake names."""
    found = parse_qs(query)
    return _names(model for name in ("model", "deployment") for model in found.get(name, ()))


def in_header(value: str) -> tuple[str, ...]:
    """The model that a header names; none where it is empty."""
    return _names([value])


async def undone(body: bytes, content_encoding: str) -> bytes:
    """A body with its codings undone, on a thread; empty where that cannot be done or it is too long."""
    try:
        return await asyncio.to_thread(decode_all, body, content_encoding, limit=_MAX_BODY)
    except CodingError:
        return b""


async def in_body(body: bytes) -> tuple[str, ...]:
    """The models that a JSON body names."""
    names: list[str] = []
    places = await _places(body)
    if places is None:
        return await asyncio.to_thread(_every, body)
    if len(places) <= 1 and len(body) <= _SLICE:
        return _whole(body)
    for at in places:
        await asyncio.sleep(0)
        top = _is_member(body, at)
        if top is None:
            return await asyncio.to_thread(_every, body)
        if top:
            key = _KEY.match(body, at)
            value = _VALUE.match(body, key.end()) if key else None
            if value is None:
                return await asyncio.to_thread(_every, body)
            found = value_of(value[0])
            names += found if isinstance(found, list) else [found]
    if names:
        return _names(names)
    # In an envelope (Code Assist) it may stand further inside.
    return _whole(body) if len(places) <= 1 else await asyncio.to_thread(_every, body)


async def in_frame(frame: bytes) -> tuple[bool, tuple[str, ...]]:
    """Whether a client's message on a WebSocket asks for a response, and the models that it names."""
    if len(frame) > _SLICE and (names := await in_body(frame)):
        return True, names
    try:
        members = _members(await asyncio.to_thread(_read, frame) if len(frame) > _SLICE else _read(frame))
    except (ValueError, RecursionError):
        parts: _Frame | None = jsontext.split(frame, _frame)
        if parts is None:
            return False, ()
        inner = [as_dict(value_of(raw)).get("model") for raw in (parts.session, parts.response)]
        return value_of(parts.type) == "response.create", _names([value_of(parts.model), *inner])
    # Gemini Live names its one model when the session is set up.
    asks = any(key == "setup" or (key == "type" and member == "response.create") for key, member in members)
    named = [member for key, member in members if key == "model"]
    setups = [name for key, value in members if key == "setup" for name in _named_in(value)]
    named += [name.rpartition("models/")[2] for name in setups if isinstance(name, str)]
    named += [name for key, value in members if key in ("session", "response") for name in _named_in(value)]
    return asks, _names(named)


async def _places(body: bytes) -> list[int] | None:
    """Where a key ``model`` or ``models`` stands, with a value that may be a name; None where one may be hidden."""
    places: list[int] = []
    for start in range(0, len(body), _SLICE):
        if start:
            await asyncio.sleep(0)
        part = body[start : start + _SLICE + 6].lower()
        # Letters from a to o, escaped, which no encoder does.
        if b"\\u006" in part or b"\\u004" in part:
            return None
        found = part.find(b'"model')
        while found >= 0:
            at = start + found
            if body[at + 6 : at + 7] == b"\\":
                return None
            if body[max(0, at - 1) : at] != b"\\" and _KEY.match(body, at) and (not places or places[-1] != at):
                places.append(at)
                if len(places) > _MOST_PLACES:
                    return None
            found = part.find(b'"model', found + 1)
    return places


def _is_member(body: bytes, at: int) -> bool | None:
    """Whether the key at this place is one of the outermost object; None where that is as dear to know as all else.

    It is, where what stands before it and one member more, or what stands from there on, makes an object.
    """
    if min(at, len(body) - at) > _SLICE:
        return None
    part = body[:at] + b'"model":0}' if at <= _SLICE else b"{" + body[at:]
    try:
        _object.decode(part)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return False
    return True


def _whole(body: bytes) -> tuple[str, ...]:
    """By a parser that skips all else; 2 ms for a megabyte."""
    try:
        parts: _Asked | None = _asked.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        # The lenient parser is some ten times slower.
        parts = jsontext.split(body, _asked) if len(body) <= _SLICE else None
    if parts is None:
        return ()
    names = _names([value_of(parts.model), *as_list(value_of(parts.models))])
    if not names and parts.request:
        inner: _Asked | None = jsontext.split(parts.request, _asked)
        names = _names([value_of(inner.model)]) if inner is not None else ()
    return names


def _every(body: bytes) -> tuple[str, ...]:
    """By the standard library's parser, which keeps members that are there twice; ten times as slow."""
    try:
        parts = _read(body)
    except (ValueError, RecursionError):
        return ()
    names = _named_in(parts)
    if not names:
        names = [name for key, value in _members(parts) if key == "request" for name in _named_in(value)]
    return _names(names)


def _read(data: bytes) -> object:
    return json.loads(data, object_pairs_hook=_Members)


class _Members(list[tuple[str, object]]):
    """Of an object, in order, the same name as often as it is there."""


def _members(value: object) -> list[tuple[str, object]]:
    return [(key.lower(), member) for key, member in value] if isinstance(value, _Members) else []


def _named_in(value: object) -> list[object]:
    names: list[object] = []
    for key, member in _members(value):
        if key == "model":
            names.append(member)
        elif key == "models" and isinstance(member, list) and not isinstance(member, _Members):
            names += member
    return names


def _names(values: Iterable[object]) -> tuple[str, ...]:
    found = [value.strip().removeprefix("models/")[:_LONGEST] for value in values if isinstance(value, str)]
    return tuple(dict.fromkeys(filter(None, found)))
