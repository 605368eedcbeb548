"""Opening the database, and its schema through migrations.

:func:`open_database` gives a database that is there, is ours and has the schema of this version, or
raises :class:`StorageError` with one line that says what to do. Every thread that uses the result has
a connection of its own; every transaction on it takes the write lock at its start, so that what it
read cannot be stale by the time it writes.
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import peewee
from peewee import Database, SqliteDatabase
from playhouse.migrations import MigrationError, Runner

from aitap.storage.models import MODELS

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

__all__ = [
    "StorageError",
    "execute_many",
    "migrate",
    "migration_status",
    "open_database",
    "question_marks",
    "rows_of",
    "transaction",
]

_MIGRATIONS = Path(__file__).with_name("migrations")
_LEDGER = "aitap_migrations"

_BUSY_SECONDS = 5.0
_PRAGMAS = {
    "journal_mode": "wal",
    # In WAL a power cut may take the last commits, never the database's soundness; a killed process takes nothing.
    "synchronous": "normal",
    # Without it a WAL that one long reader let grow keeps its size for ever.
    "journal_size_limit": 64 << 20,
    "cache_size": -16384,
}


class StorageError(Exception):
    """The database cannot be used. ``args[0]`` is one line that says what to do."""


def open_database(url: str, *, migrate: bool = False, read_only: bool = False, check: bool = True) -> Database:
    """The database of ``url`` (``sqlite:////absolute/path.db``), with all models bound to it.

    With ``migrate`` it is made where it is not there and brought to this version's schema. Raises
    :class:`StorageError` where it is missing, not a database, not ours, older (without ``migrate``) or
    newer than this version, or where the system forbids it. Without ``check`` any schema will do: for
    who only asks :func:`migration_status`.
    """
    path = _sqlite_path(url)
    if migrate:
        _make_file(path)
    elif not path.exists():
        raise StorageError(
            f"no database at {path}: start the proxy with `aitap run` first, or set AITAP_DATABASE_URL to where it is"
        )
    database = _connect(path, read_only=read_only)
    try:
        with _explained(path):
            if migrate:
                _migrate(database)
            if check:
                _check_schema(database, path)
    except BaseException:
        database.close()
        raise
    database.bind(MODELS, bind_refs=False, bind_backrefs=False)
    return database


def migration_status(database: Database) -> list[tuple[str, datetime | None]]:
    """Each migration's name, in order, and when it was applied (in UTC); ``None`` where it is pending."""
    return [
        (entry.name, entry.applied and entry.applied.astimezone(UTC))
        for entry in Runner(database, str(_MIGRATIONS), _LEDGER).status()
    ]


def migrate(database: Database) -> list[str]:
    """Apply what is pending, all or nothing, and return the names applied.

    An SQLite database that has an older schema is first copied to ``<file>.before-<migration>``. Safe
    to call from several processes at once. Raises :class:`StorageError`.
    """
    with _explained(_file(database)):
        return _migrate(database)


@contextlib.contextmanager
def transaction(database: Database) -> Iterator[None]:
    """A transaction that holds the write lock from its start. Errors come as Peewee's."""
    cause: BaseException | None = None
    try:
        with database.atomic():
            try:
                yield
            except BaseException as error:
                cause = error
                raise
    except peewee.OperationalError as error:
        # SQLite that runs out of space has rolled back by itself; the roll-back's own error must not hide that.
        if cause and cause is not error:
            raise cause from None
        raise


def rows_of(database: Database, sql: str, parameters: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
    """All rows that one statement, written with ``?``, gives, past the ORM. Errors come as Peewee's."""
    with peewee.__exception_wrapper__:  # type: ignore[attr-defined]
        cursor = database.cursor()
        cursor.execute(_in_style_of(database, sql), parameters)
        return list(cursor.fetchall()) if cursor.description else []


def execute_many(database: Database, sql: str, rows: Sequence[Sequence[Any]]) -> int:
    """One statement, written with ``?``, for many rows; how many it changed. Errors come as Peewee's."""
    with peewee.__exception_wrapper__:  # type: ignore[attr-defined]
        cursor = database.cursor()
        cursor.executemany(_in_style_of(database, sql), rows)
        return int(cursor.rowcount)


def question_marks(count: int) -> str:
    """So many parameters in brackets: ``(?, ?, ?)``."""
    return f"({', '.join('?' * count)})"


def _in_style_of(database: Database, sql: str) -> str:
    return sql if database.param == "?" else sql.replace("?", database.param)


def _sqlite_path(url: str) -> Path:
    scheme, separator, path = url.partition(":///")
    if scheme != "sqlite" or not separator or not path:
        raise StorageError(f"cannot open {url!r}: write the database as sqlite:////absolute/path.db")
    return Path(path)


def _make_file(path: Path) -> None:
    """Folder and file, readable by their owner alone: the records hold what people typed."""
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))
    except OSError as error:
        raise StorageError(f"cannot create {path}: {error.strerror}; set AITAP_DATABASE_URL to another place") from None


