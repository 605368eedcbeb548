"""What all tables are made of: Peewee fields whose stored form is the same text on every database.

The writer sends multi-row statements past the ORM, so the form a value takes in the database is
defined here once and used by both roads.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any

import msgspec
from peewee import Field, JSONField, Model

__all__ = ["Json", "Table", "Timestamp", "Uuid", "json_text", "parse_timestamp", "timestamp_text"]


@lru_cache(maxsize=4096)
def timestamp_text(seconds: float) -> str:
    """Seconds since the epoch as ``2026-11-20 16:11:35.123456+00:00``: sorts as text, dates in SQLite understand it."""
    second, fraction = divmod(round(seconds * 1_000_000), 1_000_000)
    day, second = divmod(second, 86_400)
    minute, second = divmod(second, 60)
    return f"{_day_text(day)} {_MINUTES[minute]}:{second:02d}.{fraction:06d}+00:00"


# To format a date costs the writer more than all else that it does with a moment.
@lru_cache(maxsize=1024)
def _day_text(day: int) -> str:
    return datetime.fromtimestamp(day * 86_400, UTC).strftime("%Y-%m-%d")


_MINUTES = [f"{minute // 60:02d}:{minute % 60:02d}" for minute in range(1440)]


def parse_timestamp(value: str | datetime) -> datetime:
    """The inverse of :func:`timestamp_text`; drivers that give a ``datetime`` are served too. Always in UTC."""
    moment = value if isinstance(value, datetime) else datetime.fromisoformat(value)
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)


_encode = msgspec.json.Encoder().encode


def json_text(value: Any) -> str:
    """A value as compact JSON text."""
    return _encode(value).decode()


_UUID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")


def is_uuid(text: str) -> bool:
    """Whether this is a UUID as :class:`Uuid` keeps it. PostgreSQL takes no other even in a question."""
    return _UUID.fullmatch(text) is not None


class Timestamp(Field):
    """A moment. Takes epoch seconds or an aware ``datetime``, gives an aware ``datetime`` in UTC."""

    field_type = "TIMESTAMPTZ"

    def db_value(self, value: float | datetime | str | None) -> str | None:
        if value is None or isinstance(value, str):
            return value
        return timestamp_text(value.timestamp() if isinstance(value, datetime) else value)

    def python_value(self, value: str | datetime | None) -> datetime | None:
        return None if value is None else parse_timestamp(value)


class Uuid(Field):
    """A UUID, given and taken as dashed lower-case text."""

    field_type = "UUID"

    def db_value(self, value: Any) -> str | None:
        return None if value is None else str(value)

    def python_value(self, value: Any) -> str | None:
        return None if value is None else str(value)


class Json(JSONField):
    """A JSON object; compact text in SQLite, JSONB in PostgreSQL."""

    def __init__(self, **options: Any) -> None:
        super().__init__(dumps=json_text, loads=msgspec.json.decode, **options)

    def python_value(self, value: Any) -> Any:
        return msgspec.json.decode(value) if isinstance(value, str) else value


class Table(Model):
    """Base of all tables; bound to a database by :func:`aitap.storage.database.open_database`."""

    class Meta:
        legacy_table_names = False
