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


def timestamp_text(seconds: float) -> str:
    """Seconds since the epoch as ``2026-11-20 16:11:35.123456+00:00``: sorts as text, dates in SQLite understand it."""
    return _texts[seconds]


class _Texts(dict[float, str]):
    """The text of each moment that was asked for lately: most are asked for several times."""

    def __missing__(self, seconds: float) -> str:
        if len(self) >= 4096:
            self.clear()
        # All this is what moments cost the writer: adding 2**52 rounds to whole numbers as round() does, at a tenth of
        # its price, and tables cost less than formatting.
        micros = seconds * 1e6
        micros = micros + _INTEGERS - _INTEGERS if 0.0 <= micros < _INTEGERS else float(round(micros))
        minute = micros // 60e6
        second, rest = divmod(int(micros - minute * 60e6), 1_000_000)
        milli, micro = divmod(rest, 1000)
        text = self[seconds] = f"{_minute_text(minute)}{_SECONDS[second]}{_THOUSAND[milli]}{_THOUSAND[micro]}+00:00"
        return text


@lru_cache(maxsize=1024)
def _minute_text(minute: float) -> str:
    day, minute = divmod(int(minute), 1440)
    return f"{_day_text(day)}{_MINUTES[minute]}"


@lru_cache(maxsize=1024)
def _day_text(day: int) -> str:
    return datetime.fromtimestamp(day * 86_400, UTC).strftime("%Y-%m-%d ")


_texts = _Texts()
_INTEGERS = 2.0**52
"""From here on a float has no places behind the point."""
_MINUTES = [f"{minute // 60:02d}:{minute % 60:02d}:" for minute in range(1440)]
_SECONDS = [f"{second:02d}." for second in range(60)]
_THOUSAND = [f"{number:03d}" for number in range(1000)]


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
