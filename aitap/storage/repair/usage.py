"""Usage by day, which outlives what it sums up: what it lacks, what it says too much, and what other sums know of it.

A day counts at least what interceptions there are of it. It may count more, of what retention or an erasure took; only
where it counts no more interceptions than there are, nothing was taken, and it must say what they do. What somebody
removed from the days of which no interceptions are left is still in the coarser sums. Where the months of users and the
days of all miss the same there, it is put back; what only one of them counts is wrong in that one.
"""

from __future__ import annotations

import operator
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from aitap.storage.daily import KEY, SUMS, sums_of_rows
from aitap.storage.database import rows_of
from aitap.storage.fields import timestamp_text
from aitap.storage.homes import home_of_database
from aitap.storage.queries import snapshot
from aitap.storage.repair.differences import Kept, add, coarser, in_slices, lacking
from aitap.storage.usage_models import KINDS

if TYPE_CHECKING:
    from collections.abc import Iterator

    from peewee import Database

__all__ = ["repair_days", "wrong_days"]

Names = tuple[str, ...]
Sums = list[int]
Row = tuple[Any, ...]

_DAYS = "SELECT DISTINCT substr(CAST(started_at AS TEXT), 1, 10) FROM aibridge_interceptions WHERE ended_at IS NOT NULL"
_STORED = f"SELECT {', '.join((*KEY, *SUMS))} FROM aitap_daily_usage WHERE day = ?"
# What retention took and a file brought back is counted already, by whatever it was read as then.
_OF_DAY = "i.started_at >= ? AND i.started_at < ? AND NOT EXISTS (SELECT 1 FROM aitap_pruned p WHERE p.id = i.id)"
_CALLED = (
    "SELECT 1 FROM aitap_kinds k JOIN aibridge_interceptions i ON i.kind_id = k.id "
    "WHERE k.initiator_id = ? AND i.started_at >= ? AND i.started_at < ? LIMIT 1"
)
_HAS_MONTH = "SELECT 1 FROM aitap_monthly_usage WHERE initiator_id = ? AND month = ? LIMIT 1"


def wrong_days(database: Database) -> tuple[list[Row], list[Row]]:
    """Rows of days that say less than there is, and those that say more though nothing of theirs is gone.

    Each is a key, and what must be added to the sums. Of the former some may be missing.
    """
    short, too_much = list[Row](), list[Row]()
    for key, stored, true in _days(database):
        lacks = list(map(operator.sub, true, stored))
        if max(lacks) > 0:
            short.append((*key, *(max(value, 0) for value in lacks)))
        elif min(lacks) < 0 and stored[0] == true[0]:
            too_much.append((*key, *lacks))
    return short, too_much


def _days(database: Database) -> Iterator[tuple[Names, Sums, Sums]]:
    """For each row of a day that there should be, its key, what it says and what the interceptions there are say."""
    with snapshot(database):
        home_of_database(database).take_time(database)
        days = sorted(str(row[0]) for row in rows_of(database, _DAYS))
    for day in days:
        with snapshot(database):
            home_of_database(database).take_time(database)
            true = sums_of_rows(database, KEY, _OF_DAY, _span(day))
            rows = rows_of(database, _STORED, (day,))
        stored = {tuple(map(str, row[: len(KEY)])): [int(value) for value in row[len(KEY) :]] for row in rows}
        for key, sums in true.items():
            yield key, stored.get(key, [0] * len(SUMS)), sums


def _span(day: str) -> tuple[str, str]:
    """A day's first moment, and that of the next."""
    begin = datetime.fromisoformat(day).replace(tzinfo=UTC)
    return timestamp_text(begin.timestamp()), timestamp_text((begin + timedelta(days=1)).timestamp())


def repair_days(database: Database) -> Iterator[int]:
    """Have the days say what they should; each step gives how many rows it changed. Coarser sums then follow."""
    short, _ = wrong_days(database)
    yield from in_slices(short, lambda rows: add(database, _OF_CALLS, rows))
    yield from in_slices(_missed(database), lambda rows: add(database, _OF_MONTHS, rows))
    # What is too much is so only once what else was missing is there.
    _, too_much = wrong_days(database)
    yield from in_slices(too_much, lambda rows: add(database, _OF_CALLS, rows))


def _called(database: Database, day: str, user: str) -> bool:
    return bool(rows_of(database, _CALLED, (user, *_span(day))))


def _has_month(database: Database, day: str, user: str) -> bool:
    return bool(rows_of(database, _HAS_MONTH, (user, day[:7])))


_OF_CALLS = Kept("aitap_daily_usage", KEY, SUMS, (), known=_called)
_OF_MONTHS = Kept("aitap_daily_usage", KEY, SUMS, (), known=_has_month)


def _missed(database: Database) -> list[Row]:
    """Rows of days that are gone, or say too little, as far as months of users and days of all agree on it."""
    monthly, daily = (kept for kept in coarser() if kept.table in ("aitap_monthly_usage", "aitap_daily_totals"))
    users: dict[Names, dict[str, Sums]] = {}
    days: dict[Names, dict[str, Sums]] = {}
    for month, user, *rest in _surplus(database, monthly):
        users.setdefault((month, *rest[: len(KINDS) - 1]), {})[str(user)] = rest[len(KINDS) - 1 :]
    for day, *rest in _surplus(database, daily):
        days.setdefault((day[:7], *rest[: len(KINDS) - 1]), {})[day] = rest[len(KINDS) - 1 :]
    found: list[Row] = []
    for kind, of_users in users.items():
        of_days = days.get(kind, {})
        if _total(of_users) == _total(of_days):
            found += [(day, user, *kind[1:], *sums) for (day, user), sums in _spread(of_users, of_days).items()]
    return found


def _surplus(database: Database, kept: Kept) -> Iterator[list[Any]]:
    """What a coarser table counts that the days do not: its key and the sums."""
    for row in lacking(database, kept):
        sums = [-value for value in row[len(kept.key) :]]
        if min(sums) >= 0:
            yield [*row[: len(kept.key)], *sums]


def _total(parts: dict[str, Sums]) -> Sums:
    return [sum(values) for values in zip(*parts.values(), strict=True)]


def _spread(users: dict[str, Sums], days: dict[str, Sums]) -> dict[tuple[str, str], Sums]:
    """Sums by day and user that come to these of users and of days, which have the same total.

    Of one user or one day, or where a user's is like a day's, it is what it was; else only the totals are.
    """
    found: dict[tuple[str, str], Sums] = {}
    left_users, left_days = dict(users), dict(days)
    for user, sums in users.items():
        like = next((day for day, theirs in left_days.items() if theirs == sums), None)
        if like is not None:
            found[like, user] = left_users.pop(user)
            del left_days[like]
    for user in sorted(left_users):
        for day in sorted(left_days):
            part = list(map(min, left_users[user], left_days[day]))
            if any(part):
                found[day, user] = part
                left_users[user] = list(map(operator.sub, left_users[user], part))
                left_days[day] = list(map(operator.sub, left_days[day], part))
    return found
