"""Gemini's own language: what is asked and what is answered, streamed as events, as an array, or not at all."""

from __future__ import annotations

import itertools
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aitap.capture.dialects.google_answer import AnswerDecoder
from aitap.capture.dialects.google_code_assist import GoogleCodeAssist
from aitap.capture.dialects.google_generate_content import GoogleGenerateContent
from aitap.capture.facts import Attachment, RequestFacts, ThoughtFact
from aitap.record import ToolResult
from tests.capture.google import (
    API,
    USAGE,
    array,
    blocking,
    call,
    chunk,
    dump,
    events,
    exchange,
    model,
    read,
    result,
    streamed,
    thought,
    user,
)

PATH = "/v1beta/models/gemini-test-1:generateContent"


def ask(body: Any, path: str = PATH) -> RequestFacts:
    return GoogleGenerateContent().request(body if isinstance(body, bytes) else dump(body), path)


# What is asked


@pytest.mark.parametrize(
    ("path", "asked", "streaming"),
    [
        ("/v1/models/gemini-2.5-pro:generateContent", "gemini-2.5-pro", False),
        ("/v1beta/models/gemini-2.5-pro:streamGenerateContent", "gemini-2.5-pro", True),
        ("/v1alpha/models/gemini-2.5-pro:countTokens", "gemini-2.5-pro", False),
        ("/v1beta/tunedModels/mine-abc:generateContent", "tunedModels/mine-abc", False),
        ("/v1/projects/p/locations/l/publishers/google/models/g@001:streamGenerateContent", "g@001", True),
        ("/v1/projects/p/locations/l/endpoints/123:generateContent", "endpoints/123", False),
        ("/v1beta/models/gemini%2D2.5:generateContent", "gemini-2.5", False),
        ("/nowhere", "", False),
    ],
)
def test_model_and_streaming_stand_in_the_path(path: str, asked: str, streaming: bool) -> None:
    facts = ask({"contents": [user("hi")]}, path)
    assert (facts.model, facts.streaming) == (asked, streaming)


def test_the_newest_turn_is_what_follows_the_models() -> None:
    facts = ask({"contents": [user("one"), model("answer"), user("two", "three")]})
    assert [(message.role, message.texts) for message in facts.newest] == [("user", ["two", "three"])]


def test_a_content_without_a_role_is_the_users() -> None:
    assert [message.role for message in ask({"contents": [{"parts": [{"text": "hi"}]}]}).newest] == ["user"]


def test_lone_objects_and_capital_roles_are_read_as_google_reads_them() -> None:
    facts = ask({"contents": {"role": "USER", "parts": {"text": "hi"}}, "systemInstruction": {"parts": {"text": "be"}}})
    assert [(message.role, message.texts) for message in facts.newest] == [("user", ["hi"])]
    assert facts.system == "be"


@pytest.mark.parametrize("key", ["systemInstruction", "system_instruction"])
def test_the_system_text_is_every_part_of_it(key: str) -> None:
    assert ask({key: {"role": "user", "parts": [{"text": "one"}, {"text": "two"}]}}).system == "one\ntwo"


def test_a_system_text_in_an_odd_form_is_read_as_far_as_it_goes() -> None:
    assert ask({"systemInstruction": "plain"}).system == "plain"
    assert ask({"systemInstruction": {"parts": [{"text": 5}, {"text": "b"}]}}).system == "b"


@pytest.mark.parametrize(
    ("tools", "offered"), [([{"functionDeclarations": [{"name": "f"}]}], True), ([], False), (None, False)]
)
def test_tools_are_offered_or_not(tools: Any, offered: bool) -> None:
    assert ask({"contents": [user("hi")], "tools": tools}).has_tools is offered


def test_googles_own_tools_alone_are_told_apart() -> None:
    assert ask({"tools": [{"googleSearch": {}}]}).body_ids == {"tools": '[{"googleSearch": {}}]'}
    assert ask({"tools": [{"googleSearch": {}}, {"functionDeclarations": [{"name": "f"}]}]}).body_ids == {}


@pytest.mark.parametrize(
    ("config", "limit", "schema"),
    [
        ({"generationConfig": {"maxOutputTokens": 5, "responseSchema": {"type": "OBJECT"}}}, 5, True),
        ({"generationConfig": {"responseJsonSchema": {"type": "object"}}}, None, True),
        ({"generation_config": {"max_output_tokens": 7}}, 7, False),
        ({"generationConfig": {"maxOutputTokens": "many"}}, None, False),
    ],
)
def test_limits_and_schemas_are_read(config: dict[str, Any], limit: int | None, schema: bool) -> None:
    facts = ask({"contents": [user("hi")], **config})
    assert (facts.max_tokens, facts.output_schema) == (limit, schema)


