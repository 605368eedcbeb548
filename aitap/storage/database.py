"""Opening the database, and its schema through migrations.

:func:`open_database` gives a database that is there, is ours and has the schema of this version, or
raises :class:`StorageError` with one line that says what to do. Every thread that uses the result has
a connection of its own; every transaction on it takes the write lock at its start, so that what it
read cannot be stale by the time it writes. Where the database lives, in a file or on a server, is a
:class:`aitap.storage.homes.Home`; whatever it is, moments, ids and JSON come back as the same text.
"""

from __future__ import annotations

import contextlib
import logging
import re
from datetime import UTC, datetime
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import peewee
from peewee import Database
from playhouse.migrations import MigrationError, Runner

from aitap.storage.homes import AwayError, Home, StorageError, home_of, home_of_database
from aitap.storage.models import MODELS

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

__all__ = [
    "AwayError",
    "StorageError",
    "among",
    "check_schema",
    "closed_database",
    "execute_many",
    "migrate",
    "migration_status",
    "open_database",
    "passes",
    "question_marks",
    "reach",
    "rows_of",
    "slices",
    "transaction",
]

log = logging.getLogger(__name__)

_T = TypeVar("_T")

_MIGRATIONS = Path(__file__).with_name("migrations")
_LEDGER = "aitap_migrations"
_MEMBER = re.compile(r"json_extract\((\S+), '\$\.(\w+)'\)")
_BYTES = re.compile(r"CAST\((\S+) AS BLOB\)")


def open_database(
    url: str, *, migrate: bool = False, read_only: bool = False, check: bool = True, back_up: bool = True
) -> Database:
    """The database of ``url`` (``sqlite:////absolute/path.db``, ``postgresql://...``), all models bound to it.

    With ``migrate`` it is made where it is not there and brought to this version's schema, see :func:`migrate`;
    without ``back_up`` no copy is made. Raises :class:`StorageError` where it is missing, not a database, not
    ours, older (without ``migrate``) or newer than this version, or where the system forbids it. Without
    ``check`` any schema will do: for who only asks :func:`migration_status`.
    """
    home = home_of(url)
    home.prepare(create=migrate)
    database: Database | None = None
    with _explained(home):
        try:
            database = home.database(read_only=read_only)
            home.open(database)
            if migrate:
                _migrate(database, home, back_up=back_up)
            if check:
                check_schema(database)
        except BaseException:
            if database is not None:
                database.close()
            raise
    database.bind(MODELS, bind_refs=False, bind_backrefs=False)
    return database


def closed_database(url: str) -> Database:
    """The database of ``url``, all models bound to it, which :func:`reach` opens.

    Raises :class:`StorageError` for a URL that names none.
    """
    database = home_of(url).database(read_only=False)
    database.bind(MODELS, bind_refs=False, bind_backrefs=False)
    return database


def reach(database: Database) -> None:
    """See to it that a database is there and has this version's schema, made or brought to it where it is not.

    Raises :class:`StorageError`, and :class:`AwayError` where trying again later may help.
    """
    home = home_of_database(database)
    home.prepare(create=True)
    with _explained(home):
        if database.is_closed():
            home.open(database)
        _migrate(database, home)
    check_schema(database)


def migration_status(database: Database) -> list[tuple[str, datetime | None]]:
    """Each migration's name, in order, and when it was applied (in UTC); ``None`` where it is pending."""
    return [
        (entry.name, entry.applied and entry.applied.astimezone(UTC))
        for entry in Runner(database, str(_MIGRATIONS), _LEDGER).status()
    ]


def migrate(database: Database) -> list[str]:
    """Apply what is pending, all or nothing, and return the names applied.

    An SQLite database that has an older schema is first copied to ``<file>.before-<migration>``; the log says so. Safe
    to call from several processes at once. Raises :class:`StorageError`.
    """
    home = home_of_database(database)
    with _explained(home):
        return _migrate(database, home)


@contextlib.contextmanager
def transaction(database: Database) -> Iterator[None]:
    """A transaction that holds the write lock from its start. Errors come as Peewee's."""
    cause: BaseException | None = None
    try:
        with database.atomic():
            try:
                home_of_database(database).lock(database)
                yield
            except BaseException as error:
                cause = error
                raise
    except peewee.OperationalError as error:
        # SQLite that runs out of space has rolled back by itself; the roll-back's own error must not hide that.
        first = cause or _behind(error)
        if first is not error:
            raise first from None
        raise


def _behind(error: peewee.OperationalError) -> BaseException:
    """What made the commit fail, where ``error`` is only that there was nothing left to roll back."""
    reason = error.__context__ if "rollback" in str(error) or "connection is closed" in str(error) else None
    while reason is not None and not isinstance(reason, peewee.OperationalError):
        reason = reason.__context__
    return reason or error


