"""Every query of the dashboards on both databases: what it shows is what the records add up to, by hand."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pytest

from tests.dashboards.conftest import Board
from tests.dashboards.loading import END, EVE, START

HOUR = 3600
ANY: Any = type("Any", (), {"__eq__": lambda self, other: True, "__repr__": lambda self: "ANY"})()
"""An id, or when the test ran."""

FIRST, SECOND, THIRD = START, START + HOUR, START + 2 * HOUR
OPUS = ("anthropic", "claude-opus-4-8")
HAIKU = ("anthropic", "claude-haiku-4-5")
GPT = ("openai", "gpt-5.5")
GEMINI = ("google", "gemini-3-pro")

SHOWN: dict[str, list[tuple[Any, ...]]] = {
    "Activity of $username": [(7, 3, 5, 5, 2, 3, 1)],
    "Total usage of $username": [(1022, 65, 300, 20)],
    "Leaderboard per user": [("ann", 21, 14, 300, 20), ("ben", 1000, 50, 0, 0), (EVE, 1, 1, 0, 0)],
    "Top models": [("gpt-5.5", 3), ("claude-opus-4-8", 2), ("claude-haiku-4-5", 1), ("gemini-3-pro", 1)],
    "Top clients": [("Claude Code", 3), ("Codex", 2), ("Gemini CLI", 1), ("Unknown", 1)],
    "Providers": [("anthropic", 3), ("openai", 3), ("google", 1)],
    "Interceptions over time by user": [
        (FIRST, "ann", 2),
        (SECOND, "ben", 2),
        (THIRD, EVE, 1),
        (THIRD, "ann", 1),
        (THIRD, "ben", 1),
    ],
    "Tokens over time": [(FIRST, 13, 12, 300, 20), (SECOND, 1000, 50, 0, 0), (THIRD, 9, 3, 0, 0)],
    "Tokens per model": [
        (*GPT, 3, 2, 1000, 50, 0, 0, 0),
        (*OPUS, 2, 0, 13, 12, 300, 20, 0.901),
        (*HAIKU, 1, 0, 8, 2, 0, 0, 0),
        (*GEMINI, 1, 0, 1, 1, 0, 0, 0),
    ],
    "Cost": [(1.75, 3, 2)],
    "Cost over time by model": [
        (FIRST, "claude-opus-4-8", 1.5),
        (THIRD, "claude-haiku-4-5", 0.25),
        (THIRD, "gemini-3-pro", 0),
    ],
    "Cost per model": [
        (*OPUS, 2, 1, 13, 12, 300, 20, 1.5),
        (*HAIKU, 1, 0, 8, 2, 0, 0, 0.25),
        (*GEMINI, 1, 0, 1, 1, 0, 0, 0),
        (*GPT, 1, 1, 1000, 50, 0, 0, None),
    ],
    "Cost per user": [("ann", 3, 1, 1.75), (EVE, 1, 0, 0), ("ben", 1, 1, None)],
    "Sessions": [
        (7380, EVE, "Gemini CLI", "google", "gemini-3-pro", None, 1, 0, 1, 0, 0, 1, 1, 0, 0, 7380, ANY),
        (3720, "ben", "Codex", "openai", "gpt-5.5", None, 1, 0, 1, 0, 1, 0, 0, 0, 0, 3720, ANY),
        (3660, "ben", "Unknown", "openai", "gpt-5.5", "what's new?", 1, 1, 1, 1, 0, 1000, 50, 0, 0, 3660, ANY),
        (
            *(60, "ann", "Claude Code", "anthropic", "claude-haiku-4-5, claude-opus-4-8", "fix the bug", 2, 2, 4, 2, 0),
            *(22, 15, 301, 21, -10, "s1"),
        ),
    ],
    "Threads": [
        (7380, EVE, "Gemini CLI", None, 1, 0, 0, 1, 1, ANY, ANY),
        (7320, "ben", "Codex", None, 1, 0, 0, None, 0, ANY, ANY),
        (3720, "ben", "Codex", None, 1, 0, 1, 0.5, 0.5, ANY, ANY),
        (3660, "ben", "Unknown", None, 1, 1, 0, 6, 6, ANY, ANY),
        (120, "ann", "Claude Code", None, 2, 2, 0, 6, 64, "s1", ANY),
    ],
    "User prompts": [
        (3660, "ben", "Unknown", *GPT, "what's new?", ANY),
        (60, "ann", "Claude Code", *OPUS, "fix the bug", ANY),
    ],
    "Model thoughts": [(61, "ann", "Claude Code", *OPUS, "thinking", "Let me look", ANY)],
    "Tool calls": [
        (3661, "ben", "Unknown", *GPT, "function", None, "read", '{"a":1}', None, None, None, None, ANY),
        (
            *(121, "ann", "Claude Code", *OPUS, "mcp", "https://db.example", "query", '{"a":1}'),
            *("error", "boom", None, None, ANY),
        ),
        (61, "ann", "Claude Code", *OPUS, "function", None, "Bash", '{"a":1}', "ok", None, 59, 7, ANY),
    ],
    "Tools": [
        ("Bash", None, 1, 1, 0, 0, 0, 59, 7),
        ("query", "https://db.example", 1, 0, 1, 0, 1, None, None),
        ("read", None, 1, 0, 0, 1, None, None, None),
    ],
    "Tool results over time": [(FIRST, "error", 1), (FIRST, "ok", 1), (SECOND, "not known", 1)],
    "Cache hit rate": [
        (FIRST, "anthropic", 0.901),
        (SECOND, "openai", 0),
        (THIRD, "anthropic", 0),
        (THIRD, "google", 0),
    ],
    "Time to first token": [(FIRST, 0.5, 1.5), (SECOND, 3, 3)],
    "Speed per model": [
        (*OPUS, 2, 0.5, 1.5, 2, 4),
        (*HAIKU, 1, None, None, 2, 2),
        (*GEMINI, 1, None, None, 1, 1),
        (*GPT, 1, 3, 3, 6, 6),
    ],
    "Errors over time by type": [(SECOND, "rate_limited", 1)],
    "Outcomes": [("completed", 5), ("failed", 1), ("in_flight", 1)],
    "Calls of clients' own": [("auxiliary", "Claude Code", "claude-haiku-4-5", 1, 8, 2, 0, 0, 0.25)],
    "Newest errors": [(3720, "ben", "Codex", *GPT, "rate_limited", 429, "slow down", ANY)],
    "Clients and versions": [
        ("Claude Code", "2.1.0", 3, 1, 7260, None),
        ("Codex", "0.9", 2, 1, 7320, None),
        ("Gemini CLI", None, 1, 1, 7380, None),
        ("Unknown", None, 1, 1, 3660, "curl/8.1"),
    ],
    "Hosts": [
        ("generativelanguage.googleapis.com", "decrypted", "google", 1, 1, 0, 0, 0, 0, None, 7380),
        ("api.anthropic.com", "decrypted", "anthropic", 1, 4, 0, 0, 0, 0, None, 7260),
        ("api.openai.com", "decrypted", "openai", 1, 2, 0, 0, 0, 2, "unknown ca", 3720),
        ("example.com", "tunnelled", None, 1, 0, 3, 100, 2000, 0, None, 100),
    ],
    "Users": [
        ("ann", "local", "live", 3, 1, 7260, 1, 120),
        ("ben", "local", "live", 3, 3, 7320, 0, None),
        ("cat", "local", "removed", 0, 0, None, 0, None),
    ],
    "Proxy keys": [
        ("ann", "laptop", ANY, "live", 2, 120, ANY, None),
        ("ben", "lost", ANY, "revoked", 0, None, ANY, None),
    ],
}


def in_order_of_database(rows: list[tuple[Any, ...]]) -> list[tuple[Any, ...]]:
    """Names sort by the database's own rules, upper and lower case above all."""
    return sorted(rows, key=repr)


