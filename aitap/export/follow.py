"""What is new in the records since the last look: begun or ended.

A record appears in the database at most moments after its start (in flight) or at its end, so a look
at the last minutes and at what was in flight finds all of it, whoever wrote it.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
from peewee import Database, SqliteDatabase

from aitap.storage.database import slices
from aitap.storage.queries import Filter, get_interceptions, list_interceptions, recent_ids

__all__ = ["Follower"]

_AT_ONCE = 500

# A record that the writer held back for longer (a locked database) and that was never seen in flight is missed.
_LOOK_BACK = timedelta(minutes=2)


class Follower:
    """Gives each record when it first appears and again when it ends; ``backlog`` of those that are there first."""

    def __init__(self, database: Database, filter: Filter, *, backlog: int) -> None:
        self._database = database
        self._filter = filter
        self._backlog = backlog
        self._begun: datetime | None = None
        self._seen: dict[str, bool] = {}
        self._open: set[str] = set()
        self._version: Any = None

    def poll(self) -> list[dict[str, Any]]:
        """What appeared or ended since the last call, oldest first; nothing when nothing was written."""
        if isinstance(self._database, SqliteDatabase):
            version = self._database.execute_sql("PRAGMA data_version").fetchone()[0]
            if version == self._version:
                return []
            self._version = version
        if self._begun is None:
            return self._first()
        since = max(self._begun, datetime.now(UTC) - _LOOK_BACK)
        states = recent_ids(self._database, self._filtered(since), also=sorted(self._open))
        changed = [id_ for id_, ended in states.items() if self._seen.get(id_) is not ended]
        self._note(states)
        records: list[dict[str, Any]] = []
        for some in slices(changed, _AT_ONCE):
            records += get_interceptions(self._database, some)
        return records

    def _filtered(self, since: datetime) -> Filter:
        after = self._filter.started_after
        return msgspec.structs.replace(self._filter, started_after=max(since, after) if after else since)

    def _first(self) -> list[dict[str, Any]]:
        self._begun = datetime.now(UTC) - _LOOK_BACK
        records = list_interceptions(self._database, self._filter, limit=self._backlog) if self._backlog else []
        self._note(recent_ids(self._database, self._filtered(self._begun)))
        self._note({record["id"]: record["ended_at"] is not None for record in records})
        return records[::-1]

    def _note(self, states: dict[str, bool]) -> None:
        self._seen = states if len(self._seen) > 100_000 else self._seen | states
        for id_, ended in states.items():
            (self._open.discard if ended else self._open.add)(id_)
