"""Sessions sorted by anything, a page at a time, searched for words."""

from __future__ import annotations

import random
from typing import Any

import msgspec
import pytest
from peewee import Database

from aitap.storage.queries import Filter
from aitap.storage.session_lists import SORTS, Cursor, read_cursor, session_page
from tests.storage.making import ANN, BEN, T0, Recording, interception, prompt, rows, tokens, tool

VALUES: dict[str, Any] = {
    "active": lambda one: one["last_active_at"],
    "started": lambda one: one["started_at"],
    "cost": lambda one: one["cost_micros"] or 0,
    "tokens": lambda one: sum(value or 0 for value in one["token_usage_summary"].values()),
    "calls": lambda one: one["interceptions"],
    "threads": lambda one: one["threads"],
    "tools": lambda one: one["tool_calls"],
    "errors": lambda one: one["errors"],
}


@pytest.fixture
def many(recording: Recording) -> Database:
    """Forty sessions of two people, of which many are alike."""
    chance = random.Random(7)
    records = []
    for number in range(40):
        at = T0 + chance.randint(0, 5) * 100
        records += [
            interception(
                at + call,
                initiator_id=chance.choice([ANN, BEN]),
                client_session_id=f"s{number // 2}",
                session_id=f"s{number // 2}",
                outcome=chance.choice(["completed", "failed"]),
                user_prompts=[prompt(f"say {number} please", at + call)] if call == 0 else [],
                token_usages=[tokens(f"m{number}-{call}", at, input_tokens=chance.choice([5, 50]), cost_micros=7)],
                tool_usages=[tool(f"c{number}-{call}", '{"path":"src/x_y.py"}', at=at)] * (number % 2),
            )
            for call in range(chance.randint(1, 3))
        ]
    recording.batch(*records)
    return recording.database


def pages(database: Database, limit: int, **asked: Any) -> list[dict[str, Any]]:
    """All sessions, by pages of so many."""
    found: list[dict[str, Any]] = []
    after = None
    while True:
        page = session_page(database, Filter(), limit=limit, after=after, **asked)
        assert len(page.sessions) <= limit
        found += page.sessions
        if page.after is None:
            return found
        # As it comes back from an address.
        after = read_cursor(msgspec.json.encode(page.after).decode(), asked.get("sort", "active"))


def key(session: dict[str, Any]) -> tuple[str, str]:
    return session["id"], session["initiator"]["id"]


@pytest.mark.parametrize("descending", [True, False])
@pytest.mark.parametrize("sort", SORTS)
def test_pages_of_any_order_hold_every_session_once(many: Database, sort: str, descending: bool) -> None:
    found = pages(many, 7, sort=sort, descending=descending)
    everything = session_page(many, Filter(), limit=1000).sessions
    assert sorted(map(key, found)) == sorted(map(key, everything))
    values = [VALUES[sort](one) for one in found]
    assert values == sorted(values, reverse=descending)


@pytest.mark.sqlite
def test_the_dearest_sessions_are_read_in_their_order(many: Database) -> None:
    """Without sorting all there are: an index has them so."""
    asked: list[str] = []
    many.connection().set_trace_callback(asked.append)
    assert session_page(many, Filter(), sort="cost", limit=3).after is not None
    many.connection().set_trace_callback(None)
    plans = [row[3] for sql in asked if "aitap_sessions" in sql for row in rows(many, f"EXPLAIN QUERY PLAN {sql}")]
    assert any("INDEX aitap_sessions_cost_micros" in line for line in plans)


def test_a_search_finds_what_has_all_words_whatever_the_pages(many: Database) -> None:
    everything = session_page(many, Filter(), limit=1000).sessions
    found = pages(many, 3, words=["SAY", "1"])
    assert found
    expected = {key(one) for one in everything if one["last_prompt"] and "1" in one["last_prompt"]}
    # A session has other prompts than its last.
    assert expected <= set(map(key, found))
    assert all("1" in one["excerpt"] and "say" in one["excerpt"] for one in found)


def test_a_search_looks_at_tools_and_their_input(many: Database) -> None:
    found = pages(many, 100, words=["bash", "x_y"])
    assert found
    assert {key(one) for one in found} == {key(one) for one in pages(many, 100) if one["tool_calls"]}
    assert pages(many, 100, words=["bash", "xzy"]) == []


def test_a_search_that_has_no_time_goes_on_where_it_stopped(many: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("aitap.storage.session_lists._CHUNK", 4)
    first = session_page(many, Filter(), limit=50, words=["nowhere"], seconds=0.0)
    assert (first.sessions, first.searched) == ([], 4)
    assert first.after is not None
    assert key_set(pages(many, 50, words=["say"], seconds=0.0)) == key_set(pages(many, 50, words=["say"]))


def key_set(sessions: list[dict[str, Any]]) -> set[tuple[str, str]]:
    return set(map(key, sessions))


def test_a_filter_holds_for_a_search_too(many: Database) -> None:
    page = session_page(many, Filter(initiator_id=ANN), limit=100, words=["say"])
    assert {one["initiator"]["id"] for one in page.sessions} == {ANN}


@pytest.mark.parametrize(
    ("text", "sort"),
    [
        ("", "active"),
        ("{}", "active"),
        ('["2026","s","x"]', "active"),
        (f'["x","s","{ANN}"]', "active"),
        (f'[1,"s","{ANN}"]', "active"),
        (f'["1","s","{ANN}"]', "calls"),
        (f'[{1 << 63},"s","{ANN}"]', "calls"),
        ('[1,"s","not a uuid"]', "calls"),
        (f'[1,"s\\u0000","{ANN}"]', "calls"),
        ("\ud800", "calls"),
    ],
)
def test_what_is_no_cursor_is_refused(text: str, sort: str) -> None:
    with pytest.raises(ValueError, match="no cursor"):
        read_cursor(text, sort)


def test_a_cursor_is_read_as_it_was_written() -> None:
    cursor = Cursor("2026-11-20 16:11:35.123456+00:00", "any/id", ANN)
    assert read_cursor(msgspec.json.encode(cursor).decode(), "active") == cursor
