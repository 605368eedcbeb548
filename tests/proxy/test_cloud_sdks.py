"""The SDKs of other clouds and model servers: boto3, Anthropic's for Bedrock, OpenAI's for Azure, Ollama, Mistral."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import anthropic
import boto3
import botocore.config
import botocore.exceptions
import ollama
import openai
import pytest
from mistralai.client import Mistral

from tests.capture.framing import EVENT_STREAM, chunks, event, exception
from tests.proxy.mitmdump import Mitmdump
from tests.proxy.upstream import Handler, Upstream, answer, in_turn
from tests.proxy.wire import GPT, chat_json, chat_sse, message_json, response_sse

KEY_ID = "AKIANOTAREALKEY00000"
SECRET = "not-a-real-secret-key-0123456789abcdefgh"
BEARER = "ABSKbm90LWEtcmVhbC1rZXktMDEyMzQ1Njc4OQ=="
REGION = "eu-west-1"
HOST = f"bedrock-runtime.{REGION}.amazonaws.com"
MODEL = "eu.anthropic.claude-test-1-v1:0"
ARN = f"arn:aws:bedrock:{REGION}:123456789012:inference-profile/{MODEL}"
TEXT = "Gr\u00fc\u00dfe, Welt"
ASK = {"anthropic_version": "bedrock-2023-05-31", "max_tokens": 64, "messages": [{"role": "user", "content": "Say hi"}]}
CONVERSE = {"modelId": ARN, "messages": [{"role": "user", "content": [{"text": "Say hi"}]}]}
USAGE = {"inputTokens": 11, "outputTokens": 7, "totalTokens": 18}
METRICS = {"inputTokenCount": 11, "outputTokenCount": 7, "invocationLatency": 90, "firstByteLatency": 30}


@pytest.fixture(autouse=True)
def _environment(proxy: Mitmdump, monkeypatch: pytest.MonkeyPatch) -> None:
    """What a user sets; and credentials of nobody's."""
    monkeypatch.setenv("HTTPS_PROXY", proxy.url)
    for name in ("SSL_CERT_FILE", "AWS_CA_BUNDLE", "REQUESTS_CA_BUNDLE"):
        monkeypatch.setenv(name, str(proxy.certificate))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")


def bedrock() -> Any:
    return boto3.client(
        "bedrock-runtime",
        region_name=REGION,
        aws_access_key_id=KEY_ID,
        aws_secret_access_key=SECRET,
        config=botocore.config.Config(retries={"total_max_attempts": 1}),
    )


def framed(frames: list[bytes]) -> Handler:
    return answer(b"".join(frames), EVENT_STREAM, chunked=True)


def message_frames() -> list[bytes]:
    start = {"id": "msg_1", "model": "claude-test-1", "usage": {"input_tokens": 11, "output_tokens": 1}}
    return chunks(
        [
            {"type": "message_start", "message": {"type": "message", "role": "assistant", "content": [], **start}},
            {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}},
            {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": TEXT}},
            {"type": "content_block_stop", "index": 0},
            {"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": {"output_tokens": 7}},
            {"type": "message_stop", "amazon-bedrock-invocationMetrics": METRICS},
        ]
    )


def converse_json(*content: Any, stop: str = "end_turn") -> bytes:
    message = {"role": "assistant", "content": list(content)}
    return json.dumps({"output": {"message": message}, "stopReason": stop, "usage": USAGE, "metrics": {}}).encode()


CONVERSE_FRAMES = [
    event("messageStart", {"role": "assistant"}),
    event("contentBlockDelta", {"contentBlockIndex": 0, "delta": {"text": TEXT}}),
    event("contentBlockStop", {"contentBlockIndex": 0}),
    event("messageStop", {"stopReason": "end_turn"}),
    event("metadata", {"usage": USAGE, "metrics": {"latencyMs": 90}}),
]


def invoke() -> str:
    body = bedrock().invoke_model(modelId=ARN, body=json.dumps(ASK))["body"].read()
    return json.loads(body)["content"][0]["text"]


def invoke_stream() -> str:
    stream = bedrock().invoke_model_with_response_stream(modelId=ARN, body=json.dumps(ASK))["body"]
    events = [json.loads(part["chunk"]["bytes"]) for part in stream]
    return "".join(item["delta"].get("text", "") for item in events if item["type"] == "content_block_delta")


def converse() -> str:
    return bedrock().converse(**CONVERSE)["output"]["message"]["content"][0]["text"]


def converse_stream() -> str:
    stream = bedrock().converse_stream(**CONVERSE)["stream"]
    return "".join(part["contentBlockDelta"]["delta"]["text"] for part in stream if "contentBlockDelta" in part)


def anthropic_bedrock(**more: Any) -> anthropic.AnthropicBedrock:
    return anthropic.AnthropicBedrock(
        aws_access_key=KEY_ID, aws_secret_key=SECRET, aws_region=REGION, max_retries=0, **more
    )


