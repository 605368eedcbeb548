"""Rows that belong to nothing any more: children without their interception, messages that nobody refers to.

And interceptions under a number that is not that of their kind. All are found without a lock, looked at again in the
transaction that changes them, and no block of a chain speaks of it: what verifies goes on to, and nothing else does.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from aitap.storage import contents, kinds
from aitap.storage.database import question_marks, rows_of, transaction
from aitap.storage.homes import home_of_database
from aitap.storage.queries import snapshot
from aitap.storage.removal import CHILDREN
from aitap.storage.repair.differences import in_slices

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from peewee import Database

__all__ = ["CHILDREN", "lost_messages", "mistaken", "orphans", "remove_messages", "remove_orphans", "repair_kinds"]

_ALONE = "NOT EXISTS (SELECT 1 FROM aibridge_interceptions i WHERE i.id = c.interception_id)"


def orphans(database: Database, table: str) -> list[str]:
    """The ids of children of this table that have no interception."""
    with snapshot(database):
        home_of_database(database).take_time(database)
        return [str(row[0]) for row in rows_of(database, f"SELECT c.id FROM {table} c WHERE {_ALONE}")]


def remove_orphans(database: Database, table: str) -> Iterator[int]:
    """Remove them; each step gives how many."""

    def step(ids: Sequence[str]) -> None:
        with transaction(database):
            # The alias is that of the question: SQLite and PostgreSQL both take it here.
            rows_of(database, f"DELETE FROM {table} AS c WHERE c.id IN {question_marks(len(ids))} AND {_ALONE}", ids)

    yield from in_slices(orphans(database, table), step)


def mistaken(database: Database) -> list[str]:
    """Interceptions under a number that is not that of their kind."""
    with snapshot(database):
        home_of_database(database).take_time(database)
        return kinds.mistaken(database)


def repair_kinds(database: Database) -> Iterator[int]:
    """Have them say their kind; each step gives how many. What counts kinds is to be looked at afterwards."""

    def step(ids: Sequence[str]) -> None:
        with transaction(database):
            kinds.set_right(database, ids)

    yield from in_slices(mistaken(database), step)


def lost_messages(database: Database) -> list[str]:
    """Messages that nothing refers to, though nobody noted them as loose."""
    with snapshot(database):
        home_of_database(database).take_time(database)
        return contents.lost(database)


def remove_messages(database: Database) -> Iterator[int]:
    """Remove these, and what only they continued; each step gives how many of the former were noted."""

    def step(digests: Sequence[str]) -> None:
        with transaction(database):
            contents.note_loose(database, digests)

    yield from in_slices(lost_messages(database), step)
    for _ in contents.collect(database):
        yield 0
