"""OpenAI Responses."""

from __future__ import annotations

import base64
import json
from typing import Any, Literal

import pytest

from aitap.capture.dialects.responses_answer import ResponsesDecoder
from aitap.capture.facts import Attachment, ErrorFact, ThoughtFact, UsageFact
from aitap.record import ToolResult
from tests.capture.framing import exchange
from tests.capture.making import RESPONSES, ask, by_blocks, read, read_document, response_events, sse, user

EVENTS = "text/event-stream"

ANSWER = {"type": "message", "id": "m", "role": "assistant", "content": [{"type": "output_text", "text": "So"}]}
CALL = {"type": "function_call", "id": "fc_1", "call_id": "call_1", "name": "read", "arguments": '{"a":  1}'}
REASONING = {"type": "reasoning", "id": "rs_1", "summary": [], "encrypted_content": "ZW5j"}


def document(*items: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {**response_events(items)[-1]["response"], **more}


# Requests


def test_a_request_says_model_stream_and_limits() -> None:
    facts = ask(RESPONSES, model="gpt-test-1", stream=True, max_output_tokens=9, input="hi")
    assert (facts.model, facts.streaming, facts.max_tokens) == ("gpt-test-1", True, 9)
    assert (facts.has_tools, facts.output_schema, facts.prewarm, facts.previous_response_id) == (False,) * 3 + (None,)


def test_input_may_be_a_text() -> None:
    facts = ask(RESPONSES, input="hi \u00e9")
    assert [(item.role, item.texts) for item in facts.newest] == [("user", ["hi \u00e9"])]
    assert facts.conversation is not None
    assert [item.texts for item in facts.conversation()] == [["hi \u00e9"]]


def test_tools_stand_in_a_member_or_in_an_item_at_the_front() -> None:
    assert ask(RESPONSES, tools=[{"type": "function"}], input=[]).has_tools
    extra = {"type": "additional_tools", "role": "developer", "tools": [{"type": "namespace"}]}
    assert ask(RESPONSES, input=[extra, user("hi")]).has_tools
    assert not ask(RESPONSES, tools=[], input=[user("hi")]).has_tools


def test_a_demanded_schema_is_known() -> None:
    assert ask(RESPONSES, text={"format": {"type": "json_schema", "schema": {}}}).output_schema
    assert not ask(RESPONSES, text={"verbosity": "low"}).output_schema


def test_system_text_is_instructions_or_the_first_developer_message() -> None:
    developer = {"type": "message", "role": "developer", "content": [{"type": "input_text", "text": "Be it."}]}
    assert ask(RESPONSES, instructions="Be brief.", input=[developer]).system == "Be brief."
    assert ask(RESPONSES, input=[developer, user("hi")]).system == "Be it."


def test_a_request_that_generates_nothing_is_a_prewarm() -> None:
    assert ask(RESPONSES, input=[], generate=False).prewarm
    assert not ask(RESPONSES, input=[], generate=True).prewarm


def test_the_response_it_goes_on_from_is_known() -> None:
    assert ask(RESPONSES, previous_response_id="resp_0", input="hi").previous_response_id == "resp_0"
    assert ask(RESPONSES, previous_response_id="", input="hi").previous_response_id is None


@pytest.mark.parametrize(
    "item",
    [
        {"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": "yes"}]},
        {"role": "assistant", "content": "yes"},
        CALL,
        REASONING,
        {"type": "custom_tool_call", "call_id": "c", "name": "exec", "input": "x"},
        {"type": "web_search_call", "id": "ws_1"},
        {"type": "item_reference", "id": "msg_0"},
        {"type": "mcp_approval_request", "id": "mcpr_1", "name": "find", "arguments": "{}"},
        {"type": "mcp_list_tools", "id": "mcpl_1", "tools": []},
        {"type": "compaction", "encrypted_content": "ZW5j"},
    ],
    ids=lambda item: item.get("type", "message"),
)
def test_the_newest_turn_begins_after_what_the_model_did(item: dict[str, Any]) -> None:
    trailing = {"type": "configuration_update", "model": "m"}
    newest = ask(RESPONSES, input=[user("old"), item, user("new"), trailing]).newest
    assert [(turn.role, turn.texts) for turn in newest] == [("user", ["new"]), ("other", [])]


