"""What was used and what it cost, by whom, of which model, when: sums by any of a dozen things.

Whole days and months come out of the sums that the writer keeps (:mod:`aitap.storage.daily`), so that a year
over millions of interceptions costs no pass over them. What those sums cannot tell apart, a session or the hours
of a day, is summed from the interceptions, as far as retention has left them.
"""

from __future__ import annotations

import difflib
from datetime import UTC, date, datetime, time, timedelta
from typing import TYPE_CHECKING, Any, Literal

from aitap.storage.daily import KEY, SUMS, Sums, sums_of_rows
from aitap.storage.database import rows_of
from aitap.storage.fields import is_uuid, timestamp_text
from aitap.storage.rows import initiators

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from peewee import Database

    from aitap.storage.filters import Filter

__all__ = ["BY", "names_of", "usage"]


def _week(day: str) -> str:
    year, week, _ = date.fromisoformat(day).isocalendar()
    return f"{year}-W{week:02}"


def _client(name: str) -> str:
    return name or "Unknown"


_SPANS: dict[str, Callable[[str], str]] = {
    "day": lambda day: day,
    "week": _week,
    "month": lambda day: day[:7],
    "year": lambda day: day[:4],
}
_COLUMNS = {"user": "initiator_id"} | {name: name for name in KEY if name not in ("day", "initiator_id")}

BY = (*_COLUMNS, *_SPANS)
"""What usage can be told by: ``user``, ``model``, ``client``, ...; ``day``, ``week`` (ISO 8601), ``month``, ``year``,
all in UTC."""

_TABLES = {"day": "aitap_daily_usage", "month": "aitap_monthly_usage"}
_TOTALS = "aitap_daily_totals"
"""Days of all users, for who neither asks for one nor by them."""
_COUNTERS = SUMS[SUMS.index("input_tokens") : SUMS.index("cost_micros")]
_MIDNIGHT = time(tzinfo=UTC)
_FIRST, _LAST = datetime(1970, 1, 1, tzinfo=UTC), datetime(9999, 12, 30, tzinfo=UTC)
"""No record is from outside; within, a day can be added."""


def names_of(text: str) -> list[str]:
    """The names of ``BY`` between commas, each once. Raises ``ValueError`` with the nearest for one there is not."""
    names = list(dict.fromkeys(name.strip().lower().replace("-", "_") for name in text.split(",") if name.strip()))
    if not names:
        raise ValueError(f"name at least one of {', '.join(BY)}")
    for name in names:
        if name not in BY:
            near = difflib.get_close_matches(name, BY, n=1, cutoff=0.0)[0]
            raise ValueError(f"unknown {name[:100]!r}, did you mean {near!r}? There are {', '.join(BY)}")
    return names


def usage(database: Database, filter: Filter, by: Sequence[str]) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    """One row for each combination of values of ``by`` (names of ``BY``) that there is, and the sum of all.

    Rows are plain dicts: the values of ``by`` (``user`` is an object with ``id`` and ``username``), then the
    sums. Counters are None where nothing told them, the cost where nothing of it is known; ``unmetered`` (calls)
    and ``unpriced`` (responses) say how much is missing from what is told. What was used when comes in the order
    of time, else the dearest and largest first.
    """
    columns = tuple(dict.fromkeys("day" if name in _SPANS else _COLUMNS[name] for name in by))
    daily = "day" in by or "week" in by
    names = [(by.index(name), named) for name, named in {**_SPANS, "client": _client}.items() if name in by]
    places = [columns.index("day" if name in _SPANS else _COLUMNS[name]) for name in by]
    found: Sums = {}
    for part in _parts(database, filter, columns, daily=daily):
        for key, sums in part.items():
            values = [key[place] for place in places]
            for place, named in names:
                values[place] = named(values[place])
            _add(found.setdefault(tuple(values), [0] * len(SUMS)), sums)
    total = [0] * len(SUMS)
    for sums in found.values():
        _add(total, sums)
    first = [by.index(name) for name in _SPANS if name in by]
    ordered = sorted(found.items(), key=lambda item: ([item[0][place] for place in first], *_size(item[1]), item[0]))
    return _named(database, by, ordered), _told(total)


def _add(sums: list[int], more: Sequence[int]) -> None:
    for place, value in enumerate(more):
        sums[place] += value


def _size(sums: list[int]) -> tuple[int, int, int]:
    named = dict(zip(SUMS, sums, strict=True))
    return -named["cost_micros"], -sum(named[name] for name in _COUNTERS), -named["interceptions"]


def _told(sums: list[int]) -> dict[str, Any]:
    told: dict[str, Any] = dict(zip(SUMS, sums, strict=True))
    if not told["usages"]:
        told |= dict.fromkeys(_COUNTERS)
    if told["usages"] == told["unpriced"]:
        told["cost_micros"] = None
    return told


def _named(
    database: Database, by: Sequence[str], rows: list[tuple[tuple[str, ...], list[int]]]
) -> list[dict[str, Any]]:
    people: dict[str, dict[str, Any]] = {}
    if "user" in by:
        place = by.index("user")
        people = initiators(database, {key[place]: None for key, _ in rows})
    named = []
    for key, sums in rows:
        row: dict[str, Any] = dict(zip(by, key, strict=True))
        if "user" in row:
            row["user"] = people[row["user"]]
        named.append(row | _told(sums))
    return named


