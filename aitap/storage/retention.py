"""Old records go, in slices so short that writing never waits for them.

An interception and its children go together; sessions that lost a part are summed anew, those that lost
everything go too. Interceptions still open stay. Stopping anywhere leaves nothing half done that the
next run does not finish.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from aitap.storage import sessions
from aitap.storage.database import transaction
from aitap.storage.fields import timestamp_text
from aitap.storage.statements import placeholders

if TYPE_CHECKING:
    from collections.abc import Iterator

    from peewee import Database

__all__ = ["prunable", "prune", "prune_slices"]

_TARGET_SECONDS = 0.02
_LARGEST = 500

_OLD = "FROM aibridge_interceptions WHERE started_at < ? AND ended_at IS NOT NULL"
_SELECT_OLD = f"SELECT id {_OLD} ORDER BY started_at, id LIMIT ?"
_SHORTENED_SESSIONS = (
    "SELECT session_id, initiator_id FROM aitap_sessions s WHERE started_at < ? AND NOT EXISTS ("
    "SELECT 1 FROM aibridge_interceptions i WHERE i.session_id = s.session_id AND i.initiator_id = s.initiator_id "
    "AND i.started_at = s.started_at AND i.ended_at IS NOT NULL) ORDER BY started_at LIMIT ?"
)
_OLD_HISTORIES = (
    "DELETE FROM aitap_histories WHERE (digest, initiator_id) IN "
    "(SELECT digest, initiator_id FROM aitap_histories WHERE created_at < ? ORDER BY created_at LIMIT ?)"
)
_OLD_RUNS = "DELETE FROM aitap_proxies WHERE heartbeat_at < ? AND id < (SELECT max(id) FROM aitap_proxies)"
_CHILDREN = (
    "aibridge_token_usages",
    "aibridge_user_prompts",
    "aibridge_tool_usages",
    "aibridge_model_thoughts",
)


def prunable(database: Database, before: float) -> int:
    """How many interceptions :func:`prune` would remove."""
    sql = placeholders(database, f"SELECT count(*) {_OLD}")
    return int(database.execute_sql(sql, (timestamp_text(before),)).fetchone()[0])


def prune(database: Database, before: float) -> int:
    """Remove all interceptions that started before ``before`` (epoch seconds); returns how many.

    For a process beside the proxy: it rests as long as it works, so that the proxy gets its turns.
    """
    removed = 0
    begun = time.monotonic()
    for count in prune_slices(database, before):
        removed += count
        time.sleep(time.monotonic() - begun)
        begun = time.monotonic()
    return removed


def prune_slices(database: Database, before: float) -> Iterator[int]:
    """The same in steps: each is one transaction of some 20 ms and yields how many interceptions went."""
    limit = timestamp_text(before)
    for step in (_remove_interceptions, _mend_sessions, _remove_histories):
        size = 16
        while True:
            begun = time.perf_counter()
            with transaction(database):
                removed, more = step(database, limit, size)
            spent = time.perf_counter() - begun
            yield removed
            if not more:
                break
            size = max(1, min(_LARGEST, 2 * size, int(size * _TARGET_SECONDS / spent)))
    with transaction(database):
        database.execute_sql(placeholders(database, _OLD_RUNS), (limit,))


def _remove_interceptions(database: Database, before: str, size: int) -> tuple[int, bool]:
    ids = [row[0] for row in database.execute_sql(placeholders(database, _SELECT_OLD), (before, size))]
    if ids:
        those = ", ".join([database.param] * len(ids))
        for table in _CHILDREN:
            database.execute_sql(f"DELETE FROM {table} WHERE interception_id IN ({those})", ids)
        database.execute_sql(f"DELETE FROM aibridge_interceptions WHERE id IN ({those})", ids)
    return len(ids), len(ids) == size


def _mend_sessions(database: Database, before: str, size: int) -> tuple[int, bool]:
    # A session whose first interception is not there has lost a part: no list of those need be kept.
    keys = database.execute_sql(placeholders(database, _SHORTENED_SESSIONS), (before, size)).fetchall()
    sessions.rebuild(database, keys)
    return 0, len(keys) == size


def _remove_histories(database: Database, before: str, size: int) -> tuple[int, bool]:
    cursor = database.execute_sql(placeholders(database, _OLD_HISTORIES), (before, size))
    return 0, cursor.rowcount == size
