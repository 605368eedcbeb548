"""The one thread that writes records.

Whoever records calls :meth:`Writer.submit`, which appends to a queue and returns. The thread takes what
has come within the flush interval and commits it in one transaction. A database that is locked, full, slow or
gone costs time, not records: they wait in the spool, where there is one, else in memory, and are tried again
until they are written. Only the bounds of the two lose records, each of them counted with the reason
(:mod:`aitap.storage.waiting`). A record that no database can take does not hold up the others.
What is only counted (tunnels, uses of keys) comes after its batch, see :mod:`aitap.storage.tally`.
"""

from __future__ import annotations

import logging
import threading
import time
from typing import TYPE_CHECKING

import peewee

from aitap.storage import recovery
from aitap.storage.alone import alone
from aitap.storage.commit import Commits
from aitap.storage.database import check_schema
from aitap.storage.intake import Mark
from aitap.storage.keeper import Keeper
from aitap.storage.losses import LOSSES
from aitap.storage.retention import prune_slices
from aitap.storage.steady import SteadyClock
from aitap.storage.tally import Tally
from aitap.storage.trouble import Trouble, in_a_line
from aitap.storage.waiting import Waiting, WriterStats

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from peewee import Database

    from aitap.prices.pricing import Prices
    from aitap.record import HostSeen, Interception
    from aitap.storage.spool.segments import Spool

__all__ = ["Writer", "WriterStats"]

log = logging.getLogger(__name__)

_FIRST_PAUSE = 0.05
_LONGEST_PAUSE = 5.0
_REST = 0.002
"""Seconds between two steps of the retention, in which other processes have their turn to write."""
_ADOPT_EVERY = 3.0
"""Seconds between two looks for what dead proxies left."""


class _Abandoned(Exception):  # noqa: N818 # no error: it carries the order to stop through the work
    pass


