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
from peewee import OP, SQL, Database, Expression, SqliteDatabase, Tuple, fn

from aitap.storage.bulk import Bulk, as_dict
from aitap.storage.counts import (
    count_interceptions,
    distinct_clients,
    distinct_models,
    distinct_provider_names,
    distinct_providers,
)
from aitap.storage.database import rows_of, slices
from aitap.storage.fields import is_uuid, timestamp_text
from aitap.storage.filters import Filter, conditions, kind_conditions, where
from aitap.storage.models import Interception, Kind, Session
from aitap.storage.newest import reach
from aitap.storage.newest_sessions import Place, newest_sessions
from aitap.storage.rows import INTERCEPTION, TOKEN_COUNTERS, Shape, initiators, whole
from aitap.storage.session_counts import count_sessions
from aitap.storage.session_filters import session_conditions, unindexed
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
    "session_query",
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
    cursor: Any = None
    if after_id is not None:
        position = Interception.select(Interception.started_at, Interception.id)
        position = position.where(Interception.id == after_id.lower())
        if filter.initiator_id is not None and is_uuid(filter.initiator_id):
            position = position.where(Interception.initiator_id == filter.initiator_id)
        cursor = database.execute(position).fetchone() if is_uuid(after_id.lower()) else None
        if cursor is None:
            raise QueryError(f"after_id: interception {after_id!r} not found")
    # Whose session it is says its id as a rule, so that nothing else needs be looked for.
    found = conditions(filter)
    if filter.session_id is None and kind_conditions(filter):
        found_ids = _page_of_kinds(database, filter, cursor, limit + offset)
        if found_ids is None:
            return []
        found = found_ids
    if cursor is not None:
        found += [
            Interception.started_at <= cursor[0],
            Tuple(Interception.started_at, Interception.id) < Tuple(*cursor),
        ]
    query = where(Interception.select(*INTERCEPTION.fields), found)
    query = query.order_by(Interception.started_at.desc(), Interception.id.desc()).limit(limit)
    if offset:
        query = query.offset(offset)
    return whole(database, database.execute(query).fetchall())


def _page_of_kinds(database: Database, filter: Filter, cursor: Any, wanted: int) -> list[Any] | None:
    """Conditions that hold for a page of what matches and for hardly anything else; None where there is nothing."""
    after, before = (
        None if at is None else timestamp_text(at.timestamp()) for at in (filter.started_after, filter.started_before)
    )
    if cursor is not None:
        before = cursor[0] if before is None else min(before, cursor[0])
        # These began at the same moment as the last one of the page before, and may have been on it.
        wanted += Interception.select().where(Interception.started_at == cursor[0]).count(database)
    if filter.ended:
        wanted += Interception.select().where(Interception.ended_at.is_null()).count(database)
    found = reach(database, filter, after=after, before=before, wanted=wanted)
    if found is None:
        return None
    if found.kinds is None:
        # By the moments: SQLite shall not begin with all that such kinds have.
        kind: Any = unindexed(database, Interception.kind_id)
        of_kinds = Expression(kind, OP.IN, Kind.select(Kind.id).where(*kind_conditions(filter)))
    else:
        of_kinds = Interception.kind_id.in_(found.kinds)
    rest = Filter(started_before=filter.started_before, ended=filter.ended)
    return [Interception.started_at >= found.since, of_kinds, *conditions(rest)]


def iter_interceptions(database: Database, filter: Filter) -> Iterator[dict[str, Any]]:
    """All interceptions, oldest first. What is written meanwhile is among them unless it is in a :func:`snapshot`."""
    return map(as_dict, Bulk(database).all(filter))


def get_interceptions(database: Database, ids: Sequence[str]) -> list[dict[str, Any]]:
    """The interceptions with these ids, oldest first; ids that are not there are left out. At most 500 ids."""
    query = Interception.select(*INTERCEPTION.fields).where(Interception.id.in_(ids))
    rows = database.execute(query.order_by(Interception.started_at, Interception.id)).fetchall()
    return whole(database, rows)


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
_ORDER = (Session.last_active_at, Session.session_id, Session.initiator_id)


