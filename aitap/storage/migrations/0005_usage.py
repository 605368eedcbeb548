"""Usage by day, and what calls cost. A frozen copy of what the models of that day add, filled from what is there."""

from __future__ import annotations

from typing import Any

from peewee import BigIntegerField, CompositeKey, Database, Model, TextField

from aitap.storage.database import rows_of
from aitap.storage.fields import Uuid

__all__ = ["up"]


class UsageSums(Model):
    initiator_id = Uuid()
    provider = TextField()
    provider_name = TextField()
    model = TextField()
    client = TextField()
    purpose = TextField()
    credential_kind = TextField()
    interceptions = BigIntegerField(default=0)
    errors = BigIntegerField(default=0)
    unmetered = BigIntegerField(default=0)
    prompts = BigIntegerField(default=0)
    tool_calls = BigIntegerField(default=0)
    usages = BigIntegerField(default=0)
    unpriced = BigIntegerField(default=0)
    input_tokens = BigIntegerField(default=0)
    output_tokens = BigIntegerField(default=0)
    cache_read_input_tokens = BigIntegerField(default=0)
    cache_write_input_tokens = BigIntegerField(default=0)
    cost_micros = BigIntegerField(default=0)

    class Meta:
        legacy_table_names = False


KEY = ("initiator_id", "provider", "provider_name", "model", "client", "purpose", "credential_kind")


class DailyUsage(UsageSums):
    day = TextField()

    class Meta:
        table_name = "aitap_daily_usage"
        primary_key = CompositeKey("day", *KEY)
        without_rowid = True
        indexes = ((("initiator_id", "day"), False),)


class MonthlyUsage(UsageSums):
    month = TextField()

    class Meta:
        table_name = "aitap_monthly_usage"
        primary_key = CompositeKey("month", *KEY)
        without_rowid = True
        indexes = ((("initiator_id", "month"), False),)


TABLES = (DailyUsage, MonthlyUsage)
COLUMNS = (
    'ALTER TABLE aibridge_token_usages ADD COLUMN "price_book" TEXT',
    'ALTER TABLE aitap_sessions ADD COLUMN "unpriced" INTEGER NOT NULL DEFAULT 0',
    'ALTER TABLE aitap_sessions ADD COLUMN "cost_micros" {bigint} NOT NULL DEFAULT 0',
)
SESSIONS = """
UPDATE aitap_sessions SET unpriced = (
    SELECT count(*) FROM aibridge_interceptions i JOIN aibridge_token_usages c ON c.interception_id = i.id
    WHERE i.session_id = aitap_sessions.session_id AND i.initiator_id = aitap_sessions.initiator_id
      AND i.ended_at IS NOT NULL AND c.cost_micros IS NULL
)
"""
# Each interception with what its children sum up to, one row for each; then the days.
FILL = """
INSERT INTO aitap_daily_usage (day, initiator_id, provider, provider_name, model, client, purpose, credential_kind,
                               interceptions, errors, unmetered, prompts, tool_calls, usages, unpriced,
                               input_tokens, output_tokens, cache_read_input_tokens, cache_write_input_tokens,
                               cost_micros)
SELECT substr(CAST(i.started_at AS TEXT), 1, 10), i.initiator_id, i.provider, i.provider_name, i.model,
       coalesce(i.client, ''), i.purpose, i.credential_kind,
       count(*), sum(CASE WHEN i.outcome = 'failed' THEN 1 ELSE 0 END),
       sum(CASE WHEN t.usages IS NULL AND i.outcome <> 'failed'
                 AND lower(i.path) NOT LIKE '%count_tokens%' AND lower(i.path) NOT LIKE '%counttokens%'
                 AND lower(i.path) NOT LIKE '%input_tokens' THEN 1 ELSE 0 END),
       sum(CASE WHEN i.purpose = 'conversation' AND i.retry_of IS NULL
                 AND (i.metadata IS NULL OR json_extract(i.metadata, '$.agent') IS NULL)
                THEN coalesce(p.prompts, 0) ELSE 0 END),
       sum(coalesce(c.calls, 0)), sum(coalesce(t.usages, 0)), sum(coalesce(t.unpriced, 0)),
       sum(coalesce(t.fresh, 0)), sum(coalesce(t.output, 0)), sum(coalesce(t.reads, 0)), sum(coalesce(t.writes, 0)),
       sum(coalesce(t.cost, 0))
FROM aibridge_interceptions i
LEFT JOIN (SELECT interception_id, count(*) AS usages, sum(CASE WHEN cost_micros IS NULL THEN 1 ELSE 0 END) AS unpriced,
                  sum(input_tokens) AS fresh, sum(output_tokens) AS output, sum(cache_read_input_tokens) AS reads,
                  sum(cache_write_input_tokens) AS writes, sum(cost_micros) AS cost
           FROM aibridge_token_usages GROUP BY interception_id) t ON t.interception_id = i.id
LEFT JOIN (SELECT interception_id, count(*) AS prompts FROM aibridge_user_prompts GROUP BY interception_id) p
       ON p.interception_id = i.id
LEFT JOIN (SELECT interception_id, count(*) AS calls FROM aibridge_tool_usages GROUP BY interception_id) c
       ON c.interception_id = i.id
WHERE i.ended_at IS NOT NULL
GROUP BY 1, 2, 3, 4, 5, 6, 7, 8
"""

SUMS = (
    *("interceptions", "errors", "unmetered", "prompts", "tool_calls", "usages", "unpriced", "input_tokens"),
    *("output_tokens", "cache_read_input_tokens", "cache_write_input_tokens", "cost_micros"),
)
MONTHS = (
    f"INSERT INTO aitap_monthly_usage (month, {', '.join((*KEY, *SUMS))}) "
    f"SELECT substr(day, 1, 7), {', '.join((*KEY, *(f'sum({name})' for name in SUMS)))} "
    f"FROM aitap_daily_usage GROUP BY substr(day, 1, 7), {', '.join(KEY)}"
)


def up(_migrator: Any, database: Database) -> None:
    """Make the tables and the columns, and sum up what was recorded before; nothing of it has a price yet."""
    with database.bind_ctx(TABLES):
        database.create_tables(TABLES, safe=False)
    for statement in (*COLUMNS, SESSIONS):
        # SQLite has one kind of integer, and Peewee says so.
        database.execute_sql(statement.format(bigint="INTEGER" if database.param == "?" else "BIGINT"))
    for statement in (FILL, MONTHS):
        rows_of(database, statement)
