"""Records as rows of multi-row statements.

Peewee's own inserts cost more than all the rest of the writing, so the SQL of each table is made once
from its model, and rows are plain tuples. Saying a record twice stores it once: an interception or a
prompt takes the newer values (an end wins over a start, in whatever order they come), any other child
that is already there stays as it is.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec
import peewee

from aitap import record
from aitap.storage import models
from aitap.storage.database import execute_many, question_marks
from aitap.storage.fields import Json, Timestamp, json_text, timestamp_text

if TYPE_CHECKING:
    from collections.abc import Callable, Container, Sequence

    from peewee import Database, Field

__all__ = ["as_unicode", "insert_records"]


class _Form:
    """Some columns of a table: the statement that inserts them, and ``row``, a row of them, in Python."""

    def __init__(self, fields: Sequence[Field], conflict: str) -> None:
        columns = [field.name for field in fields]
        into = f"INSERT INTO {fields[0].model._meta.table_name} ({', '.join(columns)})"
        typed = ", ".join(f"{field.name} {_TYPES.get(field.field_type, field.field_type)}" for field in fields)
        self.row = f"({', '.join(map(_value, fields))})"
        self._columns = columns
        self._sql = f"{into} VALUES {question_marks(len(columns))} {conflict}"
        self._copy = f"COPY {fields[0].model._meta.table_name} ({', '.join(columns)}) FROM STDIN"
        self._of_json = f"{into} SELECT {', '.join(columns)} FROM json_to_recordset(?) AS r({typed}) {conflict}"

    def insert(self, database: Database, rows: list[tuple[Any, ...]], *, fresh: bool) -> None:
        """Insert these rows; ``fresh`` are known not to be there."""
        many = len(rows) >= _MANY and getattr(database, "takes_documents", False)
        # A parameter and a row at a time is most of what PostgreSQL costs its client.
        if many and fresh:
            with peewee.__exception_wrapper__, database.cursor().copy(self._copy) as copy:  # type: ignore[attr-defined]
                for row in rows:
                    copy.write_row(row)
        elif many:
            documents = [dict(zip(self._columns, row, strict=True)) for row in rows]
            for document in documents:
                if document.get("metadata") is not None:
                    document["metadata"] = msgspec.Raw(document["metadata"].encode())
            execute_many(database, self._of_json, [(json_text(documents),)])
        else:
            execute_many(database, self._sql, rows)


_MANY = 16
_TYPES = {"DOUBLE": "DOUBLE PRECISION", "BOOL": "BOOLEAN", "INT": "INTEGER", "DATETIME": "TIMESTAMPTZ", "JSON": "JSONB"}
"""What PostgreSQL calls the types that Peewee has other names for."""
_OF_OTHERS = {"interception_id": "of", "kind_id": "of", "proxy_id": "run"}


def _value(field: Field) -> str:
    """A column of a row, in Python."""
    if field.name in _OF_OTHERS:
        return _OF_OTHERS[field.name]
    name = f"r.{field.name}"
    if isinstance(field, Json):
        return f"json_text({name}) if {name} else None"
    if isinstance(field, Timestamp):
        return f"None if {name} is None else timestamp_text({name})" if field.null else f"timestamp_text({name})"
    return name


def _compiled(arguments: str, expression: str) -> Callable[..., Any]:
    # An attribute that is written out costs the interpreter a tenth of what attrgetter takes for it.
    words = {"json_text": json_text, "timestamp_text": timestamp_text}
    return eval(f"lambda {arguments}: {expression}", words)  # type: ignore[no-any-return]  # noqa: S307


class _Table:
    """A model and the two forms of its rows: whole, and that of those in which nothing ``seldom`` is known."""

    def __init__(self, model: Any, struct: Any, *seldom: str, update: bool = False, guard: str = "") -> None:
        known = {*struct.__struct_fields__, *_OF_OTHERS}
        fields = [field for field in model._meta.sorted_fields if field.name in known]
        action = "DO NOTHING"
        if update:
            changed = ", ".join(f"{field.name} = excluded.{field.name}" for field in fields if field.name != "id")
            action = f"DO UPDATE SET {changed} {guard}"
        conflict = f"ON CONFLICT (id) {action}"
        self._whole = _Form(fields, conflict)
        # To bind a null costs sqlite3 as much as a text, and to leave it out nothing.
        self._usual = _Form([field for field in fields if field.name not in seldom], conflict)
        is_usual = " and ".join(f"not r.{name}" if name == "metadata" else f"r.{name} is None" for name in seldom)
        self._filling = _compiled(
            "whole, usual",
            f"lambda r, of, run=None: usual({self._usual.row}) if {is_usual} else whole({self._whole.row})",
        )

    def batch(self) -> _Batch:
        """An empty one."""
        whole: list[tuple[Any, ...]] = []
        usual: list[tuple[Any, ...]] = []
        forms = ((self._whole, whole), (self._usual, usual))
        return _Batch(self._filling(whole.append, usual.append), forms)


class _Batch(NamedTuple):
    """Rows of one table."""

    add: Callable[..., None]
    """Adds a row, made of a value, what it belongs to (a child's interception, an interception's kind), the run."""
    forms: Sequence[tuple[_Form, list[tuple[Any, ...]]]]

    def insert(self, database: Database, *, fresh: bool) -> None:
        """Insert them; ``fresh`` are known not to be there."""
        for form, rows in self.forms:
            if rows:
                form.insert(database, rows, fresh=fresh)


_INTERCEPTIONS = _Table(
    models.Interception,
    record.Interception,
    *("metadata", "error_type", "error_message", "retry_of", "client_request_id", *models.CONTENTS),
    update=True,
    guard="WHERE excluded.ended_at IS NOT NULL OR aibridge_interceptions.ended_at IS NULL",
)
_PROMPTS = _Table(models.UserPrompt, record.UserPrompt, "metadata", update=True)
_TOKENS = _Table(models.TokenUsage, record.TokenUsage, "metadata")
_TOOLS = _Table(models.ToolUsage, record.ToolUsage, "metadata", "provider_item_id", "server_url", "invocation_error")
_THOUGHTS = _Table(models.ModelThought, record.ModelThought, "metadata")


def insert_records(
    database: Database,
    records: Sequence[record.Interception],
    proxy_id: int | None,
    kinds: Sequence[int],
    *,
    stored: Container[str] | None = None,
) -> None:
    """Interceptions, each of a kind (see :mod:`aitap.storage.kinds`), with all their children.

    Where it is known which of them are ``stored`` already, by id, the others take the shortest way. Raises Peewee's
    errors (an ``IntegrityError`` where that was not so), and Python's where a value has no form in the database.
    """
    pairs = list(zip(records, kinds, strict=True))
    if stored is None:
        _insert(database, pairs, proxy_id, fresh=False)
    else:
        _insert(database, [pair for pair in pairs if pair[0].id not in stored], proxy_id, fresh=True)
        _insert(database, [pair for pair in pairs if pair[0].id in stored], proxy_id, fresh=False)


def _insert(
    database: Database, pairs: Sequence[tuple[record.Interception, int]], proxy_id: int | None, *, fresh: bool
) -> None:
    batches = [table.batch() for table in (_INTERCEPTIONS, _PROMPTS, _TOKENS, _TOOLS, _THOUGHTS)]
    interception, prompt, usage, tool, thought = (batch.add for batch in batches)
    # All rows of a record at a time: most of its moments are the same.
    for r, kind in pairs:
        interception(r, kind, proxy_id)
        for prompted in r.user_prompts:
            prompt(prompted, r.id)
        for used in r.token_usages:
            usage(used, r.id)
        for called in r.tool_usages:
            tool(called, r.id)
        for thinking in r.model_thoughts:
            thought(thinking, r.id)
    for batch in batches:
        batch.insert(database, fresh=fresh)


def as_unicode(interception: record.Interception) -> record.Interception:
    """The same, in text that every database takes.

    Halves of surrogate pairs, which clients send that cut text by UTF-16 units, become ``?``; null characters,
    which PostgreSQL has no place for, become U+FFFD.
    """
    return msgspec.convert(_replaced(msgspec.to_builtins(interception)), record.Interception)


def _replaced(value: Any) -> Any:
    if isinstance(value, str):
        return value.encode("utf-8", "replace").decode().replace("\0", "\ufffd")
    if isinstance(value, dict):
        return {_replaced(key): _replaced(item) for key, item in value.items()}
    return [_replaced(item) for item in value] if isinstance(value, list) else value
