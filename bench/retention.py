"""``python -m bench.retention --url URL``: the oldest tenth goes while a writer writes.

Takes a database that ``bench.fill`` has filled, and changes it. Two processes in one, as in life: one thread prunes
as the proxy does, its steps one after the other, another hands ten units every 20 ms to a writer on a connection of
its own and notes how long each batch takes to be stored.

Then as many go by the plainest road, to measure by: ``DELETE`` by their ids from the same tables, 2,500 rows in a
transaction, while nobody writes. What is counted of them is left wrong, so the database is of no use for anything else
afterwards. On a machine that others use too, what a step took by the clock says
more of them than of us: its CPU time stands beside it. That of a PostgreSQL server is in none of these.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from aitap.storage.commit import Commits
from aitap.storage.database import open_database, rows_of, transaction
from aitap.storage.fields import parse_timestamp
from aitap.storage.retention import prune_slices
from bench import machine
from bench.places import located
from bench.writer import units

if TYPE_CHECKING:
    from peewee import Database

__all__ = ["measure"]

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


def measure(url: str, share: float) -> dict[str, Any]:
    """Prune the oldest ``share`` of all interceptions; what it took and what the writer noticed."""
    database = open_database(url)
    [(count,)] = rows_of(database, "SELECT count(*) FROM aibridge_interceptions")
    sql = "SELECT started_at FROM aibridge_interceptions ORDER BY started_at LIMIT 1 OFFSET ?"
    [(limit,)] = rows_of(database, sql, (int(count * share),))
    before = _rows(database)
    steps: list[float] = []
    used = 0.0
    steps_cpu: list[float] = []
    with _Load(url) as load:
        begun = last = time.perf_counter()
        cpu = last_cpu = time.thread_time()
        for _ in prune_slices(database, parse_timestamp(limit).timestamp()):
            steps.append(time.perf_counter() - last)
            steps_cpu.append(time.thread_time() - last_cpu)
            # As long as the writer in the proxy has between two steps.
            time.sleep(0.001)
            last, last_cpu = time.perf_counter(), time.thread_time()
        seconds = time.perf_counter() - begun
        used = time.thread_time() - cpu
    added = 4 * 10 * len(load.seconds)
    gone = before + added - _rows(database)
    plain = _plain(database, int(count * share))
    database.close()
    return {
        "interceptions": int(count * share),
        "rows": gone,
        "seconds": round(seconds, 1),
        "rows_per_second": round(gone / seconds),
        "rows_per_second_of_steps": round(gone / sum(steps)),
        "cpu_us_per_row": round(1e6 * used / gone, 1),
        "steps": len(steps),
        "step_ms": _spread(steps),
        "step_cpu_ms": _spread(steps_cpu),
        "writer_ms": _spread(load.seconds),
        **plain,
    }


def _plain(database: Database, count: int) -> dict[str, Any]:
    """Delete as many again, the oldest that are left, and nothing else."""
    steps: list[float] = []
    rows = 0
    cpu = time.thread_time()
    while count > 0:
        begun = time.perf_counter()
        with transaction(database):
            sql = "SELECT id FROM aibridge_interceptions WHERE ended_at IS NOT NULL ORDER BY started_at LIMIT ?"
            # Some 2,500 rows with those of the four other tables.
            ids = [row[0] for row in rows_of(database, sql, (min(count, 725),))]
            those = f"({', '.join('?' * len(ids))})"
            for table in _TABLES:
                key = "id" if table == "interceptions" else "interception_id"
                cursor = database.cursor()
                cursor.execute(f"DELETE FROM aibridge_{table} WHERE {key} IN {those}".replace("?", database.param), ids)
                rows += cursor.rowcount
        steps.append(time.perf_counter() - begun)
        count -= len(ids)
        if not ids:
            break
    used = time.thread_time() - cpu
    return {
        "plain_rows": rows,
        "plain_rows_per_second": round(rows / sum(steps)),
        "plain_cpu_us_per_row": round(1e6 * used / rows, 1),
        "plain_step_ms": _spread(steps),
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
