"""Google's hosts and paths, from the route to the record: provider, language, model, client, thread."""

from __future__ import annotations

import json
from typing import Any

import pytest

from aitap.capture.environment import Environment
from aitap.capture.recording import Recording, RequestHead
from aitap.capture.routes import Router
from tests.capture.google import (
    API,
    CODE_ASSIST,
    USAGE,
    array,
    call,
    chunk,
    dump,
    events,
    exchange,
    model,
    result,
    thought,
    user,
)

VERTEX = "us-east5-aiplatform.googleapis.com"
PUBLISHERS = "/v1/projects/p/locations/us-east5/publishers"
EVENTS = "text/event-stream"
CLI = {"user-agent": "GeminiCLI-tui/0.61.0/gemini-3.1-pro-preview (linux; x64; terminal)"}
FIREBASE = "firebasevertexai.googleapis.com"
GEMINI = ("google", "google", "google.generate_content", "conversation")
FUNCTIONS = [{"functionDeclarations": [{"name": "run_shell_command"}]}]


@pytest.mark.parametrize(
    ("host", "path", "expected"),
    [
        (API, "/v1/models/g:generateContent", ("google", "google", "google.generate_content", "conversation")),
        (
            API,
            "/v1beta/models/g:streamGenerateContent",
            ("google", "google", "google.generate_content", "conversation"),
        ),
        (
            API,
            "/v1alpha/tunedModels/g:generateContent",
            ("google", "google", "google.generate_content", "conversation"),
        ),
        (API, "/v1beta/models/g:countTokens", ("google", "google", "google.generate_content", "auxiliary")),
        (API, "/v1beta/openai/chat/completions", ("openai", "google", "openai.chat_completions", "conversation")),
        (API, "/v1beta/models/g:embedContent", None),
        (FIREBASE, "/v1beta/projects/p/models/g:generateContent", GEMINI),
        (FIREBASE, "/v1beta/projects/p/locations/l/publishers/google/models/g:streamGenerateContent", GEMINI),
        (API, "/v1beta/models/g:batchGenerateContent", None),
        (API, "/v1beta/models", None),
        (
            CODE_ASSIST,
            "/v1internal:streamGenerateContent",
            ("google", "code-assist", "google.code_assist", "conversation"),
        ),
        (CODE_ASSIST, "/v1internal:countTokens", ("google", "code-assist", "google.code_assist", "auxiliary")),
        (CODE_ASSIST, "/v1internal:loadCodeAssist", None),
        (
            f"daily-{CODE_ASSIST}",
            "/v1internal:generateContent",
            ("google", "code-assist", "google.code_assist", "conversation"),
        ),
        (
            "autopush-cloudcode-pa.sandbox.googleapis.com",
            "/v1internal:generateContent",
            ("google", "code-assist", "google.code_assist", "conversation"),
        ),
        (
            VERTEX,
            f"{PUBLISHERS}/google/models/g:streamGenerateContent",
            ("google", "vertex", "google.generate_content", "conversation"),
        ),
        (
            "aiplatform.googleapis.com",
            "/v1beta1/publishers/google/models/g:generateContent",
            ("google", "vertex", "google.generate_content", "conversation"),
        ),
        (
            "aiplatform.us.rep.googleapis.com",
            f"{PUBLISHERS}/anthropic/models/c@1:rawPredict",
            ("anthropic", "vertex", "vertex.anthropic", "conversation"),
        ),
        (
            VERTEX,
            f"{PUBLISHERS}/anthropic/models/count-tokens:rawPredict",
            ("anthropic", "vertex", "vertex.anthropic", "auxiliary"),
        ),
        (
            VERTEX,
            "/v1/projects/p/locations/l/endpoints/openapi/chat/completions",
            ("openai", "vertex", "openai.chat_completions", "conversation"),
        ),
        (VERTEX, f"{PUBLISHERS}/google/models/text-embedding:predict", None),
        ("play.googleapis.com", "/v1beta/models/g:generateContent", None),
    ],
)
def test_each_of_googles_hosts_and_paths_is_what_it_is(
    host: str, path: str, expected: tuple[str, str, str, str] | None
) -> None:
    route = Router().route(host, path)
    assert (route and (route.provider, route.provider_name, route.api, route.purpose)) == expected


ANSWER = [chunk(thought("Hm.")), chunk("Hello"), chunk(finish="STOP", usageMetadata=USAGE)]


