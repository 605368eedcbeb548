"""Interceptions go, with their children and with their share of all that is counted.

A removal reads nothing before it: what goes says, as it goes, what it counted for. So a row costs little more than
its own removal, however many counts there are.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from aitap.storage import contents, kinds, sessions
from aitap.storage.database import among, rows_of
from aitap.storage.evidence.chain import cover
from aitap.storage.models import CONTENTS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from peewee import Database

__all__ = ["CHILDREN", "take_away"]

CHILDREN = (
    "aibridge_token_usages",
    "aibridge_user_prompts",
    "aibridge_tool_usages",
    "aibridge_model_thoughts",
)
"""Tables whose rows belong to an interception."""

_COUNTERS = ("input_tokens", "output_tokens", "cache_read_input_tokens", "cache_write_input_tokens")
# Columns as they are: of one that is null, `IS NULL` is not true in a RETURNING of SQLite's (3.40).
_TOLD = (
    "id, session_id, initiator_id, kind_id, started_at, outcome, purpose, thread_root_id, "
    "json_extract(metadata, '$.agent'), "
)
_TAKE = f"DELETE FROM aibridge_interceptions WHERE id {{}} RETURNING {_TOLD}{', '.join(CONTENTS)}"
_TAKE_USAGES = (
    "DELETE FROM aibridge_token_usages WHERE interception_id {} "
    f"RETURNING interception_id, {', '.join(_COUNTERS)}, cost_micros"
)
_TAKE_CALLS = "DELETE FROM aibridge_tool_usages WHERE interception_id {} RETURNING interception_id"
_TAKE_PROMPTS = "DELETE FROM aibridge_user_prompts WHERE interception_id {} RETURNING interception_id"
_TAKE_THOUGHTS = "DELETE FROM aibridge_model_thoughts WHERE interception_id {}"


def take_away(database: Database, ids: Sequence[str]) -> None:
    """Remove these ended interceptions, the oldest of their sessions, with all that is theirs.

    Call it inside a transaction. Contents that nobody refers to any more are only noted, for
    :func:`aitap.storage.contents.collect`.
    """
    # In the order of the index, so that neighbours go together.
    those, names = among(database, sorted(ids))
    shares: dict[sessions.Key, sessions.Share] = {}
    by_id: dict[str, sessions.Share] = {}
    typed: set[str] = set()
    days: kinds.Days = {}
    of_kinds: kinds.OfSessions = {}
    digests: set[str] = set()
    for row in rows_of(database, _TAKE.format(those), names):
        own_id, session, initiator, kind, at, outcome, purpose, root, agent, *referred = row
        share = shares.get((session, initiator))
        if share is None:
            share = shares[session, initiator] = sessions.Share()
        by_id[own_id] = share
        share.interceptions += 1
        share.errors += outcome == "failed"
        if purpose == "conversation":
            share.threads += root is None
            # Else a person did not type it, but a model, for its sub-agent.
            if agent is None:
                typed.add(own_id)
        kinds.count_one(days, of_kinds, (session, initiator, kind), at[:10], at)
        digests.update(digest for digest in referred if digest)
    contents.note_loose(database, digests)
    for own_id, *counters, cost in rows_of(database, _TAKE_USAGES.format(those), names):
        _count_usage(by_id[own_id], counters, cost)
    for (own_id,) in rows_of(database, _TAKE_CALLS.format(those), names):
        by_id[own_id].tool_calls += 1
    for (own_id,) in rows_of(database, _TAKE_PROMPTS.format(those), names):
        by_id[own_id].prompts += own_id in typed
    rows_of(database, _TAKE_THOUGHTS.format(those), names)
    sessions.subtract(database, shares)
    kinds.subtract(database, days, of_kinds)
    cover(database, removed=[str(own_id) for own_id in ids])


def _count_usage(share: sessions.Share, counters: Sequence[int], cost: Any) -> None:
    fresh, output, reads, writes = counters
    share.input_tokens += fresh
    share.output_tokens += output
    share.cache_read_input_tokens += reads
    share.cache_write_input_tokens += writes
    if cost is None:
        share.unpriced += 1
    else:
        share.cost_micros += cost
