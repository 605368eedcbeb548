"""Usage by day and by month: sums that the writer keeps, so that a year's report reads no interception.

A row sums up the ended interceptions of one day or month (UTC, by their start), user, provider, model,
client, purpose and kind of credential, in the transaction that stores them. Coarser sums stand beside
(:data:`aitap.storage.usage_models.KEYS`). Rows outlive what they sum up: when retention takes the interceptions
away, what they cost stays known, and says nothing of what they were about.
"""

from __future__ import annotations

import operator
import re
from typing import TYPE_CHECKING, Any

from aitap.storage.database import execute_many, question_marks, rows_of, slices
from aitap.storage.fields import timestamp_text
from aitap.storage.usage_models import COUNTS, KEYS, KINDS

if TYPE_CHECKING:
    from collections.abc import Container, Iterable, Sequence

    from peewee import Database

    from aitap.record import Interception

__all__ = [
    "KEY",
    "OF_FINER",
    "SUMS",
    "Sums",
    "add",
    "add_ended",
    "add_stored",
    "coarser",
    "sums_of_rows",
    "take_from_totals",
]

KEY = ("day", *KINDS)
SUMS = COUNTS

Key = tuple[str, ...]
Sums = dict[Key, list[int]]


_FINEST = "aitap_daily_usage"


def _statement(table: str, *key: str) -> str:
    return (
        f"INSERT INTO {table} ({', '.join((*key, *SUMS))}) VALUES {question_marks(len(key) + len(SUMS))} "
        f"ON CONFLICT ({', '.join(key)}) DO UPDATE SET "
        f"{', '.join(f'{name} = {table}.{name} + excluded.{name}' for name in SUMS)}"
    )


_ADD = {table: _statement(table, *key) for table, key in KEYS.items()}
OF_FINER = {
    "aitap_monthly_usage": _FINEST,
    "aitap_daily_totals": _FINEST,
    "aitap_daily_models": "aitap_daily_totals",
    "aitap_monthly_totals": "aitap_daily_totals",
    "aitap_monthly_users": "aitap_monthly_usage",
}
"""Coarser sums, and which finer ones they are made of; those stand first."""
_AT_ONCE = 500

_ROUNDING = 5e-7
"""Moments are stored in whole microseconds: one just before midnight may be stored as midnight."""

# To count tokens costs none.
_COUNTS_TOKENS = re.compile(r"count.tokens|counttokens|input.tokens$", re.IGNORECASE).search
_UNMETERED = (
    "i.outcome <> 'failed' AND lower(i.path) NOT LIKE '%count_tokens%' AND lower(i.path) NOT LIKE '%counttokens%' "
    "AND lower(i.path) NOT LIKE '%input_tokens' "
    "AND (i.metadata IS NULL OR json_extract(i.metadata, '$.answer_id') IS NULL) "
    "AND NOT EXISTS (SELECT 1 FROM aibridge_token_usages u WHERE u.interception_id = i.id)"
)
_TYPED = (
    "i.purpose = 'conversation' AND i.retry_of IS NULL "
    "AND (i.metadata IS NULL OR json_extract(i.metadata, '$.agent') IS NULL)"
)
_ENDS = (
    f"count(*), sum(CASE WHEN i.outcome = 'failed' THEN 1 ELSE 0 END), sum(CASE WHEN {_UNMETERED} THEN 1 ELSE 0 END)"
)
_TOKENS = (
    "count(c.id), sum(CASE WHEN c.id IS NOT NULL AND c.cost_micros IS NULL THEN 1 ELSE 0 END), "
    "sum(c.input_tokens), sum(c.output_tokens), sum(c.cache_read_input_tokens), sum(c.cache_write_input_tokens), "
    "sum(c.cost_micros)"
)


def _with(table: str) -> str:
    # A left join is read from the left: SQLite would begin with all children there are.
    return f"FROM aibridge_interceptions i LEFT JOIN {table} c ON c.interception_id = i.id"


_SHARES = (
    (("interceptions", "errors", "unmetered"), f"{_ENDS} FROM aibridge_interceptions i", ""),
    (("prompts",), f"count(c.id) {_with('aibridge_user_prompts')}", f" AND {_TYPED}"),
    (("tool_calls",), f"count(c.id) {_with('aibridge_tool_usages')}", ""),
    (SUMS[SUMS.index("usages") :], f"{_TOKENS} {_with('aibridge_token_usages')}", ""),
)
_DAY = "substr(CAST(i.started_at AS TEXT), 1, 10)"