@pytest.mark.parametrize(
    ("item", "result"),
    [
        (
            {"type": "function_call_output", "call_id": "call_1", "output": "h\u00e9"},
            ToolResult(call_id="call_1", status=None, size=3),
        ),
        (
            {"type": "custom_tool_call_output", "call_id": "c", "output": [{"type": "input_text", "text": "x"}]},
            ToolResult(call_id="c", status=None, size=len('[{"type":"input_text","text":"x"}]')),
        ),
        (
            {"type": "local_shell_call_output", "id": "call_1", "output": "{}", "status": "completed"},
            ToolResult(call_id="call_1", status="ok", size=2),
        ),
        (
            {"type": "computer_call_output", "call_id": "c", "output": {"type": "computer_screenshot"}},
            ToolResult(call_id="c", status=None, size=len('{"type":"computer_screenshot"}')),
        ),
        (
            {"type": "apply_patch_call_output", "call_id": "c", "status": "failed", "output": "no"},
            ToolResult(call_id="c", status="error", size=2),
        ),
        ({"type": "shell_call_output", "call_id": "c", "output": []}, ToolResult(call_id="c", status=None, size=0)),
        (
            {"type": "mcp_approval_response", "approval_request_id": "mcpr_1", "approve": True},
            ToolResult(call_id="mcpr_1", status="ok", size=0),
        ),
    ],
    ids=lambda value: value.get("type") if isinstance(value, dict) else "",
)
def test_every_kind_of_tool_result_names_the_call_it_answers(item: dict[str, Any], result: ToolResult) -> None:
    (turn,) = ask(RESPONSES, input=[user("old"), CALL, item]).newest
    assert (turn.role, turn.results) == ("tool", [result])


def test_attachments_are_noted_by_kind_size_and_place_and_not_kept() -> None:
    data = base64.b64encode(bytes(300)).decode()
    content = [
        {"type": "input_image", "image_url": f"data:image/png;base64,{data}"},
        {"type": "input_image", "file_id": "file-1"},
        {"type": "input_file", "file_data": f"data:application/pdf;base64,{data}"},
        {"type": "input_file", "file_url": "https://example.com/a.pdf"},
        {"type": "input_audio", "input_audio": {"data": data, "format": "mp3"}},
        {"type": "input_text", "text": "look"},
    ]
    (turn,) = ask(RESPONSES, input=[user(content)]).newest
    assert turn.attachments == [
        Attachment("image", "image/png", 300),
        Attachment("image", uri="file-1"),
        Attachment("file", "application/pdf", 300),
        Attachment("file", uri="https://example.com/a.pdf"),
        Attachment("audio", "mp3", 300),
    ]
    assert turn.texts == ["look"]


def test_ids_of_the_body_are_read() -> None:
    facts = ask(RESPONSES, prompt_cache_key="k", client_metadata={"session_id": "s", "n": 1}, metadata={"a": "b"})
    assert facts.body_ids == {"prompt_cache_key": "k", "client_metadata.session_id": "s", "metadata.a": "b"}


def test_the_conversation_tells_who_speaks() -> None:
    items = [
        {"type": "message", "role": "developer", "content": "d"},
        user("one"),
        REASONING,
        CALL,
        {"type": "function_call_output", "call_id": "call_1", "output": "x"},
        {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "two"}]},
        5,
    ]
    conversation = ask(RESPONSES, input=items).conversation
    assert conversation is not None
    assert [(item.role, item.texts) for item in conversation()] == [
        ("other", []),
        ("user", ["one"]),
        ("assistant", []),
        ("assistant", []),
        ("tool", []),
        ("user", ["two"]),
        ("other", []),
    ]


