"""Exports that go on where they stopped: each interception comes once, when its end has been committed.

An export of a name first gives all that has ended, then what has ended since, in the order in which it was
committed (:mod:`aitap.storage.endings`). It moves its cursor when what it gave is safe; one that is cut off
before that gives the same again. What retention takes before it was exported is not exported.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import msgspec

from aitap.storage.bulk import Bulk
from aitap.storage.database import execute_many, rows_of, slices, transaction
from aitap.storage.endings import endings_after, forget_endings, last_ending
from aitap.storage.fields import timestamp_text

if TYPE_CHECKING:
    from collections.abc import Iterator

    from peewee import Database

    from aitap.storage.filters import Filter

__all__ = ["Cursor", "CursorMoved", "begin", "finish", "forget", "iter_since", "names"]

_NEVER = -1
_AT_ONCE = 500
_FIND = "SELECT number, query FROM aitap_exports WHERE name = ?"
_MAKE = "INSERT INTO aitap_exports (name, number, query, exported_at, records) VALUES (?, ?, ?, ?, 0)"
_MOVE = "UPDATE aitap_exports SET number = ?, exported_at = ?, records = ? WHERE name = ? AND number = ? RETURNING name"


class CursorMoved(Exception):  # noqa: N818 - what happened, not what went wrong with us
    """The export cannot go on from where it stood. One line that says why."""


class Cursor(msgspec.Struct):
    """Where an export of a name stands; ``to`` is where it will, once :func:`iter_since` has begun."""

    name: str
    number: int
    to: int = 0


def begin(database: Database, name: str, query: str) -> Cursor:
    """The cursor of this name, made where there is none; from now on what ends is noted for it.

    Raises :class:`CursorMoved` where the name stands for another question.
    """
    with transaction(database):
        found = rows_of(database, _FIND, (name,))
        if not found:
            execute_many(database, _MAKE, [(name, _NEVER, query, timestamp_text(time.time()))])
            return Cursor(name, _NEVER)
    number, before = found[0]
    if before != query:
        raise CursorMoved(
            f"{name!r} was exported with other filters ({before}): choose another --name, or begin anew with --forget"
        )
    return Cursor(name, number)


def iter_since(database: Database, cursor: Cursor, filter: Filter) -> Iterator[Any]:
    """What has ended since the last export, as :mod:`aitap.storage.bulk` gives it.

    In a snapshot (:func:`aitap.storage.queries.snapshot`).
    """
    cursor.to = last_ending(database)
    bulk = Bulk(database)
    if cursor.number == _NEVER:
        yield from bulk.all(msgspec.structs.replace(filter, ended=True))
        return
    for ids in endings_after(database, cursor.number, cursor.to):
        for some in slices(ids, _AT_ONCE):
            yield from bulk.some(some, filter)


def finish(database: Database, cursor: Cursor, records: int) -> None:
    """What the export gave is safe. Raises :class:`CursorMoved` where another export of this name was quicker."""
    with transaction(database):
        now = timestamp_text(time.time())
        if not rows_of(database, _MOVE, (cursor.to, now, records, cursor.name, cursor.number)):
            raise CursorMoved(f"another export of {cursor.name!r} ran at the same time: both have the same records")
        forget_endings(database)


def names(database: Database) -> list[str]:
    """Of all exports that could go on: what ends is kept for each of them."""
    return [name for (name,) in rows_of(database, "SELECT name FROM aitap_exports ORDER BY name")]


def forget(database: Database, name: str) -> bool:
    """Forget the cursor; False where there was none of this name."""
    with transaction(database):
        found = rows_of(database, "DELETE FROM aitap_exports WHERE name = ? RETURNING name", (name,))
        forget_endings(database)
    return bool(found)