def add_ended(database: Database, records: Iterable[Interception]) -> None:
    """Count ended interceptions, not counted before. Call it inside a transaction."""
    groups: dict[tuple[int, str, str, str, str, str, str, str], list[int]] = {}
    for r in records:
        key = (
            int((r.started_at + _ROUNDING) // 86400),
            r.initiator_id,
            r.provider,
            r.provider_name,
            r.model,
            r.client or "",
            r.purpose,
            r.credential_kind,
        )
        sums = groups.get(key)
        if sums is None:
            sums = groups[key] = [0] * len(SUMS)
        sums[0] += 1
        if r.outcome == "failed":
            sums[1] += 1
        elif not r.token_usages and not _COUNTS_TOKENS(r.path) and "answer_id" not in r.metadata:
            sums[2] += 1
        if r.user_prompts and r.purpose == "conversation" and r.retry_of is None and "agent" not in r.metadata:
            sums[3] += len(r.user_prompts)
        if r.tool_usages:
            sums[4] += len(r.tool_usages)
        for usage in r.token_usages:
            sums[5] += 1
            sums[7] += usage.input_tokens
            sums[8] += usage.output_tokens
            sums[9] += usage.cache_read_input_tokens
            sums[10] += usage.cache_write_input_tokens
            if usage.cost_micros is None:
                sums[6] += 1
            else:
                sums[11] += usage.cost_micros
    add(database, {(timestamp_text(day * 86400)[:10], *rest): sums for (day, *rest), sums in groups.items()})


def add(database: Database, sums: Sums) -> None:
    """Add to what is stored; keys as in ``KEY``, sums as in ``SUMS``. Call it inside a transaction."""
    _add(database, sums, KEYS)


def take_from_totals(database: Database, rows: Iterable[Sequence[Any]]) -> None:
    """Rows of ``aitap_daily_usage`` (``KEY``, then ``SUMS``) have been removed, with the user whose days they were."""
    size = len(KEY)
    taken = {tuple(map(str, row[:size])): [-value for value in row[size:]] for row in rows}
    _add(database, taken, [table for table, key in KEYS.items() if "initiator_id" not in key])


def _add(database: Database, sums: Sums, tables: Container[str]) -> None:
    if not sums:
        return
    found = {_FINEST: sums}
    for table, finer in OF_FINER.items():
        found[table] = coarser(found[finer], KEYS[finer], KEYS[table])
    for table, some in found.items():
        if table in tables:
            execute_many(database, _ADD[table], [(*key, *values) for key, values in some.items()])


def coarser(sums: Sums, finer: tuple[str, ...], key: tuple[str, ...]) -> Sums:
    """Sums told apart by ``finer``, by some of these columns alone; ``month`` where those have a ``day``."""
    month = key.index("month") if "month" in key and "month" not in finer else None
    places = [finer.index("day" if place == month else name) for place, name in enumerate(key)]
    found: Sums = {}
    for own, values in sums.items():
        names = [own[place] for place in places]
        if month is not None:
            names[month] = names[month][:7]
        kept = tuple(names)
        so_far = found.get(kept)
        found[kept] = values if so_far is None else list(map(operator.add, so_far, values))
    return found


def add_stored(database: Database, ids: Iterable[str], *, times: int = 1) -> None:
    """Count stored interceptions; with ``times`` -1 take them out. Those still open do not count.

    Call it inside a transaction.
    """
    found: Sums = {}
    listed = list(ids)
    for some in slices(listed, _AT_ONCE):
        for key, sums in sums_of_rows(database, KEY, f"i.id IN {question_marks(len(some))}", some).items():
            so_far = found.setdefault(key, [0] * len(SUMS))
            found[key] = [old + times * new for old, new in zip(so_far, sums, strict=True)]
    add(database, found)


def sums_of_rows(database: Database, by: Sequence[str], condition: str, parameters: Sequence[object]) -> Sums:
    """The sums of the ended interceptions ``i`` under this condition, for each value of ``by`` (columns of ``KEY``)."""
    # To group by a column itself would tempt SQLite to read all of an index.
    columns = ", ".join(_DAY if name == "day" else f"coalesce(CAST(i.{name} AS TEXT), '')" for name in by)
    grouping = f" GROUP BY {', '.join(map(str, range(1, len(by) + 1)))}" if by else ""
    found: Sums = {}
    for names, what, further in _SHARES:
        places = [SUMS.index(name) for name in names]
        sql = f"SELECT {columns}{', ' if by else ''}{what} WHERE i.ended_at IS NOT NULL AND {condition}{further}"
        for row in rows_of(database, sql + grouping, parameters):
            sums = found.setdefault(tuple(map(str, row[: len(by)])), [0] * len(SUMS))
            for place, value in zip(places, row[len(by) :], strict=True):
                sums[place] = int(value or 0)
    return found