@pytest.mark.parametrize(("form", "kind"), [(events, EVENTS), (array, "application/json; charset=UTF-8")])
def test_a_stream_of_the_gemini_api_makes_one_record(form: Any, kind: str) -> None:
    body = {"contents": [user("hi")]}
    record = exchange("/v1beta/models/gemini-test-1:streamGenerateContent", body, form(ANSWER), kind)
    assert (record.api, record.model, record.response_model) == (
        "google.generate_content",
        "gemini-test-1",
        "gemini-test-1-001",
    )
    assert (record.outcome, record.stop_reason, record.streaming) == ("completed", "STOP", True)
    assert [prompt.prompt for prompt in record.user_prompts] == ["hi"]
    assert [(usage.input_tokens, usage.output_tokens) for usage in record.token_usages] == [(13, 16)]
    assert [(found.content, found.metadata) for found in record.model_thoughts] == [("Hm.", {"source": "thinking"})]
    assert record.time_to_first_token == 1.0


@pytest.mark.parametrize(
    ("form", "kind", "problem"),
    [
        (events, EVENTS, "the event stream ended before its last event"),
        (array, "application/json", "the JSON array ended before its last element"),
    ],
)
def test_a_stream_that_was_cut_has_failed_and_keeps_what_it_said(form: Any, kind: str, problem: str) -> None:
    chunks = [*ANSWER[:2], chunk(call("f", {}), usageMetadata=USAGE), chunk(finish="STOP")]
    answer = form(chunks)
    answer = answer[: answer.rindex(b"finishReason")]
    record = exchange("/v1/models/g:streamGenerateContent", {"contents": [user("hi")]}, answer, kind)
    assert (record.outcome, record.error_message) == ("failed", problem)
    assert [tool.tool for tool in record.tool_usages] == ["f"]
    [usage] = record.token_usages
    assert (usage.output_tokens, usage.metadata["partial"]) == (16, True)


@pytest.mark.parametrize(
    ("status", "code", "kind"),
    [
        (400, "INVALID_ARGUMENT", "bad_request"),
        (403, "PERMISSION_DENIED", "unauthorized"),
        (429, "RESOURCE_EXHAUSTED", "rate_limited"),
        (503, "UNAVAILABLE", "overloaded"),
        (200, "UNAUTHENTICATED", "unauthorized"),
        (200, "DEADLINE_EXCEEDED", "timeout"),
    ],
)
@pytest.mark.parametrize("form", [dump, lambda error: dump([error])])
def test_an_error_says_its_kind_and_googles_words(status: int, code: str, kind: str, form: Any) -> None:
    error = {"error": {"code": status, "message": "No, sorry.", "status": code}}
    record = exchange("/v1/models/g:generateContent", {"contents": [user("hi")]}, form(error), status=status)
    assert (record.outcome, record.error_type, record.error_message) == ("failed", kind, "No, sorry.")
    assert [prompt.prompt for prompt in record.user_prompts] == ["hi"]


def test_an_error_in_an_array_is_read_on_the_openai_compatible_path_too() -> None:
    error = [{"error": {"code": 429, "message": "Slow down.", "status": "RESOURCE_EXHAUSTED"}}]
    record = exchange("/v1beta/openai/chat/completions", {"messages": [user("x")]}, dump(error), status=429)
    assert (record.error_type, record.error_message) == ("rate_limited", "Slow down.")


def test_code_assist_is_read_through_its_envelope() -> None:
    body = {
        "model": "gemini-test-1",
        "project": "p",
        "user_prompt_id": "0b9c",
        "request": {"contents": [user("<session_context>\nToday\n</session_context>", "hi")], "session_id": "s-1"},
    }
    answer = events({"response": each, "traceId": "t"} for each in ANSWER)
    record = exchange("/v1internal:streamGenerateContent", body, answer, EVENTS, host=CODE_ASSIST, headers=CLI)
    assert (record.api, record.provider, record.model) == ("google.generate_content", "google", "gemini-test-1")
    assert (record.client, record.client_session_id, record.streaming) == ("Gemini CLI", "s-1", True)
    assert (record.outcome, record.token_usages[0].output_tokens) == ("completed", 16)
    assert [prompt.prompt for prompt in record.user_prompts] == ["hi"]
    assert not record.lineage.is_subagent


def test_an_error_of_code_assist_stands_outside_the_envelope() -> None:
    error = {"error": {"code": 429, "message": "Quota.", "status": "RESOURCE_EXHAUSTED"}}
    record = exchange("/v1internal:generateContent", {"request": {}}, dump(error), host=CODE_ASSIST, status=429)
    assert (record.error_type, record.error_message) == ("rate_limited", "Quota.")


def test_a_sub_agent_of_the_gemini_cli_is_told_by_its_prompt_id() -> None:
    body = {"model": "g", "user_prompt_id": "4f0e-77#3", "request": {"contents": [user("look")], "session_id": "s-1"}}
    answer = dump({"response": chunk("x", finish="STOP")})
    record = exchange("/v1internal:generateContent", body, answer, host=CODE_ASSIST, headers=CLI)
    assert (record.lineage.is_subagent, record.lineage.agent, record.client_session_id) == (True, "4f0e-77", "s-1")
    body["user_prompt_id"] = "s-1########3"
    main = exchange("/v1internal:generateContent", body, answer, host=CODE_ASSIST, headers=CLI)
    assert not main.lineage.is_subagent