def test_results_name_their_call_by_id_or_else_by_name_and_say_how_it_went() -> None:
    [message] = ask(
        {
            "contents": [
                model(call("f", {})),
                user(
                    result("f", {"output": "fine"}, id="f_1"),
                    result("g", {"error": "broken"}),
                    result("h", {"error": None, "rows": []}),
                ),
            ]
        }
    ).newest
    assert message.role == "tool"
    assert message.results == [
        ToolResult(call_id="f_1", status="ok", size=len('{"output": "fine"}')),
        ToolResult(call_id="g", status="error", size=len('{"error": "broken"}')),
        ToolResult(call_id="h", status="ok", size=len('{"error": null, "rows": []}')),
    ]


def test_a_result_without_an_id_answers_the_next_call_of_its_name() -> None:
    [message] = ask(
        {
            "contents": [
                model(call("f", {}, id="f_1"), call("g", {}), call("f", {}, id="f_2")),
                user(result("f", {}), result("g", {}), result("f", {}), result("f", {})),
            ]
        }
    ).newest
    assert [found.call_id for found in message.results] == ["f_1", "g", "f_2", "f"]


def test_results_under_the_old_function_role_and_in_snake_case_are_read() -> None:
    part = {"function_response": {"name": "f", "response": {"a": 1}}}
    [message] = ask({"contents": [model("x"), {"role": "function", "parts": [part]}]}).newest
    assert (message.role, [found.call_id for found in message.results]) == ("tool", ["f"])


def test_words_beside_a_result_are_the_users() -> None:
    [message] = ask({"contents": [model(call("f", {})), user(result("f", {}), "stop that")]}).newest
    assert (message.role, message.texts, len(message.results)) == ("user", ["stop that"], 1)


def test_images_and_files_are_noted() -> None:
    parts: list[Any] = [
        {"inlineData": {"mimeType": "image/png", "data": "QUJD"}},
        {"inline_data": {"mime_type": "audio/wav", "data": ""}},
        {"fileData": {"mimeType": "application/pdf", "fileUri": "gs://b/a.pdf"}},
    ]
    [message] = ask({"contents": [user(*parts)]}).newest
    assert message.attachments == [
        Attachment(type="image", media_type="image/png", bytes=3),
        Attachment(type="audio", media_type="audio/wav", bytes=0),
        Attachment(type="file", media_type="application/pdf", uri="gs://b/a.pdf"),
    ]


def test_the_conversation_is_every_turn_in_order() -> None:
    facts = ask({"contents": [user("a"), model(call("f", {})), user(result("f", {})), model("b"), user("c")]})
    assert facts.conversation is not None
    turns = [(message.role, message.texts) for message in facts.conversation()]
    assert turns == [("user", ["a"]), ("assistant", []), ("tool", []), ("assistant", []), ("user", ["c"])]


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"[]",
        b"nonsense",
        b'{"contents": 1, "tools": "x", "generationConfig": [], "systemInstruction": 5}',
        b'{"contents": [1, null, {"role": 1, "parts": 2}, {"parts": [3, {"text": {}}, {"functionResponse": 4}]}]}',
        b'{"contents": [{"parts": [{"inlineData": [], "fileData": 3}, {"functionResponse": {"response": []}}]}]}',
        b'{"contents": [{"parts": [{"text": "\xff\xfe"}]}]}',
        b'{"contents": ' + b"[" * 5000,
    ],
)
def test_odd_requests_give_fewer_facts_and_never_an_error(body: bytes) -> None:
    for dialect in (GoogleGenerateContent(), GoogleCodeAssist()):
        facts = dialect.request(body, PATH)
        assert facts.conversation is None or isinstance(facts.conversation(), list)


# What is answered

SEARCH = {"webSearchQueries": ["weather K\u00f6ln"], "groundingChunks": [{"web": {"uri": "https://example.com"}}]}
EVERYTHING = [
    chunk(thought("First "), usageMetadata={"promptTokenCount": 21, "totalTokenCount": 21}),
    chunk(thought("I look.")),
    chunk("It is "),
    chunk('a "]}[{" \\ day'),
    chunk(thought("Then I act.")),
    chunk(call("read", {"path": "a\n{", "n": [1, {}]}, id="call-1"), call("list", {})),
    chunk(finish="STOP", usageMetadata=USAGE),
]


