"""The official Python SDKs get the provider's bytes, and the record says what they asked and got."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from typing import Any

import anthropic
import openai
import pytest

from tests.proxy.mitmdump import Mitmdump
from tests.proxy.sdks import ANTHROPIC_KEY, Tap
from tests.proxy.upstream import Upstream, answer, in_turn
from tests.proxy.wire import (
    GPT,
    MODEL,
    chat_json,
    chat_sse,
    message_json,
    message_sse,
    response_json,
    response_sse,
)

EVENTS = "text/event-stream"
TEXT = "Grüße, Welt"
ASK_ANTHROPIC: dict[str, Any] = {"model": MODEL, "max_tokens": 64, "messages": [{"role": "user", "content": "Say hi"}]}
ASK_CHAT: dict[str, Any] = {"model": GPT, "messages": [{"role": "user", "content": "Say hi"}]}
ASK_RESPONSES: dict[str, Any] = {"model": GPT, "input": "Say hi"}
WITH_USAGE = {"stream_options": {"include_usage": True}}


def message(tap: Tap) -> str:
    return tap.anthropic().messages.create(**ASK_ANTHROPIC).content[0].text


def message_events(tap: Tap) -> str:
    events = tap.anthropic().messages.create(**ASK_ANTHROPIC, stream=True)
    return "".join(event.delta.text for event in events if event.type == "content_block_delta")


def message_stream(tap: Tap) -> str:
    with tap.anthropic().messages.stream(**ASK_ANTHROPIC) as stream:
        return stream.get_final_message().content[0].text


def chat(tap: Tap) -> str | None:
    return tap.openai().chat.completions.create(**ASK_CHAT).choices[0].message.content


def chat_events(tap: Tap) -> str:
    chunks = tap.openai().chat.completions.create(**ASK_CHAT, **WITH_USAGE, stream=True)
    return "".join(choice.delta.content or "" for chunk in chunks for choice in chunk.choices)


def chat_stream(tap: Tap) -> str | None:
    with tap.openai().chat.completions.stream(**ASK_CHAT, **WITH_USAGE) as stream:
        return stream.get_final_completion().choices[0].message.content


def response(tap: Tap) -> str:
    return tap.openai().responses.create(**ASK_RESPONSES).output_text


def response_events(tap: Tap) -> str:
    events = tap.openai().responses.create(**ASK_RESPONSES, stream=True)
    return "".join(event.delta for event in events if event.type == "response.output_text.delta")


def response_stream(tap: Tap) -> str:
    with tap.openai().responses.stream(**ASK_RESPONSES) as stream:
        return stream.get_final_response().output_text


def in_loop(program: Callable[[Tap], Any]) -> Callable[[Tap], Any]:
    """An asynchronous program as a plain function of the same name."""

    def run(tap: Tap) -> Any:
        return asyncio.run(program(tap))

    run.__name__ = program.__name__
    return run


@in_loop
async def async_message(tap: Tap) -> str:
    async with tap.async_anthropic() as client:
        return (await client.messages.create(**ASK_ANTHROPIC)).content[0].text


@in_loop
async def async_message_stream(tap: Tap) -> str:
    async with tap.async_anthropic() as client, client.messages.stream(**ASK_ANTHROPIC) as stream:
        return (await stream.get_final_message()).content[0].text


@in_loop
async def async_chat(tap: Tap) -> str | None:
    async with tap.async_openai() as client:
        return (await client.chat.completions.create(**ASK_CHAT)).choices[0].message.content


@in_loop
async def async_chat_stream(tap: Tap) -> str | None:
    async with tap.async_openai() as client, client.chat.completions.stream(**ASK_CHAT, **WITH_USAGE) as stream:
        return (await stream.get_final_completion()).choices[0].message.content


@in_loop
async def async_response(tap: Tap) -> str:
    async with tap.async_openai() as client:
        return (await client.responses.create(**ASK_RESPONSES)).output_text


@in_loop
async def async_response_stream(tap: Tap) -> str:
    async with tap.async_openai() as client, client.responses.stream(**ASK_RESPONSES) as stream:
        return (await stream.get_final_response()).output_text


ANSWERS = {
    ("message", False): message_json("msg_1", text=TEXT),
    ("message", True): message_sse("msg_1", text=TEXT),
    ("chat", False): chat_json("chatcmpl-1", text=TEXT),
    ("chat", True): chat_sse("chatcmpl-1", text=TEXT),
    ("response", False): response_json("resp_1", text=TEXT),
    ("response", True): response_sse("resp_1", text=TEXT),
}
FACTS = {
    "message": {
        "api": "anthropic.messages",
        "provider": "anthropic",
        "host": "api.anthropic.com",
        "path": "/v1/messages",
        "model": MODEL,
        "response_model": MODEL,
        "stop_reason": "end_turn",
    },
    "chat": {
        "api": "openai.chat_completions",
        "provider": "openai",
        "host": "api.openai.com",
        "path": "/v1/chat/completions",
        "model": GPT,
        "response_model": GPT,
        "stop_reason": "stop",
    },
    "response": {
        "api": "openai.responses",
        "provider": "openai",
        "host": "api.openai.com",
        "path": "/v1/responses",
        "model": GPT,
        "response_model": GPT,
    },
}
IDS = {"message": "msg_1", "chat": "chatcmpl-1", "response": "resp_1"}
CACHE_WRITES = {"message": 3, "chat": 0, "response": 0}


@pytest.mark.parametrize(
    "program",
    [
        message,
        message_events,
        message_stream,
        async_message,
        async_message_stream,
        chat,
        chat_events,
        chat_stream,
        async_chat,
        async_chat_stream,
        response,
        response_events,
        response_stream,
        async_response,
        async_response_stream,
    ],
    ids=lambda program: program.__name__,
)
def test_an_sdk_gets_the_providers_bytes_and_one_exact_record_is_kept(
    program: Callable[[Tap], Any], proxy: Mitmdump, upstream: Upstream
) -> None:
    api = program.__name__.removeprefix("async_").partition("_")[0]
    streaming = program.__name__.endswith(("_stream", "_events"))
    sdk = anthropic if api == "message" else openai
    upstream.serve(answer(ANSWERS[api, streaming], EVENTS if streaming else "application/json"))
    tap = Tap(proxy)

    assert program(tap) == TEXT
    assert tap.received == [ANSWERS[api, streaming]]

    record = proxy.record()
    expected = FACTS[api] | {
        "outcome": "completed",
        "status_code": 200,
        "streaming": streaming,
        "method": "POST",
        "purpose": "conversation",
        "client_version": sdk.__version__,
        "request_bytes": len(upstream.exchanges[0][0].body),
        "response_bytes": len(ANSWERS[api, streaming]),
        "error_type": None,
        "error_message": None,
        "tool_usages": [],
        "model_thoughts": [],
    }
    assert {name: record[name] for name in expected} == expected
    assert record["user_agent"] == upstream.exchanges[0][0].headers["user-agent"]
    [usage] = record["token_usages"]
    assert (usage["input_tokens"], usage["cache_read_input_tokens"], usage["output_tokens"]) == (11, 5, 7)
    assert usage["cache_write_input_tokens"] == CACHE_WRITES[api]
    [prompt] = record["user_prompts"]
    assert prompt["prompt"] == "Say hi"
    assert {usage["provider_response_id"], prompt["provider_response_id"]} == {IDS[api]}


CALL = ("call_1", "weather", {"city": "Köln"})


def continues(first: dict[str, Any], second: dict[str, Any]) -> None:
    """The second record goes on where the first one's tool call left off."""
    assert second["thread_parent_id"] == first["id"]
    assert second["thread_root_id"] == first["id"]
    assert second["session_id"] == first["session_id"]
    assert second["user_prompts"] == []
    [call] = first["tool_usages"]
    assert (call["provider_tool_call_id"], call["tool"], json.loads(call["input"])) == CALL
    assert call["result_at"] is not None
    assert call["result_bytes"] > 0


