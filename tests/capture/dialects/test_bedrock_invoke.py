"""Amazon Bedrock InvokeModel."""

from __future__ import annotations

import base64
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aitap.capture.dialects.bedrock_invoke import BedrockInvoke
from aitap.record import Interception
from tests.capture.framing import EVENT_STREAM, chunks, event, exception, exchange
from tests.capture.making import MESSAGES, answers, cut, cuts, dump, message_events, user

HOST = "bedrock-runtime.eu-west-1.amazonaws.com"
MODEL = "anthropic.claude-test-1-v1:0"
ARN = "arn:aws:bedrock:eu-west-1:123456789012:inference-profile/eu.anthropic.claude-test-1-v1:0"
ASK = {"anthropic_version": "bedrock-2023-05-31", "max_tokens": 64, "messages": [user("Say hi")]}
METRICS = {"inputTokenCount": 11, "outputTokenCount": 7, "invocationLatency": 900, "firstByteLatency": 300}


def invoke(body: Any, response: Any, *, model: str = MODEL, **more: Any) -> Interception:
    return exchange(HOST, f"/model/{model}/invoke", body, dump(response), **more)


def stream(body: Any, pieces: list[bytes], *, model: str = MODEL, **more: Any) -> Interception:
    return exchange(HOST, f"/model/{model}/invoke-with-response-stream", body, pieces, EVENT_STREAM, **more)


def with_metrics(events: list[Any], metrics: Any = METRICS) -> list[Any]:
    return [*events[:-1], {**events[-1], "amazon-bedrock-invocationMetrics": metrics}]


def facts(record: Interception) -> tuple[Any, ...]:
    """Model, stop reason, usage and prompt: what every vendor's language has."""
    usage = [(item.input_tokens, item.output_tokens) for item in record.token_usages]
    return record.model, record.stop_reason, usage, [item.prompt for item in record.user_prompts], record.outcome


@pytest.mark.parametrize(
    ("written", "model"),
    [
        (MODEL, MODEL),
        (MODEL.replace(":", "%3A"), MODEL),
        (ARN, ARN),
        (ARN.replace(":", "%3A").replace("/", "%2F"), ARN),
    ],
)
@pytest.mark.parametrize("method", ["invoke", "invoke-with-response-stream"])
def test_the_model_is_what_the_path_asks_for_decoded(written: str, model: str, method: str) -> None:
    record = exchange(HOST, f"/model/{written}/{method}", ASK)
    assert (record.model, record.provider, record.api) == (model, "bedrock", "bedrock.invoke")
    assert record.streaming == (method != "invoke")


def test_a_message_of_anthropic_is_read_as_anthropic_sends_it() -> None:
    answer = {
        "id": "msg_1",
        "type": "message",
        "role": "assistant",
        "model": "claude-test-1",
        "content": [{"type": "tool_use", "id": "toolu_1", "name": "read", "input": {"path": "a.txt"}}],
        "stop_reason": "tool_use",
        "usage": {"input_tokens": 11, "cache_read_input_tokens": 5, "output_tokens": 7},
    }
    record = invoke(ASK, answer, response_headers={"x-amzn-requestid": "req-1"})

    assert facts(record) == (MODEL, "tool_use", [(11, 7)], ["Say hi"], "completed")
    assert record.response_model == "claude-test-1"
    assert record.provider_request_id == "req-1"
    assert record.token_usages[0].cache_read_input_tokens == 5
    assert [(tool.tool, tool.input) for tool in record.tool_usages] == [("read", '{"path":"a.txt"}')]


@given(st.data(), st.booleans())
def test_a_stream_of_anthropic_gives_the_same_facts_for_any_split(data: st.DataObject, blanks: bool) -> None:
    wire = b"".join(chunks(with_metrics(answers(MESSAGES)), blanks=blanks))
    record = stream(ASK, cut(wire, data.draw(cuts(len(wire)))))

    assert facts(record) == (MODEL, "tool_use", [(11, 7)], ["Say hi"], "completed")
    assert [tool.provider_tool_call_id for tool in record.tool_usages] == ["toolu_1", "toolu_2"]
    assert [thought.content for thought in record.model_thoughts] == ["Let me see \u00e9\u2713"]
    assert record.time_to_first_token == 1.0
    [usage] = record.token_usages
    assert usage.metadata == {"cache_read_input": 5, "invocationLatency": 900, "firstByteLatency": 300}


