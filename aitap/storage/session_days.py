"""How many sessions there are of all that a list can be filtered by, by the days on which they began and ended.

A session may have several kinds of interceptions (:mod:`aitap.storage.kinds`), so counts by kind do not add up. For
each of the sixteen ways to ask for provider, provider name, model and client, or not, a session counts once for each
answer that it has: on the day of the first interception that fits, and on the day of the last. So "before a day" and
"since a day" are sums of days, and no day at all is the sum of all. Whose session it is, is not told apart: that would
be nearly as many rows as there are sessions.

What counts them is kept in the transaction that changes a session's kinds; a session that only goes on, on a day that
it had already, costs nothing more.
"""

from __future__ import annotations

from collections import Counter
from functools import lru_cache
from typing import TYPE_CHECKING

from aitap.storage.database import execute_many, question_marks, rows_of, slices
from aitap.storage.day_numbers import day_number, day_of_column

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from peewee import Database

__all__ = ["ASKED", "COLUMNS", "KEY", "SessionDays", "add", "counted", "merged", "recount", "stored"]

COLUMNS = ("provider", "provider_name", "model", "client")
ASKED = range(1 << len(COLUMNS))
"""Which of ``COLUMNS`` are asked for, a bit each; the others are empty in a row."""
KEY = ("asked", *COLUMNS, "day")

SessionDays = dict[tuple[str, str], dict[int, tuple[int, int]]]
"""By session and user, then by kind: the days of the first and of the last interception, counted from the epoch."""
_Values = tuple[str, str, str, str]
_Scope = tuple[int, str, str, str, str]
_Shape = tuple[tuple[_Values, int, int], ...]
"""Of each kind what it is, the first day and the last."""

_AT_ONCE = 500

_STORED = "SELECT session_id, initiator_id, kind_id, first_at, last_at FROM aitap_session_kinds WHERE session_id IN "
_KINDS = f"SELECT id, {', '.join(COLUMNS)} FROM aitap_kinds WHERE id IN "
_ADD = (
    f"INSERT INTO aitap_session_days ({', '.join(KEY)}, began, ended) VALUES {question_marks(len(KEY) + 2)} "
    f"ON CONFLICT ({', '.join(KEY)}) DO UPDATE SET began = aitap_session_days.began + excluded.began, "
    "ended = aitap_session_days.ended + excluded.ended"
)
_EMPTY = (
    f"DELETE FROM aitap_session_days WHERE {' AND '.join(f'{name} = ?' for name in KEY)} AND began = 0 AND ended = 0"
)


def stored(database: Database, keys: Iterable[tuple[str, str]]) -> SessionDays:
    """What is stored of these sessions, which have it or have not."""
    found: SessionDays = {key: {} for key in keys}
    ids = list(dict.fromkeys(session_id for session_id, _ in found))
    for some in slices(ids, _AT_ONCE):
        for session_id, initiator, kind, first, last in rows_of(database, _STORED + question_marks(len(some)), some):
            spans = found.get((session_id, str(initiator)))
            if spans is not None:
                spans[kind] = (day_number(first[:10]), day_number(last[:10]))
    return found


def merged(before: SessionDays, rows: Iterable[Sequence[str | int]]) -> SessionDays:
    """What is stored once these are: session, user and kind, how many, and the moments of the first and the last."""
    found = {key: dict(spans) for key, spans in before.items()}
    for session_id, initiator, kind, _, first_at, last_at in rows:
        spans = found[str(session_id), str(initiator)]
        first, last = day_number(str(first_at)[:10]), day_number(str(last_at)[:10])
        known = spans.get(int(kind))
        spans[int(kind)] = (first, last) if known is None else (min(first, known[0]), max(last, known[1]))
    return found