def test_a_stream_says_who_answered_and_why_it_ended() -> None:
    facts = streamed(*EVERYTHING)
    assert (facts.response_id, facts.model, facts.stop_reason) == ("resp-1", "gemini-test-1-001", "STOP")
    assert facts.complete
    assert facts.first_output_at == 1.0


def test_thoughts_are_one_for_each_run_of_thought_parts() -> None:
    facts = streamed(*EVERYTHING)
    assert facts.thoughts == [ThoughtFact("thinking", "First I look."), ThoughtFact("thinking", "Then I act.")]
    assert facts.hidden_thoughts == 0


def test_a_call_ends_a_run_of_thoughts_and_an_empty_text_does_not() -> None:
    facts = streamed(
        chunk(thought("a")), chunk(""), chunk(thought("b")), chunk(call("f", {})), chunk(thought("c"), finish="STOP")
    )
    assert [found.content for found in facts.thoughts] == ["ab", "c"]


def test_calls_keep_their_order_and_ids_where_they_have_any() -> None:
    facts = streamed(*EVERYTHING)
    assert [(tool.tool, tool.call_id, tool.kind) for tool in facts.tools] == [
        ("read", "call-1", "function"),
        ("list", None, "function"),
    ]


def test_arguments_are_the_text_exactly_as_sent() -> None:
    sent = '{ "path" : "a\\u0062",\n "n":1.50 }'
    body = dump(chunk(call("f", "HERE"), finish="STOP")).replace(b'"HERE"', sent.encode())
    assert [tool.input for tool in read(body).tools] == [sent]
    assert [tool.input for tool in read(b"[" + body + b"]").tools] == [sent]


def test_tokens_are_counted_as_google_bills_them() -> None:
    usage = streamed(*EVERYTHING).usage
    assert usage is not None
    assert (usage.input_tokens, usage.output_tokens) == (21 - 8, 12 + 4)
    assert (usage.cache_read_input_tokens, usage.cache_write_input_tokens) == (8, 0)
    assert usage.extra == {"cachedContentTokenCount": 8, "thoughtsTokenCount": 4, "totalTokenCount": 37}


def test_what_googles_tools_feed_back_is_input() -> None:
    counters = {"promptTokenCount": 80, "toolUsePromptTokenCount": 237, "candidatesTokenCount": 173}
    counters |= {"thoughtsTokenCount": 60, "totalTokenCount": 550}
    usage = blocking(chunk("x", finish="STOP", usageMetadata=counters)).usage
    assert usage is not None
    assert usage.input_tokens + usage.output_tokens == counters["totalTokenCount"]
    assert usage.extra["toolUsePromptTokenCount"] == 237


def test_the_last_value_of_each_counter_wins() -> None:
    usage = streamed(
        chunk("a", usageMetadata={"promptTokenCount": 9, "candidatesTokenCount": 1, "thoughtsTokenCount": 5}),
        chunk("b", usageMetadata={"promptTokenCount": 9, "candidatesTokenCount": 2}),
        chunk(finish="STOP", usageMetadata={"promptTokenCount": 10, "candidatesTokenCount": 3}),
    ).usage
    assert usage is not None
    assert (usage.input_tokens, usage.output_tokens) == (10, 3 + 5)


def test_counters_by_modality_and_the_kind_of_traffic_are_kept() -> None:
    details = {"promptTokensDetails": [{"modality": "TEXT", "tokenCount": 20}, {"modality": "IMAGE", "tokenCount": 1}]}
    told = {"promptTokenCount": 21, "trafficType": "ON_DEMAND", **details}
    usage = blocking(chunk("x", finish="STOP", usageMetadata=told)).usage
    assert usage is not None
    assert usage.extra == {
        "promptTokensDetails.TEXT": 20,
        "promptTokensDetails.IMAGE": 1,
        "trafficType": "ON_DEMAND",
    }


def test_no_usage_on_the_wire_is_no_usage() -> None:
    assert streamed(chunk("x", finish="STOP")).usage is None
    assert streamed(chunk("x", finish="STOP", usageMetadata={"trafficType": "ON_DEMAND"})).usage is None


