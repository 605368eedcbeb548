"""Old records go, in slices so short that writing never waits for them.

An interception goes with its children and with its share of its session, in one transaction; a session
that lost everything goes too. Interceptions still open stay, and so do the sums of what was used on each day
(:mod:`aitap.storage.daily`). Contents go with the last interception that refers to them; they may be told
to go sooner.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from aitap.storage import contents, sessions
from aitap.storage.database import execute_many, question_marks, rows_of, transaction
from aitap.storage.fields import timestamp_text

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterator

    from peewee import Database

__all__ = ["prunable", "prunable_contents", "prune", "prune_slices"]

_TARGET_SECONDS = 0.01
_LARGEST = 250

_OLD = "FROM aibridge_interceptions WHERE started_at < ? AND ended_at IS NOT NULL"
_SELECT_OLD = f"SELECT id {_OLD} ORDER BY started_at, id LIMIT ?"
_OLD_HISTORIES = (
    "DELETE FROM aitap_histories WHERE (digest, initiator_id) IN "
    "(SELECT digest, initiator_id FROM aitap_histories WHERE created_at < ? ORDER BY created_at LIMIT ?)"
)
_OLD_HOSTS = "DELETE FROM aitap_hosts WHERE last_seen < ?"
_OLD_RUNS = "DELETE FROM aitap_proxies WHERE heartbeat_at < ? AND id < (SELECT max(id) FROM aitap_proxies)"
_CHILDREN = (
    "aibridge_token_usages",
    "aibridge_user_prompts",
    "aibridge_tool_usages",
    "aibridge_model_thoughts",
)


def prunable(database: Database, before: float) -> int:
    """How many interceptions :func:`prune` would remove."""
    [(count,)] = rows_of(database, f"SELECT count(*) {_OLD}", (_moment(before),))
    return int(count)


def prunable_contents(database: Database, before: float) -> int:
    """How many interceptions would lose their contents to :func:`prune` with ``contents_before``."""
    return contents.with_contents(database, _moment(before))


def prune(database: Database, before: float, contents_before: float = 0.0) -> int:
    """Remove all interceptions that started before ``before`` (epoch seconds); returns how many.

    Of those that stay, what started before ``contents_before`` loses its contents. For a process beside the
    proxy: it rests as long as it works, so that the proxy gets its turns.
    """
    removed = 0
    begun = time.monotonic()
    for count in prune_slices(database, before, contents_before):
        removed += count
        time.sleep(time.monotonic() - begun)
        begun = time.monotonic()
    return removed


def prune_slices(database: Database, before: float, contents_before: float = 0.0) -> Generator[int, None, None]:
    """The same in steps of some 10 ms, each a transaction; a step yields how many interceptions went."""
    limit = _moment(before)
    yield from _sized(lambda size: _remove_interceptions(database, limit, size))
    if contents_before > before:
        for _ in _sized(lambda size: contents.drop(database, _moment(contents_before), size)):
            yield 0
    for _ in contents.collect(database):
        yield 0
    for _ in _sized(lambda size: _remove_histories(database, limit, size)):
        yield 0
    with transaction(database):
        execute_many(database, _OLD_RUNS, [(limit,)])
        execute_many(database, _OLD_HOSTS, [(limit,)])


def _sized(step: Callable[[int], int]) -> Iterator[int]:
    """Repeat a step until it does less than it was asked for; its size follows the time that it takes."""
    size = 16
    while True:
        begun = time.perf_counter()
        done = step(size)
        spent = time.perf_counter() - begun
        yield done
        if done < size:
            break
        size = max(1, min(_LARGEST, 2 * size, int(size * _TARGET_SECONDS / spent)))


def _moment(seconds: float) -> str:
    # Someone who keeps records for a thousand years means for ever.
    return timestamp_text(max(seconds, 0.0))


def _remove_interceptions(database: Database, before: str, size: int) -> int:
    with transaction(database):
        ids = [row[0] for row in rows_of(database, _SELECT_OLD, (before, size))]
        if ids:
            those = question_marks(len(ids))
            contents.loosen(database, ids)
            with sessions.taking_away(database, ids):
                for table in _CHILDREN:
                    rows_of(database, f"DELETE FROM {table} WHERE interception_id IN {those}", ids)
                rows_of(database, f"DELETE FROM aibridge_interceptions WHERE id IN {those}", ids)
    return len(ids)


def _remove_histories(database: Database, before: str, size: int) -> int:
    with transaction(database):
        return execute_many(database, _OLD_HISTORIES, [(before, size)])
