"""Amazon Bedrock Converse."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from aitap.capture.dialects.bedrock_converse_turns import message_turns
from aitap.record import Interception
from tests.capture.framing import EVENT_STREAM, event, exception, exchange
from tests.capture.making import cut, cuts, dump

HOST = "bedrock-runtime.us-gov-west-1.amazonaws.com"
MODEL = "us.anthropic.claude-test-1-v1:0"
ASK = {"messages": [{"role": "user", "content": [{"text": "Say hi"}]}], "inferenceConfig": {"maxTokens": 64}}
USAGE = {
    "inputTokens": 11,
    "outputTokens": 7,
    "totalTokens": 26,
    "cacheReadInputTokens": 5,
    "cacheWriteInputTokens": 3,
    "cacheDetails": [{"ttl": "5m", "inputTokens": 1}, {"ttl": "1h", "inputTokens": 2}],
}
STREAM: list[tuple[str, Any]] = [
    ("messageStart", {"role": "assistant"}),
    *(
        ("contentBlockDelta", {"contentBlockIndex": 0, "delta": {"reasoningContent": part}})
        for part in ({"text": "Let me"}, {"text": " see é"}, {"signature": "c2ln"})
    ),
    ("contentBlockStop", {"contentBlockIndex": 0}),
    ("contentBlockDelta", {"contentBlockIndex": 1, "delta": {"reasoningContent": {"redactedContent": "ZW5j"}}}),
    ("contentBlockStop", {"contentBlockIndex": 1}),
    ("contentBlockDelta", {"contentBlockIndex": 2, "delta": {"text": 'It says "delta":{"text"'}}),
    ("contentBlockDelta", {"contentBlockIndex": 2, "delta": {"text": " 你好"}}),
    ("contentBlockStop", {"contentBlockIndex": 2}),
    ("contentBlockStart", {"contentBlockIndex": 3, "start": {"toolUse": {"toolUseId": "t1", "name": "read"}}}),
    *(
        ("contentBlockDelta", {"contentBlockIndex": 3, "delta": {"toolUse": {"input": part}}})
        for part in ("", '{"path": ', '"a.txt"}')
    ),
    ("contentBlockStop", {"contentBlockIndex": 3}),
    ("contentBlockStart", {"contentBlockIndex": 4, "start": {"toolUse": {"toolUseId": "t2", "name": "list"}}}),
    ("contentBlockDelta", {"contentBlockIndex": 4, "delta": {"toolUse": {"input": "{}"}}}),
    ("contentBlockStop", {"contentBlockIndex": 4}),
    ("messageStop", {"stopReason": "tool_use"}),
    ("metadata", {"usage": USAGE, "metrics": {"latencyMs": 900}}),
]


def converse(body: Any, response: Any, **more: Any) -> Interception:
    return exchange(HOST, f"/model/{MODEL}/converse", body, dump(response), **more)


def stream(pieces: list[bytes], body: Any = ASK, **more: Any) -> Interception:
    return exchange(HOST, f"/model/{MODEL}/converse-stream", body, pieces, EVENT_STREAM, **more)


def frames(events: list[tuple[str, Any]]) -> list[bytes]:
    return [event(kind, {**payload, "p": "abc"}) for kind, payload in events]


def answer(*content: Any, stop: str = "end_turn", **more: Any) -> dict[str, Any]:
    message = {"role": "assistant", "content": list(content)}
    return {"output": {"message": message}, "stopReason": stop, "usage": USAGE, "metrics": {"latencyMs": 900}, **more}


def usage(record: Interception) -> Any:
    [found] = record.token_usages
    counts = (found.input_tokens, found.output_tokens, found.cache_read_input_tokens, found.cache_write_input_tokens)
    return counts, found.metadata


COUNTED = (
    (11, 7, 5, 3),
    {"totalTokens": 26, "cache_ephemeral_5m_input": 1, "cache_ephemeral_1h_input": 2, "latencyMs": 900},
)


def test_an_answer_gives_tools_thoughts_and_usage() -> None:
    record = converse(
        ASK,
        answer(
            {"reasoningContent": {"reasoningText": {"text": "Let me see", "signature": "c2ln"}}},
            {"reasoningContent": {"redactedContent": "ZW5j"}},
            {"text": "It is"},
            {"toolUse": {"toolUseId": "t1", "name": "read", "input": {"path": "a.txt", "n": 1.50}}},
            {"toolUse": {"toolUseId": "t2", "name": "list", "input": {}}},
            stop="tool_use",
        ),
    )
    assert (record.api, record.provider, record.model) == ("bedrock.converse", "bedrock", MODEL)
    assert (record.outcome, record.stop_reason, record.streaming) == ("completed", "tool_use", False)
    assert [prompt.prompt for prompt in record.user_prompts] == ["Say hi"]
    assert [(tool.tool, tool.input, tool.provider_tool_call_id, tool.kind) for tool in record.tool_usages] == [
        ("read", '{"path":"a.txt","n":1.5}', "t1", "function"),
        ("list", "{}", "t2", "function"),
    ]
    assert [(item.content, item.metadata) for item in record.model_thoughts] == [("Let me see", {"source": "thinking"})]
    assert record.metadata["hidden_thoughts"] == 1
    assert usage(record) == COUNTED


@given(st.data())
def test_a_stream_gives_the_same_facts_for_any_split(data: st.DataObject) -> None:
    wire = b"".join(frames(STREAM))
    record = stream(cut(wire, data.draw(cuts(len(wire)))))

    assert (record.outcome, record.stop_reason, record.streaming) == ("completed", "tool_use", True)
    assert [(tool.tool, tool.input, tool.provider_tool_call_id) for tool in record.tool_usages] == [
        ("read", '{"path": "a.txt"}', "t1"),
        ("list", "{}", "t2"),
    ]
    assert [item.content for item in record.model_thoughts] == ["Let me see é"]
    assert record.metadata["hidden_thoughts"] == 1
    assert usage(record) == COUNTED
    assert record.time_to_first_token == 1.0


@given(st.integers(0, len(STREAM) - 3))
def test_a_stream_without_message_stop_is_no_clean_end_and_keeps_what_was_read(length: int) -> None:
    record = stream(frames(STREAM[:length]))
    assert (record.outcome, record.token_usages) == ("failed", [])
    assert [tool.tool for tool in record.tool_usages] == ["read", "list"][: (length > 10) + (length > 15)]


def test_a_tool_call_that_was_cut_is_partial() -> None:
    [tool] = stream(frames(STREAM[:13])).tool_usages
    assert (tool.input, tool.metadata) == ('{"path": ', {"partial": True})


@pytest.mark.parametrize(
    ("kind", "error_type"),
    [("throttlingException", "rate_limited"), ("modelStreamErrorException", "server_error")],
)
def test_an_exception_in_the_stream_fails_the_record(kind: str, error_type: str) -> None:
    record = stream([*frames(STREAM[:9]), exception(kind, "It broke")])
    assert (record.outcome, record.error_type, record.error_message) == ("failed", error_type, "It broke")


def test_an_error_instead_of_an_answer_is_told_by_its_status() -> None:
    record = converse(ASK, {"message": "Too many requests"}, status=429)
    assert (record.outcome, record.error_type) == ("failed", "rate_limited")
    assert record.error_message == "Too many requests"


@pytest.mark.parametrize("reason", ["guardrail_intervened", "content_filtered", "max_tokens", "malformed_tool_use"])
def test_whatever_stopped_the_model_the_answer_is_complete(reason: str) -> None:
    record = converse(ASK, answer({"text": "Sorry"}, stop=reason))
    assert (record.outcome, record.stop_reason) == ("completed", reason)
    streamed = stream(frames([("messageStart", {}), ("messageStop", {"stopReason": reason})]))
    assert (streamed.outcome, streamed.stop_reason) == ("completed", reason)


def test_a_prompt_router_says_which_model_answered() -> None:
    trace = {"promptRouter": {"invokedModelId": "amazon.nova-test-v1:0"}}
    assert converse(ASK, answer(trace=trace)).response_model == "amazon.nova-test-v1:0"
    streamed = stream(frames([("messageStop", {"stopReason": "end_turn"}), ("metadata", {"trace": trace})]))
    assert streamed.response_model == "amazon.nova-test-v1:0"


def test_what_else_the_price_depends_on_stands_with_the_tokens() -> None:
    """Amazon, "Service tiers", "Latency-optimized inference"."""
    served = {"serviceTier": {"type": "priority"}, "performanceConfig": {"latency": "optimized"}}
    events = [("messageStop", {"stopReason": "end_turn"}), ("metadata", {"usage": USAGE, **served})]
    for found in (converse(ASK, answer({"text": "hi"}, **served)), stream(frames(events))):
        metadata = usage(found)[1]
        assert (metadata["serviceTier"], metadata["speed"]) == ("priority", "optimized")


def test_a_tool_that_ran_at_the_provider_comes_with_its_result() -> None:
    call = {"toolUseId": "s1", "name": "nova_grounding", "type": "server_tool_use", "input": {"q": "x"}}
    result = {"toolUseId": "s1", "status": "error", "content": [{"text": "timed out"}]}
    [tool] = converse(ASK, answer({"toolUse": call}, {"toolResult": result})).tool_usages
    assert (tool.kind, tool.result_status, tool.result_bytes) == ("server", "error", 9)

    events = [
        ("contentBlockStart", {"contentBlockIndex": 0, "start": {"toolUse": {**call, "input": None}}}),
        (
            "contentBlockStart",
            {"contentBlockIndex": 1, "start": {"toolResult": {"toolUseId": "s1", "status": "success"}}},
        ),
        *(
            ("contentBlockDelta", {"contentBlockIndex": 1, "delta": {"toolResult": [part]}})
            for part in ({"text": "four"}, {"json": {"a": 1}})
        ),
        ("messageStop", {"stopReason": "end_turn"}),
    ]
    [streamed] = stream(frames(events)).tool_usages
    assert (streamed.kind, streamed.result_status) == ("server", "ok")
    assert streamed.result_bytes == 4 + len('{"json":{"a":1}}')


def turns(*content: Any) -> dict[str, Any]:
    called = {"role": "assistant", "content": [{"toolUse": {"toolUseId": "t1", "name": "read", "input": {}}}]}
    return {"messages": [*ASK["messages"], called, {"role": "user", "content": list(content)}]}  # type: ignore[misc]


@pytest.mark.parametrize(
    ("said", "status"), [({"status": "success"}, "ok"), ({"status": "error"}, "error"), ({}, "ok")]
)
def test_tool_results_answer_their_calls_and_are_no_prompt(said: dict[str, str], status: str) -> None:
    result = {"toolUseId": "t1", "content": [{"text": "é"}, {"json": {"a": 1}}], **said}
    record = converse(turns({"toolResult": result}), answer({"text": "Done"}))
    [found] = record.lineage.tool_results
    assert (found.call_id, found.status, found.size) == ("t1", status, 2 + len('{"json":{"a":1}}'))
    assert record.user_prompts == []


def test_pictures_and_documents_are_noted_and_guarded_text_counts() -> None:
    content = [
        {"guardContent": {"text": {"text": "What is this?", "qualifiers": ["guard_content"]}}},
        {"image": {"format": "png", "source": {"bytes": "aGVsbG8h"}}},
        {"document": {"format": "pdf", "name": "a", "source": {"s3Location": {"uri": "s3://bucket/a.pdf"}}}},
        {"guardContent": {"image": {"format": "jpeg", "source": {"bytes": "aGVsbG8h"}}}},
        {"searchResult": {"source": "https://example.com/a", "title": "A", "content": [{"text": "About"}]}},
        {"cachePoint": {"type": "default"}},
    ]
    record = converse({"messages": [{"role": "user", "content": content}]}, answer({"text": "A file"}))
    [prompt] = record.user_prompts
    assert prompt.prompt == "What is this?"
    assert prompt.metadata["attachments"] == [
        {"type": "image", "media_type": "image/png", "bytes": 6},
        {"type": "document", "media_type": "pdf", "uri": "s3://bucket/a.pdf"},
        {"type": "image", "media_type": "image/jpeg", "bytes": 6},
        {"type": "search_result", "uri": "https://example.com/a"},
    ]


def test_counting_tokens_is_no_conversation() -> None:
    record = exchange(HOST, f"/model/{MODEL}/count-tokens", {"input": {"converse": ASK}}, dump({"inputTokens": 9}))
    assert (record.outcome, record.purpose, record.token_usages) == ("completed", "auxiliary", [])


def test_a_probe_is_told_by_what_it_asks_for() -> None:
    body = {"messages": [{"role": "user", "content": [{"text": "."}]}], "inferenceConfig": {"maxTokens": 1}}
    assert converse(body, answer({"text": "."})).purpose == "probe"
    tools = {"tools": [{"toolSpec": {"name": "read", "inputSchema": {"json": {}}}}]}
    assert converse({**body, "toolConfig": tools}, answer({"text": "."})).purpose == "conversation"


@pytest.mark.parametrize("body", [b"", b"[]", b"null", b'{"output":5,"stopReason":"x"}', b'{"output":{"message":[]}}'])
def test_an_odd_document_raises_nothing(body: bytes) -> None:
    record = exchange(HOST, f"/model/{MODEL}/converse", ASK, body)
    assert record.outcome in ("completed", "failed")
    assert record.tool_usages == []


@given(st.sampled_from([kind for kind, _ in STREAM]), st.sampled_from([None, 5, [], {"delta": 5}, {"start": []}, "x"]))
def test_an_odd_event_costs_only_itself(kind: str, payload: Any) -> None:
    record = stream([event(kind, payload), *frames(STREAM)])
    assert (record.outcome, len(record.tool_usages)) == ("completed", 2)
    assert usage(record) == COUNTED


def test_what_the_system_says_between_the_turns_is_no_turn_of_the_users() -> None:
    told = {"role": "system", "content": [{"text": "Be brief"}]}
    record = converse({"messages": [*ASK["messages"], told]}, answer({"text": "Hi"}))  # type: ignore[misc]
    assert [prompt.prompt for prompt in record.user_prompts] == ["Say hi"]
    assert [turn.role for turn in message_turns(msgspec.Raw(dump(told)))] == ["system"]
