"""Rows of sessions, and of the kinds of calls in them, that do not say what their interceptions do.

What a session comes to is read without a lock, however long it is. It is written where its rows are then still those
that were looked at: what a writer does meanwhile changes them, and is looked at again. Only a session to which a writer
adds all the while, quicker than it can be read, is at last read under the lock.
"""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING, Any

import msgspec

from aitap.storage.database import question_marks, rows_of, transaction
from aitap.storage.homes import home_of_database
from aitap.storage.kinds import put_sessions
from aitap.storage.queries import snapshot
from aitap.storage.repair.differences import in_slices
from aitap.storage.sessions import COLUMNS, Key, Summary, put, summed_up

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from peewee import Database

__all__ = ["repair_session_kinds", "repair_sessions", "stale_kinds", "wrong_kinds", "wrong_sessions"]

Row = tuple[Any, ...]

_PAGE = 100
_TRIES = 3
_THESE = " WHERE session_id IN {}"
_ENDED = "FROM aibridge_interceptions WHERE ended_at IS NOT NULL"
_KEY = "session_id, CAST(initiator_id AS TEXT)"
_OTHER_NUMBER = f"""
    SELECT {_KEY} FROM (
        SELECT session_id, initiator_id, interceptions AS n FROM aitap_sessions
        UNION ALL SELECT session_id, initiator_id, -count(*) {_ENDED} GROUP BY 1, 2
    ) AS both_of_them GROUP BY session_id, initiator_id HAVING sum(n) <> 0
"""
_SESSIONS = f"SELECT {_KEY}, {', '.join(COLUMNS)} FROM aitap_sessions"
_FIRST = ("", "00000000-0000-0000-0000-000000000000")
_NEXT = f"{_SESSIONS} WHERE (session_id, initiator_id) > (?, ?) ORDER BY session_id, initiator_id LIMIT {_PAGE}"
_STORED_KINDS = f"SELECT {_KEY}, kind_id, interceptions, first_at, last_at, active_at FROM aitap_session_kinds"
_KINDS = (
    f"SELECT {_KEY}, kind_id, count(*), min(started_at), max(started_at) {_ENDED} AND kind_id IS NOT NULL AND "
    "session_id IN {} GROUP BY 1, 2, 3"
)
_WRONG_KINDS = f"""
    SELECT {_KEY} FROM (
        SELECT session_id, initiator_id, kind_id, interceptions AS n, first_at, last_at FROM aitap_session_kinds
        UNION ALL
        SELECT session_id, initiator_id, kind_id, -count(*), min(started_at), max(started_at) {_ENDED} GROUP BY 1, 2, 3
    ) AS both_of_them GROUP BY session_id, initiator_id, kind_id
    HAVING count(*) <> 2 OR sum(n) <> 0 OR min(first_at) <> max(first_at) OR min(last_at) <> max(last_at)
"""
_STALE_KINDS = """
    SELECT k.session_id, CAST(k.initiator_id AS TEXT) FROM aitap_session_kinds k
    JOIN aitap_sessions s ON s.session_id = k.session_id AND s.initiator_id = k.initiator_id
    WHERE k.active_at IS NULL OR k.active_at <> s.last_active_at
"""


def wrong_sessions(database: Database) -> Iterator[Key]:
    """Sessions whose row is not what their interceptions come to, or is missing, or is of none."""
    counted = set(_keys(database, _OTHER_NUMBER))
    yield from counted
    place: Sequence[str] = _FIRST
    while True:
        with snapshot(database):
            rows = rows_of(database, _NEXT, place)
            true = summed_up(database, [row[:2] for row in rows])
        for session_id, initiator, *row in rows:
            key = (session_id, initiator)
            if key not in counted and not (key in true and _says(row, true[key])):
                yield key
        if len(rows) < _PAGE:
            return
        place = rows[-1][:2]


def _says(row: Sequence[Any], true: Summary) -> bool:
    """Whether a stored row is right.

    One that lost its oldest interceptions to retention goes on naming what they used, and when the last of them ended.
    """
    said = dict(zip(COLUMNS, row, strict=True))
    try:
        for name in ("providers", "models"):
            names = said.pop(name)
            if not getattr(true, name) <= set(msgspec.json.decode(names) if isinstance(names, str) else names):
                return False
    except (msgspec.DecodeError, TypeError):
        return False
    if str(said.pop("ended_at") or "") < (true.ended_at or ""):
        return False
    return all(value == getattr(true, name) for name, value in said.items())


def wrong_kinds(database: Database) -> list[Key]:
    """Sessions of whose kinds one counts, begins or ends otherwise than its interceptions; once for each such kind."""
    return _keys(database, _WRONG_KINDS)


def stale_kinds(database: Database) -> list[Key]:
    """Sessions of whose kinds one says that they were active at another time than they; once for each such kind."""
    return _keys(database, _STALE_KINDS)


def _keys(database: Database, sql: str) -> list[Key]:
    with snapshot(database):
        home_of_database(database).take_time(database)
        return [(session_id, initiator) for session_id, initiator in rows_of(database, sql)]


def repair_sessions(database: Database) -> Iterator[int]:
    """Make the rows of sessions anew that are not right; each step gives how many it looked at."""

    def look(keys: list[Key]) -> Callable[[list[Key]], None]:
        true = summed_up(database, keys)
        return lambda same: put(database, same, true)

    yield from _repair(database, wrong_sessions(database), _SESSIONS + _THESE, look)


def repair_session_kinds(database: Database) -> Iterator[int]:
    """The same of the kinds of calls in sessions."""

    def look(keys: list[Key]) -> Callable[[list[Key]], None]:
        true = _rows(database, _KINDS, keys)
        return lambda same: put_sessions(database, same, [row for key in same for row in true[key]])

    keys = dict.fromkeys([*wrong_kinds(database), *stale_kinds(database)])
    yield from _repair(database, keys, _STORED_KINDS + _THESE, look)


def _repair(
    database: Database, keys: Iterable[Key], stored: str, look: Callable[[list[Key]], Callable[[list[Key]], None]]
) -> Iterator[int]:
    """``look`` reads what some sessions come to, and gives what writes those of them that are still as they were."""
    coming = iter(keys)
    while some := list(islice(coming, _PAGE)):
        yield from _repair_some(database, some, stored, look)


def _repair_some(
    database: Database, keys: list[Key], stored: str, look: Callable[[list[Key]], Callable[[list[Key]], None]]
) -> Iterator[int]:
    for _ in range(_TRIES):
        seen = _rows(database, stored, keys)
        write = look(keys)
        moved: list[Key] = []

        def step(
            part: Sequence[Key],
            seen: dict[Key, list[Row]] = seen,
            write: Callable[[list[Key]], None] = write,
            moved: list[Key] = moved,
        ) -> None:
            with transaction(database):
                now = _rows(database, stored, part)
                write([key for key in part if now[key] == seen[key]])
            moved += [key for key in part if now[key] != seen[key]]

        yield from in_slices(keys, step)
        keys = moved
        if not keys:
            return
    # A writer adds to these all the while, quicker than they can be read.
    for key in keys:
        with transaction(database):
            look([key])([key])
        yield 0


def _rows(database: Database, sql: str, keys: Sequence[Key]) -> dict[Key, list[Row]]:
    """What a question about sessions (by their ids) says of each of these."""
    found: dict[Key, list[Row]] = {key: [] for key in keys}
    ids = list({session_id for session_id, _ in keys})
    for row in rows_of(database, sql.format(question_marks(len(ids))), ids):
        if row[:2] in found:
            found[row[:2]].append(row)
    return found
