"""How many interceptions there are, and which models, clients and providers: told by the kinds that there are.

Whole days are counted already (:mod:`aitap.storage.kinds`); of a span of time, only what begins or ends within a
day is read.
"""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

import msgspec

from aitap.storage.database import rows_of
from aitap.storage.day_numbers import DAY, microseconds, moment
from aitap.storage.filters import Filter, Term, all_of, kind_terms, terms, times
from aitap.storage.session_filters import unindexed

if TYPE_CHECKING:
    from collections.abc import Sequence

    from peewee import Database

__all__ = [
    "count_interceptions",
    "distinct_clients",
    "distinct_models",
    "distinct_provider_names",
    "distinct_providers",
]

Span = tuple[datetime | None, datetime | None]


def count_interceptions(database: Database, filter: Filter) -> int:
    """How many interceptions there are."""
    if filter.session_id is not None:
        return _counted(database, terms(filter))
    kinds = kind_terms(filter)
    is_open = Term("ended_at IS NULL")
    everything = msgspec.structs.replace(filter, ended=False)
    # Those in flight are not counted yet; they are few.
    total = 0 if filter.ended else _counted(database, [*terms(everything), is_open])
    if filter.started_after is None and filter.started_before is None:
        return total + _summed(database, "aitap_kinds", kinds)
    meant = all_of(kinds)
    those = f"IN (SELECT id FROM aitap_kinds WHERE {meant.sql})"
    first, last, ends = _whole_days(filter.started_after, filter.started_before)
    if first is None or last is None or first <= last:
        days = [Term(f"kind_id {those}", meant.values)] if kinds else []
        days += [] if first is None else [Term("day >= ?", (first,))]
        days += [] if last is None else [Term("day <= ?", (last,))]
        total += _summed(database, "aitap_kind_days", days)
    for after, before in ends:
        within = times(Filter(started_after=after, started_before=before))
        within += [Term(f"{unindexed(database, 'kind_id')} {those}", meant.values)] if kinds else []
        # An index tells when all of them began, and another those that have not ended.
        total += _counted(database, within) - _counted(database, [*within, is_open])
    return total


def _counted(database: Database, found: Sequence[Term]) -> int:
    asked = all_of(found)
    sql = f"SELECT count(*) FROM aibridge_interceptions WHERE {asked.sql}"
    return int(rows_of(database, sql, asked.values)[0][0])


def _summed(database: Database, table: str, found: Sequence[Term]) -> int:
    asked = all_of(found)
    return int(rows_of(database, f"SELECT sum(interceptions) FROM {table} WHERE {asked.sql}", asked.values)[0][0] or 0)


def _whole_days(after: datetime | None, before: datetime | None) -> tuple[int | None, int | None, list[Span]]:
    """The first and the last day (since the epoch) that are wholly meant, and the spans that are left beside them."""
    begin = None if after is None else microseconds(after)
    end = None if before is None else microseconds(before) + 1
    first = None if begin is None else -(-begin // DAY)
    last = None if end is None else end // DAY - 1
    if first is not None and last is not None and first > last:
        return first, last, [(after, before)]
    ends: list[Span] = []
    if begin is not None and first is not None and begin < first * DAY:
        ends.append((after, moment(first * DAY - 1)))
    if end is not None and last is not None and end > (last + 1) * DAY:
        ends.append((moment((last + 1) * DAY), before))
    return first, last, ends


def _distinct(database: Database, name: str, filter: Filter, prefix: str | None, absent: str = "Unknown") -> list[str]:
    if filter.session_id is not None:
        asked = all_of(terms(filter))
        sql = f"SELECT DISTINCT {name} FROM aibridge_interceptions WHERE {asked.sql}"
    else:
        meant, within = all_of(kind_terms(filter)), all_of(times(filter))
        # Limited, or PostgreSQL would look at all interceptions at once.
        sql = (
            f"SELECT DISTINCT {name} FROM aitap_kinds k WHERE {meant.sql} AND (SELECT 1 FROM aibridge_interceptions i "
            f"WHERE i.kind_id = k.id AND {within.sql}{' AND ended_at IS NOT NULL' if filter.ended else ''} "
            "ORDER BY i.started_at DESC LIMIT 1) IS NOT NULL"
        )
        asked = Term(sql, meant.values + within.values)
    names = {row[0] or absent for row in rows_of(database, sql, asked.values)} - {""}
    return sorted(found for found in names if prefix is None or found.startswith(prefix))


def distinct_models(database: Database, filter: Filter, *, prefix: str | None = None) -> list[str]:
    """The models that were asked for, sorted; with ``prefix`` those that begin so (case counts)."""
    return _distinct(database, "model", filter, prefix)


def distinct_clients(database: Database, filter: Filter, *, prefix: str | None = None) -> list[str]:
    """The clients that called, sorted; with ``prefix`` those that begin so (case counts)."""
    return _distinct(database, "client", filter, prefix)


def distinct_provider_names(database: Database, filter: Filter, *, prefix: str | None = None) -> list[str]:
    """The instances of providers called, sorted; with ``prefix`` those that begin so (case counts)."""
    return _distinct(database, "provider_name", filter, prefix, "")


def distinct_providers(database: Database, filter: Filter, *, prefix: str | None = None) -> list[str]:
    """The runtime types of the providers called, sorted; with ``prefix`` those that begin so (case counts)."""
    return _distinct(database, "provider", filter, prefix)
