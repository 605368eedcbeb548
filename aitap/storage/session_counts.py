"""How many sessions a filter means, without looking at each of them.

Sessions are counted by what can be asked for and by day already (:mod:`aitap.storage.session_days`): of a span of
time that is open at one end, only what begins or ends within a day is looked at. A person's own sessions, and those of
a span that has both ends, are counted one by one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from aitap.storage.database import rows_of
from aitap.storage.day_numbers import DAY, microseconds
from aitap.storage.fields import timestamp_text
from aitap.storage.filters import Term, all_of, kind_terms
from aitap.storage.session_days import COLUMNS
from aitap.storage.session_filters import asks_more, few, kinds_asked, session_terms

if TYPE_CHECKING:
    from peewee import Database

    from aitap.storage.filters import Filter

__all__ = ["count_sessions"]

_NEVER = 1 << 30
"""A day after all others."""

# Limited, or PostgreSQL would look at all that such kinds have.
_WITHIN = """
    SELECT count(*) FROM (
        SELECT DISTINCT k.session_id, k.initiator_id FROM aitap_session_kinds k
        WHERE k.kind_id IN ({kinds}) AND k.{at} >= ? AND k.{at} <= ? AND (
            SELECT 1 FROM aitap_session_kinds o
            WHERE o.session_id = k.session_id AND o.initiator_id = k.initiator_id AND o.{at} {beyond} ?
            AND o.kind_id + 0 IN ({kinds}) LIMIT 1
        ) IS NULL
    ) AS found
"""


def count_sessions(database: Database, filter: Filter) -> int:
    """How many sessions have an interception that matches."""
    after, before = filter.started_after, filter.started_before
    if filter.session_id is None and filter.initiator_id is None and filter.client != "" and not (after and before):
        return _by_day(database, filter)
    if filter.session_id is None and asks_more(filter):
        found = few(database, filter)
        if found is None:
            # In the order of the key, unless they are one person's: what is told apart by it needs no sorting.
            asked = all_of(kinds_asked(database, filter, of_one=after is None and filter.initiator_id is None))
            keys = f"SELECT k.session_id, k.initiator_id FROM aitap_session_kinds k WHERE {asked.sql}"
            found = Term(keys, asked.values)
        sql = f"SELECT count(*) FROM (SELECT DISTINCT session_id, initiator_id FROM ({found.sql}) AS found) AS told"
    else:
        found = all_of(session_terms(database, filter))
        sql = f"SELECT count(*) FROM aitap_sessions s WHERE {found.sql}"
    return int(rows_of(database, sql, found.values)[0][0])


class _End(NamedTuple):
    """One end of a span of time: what is kept of the days there, and what of a day that is not wholly meant."""

    column: str
    """The count of days that says how many sessions there are on this side of the end."""
    days: str
    at: str
    """The moment of a session that decides."""
    beyond: str
    """How that of another kind compares to the day's own end, where the session was counted with whole days."""


_SINCE = _End("ended", "day >= ?", "last_at", ">")
_UNTIL = _End("began", "day < ?", "first_at", "<")


def _by_day(database: Database, filter: Filter) -> int:
    """Of everybody, since a moment, until one, or ever."""
    if filter.started_after is not None:
        # Those that went on into a later day, and of the first day those that went on until then.
        begin = microseconds(filter.started_after)
        day = -(-begin // DAY)
        midnight = day * DAY - 1
        rest = _within(database, filter, _SINCE, (begin, midnight, midnight)) if begin % DAY else 0
        return _summed(database, filter, _SINCE, day) + rest
    if filter.started_before is not None:
        end = microseconds(filter.started_before)
        day = (end + 1) // DAY
        midnight = day * DAY
        rest = _within(database, filter, _UNTIL, (midnight, end, midnight)) if (end + 1) % DAY else 0
        return _summed(database, filter, _UNTIL, day) + rest
    return _summed(database, filter, _UNTIL, _NEVER)


def _summed(database: Database, filter: Filter, end: _End, day: int) -> int:
    """Of whole days."""
    values = [getattr(filter, name) for name in COLUMNS]
    asked = sum(1 << place for place, value in enumerate(values) if value is not None)
    theirs = " AND ".join(f"{name} = ?" for name in COLUMNS)
    sql = f"SELECT sum({end.column}) FROM aitap_session_days WHERE asked = ? AND {theirs} AND {end.days}"
    return int(rows_of(database, sql, (asked, *(value or "" for value in values), day))[0][0] or 0)


def _within(database: Database, filter: Filter, end: _End, moments: tuple[int, int, int]) -> int:
    """Of a part of a day: from one moment to another, but for those that whole days, beyond the third, have counted."""
    asked = all_of(kind_terms(filter))
    kinds = [int(row[0]) for row in rows_of(database, f"SELECT id FROM aitap_kinds WHERE {asked.sql}", asked.values)]
    if not kinds:
        return 0
    sql = _WITHIN.format(kinds=", ".join(map(str, kinds)), at=end.at, beyond=end.beyond)
    return int(rows_of(database, sql, [timestamp_text(micros / 1e6) for micros in moments])[0][0])
