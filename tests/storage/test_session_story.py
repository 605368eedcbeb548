"""A session in pieces."""

from __future__ import annotations

from typing import Any

import pytest
from peewee import Database

from aitap.storage.queries import Filter, list_sessions
from aitap.storage.session_story import find_steps, outline, steps, thread_sums
from aitap.storage.step_contents import step_contents
from tests.server.pages import company
from tests.storage.making import T0, Recording, interception, lineage, prompt, thought, tokens, tool


def only_session(database: Database, session_id: str) -> dict[str, Any]:
    return list_sessions(database, Filter(session_id=session_id), limit=2)[0]


@pytest.fixture
def night(recording: Recording) -> Database:
    """A session with contents, a sub-agent and a call of the client's own."""
    for record in company.night(T0):
        recording.batch(record)
    return recording.database


def test_an_outline_has_threads_sub_agents_and_own_calls(night: Database) -> None:
    found = outline(night, only_session(night, company.NIGHT))
    assert [len(thread.members) for thread in found.top] == [5, 1]
    assert [(agent.agent, len(agent.members)) for agent in found.top[0].subagents] == [("Explore", 2)]
    assert (found.top[0].errors, len(found.auxiliary)) == (1, 1)
    assert found.top[0].started_at < found.top[0].subagents[0].started_at


def test_a_thread_is_summed_up_without_its_sub_agents(night: Database) -> None:
    session = only_session(night, company.NIGHT)
    found = outline(night, session)
    sums = thread_sums(night, session, [*found.top, *found.top[0].subagents])
    first, second, agent = (sums[thread.root] for thread in (*found.top, *found.top[0].subagents))
    assert (first["tools"], second["tools"], agent["tools"]) == (5, 0, 2)
    assert first["prompt"].startswith("The login test")
    assert agent["prompt"] == "Find every caller of verify_token in src/"
    assert first["tokens"]["input_tokens"] == 4 * 6
    assert second["tokens"]["input_tokens"] == 6


def test_results_and_answers_stand_with_the_steps_that_they_belong_to(night: Database) -> None:
    found = outline(night, only_session(night, company.NIGHT))
    records = steps(night, found.top[0].members)
    contents = step_contents(night, records)
    assert contents.answers[found.top[0].members[0]] == [
        "I'll look at the test and at what changed in the authentication code."
    ]
    assert {"t1", "t2", "t3", "t4", "t5"} == set(contents.results)
    assert contents.results["t1"]["content"][0]["text"].startswith("9c2e1f0")


def test_results_that_came_one_by_one_are_all_found(recording: Recording) -> None:
    chain = company._Chain()
    chain.say("user", T0, {"type": "text", "text": "go"})
    answered = chain.say("assistant", T0, {"type": "tool_call", "id": "a", "name": "x", "input": {}})
    for call in "ab":
        asked = chain.say("tool", T0, {"type": "tool_result", "id": call, "content": [{"type": "text", "text": call}]})
    recording.batch(interception(T0, capture="full", request_digest=asked, contents=list(chain.all)))
    assert answered != asked
    [record] = steps(recording.database, [only_session_member(recording.database)])
    assert set(step_contents(recording.database, [record]).results) == {"a", "b"}


def only_session_member(database: Database) -> str:
    session = list_sessions(database, Filter(), limit=1)[0]
    return outline(database, session).top[0].root


def test_steps_come_in_the_order_of_the_ids_and_without_those_that_are_gone(night: Database) -> None:
    members = outline(night, only_session(night, company.NIGHT)).top[0].members
    wanted = [members[2], "00000000-0000-7000-8000-000000000000", members[0]]
    assert [record["id"] for record in steps(night, wanted)] == [members[2], members[0]]


def test_a_search_finds_prompts_tools_and_thoughts_in_the_order_of_time(recording: Recording) -> None:
    records = [
        interception(
            T0, client_session_id="s", user_prompts=[prompt("find the Needle", T0)], lineage=lineage(agent="m")
        ),
        interception(T0 + 2, client_session_id="s", tool_usages=[tool("c1", '{"q":"needle"}', at=T0)]),
        interception(T0 + 4, client_session_id="s", model_thoughts=[thought("a needle?", T0)]),
        interception(T0 + 6, client_session_id="s", token_usages=[tokens()]),
        interception(T0 + 8, client_session_id="other", user_prompts=[prompt("needle", T0)]),
    ]
    recording.batch(*records)
    session = only_session(recording.database, "s")
    found = find_steps(recording.database, session, ["needle"], limit=10)
    assert found == [record.id for record in records[:3]]
    assert find_steps(recording.database, session, ["needle"], limit=1, after_id=found[0]) == found[1:2]
    assert find_steps(recording.database, session, ["nee%dle"], limit=10) == []
