"""An SQLite file: made readable by its owner alone, in WAL mode, copied before its schema changes."""

from __future__ import annotations

import contextlib
import errno
import os
import sqlite3
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import peewee
from peewee import SqliteDatabase

from aitap.storage.homes.home import AwayError, StorageError

if TYPE_CHECKING:
    from collections.abc import Callable

    from peewee import Database

__all__ = ["SqliteHome"]

_BUSY_SECONDS = 5.0
_LOOK_SECONDS = 0.001
"""How long a writer waits before it looks again whether another has let go of the lock."""
_INCREMENTAL = 2
_SPARE_PAGES = 1024
_PRAGMAS = {
    # First, and for new files alone: pages that retention freed can be cut off the file, a few at a time.
    "auto_vacuum": "incremental",
    "journal_mode": "wal",
    # In WAL a power cut may take the last commits, never the database's soundness; a killed process takes nothing.
    "synchronous": "normal",
    # Without it a WAL that one long reader let grow keeps its size for ever.
    "journal_size_limit": 64 << 20,
    # In pages: a page that many transactions change is copied to its place once for all of them.
    "wal_autocheckpoint": 4000,
    "cache_size": -16384,
}
# A page of sessions reads some three megabytes: what SQLite keeps by itself is less.
_READER = {"cache_size": -8192}


