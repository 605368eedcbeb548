"""``python -m bench.fill --rows 1000000 --url URL``: a database full of made-up traffic, fast.

The first block of days is written by the very functions that the writer uses, so that sessions, hosts and sums
are what they would be. The rest are copies of it in SQL, moved in time, under ids of their own. The same rows
for the same numbers and the same seed.
"""

from __future__ import annotations

import argparse
import contextlib
import sys
import time
from typing import TYPE_CHECKING, Any, Protocol

from peewee import IntegerField, SqliteDatabase

from aitap.storage import daily, hosts, kinds, models, sessions
from aitap.storage.database import execute_many, open_database, rows_of, transaction
from aitap.storage.fields import Timestamp, Uuid, timestamp_text
from aitap.storage.statements import insert_records
from aitap.storage.usage_models import KEYS
from bench.places import located
from bench.traffic import DAY, Traffic, user_id

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from peewee import Database

    from aitap.record import Interception

__all__ = ["END", "fill", "write"]

END = 1_793_491_200.0
"""Where the newest day ends: 2026-11-01, midnight UTC."""
BLOCK = 100_000
BATCH = 2_000

_SAME = {"initiator_id"}
_CHOSEN_BY_CLIENTS = ("session_id", "client_session_id")
_TAGGED = ("provider_response_id", "provider_tool_call_id", "provider_request_id")
_COPIED = (
    models.Interception,
    models.TokenUsage,
    models.UserPrompt,
    models.ToolUsage,
    models.ModelThought,
    models.Session,
    models.SessionKind,
    models.KindDay,
    models.SessionDay,
    models.DailyUsage,
)


_COARSER = tuple(table for table in KEYS if table != "aitap_daily_usage")


def _summed(table: str) -> str:
    """The statement that makes coarser sums of days."""
    key = ", ".join(KEYS[table])
    days = key.replace("month", "substr(day, 1, 7)")
    sums = ", ".join(f"sum({name})" for name in daily.SUMS)
    return (
        f"INSERT INTO {table} ({key}, {', '.join(daily.SUMS)}) SELECT {days}, {sums} FROM aitap_daily_usage "
        f"GROUP BY {days}"
    )


