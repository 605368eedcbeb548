"""The tables of what was used when; :mod:`aitap.storage.models` has the others.

A row is what one kind of call came to in a span of time, see :mod:`aitap.storage.daily`; it outlives its
interceptions. A month is kept beside its days, so that a year is a dozen spans and not 365; and coarser sums beside
finer ones (all users together, models alone, users alone), so that a year is read from a few hundred rows.
"""

from __future__ import annotations

from typing import Any

from peewee import BigIntegerField, CompositeKey, TextField

from aitap.storage.fields import Table, Uuid

__all__ = [
    "COUNTS",
    "KEYS",
    "KINDS",
    "DailyModel",
    "DailyTotal",
    "DailyUsage",
    "MonthlyTotal",
    "MonthlyUsage",
    "MonthlyUser",
]

KINDS = ("initiator_id", "provider", "provider_name", "model", "client", "purpose", "credential_kind")
"""What tells rows of one span apart. ``client`` is empty where it is not known, being part of the key."""

COUNTS = (
    "interceptions",  # those that have ended
    "errors",
    "unmetered",  # answered without a word on tokens: what they cost nobody can tell
    "prompts",  # what people typed; neither retries nor what a model told its sub-agent
    "tool_calls",
    "usages",  # responses that told their tokens; all below is theirs
    "unpriced",  # those of them whose cost is not known
    "input_tokens",
    "output_tokens",
    "cache_read_input_tokens",
    "cache_write_input_tokens",
    "cost_micros",
)


def _sums(name: str, table: str, key: tuple[str, ...], **more: Any) -> Any:
    # Made, not written: columns must stand in the order of the key, or SQLite (3.40) thinks the table is damaged.
    meta = {
        "table_name": table,
        "primary_key": CompositeKey(*key),
        "without_rowid": True,
        **more,
    }
    columns: dict[str, Any] = {column: Uuid() if column == "initiator_id" else TextField() for column in key}
    columns |= {column: BigIntegerField(default=0) for column in COUNTS}
    return type(name, (Table,), {"__module__": __name__, **columns, "Meta": type("Meta", (), meta)})


def _of_users(name: str, table: str, span: str) -> Any:
    return _sums(name, table, (span, *KINDS), indexes=((("initiator_id", span), False),))


DailyUsage = _of_users("DailyUsage", "aitap_daily_usage", "day")
"""``day`` is ``2026-11-20``, in UTC, by the start of the interception."""
MonthlyUsage = _of_users("MonthlyUsage", "aitap_monthly_usage", "month")
"""``month`` is ``2026-11``."""
DailyTotal = _sums("DailyTotal", "aitap_daily_totals", ("day", *KINDS[1:]))
"""The days of all users together."""
MonthlyTotal = _sums("MonthlyTotal", "aitap_monthly_totals", ("month", *KINDS[1:]))
DailyModel = _sums("DailyModel", "aitap_daily_models", ("day", "model"))
MonthlyUser = _sums("MonthlyUser", "aitap_monthly_users", ("month", "initiator_id"))

KEYS = {
    "aitap_daily_models": ("day", "model"),
    "aitap_daily_totals": ("day", *KINDS[1:]),
    "aitap_daily_usage": ("day", *KINDS),
    "aitap_monthly_totals": ("month", *KINDS[1:]),
    "aitap_monthly_users": ("month", "initiator_id"),
    "aitap_monthly_usage": ("month", *KINDS),
}
"""The key of each of these tables, those with few rows before those that tell more."""
