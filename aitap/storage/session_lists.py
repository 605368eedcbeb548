"""The list of sessions as people look through it: sorted by any column, a page at a time, searched for words.

A page goes on from the last row of the one before, whatever it is sorted by. A search for words looks at the prompts
and tool calls of a number of sessions after the other in the list's own order, so that it needs no index which the
writer would have to keep; it gives up its turn after a stated time and tells how far it came, and goes on from there.
"""

from __future__ import annotations

import re
import time
from typing import TYPE_CHECKING, Any

import msgspec

from aitap.storage import queries
from aitap.storage.database import question_marks, rows_of
from aitap.storage.fields import is_uuid
from aitap.storage.filters import Term, all_of
from aitap.storage.newest_sessions import newest_sessions
from aitap.storage.rows import TOKEN_COUNTERS
from aitap.storage.session_filters import session_terms
from aitap.storage.word_search import sessions_in_question, texts_found

if TYPE_CHECKING:
    from collections.abc import Sequence

    from peewee import Database

    from aitap.storage.filters import Filter

__all__ = ["SEARCH_SECONDS", "SORTS", "Cursor", "SessionPage", "read_cursor", "session_page"]

SORTS = {
    "active": "s.last_active_at",
    "started": "s.started_at",
    "cost": "s.cost_micros",
    "tokens": f"({' + '.join(f's.{name}' for name in TOKEN_COUNTERS)})",
    "calls": "s.interceptions",
    "threads": "s.threads",
    "tools": "s.tool_calls",
    "errors": "s.errors",
}
"""What the list can be sorted by: names, and what each is of a row ``s`` of ``aitap_sessions``."""
_MOMENTS = ("active", "started")

SEARCH_SECONDS = 1.5
"""For so long a search for words looks before it shows what it has."""

_CHUNK = 200
_MANY = 1000
"""So many sessions are looked at together once a few have shown that the words are not in most."""
_CALLS_AT_ONCE = 20_000
_CALLS = "SELECT session_id, initiator_id, interceptions FROM aitap_sessions WHERE session_id IN {those}"
_MOMENT = re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{6}\+00:00")
_LARGEST = 1 << 62


class Cursor(msgspec.Struct, frozen=True, array_like=True):
    """The row after which a page goes on: what it is sorted by, then its key."""

    value: str | int
    session_id: str
    initiator_id: str


class SessionPage(msgspec.Struct, frozen=True):
    """What was found, and where to go on."""

    sessions: list[dict[str, Any]]
    """As :func:`aitap.storage.queries.list_sessions` gives them; ``excerpt`` is a text that a search found."""
    after: Cursor | None
    """From where the next page goes on; None where there is nothing more."""
    searched: int
    """How many sessions a search for words looked at."""


def read_cursor(text: str, sort: str) -> Cursor:
    """A cursor from its JSON. Raises ``ValueError`` for what is none for this sort."""
    try:
        cursor = msgspec.json.decode(text, type=Cursor)
    except (msgspec.DecodeError, UnicodeEncodeError):
        raise ValueError("no cursor") from None
    if sort in _MOMENTS:
        fits = isinstance(cursor.value, str) and _MOMENT.fullmatch(cursor.value) is not None
    else:
        fits = isinstance(cursor.value, int) and abs(cursor.value) < _LARGEST
    if not fits or not is_uuid(cursor.initiator_id) or "\0" in cursor.session_id:
        raise ValueError("no cursor of this list")
    return cursor


def session_page(
    database: Database,
    filter: Filter,
    *,
    sort: str = "active",
    descending: bool = True,
    limit: int,
    after: Cursor | None = None,
    words: Sequence[str] = (),
    seconds: float = SEARCH_SECONDS,
) -> SessionPage:
    """At most ``limit`` sessions that the filter means, in the order of one of ``SORTS``, those after a row.

    With ``words``, those in which one prompt or one tool call has all of them.
    """
    listing = _Listing(database, filter, sort, descending=descending)
    if words:
        return listing.searched(words, limit, after, time.monotonic() + seconds)
    places = listing.places(limit + 1, after)
    return SessionPage(listing.sessions(places[:limit]), places[limit - 1] if len(places) > limit else None, 0)


