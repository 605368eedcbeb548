"""Rows become plain dicts that are ready for JSON: the one shape that export, lists and REST give.

Times are RFC 3339 with an offset, unknown is ``None``: a column that stores "nothing seen" as empty
text (a response id of a failed call, say) is given as ``None`` too. ``metadata`` is always an object.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec
from peewee import BooleanField, Database

from aitap.storage.database import question_marks, rows_of, slices
from aitap.storage.fields import Json, Timestamp, Uuid
from aitap.storage.models import Interception, ModelThought, TokenUsage, ToolUsage, User, UserPrompt

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from datetime import datetime

__all__ = ["CHILDREN", "INTERCEPTION", "TOKEN_COUNTERS", "Shape", "initiators", "whole", "wire_time"]

TOKEN_COUNTERS = ("input_tokens", "output_tokens", "cache_read_input_tokens", "cache_write_input_tokens")

# SQLite before 3.32 takes 999 parameters in one statement.
_AT_ONCE = 500


def wire_time(value: str | datetime) -> str:
    """A stored moment as RFC 3339: ``2026-11-20T16:11:35.123456+00:00``."""
    return value.replace(" ", "T", 1) if isinstance(value, str) else value.isoformat("T", "microseconds")


def _json(value: Any) -> Any:
    return msgspec.json.decode(value) if isinstance(value, str | bytes) else value


class Shape:
    """How a row of one table becomes a dict: its columns in order and what some of them go through."""

    def __init__(self, model: type[Any], *, empty_is_unknown: Sequence[str] = (), without: Sequence[str] = ()) -> None:
        self.model = model
        self.fields = [field for field in model._meta.sorted_fields if field.name not in without]
        self.names: list[str] = [field.name for field in self.fields]
        self.select = f"SELECT {', '.join(field.column_name for field in self.fields)} FROM {model._meta.table_name}"
        self.empty_is_unknown = empty_is_unknown
        self.dict: Callable[[Sequence[Any]], dict[str, Any]] = self._reader()
        """One row, whose values stand in the order of ``fields`` (more may follow: they are left out)."""

    def values(self, steps: Sequence[tuple[type[Any], str]], nothing: str) -> list[str]:
        """An expression for each value of a ``row``: its kind's step, if any, and ``nothing`` for no metadata."""
        found = []
        for place, field in enumerate(self.fields):
            value = f"row[{place}]"
            if field.name in self.empty_is_unknown:
                found.append(f"{value} or None")
                continue
            step = next((name for kind, name in steps if isinstance(field, kind)), None)
            unknown = nothing if field.name == "metadata" else "None"
            found.append(f"{unknown} if {value} is None else {step.format(value)}" if step else value)
        return found

    def _reader(self) -> Callable[[Sequence[Any]], dict[str, Any]]:
        """What makes a dict of a row, as one expression: to go through the columns would take three times as long."""
        items = (f"{name!r}: {value}" for name, value in zip(self.names, self.values(_STEPS, "{}"), strict=True))
        made: Callable[[Sequence[Any]], dict[str, Any]] = eval(f"lambda row: {{{', '.join(items)}}}")  # noqa: S307 - names of our own
        return made


_STEPS = ((Timestamp, "wire_time({})"), (Json, "_json({})"), (BooleanField, "bool({})"), (Uuid, "str({})"))
"""Kinds of columns, and what their values (``{}``) go through."""


# Which run of a proxy wrote a row, and how it is found, is our own affair.
INTERCEPTION = Shape(
    Interception, empty_is_unknown=("credential_hint", "provider_name"), without=("proxy_id", "kind_id")
)

CHILDREN = {
    "token_usages": Shape(TokenUsage, empty_is_unknown=("provider_response_id",)),
    "user_prompts": Shape(UserPrompt, empty_is_unknown=("provider_response_id",)),
    "tool_usages": Shape(ToolUsage, empty_is_unknown=("provider_response_id", "server_url", "invocation_error")),
    "model_thoughts": Shape(ModelThought, empty_is_unknown=("provider_response_id",)),
}

_USER = Shape(User, empty_is_unknown=("name", "avatar_url"))


def initiators(database: Database, ids: Iterable[str]) -> dict[str, dict[str, Any]]:
    """Who stands behind each initiator id; a user nobody registered has an id and nothing else."""
    found: dict[str, dict[str, Any]] = {
        known: {"id": known, "username": None, "name": None, "avatar_url": None} for known in ids
    }
    for some in slices(list(found), _AT_ONCE):
        for row in rows_of(database, f"{_USER.select} WHERE id IN {question_marks(len(some))}", some):
            user = _USER.dict(row)
            found[user["id"]] = {name: user[name] for name in ("id", "username", "name", "avatar_url")}
    return found


def whole(database: Database, rows: Sequence[Sequence[Any]]) -> list[dict[str, Any]]:
    """Interception rows (columns as in ``INTERCEPTION.fields``) with initiator and children inline, in wire order."""
    records = [INTERCEPTION.dict(row) for row in rows]
    by_id = {record["id"]: record for record in records}
    people = initiators(database, {record["initiator_id"]: None for record in records})
    for record in records:
        record["initiator"] = people[record["initiator_id"]]
        for name in CHILDREN:
            record[name] = []
    for some in slices(list(by_id), _AT_ONCE):
        those = question_marks(len(some))
        for name, shape in CHILDREN.items():
            # As text: for Peewee, putting long lists of parameters together costs more than the query itself.
            query = f"{shape.select} WHERE interception_id IN {those} ORDER BY interception_id, created_at, id"
            for child in map(shape.dict, rows_of(database, query, some)):
                by_id[child["interception_id"]][name].append(child)
    return records
