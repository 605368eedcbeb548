"""Who was shown whose records, and who changed what, and when: what auditors and admins do is itself on record.

One row for each answer and each person whose records were in it, written before the answer is given. Who
reads their own is not written down. One row more for each act of :mod:`aitap.storage.administration`. Rows stay
when retention takes the records that were read; they go when they are older than a setting of their own allows.
"""

from __future__ import annotations

import time
from datetime import datetime
from typing import TYPE_CHECKING, Any

import msgspec

from aitap.record import new_id
from aitap.storage.database import execute_many, rows_of, transaction
from aitap.storage.evidence.chain import cover
from aitap.storage.fields import is_uuid, timestamp_text
from aitap.storage.models import Reading
from aitap.storage.rows import Shape, initiators

if TYPE_CHECKING:
    from collections.abc import Mapping

    from peewee import Database

__all__ = [
    "LONGEST",
    "NOBODY",
    "READ",
    "CursorError",
    "Reader",
    "Readings",
    "list_readings",
    "note_reading",
    "old_readings",
    "remove_readings",
]

NOBODY = "00000000-0000-0000-0000-000000000000"
"""The subject of what is done to no person: a group, a host, a budget of everybody."""
READ = "read"
"""What is said of a reading where acts have a name."""

LONGEST = 1024
"""Characters of a path or a question that are kept."""
_READING = Shape(Reading)
_PUT = (
    "INSERT INTO aitap_audit (id, read_at, reader_id, api_key_id, address, subject_id, path, query, records) "
    "VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)"
)

_CURSOR = "SELECT read_at, id FROM aitap_audit WHERE id = ?"
_OLD = "FROM aitap_audit WHERE read_at < ?"
_REMOVE = f"DELETE FROM aitap_audit WHERE id IN (SELECT id {_OLD} ORDER BY read_at LIMIT ?) RETURNING id"


class CursorError(Exception):
    """The reading that a page is to follow is not there."""


class Reader(msgspec.Struct, frozen=True, kw_only=True):
    """Who asked what, from where."""

    user_id: str
    api_key_id: str | None
    address: str
    path: str
    query: str
    username: str = ""
    """Given where they may have no row among the users yet, or they could not be named later."""


def note_reading(database: Database, reader: Reader, subjects: Mapping[str, int]) -> None:
    """Keep that ``reader`` was shown so many records of each of these users (by id), but for their own.

    Errors come as Peewee's: what cannot be kept must not be shown.
    """
    now = timestamp_text(time.time())
    asked = (reader.path[:LONGEST], reader.query[:LONGEST])
    rows = [
        (new_id(), now, reader.user_id, reader.api_key_id, reader.address, subject, *asked, count)
        for subject, count in subjects.items()
        if subject != reader.user_id and count
    ]
    if rows:
        with transaction(database):
            execute_many(database, _PUT, rows)
            cover(database, readings=[row[0] for row in rows])


class Readings(msgspec.Struct, frozen=True, kw_only=True):
    """Which rows are meant; None means any. Both times are inclusive."""

    reader_id: str | None = None
    subject_id: str | None = None
    action: str | None = None
    """An act such as ``key.create``, all of a kind (``key``), or ``READ``."""
    read_after: datetime | None = None
    read_before: datetime | None = None


_ANY = Readings()


def list_readings(
    database: Database, wanted: Readings = _ANY, *, limit: int = 100, after_id: str | None = None
) -> list[dict[str, Any]]:
    """The newest first, with ``reader`` and ``subject`` as users (None for ``NOBODY``); plain dicts ready for JSON.

    ``after_id`` is the last one of the page before. Raises :class:`CursorError` where there is none such.
    """
    query = Reading.select(*_READING.fields).order_by(Reading.read_at.desc(), Reading.id.desc()).limit(limit)
    for field, value in ((Reading.reader_id, wanted.reader_id), (Reading.subject_id, wanted.subject_id)):
        if value is not None:
            query = query.where(field == value)
    if wanted.action is not None:
        query = query.where(_is(wanted.action))
    if wanted.read_after is not None:
        query = query.where(Reading.read_at >= wanted.read_after)
    if wanted.read_before is not None:
        query = query.where(Reading.read_at <= wanted.read_before)
    if after_id is not None:
        cursor = rows_of(database, _CURSOR, (after_id.lower(),)) if is_uuid(after_id.lower()) else []
        if not cursor:
            raise CursorError(f"after_id: reading {after_id!r} not found")
        at, own_id = cursor[0]
        query = query.where((Reading.read_at < at) | ((Reading.read_at == at) & (Reading.id < str(own_id))))
    found = [_READING.dict(row) for row in database.execute(query)]
    ids = {row[name]: None for row in found for name in ("reader_id", "subject_id")}
    people: dict[str, Any] = initiators(database, ids)
    people[NOBODY] = None
    return [row | {"reader": people[row["reader_id"]], "subject": people[row["subject_id"]]} for row in found]


def _is(action: str) -> Any:
    if action == READ:
        return Reading.action.is_null()
    # A range and no LIKE: what is asked for is text, whatever is in it.
    return (Reading.action == action) | ((Reading.action > f"{action}.") & (Reading.action < f"{action}/"))


def old_readings(database: Database, before: str) -> int:
    """How many are from before this moment (as it is stored)."""
    return int(rows_of(database, f"SELECT count(*) {_OLD}", (before,))[0][0])


def remove_readings(database: Database, before: str, limit: int) -> int:
    """Remove the oldest of those, so many at most, in a transaction of its own; returns how many went."""
    with transaction(database):
        gone = [str(row[0]) for row in rows_of(database, _REMOVE, (before, limit))]
        cover(database, removed=gone)
    return len(gone)
