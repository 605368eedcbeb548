"""Anthropic Messages."""

from __future__ import annotations

import base64
from typing import Any

import pytest

from aitap.capture.dialects.anthropic_answer import MessageDecoder
from aitap.capture.facts import Attachment, ErrorFact, ResponseFacts, ThoughtFact
from aitap.record import ToolResult
from tests.capture.making import (
    MESSAGES,
    ask,
    by_blocks,
    dump,
    message_events,
    read,
    read_bytes,
    read_document,
    record,
    sse,
    user,
)


def text(*parts: str) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    return {"type": "text", "text": ""}, [{"type": "text_delta", "text": part} for part in parts]


def call(id: str, name: str, *parts: str, type: str = "tool_use", **more: Any) -> tuple[dict[str, Any], list[Any]]:
    block = {"type": type, "id": id, "name": name, "input": {}, **more}
    return block, [{"type": "input_json_delta", "partial_json": part} for part in parts]


def message(*content: dict[str, Any], **more: Any) -> dict[str, Any]:
    head = {"id": "msg_1", "type": "message", "role": "assistant", "model": "claude-test-1-20260101"}
    return {
        **head,
        "content": list(content),
        "stop_reason": "end_turn",
        "usage": {"input_tokens": 11, "output_tokens": 7},
        **more,
    }


# Requests


def test_a_request_says_model_stream_and_limits() -> None:
    facts = ask(MESSAGES, model="claude-test-1", stream=True, max_tokens=64, messages=[user("hi")])
    assert (facts.model, facts.streaming, facts.max_tokens) == ("claude-test-1", True, 64)
    assert not facts.has_tools
    assert not facts.output_schema


def test_tools_count_only_where_there_are_some() -> None:
    assert ask(MESSAGES, tools=[{"name": "read"}]).has_tools
    assert not ask(MESSAGES, tools=[]).has_tools
    assert not ask(MESSAGES, tools=None).has_tools


def test_a_demanded_schema_is_known() -> None:
    schema = {"type": "json_schema", "schema": {}}
    assert ask(MESSAGES, output_config={"format": schema}).output_schema
    assert ask(MESSAGES, output_format=schema).output_schema
    assert not ask(MESSAGES, output_config={"effort": "high"}).output_schema


def test_system_text_is_read_as_text_or_as_blocks_without_the_accounting_line() -> None:
    assert ask(MESSAGES, system="You are it.").system == "You are it."
    blocks = [
        {"type": "text", "text": "x-anthropic-billing-header: cc_version=2; cch=abc;"},
        {"type": "text", "text": "You are it.", "cache_control": {"type": "ephemeral"}},
        {"type": "text", "text": "Be brief."},
    ]
    assert ask(MESSAGES, system=blocks).system == "You are it.\nBe brief."


def test_the_newest_turn_is_all_after_the_last_assistant_message() -> None:
    messages = [user("old"), {"role": "assistant", "content": "yes"}, user("new"), {"role": "system", "content": "env"}]
    newest = ask(MESSAGES, messages=messages).newest
    assert [(item.role, item.texts) for item in newest] == [("user", ["new"]), ("other", ["env"])]


def test_a_turn_already_answered_is_not_the_newest() -> None:
    assert ask(MESSAGES, messages=[user("old"), {"role": "assistant", "content": "yes"}]).newest == []


def test_tool_results_are_read_with_status_and_size() -> None:
    content = [
        {"type": "tool_result", "tool_use_id": "toolu_1", "content": "h\u00e9", "is_error": False},
        {
            "type": "tool_result",
            "tool_use_id": "toolu_2",
            "content": [{"type": "text", "text": "no"}],
            "is_error": True,
        },
        {"type": "tool_result", "tool_use_id": "toolu_3"},
        {"type": "tool_result"},
    ]
    (turn,) = ask(MESSAGES, messages=[user(content)]).newest
    assert turn.results == [
        ToolResult(call_id="toolu_1", status="ok", size=3),
        ToolResult(call_id="toolu_2", status="error", size=len('[{"type":"text","text":"no"}]')),
        ToolResult(call_id="toolu_3", status="ok", size=0),
    ]


