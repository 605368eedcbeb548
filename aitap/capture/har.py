"""HTTP archives (HAR 1.2), entry by entry, so that the file may be larger than memory.

Facts are of the HAR 1.2 description; ``_webSocketMessages`` and ``_error`` are what Chrome adds, and
mitmproxy with it. Bodies stand in a HAR as they are after decompression. An archive that was cut off
gives its whole entries.
"""

from __future__ import annotations

import base64
import binascii
import contextlib
import math
import re
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Literal
from urllib.parse import urlsplit

from aitap.capture.saved import SavedExchange, SavedFileError, SavedMessage
from aitap.capture.wire import jsontext
from aitap.capture.wire.jsonarray import JSONArrayParser
from aitap.capture.wire.jsontext import as_dict, as_int, as_list, as_str

if TYPE_CHECKING:
    from collections.abc import Iterator

    from aitap.capture.saved_file import SavedFile

__all__ = ["exchange_of", "read_har"]

Ending = Literal["whole", "broken", "cancelled", "interrupted"]

_PIECE = 1 << 18
_LARGEST = 512 * 1024 * 1024
_MOST_PREFACE = 16 * 1024 * 1024
# Inside a string the quotes would be escaped, so this can only be a member's name.
_ENTRIES = re.compile(rb'"entries"\s*:\s*(?=\[)')
_LONGEST_NAME = 64
_MITMPROXY = re.compile(rb'"creator"\s*:\s*\{\s*"name"\s*:\s*"mitmproxy"')
_VERSIONS = {"H2": "HTTP/2.0", "HTTP/2": "HTTP/2.0", "H3": "HTTP/3", "HTTP/3.0": "HTTP/3", "": "HTTP/1.1"}


def read_har(file: SavedFile) -> Iterator[SavedExchange | None]:
    """The exchanges of an archive in its order; None for an entry that tells of none.

    Raises :class:`SavedFileError` where it is no archive, or ends before its entries do.
    """
    parser = JSONArrayParser(limit=_LARGEST)
    number = 0
    data, latin = _preface(file)
    while data:
        for _, element in parser.feed(data)[: parser.closed]:
            number += 1
            yield _read(element, latin=latin)
        if parser.closed is not None:
            return
        data = file.read(_PIECE)
    raise SavedFileError(f"ends at byte {file.position}, within its entries: {number} were read")


def _preface(file: SavedFile) -> tuple[bytes, bool]:
    """Read up to the entries; give what was read of them, and whether mitmproxy made the archive."""
    held = b""
    start = 0
    while piece := file.read(_PIECE):
        held += piece
        if match := _ENTRIES.search(held, start):
            return held[match.end() :], _MITMPROXY.search(held, 0, match.start()) is not None
        start = max(len(held) - _LONGEST_NAME, 0)
        if len(held) > _MOST_PREFACE:
            break
    raise SavedFileError("is no HTTP archive: it has no log.entries")


def _read(element: bytes, *, latin: bool) -> SavedExchange | None:
    try:
        return exchange_of(as_dict(jsontext.decode(element)), latin=latin)
    except (jsontext.NotJSONError, ValueError, OverflowError):
        return None