@pytest.mark.parametrize("field", ["model", "input", "tools", "stream", "instructions", "client_metadata", "text"])
@pytest.mark.parametrize("value", [None, [], {}, [[]], [5], [{"role": 5, "content": {"a": 1}}]])
def test_a_member_of_an_odd_type_costs_no_other(field: str, value: Any) -> None:
    facts = ask(RESPONSES, **{"model": "m", "input": [user("hi")], "max_output_tokens": 5, field: value})
    assert field == "model" or facts.model == "m"
    assert field == "input" or facts.newest[0].texts == ["hi"]
    assert facts.max_tokens == 5


# Streams


def test_a_whole_stream_says_id_model_status_and_usage() -> None:
    facts = read(RESPONSES, response_events([ANSWER]))
    assert (facts.response_id, facts.model) == ("resp_1", "gpt-test-1-2026-01-01")
    assert (facts.stop_reason, facts.complete, facts.error) == ("completed", True, None)


def test_cached_tokens_are_taken_out_of_the_input_and_reasoning_is_beside_the_output() -> None:
    assert read(RESPONSES, response_events([ANSWER])).usage == UsageFact(
        input_tokens=12,
        output_tokens=9,
        cache_read_input_tokens=8,
        extra={"input_cached": 8, "output_reasoning": 4, "total_tokens": 29},
    )


def test_an_incomplete_response_is_whole_and_says_why() -> None:
    events = response_events([CALL], last="response.incomplete", incomplete_details={"reason": "max_output_tokens"})
    facts = read(RESPONSES, events)
    assert (facts.complete, facts.stop_reason) == (True, "max_output_tokens")
    assert facts.usage is not None
    assert len(facts.tools) == 1


def test_a_failed_response_is_an_error_and_keeps_usage_tools_and_thoughts() -> None:
    reasoning = {**REASONING, "summary": [{"type": "summary_text", "text": "Hm"}]}
    error = {"code": "server_error", "message": "Something broke"}
    facts = read(RESPONSES, response_events([reasoning, CALL], last="response.failed", error=error))
    assert (facts.error, facts.complete) == (ErrorFact("Something broke", "server_error"), False)
    assert facts.usage is not None
    assert (len(facts.tools), len(facts.thoughts)) == (1, 1)


def test_a_failed_response_without_words_is_an_error_all_the_same() -> None:
    error = read(RESPONSES, response_events(last="response.failed")).error
    assert error is not None
    assert "failed" in error.message


def test_a_stream_without_its_last_event_gives_the_items_that_were_done() -> None:
    facts = read(RESPONSES, response_events([REASONING, CALL])[:-1])
    assert [tool.input for tool in facts.tools] == ['{"a":  1}']
    assert facts.hidden_thoughts == 1
    assert (facts.complete, facts.usage, facts.response_id) == (False, None, "resp_1")


def test_a_last_event_without_items_does_not_undo_those_that_were_done() -> None:
    facts = read(RESPONSES, response_events([CALL], output=[]))
    assert (len(facts.tools), facts.complete) == (1, True)


def test_done_items_without_or_with_odd_indexes_keep_their_order() -> None:
    events = [
        {"type": "response.output_item.done", "output_index": 5, "item": {**CALL, "name": "last"}},
        {"type": "response.output_item.done", "output_index": 2, "item": {**CALL, "name": "first"}},
    ]
    assert [tool.tool for tool in read(RESPONSES, events).tools] == ["first", "last"]
    unnumbered = [{"type": "response.output_item.done", "item": {**CALL, "name": name}} for name in ("a", "b")]
    assert [tool.tool for tool in read(RESPONSES, unnumbered).tools] == ["a", "b"]