def test_antigravity_speaks_to_code_assist_too() -> None:
    body = {"model": "g", "request": {"contents": [user("hi")], "sessionId": "-37"}}
    answer = dump({"response": chunk("x", finish="STOP")})
    headers = {"user-agent": "antigravity/1.21.9 darwin/arm64"}
    record = exchange("/v1internal:generateContent", body, answer, host=f"daily-{CODE_ASSIST}", headers=headers)
    assert (record.client, record.client_version, record.client_session_id) == ("Antigravity", "1.21.9", "-37")


def test_counting_tokens_is_auxiliary_and_has_no_prompt() -> None:
    record = exchange("/v1beta/models/g:countTokens", {"contents": [user("hi")]}, b'{"totalTokens": 3}')
    assert (record.purpose, record.outcome) == ("auxiliary", "completed")
    assert (record.user_prompts, record.token_usages) == ([], [])


CLAUDE: dict[str, Any] = {
    "id": "msg_1",
    "type": "message",
    "role": "assistant",
    "model": "claude-test-1",
    "content": [{"type": "text", "text": "Hello"}],
    "stop_reason": "end_turn",
    "usage": {"input_tokens": 11, "output_tokens": 7},
}


def test_claude_on_vertex_is_anthropics_language_with_the_model_in_the_path() -> None:
    body = {"anthropic_version": "vertex-2023-10-16", "max_tokens": 9, "messages": [{"role": "user", "content": "hi"}]}
    path = f"{PUBLISHERS}/anthropic/models/claude-test-1@20260101:rawPredict"
    record = exchange(path, body, dump(CLAUDE), host=VERTEX)
    assert (record.api, record.provider, record.provider_name) == ("anthropic.messages", "anthropic", "vertex")
    assert (record.model, record.outcome, record.streaming) == ("claude-test-1@20260101", "completed", False)
    assert (record.token_usages[0].input_tokens, record.user_prompts[0].prompt) == (11, "hi")


def test_claude_on_vertex_streams_by_its_method() -> None:
    stream = [
        {"type": "message_start", "message": {**CLAUDE, "content": [], "stop_reason": None}},
        {"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": {"output_tokens": 9}},
        {"type": "message_stop"},
    ]
    answer = b"".join(b"event: %s\ndata: %s\n\n" % (event["type"].encode(), dump(event)) for event in stream)
    path = f"{PUBLISHERS}/anthropic/models/claude-test-1:streamRawPredict"
    record = exchange(path, {"messages": [{"role": "user", "content": "hi"}]}, answer, EVENTS, host=VERTEX)
    assert (record.streaming, record.outcome, record.token_usages[0].output_tokens) == (True, "completed", 9)


def test_counting_claudes_tokens_on_vertex_takes_the_model_from_the_body() -> None:
    path = f"{PUBLISHERS}/anthropic/models/count-tokens:rawPredict"
    body = {"model": "claude-test-1", "messages": [{"role": "user", "content": "hi"}]}
    record = exchange(path, body, b'{"input_tokens": 5}', host=VERTEX)
    assert (record.model, record.purpose, record.outcome) == ("claude-test-1", "auxiliary", "completed")


# The Gemini CLI with a key sends no ids, and makes up those of its calls

CONTEXT = "<session_context>\nThis is the Gemini CLI. Today is %s.\n</session_context>"
CORE = {"role": "user", "parts": [{"text": "You are Gemini CLI, an autonomous CLI agent."}]}


def ask_cli(contents: list[Any], environment: Environment, *answer: Any) -> Any:
    body = {"contents": contents, "systemInstruction": CORE, "tools": FUNCTIONS}
    path = "/v1beta/models/gemini-test-1:streamGenerateContent"
    return exchange(path, body, events(answer), EVENTS, headers=CLI, environment=environment)


