"""A person's records go, wherever they are: in slices so short that writing never waits for them.

Erased are the interceptions with their children, the contents that nobody else refers to, sessions, sums, tallies of
hosts, digests of conversations, keys, memberships and budgets, and last the user's own row. What an auditor did is
not theirs alone to have forgotten: that somebody read their records stays on record, under a pseudonym that leads
nowhere; and what they read of others stays as it is, for it is those others' right to know.

Interceptions in flight stay until they have ended: what is erased would be written again. Whoever is cut off begins
again and goes on where it stopped. Each slice is a transaction that leaves all sums in step.
"""

from __future__ import annotations

import contextlib
import re
import time
from typing import TYPE_CHECKING, Any, NamedTuple
from uuid import uuid4

import msgspec

from aitap.storage import contents, daily, recovery, session_days
from aitap.storage.administration import acting
from aitap.storage.database import execute_many, question_marks, rows_of, transaction
from aitap.storage.directory import changed
from aitap.storage.evidence.chain import cover
from aitap.storage.fields import timestamp_text
from aitap.storage.removal import CHILDREN, take_away

if TYPE_CHECKING:
    from collections.abc import Iterator

    from peewee import Database

    from aitap.storage.audit import Reader

__all__ = ["Erased", "erasable_session", "erasable_user", "erase_session", "erase_user"]

_SLICE = 200
_UUID = re.compile(r"[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")

_USER = "initiator_id = ?"
_SESSION = "session_id = ? AND initiator_id = ?"


class Erased(msgspec.Struct):
    """What is gone so far."""

    removed: dict[str, int] = {}
    """Rows by table."""
    pseudonymised: int = 0
    """Lines of the audit that say that somebody read these records, and no longer whose they were."""
    in_flight: int = 0
    """Interceptions that have not ended and so are still there."""

    def add(self, table: str, count: int) -> None:
        """So many rows more."""
        if count:
            self.removed[table] = self.removed.get(table, 0) + count


class _Part(NamedTuple):
    """Rows that go: their table, its key, and which they are (of the user whose id is the only parameter)."""

    table: str
    key: tuple[str, ...]
    which: str = _USER


_SUMS = ("initiator_id", "provider", "provider_name", "model", "client", "purpose", "credential_kind")
_BUDGETS = "kind = 'user' AND subject_id = ?"
_OF_USER = (
    _Part("aitap_sessions", ("session_id", "initiator_id")),
    _Part("aitap_session_kinds", ("session_id", "initiator_id", "kind_id")),
    _Part("aitap_daily_usage", ("day", *_SUMS)),
    _Part("aitap_monthly_usage", ("month", *_SUMS)),
    _Part("aitap_monthly_users", ("month", "initiator_id")),
    _Part("aitap_histories", ("digest", "initiator_id")),
    _Part("aitap_hosts", ("host", "mode", "provider", "provider_name", "initiator_id", "client", "client_address")),
    _Part("aitap_budget_notices", ("budget_id", "user_id", "since", "percent"), "user_id = ?"),
    _Part(
        "aitap_budget_notices",
        ("budget_id", "user_id", "since", "percent"),
        f"budget_id IN (SELECT id FROM aitap_budgets WHERE {_BUDGETS})",
    ),
    _Part("aitap_budgets", ("id",), _BUDGETS),
    _Part("aitap_group_members", ("group_id", "user_id"), "user_id = ?"),
    _Part("aitap_keys", ("id",), "user_id = ?"),
)
_LAST_OF_USER = (
    # What is in flight has a kind, and a user.
    _Part("aitap_kind_days", ("kind_id", "day"), f"kind_id IN (SELECT id FROM aitap_kinds WHERE {_USER})"),
    _Part("aitap_kinds", ("id",)),
    _Part("users", ("id",), "id = ?"),
)
_OF_SESSION = (
    _Part("aitap_sessions", ("session_id", "initiator_id"), _SESSION),
    _Part("aitap_session_kinds", ("session_id", "initiator_id", "kind_id"), _SESSION),
)
_HISTORIES_OF = "DELETE FROM aitap_histories WHERE interception_id IN "
_READ = "SELECT id, path FROM aitap_audit WHERE subject_id = ? LIMIT ?"
_PSEUDONYM = "UPDATE aitap_audit SET subject_id = ?, path = ?, query = '', detail = NULL WHERE id = ?"
_LOCK_OUT = "UPDATE aitap_keys SET revoked_at = ? WHERE user_id = ? AND revoked_at IS NULL"
_BUDGETS_CHANGED = "UPDATE aitap_changes SET version = version + 1 WHERE name = 'budgets'"


def erasable_user(database: Database, user_id: str) -> Erased:
    """What :func:`erase_user` would remove now."""
    found = _erasable(database, _USER, (user_id,))
    for part in (*_OF_USER, *_LAST_OF_USER):
        found.add(part.table, _count(database, f"{part.table} WHERE {part.which}", (user_id,)))
    found.pseudonymised = _count(database, "aitap_audit WHERE subject_id = ?", (user_id,))
    return found


def erasable_session(database: Database, session_id: str, initiator_id: str) -> Erased:
    """What :func:`erase_session` would remove now."""
    key = (session_id, initiator_id)
    found = _erasable(database, _SESSION, key)
    for part in _OF_SESSION:
        found.add(part.table, _count(database, f"{part.table} WHERE {part.which}", key))
    return found


