"""Requests find the conversation they belong to."""

from __future__ import annotations

import copy
import tempfile
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from peewee import Database

from aitap.record import Interception, Lineage, ToolResult
from tests.storage.making import (
    ANN,
    BEN,
    T0,
    Recording,
    database_in,
    everything,
    interception,
    lineage,
    prompt,
    rows,
    tokens,
    tool,
)


def call(at: float, *calls: str, answers: tuple[str, ...] = (), **fields: Any) -> Interception:
    """An interception that issues tool calls and answers earlier ones."""
    return interception(at, tool_usages=[tool(name) for name in calls], lineage=lineage(*answers), **fields)


def test_a_request_alone_is_its_own_session(recording: Recording) -> None:
    one = interception()
    recording.batch(one)
    assert recording.thread(one) == (None, None, one.id)


def test_a_clients_session_id_is_the_session(recording: Recording) -> None:
    one = interception(client_session_id="s")
    recording.batch(one)
    assert recording.thread(one) == (None, None, "s")


@pytest.mark.parametrize("restart", [False, True], ids=["memory", "database"])
def test_the_answer_to_a_tool_call_continues_the_interception_that_made_it(recording: Recording, restart: bool) -> None:
    a, b, c = call(T0, "x"), call(T0 + 2, "y", answers=("x",)), call(T0 + 4, answers=("y",))
    for record in (a, b, c):
        recording.batch(record)
        if restart:
            recording.restart()
    assert recording.thread(b) == (a.id, a.id, a.id)
    assert recording.thread(c) == (b.id, a.id, a.id)


@pytest.mark.parametrize("restart", [False, True], ids=["memory", "database"])
def test_a_response_id_continues_the_interception_that_got_it(recording: Recording, restart: bool) -> None:
    a = interception(T0, token_usages=[tokens("resp_a")])
    b = interception(T0 + 2, lineage=Lineage(previous_response_id="resp_a"))
    recording.batch(a)
    if restart:
        recording.restart()
    recording.batch(b)
    assert recording.thread(b) == (a.id, a.id, a.id)


@pytest.mark.parametrize("restart", [False, True], ids=["memory", "database"])
def test_history_continues_the_longest_conversation_it_extends(recording: Recording, restart: bool) -> None:
    a = interception(T0, lineage=Lineage(history=["u1"]))
    b = interception(T0 + 2, lineage=Lineage(history=["u1", "a1", "u2"]))
    c = interception(T0 + 4, lineage=Lineage(history=["u1", "a1", "u2", "a2", "u3"]))
    other = interception(T0 + 5, lineage=Lineage(history=["v1", "a1"]))
    recording.batch(a)
    recording.batch(b)
    if restart:
        recording.restart()
    recording.batch(c)
    recording.batch(other)
    assert recording.thread(b) == (a.id, a.id, a.id)
    assert recording.thread(c) == (b.id, a.id, a.id)
    assert recording.thread(other) == (None, None, other.id)


def test_a_tool_result_says_more_than_a_response_id_and_that_more_than_history(recording: Recording) -> None:
    by_call = call(T0, "x")
    by_response = interception(T0 + 1, token_usages=[tokens("resp")])
    by_history = interception(T0 + 2, lineage=Lineage(history=["u1"]))
    results = [ToolResult(call_id="x", status="ok", size=1)]
    second = interception(T0 + 5, lineage=Lineage(previous_response_id="resp", history=["u1", "u2"]))
    first = interception(T0 + 4, lineage=msgspec.structs.replace(second.lineage, tool_results=results))
    recording.batch(by_call, by_response, by_history, first, second)
    assert recording.row(first)["thread_parent_id"] == by_call.id
    assert recording.row(second)["thread_parent_id"] == by_response.id


@pytest.mark.parametrize("restart", [False, True], ids=["memory", "database"])
def test_nobody_continues_what_another_initiator_began(recording: Recording, restart: bool) -> None:
    a = interception(T0, tool_usages=[tool("x")], token_usages=[tokens("resp")], lineage=Lineage(history=["u1"]))
    recording.batch(a)
    if restart:
        recording.restart()
    hints = Lineage(
        tool_results=[ToolResult(call_id="x", status="ok", size=1)], previous_response_id="resp", history=["u1", "u2"]
    )
    b = interception(T0 + 2, initiator_id=BEN, lineage=hints)
    recording.batch(b)
    assert recording.thread(b) == (None, None, b.id)
    assert rows(recording.database, "SELECT result_at FROM aibridge_tool_usages") == [(None,)]