# --- where it comes from


def _parts(database: Database, filter: Filter, columns: tuple[str, ...], *, daily: bool) -> Iterator[Sums]:
    """The sums by these columns, from days that are wholly meant and from the interceptions of others.

    ``day`` among the columns may be a month, unless it shall be told ``daily``.
    """
    if filter.initiator_id is not None and not is_uuid(filter.initiator_id):
        return
    after = filter.started_after and min(max(filter.started_after, _FIRST), _LAST)
    before = filter.started_before and min(max(filter.started_before, _FIRST), _LAST)
    if after is not None and before is not None and before < after:
        return
    if filter.session_id is not None:
        yield _of_rows(database, filter, columns, after, before)
        return
    first = None if after is None else _day_from(after)
    # Both ends are meant: a day is whole up to its last microsecond.
    last = None if before is None else _day_of(before + timedelta(microseconds=1)) - timedelta(days=1)
    if first is not None and last is not None and first > last:
        yield _of_rows(database, filter, columns, after, before)
        return
    if first is not None and after is not None and after < (begin := datetime.combine(first, _MIDNIGHT)):
        yield _of_rows(database, filter, columns, after, begin - timedelta(microseconds=1))
    if daily:
        yield _of_spans(database, filter, columns, "day", (first, last))
    else:
        yield from _of_months(database, filter, columns, first, last)
    if last is not None and before is not None:
        end = datetime.combine(last + timedelta(days=1), _MIDNIGHT)
        if end <= before:
            yield _of_rows(database, filter, columns, end, before)


def _day_of(moment: datetime) -> date:
    return moment.astimezone(UTC).date()


def _day_from(moment: datetime) -> date:
    """The first day that begins at this moment or later."""
    moment = moment.astimezone(UTC)
    return moment.date() if moment.time() == time() else moment.date() + timedelta(days=1)


def _of_months(
    database: Database, filter: Filter, columns: tuple[str, ...], first: date | None, last: date | None
) -> Iterator[Sums]:
    """Whole months, and the days before the first and after the last of them."""
    day = timedelta(days=1)
    begin = None if first is None else _month_from(first)
    end = None if last is None else (last + day).replace(day=1) - day
    if begin is not None and end is not None and begin > end:
        yield _of_spans(database, filter, columns, "day", (first, last))
        return
    if begin is not None and first != begin:
        yield _of_spans(database, filter, columns, "day", (first, begin - day))
    yield _of_spans(database, filter, columns, "month", (begin, end))
    if end is not None and last != end:
        yield _of_spans(database, filter, columns, "day", (end + day, last))


def _month_from(day: date) -> date:
    """The first day of the first month that begins on this day or later."""
    return day if day.day == 1 else (day.replace(day=28) + timedelta(days=4)).replace(day=1)


def _of_spans(
    database: Database,
    filter: Filter,
    columns: tuple[str, ...],
    span: Literal["day", "month"],
    days: tuple[date | None, date | None],
) -> Sums:
    """Sums of days or months from the one in which the first of ``days`` is to the one in which the last is."""
    conditions, parameters = _equalities(filter, "", "client")
    for compare, day in zip((">=", "<="), days, strict=True):
        if day is not None:
            conditions.append(f"{span} {compare} ?")
            parameters.append(day.isoformat()[: 10 if span == "day" else 7])
    whose = filter.initiator_id is not None or "initiator_id" in columns
    table = _TOTALS if span == "day" and not whose else _TABLES[span]
    # Days stand in the table's own order; to group by another column itself would send SQLite through an index.
    columns = tuple(span if name == "day" else f"CAST({name} AS TEXT)" for name in columns)
    sums = ", ".join(f"sum({name})" for name in SUMS)
    sql = f"SELECT {', '.join((*columns, sums))} FROM {table}"
    if conditions:
        sql += f" WHERE {' AND '.join(conditions)}"
    if columns:
        sql += f" GROUP BY {', '.join(columns)}"
    count = len(columns)
    # A sum of nothing is a row too, unless it is asked for by something.
    return {
        tuple(map(str, row[:count])): list(map(int, row[count:]))
        for row in rows_of(database, sql, parameters)
        if row[count] is not None
    }


def _of_rows(
    database: Database, filter: Filter, columns: tuple[str, ...], after: datetime | None, before: datetime | None
) -> Sums:
    conditions, parameters = _equalities(filter, "i.", "coalesce(i.client, '')")
    if filter.session_id is not None:
        conditions.append("i.session_id = ?")
        parameters.append(filter.session_id)
    for compare, moment in ((">=", after), ("<=", before)):
        if moment is not None:
            conditions.append(f"i.started_at {compare} ?")
            parameters.append(timestamp_text(moment.timestamp()))
    return sums_of_rows(database, columns, " AND ".join(conditions) or "1 = 1", parameters)


def _equalities(filter: Filter, prefix: str, client: str) -> tuple[list[str], list[str]]:
    conditions, parameters = [], []
    for name in ("initiator_id", "provider", "provider_name", "model"):
        if (value := getattr(filter, name)) is not None:
            conditions.append(f"{prefix}{name} = ?")
            parameters.append(value)
    if filter.client == "Unknown":
        conditions.append(f"{client} IN ('', 'Unknown')")
    elif filter.client is not None:
        conditions.append(f"{client} = ?")
        parameters.append(filter.client)
    return conditions, parameters