def add(database: Database, before: SessionDays, after: SessionDays) -> None:
    """Count sessions as they are after a change instead of as they were before. Call it inside a transaction."""
    changed = [(spans, after[key]) for key, spans in before.items() if spans != after[key]]
    if not changed:
        return
    values = _values(database, sorted({kind for pair in changed for spans in pair for kind in spans}))
    # Whose they are does not matter here: many are alike.
    shapes: Counter[_Shape] = Counter()
    for pair in changed:
        for sign, spans in zip((-1, 1), pair, strict=True):
            shape = sorted((values[kind], *days) for kind, days in spans.items() if kind in values)
            shapes[tuple(shape)] += sign
    counts: dict[tuple[_Scope, int], list[int]] = {}
    for alike, number in shapes.items():
        for scope, days in _spans(alike).items() if number else ():
            for place, day in enumerate(days):
                counts.setdefault((scope, day), [0, 0])[place] += number
    rows = [(*scope, day, *count) for (scope, day), count in counts.items() if any(count)]
    execute_many(database, _ADD, rows)
    execute_many(database, _EMPTY, [(*scope, day) for (scope, day), count in counts.items() if min(count) < 0])


def _values(database: Database, kinds: list[int]) -> dict[int, _Values]:
    found: dict[int, _Values] = {}
    for some in slices(kinds, _AT_ONCE):
        for kind, provider, provider_name, model, client in rows_of(database, _KINDS + question_marks(len(some)), some):
            # Who asks for one that is not known means either.
            found[kind] = (provider, provider_name, model, client or "Unknown")
    return found


def _spans(shape: _Shape) -> dict[_Scope, tuple[int, int]]:
    """For all that such a session answers to, the first day and the last."""
    found: dict[_Scope, tuple[int, int]] = {}
    for values, first, last in shape:
        for scope in _scopes(values):
            known = found.get(scope)
            found[scope] = (first, last) if known is None else (min(first, known[0]), max(last, known[1]))
    return found


@lru_cache(maxsize=256)
def _scopes(values: _Values) -> tuple[_Scope, ...]:
    provider, provider_name, model, client = values
    return tuple(
        (
            asked,
            provider if asked & 1 else "",
            provider_name if asked & 2 else "",
            model if asked & 4 else "",
            client if asked & 8 else "",
        )
        for asked in ASKED
    )


def counted(database: Database, asked: int) -> str:
    """The question for the rows of one way to ask, columns as in the table, by looking at all kinds of all sessions."""
    first, last = (day_of_column(database, column) for column in ("first_at", "last_at"))
    theirs = {name: f"k.{name}" for name in COLUMNS} | {"client": "coalesce(nullif(k.client, ''), 'Unknown')"}
    values = [theirs[name] if asked & 1 << place else "''" for place, name in enumerate(COLUMNS)]
    columns = ", ".join(COLUMNS)
    named = ", ".join(f"{value} AS {name}" for name, value in zip(COLUMNS, values, strict=True))
    return (
        f"WITH found AS (SELECT s.session_id, s.initiator_id, {named}, min(s.first_at) AS first_at, "
        "max(s.last_at) AS last_at FROM aitap_session_kinds s JOIN aitap_kinds k ON k.id = s.kind_id "
        f"GROUP BY 1, 2, 3, 4, 5, 6) SELECT {asked} AS asked, {columns}, day, sum(began) AS began, sum(ended) AS ended "
        f"FROM (SELECT {columns}, {first} AS day, 1 AS began, 0 AS ended FROM found UNION ALL "
        f"SELECT {columns}, {last}, 0, 1 FROM found) AS days GROUP BY {columns}, day"
    )


def recount(database: Database) -> None:
    """All of it anew, whatever was there. Call it inside a transaction; it reads all kinds of all sessions."""
    rows_of(database, "DELETE FROM aitap_session_days")
    for asked in ASKED:
        rows_of(
            database,
            f"INSERT INTO aitap_session_days ({', '.join(KEY)}, began, ended) {counted(database, asked)}",
        )
