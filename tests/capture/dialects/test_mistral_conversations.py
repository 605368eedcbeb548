"""Mistral's Conversations."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aitap.record import Interception
from tests.capture.exchanges import ended
from tests.capture.framing import exchange
from tests.capture.making import cut, cuts, dump, user

HOST, PATH = "api.mistral.ai", "/v1/conversations"
EVENTS = "text/event-stream"
ASK = {"model": "mistral-test", "stream": True, "instructions": "Be kind", "inputs": "Say hi"}
USAGE = {
    "prompt_tokens": 188,
    "completion_tokens": 55,
    "total_tokens": 7355,
    "connector_tokens": 7112,
    "connectors": {"web_search": 1},
}


def entry(kind: str, index: int, **more: Any) -> dict[str, Any]:
    return {"type": kind, "id": f"e{index}", "output_index": index, "model": "mistral-test-2511", **more}


THINKING = [{"type": "thinking", "thinking": [{"type": "text", "text": "Let me see é"}]}]
STREAM: list[dict[str, Any]] = [
    {"type": "conversation.response.started", "conversation_id": "conv_1"},
    entry("tool.execution.started", 0, name="web_search", arguments='{"query":'),
    entry("tool.execution.delta", 0, name="web_search", arguments=' "x"}'),
    entry("tool.execution.done", 0, name="web_search", info={}),
    entry("message.output.delta", 1, role="assistant", content=THINKING),
    entry("message.output.delta", 1, role="assistant", content="It is "),
    entry("message.output.delta", 1, role="assistant", content={"type": "tool_reference", "tool": "web_search"}),
    entry("message.output.delta", 1, role="assistant", content={"type": "text", "text": "你好"}),
    entry("function.call.delta", 2, name="read", tool_call_id="c1", arguments='{"path": '),
    entry("function.call.delta", 2, name="read", tool_call_id="c1", arguments='"a.txt"}'),
    entry("function.call.delta", 3, name="list", tool_call_id="c2", arguments="{}"),
    {"type": "conversation.response.done", "usage": USAGE},
]
OUTPUTS = [
    {"type": "tool.execution", "id": "e0", "name": "web_search", "arguments": '{"query": "x"}'},
    {"type": "message.output", "id": "e1", "content": [*THINKING, {"type": "text", "text": "It is 你好"}]},
    {"type": "function.call", "id": "e2", "name": "read", "tool_call_id": "c1", "arguments": '{"path": "a.txt"}'},
    {"type": "function.call", "id": "e3", "name": "list", "tool_call_id": "c2", "arguments": "{}"},
]


def wire(events: list[dict[str, Any]]) -> bytes:
    return b"".join(b"event: %s\ndata: %s\n\n" % (event["type"].encode(), dump(event)) for event in events)


def said(record: Interception) -> None:
    """What both forms of the answer say."""
    assert (record.api, record.provider_name, record.outcome) == ("mistral.conversations", "mistral", "completed")
    [usage] = record.token_usages
    assert (usage.input_tokens, usage.output_tokens, usage.provider_response_id) == (7300, 55, "conv_1")
    assert usage.metadata == {"total_tokens": 7355, "connector_tokens": 7112, "connectors.web_search": 1}
    assert [(tool.tool, tool.kind, tool.input, tool.result_status) for tool in record.tool_usages] == [
        ("web_search", "server", '{"query": "x"}', "ok"),
        ("read", "function", '{"path": "a.txt"}', None),
        ("list", "function", "{}", None),
    ]
    assert [tool.provider_tool_call_id for tool in record.tool_usages] == ["e0", "c1", "c2"]
    assert [thought.content for thought in record.model_thoughts] == ["Let me see é"]
    assert record.stop_reason == "tool_calls"


@settings(max_examples=30)
@given(st.data())
def test_a_stream_gives_the_same_facts_for_any_split(data: st.DataObject) -> None:
    body = wire(STREAM)
    record = exchange(HOST, PATH, ASK, cut(body, data.draw(cuts(len(body)))), EVENTS)
    said(record)
    assert (record.model, record.streaming, record.response_model) == ("mistral-test", True, "mistral-test-2511")
    assert [prompt.prompt for prompt in record.user_prompts] == ["Say hi"]
    assert record.time_to_first_token == 1.0


def test_one_document_gives_the_same_facts() -> None:
    answer = {"object": "conversation.response", "conversation_id": "conv_1", "outputs": OUTPUTS, "usage": USAGE}
    said(exchange(HOST, PATH, {**ASK, "stream": False}, dump(answer)))


def test_what_continues_a_conversation_continues_its_thread() -> None:
    entries = [{"type": "function.result", "tool_call_id": "c1", "result": "text"}]
    record = exchange(HOST, f"{PATH}/conv_1", {"inputs": entries, "stream": True}, wire(STREAM), EVENTS)
    assert record.lineage.previous_response_id == "conv_1"
    assert [(result.call_id, result.size) for result in record.lineage.tool_results] == [("c1", 4)]
    assert record.user_prompts == []


@pytest.mark.parametrize(
    "inputs",
    [
        "Say hi",
        [user("Say hi")],
        {"type": "message.input", "role": "user", "content": [{"type": "text", "text": "Say hi"}]},
        [{"type": "message.output", "content": "Yes?"}, {"type": "message.input", **user("Say hi")}],
        [{"type": "agent.handoff"}, 5, None, {"object": "entry", **user("Say hi")}],
    ],
)
def test_the_prompt_is_found_in_every_form_of_inputs(inputs: Any) -> None:
    record = exchange(HOST, PATH, {"agent_id": "ag_1", "inputs": inputs, "tools": None})
    assert [prompt.prompt for prompt in record.user_prompts] == ["Say hi"]
    assert record.model == "ag_1"


def test_an_error_event_fails_the_record_and_keeps_what_was_read() -> None:
    error = {"type": "conversation.response.error", "message": "too busy", "code": 429}
    record = exchange(HOST, PATH, ASK, wire([*STREAM[:9], error]), EVENTS)
    assert (record.outcome, record.error_message, record.error_type) == ("failed", "too busy", "rate_limited")
    assert [tool.metadata for tool in record.tool_usages] == [{}, {"partial": True}]


@given(st.integers(0, len(STREAM) - 1))
def test_a_stream_without_its_end_is_no_clean_end(length: int) -> None:
    record = exchange(HOST, PATH, ASK, wire(STREAM[:length]), EVENTS)
    assert (record.outcome, record.token_usages) == ("failed", [])


@settings(max_examples=60)
@given(st.integers(0, len(STREAM) - 1), st.sampled_from([None, 5, "x", [], {}, [None], True]), st.data())
def test_an_odd_member_never_raises(place: int, odd: Any, data: st.DataObject) -> None:
    event = STREAM[place]
    events = [*STREAM[:place], {**event, data.draw(st.sampled_from(sorted(event))): odd}, *STREAM[place + 1 :]]
    body = b"".join(b"data: %s\n\n" % dump(event) for event in events)
    ended(exchange(HOST, PATH, {**ASK, "inputs": odd, "completion_args": odd, "tools": odd}, body, EVENTS))


def test_what_came_from_a_cache_is_taken_out_of_the_input() -> None:
    counters = {"prompt_tokens": 100, "completion_tokens": 5, "total_tokens": 105}
    for cached in ({"prompt_tokens_details": {"cached_tokens": 64}}, {"num_cached_tokens": 64}):
        answer = dump({"conversation_id": "conv_1", "outputs": [], "usage": {**counters, **cached}})
        record = exchange("api.mistral.ai", "/v1/conversations", {"model": "m", "inputs": "hi"}, answer)
        [usage] = record.token_usages
        assert (usage.input_tokens, usage.cache_read_input_tokens, usage.output_tokens) == (36, 64, 5)
