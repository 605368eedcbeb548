"""Every question asked of the records; command line, REST and pages are thin faces of these functions.

Answers are plain dicts ready for JSON (see :mod:`aitap.storage.rows`). Pages go by key, so the thousandth
page costs what the first costs; an ``offset`` is for who needs one, and costs what it leaves out. Newest
come first in lists; ``iter_*`` give everything, oldest first, in constant memory.
"""

from __future__ import annotations

import re
from functools import reduce
from operator import and_
from typing import TYPE_CHECKING, Any

import msgspec
from peewee import SQL, Database, SqliteDatabase

from aitap.storage.bulk import Bulk, as_dict
from aitap.storage.counts import (
    count_interceptions,
    distinct_clients,
    distinct_models,
    distinct_provider_names,
    distinct_providers,
)
from aitap.storage.database import question_marks, rows_of, slices
from aitap.storage.fields import is_uuid
from aitap.storage.filters import Filter, Term, all_of, conditions, kind_terms, stored, terms
from aitap.storage.models import Interception, Session
from aitap.storage.newest import reach
from aitap.storage.newest_sessions import Place, newest_sessions
from aitap.storage.rows import INTERCEPTION, TOKEN_COUNTERS, Shape, initiators, whole
from aitap.storage.session_counts import count_sessions
from aitap.storage.session_filters import session_terms, unindexed
from aitap.storage.spans import in_every_span
from aitap.storage.threads import session_threads

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

__all__ = [
    "Filter",
    "QueryError",
    "count_interceptions",
    "count_sessions",
    "distinct_clients",
    "distinct_models",
    "distinct_provider_names",
    "distinct_providers",
    "find_session",
    "get_interception",
    "get_interceptions",
    "get_session",
    "iter_interceptions",
    "iter_sessions",
    "list_interceptions",
    "list_sessions",
    "recent_ids",
    "sessions_at",
    "sessions_of",
    "snapshot",
]

_PAGE = 200
_SHORTEST = 4

# An index has the last four digits, of which a few hundred in ten million are the same.
_BY_END = (
    "SELECT id FROM aibridge_interceptions WHERE {span}substr(CAST(id AS TEXT), 33) = ? "
    "AND substr(CAST(id AS TEXT), CAST(? AS INTEGER)) = ? LIMIT 2"
)


class QueryError(Exception):
    """A question that has no single answer: an unknown cursor, an ambiguous id. One line says what to do."""


# --- interceptions


def list_interceptions(
    database: Database, filter: Filter, *, limit: int, after_id: str | None = None, offset: int = 0
) -> list[dict[str, Any]]:
    """The newest ``limit`` interceptions, those in flight too (``outcome`` says so).

    ``after_id`` names the last one of the page before, which has the filter's initiator if it has one. Raises
    :class:`QueryError` where there is none such. ``offset`` leaves out so many of the newest.
    """
    cursor: tuple[str, str] | None = None
    if after_id is not None:
        asked = all_of(terms(Filter(initiator_id=filter.initiator_id)) if _names_one(filter) else [])
        sql = f"SELECT started_at, id FROM aibridge_interceptions WHERE id = ? AND {asked.sql}"
        known = rows_of(database, sql, (after_id.lower(), *asked.values)) if is_uuid(after_id.lower()) else []
        if not known:
            raise QueryError(f"after_id: interception {after_id!r} not found")
        cursor = known[0][0], str(known[0][1])
    # Whose session it is says its id as a rule, so that nothing else needs be looked for.
    found = terms(filter)
    if filter.session_id is None and kind_terms(filter):
        reached = _page_of_kinds(database, filter, cursor, limit + offset)
        if reached is None:
            return []
        found = reached
    if cursor is not None:
        found += [Term("started_at <= ?", cursor[:1]), Term("(started_at, id) < (?, ?)", cursor)]
    asked = all_of(found)
    sql = f"{INTERCEPTION.select} WHERE {asked.sql} ORDER BY started_at DESC, id DESC LIMIT {limit} OFFSET {offset}"
    return whole(database, rows_of(database, sql, asked.values))


