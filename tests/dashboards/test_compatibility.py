"""Dashboards that others have made for the reference's tables find here what they ask for, in the types they ask it in.

They match names by regular expression, take users who are not ``deleted``, read counters as integers out of
``metadata``, and put requests into boxes of time. What they show leaves out whoever has no client or no user row.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import psycopg
import pytest

from aitap.storage.database import open_database
from tests import postgres
from tests.dashboards.loading import END, START, load
from tests.dashboards.reader import as_reader
from tests.storage.making import ANN

SPAN = f"i.started_at BETWEEN to_timestamp({START}) AND to_timestamp({END})"
NAMED = "u.username ~ '.+' AND i.provider ~ '.+' AND i.model ~ '.+' AND i.client ~ '(Claude Code|Codex)'"
WITH_USERS = "JOIN aibridge_interceptions i ON i.id = c.interception_id JOIN users u ON u.id = i.initiator_id"


@pytest.fixture(scope="module")
def reader() -> Iterator[psycopg.Connection[Any]]:
    url = postgres.fresh()
    database = open_database(url)
    load(database)
    database.execute_sql(
        "UPDATE aibridge_token_usages SET metadata = '{\"cached\": 7}'::jsonb WHERE output_tokens IN (5, 7)"
    )
    database.close()
    with psycopg.connect(as_reader(url), autocommit=True) as connection:
        yield connection
    postgres.drop(url)


def rows(reader: psycopg.Connection[Any], query: str) -> list[Any]:
    return reader.execute(query.encode()).fetchall()


def test_tokens_and_counters_in_metadata_add_up_per_user(reader: psycopg.Connection[Any]) -> None:
    sums = "sum(c.input_tokens), sum(c.output_tokens), sum((c.metadata ->> 'cached')::int)"
    query = f"SELECT u.username, {sums} FROM aibridge_token_usages c {WITH_USERS} WHERE {SPAN} AND {NAMED} GROUP BY 1"
    assert rows(reader, query) == [("ann", 21, 14, 14)]


def test_interceptions_are_counted_by_model_and_by_time(reader: psycopg.Connection[Any]) -> None:
    joined = f"FROM aibridge_interceptions i LEFT JOIN users u ON initiator_id = u.id WHERE {SPAN} AND {NAMED}"
    counted = rows(reader, f"SELECT i.model, count(*) {joined} GROUP BY i.model ORDER BY 2 DESC, 1")
    assert counted == [("claude-opus-4-8", 2), ("gpt-5.5", 2), ("claude-haiku-4-5", 1)]
    hour = "floor(extract(epoch FROM i.started_at) / 3600) * 3600"
    assert [count for _, count in rows(reader, f"SELECT {hour}, count(i.id) {joined} GROUP BY 1 ORDER BY 1")] == [
        2,
        1,
        2,
    ]


def test_prompts_and_tool_calls_have_their_columns(reader: psycopg.Connection[Any]) -> None:
    query = (
        f"SELECT c.prompt, c.created_at FROM aibridge_user_prompts c {WITH_USERS} WHERE {SPAN} AND {NAMED} ORDER BY 2"
    )
    assert [prompt for prompt, _ in rows(reader, query)] == ["fix the bug", "Write a title"]
    what = "c.server_url, c.tool, c.input, c.invocation_error, i.id, i.initiator_id"
    query = (
        f"SELECT {what} FROM aibridge_tool_usages c {WITH_USERS} WHERE {SPAN} AND {NAMED} ORDER BY c.created_at DESC"
    )
    first, *_ = rows(reader, query)
    assert first[:4] == ("https://db.example", "query", '{"a":1}', "boom")
    assert str(first[5]) == ANN


def test_variables_offer_live_users_and_what_was_used(reader: psycopg.Connection[Any]) -> None:
    assert rows(reader, "SELECT username FROM users WHERE deleted = false ORDER BY 1") == [("ann",), ("ben",)]
    query = "SELECT DISTINCT model FROM aibridge_interceptions WHERE model IS NOT NULL AND provider ~ 'goo' ORDER BY 1"
    assert rows(reader, query) == [("gemini-3-pro",)]


def test_the_reader_can_change_nothing_and_see_no_secret(reader: psycopg.Connection[Any]) -> None:
    for statement in (
        "DELETE FROM users",
        "CREATE TABLE t (a int)",
        "SELECT digest FROM aitap_keys",
        "SELECT * FROM aitap_keys",
        "SELECT content FROM aitap_messages",
        "SET default_transaction_read_only = off; UPDATE users SET name = ''",
    ):
        with pytest.raises(psycopg.Error):
            reader.execute(statement.encode())