@pytest.mark.parametrize("title", SHOWN)
def test_a_panel_shows_what_the_records_add_up_to(board: Board, title: str) -> None:
    shown = board.rows(title)
    assert len(shown) == len(SHOWN[title])
    assert in_order_of_database(shown) == in_order_of_database(SHOWN[title])


def test_no_panel_is_left_out_here(board: Board) -> None:
    assert set(board.queries) == set(SHOWN)


@pytest.mark.parametrize(
    "title", ["Sessions", "User prompts", "Tool calls", "Leaderboard per user", "Cost per model", "Newest errors"]
)
def test_what_matters_most_comes_first(board: Board, title: str) -> None:
    assert board.rows(title) == SHOWN[title]


@pytest.mark.parametrize(
    ("chosen", "calls", "tokens"),
    [
        ({"username": ["ann"]}, 3, 21),
        ({"username": ["ann", "ben"]}, 6, 1021),
        ({"username": [EVE]}, 1, 1),
        ({"username": ["o'neil"]}, 0, None),
        ({"client": ["Unknown"]}, 1, 1000),
        ({"client": ["Unknown", "Gemini CLI"]}, 2, 1001),
        ({"provider": ["anthropic"]}, 3, 21),
        ({"model": ["claude-haiku-4-5"]}, 1, 8),
        ({"provider": ["openai"], "client": ["Codex"]}, 2, None),
        ({"provider": ["openai"], "model": ["claude-haiku-4-5"]}, 0, None),
    ],
    ids=str,
)
def test_variables_choose_and_the_unknown_client_is_one_that_can_be_chosen(
    board: Board, chosen: Mapping[str, Sequence[str]], calls: int, tokens: int | None
) -> None:
    assert board.rows("Activity of $username", chosen=chosen)[0][0] == calls
    assert board.rows("Total usage of $username", chosen=chosen)[0][0] == tokens


