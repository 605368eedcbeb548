"""Searches for words beside the plainest way to find the same: every text of every session, one by one."""

from __future__ import annotations

import random
import uuid
from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest
from peewee import Database

from aitap.storage import session_lists, word_search
from aitap.storage.queries import Filter, list_interceptions
from aitap.storage.session_lists import read_cursor, session_page
from tests.storage.making import ANN, BEN, T0, Recording, interception, prompt, tool

WORDS = ("alpha", "Beta", "50%", "x_y", "日本")
MODELS = ("claude-opus-4-8", "gpt-5")


@pytest.fixture(params=["ids of the time", "ids of no time"])
def many(request: pytest.FixtureRequest, recording: Recording) -> Database:
    """Sessions that overlap, some of which go on long after; ids begin with the time as ours do, or are random."""
    chance = random.Random(11)
    records = []
    for number in range(60):
        begin = T0 + number * 30
        for call in range(chance.randint(1, 6)):
            is_late = call > 0 and number % 12 == 5
            at = begin + call * 7 + 5000 * is_late
            low = chance.getrandbits(80 if request.param == "ids of the time" else 128)
            own_id = int(at * 1000) << 80 | low if request.param == "ids of the time" else low
            said = "much later " if is_late else " ".join(chance.choices(WORDS, k=2))
            records.append(
                interception(
                    at,
                    id=str(uuid.UUID(int=own_id)),
                    initiator_id=chance.choice([ANN, BEN]),
                    model=chance.choice(MODELS),
                    client_session_id=f"s{number // 2}",
                    session_id=f"s{number // 2}",
                    user_prompts=[prompt(f"say {said} {number}", at)] if chance.random() < 0.3 else [],
                    tool_usages=[tool(f"c{number}-{call}", f'{{"path":"{said}{number}"}}', at=at)]
                    if chance.random() < 0.5
                    else [],
                )
            )
    recording.batch(*records)
    return recording.database


def texts(database: Database) -> dict[tuple[str, str], tuple[list[str], list[str]]]:
    """The prompts and the tool calls of each session."""
    found: dict[tuple[str, str], tuple[list[str], list[str]]] = {}
    for call in list_interceptions(database, Filter(), limit=10_000):
        prompts, tools = found.setdefault((call["session_id"], call["initiator"]["id"]), ([], []))
        prompts += (one["prompt"] for one in call["user_prompts"])
        tools += (f"{one['tool']} {one['input']}" for one in call["tool_usages"])
    return found


def pages(database: Database, filter: Filter, words: list[str], **asked: Any) -> list[dict[str, Any]]:
    """What all pages of a search have, one after the other."""
    found: list[dict[str, Any]] = []
    after = None
    while True:
        page = session_page(database, filter, words=words, after=after, **asked)
        found += page.sessions
        if page.after is None:
            return found
        after = read_cursor(msgspec.json.encode(page.after).decode(), asked["sort"])


def has(text: str, words: list[str]) -> bool:
    return all(word.lower() in text.lower() for word in words)


def test_a_search_finds_what_reading_everything_finds(
    many: Database, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> None:
    """The same sessions in the order of the list, each with a text of its own that has all words."""
    chance = random.Random(12)
    said = texts(many)
    total = 0
    ways = set()
    near = word_search._near

    def tried(database: Database, spans: list[Any]) -> list[Any]:
        some = near(database, spans)
        ways.add("apart" if not some else "together" if len(some) == len(spans) else "some apart")
        return some

    monkeypatch.setattr(word_search, "_near", tried)
    for _ in range(40):
        monkeypatch.setattr(session_lists, "_CHUNK", chance.choice([1, 5, 200]))
        monkeypatch.setattr(session_lists, "_MANY", chance.choice([7, 30, 1000]))
        monkeypatch.setattr(session_lists, "_CALLS_AT_ONCE", chance.choice([20, 20_000]))
        monkeypatch.setattr(word_search, "_AT_ONCE", chance.choice([3, 100]))
        monkeypatch.setattr(word_search, "_FEW", chance.choice([2, 500]))
        monkeypatch.setattr(word_search, "_TIMES", chance.choice([1, 2, 100]))
        words = chance.sample([*WORDS, str(chance.randint(0, 59)), "nowhere"], k=chance.randint(1, 2))
        words = chance.choice([words, words, ["LATER"]])
        meant = Filter(
            initiator_id=chance.choice([None, ANN]),
            model=chance.choice([None, None, MODELS[0]]),
            started_after=chance.choice([None, datetime.fromtimestamp(T0 + 700, UTC)]),
        )
        sort, descending = chance.choice(["active", "active", "started", "calls"]), chance.random() < 0.7
        portions: dict[str, Any] = {"limit": chance.choice([2, 50]), "seconds": chance.choice([0.0, 60.0])}
        found = pages(many, meant, words, sort=sort, descending=descending, **portions)
        listed = session_page(many, meant, limit=1000, sort=sort, descending=descending).sessions
        expected = []
        for key in ((one["id"], one["initiator"]["id"]) for one in listed):
            fitting = [fits for some in said[key] if (fits := [text for text in some if has(text, words)])]
            # A prompt where there is one, else a tool call.
            expected += [(*key, max(fitting[0]))] if fitting else []
        assert [(one["id"], one["initiator"]["id"], one["excerpt"]) for one in found] == expected
        total += len(found)
    assert total
    assert {"apart", "together"} <= ways
    if "the time" in request.node.name:
        assert "some apart" in ways
