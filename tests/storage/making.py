"""Records and databases for the tests of storage."""

from __future__ import annotations

import functools
import sqlite3
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
from peewee import Database, SqliteDatabase

from aitap.record import Interception, Lineage, ModelThought, TokenUsage, ToolResult, ToolUsage, UserPrompt
from aitap.storage.database import open_database, rows_of
from aitap.storage.writer import Writer

ANN = "11111111-1111-5111-8111-111111111111"
BEN = "22222222-2222-5222-8222-222222222222"
T0 = 1_795_000_000.0


@functools.cache
def _empty() -> bytes:
    """An empty database of this version; to copy it is quicker than to make it."""
    with tempfile.TemporaryDirectory() as folder:
        open_database(f"sqlite:///{folder}/empty.db", migrate=True).close()
        return Path(folder, "empty.db").read_bytes()


def database_in(folder: Path) -> SqliteDatabase:
    (folder / "aitap.db").write_bytes(_empty())
    database = open_database(f"sqlite:///{folder}/aitap.db")
    assert isinstance(database, SqliteDatabase)
    return database


def interception(at: float = T0, took: float | None = 1.0, **fields: Any) -> Interception:
    """An interception that started at ``at`` and, unless ``took`` is None, ended."""
    values: dict[str, Any] = {
        "initiator_id": ANN,
        "provider": "anthropic",
        "provider_name": "anthropic",
        "model": "claude-opus-4-8",
        "started_at": at,
        "ended_at": None if took is None else at + took,
        "api": "anthropic.messages",
        "method": "POST",
        "host": "api.anthropic.com",
        "path": "/v1/messages",
        "http_version": "HTTP/1.1",
        "outcome": "in_flight" if took is None else "completed",
    }
    return Interception(**{**values, **fields})


def lineage(*results: str, **fields: Any) -> Lineage:
    """What a request says that answers these tool calls."""
    return Lineage(tool_results=[ToolResult(call_id=call, status="ok", size=7) for call in results], **fields)


def prompt(text: str, at: float = T0, response: str = "msg_1") -> UserPrompt:
    return UserPrompt(provider_response_id=response, prompt=text, created_at=at)


def tokens(response: str = "msg_1", at: float = T0, **counters: Any) -> TokenUsage:
    counters = {"input_tokens": 10, "output_tokens": 5, **counters}
    return TokenUsage(provider_response_id=response, created_at=at, **counters)


def tool(call: str | None, input: str = "{}", response: str = "msg_1", at: float = T0, name: str = "Bash") -> ToolUsage:
    return ToolUsage(provider_response_id=response, tool=name, input=input, provider_tool_call_id=call, created_at=at)


def thought(content: str, at: float = T0) -> ModelThought:
    return ModelThought(provider_response_id="msg_1", content=content, metadata={"source": "thinking"}, created_at=at)


def rows(database: Database, sql: str, *parameters: Any) -> list[tuple[Any, ...]]:
    return rows_of(database, sql, parameters)


def everything(database: Database) -> dict[str, list[tuple[Any, ...]]]:
    """All rows of all tables of records, in a fixed order."""
    tables = [name for name in database.get_tables() if name not in ("aitap_migrations", "aitap_proxies")]
    return {name: sorted(rows(database, f"SELECT * FROM {name}"), key=repr) for name in tables}


def eventually(condition: Callable[[], bool], seconds: float = 60.0) -> bool:
    """Whether the condition came true in time."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.005)
    return True


def other_connection(database: Database) -> sqlite3.Connection:
    """A connection past Peewee, as another process would have it."""
    path = next(file for _, name, file in database.execute_sql("PRAGMA database_list") if name == "main")
    return sqlite3.connect(path, isolation_level=None)


class Recording:
    """A writer whose batches are what the test says."""

    def __init__(self, database: Database) -> None:
        self.database = database
        self.writer = Writer(database, flush_interval=60.0)
        self.writer.start()

    def batch(self, *records: Interception) -> None:
        """Commit these in one transaction."""
        for record in records:
            assert self.writer.submit(record)
        assert self.writer.flush(20.0)

    def restart(self) -> None:
        """Forget everything that is in memory."""
        assert self.writer.close()
        self.writer = Writer(self.database, flush_interval=60.0)
        self.writer.start()

    def row(self, record: Interception) -> dict[str, Any]:
        """The row of an interception, with its metadata decoded."""
        sql = f"SELECT * FROM aibridge_interceptions WHERE id = {self.database.param}"
        cursor = self.database.execute_sql(sql, (record.id,))
        row = dict(zip([column[0] for column in cursor.description], cursor.fetchone(), strict=True))
        return {**row, "metadata": msgspec.json.decode(row["metadata"]) if row["metadata"] else {}}

    def thread(self, record: Interception) -> tuple[str | None, str | None, str]:
        """Parent, root and session of an interception."""
        row = self.row(record)
        return row["thread_parent_id"], row["thread_root_id"], row["session_id"]