def test_a_cut_stream_keeps_what_was_read_and_is_not_complete() -> None:
    facts = streamed(*EVERYTHING[:-1])
    assert not facts.complete
    assert facts.usage is not None
    assert (facts.usage.input_tokens, facts.usage.extra["partial"]) == (21, True)
    assert [tool.tool for tool in facts.tools] == ["read", "list"]


def test_several_candidates_must_all_finish() -> None:
    start = [chunk("a"), chunk("b", index=1), chunk(finish="MAX_TOKENS", index=1)]
    assert not streamed(*start).complete
    facts = streamed(*start, chunk(finish="STOP"))
    assert (facts.complete, facts.stop_reason) == (True, "STOP")


def test_a_refused_prompt_is_an_answer_that_says_why() -> None:
    refused = {"promptFeedback": {"blockReason": "PROHIBITED_CONTENT"}, "usageMetadata": {"promptTokenCount": 3}}
    for facts in (blocking(refused), streamed(refused)):
        assert (facts.complete, facts.stop_reason, facts.error) == (True, "PROHIBITED_CONTENT", None)


def test_encrypted_thoughts_are_counted_where_none_is_shown() -> None:
    signed = {**call("f", {}), "thoughtSignature": "c2ln"}
    assert streamed(chunk(signed, finish="STOP")).hidden_thoughts == 1
    assert streamed(chunk(thought("a")), chunk(signed, finish="STOP")).hidden_thoughts == 0


UNAVAILABLE = {"error": {"code": 503, "message": "The model is overloaded.", "status": "UNAVAILABLE"}}


@pytest.mark.parametrize("body", [dump(UNAVAILABLE), dump([UNAVAILABLE]), events([chunk("a"), UNAVAILABLE])])
def test_an_error_is_read_alone_in_an_array_and_in_a_stream(body: bytes) -> None:
    facts = read(body, "text/event-stream" if body.startswith(b"data") else "application/json")
    assert facts.error is not None
    assert (facts.error.message, facts.error.type) == ("The model is overloaded.", "UNAVAILABLE")
    assert not facts.complete


def test_code_that_google_runs_is_a_server_tool_with_its_result() -> None:
    code = {"executableCode": {"language": "PYTHON", "code": "print(1)"}}
    facts = streamed(
        chunk(code),
        chunk({"codeExecutionResult": {"outcome": "OUTCOME_OK", "output": "1\n"}}),
        chunk(code),
        chunk({"codeExecutionResult": {"outcome": "OUTCOME_FAILED", "output": ""}}, finish="STOP"),
    )
    assert [(tool.tool, tool.kind, tool.input, tool.metadata) for tool in facts.tools] == [
        ("code_execution", "server", "print(1)", {"language": "PYTHON"})
    ] * 2
    assert [tool.result for tool in facts.tools] == [
        ToolResult(call_id="", status="ok", size=2),
        ToolResult(call_id="", status="error", size=0),
    ]


def test_searches_and_pages_that_only_the_sources_tell_of_are_server_tools() -> None:
    pages = [
        {"retrievedUrl": "https://a.example", "urlRetrievalStatus": "URL_RETRIEVAL_STATUS_SUCCESS"},
        {"retrievedUrl": "https://b.example", "urlRetrievalStatus": "URL_RETRIEVAL_STATUS_ERROR"},
    ]
    last = chunk("x", finish="STOP")
    last["candidates"][0] |= {"groundingMetadata": SEARCH, "urlContextMetadata": {"urlMetadata": pages}}
    again = chunk("w")
    again["candidates"][0] |= {"groundingMetadata": {"webSearchQueries": ["weather"]}}
    facts = streamed(again, last)
    assert [(tool.tool, tool.kind, json.loads(tool.input)) for tool in facts.tools[:1]] == [
        ("google_search", "server", ["weather K\u00f6ln"])
    ]
    assert [(tool.tool, tool.input, tool.error) for tool in facts.tools[1:]] == [
        ("url_context", "https://a.example", None),
        ("url_context", "https://b.example", "URL_RETRIEVAL_STATUS_ERROR"),
    ]


