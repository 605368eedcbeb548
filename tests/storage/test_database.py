"""Opening gives a database of ours with this version's schema, or one line that says what to do."""

from __future__ import annotations

import contextlib
import os
import sqlite3
import subprocess
import sys
import textwrap
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from peewee import Database, IntegrityError, OperationalError
from playhouse.schema_diff import diff_models

from aitap.storage import database as module
from aitap.storage.database import StorageError, execute_many, migrate, migration_status, open_database, transaction
from aitap.storage.homes.sqlite import SqliteHome
from aitap.storage.models import MODELS, User
from tests.storage.making import other_connection, rows

pytestmark = pytest.mark.sqlite


def error_of(url: str, **options: bool) -> str:
    with pytest.raises(StorageError) as caught:
        open_database(url, **options)
    text = str(caught.value.args[0])
    assert "\n" not in text
    return text


def schema(database: Database) -> list[tuple[str, str]]:
    """Tables and indexes as SQLite keeps them, without the ledger of migrations."""
    return rows(
        database,
        "SELECT name, sql FROM sqlite_master WHERE sql IS NOT NULL AND tbl_name != 'aitap_migrations' ORDER BY name",
    )


def test_the_migrations_make_what_the_models_say(database: Database, tmp_path: Path) -> None:
    """Tables, columns, types, nulls and indexes are the same by either road."""
    bare = tmp_path / "models.db"
    bare.touch()
    by_models = SqliteHome(bare).connect(read_only=False)
    with by_models.bind_ctx(MODELS):
        by_models.create_tables(MODELS, safe=False)
    assert schema(by_models) == schema(database)
    difference = diff_models(database, MODELS)
    # Peewee does not compare indexes of expressions; the SQL above is the same.
    assert {index.name for index in difference.drop_indexes} == {
        "aibridge_interceptions_span_end",
        "aibridge_token_usages_span_response",
        "aibridge_tool_usages_span_call",
        "aitap_sessions_far",
    }
    assert not difference._replace(drop_indexes=[])
    by_models.close()


def test_making_creates_the_folder_and_a_file_only_its_owner_reads(tmp_path: Path) -> None:
    open_database(f"sqlite:///{tmp_path}/a/b/aitap.db", migrate=True).close()
    assert (tmp_path / "a" / "b" / "aitap.db").is_file()
    if os.name == "posix":
        assert (tmp_path / "a" / "b" / "aitap.db").stat().st_mode & 0o077 == 0
        assert (tmp_path / "a" / "b").stat().st_mode & 0o077 == 0


@pytest.mark.parametrize("name", ["with space.db", "50%.db", "what?.db", "a#b.db", "räksmörgås.db"])
def test_a_path_is_taken_literally(tmp_path: Path, name: str) -> None:
    if os.name == "nt" and "?" in name:
        pytest.skip("not a file name here")
    open_database(f"sqlite:///{tmp_path}/{name}", migrate=True).close()
    assert (tmp_path / name).is_file()


def test_it_writes_ahead_and_does_not_wait_for_the_disk(database: Database) -> None:
    assert rows(database, "PRAGMA journal_mode") == [("wal",)]
    assert rows(database, "PRAGMA synchronous") == [(1,)]


def test_a_missing_database_is_not_made_by_readers(tmp_path: Path) -> None:
    text = error_of(f"sqlite:///{tmp_path}/none.db")
    assert text.startswith(f"no database at {tmp_path}/none.db")
    assert "aitap run" in text
    assert "AITAP_DATABASE_URL" in text
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("url", ["", "aitap.db", "mysql:///x", "sqlite:///", "sqlite://x.db"])
def test_what_is_no_database_url_is_said_to_be_none(url: str) -> None:
    assert "sqlite:////absolute/path.db" in error_of(url, migrate=True)


@pytest.mark.parametrize("options", [{}, {"migrate": True}, {"read_only": True}])
def test_a_file_that_is_no_database_is_left_alone(tmp_path: Path, options: dict[str, bool]) -> None:
    file = tmp_path / "notes.txt"
    file.write_text("dear diary\n" * 1000)
    assert "not a database" in error_of(f"sqlite:///{file}", **options)
    assert file.read_text() == "dear diary\n" * 1000


def test_a_folder_is_no_database(tmp_path: Path) -> None:
    assert str(tmp_path) in error_of(f"sqlite:///{tmp_path}", migrate=True)
    assert "it is a folder" in error_of(f"sqlite:///{tmp_path}")


