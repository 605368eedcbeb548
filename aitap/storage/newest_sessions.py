"""Which sessions a page of those last active has, whatever the filter: found without reading what does not match.

As with interceptions (:mod:`aitap.storage.newest`): where few kinds match, the newest sessions of each are put
together; else first a bounded look at the sessions last active of all, which is enough where matches are not rare.

A filter with an end in time means sessions that began before it. They come in two parts, which are each in order: first
those that were active later still, then those that were not, which are looked for from that end on.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from aitap.storage.database import rows_of
from aitap.storage.filters import Term, all_of, kind_terms, stored
from aitap.storage.long_sessions import end_of_day, open_at
from aitap.storage.newest import Listed, reach_by_kind
from aitap.storage.session_filters import (
    asks_more,
    has_kind,
    keys_of_span,
    kinds_asked,
    own_terms,
    spans_asked,
    unindexed,
)

if TYPE_CHECKING:
    from datetime import datetime

    from peewee import Database

    from aitap.storage.filters import Filter

__all__ = ["Place", "newest_sessions"]

Place = tuple[str, str, str]
"""When a session was last active, its id and whose it is: lists are in this order."""

_WINDOW = 1000
_FEW_KINDS = 200
"""To look up the newest sessions of so many kinds takes no longer than to look at a few hundred sessions."""
_LISTED = Listed("aitap_session_kinds", "active_at")
_PLACE = "last_active_at, session_id, initiator_id"
_NEWEST = "s.last_active_at DESC, s.session_id DESC, s.initiator_id DESC"


def newest_sessions(
    database: Database, filter: Filter, *, limit: int, after: Place | None = None, offset: int = 0
) -> list[Place]:
    """The ``limit`` sessions last active that the filter means, but for the first ``offset``; those after a place."""
    wanted = limit + offset
    end = filter.started_before
    if end is None:
        return _Part(database, filter, after, None).first(wanted)[offset:]
    found: list[Place] = []
    until = stored(end)
    if after is None or after[0] > until:
        found = _active_after(database, filter, after, end, wanted)
    if len(found) < wanted:
        found += _Part(database, filter, after, until).first(wanted - len(found))
    return found[offset:]


def _active_after(
    database: Database, asked_for: Filter, after: Place | None, end: datetime, wanted: int
) -> list[Place]:
    """Of the sessions that a filter with an end means, those that were active after it."""
    found = [Term("s.last_active_at > ?", (stored(end),)), *_following("s.last_active_at", "s", after)]
    if asked_for.session_id is not None:
        found += [*own_terms(asked_for), has_kind(database, asked_for)]
        return _sessions(database, found, wanted)
    return _together(database, _gone_on(database, asked_for, end, found), wanted)


def _gone_on(database: Database, asked_for: Filter, end: datetime, bounds: list[Term]) -> list[Term]:
    """Questions for the sessions that a filter with an end means, and that were open then, within bounds."""
    rest = [*own_terms(asked_for, unindexed(database, "s.initiator_id")), *bounds]
    if asks_more(asked_for):
        rest.append(has_kind(database, asked_for))
    found = [all_of([term, *rest]) for term in open_at(database, end)]
    return [Term(f"SELECT {_PLACE} FROM aitap_sessions s WHERE {term.sql}", term.values) for term in found]


class _Part:
    """The sessions that a filter means, but for those that were active after a moment."""

    def __init__(self, database: Database, filter: Filter, after: Place | None, until: str | None) -> None:
        self._database = database
        self._filter = filter
        self._after = after
        self._until = until if after is None else min(after[0], until or after[0])

    def first(self, wanted: int) -> list[Place]:
        """The first after the place."""
        database, asked_for = self._database, self._filter
        found = [*own_terms(asked_for), *self._bounds("s.last_active_at", "s")]
        if not asks_more(asked_for):
            return _sessions(database, found, wanted)
        if asked_for.session_id is not None:
            return _sessions(database, [*found, has_kind(database, asked_for)], wanted)
        if self._has_few_kinds():
            return self._rare(wanted)
        # Those active before the moment since when sessions are asked for hardly ever match.
        since = stored(asked_for.started_after)
        asked = all_of(found if since is None else [*found, Term("s.last_active_at >= ?", (since,))])
        newest = f"SELECT {_PLACE} FROM aitap_sessions s WHERE {asked.sql} ORDER BY {_NEWEST} LIMIT {_WINDOW + wanted}"
        window = Term(f"s.last_active_at >= (SELECT min(last_active_at) FROM ({newest}) AS newest)", asked.values)
        places = _sessions(database, [*found, window, has_kind(database, asked_for)], wanted)
        return places if len(places) == wanted else self._rare(wanted)

    def _bounds(self, column: str, table: str) -> list[Term]:
        bounds = [] if self._until is None else [Term(f"{column} <= ?", (self._until,))]
        return bounds + _following(column, table, self._after)

    def _has_few_kinds(self) -> bool:
        asked = kind_terms(self._filter)
        found = all_of(asked)
        sql = f"SELECT id FROM aitap_kinds WHERE {found.sql} LIMIT {_FEW_KINDS + 1}"
        return bool(asked) and len(rows_of(self._database, sql, found.values)) <= _FEW_KINDS

    def _rare(self, wanted: int) -> list[Place]:
        """Where few of those last active match."""
        since = stored(self._filter.started_after)
        rows = 2 * wanted
        # Of all kinds together those last active have been looked at.
        while kind_terms(self._filter):
            found = reach_by_kind(self._database, _LISTED, self._filter, after=since, before=self._until, wanted=rows)
            if found is None or found.kinds is None:
                break
            those = Term(f"k.kind_id IN ({', '.join(map(str, found.kinds))})")
            reached = [those, Term("k.active_at >= ?", (found.since,))]
            places = self._of_kinds(reached + spans_asked(self._database, self._filter, indexed=False), wanted)
            # A session with several kinds that match is one.
            if len(places) == wanted or (found.is_all and since is None):
                return places
            if found.is_all:
                break
            rows *= 4
        # Others went on after the moment since when sessions are asked for, but were last active, as lists say, before.
        return [] if since is None else self._of_span(wanted)

    def _of_span(self, wanted: int) -> list[Place]:
        database, asked_for = self._database, self._filter
        bounds = self._bounds("s.last_active_at", "s")
        if (keys := keys_of_span(database, asked_for)) is not None:
            meant = Term(f"(s.session_id, s.initiator_id) IN ({keys.sql})", keys.values)
            return _sessions(database, [meant, *bounds], wanted)
        asked = kinds_asked(database, asked_for)
        if (end := asked_for.started_before) is None:
            return self._of_kinds(asked, wanted)
        # Newer ones are passed over by their last start, but for those of this day, and what went over midnight.
        asked += [Term("k.last_at < ?", (end_of_day(end),)), *self._bounds("k.active_at", "k")]
        of_kinds = all_of(asked)
        sql = f"SELECT k.active_at, k.session_id, k.initiator_id FROM aitap_session_kinds k WHERE {of_kinds.sql}"
        parts = [Term(sql, of_kinds.values), *_gone_on(database, asked_for, end, bounds)]
        return _together(database, parts, wanted)

    def _of_kinds(self, found: list[Term], wanted: int) -> list[Place]:
        asked = all_of([*found, *self._bounds("k.active_at", "k")])
        sql = (
            "SELECT DISTINCT k.active_at, k.session_id, k.initiator_id FROM aitap_session_kinds k "
            f"WHERE {asked.sql} ORDER BY k.active_at DESC, k.session_id DESC, k.initiator_id DESC LIMIT {wanted}"
        )
        return _places(rows_of(self._database, sql, asked.values))


def _together(database: Database, parts: list[Term], wanted: int) -> list[Place]:
    """What is in any of these, once."""
    every = " UNION ".join(part.sql for part in parts)
    sql = f"SELECT * FROM ({every}) AS every ORDER BY 1 DESC, 2 DESC, 3 DESC LIMIT {wanted}"
    return _places(rows_of(database, sql, [value for part in parts for value in part.values]))


def _following(column: str, table: str, after: Place | None) -> list[Term]:
    if after is None:
        return []
    key = f"({column}, {table}.session_id, {table}.initiator_id)"
    # The first is what an index is asked.
    return [Term(f"{column} <= ?", (after[0],)), Term(f"{key} < (?, ?, ?)", after)]


def _sessions(database: Database, found: list[Term], wanted: int) -> list[Place]:
    asked = all_of(found)
    sql = f"SELECT {_PLACE} FROM aitap_sessions s WHERE {asked.sql} ORDER BY {_NEWEST} LIMIT {wanted}"
    return _places(rows_of(database, sql, asked.values))


def _places(rows: list[tuple[str, str, str]]) -> list[Place]:
    return [(at, session_id, str(initiator_id)) for at, session_id, initiator_id in rows]
