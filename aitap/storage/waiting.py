"""Where records wait until they are stored: in memory, and where the database keeps them waiting, in the spool.

As long as the database takes records they go from memory to it. When it does not, or takes too long, all that is
in memory is moved to the spool (:meth:`Waiting.keep`), and so is all that comes until the spool is empty again:
so records are stored in the order in which they came. What the writer is at work on when that happens is moved
too; should it still succeed, the copy in the spool is stored a second time, which changes nothing.

Every record is counted: it waits here, is in the spool, is written, or is lost for a reason.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import Counter
from typing import TYPE_CHECKING

import msgspec

from aitap.record import Interception
from aitap.storage.intake import Intake, Mark, records_of
from aitap.storage.losses import CLOSED, DAMAGED, LOSSES, QUEUE, UNSTORABLE
from aitap.storage.spool.segments import Batch

if TYPE_CHECKING:
    from collections.abc import Callable

    from aitap.storage.spool.segments import Spool

__all__ = ["BATCH", "Waiting", "Work", "WriterStats"]

log = logging.getLogger(__name__)

BATCH = 2000
"""The most records in a transaction: so many only where they wait already, and then pages are written once for all."""

_BURST = 4
"""A burst that the database takes in its stride is not worth a detour."""

_TRY_AGAIN = 0.5
"""Seconds for which a spool that did not take records is left alone."""


class WriterStats:
    """Counts of records: every one submitted is written, lost, in the spool or still queued."""

    __slots__ = ("_own_lost", "adopted", "lost_by", "removed", "retries", "spooled", "submitted", "written")

    def __init__(self) -> None:
        self.submitted = 0
        self.written = 0
        self.spooled = 0
        """Records that are in the spool."""
        self.adopted = 0
        """Records written that a dead process left in a spool."""
        self.lost_by: Counter[str] = Counter()
        """By reason, one of :data:`aitap.storage.losses.LOSSES`."""
        self.retries = 0
        self.removed = 0
        """Interceptions that retention took away."""
        self._own_lost = 0

    @property
    def lost(self) -> int:
        """For whatever reason."""
        return self.lost_by.total()

    @property
    def queued(self) -> int:
        """Records that wait in memory, those of the batch at work among them."""
        return self.submitted - self.written - self.spooled - self._own_lost

    def lose(self, count: int, reason: str, *, own: bool) -> None:
        """Count; ``own`` are records that were submitted."""
        if count:
            self.lost_by[reason] += count
            self._own_lost += count if own else 0

    def emptied(self) -> None:
        """Nothing is in the spool: what was thought to be there, and was not read, was damaged."""
        self._own_lost += self.spooled
        self.spooled = 0


class Work(msgspec.Struct):
    """What is to be stored next."""

    items: list[Interception | Mark]
    batch: Batch | None = None
    """Where it comes from the spool."""
    since: float = 0.0
    kept: int = 0
    """So many of its records, the first ones, are in the spool by now."""
    records: list[Interception] = []


class Waiting:
    """All of it. One thread calls :meth:`next`, :meth:`stored` and :meth:`failed`; the rest is for any thread."""

    def __init__(self, most: int, most_bytes: int, spool: Spool | None) -> None:
        self.stats = WriterStats()
        self.on_settled: Callable[[list[Interception], bool], None] = lambda records, kept: None  # noqa: ARG005
        """Called, on whatever thread, when records are in the database or the spool (True) or lost (False)."""
        self.memory = Intake(most, most_bytes)
        self.spool = spool
        self.spool_trouble = ""
        """Why the spool does not take records; empty where it does, or where there is none."""
        self.reached: list[Mark] = []
        """Marks before which nothing waits any more; who sets them clears this."""
        self._refusal = QUEUE
        self._closed = False
        self._overflowing = 0
        self._damaged = 0
        self._try_again = 0.0
        self._lock = threading.Lock()  # of the numbers
        self._moving = threading.Lock()  # of what is at work and what goes from memory to the spool
        self._spooling = spool is not None and not spool.empty
        self._work: Work | None = None
        self._marks: list[Mark] = []

    # Coming in

    def submit(self, record: Interception) -> bool:
        """Take a record; False where it is lost. Never waits."""
        with self._lock:
            self.stats.submitted += 1
            reason = CLOSED if self._closed else ("" if self.memory.put(record) else self._refusal)
            if reason:
                self.stats.lose(1, reason, own=True)
                self._overflowing += 1
                overflowed = self._overflowing
            else:
                overflowed, self._overflowing = self._overflowing, 0
        if reason:
            self.on_settled([record], False)  # noqa: FBT003
            if overflowed == 1:
                log.error("RECORDS ARE BEING LOST (traffic goes on): %s", self.spool_trouble or LOSSES[reason])
        elif overflowed:
            log.error("records are taken again; %d were lost", overflowed)
        return not reason

    def close(self, last: Mark) -> None:
        """Take no more records; ``last`` comes behind those there are."""
        with self._lock:
            if not self._closed:
                self._closed = True
                self.memory.mark(last, hurry=True)

    @property
    def closed(self) -> bool:
        """Whether no more records are taken."""
        return self._closed

    # Going out

    def next(self, idle: float, gather: float) -> Work | None:
        """What to store next; None where nothing came within ``idle`` seconds.

        From memory it is what has come within ``gather`` seconds, but no more than a batch.
        """
        if self.spool is not None and self._spooling:
            batch = self.spool.oldest()
            self._tell_damage(self.spool)
            if batch is not None:
                self._work = Work([], batch, time.monotonic(), records=batch.records)
                return self._work
            with self._moving:
                if not self.spool.empty:
                    return None
                self._spooling = False
                self.reached += self._marks
                self._marks = []
                with self._lock:
                    self.stats.emptied()
        if self.reached:
            return None
        self.memory.wait(idle, gather, BATCH)
        with self._moving:
            items = [] if self._spooling else self.memory.take(BATCH)
            if not items:
                return None
            self._work = Work(items, since=time.monotonic(), records=records_of(items))
            return self._work

    def _tell_damage(self, spool: Spool) -> None:
        damaged, self._damaged = spool.damaged - self._damaged, spool.damaged
        if damaged:
            with self._lock:
                self.stats.lose(damaged, DAMAGED, own=False)

    def stored(self, work: Work, refused: set[str]) -> None:
        """Let go of what is in the database now, or, these ids, in none ever."""
        with self._moving:
            self._work = None
            if work.batch is not None and self.spool is not None:
                self.spool.done(work.batch)
            self.reached += [item for item in work.items if isinstance(item, Mark)]
        new = work.records[work.kept :]
        bad = [record for record in new if record.id in refused] if refused else []
        with self._lock:
            if work.batch is None or not work.batch.inherited:
                self.stats.spooled -= len(new) if work.batch is not None else 0
                self.stats.written += len(new) - len(bad)
                self.stats.lose(len(bad), UNSTORABLE, own=True)
            else:
                self.stats.adopted += len(new) - len(bad)
                self.stats.lose(len(bad), UNSTORABLE, own=False)
        if work.batch is None:
            if bad:
                self.on_settled(bad, False)  # noqa: FBT003
                new = [record for record in new if record.id not in refused]
            self.on_settled(new, True)  # noqa: FBT003

    def failed(self, work: Work) -> None:
        """The database did not take this; it comes again."""
        with self._moving:
            self._work = None
            if work.batch is None:
                self.memory.put_back(_behind(work.items, work.kept))

    # Into the spool

    @property
    def spooling(self) -> bool:
        """Whether records go to the spool."""
        return self._spooling

    def late(self, patience: float) -> bool:
        """Whether what is at work takes longer than this, or something in memory has waited for a multiple of it."""
        now = time.monotonic()
        work = self._work
        stuck = work is not None and work.batch is None and not work.kept and work.since < now - patience
        return stuck or self.memory.oldest < now - _BURST * patience

    def keep(self, *, at_last: bool = False) -> None:
        """Move all that is in memory to the spool, as far as it takes it; one that did not is left alone."""
        if self.spool is None or (self.spool_trouble and time.monotonic() < self._try_again and not at_last):
            return
        settled: list[Interception] = []
        refused: list[Interception] = []
        with self._moving:
            work = self._work
            if work is None or work.batch is not None or self._move(work.items, self.spool, settled, refused, work):
                while (items := self.memory.take(BATCH)) and self._move(items, self.spool, settled, refused):
                    pass
            if not self._spooling:
                self.reached += self._marks
                self._marks = []
        if refused:
            self.on_settled(refused, False)  # noqa: FBT003
        if settled:
            self.on_settled(settled, True)  # noqa: FBT003

    def _move(
        self,
        items: list[Interception | Mark],
        spool: Spool,
        settled: list[Interception],
        refused: list[Interception],
        work: Work | None = None,
    ) -> bool:
        """Move these, as far as the spool takes them; what is at work stays besides, the rest goes back to memory."""
        records = records_of(items)[0 if work is None else work.kept :]
        taken = spool.append(records)
        whole = taken.count == len(records)
        new = records[: taken.count]
        bad = [record for record in new if record.id in taken.refused] if taken.refused else []
        with self._lock:
            self.stats.spooled += len(new) - len(bad)
            self.stats.lose(len(bad), UNSTORABLE, own=True)
        refused += bad
        settled += [record for record in new if record.id not in taken.refused] if bad else new
        self._spooling = self._spooling or len(new) > len(bad)
        if records:
            self._tell(taken.reason, taken.error)
        if whole:
            self._marks += [item for item in items if isinstance(item, Mark)]
        if work is not None:
            work.kept += taken.count
            if whole:
                work.items = [item for item in items if not isinstance(item, Mark)]
        elif not whole:
            self.memory.put_back(_behind(items, taken.count))
        return whole

    def _tell(self, reason: str, error: str) -> None:
        self._refusal = reason or QUEUE
        if error and not self.spool_trouble:
            place = "" if self.spool is None else self.spool.place
            log.error("records cannot be kept in the spool %s, they wait in memory: %s", place, error)
        elif self.spool_trouble and not error:
            log.error("records are kept in the spool again")
        self.spool_trouble = error
        self._try_again = time.monotonic() + _TRY_AGAIN

    def lose_the_rest(self) -> int:
        """Nothing more will be done for what is in memory; how many records that costs."""
        with self._lock:
            left = self.stats.queued
            self.stats.lose(left, self._refusal, own=True)
        return left

    def lost(self, count: int, reason: str) -> None:
        """Count records that were lost before they came here."""
        with self._lock:
            self.stats.lose(count, reason, own=False)

    def inherit(self) -> None:
        """The spool has taken over what others left: that comes first."""
        with self._moving:
            self._spooling = self.spool is not None and not self.spool.empty


def _behind(items: list[Interception | Mark], count: int) -> list[Interception | Mark]:
    """What comes after so many records. Marks among these are behind, too: nothing is done before all of them is."""
    left: list[Interception | Mark] = []
    for item in items:
        if isinstance(item, Mark) or count <= 0:
            left.append(item)
        else:
            count -= 1
    return left