@pytest.mark.parametrize(
    ("event", "fact"),
    [
        ({"type": "error", "status": 503, "error": {"message": "No"}}, ErrorFact("No", "503")),
        ({"type": "error", "status": 429, "error": {"type": "t", "message": "No"}}, ErrorFact("No", "t")),
        (
            {"type": "error", "code": "rate_limit_exceeded", "message": "Slow", "param": None},
            ErrorFact("Slow", "rate_limit_exceeded"),
        ),
        (
            {"type": "error", "error": {"type": "server_error", "message": "Broke"}},
            ErrorFact("Broke", "server_error"),
        ),
        ({"type": "keepalive", "error": {"message": "Broke"}}, ErrorFact("Broke")),
    ],
)
def test_an_error_event_of_any_shape_ends_the_answer(event: dict[str, Any], fact: ErrorFact) -> None:
    facts = read(RESPONSES, [*response_events([CALL])[:-1], event])
    assert (facts.error, facts.complete) == (fact, False)
    assert len(facts.tools) == 1


def test_deltas_are_skipped_once_an_item_has_begun() -> None:
    decoder = ResponsesDecoder()
    names = ["output_text.delta", "function_call_arguments.delta", "reasoning_summary_text.delta", "refusal.delta"]
    deltas = [{"type": f"response.{name}", "delta": "x"} for name in names]
    for block in by_blocks(RESPONSES, response_events([ANSWER])[:3]):
        head, _, data = block.rstrip().partition(b"\ndata: ")
        decoder.event(head.removeprefix(b"event: "), data, 1.0)
    assert decoder.facts().first_output_at == 1.0
    assert all(block.startswith(decoder.skip) for block in by_blocks(RESPONSES, deltas))
    assert not any(block.startswith(decoder.skip) for block in by_blocks(RESPONSES, response_events([ANSWER])[2:]))


def test_the_mark_that_some_vendors_end_with_means_nothing() -> None:
    decoder = ResponsesDecoder()
    decoder.event(b"message", b"[DONE]", 1.0)
    assert not decoder.facts().complete


# Items


def tool_of(item: dict[str, Any]) -> Any:
    (tool,) = read(RESPONSES, response_events([item])).tools
    assert read_document(RESPONSES, document(item)).tools[0].tool == tool.tool
    return tool


def test_parallel_calls_keep_wire_order_and_their_exact_text() -> None:
    other = {**CALL, "id": "fc_2", "call_id": "call_2", "name": "list", "arguments": ""}
    tools = read(RESPONSES, response_events([CALL, ANSWER, other])).tools
    assert [(tool.call_id, tool.item_id, tool.tool, tool.input, tool.kind) for tool in tools] == [
        ("call_1", "fc_1", "read", '{"a":  1}', "function"),
        ("call_2", "fc_2", "list", "", "function"),
    ]


def test_a_custom_tool_keeps_its_name_namespace_and_text() -> None:
    item = {"type": "custom_tool_call", "id": "ct_1", "call_id": "c", "name": "exec", "namespace": "functions"}
    tool = tool_of({**item, "input": "const r = await x();"})
    assert (tool.tool, tool.kind, tool.input) == ("exec", "custom", "const r = await x();")
    assert tool.metadata == {"namespace": "functions"}


@pytest.mark.parametrize(
    ("item", "tool", "text"),
    [
        ({"type": "web_search_call", "action": {"type": "search", "query": "x"}}, "web_search", "query"),
        ({"type": "file_search_call", "queries": ["x"], "results": None}, "file_search", '["x"]'),
        ({"type": "code_interpreter_call", "code": "print(1)"}, "code_interpreter", "print(1)"),
        ({"type": "image_generation_call", "result": "aGk="}, "image_generation", ""),
        ({"type": "computer_call", "call_id": "c", "action": {"type": "click"}}, "computer", "click"),
        ({"type": "local_shell_call", "call_id": "c", "action": {"command": ["ls"]}}, "local_shell", "ls"),
        ({"type": "shell_call", "call_id": "c", "action": {"commands": ["ls"]}}, "shell", "ls"),
        ({"type": "apply_patch_call", "call_id": "c", "operation": {"type": "create_file"}}, "apply_patch", "create"),
    ],
    ids=lambda value: value["type"] if isinstance(value, dict) else "",
)
def test_every_tool_of_the_provider_is_a_server_tool_with_its_input(item: dict[str, Any], tool: str, text: str) -> None:
    found = tool_of({"id": "item_1", "status": "completed", **item})
    assert (found.tool, found.kind, found.item_id) == (tool, "server", "item_1")
    assert found.call_id == item.get("call_id", "item_1")
    assert text in found.input