def test_initiators_with_equal_conversations_do_not_meet(recording: Recording) -> None:
    first = {who: interception(T0, initiator_id=who, lineage=Lineage(history=["u1"])) for who in (ANN, BEN)}
    then = {who: interception(T0 + 2, initiator_id=who, lineage=Lineage(history=["u1", "u2"])) for who in (ANN, BEN)}
    recording.batch(*first.values())
    recording.restart()
    recording.batch(*then.values())
    assert {who: recording.row(then[who])["thread_parent_id"] for who in then} == {who: first[who].id for who in first}


@pytest.mark.parametrize("restart", [False, True], ids=["memory", "database"])
def test_of_equal_call_ids_the_newest_counts(recording: Recording, restart: bool) -> None:
    recording.batch(call(T0, "call_0"))
    newer = call(T0 + 1, "call_0")
    recording.batch(newer)
    if restart:
        recording.restart()
    last = call(T0 + 3, answers=("call_0",))
    recording.batch(last)
    assert recording.row(last)["thread_parent_id"] == newer.id


def test_nothing_continues_what_started_after_it(recording: Recording) -> None:
    late = call(T0 + 10, "call_0")
    recording.batch(late)
    early = call(T0, "call_0", answers=("call_0",))
    recording.batch(early)
    assert recording.thread(early) == (None, None, early.id)


@pytest.mark.parametrize("restart", [False, True], ids=["memory", "database"])
def test_an_answer_completes_the_tool_call_once(recording: Recording, restart: bool) -> None:
    """Status, time and size are of the first answer; a later request that sends it again changes nothing."""
    recording.batch(call(T0, "x", "y"))
    if restart:
        recording.restart()
    results = [ToolResult(call_id="x", status="error", size=3), ToolResult(call_id="unknown", status="ok", size=1)]
    recording.batch(interception(T0 + 2, lineage=Lineage(tool_results=results)))
    again = [ToolResult(call_id="x", status="ok", size=9)]
    recording.batch(interception(T0 + 4, lineage=Lineage(tool_results=again)))
    sql = (
        "SELECT provider_tool_call_id, result_status, result_bytes, result_at FROM aibridge_tool_usages "
        "ORDER BY provider_tool_call_id"
    )
    [(_, *x), (_, *y)] = rows(recording.database, sql)
    assert x[:2] == ["error", 3]
    assert x[2].startswith("2026-11-18 11:06:42")
    assert y == [None, None, None]


def test_a_parent_unknown_at_the_start_is_found_at_the_end(recording: Recording) -> None:
    a = call(T0, "x")
    start = interception(T0 + 2, None, lineage=lineage("x"))
    recording.batch(start)
    assert recording.row(start)["thread_parent_id"] is None
    recording.batch(a)
    recording.batch(interception(T0 + 2, 5.0, id=start.id, lineage=lineage("x")))
    assert recording.thread(start) == (a.id, a.id, a.id)


# -- retries


@pytest.mark.parametrize("restart", [False, True], ids=["memory", "database"])
def test_a_retry_belongs_to_the_thread_of_what_it_repeats(recording: Recording, restart: bool) -> None:
    """A chain of retries of a first request is one thread, whose prompt is that of the first."""
    a = interception(T0, outcome="failed", user_prompts=[prompt("hi")])
    b = interception(T0 + 2, outcome="failed", retry_of=a.id, metadata={"prompt_of": a.id})
    c = call(T0 + 4, "x", retry_of=b.id, metadata={"prompt_of": b.id})
    d = call(T0 + 6, answers=("x",))
    for record in (a, b, c, d):
        recording.batch(record)
        if restart:
            recording.restart()
    assert recording.thread(b) == recording.thread(c) == (None, a.id, a.id)
    assert recording.row(b)["metadata"] == recording.row(c)["metadata"] == {"prompt_of": a.id}
    assert recording.thread(d) == (c.id, a.id, a.id)
    assert rows(recording.database, "SELECT interceptions, threads, prompts FROM aitap_sessions") == [(4, 1, 1)]


