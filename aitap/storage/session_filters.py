"""Which sessions a filter means: those of which any ended interception matches.

Each session has a row for every kind of interception in it, with the starts of the first and the last of them
(:mod:`aitap.storage.kinds`); so hardly any interception is looked at. In the conditions here ``s`` is a row of
``aitap_sessions`` and ``k`` one of ``aitap_session_kinds``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
from peewee import SqliteDatabase

from aitap.storage.database import rows_of
from aitap.storage.fields import is_uuid
from aitap.storage.filters import NOTHING, Filter, Term, all_of, kind_terms, stored, times

if TYPE_CHECKING:
    from peewee import Database

__all__ = [
    "asks_more",
    "few",
    "has_kind",
    "keys_of_span",
    "kinds_asked",
    "kinds_meant",
    "own_terms",
    "session_terms",
    "spans_asked",
    "unindexed",
]

_RARE = 3000
"""So few sessions that match are looked up and sorted; of more, all sessions are tried one by one."""
_NARROW = 5000
"""A span of so few interceptions is looked through."""


def unindexed(database: Database, column: str) -> str:
    """The column, by which SQLite shall not look up: without statistics all its indexes look the same to it."""
    return f"+{column}" if isinstance(database, SqliteDatabase) else column


def own_terms(filter: Filter, owner: str = "s.initiator_id") -> list[Term]:
    """What the filter asks of a row of ``aitap_sessions`` that the row itself tells; ``owner`` is whose it is."""
    found: list[Term] = []
    if filter.initiator_id is not None:
        found.append(Term(f"{owner} = ?", (filter.initiator_id,)) if is_uuid(filter.initiator_id) else NOTHING)
    if filter.session_id is not None:
        found.append(Term("s.session_id = ?", (filter.session_id,)))
    if filter.started_before is not None:
        # The index by which sessions are sorted tells it, so that newer ones cost nothing.
        found.append(Term("s.started_at <= ?", (stored(filter.started_before),)))
    return found


def asks_more(filter: Filter) -> bool:
    """Whether a session's own row does not tell all that the filter asks."""
    # Sessions are made of what ended: to ask for that alone is to ask for nothing.
    rest = msgspec.structs.replace(filter, initiator_id=None, session_id=None, started_before=None, ended=False)
    return rest != Filter() or (filter.started_before is not None and filter.session_id is not None)


def session_terms(database: Database, filter: Filter) -> list[Term]:
    """What the filter asks of a row of ``aitap_sessions``."""
    found = own_terms(filter)
    if asks_more(filter):
        if filter.session_id is None and (matching := few(database, filter)) is not None:
            found.append(Term(f"(s.session_id, s.initiator_id) IN ({matching.sql})", matching.values))
        else:
            found.append(has_kind(database, filter))
    return found


def has_kind(database: Database, filter: Filter) -> Term:
    """Whether the session has a kind of interceptions, and at such times, as the filter asks."""
    asked = all_of(kinds_asked(database, filter, of_one=True))
    # Limited, or PostgreSQL would look at all that such kinds have.
    sql = (
        "(SELECT 1 FROM aitap_session_kinds k WHERE k.session_id = s.session_id AND k.initiator_id = s.initiator_id "
        f"AND {asked.sql} LIMIT 1) IS NOT NULL"
    )
    return Term(sql, asked.values)


def kinds_asked(database: Database, filter: Filter, *, of_one: bool = False) -> list[Term]:
    """What the filter asks of a row of ``aitap_session_kinds``; ``of_one`` where the session is known already."""
    found: list[Term] = []
    if (meant := kinds_meant(database, filter)) is not None:
        # Of one session no database shall look up each of the kinds.
        found.append(Term(f"k.kind_id{' + 0' if of_one else ''} IN {meant.sql}", meant.values))
    elif filter.started_after is not None and not of_one:
        # Of every kind the last ones, by an index, and not all rows.
        found.append(Term("k.kind_id IN (SELECT id FROM aitap_kinds)"))
    return found + spans_asked(database, filter, indexed=not of_one)


def spans_asked(database: Database, filter: Filter, *, indexed: bool) -> list[Term]:
    """What the filter asks of the times of a row of ``aitap_session_kinds``, which may be found by them or not."""
    first, last = (f"k.{name}" if indexed else unindexed(database, f"k.{name}") for name in ("first_at", "last_at"))
    after, before = stored(filter.started_after), stored(filter.started_before)
    found: list[Term] = []
    if after is not None:
        found.append(Term(f"{last} >= ?", (after,)))
    if before is not None:
        found.append(Term(f"{first} <= ?", (before,)))
    if after is not None and before is not None:
        # One that began before the span and went on after it may have paused meanwhile.
        within = (
            "(k.first_at >= ? OR k.last_at <= ? OR EXISTS (SELECT 1 FROM aibridge_interceptions i "
            "WHERE i.session_id = k.session_id AND i.started_at >= ? AND i.started_at <= ? "
            f"AND {unindexed(database, 'i.kind_id')} = k.kind_id AND i.ended_at IS NOT NULL))"
        )
        found.append(Term(within, (after, before, after, before)))
    return found


def kinds_meant(database: Database, filter: Filter) -> Term | None:
    """The ids of the kinds that a filter means, for ``IN``; None where every kind will do."""
    asked = kind_terms(filter)
    if not asked:
        return None
    found = all_of(asked)
    ids = Term(f"(SELECT id FROM aitap_kinds WHERE {found.sql})", found.values)
    if isinstance(database, SqliteDatabase):
        return ids
    # By their numbers PostgreSQL knows how many sessions each has; of a question it thinks that all are alike.
    numbers = [int(row[0]) for row in rows_of(database, ids.sql, ids.values)] or [0]
    return Term(f"({', '.join(map(str, numbers))})")


def keys_of_span(database: Database, filter: Filter) -> Term | None:
    """The keys of the sessions of a span with few interceptions, as the filter asks; None where it is none such."""
    if filter.started_after is None or filter.started_before is None:
        return None
    within = all_of(times(filter))
    some = f"SELECT 1 FROM aibridge_interceptions WHERE {within.sql} LIMIT {_NARROW}"
    if len(rows_of(database, some, within.values)) == _NARROW:
        return None
    found = [within, Term("ended_at IS NOT NULL")]
    if (meant := kinds_meant(database, filter)) is not None:
        found.append(Term(f"{unindexed(database, 'kind_id')} IN {meant.sql}", meant.values))
    asked = all_of(found)
    return Term(f"SELECT DISTINCT session_id, initiator_id FROM aibridge_interceptions WHERE {asked.sql}", asked.values)


def few(database: Database, filter: Filter) -> Term | None:
    """The keys of the sessions that match, where it pays to begin with them and not with the newest sessions."""
    if (of_span := keys_of_span(database, filter)) is not None:
        return of_span
    asked = all_of(kinds_asked(database, filter))
    keys = f"SELECT k.session_id, k.initiator_id FROM aitap_session_kinds k WHERE {asked.sql}"
    return Term(keys, asked.values) if len(rows_of(database, f"{keys} LIMIT {_RARE}", asked.values)) < _RARE else None
