"""Records as rows of multi-row statements.

Peewee's own inserts cost more than all the rest of the writing, so the SQL of each table is made once
from its model, and rows are plain tuples. Saying a record twice stores it once: an interception or a
prompt takes the newer values (an end wins over a start, in whatever order they come), any other child
that is already there stays as it is.
"""

from __future__ import annotations

from operator import attrgetter
from typing import TYPE_CHECKING, Any

from aitap import record
from aitap.storage import models
from aitap.storage.database import execute_many
from aitap.storage.fields import json_text, timestamp_text

if TYPE_CHECKING:
    from collections.abc import Iterable

    from peewee import Database

__all__ = ["insert_records", "placeholders"]


def placeholders(database: Database, sql: str) -> str:
    """``sql``, written with ``?``, in the parameter style of this database."""
    return sql if database.param == "?" else sql.replace("?", database.param)


class _Table:
    """A model and the values that fill it: columns of ``first`` are computed, the rest taken by name."""

    def __init__(self, model: Any, struct: Any, *first: str, update: bool = False, guard: str = "") -> None:
        known = set(struct.__struct_fields__)
        plain = [f.name for f in model._meta.sorted_fields if f.name in known and f.name not in first]
        columns = (*first, *plain)
        name = model._meta.table_name
        action = "DO NOTHING"
        if update:
            action = f"DO UPDATE SET {', '.join(f'{c} = excluded.{c}' for c in columns if c != 'id')} {guard}"
        self.plain = attrgetter(*plain)
        self.sql = (
            f"INSERT INTO {name} ({', '.join(columns)}) VALUES ({', '.join('?' * len(columns))}) "
            f"ON CONFLICT (id) {action}"
        )


_INTERCEPTIONS = _Table(
    models.Interception,
    record.Interception,
    *("proxy_id", "metadata", "started_at", "ended_at", "last_prompt_at"),
    update=True,
    guard="WHERE excluded.ended_at IS NOT NULL OR aibridge_interceptions.ended_at IS NULL",
)
_PROMPTS = _Table(models.UserPrompt, record.UserPrompt, "interception_id", "metadata", "created_at", update=True)
_TOKENS = _Table(models.TokenUsage, record.TokenUsage, "interception_id", "metadata", "created_at")
_TOOLS = _Table(models.ToolUsage, record.ToolUsage, "interception_id", "metadata", "created_at", "result_at")
_THOUGHTS = _Table(models.ModelThought, record.ModelThought, "interception_id", "metadata", "created_at")


def _text(seconds: float | None) -> str | None:
    return None if seconds is None else timestamp_text(seconds)


def _json(value: dict[str, Any]) -> str | None:
    return json_text(value) if value else None


def insert_records(database: Database, records: Iterable[record.Interception], proxy_id: int | None) -> None:
    """Interceptions with all their children, in one statement for each table.

    Raises Peewee's errors, and Python's where a value has no form in the database.
    """
    interceptions: list[Any] = []
    prompts: list[Any] = []
    tokens: list[Any] = []
    tools: list[Any] = []
    thoughts: list[Any] = []
    for r in records:
        interceptions.append(
            (
                proxy_id,
                _json(r.metadata),
                timestamp_text(r.started_at),
                _text(r.ended_at),
                _text(r.last_prompt_at),
                *_INTERCEPTIONS.plain(r),
            )
        )
        for table, rows, children in (
            (_PROMPTS, prompts, r.user_prompts),
            (_TOKENS, tokens, r.token_usages),
            (_THOUGHTS, thoughts, r.model_thoughts),
        ):
            for child in children:
                rows.append((r.id, _json(child.metadata), timestamp_text(child.created_at), *table.plain(child)))
        for tool in r.tool_usages:
            tools.append(
                (r.id, _json(tool.metadata), timestamp_text(tool.created_at), _text(tool.result_at), *_TOOLS.plain(tool))
            )
    for table, rows in (
        (_INTERCEPTIONS, interceptions),
        (_PROMPTS, prompts),
        (_TOKENS, tokens),
        (_TOOLS, tools),
        (_THOUGHTS, thoughts),
    ):
        if rows:
            execute_many(database, placeholders(database, table.sql), rows)