@pytest.mark.parametrize(("status", "result"), [("completed", "ok"), ("failed", "error"), ("incomplete", None)])
def test_a_tool_the_provider_runs_says_how_it_went(status: str, result: str | None) -> None:
    found = tool_of({"type": "web_search_call", "id": "ws_1", "status": status, "action": {"type": "search"}})
    assert (found.result.status if found.result else None) == result


def test_a_tool_the_client_runs_has_no_result_yet() -> None:
    assert tool_of({**CALL, "status": "completed"}).result is None
    assert tool_of({"type": "shell_call", "id": "i", "call_id": "c", "status": "completed"}).result is None


def test_a_call_left_incomplete_is_marked_partial() -> None:
    assert tool_of({**CALL, "arguments": '{"pa', "status": "incomplete"}).metadata == {"partial": True}


def test_an_mcp_call_names_its_server_and_its_error() -> None:
    item = {"type": "mcp_call", "id": "mcp_1", "name": "find", "arguments": "{}", "server_label": "docs"}
    found = tool_of({**item, "output": "hi", "error": None})
    assert (found.kind, found.tool, found.metadata) == ("mcp", "find", {"server_label": "docs"})
    assert (found.result.status, found.error) == ("ok", None)
    failed = tool_of({**item, "output": None, "error": "no such page"})
    assert (failed.result.status, failed.error) == ("error", "no such page")
    coded = tool_of({**item, "error": {"type": "http_error", "code": 500}})
    assert "http_error" in coded.error


def test_a_call_that_waits_for_approval_can_be_continued() -> None:
    item = {"type": "mcp_approval_request", "id": "mcpr_1", "name": "find", "arguments": "{}", "server_label": "docs"}
    found = tool_of(item)
    assert (found.tool, found.kind, found.call_id) == ("find", "mcp", "mcpr_1")
    assert found.metadata == {"server_label": "docs", "approval": "requested"}


def test_an_approval_that_is_refused_is_an_error_of_its_call() -> None:
    answer = {"type": "mcp_approval_response", "approval_request_id": "mcpr_1", "approve": False}
    (turn,) = ask(RESPONSES, input=[answer]).newest
    assert turn.results == [ToolResult(call_id="mcpr_1", status="error", size=0)]


def test_each_part_of_a_reasoning_summary_is_a_thought() -> None:
    summary = [{"type": "summary_text", "text": "First"}, {"type": "summary_text", "text": "Then"}]
    facts = read(RESPONSES, response_events([{**REASONING, "summary": summary}]))
    assert facts.thoughts == [ThoughtFact("reasoning_summary", "First"), ThoughtFact("reasoning_summary", "Then")]
    assert facts.hidden_thoughts == 0


def test_reasoning_shown_as_text_is_a_thought() -> None:
    content = [{"type": "reasoning_text", "text": "Hm"}]
    facts = read(RESPONSES, response_events([{**REASONING, "content": content}]))
    assert facts.thoughts == [ThoughtFact("reasoning_content", "Hm")]


def test_encrypted_reasoning_is_counted_without_content() -> None:
    facts = read(RESPONSES, response_events([REASONING, REASONING, {**REASONING, "encrypted_content": None}]))
    assert (facts.thoughts, facts.hidden_thoughts) == ([], 2)


def test_commentary_is_a_thought_and_an_answer_is_none() -> None:
    commentary = {**ANSWER, "phase": "commentary", "content": [{"type": "output_text", "text": "Now I look"}]}
    facts = read(RESPONSES, response_events([commentary, {**ANSWER, "phase": "final_answer"}]))
    assert facts.thoughts == [ThoughtFact("commentary", "Now I look")]