def test_a_tool_loop_of_the_gemini_cli_is_one_conversation_by_its_history() -> None:
    environment = Environment("00000000-0000-4000-8000-000000000001", "metadata+prompt")
    run = call("run_shell_command", {"command": "ls"})
    first = ask_cli([user(CONTEXT % "Friday", "list it")], environment, chunk("I will "), chunk(run, finish="STOP"))
    assert first.client_session_id is None
    [usage] = first.tool_usages
    assert (usage.tool, usage.input, usage.provider_tool_call_id) == ("run_shell_command", '{"command": "ls"}', None)

    made_up = {
        "functionCall": {"id": "run_shell_command_1795_0", "args": {"command": "ls"}, "name": "run_shell_command"}
    }
    output = {"output": "<untrusted_context>\nOutput: a.txt\n</untrusted_context>"}
    second = ask_cli(
        [
            user(CONTEXT % "Saturday", "list it"),
            model("I will ", made_up),
            user(result("run_shell_command", output, id="run_shell_command_1795_0")),
        ],
        environment,
        chunk("a.txt", finish="STOP"),
    )
    assert second.user_prompts == []
    assert [(found.call_id, found.status) for found in second.lineage.tool_results] == [
        ("run_shell_command_1795_0", "ok")
    ]
    assert first.lineage.history[-1] in second.lineage.history[:-1]

    third = ask_cli(
        [
            user(CONTEXT % "Sunday", "list it"),
            model("I will ", made_up),
            user(result("run_shell_command", output, id="run_shell_command_1795_0")),
            model("a.txt"),
            user("now the other"),
        ],
        environment,
        chunk("b.txt", finish="STOP"),
    )
    assert second.lineage.history[-1] in third.lineage.history[:-1]
    assert [prompt.prompt for prompt in third.user_prompts] == ["now the other"]


def test_the_session_context_is_left_out_of_the_prompt_and_counted() -> None:
    environment = Environment("00000000-0000-4000-8000-000000000001", "metadata+prompt")
    record = ask_cli([user(CONTEXT % "Friday", "hi")], environment, chunk("x", finish="STOP"))
    [prompt] = record.user_prompts
    assert prompt.prompt == "hi"
    assert prompt.metadata == {"left_out": 1, "left_out_chars": len(CONTEXT % "Friday")}
    assert (record.client, record.client_version, record.purpose) == ("Gemini CLI", "0.61.0", "conversation")


@pytest.mark.parametrize(
    ("system", "more", "reason"),
    [
        ("\nYou are a specialized Task Routing AI. Your sole function is to analyze", {}, "routing"),
        ("\nYou are a specialized system component responsible for distilling chat history into", {}, "compaction"),
        ("You are a diagnostic agent that determines whether a conversational AI", {}, "loop_check"),
        ("You are an expert code-editing assistant. Your task is", {}, "edit_repair"),
        ("You are Gemini CLI, an autonomous CLI agent.", {"tools": [{"googleSearch": {}}]}, "web_tool"),
    ],
)
def test_what_the_gemini_cli_asks_for_itself_is_auxiliary(system: str, more: dict[str, Any], reason: str) -> None:
    body = {"contents": [user(CONTEXT % "Friday"), user("fix it")], "systemInstruction": user(system), **more}
    path = "/v1beta/models/gemini-test-1:generateContent"
    record = exchange(path, body, dump(chunk("{}", finish="STOP")), headers=CLI)
    assert (record.purpose, record.metadata["purpose_reason"]) == ("auxiliary", reason)
    assert record.user_prompts == []


def test_a_program_that_offers_googles_search_alone_is_a_conversation() -> None:
    body = {"contents": [user("the weather?")], "tools": [{"googleSearch": {}}]}
    headers = {"user-agent": "google-genai-sdk/3.4.0 gl-python/3.12.1"}
    path = "/v1/models/gemini-test-1:generateContent"
    record = exchange(path, body, dump(chunk("Rain", finish="STOP")), headers=headers)
    assert (record.purpose, record.client, record.user_prompts[0].prompt) == (
        "conversation",
        "Google GenAI SDK",
        "the weather?",
    )


def test_a_stream_that_breaks_off_with_a_bare_error_fails_with_its_words() -> None:
    """Google's libraries look for it: the error is no event of the stream, and the status is long sent."""
    error = {"error": {"code": 503, "message": "The model is overloaded.", "status": "UNAVAILABLE"}}
    answer = events([chunk("Hel")]) + json.dumps(error, indent=2).encode() + b"\n"
    found = exchange("/v1beta/models/g:streamGenerateContent", {"contents": [user("hi")]}, answer, EVENTS)
    assert (found.outcome, found.error_type, found.error_message) == (
        *("failed", "overloaded", "The model is overloaded."),
    )
    assert [prompt.prompt for prompt in found.user_prompts] == ["hi"]


def test_code_assist_names_the_request_in_a_header_of_its_own() -> None:
    route = Router().route(CODE_ASSIST, "/v1internal:generateContent")
    assert route is not None
    head = RequestHead(route, "POST", CODE_ASSIST, "/v1internal:generateContent", "", "HTTP/1.1", {}, 1.0)
    recording = Recording(Environment("u", "metadata+prompt"), head)
    recording.respond(429, {"x-cloudaicompanion-trace-id": "55d358f73e881b21"})
    assert recording.record.provider_request_id == "55d358f73e881b21"