def test_the_tool_runner_of_the_anthropic_sdk_makes_one_thread(proxy: Mitmdump, upstream: Upstream) -> None:
    upstream.serve(
        in_turn(answer(message_json("msg_1", text="Let me see", call=CALL)), answer(message_json("msg_2", text=TEXT)))
    )

    @anthropic.beta_tool
    def weather(city: str) -> str:
        """The weather in a city."""
        return f"Rain in {city}"

    runner = Tap(proxy).anthropic().beta.messages.tool_runner(**ASK_ANTHROPIC, tools=[weather])
    assert runner.until_done().content[0].text == TEXT

    first, second = proxy.records(2)
    continues(first, second)
    assert first["stop_reason"] == "tool_use"


def test_a_streamed_tool_loop_over_messages_makes_one_thread(proxy: Mitmdump, upstream: Upstream) -> None:
    upstream.serve(
        in_turn(
            answer(message_sse("msg_1", thinking="Which city?", call=CALL), EVENTS),
            answer(message_sse("msg_2", text=TEXT), EVENTS),
        )
    )
    client = Tap(proxy).anthropic()
    with client.messages.stream(**ASK_ANTHROPIC) as stream:
        asked = stream.get_final_message()
    result = {"type": "tool_result", "tool_use_id": CALL[0], "content": "Rain", "is_error": True}
    turns = [{"role": "assistant", "content": asked.content}, {"role": "user", "content": [result]}]
    with client.messages.stream(**ASK_ANTHROPIC | {"messages": [*ASK_ANTHROPIC["messages"], *turns]}) as stream:
        stream.until_done()

    first, second = proxy.records(2)
    continues(first, second)
    assert first["tool_usages"][0]["result_status"] == "error"
    assert [thought["content"] for thought in first["model_thoughts"]] == ["Which city?"]


