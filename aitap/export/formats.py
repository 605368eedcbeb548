"""File formats: each takes records one by one and gives bytes piece by piece, in constant memory.

Sessions, and whatever has messages, are dicts; interceptions are structures of :mod:`aitap.storage.bulk`.
"""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING, Any

import msgspec

from aitap.export.csv_rows import INTERCEPTION_COLUMNS, SESSION_COLUMNS, csv_line, interception_line, session_line
from aitap.export.failures import Failure
from aitap.export.output import json_text

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

__all__ = ["FORMATS", "csv_lines", "json_array", "json_lines", "otlp", "parquet"]

_AT_ONCE = 50


def json_lines(records: Iterable[Any], _: str) -> Iterator[bytes]:
    """One compact JSON object a line."""
    encode = msgspec.json.Encoder().encode_lines
    rest = iter(records)
    while some := list(islice(rest, _AT_ONCE)):
        yield encode(some)


def json_array(records: Iterable[Any], _: str) -> Iterator[bytes]:
    """One JSON array, indented by two spaces, byte for byte what ``json.dumps(..., indent=2)`` gives."""
    before = b"[\n"
    for record in records:
        yield before + b"  " + json_text(record).replace(b"\n", b"\n  ")
        before = b",\n"
    yield b"[]\n" if before == b"[\n" else b"\n]\n"


def csv_lines(records: Iterable[Any], what: str) -> Iterator[bytes]:
    """CSV as in RFC 4180, in UTF-8, with a head; see :mod:`aitap.export.csv_rows` for the cells."""
    head, line = {
        "interceptions": (INTERCEPTION_COLUMNS, interception_line),
        "sessions": (SESSION_COLUMNS, session_line),
    }[what]
    yield csv_line(head).encode()
    rest = iter(records)
    while some := list(islice(rest, _AT_ONCE)):
        yield "".join(map(line, some)).encode()


def parquet(records: Iterable[Any], what: str, *, contents: bool = False) -> Iterator[bytes]:
    """One Parquet file; see :mod:`aitap.export.parquet`. Raises ``Failure`` where the extra is missing."""
    try:
        from aitap.export.parquet import parquet_pieces
    except ImportError:
        raise Failure("Parquet needs one more package: pip install 'aitap[parquet]'") from None
    return parquet_pieces(records, what, contents=contents)


def otlp(records: Iterable[Any], _: str) -> Iterator[bytes]:
    """Nothing for a file: the records go to an OpenTelemetry collector, as log lines. Raises ``Failure``."""
    try:
        from aitap.observe.log_history import HistoryError, send_history
    except ImportError:
        raise Failure("OpenTelemetry needs more packages: pip install 'aitap[otel]'") from None
    try:
        for _sent in send_history(records):
            yield b""
    except HistoryError as error:
        raise Failure(str(error)) from None
    except ValueError as error:
        raise Failure(f"OpenTelemetry: {error}") from None


FORMATS: dict[str, Callable[..., Iterator[bytes]]] = {
    "jsonl": json_lines,
    "json": json_array,
    "csv": csv_lines,
    "parquet": parquet,
}
"""Name of a format (and ending of its files) to the function that makes it; the second argument is what records are."""
