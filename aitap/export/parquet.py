"""Records as Apache Parquet: typed columns, children as lists of structures, in row groups of bounded size.

Times are timestamps (microseconds, UTC), ids are text. What has no fixed shape (``metadata``, a message's
``content``) is JSON text. Needs the extra ``parquet``.
"""

from __future__ import annotations

from itertools import islice
from operator import attrgetter, itemgetter
from typing import TYPE_CHECKING, Any

import msgspec
import pyarrow as pa
import pyarrow.parquet as pq
from peewee import BooleanField, DoubleField, IntegerField

from aitap import __version__
from aitap.storage.fields import Json, Timestamp
from aitap.storage.rows import CHILDREN, INTERCEPTION, TOKEN_COUNTERS, Shape

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

__all__ = ["parquet_pieces", "schema_of"]

Record = dict[str, Any]

_AT_ONCE = 500
_ROWS = 20_000
_BYTES = 64 << 20
"""A row group ends after so many rows, or so many bytes in memory."""

_json = msgspec.json.Encoder().encode
_MOMENT = pa.timestamp("us", "UTC")


def parquet_pieces(records: Iterable[Record], what: str, *, contents: bool = False) -> Iterator[bytes]:
    """One Parquet file, in the pieces in which it is made."""
    schema = schema_of(what, contents=contents)
    sink = _Sink()
    with pq.ParquetWriter(pa.PythonFile(sink, mode="w"), schema, compression="zstd") as writer:
        for group in _groups(records, schema):
            writer.write_table(group, row_group_size=group.num_rows)
            yield sink.take()
    yield sink.take()


def schema_of(what: str, *, contents: bool = False) -> pa.Schema:
    """The columns of ``interceptions`` or ``sessions``."""
    initiator = pa.struct([(name, pa.string()) for name in ("id", "username", "name", "avatar_url")])
    if what == "interceptions":
        fields = [*_fields(INTERCEPTION), pa.field("initiator", initiator)]
        for name, shape in CHILDREN.items():
            fields.append(pa.field(name, pa.list_(pa.struct(_fields(shape)))))
    else:
        strings = pa.list_(pa.string())
        numbers = ("interceptions", "threads", "prompts", "tool_calls", "errors", "cost_micros", "unpriced")
        fields = [
            pa.field("id", pa.string()),
            pa.field("initiator_id", pa.string()),
            pa.field("initiator", initiator),
            pa.field("client", pa.string()),
            *(pa.field(name, strings) for name in ("providers", "models")),
            *(pa.field(name, _MOMENT) for name in ("started_at", "ended_at", "last_active_at")),
            *(pa.field(name, pa.int64()) for name in numbers),
            pa.field("pinned", pa.bool_()),
            pa.field("last_prompt", pa.string()),
            pa.field("metadata", pa.string()),
            pa.field("token_usage_summary", pa.struct([(name, pa.int64()) for name in TOKEN_COUNTERS])),
        ]
    if contents:
        texts = ["digest", "parent_digest", "role", "content"]
        if what == "sessions":
            texts.append("interception_id")
        message = pa.struct([*((name, pa.string()) for name in texts), ("created_at", _MOMENT)])
        fields.append(pa.field("messages", pa.list_(message)))
    return pa.schema(fields, metadata={"aitap": __version__, "aitap.records": what})


def _fields(shape: Shape) -> list[Any]:
    return [pa.field(field.name, _type_of(field)) for field in shape.fields]


def _type_of(field: Any) -> Any:
    if isinstance(field, Timestamp):
        return _MOMENT
    if isinstance(field, BooleanField):
        return pa.bool_()
    if isinstance(field, DoubleField):
        return pa.float64()
    return pa.int64() if isinstance(field, IntegerField) and not isinstance(field, Json) else pa.string()


def _array(values: Sequence[Any], kind: Any) -> Any:
    """A column; nested ones are put together from flat ones, which is quicker than pyarrow's own way."""
    if pa.types.is_list(kind):
        offsets, flat = [0], list[Any]()
        for value in values:
            flat += value
            offsets.append(len(flat))
        return pa.ListArray.from_arrays(pa.array(offsets, pa.int32()), _array(flat, kind.value_type))
    if pa.types.is_struct(kind):
        fields = list(kind)
        rows = map(_getter(values, [field.name for field in fields]), values)
        columns = list(zip(*rows, strict=True)) or [()] * len(fields)
        arrays = [_array(column, field.type) for column, field in zip(columns, fields, strict=True)]
        return pa.StructArray.from_arrays(arrays, fields=fields)
    if pa.types.is_timestamp(kind):
        return pa.array(values, pa.string()).cast(kind)
    try:
        return pa.array(values, kind)
    except (pa.ArrowTypeError, pa.ArrowInvalid):
        # Objects in a column of text: seldom enough that to look first would cost more.
        return pa.array([None if value is None else _json(value).decode() for value in values], kind)


def _getter(records: Sequence[Any], names: Sequence[str]) -> Callable[[Any], tuple[Any, ...]]:
    """What makes a row of a record, be it a dict or a structure."""
    return itemgetter(*names) if records and isinstance(records[0], dict) else attrgetter(*names)


def _groups(records: Iterable[Record], schema: pa.Schema) -> Iterator[pa.Table]:
    """Row groups. Some records at a time become columns at once, which take a tenth of the room."""
    rest, kinds = iter(records), schema.types
    tables: list[pa.Table] = []
    rows = size = 0
    while some := list(islice(rest, _AT_ONCE)):
        rows_of_all = map(_getter(some, schema.names), some)
        columns = [_array(values, kind) for values, kind in zip(zip(*rows_of_all, strict=True), kinds, strict=True)]
        tables.append(pa.Table.from_arrays(columns, schema=schema))
        rows, size = rows + len(some), size + tables[-1].nbytes
        if rows >= _ROWS or size >= _BYTES:
            yield pa.concat_tables(tables)
            tables, rows, size = [], 0, 0
    if tables:
        yield pa.concat_tables(tables)


class _Sink:
    """A file for pyarrow, whose bytes go on from here."""

    closed = False

    def __init__(self) -> None:
        self._pieces: list[bytes] = []
        self._written = 0

    def write(self, data: bytes) -> int:
        self._pieces.append(bytes(data))
        self._written += len(data)
        return len(data)

    def tell(self) -> int:
        return self._written

    def flush(self) -> None:
        pass

    def writable(self) -> bool:
        return True

    def close(self) -> None:
        self.closed = True

    def take(self) -> bytes:
        pieces, self._pieces = self._pieces, []
        return b"".join(pieces)
