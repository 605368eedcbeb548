"""How many interceptions there are, and which models, clients and providers: told by the kinds that there are.

Whole days are counted already (:mod:`aitap.storage.kinds`); of a span of time, only what begins or ends within a
day is read.
"""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any

import msgspec
from peewee import OP, SQL, Expression, fn

from aitap.storage.day_numbers import DAY, microseconds, moment
from aitap.storage.filters import Filter, conditions, kind_conditions, where
from aitap.storage.models import Interception, Kind, KindDay
from aitap.storage.session_filters import unindexed

if TYPE_CHECKING:
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
        return _counted(database, conditions(filter))
    kinds = kind_conditions(filter)
    is_open = Interception.ended_at.is_null()
    everything = msgspec.structs.replace(filter, ended=False)
    # Those in flight are not counted yet; they are few.
    total = 0 if filter.ended else _counted(database, [*conditions(everything), is_open])
    if filter.started_after is None and filter.started_before is None:
        return total + _summed(database, Kind, kinds)
    kinds_meant = [Kind.select(Kind.id).where(*kinds)] if kinds else []
    first, last, ends = _whole_days(filter.started_after, filter.started_before)
    if first is None or last is None or first <= last:
        days: list[Any] = [KindDay.kind_id.in_(ids) for ids in kinds_meant]
        days += [] if first is None else [KindDay.day >= first]
        days += [] if last is None else [KindDay.day <= last]
        total += _summed(database, KindDay, days)
    for after, before in ends:
        times = conditions(Filter(started_after=after, started_before=before))
        within = times + [Expression(unindexed(database, Interception.kind_id), OP.IN, ids) for ids in kinds_meant]
        # An index tells when all of them began, and another those that have not ended.
        total += _counted(database, within) - _counted(database, [*within, is_open])
    return total


def _counted(database: Database, found: list[Any]) -> int:
    return int(database.execute(where(Interception.select(fn.COUNT(SQL("1"))), found)).fetchone()[0])


def _summed(database: Database, model: Any, found: list[Any]) -> int:
    return int(database.execute(where(model.select(fn.SUM(model.interceptions)), found)).fetchone()[0] or 0)


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
        column: Any = getattr(Interception, name)
        query: Any = Interception.select(column).distinct().where(*conditions(filter))
    else:
        column = getattr(Kind, name)
        times = msgspec.structs.replace(
            filter, initiator_id=None, provider=None, provider_name=None, model=None, client=None
        )
        # Limited, or PostgreSQL would look at all interceptions at once.
        one = Interception.select(SQL("1")).where(Interception.kind_id == Kind.id, *conditions(times))
        one = one.order_by(Interception.started_at.desc()).limit(1)
        query = Kind.select(column).distinct().where(*kind_conditions(filter), Expression(one, OP.IS_NOT, None))
    names = {row[0] or absent for row in database.execute(query)} - {""}
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