def erase_user(database: Database, user_id: str, doer: Reader | None = None) -> Iterator[Erased]:
    """Remove all that is a user's, step by step; each gives the state so far. Errors come as Peewee's.

    For a process beside the proxy: it rests as long as it works. That ``doer`` did it is on record first, without
    whose records they were.
    """
    so_far = Erased()
    nobody = str(uuid4())
    with contextlib.ExitStack() as stack:
        if doer is None:
            stack.enter_context(transaction(database))
        else:
            stack.enter_context(acting(database, doer)).note("records.erase", nobody)
        # Nothing new comes in by a key of theirs.
        execute_many(database, _LOCK_OUT, [(timestamp_text(time.time()), user_id)])
        changed(database)
    yield from _interceptions(database, so_far, _USER, (user_id,))
    for part in _OF_USER:
        yield from _rows(database, so_far, part, (user_id,))
    yield from _pseudonymise(database, so_far, user_id, nobody)
    if not so_far.in_flight:
        for part in _LAST_OF_USER:
            yield from _rows(database, so_far, part, (user_id,))
    with transaction(database):
        changed(database)
        rows_of(database, _BUDGETS_CHANGED)
    yield so_far


def erase_session(
    database: Database, session_id: str, initiator_id: str, doer: Reader | None = None
) -> Iterator[Erased]:
    """The same of one session. What it cost stays in the sums of its days, as with the retention."""
    so_far = Erased()
    if doer is not None:
        with acting(database, doer) as act:
            act.note("records.erase", initiator_id, sessions=1)
    key = (session_id, initiator_id)
    yield from _interceptions(database, so_far, _SESSION, key)
    if not so_far.in_flight:
        for part in _OF_SESSION:
            yield from _rows(database, so_far, part, key)
    yield so_far


def _count(database: Database, where: str, parameters: tuple[Any, ...]) -> int:
    return int(rows_of(database, f"SELECT count(*) FROM {where}", parameters)[0][0])


def _erasable(database: Database, which: str, parameters: tuple[str, ...]) -> Erased:
    found = Erased()
    ended = f"aibridge_interceptions WHERE {which} AND ended_at IS NOT NULL"
    found.add("aibridge_interceptions", _count(database, ended, parameters))
    for table in CHILDREN:
        theirs = f"{table} WHERE interception_id IN (SELECT id FROM {ended})"
        found.add(table, _count(database, theirs, parameters))
    found.in_flight = _count(database, f"aibridge_interceptions WHERE {which} AND ended_at IS NULL", parameters)
    return found


def _interceptions(database: Database, so_far: Erased, which: str, parameters: tuple[str, ...]) -> Iterator[Erased]:
    """The interceptions, the oldest first, and the contents that are then nobody's."""
    recovery.mark_interrupted(database)  # what a proxy that is gone left open will not be ended by anybody
    ended = f"aibridge_interceptions WHERE {which} AND ended_at IS NOT NULL"
    theirs = f"aitap_sessions WHERE {which}"
    sessions = _count(database, theirs, parameters)
    while True:
        begun = time.monotonic()
        with transaction(database):
            ids = [
                str(row[0])
                for row in rows_of(
                    database, f"SELECT id FROM {ended} ORDER BY started_at, id LIMIT ?", (*parameters, _SLICE)
                )
            ]
            if ids:
                those = question_marks(len(ids))
                for table in CHILDREN:
                    so_far.add(table, _count(database, f"{table} WHERE interception_id IN {those}", tuple(ids)))
                gone = rows_of(database, f"{_HISTORIES_OF}{those} RETURNING digest", ids)
                so_far.add("aitap_histories", len(gone))
                take_away(database, ids)
                so_far.add("aibridge_interceptions", len(ids))
        yield so_far
        if len(ids) < _SLICE:
            break
        time.sleep(time.monotonic() - begun)
    # A session goes with the last of its interceptions.
    so_far.add("aitap_sessions", max(sessions - _count(database, theirs, parameters), 0))
    for count in contents.collect(database):
        so_far.add("aitap_messages", count)
        yield so_far
    so_far.in_flight = _count(database, f"aibridge_interceptions WHERE {which} AND ended_at IS NULL", parameters)


def _rows(database: Database, so_far: Erased, part: _Part, parameters: tuple[str, ...]) -> Iterator[Erased]:
    key = ", ".join(part.key)
    of_days, of_sessions = part.table == "aitap_daily_usage", part.table == "aitap_session_kinds"
    told = ", ".join((*daily.KEY, *daily.SUMS)) if of_days else part.key[0]
    if of_sessions:
        told = f"{key}, interceptions, first_at, last_at"
    sql = (
        f"DELETE FROM {part.table} WHERE ({key}) IN (SELECT {key} FROM {part.table} WHERE {part.which} LIMIT ?) "
        f"RETURNING {told}"
    )
    while True:
        with transaction(database):
            gone = rows_of(database, sql, (*parameters, _SLICE))
            if of_days:
                daily.take_from_totals(database, gone)
            elif of_sessions:
                left = session_days.stored(database, ((session, str(user)) for session, user, *_ in gone))
                session_days.add(database, session_days.merged(left, gone), left)
        count = len(gone)
        so_far.add(part.table, count)
        yield so_far
        if count < _SLICE:
            return


def _pseudonymise(database: Database, so_far: Erased, user_id: str, nobody: str) -> Iterator[Erased]:
    """Lines of the audit name somebody who was nobody; a path loses its ids, a question and what else is told go."""
    while True:
        with transaction(database):
            lines = rows_of(database, _READ, (user_id, _SLICE))
            execute_many(database, _PSEUDONYM, [(nobody, _UUID.sub("*", path), str(own)) for own, path in lines])
            cover(database, readings=[str(own) for own, _ in lines])
        so_far.pseudonymised += len(lines)
        yield so_far
        if len(lines) < _SLICE:
            return
