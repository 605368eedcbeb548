"""Batches of records, each in one transaction, with all that follows from them: threads, sessions, sums.

Committing a batch twice stores it once. What no database can take is found by halves and left out.
"""

from __future__ import annotations

import logging
import re
from typing import TYPE_CHECKING

import peewee

from aitap.storage import daily, hosts, kinds, recovery, sessions
from aitap.storage.answers import Answers
from aitap.storage.contents import Contents
from aitap.storage.database import StorageError, check_schema, passes, question_marks, rows_of, transaction
from aitap.storage.endings import note_endings
from aitap.storage.evidence.chain import cover
from aitap.storage.lineage import Threads
from aitap.storage.pruned import counted_before
from aitap.storage.removal import CHILDREN
from aitap.storage.retries import Retries
from aitap.storage.statements import as_unicode, insert_records

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from peewee import Database

    from aitap.prices.pricing import Prices
    from aitap.record import Interception

__all__ = ["Commits"]

log = logging.getLogger(__name__)

_OUTDATED = re.compile("no such (table|column)|has no column|does not exist").search
"""What databases say where the schema is another."""


class Commits:
    """Stores records for one writer. ``prices`` tell what they cost; without them nobody does."""

    def __init__(self, database: Database, prices: Prices | None) -> None:
        self.run: int | None = None
        """The run of the proxy that the records are of (see :mod:`aitap.storage.recovery`)."""
        self.on_placed: Callable[[list[Interception]], None] = lambda records: None  # noqa: ARG005
        self._database = database
        self._prices = prices
        self.distrust()

    def distrust(self) -> None:
        """The database may be another by now, a copy or a standby that lags: what is remembered of it may be wrong."""
        database = self._database
        self._threads = Threads(database)
        self._answers = Answers(database)
        self._retries = Retries(database)
        self._contents = Contents(database)
        self._kinds = kinds.Kinds(database)

    def commit(self, items: Sequence[Interception], *, inherited: bool = False) -> set[str]:
        """Store these, a start and its end among them or not; the ids of those that no database can take.

        Those ``inherited`` from a dead process that have no end belong to no run. Raises Peewee's error where the
        database is to blame: then nothing or a part is stored, and the same may be done again.
        """
        latest: dict[str, Interception] = {}
        for item in items:
            before = latest.get(item.id)
            if before is None or before.ended_at is None or item.ended_at is not None:
                latest[item.id] = item
        refused: set[str] = set()
        self._commit_good(list(latest.values()), refused, None if inherited else self.run)
        return refused

    def forget(self) -> None:
        """Contents may have been removed."""
        self._contents.forget()

    def _commit_good(self, records: list[Interception], refused: set[str], run: int | None) -> None:
        """Commit, and if a record prevents it, find that one by halves and leave it out."""
        try:
            try:
                self._commit(records, run)
            except peewee.IntegrityError:
                # Some of it is there already, though its interception was not.
                self._commit(records, run, trusting=False)
        except Exception as error:
            if passes(error):
                if _OUTDATED(str(error)):
                    self._make_sure_of_the_database()
                raise
            if len(records) > 1:
                middle = len(records) // 2
                self._commit_good(records[:middle], refused, run)
                self._commit_good(records[middle:], refused, run)
            elif (
                isinstance(error, (UnicodeEncodeError, peewee.DataError))
                and (clean := as_unicode(records[0])) != records[0]
            ):
                self._commit_good([clean], refused, run)
            else:
                self._last_try(records[0], refused, run)

    def _last_try(self, record: Interception, refused: set[str], run: int | None) -> None:
        """Once more over a new connection: who migrates a database makes older connections fail."""
        self._database.close()
        try:
            self._commit([record], run)
        except Exception as error:
            if passes(error):
                raise
            # Where not even this is written it is the database, whatever its error looks like: that passes.
            self._database.close()
            self._make_sure_of_the_database()
            refused.add(record.id)
            log.error("interception %s cannot be stored and is lost: %s", record.id, error)  # noqa: TRY400
            log.debug("where it failed", exc_info=True)

    def _make_sure_of_the_database(self) -> None:
        try:
            check_schema(self._database)
        except StorageError as error:
            # Another aitap has migrated it, or somebody is about to: no fault of the record's.
            raise peewee.OperationalError(str(error)) from None
        if self.run is not None:
            recovery.beat(self._database, self.run)

    def _commit(self, records: list[Interception], run: int | None, *, trusting: bool = True) -> None:
        with transaction(self._database):
            stored = self._stored([record.id for record in records])
            ended = {own_id: end for own_id, (*end, is_over) in stored.items() if is_over}
            news = [record for record in records if record.id not in ended]
            # A run that was taken for dead, wrongly, gives its records their true end.
            revived = [
                record for record in records if record.ended_at and ended.get(record.id, ("",))[0] == "interrupted"
            ]
            self._answers.settle(news + revived)
            if self._answers.told:
                news = [record for record in news if record.id not in self._answers.told]
            told = news + revived
            self._retries.find(told)
            self._threads.resolve(told)
            if self._prices:
                self._prices.fill(told)
            self.on_placed(told)
            daily.add_stored(self._database, (record.id for record in revived), times=-1)
            found = self._kinds.of(told)
            with kinds.taking_away(self._database, [record.id for record in revived]):
                self._clear(revived)
                kept = self._contents.write(told)
                insert_records(self._database, kept, run, found, stored=stored if trusting else None)
            self._threads.write()
            self._retries.write(told)
            over = [record for record in news if record.ended_at is not None]
            sessions.add_ended(self._database, over)
            hosts.add_ended(self._database, over)
            again = counted_before(self._database, (record.id for record in over))
            daily.add_ended(self._database, [record for record in over if record.id not in again])
            ends = [kind for record, kind in zip(news, found, strict=False) if record.ended_at is not None]
            kinds.add_ended(self._database, over, ends)
            if revived:
                kinds.add_stored(self._database, [record.id for record in revived])
                daily.add_stored(self._database, (record.id for record in revived))
                keys = {(ended[record.id][1], record.initiator_id) for record in revived}
                sessions.rebuild(
                    self._database, keys | {(record.session_id, record.initiator_id) for record in revived}
                )
            note_endings(self._database, [record.id for record in over])
            ids = [*(record.id for record in told), *self._answers.touched]
            cover(self._database, ids, calls=self._threads.completed, messages=self._contents.written)
        self._contents.committed()
        self._kinds.committed()

    def _clear(self, revived: list[Interception]) -> None:
        """What an end told that was not the end goes, but for what the true one tells under the same id."""
        for record in revived:
            for table in CHILDREN:
                those = [child.id for child in getattr(record, table.removeprefix("aibridge_"))]
                but = f" AND id NOT IN {question_marks(len(those))}" if those else ""
                rows_of(self._database, f"DELETE FROM {table} WHERE interception_id = ?{but}", (record.id, *those))

    def _stored(self, ids: list[str]) -> dict[str, tuple[str, str, bool]]:
        """Which of these are there already: outcome, session and whether it has ended, by id."""
        sql = "SELECT id, outcome, session_id, ended_at IS NOT NULL FROM aibridge_interceptions WHERE id IN "
        rows = rows_of(self._database, sql + question_marks(len(ids)), ids)
        return {str(own_id): (outcome, session, bool(over)) for own_id, outcome, session, over in rows}