def session_query(database: Database, filter: Filter) -> Any:
    """The rows of the sessions that a filter means, in no order yet; :func:`sessions_of` makes dicts of them."""
    first = Interception.alias("first")
    # By the moment, which an index tells: else all interceptions of each session would be looked at.
    metadata = (
        first.select(first.metadata)
        .where(
            first.session_id == Session.session_id,
            first.initiator_id == Session.initiator_id,
            first.started_at == Session.started_at,
        )
        .order_by(first.id)
        .limit(1)
    )
    return where(Session.select(*_SESSION.fields, metadata), session_conditions(database, filter))


def sessions_of(database: Database, rows: list[Any]) -> list[dict[str, Any]]:
    """Rows of :func:`session_query` as plain dicts ready for JSON."""
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
        cursors = Session.select(*_ORDER).where(Session.session_id == after_id)
        if filter.initiator_id is not None and is_uuid(filter.initiator_id):
            cursors = cursors.where(Session.initiator_id == filter.initiator_id)
        found = database.execute(cursors.limit(2)).fetchall()
        if not found:
            raise QueryError(f"after_id: session {after_id!r} not found")
        if len(found) > 1:
            raise QueryError(f"after_id: several users have a session {after_id!r}: name the initiator")
        after = found[0]
    return sessions_of(
        database,
        sessions_at(database, newest_sessions(database, filter, limit=limit, after=after, offset=offset)),
    )


def sessions_at(database: Database, places: list[Place]) -> list[Any]:
    """The rows of the sessions at these places, in their order; all but these three of them is read of those alone."""
    found: dict[tuple[str, str], Any] = {}
    for page in slices(places, _PAGE):
        some = [session_id for _, session_id, _ in page]
        for row in database.execute(session_query(database, Filter()).where(Session.session_id.in_(some))):
            found[row[0], str(row[1])] = row
    # What retention takes meanwhile is not there any more.
    return [found[key] for _, *key_ in places if (key := (key_[0], key_[1])) in found]


def iter_sessions(database: Database, filter: Filter) -> Iterator[dict[str, Any]]:
    """All sessions, least recently active first, as they stood at one moment."""
    # A session moves in this order whenever it is active: without a snapshot it could come twice.
    with snapshot(database):
        last: Any = None
        while True:
            query = session_query(database, filter)
            if last is not None:
                query = query.where(Tuple(*_ORDER) > Tuple(*last))
            rows = database.execute(query.order_by(*_ORDER).limit(_PAGE)).fetchall()
            yield from sessions_of(database, rows)
            if len(rows) < _PAGE:
                return
            last = [rows[-1][_SESSION.names.index(column.name)] for column in _ORDER]


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
    query = (
        Interception.select(*INTERCEPTION.fields)
        .where((Interception.session_id == session["id"]) & (Interception.initiator_id == session["initiator_id"]))
        .order_by(Interception.started_at, Interception.id)
    )
    return session | session_threads(whole(database, database.execute(query).fetchall()))


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
    query = session_query(database, Filter(initiator_id=initiator_id)).limit(2)
    steps: list[Any] = [Session.session_id == text]
    if len(text) >= _SHORTEST:
        steps.append((Session.session_id > text) & (Session.session_id < text + chr(0x10FFFF)))
        steps.append(fn.SUBSTR(Session.session_id, fn.LENGTH(Session.session_id) - len(text) + 1) == text)
    for condition in steps:
        if rows := database.execute(query.where(condition)).fetchall():
            return list(rows)
    if interception := get_interception(database, text):
        same = (Session.session_id == interception["session_id"], Session.initiator_id == interception["initiator_id"])
        return list(database.execute(query.where(*same)).fetchall())
    return []