def test_where_the_events_carry_no_usage_the_metrics_do() -> None:
    events = message_events(usage={}, delta_usage={})
    record = stream(ASK, chunks(with_metrics(events, {**METRICS, "cacheReadInputTokenCount": 3})))
    [usage] = record.token_usages
    assert (usage.input_tokens, usage.output_tokens, usage.cache_read_input_tokens) == (11, 7, 3)


@given(st.data())
def test_a_stream_without_message_stop_is_no_clean_end(data: st.DataObject) -> None:
    frames = chunks(answers(MESSAGES))
    record = stream(ASK, frames[: data.draw(st.integers(1, len(frames) - 1))])
    assert record.outcome == "failed"
    assert record.error_message == "the event stream ended before its last event"
    assert all(usage.metadata["partial"] for usage in record.token_usages)


def test_a_stream_that_the_client_left_is_cancelled() -> None:
    record = stream(ASK, chunks(answers(MESSAGES))[:3], failure="Client disconnected.", cancelled=True)
    assert record.outcome == "cancelled"


def test_a_broken_frame_fails_the_record_with_what_was_read_before_it() -> None:
    frames = chunks(message_events([({"type": "text", "text": ""}, [])]))
    record = stream(ASK, [*frames[:-1], frames[-1][:-1] + b"\0"])
    assert facts(record) == (MODEL, "end_turn", [(11, 7)], ["Say hi"], "failed")
    assert record.error_message == "the event stream is broken: the checksum of a frame is wrong"


@pytest.mark.parametrize(
    ("kind", "error_type"),
    [
        ("throttlingException", "rate_limited"),
        ("modelTimeoutException", "timeout"),
        ("serviceUnavailableException", "overloaded"),
        ("internalServerException", "server_error"),
        ("modelStreamErrorException", "server_error"),
        ("validationException", "bad_request"),
    ],
)
def test_an_exception_in_the_stream_fails_the_record(kind: str, error_type: str) -> None:
    record = stream(ASK, [*chunks(answers(MESSAGES))[:3], exception(kind, "It broke")])
    assert (record.outcome, record.error_type, record.error_message) == ("failed", error_type, "It broke")
    assert record.status_code == 200


@pytest.mark.parametrize(
    ("status", "body", "error_type", "message"),
    [
        (429, {"message": "Too many tokens"}, "rate_limited", "Too many tokens"),
        (403, {"Message": "Not authorized"}, "unauthorized", "Not authorized"),
        (424, {"message": "The model failed", "originalStatusCode": 500}, "server_error", "The model failed"),
        (400, {"message": "max_tokens: required"}, "bad_request", "max_tokens: required"),
    ],
)
def test_an_error_instead_of_an_answer_keeps_the_prompt(
    status: int, body: dict[str, Any], error_type: str, message: str
) -> None:
    record = invoke(ASK, body, status=status)
    assert (record.outcome, record.error_type, record.error_message) == ("failed", error_type, message)
    assert [prompt.prompt for prompt in record.user_prompts] == ["Say hi"]