def _connect(path: Path, *, read_only: bool) -> SqliteDatabase:
    # As a URI, so that SQLite never makes the file by itself: a file that went away is an error, not an empty start.
    database = SqliteDatabase(
        f"{path.absolute().as_uri()}?mode={'ro' if read_only else 'rw'}",
        pragmas=None if read_only else _PRAGMAS,
        timeout=_BUSY_SECONDS,
        lock_type="IMMEDIATE",
        uri=True,
    )
    with _explained(path):
        _when_not_busy(database.connect)
    return database


def _when_not_busy(connect: Any) -> None:
    # The switch to WAL does not wait for other connections by itself.
    deadline = time.monotonic() + _BUSY_SECONDS
    while True:
        try:
            connect()
            return
        except peewee.OperationalError as error:
            if "locked" not in str(error) or time.monotonic() > deadline:
                raise
            time.sleep(0.02)


@contextlib.contextmanager
def _explained(path: Path) -> Iterator[None]:
    try:
        yield
    except peewee.PeeweeException as error:
        raise StorageError(f"cannot use {path}: {_advice(str(error))}") from None
    except (MigrationError, OSError) as error:
        raise StorageError(f"cannot use {path}: {error}") from None


def _advice(reason: str) -> str:
    for words, advice in (
        ("not a database", "it is not a database; set AITAP_DATABASE_URL to another file"),
        ("malformed", "it is damaged; restore a copy or move it away"),
        ("unable to open", "it cannot be opened; check that it is a file and that you may read and write it"),
        ("readonly", "it is read-only; check the permissions of the file and its folder"),
        ("locked", "another program holds it locked; stop that and try again"),
        ("full", "the disk is full; make room and try again"),
    ):
        if words in reason:
            return advice
    return reason


def _migrate(database: Database) -> list[str]:
    runner = Runner(database, str(_MIGRATIONS), _LEDGER)
    if not _pending(runner):
        return []
    if runner.applied():
        _back_up(database, _pending(runner)[0])
    # The lock comes before the second look: of two processes that start at once, the later finds nothing to do.
    with transaction(database):
        if not runner.applied() and (strange := database.get_tables()):
            raise StorageError(
                f"cannot use {_file(database)}: it holds tables of another program, such as {strange[0]!r}; "
                "set AITAP_DATABASE_URL to another file"
            )
        applied: list[str] = runner.up()
    return applied


def _pending(runner: Runner) -> list[str]:
    return [entry.name for entry in runner.status() if entry.path and not entry.applied]


def _check_schema(database: Database, path: Path) -> None:
    status = Runner(database, str(_MIGRATIONS), _LEDGER).status()
    if newer := [entry.name for entry in status if entry.path is None]:
        raise StorageError(f"cannot use {path}: a newer aitap made its schema ({newer[-1]}); upgrade aitap")
    if not all(entry.applied for entry in status):
        raise StorageError(f"cannot use {path}: its schema is older than this aitap; run `aitap db migrate`")


def _file(database: Database) -> Path:
    return next(Path(file) for _, name, file in rows_of(database, "PRAGMA database_list") if name == "main")


def _back_up(database: Database, pending: str) -> None:
    path = _file(database)
    copy = path.with_name(f"{path.name}.before-{pending}")
    partial = copy.with_name(copy.name + ".partial")
    try:
        partial.unlink(missing_ok=True)
        os.close(os.open(partial, os.O_RDWR | os.O_CREAT, 0o600))
        with contextlib.closing(sqlite3.connect(partial)) as target:
            database.connection().backup(target)
        partial.replace(copy)
    except (OSError, sqlite3.Error) as error:
        partial.unlink(missing_ok=True)
        raise StorageError(f"cannot copy {path} to {copy.name} before the upgrade: {error}") from None
