"""``python -m bench.queries --url URL``: how long each question takes that command line, API and pages ask.

Takes a database that ``bench.fill`` has filled. Each question is asked with several filters, each of them a few
times in turns; what is told is the median over all, and the slowest filter's median.
"""

from __future__ import annotations

import argparse
import itertools
import json
import statistics
import sys
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING, Any

import msgspec
from peewee import SqliteDatabase

from aitap.access.identity import local_user
from aitap.storage import queries, search
from aitap.storage.database import open_database, rows_of
from aitap.storage.hosts import list_hosts
from aitap.storage.queries import Filter
from aitap.storage.session_page import find_sessions, session_token_usages, thread_page
from aitap.storage.usage import usage
from bench import machine
from bench.fill import END
from bench.places import located
from bench.traffic import MODELS, user_id

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from peewee import Database

__all__ = ["measure", "questions"]

NOW = datetime.fromtimestamp(END, UTC)
Question = tuple[str, str, "Callable[[], Any]"]
"""What is asked, with which filter, and how."""


def _filters(dice: Random) -> dict[str, list[Filter]]:
    """Filters by their kind: each key alone, pairs, and what finds nothing or hardly anything."""
    users = [user_id(number) for number in (0, 3, 40, 199)]
    clients = ("Claude Code", "Codex", "Zed", "Unknown", "Kilo Code")
    names = sorted({model.provider_name for model in MODELS})
    # Each kind of model by its place in the table: the last are rare.
    models = [MODELS[place].name for place in (0, 5, 12, 13, 14)]
    times = [
        {"started_after": NOW - timedelta(days=1)},
        {"started_after": NOW - timedelta(days=30, hours=5)},
        {"started_before": NOW - timedelta(days=180, hours=7)},
        {"started_after": NOW - timedelta(days=200, hours=3), "started_before": NOW - timedelta(days=199)},
    ]
    alone: dict[str, list[dict[str, Any]]] = {
        "user": [{"initiator_id": user} for user in users],
        "model": [{"model": model} for model in models],
        "client": [{"client": client} for client in clients],
        "provider": [{"provider": name} for name in ("anthropic", "copilot", "google")],
        "provider name": [{"provider_name": name} for name in names],
        "time": times,
    }
    found = {kind: [Filter(**values, ended=True) for values in group] for kind, group in alone.items()}
    found["none"] = [Filter(ended=True)]
    pairs = list(itertools.combinations(alone, 2))
    found["pairs"] = [
        Filter(**(dice.choice(alone[one]) | dice.choice(alone[other])), ended=True)
        for one, other in (dice.choice(pairs) for _ in range(40))
    ]
    found["finds nothing"] = [
        Filter(model="no-such-model", ended=True),
        Filter(initiator_id=user_id(100_000), ended=True),
        Filter(initiator_id=users[0], client="Kilo Code", model=MODELS[-1].name, ended=True),
        Filter(started_after=NOW + timedelta(days=3), ended=True),
        Filter(model=MODELS[0].name, client="Codex", ended=True),
        Filter(provider="google", client="Codex", started_before=NOW - timedelta(days=100), ended=True),
    ]
    return found


def questions(database: Database) -> Iterator[Question]:
    """All that is asked."""
    dice = Random(5)
    filters = _filters(dice)
    some = queries.list_interceptions(database, Filter(started_before=NOW - timedelta(days=170)), limit=1)
    middle = some[0]["id"] if some else None
    for kind, group in filters.items():
        for number, wanted in enumerate(group):
            name = f"{kind} {number}"
            yield "interceptions: page", name, _asking(queries.list_interceptions, database, wanted, limit=100)
            yield "interceptions: count", name, _asking(queries.count_interceptions, database, wanted)
            yield "sessions: page", name, _asking(queries.list_sessions, database, wanted, limit=100)
            yield "sessions: count", name, _asking(queries.count_sessions, database, wanted)
            yield "models", name, _asking(queries.distinct_models, database, wanted)
            yield "clients", name, _asking(queries.distinct_clients, database, wanted)
            yield "providers", name, _asking(queries.distinct_providers, database, wanted)
            yield "usage: total", name, _asking(usage, database, wanted, ())
    everything = Filter(ended=True)
    if middle is not None:
        go_on = {"limit": 100, "after_id": middle}
        yield (
            "interceptions: page after the middle",
            "none",
            _asking(queries.list_interceptions, database, everything, **go_on),
        )
        for wanted in filters["model"]:
            yield (
                "interceptions: page after the middle",
                "model",
                _asking(queries.list_interceptions, database, wanted, **go_on),
            )
        yield "interceptions: one by its id", "", _asking(queries.get_interception, database, middle)
        yield "interceptions: one by its end", "", _asking(queries.get_interception, database, middle[-12:])
    yield (
        "interceptions: offset 10,000",
        "none",
        _asking(queries.list_interceptions, database, everything, limit=100, offset=10_000),
    )
    yield from _of_sessions(database)
    year = Filter(started_after=NOW - timedelta(days=365), started_before=NOW)
    month = Filter(started_after=NOW - timedelta(days=30), started_before=NOW)
    yield "usage: a year by day", "", _asking(usage, database, year, ("day",))
    yield "usage: a year by month and user", "", _asking(usage, database, year, ("month", "user"))
    yield "usage: a year by day and model", "", _asking(usage, database, year, ("day", "model"))
    yield "usage: 30 days by user, model", "", _asking(usage, database, month, ("user", "model"))
    for name in ("user", "model", "client"):
        yield "overview: sums", name, _asking(usage, database, month, (name,))
    yield "overview: sums", "day", _asking(usage, database, month, ("day",))
    yield "hosts", "", _asking(list_hosts, database, Filter())
    for text in (
        'model:claude-opus-4-8 client:"Claude Code"',
        "initiator:user003 provider:openai",
        f'started_after:"{(NOW - timedelta(days=7)).isoformat()}" model:kimi-k2.5',
        "initiator:user199 client:Zed model:gpt-5.2-mini",
    ):
        yield "q: page and count", text, lambda text=text: _searched(database, text)


