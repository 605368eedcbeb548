"""Cohere's older Chat."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aitap.record import Interception
from tests.capture.exchanges import ended
from tests.capture.framing import exchange
from tests.capture.making import cut, cuts, dump

HOST, PATH = "api.cohere.com", "/v1/chat"
LINES = "application/stream+json"
ASK = {"model": "command-test", "stream": True, "preamble": "Be kind", "message": "Say hi"}
CALLS = [{"name": "read", "parameters": {"path": "a.txt"}}, {"name": "list", "parameters": {}}]
ANSWER: dict[str, Any] = {
    "response_id": "r1",
    "generation_id": "g1",
    "text": "I will read é",
    "finish_reason": "COMPLETE",
    "tool_calls": CALLS,
    "meta": {
        "api_version": {"version": "1"},
        "billed_units": {"input_tokens": 11, "output_tokens": 7},
        "tokens": {"input_tokens": 502.0, "output_tokens": 9.0},
    },
}
STREAM: list[dict[str, Any]] = [
    {"is_finished": False, "event_type": "stream-start", "generation_id": "g1"},
    {"is_finished": False, "event_type": "tool-calls-chunk", "text": "I will "},
    {"is_finished": False, "event_type": "tool-calls-chunk", "text": "read é"},
    {"event_type": "tool-calls-chunk", "tool_call_delta": {"index": 0, "name": "read"}},
    {"event_type": "tool-calls-chunk", "tool_call_delta": {"index": 0, "parameters": '{"path":"a'}},
    {"event_type": "tool-calls-chunk", "tool_call_delta": {"index": 0, "parameters": '.txt"}'}},
    {"event_type": "tool-calls-chunk", "tool_call_delta": {"index": 1, "name": "list", "parameters": "{}"}},
    {"event_type": "tool-calls-generation", "text": "I will read é", "tool_calls": CALLS},
    {"is_finished": True, "event_type": "stream-end", "finish_reason": "COMPLETE", "response": ANSWER},
]


def wire(events: list[dict[str, Any]]) -> bytes:
    return b"".join(dump(event) + b"\n" for event in events)


def said(record: Interception) -> None:
    """What both forms of the answer say."""
    assert (record.api, record.provider, record.model) == ("cohere.chat", "cohere", "command-test")
    assert (record.outcome, record.stop_reason) == ("completed", "COMPLETE")
    assert [(tool.tool, tool.input) for tool in record.tool_usages] == [("read", '{"path":"a.txt"}'), ("list", "{}")]
    assert [thought.content for thought in record.model_thoughts] == ["I will read é"]
    [usage] = record.token_usages
    assert (usage.input_tokens, usage.output_tokens, usage.provider_response_id) == (11, 7, "g1")
    assert usage.metadata == {"tokens.input_tokens": 502, "tokens.output_tokens": 9}
    assert [prompt.prompt for prompt in record.user_prompts] == ["Say hi"]


@settings(max_examples=30)
@given(st.data(), st.sampled_from([LINES, "application/x-ndjson", "application/json", ""]))
def test_a_stream_gives_the_same_facts_for_any_split(data: st.DataObject, content_type: str) -> None:
    body = wire(STREAM)
    record = exchange(HOST, PATH, ASK, cut(body, data.draw(cuts(len(body)))), content_type)
    said(record)
    assert record.streaming


def test_one_document_gives_the_same_facts() -> None:
    said(exchange(HOST, PATH, {**ASK, "stream": False}, dump(ANSWER)))


def test_a_plain_answer_is_no_plan() -> None:
    events = [{"event_type": "text-generation", "text": "Hi"}]
    end = {"event_type": "stream-end", "finish_reason": "COMPLETE", "response": {"text": "Hi"}}
    record = exchange(HOST, PATH, ASK, wire([STREAM[0], *events, end]), LINES)
    assert (record.outcome, record.model_thoughts, record.token_usages) == ("completed", [], [])


def test_the_newest_turn_is_the_message_or_the_results_of_tools() -> None:
    history = [{"role": "USER", "message": "Read it"}, {"role": "CHATBOT", "message": "I will", "tool_calls": CALLS}]
    results = [{"call": CALLS[0], "outputs": [{"text": "x"}]}]
    body = {"model": "command-test", "message": "", "chat_history": history, "tool_results": results}
    record = exchange(HOST, PATH, body, dump(ANSWER))
    assert [(result.call_id, result.size) for result in record.lineage.tool_results] == [
        ("read", len(dump([{"text": "x"}])))
    ]
    assert record.user_prompts == []
    record = exchange(
        HOST, PATH, {"model": "command-test", "message": "And now?", "chat_history": history}, dump(ANSWER)
    )
    assert [prompt.prompt for prompt in record.user_prompts] == ["And now?"]


@given(st.integers(0, len(STREAM) - 1))
def test_a_stream_without_its_end_is_no_clean_end(length: int) -> None:
    record = exchange(HOST, PATH, ASK, wire(STREAM[:length]), LINES)
    assert (record.outcome, record.token_usages) == ("failed", [])
    assert all(tool.metadata == ({} if length == 8 else {"partial": True}) for tool in record.tool_usages)


@pytest.mark.parametrize("reason", ["ERROR", "ERROR_LIMIT"])
def test_a_generation_that_failed_fails_the_record(reason: str) -> None:
    end = {"event_type": "stream-end", "finish_reason": reason, "response": ANSWER}
    assert exchange(HOST, PATH, ASK, wire([STREAM[0], end]), LINES).outcome == "failed"


@settings(max_examples=60)
@given(st.integers(0, len(STREAM) - 1), st.sampled_from([None, 5, "x", [], {}, [None], True]), st.data())
def test_an_odd_member_never_raises(place: int, odd: Any, data: st.DataObject) -> None:
    event = STREAM[place]
    events = [*STREAM[:place], {**event, data.draw(st.sampled_from(sorted(event))): odd}, *STREAM[place + 1 :]]
    asked = {**ASK, data.draw(st.sampled_from(["message", "chat_history", "tool_results", "tools", "preamble"])): odd}
    ended(exchange(HOST, PATH, asked, wire(events), LINES))
