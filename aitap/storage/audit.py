"""Who was shown whose records, and when: what an auditor does is itself on record.

One row for each answer and each person whose records were in it, written before the answer is given. Who
reads their own is not written down. Rows stay when retention takes the records that were read.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import msgspec

from aitap.record import new_id
from aitap.storage.database import execute_many, transaction
from aitap.storage.fields import timestamp_text
from aitap.storage.models import Reading
from aitap.storage.rows import Shape, initiators

if TYPE_CHECKING:
    from collections.abc import Mapping

    from peewee import Database

__all__ = ["Reader", "list_readings", "note_reading"]

_LONGEST = 1024
_READING = Shape(Reading)
_PUT = (
    "INSERT INTO aitap_audit (id, read_at, reader_id, api_key_id, address, subject_id, path, query, records) "
    "VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)"
)


class Reader(msgspec.Struct, frozen=True, kw_only=True):
    """Who asked what, from where."""

    user_id: str
    api_key_id: str | None
    address: str
    path: str
    query: str


def note_reading(database: Database, reader: Reader, subjects: Mapping[str, int]) -> None:
    """Keep that ``reader`` was shown so many records of each of these users (by id), but for their own.

    Errors come as Peewee's: what cannot be kept must not be shown.
    """
    now = timestamp_text(time.time())
    asked = (reader.path[:_LONGEST], reader.query[:_LONGEST])
    rows = [
        (new_id(), now, reader.user_id, reader.api_key_id, reader.address, subject, *asked, count)
        for subject, count in subjects.items()
        if subject != reader.user_id and count
    ]
    if rows:
        with transaction(database):
            execute_many(database, _PUT, rows)


def list_readings(database: Database, *, subject_id: str | None = None, limit: int = 100) -> list[dict[str, Any]]:
    """The newest readings, of one person's records or of anybody's, with ``reader`` and ``subject`` as users."""
    query = Reading.select(*_READING.fields).order_by(Reading.read_at.desc(), Reading.id.desc()).limit(limit)
    found = [
        _READING.dict(row)
        for row in database.execute(query if subject_id is None else query.where(Reading.subject_id == subject_id))
    ]
    people = initiators(database, {row[name]: None for row in found for name in ("reader_id", "subject_id")})
    return [row | {"reader": people[row["reader_id"]], "subject": people[row["subject_id"]]} for row in found]
