"""Many records, put past the writer: enough for a planner to tell a few of them from all."""

from __future__ import annotations

from peewee import Database, SqliteDatabase

from aitap.storage.database import execute_many, transaction
from aitap.storage.fields import timestamp_text
from tests.dashboards.loading import START
from tests.storage.making import ANN

__all__ = ["MANY", "SECONDS", "crowd"]

MANY = 20_000
SECONDS = 60
"""From one record to the next."""


def _id(kind: int, number: int) -> str:
    return f"{kind:08x}-0000-7000-8000-{number:012x}"


def crowd(database: Database) -> None:
    """One interception a minute from ``START`` on, each a session of its own with one of everything."""
    columns = (
        "id, initiator_id, provider, provider_name, model, session_id, started_at, ended_at, credential_kind, "
        "credential_hint, api, method, host, path, http_version, streaming, request_bytes, response_bytes, outcome, "
        "purpose, capture, duration, time_to_first_token"
    )
    interceptions, usages, prompts, tools, thoughts, sessions = [], [], [], [], [], []
    for number in range(MANY):
        at = timestamp_text(START + number * SECONDS)
        own = _id(1, number)
        interceptions.append(
            (own, ANN, "anthropic", "anthropic", f"model-{number % 5}", own, at, at, "centralized", "", "anthropic")
            + ("POST", "api.anthropic.com", "/v1/messages", "HTTP/1.1", False, 0, 0, "completed", "conversation")
            + ("metadata+prompt", 1.0, 0.5)
        )
        usages.append((_id(2, number), own, "msg", at, 1, 1, 1, 1))
        prompts.append((_id(3, number), own, "msg", at, "hello"))
        tools.append((_id(4, number), own, "msg", at, "Bash", "{}", False, "function"))
        thoughts.append((_id(5, number), own, "msg", at, "hmm"))
        sessions.append((own, ANN, '["anthropic"]', '["model-1"]', at, at, *(0,) * 9))
    child = "id, interception_id, provider_response_id, created_at"
    counters = "input_tokens, output_tokens, cache_read_input_tokens, cache_write_input_tokens"
    with transaction(database):
        for table, names, rows in (
            ("aibridge_interceptions", columns, interceptions),
            ("aibridge_token_usages", f"{child}, {counters}", usages),
            ("aibridge_user_prompts", f"{child}, prompt", prompts),
            ("aibridge_tool_usages", f"{child}, tool, input, injected, kind", tools),
            ("aibridge_model_thoughts", f"{child}, content", thoughts),
            (
                "aitap_sessions",
                "session_id, initiator_id, providers, models, started_at, last_active_at, interceptions, threads, "
                f"prompts, tool_calls, errors, {counters}",
                sessions,
            ),
        ):
            marks = ", ".join("?" * len(rows[0]))
            execute_many(database, f"INSERT INTO {table} ({names}) VALUES ({marks})", rows)
    # PostgreSQL does so by itself; nobody does it in SQLite.
    if not isinstance(database, SqliteDatabase):
        database.execute_sql("ANALYZE")
