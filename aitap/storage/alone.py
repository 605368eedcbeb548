"""Work that one process of all does at a time, however many share the database.

Two that prune at once would do no harm, since every step is a transaction that looks anew; but they would take turns
at the same rows, and at the lock that all writers need. On a server the one that comes first holds an advisory lock
of its session for as long as it works; the others leave the work to it and look again when it is due. On SQLite,
where all are on one machine, a step of a few milliseconds that finds nothing to do is cheaper than a lock.

The lock is one of the session: behind a pooler (PgBouncer), that must be pooled by session.
"""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, TypeVar

import peewee

from aitap.storage.homes import home_of_database

if TYPE_CHECKING:
    from collections.abc import Iterator

    from peewee import Database

__all__ = ["alone"]

Step = TypeVar("Step")


def alone(database: Database, work: str, steps: Iterator[Step]) -> Iterator[Step]:
    """The same steps; none where another process is at this ``work``. Raises Peewee's errors."""
    home = home_of_database(database)
    if not home.begin_alone(database, work):
        return
    try:
        yield from steps
    finally:
        # Where the connection is gone, so is the lock.
        with contextlib.suppress(peewee.PeeweeException):
            home.end_alone(database, work)
