"""What Vercel's AI SDK speaks with its AI Gateway."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aitap.record import Interception
from tests.capture.framing import exchange
from tests.capture.making import cut, cuts, dump

HOST, PATH = "ai-gateway.vercel.sh", "/v4/ai/language-model"
EVENTS = "text/event-stream"
HEADERS = {"ai-language-model-id": "maker/model-test", "ai-language-model-streaming": "true"}
PROMPT: list[dict[str, Any]] = [
    {"role": "system", "content": "Be kind"},
    {
        "role": "user",
        "content": [{"type": "text", "text": "Say hi"}, {"type": "file", "mediaType": "image/png", "data": "AAAA"}],
    },
]
ASK = {"prompt": PROMPT, "maxOutputTokens": 9, "tools": [{"type": "function", "name": "read"}]}
NUMBERS = {"inputTokens": 21, "outputTokens": 12, "totalTokens": 33, "cachedInputTokens": 8}
OBJECTS = {
    "inputTokens": {"total": 24, "noCache": 13, "cacheRead": 8, "cacheWrite": 3},
    "outputTokens": {"total": 12, "text": 8, "reasoning": 4},
}
CALL = {"type": "tool-call", "toolCallId": "c1", "toolName": "read", "input": '{"path": "a.txt"}'}
SEARCH = {"type": "tool-call", "toolCallId": "c2", "toolName": "search", "input": "{}", "providerExecuted": True}
FOUND = {"type": "tool-result", "toolCallId": "c2", "toolName": "search", "result": [1], "isError": False}
END = {
    "type": "finish",
    "finishReason": {"unified": "tool-calls", "raw": "tool_use"},
    "usage": OBJECTS,
    "providerMetadata": {"gateway": {"cost": "0.0021"}},
}
STREAM: list[dict[str, Any]] = [
    {"type": "stream-start", "warnings": []},
    {"type": "response-metadata", "id": "msg_1", "modelId": "model-test-1", "timestamp": "2026-01-01T00:00:00Z"},
    {"type": "reasoning-start", "id": "0"},
    {"type": "reasoning-delta", "id": "0", "delta": "Let me"},
    {"type": "reasoning-delta", "id": "0", "delta": " see é"},
    {"type": "reasoning-end", "id": "0"},
    {"type": "text-start", "id": "1"},
    {"type": "text-delta", "id": "1", "delta": "It is "},
    {"type": "text-delta", "id": "1", "delta": "你好"},
    {"type": "text-end", "id": "1"},
    {"type": "tool-input-start", "id": "c1", "toolName": "read"},
    {"type": "tool-input-delta", "id": "c1", "delta": '{"path": '},
    {"type": "tool-input-delta", "id": "c1", "delta": '"a.txt"}'},
    {"type": "tool-input-end", "id": "c1"},
    CALL,
    SEARCH,
    FOUND,
    END,
]
DOCUMENT = {
    "content": [{"type": "reasoning", "text": "Let me see é"}, {"type": "text", "text": "It is"}, CALL, SEARCH, FOUND],
    "response": {"id": "msg_1", "modelId": "model-test-1"},
    **{name: value for name, value in END.items() if name != "type"},
}


def wire(events: list[dict[str, Any]]) -> bytes:
    return b"".join(b"data: %s\n\n" % dump(event) for event in events)


def said(record: Interception) -> None:
    """What both forms of the answer say."""
    assert (record.api, record.provider_name) == ("vercel.language_model", "vercel")
    assert (record.model, record.response_model, record.outcome) == ("maker/model-test", "model-test-1", "completed")
    assert record.stop_reason == "tool-calls"
    [usage] = record.token_usages
    counted = (usage.input_tokens, usage.output_tokens, usage.cache_read_input_tokens, usage.cache_write_input_tokens)
    assert counted == (13, 12, 8, 3)
    assert (usage.provider_response_id, usage.metadata["outputTokens.reasoning"]) == ("msg_1", 4)
    assert usage.metadata["cost"] == 0.0021
    assert [(tool.tool, tool.kind, tool.input, tool.result_status) for tool in record.tool_usages] == [
        ("read", "function", '{"path": "a.txt"}', None),
        ("search", "server", "{}", "ok"),
    ]
    assert [thought.content for thought in record.model_thoughts] == ["Let me see é"]
    [prompt] = record.user_prompts
    assert (prompt.prompt, prompt.metadata["attachments"][0]["bytes"]) == ("Say hi", 3)


@settings(max_examples=20)
@given(st.data())
def test_a_stream_gives_the_same_facts_for_any_split(data: st.DataObject) -> None:
    body = wire(STREAM)
    record = exchange(HOST, PATH, ASK, cut(body, data.draw(cuts(len(body)))), EVENTS, headers=HEADERS)
    said(record)
    assert (record.streaming, record.time_to_first_token, record.wire.max_tokens) == (True, 1.0, 9)


def test_one_document_gives_the_same_facts() -> None:
    record = exchange(HOST, PATH, ASK, dump(DOCUMENT), headers=HEADERS)
    said(record)
    assert not record.streaming


@pytest.mark.parametrize(
    ("usage", "counted"),
    [
        (NUMBERS, (13, 12, 8)),
        ({"inputTokens": 3, "outputTokens": 12, "cachedInputTokens": 8}, (3, 12, 8)),  # without what was cached
        ({"inputTokens": {"total": 21, "cacheRead": 8}, "outputTokens": {"total": 12}}, (13, 12, 8)),
    ],
)
def test_counters_of_every_version_are_read(usage: dict[str, Any], counted: tuple[int, int, int]) -> None:
    document = {**DOCUMENT, "usage": usage, "finishReason": "stop"}
    [found] = exchange(HOST, "/v1/ai/language-model", ASK, dump(document), headers=HEADERS).token_usages
    assert (found.input_tokens, found.output_tokens, found.cache_read_input_tokens) == counted


@pytest.mark.parametrize("usage", [{}, {"inputTokens": None}, {"inputTokens": {}, "outputTokens": {}}])
def test_counters_that_count_nothing_leave_the_usage_unknown(usage: Any) -> None:
    assert exchange(HOST, PATH, ASK, dump({**DOCUMENT, "usage": usage}), headers=HEADERS).token_usages == []


@pytest.mark.parametrize(
    "output",
    [{"type": "text", "value": "one"}, {"type": "json", "value": {"a": 1}}, {"type": "error-text", "value": "x"}],
)
def test_results_of_tools_continue_the_thread(output: dict[str, Any]) -> None:
    asked = {"role": "assistant", "content": [{**CALL, "input": {"path": "a.txt"}}]}
    result = {"type": "tool-result", "toolCallId": "c1", "toolName": "read", "output": output}
    prompt = [*PROMPT, asked, {"role": "tool", "content": [result]}]
    record = exchange(HOST, PATH, {**ASK, "prompt": prompt}, wire(STREAM), EVENTS, headers=HEADERS)
    assert [found.call_id for found in record.lineage.tool_results] == ["c1"]
    assert record.user_prompts == []


def test_an_error_in_a_stream_fails_it_and_a_call_that_was_begun_is_kept() -> None:
    events = [*STREAM[:12], {"type": "error", "error": {"type": "overloaded_error", "message": "no"}}]
    record = exchange(HOST, PATH, ASK, wire(events), EVENTS, headers=HEADERS)
    assert (record.outcome, record.error_type, record.error_message) == ("failed", "overloaded", "no")
    [tool] = record.tool_usages
    assert (tool.tool, tool.input, tool.metadata) == ("read", '{"path": ', {"partial": True})


def test_the_gateways_own_error_is_told() -> None:
    told = {"error": {"message": "no", "type": "authentication_error"}}
    record = exchange(HOST, PATH, ASK, dump(told), status=401, headers=HEADERS)
    assert (record.outcome, record.error_type, record.error_message) == ("failed", "unauthorized", "no")


@pytest.mark.parametrize("cost", ["inf", "-1", "nan", "1e40", 10**400, "1" * 400, True, None, [], "free"])
def test_a_cost_that_cannot_be_is_none(cost: Any) -> None:
    document = {**DOCUMENT, "providerMetadata": {"gateway": {"cost": cost}}}
    [usage] = exchange(HOST, PATH, ASK, dump(document), headers=HEADERS).token_usages
    assert "cost" not in usage.metadata
