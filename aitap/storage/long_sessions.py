"""Sessions that were open at a moment: found by an index of those few that went over a midnight.

No index in order of time tells which spans hold a moment: all that began before it would be looked at, or all that
ended after. But a span that goes over a midnight and stays in its month has both ends in the month of the moment, one
that goes on into another month has them in its year, and only those that go over the end of a year can have them
anywhere. So each session that did not end on the day on which it began is in an index, by how far it went and when it
ended; and those of one day are found among the sessions of that day.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from aitap.storage.fields import timestamp_text
from aitap.storage.filters import Term

if TYPE_CHECKING:
    from peewee import Database

__all__ = ["FAR", "end_of_day", "far", "open_at"]

_UNITS = {"sqlite": (4, 7, 10), "postgres": ("year", "month", "day")}
_PART = {"sqlite": "substr({0}, 1, {1})", "postgres": "date_trunc('{1}', {0} AT TIME ZONE 'UTC')"}


def _far(kind: str, alias: str) -> str:
    parts = [[_PART[kind].format(alias + name, unit) for name in ("ended_at", "started_at")] for unit in _UNITS[kind]]
    year, month, day = (" <> ".join(ends) for ends in parts)
    return f"CASE WHEN {year} THEN 3 WHEN {month} THEN 2 WHEN {day} THEN 1 END"


FAR = _far("sqlite", "")
"""Of a row of ``aitap_sessions`` in an SQLite file: 3 where it ended in another year than it began, 2 in another month,
1 on another day. The index is made of this text: databases see that a question is about it by its being the same."""


def far(database: Database, alias: str = "") -> str:
    """The same in the words of a database, of a table that has another name in the statement."""
    return _far("sqlite" if database.param == "?" else "postgres", alias)


def open_at(database: Database, moment: datetime) -> list[Term]:
    """Conditions of a row ``s`` of ``aitap_sessions``: one of them holds of each session that was open at the moment.

    Each finds its sessions by an index. Others are among them.
    """
    at = timestamp_text(moment.timestamp())
    how_far = far(database, "s.")
    utc = moment.astimezone(UTC)
    next_month = datetime(utc.year + utc.month // 12, utc.month % 12 + 1, 1, tzinfo=UTC)
    ends = ((1, next_month), (2, datetime(utc.year + 1, 1, 1, tzinfo=UTC)), (3, datetime(9999, 12, 31, tzinfo=UTC)))
    found = [
        Term(f"{how_far} = {number} AND s.ended_at >= ? AND s.ended_at < ?", (at, timestamp_text(end.timestamp())))
        for number, end in ends
    ]
    midnight = utc.replace(hour=0, minute=0, second=0, microsecond=0)
    span = (timestamp_text(midnight.timestamp()), end_of_day(moment))
    return [*found, Term("s.last_active_at >= ? AND s.last_active_at < ?", span)]


def end_of_day(moment: datetime) -> str:
    """The midnight after a moment, as it is stored."""
    utc = moment.astimezone(UTC)
    return timestamp_text((utc.replace(hour=0, minute=0, second=0, microsecond=0) + timedelta(days=1)).timestamp())
