"""Contents in the database: each message is written once, and goes when nothing refers to it any more.

What refers to a message is an interception, by one of four columns, or a message that continues it.
Whatever takes a reference away notes the message as loose in the same transaction; loose messages are
looked at afterwards, in short transactions, and one that goes makes its parent loose in its turn. So
neither a crash nor a conversation of any length leaves anything behind.
"""

from __future__ import annotations

import time
from itertools import chain
from typing import TYPE_CHECKING, Any

import msgspec
from peewee import SqliteDatabase

from aitap.storage.database import execute_many, question_marks, rows_of, transaction
from aitap.storage.evidence.chain import cover
from aitap.storage.fields import timestamp_text
from aitap.storage.models import CONTENTS, HAS_CONTENTS
from aitap.storage.pins import PINNED
from aitap.storage.recent import Recent

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from peewee import Database

    from aitap.record import Interception, StoredMessage

__all__ = ["Contents", "collect", "drop", "loosen", "lost", "note_loose", "with_contents"]

_INSERT = (
    "INSERT INTO aitap_messages (digest, parent_digest, role, content, bytes, created_at) "
    f"VALUES {question_marks(6)} ON CONFLICT (digest) DO NOTHING"
)
_LOOSEN = "INSERT INTO aitap_loose_messages (digest) VALUES (?) ON CONFLICT (digest) DO NOTHING"
_LOOSE = "SELECT digest FROM aitap_loose_messages LIMIT 50"
_COLUMNS = ", ".join(CONTENTS)
_OLD = (
    f"FROM aibridge_interceptions i WHERE i.started_at < ? AND i.ended_at IS NOT NULL AND ({HAS_CONTENTS}) "
    f"AND NOT EXISTS (SELECT 1 FROM {PINNED})"
)
_UNREFERRED = " AND ".join(
    [
        "NOT EXISTS (SELECT 1 FROM aitap_messages child WHERE child.parent_digest = aitap_messages.digest)",
        *(
            f"NOT EXISTS (SELECT 1 FROM aibridge_interceptions WHERE {column} = aitap_messages.digest)"
            for column in CONTENTS
        ),
    ]
)
_LOST = (
    f"SELECT digest FROM aitap_messages WHERE {_UNREFERRED} "
    "AND NOT EXISTS (SELECT 1 FROM aitap_loose_messages l WHERE l.digest = aitap_messages.digest)"
)
_SECONDS = 0.01
_REMOVALS = "SELECT version FROM aitap_changes WHERE name = 'contents'"
_REMOVED = "UPDATE aitap_changes SET version = version + 1 WHERE name = 'contents'"


class Contents:
    """Writes the contents of records, batch by batch; remembers at least ``limit`` messages that are there."""

    def __init__(self, database: Database, limit: int = 50_000) -> None:
        self._database = database
        self._limit = limit
        self._known: Recent[str, bool] = Recent(limit)
        self._written: list[str] = []
        self._version = -1

    def write(self, records: Sequence[Interception]) -> Sequence[Interception]:
        """Write what is not there yet; within a transaction. May be repeated with the same batch.

        Gives the records back, without contents where those continue a message that has been removed.
        """
        self._written = []
        if not any(record.request_digest or record.response_digest for record in records):
            return records
        version = self._data_version()
        if version != self._version:
            # Another process wrote; it may have removed what we think is there.
            self.forget()
            self._version = version
        new: dict[str, StoredMessage] = {}
        kept = [record if self._gather(record, new) else _without_contents(record) for record in records]
        if new:
            execute_many(self._database, _INSERT, [_row(message) for message in new.values()])
            self._written = list(new)
        return kept

    def _gather(self, record: Interception, new: dict[str, StoredMessage]) -> bool:
        """Add what is to be written; False where not all of the conversation is at hand."""
        own = {message.digest: message for message in record.contents if not self._known.get(message.digest)}
        ends = (getattr(record, column) for column in CONTENTS)
        needed = chain(ends, (message.parent_digest for message in own.values()))
        if not all(self._is_there(digest, own, new) for digest in needed if digest):
            return False
        new.update(own)
        return True

    def _is_there(self, digest: str, *fresh: dict[str, StoredMessage]) -> bool:
        if any(digest in messages for messages in fresh) or self._known.get(digest):
            return True
        return bool(rows_of(self._database, "SELECT 1 FROM aitap_messages WHERE digest = ?", (digest,)))

    @property
    def written(self) -> list[str]:
        """The digests of the messages that the last :meth:`write` wrote."""
        return self._written

    def committed(self) -> None:
        """The transaction of the last :meth:`write` is done."""
        for digest in self._written:
            self._known[digest] = True
        self._written = []

    def forget(self) -> None:
        """Messages may have been removed."""
        if len(self._known):
            self._known = Recent(self._limit)

    def _data_version(self) -> int:
        """Changes when another connection commits, or at least when it removes contents."""
        if isinstance(self._database, SqliteDatabase):
            return int(rows_of(self._database, "PRAGMA data_version")[0][0])
        return int(rows_of(self._database, _REMOVALS)[0][0])


