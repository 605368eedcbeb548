"""What the digest of a record is made of: every column of its rows, read back from the database.

A row is the JSON object of its columns, names sorted, without those that are null; moments, ids and JSON are in
the one text form that every database gives. A digest is BLAKE2b. That of an interception is two, 128 bits each:
of its own row, and of the rows of its children (a list for each table, sorted by id). A column that a later
version adds must be null for what was there before, or all digests would differ.

SQLite takes values that no column of ours can have been given: bytes in the place of text, text that is not UTF-8,
JSON that has a name twice. They are in a form of their own, which no value of ours has.

The one column that is not in it is ``kind_id``: what it stands for is in the row itself, and :class:`Found` has it
to be compared.
"""

from __future__ import annotations

import json
from hashlib import blake2b
from typing import TYPE_CHECKING, Any

import msgspec
import peewee
from peewee import BooleanField, SqliteDatabase

from aitap.storage.database import question_marks, rows_of, slices
from aitap.storage.fields import Json
from aitap.storage.models import (
    CONTENTS,
    Interception,
    Message,
    ModelThought,
    Reading,
    TokenUsage,
    ToolUsage,
    UserPrompt,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from peewee import Database

__all__ = [
    "CHILDREN",
    "KIND",
    "MESSAGES",
    "READINGS",
    "RECORDS",
    "Found",
    "Rows",
    "digests_of",
    "fetched",
    "records_between",
    "records_with",
]

KIND = ("initiator_id", "provider", "provider_name", "model", "client")
"""What a kind says of an interception, see :mod:`aitap.storage.kinds`."""

_AT_ONCE = 500
_HALF = 16

_encode = msgspec.json.Encoder().encode
_encode_sorted = msgspec.json.Encoder(order="sorted").encode

Row = dict[str, Any]


class Rows:
    """The rows of one table in their canonical form; ``key`` is the column that they are looked up and sorted by."""

    def __init__(self, model: Any, key: str) -> None:
        fields: list[Any] = sorted(model._meta.sorted_fields, key=lambda field: str(field.column_name))
        self.table: str = model._meta.table_name
        self.names = [str(field.column_name) for field in fields]
        self.never_null = {field.column_name for field in fields if not field.null}
        """Columns without which no row is; those of later versions cannot be among them."""
        self.key = key
        self._json = [n for n, field in enumerate(fields) if isinstance(field, Json)]
        self._keys = {n for n, name in enumerate(self.names) if name in ("id", key)}
        self._booleans = {field.column_name for field in fields if isinstance(field, BooleanField)}

    def read(self, database: Database, condition: str, parameters: Sequence[Any]) -> list[Row]:
        """The rows under a condition, sorted by key and id."""
        order = self.key if self.key in ("id", "digest") else f"{self.key}, id"
        sql = f"SELECT {self._columns(database)} FROM {self.table} {condition.format(key=self.key, order=order)}"
        rows = fetched(database, sql, parameters)
        if loose := isinstance(database, SqliteDatabase):
            rows = [self._without_bytes(row) if bytes in map(type, row) else row for row in rows]
        return [self._canonical(row, loose=loose) for row in rows]

    def _columns(self, database: Database) -> str:
        if isinstance(database, SqliteDatabase):
            return ", ".join(self.names)
        # SQLite knows no booleans but 0 and 1; what it has in such a column must not be made one.
        return ", ".join(f"CAST({n} AS INTEGER)" if n in self._booleans else n for n in self.names)

    def _without_bytes(self, row: Sequence[Any]) -> tuple[Any, ...]:
        """A row in which there are bytes, which in JSON would be the text that is their base64."""
        return tuple(
            [value.hex()] if isinstance(value, bytes) and n not in self._keys else value for n, value in enumerate(row)
        )

    def _canonical(self, row: Sequence[Any], *, loose: bool) -> Row:
        """``loose``: the database takes any text for JSON."""
        if self._json:
            row = list(row)
            for n in self._json:
                row[n] = _sorted(row[n], loose=loose)
        return {name: value for name, value in zip(self.names, row, strict=True) if value is not None}


def _sorted(value: Any, *, loose: bool) -> Any:
    """JSON whose objects have their names sorted: not every database keeps their order."""
    if not isinstance(value, str):
        return value
    try:
        found = msgspec.json.decode(value)
        # What we wrote is what we would write: only what somebody else did needs a second look.
        if loose and _encode(found) != value.encode() and _has_a_name_twice(value):
            return [value]
        return msgspec.Raw(_encode_sorted(found))
    except (msgspec.DecodeError, UnicodeEncodeError, RecursionError):
        return [value]


def _has_a_name_twice(text: str) -> bool:
    """Whether some object of this JSON says a thing twice: of the two, one reader takes the first, another the last."""
    twice = False

    def look(pairs: list[tuple[str, Any]]) -> None:
        nonlocal twice
        twice = twice or len(dict(pairs)) < len(pairs)

    json.loads(text, object_pairs_hook=look)
    return twice


def fetched(database: Database, sql: str, parameters: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
    """The rows of a question, whatever somebody has put there: what is no text in UTF-8 is bytes."""
    try:
        return rows_of(database, sql, parameters)
    except peewee.OperationalError as error:
        if "UTF-8" not in str(error) or not isinstance(database, SqliteDatabase):
            raise
    # Somebody wrote bytes that are no text: they shall differ, not end the look at all others.
    connection = database.connection()
    connection.text_factory = _text
    try:
        return rows_of(database, sql, parameters)
    finally:
        connection.text_factory = str


def _text(data: bytes) -> str | bytes:
    try:
        return data.decode()
    except UnicodeDecodeError:
        return data


RECORDS = Rows(Interception, "id")
CHILDREN = tuple(Rows(model, "interception_id") for model in (TokenUsage, UserPrompt, ToolUsage, ModelThought))
MESSAGES = Rows(Message, "digest")
READINGS = Rows(Reading, "id")


class Found(msgspec.Struct, gc=False):
    """The digest of an interception, and of which contents it speaks. No ``row`` is a child without its parent."""

    id: Any
    row: bytes | None
    children: bytes
    contents: tuple[str, ...] = ()
    kind_id: Any = None
    kind: tuple[Any, ...] = ()
    """What the row of its kind must say."""

    @property
    def digest(self) -> bytes:
        """Both in one, as blocks have them."""
        return (self.row or b"") + self.children


def digests_of(rows: Iterable[Row], key: str) -> list[tuple[Any, bytes]]:
    """Key and digest of each of these rows."""
    return [(row[key], blake2b(_bytes(row), digest_size=2 * _HALF).digest()) for row in rows]


def records_with(database: Database, ids: Sequence[str]) -> list[Found]:
    """The interceptions with these ids, those that are there."""
    found: list[Found] = []
    for some in slices(ids, _AT_ONCE):
        condition = f"WHERE {{key}} IN {question_marks(len(some))} ORDER BY {{order}}"
        found += _together(database, RECORDS.read(database, condition, some), condition, some)
    return found


def records_between(database: Database, after: Any, size: int, since: str | None = None) -> tuple[list[Found], Any]:
    """The next interceptions by id, and the id to go on after, None at the end; children of nobody are among them.

    ``after`` is None at the beginning. With ``since`` only ids that are not smaller count.
    """
    lower, start = ("", []) if since is None else ("{key} >= ?", [since])
    if after is not None:
        lower, start = "{key} > ?", [after]
    where = f"WHERE {lower} " if lower else ""
    rows = RECORDS.read(database, f"{where}ORDER BY {{order}} LIMIT ?", [*start, size])
    last = rows[-1]["id"] if len(rows) == size else None
    bounds, parameters = [lower] if lower else [], list(start)
    if last is not None:
        bounds.append("{key} <= ?")
        parameters.append(last)
    where = f"WHERE {' AND '.join(bounds)} " if bounds else ""
    return _together(database, rows, f"{where}ORDER BY {{order}}", parameters), last


def _together(database: Database, rows: list[Row], condition: str, parameters: Sequence[Any]) -> list[Found]:
    nothing: list[list[Row]] = [[] for _ in CHILDREN]
    children: dict[Any, list[list[Row]]] = {}
    for number, table in enumerate(CHILDREN):
        for child in table.read(database, condition, parameters):
            owner = child["interception_id"]
            if (lists := children.get(owner)) is None:
                lists = children[owner] = [[] for _ in CHILDREN]
            lists[number].append(child)
    found = []
    for row in rows:
        kind_id = row.pop("kind_id", None)
        contents = tuple(row[name] for name in CONTENTS if name in row)
        kind = tuple(row.get(name, "") for name in KIND)
        found.append(Found(row["id"], _half(row), _half(children.pop(row["id"], nothing)), contents, kind_id, kind))
    return found + [Found(owner, None, _half(lists)) for owner, lists in children.items()]


def _half(value: Any) -> bytes:
    return blake2b(_bytes(value), digest_size=_HALF).digest()


def _bytes(value: Any) -> bytes:
    try:
        return _encode(value)
    except (TypeError, UnicodeEncodeError):
        # What no column of ours can hold, but a row that somebody changed may.
        return repr(value).encode("utf-8", "backslashreplace")