CALL = {"id": "call_1", "type": "function", "function": {"name": "read", "arguments": '{"path": "a"}'}}
CHAT_ASK = {"messages": [{"role": "system", "content": "Be kind"}, user("Say hi")], "max_completion_tokens": 9}
NOVA_ASK = {"schemaVersion": "messages-v1", "messages": [{"role": "user", "content": [{"text": "Say hi"}]}]}
VENDORS: dict[str, tuple[str, Any, Any, str]] = {
    "nova": (
        "amazon.nova-test-v1:0",
        NOVA_ASK,
        {
            "output": {"message": {"role": "assistant", "content": [{"text": "Hi"}]}},
            "stopReason": "end_turn",
            "usage": {"inputTokens": 11, "outputTokens": 7, "totalTokens": 18, "cacheReadInputTokenCount": 0},
        },
        "end_turn",
    ),
    "llama": (
        "meta.llama-test-v1:0",
        {"prompt": "Say hi", "max_gen_len": 9},
        {"generation": "Hi", "prompt_token_count": 11, "generation_token_count": 7, "stop_reason": "stop"},
        "stop",
    ),
    "titan": (
        "amazon.titan-test",
        {"inputText": "Say hi", "textGenerationConfig": {"maxTokenCount": 9}},
        {
            "inputTextTokenCount": 11,
            "results": [{"tokenCount": 7, "outputText": "Hi", "completionReason": "FINISH"}],
        },
        "FINISH",
    ),
    "gpt-oss": (
        "openai.gpt-oss-test-1:0",
        CHAT_ASK,
        {
            "id": "chatcmpl-1",
            "model": "openai.gpt-oss-test-1:0",
            "choices": [{"index": 0, "message": {"content": "Hi"}, "finish_reason": "stop"}],
            "usage": {"prompt_tokens": 11, "completion_tokens": 7, "total_tokens": 18},
        },
        "stop",
    ),
}
COUNTED_IN_HEADERS: dict[str, tuple[str, Any, Any, str]] = {
    "mistral": (
        "mistral.mistral-test-v0:2",
        {"prompt": "Say hi", "max_tokens": 9},
        {"outputs": [{"text": "Hi", "stop_reason": "stop"}]},
        "stop",
    ),
    "mistral chat": (
        "mistral.mistral-large-test-v1:0",
        CHAT_ASK,
        {"choices": [{"index": 0, "message": {"role": "assistant", "content": "Hi"}, "stop_reason": "stop"}]},
        "stop",
    ),
    "cohere": (
        "cohere.command-test-v1:0",
        {"message": "Say hi", "chat_history": []},
        {"text": "Hi", "generation_id": "g1", "finish_reason": "COMPLETE"},
        "COMPLETE",
    ),
    "deepseek": (
        "us.deepseek.test-v1:0",
        {"prompt": "Say hi"},
        {"choices": [{"text": "Hi", "stop_reason": "stop"}]},
        "stop",
    ),
}


@pytest.mark.parametrize("vendor", VENDORS)
def test_other_vendors_usage_is_in_the_body(vendor: str) -> None:
    model, body, answer, stop = VENDORS[vendor]
    assert facts(invoke(body, answer, model=model)) == (model, stop, [(11, 7)], ["Say hi"], "completed")


@pytest.mark.parametrize("vendor", COUNTED_IN_HEADERS)
def test_where_the_body_counts_nothing_the_headers_do(vendor: str) -> None:
    model, body, answer, stop = COUNTED_IN_HEADERS[vendor]
    headers = {
        "x-amzn-bedrock-input-token-count": "11",
        "x-amzn-bedrock-output-token-count": "7",
        "x-amzn-bedrock-cache-read-input-token-count": "3",
        "x-amzn-bedrock-cache-write-input-token-count": "2",
    }
    record = invoke(body, answer, model=model, response_headers=headers)
    assert facts(record) == (model, stop, [(11, 7)], ["Say hi"], "completed")
    assert record.token_usages[0].cache_read_input_tokens == 3
    assert record.token_usages[0].cache_write_input_tokens == 2


@pytest.mark.parametrize(("read", "written"), [("many", "-1"), ("", " "), ("9" * 5000, "\u0661")])
def test_no_counter_anywhere_is_no_usage(read: str, written: str) -> None:
    model, body, answer, _ = COUNTED_IN_HEADERS["mistral"]
    headers = {"x-amzn-bedrock-input-token-count": read, "x-amzn-bedrock-output-token-count": written}
    assert invoke(body, answer, model=model, response_headers=headers).token_usages == []


