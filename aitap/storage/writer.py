"""The one thread that writes records.

Whoever records calls :meth:`Writer.submit`, which appends to a queue and returns. The thread takes what
has come within the flush interval and commits it in one transaction. A database that is locked, full or
gone costs time, not records: the batch is tried again until it is written, and only the queue's bound
loses records, each of them counted. A record that no database can take does not hold up the others.
What is only counted (tunnels, uses of keys) comes after its batch, see :mod:`aitap.storage.tally`.
"""

from __future__ import annotations

import logging
import queue
import threading
import time
from typing import TYPE_CHECKING

import peewee

from aitap.storage import daily, hosts, recovery, sessions
from aitap.storage.contents import Contents
from aitap.storage.database import passes, question_marks, rows_of, transaction
from aitap.storage.lineage import Threads
from aitap.storage.retention import prune_slices
from aitap.storage.statements import as_unicode, insert_records
from aitap.storage.tally import Tally

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from peewee import Database

    from aitap.prices.pricing import Prices
    from aitap.record import HostSeen, Interception

__all__ = ["Writer", "WriterStats"]

log = logging.getLogger(__name__)

_BATCH = 1000
_FIRST_PAUSE = 0.05
_LONGEST_PAUSE = 5.0


class WriterStats:
    """Counts of records: every one submitted is written, lost or still queued."""

    __slots__ = ("lost", "removed", "retries", "submitted", "written")

    def __init__(self) -> None:
        self.submitted = 0
        self.written = 0
        self.lost = 0
        self.retries = 0
        self.removed = 0
        """Interceptions that retention took away."""

    @property
    def queued(self) -> int:
        """Records that wait, those of the batch at work among them."""
        return self.submitted - self.written - self.lost


class _Mark(threading.Event):
    """A place in the queue; set when all before it is done with."""


class _Abandoned(Exception):  # noqa: N818 # no error: it carries the order to stop through the work
    pass


