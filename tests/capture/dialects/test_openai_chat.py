"""OpenAI Chat Completions."""

from __future__ import annotations

import base64
from typing import Any

import pytest

from aitap.capture.dialects.chat_answer import ChatDecoder, error_fact
from aitap.capture.facts import Attachment, ErrorFact, ThoughtFact, UsageFact
from aitap.record import ToolResult
from tests.capture.making import CHAT, ask, chat_events, dump, read, read_document, user

USAGE = {"prompt_tokens": 16, "completion_tokens": 7, "total_tokens": 23}


def call(index: int | None, id: str | None = None, name: str | None = None, arguments: str | None = None) -> Any:
    function = {key: value for key, value in {"name": name, "arguments": arguments}.items() if value is not None}
    found: dict[str, Any] = {"function": function}
    if index is not None:
        found["index"] = index
    if id is not None:
        found |= {"id": id, "type": "function"}
    return found


def calls(*each: Any) -> dict[str, Any]:
    return {"tool_calls": list(each)}


def read_calls(*deltas: dict[str, Any]) -> list[tuple[str | None, str, str]]:
    facts = read(CHAT, chat_events(deltas, finish="tool_calls"))
    return [(tool.call_id, tool.tool, tool.input) for tool in facts.tools]


def feed(*chunks: bytes) -> ChatDecoder:
    decoder = ChatDecoder()
    for at, chunk in enumerate(chunks):
        decoder.event(b"message", chunk, float(at))
    return decoder


def document(message: dict[str, Any], **more: Any) -> dict[str, Any]:
    choice = {"index": 0, "message": {"role": "assistant", "content": None, **message}, "finish_reason": "stop"}
    return {"id": "chatcmpl-1", "object": "chat.completion", "model": "gpt-test-1", "choices": [choice], **more}


# Requests


def test_a_request_says_model_stream_and_limits() -> None:
    facts = ask(CHAT, model="gpt-test-1", stream=True, max_tokens=9, messages=[user("hi")])
    assert (facts.model, facts.streaming, facts.max_tokens) == ("gpt-test-1", True, 9)
    assert ask(CHAT, max_tokens=9, max_completion_tokens=5).max_tokens == 5
    assert ask(CHAT, max_completion_tokens=0).max_tokens == 0


@pytest.mark.parametrize(
    ("value", "streaming"), [(True, True), ("true", True), (1, True), (False, False), ("false", False), (None, False)]
)
def test_stream_is_on_in_whatever_way_it_is_written(value: Any, streaming: bool) -> None:
    assert ask(CHAT, stream=value).streaming is streaming


def test_tools_and_functions_of_old_count_as_tools() -> None:
    assert ask(CHAT, tools=[{"type": "function"}]).has_tools
    assert ask(CHAT, functions=[{"name": "f"}]).has_tools
    assert not ask(CHAT, tools=[]).has_tools


def test_a_demanded_schema_is_known() -> None:
    assert ask(CHAT, response_format={"type": "json_schema", "json_schema": {}}).output_schema
    assert not ask(CHAT, response_format={"type": "text"}).output_schema


@pytest.mark.parametrize("role", ["system", "developer"])
def test_system_text_is_the_first_message_of_that_role(role: str) -> None:
    message = {"role": role, "content": [{"type": "text", "text": "You are it."}]}
    assert ask(CHAT, messages=[message, user("hi")]).system == "You are it."
    assert ask(CHAT, messages=[user("hi"), user("hi"), message]).system == ""


def test_the_newest_turn_is_all_after_the_last_assistant_message() -> None:
    messages = [user("old"), {"role": "assistant", "content": "yes"}, user("new"), {"role": "system", "content": "env"}]
    newest = ask(CHAT, messages=messages).newest
    assert [(item.role, item.texts) for item in newest] == [("user", ["new"]), ("other", ["env"])]


def test_tool_results_are_read_with_their_size_and_no_status() -> None:
    """Those of functions, which came before tools, name the function, for calls had no ids."""
    messages = [
        {"role": "assistant", "tool_calls": [{"id": "call_1"}]},
        {"role": "tool", "tool_call_id": "call_1", "content": "h\u00e9"},
        {"role": "tool", "tool_call_id": "call_2", "content": [{"type": "text", "text": "ab"}]},
        {"role": "function", "name": "old", "content": "x"},
    ]
    newest = ask(CHAT, messages=messages).newest
    assert [item.role for item in newest] == ["tool", "tool", "tool"]
    assert [result for item in newest for result in item.results] == [
        ToolResult(call_id="call_1", status=None, size=3),
        ToolResult(call_id="call_2", status=None, size=2),
        ToolResult(call_id="old", status=None, size=1),
    ]


