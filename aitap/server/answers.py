"""What an endpoint is asked and what it answers, and how an answer becomes an HTTP response."""

from __future__ import annotations

import dataclasses
import gzip
from collections import Counter
from typing import TYPE_CHECKING, Any

import msgspec
from starlette.responses import Response

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from aitap.server.callers import Caller

__all__ = ["CSV", "JSON", "Answer", "Question", "json_response", "packed", "whose"]

JSON = "application/json"
CSV = "text/csv"

_WORTH_PACKING = 1024
"""Bytes below which a packed answer is not smaller in packets."""
_LEVEL = 5


@dataclasses.dataclass(frozen=True, slots=True)
class Question:
    """One request, read and found to be in order."""

    caller: Caller
    parameters: dict[str, str]
    """Of the query; only those that the endpoint takes."""
    path: dict[str, str]
    """Of the path."""


@dataclasses.dataclass(frozen=True, slots=True)
class Answer:
    """What to tell, and whose records are in it."""

    body: Any
    subjects: Mapping[str, int] = dataclasses.field(default_factory=dict)
    """How many records of each user (by id) that hold what people typed."""
    media_type: str = JSON
    """What the body is; of anything but JSON the body is the text itself."""


def whose(records: Iterable[dict[str, Any]]) -> Mapping[str, int]:
    """How many of these records are of each initiator."""
    return Counter(record["initiator"]["id"] for record in records)


def packed(body: Any, *, accepts_gzip: bool) -> tuple[bytes, bool]:
    """The body as JSON in UTF-8, text as it is, and whether it was packed.

    It takes a while for a long one: not for the event loop.
    """
    data = body.encode() if isinstance(body, str) else msgspec.json.encode(body) + b"\n"
    if accepts_gzip and len(data) >= _WORTH_PACKING:
        return gzip.compress(data, _LEVEL, mtime=0), True
    return data, False


def json_response(
    body: Any,
    status: int = 200,
    headers: Mapping[str, str] | None = None,
    *,
    is_packed: bool = False,
    media_type: str = JSON,
) -> Response:
    """A response with this body: bytes that :func:`packed` made, or something short to be made JSON here."""
    data = body if isinstance(body, bytes) else packed(body, accepts_gzip=False)[0]
    found = Response(data, status, dict(headers or {}), media_type)
    found.headers["Vary"] = "Accept-Encoding"
    if is_packed:
        found.headers["Content-Encoding"] = "gzip"
    return found
