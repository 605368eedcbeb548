"""Databases of older versions: a dump for each schema that there ever was, and the data in them.

``python -m tests.storage.old`` writes the dumps that are missing, by the frozen migrations; it never changes one.
"""

from __future__ import annotations

import uuid
from pathlib import Path
from typing import Any

from peewee import Database
from playhouse.migrations import Runner

from aitap.record import message_digest
from aitap.storage import database as opening
from aitap.storage.database import execute_many, question_marks, transaction
from aitap.storage.fields import timestamp_text
from aitap.storage.homes import home_of
from tests.storage.making import ANN, BEN, T0

FOLDER = Path(__file__).parent
LEDGER = "aitap_migrations"
USERS = (ANN, BEN)


def names() -> list[str]:
    """All migrations, in order."""
    return sorted(file.stem for file in opening._MIGRATIONS.glob("0*.py"))


def older(url: str, last: str) -> Database:
    """A new database whose last migration is the one that is named, with rows in every table."""
    home = home_of(url)
    home.prepare(create=True)
    database = home.connect(read_only=False)
    with transaction(database):
        Runner(database, str(opening._MIGRATIONS), LEDGER).up(last)
        _fill(database)
    return database


def _fill(database: Database) -> None:
    for table in sorted(set(database.get_tables()) - {LEDGER}):
        if database.execute_sql(f"SELECT 1 FROM {table} LIMIT 1").fetchone():
            continue  # what the migrations themselves put there
        columns = [(column.name, column.data_type.upper()) for column in database.get_columns(table)]
        rows = [tuple(_value(table, name, kind, number) for name, kind in columns) for number in _numbers(table)]
        sql = f"INSERT INTO {table} ({', '.join(name for name, _ in columns)}) VALUES {question_marks(len(columns))}"
        execute_many(database, sql, rows)


def _numbers(table: str) -> range:
    # Two users with a session each, the first of them with two interceptions.
    return range(3 if table.startswith("aibridge_") else 1 if table == "aitap_messages" else 2)


def _value(table: str, name: str, kind: str, number: int) -> Any:
    person = number % 2
    known: dict[str, Any] = {
        "day": 20_410 if "INT" in kind else "2026-11-18",
        "month": "2026-11",
        "kind_id": person + 1,
        "metadata": '{"n":1}',
        "detail": '{"n":1}',
        "providers": '["anthropic"]',
        "models": '["model 0"]',
        "provider": "anthropic",
        "provider_name": "anthropic",
        "model": f"model {person}",
        "client": "Codex",
        "outcome": "completed",
        "purpose": "conversation",
        "session_id": f"session {person}",
        "client_session_id": f"session {person}",
        "initiator_id": USERS[person],
        "user_id": USERS[person],
        "interception_id": _id("aibridge_interceptions", number),
    }
    if table == "users" and name == "id":
        return USERS[person]
    if name in ("thread_parent_id", "thread_root_id", "retry_of", "parent_digest") or name.endswith("_digest"):
        return None
    message: dict[str, Any] = {
        "digest": message_digest(None, "user", b"[]"),
        "role": "user",
        "content": "[]",
        "bytes": 2,
    }
    if table == "aitap_messages" and name in message:
        return message[name]
    if name in known:
        return known[name]
    if kind.startswith("UUID") or (name == "id" and "INT" not in kind):
        return _id(table, number)
    if kind.startswith("TIMESTAMP"):
        return timestamp_text(T0 + 3600 * number + 0.25 * (name == "ended_at"))
    if kind.startswith("BOOL"):
        return False
    if kind.startswith("DOUBLE"):
        return number + 0.5
    if "INT" in kind:
        return number + 1
    return f"{name} {number}"


def _id(table: str, number: int) -> str:
    return str(uuid.uuid5(uuid.NAMESPACE_URL, f"{table}/{number}"))
