"""Recorded calls and sums, read for comparison."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from aitap.reconcile.tokens import RecordedCall, Tokens, plain_model
from aitap.storage.database import question_marks, rows_of, slices
from aitap.storage.fields import parse_timestamp, timestamp_text
from aitap.storage.spans import in_every_span

if TYPE_CHECKING:
    from collections.abc import Sequence

    from peewee import Database

__all__ = ["DaySum", "calls_between", "calls_of_responses", "other_clients", "recorded_at", "sums_between"]

_AT_ONCE = 400
_COLUMNS = (
    "SELECT i.id, i.initiator_id, i.client, i.client_session_id, i.started_at, i.ended_at, i.model, "
    "coalesce(t.provider_model, i.response_model, i.model), t.provider_response_id, i.provider_request_id, i.purpose, "
    "i.outcome, i.retry_of, t.input_tokens, t.output_tokens, t.cache_read_input_tokens, t.cache_write_input_tokens, "
    "t.metadata FROM aibridge_interceptions i LEFT JOIN aibridge_token_usages t ON t.interception_id = i.id "
)
_OF_RESPONSES = "SELECT interception_id FROM aibridge_token_usages WHERE {span}provider_response_id IN "
_SUMS = (
    "SELECT day, model, provider, credential_kind, sum(interceptions), sum(usages), sum(unmetered), sum(unpriced), "
    "sum(input_tokens), sum(output_tokens), sum(cache_read_input_tokens), sum(cache_write_input_tokens), "
    "sum(cost_micros) FROM aitap_daily_usage WHERE day >= ? AND day <= ? GROUP BY day, model, provider, credential_kind"
)


class DaySum(msgspec.Struct):
    """What one model of one provider came to on one day (UTC)."""

    calls: int = 0
    tokens: Tokens = Tokens()
    unmetered: int = 0
    """Calls whose tokens nobody told."""
    unpriced: int = 0
    cost_micros: int = 0


def calls_between(
    database: Database, since: float, until: float, clients: Sequence[str], initiators: Sequence[str] = ()
) -> list[RecordedCall]:
    """Ended calls of these clients that started in this span, of these users or of all; oldest first."""
    sql = f"{_COLUMNS}WHERE i.started_at >= ? AND i.started_at <= ? AND i.ended_at IS NOT NULL "
    sql += f"AND i.client IN {question_marks(len(clients))} "
    parameters = [timestamp_text(max(since, 0.0)), timestamp_text(until), *clients]
    if initiators:
        sql += f"AND i.initiator_id IN {question_marks(len(initiators))} "
        parameters += initiators
    return [_call(row) for row in rows_of(database, f"{sql}ORDER BY i.started_at, i.id", parameters)]


def calls_of_responses(database: Database, responses: Sequence[str]) -> list[RecordedCall]:
    """The calls that were answered under these ids, whenever and whoever's they are."""
    found = []
    answered = _OF_RESPONSES.format(span=in_every_span(database, "aibridge_token_usages"))
    for some in slices(responses, _AT_ONCE):
        sql = f"{_COLUMNS}WHERE i.id IN ({answered}{question_marks(len(some))}) AND i.ended_at IS NOT NULL"
        found += [_call(row) for row in rows_of(database, sql, some)]
    return found


def other_clients(
    database: Database, span: tuple[float, float], clients: Sequence[str], initiators: Sequence[str]
) -> dict[str, int]:
    """How many calls these users made in this span with other clients than these, by client."""
    if not initiators:
        return {}
    sql = "SELECT coalesce(client, 'Unknown'), count(*) FROM aibridge_interceptions WHERE started_at >= ? "
    sql += f"AND started_at <= ? AND initiator_id IN {question_marks(len(initiators))} "
    sql += f"AND coalesce(client, 'Unknown') NOT IN {question_marks(len(clients))} GROUP BY 1 ORDER BY 1"
    moments = (timestamp_text(max(span[0], 0.0)), timestamp_text(span[1]))
    rows = rows_of(database, sql, (*moments, *initiators, *clients))
    return {str(client): int(count) for client, count in rows}


def recorded_at(database: Database, moments: Sequence[float], around: float) -> list[bool]:
    """Whether anything at all was recorded within ``around`` seconds of each of these moments."""
    sql = "SELECT 1 FROM aibridge_interceptions WHERE started_at >= ? AND started_at <= ? LIMIT 1"
    return [
        bool(rows_of(database, sql, (timestamp_text(max(at - around, 0.0)), timestamp_text(at + around))))
        for at in moments
    ]


def sums_between(
    database: Database, first: str, last: str, provider: str, *, subscriptions: bool
) -> tuple[dict[tuple[str, str], DaySum], int]:
    """Sums by day and model of one provider, and how many calls by subscription were left out of them."""
    found: dict[tuple[str, str], DaySum] = {}
    left_out = 0
    for day, model, of, credential, ended, usages, unmetered, unpriced, *counts, cost in rows_of(
        database, _SUMS, (first, last)
    ):
        if of != provider:
            continue
        if credential == "byok_subscription" and not subscriptions:
            left_out += int(ended)
            continue
        total = found.setdefault((str(day), plain_model(model)), DaySum())
        total.calls += int(usages)
        total.unmetered += int(unmetered)
        total.unpriced += int(unpriced)
        total.tokens += Tokens(*map(int, counts))
        total.cost_micros += int(cost)
    return found, left_out


def _call(row: tuple[object, ...]) -> RecordedCall:
    own, initiator, client, session, started, ended, model, answered, response, request, *rest = row
    purpose, outcome, retry, *counts, metadata = rest
    marks = msgspec.json.decode(metadata) if isinstance(metadata, str) else {}
    return RecordedCall(
        id=str(own),
        initiator_id=str(initiator),
        client=str(client or ""),
        session_id=str(session or ""),
        at=parse_timestamp(started).timestamp(),  # type: ignore[arg-type]
        ended_at=None if ended is None else parse_timestamp(ended).timestamp(),  # type: ignore[arg-type]
        model=str(model),
        provider_model=str(answered),
        response_id=str(response or ""),
        request_id=str(request or ""),
        purpose=str(purpose),
        outcome=str(outcome),
        retry_of=str(retry or ""),
        tokens=None if counts[0] is None else Tokens(*(int(count) for count in counts)),  # type: ignore[call-overload]
        partial=bool(marks.get("partial")),
    )
