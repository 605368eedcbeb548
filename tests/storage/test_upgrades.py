"""A database of any version there ever was comes up to this one, with all that was in it."""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import Any

import pytest
from peewee import Database
from playhouse.migrations import Runner

from aitap.storage import database as opening
from aitap.storage import queries
from aitap.storage.checks import findings
from aitap.storage.database import migration_status, open_database, rows_of
from aitap.storage.homes.sqlite import SqliteHome
from aitap.storage.usage_models import KEYS
from tests import postgres
from tests.storage.old import FOLDER, LEDGER, names, older

DUMPS = sorted(file.stem for file in FOLDER.glob("*.sql"))
Contents = dict[str, tuple[list[str], list[tuple[Any, ...]]]]


def contents(database: Database) -> Contents:
    """Columns and rows of every table but the ledger."""
    found: Contents = {}
    for table in sorted(set(database.get_tables()) - {LEDGER}):
        columns = [column.name for column in database.get_columns(table)]
        found[table] = columns, sorted(rows_of(database, f"SELECT {', '.join(columns)} FROM {table}"), key=repr)
    return found


def loaded(tmp_path: Path, name: str) -> str:
    """The URL of a file made from a dump."""
    connection = sqlite3.connect(tmp_path / "old.db")
    connection.executescript((FOLDER / f"{name}.sql").read_text("utf-8"))
    connection.close()
    return f"sqlite:///{tmp_path}/old.db"


def check(url: str, before: Contents) -> None:
    database = open_database(url, migrate=True)
    assert all(at for _, at in migration_status(database))
    for table, (columns, rows) in before.items():
        if table == "aitap_changes":
            continue  # a migration may count what it changes
        after = sorted(rows_of(database, f"SELECT {', '.join(columns)} FROM {table}"), key=repr)
        assert after == rows, table
    # Rows of old dumps are made up one by one: what their sums say is not what their interceptions come to.
    assert all(problem.table for problem in findings(database))
    listed = queries.list_interceptions(database, queries.Filter(), limit=10)
    assert len(listed) == 3
    models = {record["model"] for record in listed}
    assert set(queries.distinct_models(database, queries.Filter())) == models
    for model in models:
        found = queries.list_interceptions(database, queries.Filter(model=model), limit=10)
        assert found == [record for record in listed if record["model"] == model]
    assert {record["id"] for record in queries.list_sessions(database, queries.Filter(), limit=10)} == {
        "session 0",
        "session 1",
    }
    database.close()


def test_every_version_up_to_the_eighth_is_kept() -> None:
    """Those that follow: ``python -m tests.storage.old`` when they are released."""
    assert names()[: len(DUMPS)] == DUMPS
    assert len(DUMPS) >= 8


@pytest.mark.parametrize("name", DUMPS)
def test_a_file_of_an_older_version_keeps_what_it_holds(tmp_path: Path, name: str) -> None:
    url = loaded(tmp_path, name)
    database = SqliteHome(tmp_path / "old.db").connect(read_only=False)
    before = contents(database)
    database.close()
    check(url, before)
    if name != names()[-1]:
        # And so does the copy that was made beside it.
        [copy] = tmp_path.glob("old.db.before-*")
        old = SqliteHome(copy).connect(read_only=True)
        assert contents(old) == before
        old.close()


@pytest.mark.parametrize("name", [DUMPS[0], DUMPS[4], DUMPS[-1]])
def test_a_postgresql_of_an_older_version_keeps_what_it_holds(name: str) -> None:
    url = postgres.fresh(empty=True)
    database = older(url, name)
    before = contents(database)
    database.close()
    try:
        check(url, before)
    finally:
        postgres.drop(url)


def test_a_version_without_some_counts_has_them_afterwards(tmp_path: Path) -> None:
    """What lists are filtered by, and the days of all users, are made of what was recorded before."""
    database = open_database(loaded(tmp_path, "0006_audit"), migrate=True)
    assert queries.count_interceptions(database, queries.Filter(ended=True)) == 3
    assert queries.count_sessions(database, queries.Filter(model="model 0")) == 1
    total = "SELECT sum(interceptions), sum(cost_micros) FROM {}"
    for table in KEYS:
        assert rows_of(database, total.format(table)) == rows_of(database, total.format("aitap_daily_usage")), table
    assert rows_of(database, "SELECT DISTINCT pinned FROM aitap_sessions") == [(0,)]
    database.close()


def test_a_version_without_the_order_of_kinds_lists_sessions_afterwards(tmp_path: Path) -> None:
    """A rare filter finds its sessions by when they were active."""
    database = open_database(loaded(tmp_path, "0009_evidence"), migrate=True)
    [(model,), *_] = rows_of(database, "SELECT model FROM aitap_kinds WHERE interceptions > 0 ORDER BY id DESC")
    found = queries.list_sessions(database, queries.Filter(model=model), limit=50)
    assert len(found) == queries.count_sessions(database, queries.Filter(model=model)) > 0
    assert rows_of(database, "SELECT count(*) FROM aitap_session_kinds WHERE active_at IS NULL") == [(0,)]
    database.close()


def test_of_two_that_upgrade_at_once_the_copy_is_what_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not what the quicker of them has made of it, between the other's first look and its copy."""
    url = loaded(tmp_path, "0008_scale")
    database = SqliteHome(tmp_path / "old.db").connect(read_only=True)
    before = contents(database)
    database.close()
    look = opening._pending

    def looks(runner: Runner) -> list[str]:
        pending = look(runner)
        monkeypatch.setattr(opening, "_pending", look)
        open_database(url, migrate=True).close()
        return pending

    monkeypatch.setattr(opening, "_pending", looks)
    open_database(url, migrate=True).close()
    [copy] = tmp_path.glob("old.db.before-*")
    old = SqliteHome(copy).connect(read_only=True)
    assert contents(old) == before
    old.close()


def test_an_upgrade_of_a_server_may_take_long(monkeypatch: pytest.MonkeyPatch) -> None:
    """No statement is ended after the time that is enough for all others."""
    url = postgres.fresh(empty=True)
    told: list[tuple[str, ...]] = []
    up = Runner.up

    def spied(runner: Runner) -> list[str]:
        told.append(rows_of(runner.database, "SELECT current_setting('statement_timeout')")[0])
        applied: list[str] = up(runner)
        return applied

    monkeypatch.setattr(Runner, "up", spied)
    database = open_database(url, migrate=True)
    try:
        assert told == [("0",)]
        assert rows_of(database, "SELECT current_setting('statement_timeout')") == [("1min",)]
    finally:
        database.close()
        postgres.drop(url)


def test_a_copy_is_told_and_can_be_declined(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    open_database(loaded(tmp_path, DUMPS[0]), migrate=True).close()
    [copy] = tmp_path.glob("old.db.before-*")
    assert str(copy) in caplog.text
    copy.unlink()
    (tmp_path / "old.db").unlink()
    open_database(loaded(tmp_path, DUMPS[0]), migrate=True, back_up=False).close()
    assert not list(tmp_path.glob("old.db.before-*"))