@pytest.mark.parametrize("name", ["username", "provider", "model", "client"])
def test_every_panel_heeds_every_variable_that_it_has(board: Board, name: str) -> None:
    """Nobody is called so: what is left is empty, or counts nothing."""
    heeding = [title for title, query in board.queries.items() if f"${{{name}:" in query]
    assert len(heeding) > 25
    for title in set(heeding) - {"Users", "Proxy keys"}:
        rows = board.rows(title, chosen={name: ["nobody's"]})
        assert all(not value for row in rows for value in row), title


def test_sessions_are_chosen_by_any_model_that_they_used(board: Board) -> None:
    assert [row[-1] for row in board.rows("Sessions", chosen={"model": ["claude-haiku-4-5"]})] == ["s1"]
    assert [row[-1] for row in board.rows("Sessions", chosen={"provider": ["anthropic"]})] == ["s1"]


def test_nothing_before_or_after_the_span_is_shown(board: Board) -> None:
    for title in set(SHOWN) - {"Users", "Proxy keys", "Hosts"}:
        rows = board.rows(title, END + HOUR, END + 2 * HOUR)
        assert all(not value for row in rows for value in row), title
    assert board.rows("Hosts", START - 2 * HOUR, START - HOUR) == []


def test_variables_offer_what_is_there(board: Board) -> None:
    offered = {
        one["name"]: sorted(row[0] for row in board.rows(one["query"]))
        for one in board.dashboard["templating"]["list"]
        if one["type"] == "query"
    }
    assert offered == {
        "username": ["ann", "ben", "cat"],
        "provider": ["anthropic", "google", "openai"],
        "model": ["claude-haiku-4-5", "claude-opus-4-8", "gemini-3-pro", "gpt-5.5"],
        "client": ["Claude Code", "Codex", "Gemini CLI", "Unknown"],
    }


def test_models_are_those_of_the_chosen_providers(board: Board) -> None:
    (query,) = (one["query"] for one in board.dashboard["templating"]["list"] if one["name"] == "model")
    assert board.rows(query, chosen={"provider": ["anthropic"]}) == [("claude-haiku-4-5",), ("claude-opus-4-8",)]
    assert board.rows(query, START, START + HOUR, chosen={}) == [("claude-opus-4-8",)]


def test_what_the_dashboard_names_is_a_column_or_a_series_of_the_query(board: Board) -> None:
    for panel in board.dashboard["panels"]:
        named = {one["matcher"]["options"] for one in panel.get("fieldConfig", {}).get("overrides", ())}
        named |= set(panel["targets"][0].get("timeColumns", ())) if "targets" in panel else set()
        if named:
            columns = board.columns(panel["title"])
            series = {row[1] for row in board.rows(panel["title"])} if "metric" in columns else set()
            assert named <= {*columns, *series}, panel["title"]
