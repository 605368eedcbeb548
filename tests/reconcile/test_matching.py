"""Calls of both sides find each other, and what is left over is explained."""

from __future__ import annotations

from typing import Any

import pytest
from peewee import Database

from aitap.reconcile.matching import EXPLAINED, REASONS, Reconciled, reconcile_logs
from aitap.reconcile.tokens import LoggedCall, Tokens, plain_model
from aitap.record import Interception
from tests.storage.making import ANN, BEN, T0, Recording, interception, tokens

CLIENTS = ("Claude Code", "Codex")
SPAN = (T0 - 100, T0 + 5000)


def logged(number: int, at: float = T0, **more: Any) -> LoggedCall:
    values: dict[str, Any] = {
        "client": "Claude Code",
        "session_id": "s1",
        "at": at + 1,
        "model": "claude-opus-4-8",
        "response_id": f"msg_{number}",
        "request_id": f"req_{number}",
        "tokens": Tokens(10, 5, 0, 0),
    }
    return LoggedCall(**{**values, **more})


def stored(number: int, at: float = T0, usage: dict[str, Any] | None = None, **more: Any) -> Interception:
    fields: dict[str, Any] = {
        "client": "Claude Code",
        "client_session_id": "s1",
        "provider_request_id": f"req_{number}",
        "token_usages": [tokens(f"msg_{number}", at, **(usage or {}))],
    }
    return interception(at, **{**fields, **more})


def reasons(found: Reconciled) -> dict[str, int]:
    assert sum(found.reasons().values()) == len(found.differences)
    return found.reasons()


def test_calls_are_paired_by_response_then_by_request(recording: Recording) -> None:
    recording.batch(*(stored(number, T0 + number) for number in range(3)))
    calls = [logged(0), logged(1, response_id="unknown"), logged(2, request_id="")]
    found = reconcile_logs(recording.database, calls, CLIENTS, SPAN)
    assert (found.logged, found.recorded, found.equal, reasons(found)) == (3, 3, 3, {})
    assert not found.differ(strict=True)
    [(key, day)] = found.days.items()
    assert key == ("2026-11-18", "Claude Code", "claude-opus-4-8")
    assert (day.logged_calls, day.recorded_calls, day.logged) == (3, 3, day.recorded)


def test_calls_without_ids_are_paired_by_session_model_and_counts_in_order(recording: Recording) -> None:
    codex: dict[str, Any] = {"client": "Codex", "client_session_id": "c1", "model": "gpt-6.1-sol"}
    warm_up = stored(0, T0, purpose="auxiliary", **codex)
    recording.batch(warm_up, stored(1, T0 + 1, **codex), stored(2, T0 + 2, **codex))
    bare: dict[str, Any] = {
        "client": "Codex",
        "session_id": "c1",
        "model": "gpt-6.1-sol",
        "response_id": "",
        "request_id": "",
    }
    calls = [logged(1, T0 + 1, **bare), logged(2, T0 + 2, **bare)]
    found = reconcile_logs(recording.database, calls, CLIENTS, SPAN)
    assert (found.equal, reasons(found)) == (2, {"auxiliary": 1})
    assert not found.differ()
    assert found.differ(strict=True)


def test_what_is_logged_and_not_recorded_says_why(recording: Recording) -> None:
    recording.batch(stored(1))
    calls = [
        logged(1),
        logged(2, T0 + 2),
        logged(3, T0 + 3, session_id="elsewhere"),
        logged(4, T0 + 4000, session_id="later"),
    ]
    found = reconcile_logs(recording.database, calls, CLIENTS, SPAN)
    assert reasons(found) == {"not_running": 1, "not_proxied": 1, "lost": 1}
    assert {difference.reason: difference.response_id for difference in found.differences} == {
        "lost": "msg_2",
        "not_proxied": "msg_3",
        "not_running": "msg_4",
    }
    assert found.differ()


def test_what_is_recorded_and_not_logged_says_why(recording: Recording) -> None:
    failed = stored(4, T0 + 4, outcome="failed")
    recording.batch(
        stored(1),
        stored(2, T0 + 2, purpose="auxiliary"),
        failed,
        stored(3, T0 + 3, client_session_id="no-log"),
        stored(5, T0 + 5),
        stored(6, T0 + 6, retry_of=failed.id),
        stored(7, T0 + 7, token_usages=[], outcome="failed"),
        stored(8, T0 + 8, client="Aider", client_session_id=None),
        stored(9, T0 + 9, initiator_id=BEN),
    )
    found = reconcile_logs(recording.database, [logged(1)], CLIENTS, SPAN)
    assert reasons(found) == {"no_log": 1, "not_logged": 1, "auxiliary": 1, "retry": 1, "failed": 1}
    assert found.other_clients == {"Aider": 1}
    both = reconcile_logs(recording.database, [logged(1)], CLIENTS, SPAN, [ANN, BEN])
    assert reasons(both)["not_logged"] == 2, "of the users who are named, and else of those who made the logged calls"


@pytest.mark.parametrize(
    ("recorded", "reason"),
    [
        ({"usage": {"output_tokens": 9}}, "early"),
        ({"usage": {"output_tokens": 2}}, "counts"),
        ({"usage": {"cache_read_input_tokens": 7}}, "counts"),
        ({"usage": {"output_tokens": 2, "metadata": {"partial": True}}}, "cut"),
        ({"token_usages": []}, "unmetered"),
    ],
)
def test_different_counts_say_why(recording: Recording, recorded: dict[str, Any], reason: str) -> None:
    recording.batch(stored(1, **recorded))
    found = reconcile_logs(recording.database, [logged(1)], CLIENTS, SPAN)
    assert (found.equal, reasons(found)) == (0, {reason: 1})
    [difference] = found.differences
    assert difference.logged == Tokens(10, 5, 0, 0)
    assert found.differ() == (reason not in EXPLAINED)


def test_every_reason_has_words() -> None:
    assert set(EXPLAINED) < set(REASONS)


def test_without_a_database_of_anybodys_nothing_is_recorded(database: Database) -> None:
    found = reconcile_logs(database, [logged(1)], CLIENTS, SPAN)
    assert reasons(found) == {"not_running": 1}


@pytest.mark.parametrize(
    ("name", "plain"),
    [
        ("claude-haiku-4-5-20251001", "claude-haiku-4-5"),
        ("Claude Haiku 4.5", "claude-haiku-4-5"),
        ("anthropic/claude-haiku-4.5", "claude-haiku-4-5"),
        ("Claude 3.5 Sonnet 2024-10-22", "claude-3-5-sonnet"),
        ("gpt-4o-2024-08-06", "gpt-4o"),
        ("gpt-6.1-sol", "gpt-6-1-sol"),
        ("claude-3-7-sonnet-latest", "claude-3-7-sonnet"),
        ("", "unknown"),
    ],
)
def test_names_of_one_model_are_one(name: str, plain: str) -> None:
    assert plain_model(name) == plain
