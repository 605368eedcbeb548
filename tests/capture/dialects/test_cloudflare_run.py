"""Cloudflare's own language of Workers AI."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aitap.record import Interception
from tests.capture.framing import exchange
from tests.capture.making import CHAT, chat_events, cut, cuts, dump, sse, user

HOST, PATH = "api.cloudflare.com", "/client/v4/accounts/abc/ai/run/@cf/meta/llama-test"
GATEWAY = ("gateway.ai.cloudflare.com", "/v1/abc/gw/workers-ai/@cf/meta/llama-test")
EVENTS = "text/event-stream"
USAGE = {"prompt_tokens": 21, "completion_tokens": 12, "total_tokens": 33}
ASK = {"messages": [{"role": "system", "content": "Be kind"}, user("Say hi")], "stream": True, "max_tokens": 9}
CALL = {"name": "read", "arguments": {"path": "a.txt"}}
STREAM: list[dict[str, Any]] = [
    {"response": "It is ", "p": "abcd"},
    {"response": "你好", "p": "ab"},
    {"response": "", "tool_calls": [CALL]},
    {"response": "", "usage": USAGE},
]


def enveloped(result: Any) -> bytes:
    return dump({"result": result, "success": True, "errors": [], "messages": []})


def wire(events: list[dict[str, Any]]) -> bytes:
    return b"".join(b"data: %s\n\n" % dump(event) for event in events) + b"data: [DONE]\n\n"


def said(record: Interception) -> None:
    """What all forms of the answer say."""
    assert (record.api, record.provider_name, record.outcome) == ("cloudflare.run", "cloudflare", "completed")
    assert record.model == "@cf/meta/llama-test"
    assert (record.token_usages[0].input_tokens, record.token_usages[0].output_tokens) == (21, 12)
    assert [(tool.tool, tool.input) for tool in record.tool_usages] == [("read", '{"path":"a.txt"}')]
    assert [prompt.prompt for prompt in record.user_prompts] == ["Say hi"]


@settings(max_examples=20)
@given(st.data(), st.sampled_from([(HOST, PATH), GATEWAY, (HOST, PATH.replace("@", "%40"))]))
def test_a_stream_gives_the_same_facts_for_any_split(data: st.DataObject, place: tuple[str, str]) -> None:
    body = wire(STREAM)
    record = exchange(*place, ASK, cut(body, data.draw(cuts(len(body)))), EVENTS)
    said(record)
    assert (record.streaming, record.time_to_first_token, record.wire.max_tokens) == (True, 1.0, 9)


def test_one_document_gives_the_same_facts() -> None:
    result = {"response": "It is 你好", "tool_calls": [CALL], "usage": USAGE}
    said(exchange(HOST, PATH, {**ASK, "stream": False}, enveloped(result)))
    # The gateway may leave the envelope out.
    said(exchange(*GATEWAY, {**ASK, "stream": False}, dump(result)))


@pytest.mark.parametrize("streamed", [True, False])
def test_newer_models_say_all_that_chat_completions_say(streamed: bool) -> None:
    call = {"id": "c1", "type": "function", "function": {"name": "read", "arguments": '{"path":"a.txt"}'}}
    message = {"role": "assistant", "content": None, "reasoning_content": "Let me", "tool_calls": [call]}
    if streamed:
        pieces = [{"reasoning_content": "Let me"}, {"tool_calls": [{"index": 0, **call}]}]
        answer = sse(CHAT, chat_events(pieces, finish="tool_calls", usage=USAGE))
    else:
        answer = enveloped({"choices": [{"message": message, "finish_reason": "tool_calls"}], "usage": USAGE})
    record = exchange(HOST, PATH, ASK, answer, EVENTS if streamed else "application/json")
    said(record)
    assert (record.stop_reason, record.tool_usages[0].provider_tool_call_id) == ("tool_calls", "c1")
    assert [thought.content for thought in record.model_thoughts] == ["Let me"]


def test_models_that_are_asked_by_responses_answer_with_one() -> None:
    item = {"type": "function_call", "id": "f1", "call_id": "c1", "name": "read", "arguments": '{"path":"a.txt"}'}
    usage = {"input_tokens": 21, "output_tokens": 12}
    response = {"id": "resp_1", "object": "response", "status": "completed", "output": [item], "usage": usage}
    said(exchange(HOST, PATH, {"input": "Say hi"}, enveloped(response)))


def test_a_text_to_go_on_with_is_a_prompt_and_an_answer_by_schema_is_whole() -> None:
    answer = enveloped({"response": {"a": 1}, "usage": USAGE})
    record = exchange(HOST, PATH, {"prompt": "Say hi"}, answer)
    assert [prompt.prompt for prompt in record.user_prompts] == ["Say hi"]
    assert (record.outcome, record.token_usages[0].output_tokens) == ("completed", 12)


def test_an_error_is_told_in_its_own_words() -> None:
    told = {"result": None, "success": False, "errors": [{"code": 7009, "message": "no"}], "messages": []}
    record = exchange(HOST, PATH, ASK, dump(told), status=429)
    assert (record.outcome, record.error_type, record.error_message) == ("failed", "rate_limited", "no")


def test_a_stream_that_is_cut_is_no_clean_end() -> None:
    record = exchange(HOST, PATH, ASK, wire(STREAM)[:-14], EVENTS)
    assert (record.outcome, record.token_usages[0].metadata["partial"]) == ("failed", True)
