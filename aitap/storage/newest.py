"""Where a page of the newest interceptions ends, whatever the filter: found without reading what does not match.

What a filter finds may be nearly everything or three rows in ten million. First a bounded look at the newest
starts of all: it is enough where matches are not rare. Else the newest of each kind that matches are put
together, from the index of (kind, start) alone; a kind is read further only as long as it can still have a row
on the page. Both give a moment: the page is what matches and began then or later. Sessions are found in the same
way, by the moments at which they were active (:mod:`aitap.storage.newest_sessions`).
"""

from __future__ import annotations

import heapq
from typing import TYPE_CHECKING, Any

import msgspec

from aitap.storage.database import slices
from aitap.storage.filters import kind_conditions
from aitap.storage.models import Kind

if TYPE_CHECKING:
    from peewee import Database

    from aitap.storage.filters import Filter

__all__ = ["INTERCEPTIONS", "Listed", "Reach", "reach", "reach_by_kind"]

_WINDOW = 2000
"""So many starts are looked at first; for larger pages some more."""
_AT_ONCE = 200


class Listed(msgspec.Struct, frozen=True):
    """What is listed by kind and time."""

    table: str
    at: str
    """The column by which it is sorted. There is an index of ``kind_id`` and this."""


INTERCEPTIONS = Listed("aibridge_interceptions", "started_at")


class Reach(msgspec.Struct, frozen=True):
    """How far back a page goes."""

    since: str
    """At least as many rows as were wanted match and began at this moment or later, or all that match did."""
    kinds: list[int] | None
    """The kinds that have such rows; None where they are so many that all rows since are to be looked at."""
    is_all: bool = False
    """Whether nothing that matches is older."""


def reach(database: Database, filter: Filter, *, after: str | None, before: str | None, wanted: int) -> Reach | None:
    """How far back the ``wanted`` newest interceptions of the filter's kinds go.

    They began at ``after`` or later, and at ``before`` or earlier, which are stored moments.
    None where nothing matches.
    """
    mark = database.param
    times = "".join(
        f" AND started_at {compare} {mark}" for compare, at in ((">=", after), ("<=", before)) if at is not None
    )
    span = [at for at in (after, before) if at is not None]
    # In the words of this database, whichever the models were bound to last.
    theirs, named = database.get_sql_context().parse(Kind.select(Kind.id).where(*kind_conditions(filter)))
    window = max(_WINDOW, 10 * wanted)
    newest = (
        f"SELECT started_at, kind_id FROM aibridge_interceptions WHERE 1 = 1{times} "
        f"ORDER BY started_at DESC LIMIT {window}"
    )
    found = database.execute_sql(
        f"SELECT started_at FROM ({newest}) AS newest WHERE kind_id IN ({theirs}) "
        f"ORDER BY started_at DESC LIMIT 1 OFFSET {wanted - 1}",
        (*span, *named),
    ).fetchone()
    if found is not None:
        return Reach(since=found[0], kinds=None)
    return _by_kind(database, INTERCEPTIONS, (theirs, named), (times, span), wanted)


def reach_by_kind(
    database: Database, listed: Listed, filter: Filter, *, before: str | None, wanted: int
) -> Reach | None:
    """The same of anything that is listed, from the index of kinds alone, whatever the filter's times."""
    kinds = database.get_sql_context().parse(Kind.select(Kind.id).where(*kind_conditions(filter)))
    times = ("", []) if before is None else (f" AND {listed.at} <= {database.param}", [before])
    return _by_kind(database, listed, kinds, times, wanted)


def _by_kind(
    database: Database, listed: Listed, kinds: tuple[str, list[Any]], times: tuple[str, list[str]], wanted: int
) -> Reach | None:
    theirs, named = kinds
    one = f"SELECT i.{listed.at} FROM {listed.table} i WHERE i.kind_id = k.id{times[0]} ORDER BY i.{listed.at} DESC"
    rows = database.execute_sql(f"SELECT k.id, ({one} LIMIT 1) FROM ({theirs}) AS k", (*times[1], *named)).fetchall()
    heads = sorted(((at, kind) for kind, at in rows if at is not None), reverse=True)
    if not heads:
        return None
    if len(heads) > wanted:
        # No more kinds than rows can have one on the page, but for those that began at the same moment.
        heads = [head for head in heads if head[0] >= heads[wanted - 1][0]]
    found = [at for at, _ in heads]
    last = {kind: at for at, kind in heads}
    chunk = 1 + wanted // len(heads)
    while True:
        found = heapq.nlargest(wanted, found)
        since = found[-1]
        enough = len(found) == wanted
        open_ = [kind for kind, at in last.items() if at > since or not enough]
        if not open_:
            kinds_there = [kind for at, kind in heads if at >= since]
            return Reach(since=since, kinds=kinds_there, is_all=not enough)
        for kind, starts in _further(database, listed, {kind: last[kind] for kind in open_}, times, chunk).items():
            found += starts
            if len(starts) < chunk:
                del last[kind]
            else:
                last[kind] = starts[-1]
        chunk *= 2


def _further(
    database: Database, listed: Listed, last: dict[int, str], times: tuple[str, list[str]], count: int
) -> dict[int, list[str]]:
    """Of each of these kinds the starts before the last that is known, ``count`` at most, newest first."""
    found: dict[int, list[str]] = {kind: [] for kind in last}
    # Of starts that are equal one will do: it is only for how far back they go.
    rest = f"{times[0]} AND {listed.at} < {database.param} ORDER BY {listed.at} DESC LIMIT {count}"
    kinds = list(last)
    for some in slices(kinds, _AT_ONCE):
        if database.param != "?":
            # To plan so many parts would take PostgreSQL longer than all else.
            for kind, at in database.execute_sql(
                f"SELECT k.kind, s.at FROM unnest(%s::int[], %s::timestamptz[]) AS k(kind, last) CROSS JOIN LATERAL "
                f"(SELECT {listed.at} AS at FROM {listed.table} WHERE kind_id = k.kind{times[0]} "
                f"AND {listed.at} < k.last ORDER BY {listed.at} DESC LIMIT {count}) AS s",
                (some, [last[kind] for kind in some], *times[1]),
            ):
                found[kind].append(at)
            continue
        parts = [
            f"SELECT * FROM (SELECT {kind} AS kind_id, {listed.at} FROM {listed.table} WHERE kind_id = {kind}{rest}) "
            f"AS k{kind}"
            for kind in some
        ]
        values = [value for kind in some for value in (*times[1], last[kind])]
        for kind, at in database.execute_sql(" UNION ALL ".join(parts), values):
            found[kind].append(at)
    return found
