"""``python -m bench.fill --rows 1000000 --url URL``: a database full of made-up traffic, fast.

The first block of days is written by the very functions that the writer uses, so that sessions, hosts and sums
are what they would be. The rest are copies of it in SQL, moved in time, under ids of their own. The same rows
for the same numbers and the same seed.
"""

from __future__ import annotations

import argparse
import sys
import time
from datetime import date, timedelta
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from peewee import SqliteDatabase

from aitap.storage import daily, hosts, kinds, models, sessions
from aitap.storage.database import execute_many, open_database, rows_of, transaction
from aitap.storage.fields import Timestamp, Uuid, timestamp_text
from aitap.storage.statements import insert_records
from bench.places import located
from bench.traffic import DAY, Traffic, user_id

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

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
    models.DailyUsage,
)


_KINDS, _SUMS = ", ".join(daily.KEY[1:]), ", ".join(daily.SUMS)
_MONTHS = (
    f"INSERT INTO aitap_monthly_usage (month, {_KINDS}, {_SUMS}) SELECT substr(day, 1, 7), {_KINDS}, "
    f"{', '.join(f'sum({name})' for name in daily.SUMS)} FROM aitap_daily_usage GROUP BY substr(day, 1, 7), {_KINDS}"
)
_OF_ALL = ", ".join(("day", *daily.KEY[2:]))
_TOTALS = (
    f"INSERT INTO aitap_daily_totals ({_OF_ALL}, {_SUMS}) SELECT {_OF_ALL}, "
    f"{', '.join(f'sum({name})' for name in daily.SUMS)} FROM aitap_daily_usage GROUP BY {_OF_ALL}"
)


def fill(url: str, rows: int, *, users: int, days: int, seed: int, say: Callable[[str], None]) -> int:
    """Fill a database, which is made where there is none; how many interceptions it has then."""
    blocks = max(1, round(rows / BLOCK))
    span = max(1, days // blocks)
    database = open_database(url, migrate=True)
    if rows_of(database, "SELECT 1 FROM aibridge_interceptions LIMIT 1"):
        raise SystemExit("bench: there are records already; take an empty database")
    if not isinstance(database, SqliteDatabase):
        rows_of(database, "SET statement_timeout = 0")
        rows_of(database, "SET synchronous_commit = off")
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
            kinds.add_ended(database, batch, their_kinds)
            for counter in (sessions, hosts, daily):
                counter.add_ended(database, batch)
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
    sqlite = isinstance(database, SqliteDatabase)
    for table in tables:
        # In the order of time, so that indexes grow at their ends as they do in life.
        rows_of(database, f"CREATE TEMPORARY TABLE first_{table} AS SELECT * FROM {table}")
    move = _on_sqlite(database) if sqlite else _on_postgres(database)
    for number in range(1, blocks):
        with transaction(database):
            for model in _COPIED:
                table = model._meta.table_name
                columns = [field.column_name for field in model._meta.sorted_fields]
                values = [move(field, number, number * span) for field in model._meta.sorted_fields]
                copied = f"SELECT {', '.join(values)} FROM first_{table}"
                rows_of(database, f"INSERT INTO {table} ({', '.join(columns)}) {copied}")
        if number % 10 == 0 or number == blocks - 1:
            say(f"{number + 1} of {blocks} blocks")
    for table in tables:
        rows_of(database, f"DROP TABLE first_{table}")
    with transaction(database):
        kinds.recount(database)
        rows_of(database, "DELETE FROM aitap_monthly_usage")
        rows_of(database, _MONTHS)
        rows_of(database, "DELETE FROM aitap_daily_totals")
        rows_of(database, _TOTALS)
        rows_of(database, f"UPDATE aitap_hosts SET interceptions = interceptions * {blocks}")


def _on_sqlite(database: Any) -> Callable[[Any, int, int], str]:
    @lru_cache(maxsize=4096)
    def day_text(day: str, days: int) -> str:
        return (date.fromisoformat(day) + timedelta(days=days)).isoformat()

    def moment(text: str | None, days: int) -> str | None:
        return text and day_text(text[:10], days) + text[10:]

    def moved(text: str | None, days: int, number: int) -> str | None:
        if text is None:
            return None
        at = int(text[:8] + text[9:13], 16) + days * 86_400_000 & 0xFFFF_FFFF_FFFF
        return f"{at >> 16:08x}-{at & 0xFFFF:04x}{text[13:33]}{number:03x}"

    connection = database.connection()
    connection.create_function("moment", 2, moment, deterministic=True)
    connection.create_function("moved", 3, moved, deterministic=True)

    def move(field: Any, number: int, days: int) -> str:
        name = field.column_name
        if isinstance(field, Timestamp) or name == "day":
            return f"moment({name}, {days})"
        if (isinstance(field, Uuid) and name not in _SAME) or name in _CHOSEN_BY_CLIENTS:
            return f"moved({name}, {days}, {number})"
        if name in _TAGGED:
            return f"substr({name}, 1, length({name}) - 3) || '{number:03x}'"
        return str(name)

    return move


def _on_postgres(database: Database) -> Callable[[Any, int, int], str]:
    database.execute_sql(
        "CREATE FUNCTION pg_temp.moved(text, bigint, text) RETURNS text LANGUAGE sql IMMUTABLE AS $$ SELECT "
        "substr(h, 1, 8) || '-' || substr(h, 9, 4) || substr($1, 14, 20) || $3 FROM (SELECT lpad(to_hex((('x' || "
        "substr($1, 1, 8) || substr($1, 10, 4))::bit(48)::bigint + $2 * 86400000) & 281474976710655), 12, '0') AS h) "
        "AS found $$"
    )

    def move(field: Any, number: int, days: int) -> str:
        name = field.column_name
        if isinstance(field, Timestamp):
            return f"{name} + interval '{days} days'"
        if name == "day":
            return f"CAST(CAST({name} AS date) + {days} AS text)"
        if isinstance(field, Uuid) and name not in _SAME:
            return f"CAST(pg_temp.moved(CAST({name} AS text), {days}, '{number:03x}') AS uuid)"
        if name in _CHOSEN_BY_CLIENTS:
            return f"pg_temp.moved({name}, {days}, '{number:03x}')"
        if name in _TAGGED:
            return f"substr({name}, 1, length({name}) - 3) || '{number:03x}'"
        return str(name)

    return move


def _tidy(database: Database) -> None:
    """What a database does by itself when it has a quiet hour."""
    if isinstance(database, SqliteDatabase):
        rows_of(database, "PRAGMA optimize")
        rows_of(database, "PRAGMA wal_checkpoint(TRUNCATE)")
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
