"""``python -m bench.retention --url URL``: the oldest tenth goes while a writer writes.

Takes a database that ``bench.fill`` has filled, and changes it. Two processes in one, as in life: one thread prunes
as the proxy does, its steps one after the other, another hands ten units every 20 ms to a writer on a connection of
its own and notes how long each batch takes to be stored.

Beside it, and by turns with it, the same rows go from a copy of the database by the plainest road, to measure by:
``DELETE`` by their ids from the same tables, 2,500 rows in a transaction, with nothing counted. On a machine that
others use too, what a step took by the clock says more of them than of us: its CPU time stands beside it. That of a
PostgreSQL server is in none of these.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import sqlite3
import statistics
import sys
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit, urlunsplit

from aitap.storage.commit import Commits
from aitap.storage.database import open_database, rows_of, transaction
from aitap.storage.fields import parse_timestamp
from aitap.storage.retention import prune_slices
from bench import machine
from bench.places import located
from bench.writer import units

if TYPE_CHECKING:
    from collections.abc import Iterator

    from peewee import Database

__all__ = ["measure"]

_PLAIN = 725
"""Interceptions that go at a time by the plain road: some 2,500 rows."""
_TABLES = ("interceptions", "token_usages", "user_prompts", "tool_usages", "model_thoughts")


class _Load:
    """A writer at work until told to stop; ``seconds`` is how long each of its batches took."""

    def __init__(self, url: str) -> None:
        self.seconds: list[float] = []
        self._url = url
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self._records = units(20_000, 99)

    def __enter__(self) -> _Load:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    def _run(self) -> None:
        database = open_database(self._url)
        commits = Commits(database, None)
        for begin in range(0, len(self._records), 10):
            if self._over.wait(0.02):
                break
            begun = time.perf_counter()
            commits.commit(self._records[begin : begin + 10])
            self.seconds.append(time.perf_counter() - begun)
        database.close()


class _Plain:
    """Deletes the oldest rows, and nothing else; counts what it took."""

    def __init__(self, database: Database) -> None:
        self.rows = 0
        self.cpu = 0.0
        self.steps: list[float] = []
        self._database = database

    def delete(self, count: int) -> None:
        """So many interceptions with all that is theirs."""
        begun, used = time.perf_counter(), time.thread_time()
        with transaction(self._database):
            sql = "SELECT id FROM aibridge_interceptions WHERE ended_at IS NOT NULL ORDER BY started_at LIMIT ?"
            ids = [row[0] for row in rows_of(self._database, sql, (count,))]
            those = f"({', '.join('?' * len(ids))})"
            for table in _TABLES:
                key = "id" if table == "interceptions" else "interception_id"
                sql = f"DELETE FROM aibridge_{table} WHERE {key} IN {those}"
                cursor = self._database.cursor()
                cursor.execute(sql.replace("?", self._database.param), ids)
                self.rows += cursor.rowcount
        self.steps.append(time.perf_counter() - begun)
        self.cpu += time.thread_time() - used


@contextlib.contextmanager
def _copied(url: str) -> Iterator[Database]:
    """A copy of a database, as long as the block lasts; nobody may be connected to it."""
    if url.startswith("sqlite:"):
        database: Any = open_database(url)
        name = f"{url.removeprefix('sqlite:///')}-plain"
        Path(name).touch()
        with contextlib.closing(sqlite3.connect(name)) as target:
            database.connection().backup(target)
        database.close()
        copy = f"sqlite:///{name}"
        try:
            with contextlib.closing(open_database(copy)) as database:
                yield database
        finally:
            for end in ("", "-wal", "-shm"):
                Path(name + end).unlink(missing_ok=True)
        return
    import psycopg  # noqa: PLC0415 - who measures SQLite need not have it

    parts = urlsplit(url)
    name = parts.path.strip("/")
    with psycopg.connect(urlunsplit(parts._replace(path="/postgres")), autocommit=True) as server:
        server.execute(f'DROP DATABASE IF EXISTS "{name}-plain"')
        server.execute(f'CREATE DATABASE "{name}-plain" TEMPLATE "{name}"')
        try:
            with contextlib.closing(open_database(urlunsplit(parts._replace(path=f"/{name}-plain")))) as database:
                yield database
        finally:
            server.execute(f'DROP DATABASE "{name}-plain"')


def measure(url: str, share: float) -> dict[str, Any]:
    """Prune the oldest ``share`` of all interceptions; what it took and what the writer noticed."""
    with _copied(url) as copy, contextlib.closing(open_database(url)) as database:
        return _measured(url, database, _Plain(copy), share)


def _measured(url: str, database: Database, plain: _Plain, share: float) -> dict[str, Any]:
    [(count,)] = rows_of(database, "SELECT count(*) FROM aibridge_interceptions")
    sql = "SELECT started_at FROM aibridge_interceptions ORDER BY started_at LIMIT 1 OFFSET ?"
    [(limit,)] = rows_of(database, sql, (int(count * share),))
    before = _rows(database)
    steps: list[float] = []
    steps_cpu: list[float] = []
    waiting = 0
    with _Load(url) as load:
        last, last_cpu = time.perf_counter(), time.thread_time()
        for removed in prune_slices(database, parse_timestamp(limit).timestamp()):
            steps.append(time.perf_counter() - last)
            steps_cpu.append(time.thread_time() - last_cpu)
            waiting += removed
            if waiting >= _PLAIN:
                plain.delete(waiting)
                waiting = 0
            # As long as the writer in the proxy has between two steps.
            time.sleep(0.002)
            last, last_cpu = time.perf_counter(), time.thread_time()
    plain.delete(waiting)
    added = 4 * 10 * len(load.seconds)
    gone = before + added - _rows(database)
    own, bare = sum(steps_cpu) / gone, plain.cpu / plain.rows
    return {
        "interceptions": int(count * share),
        "rows": gone,
        "rows_per_second_of_steps": round(gone / sum(steps)),
        "cpu_us_per_row": round(1e6 * own, 1),
        "steps": len(steps),
        "step_ms": _spread(steps),
        "step_cpu_ms": _spread(steps_cpu),
        "writer_ms": _spread(load.seconds),
        "plain_rows_per_second": round(plain.rows / sum(plain.steps)),
        "plain_cpu_us_per_row": round(1e6 * bare, 1),
        "plain_step_ms": _spread(plain.steps),
        "ratio": round(gone / sum(steps) / (plain.rows / sum(plain.steps)), 2),
        "cpu_ratio": round(bare / own, 2),
    }


def _rows(database: Database) -> int:
    return sum(int(rows_of(database, f"SELECT count(*) FROM aibridge_{name}")[0][0]) for name in _TABLES)


def _spread(seconds: list[float]) -> dict[str, float]:
    ordered = sorted(1000 * value for value in seconds)
    return {
        "median": round(statistics.median(ordered), 1),
        "p99": round(ordered[len(ordered) * 99 // 100], 1),
        "longest": round(ordered[-1], 1),
    }


def main() -> int:
    parser = argparse.ArgumentParser("python -m bench.retention", description=__doc__.partition("\n")[0])
    parser.add_argument("--url", required=True, help="as for bench.fill")
    parser.add_argument("--share", type=float, default=0.1, help="which part of all goes")
    parser.add_argument("-o", "--output", type=Path, help="where JSON goes")
    arguments = parser.parse_args()
    with located(arguments.url) as url:
        found = measure(url, arguments.share)
    about = machine.describe()
    print(f"{about['cpus']} CPUs ({about['processor']}), load average {about['load_average']}")
    for name, value in found.items():
        print(f"{name.replace('_', ' '):24}{value}")
    if arguments.output:
        arguments.output.write_text(json.dumps({"machine": about, **found}, indent=1) + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