def fill(url: str, rows: int, *, users: int, days: int, seed: int, say: Callable[[str], None]) -> int:
    """Fill a database, which is made where there is none; how many interceptions it has then."""
    blocks = max(1, round(rows / BLOCK))
    span = max(1, days // blocks)
    database = open_database(url, migrate=True)
    if rows_of(database, "SELECT 1 FROM aibridge_interceptions LIMIT 1"):
        raise SystemExit("bench: there are records already; take an empty database")
    # What is half filled is thrown away: nothing needs to be safe before the end.
    if isinstance(database, SqliteDatabase):
        settings = ("PRAGMA journal_mode = off", "PRAGMA synchronous = off", "PRAGMA cache_size = -262144")
    else:
        settings = ("SET statement_timeout = 0", "SET synchronous_commit = off", "SET maintenance_work_mem = '256MB'")
    for setting in settings:
        rows_of(database, setting)
    traffic = Traffic(begin=END - blocks * span * DAY, days=span, rows=rows // blocks, users=users, seed=seed)
    people = [(user_id(n), f"user{n:03}", timestamp_text(END - 400 * DAY)) for n in range(users)]
    with transaction(database):
        put = "INSERT INTO users (id, username, created_at, name, deleted) VALUES (?, ?, ?, '', ?)"
        execute_many(database, put, [(*person, False) for person in people])
    count = write(database, traffic.records())
    say(f"{count} interceptions written")
    if blocks > 1:
        _copy(database, blocks, span, say)
    _tidy(database)
    [(count,)] = rows_of(database, "SELECT count(*) FROM aibridge_interceptions")
    database.close()
    return int(count)


def write(database: Database, records: Iterable[Interception]) -> int:
    """Write records as the writer does, but for what it finds out of them: that is in them already."""
    count = 0
    known = kinds.Kinds(database)
    batch: list[Interception] = []

    def commit() -> None:
        with transaction(database):
            their_kinds = known.of(batch)
            insert_records(database, batch, None, their_kinds)
            for counter in (sessions, hosts, daily):
                counter.add_ended(database, batch)
            kinds.add_ended(database, batch, their_kinds)
        known.committed()

    for record in records:
        batch.append(record)
        if len(batch) == BATCH:
            commit()
            count += BATCH
            batch = []
    if batch:
        commit()
    return count + len(batch)


def _copy(database: Database, blocks: int, span: int, say: Callable[[str], None]) -> None:
    """Copies of what is there, each ``span`` days after the one before."""
    tables = [model._meta.table_name for model in _COPIED]
    move: _Move = _OnSqlite(database) if isinstance(database, SqliteDatabase) else _OnPostgres()
    for model in _COPIED:
        # In the order of time, so that indexes grow at their ends as they do in life.
        name = model._meta.table_name
        rows_of(database, f"CREATE TEMPORARY TABLE first_{name} AS SELECT {', '.join(move.kept(model))} FROM {name}")
    with _without_indexes(database, tables, say):
        for number in range(1, blocks):
            with transaction(database):
                for model in _COPIED:
                    table = model._meta.table_name
                    columns = [field.column_name for field in model._meta.sorted_fields]
                    values = [move.moved(field, number, number * span) for field in model._meta.sorted_fields]
                    copied = f"SELECT {', '.join(values)} FROM first_{table}"
                    rows_of(database, f"INSERT INTO {table} ({', '.join(columns)}) {copied}")
            if number % 10 == 0 or number == blocks - 1:
                say(f"{number + 1} of {blocks} blocks")
    for table in tables:
        rows_of(database, f"DROP TABLE first_{table}")
    with transaction(database):
        rows_of(database, f"UPDATE aitap_kinds SET interceptions = interceptions * {blocks}")
        for table in _COARSER:
            rows_of(database, f"DELETE FROM {table}")
            rows_of(database, _summed(table))
        rows_of(database, f"UPDATE aitap_hosts SET interceptions = interceptions * {blocks}")
    say("counted")


@contextlib.contextmanager
def _without_indexes(database: Database, tables: list[str], say: Callable[[str], None]) -> Iterator[None]:
    """Without those of their indexes that can be made at the end, each in one go: a quarter of the time."""
    those = ", ".join(f"'{table}'" for table in tables)
    if isinstance(database, SqliteDatabase):
        made = f"SELECT name, sql FROM sqlite_master WHERE type = 'index' AND sql IS NOT NULL AND tbl_name IN ({those})"
    else:
        made = (
            f"SELECT indexname, indexdef FROM pg_indexes WHERE tablename IN ({those}) AND schemaname = 'public' "
            "AND indexname NOT LIKE '%pkey'"
        )
    found = rows_of(database, made)
    for name, _ in found:
        rows_of(database, f'DROP INDEX "{name}"')
    yield
    for _, sql in found:
        rows_of(database, sql)
    say(f"{len(found)} indexes made")


class _Move(Protocol):
    """How a column's value becomes that of another block."""

    def kept(self, model: Any) -> list[str]:
        """What is kept of the first block's rows."""
        ...

    def moved(self, field: Any, number: int, days: int) -> str:
        """A column's value in the block of this number, so many days after the first."""
        ...


def _has_time(field: Any) -> bool:
    """Whether it is an id that begins with its time, or one of those that clients choose."""
    name = field.column_name
    return (isinstance(field, Uuid) and name not in _SAME) or name in _CHOSEN_BY_CLIENTS


class _OnSqlite:
    """Ids are taken apart once, for SQLite cannot read hexadecimal numbers."""

    def __init__(self, database: Any) -> None:
        connection = database.connection()
        connection.create_function("id_time", 1, lambda text: text and int(text[:8] + text[9:13], 16))

    def kept(self, model: Any) -> list[str]:
        found = []
        for field in model._meta.sorted_fields:
            name = field.column_name
            found.append(name)
            if _has_time(field):
                found += [f"id_time({name}) AS {name}_time", f"substr({name}, 14, 11) AS {name}_rest"]
        return found

    def moved(self, field: Any, number: int, days: int) -> str:
        name = field.column_name
        if isinstance(field, IntegerField) and name == "day":
            return f"{name} + {days}"
        if isinstance(field, Timestamp) or name == "day":
            return f"date(substr({name}, 1, 10), '+{days} days') || substr({name}, 11)"
        if _has_time(field):
            time_ = f"({name}_time + {days * 86_400_000})"
            parts = f"{time_} >> 16 & 4294967295, {time_} & 65535"
            text = f"printf('%08x-%04x%s{number:03x}%s', {parts}, {name}_rest, substr({name}, 28))"
            return f"iif({name} IS NULL, NULL, {text})"
        if name in _TAGGED:
            return f"substr({name}, 1, length({name}) - 3) || '{number:03x}'"
        return str(name)


class _OnPostgres:
    """Ids are taken apart once, and put together without a function of ours, each call of which would be a query."""

    def kept(self, model: Any) -> list[str]:
        found = []
        for field in model._meta.sorted_fields:
            name = field.column_name
            found.append(name)
            if _has_time(field):
                text = f"CAST({name} AS text)"
                time_ = f"('x' || substr({text}, 1, 8) || substr({text}, 10, 4))::bit(48)::bigint"
                found += [
                    f"{time_} AS {name}_time",
                    f"substr({text}, 14, 11) AS {name}_rest",
                    f"substr({text}, 28) AS {name}_end",
                ]
        return found

    def moved(self, field: Any, number: int, days: int) -> str:
        name = field.column_name
        if isinstance(field, Timestamp):
            return f"{name} + interval '{days} days'"
        if isinstance(field, IntegerField) and name == "day":
            return f"{name} + {days}"
        if name == "day":
            return f"CAST(CAST({name} AS date) + {days} AS text)"
        if _has_time(field):
            digits = f"lpad(to_hex(({name}_time + {days * 86_400_000}) & 281474976710655), 12, '0')"
            text = f"overlay({digits} placing '-' from 9 for 0) || {name}_rest || '{number:03x}' || {name}_end"
            return f"CAST({text} AS uuid)" if isinstance(field, Uuid) else text
        if name in _TAGGED:
            return f"substr({name}, 1, length({name}) - 3) || '{number:03x}'"
        return str(name)


def _tidy(database: Database) -> None:
    """What a database does by itself when it has a quiet hour."""
    if isinstance(database, SqliteDatabase):
        rows_of(database, "PRAGMA optimize")
        rows_of(database, "PRAGMA journal_mode = wal")
        return
    database.commit() if database.in_transaction() else None
    connection: Any = database.connection()
    connection.autocommit = True
    connection.execute("VACUUM ANALYZE")
    connection.execute("CHECKPOINT")


def main() -> int:
    parser = argparse.ArgumentParser("python -m bench.fill", description=__doc__.partition("\n")[0])
    parser.add_argument("--rows", type=int, required=True, help="how many interceptions, about")
    parser.add_argument("--url", required=True, help="sqlite:////file.db, postgresql://..., or postgres:///folder")
    parser.add_argument("--users", type=int, default=200)
    parser.add_argument("--days", type=int, default=365, help="how many days they spread over")
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    begun = time.monotonic()

    def say(what: str) -> None:
        print(f"{time.monotonic() - begun:6.0f} s  {what}", file=sys.stderr, flush=True)

    with located(arguments.url) as url:
        count = fill(url, arguments.rows, users=arguments.users, days=arguments.days, seed=arguments.seed, say=say)
    seconds = time.monotonic() - begun
    print(f"{count} interceptions in {seconds:.0f} s, {count / seconds:,.0f} a second")
    return 0


if __name__ == "__main__":
    sys.exit(main())