class SqliteHome:
    """A :class:`aitap.storage.homes.home.Home`."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self.name = str(path)

    @classmethod
    def of_url(cls, url: str) -> SqliteHome:
        """The file of ``sqlite:////absolute/path.db``. Raises :class:`StorageError` for another URL."""
        scheme, separator, path = url.partition(":///")
        if scheme != "sqlite" or not separator or not path:
            raise StorageError(
                f"cannot open {url.partition('://')[0]!r} databases: write sqlite:////absolute/path.db "
                "or postgresql://user:password@host/name"
            )
        return cls(Path(path))

    @classmethod
    def of_database(cls, database: Database) -> SqliteHome:
        """The file that a database was opened from."""
        rows = database.execute_sql("PRAGMA database_list").fetchall()
        return cls(next(Path(file) for _, name, file in rows if name == "main"))

    def prepare(self, *, create: bool) -> None:
        """See :class:`aitap.storage.homes.home.Home`. The records hold what people typed: nobody else may read them."""
        path = self._path
        if not create:
            if not path.exists():
                raise StorageError(
                    f"no database at {path}: start the proxy with `aitap run` first, "
                    "or set AITAP_DATABASE_URL to where it is"
                )
            if path.is_dir():
                raise StorageError(f"cannot use {path}: it is a folder; name the file in it")
            return
        try:
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))
        except OSError as error:
            kind = AwayError if error.errno in (errno.ENOSPC, errno.EROFS, errno.EDQUOT, errno.EIO) else StorageError
            verb = "write" if os.path.lexists(path) else "create"
            raise kind(f"cannot {verb} {path}: {error.strerror}; set AITAP_DATABASE_URL to another place") from None

    def database(self, *, read_only: bool) -> Database:
        """See :class:`aitap.storage.homes.home.Home`."""
        # As a URI, so that SQLite never makes the file by itself: one that went away is an error, not an empty start.
        database: Any = _Sqlite(
            f"{self._path.absolute().as_uri()}?mode={'ro' if read_only else 'rw'}",
            pragmas=_READER if read_only else _PRAGMAS,
            timeout=_BUSY_SECONDS,
            lock_type="IMMEDIATE",
            uri=True,
        )
        database.aitap_home = self
        database.path = self._path
        return database  # type: ignore[no-any-return]

    def connect(self, *, read_only: bool) -> Database:
        """See :class:`aitap.storage.homes.home.Home`."""
        database = self.database(read_only=read_only)
        self.open(database)
        return database

    def open(self, database: Database) -> None:
        """See :class:`aitap.storage.homes.home.Home`."""
        # The switch to WAL does not wait for other connections by itself.
        _when_not_busy(database.connect, _BUSY_SECONDS, 0.02)

    def lock(self, database: Database) -> None:
        """See :class:`aitap.storage.homes.home.Home`: ``BEGIN IMMEDIATE`` has it already."""
        self.make_sure(database)

    def make_sure(self, database: Database) -> None:
        """See :class:`aitap.storage.homes.home.Home`. To a file that was removed the system writes on, for nobody."""
        opened = getattr(database, "opened", None)
        if opened is None:
            return
        try:
            there = self._path.stat()
        except FileNotFoundError:
            raise peewee.OperationalError(f"{self._path} was removed while it was in use") from None
        if not os.path.samestat(opened, there):
            raise peewee.OperationalError(f"{self._path} is another file than the one that was opened")

    def begin_alone(self, database: Database, work: str) -> bool:  # noqa: ARG002 - as in Home
        """See :class:`aitap.storage.homes.home.Home`: all processes may, and the last find nothing left to do."""
        return True

    def end_alone(self, database: Database, work: str) -> None:
        """See :class:`aitap.storage.homes.home.Home`."""

    def take_time(self, database: Database) -> None:
        """See :class:`aitap.storage.homes.home.Home`: nothing ends what takes long."""

    def back_up(self, pending: str) -> str:
        """See :class:`aitap.storage.homes.home.Home`. By a connection of its own: that of the transaction may not."""
        path = self._path
        copy = path.with_name(f"{path.name}.before-{pending}")
        partial = copy.with_name(copy.name + ".partial")
        try:
            partial.unlink(missing_ok=True)
            os.close(os.open(partial, os.O_RDWR | os.O_CREAT, 0o600))
            source = f"{path.absolute().as_uri()}?mode=ro"
            with (
                contextlib.closing(sqlite3.connect(source, uri=True)) as old,
                contextlib.closing(sqlite3.connect(partial)) as target,
            ):
                old.backup(target)
            partial.replace(copy)
        except (OSError, sqlite3.Error) as error:
            partial.unlink(missing_ok=True)
            raise StorageError(
                f"cannot copy {path} to {copy.name} before the upgrade: {error}; "
                "make room, or run `aitap db migrate --no-backup`"
            ) from None
        return str(copy)

    def give_back(self, database: Database, most: int) -> int:
        """See :class:`aitap.storage.homes.home.Home`. A sixteenth of the file stays free, for what comes next."""
        names = ("auto_vacuum", "freelist_count", "page_count")
        kind, free, pages = (int(database.execute_sql(f"PRAGMA {name}").fetchone()[0]) for name in names)
        count = min(most, free - max(pages // 16, _SPARE_PAGES))
        if kind != _INCREMENTAL or count <= 0:
            return 0
        with peewee.__exception_wrapper__:  # type: ignore[attr-defined]
            # As a script: it moves a page a step, and Python 3.11 takes only the first of a statement without rows.
            database.connection().executescript(f"PRAGMA incremental_vacuum({count})")
        return count

    def overwrite_deleted(self, database: Database) -> str:
        """See :class:`aitap.storage.homes.home.Home`.

        To overwrite what is deleted would not do: a row that has moved to another page may have left a copy. So
        the file is written anew, without what nothing refers to, and the log beside it is emptied.
        """
        try:
            database.execute_sql("PRAGMA secure_delete = ON")
            database.execute_sql("VACUUM")
        except peewee.PeeweeException as error:
            return f"its free pages may still hold what was deleted ({self.advice(str(error))}): do it again later"
        deadline = time.monotonic() + _BUSY_SECONDS
        while time.monotonic() < deadline:
            [(busy, *_)] = database.execute_sql("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
            if not busy:
                return ""
            time.sleep(0.05)
        return f"{self._path.name}-wal may still hold what was deleted, for another program reads: do it again later"

    def advice(self, reason: str) -> str:
        """See :class:`aitap.storage.homes.home.Home`."""
        for words, advice in (
            ("not a database", "it is not a database; set AITAP_DATABASE_URL to another file"),
            ("malformed", "it is damaged; restore a copy or move it away"),
            ("was removed", "put it back, or restart the proxy, which then begins a new one"),
            ("unable to open", "it cannot be opened; check that it is a file and that you may read and write it"),
            ("readonly", "it is read-only; check the permissions of the file and its folder"),
            ("locked", "another program holds it locked; stop that and try again"),
            ("full", "the disk is full; make room and try again"),
            # SQLite's word where there is no room for the file beside it that connections share.
            ("disk I/O", "the disk is full, or fails; make room and try again"),
        ):
            if words in reason:
                if words == "unable to open" and not self._path.exists():
                    return "it is gone; put it back, or restart the proxy, which then begins a new one"
                return advice
        return reason

    def may_come_back(self, reason: str) -> bool:
        """See :class:`aitap.storage.homes.home.Home`."""
        return any(words in reason for words in ("readonly", "locked", "full", "disk I/O"))


class _Sqlite(SqliteDatabase):
    """Knows which file it has open, and takes the write lock soon after another lets go of it.

    SQLite by itself looks again ever less often, at last ten times a second: who removes a million rows in short
    steps, with moments between, would keep others out for many of them.
    """

    path: Path

    def __init__(self, *arguments: Any, **options: Any) -> None:
        self._opened = threading.local()  # as connections are
        super().__init__(*arguments, **options)

    def _connect(self) -> Any:
        connection = super()._connect()  # type: ignore[misc]
        self._opened.file = self.path.stat()
        return connection

    @property
    def opened(self) -> os.stat_result | None:
        """The file of this thread's connection."""
        return getattr(self._opened, "file", None)

    def begin(self, lock_type: str | None = None) -> None:
        """Begin a transaction. Raises Peewee's ``OperationalError`` where others keep the lock for seconds."""
        with peewee.__exception_wrapper__:  # type: ignore[attr-defined]
            cursor = self.cursor()  # type: ignore[no-untyped-call]
            cursor.execute("PRAGMA busy_timeout = 0")
            begin = f"BEGIN {lock_type or 'IMMEDIATE'}"
            try:
                _when_not_busy(lambda: cursor.execute(begin), self.timeout, _LOOK_SECONDS)
            finally:
                cursor.execute(f"PRAGMA busy_timeout = {int(1000 * self.timeout)}")


def _when_not_busy(action: Callable[[], object], seconds: float, pause: float) -> None:
    """Do it as soon as nobody else has the lock; what is raised after so many seconds is for the caller."""
    deadline = time.monotonic() + seconds
    while True:
        try:
            action()
            return
        except (peewee.OperationalError, sqlite3.OperationalError) as error:
            if "locked" not in str(error) or time.monotonic() > deadline:
                raise
        time.sleep(pause)