STREAMS: dict[str, tuple[list[Any], str]] = {
    "nova": (
        [
            {"messageStart": {"role": "assistant"}},
            {"contentBlockDelta": {"delta": {"text": "Hi"}, "contentBlockIndex": 0}},
            {"contentBlockStop": {"contentBlockIndex": 0}},
            {"messageStop": {"stopReason": "end_turn"}},
            {"metadata": {"usage": {"inputTokens": 11, "outputTokens": 7}, "metrics": {}}},
        ],
        "end_turn",
    ),
    "llama": (
        [
            {"generation": "H", "prompt_token_count": 11, "generation_token_count": 1, "stop_reason": None},
            {"generation": "i", "prompt_token_count": None, "generation_token_count": 7, "stop_reason": "stop"},
        ],
        "stop",
    ),
    "titan": (
        [
            {"outputText": "Hi", "index": 0, "totalOutputTextTokenCount": 7, "completionReason": "FINISH"}
            | {"inputTextTokenCount": 11}
        ],
        "FINISH",
    ),
    "gpt-oss": (
        [
            {"id": "c1", "choices": [{"index": 0, "delta": {"content": "Hi"}, "finish_reason": None}]},
            {"id": "c1", "choices": [{"index": 0, "delta": {"tool_calls": [{"index": 0} | CALL]}}]},
            {"id": "c1", "choices": [{"index": 0, "delta": {}, "finish_reason": "tool_calls"}]},
        ],
        "tool_calls",
    ),
    "mistral": ([{"outputs": [{"text": "Hi", "stop_reason": None}]}, {"outputs": [{"stop_reason": "stop"}]}], "stop"),
}


@pytest.mark.parametrize("vendor", STREAMS)
def test_streams_of_other_vendors_end_with_their_usage(vendor: str) -> None:
    events, stop = STREAMS[vendor]
    model, body, *_ = {**VENDORS, **COUNTED_IN_HEADERS}[vendor]
    record = stream(body, chunks(with_metrics(events)), model=model)
    assert facts(record) == (model, stop, [(11, 7)], ["Say hi"], "completed")
    assert record.time_to_first_token == 1.0
    assert [tool.tool for tool in record.tool_usages] == (["read"] if stop == "tool_calls" else [])


@pytest.mark.parametrize("vendor", STREAMS)
def test_a_cut_stream_of_another_vendor_is_no_clean_end(vendor: str) -> None:
    events, _ = STREAMS[vendor]
    record = stream({"prompt": "Say hi"}, chunks(events[:-1])[:1] if len(events) > 1 else [])
    assert record.outcome == "failed"


def test_nova_calls_tools_as_converse_does() -> None:
    ask = {**NOVA_ASK, "messages": [{"role": "user", "content": [{"toolResult": RESULT}]}]}
    events = [
        {"contentBlockStart": {"start": {"toolUse": {"toolUseId": "t2", "name": "read"}}, "contentBlockIndex": 0}},
        {"contentBlockDelta": {"delta": {"toolUse": {"input": '{"path":"a"}'}}, "contentBlockIndex": 0}},
        {"contentBlockStop": {"contentBlockIndex": 0}},
        {"messageStop": {"stopReason": "tool_use"}},
    ]
    record = stream(ask, chunks(events), model="amazon.nova-test-v1:0")
    assert [(tool.tool, tool.input) for tool in record.tool_usages] == [("read", '{"path":"a"}')]
    assert [(result.call_id, result.status) for result in record.lineage.tool_results] == [("t1", "error")]
    assert record.user_prompts == []


RESULT = {"toolUseId": "t1", "status": "error", "content": [{"text": "no such file"}]}


def test_an_embedding_is_counted_and_is_no_conversation() -> None:
    record = invoke(
        {"inputText": "some text"},
        {"embedding": [0.1, 0.2], "inputTextTokenCount": 3},
        model="amazon.titan-embed-text-v2:0",
    )
    assert (record.outcome, record.purpose, record.user_prompts) == ("completed", "auxiliary", [])
    assert record.token_usages[0].input_tokens == 3


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b'"x"', b'{"messages": 5}', b'{"anthropic_version": 1}'])
def test_a_body_that_is_none_still_gives_the_model(body: bytes) -> None:
    facts = BedrockInvoke().request(body, f"/model/{MODEL}/invoke")
    assert (facts.model, facts.newest) == (MODEL, [])