def _names_one(filter: Filter) -> bool:
    """Whether the filter names an initiator that there can be."""
    return filter.initiator_id is not None and is_uuid(filter.initiator_id)


def _page_of_kinds(
    database: Database, filter: Filter, cursor: tuple[str, str] | None, wanted: int
) -> list[Term] | None:
    """Conditions that hold for a page of what matches and for hardly anything else; None where there is nothing."""
    after, before = stored(filter.started_after), stored(filter.started_before)
    if cursor is not None:
        before = cursor[0] if before is None else min(before, cursor[0])
        # These began at the same moment as the last one of the page before, and may have been on it.
        wanted += _counted(database, Term("started_at = ?", cursor[:1]))
    if filter.ended:
        wanted += _counted(database, Term("ended_at IS NULL"))
    found = reach(database, filter, after=after, before=before, wanted=wanted)
    if found is None:
        return None
    if found.kinds is not None:
        of_kinds = Term(f"kind_id IN ({', '.join(map(str, found.kinds))})")
    else:
        # By the moments: SQLite shall not begin with all that such kinds have.
        meant = all_of(kind_terms(filter))
        kind = unindexed(database, "kind_id")
        of_kinds = Term(f"{kind} IN (SELECT id FROM aitap_kinds WHERE {meant.sql})", meant.values)
    rest = Filter(started_before=filter.started_before, ended=filter.ended)
    return [Term("started_at >= ?", (found.since,)), of_kinds, *terms(rest)]


def _counted(database: Database, term: Term) -> int:
    sql = f"SELECT count(*) FROM aibridge_interceptions WHERE {term.sql}"
    return int(rows_of(database, sql, term.values)[0][0])


def iter_interceptions(database: Database, filter: Filter) -> Iterator[dict[str, Any]]:
    """All interceptions, oldest first. What is written meanwhile is among them unless it is in a :func:`snapshot`."""
    return map(as_dict, Bulk(database).all(filter))


def get_interceptions(database: Database, ids: Sequence[str]) -> list[dict[str, Any]]:
    """The interceptions with these ids, oldest first; ids that are not there are left out. At most 500 ids."""
    those = question_marks(len(ids))
    return whole(database, rows_of(database, f"{INTERCEPTION.select} WHERE id IN {those} ORDER BY started_at, id", ids))


def recent_ids(database: Database, filter: Filter, also: list[str] | None = None) -> dict[str, bool]:
    """Ids of the interceptions that match, oldest first, each with whether it has ended; those ``also`` come too."""
    wanted: Any = reduce(and_, conditions(filter), SQL("1 = 1"))
    if also:
        wanted = wanted | Interception.id.in_(also)
    query = Interception.select(Interception.id, Interception.ended_at.is_null(is_null=False)).where(wanted)
    rows = database.execute(query.order_by(Interception.started_at, Interception.id))
    return {str(id_): bool(ended) for id_, ended in rows}


def get_interception(database: Database, id_or_part: str) -> dict[str, Any] | None:
    """The interception with this id, or the only one whose id begins or ends so (4 digits at least).

    ``None`` where there is none. Raises :class:`QueryError` where there are several.
    """
    text = id_or_part.strip().lower()
    digits = text.replace("-", "")
    if not re.fullmatch(r"[0-9a-f]{4,32}", digits):
        return None
    low, high = (_dashed(digits.ljust(32, pad)) for pad in "0f")
    found = _ids(database, (Interception.id >= low) & (Interception.id <= high))
    if not found:
        # Ids begin with the time, so their ends tell neighbours apart: tables show those.
        ending = text if "-" in text else _dashed(digits.rjust(32, "_")).lstrip("_-")
        sql = _BY_END.format(span=in_every_span(database, "aibridge_interceptions"))
        found = [str(row[0]) for row in rows_of(database, sql, (digits[-_SHORTEST:], 37 - len(ending), ending))]
    if len(found) > 1:
        raise QueryError(f"several interceptions match {id_or_part!r}: give more of the id")
    return get_interceptions(database, found)[0] if found else None