def _row(message: StoredMessage) -> tuple[Any, ...]:
    size = len(message.content.encode())
    at = timestamp_text(message.created_at)
    return message.digest, message.parent_digest, message.role, message.content, size, at


def _without_contents(record: Interception) -> Interception:
    return msgspec.structs.replace(record, contents=[], **dict.fromkeys(CONTENTS))


def loosen(database: Database, ids: Sequence[str]) -> None:
    """Note what these interceptions, about to change, refer to; within a transaction."""
    sql = f"SELECT {_COLUMNS} FROM aibridge_interceptions WHERE id IN {question_marks(len(ids))} AND ({HAS_CONTENTS})"
    note_loose(database, {digest for row in rows_of(database, sql, ids) for digest in row if digest})


def note_loose(database: Database, digests: Iterable[str]) -> None:
    """Note messages that lost what referred to them; within a transaction."""
    if rows := [(digest,) for digest in digests]:
        execute_many(database, _LOOSEN, rows)


def lost(database: Database) -> list[str]:
    """Messages that nothing refers to, though nobody noted them as loose."""
    return [row[0] for row in rows_of(database, _LOST)]


def with_contents(database: Database, before: str) -> int:
    """How many ended interceptions that started before this moment have contents."""
    return int(rows_of(database, f"SELECT count(*) {_OLD}", (before,))[0][0])


def drop(database: Database, before: str, size: int) -> int:
    """Take their contents from the ``size`` oldest interceptions before this moment; returns from how many."""
    with transaction(database):
        found = rows_of(database, f"SELECT id, {_COLUMNS} {_OLD} ORDER BY started_at LIMIT ?", (before, size))
        if found:
            nothing = ", ".join(f"{column} = NULL" for column in CONTENTS)
            those = question_marks(len(found))
            rows_of(database, f"UPDATE aibridge_interceptions SET {nothing} WHERE id IN {those}", [r[0] for r in found])
            note_loose(database, {digest for row in found for digest in row[1:] if digest})
            cover(database, [str(row[0]) for row in found])
    return len(found)


def collect(database: Database) -> Iterator[int]:
    """Remove loose messages that nothing refers to, in steps of some 10 ms; a step yields how many went."""
    while True:
        removed, more = _collect(database)
        yield removed
        if not more:
            return


def _collect(database: Database) -> tuple[int, bool]:
    begun = time.perf_counter()
    removed = 0
    # The answer is no as a rule; to ask it takes no lock.
    if not rows_of(database, _LOOSE):
        return 0, False
    with transaction(database):
        while loose := [row[0] for row in rows_of(database, _LOOSE)]:
            those = question_marks(len(loose))
            rows_of(database, f"DELETE FROM aitap_loose_messages WHERE digest IN {those}", loose)
            sql = f"DELETE FROM aitap_messages WHERE digest IN {those} AND {_UNREFERRED} RETURNING parent_digest"
            parents = rows_of(database, sql, loose)
            removed += len(parents)
            note_loose(database, {parent for (parent,) in parents if parent})
            if time.perf_counter() - begun > _SECONDS:
                break
        else:
            loose = []
        if removed:
            rows_of(database, _REMOVED)
    return removed, bool(loose)
