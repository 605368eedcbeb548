"""Days as sums are kept by them: counted from the epoch, in UTC, each from midnight to midnight.

One day's number is the same whoever finds it: Python from a date or a moment, either database from a column.
"""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from functools import lru_cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from peewee import Database

__all__ = ["DAY", "day_number", "day_of_column", "microseconds", "moment"]

DAY = 86_400_000_000
"""Microseconds."""

_FIRST = date(1970, 1, 1).toordinal()
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_OF_COLUMN = {
    "sqlite": "CAST(julianday(substr({0}, 1, 10)) - 2440587.5 AS INTEGER)",
    "postgres": "({0} AT TIME ZONE 'UTC')::date - date '1970-01-01'",
}


@lru_cache(maxsize=1024)
def day_number(day: str) -> int:
    """Days since the epoch until ``2026-11-20``."""
    return date.fromisoformat(day).toordinal() - _FIRST


def day_of_column(database: Database, column: str) -> str:
    """The SQL of the day of a column of moments."""
    return _OF_COLUMN["sqlite" if database.param == "?" else "postgres"].format(column)


def microseconds(at: datetime) -> int:
    """Since the epoch until a moment."""
    return (at - _EPOCH) // _MICROSECOND


def moment(since: int) -> datetime:
    """The moment so many microseconds after the epoch."""
    return _EPOCH + since * _MICROSECOND
