"""Everybody who reads records, on those that came of the attack: commands, exports, the REST API and the pages.

A reader must give all of it: no traceback, no answer of 500, JSON that is JSON, and as many records as there are.
"""

from __future__ import annotations

import csv
import json
import sys
import tempfile
import traceback
from pathlib import Path
from typing import TYPE_CHECKING, Any
from unittest import mock
from urllib.parse import quote, urlencode

import click
from click import testing

from aitap.export.cli import main
from aitap.storage.database import open_database, rows_of
from tests.server.site import LISTS, Site, served

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["misread"]

_LISTS = ("interceptions", "sessions", "models", "clients", "providers", "usage")
_PAGES = ("/", "/sessions", "/usage", "/hosts", "/audit")
_COMMANDS = (
    *(("interceptions", "list"), ("sessions", "list"), ("usage",), ("usage", "--unpriced"), ("usage", "--csv")),
    *(("models",), ("clients",), ("providers",), ("hosts", "list"), ("db", "check"), ("reprice", "--dry-run")),
)


def misread(url: str, most: int = 60) -> list[str]:
    """What readers of this database do wrong; so many interceptions and sessions are looked at one by one."""
    database = open_database(url, read_only=True)
    try:
        longest = rows_of(
            database,
            "SELECT id, session_id FROM aibridge_interceptions WHERE ended_at IS NOT NULL "
            f"ORDER BY response_bytes DESC, id LIMIT {most // 2}",
        )
        newest = rows_of(
            database,
            "SELECT id, session_id FROM aibridge_interceptions WHERE ended_at IS NOT NULL "
            f"ORDER BY id DESC LIMIT {most // 2}",
        )
        [(count,)] = rows_of(database, "SELECT count(*) FROM aibridge_interceptions WHERE ended_at IS NOT NULL")
    finally:
        database.close()
    ids = list(dict.fromkeys(str(own_id) for own_id, _ in (*longest, *newest)))
    sessions = list(dict.fromkeys(session for _, session in (*longest, *newest)))
    with tempfile.TemporaryDirectory(prefix="aitap-fuzz-") as folder:
        found = [*_commands(url, ids, sessions), *_exports(url, Path(folder), int(count))]
        with served(url, Path(folder)) as site:
            found += [*_answers(site, ids, sessions)]
    return found


def _run(url: str, *words: str) -> tuple[str, Iterator[str]]:
    """What a command says in a pipe, and what is wrong with that, or with the same on a terminal."""
    wrong: list[str] = []
    with mock.patch.object(testing._NamedTextIOWrapper, "isatty", return_value=True):
        wrong += _wrong(url, words)[1]
    text, found = _wrong(url, words)
    return text, iter([*wrong, *found])


def _wrong(url: str, words: tuple[str, ...]) -> tuple[str, list[str]]:
    result = testing.CliRunner().invoke(main, ["--database-url", url, *words], env={"COLUMNS": "200"})
    shown = f"aitap {' '.join(words)[:120]}"
    wrong = []
    if result.exception is not None and not isinstance(result.exception, SystemExit | click.exceptions.Exit):
        error = result.exception
        [*_, last] = traceback.extract_tb(error.__traceback__)
        wrong.append(f"{shown}: {error!r:.300} at {last.filename}:{last.lineno}")
    elif result.exit_code:
        wrong.append(f"{shown}: status {result.exit_code}, {result.output[-300:]}")
    return result.stdout, wrong


def _commands(url: str, ids: list[str], sessions: list[str]) -> Iterator[str]:
    for words in _COMMANDS:
        yield from _run(url, *words)[1]
    for own_id in ids:
        text, wrong = _run(url, "interceptions", "show", own_id)
        yield from wrong
        yield from _no_json("interceptions show", text)
    for session in sessions:
        if session and not session.startswith("-"):
            yield from _run(url, "sessions", "show", session)[1]


def _exports(url: str, folder: Path, count: int) -> Iterator[str]:
    for kind in ("jsonl", "csv", "parquet", "json"):
        target = folder / f"all.{kind}"
        more = () if kind == "csv" else ("--contents",)
        yield from _wrong(url, ("export", "interceptions", "--format", kind, *more, "-o", str(target)))[1]
        if target.exists() and (got := _counted(target)) != count:
            yield f"{got} of {count} records in the {kind}"
    yield from _wrong(url, ("export", "sessions", "-o", str(folder / "sessions.jsonl")))[1]


def _counted(file: Path) -> int | str:
    try:
        match file.suffix:
            case ".jsonl":
                with file.open("rb") as lines:
                    return sum(1 for line in lines if json.loads(line))
            case ".json":
                return len(json.loads(file.read_bytes()))
            case ".csv":
                csv.field_size_limit(sys.maxsize)
                with file.open(newline="", encoding="utf-8") as rows:
                    return sum(1 for _ in csv.reader(rows)) - 1
            case _:
                import pyarrow.parquet as pq  # noqa: PLC0415 - takes its time

                return int(pq.read_table(file).num_rows)
    except Exception as error:  # noqa: BLE001 - this is what is looked for
        return f"{error!r:.200}"


def _answers(site: Site, ids: list[str], sessions: list[str]) -> Iterator[str]:
    for what in _LISTS:
        yield from _answered(site, f"{LISTS}/{what}", is_json=True)
    for page in _PAGES:
        yield from _answered(site, page)
    for own_id in ids:
        yield from _answered(site, f"/interception/{own_id}")
    for session in sessions:
        yield from _answered(site, f"{LISTS}/sessions/{quote(session, safe='')}", is_json=True)
        yield from _answered(site, f"/session?{urlencode({'id': session})}")


def _answered(site: Site, path: str, *, is_json: bool = False) -> Iterator[str]:
    reply = site.get(path)
    if reply.status != 200:
        yield f"GET {path[:160]}: {reply.status}, {reply.data[:300]!r}"
    elif is_json:
        yield from _no_json(path[:160], reply.data.decode())


def _no_json(what: str, text: str) -> Iterator[str]:
    def strange(constant: str) -> Any:
        raise ValueError(constant)

    try:
        json.loads(text, parse_constant=strange)
    except ValueError as error:
        yield f"{what}: no JSON: {error!r:.200}"