@pytest.mark.parametrize("streaming", [False, True])
def test_a_tool_loop_over_chat_completions_makes_one_thread(
    streaming: bool, proxy: Mitmdump, upstream: Upstream
) -> None:
    form = chat_sse if streaming else chat_json
    kind = EVENTS if streaming else "application/json"
    upstream.serve(in_turn(answer(form("c1", call=CALL), kind), answer(form("c2", text=TEXT), kind)))
    completions = Tap(proxy).openai().chat.completions

    def complete(**ask: Any) -> Any:
        if not streaming:
            return completions.create(**ask).choices[0].message
        with completions.stream(**ask, **WITH_USAGE) as stream:
            return stream.get_final_completion().choices[0].message

    asked = complete(**ASK_CHAT)
    call = asked.tool_calls[0]
    function = {"name": call.function.name, "arguments": call.function.arguments}
    turns = [
        {"role": "assistant", "tool_calls": [{"id": call.id, "type": "function", "function": function}]},
        {"role": "tool", "tool_call_id": call.id, "content": "Rain"},
    ]
    assert complete(**ASK_CHAT | {"messages": [*ASK_CHAT["messages"], *turns]}).content == TEXT

    continues(*proxy.records(2))


@pytest.mark.parametrize("streaming", [False, True])
def test_a_tool_loop_over_responses_makes_one_thread(streaming: bool, proxy: Mitmdump, upstream: Upstream) -> None:
    form = response_sse if streaming else response_json
    kind = EVENTS if streaming else "application/json"
    upstream.serve(in_turn(answer(form("r1", call=CALL), kind), answer(form("r2", text=TEXT), kind)))
    responses = Tap(proxy).openai().responses

    def respond(**ask: Any) -> Any:
        if not streaming:
            return responses.create(**ask)
        with responses.stream(**ask) as stream:
            return stream.get_final_response()

    call = respond(**ASK_RESPONSES).output[0]
    said = {"type": "function_call", "call_id": call.call_id, "name": call.name, "arguments": call.arguments}
    result = {"type": "function_call_output", "call_id": call.call_id, "output": "Rain"}
    assert respond(model=GPT, input=[{"role": "user", "content": "Say hi"}, said, result]).output_text == TEXT

    continues(*proxy.records(2))


def test_previous_response_id_makes_one_thread_and_each_turn_has_its_prompt(
    proxy: Mitmdump, upstream: Upstream
) -> None:
    upstream.serve(in_turn(*(answer(response_json(f"resp_{n}", text=TEXT)) for n in range(3))))
    client = Tap(proxy).openai()
    previous = None
    for prompt in ("one", "two", "three"):
        more = {"previous_response_id": previous} if previous else {}
        previous = client.responses.create(model=GPT, input=prompt, **more).id

    first, second, third = proxy.records(3)
    assert (second["thread_parent_id"], third["thread_parent_id"]) == (first["id"], second["id"])
    assert {second["thread_root_id"], third["thread_root_id"]} == {first["id"]}
    assert [record["user_prompts"][0]["prompt"] for record in (first, second, third)] == ["one", "two", "three"]


def test_an_sdk_that_only_has_the_environments_proxy_and_ca_is_recorded(
    proxy: Mitmdump, upstream: Upstream, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTPS_PROXY", proxy.url)
    monkeypatch.setenv("SSL_CERT_FILE", str(proxy.certificate))
    upstream.serve(answer(message_json("msg_1", text=TEXT)))

    assert anthropic.Anthropic(api_key=ANTHROPIC_KEY).messages.create(**ASK_ANTHROPIC).content[0].text == TEXT
    assert proxy.record()["outcome"] == "completed"


def test_a_retry_of_the_sdk_is_a_record_of_its_own_that_points_at_the_first(
    proxy: Mitmdump, upstream: Upstream
) -> None:
    limited = b'{"type": "error", "error": {"type": "rate_limit_error", "message": "Slow down"}}'
    upstream.serve(
        in_turn(answer(limited, status=429, headers={"retry-after-ms": "1"}), answer(message_json("msg_2", text=TEXT)))
    )
    client = Tap(proxy).anthropic().with_options(max_retries=1)

    assert client.messages.create(**ASK_ANTHROPIC).content[0].text == TEXT

    first, second = proxy.records(2)
    assert (first["outcome"], first["error_type"], first["error_message"]) == ("failed", "rate_limited", "Slow down")
    assert (second["outcome"], second["retry_of"]) == ("completed", first["id"])
    assert [len(record["user_prompts"]) for record in (first, second)] == [1, 0]