def _dashed(digits: str) -> str:
    return "-".join((digits[:8], digits[8:12], digits[12:16], digits[16:20], digits[20:]))


def _ids(database: Database, condition: Any) -> list[str]:
    return [str(row[0]) for row in database.execute(Interception.select(Interception.id).where(condition).limit(2))]


# --- sessions

_SESSION = Shape(Session)
_ORDER = ("last_active_at", "session_id", "initiator_id")
_IN_ORDER = ", ".join(f"s.{name}" for name in _ORDER)
_PLACE = [_SESSION.names.index(name) for name in _ORDER]
# The first call by its moment, which an index tells: else all of each session would be looked at.
_SELECT = f"""
    SELECT {", ".join(f"s.{name}" for name in _SESSION.names)}, (
        SELECT i.metadata FROM aibridge_interceptions i
        WHERE i.session_id = s.session_id AND i.initiator_id = s.initiator_id AND i.started_at = s.started_at
        ORDER BY i.id LIMIT 1
    ) FROM aitap_sessions s WHERE
"""
"""The rows of sessions, as :func:`sessions_of` makes dicts of them; conditions follow."""


def sessions_of(database: Database, rows: list[Any]) -> list[dict[str, Any]]:
    """Rows of sessions as plain dicts ready for JSON."""
    people = initiators(database, {str(row[_SESSION.names.index("initiator_id")]): None for row in rows})
    return [_session(row, people) for row in rows]


def _session(row: Any, people: dict[str, dict[str, Any]]) -> dict[str, Any]:
    record = _SESSION.dict(row)
    metadata = row[len(_SESSION.names)]
    counters = {name: record.pop(name) for name in TOKEN_COUNTERS}
    # Every answered call costs tokens, so a sum of nothing at all means that no usage was ever seen.
    seen = any(counters.values())
    cost, unpriced = record.pop("cost_micros"), record.pop("unpriced")
    return {
        "id": record.pop("session_id"),
        "initiator": people[record["initiator_id"]],
        **record,
        "metadata": msgspec.json.decode(metadata) if isinstance(metadata, str | bytes) else metadata,
        "token_usage_summary": counters if seen else dict.fromkeys(counters),
        "cost_micros": cost if cost or (seen and not unpriced) else None,
        "unpriced": unpriced,
    }


def list_sessions(
    database: Database, filter: Filter, *, limit: int, after_id: str | None = None, offset: int = 0
) -> list[dict[str, Any]]:
    """The ``limit`` sessions last active; a session counts where any of its interceptions matches the filter.

    The numbers are always those of the whole session. ``after_id`` names the last session of the page
    before. Raises :class:`QueryError` where there is none such, or several users have one. ``offset`` leaves
    out so many of those last active.
    """
    after: Place | None = None
    if after_id is not None:
        asked = [Term("session_id = ?", (after_id,))]
        if _names_one(filter):
            asked.append(Term("initiator_id = ?", (filter.initiator_id,)))
        cursor = all_of(asked)
        sql = f"SELECT {', '.join(_ORDER)} FROM aitap_sessions WHERE {cursor.sql} LIMIT 2"
        found = rows_of(database, sql, cursor.values)
        if not found:
            raise QueryError(f"after_id: session {after_id!r} not found")
        if len(found) > 1:
            raise QueryError(f"after_id: several users have a session {after_id!r}: name the initiator")
        after = found[0][0], found[0][1], str(found[0][2])
    return sessions_of(
        database,
        sessions_at(database, newest_sessions(database, filter, limit=limit, after=after, offset=offset)),
    )


