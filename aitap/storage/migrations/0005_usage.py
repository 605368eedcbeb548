"""Usage by day, and what calls cost. A frozen copy of what the models of that day add, filled from what is there."""

from __future__ import annotations

from typing import Any

from peewee import BigIntegerField, CompositeKey, Database, Model, TextField

from aitap.storage.database import rows_of
from aitap.storage.fields import Uuid

__all__ = ["up"]


KEY = ("initiator_id", "provider", "provider_name", "model", "client", "purpose", "credential_kind")
SUMS = (
    *("interceptions", "errors", "unmetered", "prompts", "tool_calls", "usages", "unpriced", "input_tokens"),
    *("output_tokens", "cache_read_input_tokens", "cache_write_input_tokens", "cost_micros"),
)


def table(name: str, span: str) -> Any:
    meta = {
        "legacy_table_names": False,
        "table_name": name,
        "primary_key": CompositeKey(span, *KEY),
        "without_rowid": True,
        "indexes": ((("initiator_id", span), False),),
    }
    columns: dict[str, Any] = {column: Uuid() if column == "initiator_id" else TextField() for column in (span, *KEY)}
    columns |= {column: BigIntegerField(default=0) for column in SUMS}
    return type(name, (Model,), {"__module__": __name__, **columns, "Meta": type("Meta", (), meta)})


TABLES = (table("aitap_daily_usage", "day"), table("aitap_monthly_usage", "month"))
COLUMNS = (
    'ALTER TABLE aibridge_token_usages ADD COLUMN "price_book" TEXT',
    'ALTER TABLE aitap_sessions ADD COLUMN "unpriced" INTEGER NOT NULL DEFAULT 0',
    'ALTER TABLE aitap_sessions ADD COLUMN "cost_micros" {bigint} NOT NULL DEFAULT 0',
)
SESSIONS = """
UPDATE aitap_sessions SET unpriced = found.unpriced FROM (
    SELECT i.session_id, i.initiator_id, count(*) AS unpriced
    FROM aibridge_token_usages c JOIN aibridge_interceptions i ON i.id = c.interception_id
    WHERE i.ended_at IS NOT NULL AND c.cost_micros IS NULL
    GROUP BY i.session_id, i.initiator_id
) AS found
WHERE found.session_id = aitap_sessions.session_id AND found.initiator_id = aitap_sessions.initiator_id
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