def test_a_refusal_is_a_whole_answer() -> None:
    refusal = {**ANSWER, "content": [{"type": "refusal", "refusal": "I can't"}]}
    facts = read(RESPONSES, response_events([refusal]))
    assert (facts.complete, facts.error, facts.thoughts) == (True, None, [])


# Documents


def test_a_document_gives_the_same_facts_as_its_stream() -> None:
    items = [{**REASONING, "summary": [{"type": "summary_text", "text": "Hm"}]}, ANSWER, CALL]
    stream = read(RESPONSES, response_events(items))
    stream.first_output_at = None
    assert read_document(RESPONSES, document(*items)) == stream


def test_a_failed_document_is_an_error() -> None:
    facts = read_document(RESPONSES, document(CALL, status="failed", error={"code": "server_error", "message": "No"}))
    assert (facts.error, facts.complete, len(facts.tools)) == (ErrorFact("No", "server_error"), False, 1)


def test_an_error_document_is_an_error() -> None:
    facts = read_document(RESPONSES, {"error": {"message": "No", "type": "invalid_request_error", "code": None}})
    assert (facts.error, facts.complete) == (ErrorFact("No", "invalid_request_error"), False)


def test_a_document_without_usage_leaves_it_unknown() -> None:
    facts = read_document(RESPONSES, document(ANSWER, usage=None))
    assert (facts.usage, facts.complete) == (None, True)


def test_a_count_of_tokens_is_whole_and_no_usage() -> None:
    facts = read_document(RESPONSES, {"object": "response.input_tokens", "input_tokens": 42})
    assert (facts.usage, facts.complete) == (None, True)


@pytest.mark.parametrize("document", [{}, [], "text", None, {"id": "x"}, {"output": []}, {"object": "list"}])
def test_a_document_of_something_else_is_not_whole(document: Any) -> None:
    assert not read_document(RESPONSES, document).complete


def test_the_tier_of_service_stands_with_the_tokens_that_it_prices() -> None:
    found = read_document(RESPONSES, document(ANSWER, usage={"input_tokens": 9}, service_tier="priority")).usage
    assert found is not None
    assert found.extra["service_tier"] == "priority"


@pytest.mark.parametrize(
    ("told", "size"),
    [
        ({"output": "h\u00e9"}, 3),
        ({"outputs": [{"type": "logs", "logs": "1"}]}, 28),
        ({"result": "AAAABBBB"}, 8),
        ({"results": None}, None),
        ({}, None),
    ],
)
def test_the_size_of_a_result_is_that_of_what_is_there(told: dict[str, Any], size: int | None) -> None:
    """A search, whose results are not on the wire, did not give back nothing."""
    call = {"type": "code_interpreter_call", "id": "ci", "status": "completed", "code": "print(1)"}
    [tool] = read(RESPONSES, response_events([{**call, **told}])).tools
    assert tool.result is not None
    assert (tool.result.status, tool.result.size) == ("ok", size)


def test_the_server_of_an_mcp_call_is_told_by_the_request() -> None:
    tool = {"type": "mcp", "server_label": "gh", "server_url": "https://me:pw@mcp.example.com/x?key=1"}
    call = {"type": "mcp_call", "id": "m", "name": "search", "arguments": "{}", "server_label": "gh", "output": "x"}
    body = {"model": "m", "input": "hi", "stream": True, "tools": [tool, {"type": "web_search"}, 5]}
    record = exchange("api.openai.com", "/v1/responses", body, sse(RESPONSES, response_events([call])), EVENTS)
    assert (record.tool_usages[0].server_url, record.tool_usages[0].kind) == ("https://mcp.example.com/x", "mcp")


