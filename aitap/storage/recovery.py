"""What a proxy that died left behind, and how one proves that it lives.

Each run of a proxy has a row with host, process id and a heartbeat. An interception without an end
belongs to a run; once that run is gone nobody will ever end it, so it is marked ``interrupted``. On its
own host a run is gone as soon as its process is; elsewhere when its heartbeat has stopped. Who looks only once may
come too early: a recorder takes its time to die, and a proxy elsewhere is replaced before its heartbeat is old.
"""

from __future__ import annotations

import os
import platform
import sys
import time
from typing import TYPE_CHECKING

from aitap.storage import daily, hosts, kinds, sessions
from aitap.storage.database import rows_of, transaction
from aitap.storage.endings import note_endings
from aitap.storage.evidence.chain import cover
from aitap.storage.fields import parse_timestamp, timestamp_text

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import datetime

    from peewee import Database

__all__ = ["HEARTBEAT_SECONDS", "Lives", "beat", "begin_run", "end_run", "is_known", "last_heard", "mark_interrupted"]

HEARTBEAT_SECONDS = 15.0
_DEAD_SECONDS = 60.0

_FROM = "FROM aibridge_interceptions i LEFT JOIN aitap_proxies p ON p.id = i.proxy_id WHERE i.ended_at IS NULL"
_RUNS = f"SELECT DISTINCT p.id, p.host, p.pid, p.heartbeat_at, p.ended_at {_FROM}"
_OPEN = f"SELECT i.id, i.started_at, i.session_id, i.initiator_id, p.id, p.heartbeat_at {_FROM}"
_INTERRUPT = "UPDATE aibridge_interceptions SET outcome = 'interrupted', ended_at = ? WHERE id = ? AND ended_at IS NULL"
_BEGIN = "INSERT INTO aitap_proxies (host, pid, started_at, heartbeat_at) VALUES (?, ?, ?, ?) RETURNING id"
_BEAT = "UPDATE aitap_proxies SET heartbeat_at = ? WHERE id = ?"
_END = "UPDATE aitap_proxies SET heartbeat_at = ?, ended_at = ? WHERE id = ?"


def last_heard(database: Database) -> float | None:
    """The last heartbeat of any proxy, in epoch seconds; None where there never was one."""
    [(beat,)] = rows_of(database, "SELECT max(heartbeat_at) FROM aitap_proxies")
    return None if beat is None else parse_timestamp(beat).timestamp()


def begin_run(database: Database) -> int:
    """Enter this process as a live proxy; the result marks the interceptions it writes."""
    now = timestamp_text(time.time())
    with transaction(database):
        [(run,)] = rows_of(database, _BEGIN, (platform.node(), os.getpid(), now, now))
    return int(run)


def is_known(database: Database, run: int) -> bool:
    """Whether there is a row of this run: a database that was restored from a copy has none."""
    return bool(rows_of(database, "SELECT 1 FROM aitap_proxies WHERE id = ?", (run,)))


def beat(database: Database, run: int) -> None:
    """Say that this run lives; due every ``HEARTBEAT_SECONDS``."""
    with transaction(database):
        rows_of(database, _BEAT, (timestamp_text(time.time()), run))


def end_run(database: Database, run: int) -> None:
    """Say that this run has ended in good order."""
    now = timestamp_text(time.time())
    with transaction(database):
        rows_of(database, _END, (now, now, run))


class Lives:
    """Tells which runs are gone, to one who looks again and again.

    The first look goes by everybody's clocks. From then on a heartbeat has stopped when it did not move while this
    one looked, so that no clock that is set, and no database that nobody reached, makes a live run a dead one.
    """

    def __init__(self, own: int | None = None) -> None:
        """``own`` is the run of who looks."""
        self._own = own
        self._beats: dict[int, tuple[datetime, float]] = {}
        """The last heartbeat of each run, and when it was first seen (``time.monotonic``)."""
        self._looked: float | None = None

    def gone(self, runs: Iterable[tuple[int | None, str, int, str | datetime | None, object]]) -> set[int | None]:
        """Which of these runs (id, host, process id, heartbeat, end) are gone; None is one that is not known."""
        now = time.monotonic()
        first, kept = self._looked is None, self._beats
        if self._looked is not None and now - self._looked > 2 * HEARTBEAT_SECONDS:
            kept = {}
        self._looked, self._beats = now, {}
        found: set[int | None] = set()
        for run, host, pid, beaten_at, ended in runs:
            if run is None or beaten_at is None:
                found.add(run)
            elif run != self._own:
                beat = parse_timestamp(beaten_at)
                last, since = kept.get(run, (beat, now))
                since = since if last == beat else now
                self._beats[run] = beat, since
                age = time.time() - beat.timestamp() if first else now - since
                if ended is not None or age > _DEAD_SECONDS or _ended(host, pid):
                    found.add(run)
        return found


def mark_interrupted(database: Database, lives: Lives | None = None) -> int:
    """Mark what proxies that are gone left open, count it where ends are counted, and return how many there were.

    Their end is the last moment at which they are known to have been open: the proxy's last heartbeat.
    """
    gone = (lives or Lives()).gone(rows_of(database, _RUNS))
    if not gone:
        return 0
    marked: list[str] = []
    with transaction(database):
        touched = set()
        for own_id, started, session, initiator, run, heartbeat in rows_of(database, _OPEN):
            if run in gone:
                last_known = max(started, heartbeat or started)
                rows_of(database, _INTERRUPT, (last_known, own_id))
                touched.add((session, initiator))
                marked.append(own_id)
        sessions.rebuild(database, touched)
        hosts.add_interrupted(database, marked)
        daily.add_stored(database, marked)
        note_endings(database, marked)
        cover(database, marked)
        kinds.add_stored(database, marked)
    return len(marked)


def _ended(host: str, pid: int) -> bool:
    # A run of this very process id on this host is an earlier one: in containers every proxy is process 1.
    return host == platform.node() and (pid == os.getpid() or not _runs(pid))


def _runs(pid: int) -> bool:
    if sys.platform == "win32":
        # There os.kill with signal 0 is no question but a Ctrl-C; the heartbeat alone decides.
        return True
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
