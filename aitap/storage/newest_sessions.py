"""Which sessions a page of those last active has, whatever the filter: found without reading what does not match.

As with interceptions (:mod:`aitap.storage.newest`): first a bounded look at the sessions last active of all, which is
enough where matches are not rare; else the newest of each kind that matches are put together. Where a filter has times
too, what matches is mostly of one span, which an index tells.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from peewee import Tuple

from aitap.storage.filters import where
from aitap.storage.models import Session, SessionKind
from aitap.storage.newest import Listed, reach_by_kind
from aitap.storage.session_filters import asks_more, has_kind, keys_of_span, kinds_asked, own_conditions

if TYPE_CHECKING:
    from peewee import Database

    from aitap.storage.filters import Filter

__all__ = ["Place", "newest_sessions"]

Place = tuple[str, str, str]
"""When a session was last active, its id and whose it is: lists are in this order."""

_WINDOW = 1000
_OF_SESSION = (Session.last_active_at, Session.session_id, Session.initiator_id)
_OF_KIND = (SessionKind.active_at, SessionKind.session_id, SessionKind.initiator_id)
_LISTED = Listed("aitap_session_kinds", "active_at")


def newest_sessions(
    database: Database, filter: Filter, *, limit: int, after: Place | None = None, offset: int = 0
) -> list[Place]:
    """The ``limit`` sessions last active that the filter means, but for the first ``offset``; those after a place."""
    wanted = limit + offset
    every = where(Session.select(*_OF_SESSION), own_conditions(filter) + _following(_OF_SESSION, after))
    if not asks_more(filter):
        return _first(database, every, _OF_SESSION, wanted)[offset:]
    if filter.session_id is not None:
        asked = has_kind(database, filter, Session.session_id, Session.initiator_id)
        return _first(database, every.where(asked), _OF_SESSION, wanted)[offset:]
    window = every.order_by(*(column.desc() for column in _OF_SESSION)).limit(_WINDOW + wanted).alias("newest")
    columns = (window.c.last_active_at, window.c.session_id, window.c.initiator_id)
    asked = has_kind(database, filter, window.c.session_id, window.c.initiator_id)
    found = _first(database, Session.select(*columns).from_(window).where(asked), columns, wanted)
    if len(found) < wanted:
        found = _rare(database, filter, wanted, after)
    return found[offset:]


def _following(order: tuple[Any, ...], after: Place | None) -> list[Any]:
    # The first is what an index is asked.
    return [] if after is None else [order[0] <= after[0], Tuple(*order) < Tuple(*after)]


def _first(database: Database, query: Any, order: tuple[Any, ...], count: int) -> list[Place]:
    rows = database.execute(query.order_by(*(column.desc() for column in order)).limit(count))
    return [(at, session_id, str(initiator_id)) for at, session_id, initiator_id in rows.fetchall()]


def _rare(database: Database, filter: Filter, wanted: int, after: Place | None) -> list[Place]:
    """Where few of those last active match."""
    if (keys := keys_of_span(database, filter)) is not None:
        of_span = Session.select(*_OF_SESSION).where(Tuple(Session.session_id, Session.initiator_id).in_(keys))
        return _first(database, where(of_span, _following(_OF_SESSION, after)), _OF_SESSION, wanted)
    query = SessionKind.select(*_OF_KIND).distinct()
    following = _following(_OF_KIND, after)
    if filter.started_after is not None or filter.started_before is not None:
        return _first(database, query.where(*kinds_asked(database, filter), *following), _OF_KIND, wanted)
    rows = 2 * wanted
    while True:
        found = reach_by_kind(database, _LISTED, filter, before=after and after[0], wanted=rows)
        if found is None or found.kinds is None:
            return []
        since = [SessionKind.kind_id.in_(found.kinds), SessionKind.active_at >= found.since]
        places = _first(database, query.where(*since, *following), _OF_KIND, wanted)
        # A session with several kinds that match is one.
        if len(places) == wanted or found.is_all:
            return places
        rows *= 4
