"""What was used and what it cost, by whom, of which model, when: sums by any of a dozen things.

Whole days and months come out of the sums that the writer keeps (:mod:`aitap.storage.daily`), so that a year
over millions of interceptions costs no pass over them. What those sums cannot tell apart, a session or the hours
of a day, is summed from the interceptions, as far as retention has left them.
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime, time, timedelta
from operator import add
from typing import TYPE_CHECKING, Any, Literal

from aitap.storage.daily import KEY, SUMS, coarser, sums_of_rows
from aitap.storage.database import rows_of
from aitap.storage.fields import is_uuid, timestamp_text
from aitap.storage.rows import initiators
from aitap.storage.usage_models import KEYS, KINDS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from peewee import Database

    from aitap.storage.filters import Filter

__all__ = ["BY", "names_of", "usage"]

Key = tuple[str, ...]
Part = Mapping[Key, Sequence[int]]
"""Sums by key, of a part of what is asked for."""


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

_TABLES = {key: table for table, key in KEYS.items()}
_FILTERED = ("initiator_id", "provider", "provider_name", "model", "client")
_UNTOLD = dict.fromkeys(SUMS[SUMS.index("input_tokens") : SUMS.index("cost_micros")])
_COST, _COUNTED = SUMS.index("cost_micros"), SUMS.index("input_tokens")
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
    span = "day" if "day" in by or "week" in by else "month"
    columns = tuple(dict.fromkeys(span if name in _SPANS else _COLUMNS[name] for name in by))
    found: dict[Key, Sequence[int]] = {}
    name_of = _naming(by, columns, span)
    for part in _parts(database, filter, columns, daily=span == "day"):
        for own, sums in part.items():
            key = name_of(own) if name_of else own
            so_far = found.get(key)
            found[key] = sums if so_far is None else tuple(map(add, so_far, sums))
    total = list(map(sum, zip(*found.values(), strict=True))) or [0] * len(SUMS)
    first = [by.index(name) for name in _SPANS if name in by]
    ordered = sorted(found.items(), key=lambda item: (*(item[0][place] for place in first), *_size(item[1]), item[0]))
    return _named(database, by, ordered), _told(SUMS, total)


def _naming(by: Sequence[str], columns: tuple[str, ...], span: str) -> Callable[[Key], Key] | None:
    """What makes the values of ``by`` of those of ``columns``; None where they are the same already."""
    places = [columns.index(span if name in _SPANS else _COLUMNS[name]) for name in by]
    names = [
        (by.index(name), named) for name, named in {**_SPANS, "client": _client}.items() if name in by and name != span
    ]
    if not names and places == list(range(len(columns))):
        return None

    def name_of(own: Key) -> Key:
        values = [own[place] for place in places]
        for place, named in names:
            values[place] = named(values[place])
        return tuple(values)

    return name_of


def _size(sums: Sequence[int]) -> tuple[int, int, int]:
    """By which the dearest and largest come first."""
    return -sums[_COST], -(sums[_COUNTED] + sums[_COUNTED + 1] + sums[_COUNTED + 2] + sums[_COUNTED + 3]), -sums[0]


def _told(names: Sequence[str], values: Iterable[Any]) -> dict[str, Any]:
    """A row with these values, the sums among them."""
    told = dict(zip(names, values, strict=True))
    usages = told["usages"]
    if not usages:
        told |= _UNTOLD
    if usages == told["unpriced"]:
        told["cost_micros"] = None
    return told


def _named(database: Database, by: Sequence[str], rows: list[tuple[Key, Sequence[int]]]) -> list[dict[str, Any]]:
    people: dict[str, dict[str, Any]] = {}
    if "user" in by:
        place = by.index("user")
        people = initiators(database, {key[place]: None for key, _ in rows})
    names = (*by, *SUMS)
    named = [_told(names, (*key, *sums)) for key, sums in rows]
    if "user" in by:
        for row in named:
            row["user"] = people[row["user"]]
    return named


# --- where it comes from


def _parts(database: Database, filter: Filter, columns: tuple[str, ...], *, daily: bool) -> Iterator[Part]:
    """The sums by these columns, from days that are wholly meant and from the interceptions of others.

    Whole months do, unless it shall be told ``daily``.
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
) -> Iterator[Part]:
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
) -> Part:
    """Sums of days or months from the one in which the first of ``days`` is to the one in which the last is."""
    conditions, parameters = _equalities(filter, "", "client")
    for compare, day in zip((">=", "<="), days, strict=True):
        if day is not None:
            conditions.append(f"{span} {compare} ?")
            parameters.append(day.isoformat()[: 10 if span == "day" else 7])
    key = _coarsest(filter, columns, span)
    # Days stand in the table's own order; to group by another column itself would send SQLite through an index.
    named = tuple(_spans_of(name, span) if name in _SPANS else f"CAST({name} AS TEXT)" for name in columns)
    each = set(key) == set(columns)
    # To PostgreSQL a sum of whole numbers is none itself.
    sums = ", ".join(SUMS if each else (f"CAST(sum({name}) AS BIGINT)" for name in SUMS))
    sql = f"SELECT {', '.join((*named, sums))} FROM {_TABLES[key]}"
    if conditions:
        sql += f" WHERE {' AND '.join(conditions)}"
    if columns and not each:
        sql += f" GROUP BY {', '.join(named)}"
    count = len(columns)
    # A sum of nothing is a row too, and so is what an erased person left of a day.
    return {row[:count]: row[count:] for row in rows_of(database, sql, parameters) if row[count]}


def _coarsest(filter: Filter, columns: tuple[str, ...], span: str) -> tuple[str, ...]:
    """The key of the sums with the fewest rows that tell apart what the filter and the columns do."""
    if filter.initiator_id is not None:
        # Only these have an index by users.
        return (span, *KINDS)
    wanted = {name for name in columns if name not in _SPANS}
    wanted.update(name for name in _FILTERED if getattr(filter, name) is not None)
    return next(key for key in _TABLES if key[0] == span and wanted.issubset(key))


def _spans_of(asked: str, span: str) -> str:
    return span if asked == span else "substr(day, 1, 7)"


def _of_rows(
    database: Database, filter: Filter, columns: tuple[str, ...], after: datetime | None, before: datetime | None
) -> Part:
    conditions, parameters = _equalities(filter, "i.", "coalesce(i.client, '')")
    if filter.session_id is not None:
        conditions.append("i.session_id = ?")
        parameters.append(filter.session_id)
    for compare, moment in ((">=", after), ("<=", before)):
        if moment is not None:
            conditions.append(f"i.started_at {compare} ?")
            parameters.append(timestamp_text(moment.timestamp()))
    by_days = tuple("day" if name == "month" else name for name in columns)
    found = sums_of_rows(database, by_days, " AND ".join(conditions) or "1 = 1", parameters)
    return found if by_days == columns else coarser(found, by_days, columns)


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