def test_a_retry_has_the_parent_of_what_it_repeats(recording: Recording) -> None:
    a = call(T0, "x")
    b = call(T0 + 2, answers=("x",), outcome="failed")
    by_answer = call(T0 + 4, answers=("x",), retry_of=b.id)
    by_retry = call(T0 + 6, retry_of=b.id)
    recording.batch(a, b, by_answer, by_retry)
    assert recording.thread(by_answer) == recording.thread(by_retry) == (a.id, a.id, a.id)
    assert recording.row(by_retry)["metadata"] == {}


@pytest.mark.parametrize("restart", [False, True], ids=["memory", "database"])
def test_a_retry_of_something_unknown_or_anothers_stands_alone(recording: Recording, restart: bool) -> None:
    theirs = interception(T0, initiator_id=BEN)
    recording.batch(theirs)
    if restart:
        recording.restart()
    for number, repeated in enumerate((theirs.id, "00000000-0000-7000-8000-000000000000")):
        record = interception(T0 + 1 + number, retry_of=repeated)
        recording.batch(record)
        assert recording.thread(record) == (None, None, record.id)
        assert recording.row(record)["retry_of"] == repeated


# -- sub-agents


def agent(at: float, name: str, *calls: str, session: str = "s", **fields: Any) -> Interception:
    hints = {key: fields.pop(key) for key in ("parent_agent", "agent_name") if key in fields}
    answers = [ToolResult(call_id=answer, status="ok", size=1) for answer in fields.pop("answers", ())]
    return interception(
        at,
        client_session_id=session,
        tool_usages=fields.pop("tool_usages", [tool(call) for call in calls]),
        lineage=Lineage(agent=name, is_subagent=True, tool_results=answers, **hints),
        **fields,
    )


@pytest.mark.parametrize("restart", [False, True], ids=["memory", "database"])
def test_a_subagent_is_a_thread_of_the_session_below_the_thread_that_called_it(
    recording: Recording, restart: bool
) -> None:
    main = call(T0, "task", client_session_id="s")
    first = agent(T0 + 2, "agent-1", "read", agent_name="Explore")
    then = agent(T0 + 4, "agent-1", answers=("read",), agent_name="Explore")
    for record in (main, first, then):
        recording.batch(record)
        if restart:
            recording.restart()
    expected = {"agent": "Explore", "agent_id": "agent-1", "parent_thread": main.id}
    assert recording.thread(first) == (None, None, "s")
    assert recording.row(first)["metadata"] == expected
    assert recording.thread(then) == (first.id, first.id, "s")
    assert recording.row(then)["metadata"] == expected


@pytest.mark.parametrize("restart", [False, True], ids=["memory", "database"])
def test_a_subagent_hangs_under_the_agent_it_names(recording: Recording, restart: bool) -> None:
    main = call(T0, "task", client_session_id="s")
    outer = agent(T0 + 2, "outer", "task-2")
    inner = agent(T0 + 4, "inner", parent_agent="outer")
    beside = agent(T0 + 5, "beside", parent_agent="s")
    for record in (main, outer, inner, beside):
        recording.batch(record)
        if restart:
            recording.restart()
    assert recording.row(outer)["metadata"]["parent_thread"] == main.id
    assert recording.row(inner)["metadata"]["parent_thread"] == outer.id
    assert recording.row(beside)["metadata"]["parent_thread"] == main.id


@pytest.mark.parametrize("restart", [False, True], ids=["memory", "database"])
def test_among_several_callers_the_one_whose_call_holds_the_prompt_started_it(
    recording: Recording, restart: bool
) -> None:
    text = 'Zähle die "Dateien"\nim Ordner'
    asked = tool("t1", '{"prompt": "Z\\u00e4hle die \\"Dateien\\"\\nim Ordner"}')
    asker = interception(T0, client_session_id="s", tool_usages=[asked])
    later = call(T0 + 1, "t2", client_session_id="s")
    recording.batch(asker, later)
    if restart:
        recording.restart()
    sub = agent(T0 + 2, "a", user_prompts=[prompt(text, T0 + 2)])
    recording.batch(sub)
    assert recording.row(sub)["metadata"]["parent_thread"] == asker.id


def test_a_subagent_handed_its_parents_conversation_begins_its_own_thread(recording: Recording) -> None:
    main = call(T0, "x", client_session_id="s")
    fork = agent(T0 + 2, "fork", answers=("x",))
    recording.batch(main, fork)
    assert recording.thread(fork) == (None, None, "s")
    assert recording.row(fork)["metadata"]["parent_thread"] == main.id