def passes(error: Exception) -> bool:
    """Whether an error is trouble of the database itself, which may be over soon, and not of what was to be written."""
    if isinstance(error, peewee.DatabaseError) and (state := _sqlstate(error)) is not None:
        if state in _NOT_THE_RECORDS:
            return True
        if state == _TOO_LONG:
            return False
    if isinstance(error, peewee.InterfaceError):
        # SQLite says it of a value that it cannot take, psycopg of a server that is gone.
        return "connection" in str(error)
    # The plain DatabaseError is what SQLite says of a damaged file.
    return isinstance(error, (peewee.OperationalError, peewee.InternalError)) or type(error) is peewee.DatabaseError


_NOT_THE_RECORDS = {"42P01", "42703", "42P10", "42501", "0A000", "3F000"}
"""What PostgreSQL says where a table or column is not there, or is another by now, or we may not write to it."""
_TOO_LONG = "54000"
"""What it says of a text that an index does not take: it never will."""


def _sqlstate(error: BaseException) -> str | None:
    behind = error.__cause__ or error.__context__
    return None if behind is None else getattr(behind, "sqlstate", None)


def rows_of(database: Database, sql: str, parameters: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
    """All rows that one statement, written for SQLite, gives, past the ORM. Errors come as Peewee's."""
    with peewee.__exception_wrapper__:  # type: ignore[attr-defined]
        cursor = database.cursor()
        cursor.execute(_in_style_of(database, sql), parameters)
        return list(cursor.fetchall()) if cursor.description else []


def execute_many(database: Database, sql: str, rows: Sequence[Sequence[Any]]) -> int:
    """One statement, written for SQLite, for many rows; how many it changed. Errors come as Peewee's."""
    if not rows:
        return 0
    with peewee.__exception_wrapper__:  # type: ignore[attr-defined]
        cursor = database.cursor()
        cursor.executemany(_in_style_of(database, sql), rows)
        return int(cursor.rowcount)


def question_marks(count: int) -> str:
    """So many parameters in brackets: ``(?, ?, ?)``."""
    return f"({', '.join('?' * count)})"


def slices(values: Sequence[_T], size: int) -> Iterator[Sequence[_T]]:
    """The values in their order, ``size`` at a time: a statement takes only so many parameters, and so much time."""
    for begin in range(0, len(values), size):
        yield values[begin : begin + size]


def among(database: Database, ids: Sequence[str]) -> tuple[str, Sequence[Any]]:
    """What comes behind a column of UUIDs to ask for these, and the parameters of it.

    A server that knows arrays takes one parameter, and one plan does for any number of them.
    """
    if database.param == "?":
        return f"IN {question_marks(len(ids))}", ids
    return "= ANY (CAST(? AS uuid[]))", (list(ids),)


def _in_style_of(database: Database, sql: str) -> str:
    return sql if database.param == "?" else _for_postgres(sql)


@lru_cache(maxsize=512)
def _for_postgres(sql: str) -> str:
    """Our statements are SQLite's; these are the words in which the two differ."""
    sql = sql.replace("%", "%%").replace("?", "%s")
    return _BYTES.sub(r"convert_to(\1, 'UTF8')", _MEMBER.sub(r"(\1 ->> '\2')", sql))


@contextlib.contextmanager
def _explained(home: Home) -> Iterator[None]:
    try:
        yield
    except peewee.PeeweeException as error:
        kind = AwayError if home.may_come_back(str(error)) else StorageError
        raise kind(f"cannot use {home.name}: {home.advice(str(error))}") from None
    except (MigrationError, OSError) as error:
        raise StorageError(f"cannot use {home.name}: {error}") from None


def _migrate(database: Database, home: Home, *, back_up: bool = True) -> list[str]:
    runner = Runner(database, str(_MIGRATIONS), _LEDGER)
    if not _pending(runner):
        return []
    # The lock comes before the second look: of two processes that start at once, the later finds nothing to do. And
    # before the copy, or that of the later would be of what the earlier has made.
    with transaction(database):
        if not (pending := _pending(runner)):
            return []
        home.take_time(database)
        if not runner.applied() and (strange := database.get_tables()):
            raise StorageError(
                f"cannot use {home.name}: it holds tables of another program, such as {strange[0]!r}; "
                "set AITAP_DATABASE_URL to another one"
            )
        if back_up and runner.applied() and (copy := home.back_up(pending[0])):
            log.warning("the database gets a newer schema; what it was is in %s", copy)
        applied: list[str] = runner.up()
    return applied


def _pending(runner: Runner) -> list[str]:
    return [entry.name for entry in runner.status() if entry.path and not entry.applied]


def check_schema(database: Database) -> None:
    """Raise :class:`StorageError` where the schema is not this version's."""
    home = home_of_database(database)
    status = Runner(database, str(_MIGRATIONS), _LEDGER).status()
    if newer := [entry.name for entry in status if entry.path is None]:
        raise StorageError(f"cannot use {home.name}: a newer aitap made its schema ({newer[-1]}); upgrade aitap")
    if not any(entry.applied for entry in status):
        raise StorageError(
            f"cannot use {home.name}: it has no tables of aitap; start the proxy with `aitap run` first, "
            "or run `aitap db migrate`"
        )
    if not all(entry.applied for entry in status):
        raise StorageError(f"cannot use {home.name}: its schema is older than this aitap; run `aitap db migrate`")