def exchange_of(entry: dict[str, Any], *, latin: bool = False) -> SavedExchange | None:
    """What an entry tells; None where it does not say what was asked of whom and when. May raise ``ValueError``.

    With ``latin`` UTF-8 may have been taken for Latin-1, as mitmproxy does in event streams.
    """
    request, response = as_dict(entry.get("request")), as_dict(entry.get("response"))
    url = urlsplit(as_str(request.get("url")) or "")
    started = _moment(entry.get("startedDateTime"))
    if started is None or not url.hostname:
        return None
    timings = {name: _span(value) for name, value in as_dict(entry.get("timings")).items()}
    asked = started + sum(timings.get(name, 0.0) for name in ("blocked", "dns", "connect", "send"))
    ended = started + _span(entry.get("time"))
    status = as_int(response.get("status")) or None
    headers = _fields(request.get("headers"))
    named = next((value.decode("utf-8", "replace") for name, value in headers if name.lower() == b"host"), "")
    hosts = (url.hostname, named.rpartition(":")[0] if named.rpartition(":")[2].isdecimal() else named)
    messages = _messages(entry)
    if messages is not None:
        ended = max([ended, *(message.at for message in messages)])
    ending, failure = _ending(response, status, socket=messages is not None)
    return SavedExchange(
        hosts=tuple(dict.fromkeys(host.lower() for host in hosts if host)),
        port=url.port or {"http": 80, "ws": 80}.get(url.scheme, 443),
        method=(as_str(request.get("method")) or "").upper(),
        path=url.path or "/",
        query=url.query,
        http_version=_version(as_str(request.get("httpVersion")) or ""),
        headers=_as_decoded(headers),
        started_at=started,
        body=_text(request.get("postData"), latin=latin)
        if request.get("postData") or as_int(request.get("bodySize"))
        else b"",
        asked_at=min(asked, ended),
        status=status,
        response_headers=_as_decoded(
            _fields(response.get("headers")), as_dict(response.get("content")).get("mimeType")
        ),
        responded_at=min(asked + timings.get("wait", 0.0), ended),
        response=_body(response, latin=latin),
        ended_at=ended,
        ending=ending,
        failure=failure,
        messages=messages,
    )


def _ending(response: dict[str, Any], status: int | None, *, socket: bool) -> tuple[Ending, str | None]:
    error = as_str(response.get("_error"))
    if error:
        gone = "ERR_ABORTED" in error or error.startswith("Client disconnected") or "by client" in error
        return "cancelled" if gone else "broken", error
    # How a socket ended is not told, nor whether it did.
    return "interrupted" if status is None or socket else "whole", None


def _moment(value: Any) -> float | None:
    try:
        moment = datetime.fromisoformat(value)
    except (TypeError, ValueError):
        return None
    seconds = (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
    return seconds if seconds >= 0 else None


def _span(value: Any) -> float:
    """Milliseconds, where -1 is "does not apply", as seconds."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        return 0.0
    return min(max(float(value), 0.0) / 1000, 1e9)


def _version(text: str) -> str:
    return _VERSIONS.get(text.upper(), text.upper())[:16]


def _fields(value: Any) -> tuple[tuple[bytes, bytes], ...]:
    pairs = ((as_str(field.get("name")), as_str(field.get("value"))) for field in map(as_dict, as_list(value)))
    return tuple((name.encode(), text.encode()) for name, text in pairs if name and text is not None)


def _as_decoded(fields: tuple[tuple[bytes, bytes], ...], media_type: Any = None) -> tuple[tuple[bytes, bytes], ...]:
    """The fields as they fit a body that is decompressed already."""
    kept = tuple(field for field in fields if field[0].lower() != b"content-encoding")
    if isinstance(media_type, str) and media_type and not any(name.lower() == b"content-type" for name, _ in kept):
        kept = (*kept, (b"content-type", media_type.encode()))
    return kept


def _body(response: dict[str, Any], *, latin: bool) -> bytes | None:
    """The response body; None where there was one and it is not in the archive."""
    content = as_dict(response.get("content"))
    text = _text(content, latin=latin)
    if text is None and not as_int(content.get("size")) and not as_int(response.get("bodySize")):
        return b""
    return text


def _text(holder: Any, *, latin: bool) -> bytes | None:
    text = as_str(as_dict(holder).get("text"))
    if text is None:
        return None
    if as_dict(holder).get("encoding") == "base64":
        try:
            return base64.b64decode(text)
        except binascii.Error:
            return None
    if latin and not text.isascii():
        # What is UTF-8 when it is taken for Latin-1 was UTF-8: nobody writes like that.
        with contextlib.suppress(UnicodeError):
            return text.encode("latin-1").decode().encode()
    return text.encode()


def _messages(entry: dict[str, Any]) -> tuple[SavedMessage, ...] | None:
    """The text messages of a WebSocket; None where it is none."""
    messages = entry.get("_webSocketMessages")
    if not isinstance(messages, list):
        return None
    found = []
    for message in map(as_dict, messages):
        data, at = as_str(message.get("data")), message.get("time")
        if message.get("opcode") == 1 and data is not None and isinstance(at, int | float) and 0 <= at < 1e11:
            found.append(SavedMessage(data.encode(), float(at), message.get("type") == "send"))
    return tuple(found)
