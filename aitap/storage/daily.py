"""Usage by day and by month: sums that the writer keeps, so that a year's report reads no interception.

A row sums up the ended interceptions of one day or month (UTC, by their start), user, provider, model,
client, purpose and kind of credential, in the transaction that stores them; days are there for all users
together too. Rows outlive what they sum up: when
retention takes the interceptions away, what they cost stays known, and says nothing of what they were about.
"""

from __future__ import annotations

import operator
import re
from typing import TYPE_CHECKING, Any

from aitap.storage.database import execute_many, question_marks, rows_of
from aitap.storage.fields import timestamp_text
from aitap.storage.usage_models import COUNTS, KINDS

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from peewee import Database

    from aitap.record import Interception

__all__ = ["KEY", "SUMS", "Sums", "add", "add_ended", "add_stored", "sums_of_rows", "take_from_totals"]

KEY = ("day", *KINDS)
SUMS = COUNTS

Key = tuple[str, ...]
Sums = dict[Key, list[int]]


def _statement(table: str, *key: str) -> str:
    return (
        f"INSERT INTO {table} ({', '.join((*key, *SUMS))}) VALUES {question_marks(len(key) + len(SUMS))} "
        f"ON CONFLICT ({', '.join(key)}) DO UPDATE SET "
        f"{', '.join(f'{name} = {table}.{name} + excluded.{name}' for name in SUMS)}"
    )


_ADD_DAY = _statement("aitap_daily_usage", *KEY)
_ADD_MONTH = _statement("aitap_monthly_usage", "month", *KEY[1:])
_ADD_TOTAL = _statement("aitap_daily_totals", "day", *KEY[2:])
_AT_ONCE = 500

_ROUNDING = 5e-7
"""Moments are stored in whole microseconds: one just before midnight may be stored as midnight."""

# To count tokens costs none.
_COUNTS_TOKENS = re.compile(r"count.tokens|counttokens|input.tokens$", re.IGNORECASE).search
_UNMETERED = (
    "i.outcome <> 'failed' AND lower(i.path) NOT LIKE '%count_tokens%' AND lower(i.path) NOT LIKE '%counttokens%' "
    "AND lower(i.path) NOT LIKE '%input_tokens' "
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
        elif not r.token_usages and not _COUNTS_TOKENS(r.path):
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
    months: Sums = {}
    totals: Sums = {}
    for (day, user, *rest), values in sums.items():
        for coarser, key in ((months, (day[:7], user, *rest)), (totals, (day, *rest))):
            so_far = coarser.get(key)
            coarser[key] = list(values) if so_far is None else list(map(operator.add, so_far, values))
    for statement, rows in ((_ADD_DAY, sums), (_ADD_MONTH, months), (_ADD_TOTAL, totals)):
        if rows:
            execute_many(database, statement, [(*key, *values) for key, values in rows.items()])


def take_from_totals(database: Database, rows: Iterable[Sequence[Any]]) -> None:
    """Rows of ``aitap_daily_usage`` (``KEY``, then ``SUMS``) have been removed, with the user whose days they were."""
    size = len(KEY)
    taken = [(row[0], *row[2:size], *(-value for value in row[size:])) for row in rows]
    execute_many(database, _ADD_TOTAL, taken)


def add_stored(database: Database, ids: Iterable[str], *, times: int = 1) -> None:
    """Count stored interceptions; with ``times`` -1 take them out. Those still open do not count.

    Call it inside a transaction.
    """
    found: Sums = {}
    listed = list(ids)
    for start in range(0, len(listed), _AT_ONCE):
        some = listed[start : start + _AT_ONCE]
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
