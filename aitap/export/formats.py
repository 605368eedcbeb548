"""File formats: each takes records one by one and gives bytes one by one, in constant memory."""

from __future__ import annotations

import csv
import io
from typing import TYPE_CHECKING, Any

import msgspec

from aitap.export.csv_rows import INTERCEPTION_COLUMNS, SESSION_COLUMNS, interception_row, session_row
from aitap.export.output import json_text

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

__all__ = ["FORMATS", "csv_lines", "json_array", "json_lines"]

Record = dict[str, Any]


def json_lines(records: Iterable[Record], _: str) -> Iterator[bytes]:
    """One compact JSON object a line."""
    encode = msgspec.json.Encoder().encode
    for record in records:
        yield encode(record) + b"\n"


def json_array(records: Iterable[Record], _: str) -> Iterator[bytes]:
    """One JSON array, indented by two spaces, byte for byte what ``json.dumps(..., indent=2)`` gives."""
    before = b"[\n"
    for record in records:
        yield before + b"  " + json_text(record).replace(b"\n", b"\n  ")
        before = b",\n"
    yield b"[]\n" if before == b"[\n" else b"\n]\n"


def csv_lines(records: Iterable[Record], what: str) -> Iterator[bytes]:
    """CSV as in RFC 4180, in UTF-8, with a head; see :mod:`aitap.export.csv_rows` for the cells."""
    head, row = {
        "interceptions": (INTERCEPTION_COLUMNS, interception_row),
        "sessions": (SESSION_COLUMNS, session_row),
    }[what]
    buffer = io.StringIO(newline="")
    writer = csv.writer(buffer)
    writer.writerow(head)
    for record in records:
        writer.writerow(row(record))
        yield buffer.getvalue().encode()
        buffer.seek(0)
        buffer.truncate()
    yield buffer.getvalue().encode()


FORMATS: dict[str, Callable[[Iterable[Record], str], Iterator[bytes]]] = {
    "jsonl": json_lines,
    "json": json_array,
    "csv": csv_lines,
}
"""Name of a format (and ending of its files) to the function that makes it; the second argument is what records are."""
