"""What nobody knows the cost of, and why: models without a price, responses that told no tokens."""

from __future__ import annotations

from datetime import date, timedelta
from typing import TYPE_CHECKING, Any

from aitap.storage.database import rows_of
from aitap.storage.reprice import call_of, usage_of
from aitap.storage.usage import usage

if TYPE_CHECKING:
    from peewee import Database

    from aitap.prices.pricing import Prices
    from aitap.storage.filters import Filter

__all__ = ["unpriced"]

_BY = ("provider", "provider_name", "model")
_LAST = (
    "SELECT provider, provider_name, model, max(day), max(CASE WHEN unpriced > 0 THEN day END) "
    "FROM aitap_daily_usage WHERE unpriced > 0 OR unmetered > 0 GROUP BY provider, provider_name, model"
)
_NO_DAYS = (None, None)
_NEWEST = (
    "SELECT i.host, i.started_at, c.input_tokens, c.output_tokens, c.cache_read_input_tokens, "
    "c.cache_write_input_tokens, c.metadata, c.provider_model "
    "FROM aibridge_interceptions i JOIN aibridge_token_usages c ON c.interception_id = i.id "
    "WHERE i.model = ? AND i.started_at >= ? AND i.started_at < ? AND i.provider = ? AND i.provider_name = ? "
    "AND i.ended_at IS NOT NULL AND c.cost_micros IS NULL ORDER BY i.started_at DESC LIMIT 1"
)


def unpriced(database: Database, filter: Filter, prices: Prices) -> list[dict[str, Any]]:
    """The models, by provider, of which some cost is unknown; the most used first. Plain dicts ready for JSON.

    ``unpriced`` responses told their tokens, ``unmetered`` calls did not. ``reason`` is that of the newest of
    the former, None where it is not there any more.
    """
    rows, _ = usage(database, filter, _BY)
    last = {tuple(key): (day, day_unpriced) for *key, day, day_unpriced in rows_of(database, _LAST)}
    found = []
    for row in rows:
        if row["unpriced"] or row["unmetered"]:
            key = tuple(row[name] for name in _BY)
            reason = "the provider told no tokens"
            if row["unpriced"]:
                reason = _reason(database, prices, key, last.get(key, _NO_DAYS)[1])
            told = {name: row[name] for name in (*_BY, "interceptions", "unpriced", "unmetered")}
            found.append({**told, "last_day": last.get(key, _NO_DAYS)[0], "reason": reason})
    return sorted(found, key=lambda row: (-row["unpriced"], -row["unmetered"], *(row[name] for name in _BY)))


def _reason(database: Database, prices: Prices, key: tuple[str, ...], day: str | None) -> Any:
    if day is None:
        return None
    provider, provider_name, model = key
    after = (date.fromisoformat(day) + timedelta(days=1)).isoformat()
    span = (f"{day} 00:00:00.000000+00:00", f"{after} 00:00:00.000000+00:00")
    newest = rows_of(database, _NEWEST, (model, *span, provider, provider_name))
    if not newest:
        return None
    host, started, *row = newest[0]
    answer = prices.cost(call_of(provider_name, host, model, started), usage_of(row))
    return answer if isinstance(answer, str) else "it has a price by now: run `aitap reprice`"
