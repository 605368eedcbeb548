"""Which sessions a filter means: those of which any ended interception matches.

Each session has a row for every kind of interception in it, with the starts of the first and the last of them
(:mod:`aitap.storage.kinds`); so hardly any interception is looked at.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec
from peewee import OP, SQL, Expression, NodeList, SqliteDatabase, Tuple, fn

from aitap.storage.fields import is_uuid
from aitap.storage.filters import Filter, conditions, kind_conditions
from aitap.storage.models import Interception, Kind, Session, SessionKind

if TYPE_CHECKING:
    from peewee import Database

__all__ = [
    "KEY",
    "asks_more",
    "few",
    "has_kind",
    "keys_of_span",
    "kinds_asked",
    "own_conditions",
    "session_conditions",
    "unindexed",
]

_RARE = 3000
"""So few sessions that match are looked up and sorted; of more, all sessions are tried one by one."""
_NARROW = 5000
"""A span of so few interceptions is looked through."""
KEY = (SessionKind.session_id, SessionKind.initiator_id)
"""What tells sessions apart."""


def unindexed(database: Database, column: Any) -> Any:
    """The column, by which SQLite shall not look up: without statistics all its indexes look the same to it."""
    return NodeList((SQL("+"), column)) if isinstance(database, SqliteDatabase) else column


def own_conditions(filter: Filter) -> list[Any]:
    """What the filter asks of a row of ``aitap_sessions`` that the row itself tells."""
    found: list[Any] = []
    if filter.initiator_id is not None:
        found.append(Session.initiator_id == filter.initiator_id if is_uuid(filter.initiator_id) else SQL("1 = 0"))
    if filter.session_id is not None:
        found.append(Session.session_id == filter.session_id)
    if filter.started_before is not None:
        # The index by which sessions are sorted tells it, so that newer ones cost nothing.
        found.append(Session.started_at <= filter.started_before)
    return found


def asks_more(filter: Filter) -> bool:
    """Whether a session's own row does not tell all that the filter asks."""
    # Sessions are made of what ended: to ask for that alone is to ask for nothing.
    rest = msgspec.structs.replace(filter, initiator_id=None, session_id=None, started_before=None, ended=False)
    return bool(conditions(rest)) or (filter.started_before is not None and filter.session_id is not None)


def session_conditions(database: Database, filter: Filter) -> list[Any]:
    """What the filter asks of a row of ``aitap_sessions``."""
    found = own_conditions(filter)
    if asks_more(filter):
        if filter.session_id is None and (matching := few(database, filter)) is not None:
            found.append(Tuple(Session.session_id, Session.initiator_id).in_(matching))
        else:
            found.append(has_kind(database, filter, Session.session_id, Session.initiator_id))
    return found


def has_kind(database: Database, filter: Filter, session_id: Any, initiator_id: Any) -> Any:
    """Whether the session of this key has a kind of interceptions, and at such times, as the filter asks."""
    same = (SessionKind.session_id == session_id) & (SessionKind.initiator_id == initiator_id)
    one = SessionKind.select(SQL("1")).where(same, *kinds_asked(database, filter, of_one=True)).limit(1)
    # Limited, or PostgreSQL would look at all that such kinds have.
    return Expression(one, OP.IS_NOT, None)


def kinds_asked(database: Database, filter: Filter, *, of_one: bool = False) -> list[Any]:
    """What the filter asks of a row of ``aitap_session_kinds``; ``of_one`` where the session is known already."""
    after, before = filter.started_after, filter.started_before
    found: list[Any] = []
    if kind_conditions(filter):
        column = unindexed(database, SessionKind.kind_id) if of_one else SessionKind.kind_id
        found.append(Expression(column, OP.IN, _kinds(database, filter)))
    elif after is not None and not of_one and isinstance(database, SqliteDatabase):
        # Of every kind the last ones, by an index, and not all rows.
        found.append(SessionKind.kind_id.in_(Kind.select(Kind.id)))
    if after is not None:
        found.append(SessionKind.last_at >= after)
    if before is not None:
        found.append(SessionKind.first_at <= before)
    if after is not None and before is not None:
        # One that began before the span and went on after it may have paused meanwhile.
        within = Interception.select(SQL("1")).where(
            Interception.session_id == SessionKind.session_id,
            Interception.started_at >= after,
            Interception.started_at <= before,
            Expression(unindexed(database, Interception.kind_id), OP.EQ, SessionKind.kind_id),
            Interception.ended_at.is_null(is_null=False),
        )
        found.append((SessionKind.first_at >= after) | (SessionKind.last_at <= before) | fn.EXISTS(within))
    return found or [SQL("1 = 1")]


def _kinds(database: Database, filter: Filter) -> Any:
    """The ids of the kinds that a filter means, for ``IN``."""
    query = Kind.select(Kind.id).where(*kind_conditions(filter))
    if isinstance(database, SqliteDatabase):
        return query
    # By their numbers PostgreSQL knows how many sessions each has; of a question it thinks that all are alike.
    numbers = [int(row[0]) for row in database.execute(query)] or [0]
    return SQL(f"({', '.join(map(str, numbers))})")


def keys_of_span(database: Database, filter: Filter) -> Any:
    """The keys of the sessions of a span with few interceptions, as the filter asks; None where it is none such."""
    if filter.started_after is None or filter.started_before is None:
        return None
    within = conditions(Filter(started_after=filter.started_after, started_before=filter.started_before))
    some = Interception.select(SQL("1")).where(*within).limit(_NARROW)
    if len(database.execute(some).fetchall()) == _NARROW:
        return None
    if kind_conditions(filter):
        within.append(Expression(unindexed(database, Interception.kind_id), OP.IN, _kinds(database, filter)))
    within.append(Interception.ended_at.is_null(is_null=False))
    return Interception.select(Interception.session_id, Interception.initiator_id).where(*within).distinct()


def few(database: Database, filter: Filter) -> Any:
    """The keys of the sessions that match, where it pays to begin with them and not with the newest sessions."""
    if (of_span := keys_of_span(database, filter)) is not None:
        return of_span
    matching = SessionKind.select(*KEY).where(*kinds_asked(database, filter))
    return matching if len(database.execute(matching.limit(_RARE)).fetchall()) < _RARE else None
