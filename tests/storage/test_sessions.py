"""A session row says what its interceptions say."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import msgspec
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from aitap.record import Interception, Lineage
from aitap.storage.database import transaction
from aitap.storage.fields import timestamp_text
from aitap.storage.sessions import rebuild
from tests.storage.making import ANN, BEN, T0, Recording, database_in, interception, lineage, prompt, rows, tokens, tool


def session(recording: Recording, session_id: str = "s", initiator: str = ANN) -> dict[str, Any]:
    cursor = recording.database.execute_sql(
        "SELECT * FROM aitap_sessions WHERE session_id = ? AND initiator_id = ?".replace("?", recording.database.param),
        (session_id, initiator),
    )
    row = dict(zip([column[0] for column in cursor.description], cursor.fetchone(), strict=True))
    return row | {name: msgspec.json.decode(row[name]) for name in ("providers", "models")}


def test_a_row_sums_up_its_session(recording: Recording) -> None:
    recording.batch(
        interception(
            T0 + 1,
            client_session_id="s",
            client="Claude Code",
            user_prompts=[prompt("first", T0 + 1)],
            token_usages=[tokens(cache_read_input_tokens=100, cache_write_input_tokens=7)],
            tool_usages=[tool("a"), tool("b")],
        ),
        interception(T0 + 3, 4.0, client_session_id="s", lineage=lineage("a"), model="z-model", outcome="failed"),
    )
    recording.batch(
        interception(T0, 2.0, client_session_id="s", client="SDK", purpose="auxiliary", token_usages=[tokens()]),
        interception(T0 + 9, None, client_session_id="s", user_prompts=[prompt("not yet", T0 + 9)]),
    )
    assert session(recording) == {
        "session_id": "s",
        "initiator_id": ANN,
        "client": "SDK",
        "providers": ["anthropic"],
        "models": ["claude-opus-4-8", "z-model"],
        "started_at": timestamp_text(T0),
        "ended_at": timestamp_text(T0 + 7),
        "last_active_at": timestamp_text(T0 + 1),
        "interceptions": 3,
        "threads": 1,
        "prompts": 1,
        "tool_calls": 2,
        "errors": 1,
        "input_tokens": 20,
        "output_tokens": 10,
        "cache_read_input_tokens": 100,
        "cache_write_input_tokens": 7,
        "last_prompt": "first",
        "unpriced": 2,
        "cost_micros": 0,
        "pinned": False,
    }


def test_one_session_id_of_two_initiators_is_two_sessions(recording: Recording) -> None:
    recording.batch(interception(client_session_id="s"), interception(client_session_id="s", initiator_id=BEN))
    assert session(recording)["interceptions"] == session(recording, initiator=BEN)["interceptions"] == 1


def test_a_session_of_auxiliary_requests_has_a_row_without_threads_and_prompts(recording: Recording) -> None:
    recording.batch(interception(client_session_id="s", purpose="auxiliary", user_prompts=[prompt("title?")]))
    row = session(recording)
    assert (row["interceptions"], row["threads"], row["prompts"], row["last_prompt"]) == (1, 0, 0, None)


def test_a_session_is_active_at_its_newest_prompt_else_at_its_start(recording: Recording) -> None:
    recording.batch(interception(T0 + 5, client_session_id="s"))
    recording.batch(interception(T0 + 3, client_session_id="s"))
    assert session(recording)["last_active_at"] == timestamp_text(T0 + 3)
    recording.batch(interception(T0 + 2, client_session_id="s", user_prompts=[prompt("new", T0 + 2)]))
    assert session(recording)["last_active_at"] == timestamp_text(T0 + 2)
    recording.batch(interception(T0 + 1, client_session_id="s", user_prompts=[prompt("old", T0 + 1)]))
    assert session(recording)["last_active_at"] == timestamp_text(T0 + 2)
    assert session(recording)["last_prompt"] == "new"


FACTS = st.fixed_dictionaries(
    {
        "client_session_id": st.sampled_from(["s", "t", None]),
        "initiator_id": st.sampled_from([ANN, BEN]),
        "client": st.sampled_from([None, "SDK", "Codex"]),
        "provider": st.sampled_from(["anthropic", "openai"]),
        "model": st.sampled_from(["m", "n", "ü"]),
        "purpose": st.sampled_from(["conversation", "auxiliary", "probe"]),
        "outcome": st.sampled_from(["completed", "failed", "cancelled"]),
    }
)
COUNTS = st.tuples(st.integers(0, 20), st.sampled_from(["", "p", "q"]), st.integers(0, 2), st.integers(0, 2))


def ended(facts: dict[str, Any], at: int, text: str, usages: int, tools: int) -> Interception:
    return interception(
        T0 + at,
        user_prompts=[prompt(text, T0 + at)] if text else [],
        token_usages=[tokens(cost_micros=number * 1001 or None) for number in range(usages)],
        tool_usages=[tool(None) for _ in range(tools)],
        **facts,
    )


@settings(max_examples=40, suppress_health_check=[HealthCheck.too_slow])
@given(batches=st.lists(st.lists(st.tuples(FACTS, COUNTS), min_size=1, max_size=6), max_size=4))
def test_rows_kept_batch_by_batch_are_those_made_anew_from_the_tables(batches: list[list[Any]]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        recording = Recording(database_in(Path(folder)))
        for batch in batches:
            recording.batch(*(ended(facts, *counts) for facts, counts in batch))
        recording.writer.close()
        kept = rows(recording.database, "SELECT * FROM aitap_sessions ORDER BY 1, 2")
        with transaction(recording.database):
            rebuild(recording.database, [(row[0], row[1]) for row in kept])
        assert rows(recording.database, "SELECT * FROM aitap_sessions ORDER BY 1, 2") == kept
        recording.database.close()


def test_a_session_without_interceptions_has_no_row(recording: Recording) -> None:
    recording.batch(interception(client_session_id="s"))
    recording.database.execute_sql("DELETE FROM aibridge_interceptions")
    with transaction(recording.database):
        rebuild(recording.database, [("s", ANN)])
    assert rows(recording.database, "SELECT count(*) FROM aitap_sessions") == [(0,)]


def test_what_a_model_told_its_subagent_is_no_prompt_of_the_session(recording: Recording) -> None:
    recording.batch(
        interception(T0, 1.0, client_session_id="s", user_prompts=[prompt("typed", T0)]),
        interception(
            T0 + 2,
            3.0,
            client_session_id="s",
            lineage=Lineage(is_subagent=True, agent="a"),
            user_prompts=[prompt("told", T0 + 2)],
        ),
    )
    assert (session(recording)["last_prompt"], session(recording)["prompts"]) == ("typed", 1)
