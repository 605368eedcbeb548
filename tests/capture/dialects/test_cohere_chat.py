"""Cohere Chat."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aitap.record import Interception
from tests.capture.framing import exchange
from tests.capture.making import cut, cuts, dump, user

EVENTS = "text/event-stream"
ASK = {"model": "command-test", "stream": True, "messages": [{"role": "system", "content": "Be kind"}, user("Say hi")]}
USAGE = {
    "billed_units": {"input_tokens": 11, "output_tokens": 7},
    "tokens": {"input_tokens": 502, "output_tokens": 9},
    "cached_tokens": 64,
}
COUNTED = {"tokens.input_tokens": 502, "tokens.output_tokens": 9, "cached_tokens": 64}


def delta(kind: str, index: int | None = None, **message: Any) -> dict[str, Any]:
    place = {} if index is None else {"index": index}
    return {"type": kind, **place, "delta": {"message": message}}


def call(index: int, **call: Any) -> dict[str, Any]:
    kind = "tool-call-start" if "id" in call else "tool-call-delta"
    return delta(kind, index, tool_calls=call)


STREAM: list[dict[str, Any]] = [
    {"type": "message-start", "id": "c-1", "delta": {"message": {"role": "assistant", "content": []}}},
    delta("content-start", 0, content={"type": "thinking", "thinking": "Let"}),
    delta("content-delta", 0, content={"thinking": " me see é"}),
    {"type": "content-end", "index": 0},
    *(delta("tool-plan-delta", tool_plan=text) for text in ("I will ", "read 你好")),
    call(0, id="read_1", type="function", function={"name": "read", "arguments": ""}),
    call(0, function={"arguments": '{"path": '}),
    call(0, function={"arguments": '"a.txt"}'}),
    {"type": "tool-call-end", "index": 0},
    call(1, id="list_1", type="function", function={"name": "list", "arguments": "{}"}),
    {"type": "tool-call-end", "index": 1},
    {"type": "message-end", "delta": {"finish_reason": "TOOL_CALL", "usage": USAGE}},
]


def wire(events: list[dict[str, Any]], *, names: bool = True, blanks: bool = False) -> bytes:
    return b"".join(
        (b"event: %s\n" % event["type"].encode() if names else b"") + b"data: %s\n\n" % dump(event, blanks=blanks)
        for event in events
    )


def stream(events: list[dict[str, Any]], **more: Any) -> Interception:
    return exchange("api.cohere.com", "/v2/chat", ASK, wire(events), EVENTS, **more)


@given(st.data(), st.booleans(), st.booleans())
def test_a_stream_gives_the_same_facts_for_any_split(data: st.DataObject, names: bool, blanks: bool) -> None:
    body = wire(STREAM, names=names, blanks=blanks)
    record = exchange("api.cohere.ai", "/v2/chat", ASK, cut(body, data.draw(cuts(len(body)))), EVENTS)

    assert (record.api, record.provider, record.model) == ("cohere.chat", "cohere", "command-test")
    assert (record.outcome, record.streaming, record.stop_reason) == ("completed", True, "TOOL_CALL")
    assert [(thought.content, thought.metadata["source"]) for thought in record.model_thoughts] == [
        ("Let me see é", "thinking"),
        ("I will read 你好", "reasoning_content"),
    ]
    assert [(tool.tool, tool.input, tool.provider_tool_call_id) for tool in record.tool_usages] == [
        ("read", '{"path": "a.txt"}', "read_1"),
        ("list", "{}", "list_1"),
    ]
    [usage] = record.token_usages
    assert (usage.input_tokens, usage.output_tokens, usage.provider_response_id) == (11, 7, "c-1")
    assert usage.metadata == COUNTED
    [prompt] = record.user_prompts
    assert (prompt.prompt, prompt.provider_response_id) == ("Say hi", "c-1")
    assert record.time_to_first_token == 1.0


def test_one_document_gives_the_same_facts() -> None:
    answer = {
        "id": "c-1",
        "finish_reason": "TOOL_CALL",
        "message": {
            "role": "assistant",
            "content": [{"type": "thinking", "thinking": "Let me see"}, {"type": "text", "text": "It is"}],
            "tool_plan": "I will read",
            "tool_calls": [{"id": "read_1", "type": "function", "function": {"name": "read", "arguments": '{"a": 1}'}}],
        },
        "usage": USAGE,
    }
    record = exchange("api.cohere.com", "/v2/chat", {**ASK, "stream": False}, dump(answer))
    assert (record.outcome, record.streaming, record.stop_reason) == ("completed", False, "TOOL_CALL")
    assert [thought.content for thought in record.model_thoughts] == ["Let me see", "I will read"]
    assert [(tool.tool, tool.input) for tool in record.tool_usages] == [("read", '{"a": 1}')]
    assert record.token_usages[0].metadata == COUNTED


def test_where_nothing_is_billed_the_counted_tokens_are_the_usage() -> None:
    end = {"type": "message-end", "delta": {"finish_reason": "COMPLETE", "usage": {"tokens": USAGE["tokens"]}}}
    [usage] = stream([STREAM[0], end]).token_usages
    assert (usage.input_tokens, usage.output_tokens) == (502, 9)


@given(st.integers(1, len(STREAM) - 1))
def test_a_stream_without_message_end_is_no_clean_end(length: int) -> None:
    record = stream(STREAM[:length])
    assert (record.outcome, record.token_usages) == ("failed", [])


def test_a_tool_call_that_was_cut_is_partial() -> None:
    [tool] = stream(STREAM[:8]).tool_usages
    assert (tool.input, tool.metadata) == ('{"path": ', {"partial": True})


@pytest.mark.parametrize(
    ("end", "message"),
    [
        ({"finish_reason": "ERROR", "error": "the model broke"}, "the model broke"),
        ({"finish_reason": "TIMEOUT"}, "the provider reported a failed generation"),
    ],
)
def test_a_generation_that_failed_fails_the_record(end: dict[str, Any], message: str) -> None:
    record = stream([STREAM[0], {"type": "message-end", "delta": {**end, "usage": USAGE}}])
    assert (record.outcome, record.error_message, len(record.token_usages)) == ("failed", message, 1)


def test_an_error_instead_of_an_answer_is_told_by_its_status() -> None:
    answer = dump({"id": "e-1", "message": "invalid api token"})
    record = exchange("api.cohere.com", "/v2/chat", ASK, answer, status=401)
    assert (record.outcome, record.error_type, record.error_message) == ("failed", "unauthorized", "invalid api token")


def test_tool_results_answer_their_calls_and_are_no_prompt() -> None:
    tool = {"role": "tool", "tool_call_id": "read_1", "content": [{"type": "document", "document": {"data": "x"}}]}
    body = {**ASK, "messages": [*ASK["messages"], {"role": "assistant", "tool_plan": "I will read"}, tool]}  # type: ignore[misc]
    record = exchange("api.cohere.com", "/v2/chat", body, wire(STREAM), EVENTS)
    [result] = record.lineage.tool_results
    assert (result.call_id, result.status, result.size) == ("read_1", None, len(dump(tool["content"])))
    assert record.user_prompts == []


@pytest.mark.parametrize("data", [b"{", b"[]", b'{"type":5}', b'{"type":"tool-call-delta","index":9,"delta":[]}'])
def test_an_odd_event_costs_only_itself(data: bytes) -> None:
    record = exchange("api.cohere.com", "/v2/chat", ASK, b"data: " + data + b"\n\n" + wire(STREAM), EVENTS)
    assert (record.outcome, len(record.tool_usages)) == ("completed", 2)