def test_places_and_files_that_were_found_tell_of_their_search() -> None:
    sources = [{"maps": {"uri": "u"}}, {"maps": {"uri": "v"}}, {"retrievedContext": {"text": "t"}}, {"web": {}}]
    last = chunk("Here", finish="STOP")
    last["candidates"][0]["groundingMetadata"] = {"groundingChunks": sources}
    assert [(tool.tool, tool.input, tool.kind) for tool in streamed(last).tools] == [
        ("google_maps", "", "server"),
        ("file_search", "", "server"),
    ]
    last["candidates"][0]["groundingMetadata"]["retrievalQueries"] = ["q"]
    assert [tool.tool for tool in streamed(last).tools] == ["retrieval", "google_maps"]


def test_a_search_that_is_shown_as_a_call_counts_once() -> None:
    asked = {"toolCall": {"id": "t1", "toolType": "GOOGLE_SEARCH_WEB", "args": {"queries": ["weather"]}}}
    gave = {"toolResponse": {"id": "t1", "toolType": "GOOGLE_SEARCH_WEB", "response": {"a": 1}}}
    last = chunk(asked, gave, "x", finish="STOP")
    last["candidates"][0]["groundingMetadata"] = SEARCH
    [tool] = streamed(last).tools
    assert (tool.tool, tool.call_id, tool.input) == ("google_search_web", "t1", '{"queries": ["weather"]}')
    assert tool.result is not None
    assert tool.result.status == "ok"


def test_arguments_that_arrive_value_by_value_are_put_together() -> None:
    def part(*pieces: dict[str, Any], more: bool = True) -> dict[str, Any]:
        return {"functionCall": {"partialArgs": list(pieces), "willContinue": more}}

    city = {"jsonPath": "$.where[0].city", "stringValue": "K\u00f6", "willContinue": True}
    facts = streamed(
        chunk({"functionCall": {"name": "weather", "id": "c1", "willContinue": True}}),
        chunk(part(city)),
        chunk(part({"jsonPath": "$.where[0].city", "stringValue": "ln"}, {"jsonPath": "$['days']", "numberValue": 3})),
        chunk(part({"jsonPath": "$.where[1].city", "stringValue": "Bonn"}, {"jsonPath": "$.now", "boolValue": True})),
        chunk({"functionCall": {}}, finish="STOP"),
    )
    [tool] = facts.tools
    assert (tool.tool, tool.call_id, tool.metadata) == ("weather", "c1", {})
    assert json.loads(tool.input) == {"where": [{"city": "K\u00f6ln"}, {"city": "Bonn"}], "days": 3, "now": True}


def test_a_call_that_was_cut_between_its_values_is_partial() -> None:
    [tool] = streamed(
        chunk({"functionCall": {"name": "f", "willContinue": True}}),
        chunk({"functionCall": {"partialArgs": [{"jsonPath": "$.a", "stringValue": "x"}], "willContinue": True}}),
    ).tools
    assert (tool.input, tool.metadata) == ('{"a":"x"}', {"partial": True})


def test_counting_tokens_is_complete_and_uses_none() -> None:
    facts = blocking({"totalTokens": 31})
    assert (facts.complete, facts.usage) == (True, None)


@pytest.mark.parametrize("wrapped", [False, True])
@given(places=st.lists(st.integers(1, 4000), max_size=12), as_array=st.booleans())
def test_any_split_of_an_answer_gives_the_same_facts(wrapped: bool, places: list[int], as_array: bool) -> None:
    chunks = [{"response": each, "traceId": "t"} for each in EVERYTHING] if wrapped else EVERYTHING
    data, kind = (array(chunks), "application/json") if as_array else (events(chunks), "text/event-stream")
    borders = [0, *sorted(place % len(data) for place in places), len(data)]
    pieces = [data[start:end] for start, end in itertools.pairwise(borders)]
    assert read(pieces, kind, decoder=AnswerDecoder(wrapped=wrapped)) == read(
        data, kind, decoder=AnswerDecoder(wrapped=wrapped)
    )


counters = st.none() | st.fixed_dictionaries(
    {"promptTokenCount": st.integers(0, 20)},
    optional={"candidatesTokenCount": st.integers(0, 20), "thoughtsTokenCount": st.integers(0, 20)},
)
a_part = st.one_of(
    st.sampled_from(["a", "b", "", '"text": "', "\\"]),
    st.sampled_from([thought("c"), call("f", {"text": "d"}), call("f", {"text": "e"})]),
)
a_chunk = st.builds(
    lambda part, index, finish, usage: chunk(
        part, index=index, finish=finish, **({} if usage is None else {"usageMetadata": usage})
    ),
    a_part,
    st.sampled_from([0, 0, 0, 1]),
    st.sampled_from([None, None, None, "STOP"]),
    counters,
)