ASK_ANTHROPIC: dict[str, Any] = {"model": ARN, "max_tokens": 64, "messages": ASK["messages"]}


def anthropic_create() -> str:
    return anthropic_bedrock().messages.create(**ASK_ANTHROPIC).content[0].text


def anthropic_stream() -> str:
    with anthropic_bedrock().messages.stream(**ASK_ANTHROPIC) as stream:
        return stream.get_final_message().content[0].text


@pytest.mark.parametrize(
    ("program", "api", "serve"),
    [
        (invoke, "bedrock.invoke", lambda: answer(message_json("msg_1", text=TEXT))),
        (invoke_stream, "bedrock.invoke", lambda: framed(message_frames())),
        (converse, "bedrock.converse", lambda: answer(converse_json({"text": TEXT}))),
        (converse_stream, "bedrock.converse", lambda: framed(CONVERSE_FRAMES)),
        (anthropic_create, "bedrock.invoke", lambda: answer(message_json("msg_1", text=TEXT))),
        (anthropic_stream, "bedrock.invoke", lambda: framed(message_frames())),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_an_sdk_for_bedrock_gets_its_answer_and_one_exact_record_is_kept(
    program: Callable[[], str], api: str, serve: Callable[[], Handler], proxy: Mitmdump, upstream: Upstream
) -> None:
    upstream.serve(serve())

    assert program() == TEXT

    record = proxy.record()
    expected = {
        "api": api,
        "provider": "bedrock",
        "provider_name": "bedrock",
        "host": HOST,
        "model": ARN,
        "streaming": program.__name__.endswith("stream"),
        "outcome": "completed",
        "stop_reason": "end_turn",
        "credential_kind": "byok_api_key",
        "credential_hint": "AKIA...0000",
        "client": "Anthropic SDK" if program.__name__.startswith("anthropic") else "Boto3",
    }
    assert {name: record[name] for name in expected} == expected
    assert [prompt["prompt"] for prompt in record["user_prompts"]] == ["Say hi"]
    [usage] = record["token_usages"]
    assert (usage["input_tokens"], usage["output_tokens"]) == (11, 7)
    [(request, reply)] = upstream.exchanges
    assert record["response_bytes"] == len(reply.sent)
    assert record["request_bytes"] == len(request.body)


def test_a_bearer_key_of_bedrocks_is_masked(
    proxy: Mitmdump, upstream: Upstream, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_BEARER_TOKEN_BEDROCK", BEARER)
    upstream.serve(answer(json.dumps({"message": f"{BEARER} is no key"}).encode(), status=403))
    client = boto3.client("bedrock-runtime", region_name=REGION)
    with pytest.raises(botocore.exceptions.ClientError):
        client.converse(**CONVERSE)

    record = proxy.record()
    assert (record["credential_kind"], record["credential_hint"]) == ("byok_api_key", f"ABSK...{BEARER[-4:]}")
    assert (record["error_type"], record["error_message"]) == ("unauthorized", f"ABSK...{BEARER[-4:]} is no key")


def test_a_tool_loop_over_converse_makes_one_thread(proxy: Mitmdump, upstream: Upstream) -> None:
    call = {"toolUseId": "tooluse_1", "name": "weather", "input": {"city": "K\u00f6ln"}}
    upstream.serve(
        in_turn(answer(converse_json({"toolUse": call}, stop="tool_use")), answer(converse_json({"text": TEXT})))
    )
    client = bedrock()
    asked = client.converse(**CONVERSE)["output"]["message"]
    result = {"toolUseId": "tooluse_1", "content": [{"text": "Rain"}], "status": "error"}
    turns = [*CONVERSE["messages"], asked, {"role": "user", "content": [{"toolResult": result}]}]
    client.converse(modelId=ARN, messages=turns)

    first, second = proxy.records(2)
    assert second["thread_parent_id"] == first["id"]
    assert second["user_prompts"] == []
    [tool] = first["tool_usages"]
    assert (tool["tool"], json.loads(tool["input"]), tool["result_status"]) == ("weather", call["input"], "error")


def test_an_exception_in_the_stream_reaches_the_client_and_the_record(proxy: Mitmdump, upstream: Upstream) -> None:
    upstream.serve(framed([*CONVERSE_FRAMES[:2], exception("throttlingException", "Too many tokens")]))
    with pytest.raises(botocore.exceptions.EventStreamError, match="Too many tokens"):
        converse_stream()

    record = proxy.record()
    assert (record["outcome"], record["error_type"]) == ("failed", "rate_limited")
    assert (record["status_code"], record["error_message"]) == (200, "Too many tokens")


def test_a_stream_that_was_cut_between_frames_is_no_clean_end(proxy: Mitmdump, upstream: Upstream) -> None:
    upstream.serve(framed(message_frames()[:3]))
    assert invoke_stream() == TEXT

    record = proxy.record()
    assert record["outcome"] == "failed"
    assert record["error_message"] == "the event stream ended before its last event"


ASK_CHAT: dict[str, Any] = {"model": "my-deployment", "messages": [{"role": "user", "content": "Say hi"}]}


def azure() -> openai.AzureOpenAI:
    return openai.AzureOpenAI(
        api_key="0123456789abcdef0123456789abcdef",
        api_version="2026-01-01",
        azure_endpoint="https://mine.openai.azure.com",
        max_retries=0,
    )


def azure_chat() -> str | None:
    return azure().chat.completions.create(**ASK_CHAT).choices[0].message.content


def azure_chat_stream() -> str:
    parts = azure().chat.completions.create(**ASK_CHAT, stream=True, stream_options={"include_usage": True})
    return "".join(choice.delta.content or "" for part in parts for choice in part.choices)


def azure_responses_stream() -> str:
    with azure().responses.stream(model="my-deployment", input="Say hi") as stream:
        return stream.get_final_response().output_text


@pytest.mark.parametrize(
    ("program", "api", "path", "body"),
    [
        (azure_chat, "openai.chat_completions", "/openai/deployments/my-deployment/chat/completions", chat_json),
        (azure_chat_stream, "openai.chat_completions", "/openai/deployments/my-deployment/chat/completions", chat_sse),
        (azure_responses_stream, "openai.responses", "/openai/responses", response_sse),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_openais_sdk_for_azure_is_recorded(
    program: Callable[[], str], api: str, path: str, body: Callable[..., bytes], proxy: Mitmdump, upstream: Upstream
) -> None:
    kind = "text/event-stream" if program.__name__.endswith("stream") else "application/json"
    upstream.serve(answer(body("id-1", text=TEXT), kind, headers={"apim-request-id": "apim-1"}))

    assert program() == TEXT

    record = proxy.record()
    expected = {
        "api": api,
        "provider": "openai",
        "provider_name": "azure",
        "path": path,
        "model": "my-deployment",
        "response_model": GPT,
        "outcome": "completed",
        "client": "OpenAI SDK",
        "credential_kind": "byok_api_key",
        "credential_hint": "0123...cdef",
        "provider_request_id": "apim-1",
    }
    assert {name: record[name] for name in expected} == expected
    [usage] = record["token_usages"]
    assert (usage["input_tokens"], usage["cache_read_input_tokens"], usage["output_tokens"]) == (11, 5, 7)


def ollama_lines(*messages: dict[str, Any]) -> bytes:
    last = {"done": True, "done_reason": "stop", "prompt_eval_count": 11, "eval_count": 7}
    lines = [
        {"model": "llama-test", "message": {"role": "assistant", "content": "", **message}, "done": False}
        for message in messages
    ]
    return b"".join(json.dumps(line).encode() + b"\n" for line in [*lines[:-1], lines[-1] | last])


OLLAMA = ollama_lines({"thinking": "Hm."}, {"content": TEXT[:3]}, {"content": TEXT[3:]})


@pytest.mark.parametrize("streaming", [True, False])
def test_ollamas_sdk_is_recorded(streaming: bool, proxy: Mitmdump, upstream: Upstream) -> None:
    client = ollama.Client(host="https://ollama.com", headers={"Authorization": "Bearer not-a-real-key-01234567"})
    ask = {"model": "llama-test", "messages": [{"role": "user", "content": "Say hi"}]}
    if streaming:
        upstream.serve(answer(OLLAMA, "application/x-ndjson", chunked=True))
        assert "".join(part.message.content or "" for part in client.chat(**ask, stream=True)) == TEXT
    else:
        upstream.serve(answer(ollama_lines({"content": TEXT, "thinking": "Hm."}), "application/json; charset=utf-8"))
        assert client.chat(**ask).message.content == TEXT

    record = proxy.record()
    assert (record["api"], record["provider"], record["streaming"]) == ("ollama.chat", "ollama", streaming)
    assert record["client"] == "Ollama SDK"
    assert (record["outcome"], record["model"], record["stop_reason"]) == ("completed", "llama-test", "stop")
    assert [thought["content"] for thought in record["model_thoughts"]] == ["Hm."]
    assert record["token_usages"][0]["input_tokens"] == 11
    assert record["user_prompts"][0]["prompt"] == "Say hi"


def test_a_tool_loop_over_ollama_makes_one_thread_also_without_ids(proxy: Mitmdump, upstream: Upstream) -> None:
    call = {"function": {"name": "weather", "arguments": {"city": "K\u00f6ln"}}}
    upstream.serve(in_turn(answer(ollama_lines({"tool_calls": [call]})), answer(ollama_lines({"content": TEXT}))))
    client = ollama.Client(host="https://ollama.com")
    asked: Any = {"role": "user", "content": "How is the weather?"}
    said = client.chat(model="llama-test", messages=[asked]).message
    result = {"role": "tool", "tool_name": "weather", "content": "Rain"}
    client.chat(model="llama-test", messages=[asked, said, result])

    first, second = proxy.records(2)
    assert second["thread_parent_id"] == first["id"]
    assert second["user_prompts"] == []
    [tool] = first["tool_usages"]
    assert (tool["tool"], json.loads(tool["input"])) == ("weather", call["function"]["arguments"])
    assert (tool["provider_tool_call_id"], tool["result_bytes"]) == (None, 4)


def mistral_sse() -> bytes:
    head = {"id": "m1", "object": "chat.completion.chunk", "created": 1, "model": "magistral-test"}
    thinking = {"type": "thinking", "thinking": [{"type": "text", "text": "Hm."}]}
    deltas: list[tuple[Any, str | None]] = [
        ({"role": "assistant", "content": [thinking]}, None),
        ({"content": TEXT}, None),
        ({"content": ""}, "stop"),
    ]
    events: list[dict[str, Any]] = [
        {**head, "choices": [{"index": 0, "delta": delta, "finish_reason": finish}]} for delta, finish in deltas
    ]
    events[-1]["usage"] = {"prompt_tokens": 11, "completion_tokens": 7, "total_tokens": 18}
    return b"".join(b"data: " + json.dumps(item).encode() + b"\n\n" for item in events) + b"data: [DONE]\n\n"


def test_mistrals_sdk_is_recorded(proxy: Mitmdump, upstream: Upstream) -> None:
    upstream.serve(answer(mistral_sse(), "text/event-stream"))
    with Mistral(api_key="not-a-real-key-0123456789") as client:
        stream = client.chat.stream(model="magistral-test", messages=[{"role": "user", "content": "Say hi"}])
        parts = [part.data.choices[0].delta.content for part in stream]
    assert "".join(part for part in parts if isinstance(part, str)) == TEXT

    record = proxy.record()
    assert (record["provider_name"], record["api"]) == ("mistral", "openai.chat_completions")
    assert record["client"] == "Mistral SDK"
    assert (record["outcome"], record["model"], record["streaming"]) == ("completed", "magistral-test", True)
    assert [thought["content"] for thought in record["model_thoughts"]] == ["Hm."]
    assert record["token_usages"][0]["output_tokens"] == 7


def test_a_conversation_that_mistral_keeps_is_one_thread(proxy: Mitmdump, upstream: Upstream) -> None:
    upstream.serve(in_turn(answer(conversation_sse(), "text/event-stream"), answer(conversation_json())))
    with Mistral(api_key="not-a-real-key-0123456789") as client:
        with client.beta.conversations.start_stream(model="mistral-test", inputs="Say hi") as stream:
            kinds = [event.data.type for event in stream]
        result: Any = {"type": "function.result", "tool_call_id": "call_1", "result": "sunny"}
        found = client.beta.conversations.append(conversation_id="conv_1", inputs=[result])
    assert kinds[-1] == "conversation.response.done"
    assert found.usage.prompt_tokens == 11

    second, first = proxy.records(2)[::-1]
    assert {record["api"] for record in (first, second)} == {"mistral.conversations"}
    assert (first["streaming"], second["streaming"]) == (True, False)
    assert [prompt["prompt"] for prompt in first["user_prompts"]] == ["Say hi"]
    assert second["thread_parent_id"] == first["id"]
    [tool] = first["tool_usages"]
    assert (tool["tool"], tool["provider_tool_call_id"], tool["result_bytes"]) == ("weather", "call_1", 5)
    assert [record["token_usages"][0]["output_tokens"] for record in (first, second)] == [7, 7]


CONVERSED = {"prompt_tokens": 11, "completion_tokens": 7, "total_tokens": 18}
CALLED = {"id": "fc_1", "name": "weather", "tool_call_id": "call_1", "arguments": '{"place":"here"}'}


def conversation_sse() -> bytes:
    events: list[dict[str, Any]] = [
        {"type": "conversation.response.started", "conversation_id": "conv_1"},
        {"type": "message.output.delta", "id": "msg_1", "output_index": 0, "content": TEXT, "role": "assistant"},
        {"type": "function.call.delta", "output_index": 1, **CALLED},
        {"type": "conversation.response.done", "usage": CONVERSED},
    ]
    return b"".join(f"event: {event['type']}\ndata: {json.dumps(event)}\n\n".encode() for event in events)


def conversation_json() -> bytes:
    outputs = [{"type": "message.output", "id": "msg_2", "content": TEXT, "role": "assistant"}]
    return json.dumps({"conversation_id": "conv_1", "outputs": outputs, "usage": CONVERSED}).encode()
