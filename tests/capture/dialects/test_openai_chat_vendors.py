"""Chat Completions where vendors speak it in a way of their own."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aitap.capture.dialects import DIALECTS
from aitap.capture.dialects.openai_chat_turns import turns_of
from tests.capture.framing import exchange
from tests.capture.making import CHAT, chat_events, dump, read, sse, user


@pytest.mark.parametrize(
    ("body", "model"), [({}, "my gpt"), ({"model": ""}, "my gpt"), ({"model": "gpt-test-1"}, "gpt-test-1")]
)
def test_azure_names_the_model_in_the_path_where_the_body_does_not(body: dict[str, str], model: str) -> None:
    path = "/openai/deployments/my%20gpt/chat/completions"
    record = exchange("mine.openai.azure.com", path, {**body, "messages": [user("Say hi")]})
    assert (record.model, record.provider, record.provider_name) == (model, "openai", "azure")


def test_azures_first_chunk_without_a_choice_is_no_end() -> None:
    first = {"choices": [], "prompt_filter_results": [{"prompt_index": 0, "content_filter_results": {}}]}
    usage = {"prompt_tokens": 11, "completion_tokens": 7}
    wire = sse(CHAT, [first, *chat_events([{"content": "Hi"}], usage=usage)])
    body = {"model": "m", "stream": True, "messages": [user("Say hi")]}
    record = exchange(
        "mine.openai.azure.com",
        "/openai/v1/chat/completions",
        body,
        wire,
        "text/event-stream",
        headers={"api-key": "0123456789abcdef0123456789abcdef"},
    )
    assert (record.outcome, record.token_usages[0].input_tokens) == ("completed", 11)
    assert (record.credential_kind, record.credential_hint) == ("byok_api_key", "0123...cdef")


THINKING = [
    {"content": [{"type": "thinking", "thinking": [{"type": "text", "text": "Let me"}]}]},
    {"content": [{"type": "thinking", "thinking": [{"type": "text", "text": " see é"}]}]},
    {"content": [{"type": "text", "text": "It is"}]},
    {"content": " so"},
]


def test_what_a_model_of_mistrals_thinks_is_a_thought() -> None:
    facts = read(CHAT, chat_events(THINKING))
    assert [(thought.source, thought.content) for thought in facts.thoughts] == [("reasoning_content", "Let me see é")]
    assert facts.first_output_at == 1.0


def test_thinking_of_a_whole_answer_is_a_thought() -> None:
    content = [part for delta in THINKING[:3] for part in delta["content"]]
    call = {"id": "D681PevKs", "function": {"name": "read", "arguments": '{"a": 1}'}, "index": 0}
    message = {"role": "assistant", "content": content, "tool_calls": [call]}
    body = {"id": "m1", "model": "magistral-test", "choices": [{"message": message, "finish_reason": "tool_calls"}]}
    ask = {"model": "magistral-test", "messages": [user("Say hi")]}
    record = exchange("api.mistral.ai", "/v1/chat/completions", ask, dump(body))
    assert [thought.content for thought in record.model_thoughts] == ["Let me see é"]
    assert [(tool.provider_tool_call_id, tool.input) for tool in record.tool_usages] == [("D681PevKs", '{"a": 1}')]
    assert (record.provider_name, record.outcome) == ("mistral", "completed")


def test_documents_of_mistrals_are_attachments() -> None:
    parts = [
        {"type": "text", "text": "What is it?"},
        {"type": "document_url", "document_url": "https://a.example/b.pdf"},
    ]
    [message] = DIALECTS[CHAT].request(dump({"messages": [user(parts)]}), "/").newest
    assert [(item.type, item.uri) for item in message.attachments] == [("file", "https://a.example/b.pdf")]


def test_filling_in_a_gap_is_no_conversation() -> None:
    body = {"model": "codestral-test", "prompt": "def f(", "suffix": "return a"}
    answer = {"choices": [{"message": {"content": "a):"}, "finish_reason": "stop"}], "usage": {"prompt_tokens": 3}}
    record = exchange("codestral.mistral.ai", "/v1/fim/completions", body, dump(answer))
    assert (record.purpose, record.outcome, record.token_usages[0].input_tokens) == ("auxiliary", "completed", 3)


USAGES = {
    "reasoning_inside": (
        {"prompt_tokens": 32, "completion_tokens": 103, "total_tokens": 135},
        {"completion_tokens_details": {"reasoning_tokens": 94}},
        (32, 103, 0, 0),
    ),
    "reasoning_beside": (  # xAI
        {"prompt_tokens": 32, "completion_tokens": 9, "total_tokens": 135},
        {"completion_tokens_details": {"reasoning_tokens": 94}, "prompt_tokens_details": {"cached_tokens": 6}},
        (26, 103, 6, 0),
    ),
    "thoughts_in_the_total_alone": (  # Gemini, OpenAI-compatible
        {"prompt_tokens": 21, "completion_tokens": 0, "total_tokens": 81},
        {},
        (21, 60, 0, 0),
    ),
    "cache_beside": (
        {"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 115},
        {"prompt_tokens_details": {"cached_tokens": 70, "cache_creation_tokens": 30}},
        (10, 5, 70, 30),
    ),
    "cache_and_reasoning_beside": (
        {"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 92},
        {"cached_tokens": 70, "reasoning_tokens": 7},
        (10, 12, 70, 0),
    ),
    "written_as_anthropic_names_it": (  # LiteLLM, Qwen
        {"prompt_tokens": 100, "completion_tokens": 5, "total_tokens": 105},
        {"cache_read_input_tokens": 60, "cache_creation_input_tokens": 30},
        (10, 5, 60, 30),
    ),
    "hits_at_the_top": (  # DeepSeek
        {"prompt_tokens": 100, "completion_tokens": 5, "total_tokens": 105},
        {"prompt_cache_hit_tokens": 64, "prompt_cache_miss_tokens": 36, "prompt_tokens_details": None},
        (36, 5, 64, 0),
    ),
    "cached_at_the_top_by_another_name": (
        {"prompt_tokens": 100, "completion_tokens": 5, "total_tokens": 105},
        {"cached_input_tokens": 64},
        (36, 5, 64, 0),
    ),
    "cached_under_mistrals_name": (
        {"prompt_tokens": 100, "completion_tokens": 5, "total_tokens": 105},
        {"num_cached_tokens": 64},
        (36, 5, 64, 0),
    ),
    "cached_under_mistrals_other_name": (
        {"prompt_tokens": 100, "completion_tokens": 5, "total_tokens": 105},
        {"prompt_token_details": {"cached_tokens": 64}},
        (36, 5, 64, 0),
    ),
    "newer_names": (
        {"input_tokens": 9, "output_tokens": 3},
        {"input_tokens_details": {"cached_tokens": 4}},
        (5, 3, 4, 0),
    ),
    "a_total_of_nonsense": (
        {"prompt_tokens": 9, "completion_tokens": 3, "total_tokens": 1},
        {"completion_tokens_details": {"reasoning_tokens": -4}, "prompt_tokens_details": {"cached_tokens": "7"}},
        (9, 3, 0, 0),
    ),
}


@pytest.mark.parametrize("name", USAGES)
def test_what_is_billed_is_told_by_the_total_whatever_a_vendor_puts_inside_of_what(name: str) -> None:
    counters, details, expected = USAGES[name]
    found = read(CHAT, chat_events([{"content": "Hi"}], usage={**counters, **details})).usage
    assert found is not None
    counted = (
        found.input_tokens,
        found.output_tokens,
        found.cache_read_input_tokens,
        found.cache_write_input_tokens,
    )
    assert counted == expected


@pytest.mark.parametrize("odd", [None, "7", -1, [], {"a": 1}, 1e30])
def test_counters_that_count_nothing_leave_the_usage_unknown(odd: Any) -> None:
    usage = {"prompt_tokens": odd, "completion_tokens": odd, "total_tokens": 12, "cost": 0.1}
    assert read(CHAT, chat_events([{"content": "Hi"}], usage=usage)).usage is None


COUNTERS = {"prompt_tokens": 19, "completion_tokens": 13, "total_tokens": 32}


@pytest.mark.parametrize(
    "last",
    [
        {"choices": [{"index": 0, "delta": {}, "finish_reason": "stop", "usage": COUNTERS}]},  # Moonshot
        {"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}], "x_groq": {"id": "r", "usage": COUNTERS}},
        {"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}], "usage": COUNTERS},
        {"choices": [], "usage": COUNTERS, "x_groq": None},
        {"choices": None, "usage": COUNTERS},
    ],
)
@pytest.mark.parametrize("trailing", [[], [{"choices": [], "usage": None}]])
def test_usage_counts_wherever_a_vendor_puts_it(last: dict[str, Any], trailing: list[dict[str, Any]]) -> None:
    facts = read(CHAT, [*chat_events([{"content": "Hi"}])[:-1], last, *trailing])
    assert facts.complete
    assert facts.usage is not None
    assert (facts.usage.input_tokens, facts.usage.output_tokens) == (19, 13)


@pytest.mark.parametrize(
    ("deltas", "thought", "hidden"),
    [
        ([{"reasoning": "Let me"}, {"reasoning": " see"}], "Let me see", 0),
        ([{"reasoning_text": "Let me see"}, {"content": "Hi", "reasoning_opaque": "ZW5j"}], "Let me see", 0),
        ([{"content": "Hi"}, {"content": "", "reasoning_opaque": "ZW5j"}], None, 1),
        ([{"reasoning_details": [{"type": "reasoning.text", "text": "Let me see"}]}], "Let me see", 0),
        ([{"reasoning_details": [{"type": "reasoning.summary", "summary": "Let me see"}]}], "Let me see", 0),
        ([{"reasoning": "a", "reasoning_details": [{"type": "reasoning.text", "text": "a"}]}], "a", 0),
        ([{"reasoning_details": [{"type": "reasoning.encrypted", "data": "ZW5j"}]}], None, 1),
        ([{"reasoning": {"odd": 1}, "reasoning_details": {"odd": 1}}], None, 0),
    ],
)
def test_thoughts_count_under_every_name(deltas: list[dict[str, Any]], thought: str | None, hidden: int) -> None:
    facts = read(CHAT, chat_events(deltas))
    assert [found.content for found in facts.thoughts] == ([thought] if thought else [])
    assert facts.hidden_thoughts == hidden


def test_calls_without_ids_that_share_an_index_are_as_many_as_have_names() -> None:
    def call(name: str, arguments: str, **more: Any) -> dict[str, Any]:
        return {"tool_calls": [{"index": 0, "function": {"name": name, "arguments": arguments}, **more}]}

    facts = read(CHAT, chat_events([call("read", '{"a":1}'), call("read", '{"a":2}', id=""), call("list", "{}")]))
    assert [(tool.tool, tool.input) for tool in facts.tools] == [
        ("read", '{"a":1}'),
        ("read", '{"a":2}'),
        ("list", "{}"),
    ]
    facts = read(CHAT, chat_events([call("read", ""), call("read", '{"a'), call("read", '":1}')]))
    assert [(tool.tool, tool.input) for tool in facts.tools] == [("read", '{"a":1}')]


def test_tools_that_groq_runs_itself_are_the_providers() -> None:
    begun = {"index": 0, "type": "search", "arguments": '{"query": "x"}'}
    facts = read(CHAT, chat_events([{"executed_tools": [begun]}, {"executed_tools": [{**begun, "output": "found"}]}]))
    [tool] = facts.tools
    assert (tool.tool, tool.kind, tool.input) == ("search", "server", '{"query": "x"}')
    assert tool.result is not None
    assert (tool.result.status, tool.result.size) == ("ok", 5)


@pytest.mark.parametrize(
    ("document", "kind"),
    [
        ({"error": {"message": "no", "code": 502}}, "server_error"),
        (
            {"choices": [{"index": 0, "error": {"code": 429, "message": "no"}, "finish_reason": "error"}]},
            "rate_limited",
        ),
        ({"id": "1", "choices": None, "base_resp": {"status_code": 1002, "status_msg": "no"}}, "unknown"),
        ({"object": "error", "message": "no", "type": "BadRequestError", "code": 400}, "bad_request"),
        ({"code": 1214, "msg": "no", "success": False}, "unknown"),
        ({"code": "InvalidParameter", "message": "no", "request_id": "r"}, "bad_request"),
        ({"x_groq": {"error": "no"}, "choices": []}, "unknown"),
    ],
)
@pytest.mark.parametrize("streamed", [True, False])
def test_an_error_in_a_body_of_status_200_fails_whatever_its_form(
    document: dict[str, Any], kind: str, streamed: bool
) -> None:
    body = {"model": "m", "stream": streamed, "messages": [user("Say hi")]}
    answer = b"data: %b\n\ndata: [DONE]\n\n" % dump(document) if streamed else dump(document)
    content = "text/event-stream" if streamed else "application/json"
    record = exchange("api.minimax.io", "/v1/chat/completions", body, answer, content)
    assert (record.outcome, record.error_message, record.error_type) == ("failed", "no", kind)


@given(st.data())
def test_an_odd_member_of_a_chunk_costs_only_itself(data: st.DataObject) -> None:
    """Whatever type a member of a choice has tomorrow, its neighbours are read."""
    odd = data.draw(st.sampled_from([None, "0", 1.5, [], {}, True, {"a": [1]}]))
    choice: dict[str, Any] = {"index": 0, "delta": {"content": "Hi"}, "finish_reason": "stop", "logprobs": odd}
    choice[data.draw(st.sampled_from(["index", "logprobs", "usage", "message"]))] = odd
    chunk = {"id": "c", "model": "m", "choices": [choice, odd], "usage": COUNTERS, "service_tier": odd, "x_groq": odd}
    facts = read(CHAT, [chunk])
    assert facts.complete
    assert (facts.stop_reason, facts.response_id, facts.model) == ("stop", "c", "m")
    assert facts.usage is not None
    assert facts.usage.input_tokens == 19


@pytest.mark.parametrize(
    ("reason", "kind"),
    [
        ("error", "server_error"),
        ("network_error", "server_error"),
        ("insufficient_system_resource", "overloaded"),
        ("content_filter", None),
        ("length", None),
    ],
)
def test_a_reason_to_finish_may_be_a_failure_of_the_provider(reason: str, kind: str | None) -> None:
    wire = sse(CHAT, chat_events([{"content": "Hi"}], finish=reason))
    body = {"model": "m", "stream": True, "messages": [user("Say hi")]}
    record = exchange("api.deepseek.com", "/v1/chat/completions", body, wire, "text/event-stream")
    assert (record.outcome, record.error_type) == ("failed" if kind else "completed", kind)
    assert record.stop_reason == reason


def test_the_providers_own_words_win_over_a_reason_to_finish() -> None:
    last = {"index": 0, "delta": {}, "finish_reason": "error", "error": {"message": "no", "code": 429}}
    facts = read(CHAT, [*chat_events([{"content": "Hi"}])[:2], {"id": "c", "choices": [last]}])
    assert facts.error is not None
    assert facts.error.message == "no"


@pytest.mark.parametrize("mark", ["prefix", "partial"])
def test_the_beginning_of_an_answer_that_a_client_gives_is_no_answer(mark: str) -> None:
    """The newest turn is what it is to answer."""
    messages = [user("old"), {"role": "assistant", "content": "x"}, user("Say hi")]
    begun = {"role": "assistant", "content": "Hi, ", mark: True}
    body = {"model": "m", "messages": [*messages, begun]}
    record = exchange("api.mistral.ai", "/v1/chat/completions", body, headers={"agent-session-id": "20261120_1"})
    assert [prompt.prompt for prompt in record.user_prompts] == ["Say hi"]


@pytest.mark.parametrize(
    ("part", "noted"),
    [
        (
            {"type": "video_url", "video_url": {"url": "https://x.test/a.mp4"}},
            {"type": "video", "uri": "https://x.test/a.mp4"},
        ),
        (
            {"type": "audio_url", "audio_url": {"url": "data:audio/wav;base64,AAAA"}},
            {"type": "audio", "media_type": "audio/wav", "bytes": 3},
        ),
        (
            {"type": "image", "image": "data:image/png;base64,AAAA"},
            {"type": "image", "media_type": "image/png", "bytes": 3},
        ),
        ({"type": "video", "video": ["https://x.test/1.jpg", "https://x.test/2.jpg"]}, {"type": "video"}),
    ],
)
def test_films_sounds_and_pictures_of_other_vendors_are_noted(part: dict[str, Any], noted: dict[str, Any]) -> None:
    body = {"model": "m", "messages": [user([part, {"type": "text", "text": "What is it?"}])]}
    record = exchange("dashscope.aliyuncs.com", "/compatible-mode/v1/chat/completions", body)
    assert record.user_prompts[0].metadata == {"attachments": [noted]}


def test_pieces_of_calls_without_an_index_belong_where_their_id_says() -> None:
    def piece(call_id: str, **function: str) -> dict[str, Any]:
        return {"tool_calls": [{"id": call_id, "function": function}]}

    begun = [piece("a", name="read", arguments=""), piece("b", name="list", arguments="")]
    facts = read(
        CHAT,
        chat_events([*begun, piece("a", arguments='{"x":'), piece("b", arguments="{}"), piece("a", arguments="1}")]),
    )
    assert [(tool.call_id, tool.tool, tool.input) for tool in facts.tools] == [
        ("a", "read", '{"x":1}'),
        ("b", "list", "{}"),
    ]


@pytest.mark.parametrize("choice", [{"message": {"role": "assistant", "content": "Hi"}}, {"text": "Hi"}])
def test_a_document_that_says_no_reason_to_finish_is_whole(choice: dict[str, Any]) -> None:
    document = dump({"id": "c", "choices": [{"index": 0, **choice}]})
    record = exchange("api.openai.com", "/v1/chat/completions", {"model": "m", "messages": [user("Say hi")]}, document)
    assert (record.outcome, record.token_usages) == ("completed", [])


@pytest.mark.parametrize("cut", range(1, 9))
def test_what_llama_cpp_says_went_wrong_is_heard(cut: int) -> None:
    """It has a field of its own in the event stream."""
    wire = b"".join(b"data: %s\n\n" % dump(event) for event in chat_events([{"content": "Hi"}])[:2])
    wire += b'error: {"code":500,"message":"no","type":"server_error"}\n\n'
    body = {"model": "m", "stream": True, "messages": [user("Say hi")]}
    pieces = [wire[:-cut], wire[-cut:]]
    record = exchange("router.huggingface.co", "/v1/chat/completions", body, pieces, "text/event-stream")
    assert (record.outcome, record.error_type, record.error_message) == ("failed", "server_error", "no")


@pytest.mark.parametrize(
    "body",
    [
        {"code": 1214, "msg": "no", "success": False},
        {"base_resp": {"status_code": 1004, "status_msg": "no"}},
        {"detail": "no"},
        {"error": {"msg": "no"}},
    ],
)
def test_an_error_is_told_in_the_vendors_words_whatever_their_name(body: dict[str, Any]) -> None:
    ask = {"model": "m", "messages": [user("Say hi")]}
    record = exchange("api.z.ai", "/api/paas/v4/chat/completions", ask, dump(body), status=400)
    assert (record.outcome, record.error_type, record.error_message) == ("failed", "bad_request", "no")


def test_what_a_validation_found_is_told_as_it_is() -> None:
    found = [{"type": "missing", "loc": ["body", "model"], "msg": "Field required"}]
    for body in ({"object": "error", "message": {"detail": found}}, {"error": {"detail": found}}):
        record = exchange("api.mistral.ai", "/v1/chat/completions", {"model": "m"}, dump(body), status=422)
        assert "Field required" in (record.error_message or "")


def test_a_call_that_is_no_list_of_calls_is_one() -> None:
    call = {"index": 0, "id": "0", "type": "function", "function": {"name": "read", "arguments": '{"a":1}'}}
    [tool] = read(CHAT, chat_events([{"role": "assistant", "tool_calls": call}], finish="tool_calls")).tools
    assert (tool.tool, tool.input) == ("read", '{"a":1}')


def test_a_choice_that_never_finished_is_no_clean_end_whichever_came_first() -> None:
    def chunk(index: int, text: str, reason: str | None = None) -> dict[str, Any]:
        return {"id": "c", "choices": [{"index": index, "delta": {"content": text}, "finish_reason": reason}]}

    wire = [b"data: %s\n\n" % dump(event) for event in (chunk(1, "a"), chunk(0, "b"), chunk(1, "", "stop"))]
    body = {"model": "m", "stream": True, "n": 2, "messages": [user("Say hi")]}
    record = exchange("api.openai.com", "/v1/chat/completions", body, wire, "text/event-stream")
    assert (record.outcome, record.stop_reason) == ("failed", "stop")


def test_members_that_are_written_though_they_are_not_there_are_no_calls() -> None:
    """As Snowflake does, and whoever writes OpenAI's own types in Go."""
    empty = {"name": "", "arguments": ""}
    call = {"id": "c1", "type": "function", "function": {"name": "read", "arguments": '{"a":1}'}}
    message = {
        "role": "assistant",
        "content": "",
        "function_call": empty,
        "tool_calls": [{**call, "custom": {"name": "", "input": ""}}],
    }
    document = dump({"id": "", "choices": [{"index": 0, "finish_reason": "", "message": message}]})
    body = {"model": "m", "messages": [user("Say hi"), message, user("Again")]}
    record = exchange("a.snowflakecomputing.com", "/api/v2/cortex/v1/chat/completions", body, document)
    assert (record.provider_name, record.outcome) == ("snowflake", "completed")
    assert [(tool.tool, tool.kind, tool.input) for tool in record.tool_usages] == [("read", "function", '{"a":1}')]
    [turn] = turns_of(message)
    assert [part["name"] for part in turn.parts] == ["read"]