def test_subagents_of_subagents_stay_in_the_top_session(recording: Recording) -> None:
    """Where each has a session id of its own, the record names the one above it."""
    main = call(T0, "t", client_session_id="top")
    middle = agent(T0 + 2, "middle", "t2", session="top", parent_agent="top")
    lowest = agent(T0 + 4, "lowest", session="middle", parent_agent="middle")
    recording.batch(main, middle)
    recording.batch(lowest)
    assert recording.row(lowest)["session_id"] == "top"
    assert recording.row(lowest)["metadata"]["parent_thread"] == middle.id


def test_a_subagent_whose_caller_is_not_known_still_says_who_it_is(recording: Recording) -> None:
    sub = agent(T0, "a")
    recording.batch(sub)
    assert recording.row(sub)["metadata"] == {"agent": "a"}


# -- in general


@settings(max_examples=30, suppress_health_check=[HealthCheck.too_slow])
@given(
    answered=st.lists(st.tuples(st.integers(-3, 9), st.sampled_from([None, "s"])), min_size=2, max_size=9),
    data=st.data(),
)
def test_the_order_within_a_batch_and_the_cut_into_batches_do_not_matter(
    answered: list[tuple[int, str | None]], data: st.DataObject
) -> None:
    """Any order within one batch, any batches in order of start, gives the same threads."""
    records = [
        call(T0 + 2 * number, f"call-{number}", answers=(f"call-{before}",), client_session_id=session)
        for number, (before, session) in enumerate(answered)
    ]

    def written(batches: list[list[Interception]]) -> dict[str, list[tuple[Any, ...]]]:
        with tempfile.TemporaryDirectory() as folder:
            recording = Recording(database_in(Path(folder)))
            for batch in batches:
                recording.batch(*batch)
            recording.writer.close()
            content = everything(recording.database)
            recording.database.close()
            return content

    cut = data.draw(st.integers(0, len(records)))
    parts = [data.draw(st.permutations(part)) for part in (records[:cut], records[cut:]) if part]
    assert written(copy.deepcopy(parts)) == written([[record] for record in copy.deepcopy(records)])


def test_results_under_made_up_ids_complete_the_sessions_latest_calls_by_name(recording: Recording) -> None:
    call = interception(
        T0,
        1.0,
        client_session_id="s",
        tool_usages=[tool(None, name="read"), tool(None, name="shell")],
    )
    recording.batch(call)
    answer = interception(
        T0 + 2,
        3.0,
        client_session_id="s",
        lineage=Lineage(tool_results=[ToolResult(call_id="shell_17_0", status="ok", size=5)]),
    )
    recording.batch(answer)
    done = dict(rows(recording.database, "SELECT tool, result_bytes FROM aibridge_tool_usages"))
    assert (recording.row(answer)["thread_parent_id"], done) == (call.id, {"read": None, "shell": 5})


# Ids that come again, and other proxies


@pytest.mark.parametrize("restart", [False, True], ids=["memory", "database"])
def test_of_equal_call_ids_that_of_the_session_counts(recording: Recording, restart: bool) -> None:
    """Kimi numbers calls anew in each conversation: two that go on at a time must not meet."""
    a = call(T0, "Bash:0", client_session_id="a")
    recording.batch(a)
    recording.batch(*(call(T0 + number, "Bash:0", client_session_id=f"b{number}") for number in range(1, 20)))
    if restart:
        recording.restart()
    then = call(T0 + 20, answers=("Bash:0",), client_session_id="a")
    recording.batch(then)
    assert recording.thread(then) == (a.id, a.id, "a")
    sql = "SELECT CAST(interception_id AS TEXT) FROM aibridge_tool_usages WHERE result_at IS NOT NULL"
    assert rows(recording.database, sql) == [(a.id,)]


