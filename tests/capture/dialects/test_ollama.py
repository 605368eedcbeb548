"""Ollama's own API."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aitap.record import Interception
from tests.capture.framing import exchange
from tests.capture.making import CHAT, ask, chat_events, cut, cuts, dump, sse, user

LINES = "application/x-ndjson"
HEAD = {"model": "llama-test:8b", "created_at": "2026-01-01T00:00:00Z"}
COUNTS = {"total_duration": 900, "load_duration": 100, "prompt_eval_count": 11, "eval_count": 7, "eval_duration": 300}
CALL = {"function": {"name": "read", "arguments": {"path": "a.txt", "n": 1.5}}}
ASK = {"model": "llama-test:8b", "messages": [user("Say hi")]}


def said(**message: Any) -> dict[str, Any]:
    return {**HEAD, "message": {"role": "assistant", "content": "", **message}, "done": False}


STREAM = [
    said(thinking="Let me"),
    said(thinking=" see é"),
    said(content="It is\n"),
    said(content="你好"),
    said(tool_calls=[CALL, {"id": "call_2", "function": {"name": "list", "arguments": {}}}]),
    {**said(), "done": True, "done_reason": "stop", **COUNTS},
]


def chat(lines: list[dict[str, Any]], **more: Any) -> Interception:
    wire = b"".join(dump(line) + b"\n" for line in lines)
    return exchange("ollama.com", "/api/chat", ASK, wire, LINES, **more)


@given(st.data(), st.booleans(), st.sampled_from([LINES, "application/x-ndjson; charset=utf-8", "application/jsonl"]))
def test_a_stream_gives_the_same_facts_for_any_split(data: st.DataObject, blanks: bool, content_type: str) -> None:
    wire = b"\n".join(dump(line, blanks=blanks) for line in STREAM)
    record = exchange("ollama.com", "/api/chat", ASK, cut(wire, data.draw(cuts(len(wire)))), content_type)

    assert (record.api, record.provider, record.provider_name) == ("ollama.chat", "ollama", "ollama")
    assert (record.outcome, record.streaming, record.stop_reason) == ("completed", True, "stop")
    assert (record.model, record.response_model) == ("llama-test:8b", "llama-test:8b")
    assert [prompt.prompt for prompt in record.user_prompts] == ["Say hi"]
    assert [(thought.content, thought.metadata) for thought in record.model_thoughts] == [
        ("Let me see é", {"source": "thinking"})
    ]
    assert [(tool.tool, tool.input.replace(" ", ""), tool.provider_tool_call_id) for tool in record.tool_usages] == [
        ("read", '{"path":"a.txt","n":1.5}', None),
        ("list", "{}", "call_2"),
    ]
    [usage] = record.token_usages
    assert (usage.input_tokens, usage.output_tokens) == (11, 7)
    assert usage.metadata == {"total_duration": 900, "load_duration": 100, "eval_duration": 300}
    assert record.time_to_first_token == 1.0


@pytest.mark.parametrize("content_type", ["application/json; charset=utf-8", ""])
def test_one_document_is_a_whole_answer(content_type: str) -> None:
    body = {**STREAM[4], **STREAM[5], "message": {**STREAM[4]["message"], "thinking": "Hm"}}
    record = exchange("ollama.com", "/api/chat", {**ASK, "stream": False}, dump(body), content_type)
    assert (record.outcome, record.streaming, record.stop_reason) == ("completed", False, "stop")
    assert [tool.tool for tool in record.tool_usages] == ["read", "list"]
    assert [thought.content for thought in record.model_thoughts] == ["Hm"]
    assert record.time_to_first_token is None


def test_lines_that_are_declared_as_one_document_are_lines() -> None:
    wire = b"".join(dump(line) + b"\n" for line in STREAM)
    record = exchange("ollama.com", "/api/chat", ASK, wire, "application/json")
    assert (record.outcome, len(record.tool_usages)) == ("completed", 2)


def test_a_text_is_gone_on_with() -> None:
    ask = {"model": "llama-test:8b", "prompt": "Say hi", "system": "Be kind", "images": ["aGVsbG8h"]}
    lines = [{**HEAD, "response": "H", "done": False}, {**HEAD, "response": "i", "done": True, "done_reason": "length"}]
    record = exchange("ollama.com", "/api/generate", ask, b"".join(dump(line) + b"\n" for line in lines), LINES)
    assert (record.api, record.outcome, record.stop_reason) == ("ollama.generate", "completed", "length")
    [prompt] = record.user_prompts
    assert (prompt.prompt, prompt.metadata) == ("Say hi", {"attachments": [{"type": "image", "bytes": 6}]})
    assert record.token_usages == []


def test_to_load_a_model_is_no_conversation() -> None:
    answer = {**HEAD, "response": "", "done": True, "done_reason": "load"}
    record = exchange("ollama.com", "/api/generate", {"model": "llama-test:8b"}, dump(answer))
    assert (record.outcome, record.purpose, record.user_prompts) == ("completed", "auxiliary", [])


@given(st.integers(1, len(STREAM) - 1))
def test_a_stream_without_its_last_line_is_no_clean_end(length: int) -> None:
    record = chat(STREAM[:length])
    assert (record.outcome, record.token_usages) == ("failed", [])
    assert record.error_message == "the event stream ended before its last event"


def test_an_error_in_the_stream_fails_the_record() -> None:
    record = chat([*STREAM[:3], {"error": "an error was encountered while running the model"}])
    assert (record.outcome, record.error_message) == ("failed", "an error was encountered while running the model")


def test_an_error_instead_of_an_answer_is_told_by_its_status() -> None:
    record = exchange("ollama.com", "/api/chat", ASK, dump({"error": "model 'x' not found"}), status=404)
    assert (record.outcome, record.error_type, record.error_message) == ("failed", "bad_request", "model 'x' not found")


def test_the_newest_turn_begins_after_the_models_last() -> None:
    facts = ask(
        "ollama.chat",
        messages=[
            {"role": "system", "content": "Be kind"},
            user("Say hi"),
            {"role": "assistant", "content": "", "tool_calls": [CALL]},
            {"role": "tool", "tool_name": "read", "tool_call_id": "call_1", "content": "é"},
            {"role": "tool", "tool_name": "list", "content": "no id"},
            {"role": "tool", "content": "nothing"},
        ],
        tools=[{"type": "function"}],
        options={"num_predict": 5},
        format={"type": "object"},
    )
    assert [message.role for message in facts.newest] == ["tool", "tool", "tool"]
    results = [result for message in facts.newest for result in message.results]
    assert [(result.call_id, result.status, result.size) for result in results] == [
        ("call_1", None, 2),
        ("list", None, 5),
        ("", None, 7),
    ]
    assert (facts.system, facts.has_tools, facts.max_tokens, facts.output_schema) == ("Be kind", True, 5, True)
    assert facts.conversation is not None
    assert [message.role for message in facts.conversation()] == ["other", "user", "assistant", "tool", "tool", "tool"]


@pytest.mark.parametrize("line", [b"{", b"[]", b"null", b'{"message":5}', b'{"message":{"tool_calls":[{}]}}', b"5"])
def test_an_odd_line_costs_only_itself(line: bytes) -> None:
    wire = b"\n".join([line, *(dump(item) for item in STREAM)])
    record = exchange("ollama.com", "/api/chat", ASK, wire, LINES)
    assert (record.outcome, len(record.tool_usages)) == ("completed", 2)


@pytest.mark.parametrize("asked", [{"suffix": "return x"}, {"prompt": "<|fim_prefix|>a<|fim_suffix|>b<|fim_middle|>"}])
def test_filling_in_a_gap_is_no_conversation(asked: dict[str, str]) -> None:
    """Editors ask for it while somebody types."""
    record = exchange("ollama.com", "/api/generate", {"model": "m", "prompt": "def f(", "stream": False, **asked})
    assert (record.purpose, record.metadata["purpose_reason"], record.user_prompts) == ("auxiliary", "completion", [])


@pytest.mark.parametrize("streamed", [True, False])
def test_llama_cpp_has_ollamas_path_and_openais_language(streamed: bool) -> None:
    usage = {"prompt_tokens": 11, "completion_tokens": 7}
    call = {"id": "c1", "type": "function", "function": {"name": "read", "arguments": "{}"}}
    whole = {"choices": [{"index": 0, "message": {"tool_calls": [call]}, "finish_reason": "tool_calls"}]}
    wire = sse(CHAT, chat_events([{"tool_calls": [{"index": 0, **call}]}], finish="tool_calls", usage=usage))
    answer, kind = (wire, "text/event-stream") if streamed else (dump({**whole, "usage": usage}), "application/json")
    record = exchange("ollama.com", "/api/chat", {**ASK, "stream": streamed}, answer, kind)
    assert (record.outcome, record.stop_reason) == ("completed", "tool_calls")
    assert [tool.tool for tool in record.tool_usages] == ["read"]
    assert (record.token_usages[0].input_tokens, record.token_usages[0].output_tokens) == (11, 7)


@pytest.mark.parametrize(("cached", "counted"), [(8, (3, 8)), (0, (11, 0)), (99, (0, 11)), ("8", (11, 0))])
def test_what_came_from_the_cache_is_told_from_what_was_read(cached: Any, counted: tuple[int, int]) -> None:
    [usage] = chat([{**said(), "done": True, **COUNTS, "prompt_eval_cached_count": cached}]).token_usages
    assert (usage.input_tokens, usage.cache_read_input_tokens) == counted
