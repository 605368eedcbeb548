"""Logged calls paired with recorded ones, and what is left over explained.

A pair is found by the id of the response, then by that of the request; where a log keeps neither, by session, model
and counts, in order of time. What explains a difference is said by :data:`REASONS`: those of which nobody is at fault
(a client that does not log its own titles) are told, but are no difference.
"""

from __future__ import annotations

from collections import defaultdict, deque
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import msgspec

from aitap.reconcile.recorded import calls_between, calls_of_responses, other_clients, recorded_at
from aitap.reconcile.tokens import LoggedCall, RecordedCall, Tokens, plain_model

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from peewee import Database

__all__ = ["EXPLAINED", "REASONS", "DayTotals", "Difference", "Reconciled", "reconcile_logs"]

_AROUND = 600.0
"""Seconds in which a proxy that runs, and is used, has recorded something."""
_ANSWER_SECONDS = 3600.0
"""The longest time from a request to the line that the log has of its answer."""

REASONS = {
    "not_running": "logged, not recorded: nothing was recorded at that time, so no proxy ran or the retention took it",
    "not_proxied": "logged, not recorded: nothing of that session is, so its client did not use the proxy",
    "lost": "logged, not recorded, though other calls of that session are",
    "counts": "both have it, with different counts",
    "unmetered": "recorded without counts: the provider told none on the wire",
    "cut": "recorded with the counts of a stream that was cut",
    "early": "the log has an early count: it was written before the answer was whole",
    "no_log": "recorded, of a session whose log is not here",
    "not_logged": "recorded, and not in the log of its session",
    "auxiliary": "recorded, not logged: the client's own calls (titles, summaries, warm-up)",
    "retry": "recorded, not logged: a request that the client sent again",
    "failed": "recorded, not logged: the answer did not come to its end",
}
EXPLAINED = ("auxiliary", "retry", "failed", "early", "unmetered", "cut")
"""Reasons that are no fault of the record."""


class Difference(msgspec.Struct, kw_only=True):
    """One call that is not the same on both sides."""

    reason: str
    at: float
    client: str
    session_id: str
    model: str
    response_id: str
    interception_id: str | None = None
    logged: Tokens | None = None
    recorded: Tokens | None = None


class DayTotals(msgspec.Struct):
    """What one model came to on one day (UTC) on either side."""

    logged_calls: int = 0
    recorded_calls: int = 0
    logged: Tokens = Tokens()
    recorded: Tokens = Tokens()


class Reconciled(msgspec.Struct):
    """The whole comparison."""

    logged: int = 0
    recorded: int = 0
    equal: int = 0
    differences: list[Difference] = []
    days: dict[tuple[str, str, str], DayTotals] = {}
    """By day, client and model."""
    other_clients: dict[str, int] = {}
    """Calls of these users in the same span by clients whose logs were not read."""

    def reasons(self) -> dict[str, int]:
        """How many differences there are for each reason."""
        found: dict[str, int] = {}
        for name in REASONS:
            if count := sum(difference.reason == name for difference in self.differences):
                found[name] = count
        return found

    def differ(self, *, strict: bool = False) -> bool:
        """Whether anything is different, or with ``strict`` also where it is explained."""
        return any(strict or difference.reason not in EXPLAINED for difference in self.differences)


def reconcile_logs(
    database: Database,
    logged: Sequence[LoggedCall],
    clients: Sequence[str],
    span: tuple[float, float],
    initiators: Sequence[str] = (),
) -> Reconciled:
    """Compare what logs tell of these clients in this span (epoch seconds) with what is recorded.

    Without ``initiators`` the records are those of the users who made any of the logged calls; of everybody where
    none of them is recorded.
    """
    since, until = span
    calls = sorted((call for call in logged if since <= call.at <= until), key=lambda call: call.at)
    named = calls_of_responses(database, [call.response_id for call in calls if call.response_id])
    theirs = initiators or sorted({call.initiator_id for call in named})
    start = min(since, calls[0].at - _ANSWER_SECONDS) if calls else since
    recorded = {call.id: call for call in calls_between(database, start, until, clients, theirs)}
    recorded.update((call.id, call) for call in named if not initiators or call.initiator_id in initiators)
    pairs = _pairs(calls, recorded.values())
    found = Reconciled(logged=len(calls))
    _judge_pairs(found, pairs)
    log_sessions = {call.session_id for call in logged}
    sessions = {call.session_id for call in recorded.values()}
    alone = [call for call, own in pairs if own is None]
    for call, near in zip(alone, recorded_at(database, [call.at for call in alone], _AROUND), strict=True):
        reason = "lost" if call.session_id in sessions else "not_proxied" if near else "not_running"
        found.differences.append(_difference(reason, call, None))
    paired = {own.id for _, own in pairs if own is not None}
    for own in recorded.values():
        if own.id in paired:
            found.recorded += 1
        elif own.at >= since and own.client in clients:
            found.recorded += 1
            if (why := _why_alone(own, log_sessions)) is not None:
                found.differences.append(_difference(why, None, own))
    counted = [own for own in recorded.values() if own.id in paired or (own.at >= since and own.client in clients)]
    _add_days(found, calls, counted)
    found.other_clients = other_clients(database, span, clients, theirs)
    found.differences.sort(key=lambda difference: (difference.at, difference.reason))
    return found


