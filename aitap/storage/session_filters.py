"""Which sessions a filter means: those of which any ended interception matches.

Each session has a row for every kind of interception in it, with the starts of the first and the last of them
(:mod:`aitap.storage.kinds`); so hardly any interception is looked at.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec
from peewee import OP, SQL, Expression, NodeList, SqliteDatabase, Tuple, fn

from aitap.storage.fields import is_uuid
from aitap.storage.filters import Filter, conditions, kind_conditions, where
from aitap.storage.models import Interception, Kind, Session, SessionKind

if TYPE_CHECKING:
    from peewee import Database

__all__ = ["count_sessions", "session_conditions", "unindexed"]

_RARE = 3000
"""So few sessions that match are looked up and sorted; of more, the newest sessions are tried one by one."""
_NARROW = 5000
"""A span of so few interceptions is looked through."""
_KEY = (SessionKind.session_id, SessionKind.initiator_id)


def unindexed(database: Database, column: Any) -> Any:
    """The column, by which SQLite shall not look up: without statistics all its indexes look the same to it."""
    return NodeList((SQL("+"), column)) if isinstance(database, SqliteDatabase) else column


def session_conditions(database: Database, filter: Filter) -> list[Any]:
    """What the filter asks of a row of ``aitap_sessions``."""
    found: list[Any] = []
    if filter.initiator_id is not None:
        found.append(Session.initiator_id == filter.initiator_id if is_uuid(filter.initiator_id) else SQL("1 = 0"))
    if filter.session_id is not None:
        found.append(Session.session_id == filter.session_id)
    if filter.started_before is not None:
        # The index by which sessions are sorted tells it, so that newer ones cost nothing.
        found.append(Session.started_at <= filter.started_before)
    if _asks_more(filter):
        if filter.session_id is None and (matching := _few(database, filter)) is not None:
            found.append(Tuple(Session.session_id, Session.initiator_id).in_(matching))
        else:
            same = (SessionKind.session_id == Session.session_id) & (SessionKind.initiator_id == Session.initiator_id)
            found.append(fn.EXISTS(SessionKind.select(1).where(same, *_of_kinds(database, filter, of_one=True))))
    return found


def count_sessions(database: Database, filter: Filter) -> int:
    """How many sessions have an interception that matches."""
    query: Any
    if filter.session_id is None and _asks_more(filter):
        matching = _few(database, filter)
        if matching is None:
            # In the order of the key: what is told apart by it needs no sorting.
            in_order = filter.started_after is None
            matching = SessionKind.select(*_KEY).where(*_of_kinds(database, filter, of_one=in_order))
        query = matching.distinct().select_from(fn.COUNT(SQL("1")))
    else:
        query = where(Session.select(fn.COUNT(Session.session_id)), session_conditions(database, filter))
    return int(database.execute(query).fetchone()[0])


def _asks_more(filter: Filter) -> bool:
    # Sessions are made of what ended: to ask for that alone is to ask for nothing.
    return bool(conditions(msgspec.structs.replace(filter, initiator_id=None, session_id=None, ended=False)))


def _of_kinds(database: Database, filter: Filter, *, of_one: bool = False) -> list[Any]:
    """What the filter asks of the kinds of a session; ``of_one`` where the session is known already."""
    after, before = filter.started_after, filter.started_before
    found: list[Any] = []
    if of_kinds := kind_conditions(filter):
        column = unindexed(database, SessionKind.kind_id) if of_one else SessionKind.kind_id
        found.append(Expression(column, OP.IN, Kind.select(Kind.id).where(*of_kinds)))
    elif after is not None and not of_one:
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


def _few(database: Database, filter: Filter) -> Any:
    """The keys of the sessions that match, where it pays to begin with them and not with the newest sessions."""
    times = Filter(started_after=filter.started_after, started_before=filter.started_before)
    if filter.started_after is not None and filter.started_before is not None:
        within = conditions(times)
        if len(database.execute(Interception.select(SQL("1")).where(*within).limit(_NARROW)).fetchall()) < _NARROW:
            of_kinds = kind_conditions(filter)
            kinds = [Kind.select(Kind.id).where(*of_kinds)] if of_kinds else []
            within += [Expression(unindexed(database, Interception.kind_id), OP.IN, ids) for ids in kinds]
            key = (Interception.session_id, Interception.initiator_id)
            within.append(Interception.ended_at.is_null(is_null=False))
            return _told(database, Interception.select(*key).where(*within).distinct(), _NARROW)
    return _told(database, SessionKind.select(*_KEY).where(*_of_kinds(database, filter)), _RARE)


def _told(database: Database, matching: Any, most: int) -> Any:
    """The same, so that PostgreSQL knows how few they are; None where they are as many as this."""
    found = len(database.execute(matching.limit(most)).fetchall())
    return None if found == most else matching.limit(max(1, found))