def test_attachments_are_noted_by_kind_size_and_place_and_not_kept() -> None:
    data = base64.b64encode(bytes(300)).decode()
    content = [
        {"type": "text", "text": "look"},
        {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{data}"}},
        {"type": "image_url", "image_url": "https://example.com/a.png"},
        {"type": "input_audio", "input_audio": {"format": "wav", "data": data}},
        {"type": "file", "file": {"file_data": f"data:application/pdf;base64,{data}"}},
        {"type": "file", "file": {"file_id": "file-1"}},
        {"type": "unknown"},
    ]
    (turn,) = ask(CHAT, messages=[user(content)]).newest
    assert turn.attachments == [
        Attachment("image", "image/png", 300),
        Attachment("image", uri="https://example.com/a.png"),
        Attachment("audio", "wav", 300),
        Attachment("file", "application/pdf", 300),
        Attachment("file", uri="file-1"),
    ]
    assert turn.texts == ["look"]


def test_ids_of_the_body_are_read() -> None:
    facts = ask(CHAT, prompt_cache_key="k", user="u", metadata={"sessionId": "s", "n": 5})
    assert facts.body_ids == {"prompt_cache_key": "k", "user": "u", "metadata.sessionId": "s"}


def test_the_conversation_tells_who_speaks() -> None:
    messages = [
        {"role": "system", "content": "s"},
        user("one"),
        {"role": "assistant", "content": "two"},
        {"role": "tool", "tool_call_id": "c", "content": "x"},
        user([{"type": "text", "text": "three"}]),
        5,
    ]
    conversation = ask(CHAT, messages=messages).conversation
    assert conversation is not None
    assert [(item.role, item.texts) for item in conversation()] == [
        ("other", []),
        ("user", ["one"]),
        ("assistant", []),
        ("tool", []),
        ("user", ["three"]),
        ("other", []),
    ]


@pytest.mark.parametrize("field", ["model", "messages", "tools", "stream", "max_tokens", "metadata", "user"])
@pytest.mark.parametrize("value", [None, [], {}, [[]], [5], [{"role": 5, "content": {"a": 1}}]])
def test_a_member_of_an_odd_type_costs_no_other(field: str, value: Any) -> None:
    facts = ask(CHAT, **{"model": "m", "messages": [user("hi")], "max_tokens": 5, "stream": True, field: value})
    assert field == "model" or facts.model == "m"
    assert field == "messages" or facts.newest[0].texts == ["hi"]
    assert field == "max_tokens" or facts.max_tokens == 5


# Usage of streams


def test_cached_tokens_are_taken_out_of_the_input() -> None:
    details = {
        "prompt_tokens_details": {"cached_tokens": 5, "audio_tokens": 1},
        "completion_tokens_details": {"reasoning_tokens": 2, "accepted_prediction_tokens": 0},
    }
    usage = read(CHAT, chat_events([{"content": "hi"}], usage={**USAGE, **details})).usage
    assert usage == UsageFact(
        input_tokens=11,
        output_tokens=7,
        cache_read_input_tokens=5,
        extra={
            "total_tokens": 23,
            "prompt_cached": 5,
            "prompt_audio": 1,
            "completion_reasoning": 2,
            "completion_accepted_prediction": 0,
        },
    )


@pytest.mark.parametrize(
    "usage",
    [
        {**USAGE, "prompt_cache_hit_tokens": 5, "prompt_cache_miss_tokens": 11},
        {**USAGE, "cached_tokens": 5},
        {**USAGE, "prompt_tokens_details": {"cached_tokens": 5}, "prompt_cache_hit_tokens": 5},
    ],
    ids=["DeepSeek", "Moonshot", "both"],
)
def test_cached_tokens_are_found_where_vendors_put_them(usage: dict[str, Any]) -> None:
    found = read(CHAT, chat_events(usage=usage)).usage
    assert found is not None
    assert (found.input_tokens, found.cache_read_input_tokens) == (11, 5)


def test_more_cached_than_input_is_no_negative_number() -> None:
    usage = {"prompt_tokens": 3, "completion_tokens": 1, "prompt_tokens_details": {"cached_tokens": 5}}
    found = read(CHAT, chat_events(usage=usage)).usage
    assert found is not None
    assert found.input_tokens == 0


def test_usage_of_no_output_is_usage() -> None:
    usage = read(CHAT, chat_events(usage={"prompt_tokens": 16, "completion_tokens": 0})).usage
    assert usage == UsageFact(input_tokens=16)


def test_the_last_usage_that_is_not_null_counts() -> None:
    events = chat_events([{"content": "a"}, {"content": "b"}])
    events[1]["usage"] = {"prompt_tokens": 16, "completion_tokens": 1}
    events[2]["usage"] = {"prompt_tokens": 16, "completion_tokens": 2}
    events[3]["usage"] = None
    assert read(CHAT, events).usage == UsageFact(input_tokens=16, output_tokens=2)


def test_usage_that_never_came_stays_unknown() -> None:
    facts = read(CHAT, chat_events([{"content": "hi"}]))
    assert (facts.usage, facts.complete) == (None, True)


def test_a_cut_stream_keeps_its_counters_marked_partial() -> None:
    chunk = {"id": "c", "choices": [{"index": 0, "delta": {"content": "a"}, "finish_reason": None}]}
    facts = feed(dump({**chunk, "usage": {"prompt_tokens": 16, "completion_tokens": 1}})).facts()
    assert facts.usage == UsageFact(input_tokens=16, output_tokens=1, extra={"partial": True})
    assert not facts.complete


# The end of a stream


def test_a_whole_stream_says_id_model_and_stop_reason() -> None:
    facts = read(CHAT, chat_events([{"content": "Hel"}, {"content": "lo"}], finish="length"))
    assert (facts.response_id, facts.model) == ("chatcmpl-1", "gpt-test-1-2026-01-01")
    assert (facts.stop_reason, facts.complete, facts.error) == ("length", True, None)


def test_a_finish_reason_ends_a_stream_without_its_last_mark() -> None:
    events = [dump(event) for event in chat_events([{"content": "hi"}])]
    assert not feed(*events[:-1]).facts().complete
    assert feed(*events).facts().complete


def test_each_choice_needs_a_finish_reason_where_the_last_mark_is_missing() -> None:
    def chunk(*choices: tuple[int, str | None]) -> bytes:
        return dump({"choices": [{"index": i, "delta": {"content": "a"}, "finish_reason": end} for i, end in choices]})

    open_ones = [chunk((0, None)), chunk((1, None)), chunk((0, "stop"))]
    assert not feed(*open_ones).facts().complete
    assert feed(*open_ones, chunk((1, "stop"))).facts().complete
    assert (
        feed(chunk((0, None)), chunk((1, None)), chunk((1, None), (0, "stop")), chunk((1, "length"))).facts().complete
    )


def test_the_stop_reason_is_that_of_the_first_choice() -> None:
    ends = [{"choices": [{"index": i, "delta": {}, "finish_reason": end}]} for i, end in ((1, "length"), (0, "stop"))]
    assert read(CHAT, ends).stop_reason == "stop"


def test_a_refusal_is_a_whole_answer() -> None:
    facts = read(CHAT, chat_events([{"refusal": "I can't"}, {"refusal": " do it"}], finish="content_filter"))
    assert (facts.complete, facts.stop_reason, facts.error) == (True, "content_filter", None)
    assert facts.first_output_at == 1.0


def test_the_first_output_is_the_first_delta_that_says_something() -> None:
    events = [dump(event) for event in chat_events([{"content": "a"}, {"content": "b"}])]
    assert feed(*events).facts().first_output_at == 1.0


# Calls in a stream


def test_parallel_calls_keep_wire_order_and_their_exact_text() -> None:
    found = read_calls(
        calls(call(0, "call_1", "read", "")),
        calls(call(0, arguments='{"path": ')),
        calls(call(0, arguments='"a",  "n":1.0}')),
        calls(call(1, "call_2", "list", "{}")),
    )
    assert found == [("call_1", "read", '{"path": "a",  "n":1.0}'), ("call_2", "list", "{}")]


def test_calls_whose_pieces_alternate_are_told_apart() -> None:
    found = read_calls(
        calls(call(0, "call_1", "a", "["), call(1, "call_2", "b", "{")),
        calls(call(1, arguments="}"), call(0, arguments="]")),
    )
    assert found == [("call_1", "a", "[]"), ("call_2", "b", "{}")]


def test_indexes_need_not_start_at_zero() -> None:
    assert read_calls(calls(call(3, "call_1", "a", "[")), calls(call(3, arguments="]"))) == [("call_1", "a", "[]")]


def test_a_new_id_with_a_name_is_a_new_call_also_at_the_same_index() -> None:
    found = read_calls(
        calls(call(0, "call_1", "a", "[1]")), calls(call(0, "call_2", "b", "[2")), calls(call(0, arguments="]"))
    )
    assert found == [("call_1", "a", "[1]"), ("call_2", "b", "[2]")]


def test_an_id_repeated_with_each_piece_is_one_call() -> None:
    found = read_calls(calls(call(0, "call_1", "a", "[1")), calls(call(0, "call_1", "a", ",2]")))
    assert found == [("call_1", "a", "[1,2]")]


def test_calls_without_an_index_go_by_their_place() -> None:
    found = read_calls(
        calls(call(None, "call_1", "a", "[1]"), call(None, "call_2", "b", "[2]")),
        calls(call(None, "call_3", "c", "[]")),
    )
    assert found == [("call_1", "a", "[1]"), ("call_2", "b", "[2]"), ("call_3", "c", "[]")]


def test_a_call_beside_answer_text_is_not_overlooked() -> None:
    found = read_calls({"content": "Now"}, {"content": "", **calls(call(0, "call_1", "a", "[]"))})
    assert found == [("call_1", "a", "[]")]


def test_a_function_call_of_old_is_a_call_without_id() -> None:
    found = read_calls(
        {"content": "Now"},
        {"content": "", "function_call": {"name": "read", "arguments": ""}},
        {"content": "", "function_call": {"arguments": '{"a":'}},
        {"function_call": {"arguments": " 1}"}},
    )
    assert found == [(None, "read", '{"a": 1}')]


def test_a_custom_tool_keeps_its_name_and_its_text() -> None:
    first = {"index": 0, "id": "call_1", "type": "custom", "custom": {"name": "exec", "input": "print("}}
    (tool,) = read(CHAT, chat_events([calls(first), calls({"index": 0, "custom": {"input": "1)"}})])).tools
    assert (tool.tool, tool.input, tool.kind, tool.call_id) == ("exec", "print(1)", "custom", "call_1")


def test_arguments_sent_as_an_object_become_its_text() -> None:
    assert read_calls(calls({"index": 0, "id": "c", "function": {"name": "a", "arguments": {"x": 1}}})) == [
        ("c", "a", '{"x":1}')
    ]


def test_a_call_cut_off_is_marked_partial() -> None:
    delta = {"choices": [{"index": 0, "delta": calls(call(0, "c", "a", '{"pa')), "finish_reason": None}]}
    (tool,) = feed(dump(delta)).facts().tools
    assert (tool.input, tool.metadata) == ('{"pa', {"partial": True})


# Thoughts in a stream


@pytest.mark.parametrize("field", ["reasoning_content", "reasoning"])
def test_reasoning_is_one_thought_by_either_name(field: str) -> None:
    facts = read(CHAT, chat_events([{field: "First"}, {field: " then", "content": ""}, {"content": "So"}]))
    assert facts.thoughts == [ThoughtFact("reasoning_content", "First then")]


def test_reasoning_sent_under_both_names_is_not_doubled() -> None:
    facts = read(CHAT, chat_events([{"reasoning_content": "Hm", "reasoning": "Hm"}]))
    assert facts.thoughts == [ThoughtFact("reasoning_content", "Hm")]


def test_no_reasoning_is_no_thought() -> None:
    assert read(CHAT, chat_events([{"reasoning_content": None, "content": "So"}, {"reasoning": ""}])).thoughts == []


# Errors


@pytest.mark.parametrize(
    ("document", "fact"),
    [
        ({"error": {"message": "No", "type": "server_error"}}, ErrorFact("No", "server_error")),
        ({"error": {"message": "No", "type": "tokens", "code": "rate_limit"}}, ErrorFact("No", "tokens rate_limit")),
        ({"error": {"message": "No", "code": 502}}, ErrorFact("No", "502")),
        ({"error": {"message": "No", "status": "UNAVAILABLE"}}, ErrorFact("No", "UNAVAILABLE")),
        ({"error": "No"}, ErrorFact("No")),
        ({"message": "No", "type": "error", "code": "server_error"}, ErrorFact("No", "server_error")),
        ({"error": {"detail": "No"}}, ErrorFact("No")),
        ({"error": {}}, ErrorFact("the provider reported an error")),
        (None, ErrorFact("the provider reported an error")),
        ([5], ErrorFact("the provider reported an error")),
    ],
)
def test_an_error_of_any_shape_gives_its_words(document: Any, fact: ErrorFact) -> None:
    assert error_fact(document) == fact


def test_an_error_in_a_stream_ends_the_answer_and_what_was_read_stays() -> None:
    events = chat_events([{"content": "hi"}, calls(call(0, "c", "a", "[]"))])[:-1]
    error = {"error": {"message": "Provider disconnected", "code": 502}}
    final = {**events[0], **error, "choices": [{"index": 0, "delta": {"content": ""}, "finish_reason": "error"}]}
    quiet = {**events[1], **error}
    for last in (error, final, quiet):
        facts = read(CHAT, [*events, last])
        assert (facts.error, facts.complete) == (ErrorFact("Provider disconnected", "502"), False)
        assert len(facts.tools) == 1


def test_an_event_named_error_is_an_error_whatever_is_in_it() -> None:
    for data, words in ((b'{"message":"No"}', "No"), (b"no JSON", "no JSON"), (b" ", "the provider reported an error")):
        decoder = ChatDecoder()
        decoder.event(b"error", data, 1.0)
        error = decoder.facts().error
        assert error is not None
        assert error.message == words


# Documents


def test_a_document_gives_message_calls_reasoning_and_usage() -> None:
    message = {
        "reasoning_content": "Hm",
        "tool_calls": [
            {"id": "call_1", "type": "function", "function": {"name": "read", "arguments": '{"a":  1}'}},
            {"id": "call_2", "type": "custom", "custom": {"name": "exec", "input": "x()"}},
        ],
    }
    facts = read_document(CHAT, document(message, usage=USAGE))
    assert (facts.response_id, facts.model, facts.stop_reason) == ("chatcmpl-1", "gpt-test-1", "stop")
    assert [(tool.call_id, tool.tool, tool.input, tool.kind) for tool in facts.tools] == [
        ("call_1", "read", '{"a":  1}', "function"),
        ("call_2", "exec", "x()", "custom"),
    ]
    assert facts.thoughts == [ThoughtFact("reasoning_content", "Hm")]
    assert facts.usage == UsageFact(input_tokens=16, output_tokens=7, extra={"total_tokens": 23})
    assert facts.complete


def test_a_document_with_a_function_call_of_old_gives_the_call() -> None:
    (tool,) = read_document(CHAT, document({"function_call": {"name": "read", "arguments": "{}"}})).tools
    assert (tool.tool, tool.input, tool.call_id, tool.metadata) == ("read", "{}", None, {})


def test_a_document_without_usage_leaves_it_unknown() -> None:
    facts = read_document(CHAT, document({"content": "hi"}))
    assert (facts.usage, facts.complete) == (None, True)


def test_an_error_document_is_an_error() -> None:
    facts = read_document(CHAT, {"error": {"message": "No", "type": "invalid_request_error"}})
    assert (facts.error, facts.complete) == (ErrorFact("No", "invalid_request_error"), False)


@pytest.mark.parametrize("document", [{}, [], "text", None, {"choices": []}, {"choices": 5}, {"object": "list"}])
def test_a_document_of_something_else_is_not_whole(document: Any) -> None:
    assert not read_document(CHAT, document).complete


@pytest.mark.parametrize(("tier", "kept"), [("flex", {"service_tier": "flex"}), (None, {}), (7, {})])
def test_the_tier_of_service_stands_with_the_tokens_that_it_prices(tier: Any, kept: dict[str, str]) -> None:
    usage = read_document(CHAT, document({"content": "hi"}, usage=USAGE, service_tier=tier)).usage
    assert usage is not None
    assert {name: value for name, value in usage.extra.items() if name == "service_tier"} == kept


def test_the_tier_of_service_may_stand_among_the_counters() -> None:
    usage = read_document(CHAT, document({"content": "hi"}, usage={**USAGE, "service_tier": "flex"})).usage
    assert usage is not None
    assert usage.extra["service_tier"] == "flex"


def test_what_copilot_bills_stands_beside_the_counters() -> None:
    *going, last = chat_events([{"content": "hi"}], usage=USAGE)
    billed = {"copilot_usage": {"total_nano_aiu": 250_000_000, "token_details": [{"token_count": 1}]}}
    facts = [
        read(CHAT, [*going, last | billed]),
        read_document(CHAT, document({"content": "hi"}, usage=USAGE) | billed),
    ]
    assert [one.usage.extra["copilot_usage.total_nano_aiu"] for one in facts if one.usage] == [250_000_000] * 2