def sessions_at(database: Database, places: list[Place]) -> list[Any]:
    """The rows of the sessions at these places, in their order; all but these three of them is read of those alone."""
    found: dict[tuple[str, str], Any] = {}
    for page in slices(places, _PAGE):
        some = [session_id for _, session_id, _ in page]
        for row in rows_of(database, f"{_SELECT} s.session_id IN {question_marks(len(some))}", some):
            found[row[0], str(row[1])] = row
    # What retention takes meanwhile is not there any more.
    return [found[key] for _, *key_ in places if (key := (key_[0], key_[1])) in found]


def iter_sessions(database: Database, filter: Filter) -> Iterator[dict[str, Any]]:
    """All sessions, least recently active first, as they stood at one moment."""
    # A session moves in this order whenever it is active: without a snapshot it could come twice.
    with snapshot(database):
        last: tuple[Any, ...] | None = None
        while True:
            asked = session_terms(database, filter)
            if last is not None:
                asked.append(Term(f"({_IN_ORDER}) > (?, ?, ?)", last))
            found = all_of(asked)
            sql = f"{_SELECT} {found.sql} ORDER BY {_IN_ORDER} LIMIT {_PAGE}"
            rows = rows_of(database, sql, found.values)
            yield from sessions_of(database, rows)
            if len(rows) < _PAGE:
                return
            last = tuple(rows[-1][place] for place in _PLACE)


def snapshot(database: Database) -> Any:
    """A block in which all answers are of one moment. It is for reading."""
    # Ours take the write lock at their start as a rule; who only reads must not hold the writer up.
    if isinstance(database, SqliteDatabase):
        return database.atomic("DEFERRED")
    return database.atomic("REPEATABLE READ")


def get_session(database: Database, session_id: str, initiator_id: str | None = None) -> dict[str, Any] | None:
    """One session with its threads, the sub-agents under the thread that started them, the auxiliary calls apart.

    See :func:`find_session`.
    """
    session = find_session(database, session_id, initiator_id)
    if session is None:
        return None
    sql = f"{INTERCEPTION.select} WHERE session_id = ? AND initiator_id = ? ORDER BY started_at, id"
    rows = rows_of(database, sql, (session["id"], session["initiator_id"]))
    return session | session_threads(whole(database, rows))


def find_session(database: Database, session_id: str, initiator_id: str | None = None) -> dict[str, Any] | None:
    """One session as lists have it.

    ``session_id`` is the session's id, a unique beginning or end of it (4 characters at least), or the id of
    one of its interceptions. ``None`` where there is none. Raises :class:`QueryError` where there are several.
    """
    rows = _find_sessions(database, session_id, initiator_id)
    if len(rows) > 1:
        if len({row[_SESSION.names.index("session_id")] for row in rows}) > 1:
            raise QueryError(f"several sessions match {session_id!r}: give more of the id")
        raise QueryError(f"several users have a session {session_id!r}: name the initiator")
    return sessions_of(database, rows)[0] if rows else None


def _find_sessions(database: Database, text: str, initiator_id: str | None) -> list[Any]:
    steps = [Term("s.session_id = ?", (text,))]
    if len(text) >= _SHORTEST:
        steps.append(Term("s.session_id > ? AND s.session_id < ?", (text, text + chr(0x10FFFF))))
        steps.append(Term("substr(s.session_id, length(s.session_id) - ? + 1) = ?", (len(text), text)))
    asked = session_terms(database, Filter(initiator_id=initiator_id))
    for step in steps:
        found = all_of([step, *asked])
        if rows := rows_of(database, f"{_SELECT} {found.sql} LIMIT 2", found.values):
            return rows
    if interception := get_interception(database, text):
        key = Term(
            "s.session_id = ? AND s.initiator_id = ?", (interception["session_id"], interception["initiator_id"])
        )
        found = all_of([key, *asked])
        return rows_of(database, f"{_SELECT} {found.sql}", found.values)
    return []