@pytest.mark.parametrize("given", ["conv_1", {"id": "conv_1"}])
def test_a_conversation_that_the_provider_keeps_is_a_session(given: Any) -> None:
    body = {"model": "m", "input": "hi", "conversation": given}
    record = exchange("api.openai.com", "/v1/responses", body, headers={"user-agent": "OpenAI/Python 2.54.0"})
    assert record.client_session_id == "conv_1"


def test_the_model_of_a_stored_prompt_is_told_by_the_answer() -> None:
    body = {"prompt": {"id": "pmpt_1", "variables": {"city": "Bonn"}}, "stream": True}
    record = exchange("api.openai.com", "/v1/responses", body, sse(RESPONSES, response_events()), EVENTS)
    assert (record.model, record.response_model) == ("gpt-test-1-2026-01-01", "gpt-test-1-2026-01-01")


def test_a_program_and_its_result_are_one_call_of_the_provider() -> None:
    items = [
        {"type": "program", "id": "p1", "call_id": "c1", "code": "await tools.read()", "fingerprint": "x"},
        {"type": "function_call", "id": "f1", "call_id": "c2", "name": "read", "arguments": "{}"},
        {"type": "program_output", "id": "o1", "call_id": "c1", "result": "done", "status": "completed"},
    ]
    program, call = read(RESPONSES, response_events(items)).tools
    assert (program.tool, program.kind, program.input, program.call_id) == (
        "program",
        "server",
        "await tools.read()",
        "c1",
    )
    assert program.result is not None
    assert (program.result.status, program.result.size) == ("ok", 4)
    assert (call.tool, call.result) == ("read", None)


def test_several_actions_at_the_computer_are_one_input() -> None:
    actions = [{"type": "click", "x": 1}, {"type": "wait"}]
    [tool] = read(
        RESPONSES, response_events([{"type": "computer_call", "id": "i", "call_id": "c", "actions": actions}])
    ).tools
    assert json.loads(tool.input) == actions


def test_what_the_providers_tools_used_stands_with_the_tokens() -> None:
    used = {"image_gen": {"input_tokens": 5, "output_tokens": 272}, "web_search": {"num_requests": 2}}
    usage = read(RESPONSES, response_events([], tool_usage=used)).usage
    assert usage is not None
    assert usage.extra["tool_usage.web_search.num_requests"] == 2
    assert (usage.extra["tool_usage.image_gen.output_tokens"], usage.output_tokens) == (272, 9)


def test_reasoning_beside_the_output_is_billed_as_output() -> None:
    counters = {"input_tokens": 32, "output_tokens": 9, "total_tokens": 135}
    usage = read(
        RESPONSES, response_events([], usage={**counters, "output_tokens_details": {"reasoning_tokens": 94}})
    ).usage
    assert usage is not None
    assert (usage.input_tokens, usage.output_tokens) == (32, 103)


# Of 2026


def result(call_id: str, *, status: Literal["ok", "error"] = "ok") -> ToolResult:
    return ToolResult(call_id=call_id, status=status, size=2)


def test_a_cache_may_be_prepared_by_its_own_option() -> None:
    assert ask(RESPONSES, prompt_cache_options={"prewarm": True}, input="hi").prewarm
    assert not ask(RESPONSES, prompt_cache_options={"mode": "explicit"}, input="hi").prewarm


def test_a_search_for_tools_that_the_provider_runs_has_a_result_without_an_id() -> None:
    call = {"type": "tool_search_call", "id": "ts_1", "call_id": None, "execution": "server", "arguments": {"q": "x"}}
    output = {"type": "tool_search_output", "id": "to_1", "call_id": None, "execution": "server", "tools": []}
    items = [call, output, {**call, "id": "ts_2"}, {**output, "status": "incomplete"}]
    for facts in (read(RESPONSES, response_events(items)), read_document(RESPONSES, document(*items))):
        first, second = facts.tools
        assert (first.tool, first.kind, first.call_id) == ("tool_search", "server", "ts_1")
        assert (first.result, second.result) == (result("ts_1"), result("ts_2", status="error"))