@given(st.lists(a_chunk, max_size=12))
def test_what_is_held_and_not_decoded_changes_no_fact(chunks: list[Any]) -> None:
    careful = AnswerDecoder()
    for each in chunks:
        careful._form = None
        careful.event(b"message", dump(each), 1.0)
    assert read(events(chunks), "text/event-stream") == careful.facts()


def test_a_piece_of_text_like_the_one_before_is_not_decoded() -> None:
    decoder = AnswerDecoder()
    decoder.event(b"message", dump(chunk("a", usageMetadata={"candidatesTokenCount": 1})), 1.0)
    held = dump(chunk("b", usageMetadata={"candidatesTokenCount": 2}))
    decoder.event(b"message", held, 1.0)
    assert decoder._held == held
    usage = decoder.facts().usage
    assert usage is not None
    assert usage.output_tokens == 2


MEMBERS = [
    "candidates",
    "content",
    "parts",
    "text",
    "thought",
    "functionCall",
    "args",
    "name",
    "partialArgs",
    "jsonPath",
    "stringValue",
    "willContinue",
    "executableCode",
    "codeExecutionResult",
    "toolCall",
    "toolResponse",
    "usageMetadata",
    "error",
    "response",
    "groundingMetadata",
    "webSearchQueries",
    "urlContextMetadata",
    "urlMetadata",
    "index",
    "finishReason",
    "promptFeedback",
    "blockReason",
]
odd = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=4),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(MEMBERS),
            inner,
            max_size=4,
        )
    ),
    max_leaves=25,
)


@given(st.lists(odd, max_size=4), st.booleans())
def test_odd_answers_never_raise(answers: list[Any], wrapped: bool) -> None:
    facts = read(events(answers), "text/event-stream", decoder=AnswerDecoder(wrapped=wrapped))
    assert isinstance(facts.complete, bool)


def test_one_odd_field_does_not_cost_the_facts_beside_it() -> None:
    odd_chunk = chunk(call("f", {"a": 1}), finish="STOP", usageMetadata={**USAGE, "promptTokensDetails": "?"})
    odd_chunk["candidates"].insert(0, {"index": "first", "content": []})
    facts = streamed(odd_chunk)
    assert [tool.tool for tool in facts.tools] == ["f"]
    assert (facts.stop_reason, facts.usage is not None) == ("STOP", True)


@pytest.mark.parametrize(
    ("number", "vertex", "gemini"),
    [
        (1, "STOP", "STOP"),
        (6, "BLOCKLIST", "LANGUAGE"),
        (10, "MODEL_ARMOR", "MALFORMED_FUNCTION_CALL"),
        (99, "99", "99"),
    ],
)
def test_words_that_a_client_wants_as_numbers_are_read_as_words(number: int, vertex: str, gemini: str) -> None:
    """Google's older libraries ask so over HTTP."""
    details = [{"modality": 1, "tokenCount": 3}, {"modality": 4, "tokenCount": 18}]
    usage = {**USAGE, "promptTokensDetails": details, "trafficType": 2}
    ran = {"codeExecutionResult": {"outcome": 1, "output": "1"}}
    chunks = [chunk("It"), chunk({"executableCode": {"code": "1"}}, ran), chunk(usageMetadata=usage)]
    chunks[-1]["candidates"][0]["finishReason"] = number
    project = "/v1beta1/projects/p/locations/us-central1/publishers/google"
    for host, start, word in (("us-central1-aiplatform.googleapis.com", project, vertex), (API, "/v1beta", gemini)):
        record = exchange(
            f"{start}/models/gemini-test:streamGenerateContent", {"contents": [user("hi")]}, array(chunks), host=host
        )
        assert (record.outcome, record.stop_reason) == ("completed", word)
        assert record.token_usages[0].metadata["promptTokensDetails.AUDIO"] == 18
        assert record.token_usages[0].metadata["trafficType"] == "PROVISIONED_THROUGHPUT"
        assert record.tool_usages[0].result_status == "ok"


def test_a_prompt_that_was_refused_by_number_was_refused() -> None:
    facts = streamed({"promptFeedback": {"blockReason": 4}, "usageMetadata": {"promptTokenCount": 4}})
    assert (facts.complete, facts.stop_reason) == (True, "PROHIBITED_CONTENT")
