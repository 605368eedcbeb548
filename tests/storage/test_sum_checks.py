"""A sum that says something else than its rows is told."""

from __future__ import annotations

import pytest
from peewee import Database

from aitap.storage.checks import problems
from aitap.storage.database import execute_many, transaction
from aitap.storage.writer import Writer
from tests.storage.making import T0, interception, prompt, tokens, tool

DAY = 86400.0


@pytest.fixture
def filled(database: Database, writer: Writer) -> Database:
    for number in range(6):
        writer.submit(
            interception(
                T0 + number * DAY / 2,
                client_session_id=f"s-{number % 2}",
                model=f"m-{number % 3}",
                user_prompts=[prompt("a")],
                token_usages=[tokens()],
                tool_usages=[tool(f"call {number}")],
            )
        )
    assert writer.flush(60)
    return database


def test_sums_that_agree_are_no_problem(filled: Database) -> None:
    assert problems(filled) == []


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ("UPDATE aitap_kinds SET interceptions = interceptions + 1", "aitap_kinds has 3 rows"),
        ("DELETE FROM aitap_kind_days WHERE kind_id = (SELECT min(id) FROM aitap_kinds)", "aitap_kind_days has 2 rows"),
        ("UPDATE aitap_session_kinds SET interceptions = 9", "aitap_session_kinds has 6 rows that do not count"),
        ("UPDATE aitap_session_kinds SET first_at = last_at, last_at = '2020-01-01 00:00:00+00:00'", "other times"),
        ("UPDATE aitap_session_kinds SET active_at = NULL", "another time than their session"),
        ("UPDATE aitap_sessions SET interceptions = 0", "aitap_sessions has 2 rows"),
        ("UPDATE aitap_session_days SET ended = 7 WHERE asked = 0", "aitap_session_days has 2 rows"),
        ("DELETE FROM aitap_session_days", "that do not count what sessions there are"),
        ("UPDATE aitap_monthly_usage SET output_tokens = output_tokens + 1", "not the sum of aitap_daily_usage"),
        ("DELETE FROM aitap_daily_totals", "aitap_daily_totals has"),
        ("UPDATE aitap_daily_models SET prompts = 7", "not the sum of aitap_daily_totals"),
        ("UPDATE aitap_monthly_totals SET errors = 7", "aitap_monthly_totals has"),
        ("UPDATE aitap_monthly_users SET cost_micros = 7", "aitap_monthly_users has"),
        ("UPDATE aitap_daily_usage SET interceptions = 0", "count less than there is"),
    ],
)
def test_a_sum_that_does_not_is_told(filled: Database, change: str, told: str) -> None:
    with transaction(filled):
        execute_many(filled, change, [()])
    assert any(told in line for line in problems(filled))