def test_who_called_a_tool_is_kept_where_it_was_not_the_model_that_was_asked() -> None:
    program = {**CALL, "caller": {"type": "program", "caller_id": "prog_1"}}
    spawn = {"type": "multi_agent_call", "id": "ma", "call_id": "c_2", "action": "spawn_agent", "arguments": "{}"}
    done = {"type": "multi_agent_call_output", "id": "mo", "call_id": "c_2", "action": "spawn_agent", "output": []}
    inner = {**CALL, "call_id": "c_3", "agent": {"agent_name": "/root/searcher"}}
    plain = {**CALL, "call_id": "c_4", "caller": {"type": "direct"}}
    tools = read(RESPONSES, response_events([program, spawn, done, inner, plain])).tools
    assert [tool.tool for tool in tools] == ["read", "spawn_agent", "read", "read"]
    assert [tool.metadata for tool in tools] == [{"caller": "prog_1"}, {}, {"agent": "/root/searcher"}, {}]
    assert (tools[1].kind, tools[1].input, tools[1].result) == ("server", "{}", result("c_2"))


def test_what_drawings_cost_is_counted_beside_the_answer() -> None:
    drawing = {"type": "image_generation_call", "id": "ig", "status": "completed", "result": "PHN2Zy8+"}
    svg = {"model": "gpt-image-3", "input_tokens": 20, "output_tokens": 7}
    usage = read(RESPONSES, response_events([{**drawing, "svg_usage": svg}, {**drawing, "svg_usage": svg}])).usage
    assert usage is not None
    assert (usage.output_tokens, usage.extra["svg_usage.input_tokens"], usage.extra["svg_usage.output_tokens"]) == (
        9,
        40,
        14,
    )


def test_decisions_are_an_answer_without_id_and_status() -> None:
    usage = {
        "input_tokens": 30,
        "input_tokens_details": {"cached_tokens": 20, "cache_write_tokens": 0},
        "output_tokens": 0,
        "output_tokens_details": {"reasoning_tokens": 0},
        "total_tokens": 30,
    }
    answer = {"answers": [{"type": "predicate", "name": "spam", "probability": 0.2}], "model": "m-1", "usage": usage}
    question = {"type": "predicate", "name": "spam", "question": "Is it?"}
    asked = {"model": "m", "input": [user("Buy!")], "questions": [question]}
    found = exchange("api.openai.com", "/v1/decisions", asked, json.dumps(answer).encode())
    assert (found.outcome, found.purpose, found.response_model, found.user_prompts) == (
        "completed",
        "auxiliary",
        "m-1",
        [],
    )
    assert (found.token_usages[0].input_tokens, found.token_usages[0].cache_read_input_tokens) == (10, 20)


def test_what_copilot_bills_stands_beside_the_response_or_in_it() -> None:
    *going, last = response_events([CALL])
    billed = {"copilot_usage": {"total_nano_aiu": 250_000_000, "token_details": [{"token_count": 1}]}}
    facts = [read(RESPONSES, [*going, last | billed]), read_document(RESPONSES, document(CALL, **billed))]
    assert [one.usage.extra["copilot_usage.total_nano_aiu"] for one in facts if one.usage] == [250_000_000] * 2


@pytest.mark.parametrize("response", [None, "gone", []])
def test_the_last_event_is_the_end_also_where_it_tells_nothing(response: Any) -> None:
    *going, last = response_events([CALL])
    facts = read(RESPONSES, [*going, {**last, "response": response}])
    assert (facts.complete, facts.usage, facts.error) == (True, None, None)
    assert [tool.call_id for tool in facts.tools] == ["call_1"]


def test_an_error_event_tells_its_words_also_beside_an_empty_error() -> None:
    told = {"type": "error", "code": "rate_limit_exceeded", "message": "Slow down", "param": None, "error": None}
    assert read(RESPONSES, [told]).error == ErrorFact("Slow down", "rate_limit_exceeded")
