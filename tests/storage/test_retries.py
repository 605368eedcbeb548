"""Requests that repeat what failed by way of another proxy, or before a restart."""

from __future__ import annotations

from typing import Any

import pytest

from aitap.record import Interception, Lineage
from tests.storage.making import ANN, BEN, T0, Recording, interception, prompt, rows


def ask(at: float, request: str | None = "the same", **fields: Any) -> Interception:
    """A request with a prompt, whose bytes have this digest."""
    said = [prompt("hello", at)]
    return interception(at, lineage=Lineage(request=request), user_prompts=said, last_prompt_at=at, **fields)


def started(record: Interception) -> Interception:
    """The same as it is told at its start."""
    begun = interception(
        record.started_at,
        user_prompts=[prompt("hello", record.started_at)],
        last_prompt_at=record.started_at,
        lineage=Lineage(request=record.lineage.request),
        ended_at=None,
        outcome="in_flight",
    )
    begun.id, begun.user_prompts[0].id = record.id, record.user_prompts[0].id
    return begun


def elsewhere(recording: Recording, *records: Interception) -> None:
    """Another proxy stores these."""
    recording.batch(*records)
    recording.restart()


def prompts(recording: Recording) -> list[str]:
    """Whose prompts are stored."""
    return [str(own) for (own,) in rows(recording.database, "SELECT interception_id FROM aibridge_user_prompts")]


@pytest.mark.parametrize("outcome", ["failed", "cancelled", "interrupted"])
def test_a_retry_by_another_proxy_points_at_what_failed_and_repeats_no_prompt(
    recording: Recording, outcome: str
) -> None:
    first, second = ask(T0, outcome=outcome), ask(T0 + 2)
    elsewhere(recording, first)
    recording.batch(second)
    row = recording.row(second)
    assert (row["retry_of"], row["last_prompt_at"], row["metadata"]) == (first.id, None, {"prompt_of": first.id})
    assert prompts(recording) == [first.id]
    assert recording.thread(second) == (None, first.id, first.id)
    assert rows(recording.database, "SELECT sum(prompts) FROM aitap_daily_totals") == [(1,)]


def test_a_retry_is_known_from_its_start_on_and_at_its_end(recording: Recording) -> None:
    first, second = ask(T0, outcome="failed"), ask(T0 + 2)
    elsewhere(recording, first)
    recording.batch(started(second))
    assert (recording.row(second)["retry_of"], prompts(recording)) == (first.id, [first.id])
    recording.batch(second)
    assert (recording.row(second)["retry_of"], prompts(recording)) == (first.id, [first.id])


def test_a_retry_stays_one_where_who_records_it_died_meanwhile(recording: Recording) -> None:
    first, second = ask(T0, outcome="failed"), ask(T0 + 2)
    elsewhere(recording, first)
    elsewhere(recording, started(second))
    recording.batch(second)
    assert (recording.row(second)["retry_of"], prompts(recording)) == (first.id, [first.id])


def test_a_failure_that_is_stored_after_the_retry_began_is_found_at_its_end(recording: Recording) -> None:
    first, second = ask(T0, outcome="failed"), ask(T0 + 2)
    recording.batch(started(second))
    assert prompts(recording) == [second.id]
    recording.batch(first)
    recording.batch(second)
    assert (recording.row(second)["retry_of"], prompts(recording)) == (first.id, [first.id])
    assert rows(recording.database, "SELECT sum(prompts) FROM aitap_daily_totals") == [(1,)]


def test_of_several_attempts_each_repeats_the_one_before(recording: Recording) -> None:
    attempts = [ask(T0 + number, outcome="failed") for number in range(3)]
    for attempt in attempts:
        elsewhere(recording, attempt)
    assert [recording.row(attempt)["retry_of"] for attempt in attempts] == [None, attempts[0].id, attempts[1].id]
    assert [recording.row(attempt)["metadata"].get("prompt_of") for attempt in attempts] == [
        None,
        *[attempts[0].id] * 2,
    ]


def test_once_a_retry_was_answered_the_same_is_asked_anew(recording: Recording) -> None:
    elsewhere(recording, ask(T0, outcome="failed"))
    elsewhere(recording, ask(T0 + 1))
    again = ask(T0 + 2)
    recording.batch(again)
    assert (recording.row(again)["retry_of"], again.id in prompts(recording)) == (None, True)


def test_what_the_recorder_knew_to_be_a_retry_settles_the_failure_too(recording: Recording) -> None:
    first = ask(T0, outcome="failed")
    recording.batch(first, ask(T0 + 1, retry_of=first.id))
    recording.restart()
    again = ask(T0 + 2)
    recording.batch(again)
    assert recording.row(again)["retry_of"] is None


@pytest.mark.parametrize(
    "other",
    [
        ask(T0 + 2, "another"),
        ask(T0 + 2, None),
        ask(T0 + 2, initiator_id=BEN),
        ask(T0 + 602.5),
        ask(T0 - 1),
    ],
    ids=["other bytes", "no bytes", "somebody else", "much later", "before it"],
)
def test_other_requests_repeat_nothing(recording: Recording, other: Interception) -> None:
    elsewhere(recording, ask(T0, outcome="failed", initiator_id=ANN, ended_at=T0 + 1))
    recording.batch(other)
    assert (recording.row(other)["retry_of"], other.id in prompts(recording)) == (None, True)


def test_the_same_failure_told_twice_does_not_repeat_itself(recording: Recording) -> None:
    first = ask(T0, outcome="failed")
    elsewhere(recording, first)
    recording.batch(first)
    assert (recording.row(first)["retry_of"], prompts(recording)) == (None, [first.id])


def test_an_interception_that_is_gone_is_repeated_by_none(recording: Recording) -> None:
    first, second = ask(T0, outcome="failed"), ask(T0 + 2)
    elsewhere(recording, first)
    rows(recording.database, "DELETE FROM aibridge_interceptions WHERE id = ?", first.id)
    recording.batch(second)
    assert recording.row(second)["retry_of"] is None