def _asking(ask: Any, *values: Any, **named: Any) -> Callable[[], Any]:
    return lambda: ask(*values, **named)


def _of_sessions(database: Database) -> Iterator[Question]:
    key = "session_id, CAST(initiator_id AS TEXT)"
    longest = rows_of(database, f"SELECT {key} FROM aitap_sessions ORDER BY interceptions DESC LIMIT 1")
    for session_id, owner in longest:
        yield "session: page of the longest", "", _asking(_session_page, database, session_id, owner)
        yield "session: whole, the longest", "", _asking(queries.get_session, database, session_id)


def _session_page(database: Database, session_id: str, owner: str) -> Any:
    [found] = find_sessions(database, session_id, owner)
    session_token_usages(database, found)
    return thread_page(database, found, limit=50)


def _searched(database: Database, text: str) -> Any:
    found = search.filter_from(search.terms(text, "interceptions"), database=database, me=local_user)
    found = msgspec.structs.replace(found, ended=True)
    return (
        queries.list_interceptions(database, found, limit=100),
        queries.count_interceptions(database, found),
    )


def measure(asked: list[Question], rounds: int, seconds: float) -> list[dict[str, Any]]:
    """The median times, in milliseconds; a question whose first answer takes longer is not asked again.

    ``cpu_ms`` is this process's time alone: all there is to it with SQLite, whoever else is busy on the machine.
    """
    times: list[list[tuple[float, float]]] = [[] for _ in asked]
    for round_ in range(rounds):
        for (_, _, ask), taken in zip(asked, times, strict=True):
            if round_ and taken[0][0] > seconds:
                continue
            begun, used = time.perf_counter(), time.process_time()
            ask()
            taken.append((time.perf_counter() - begun, time.process_time() - used))
    # The first time is that of a cold cache.
    medians = [
        [1000 * statistics.median(column) for column in zip(*(taken[1:] or taken), strict=True)] for taken in times
    ]
    groups: dict[str, list[int]] = {}
    for place, (name, _, _) in enumerate(asked):
        groups.setdefault(name, []).append(place)
    found = []
    for name, places in groups.items():
        row: dict[str, Any] = {"question": name, "filters": len(places)}
        for column, unit in enumerate(("ms", "cpu_ms")):
            slowest = max(places, key=lambda place: medians[place][column])
            row[f"median_{unit}"] = round(statistics.median(medians[place][column] for place in places), 2)
            row[f"slowest_{unit}"] = round(medians[slowest][column], 2)
            row["slowest"] = asked[slowest][1]
        found.append(row | {"first_ms": round(1000 * max(times[place][0][0] for place in places), 2)})
    return found


def _table(found: list[dict[str, Any]], bound: float) -> str:
    columns = ("median_ms", "slowest_ms", "median_cpu_ms", "slowest_cpu_ms")
    titles = ("median ms", "slowest", "CPU ms", "slowest")
    lines = [f"{'question':38}{'filters':>8}" + "".join(f"{title:>11}" for title in titles) + "  slowest filter"]
    for row in found:
        mark = " !" if row["slowest_ms"] > bound else ""
        numbers = "".join(f"{row[column]:>11.2f}" for column in columns)
        lines.append(f"{row['question']:38}{row['filters']:>8}{numbers}  {row['slowest']}{mark}")
    return "\n".join(lines)


def _size(database: Database) -> int:
    if isinstance(database, SqliteDatabase):
        pages, size = (rows_of(database, f"PRAGMA {name}")[0][0] for name in ("page_count", "page_size"))
        return int(pages * size)
    return int(rows_of(database, "SELECT pg_database_size(current_database())")[0][0])


def main() -> int:
    parser = argparse.ArgumentParser("python -m bench.queries", description=__doc__.partition("\n")[0])
    parser.add_argument("--url", required=True, help="sqlite:////file.db, postgresql://..., or postgres:///folder")
    parser.add_argument("--rounds", type=int, default=4, help="how often each is asked (the first does not count)")
    parser.add_argument("--only", default="", metavar="TEXT", help="only questions with this in their name")
    parser.add_argument("--bound", type=float, default=50.0, help="milliseconds above which a line is marked")
    parser.add_argument("--patience", type=float, default=2.0, help="seconds above which a question is asked but once")
    parser.add_argument("-o", "--output", type=Path, help="where JSON goes")
    arguments = parser.parse_args()
    with located(arguments.url) as url:
        database = open_database(url, read_only=True)
        asked = [question for question in questions(database) if arguments.only in question[0]]
        found = measure(asked, max(1, arguments.rounds), arguments.patience)
        rows = int(rows_of(database, "SELECT count(*) FROM aibridge_interceptions")[0][0])
        size = _size(database)
        kind = type(database).__name__.strip("_").removesuffix("Database")
        database.close()
    about = machine.describe()
    print(f"{kind}, {rows:,} interceptions, {size / max(1, rows):,.0f} bytes each with all that belongs to them")
    print(f"{about['cpus']} CPUs ({about['processor']}), load average {about['load_average']}\n")
    print(_table(found, arguments.bound))
    if arguments.output:
        result = {"machine": about, "database": kind, "interceptions": rows, "bytes": size, "questions": found}
        arguments.output.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
