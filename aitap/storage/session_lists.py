"""The list of sessions as people look through it: sorted by any column, a page at a time, searched for words.

A page goes on from the last row of the one before, whatever it is sorted by. A search for words looks at the prompts
and tool calls of one session after the other in the list's own order, so that it needs no index which the writer
would have to keep; it gives up its turn after a stated time and tells how far it came, and goes on from there.
"""

from __future__ import annotations

import re
import time
from typing import TYPE_CHECKING, Any

import msgspec
from peewee import Tuple

from aitap.storage import queries
from aitap.storage.database import question_marks, rows_of
from aitap.storage.fields import Timestamp, is_uuid
from aitap.storage.models import Session
from aitap.storage.newest_sessions import newest_sessions
from aitap.storage.rows import TOKEN_COUNTERS, Shape
from aitap.storage.text_matching import like_condition, like_values

if TYPE_CHECKING:
    from collections.abc import Sequence

    from peewee import Database

    from aitap.storage.filters import Filter

__all__ = ["SEARCH_SECONDS", "SORTS", "Cursor", "SessionPage", "read_cursor", "session_page"]

_TOKENS = (
    Session.input_tokens + Session.output_tokens + Session.cache_read_input_tokens + Session.cache_write_input_tokens
)
SORTS: dict[str, Any] = {
    "active": Session.last_active_at,
    "started": Session.started_at,
    "cost": Session.cost_micros,
    "tokens": _TOKENS,
    "calls": Session.interceptions,
    "threads": Session.threads,
    "tools": Session.tool_calls,
    "errors": Session.errors,
}
"""What the list can be sorted by."""

SEARCH_SECONDS = 1.5
"""For so long a search for words looks before it shows what it has."""

_SESSION = Shape(Session)
_CHUNK = 200
_CALLS_AT_ONCE = 20_000
_MOMENT = re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{6}\+00:00")
_LARGEST = 1 << 62

# The order of a CROSS JOIN is kept: SQLite would begin with all prompts there are.
_FOUND = (
    "SELECT i.session_id, i.initiator_id, max({text}) FROM aibridge_interceptions i CROSS JOIN {table} c "
    "WHERE c.interception_id = i.id AND i.session_id IN {those} AND {condition} GROUP BY i.session_id, i.initiator_id"
)
_TEXTS = (("aibridge_user_prompts", "c.prompt"), ("aibridge_tool_usages", "c.tool || ' ' || c.input"))


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
    if isinstance(SORTS[sort], Timestamp):
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
    rows = listing.rows(limit + 1, after)
    more = len(rows) > limit
    rows = rows[:limit]
    return SessionPage(queries.sessions_of(database, rows), listing.cursor(rows[-1]) if more else None, 0)


class _Listing:
    """The rows that a filter means, in one order."""

    def __init__(self, database: Database, filter: Filter, sort: str, *, descending: bool) -> None:
        self._database = database
        self._filter = filter
        self._column = SORTS[sort]
        self._descending = descending

    def rows(self, limit: int, after: Cursor | None) -> list[Any]:
        if self._column is Session.last_active_at and self._descending:
            place = None if after is None else (str(after.value), after.session_id, after.initiator_id)
            return queries.sessions_at(
                self._database, newest_sessions(self._database, self._filter, limit=limit, after=place)
            )
        order = (self._column, Session.session_id, Session.initiator_id)
        query = queries.session_query(self._database, self._filter)
        if after is not None:
            last = Tuple(*msgspec.structs.astuple(after))
            query = query.where(Tuple(*order) < last if self._descending else Tuple(*order) > last)
        query = query.order_by(*(column.desc() if self._descending else column.asc() for column in order))
        return list(self._database.execute(query.limit(limit)).fetchall())

    def cursor(self, row: Any) -> Cursor:
        """From which a page goes on after this row."""
        stored = dict(zip(_SESSION.names, row, strict=False))
        value = sum(stored[name] for name in TOKEN_COUNTERS) if self._column is _TOKENS else stored[self._column.name]
        return Cursor(value, *_key(row))

    def searched(self, words: Sequence[str], limit: int, after: Cursor | None, deadline: float) -> SessionPage:
        """One portion after the other, until there are so many, or no more, or it takes too long."""
        found: list[Any] = []
        excerpts: dict[tuple[str, str], str] = {}
        searched = 0
        is_over = False
        while not is_over:
            rows = self.rows(_CHUNK, after)
            is_over = len(rows) < _CHUNK
            while rows:
                some, rows = _portion(rows)
                excerpts |= _matches(self._database, [_key(row)[0] for row in some], words)
                for row in some:
                    after = self.cursor(row)
                    searched += 1
                    if _key(row) in excerpts:
                        found.append(row)
                        if len(found) == limit:
                            return SessionPage(self._with_excerpts(found, excerpts), after, searched)
                if (rows or not is_over) and time.monotonic() > deadline:
                    return SessionPage(self._with_excerpts(found, excerpts), after, searched)
        return SessionPage(self._with_excerpts(found, excerpts), None, searched)

    def _with_excerpts(self, rows: list[Any], excerpts: dict[tuple[str, str], str]) -> list[dict[str, Any]]:
        sessions = queries.sessions_of(self._database, rows)
        return [session | {"excerpt": excerpts[_key(row)]} for row, session in zip(rows, sessions, strict=True)]


def _key(row: Any) -> tuple[str, str]:
    stored = dict(zip(_SESSION.names, row, strict=False))
    return stored["session_id"], str(stored["initiator_id"])


def _portion(rows: list[Any]) -> tuple[list[Any], list[Any]]:
    """The first rows, with no more calls than are looked at in one go, and the rest."""
    calls = 0
    place = _SESSION.names.index("interceptions")
    for number, row in enumerate(rows):
        calls += row[place]
        if calls > _CALLS_AT_ONCE and number:
            return rows[:number], rows[number:]
    return rows, []


def _matches(database: Database, session_ids: list[str], words: Sequence[str]) -> dict[tuple[str, str], str]:
    """A text with all words of each of these sessions that has one; a prompt where a tool call has them too."""
    found: dict[tuple[str, str], str] = {}
    for table, text in reversed(_TEXTS):
        sql = _FOUND.format(
            table=table,
            text=text,
            those=question_marks(len(session_ids)),
            condition=like_condition(database, text, len(words)),
        )
        for session_id, initiator_id, excerpt in rows_of(database, sql, (*session_ids, *like_values(words))):
            found[session_id, str(initiator_id)] = excerpt
    return found
