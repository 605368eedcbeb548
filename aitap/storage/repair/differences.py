"""Sums that are kept, and what they lack of what they sum up.

All that changes such a sum adds to it, or takes from it. So what is lacking is found without a lock, by one question
that sees all of one moment, and added in short transactions: whatever a writer adds meanwhile stays right.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

from aitap.storage import session_days
from aitap.storage.daily import OF_FINER
from aitap.storage.database import execute_many, question_marks, rows_of, transaction
from aitap.storage.day_numbers import day_of_column
from aitap.storage.homes import home_of_database
from aitap.storage.queries import snapshot
from aitap.storage.steps import sized
from aitap.storage.usage_models import COUNTS, KEYS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from peewee import Database

__all__ = ["Kept", "add", "apply", "coarser", "counts", "in_slices", "lacking"]

Row = tuple[Any, ...]
T = TypeVar("T")


class Kept(NamedTuple):
    """A table of sums."""

    table: str
    key: tuple[str, ...]
    sums: tuple[str, ...]
    true: tuple[str, ...]
    """Questions for what it should have, key and sums; each for other keys than the rest."""
    which: tuple[str, ...] = ("",)
    """Of each question the rows of the table that it is about, as a condition."""
    known: Callable[[Database, str, str], bool] | None = None
    """Of a user's rows: whether there is what a row of this span and user sums up."""


def counts(database: Database) -> tuple[Kept, ...]:
    """What counts interceptions by kind, and sessions by day."""
    ended = "FROM aibridge_interceptions WHERE ended_at IS NOT NULL"
    day = day_of_column(database, "started_at")
    key = session_days.KEY
    return (
        Kept(
            "aitap_session_days",
            key,
            ("began", "ended"),
            tuple(
                f"SELECT {', '.join(key)}, began, ended FROM ({session_days.counted(database, asked)}) AS counted"
                for asked in session_days.ASKED
            ),
            tuple(f"WHERE asked = {asked}" for asked in session_days.ASKED),
        ),
        Kept(
            "aitap_kind_days",
            ("kind_id", "day"),
            ("interceptions",),
            (f"SELECT kind_id, {day}, count(*) {ended} GROUP BY 1, 2",),
        ),
        Kept("aitap_kinds", ("id",), ("interceptions",), (f"SELECT kind_id, count(*) {ended} GROUP BY 1",)),
    )


def coarser() -> tuple[Kept, ...]:
    """What sums up usage that other tables tell in more detail; those that are made of others of them come later."""
    found = []
    for table, finer in OF_FINER.items():
        key = KEYS[table]
        theirs = ("substr(day, 1, 7)" if name == "month" and "day" in KEYS[finer] else name for name in key)
        true = f"SELECT {', '.join((*theirs, *COUNTS))} FROM {finer}"
        found.append(Kept(table, key, COUNTS, (true,), known=_has_days if "initiator_id" in key else None))
    return tuple(found)


def lacking(database: Database, kept: Kept) -> Iterator[Row]:
    """The key of each row that is not what it should be, there or not, and what must be added to its sums."""
    own = ", ".join(kept.key)
    places = ", ".join(str(place + 1) for place in range(len(kept.key)))
    lacks = ", ".join(f"CAST(sum({name}) AS BIGINT)" for name in kept.sums)
    for true, which in zip(kept.true, kept.which, strict=True):
        sql = (
            f"SELECT {own}, {lacks} FROM (SELECT {own}, {', '.join(f'-{name} AS {name}' for name in kept.sums)} "
            f"FROM {kept.table} {which} UNION ALL SELECT * FROM ({true}) AS summed) AS both_of_them "
            f"GROUP BY {places} HAVING {' OR '.join(f'sum({name}) <> 0' for name in kept.sums)}"
        )
        with snapshot(database):
            # On a server with a limit for statements: to read all of a large table is worth waiting for.
            home_of_database(database).take_time(database)
            rows = rows_of(database, sql)
        yield from rows


def apply(database: Database, kept: Kept) -> Iterator[int]:
    """Add what is lacking, step by step; each gives how many rows were changed."""
    yield from in_slices(list(lacking(database, kept)), lambda some: add(database, kept, some))


def in_slices(rows: Sequence[T], work: Callable[[Sequence[T]], None]) -> Iterator[int]:
    """Have the rows worked at some at a time, as many as a short transaction takes, and rest as long as it takes."""
    done = 0

    def step(size: int) -> int:
        nonlocal done
        some = rows[done : done + size]
        if some:
            work(some)
        done += len(some)
        return len(some)

    begun = time.monotonic()
    for count in sized(step):
        spent = time.monotonic() - begun
        yield count
        time.sleep(spent)
        begun = time.monotonic()


def add(database: Database, kept: Kept, rows: Sequence[Row]) -> None:
    """Add to the sums of some rows, in a transaction of its own; what comes to nothing goes, but kinds stay."""
    place = len(kept.key)
    this = " AND ".join(f"{name} = ?" for name in kept.key)
    update = f"UPDATE {kept.table} SET {', '.join(f'{n} = {n} + ?' for n in kept.sums)} WHERE {this}"
    insert = (
        f"INSERT INTO {kept.table} ({', '.join((*kept.key, *kept.sums))}) VALUES "
        f"{question_marks(place + len(kept.sums))} ON CONFLICT ({', '.join(kept.key)}) "
        f"DO UPDATE SET {', '.join(f'{n} = {kept.table}.{n} + excluded.{n}' for n in kept.sums)}"
    )
    nothing = f"DELETE FROM {kept.table} WHERE {this} AND {' AND '.join(f'{name} = 0' for name in kept.sums)}"
    with transaction(database):
        new = [] if kept.table == "aitap_kinds" else _still_known(database, kept, rows)
        known = set(new)
        execute_many(database, insert, new)
        execute_many(database, update, [(*row[place:], *row[:place]) for row in rows if row not in known])
        if kept.table != "aitap_kinds":
            execute_many(database, nothing, [row[:place] for row in rows])


def _still_known(database: Database, kept: Kept, rows: Sequence[Row]) -> list[Row]:
    """Those of whose user there is something: somebody who was erased meanwhile must not come back."""
    if kept.known is None:
        return list(rows)
    there = {key: kept.known(database, *key) for key in {(row[0], str(row[1])) for row in rows}}
    return [row for row in rows if there[row[0], str(row[1])]]


def _has_days(database: Database, month: str, user: str) -> bool:
    sql = "SELECT 1 FROM aitap_daily_usage WHERE initiator_id = ? AND day >= ? AND day < ? LIMIT 1"
    return bool(rows_of(database, sql, (user, month, f"{month}-99")))
