"""Indexes of random keys have the row's span before the key: what comes and goes together lies together.

A frozen copy of what the models of that day say. PostgreSQL, where a row that goes changes no index, keeps its own.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from peewee import Database

__all__ = ["up"]

SPAN = "CASE WHEN substr(id, 15, 1) IN ('7', '8') THEN substr(id, 1, 5) ELSE '' END"
INDEXES = (
    ("aibridge_interceptions_id_end", "aibridge_interceptions_span_end", "substr(CAST(id AS TEXT), 33)"),
    ("aibridge_token_usages_provider_response_id", "aibridge_token_usages_span_response", "provider_response_id"),
    ("aibridge_tool_usages_provider_tool_call_id", "aibridge_tool_usages_span_call", "provider_tool_call_id"),
)
"""Each as it was called, as it is, and its key."""


def up(_migrator: Any, database: Database) -> None:
    """Make them in place of those that were."""
    if database.param != "?":
        return
    for old, new, key in INDEXES:
        database.execute_sql(f"DROP INDEX {old}")
        database.execute_sql(f"CREATE INDEX {new} ON {new.partition('_span_')[0]} ({SPAN}, {key})")
