"""The plainest road into a database that there is, to measure others by: rows into four tables, a thousand at a time.

SQLite by ``executemany``, PostgreSQL by COPY, with the settings of the real ones. The tables have the columns of ours,
a primary key, and four indexes on the widest; nothing is looked up, counted or made sure of.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from aitap.storage.database import closed_database, rows_of
from aitap.storage.homes import home_of_database

if TYPE_CHECKING:
    from collections.abc import Sequence

    from peewee import Database

__all__ = ["TABLES", "store"]

TABLES = ("aibridge_interceptions", "aibridge_token_usages", "aibridge_user_prompts", "aibridge_tool_usages")
BATCH = 1000
_INDEXES = ("started_at, id", "initiator_id, started_at", "session_id, started_at", "model, started_at")

Batches = list[list[tuple[Any, ...]]]


def store(database: Database, ids: Sequence[str]) -> tuple[float, float]:
    """Store again what these interceptions have in the four tables; seconds, and seconds of CPU time, that it took."""
    columns, batches = {}, {}
    for table in TABLES:
        columns[table] = [column.name for column in database.get_columns(table)]
        batches[table] = [
            _read(database, table, columns[table], ids[at : at + BATCH]) for at in range(0, len(ids), BATCH)
        ]
    if database.param == "?":
        return _on_sqlite(database, columns, batches)
    return _on_postgres(database, columns, batches)


def _read(database: Database, table: str, columns: list[str], ids: Sequence[str]) -> list[tuple[Any, ...]]:
    key = "id" if table == TABLES[0] else "interception_id"
    those = ", ".join("?" * len(ids))
    return rows_of(database, f"SELECT {', '.join(columns)} FROM {table} WHERE {key} IN ({those}) ORDER BY id", ids)


def _on_sqlite(database: Database, columns: dict[str, list[str]], batches: dict[str, Batches]) -> tuple[float, float]:
    name = home_of_database(database).name + "-plain"
    open(name, "wb").close()  # noqa: PTH123 - a database is only opened where there is a file
    other = closed_database(f"sqlite:///{name}")
    other.connect()
    into = {}
    for table, names in columns.items():
        made = ", ".join(f"{column} TEXT PRIMARY KEY" if column == "id" else column for column in names)
        other.execute_sql(f"CREATE TABLE {table} ({made})")
        into[table] = f"INSERT INTO {table} VALUES ({', '.join('?' * len(names))})"
    for number, index in enumerate(_INDEXES):
        other.execute_sql(f"CREATE INDEX plain{number} ON {TABLES[0]} ({index})")
    connection: Any = other.connection()
    begun, used = time.perf_counter(), time.process_time()
    for at in range(len(batches[TABLES[0]])):
        connection.execute("BEGIN IMMEDIATE")
        for table in TABLES:
            connection.executemany(into[table], batches[table][at])
        connection.execute("COMMIT")
    taken = time.perf_counter() - begun, time.process_time() - used
    other.close()
    return taken


def _on_postgres(database: Database, columns: dict[str, list[str]], batches: dict[str, Batches]) -> tuple[float, float]:
    for table in TABLES:
        rows_of(database, f"DROP TABLE IF EXISTS plain_{table}")
        rows_of(database, f"CREATE TABLE plain_{table} (LIKE {table}, PRIMARY KEY (id))")
    for index in _INDEXES:
        rows_of(database, f"CREATE INDEX ON plain_{TABLES[0]} ({index})")
    connection: Any = database.connection()
    begun, used = time.perf_counter(), time.process_time()
    for at in range(len(batches[TABLES[0]])):
        with connection.transaction(), connection.cursor() as cursor:
            for table in TABLES:
                with cursor.copy(f"COPY plain_{table} ({', '.join(columns[table])}) FROM STDIN") as copy:
                    for row in batches[table][at]:
                        copy.write_row(row)
    taken = time.perf_counter() - begun, time.process_time() - used
    for table in TABLES:
        rows_of(database, f"DROP TABLE plain_{table}")
    return taken
