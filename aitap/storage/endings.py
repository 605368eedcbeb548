"""What ended in which transaction: the order in which exports that go on where they stopped see records.

A record counts from the moment that its end is committed, whenever it began and however long it waited in a
spool; so an export that has seen all endings up to a number has missed nothing and will see nothing again.
Endings are noted only where there is such an export (:mod:`aitap.storage.cursors`), and go when all have seen
them.
"""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING

from aitap.storage.database import execute_many, rows_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from peewee import Database

__all__ = ["endings_after", "forget_endings", "last_ending", "note_endings"]

_NEXT = (
    "UPDATE aitap_changes SET version = version + 1 WHERE name = 'endings' AND EXISTS (SELECT 1 FROM aitap_exports) "
    "RETURNING version"
)
_PUT = "INSERT INTO aitap_endings (number, ids) VALUES (?, ?)"
_SOME = "SELECT number, ids FROM aitap_endings WHERE number > ? AND number <= ? ORDER BY number LIMIT 50"


def note_endings(database: Database, ids: Sequence[str]) -> None:
    """These interceptions have ended, for the first time; in the transaction that says so of them."""
    if not ids:
        return
    for (number,) in rows_of(database, _NEXT):
        execute_many(database, _PUT, [(number, b"".join(uuid.UUID(own_id).bytes for own_id in ids))])


def last_ending(database: Database) -> int:
    """The number of the last transaction in which something ended."""
    return int(rows_of(database, "SELECT version FROM aitap_changes WHERE name = 'endings'")[0][0])


def endings_after(database: Database, after: int, to: int) -> Iterator[list[str]]:
    """What ended after a number, up to another: ids in the order in which they were committed, some at a time."""
    while after < to:
        rows = rows_of(database, _SOME, (after, to))
        if not rows:
            return
        data = b"".join(bytes(ids) for _, ids in rows)
        yield [str(uuid.UUID(bytes=data[at : at + 16])) for at in range(0, len(data), 16)]
        after = rows[-1][0]


def forget_endings(database: Database) -> None:
    """Let go of what every export has seen; within a transaction."""
    rows_of(
        database,
        "DELETE FROM aitap_endings WHERE number <= "
        "(SELECT coalesce(min(number), (SELECT max(number) FROM aitap_endings)) FROM aitap_exports)",
    )
