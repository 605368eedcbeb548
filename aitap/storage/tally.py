"""What the writer counts beside records: hosts seen without being read, and when keys were last used.

Both are sums, so they take no queue: what comes is added up until the writer's thread takes it, in a
transaction of its own that no record has to wait for or suffers from.
"""

from __future__ import annotations

import logging
import threading
from typing import TYPE_CHECKING

from aitap.storage.database import passes, transaction
from aitap.storage.hosts import Sightings
from aitap.storage.keys import touch_keys

if TYPE_CHECKING:
    from collections.abc import Iterable

    from peewee import Database

    from aitap.record import HostSeen, Interception

__all__ = ["Tally"]

log = logging.getLogger(__name__)

_KEY_SECONDS = 60.0
"""How exact the moment is at which a key was last used: a busy key is written once in that time."""


class Tally:
    """Sums of what has come since the last commit; ``limit`` is how many rows they may take.

    ``add`` and ``lost`` are for any thread, the rest for the one that writes.
    """

    def __init__(self, database: Database, limit: int) -> None:
        self.lost = 0
        """How many sightings found no place or could not be stored; each was told in the log."""
        self._database = database
        self._limit = limit
        self._lock = threading.Lock()
        self._coming = Sightings()
        self._going: list[Sightings] = []
        self._overflowing = 0
        self._told: dict[str, float] = {}
        self._used: dict[str, float] = {}

    @property
    def waiting(self) -> int:
        """How many rows are not stored yet."""
        return len(self._coming) + sum(map(len, self._going))

    def add(self, seen: HostSeen) -> bool:
        """Count one sighting, or lose it where there is no place. True where the writer must be woken for it."""
        with self._lock:
            if self._coming.has_place_for(seen, self._limit):
                first = not self._coming
                self._coming.add(seen)
                overflowed, self._overflowing = self._overflowing, 0
            else:
                first = False
                self.lost += 1
                self._overflowing += 1
                overflowed = 0
                if self._overflowing == 1:
                    log.error("too many hosts wait to be stored: WHAT TUNNELS DO IS NOT COUNTED (traffic goes on)")
        if overflowed:
            log.error("tunnels are counted again; %d times they were not", overflowed)
        return first

    def lose(self, count: int, reason: str) -> None:
        """Count what is lost, and tell."""
        self.lost += count
        log.error("what was seen of %d hosts or tunnels is lost: %s", count, reason)

    def use(self, records: Iterable[Interception]) -> None:
        """Take note of the keys that these were sent with."""
        for record in records:
            if record.api_key_id is not None:
                self._use(record.api_key_id, record.started_at)

    def _use(self, key_id: str, at: float) -> None:
        if at - self._told.get(key_id, 0.0) >= _KEY_SECONDS:
            self._told[key_id] = self._used[key_id] = at

    def take(self) -> bool:
        """Take what has come; whether there is anything to commit."""
        if self._coming and not self._going:
            with self._lock:
                coming, self._coming = self._coming, Sightings()
            for key_id, at in coming.keys.items():
                self._use(key_id, at)
            self._going = [coming]
        if self._used and not self._going:
            self._going = [Sightings()]
        return bool(self._going)

    def commit(self) -> None:
        """Store what was taken. Raises Peewee's error where the database is to blame: then do it again.

        What no database can take is found by halves and left out.
        """
        while self._going:
            part = self._going[-1]
            try:
                with transaction(self._database):
                    part.write(self._database)
                    touch_keys(self._database, self._used.items())
            except Exception as error:
                if passes(error):
                    raise
                self._going.pop()
                if len(part) > 1:
                    self._going += part.halves()
                else:
                    self.lose(len(part), str(error))
                    log.debug("where it failed", exc_info=True)
            else:
                self._going.pop()
                self._used.clear()
