"""Google's Interactions."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aitap.record import Interception
from tests.capture.exchanges import ended
from tests.capture.framing import exchange
from tests.capture.making import cut, cuts, dump

HOST, PATH = "generativelanguage.googleapis.com", "/v1beta/interactions"
EVENTS = "text/event-stream"
ASK = {"model": "gemini-test", "stream": True, "system_instruction": "Be kind", "input": "Say hi"}
USAGE = {
    "total_input_tokens": 21,
    "total_cached_tokens": 8,
    "total_output_tokens": 12,
    "total_thought_tokens": 4,
    "total_tool_use_tokens": 3,
    "total_tokens": 40,
    "input_tokens_by_modality": [{"modality": "text", "tokens": 21}],
    "grounding_tool_count": [{"type": "google_search", "count": 2}],
}
HEAD = {"id": "int_1", "model": "gemini-test", "object": "interaction"}


def step(kind: str, index: int, **more: Any) -> dict[str, Any]:
    return {"event_type": f"step.{kind}", "index": index, "event_id": "x", **more}


STREAM: list[dict[str, Any]] = [
    {"event_type": "interaction.created", "interaction": {**HEAD, "status": "in_progress"}},
    {"event_type": "interaction.status_update", "interaction_id": "int_1", "status": "in_progress"},
    step("start", 0, step={"type": "thought"}),
    step("delta", 0, delta={"type": "thought_summary", "content": {"type": "text", "text": "Let me"}}),
    step("delta", 0, delta={"type": "thought_summary", "content": {"type": "text", "text": " see é"}}),
    step("delta", 0, delta={"type": "thought_signature", "signature": "c2ln"}),
    step("stop", 0),
    step("start", 1, step={"type": "google_search_call", "id": "s1", "arguments": {}}),
    step("delta", 1, delta={"type": "google_search_call", "arguments": {"queries": ["x"]}}),
    step("stop", 1),
    step("start", 2, step={"type": "google_search_result", "call_id": "s1", "result": []}),
    step("delta", 2, delta={"type": "google_search_result", "result": [{"a": 1}], "is_error": False}),
    step("stop", 2),
    step("start", 3, step={"type": "model_output"}),
    step("delta", 3, delta={"type": "text", "text": "It is 你好"}),
    step("stop", 3),
    step("start", 4, step={"type": "function_call", "id": "c1", "name": "read", "arguments": {}}),
    step("delta", 4, delta={"type": "arguments_delta", "arguments": '{"path":'}),
    step("delta", 4, delta={"type": "arguments_delta", "arguments": '"a.txt"}'}),
    step("stop", 4),
    step(
        "start",
        5,
        step={"type": "mcp_server_tool_call", "id": "m1", "name": "list", "server_name": "files", "arguments": {}},
    ),
    step("stop", 5),
    {"event_type": "interaction.completed", "interaction": {**HEAD, "status": "requires_action", "usage": USAGE}},
]
STEPS = [
    {"type": "user_input", "content": [{"type": "text", "text": "Say hi"}]},
    {"type": "thought", "summary": [{"type": "text", "text": "Let me see é"}], "signature": "c2ln"},
    {"type": "google_search_call", "id": "s1", "arguments": {"queries": ["x"]}},
    {"type": "google_search_result", "call_id": "s1", "result": [{"a": 1}]},
    {"type": "model_output", "content": [{"type": "text", "text": "It is 你好"}]},
    {"type": "function_call", "id": "c1", "name": "read", "arguments": {"path": "a.txt"}},
    {"type": "mcp_server_tool_call", "id": "m1", "name": "list", "server_name": "files", "arguments": {}},
]


def wire(events: list[dict[str, Any]]) -> bytes:
    named = b"".join(b"event: %s\ndata: %s\n\n" % (event["event_type"].encode(), dump(event)) for event in events)
    return named + b"event: done\ndata: [DONE]\n\n"


def said(record: Interception) -> None:
    """What both forms of the answer say."""
    assert (record.api, record.provider, record.outcome) == ("google.interactions", "google", "completed")
    assert (record.stop_reason, record.response_model) == ("requires_action", "gemini-test")
    [usage] = record.token_usages
    assert (usage.input_tokens, usage.output_tokens, usage.cache_read_input_tokens) == (16, 16, 8)
    assert usage.provider_response_id == "int_1"
    assert usage.metadata["input_tokens_by_modality.text"] == 21
    assert usage.metadata["grounding_tool_count.google_search"] == 2
    assert "partial" not in usage.metadata
    assert [(tool.tool, tool.kind, tool.input, tool.result_status) for tool in record.tool_usages] == [
        ("google_search", "server", '{"queries":["x"]}', "ok"),
        ("read", "function", '{"path":"a.txt"}', None),
        ("list", "mcp", "{}", None),
    ]
    assert record.tool_usages[2].metadata == {"server_label": "files"}
    assert [thought.content for thought in record.model_thoughts] == ["Let me see é"]


@settings(max_examples=30)
@given(st.data(), st.booleans())
def test_a_stream_gives_the_same_facts_for_any_split_and_version(data: st.DataObject, old: bool) -> None:
    body = wire(STREAM)
    if old:  # as the first versions named it
        for new, name in ((b"step", b"content"), (b"interaction.created", b"interaction.start")):
            body = body.replace(new, name)
        body = body.replace(b"interaction.completed", b"interaction.complete")
    record = exchange(HOST, PATH, ASK, cut(body, data.draw(cuts(len(body)))), EVENTS)
    said(record)
    assert (record.model, record.streaming, record.time_to_first_token) == ("gemini-test", True, 1.0)
    assert [prompt.prompt for prompt in record.user_prompts] == ["Say hi"]


@pytest.mark.parametrize("name", ["steps", "outputs"])
def test_one_document_gives_the_same_facts(name: str) -> None:
    answer = {**HEAD, "status": "requires_action", "usage": USAGE, name: STEPS}
    said(exchange(HOST, PATH, {**ASK, "stream": False}, dump(answer)))


def test_an_interaction_that_is_not_kept_has_no_id() -> None:
    answer = {"status": "completed", "object": "interaction", "model": "gemini-test", "usage": USAGE, "steps": STEPS}
    record = exchange(HOST, PATH, {**ASK, "stream": False, "store": False}, dump(answer))
    assert (record.outcome, record.stop_reason, len(record.tool_usages)) == ("completed", "completed", 3)
    assert record.token_usages[0].input_tokens == 16


@pytest.mark.parametrize(
    "given_",
    [
        "Say hi",
        {"type": "text", "text": "Say hi"},
        [{"type": "text", "text": "Say hi"}, {"type": "image", "mime_type": "image/png", "data": "AAAA"}],
        [STEPS[5], {"type": "user_input", "content": [{"type": "text", "text": "Say hi"}]}],
        [{"role": "user", "content": "No"}, {"role": "model", "content": "Yes"}, {"role": "user", "content": "Say hi"}],
    ],
)
def test_the_prompt_is_found_in_every_form_of_input(given_: Any) -> None:
    record = exchange(HOST, PATH, {"agent": "deep-research-test", "input": given_})
    assert [prompt.prompt for prompt in record.user_prompts] == ["Say hi"]
    assert record.model == "deep-research-test"


def test_results_of_functions_continue_the_thread() -> None:
    result = {"type": "function_result", "call_id": "c1", "name": "read", "result": "no", "is_error": True}
    record = exchange(HOST, PATH, {**ASK, "input": [result], "previous_interaction_id": "int_1"}, wire(STREAM), EVENTS)
    assert [(found.call_id, found.status) for found in record.lineage.tool_results] == [("c1", "error")]
    assert (record.lineage.previous_response_id, record.user_prompts) == ("int_1", [])


def test_an_interaction_that_failed_fails_the_record() -> None:
    failed = {"event_type": "interaction.completed", "interaction": {**HEAD, "status": "failed", "usage": USAGE}}
    assert exchange(HOST, PATH, ASK, wire([*STREAM[:6], failed]), EVENTS).outcome == "failed"
    error = {"event_type": "error", "error": {"code": "resource_exhausted", "message": "too much"}}
    record = exchange(HOST, PATH, ASK, wire([STREAM[0], error]), EVENTS)
    assert (record.outcome, record.error_message, record.error_type) == ("failed", "too much", "rate_limited")


@given(st.integers(0, len(STREAM) - 1))
def test_a_stream_without_its_end_is_no_clean_end(length: int) -> None:
    record = exchange(HOST, PATH, ASK, wire(STREAM[:length]), EVENTS)
    assert (record.outcome, record.token_usages) == ("failed", [])


@settings(max_examples=80)
@given(st.integers(0, len(STREAM) - 1), st.sampled_from([None, 5, "x", [], {}, [None], True, -1]), st.data())
def test_an_odd_member_never_raises(place: int, odd: Any, data: st.DataObject) -> None:
    event = STREAM[place]
    inner = next((name for name in ("step", "delta", "interaction") if isinstance(event.get(name), dict)), None)
    if inner and data.draw(st.booleans()):
        changed = {**event, inner: {**event[inner], data.draw(st.sampled_from(sorted(event[inner]))): odd}}
    else:
        changed = {**event, data.draw(st.sampled_from(sorted(event))): odd}
    body = b"".join(b"data: %s\n\n" % dump(each) for each in [*STREAM[:place], changed, *STREAM[place + 1 :]])
    ended(exchange(HOST, PATH, {**ASK, "input": odd, "generation_config": odd, "tools": odd}, body, EVENTS))
    ended(
        exchange(HOST, PATH, ASK, dump({**HEAD, "status": odd, "steps": [odd, STEPS[1], {"type": odd}], "usage": odd}))
    )
