"""A response in background counts once, whoever tells of it, in whatever order."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from peewee import Database

from aitap.record import Interception
from aitap.storage.checks import problems
from aitap.storage.commit import Commits
from aitap.storage.daily import SUMS
from aitap.storage.evidence.chain import keep_evidence
from aitap.storage.evidence.verify import Verification
from tests.storage.evidence.conftest import KEY, KEYS
from tests.storage.making import ANN, BEN, T0, Recording, interception, lineage, prompt, rows, thought, tokens, tool

ANSWER = "019f0000-0000-8000-8000-000000000001"
OF = {"background": "resp_1", "answer_id": ANSWER}


def asked(at: float = T0, **more: Any) -> Interception:
    """Who asked, and was told that it is queued."""
    values: dict[str, Any] = {
        "model": "deep",
        "client_session_id": "s",
        "user_prompts": [prompt("go", response="resp_1")],
        "stop_reason": "queued",
        "metadata": {"background": True},
        "lineage": lineage(**OF),
    }
    return interception(at, **{**values, **more})


def fetched(at: float = T0 + 60, **more: Any) -> Interception:
    """Who fetched what came of it."""
    values: dict[str, Any] = {
        "id": ANSWER,
        "model": "deep-2026",
        "method": "GET",
        "token_usages": [tokens("resp_1")],
        "tool_usages": [tool("a", response="resp_1"), tool("b", response="resp_1")],
        "model_thoughts": [thought("one"), thought("two")],
        "metadata": {"background": True},
        "lineage": lineage(previous_response_id="resp_1", **OF),
    }
    return interception(at, **{**values, **more})


def sums(database: Database) -> dict[str, int]:
    [row] = rows(database, f"SELECT {', '.join(f'sum({name})' for name in SUMS)} FROM aitap_daily_usage")
    return dict(zip(SUMS, map(int, row), strict=True))


@pytest.mark.parametrize("apart", ["one batch", "two batches", "two processes"])
def test_a_fetched_answer_continues_who_asked_and_its_tokens_are_known(recording: Recording, apart: str) -> None:
    ask, got = asked(), fetched()
    if apart == "one batch":
        recording.batch(ask, got)
    else:
        recording.batch(ask)
        assert sums(recording.database)["unmetered"] == 1
        if apart == "two processes":
            recording.restart()
        recording.batch(got)
    assert recording.thread(got) == (ask.id, ask.id, "s")
    told = recording.row(got)
    assert (told["model"], told["metadata"]["answer_of"]) == ("deep", ask.id)
    assert recording.row(ask)["metadata"] == {"background": True, "answer_id": ANSWER}
    found = {name: count for name, count in sums(recording.database).items() if count}
    counts = {"interceptions": 2, "prompts": 1, "tool_calls": 2, "usages": 1, "unpriced": 1}
    assert found == {**counts, "input_tokens": 10, "output_tokens": 5}
    assert problems(recording.database) == []


@pytest.mark.parametrize("restart", [False, True], ids=["memory", "database"])
def test_an_answer_that_is_fetched_again_changes_nothing(recording: Recording, restart: bool) -> None:
    recording.batch(asked())
    first = fetched()
    recording.batch(first)
    before = recording.row(first), sums(recording.database)
    if restart:
        recording.restart()
    recording.batch(fetched(T0 + 400_000), fetched(T0 + 400_001, initiator_id=BEN))
    assert (recording.row(first), sums(recording.database)) == before
    assert problems(recording.database) == []


def test_who_stayed_until_the_end_has_told_all_whatever_is_fetched(recording: Recording) -> None:
    ask = asked(token_usages=[tokens("resp_1")], tool_usages=[tool("a", response="resp_1")])
    recording.batch(ask)
    recording.restart()
    recording.batch(fetched())
    assert sums(recording.database)["interceptions"] == 1


def test_a_response_of_the_same_id_that_was_not_in_background_is_another(recording: Recording) -> None:
    """Some who serve models count their responses from one again."""
    other = asked(metadata={"policy": "x"}, lineage=lineage(), token_usages=[tokens("resp_1")])
    recording.batch(other)
    got = fetched(T0 + 86_400)
    recording.batch(got)
    assert sums(recording.database)["interceptions"] == 2
    assert (recording.row(got)["model"], recording.row(other)["metadata"]) == ("deep-2026", {"policy": "x"})
    assert problems(recording.database) == []


@pytest.mark.parametrize("together", [False, True], ids=["apart", "together"])
def test_what_a_cut_stream_has_told_is_not_told_again(recording: Recording, together: bool) -> None:
    ask = asked(tool_usages=[tool("a", response="resp_1")], model_thoughts=[thought("one")])
    got = fetched()
    if together:
        recording.batch(ask, got)
    else:
        recording.batch(ask)
        recording.batch(got)
    assert rows(recording.database, "SELECT provider_tool_call_id FROM aibridge_tool_usages ORDER BY 1") == [
        ("a",),
        ("b",),
    ]
    assert rows(recording.database, "SELECT content FROM aibridge_model_thoughts ORDER BY 1") == [("one",), ("two",)]
    assert sums(recording.database)["tool_calls"] == 2
    assert problems(recording.database) == []


def test_who_asked_and_is_stored_last_tells_only_what_was_asked(recording: Recording) -> None:
    """As where the proxy of the one that asked could not reach the database."""
    got = fetched()
    recording.batch(got)
    ask = asked(token_usages=[tokens("resp_1")], tool_usages=[tool("a", response="resp_1")])
    recording.batch(ask)
    found = sums(recording.database)
    assert (found["usages"], found["tool_calls"], found["prompts"], found["unmetered"]) == (1, 2, 1, 0)
    assert recording.row(ask)["metadata"]["answer_id"] == ANSWER
    assert problems(recording.database) == []


@pytest.mark.parametrize("restart", [False, True], ids=["memory", "database"])
def test_a_conversation_goes_on_from_a_response_in_background_fetched_or_not(
    recording: Recording, restart: bool
) -> None:
    ask = asked(client_session_id=None, user_prompts=[])
    recording.batch(ask)
    if restart:
        recording.restart()
    early = interception(T0 + 30, lineage=lineage(previous_response_id="resp_1"))
    got = fetched()
    result = interception(T0 + 90, lineage=lineage("a"))
    recording.batch(early)
    recording.batch(got)
    if restart:
        recording.restart()
    recording.batch(result)
    assert recording.thread(early) == (ask.id, ask.id, ask.id)
    assert recording.thread(got) == (ask.id, ask.id, ask.id)
    assert recording.thread(result) == (got.id, ask.id, ask.id)


def test_an_answer_that_somebody_else_asked_for_stands_alone(recording: Recording) -> None:
    recording.batch(asked(initiator_id=BEN))
    got = fetched(initiator_id=ANN)
    recording.batch(got)
    assert recording.thread(got) == (None, None, got.id)
    assert recording.row(got)["model"] == "deep-2026"


def test_two_proxies_that_fetch_at_once_store_it_once(database: Database) -> None:
    made = [f"019f0000-0000-8000-8000-0000000000{number:02x}" for number in range(20)]
    together = threading.Barrier(2, timeout=60)

    def proxy() -> None:
        # A connection of Peewee's is that of its thread.
        commits = Commits(database, None)
        for own_id in made:
            of = lineage(background=own_id, answer_id=own_id)
            record = fetched(id=own_id, token_usages=[tokens(own_id)], lineage=of)
            together.wait()
            assert not commits.commit([record])
        database.close()

    with ThreadPoolExecutor(2) as proxies:
        for proxied in [proxies.submit(proxy) for _ in range(2)]:
            proxied.result()
    assert sums(database)["usages"] == len(made)
    assert problems(database) == []


def test_evidence_covers_what_who_asked_is_told_later(database: Database) -> None:
    keep_evidence(database, KEY)
    recording = Recording(database)
    recording.batch(asked())
    recording.batch(fetched())
    assert list(Verification(database, KEYS).problems()) == []
    recording.writer.close()