def test_a_stream_that_ends_with_the_whole_message_said_it_once() -> None:
    """MiniMax repeats it in its last chunk."""
    call = {"id": "c1", "type": "function", "function": {"name": "read", "arguments": '{"a":1}'}}
    events = chat_events([{"reasoning_content": "Let me"}, {"tool_calls": [{"index": 0, **call}]}])[:-1]
    whole = {"role": "assistant", "content": "", "reasoning_content": "Let me", "tool_calls": [call]}
    facts = read(CHAT, [*events, {"choices": [{"index": 0, "finish_reason": "tool_calls", "message": whole}]}])
    assert [thought.content for thought in facts.thoughts] == ["Let me"]
    assert [tool.input for tool in facts.tools] == ['{"a":1}']
    assert facts.stop_reason == "tool_calls"


def test_minimaxs_older_path_is_a_chat() -> None:
    body = {"model": "m", "messages": [user("Say hi")]}
    record = exchange("api.minimax.io", "/v1/text/chatcompletion_v2", body, dump({"choices": [], "usage": COUNTERS}))
    assert (record.api, record.provider_name, record.token_usages[0].input_tokens) == (CHAT, "minimax", 19)


def test_reasoning_in_parts_with_a_summary_is_a_thought() -> None:
    """Claude on Databricks."""

    def piece(text: str) -> dict[str, Any]:
        return {"content": [{"type": "reasoning", "summary": [{"type": "summary_text", "text": text}]}]}

    facts = read(CHAT, chat_events([piece("Let me"), piece(" see"), {"content": "It is"}]))
    assert [thought.content for thought in facts.thoughts] == ["Let me see"]


