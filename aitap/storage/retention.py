"""Old records go, in slices so short that writing never waits for them.

An interception goes with its children and with its share of its session, in one transaction; a session
that lost everything goes too. Interceptions still open stay, those of pinned sessions
(:mod:`aitap.storage.pins`) stay whole, and so do the sums of what was used on each day
(:mod:`aitap.storage.daily`). Contents go with the last interception that refers to them; they may be told
to go sooner. Who was shown whose records is kept for a time of its own.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from aitap.storage import contents
from aitap.storage.audit import remove_readings
from aitap.storage.budget_notices import remove_notices
from aitap.storage.database import execute_many, rows_of, transaction
from aitap.storage.fields import timestamp_text
from aitap.storage.homes import home_of_database
from aitap.storage.pins import PINNED
from aitap.storage.pruned import note_pruned
from aitap.storage.removal import take_away
from aitap.storage.steps import sized

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator

    from peewee import Database

__all__ = ["prunable", "prunable_contents", "prune", "prune_slices"]

_OLD = "FROM aibridge_interceptions i WHERE i.started_at < ? AND i.ended_at IS NOT NULL"
_SELECT_OLD = (
    f"SELECT i.id, i.started_at, EXISTS (SELECT 1 FROM {PINNED}) {_OLD} AND (i.started_at, i.id) > (?, ?) "
    "ORDER BY i.started_at, i.id LIMIT ?"
)
_BEGIN = (timestamp_text(0.0), "00000000-0000-0000-0000-000000000000")
_OLD_HISTORIES = (
    "DELETE FROM aitap_histories WHERE (digest, initiator_id) IN "
    "(SELECT digest, initiator_id FROM aitap_histories WHERE created_at < ? ORDER BY created_at LIMIT ?)"
)
_OLD_HOSTS = "DELETE FROM aitap_hosts WHERE last_seen < ?"
_OLD_RUNS = "DELETE FROM aitap_proxies WHERE heartbeat_at < ? AND id < (SELECT max(id) FROM aitap_proxies)"


def prunable(database: Database, before: float) -> int:
    """How many interceptions :func:`prune` would remove."""
    sql = f"SELECT count(*) {_OLD} AND NOT EXISTS (SELECT 1 FROM {PINNED})"
    [(count,)] = rows_of(database, sql, (_moment(before),))
    return int(count)


def prunable_contents(database: Database, before: float) -> int:
    """How many interceptions would lose their contents to :func:`prune` with ``contents_before``."""
    return contents.with_contents(database, _moment(before))


def prune(database: Database, before: float, contents_before: float = 0.0, audit_before: float = 0.0) -> int:
    """Remove all interceptions that started before ``before`` (epoch seconds); returns how many.

    Of those that stay, what started before ``contents_before`` loses its contents. Who was shown whose records is
    forgotten from before ``audit_before``. For a process beside the proxy: it rests as long as it works, so that
    the proxy gets its turns.
    """
    removed = 0
    begun = time.monotonic()
    for count in prune_slices(database, before, contents_before, audit_before):
        removed += count
        time.sleep(time.monotonic() - begun)
        begun = time.monotonic()
    return removed


def prune_slices(
    database: Database, before: float, contents_before: float = 0.0, audit_before: float = 0.0
) -> Generator[int, None, None]:
    """The same in steps of some 25 ms, each a transaction; a step yields how many interceptions went."""
    limit = _moment(before)
    yield from _remove_interceptions(database, limit)
    if contents_before > before:
        for _ in sized(lambda size: contents.drop(database, _moment(contents_before), size)):
            yield 0
    for _ in contents.collect(database):
        yield 0
    for _ in sized(lambda size: _remove_histories(database, limit, size)):
        yield 0
    old_audit = _moment(audit_before)
    for _ in sized(lambda size: remove_readings(database, old_audit, size)):
        yield 0
    home = home_of_database(database)
    for _ in sized(lambda size: home.give_back(database, size)):
        yield 0
    with transaction(database):
        remove_notices(database, old_audit)
        execute_many(database, _OLD_RUNS, [(limit,)])
        execute_many(database, _OLD_HOSTS, [(limit,)])


def _moment(seconds: float) -> str:
    # Someone who keeps records for a thousand years means for ever.
    return timestamp_text(max(seconds, 0.0))


def _remove_interceptions(database: Database, before: str) -> Iterator[int]:
    # Pinned sessions lie in the way: what has been looked at is not looked at again.
    place: tuple[str, str] = _BEGIN
    removed = 0

    def step(size: int) -> int:
        nonlocal place, removed
        with transaction(database):
            rows = rows_of(database, _SELECT_OLD, (before, *place, size))
            ids = [own_id for own_id, _, pinned in rows if not pinned]
            if ids:
                take_away(database, ids)
                note_pruned(database, [str(own_id) for own_id in ids])
        if rows:
            place = (rows[-1][1], str(rows[-1][0]))
        removed = len(ids)
        return len(rows)

    for _ in sized(step):
        yield removed


def _remove_histories(database: Database, before: str, size: int) -> int:
    with transaction(database):
        return execute_many(database, _OLD_HISTORIES, [(before, size)])