def _pairs(
    calls: Sequence[LoggedCall], recorded: Iterable[RecordedCall]
) -> list[tuple[LoggedCall, RecordedCall | None]]:
    recorded = sorted(recorded, key=lambda own: own.at)
    by_response: dict[str, deque[RecordedCall]] = defaultdict(deque)
    by_request: dict[str, deque[RecordedCall]] = defaultdict(deque)
    by_counts: dict[Any, deque[RecordedCall]] = defaultdict(deque)
    for own in recorded:
        if own.response_id:
            by_response[own.response_id].append(own)
        if own.request_id:
            by_request[own.request_id].append(own)
        # What a client does not log must not be taken for what it does.
        if own.purpose == "conversation":
            by_counts[own.session_id, plain_model(own.model), own.tokens].append(own)
    taken: set[str] = set()
    pairs = []
    for call in calls:
        queues = [
            by_response.get(call.response_id, deque()) if call.response_id else deque(),
            by_request.get(call.request_id, deque()) if call.request_id else deque(),
        ]
        if not call.response_id and not call.request_id:
            queues.append(by_counts.get((call.session_id, plain_model(call.model), call.tokens), deque()))
        found = None
        for queue in queues:
            while queue and found is None:
                candidate = queue.popleft()
                found = candidate if candidate.id not in taken else None
        if found is not None:
            taken.add(found.id)
        pairs.append((call, found))
    return pairs


def _judge_pairs(found: Reconciled, pairs: Iterable[tuple[LoggedCall, RecordedCall | None]]) -> None:
    for call, own in pairs:
        if own is None:
            continue
        if own.tokens == call.tokens:
            found.equal += 1
            continue
        reason = "counts"
        if own.tokens is None:
            reason = "unmetered"
        elif own.partial:
            reason = "cut"
        elif own.tokens.less(call.tokens).keys() <= {"output_tokens"} and own.tokens.total > call.tokens.total:
            reason = "early"
        found.differences.append(_difference(reason, call, own))


def _why_alone(own: RecordedCall, sessions: set[str]) -> str | None:
    """Why a recorded call is in no log; None where there is nothing to account for."""
    if own.purpose != "conversation":
        return "auxiliary" if own.tokens is not None else None
    if own.outcome != "completed":
        return "failed" if own.tokens is not None else None
    if own.tokens is None:
        return None
    if own.retry_of:
        return "retry"
    return "not_logged" if own.session_id in sessions else "no_log"


def _difference(reason: str, call: LoggedCall | None, own: RecordedCall | None) -> Difference:
    return Difference(
        reason=reason,
        at=call.at if call else own.at if own else 0.0,
        client=call.client if call else own.client if own else "",
        session_id=call.session_id if call else own.session_id if own else "",
        model=call.model if call else own.provider_model if own else "",
        response_id=call.response_id if call else own.response_id if own else "",
        interception_id=own.id if own else None,
        logged=call.tokens if call else None,
        recorded=own.tokens if own else None,
    )


def _add_days(found: Reconciled, calls: Iterable[LoggedCall], recorded: Iterable[RecordedCall]) -> None:
    for call in calls:
        day = found.days.setdefault((_day(call.at), call.client, plain_model(call.model)), DayTotals())
        day.logged_calls += 1
        day.logged += call.tokens
    for own in recorded:
        if own.tokens is not None:
            at = own.ended_at or own.at
            day = found.days.setdefault((_day(at), own.client, plain_model(own.provider_model)), DayTotals())
            day.recorded_calls += 1
            day.recorded += own.tokens


def _day(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%d")
