"""Many records, put past the writer: enough for a planner to tell a few of them from all."""

from __future__ import annotations

from typing import Any

from peewee import Database, SqliteDatabase

from aitap.storage.database import execute_many, transaction
from aitap.storage.fields import timestamp_text
from aitap.storage.kinds import recount
from tests.dashboards.loading import START
from tests.storage.making import ANN

__all__ = ["MANY", "SECONDS", "crowd"]

MANY = 20_000
SECONDS = 60
"""From one record to the next."""

_CHILD = ("id", "interception_id", "provider_response_id", "created_at")
_TOKENS = ("input_tokens", "output_tokens", "cache_read_input_tokens", "cache_write_input_tokens")
_COUNTS = ("interceptions", "threads", "prompts", "tool_calls", "errors", *_TOKENS)
_ALWAYS: dict[str, Any] = {
    "initiator_id": ANN,
    "provider": "anthropic",
    "provider_name": "anthropic",
    "credential_kind": "centralized",
    "credential_hint": "",
    "api": "anthropic.messages",
    "method": "POST",
    "host": "api.anthropic.com",
    "path": "/v1/messages",
    "http_version": "HTTP/1.1",
    "streaming": False,
    "request_bytes": 0,
    "response_bytes": 0,
    "outcome": "completed",
    "purpose": "conversation",
    "capture": "metadata+prompt",
    "duration": 1.0,
    "time_to_first_token": 0.5,
}
_COLUMNS: dict[str, tuple[str, ...]] = {
    "aibridge_interceptions": ("id", "model", "session_id", "started_at", "ended_at", *_ALWAYS),
    "aibridge_token_usages": (*_CHILD, *_TOKENS),
    "aibridge_user_prompts": (*_CHILD, "prompt"),
    "aibridge_tool_usages": (*_CHILD, "tool", "input", "injected", "kind"),
    "aibridge_model_thoughts": (*_CHILD, "content"),
    "aitap_sessions": ("session_id", "initiator_id", "providers", "models", "started_at", "last_active_at", *_COUNTS),
}


def _rows(number: int) -> list[tuple[Any, ...]]:
    """One row of each table."""
    at = timestamp_text(START + number * SECONDS)
    own, *children = (f"{kind:08x}-0000-7000-8000-{number:012x}" for kind in range(5))
    usage, prompt, tool, thought = ((child, own, "msg", at) for child in children)
    return [
        (own, f"model-{number % 5}", own, at, at, *_ALWAYS.values()),
        (*usage, 1, 1, 1, 1),
        (*prompt, "hello"),
        (*tool, "Bash", "{}", False, "function"),
        (*thought, "hmm"),
        (own, ANN, '["anthropic"]', f'["model-{number % 5}"]', at, at, *(1 for _ in _COUNTS)),
    ]


def crowd(database: Database) -> None:
    """One interception a minute from ``START`` on, each a session of its own with one of everything."""
    with transaction(database):
        for (table, columns), rows in zip(_COLUMNS.items(), zip(*map(_rows, range(MANY)), strict=True), strict=True):
            marks = ", ".join("?" * len(columns))
            execute_many(database, f"INSERT INTO {table} ({', '.join(columns)}) VALUES ({marks})", rows)
        recount(database)
    # PostgreSQL does so by itself; nobody does it in SQLite.
    if not isinstance(database, SqliteDatabase):
        database.execute_sql("ANALYZE")
