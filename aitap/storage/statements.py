"""Records as rows of multi-row statements.

Peewee's own inserts cost more than all the rest of the writing, so the SQL of each table is made once
from its model, and rows are plain tuples. Saying a record twice stores it once: an interception or a
prompt takes the newer values (an end wins over a start, in whatever order they come), any other child
that is already there stays as it is.
"""

from __future__ import annotations

from operator import attrgetter
from typing import TYPE_CHECKING, Any

import msgspec

from aitap import record
from aitap.storage import models
from aitap.storage.database import execute_many, question_marks
from aitap.storage.fields import json_text, timestamp_text

if TYPE_CHECKING:
    from collections.abc import Sequence

    from peewee import Database

__all__ = ["as_unicode", "insert_records"]


class _Table:
    """A model and the values that fill it.

    Columns of ``first`` are computed, those of ``null`` left out and so unknown, the rest taken by name.
    """

    def __init__(
        self,
        model: Any,
        struct: Any,
        *first: str,
        null: tuple[str, ...] = (),
        update: bool = False,
        guard: str = "",
    ) -> None:
        known = set(struct.__struct_fields__) - {*first, *null}
        plain = [field.name for field in model._meta.sorted_fields if field.name in known]
        columns = (*first, *plain)
        name = model._meta.table_name
        action = "DO NOTHING"
        if update:
            changed = [column for column in (*columns, *null) if column != "id"]
            action = f"DO UPDATE SET {', '.join(f'{c} = excluded.{c}' for c in changed)} {guard}"
        self.plain = attrgetter(*plain)
        into, conflict = f"INSERT INTO {name} ({', '.join(columns)})", f"ON CONFLICT (id) {action}"
        self.sql = f"{into} VALUES {question_marks(len(columns))} {conflict}"
        self._columns = columns
        types = {field.name: _TYPES.get(field.field_type, field.field_type) for field in model._meta.sorted_fields}
        typed = ", ".join(f"{column} {types[column]}" for column in columns)
        self._of_json = f"{into} SELECT {', '.join(columns)} FROM json_to_recordset(?) AS r({typed}) {conflict}"

    def insert(self, database: Database, rows: list[tuple[Any, ...]]) -> None:
        """Insert these rows, whose values stand in the order of the columns."""
        if len(rows) >= _MANY and getattr(database, "takes_documents", False):
            # A parameter and a row at a time is most of what PostgreSQL costs its client.
            documents = [dict(zip(self._columns, row, strict=True)) for row in rows]
            for document in documents:
                if document["metadata"] is not None:
                    document["metadata"] = msgspec.Raw(document["metadata"].encode())
            execute_many(database, self._of_json, [(json_text(documents),)])
        else:
            execute_many(database, self.sql, rows)


_MANY = 16
_TYPES = {"DOUBLE": "DOUBLE PRECISION", "BOOL": "BOOLEAN", "INT": "INTEGER", "DATETIME": "TIMESTAMPTZ", "JSON": "JSONB"}
"""What PostgreSQL calls the types that Peewee has other names for."""


_FIRST = ("proxy_id", "kind_id", "metadata", "started_at", "ended_at", "last_prompt_at")
_GUARD = "WHERE excluded.ended_at IS NOT NULL OR aibridge_interceptions.ended_at IS NULL"
_INTERCEPTIONS = _Table(models.Interception, record.Interception, *_FIRST, update=True, guard=_GUARD)
# To bind a null costs sqlite3 twice a text: rows that have none of these go by a shorter statement.
_SELDOM = ("api_key_id", "error_type", "error_message", "retry_of", "client_request_id", *models.CONTENTS)
_seldom = attrgetter(*_SELDOM)
_ALL_NULL = (None,) * len(_SELDOM)
_USUAL = _Table(models.Interception, record.Interception, *_FIRST, null=_SELDOM, update=True, guard=_GUARD)
_PROMPTS = _Table(models.UserPrompt, record.UserPrompt, "interception_id", "metadata", "created_at", update=True)
_TOKENS = _Table(models.TokenUsage, record.TokenUsage, "interception_id", "metadata", "created_at")
_TOOLS = _Table(models.ToolUsage, record.ToolUsage, "interception_id", "metadata", "created_at", "result_at")
_THOUGHTS = _Table(models.ModelThought, record.ModelThought, "interception_id", "metadata", "created_at")


def _text(seconds: float | None) -> str | None:
    return None if seconds is None else timestamp_text(seconds)


def _json(value: dict[str, Any]) -> str | None:
    return json_text(value) if value else None


def insert_records(
    database: Database, records: Sequence[record.Interception], proxy_id: int | None, kinds: Sequence[int]
) -> None:
    """Interceptions, each of a kind (see :mod:`aitap.storage.kinds`), with all their children.

    Raises Peewee's errors, and Python's where a value has no form in the database.
    """
    interceptions: list[Any] = []
    usual: list[Any] = []
    prompts: list[Any] = []
    tokens: list[Any] = []
    tools: list[Any] = []
    thoughts: list[Any] = []
    for r, kind in zip(records, kinds, strict=True):
        table, rows = (_USUAL, usual) if _seldom(r) == _ALL_NULL else (_INTERCEPTIONS, interceptions)
        rows.append(
            (
                proxy_id,
                kind,
                _json(r.metadata),
                timestamp_text(r.started_at),
                _text(r.ended_at),
                _text(r.last_prompt_at),
                *table.plain(r),
            )
        )
        prompts += [(r.id, _json(c.metadata), timestamp_text(c.created_at), *_PROMPTS.plain(c)) for c in r.user_prompts]
        tokens += [(r.id, _json(c.metadata), timestamp_text(c.created_at), *_TOKENS.plain(c)) for c in r.token_usages]
        tools += [
            (r.id, _json(c.metadata), timestamp_text(c.created_at), _text(c.result_at), *_TOOLS.plain(c))
            for c in r.tool_usages
        ]
        thoughts += [
            (r.id, _json(c.metadata), timestamp_text(c.created_at), *_THOUGHTS.plain(c)) for c in r.model_thoughts
        ]
    for table, rows in (
        (_INTERCEPTIONS, interceptions),
        (_USUAL, usual),
        (_PROMPTS, prompts),
        (_TOKENS, tokens),
        (_TOOLS, tools),
        (_THOUGHTS, thoughts),
    ):
        if rows:
            table.insert(database, rows)


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
