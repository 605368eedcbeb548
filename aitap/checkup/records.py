"""The database: whether it can be used, is sound and has room, and what it says of proxies, clocks and refusals."""

from __future__ import annotations

import fnmatch
import os
import shutil
import sqlite3
import time
from datetime import UTC, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import peewee

from aitap import settings
from aitap.checkup.budgets import check_budgets
from aitap.checkup.finding import Finding, ok, problem, warning
from aitap.checkup.unanswered import check_unanswered
from aitap.export.human import one_line, size
from aitap.storage.database import StorageError, open_database, rows_of
from aitap.storage.fields import parse_timestamp
from aitap.storage.host_rules import list_rules
from aitap.storage.spool.folders import left_behind, left_elsewhere

if TYPE_CHECKING:
    from collections.abc import Iterator

    from peewee import Database

    from aitap.checkup.situation import Situation

__all__ = ["check_records"]

_LITTLE, _NONE = 1 << 30, 100 << 20
_SKEW = timedelta(minutes=5)
_BEATS = timedelta(minutes=2)
_LATELY = timedelta(days=7)
_CHECK_SECONDS = 1.5


def check_records(situation: Situation) -> Iterator[Finding]:
    """Look at the database of the proxy on this machine."""
    if not situation.here:
        return
    try:
        in_force = settings.load({"database_url": situation.database_url}, situation.environ)
    except settings.SettingsError:
        return  # the checks of the settings say so
    url = in_force.database_url
    yield from _spools(in_force)
    path = Path(url.removeprefix("sqlite:///")) if url.startswith("sqlite:///") else None
    if path is not None and not path.exists():
        yield warning(
            "database.file", f"no database at {path} yet", "the first `aitap run` makes it; or set AITAP_DATABASE_URL"
        )
        yield from _room(path)
        return
    try:
        database = open_database(url, read_only=True)
    except StorageError as error:
        what, _, fix = str(error).partition("; ")
        yield problem("database.file", what, fix or "`aitap db status` tells more")
        return
    try:
        if path is not None:
            yield from _file(path)
            yield from _room(path)
            yield _sound(path)
        else:
            yield ok("database.file", "the database answers, with the schema of this version")
        yield from _clock(situation, database)
        yield from _proxies(situation, database)
        yield from _refusals(situation, database)
        yield from check_unanswered(database, situation.now)
        yield from check_budgets(database, in_force.budgets, situation.now.astimezone(UTC).date())
    except (peewee.PeeweeException, sqlite3.Error) as error:
        yield problem("database.read", f"the database cannot be read: {error}", "`aitap db check`")
    finally:
        database.close()


def _spools(in_force: settings.Settings) -> Iterator[Finding]:
    """What waits for the database on this machine."""
    try:
        found = left_behind(in_force.spool, in_force.database_url)
        others = left_elsewhere(in_force.spool, in_force.database_url)
    except (OSError, StorageError):
        return  # the database's own check says what is wrong, or nobody may look there but the proxy
    live, dead = (sum(left.bytes for left in found if left.live is kind) for kind in (True, False))
    if live:
        judge = problem if live > in_force.spool_limit / 2 else warning
        yield judge(
            "database.spool",
            f"{size(live)} of records wait in {in_force.spool}: the database is away from the running proxy, or slow",
            "see the proxy's log; when the spool is full, records are lost",
        )
    if dead:
        yield warning(
            "database.spool_left",
            f"{size(dead)} of records wait in {in_force.spool}, left by a proxy that runs no more",
            "the next `aitap run` stores them; or `aitap db replay`",
        )
    for other in others:
        yield warning(
            "database.spool_elsewhere",
            f"{size(other.bytes)} of records wait in {other.place} for {other.database or 'another database'}",
            "`aitap db replay --database-url` with its URL; if it is this database under another name, move what is "
            "in that folder into the one beside it",
        )


def _file(path: Path) -> Iterator[Finding]:
    if not os.access(path, os.W_OK) or not os.access(path.parent, os.W_OK):
        yield problem(
            "database.file",
            f"{path} or its folder is not writable for you",
            "start the proxy as the user who owns it, or set AITAP_DATABASE_URL",
        )
    else:
        yield ok("database.file", f"{path}, {size(path.stat().st_size)}, with the schema of this version")
    if os.name == "posix" and path.stat().st_mode & 0o077:
        yield warning("database.mode", f"others may read {path}, and with it prompts", f"chmod 600 {path}")


def _room(path: Path) -> Iterator[Finding]:
    folder = next((parent for parent in path.absolute().parents if parent.exists()), Path("/"))
    free = shutil.disk_usage(folder).free
    if free < _LITTLE:
        judge = problem if free < _NONE else warning
        yield judge("database.room", f"{size(free)} are left on the disk of {folder}", "make room, or `aitap prune`")


def _sound(path: Path) -> Finding:
    """SQLite's own quick check, for as long as nobody has to wait."""
    deadline = time.monotonic() + _CHECK_SECONDS
    connection = sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True, timeout=1.0)
    try:
        connection.set_progress_handler(lambda: time.monotonic() > deadline, 10_000)
        found = connection.execute("PRAGMA quick_check(1)").fetchone()[0]
    except sqlite3.OperationalError as error:
        if "interrupt" in str(error):
            return ok("database.sound", "no damage found so far; `aitap db check` reads all of it")
        return problem("database.sound", f"the database cannot be checked: {error}", "`aitap db check`")
    except sqlite3.DatabaseError as error:
        return problem("database.sound", f"the database is damaged: {error}", "restore a copy, or move it away")
    finally:
        connection.close()
    if found == "ok":
        return ok("database.sound", "the database is sound")
    return problem("database.sound", f"the database is damaged: {found}", "restore a copy, or move it away")


def _clock(situation: Situation, database: Database) -> Iterator[Finding]:
    newest = rows_of(database, "SELECT max(started_at) FROM aibridge_interceptions")[0][0]
    if newest is not None and parse_timestamp(newest) > situation.now + _SKEW:
        yield problem(
            "database.clock",
            f"the newest record is from {parse_timestamp(newest):%Y-%m-%d %H:%M} UTC, which is still to come",
            "set the clock of this machine, or of the one that recorded it",
        )


def _proxies(situation: Situation, database: Database) -> Iterator[Finding]:
    beats = rows_of(database, "SELECT max(heartbeat_at) FROM aitap_proxies WHERE ended_at IS NULL")
    last = beats[0][0]
    if last is not None and situation.now - parse_timestamp(last) < _BEATS:
        yield ok("database.proxy", "a proxy records into it")
    else:
        yield warning(
            "database.proxy",
            "no running proxy records into this database",
            "start `aitap run`; one that has run for more than a few seconds has another AITAP_DATABASE_URL",
        )


def _refusals(situation: Situation, database: Database) -> Iterator[Finding]:
    observed = [rule["pattern"] for rule in list_rules(database) if rule["mode"] == "observe"]
    rows = rows_of(
        database,
        "SELECT host, sum(refusals), max(error), max(last_seen) FROM aitap_hosts WHERE refusals > 0 GROUP BY host "
        "ORDER BY sum(refusals) DESC, host",
    )
    for host, times, error, last in rows:
        if situation.now - parse_timestamp(last) > _LATELY or any(fnmatch.fnmatch(host, one) for one in observed):
            continue
        said = f": {one_line(error, 80)}" if error else ""
        yield warning(
            "hosts.refused",
            f"a client refused our certificate for {host}, {times} {'time' if times == 1 else 'times'}{said}",
            f"set the client up (`aitap env --client NAME`); where it wants its own CA: `aitap hosts observe {host}`",
        )
