"""``python -m bench.writer --url URL``: how many four-table units a second the writer stores, alone.

A unit is an interception with a token usage, a prompt and a tool call, of ``bench.traffic``. Units are made
beforehand; then they are handed to the writer as fast as it takes them. CPU time is that of the whole process:
with SQLite nothing is left out, with PostgreSQL the server's comes on top.

Each round is followed by a plain one (:mod:`bench.plain`): the very rows that the writer stored, in four tables of
which nobody asks anything. What counts is the ratio of the two; a machine's pace is in both.
"""

from __future__ import annotations

import argparse
import gc
import itertools
import json
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from aitap.record import Interception, TokenUsage, ToolUsage, UserPrompt, new_id
from aitap.storage.database import open_database, rows_of
from aitap.storage.writer import Writer
from bench import machine, plain
from bench.fill import END
from bench.places import located
from bench.traffic import DAY, Traffic

if TYPE_CHECKING:
    from peewee import Database

__all__ = ["run", "units"]


def units(count: int, seed: int) -> list[Interception]:
    """So many interceptions, each with one row in three tables beside its own, under new ids."""
    traffic = Traffic(begin=END - 7 * DAY, days=7, rows=2 * count, users=200, seed=seed)
    found = []
    for record in itertools.islice((r for r in traffic.records() if r.token_usages), count):
        record.model_thoughts = []
        response, at = record.token_usages[0].provider_response_id, record.started_at
        if not record.user_prompts:
            record.user_prompts = [UserPrompt(provider_response_id=response, prompt="go on", created_at=at)]
        if not record.tool_usages:
            record.tool_usages = [
                ToolUsage(provider_response_id=response, tool="Read", input='{"path": "a.py"}', created_at=at)
            ]
        del record.tool_usages[1:]
        record.id = new_id()
        record.thread_parent_id = record.thread_root_id = None
        children: list[TokenUsage | UserPrompt | ToolUsage] = [*record.token_usages, *record.user_prompts]
        for child in (*children, *record.tool_usages):
            child.id = new_id()
        found.append(record)
    return found


def run(url: str, count: int, seed: int) -> dict[str, Any]:
    """Store so many units; what it took."""
    records = units(count, seed)
    database = open_database(url, migrate=True)
    before = _rows(database)
    writer = Writer(database, queue_limit=count + 1, queue_bytes=1 << 40)
    writer.start()
    if not writer.flush(60):
        raise SystemExit("bench: the writer does not start")
    gc.collect()
    gc.freeze()  # what was made beforehand is not to be looked through again and again
    begun, used = time.perf_counter(), time.process_time()
    for record in records:
        writer.submit(record)
    if not writer.flush(600):
        raise SystemExit("bench: the writer did not get done in ten minutes")
    seconds, cpu = time.perf_counter() - begun, time.process_time() - used
    writer.close()
    stored = _rows(database) - before
    if stored != 4 * len(records):
        raise SystemExit(f"bench: {4 * len(records)} rows were handed over, {stored} are stored")
    plain_seconds, plain_cpu = plain.store(database, [record.id for record in records])
    database.close()
    gc.unfreeze()
    return {
        "units": len(records),
        "units_per_second": round(len(records) / seconds),
        "rows_per_second": round(stored / seconds),
        "cpu_us_per_unit": round(cpu * 1e6 / len(records), 1),
        "plain_units_per_second": round(len(records) / plain_seconds),
        "plain_rows_per_second": round(stored / plain_seconds),
        "plain_cpu_us_per_unit": round(plain_cpu * 1e6 / len(records), 1),
        "ratio": round(plain_seconds / seconds, 3),
        "cpu_ratio": round(plain_cpu / cpu, 3),
    }


def _rows(database: Database) -> int:
    return sum(int(rows_of(database, f"SELECT count(*) FROM {table}")[0][0]) for table in plain.TABLES)


def main() -> int:
    parser = argparse.ArgumentParser("python -m bench.writer", description=__doc__.partition("\n")[0])
    parser.add_argument("--url", help="as for bench.fill; the default is a new SQLite file for each round")
    parser.add_argument("--units", type=int, default=50_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("-o", "--output", type=Path, help="where JSON goes")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, located(arguments.url or f"sqlite:///{folder}/{{}}.db") as url:
        found = [run(url.replace("{}", str(seed)), arguments.units, seed) for seed in range(arguments.rounds)]
    about = machine.describe()
    print(f"{about['cpus']} CPUs ({about['processor']}), load average {about['load_average']}")
    for result in found:
        print(", ".join(f"{name.replace('_', ' ')} {value:,}" for name, value in result.items()))
    units_, rows, ratio, cpu = (
        statistics.median(result[name] for result in found)
        for name in ("units_per_second", "rows_per_second", "ratio", "cpu_ratio")
    )
    print(f"median: {units_:,.0f} units, {rows:,.0f} rows a second; {ratio:.2f} of plain ({cpu:.2f} by CPU time)")
    if arguments.output:
        text = json.dumps({"machine": about, "rounds": found}, indent=1)
        arguments.output.write_text(text + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
