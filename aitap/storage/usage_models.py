"""The tables of what was used when; :mod:`aitap.storage.models` has the others."""

from __future__ import annotations

from peewee import BigIntegerField, CompositeKey, TextField

from aitap.storage.fields import Table, Uuid

__all__ = ["DailyUsage", "MonthlyUsage"]


class UsageSums(Table):
    """What one kind of call came to in a span of time: see :mod:`aitap.storage.daily`."""

    initiator_id = Uuid()
    provider = TextField()
    provider_name = TextField()
    model = TextField()
    client = TextField()
    """Empty where it is not known: it is part of the key."""
    purpose = TextField()
    credential_kind = TextField()
    interceptions = BigIntegerField(default=0)
    """Those that have ended."""
    errors = BigIntegerField(default=0)
    unmetered = BigIntegerField(default=0)
    """Calls that were answered without a word on tokens: what they cost nobody can tell."""
    prompts = BigIntegerField(default=0)
    """What people typed; neither retries nor what a model told its sub-agent."""
    tool_calls = BigIntegerField(default=0)
    usages = BigIntegerField(default=0)
    """Responses that told their tokens; the counters and the cost are theirs."""
    unpriced = BigIntegerField(default=0)
    """Those of them whose cost is not known."""
    input_tokens = BigIntegerField(default=0)
    output_tokens = BigIntegerField(default=0)
    cache_read_input_tokens = BigIntegerField(default=0)
    cache_write_input_tokens = BigIntegerField(default=0)
    cost_micros = BigIntegerField(default=0)


_OF_USAGE = ("initiator_id", "provider", "provider_name", "model", "client", "purpose", "credential_kind")


class DailyUsage(UsageSums):
    """Usage on one day; it outlives its interceptions."""

    day = TextField()
    """``2026-11-20``, in UTC, by the start of the interception."""

    class Meta:
        table_name = "aitap_daily_usage"
        primary_key = CompositeKey("day", *_OF_USAGE)
        without_rowid = True
        indexes = ((("initiator_id", "day"), False),)


class MonthlyUsage(UsageSums):
    """The same of one month, so that a year is a dozen spans and not 365."""

    month = TextField()
    """``2026-11``."""

    class Meta:
        table_name = "aitap_monthly_usage"
        primary_key = CompositeKey("month", *_OF_USAGE)
        without_rowid = True
        indexes = ((("initiator_id", "month"), False),)