class Writer:
    """Writes records in a thread of its own, with a database connection of its own.

    ``flush_interval``, ``retention`` (0 keeps for ever), ``content_retention`` (0 keeps contents as long as
    their records) and ``retention_interval`` are seconds; ``queue_limit`` is the number of records that may
    wait before further ones are lost. ``prices`` tell what records cost; without them nobody does.
    """

    def __init__(
        self,
        database: Database,
        *,
        flush_interval: float = 0.1,
        queue_limit: int = 50_000,
        retention: float = 0.0,
        content_retention: float = 0.0,
        retention_interval: float = 600.0,
        prices: Prices | None = None,
    ) -> None:
        self.stats = WriterStats()
        self.on_placed: Callable[[list[Interception]], None] = lambda records: None  # noqa: ARG005
        """Called on the writer's thread with records whose thread and session have just been found; must be quick."""
        self._database = database
        self._flush_interval = min(flush_interval, threading.TIMEOUT_MAX)
        self._queue_limit = queue_limit
        self._retention = retention
        self._content_retention = content_retention
        self._retention_interval = retention_interval
        self._prices = prices
        self._threads = Threads(database)
        self._contents = Contents(database)
        self._tally = Tally(database, queue_limit)
        self._queue: queue.SimpleQueue[Interception | _Mark] = queue.SimpleQueue()
        self._lock = threading.Lock()
        self._hurry = threading.Event()
        self._abandon = threading.Event()
        self._last_mark: _Mark | None = None
        self._overflowing = 0
        self._failing = ""
        self._run = 0
        self._pruning: Iterator[int] | None = None
        self._next_prune = 0.0
        self._next_beat = 0.0
        self._thread = threading.Thread(target=self._serve, name="aitap-writer", daemon=True)

    # -- for any thread

    def start(self) -> None:
        """Start the thread. It first marks what a dead proxy left open."""
        self._thread.start()

    def submit(self, record: Interception) -> bool:
        """Queue a record, at its start or at its end; it must not change from now on. Never waits.

        False where the queue is full or closed: the record is lost and counted so.
        """
        stats = self.stats
        with self._lock:
            stats.submitted += 1
            if self._last_mark is None and stats.queued <= self._queue_limit:
                self._queue.put(record)
                overflowed, self._overflowing = self._overflowing, 0
                taken = True
            else:
                stats.lost += 1
                self._overflowing += 1
                overflowed = self._overflowing
                taken = False
        if overflowed:
            self._tell_overflow(overflowed, over=taken)
        return taken

    def seen(self, seen: HostSeen) -> None:
        """Count a tunnel or a refused handshake with its host. Never waits; what is lost is told in the log."""
        with self._lock:
            if self._last_mark is not None:
                self._tally.lose(1, "the writer is closed")
            elif self._tally.add(seen):
                self._queue.put(_Mark())

    @property
    def trouble(self) -> str:
        """Why records cannot be written now, in a line; empty where they can."""
        if self._failing:
            return f"the database does not take records: {self._failing}"
        return "" if self._thread.is_alive() else "the writer does not run"

    def flush(self, timeout: float) -> bool:
        """Wait until everything submitted before is committed or counted as lost; False after ``timeout`` seconds."""
        mark = _Mark()
        self._queue.put(mark)
        self._hurry.set()
        return mark.wait(timeout)

    def close(self, timeout: float = 10.0) -> bool:
        """Write what is queued and end the thread; False where ``timeout`` seconds did not do, the rest being lost."""
        with self._lock:
            if self._last_mark is None:
                self._last_mark = _Mark()
                self._queue.put(self._last_mark)
        self._hurry.set()
        if not self._thread.ident:
            self._thread.start()
        self._thread.join(timeout)
        if not self._thread.is_alive():
            return self.stats.queued == self._tally.waiting == 0
        self._abandon.set()
        self._thread.join(1.0)
        with self._lock:
            left = self.stats.queued
            self.stats.lost += left
        log.error("the database did not take the last %d records within %g s: they are lost", left, timeout)
        if waiting := self._tally.waiting:
            self._tally.lose(waiting, "the database did not take it")
        return False

    def _tell_overflow(self, lost: int, *, over: bool) -> None:
        if over:
            log.error("records are taken again; %d were lost", lost)
        elif lost == 1:
            log.error("the queue of records is full or closed: RECORDS ARE BEING LOST (traffic goes on)")

    # -- the thread

    def _serve(self) -> None:
        try:
            self._insist(self._begin)
            while not self._work():
                pass
            recovery.end_run(self._database, self._run)
        except (_Abandoned, peewee.PeeweeException):
            log.debug("the writer stops without taking leave of the database", exc_info=True)
        finally:
            self._database.close()

    def _begin(self) -> None:
        self._run = self._run or recovery.begin_run(self._database)
        if interrupted := recovery.mark_interrupted(self._database):
            log.warning("%d requests were cut off when the last proxy stopped: marked interrupted", interrupted)

    def _work(self) -> bool:
        """One turn: upkeep that is due, then what has come. True when that was the last."""
        self._upkeep()
        items = self._collect()
        records = [item for item in items if not isinstance(item, _Mark)]
        if records:
            self._write(records)
            self._tally.use(records)
        if self._tally.take():
            self._insist(self._tally.commit)
        for item in items:
            if isinstance(item, _Mark):
                item.set()
        return self._last_mark is not None and self._last_mark.is_set()

    def _collect(self) -> list[Interception | _Mark]:
        """What has come within one flush interval, but no more than a batch."""
        idle = 0.0 if self._pruning else max(0.0, min(self._next_beat, self._next_prune) - time.monotonic())
        try:
            items = [self._queue.get(timeout=idle)]
        except queue.Empty:
            return []
        if not self._pruning and self._queue.qsize() < _BATCH:
            self._hurry.wait(self._flush_interval)
        self._hurry.clear()
        while len(items) < _BATCH:
            try:
                items.append(self._queue.get_nowait())
            except queue.Empty:
                break
        if self._queue.qsize():
            self._hurry.set()
        return items

    def _upkeep(self) -> None:
        now = time.monotonic()
        try:
            if now >= self._next_beat:
                self._next_beat = now + recovery.HEARTBEAT_SECONDS
                recovery.beat(self._database, self._run)
            if now >= self._next_prune:
                self._next_prune = now + self._retention_interval
                self._pruning = self._prune()
            if self._pruning:
                self._contents.forget()
                removed = next(self._pruning, None)
                self.stats.removed += removed or 0
                if removed is None:
                    self._pruning = None
        except peewee.PeeweeException as error:
            self._pruning = None
            self._database.close()
            log.warning("upkeep of the database is put off: %s", error)

    def _prune(self) -> Iterator[int] | None:
        if not self._retention and not self._content_retention:
            return None
        now = time.time()
        return prune_slices(
            self._database,
            now - self._retention if self._retention else 0.0,
            now - self._content_retention if self._content_retention else 0.0,
        )

    def _insist(self, work: Callable[[], None]) -> None:
        """Do it until the database lets it be done. Raises ``_Abandoned`` when told to stop."""
        pause = _FIRST_PAUSE
        while True:
            try:
                work()
            except peewee.PeeweeException as error:
                self.stats.retries += 1
                self._failing = str(error).partition("\n")[0]
                if pause == _FIRST_PAUSE:
                    log.error("cannot write to the database, will try again until it works: %s", error)  # noqa: TRY400
                self._database.close()
                if self._abandon.wait(pause):
                    raise _Abandoned from None
                pause = min(2 * pause, _LONGEST_PAUSE)
            else:
                break
        self._failing = ""
        if pause > _FIRST_PAUSE:
            log.error("writing to the database works again")

    def _write(self, items: list[Interception]) -> None:
        """Write these, whatever it takes; those that cannot be written are lost."""
        latest: dict[str, Interception] = {}
        for item in items:
            before = latest.get(item.id)
            if before is None or before.ended_at is None or item.ended_at is not None:
                latest[item.id] = item
        refused: set[str] = set()
        self._insist(lambda: self._commit_good(list(latest.values()), refused))
        lost = sum(item.id in refused for item in items) if refused else 0
        with self._lock:
            self.stats.lost += lost
            self.stats.written += len(items) - lost

    def _commit_good(self, records: list[Interception], refused: set[str]) -> None:
        """Commit, and if a record prevents it, find that one by halves and leave it out.

        Raises Peewee's error where the database is to blame.
        """
        try:
            self._commit(records)
        except Exception as error:
            if passes(error):
                raise
            if len(records) > 1:
                middle = len(records) // 2
                self._commit_good(records[:middle], refused)
                self._commit_good(records[middle:], refused)
            elif (
                isinstance(error, (UnicodeEncodeError, peewee.DataError))
                and (clean := as_unicode(records[0])) != records[0]
            ):
                self._commit_good([clean], refused)
            else:
                # Where not even this is written it is the database, whatever its error looks like: that passes.
                self._database.close()
                recovery.beat(self._database, self._run)
                refused.add(records[0].id)
                log.error("interception %s cannot be stored and is lost: %s", records[0].id, error)  # noqa: TRY400
                log.debug("where it failed", exc_info=True)

    def _commit(self, records: list[Interception]) -> None:
        with transaction(self._database):
            ended = self._ended([record.id for record in records])
            news = [record for record in records if record.id not in ended]
            # A run that was taken for dead, wrongly, gives its records their true end.
            revived = [
                record for record in records if record.ended_at and ended.get(record.id, ("",))[0] == "interrupted"
            ]
            self._threads.resolve(news + revived)
            if self._prices:
                self._prices.fill(news + revived)
            self.on_placed(news + revived)
            daily.add_stored(self._database, (record.id for record in revived), times=-1)
            insert_records(self._database, self._contents.write(news + revived), self._run)
            self._threads.write()
            over = [record for record in news if record.ended_at is not None]
            sessions.add_ended(self._database, over)
            hosts.add_ended(self._database, over)
            daily.add_ended(self._database, over)
            if revived:
                daily.add_stored(self._database, (record.id for record in revived))
                keys = {(ended[record.id][1], record.initiator_id) for record in revived}
                sessions.rebuild(
                    self._database, keys | {(record.session_id, record.initiator_id) for record in revived}
                )
        self._contents.committed()

    def _ended(self, ids: list[str]) -> dict[str, tuple[str, str]]:
        """Which of these have their end already: outcome and session by id."""
        sql = "SELECT id, outcome, session_id FROM aibridge_interceptions WHERE ended_at IS NOT NULL AND id IN "
        rows = rows_of(self._database, sql + question_marks(len(ids)), ids)
        return {str(own_id): (outcome, session) for own_id, outcome, session in rows}


def _of_text(error: Exception) -> bool:
    return isinstance(error, (UnicodeEncodeError, peewee.DataError))
