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

from aitap.storage.database import rows_of, slices
from aitap.storage.filters import Term, all_of, kind_terms
from aitap.storage.session_filters import kinds_meant, unindexed

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

    def between(self, after: str | None, before: str | None) -> Term:
        """Not before a stored moment, and not after another."""
        ends = ((">=", after), ("<=", before))
        return all_of([Term(f"{self.at} {compare} ?", (at,)) for compare, at in ends if at is not None])


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
    span = INTERCEPTIONS.between(after, before)
    if (meant := kinds_meant(database, filter)) is None:
        meant = Term("(SELECT id FROM aitap_kinds)")
    window = max(_WINDOW, 10 * wanted)
    # What comes after the moment is among them: beside a second bound SQLite might not look the first up.
    until = INTERCEPTIONS.between(None, before)
    newest = f"SELECT started_at FROM aibridge_interceptions WHERE {span.sql} ORDER BY started_at DESC LIMIT {window}"
    found = rows_of(
        database,
        f"SELECT started_at FROM aibridge_interceptions WHERE {unindexed(database, 'kind_id')} IN {meant.sql} "
        f"AND {until.sql} AND started_at >= (SELECT min(started_at) FROM ({newest}) AS newest) "
        f"ORDER BY started_at DESC LIMIT 1 OFFSET {wanted - 1}",
        (*meant.values, *until.values, *span.values),
    )
    if found:
        return Reach(since=found[0][0], kinds=None)
    return reach_by_kind(database, INTERCEPTIONS, filter, after=after, before=before, wanted=wanted)


def reach_by_kind(
    database: Database, listed: Listed, filter: Filter, *, after: str | None, before: str | None, wanted: int
) -> Reach | None:
    """The same of anything that is listed, from the index of kinds alone, whatever the filter's times."""
    span = listed.between(after, before)
    asked = all_of(kind_terms(filter))
    one = f"SELECT {listed.at} FROM {listed.table} i WHERE i.kind_id = k.id AND {span.sql} ORDER BY {listed.at} DESC"
    rows = rows_of(
        database,
        f"SELECT k.id, ({one} LIMIT 1) FROM aitap_kinds k WHERE {asked.sql}",
        (*span.values, *asked.values),
    )
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
        for kind, starts in _further(database, listed, {kind: last[kind] for kind in open_}, span, chunk).items():
            found += starts
            if len(starts) < chunk:
                del last[kind]
            else:
                last[kind] = starts[-1]
        chunk *= 2


def _further(database: Database, listed: Listed, last: dict[int, str], span: Term, count: int) -> dict[int, list[str]]:
    """Of each of these kinds the starts before the last that is known, ``count`` at most, newest first."""
    found: dict[int, list[str]] = {kind: [] for kind in last}
    kinds = list(last)
    at, table = listed.at, listed.table
    for some in slices(kinds, _AT_ONCE):
        # Of starts that are equal one will do: it is only for how far back they go.
        rest = f"AND {span.sql} AND {at} < {{last}} ORDER BY {at} DESC LIMIT {count}"
        if database.param != "?":
            # To plan so many parts would take PostgreSQL longer than all else.
            sql = (
                "SELECT m.kind, r.at FROM unnest(CAST(? AS int[]), CAST(? AS timestamptz[])) AS m(kind, last) "
                f"CROSS JOIN LATERAL (SELECT {at} AS at FROM {table} WHERE kind_id = m.kind "
                f"{rest.format(last='m.last')}) AS r"
            )
            values: list[Any] = [some, [last[kind] for kind in some], *span.values]
        else:
            sql = " UNION ALL ".join(
                f"SELECT * FROM (SELECT {kind}, {at} FROM {table} WHERE kind_id = {kind} {rest.format(last='?')})"
                for kind in some
            )
            values = [value for kind in some for value in (*span.values, last[kind])]
        for kind, moment in rows_of(database, sql, values):
            found[kind].append(moment)
    return found