def test_attachments_are_noted_by_kind_size_and_place_and_not_kept() -> None:
    data = base64.b64encode(bytes(300)).decode()
    content = [
        {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": data}},
        {"type": "image", "source": {"type": "url", "url": "https://example.com/a.png"}},
        {"type": "document", "source": {"type": "file", "file_id": "file_1"}},
        {"type": "text", "text": "look"},
    ]
    (turn,) = ask(MESSAGES, messages=[user(content)]).newest
    assert turn.attachments == [
        Attachment("image", "image/png", 300),
        Attachment("image", uri="https://example.com/a.png"),
        Attachment("document", uri="file_1"),
    ]
    assert turn.texts == ["look"]


def test_files_for_a_container_and_found_pages_are_attachments_and_plain_text_is_as_long_as_it_is() -> None:
    """Anthropic, "Files API", "Search results", "PDF support"."""
    content = [
        {"type": "container_upload", "file_id": "file_1"},
        {"type": "search_result", "source": "https://example.com/a", "title": "A", "content": []},
        {"type": "document", "source": {"type": "text", "media_type": "text/plain", "data": "zw\u00f6lf"}},
        {"type": "text", "text": "look"},
    ]
    (turn,) = ask(MESSAGES, messages=[user(content)]).newest
    assert turn.attachments == [
        Attachment("container_upload", uri="file_1"),
        Attachment("search_result", uri="https://example.com/a"),
        Attachment("document", "text/plain", 6),
    ]


def test_to_fill_the_cache_alone_is_no_conversation() -> None:
    """Anthropic, "Prompt caching": with ``max_tokens`` 0 nothing is generated."""
    body = {"model": "m", "max_tokens": 0, "messages": [user("a long document")]}
    found = record(MESSAGES, body, dump(message(stop_reason="max_tokens")), content_type="application/json")
    assert (found.purpose, found.metadata["purpose_reason"], found.user_prompts) == ("auxiliary", "prewarm", [])
    assert found.outcome == "completed"
    assert len(found.token_usages) == 1


def test_to_have_a_conversation_summarized_is_no_conversation_and_costs_what_it_did() -> None:
    """Anthropic, "Compaction on demand": the sums on top are zero."""
    iterations = [{"type": "compaction", "input_tokens": 900, "output_tokens": 80}]
    usage = {"input_tokens": 0, "output_tokens": 0, "iterations": iterations}
    answer = message({"type": "compaction", "content": "We did."}, stop_reason="compaction", usage=usage)
    body = {"model": "m", "compaction": {"type": "summarize"}, "messages": [user("go")]}
    found = record(MESSAGES, body, dump(answer), content_type="application/json")
    assert (found.purpose, found.metadata["purpose_reason"], found.user_prompts) == ("auxiliary", "compaction", [])
    assert (found.token_usages[0].input_tokens, found.token_usages[0].output_tokens) == (900, 80)
    assert record(MESSAGES, {**body, "compaction": None}).purpose == "conversation"


def test_claude_code_tells_of_a_subagent_in_its_accounting_line_too() -> None:
    accounting = "x-anthropic-billing-header: cc_version=2.1.100; cc_is_subagent=true;"
    system = [{"type": "text", "text": accounting}, {"type": "text", "text": "You search."}]
    body = {"model": "m", "system": system, "messages": [user("find it")]}
    found = record(MESSAGES, body, headers={"user-agent": "claude-cli/2.1.100 (external, cli)"})
    assert found.lineage.is_subagent
    assert found.user_prompts[0].metadata["author"] == "agent"


def test_ids_of_the_body_are_read() -> None:
    facts = ask(MESSAGES, metadata={"user_id": "u_1"}, diagnostics={"previous_message_id": "msg_0"})
    assert facts.body_ids == {"metadata.user_id": "u_1", "diagnostics.previous_message_id": "msg_0"}


def test_the_conversation_tells_who_speaks_in_either_form_of_content() -> None:
    result = {"type": "tool_result", "tool_use_id": "t", "content": "x"}
    messages = [
        user("one"),
        {"role": "assistant", "content": [{"type": "text", "text": "two"}]},
        user([result]),
        user([result, {"type": "text", "text": "three"}]),
        {"role": "system", "content": "env"},
        user([{"type": "text", "text": None}, {"type": "text", "text": "four"}]),
    ]
    conversation = ask(MESSAGES, messages=messages).conversation
    assert conversation is not None
    assert [(item.role, item.texts) for item in conversation()] == [
        ("user", ["one"]),
        ("assistant", []),
        ("tool", []),
        ("user", ["three"]),
        ("other", []),
        ("user", ["four"]),
    ]


@pytest.mark.parametrize("field", ["model", "messages", "system", "tools", "stream", "max_tokens", "metadata"])
@pytest.mark.parametrize("value", [None, 5, "x", [], {}, [[]], [5], {"user_id": 5}, [{"role": 5, "content": {"a": 1}}]])
def test_a_member_of_an_odd_type_costs_no_other(field: str, value: Any) -> None:
    body = {"model": "m", "messages": [user("hi")], "max_tokens": 5, "stream": True, field: value}
    facts = ask(MESSAGES, **body)
    assert field == "model" or facts.model == "m"
    assert field == "messages" or facts.newest[0].texts == ["hi"]
    assert field == "max_tokens" or facts.max_tokens == 5


# Streams


def test_the_last_value_of_each_counter_wins() -> None:
    """``message_delta`` is cumulative: nothing is added up."""
    start = {
        "input_tokens": 3,
        "cache_read_input_tokens": 100,
        "cache_creation_input_tokens": 20,
        "output_tokens": 4,
        "cache_creation": {"ephemeral_5m_input_tokens": 20, "ephemeral_1h_input_tokens": 0},
        "service_tier": "standard",
    }
    end = {
        "input_tokens": 40,
        "cache_read_input_tokens": 110,
        "output_tokens": 61,
        "server_tool_use": {"web_search_requests": 2, "web_fetch_requests": 1},
    }
    usage = read(MESSAGES, message_events([text("hi")], usage=start, delta_usage=end)).usage
    assert usage is not None
    assert (usage.input_tokens, usage.output_tokens) == (40, 61)
    assert (usage.cache_read_input_tokens, usage.cache_write_input_tokens) == (110, 20)
    assert usage.extra == {
        "cache_read_input": 110,
        "cache_creation_input": 20,
        "cache_ephemeral_5m_input": 20,
        "cache_ephemeral_1h_input": 0,
        "web_search_requests": 2,
        "web_fetch_requests": 1,
        "service_tier": "standard",
    }


def test_a_null_counter_at_the_end_does_not_undo_the_first_one() -> None:
    start = {"input_tokens": 3, "cache_read_input_tokens": 100, "output_tokens": 4}
    events = message_events(usage=start, delta_usage={"cache_read_input_tokens": None, "output_tokens": 9})
    usage = read(MESSAGES, events).usage
    assert usage is not None
    assert (usage.cache_read_input_tokens, usage.output_tokens) == (100, 9)


def test_a_whole_stream_says_id_model_stop_reason_and_that_it_is_whole() -> None:
    facts = read(MESSAGES, message_events([text("Hel", "lo")], stop="max_tokens"))
    assert (facts.response_id, facts.model) == ("msg_1", "claude-test-1-20260101")
    assert (facts.stop_reason, facts.complete, facts.error) == ("max_tokens", True, None)
    assert (facts.tools, facts.thoughts, facts.hidden_thoughts) == ([], [], 0)


def test_a_refusal_is_a_whole_answer_with_its_stop_reason() -> None:
    facts = read(MESSAGES, message_events([text("I can't")], stop="refusal"))
    assert (facts.stop_reason, facts.complete) == ("refusal", True)


def test_what_a_refusal_was_about_is_known() -> None:
    details = {"type": "refusal", "category": "cyber", "explanation": "long words"}
    events = message_events([text("I can't")], stop="refusal")
    events[-2]["delta"]["stop_details"] = details
    streamed = record(MESSAGES, {}, sse(MESSAGES, events))
    document = message(stop_reason="refusal", stop_details=details)
    whole = record(MESSAGES, {}, dump(document), content_type="application/json")
    for found in (streamed, whole):
        assert (found.stop_reason, found.outcome) == ("refusal", "completed")
        assert found.metadata["stop_category"] == "cyber"


def test_a_refused_request_that_another_model_answers_is_that_models() -> None:
    """Anthropic, "Refusals and fallback": the sums are of the attempt that was served, the start of another one's."""
    start = {"input_tokens": 40, "output_tokens": 1, "cache_creation": {"ephemeral_1h_input_tokens": 30}}
    iterations = [
        {"type": "message", "model": "claude-test-1", "input_tokens": 40, "output_tokens": 3},
        {
            "type": "fallback_message",
            "model": "claude-other-1",
            "input_tokens": 12,
            "output_tokens": 5,
            "cache_creation_input_tokens": 30,
            "cache_creation": {"ephemeral_5m_input_tokens": 30, "ephemeral_1h_input_tokens": 0},
        },
    ]
    end = {"input_tokens": 12, "output_tokens": 5, "cache_creation_input_tokens": 30, "iterations": iterations}
    hop = {
        "type": "fallback",
        "from": {"model": "claude-test-1"},
        "to": {"model": "claude-other-1"},
        "trigger": {"type": "refusal", "category": "cyber"},
    }
    facts = read(MESSAGES, message_events([text("I"), (hop, []), text("So")], usage=start, delta_usage=end))
    assert (facts.model, facts.complete, facts.tools) == ("claude-other-1", True, [])
    usage = facts.usage
    assert usage is not None
    assert (usage.input_tokens, usage.output_tokens, usage.cache_write_input_tokens) == (12, 5, 30)
    assert usage.extra["cache_ephemeral_5m_input"] == 30
    assert usage.extra["cache_ephemeral_1h_input"] == 0
    assert usage.extra["iterations.message.model"] == "claude-test-1"
    assert usage.extra["iterations.message.output_tokens"] == 3
    whole = read_document(MESSAGES, message(hop, model="claude-other-1", usage={**start, **end}))
    assert (whole.model, whole.usage) == (facts.model, facts.usage)


@pytest.mark.parametrize(
    ("output", "category", "kind"),
    [(0, "cyber", "unbilled"), (0, None, "unbilled"), (0, "bio", "message"), (3, "cyber", "message")],
)
def test_an_attempt_that_was_refused_at_once_is_billed_by_what_it_was_about(
    output: int, category: str | None, kind: str
) -> None:
    iterations = [
        {"type": "message", "model": "claude-test-1", "input_tokens": 40, "output_tokens": output},
        {"type": "message", "model": "claude-other-1", "input_tokens": 5, "output_tokens": 1},
        {"type": "fallback_message", "model": "claude-other-1", "input_tokens": 12, "output_tokens": 5},
    ]
    end = {"input_tokens": 17, "output_tokens": 6, "iterations": iterations}
    trigger = {"type": "refusal", "category": category}
    hop = {
        "type": "fallback",
        "from": {"model": "claude-test-1"},
        "to": {"model": "claude-other-1"},
        "trigger": trigger,
    }
    usage = read(MESSAGES, message_events([(hop, []), text("So")], delta_usage=end)).usage
    assert usage is not None
    assert {path.split(".")[1] for path in usage.extra} == {kind, "fallback_message"}
    assert usage.extra[f"iterations.{kind}.input_tokens"] == 40


@pytest.mark.parametrize(("category", "unbilled"), [("cyber", True), (None, True), ("frontier_llm", None)])
def test_a_request_that_was_refused_at_once_is_not_billed(category: str | None, unbilled: bool | None) -> None:
    events = message_events([], stop="refusal", delta_usage={"output_tokens": 0})
    events[-2]["delta"]["stop_details"] = {"type": "refusal", "category": category}
    usage = read(MESSAGES, events).usage
    assert usage is not None
    assert usage.extra.get("refused_at_once") is unbilled
    assert "refused_at_once" not in usage_of(message_events([text("I")], stop="refusal"))


def usage_of(events: list[dict[str, Any]]) -> dict[str, Any]:
    usage = read(MESSAGES, events).usage
    assert usage is not None
    return usage.extra


def test_what_a_compaction_cost_is_billed_and_what_an_adviser_cost_stands_beside() -> None:
    """Anthropic, "Compaction at a token threshold": the counters on top leave the summary out."""
    iterations = [
        {
            "type": "compaction",
            "input_tokens": 180000,
            "output_tokens": 3500,
            "cache_read_input_tokens": 7,
            "cache_creation_input_tokens": 5,
            "cache_creation": {"ephemeral_5m_input_tokens": 5, "ephemeral_1h_input_tokens": 0},
        },
        {"type": "message", "input_tokens": 23000, "output_tokens": 1000},
        {"type": "advisor_message", "model": "claude-wise", "input_tokens": 900, "output_tokens": 90},
        {"type": {"odd": 1}},
        "odd",
    ]
    end = {"input_tokens": 23000, "output_tokens": 1000, "iterations": iterations}
    usage = read(MESSAGES, message_events([text("hi")], delta_usage=end)).usage
    assert usage is not None
    assert (usage.input_tokens, usage.output_tokens) == (203000, 4500)
    assert (usage.cache_read_input_tokens, usage.cache_write_input_tokens) == (7, 5)
    assert usage.extra["cache_ephemeral_5m_input"] == 5
    assert usage.extra["iterations.advisor_message.input_tokens"] == 900
    assert usage.extra["iterations.advisor_message.model"] == "claude-wise"
    assert usage.extra["iterations.compaction.output_tokens"] == 3500


@pytest.mark.parametrize("odd", [None, 5, "x", {}, {"type": "compaction"}, [None, 1, []]])
def test_iterations_of_an_odd_type_cost_no_counter(odd: Any) -> None:
    usage = read(MESSAGES, message_events([text("hi")], delta_usage={"output_tokens": 9, "iterations": odd})).usage
    assert usage is not None
    assert (usage.input_tokens, usage.output_tokens) == (11, 9)


def test_usage_that_never_came_stays_unknown() -> None:
    events = [event for event in message_events([text("hi")], usage={}) if event["type"] != "message_delta"]
    assert read(MESSAGES, events).usage is None


def test_a_cut_stream_keeps_its_counters_marked_partial() -> None:
    facts = read(MESSAGES, message_events([text("hi"), text("more")])[:5])
    assert not facts.complete
    assert facts.usage is not None
    assert (facts.usage.input_tokens, facts.usage.output_tokens) == (11, 1)
    assert facts.usage.extra == {"partial": True}


def test_a_whole_stream_is_not_partial() -> None:
    usage = read(MESSAGES, message_events([text("hi")])).usage
    assert usage is not None
    assert usage.extra == {}


def test_parallel_calls_keep_wire_order_and_their_exact_text() -> None:
    blocks = [
        text("Both."),
        call("toolu_1", "read", "", '{"path": ', '"a b",  "n":1.0}'),
        call("toolu_2", "list", "{}"),
        call("toolu_3", "now"),
    ]
    facts = read(MESSAGES, message_events(blocks, stop="tool_use"))
    assert [(tool.call_id, tool.tool, tool.input, tool.kind) for tool in facts.tools] == [
        ("toolu_1", "read", '{"path": "a b",  "n":1.0}', "function"),
        ("toolu_2", "list", "{}", "function"),
        ("toolu_3", "now", "{}", "function"),
    ]
    assert [tool.metadata for tool in facts.tools] == [{}, {}, {}]


def test_blocks_at_odd_and_interleaved_indexes_are_told_apart() -> None:
    events = message_events()
    events[2:2] = [
        {"type": "content_block_start", "index": 7, "content_block": call("b", "second")[0]},
        {"type": "content_block_start", "index": 3, "content_block": call("a", "first")[0]},
        {"type": "content_block_delta", "index": 7, "delta": {"type": "input_json_delta", "partial_json": "[7"}},
        {"type": "content_block_delta", "index": 3, "delta": {"type": "input_json_delta", "partial_json": "[3]"}},
        {"type": "content_block_delta", "index": 7, "delta": {"type": "input_json_delta", "partial_json": "]"}},
        {"type": "content_block_delta", "index": 9, "delta": {"type": "input_json_delta", "partial_json": "lost"}},
    ]
    assert [(tool.tool, tool.input) for tool in read(MESSAGES, events).tools] == [("first", "[3]"), ("second", "[7]")]


def test_a_block_that_takes_the_index_of_a_text_keeps_its_deltas() -> None:
    """Some gateways number every block 0: what is skipped of a text must not be skipped of what follows it."""
    blocks = [text("Both."), call("toolu_1", "read", '{"a":', "1}")]
    events = [{**event, "index": 0} if "index" in event else event for event in message_events(blocks)]
    assert [tool.input for tool in read(MESSAGES, events).tools] == ['{"a":1}']


def test_a_call_cut_off_is_marked_partial() -> None:
    events = message_events([call("toolu_1", "read", '{"pa')])[:4]
    (tool,) = read(MESSAGES, events).tools
    assert (tool.input, tool.metadata) == ('{"pa', {"partial": True})


def test_input_that_is_no_json_is_kept_as_it_is() -> None:
    (tool,) = read(MESSAGES, message_events([call("toolu_1", "read", "not ", "json")])).tools
    assert tool.input == "not json"


@pytest.mark.parametrize(
    ("result", "status"),
    [
        ({"type": "web_search_tool_result", "content": [{"type": "web_search_result", "url": "u"}]}, "ok"),
        ({"type": "web_search_tool_result", "content": {"type": "web_search_tool_result_error"}}, "error"),
        ({"type": "bash_code_execution_tool_result", "content": {"type": "bash_code_execution_result"}}, "ok"),
        ({"type": "mcp_tool_result", "is_error": True, "content": []}, "error"),
        ({"type": "mcp_tool_result", "is_error": False, "content": []}, "ok"),
    ],
)
def test_a_tool_the_provider_runs_says_how_it_went(result: dict[str, Any], status: str) -> None:
    blocks = [
        call("srvtoolu_1", "web_search", '{"query":"x"}', type="server_tool_use"),
        ({**result, "tool_use_id": "srvtoolu_1"}, []),
        text("So."),
    ]
    (tool,) = read(MESSAGES, message_events(blocks)).tools
    assert (tool.kind, tool.tool, tool.input) == ("server", "web_search", '{"query":"x"}')
    assert tool.result is not None
    assert (tool.result.status, tool.result.call_id) == (status, "srvtoolu_1")
    assert tool.result.size > 0


def test_why_a_tool_of_the_provider_failed_is_told_by_its_code() -> None:
    error = {"type": "web_search_tool_result_error", "error_code": "max_uses_exceeded"}
    result = {"type": "web_search_tool_result", "tool_use_id": "s_1", "content": error}
    blocks = [call("s_1", "web_search", "{}", type="server_tool_use"), (result, [])]
    (tool,) = read(MESSAGES, message_events(blocks)).tools
    assert tool.error == "max_uses_exceeded"


def test_a_call_that_running_code_makes_names_it() -> None:
    """Anthropic, "Programmatic tool calling"."""
    caller = {"type": "code_execution_20260120", "tool_id": "srvtoolu_1"}
    by_code, by_model = read(
        MESSAGES,
        message_events([call("t_1", "sql", "{}", caller=caller), call("t_2", "sql", "{}", caller={"type": "direct"})]),
    ).tools
    assert (by_code.kind, by_code.metadata, by_model.metadata) == ("function", {"caller": "srvtoolu_1"}, {})


def test_a_tool_of_a_set_is_told_from_one_of_its_own_name() -> None:
    (tool,) = read(MESSAGES, message_events([call("t_1", "left_click", "{}", toolset_name="browser")])).tools
    assert (tool.tool, tool.kind, tool.metadata) == ("left_click", "function", {"toolset": "browser"})


def test_a_thread_that_the_provider_holds_goes_on_from_the_answer_it_names() -> None:
    thread = {"type": "continue", "previous_message_id": "msg_1"}
    asked = {"model": "c", "messages": [user("and now?")], "thread": thread}
    found = record(MESSAGES, asked, sse(MESSAGES, message_events([text("So")])))
    assert (found.lineage.previous_response_id, found.lineage.history) == ("msg_1", [])
    assert [prompt.prompt for prompt in found.user_prompts] == ["and now?"]
    begun = record(MESSAGES, {**asked, "thread": {"type": "create"}}, sse(MESSAGES, message_events([text("So")])))
    assert (begun.lineage.previous_response_id, len(begun.lineage.history)) == (None, 1)


@pytest.mark.parametrize("streamed", [True, False])
def test_a_result_that_comes_with_a_later_answer_completes_the_earlier_call(streamed: bool) -> None:
    """Code that waits for a tool of the client's, a turn that was paused: their result opens the next answer."""
    content = {"type": "code_execution_result", "stdout": "2", "return_code": 0}
    result = {"type": "code_execution_tool_result", "tool_use_id": "srvtoolu_1", "content": content}
    answer = sse(MESSAGES, message_events([(result, []), text("2")])) if streamed else dump(message(result))
    asked = [user("go"), {"role": "assistant", "content": [{"type": "server_tool_use", "id": "srvtoolu_1"}]}]
    kind = "text/event-stream" if streamed else "application/json"
    found = record(MESSAGES, {"messages": asked}, answer, content_type=kind)
    (late,) = found.lineage.tool_results
    assert (late.call_id, late.status, late.size) == ("srvtoolu_1", "ok", len(dump(content)))
    assert (found.tool_usages, found.user_prompts) == ([], [])


def test_the_address_of_an_mcp_server_is_the_one_that_was_asked_for() -> None:
    """Anthropic, "MCP connector": the request says it, the answer only the name."""
    servers = [
        {
            "type": "url",
            "name": "docs",
            "url": "https://u:p@mcp.example.com/sse?key=k",
            "authorization_token": "secret",
        },
        {"type": "url", "name": 5, "url": "https://example.com"},
        "odd",
    ]
    blocks = [call(name, "find", "{}", type="mcp_tool_use", server_name=name) for name in ("docs", "other")]
    answer = sse(MESSAGES, message_events(blocks))
    found = record(MESSAGES, {"mcp_servers": servers, "messages": [user("go")]}, answer)
    assert [tool.server_url for tool in found.tool_usages] == ["https://mcp.example.com/sse", None]
    assert "secret" not in str(found)


def test_an_mcp_call_names_its_server() -> None:
    (tool,) = read(MESSAGES, message_events([call("m_1", "find", "{}", type="mcp_tool_use", server_name="docs")])).tools
    assert (tool.kind, tool.tool, tool.metadata) == ("mcp", "find", {"server_label": "docs"})


def test_each_thinking_block_is_one_thought_and_hidden_ones_are_counted() -> None:
    def thinking(*parts: str) -> tuple[dict[str, Any], list[dict[str, Any]]]:
        deltas = [{"type": "thinking_delta", "thinking": part} for part in parts]
        return {"type": "thinking", "thinking": "", "signature": ""}, [
            *deltas,
            {"type": "signature_delta", "signature": "c2ln"},
        ]

    blocks = [thinking("First", " thought"), text("So"), thinking("Second"), thinking()]
    blocks.append(({"type": "redacted_thinking", "data": "ZW5j"}, []))
    facts = read(MESSAGES, message_events(blocks))
    assert facts.thoughts == [ThoughtFact("thinking", "First thought"), ThoughtFact("thinking", "Second")]
    assert facts.hidden_thoughts == 2


def test_an_error_event_ends_the_answer_and_what_was_read_stays() -> None:
    error = {"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}}
    facts = read(MESSAGES, [*message_events([text("hi")])[:4], error])
    assert facts.error == ErrorFact("Overloaded", "overloaded_error")
    assert not facts.complete
    assert facts.usage is not None


@pytest.mark.parametrize("error", [{"message": "Broken", "type": "api_error"}, "Broken"])
def test_an_error_of_a_gateways_own_shape_is_an_error(error: Any) -> None:
    head = b"".join(by_blocks(MESSAGES, message_events()[:1]))
    for name in (b"", b"event: error\n"):
        facts = read_bytes(MESSAGES, head + name + b"data: " + dump({"error": error}) + b"\n\n")
        assert facts.error is not None
        assert facts.error.message == "Broken"


def test_pings_and_unknown_events_mean_nothing() -> None:
    events = message_events([text("hi")])
    events[3:3] = [{"type": "ping"}, {"type": "new_kind", "index": 0, "delta": {"type": "text_delta"}}]
    assert read(MESSAGES, events) == read(MESSAGES, message_events([text("hi")]))


def test_broken_text_in_a_delta_costs_no_delta() -> None:
    """A model may end a delta in the middle of a surrogate pair."""
    stream = by_blocks(MESSAGES, message_events([call("toolu_1", "read", '{"a":"X', 'Y"}')]))
    decoder = MessageDecoder()
    for block in stream:
        head, _, data = block.rstrip().partition(b"\ndata: ")
        decoder.event(head.removeprefix(b"event: "), data.replace(b"X", rb"\ud83d").replace(b"Y", b"\xff"), 1.0)
    assert decoder.facts().tools[0].input == '{"a":"?\ufffd"}'


def test_the_first_output_is_the_first_block() -> None:
    decoder = MessageDecoder()
    for at, block in enumerate(by_blocks(MESSAGES, message_events([text("a"), text("b")]))):
        head, _, data = block.rstrip().partition(b"\ndata: ")
        decoder.event(head.removeprefix(b"event: "), data, float(at))
    assert decoder.facts().first_output_at == 2.0


def test_text_deltas_are_skipped_and_the_prefixes_stay_few() -> None:
    decoder = MessageDecoder()
    for index in range(1000):
        decoder.event(b"content_block_start", b'{"index":%d,"content_block":{"type":"text"}}' % index, 1.0)
    delta = by_blocks(MESSAGES, message_events([text("a")]))[3]
    assert delta.startswith(decoder.skip)
    assert len(decoder.skip) <= 64


# Documents


def test_a_document_gives_the_same_facts_as_its_stream() -> None:
    content = [
        {"type": "thinking", "thinking": "Hm", "signature": "c2ln"},
        {"type": "text", "text": "hi"},
        {"type": "tool_use", "id": "toolu_1", "name": "read", "input": {"a": 1}},
        {"type": "tool_use", "id": "toolu_2", "name": "list", "input": {}},
    ]
    document = read_document(MESSAGES, message(*content, stop_reason="tool_use"))
    stream = read(
        MESSAGES,
        message_events(
            [
                ({"type": "thinking", "thinking": ""}, [{"type": "thinking_delta", "thinking": "Hm"}]),
                text("hi"),
                call("toolu_1", "read", '{"a":1}'),
                call("toolu_2", "list", "{}"),
            ],
            stop="tool_use",
        ),
    )
    stream.first_output_at = None
    assert document == stream


def test_the_input_of_a_document_is_the_text_as_sent() -> None:
    body = b'{"id":"m","content":[{"type":"tool_use","id":"t","name":"n","input":{"a":  1.50, "b":"\\u00e9"}}]}'
    decoder = MessageDecoder()
    decoder.document(body)
    assert decoder.facts().tools[0].input == '{"a":  1.50, "b":"\\u00e9"}'


def test_an_error_document_is_an_error() -> None:
    document = {"type": "error", "error": {"type": "invalid_request_error", "message": "max_tokens: required"}}
    facts = read_document(MESSAGES, document)
    assert facts.error == ErrorFact("max_tokens: required", "invalid_request_error")
    assert not facts.complete


def test_a_count_of_tokens_is_whole_and_no_usage() -> None:
    facts = read_document(MESSAGES, {"input_tokens": 42})
    assert (facts.complete, facts.usage) == (True, None)


@pytest.mark.parametrize("document", [{}, [], "text", None, {"id": "msg_1"}])
def test_a_document_of_something_else_is_not_whole(document: Any) -> None:
    assert read_document(MESSAGES, document) == ResponseFacts()


def test_what_else_the_price_depends_on_stands_with_the_tokens() -> None:
    told = {"input_tokens": 3, "service_tier": "standard", "speed": "fast", "inference_geo": "us"}
    usage = read(MESSAGES, message_events([text("hi")], usage=told)).usage
    assert usage is not None
    assert usage.extra == {"service_tier": "standard", "speed": "fast", "inference_geo": "us"}


def test_what_copilot_bills_stands_beside_the_counters() -> None:
    *going, last = message_events([text("So")])
    billed = {"copilot_usage": {"total_nano_aiu": 250_000_000, "token_details": [{"token_count": 1}]}}
    delta = [*going[:-1], going[-1] | billed, last]
    streams = [read(MESSAGES, events) for events in (delta, [*going, last | billed])]
    for facts in (*streams, read_document(MESSAGES, message({"type": "text", "text": "So"}) | billed)):
        assert facts.usage is not None
        assert facts.usage.extra["copilot_usage.total_nano_aiu"] == 250_000_000
