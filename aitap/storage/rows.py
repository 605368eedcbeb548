"""Rows become plain dicts that are ready for JSON: the one shape that export, lists and REST give.

Times are RFC 3339 with an offset, unknown is ``None``: a column that stores "nothing seen" as empty
text (a response id of a failed call, say) is given as ``None`` too. ``metadata`` is always an object.
"""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING, Any

import msgspec
from peewee import BooleanField, Database

from aitap.storage.fields import Json, Timestamp, Uuid
from aitap.storage.models import Interception, ModelThought, TokenUsage, ToolUsage, User, UserPrompt

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence
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


def _unless_empty(value: str) -> str | None:
    return value or None


class Shape:
    """How a row of one table becomes a dict: its columns in order and what some of them go through."""

    def __init__(self, model: type[Any], *, empty_is_unknown: Sequence[str] = (), without: Sequence[str] = ()) -> None:
        self.model = model
        self.fields = [field for field in model._meta.sorted_fields if field.name not in without]
        self.names: list[str] = [field.name for field in self.fields]
        self.select = f"SELECT {', '.join(field.column_name for field in self.fields)} FROM {model._meta.table_name}"
        self._steps: list[tuple[str, Callable[[Any], Any]]] = []
        for field in self.fields:
            if isinstance(field, Timestamp):
                self._steps.append((field.name, wire_time))
            elif isinstance(field, Json):
                self._steps.append((field.name, _json))
            elif isinstance(field, BooleanField):
                self._steps.append((field.name, bool))
            elif isinstance(field, Uuid):
                self._steps.append((field.name, str))
            elif field.name in empty_is_unknown:
                self._steps.append((field.name, _unless_empty))

    def dict(self, row: Sequence[Any]) -> dict[str, Any]:
        """One row, whose values stand in the order of ``fields`` (more may follow: they are left out)."""
        record = dict(zip(self.names, row, strict=False))
        for name, step in self._steps:
            if record[name] is not None:
                record[name] = step(record[name])
        if record.get("metadata", record) is None:
            record["metadata"] = {}
        return record


# Which run of a proxy wrote a row is the writer's own affair.
INTERCEPTION = Shape(Interception, empty_is_unknown=("credential_hint", "provider_name"), without=("proxy_id",))

CHILDREN = {
    "token_usages": Shape(TokenUsage, empty_is_unknown=("provider_response_id",)),
    "user_prompts": Shape(UserPrompt, empty_is_unknown=("provider_response_id",)),
    "tool_usages": Shape(ToolUsage, empty_is_unknown=("provider_response_id", "server_url", "invocation_error")),
    "model_thoughts": Shape(ModelThought, empty_is_unknown=("provider_response_id",)),
}

_USER = Shape(User, empty_is_unknown=("name", "avatar_url"))


def _slices(ids: Iterable[str]) -> Iterator[list[str]]:
    rest = iter(ids)
    while some := list(islice(rest, _AT_ONCE)):
        yield some


def initiators(database: Database, ids: Iterable[str]) -> dict[str, dict[str, Any]]:
    """Who stands behind each initiator id; a user nobody registered has an id and nothing else."""
    found: dict[str, dict[str, Any]] = {
        known: {"id": known, "username": None, "name": None, "avatar_url": None} for known in ids
    }
    for some in _slices(list(found)):
        for row in database.execute(User.select(*_USER.fields).where(User.id.in_(some))):
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
        record.update({name: [] for name in CHILDREN})
    for some in _slices(by_id):
        those = ", ".join([database.param] * len(some))
        for name, shape in CHILDREN.items():
            # As text: for Peewee, putting long lists of parameters together costs more than the query itself.
            query = f"{shape.select} WHERE interception_id IN ({those}) ORDER BY interception_id, created_at, id"
            for row in database.execute_sql(query, some):
                child = shape.dict(row)
                by_id[child["interception_id"]][name].append(child)
    return records