class _Listing:
    """The sessions that a filter means, in one order."""

    def __init__(self, database: Database, filter: Filter, sort: str, *, descending: bool) -> None:
        self._database = database
        self._filter = filter
        self._sort = sort
        self._descending = descending

    def places(self, limit: int, after: Cursor | None) -> list[Cursor]:
        """Where the first sessions after one stand in this order; nothing else is read of them."""
        if self._sort == "active" and self._descending:
            place = None if after is None else (str(after.value), after.session_id, after.initiator_id)
            return [Cursor(*row) for row in newest_sessions(self._database, self._filter, limit=limit, after=place)]
        order = (SORTS[self._sort], "s.session_id", "s.initiator_id")
        found = session_terms(self._database, self._filter)
        if after is not None:
            compare = "<" if self._descending else ">"
            found.append(Term(f"({', '.join(order)}) {compare} (?, ?, ?)", msgspec.structs.astuple(after)))
        asked = all_of(found)
        sorted_by = ", ".join(f"{column} {'DESC' if self._descending else 'ASC'}" for column in order)
        sql = f"SELECT {', '.join(order)} FROM aitap_sessions s WHERE {asked.sql} ORDER BY {sorted_by} LIMIT {limit}"
        rows = rows_of(self._database, sql, asked.values)
        return [Cursor(value, session_id, str(initiator_id)) for value, session_id, initiator_id in rows]

    def sessions(self, places: list[Cursor]) -> list[dict[str, Any]]:
        """The sessions at these places, in their order."""
        at = [(str(place.value), *_key(place)) for place in places]
        return queries.sessions_of(self._database, queries.sessions_at(self._database, at))

    def searched(self, words: Sequence[str], limit: int, after: Cursor | None, deadline: float) -> SessionPage:
        """One portion after the other, until there are so many, or no more, or it takes too long."""
        found: list[Cursor] = []
        excerpts: dict[tuple[str, str], str] = {}
        searched = 0
        wanted, together = _CHUNK, False
        is_over = False
        while not is_over:
            places = self.places(wanted, after)
            is_over = len(places) < wanted
            while places:
                some, places = self._portion(places, _MANY if together else _CHUNK)
                those: set[str] | None = None
                if together:
                    those = sessions_in_question(self._database, [place.session_id for place in some], words)
                    together = those is not None
                    if those is None:
                        some, places = some[:_CHUNK], some[_CHUNK:] + places
                ids = [place.session_id for place in some if those is None or place.session_id in those]
                excerpts |= texts_found(self._database, ids, words)
                for place in some:
                    after = place
                    searched += 1
                    if _key(place) in excerpts:
                        found.append(place)
                        if len(found) == limit:
                            return SessionPage(self._with_excerpts(found, excerpts), after, searched)
                if (places or not is_over) and time.monotonic() > deadline:
                    return SessionPage(self._with_excerpts(found, excerpts), after, searched)
            if wanted == _CHUNK:
                wanted, together = _MANY, True
        return SessionPage(self._with_excerpts(found, excerpts), None, searched)

    def _portion(self, places: list[Cursor], most: int) -> tuple[list[Cursor], list[Cursor]]:
        """The first places, with no more calls than are looked at in one go, and the rest."""
        most = min(most, len(places))
        total = 0
        for begin in range(0, most, _CHUNK):
            some = places[begin : begin + _CHUNK]
            sql = _CALLS.format(those=question_marks(len(some)))
            rows = rows_of(self._database, sql, [place.session_id for place in some])
            calls = {(session_id, str(initiator_id)): count for session_id, initiator_id, count in rows}
            for number, place in enumerate(some, begin):
                total += calls.get(_key(place), 0)
                if total > _CALLS_AT_ONCE and number:
                    return places[:number], places[number:]
        return places[:most], places[most:]

    def _with_excerpts(self, places: list[Cursor], excerpts: dict[tuple[str, str], str]) -> list[dict[str, Any]]:
        return [one | {"excerpt": excerpts[one["id"], one["initiator"]["id"]]} for one in self.sessions(places)]


def _key(place: Cursor) -> tuple[str, str]:
    return place.session_id, place.initiator_id
