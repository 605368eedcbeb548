"""Writing the chain: one call in the transaction that changed something.

A database that keeps evidence has a :class:`Signer`, put there by :func:`keep_evidence`; for all others the calls
here do nothing. Whatever writes past them will be reported by ``aitap verify``, which is the point.
"""

from __future__ import annotations

import contextlib
import logging
import threading
import time
from typing import TYPE_CHECKING, Any

import msgspec
import peewee

from aitap.storage.database import execute_many, question_marks, rows_of, slices
from aitap.storage.evidence import form
from aitap.storage.evidence.block import COLUMNS, FIRST, Block, id_bytes, packed
from aitap.storage.evidence.keys import fingerprint
from aitap.storage.fields import timestamp_text
from aitap.storage.homes import home_of_database

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    from peewee import Database

__all__ = ["Signer", "cover", "has_evidence", "keep_evidence", "keep_evidence_once_there"]

log = logging.getLogger(__name__)

Lists = tuple[bytes | None, bytes | None, bytes | None, bytes | None]
"""Records, messages, readings and what was removed, as a block has them."""

_AT_ONCE = 500
_HEAD = (
    "SELECT turn, hash FROM aitap_evidence "
    "WHERE turn = ? OR turn = (SELECT max(turn) FROM aitap_evidence) ORDER BY turn"
)
_THERE = "SELECT 1 FROM aitap_evidence WHERE turn = ? AND hash = ?"
_PUT = f"INSERT INTO aitap_evidence ({COLUMNS}) VALUES {question_marks(len(Block.__struct_fields__))}"
_OWNERS = "SELECT DISTINCT interception_id FROM aibridge_tool_usages WHERE id IN "


def keep_evidence(database: Database, key: Ed25519PrivateKey) -> None:
    """From now on what this process changes in the database is chained, signed with this key."""
    home: Any = database
    home.aitap_evidence = Signer(key)


def keep_evidence_once_there(database: Database, key: Callable[[], Ed25519PrivateKey]) -> None:
    """The same from when there is a chain, whoever begins it: what a process that runs for long does then counts."""
    home: Any = database
    home.aitap_evidence = key


def has_evidence(database: Database) -> bool:
    """Whether there is a chain in the database, whoever wrote it."""
    return bool(rows_of(database, "SELECT 1 FROM aitap_evidence LIMIT 1"))


def cover(
    database: Database,
    ids: Iterable[str] = (),
    *,
    calls: Sequence[str] = (),
    messages: Sequence[str] = (),
    readings: Sequence[str] = (),
    removed: Sequence[str] = (),
) -> None:
    """Chain what the transaction under way has done; its last words, after all else.

    ``ids`` are interceptions that were written or changed, they or their children; ``calls`` are tool usages,
    whose interceptions count too. ``messages`` and ``readings`` were added, the interceptions ``removed`` went.
    Raises Peewee's errors.
    """
    if getattr(database, "aitap_evidence", None) is None:
        return
    try:
        signer = _signer(database)
        if signer is None:
            return
        # Where transactions take turns it is ours already.
        home_of_database(database).lock(database)
        touched = {*ids, *_owners(database, calls)}
        lists = (
            packed((id_bytes(r.id), r.digest) for r in form.records_with(database, sorted(touched)) if r.row),
            packed((bytes.fromhex(name[3:]), own) for name, own in _digests(database, form.MESSAGES, messages)),
            packed((id_bytes(name), own) for name, own in _digests(database, form.READINGS, readings)),
            b"".join(map(id_bytes, removed)) or None,
        )
        if any(lists):
            signer.add(database, lists)
    except peewee.IntegrityError as error:
        # Where nothing makes writers take turns, two may take the same: the transaction is to be tried again.
        raise peewee.OperationalError(f"another writer was faster: {error}") from None
    except peewee.PeeweeException:
        raise
    except Exception:
        # Better a record that `aitap verify` finds uncovered than one that is lost.
        log.exception("tamper evidence: a transaction could not be chained; `aitap verify` will say what it wrote")


def _signer(database: Any) -> Signer | None:
    found = database.aitap_evidence
    if not isinstance(found, Signer):
        if not has_evidence(database):
            return None
        keep_evidence(database, found())
    signer: Signer = database.aitap_evidence
    return signer


class Signer:
    """Makes the blocks of one process. It remembers where it was, so that a chain cut off behind it is noticed."""

    def __init__(self, key: Ed25519PrivateKey) -> None:
        self._key = key
        self._fingerprint = fingerprint(key.public_key())
        self._lock = threading.Lock()
        self._committed = (0, FIRST)
        self._pending = (0, FIRST)

    def add(self, database: Database, lists: Lists) -> None:
        """Add a block that has these entries, in a transaction that holds the write lock."""
        with self._lock:
            turn, previous = self._head(database)
            block = Block(turn=turn + 1, previous=previous, at=timestamp_text(time.time()), key=self._fingerprint)
            block.records, block.messages, block.readings, block.removed = lists
            block.hash = block.own_hash()
            block.signature = self._key.sign(block.hash)
            execute_many(database, _PUT, [msgspec.structs.astuple(block)])
            self._pending = made = (block.turn, block.hash)
        database.after_commit(lambda: self._is_there(database, made))

    def _is_there(self, database: Database, made: tuple[int, bytes]) -> None:
        """Remember that a block was committed, unless a part of the transaction was rolled back with it."""
        # The commit is done: whatever keeps us from looking must not make it a failure.
        with contextlib.suppress(peewee.PeeweeException):
            if rows_of(database, _THERE, made):
                with self._lock:
                    self._committed = max(self._committed, made)

    def _head(self, database: Database) -> tuple[int, bytes]:
        """The last block: that of the database, unless somebody took away one that we know was committed."""
        rows = [(turn, bytes(own)) for turn, own in rows_of(database, _HEAD, (self._pending[0],))]
        if self._pending in rows:
            self._committed = self._pending
        last = rows[-1] if rows else (0, FIRST)
        if last[0] < self._committed[0]:
            log.error(
                "tamper evidence: the chain ends at block %d, but block %d was committed: SOMEBODY CUT IT OFF",
                last[0],
                self._committed[0],
            )
            return self._committed
        return last


def _owners(database: Database, calls: Sequence[str]) -> Iterable[str]:
    """Whose tool usages these are."""
    for some in slices(calls, _AT_ONCE):
        yield from (str(row[0]) for row in rows_of(database, _OWNERS + question_marks(len(some)), some))


def _digests(database: Database, table: form.Rows, names: Sequence[str]) -> list[tuple[str, bytes]]:
    found: list[tuple[str, bytes]] = []
    for some in slices(names, _AT_ONCE):
        rows = table.read(database, f"WHERE {{key}} IN {question_marks(len(some))} ORDER BY {{order}}", some)
        found += form.digests_of(rows, table.key)
    return found
