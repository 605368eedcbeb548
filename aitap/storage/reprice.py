"""Another price book for what is recorded: costs anew, with the sums that hang on them.

Works through history from old to new in transactions of some 10 ms, each of which leaves costs, sessions, days
and months in step; one that is cut off has done what it has done. A cost that stays what it was keeps the
version that made it. Of what retention took, the sums keep the cost that was known at the time.
"""

from __future__ import annotations

import contextlib
import time
from typing import TYPE_CHECKING, Any

import msgspec

from aitap.prices.pricing import Call
from aitap.record import TokenUsage
from aitap.storage import daily
from aitap.storage.database import execute_many, question_marks, rows_of, transaction
from aitap.storage.evidence.chain import cover
from aitap.storage.fields import parse_timestamp, timestamp_text

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from peewee import Database

    from aitap.prices.pricing import Prices

__all__ = ["Repriced", "call_of", "reprice", "repriceable", "usage_of"]

_AT_ONCE = 200

_ENDED = "FROM aibridge_interceptions WHERE ended_at IS NOT NULL AND started_at >= ?"
_CALLS = (
    "SELECT id, started_at, provider_name, host, model, initiator_id, provider, coalesce(client, ''), purpose, "
    f"credential_kind, session_id {_ENDED} AND (started_at, id) > (?, ?) ORDER BY started_at, id LIMIT ?"
)
_USAGES = (
    "SELECT interception_id, id, input_tokens, output_tokens, cache_read_input_tokens, cache_write_input_tokens, "
    "metadata, provider_model, cost_micros FROM aibridge_token_usages WHERE interception_id IN "
)
_SET = "UPDATE aibridge_token_usages SET cost_micros = ?, price_book = ? WHERE id = ?"
_SESSION = (
    "UPDATE aitap_sessions SET cost_micros = cost_micros + ?, unpriced = unpriced + ? "
    "WHERE session_id = ? AND initiator_id = ?"
)
_NEVER = "00000000-0000-0000-0000-000000000000"


class Repriced(msgspec.Struct):
    """What came of it: responses looked at, those whose cost is another now, micro-dollars, and what has no price."""

    interceptions: int = 0
    usages: int = 0
    changed: int = 0
    before_micros: int = 0
    after_micros: int = 0
    unpriced_before: int = 0
    unpriced_after: int = 0


def repriceable(database: Database, since: float) -> int:
    """How many interceptions :func:`reprice` would look at."""
    return int(rows_of(database, f"SELECT count(*) {_ENDED}", (_moment(since),))[0][0])


def reprice(database: Database, prices: Prices, *, since: float = 0.0, dry_run: bool = False) -> Iterator[Repriced]:
    """Cost of everything that started at ``since`` (epoch seconds) or later, anew; each step gives the state so far.

    With ``dry_run`` nothing is written. For a process beside the proxy: it rests as long as it works.
    """
    so_far = Repriced()
    at = (_moment(since), _NEVER)
    while True:
        begun = time.monotonic()
        with contextlib.nullcontext() if dry_run else transaction(database):
            calls = rows_of(database, _CALLS, (_moment(since), *at, _AT_ONCE))
            if calls:
                _step(database, prices, calls, so_far, dry_run=dry_run)
        yield so_far
        if len(calls) < _AT_ONCE:
            return
        at = (calls[-1][1], str(calls[-1][0]))
        if not dry_run:
            time.sleep(time.monotonic() - begun)


def _moment(seconds: float) -> str:
    return timestamp_text(max(seconds, 0.0))


def _step(
    database: Database, prices: Prices, calls: Sequence[Sequence[Any]], so_far: Repriced, *, dry_run: bool
) -> None:
    by_id = {str(call[0]): call for call in calls}
    usages = rows_of(database, _USAGES + question_marks(len(by_id)), list(by_id))
    changed: list[tuple[int | None, str, str]] = []
    owners: list[str] = []
    sums: daily.Sums = {}
    sessions: dict[tuple[str, str], list[int]] = {}
    for owner, own_id, *row, before in usages:
        _, started, provider_name, host, model, initiator, provider, client, purpose, credential, session = by_id[
            str(owner)
        ]
        found = prices.cost(call_of(provider_name, host, model, started), usage_of(row))
        after = None if isinstance(found, str) else found
        so_far.unpriced_before += before is None
        so_far.unpriced_after += after is None
        so_far.before_micros += before or 0
        so_far.after_micros += after or 0
        if after == before:
            continue
        changed.append((after, prices.version, str(own_id)))
        owners.append(str(owner))
        cost, unpriced = (after or 0) - (before or 0), (after is None) - (before is None)
        key = (started[:10], str(initiator), provider, provider_name, model, client, purpose, credential)
        day = sums.setdefault(key, [0] * len(daily.SUMS))
        day[_COST] += cost
        day[_UNPRICED] += unpriced
        totals = sessions.setdefault((session, str(initiator)), [0, 0])
        totals[0] += cost
        totals[1] += unpriced
    so_far.interceptions += len(calls)
    so_far.usages += len(usages)
    so_far.changed += len(changed)
    if changed and not dry_run:
        execute_many(database, _SET, changed)
        execute_many(database, _SESSION, [(*totals, *key) for key, totals in sessions.items()])
        daily.add(database, sums)
        cover(database, owners)


_COST, _UNPRICED = daily.SUMS.index("cost_micros"), daily.SUMS.index("unpriced")


def call_of(provider_name: str, host: str, model: str, started_at: str) -> Call:
    """What the price of a stored interception depends on."""
    return Call(provider_name, host, model, parse_timestamp(started_at).timestamp())


def usage_of(row: Sequence[Any]) -> TokenUsage:
    """A stored token usage: the four counters, the metadata and the provider's model."""
    fresh, output, read, write, metadata, model = row
    return TokenUsage(
        provider_response_id="",
        input_tokens=fresh,
        output_tokens=output,
        cache_read_input_tokens=read,
        cache_write_input_tokens=write,
        metadata=msgspec.json.decode(metadata) if metadata else {},
        provider_model=model,
        created_at=0.0,
        id=_NEVER,
    )