class Writer:
    """Writes records in a thread of its own, with a database connection of its own.

    ``flush_interval``, ``retention`` (0 keeps for ever), ``content_retention`` (0 keeps contents as long as
    their records), ``audit_retention`` (of who was shown whose records) and ``retention_interval`` are seconds;
    ``queue_limit`` and ``queue_bytes`` bound the records that wait in memory. ``prices`` tell what records cost;
    without them nobody does. ``opening`` is called before the database is used first, again and again until it raises
    nothing; ``adopting``, now and then, has the spool take over what dead proxies left, and gives how many records
    these lost.
    """

    def __init__(
        self,
        database: Database,
        *,
        flush_interval: float = 0.1,
        queue_limit: int = 50_000,
        queue_bytes: int = 256 << 20,
        retention: float = 0.0,
        content_retention: float = 0.0,
        audit_retention: float = 0.0,
        retention_interval: float = 600.0,
        prices: Prices | None = None,
        spool: Spool | None = None,
        opening: Callable[[], None] = lambda: None,
        adopting: Callable[[], dict[str, int]] = dict,
    ) -> None:
        self._waiting = Waiting(queue_limit, queue_bytes, spool)
        self.stats = self._waiting.stats
        self._database = database
        self._flush_interval = min(flush_interval, threading.TIMEOUT_MAX)
        self._retention = retention
        self._content_retention = content_retention
        self._audit_retention = audit_retention
        self._retention_interval = retention_interval
        self._opening = opening
        self._adopting = adopting
        self._commits = Commits(database, prices)
        self._tally = Tally(database, queue_limit)
        self._clock = SteadyClock()
        self._queue_bytes = queue_bytes
        self._abandon = threading.Event()
        self._last_mark = Mark()
        self._trouble = Trouble(database, kept=spool is not None)
        self._not_adopted = ""
        self._begun = False
        self._unmarked = True
        self._lives = recovery.Lives()
        self._pruning: Iterator[int] | None = None
        self._next_prune = 0.0
        self._next_beat = 0.0
        self._next_adoption = 0.0
        self._thread = threading.Thread(target=self._serve, name="aitap-writer", daemon=True)
        self._keeper = Keeper(self._waiting, self._flush_interval, self._hurts)

    # -- for any thread

    def start(self) -> None:
        """Start the thread. It first marks what dead proxies left open, and looks again with each heartbeat."""
        if self._waiting.spool is not None:
            self._keeper.start()
        self._thread.start()

    @property
    def on_placed(self) -> Callable[[list[Interception]], None]:
        """Called on the writer's thread with records whose thread and session have just been found; must be quick."""
        return self._commits.on_placed

    @on_placed.setter
    def on_placed(self, call: Callable[[list[Interception]], None]) -> None:
        self._commits.on_placed = call

    @property
    def on_settled(self) -> Callable[[list[Interception], bool], None]:
        """Called, on any thread, with records that are in the database or the spool (True) or lost (False)."""
        return self._waiting.on_settled

    @on_settled.setter
    def on_settled(self, call: Callable[[list[Interception], bool], None]) -> None:
        self._waiting.on_settled = call

    def submit(self, record: Interception) -> bool:
        """Queue a record, at its start or at its end; it must not change from now on. Never waits.

        False where there is no place for it: the record is lost and counted so.
        """
        return self._waiting.submit(record)

    def seen(self, seen: HostSeen) -> None:
        """Count a tunnel or a refused handshake with its host. Never waits; what is lost is told in the log."""
        if self._waiting.closed:
            self._tally.lose(1, "the writer is closed")
        elif self._tally.add(seen):
            self._waiting.memory.mark(Mark(), hurry=False)

    def lost(self, count: int, reason: str) -> None:
        """Count records that were lost before they came here, for one of the reasons of ``LOSSES``, and tell."""
        if count:
            self._waiting.lost(count, reason)
            log.error("%d RECORDS WERE LOST: %s", count, LOSSES[reason])

    @property
    def trouble(self) -> str:
        """Why records cannot be written now, in a line; empty where they can."""
        if self._trouble.now:
            return f"the database does not take records: {self._trouble.now}"
        return "" if self._thread.is_alive() else "the writer does not run"

    @property
    def keeps_nothing(self) -> str:
        """Why records would be lost if there were no memory, in a line; empty where database or spool takes them."""
        if not self.trouble or (self._waiting.spool is not None and not self._waiting.spool_trouble):
            return ""
        return f"{self.trouble}; {self._waiting.spool_trouble or 'there is no spool'}"

    @property
    def spool_bytes(self) -> int:
        """The size of the spool on the disk."""
        return 0 if self._waiting.spool is None else self._waiting.spool.size

    @property
    def spool_limit(self) -> int:
        """The most bytes that the spool may take; 0 where there is none."""
        return 0 if self._waiting.spool is None else self._waiting.spool.limit

    def flush(self, timeout: float) -> bool:
        """Wait until everything submitted before is committed or counted as lost; False after ``timeout`` seconds."""
        mark = Mark()
        self._waiting.memory.mark(mark, hurry=True)
        return mark.wait(timeout)

    def close(self, timeout: float = 10.0) -> bool:
        """Write what is queued and end the thread; what is not written within ``timeout`` seconds stays in the spool.

        False where something is lost, since there is no spool or it does not take it.
        """
        self._waiting.close(self._last_mark)
        if not self._thread.ident:
            self.start()
        self._thread.join(timeout)
        if self._thread.is_alive():
            self._abandon.set()
            self._waiting.memory.hurry()
            self._thread.join(1.0)
        self._keeper.stop()
        self._waiting.keep(at_last=True)
        left = self._waiting.lose_the_rest()
        if left:
            log.error("the database did not take the last %d records within %g s: they are lost", left, timeout)
        if waiting := self._tally.waiting:
            self._tally.lose(waiting, "the database did not take it")
        spool = self._waiting.spool
        if spool is not None:
            if not spool.empty:
                log.warning(
                    "%d bytes of records wait in the spool for the next proxy, or `aitap db replay`", spool.size
                )
            spool.close()
        return not left and not waiting

    # -- the thread that writes

    def _hurts(self) -> bool:
        """Whether the database takes nothing now, or memory fills."""
        return bool(self._trouble.now) or self._waiting.memory.bytes > self._queue_bytes / 2

    def _serve(self) -> None:
        pause = _FIRST_PAUSE
        try:
            while not self._last_mark.is_set():
                try:
                    self._turn()
                except Exception as error:  # noqa: BLE001 - whatever it is: without this thread nothing is stored
                    self._troubled(error)
                    if self._abandon.wait(pause):
                        raise _Abandoned from None
                    pause = min(2 * pause, _LONGEST_PAUSE)
                else:
                    pause = _FIRST_PAUSE
                self._obey()
            recovery.end_run(self._database, self._commits.run or 0)
        except (_Abandoned, peewee.PeeweeException):
            log.debug("the writer stops without taking leave of the database", exc_info=True)
        finally:
            self._database.close()

    def _obey(self) -> None:
        if self._abandon.is_set():
            raise _Abandoned

    def _troubled(self, error: Exception) -> None:
        self.stats.retries += 1
        self._trouble.is_that(error)
        self._database.close()
        self._commits.distrust()
        self._waiting.keep()
        if self._waiting.closed and self._waiting.spool is not None and not self._waiting.memory:
            # All is in the spool: no need to wait for a database that may be away for hours.
            raise _Abandoned

    def _turn(self) -> None:
        """Upkeep that is due, then what has come. Raises Peewee's errors where the database is to blame."""
        if not self._begun:
            self._begin()
        elif self._trouble.now:
            self._begin_again()
        if not self._trouble.now:
            self._upkeep()
        now = time.monotonic()
        waiting = self._waiting
        due = min(self._next_beat, self._next_prune, self._next_adoption if waiting.spool is not None else now + 60)
        idle = _REST if self._pruning else 0.0 if self._trouble.now else max(0.0, due - now)
        work = waiting.next(idle, 0.0 if self._pruning or self._trouble.now else self._flush_interval)
        if work is not None and work.records:
            try:
                refused = self._commits.commit(work.records, inherited=work.batch is not None and work.batch.inherited)
            except BaseException:
                waiting.failed(work)
                raise
            waiting.stored(work, refused)
            self._tally.use(work.records)
        elif work is not None:
            waiting.stored(work, set())
        if self._tally.take():
            self._tally.commit()
        self._trouble.is_over()
        reached, waiting.reached = waiting.reached, []
        for mark in reached:
            mark.set()

    def _begin(self) -> None:
        self._opening()
        if self._commits.run is None and (heard := recovery.last_heard(self._database)) is not None:
            self._clock.begin(heard)
        self._commits.run = self._commits.run or recovery.begin_run(self._database)
        self._lives = recovery.Lives(self._commits.run)
        self._begun = True

    def _begin_again(self) -> None:
        """What answers now may be another database: a copy that was put back, or a standby that lags."""
        check_schema(self._database)
        if not recovery.is_known(self._database, self._commits.run or 0):
            self._commits.run = recovery.begin_run(self._database)
            self._lives = recovery.Lives(self._commits.run)

    def _adopt(self) -> None:
        try:
            found = self._adopting()
        except OSError as error:
            if in_a_line(error) != self._not_adopted:
                self._not_adopted = in_a_line(error)
                log.warning("what dead proxies left cannot be looked at: %s", self._not_adopted)
            return
        self._not_adopted = ""
        for reason, count in found.items():
            self.lost(count, reason)
        self._waiting.inherit()
        if self._waiting.spool is not None and self._waiting.spool.inherits:
            self._unmarked = True

    def _mark(self) -> None:
        """What dead proxies left open is interrupted; where their ends may be in the spool, those come first."""
        if self._waiting.spool is not None and self._waiting.spool.inherits:
            return
        if interrupted := recovery.mark_interrupted(self._database, self._lives):
            log.warning("%d requests were cut off when their proxy stopped: marked interrupted", interrupted)
        self._unmarked = False

    def _upkeep(self) -> None:
        now = time.monotonic()
        try:
            if now >= self._next_beat:
                self._next_beat = now + recovery.HEARTBEAT_SECONDS
                recovery.beat(self._database, self._commits.run or 0)
                self._unmarked = True
            if now >= self._next_adoption:
                self._next_adoption = now + _ADOPT_EVERY
                self._adopt()
            if self._unmarked:
                self._mark()
            if now >= self._next_prune:
                self._next_prune = now + self._retention_interval
                self._pruning = self._prune()
            if self._pruning:
                self._commits.forget()
                removed = next(self._pruning, None)
                self.stats.removed += removed or 0
                if removed is None:
                    self._pruning = None
        except peewee.PeeweeException as error:
            self._pruning = None
            self._database.close()
            log.warning("upkeep of the database is put off: %s", error)

    def _prune(self) -> Iterator[int] | None:
        ages = (self._retention, self._content_retention, self._audit_retention)
        if not any(ages):
            return None
        now = self._clock.now()
        steps = prune_slices(self._database, *(now - age if age else 0.0 for age in ages))
        return alone(self._database, "retention", steps)