@pytest.mark.skipif(os.name != "posix" or os.geteuid() == 0, reason="permissions bind everyone but root")
def test_a_folder_without_permission_is_named(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    assert "Permission denied" in error_of(f"sqlite:///{tmp_path}/a.db", migrate=True)


def test_a_parent_that_is_a_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    assert "cannot create" in error_of(f"sqlite:///{tmp_path}/file/a.db", migrate=True)


def test_another_programs_database_is_refused(tmp_path: Path) -> None:
    theirs = sqlite3.connect(tmp_path / "theirs.db")
    theirs.execute("CREATE TABLE orders (id)")
    theirs.close()
    assert "another program" in error_of(f"sqlite:///{tmp_path}/theirs.db", migrate=True)
    with contextlib.closing(sqlite3.connect(tmp_path / "theirs.db")) as theirs:
        assert theirs.execute("SELECT name FROM sqlite_master").fetchall() == [("orders",)]


def test_an_empty_or_unfinished_schema_wants_migrating(database: Database, tmp_path: Path) -> None:
    (tmp_path / "empty.db").touch()
    rows(database, "DELETE FROM aitap_migrations WHERE name > '0001_initial'")
    for name, said in (("empty.db", "no tables of aitap"), ("aitap.db", "older than this aitap")):
        for read_only in (False, True):
            text = error_of(f"sqlite:///{tmp_path}/{name}", read_only=read_only)
            assert said in text
            assert "aitap db migrate" in text


@pytest.mark.parametrize("options", [{}, {"migrate": True}, {"read_only": True}])
def test_a_newer_schema_is_refused(database: Database, tmp_path: Path, options: dict[str, bool]) -> None:
    rows(database, "INSERT INTO aitap_migrations (name, applied) VALUES ('9999_future', '2030-01-01 00:00:00')")
    text = error_of(f"sqlite:///{tmp_path}/aitap.db", **options)
    assert "9999_future" in text
    assert "upgrade aitap" in text


def test_status_says_what_was_applied_when(database: Database) -> None:
    status = migration_status(database)
    assert status[0][0] == "0001_initial"
    assert all(at and abs(at - datetime.now(UTC)) < timedelta(hours=2) for _, at in status)


def test_migrating_twice_changes_nothing(database: Database) -> None:
    before = schema(database)
    assert migrate(database) == []
    assert schema(database) == before


@pytest.fixture
def older(database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Database:
    """A database with a row in it, and a migration to come."""
    User.insert(id="u", username="ann", created_at=0.0).execute()
    folder = tmp_path / "migrations"
    folder.mkdir()
    for file in module._MIGRATIONS.glob("0*.py"):
        (folder / file.name).write_bytes(file.read_bytes())
    (folder / "0900_more.py").write_text("def up(migrator, db):\n    db.execute_sql('CREATE TABLE more (a)')\n")
    monkeypatch.setattr(module, "_MIGRATIONS", folder)
    return database


def test_an_upgrade_keeps_a_copy_of_what_was(older: Database, tmp_path: Path) -> None:
    assert migrate(older) == ["0900_more"]
    with sqlite3.connect(tmp_path / "aitap.db.before-0900_more") as copy:
        assert copy.execute("SELECT username FROM users").fetchall() == [("ann",)]
        assert not copy.execute("SELECT * FROM sqlite_master WHERE name = 'more'").fetchall()
    assert "more" in older.get_tables()


def test_a_migration_that_fails_changes_nothing(older: Database) -> None:
    (module._MIGRATIONS / "0901_broken.py").write_text("def up(migrator, db):\n    db.execute_sql('CREATE nonsense')\n")
    with pytest.raises(StorageError):
        migrate(older)
    assert "more" not in older.get_tables()
    assert [name for name, at in migration_status(older) if at is None] == ["0900_more", "0901_broken"]


def test_processes_that_start_at_once_make_one_schema(tmp_path: Path) -> None:
    program = textwrap.dedent(
        """
        import sys
        from aitap.storage.database import open_database
        sys.stdin.readline()
        open_database(sys.argv[1], migrate=True)
        """
    )
    url = f"sqlite:///{tmp_path}/aitap.db"
    command = [sys.executable, "-c", program, url]
    pipes = {"stdin": subprocess.PIPE, "stderr": subprocess.PIPE}
    processes = [subprocess.Popen(command, **pipes, text=True) for _ in range(4)]  # type: ignore[call-overload]
    for process in processes:
        process.stdin.write("\n")
        process.stdin.flush()
    assert [process.communicate(timeout=60)[1] for process in processes] == [""] * 4
    assert all(at for _, at in migration_status(open_database(url)))


def test_a_read_only_database_refuses_writes_and_sees_what_others_write(database: Database, tmp_path: Path) -> None:
    reader = open_database(f"sqlite:///{tmp_path}/aitap.db", read_only=True)
    with pytest.raises(OperationalError):
        reader.execute_sql("DELETE FROM users")
    database.execute_sql("INSERT INTO users VALUES ('u', 'ann', '', NULL, NULL, 0, '2026-01-01', 'local', 'user')")
    assert rows(reader, "SELECT username FROM users") == [("ann",)]
    reader.close()


def test_a_transaction_that_fails_leaves_nothing_and_names_the_first_cause(database: Database) -> None:
    sql = "INSERT INTO users VALUES (?, ?, '', NULL, NULL, 0, '2026-01-01', 'local', 'user')"
    with pytest.raises(IntegrityError), transaction(database):
        execute_many(database, sql, [("u", "ann"), ("v", "ann")])
    assert rows(database, "SELECT count(*) FROM users") == [(0,)]

    database.execute_sql("CREATE TABLE filler (a)")
    database.execute_sql("PRAGMA max_page_count = 1")
    with pytest.raises(OperationalError, match="full"), transaction(database):
        database.execute_sql("INSERT INTO filler VALUES (zeroblob(1000000))")


def test_a_commit_that_fails_names_its_cause_and_not_that_of_the_roll_back(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    def commit() -> None:
        database.rollback()  # as SQLite does by itself on a full disk
        raise OperationalError("database or disk is full")

    database.execute_sql("CREATE TABLE filler (a)")
    monkeypatch.setattr(database, "commit", commit)
    with pytest.raises(OperationalError, match="full"), transaction(database):
        database.execute_sql("INSERT INTO filler VALUES (1)")
    assert rows(database, "SELECT * FROM filler") == []


@pytest.mark.parametrize("reason", ["database or disk is full", "disk I/O error"])
def test_a_disk_without_room_is_called_that(tmp_path: Path, reason: str) -> None:
    assert "make room" in SqliteHome(tmp_path / "x.db").advice(reason)


def test_a_transaction_locks_out_other_writers_from_its_start(database: Database) -> None:
    other = other_connection(database)
    other.execute("PRAGMA busy_timeout = 0")
    with transaction(database), pytest.raises(sqlite3.OperationalError, match="locked"):
        other.execute("BEGIN IMMEDIATE")
    other.close()