def test_databricks_names_an_endpoint_in_the_path() -> None:
    body = {"messages": [user("Say hi")]}
    record = exchange("mine.cloud.databricks.com", "/serving-endpoints/my%20gpt/invocations", body)
    assert (record.model, record.provider_name) == ("my gpt", "databricks")


def test_ibm_has_a_name_of_its_own_for_the_model() -> None:
    body = {"model_id": "ibm/granite-test", "project_id": "p", "messages": [user("Say hi")]}
    wire = sse(CHAT, chat_events([{"content": "Hi"}], usage=COUNTERS))
    record = exchange("eu-de.ml.cloud.ibm.com", "/ml/v1/text/chat_stream", body, wire, "text/event-stream")
    assert (record.model, record.provider_name, record.streaming) == ("ibm/granite-test", "watsonx", True)
    assert record.token_usages[0].output_tokens == 13


@pytest.mark.parametrize(
    ("host", "path", "document", "status"),
    [
        ("api.perplexity.ai", "/async/chat/completions", {"id": "a", "model": "m", "status": "CREATED"}, "CREATED"),
        ("api.z.ai", "/api/paas/v4/async/chat/completions", {"id": "a", "task_status": "PROCESSING"}, "PROCESSING"),
        ("api.x.ai", "/v1/chat/completions", {"request_id": "a"}, "deferred"),
    ],
)
def test_an_answer_that_is_promised_for_later_is_no_failure(
    host: str, path: str, document: dict[str, Any], status: str
) -> None:
    asked = {"model": "m", "messages": [user("Say hi")]}
    body = {"request": asked} if host == "api.perplexity.ai" else asked
    record = exchange(host, path, body, dump(document))
    assert (record.outcome, record.stop_reason, record.token_usages) == ("completed", status, [])
    assert (record.model, [prompt.prompt for prompt in record.user_prompts]) == ("m", ["Say hi"])


@pytest.mark.parametrize("document", [{"status": "error"}, {"status": "ok"}, {"request_id": "a", "x": 1}, {}])
def test_a_document_that_promises_nothing_is_no_answer(document: dict[str, Any]) -> None:
    record = exchange("api.x.ai", "/v1/chat/completions", {"model": "m", "messages": [user("Say hi")]}, dump(document))
    assert record.outcome == "failed"