@pytest.mark.parametrize("restart", [False, True], ids=["memory", "database"])
def test_of_equal_call_ids_that_of_the_agent_counts(recording: Recording, restart: bool) -> None:
    agents = [
        Lineage(is_subagent=agent is not None, agent=agent, tool_results=[], parent_agent=None)
        for agent in (None, "one", "two")
    ]
    asked = [
        interception(T0 + number, client_session_id="s", lineage=said, tool_usages=[tool("Bash:0")])
        for number, said in enumerate(agents)
    ]
    for record in asked:
        recording.batch(record)
    if restart:
        recording.restart()
    result = [ToolResult(call_id="Bash:0", status="ok", size=1)]
    answered = [
        interception(T0 + 9, client_session_id="s", lineage=msgspec.structs.replace(said, tool_results=result))
        for said in agents
    ]
    for record in answered:
        recording.batch(record)
    assert [recording.thread(record)[0] for record in answered] == [record.id for record in asked]


@pytest.mark.parametrize("restart", [False, True], ids=["memory", "database"])
@pytest.mark.parametrize("by", ["history", "response"])
def test_of_equal_call_ids_that_of_the_conversation_counts(recording: Recording, restart: bool, by: str) -> None:
    a, b = (
        interception(
            T0 + number,
            tool_usages=[tool("Bash:0")],
            token_usages=[tokens(f"resp_{number}")],
            lineage=Lineage(history=[f"u{number}"]),
        )
        for number in (1, 2)
    )
    recording.batch(a)
    recording.batch(b)
    if restart:
        recording.restart()
    more: dict[str, Any] = {"history": ["u1", "r"]} if by == "history" else {"previous_response_id": "resp_1"}
    then = interception(T0 + 9, lineage=lineage("Bash:0", **more))
    recording.batch(then)
    assert recording.thread(then) == (a.id, a.id, a.id)


def test_history_continues_the_longest_conversation_that_any_proxy_saw(
    recording: Recording, database: Database
) -> None:
    other = Recording(database)
    turns = [
        interception(T0 + number, lineage=Lineage(history=[f"u{before}" for before in range(number + 1)]))
        for number in range(6)
    ]
    for number, turn in enumerate(turns):
        (recording, other)[number % 2].batch(turn)
    other.writer.close()
    assert [recording.thread(turn)[0] for turn in turns] == [None, *(turn.id for turn in turns[:-1])]


def test_what_another_proxy_had_answered_is_gone_on_with_not_what_failed_here(
    recording: Recording, database: Database
) -> None:
    other = Recording(database)
    failed = interception(T0, outcome="failed", lineage=Lineage(history=["u1"]))
    answered = interception(T0 + 2, lineage=Lineage(history=["u1"]))
    then = interception(T0 + 4, lineage=Lineage(history=["u1", "u2"]))
    recording.batch(failed)
    other.batch(answered)
    recording.batch(then)
    other.writer.close()
    assert recording.thread(then)[0] == answered.id


@pytest.mark.parametrize("named", [None, "s"], ids=["unnamed", "named"])
@pytest.mark.parametrize("first", ["other proxy", "after restart"])
def test_a_subagent_hangs_under_its_caller_whichever_proxy_saw_it(
    recording: Recording, database: Database, first: str, named: str | None
) -> None:
    other = Recording(database)
    earlier = interception(T0, client_session_id="s")
    caller = call(T0 + 2, "t", client_session_id="s")
    if first == "other proxy":
        recording.batch(earlier)
        other.batch(caller)
    else:
        other.batch(caller)
        recording.batch(msgspec.structs.replace(earlier, started_at=T0 + 4))
    agent = interception(
        T0 + 6, client_session_id="s", lineage=Lineage(is_subagent=True, agent="x", parent_agent=named)
    )
    recording.batch(agent)
    other.writer.close()
    assert recording.row(agent)["metadata"]["parent_thread"] == caller.id


def test_a_subagents_subagent_is_in_the_top_session_whichever_proxy_saw_it(
    recording: Recording, database: Database
) -> None:
    """Clients whose sub-agents have session ids of their own say whose they are by that of the one above."""
    other = Recording(database)
    top = call(T0, "t", client_session_id="top")
    said = Lineage(is_subagent=True, agent="sub", parent_agent="top")
    sub = interception(T0 + 1, client_session_id="top", lineage=said, tool_usages=[tool("u")])
    recording.batch(top)
    other.batch(sub)
    deep = interception(
        T0 + 2, client_session_id="sub", lineage=Lineage(is_subagent=True, agent="deep", parent_agent="sub")
    )
    recording.batch(deep)
    other.writer.close()
    assert recording.thread(deep)[2] == "top"
    assert recording.row(deep)["metadata"]["parent_thread"] == sub.id