@given(st.one_of(st.binary(max_size=40), st.sampled_from([b"{}", b"[]", b'{"bytes":1}', b'{"bytes":"!"}'])))
def test_a_chunk_that_is_none_costs_only_itself(payload: bytes) -> None:
    odd = [event("chunk", {"bytes": base64.b64encode(payload).decode()}), event("chunk", {"bytes": 5})]
    frames = chunks(message_events())
    record = stream(ASK, [*frames[:1], *odd, *frames[1:]])
    assert facts(record) == (MODEL, "end_turn", [(11, 7)], ["Say hi"], "completed")


def test_the_tier_that_served_an_answer_stands_with_its_tokens() -> None:
    """Amazon, "InvokeModel": response headers."""
    model, body, answer, _ = COUNTED_IN_HEADERS["mistral"]
    headers = {
        "x-amzn-bedrock-input-token-count": "11",
        "x-amzn-bedrock-service-tier": "flex",
        "x-amzn-bedrock-performanceconfig-latency": "x" * 100,
    }
    [usage] = invoke(body, answer, model=model, response_headers=headers).token_usages
    assert (usage.metadata.get("serviceTier"), usage.metadata.get("speed")) == ("flex", None)


COHERE = {"generation_id": "g1", "text": "I will", "finish_reason": "COMPLETE"}
COHERE_CALLS = [{"name": "read", "parameters": {"path": "a.txt"}}]


def test_coheres_command_is_coheres_older_chat() -> None:
    body = {"message": "Say hi", "chat_history": [{"role": "USER", "message": "No"}], "tools": [{"name": "read"}]}
    answer = {**COHERE, "tool_calls": COHERE_CALLS}
    events: list[Any] = [
        {"is_finished": False, "event_type": "text-generation", "text": "I will"},
        {"is_finished": False, "event_type": "tool-calls-generation", "tool_calls": COHERE_CALLS},
        {"is_finished": True, "event_type": "stream-end", "finish_reason": "COMPLETE", "response": answer},
    ]
    headers = {"x-amzn-bedrock-input-token-count": "11", "x-amzn-bedrock-output-token-count": "7"}
    model = "cohere.command-test-v1:0"
    for record in (
        invoke(body, answer, model=model, response_headers=headers),
        stream(body, chunks(with_metrics(events)), model=model),
    ):
        assert facts(record) == (model, "COMPLETE", [(11, 7)], ["Say hi"], "completed")
        assert [(tool.tool, tool.input) for tool in record.tool_usages] == [("read", '{"path":"a.txt"}')]


@pytest.mark.parametrize(
    "body",
    [
        {"inputText": "Say hi"},
        {"inputText": "Say hi", "dimensions": 256, "normalize": True},
        {"texts": ["Say hi"], "input_type": "search_document"},
        {"taskType": "SINGLE_EMBEDDING", "singleEmbeddingParams": {"text": {"value": "Say hi"}}},
    ],
)
def test_vectors_are_nobodys_conversation_where_the_path_does_not_say_so(body: dict[str, Any]) -> None:
    profile = "arn%3Aaws%3Abedrock%3Aeu-west-1%3A123456789012%3Aapplication-inference-profile%2Fabc"
    record = invoke(body, {"embedding": [0.1], "inputTextTokenCount": 3}, model=profile)
    assert (record.purpose, record.metadata["purpose_reason"], record.user_prompts) == ("auxiliary", "embedding", [])
    assert record.outcome == "completed"


@pytest.mark.parametrize("blanks", [True, False])
def test_what_a_guardrail_says_instead_of_the_model_is_whole(blanks: bool) -> None:
    said = {"outputText": "No", "index": 0, "totalOutputTextTokenCount": 3, "inputTextTokenCount": 6}
    guarded = {**said, "amazon-bedrock-guardrailAction": "INTERVENED"}
    body = {"inputText": "Say hi", "textGenerationConfig": {}}
    record = stream(body, chunks([guarded], blanks=blanks), model="amazon.titan-test")
    assert facts(record) == ("amazon.titan-test", "guardrail_intervened", [(6, 3)], ["Say hi"], "completed")
