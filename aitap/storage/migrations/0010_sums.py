"""Coarser sums of what was used, sessions of a kind in their order, and the ends of ids.

A frozen copy of what the models of that day add.
"""

from __future__ import annotations

from typing import Any

from peewee import BigIntegerField, CompositeKey, Database, Model, TextField

from aitap.storage.database import rows_of
from aitap.storage.fields import Uuid

__all__ = ["up"]

USAGE = ("provider", "provider_name", "model", "client", "purpose", "credential_kind")
SUMS = (
    *("interceptions", "errors", "unmetered", "prompts", "tool_calls", "usages", "unpriced", "input_tokens"),
    *("output_tokens", "cache_read_input_tokens", "cache_write_input_tokens", "cost_micros"),
)
TABLES = (
    ("aitap_daily_models", ("day", "model"), "day", "aitap_daily_totals"),
    ("aitap_monthly_totals", ("month", *USAGE), "substr(day, 1, 7)", "aitap_daily_totals"),
    ("aitap_monthly_users", ("month", "initiator_id"), "month", "aitap_monthly_usage"),
)
"""Each with its key, and what makes its span of the finer sums it comes from."""
ACTIVE = (
    'ALTER TABLE aitap_session_kinds ADD COLUMN "active_at" TIMESTAMPTZ',
    """
    UPDATE aitap_session_kinds SET active_at = (
        SELECT s.last_active_at FROM aitap_sessions s
        WHERE s.session_id = aitap_session_kinds.session_id AND s.initiator_id = aitap_session_kinds.initiator_id
    )
    """,
    'CREATE INDEX "aitap_session_kinds_kind_id_active_at" ON "aitap_session_kinds" ("kind_id", "active_at")',
)
ENDS = "CREATE INDEX aibridge_interceptions_id_end ON aibridge_interceptions (substr(CAST(id AS TEXT), 33))"


def table(name: str, key: tuple[str, ...]) -> Any:
    meta = {
        "legacy_table_names": False,
        "table_name": name,
        "primary_key": CompositeKey(*key),
        "without_rowid": True,
    }
    columns: dict[str, Any] = {column: Uuid() if column == "initiator_id" else TextField() for column in key}
    columns |= {column: BigIntegerField(default=0) for column in SUMS}
    return type(name, (Model,), {"__module__": __name__, **columns, "Meta": type("Meta", (), meta)})


def filled(name: str, key: tuple[str, ...], span: str, finer: str) -> str:
    columns = ", ".join((span, *key[1:]))
    sums = ", ".join(f"sum({column})" for column in SUMS)
    return f"INSERT INTO {name} ({', '.join((*key, *SUMS))}) SELECT {columns}, {sums} FROM {finer} GROUP BY {columns}"


def up(_migrator: Any, database: Database) -> None:
    """Make the tables and the index, and fill them."""
    if database.param != "?":
        # It reads all there is: that may take its time.
        database.execute_sql("SET LOCAL statement_timeout = 0")
    models = [table(name, key) for name, key, _, _ in TABLES]
    with database.bind_ctx(models):
        database.create_tables(models, safe=False)
    for each in TABLES:
        rows_of(database, filled(*each))
    for statement in (*ACTIVE, ENDS):
        database.execute_sql(statement)
