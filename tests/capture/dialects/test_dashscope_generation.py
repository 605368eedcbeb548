"""Alibaba's own language on DashScope."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aitap.record import Interception
from tests.capture.framing import exchange
from tests.capture.making import cut, cuts, dump

HOST, PATH = "dashscope.aliyuncs.com", "/api/v1/services/aigc/text-generation/generation"
EVENTS = "text/event-stream"
USAGE = {
    "input_tokens": 21,
    "output_tokens": 12,
    "total_tokens": 33,
    "prompt_tokens_details": {"cached_tokens": 8},
    "output_tokens_details": {"reasoning_tokens": 4},
}
ASK: dict[str, Any] = {
    "model": "qwen-test",
    "input": {"messages": [{"role": "system", "content": "Be kind"}, {"role": "user", "content": "Say hi"}]},
    "parameters": {"incremental_output": True, "max_tokens": 9, "tools": [{"type": "function"}]},
}


def call(index: int, call_id: str, name: str, arguments: str) -> dict[str, Any]:
    function = {"name": name, "arguments": arguments} if name else {"arguments": arguments}
    return {"index": index, "id": call_id, "type": "function", "function": function}


def said(text: str = "", *calls: dict[str, Any], thought: str = "", reason: str = "null", **usage: Any) -> Any:
    message = {"role": "assistant", "content": text, "reasoning_content": thought, "tool_calls": list(calls)}
    choices = [{"finish_reason": reason, "message": message}]
    counted = usage or {"input_tokens": 21, "output_tokens": 1}
    return {"output": {"choices": choices}, "usage": counted, "request_id": "r"}


PIECES = [
    said(thought="Let me"),
    said(thought=" see é"),
    said("It "),
    said("is 你好"),
    said("", call(0, "c1", "read", '{"path":')),
    said("", call(0, "", "", '"a.txt"}')),
    said("", call(1, "c2", "list", "{}")),
    said(reason="tool_calls", **USAGE),
]
FIRST, SECOND = call(0, "c1", "read", '{"path":"a.txt"}'), call(1, "c2", "list", "{}")
GROWN = [
    said(thought="Let me"),
    said("It ", thought="Let me see é"),
    said("It is 你好", call(0, "c1", "read", '{"path":'), thought="Let me see é"),
    said("It is 你好", FIRST, thought="Let me see é"),
    said("It is 你好", FIRST, SECOND, thought="Let me see é", reason="tool_calls", **USAGE),
]


def wire(events: list[Any], kind: bytes = b"result") -> bytes:
    return b"".join(b"id:1\nevent:%s\n:HTTP_STATUS/200\ndata:%s\n\n" % (kind, dump(event)) for event in events)


def whole(record: Interception) -> None:
    """What all forms of the answer say."""
    assert (record.api, record.provider_name, record.model) == ("dashscope.generation", "dashscope", "qwen-test")
    assert (record.outcome, record.stop_reason) == ("completed", "tool_calls")
    [usage] = record.token_usages
    assert (usage.input_tokens, usage.output_tokens, usage.cache_read_input_tokens) == (13, 12, 8)
    assert (usage.provider_response_id, usage.metadata["completion_reasoning"]) == ("r", 4)
    assert [(tool.provider_tool_call_id, tool.tool, tool.input) for tool in record.tool_usages] == [
        ("c1", "read", '{"path":"a.txt"}'),
        ("c2", "list", "{}"),
    ]
    assert [thought.content for thought in record.model_thoughts] == ["Let me see é"]
    assert [prompt.prompt for prompt in record.user_prompts] == ["Say hi"]


@settings(max_examples=20)
@given(st.data(), st.sampled_from([PIECES, GROWN]))
def test_a_stream_of_pieces_and_one_of_all_so_far_say_the_same(data: st.DataObject, events: list[Any]) -> None:
    body = wire(events)
    record = exchange(HOST, PATH, ASK, cut(body, data.draw(cuts(len(body)))), EVENTS)
    whole(record)
    assert (record.streaming, record.time_to_first_token, record.wire.max_tokens) == (True, 1.0, 9)


def test_one_document_says_the_same() -> None:
    record = exchange(HOST, PATH, ASK, dump(GROWN[-1]))
    whole(record)
    assert not record.streaming


def test_pieces_that_begin_like_the_one_before_are_joined_where_another_text_tells_pieces() -> None:
    events = [said(thought="ha"), said(thought="ha"), said("no"), said("yes", reason="stop")]
    record = exchange(HOST, PATH, ASK, wire(events), EVENTS)
    assert [thought.content for thought in record.model_thoughts] == ["haha"]


def test_the_older_form_is_a_text_alone() -> None:
    answer = {"output": {"text": "Hi", "finish_reason": "stop"}, "usage": USAGE, "request_id": "r"}
    record = exchange(HOST, PATH, {"model": "qwen-test", "input": {"prompt": "Say hi"}}, dump(answer))
    assert (record.outcome, record.stop_reason, record.token_usages[0].input_tokens) == ("completed", "stop", 13)
    assert [prompt.prompt for prompt in record.user_prompts] == ["Say hi"]


def test_parts_say_what_they_are_by_their_one_member() -> None:
    content = [{"image": "data:image/png;base64,AAAA"}, {"text": "What is it?"}]
    ask = {"model": "qwen-vl-test", "input": {"messages": [{"role": "user", "content": content}]}}
    answer = {"output": {"choices": [{"finish_reason": "stop", "message": {"content": [{"text": "A dog"}]}}]}}
    path = PATH.replace("text-generation", "multimodal-generation")
    record = exchange(HOST, path, ask, dump({**answer, "usage": {"input_tokens": 9, "output_tokens": 2}}))
    assert record.user_prompts[0].prompt == "What is it?"
    assert record.user_prompts[0].metadata["attachments"][0]["bytes"] == 3
    assert record.outcome == "completed"


def test_an_application_is_asked_like_a_model_and_tells_which_ones_it_asked() -> None:
    usage = {"models": [{"model_id": "qwen-test", "input_tokens": 2, "output_tokens": 3} for _ in range(2)]}
    answer = {"output": {"text": "Hi", "finish_reason": "stop", "session_id": "s"}, "usage": usage, "request_id": "r"}
    record = exchange(HOST, "/api/v1/apps/app%201/completion", {"input": {"prompt": "Say hi"}}, dump(answer))
    assert (record.model, record.response_model, record.outcome) == ("app 1", "qwen-test", "completed")
    assert (record.token_usages[0].input_tokens, record.token_usages[0].output_tokens) == (4, 6)


@pytest.mark.parametrize(
    ("status", "body", "kind"),
    [
        (200, wire(PIECES[:3]) + wire([{"code": "Throttling.RateQuota", "message": "no"}], b"error"), "rate_limited"),
        (200, wire([{"code": "DataInspectionFailed", "message": "no", "request_id": "r"}], b"error"), "bad_request"),
        (401, dump({"code": "InvalidApiKey", "message": "no", "request_id": "r"}), "unauthorized"),
    ],
)
def test_an_error_is_told_in_its_own_words(status: int, body: bytes, kind: str) -> None:
    content_type = EVENTS if status == 200 else "application/json"
    record = exchange(HOST, PATH, ASK, body, content_type, status=status)
    assert (record.outcome, record.error_message, record.error_type) == ("failed", "no", kind)


def test_a_stream_that_is_cut_keeps_what_came() -> None:
    record = exchange(HOST, PATH, ASK, wire(PIECES[:5]), EVENTS, cancelled=True)
    assert (record.outcome, record.tool_usages[0].input) == ("cancelled", '{"path":')
    assert record.tool_usages[0].metadata == record.token_usages[0].metadata == {"partial": True}
