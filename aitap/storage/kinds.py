"""Kinds of interceptions: every combination of user, provider, model and client that there is, and how many of each.

Lists can be filtered by all of these and by time. An index for each would not do, as little as one for each pair:
a model that one user called once is in nobody's. So each combination has a number, every interception has that of
its own, and one index of (kind, start) finds whatever is asked for. The sums by kind, by day and by session are
kept in the transaction that stores, or takes away, the interceptions; so no count counts them.

Kinds are some ten for each user, and stay when what they counted is gone.
"""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any

from peewee import OperationalError

from aitap.storage import session_days
from aitap.storage.database import execute_many, question_marks, rows_of, slices
from aitap.storage.day_numbers import day_number, day_of_column
from aitap.storage.fields import timestamp_text

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from peewee import Database

    from aitap.record import Interception

__all__ = [
    "COLUMNS",
    "Days",
    "Kinds",
    "OfSessions",
    "add_ended",
    "add_stored",
    "count_one",
    "mistaken",
    "put_sessions",
    "recount",
    "set_right",
    "subtract",
    "taking_away",
]

COLUMNS = ("initiator_id", "provider", "provider_name", "model", "client")

Key = tuple[str, str, str, str, str]
Days = dict[tuple[int, int], int]
"""How many by kind and day, which is counted from the epoch."""
OfSessions = dict[tuple[str, str, int], tuple[int, str, str]]
"""How many by session, user and kind, with the first and the last start."""

_LIMIT = 10_000
"""Kinds that are remembered; a key has some 400 bytes, and at the most, where clients make up models, 1,700."""
_ROUNDING = 5e-7
"""Moments are stored in whole microseconds: one just before midnight may be stored as midnight."""
_AT_ONCE = 500

_FIND = (
    f"INSERT INTO aitap_kinds ({', '.join(COLUMNS)}, interceptions) VALUES (?, ?, ?, ?, ?, 0) "
    f"ON CONFLICT ({', '.join(COLUMNS)}) DO UPDATE SET client = excluded.client RETURNING id"
)
_ADD = "UPDATE aitap_kinds SET interceptions = interceptions + ? WHERE id = ?"
_ADD_DAY = (
    "INSERT INTO aitap_kind_days (kind_id, day, interceptions) VALUES (?, ?, ?) ON CONFLICT (kind_id, day) "
    "DO UPDATE SET interceptions = aitap_kind_days.interceptions + excluded.interceptions"
)
# Sessions are stored first; from then on they tell when they are active.
_ADD_SESSION = (
    "INSERT INTO aitap_session_kinds (session_id, initiator_id, kind_id, interceptions, first_at, last_at, active_at) "
    "VALUES (?, ?, ?, ?, ?, ?, (SELECT last_active_at FROM aitap_sessions WHERE session_id = ? AND initiator_id = ?)) "
    "ON CONFLICT (session_id, initiator_id, kind_id) DO UPDATE SET "
    "interceptions = aitap_session_kinds.interceptions + excluded.interceptions, "
    "first_at = CASE WHEN excluded.first_at < aitap_session_kinds.first_at "
    "THEN excluded.first_at ELSE aitap_session_kinds.first_at END, "
    "last_at = CASE WHEN excluded.last_at > aitap_session_kinds.last_at "
    "THEN excluded.last_at ELSE aitap_session_kinds.last_at END"
)
_THIS = "session_id = ? AND initiator_id = ? AND kind_id = ?"
_THEIRS = (
    "SELECT i.started_at FROM aibridge_interceptions i WHERE i.session_id = aitap_session_kinds.session_id "
    # By the index of sessions: a kind has many more.
    "AND i.initiator_id = aitap_session_kinds.initiator_id AND i.kind_id + 0 = aitap_session_kinds.kind_id "
    "AND i.ended_at IS NOT NULL ORDER BY i.started_at"
)
_REMOVE_SESSION = "DELETE FROM aitap_session_kinds WHERE session_id = ? AND initiator_id = ?"
_EMPTY_SESSION = f"DELETE FROM aitap_session_kinds WHERE {_THIS} AND interceptions <= ?"
# What goes began a session's span, or ended it, if it lies where the span does.
_SUBTRACT_SESSION = (
    "UPDATE aitap_session_kinds SET interceptions = interceptions - ?, "
    f"first_at = CASE WHEN first_at >= ? THEN ({_THEIRS} LIMIT 1) ELSE first_at END, "
    f"last_at = CASE WHEN last_at <= ? THEN ({_THEIRS} DESC LIMIT 1) ELSE last_at END WHERE {_THIS}"
)
_EMPTY_DAY = "DELETE FROM aitap_kind_days WHERE kind_id = ? AND day = ? AND interceptions <= 0"
_STORED = (
    "SELECT kind_id, session_id, CAST(initiator_id AS TEXT), substr(CAST(started_at AS TEXT), 1, 10), count(*), "
    "min(started_at), max(started_at) FROM aibridge_interceptions WHERE ended_at IS NOT NULL AND id IN {} "
    "GROUP BY 1, 2, 3, 4"
)


class Kinds:
    """Finds the kind of records, batch by batch; remembers what it found. For the thread that writes."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._known: dict[Key, int] = {}
        self._open = False

    def of(self, records: Iterable[Interception]) -> list[int]:
        """The kind of each record, made where there is none. Within a transaction; may be repeated."""
        if self._open or len(self._known) > _LIMIT:
            # What the last batch found has been rolled back, or is not there any more.
            self._known = {}
        self._open = True
        known = self._known
        keys = [(r.initiator_id, r.provider, r.provider_name, r.model, r.client or "") for r in records]
        for key in dict.fromkeys(keys):
            if key not in known:
                known[key] = int(rows_of(self._database, _FIND, key)[0][0])
        return [known[key] for key in keys]

    def committed(self) -> None:
        """The transaction of the last :meth:`of` is done."""
        self._open = False


def add_ended(database: Database, records: Sequence[Interception], kinds: Sequence[int]) -> None:
    """Count ended interceptions, not counted before, with the kind of each. Call it inside a transaction.

    Raises Peewee's error where a kind is not there any more: who erases a person takes the kinds with it.
    """
    days: dict[tuple[int, int], int] = {}
    sessions: dict[tuple[str, str, int], list[float]] = {}
    for record, kind in zip(records, kinds, strict=True):
        at = record.started_at
        day = (kind, int((at + _ROUNDING) // 86400))
        days[day] = days.get(day, 0) + 1
        session = (record.session_id, record.initiator_id, kind)
        found = sessions.get(session)
        if found is None:
            sessions[session] = [1, at, at]
        else:
            found[0] += 1
            if at < found[1]:
                found[1] = at
            elif at > found[2]:
                found[2] = at
    _add_days(database, days)
    _add_sessions(
        database,
        {key: (int(n), timestamp_text(first), timestamp_text(last)) for key, (n, first, last) in sessions.items()},
    )


def _add_sessions(database: Database, sessions: OfSessions) -> None:
    before = session_days.stored(database, (key[:2] for key in sessions))
    rows = [(*key, *found) for key, found in sessions.items()]
    execute_many(database, _ADD_SESSION, [(*row, *row[:2]) for row in rows])
    session_days.add(database, before, session_days.merged(before, rows))


def _add_days(database: Database, days: dict[tuple[int, int], int]) -> None:
    totals: dict[int, int] = {}
    for (kind, _), count in days.items():
        totals[kind] = totals.get(kind, 0) + count
    if execute_many(database, _ADD, [(count, kind) for kind, count in totals.items()]) != len(totals):
        raise OperationalError("kinds of interceptions were removed meanwhile")
    execute_many(database, _ADD_DAY, [(*key, count) for key, count in days.items()])


def add_stored(database: Database, ids: Sequence[str]) -> None:
    """Count stored interceptions; those still open do not count. Call it inside a transaction."""
    days, sessions = _stored(database, ids)
    _add_days(database, days)
    _add_sessions(database, sessions)


@contextlib.contextmanager
def taking_away(database: Database, ids: Sequence[str]) -> Iterator[None]:
    """Take these stored interceptions out of the counts; the body deletes or changes them."""
    days, sessions = _stored(database, ids)
    yield
    subtract(database, days, sessions)


def subtract(database: Database, days: Days, sessions: OfSessions) -> None:
    """Take what these interceptions counted for out of the counts; they are deleted or changed already."""
    _add_days(database, {key: -count for key, count in days.items()})
    execute_many(database, _EMPTY_DAY, list(days))
    before = session_days.stored(database, (key[:2] for key in sessions))
    execute_many(database, _EMPTY_SESSION, [(*key, found[0]) for key, found in sessions.items()])
    execute_many(database, _SUBTRACT_SESSION, [(*found, *key) for key, found in sessions.items()])
    session_days.add(database, before, session_days.stored(database, before))


def count_one(days: Days, sessions: OfSessions, key: tuple[str, str, int], day: str, at: str) -> None:
    """Count an interception of a session and kind that began on this day, at this moment."""
    place = (key[2], day_number(day))
    days[place] = days.get(place, 0) + 1
    before = sessions.get(key)
    sessions[key] = (1, at, at) if before is None else (before[0] + 1, min(at, before[1]), max(at, before[2]))


def _stored(database: Database, ids: Sequence[str]) -> tuple[Days, OfSessions]:
    """What stored interceptions count for: by kind and day, and by session and kind with their first and last start."""
    days: Days = {}
    sessions: OfSessions = {}
    for some in slices(ids, _AT_ONCE):
        for kind, session_id, initiator, day, count, first, last in rows_of(
            database, _STORED.format(question_marks(len(some))), some
        ):
            place = (int(kind), day_number(day))
            days[place] = days.get(place, 0) + int(count)
            key = (session_id, str(initiator), int(kind))
            before = sessions.get(key)
            sessions[key] = (
                (int(count), first, last)
                if before is None
                else (before[0] + int(count), min(first, before[1]), max(last, before[2]))
            )
    return days, sessions


def put_sessions(database: Database, keys: Iterable[tuple[str, str]], rows: Sequence[tuple[Any, ...]]) -> None:
    """Have the kinds of these sessions be these, each with how many, the first and the last start. In a transaction."""
    execute_many(database, _REMOVE_SESSION, list(keys))
    execute_many(database, _ADD_SESSION, [(*row, *row[:2]) for row in rows])


_MINE = " AND ".join(f"k.{name} = i.{name}" for name in COLUMNS[:-1]) + " AND k.client = coalesce(i.client, '')"


_MISTAKEN = (
    f"SELECT i.id FROM aibridge_interceptions i LEFT JOIN aitap_kinds k ON k.id = i.kind_id AND {_MINE} "
    "WHERE k.id IS NULL"
)
_THEIR_COLUMNS = (*(f"CAST(i.{name} AS TEXT)" for name in COLUMNS[:-1]), "coalesce(i.client, '')")
_KINDS_OF = f"SELECT i.id, i.kind_id, {', '.join(_THEIR_COLUMNS)} FROM aibridge_interceptions i WHERE i.id IN "
_RESTORE = (
    f"INSERT INTO aitap_kinds (id, {', '.join(COLUMNS)}, interceptions) VALUES (?, ?, ?, ?, ?, ?, 0) "
    "ON CONFLICT DO NOTHING"
)
# PostgreSQL gives numbers in their order, whatever is there.
_GO_ON = (
    "SELECT setval(s.name, greatest(nextval(s.name), (SELECT max(id) FROM aitap_kinds))) "
    "FROM (SELECT CAST(pg_get_serial_sequence('aitap_kinds', 'id') AS regclass) AS name) AS s"
)
_SET = "UPDATE aibridge_interceptions SET kind_id = ? WHERE id = ?"


def mistaken(database: Database) -> list[str]:
    """Interceptions that say of themselves another kind than theirs, one that is not there, or none."""
    return [str(row[0]) for row in rows_of(database, _MISTAKEN)]


def set_right(database: Database, ids: Sequence[str]) -> None:
    """Have these interceptions name their kind. Counts are those of before. In a transaction.

    A kind that is gone comes back under the number by which writers, which remember it, may still call it.
    """
    rows = [
        row for some in slices(ids, _AT_ONCE) for row in rows_of(database, _KINDS_OF + question_marks(len(some)), some)
    ]
    named = {kind: tuple(key) for _, kind, *key in rows if isinstance(kind, int)}
    if execute_many(database, _RESTORE, [(kind, *key) for kind, key in named.items()]) and database.param != "?":
        rows_of(database, _GO_ON)
    found = {key: int(rows_of(database, _FIND, key)[0][0]) for key in {tuple(key) for _, _, *key in rows}}
    execute_many(
        database, _SET, [(found[tuple(key)], own_id) for own_id, kind, *key in rows if found[tuple(key)] != kind]
    )


def recount(database: Database) -> None:
    """All of it anew from the interceptions, whatever was there. Call it inside a transaction; it reads everything."""
    day = day_of_column(database, "i.started_at")
    columns = ", ".join(f"i.{name}" for name in COLUMNS[:-1])
    rows_of(
        database,
        f"INSERT INTO aitap_kinds ({', '.join(COLUMNS)}, interceptions) "
        f"SELECT DISTINCT {columns}, coalesce(i.client, ''), 0 FROM aibridge_interceptions i "
        f"WHERE i.kind_id IS NULL ON CONFLICT ({', '.join(COLUMNS)}) DO NOTHING",
    )
    rows_of(
        database,
        "UPDATE aibridge_interceptions AS i SET kind_id = (SELECT k.id FROM aitap_kinds k WHERE "
        f"{_MINE}) WHERE i.kind_id IS NULL",
    )
    rows_of(database, "DELETE FROM aitap_kind_days")
    rows_of(database, "DELETE FROM aitap_session_kinds")
    rows_of(
        database,
        f"INSERT INTO aitap_kind_days (kind_id, day, interceptions) SELECT i.kind_id, {day}, count(*) "
        "FROM aibridge_interceptions i WHERE i.ended_at IS NOT NULL GROUP BY 1, 2",
    )
    rows_of(
        database,
        "INSERT INTO aitap_session_kinds (session_id, initiator_id, kind_id, interceptions, first_at, last_at) "
        "SELECT i.session_id, i.initiator_id, i.kind_id, count(*), min(i.started_at), max(i.started_at) "
        "FROM aibridge_interceptions i WHERE i.ended_at IS NOT NULL GROUP BY 1, 2, 3",
    )
    rows_of(
        database,
        "UPDATE aitap_session_kinds SET active_at = (SELECT s.last_active_at FROM aitap_sessions s "
        "WHERE s.session_id = aitap_session_kinds.session_id AND s.initiator_id = aitap_session_kinds.initiator_id)",
    )
    rows_of(
        database,
        "UPDATE aitap_kinds SET interceptions = coalesce((SELECT sum(d.interceptions) FROM aitap_kind_days d "
        "WHERE d.kind_id = aitap_kinds.id), 0)",
    )
    session_days.recount(database)
