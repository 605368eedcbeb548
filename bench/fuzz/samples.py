"""What is mutated over HTTP: every dialect with everything in it.

Beside the plain exchanges of :mod:`bench.corpus` stand the tests' own, which are rich: thoughts, tools that the
provider runs, counters of every kind, histories with pictures and results. A dialect that has no example here or in
:mod:`bench.fuzz.talks` is an error.
"""

from __future__ import annotations

from typing import Any

from aitap.capture.dialects import DIALECTS
from bench.corpus import SAMPLES as PLAIN
from bench.corpus import Sample
from bench.fuzz.talks import TALKS
from tests.capture import google
from tests.capture.dialects import test_bedrock_converse as converse
from tests.capture.dialects import test_bedrock_invoke as invoke
from tests.capture.dialects import test_cloudflare_run as cloudflare
from tests.capture.dialects import test_cohere_chat as cohere
from tests.capture.dialects import test_cohere_chat_v1 as cohere_v1
from tests.capture.dialects import test_dashscope_generation as dashscope
from tests.capture.dialects import test_google_interactions as interactions
from tests.capture.dialects import test_mistral_conversations as conversations
from tests.capture.dialects import test_ollama as ollama
from tests.capture.dialects import test_openai_completions as completions
from tests.capture.dialects import test_vercel_language_model as vercel
from tests.capture.dialogues import DIALOGUES
from tests.capture.framing import EVENT_STREAM, chunks, event, exception
from tests.capture.making import CHAT, MESSAGES, RESPONSES, answers, by_blocks, dump

__all__ = ["SAMPLES", "SECRET", "THEIR_WORDS", "WRONG"]

SECRET = "sk-ant-api03-" + "Zq9" * 15
"""The credential of every request."""

THEIR_WORDS = ("Overloaded now", "Quota is gone", "no such key", "has no access", "login fail")
WRONG = tuple(
    dump(told)
    for told in (
        {"error": {"type": "authentication_error", "message": f"Incorrect API key provided: {SECRET}, no such key"}},
        {"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded now"}, "request_id": "r"},
        [{"error": {"code": 429, "message": "Quota is gone", "status": "RESOURCE_EXHAUSTED", "details": []}}],
        {"message": f"no such key: Bearer {SECRET}", "__type": "x#ThrottlingException"},
        {"error": f"{SECRET} has no access", "detail": [{"loc": ["body"], "msg": "x"}]},
        {"base_resp": {"status_code": 1004, "status_msg": "login fail"}},
    )
)
"""What providers say when they do not answer; some say again what they were given."""

_JSON, _SSE, _LINES = "application/json", "text/event-stream", "application/x-ndjson"
_PICTURE = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAAB"


def _sse(events: list[dict[str, Any]], kind: str = "type") -> list[bytes]:
    return [b"event: %s\ndata: %s\n\n" % (str(each.get(kind, "x")).encode(), dump(each)) for each in events]


def _lines(events: list[dict[str, Any]]) -> list[bytes]:
    return [dump(each) + b"\n" for each in events]


def _asks() -> dict[str, list[dict[str, Any]]]:
    """Requests of each dialect that has its own form of one, a plain and a late one."""
    found = {dialogue.api: [dialogue.ask, dialogue.again] for dialogue in DIALOGUES}
    source = {"type": "base64", "media_type": "image/png", "data": _PICTURE}
    found[MESSAGES] += [
        {
            "model": "m",
            "max_tokens": 64,
            "stream": True,
            "metadata": {"user_id": '{"session_id":"s-1"}'},
            "system": "Be kind",
            "output_config": {"format": {"type": "json_schema"}},
            "messages": [
                {"role": "user", "content": [{"type": "text", "text": "See"}, {"type": "image", "source": source}]},
                {"role": "assistant", "content": [{"type": "server_tool_use", "id": "w1", "name": "web_search"}]},
                {
                    "role": "user",
                    "content": [
                        {"type": "tool_result", "tool_use_id": "w1", "is_error": True, "content": [source]},
                        {"type": "text", "text": "<system-reminder>x</system-reminder>"},
                        {"type": "document", "title": "d", "source": {"type": "url", "url": "https://a.example/d"}},
                    ],
                },
            ],
        }
    ]
    data = f"data:image/png;base64,{_PICTURE}"
    found[CHAT] += [
        {
            "model": "m",
            "stream": True,
            "stream_options": {"include_usage": True},
            "max_completion_tokens": 9,
            "response_format": {"type": "json_schema", "json_schema": {}},
            "user": "u",
            "metadata": {"session_id": "s"},
            "prompt_cache_key": "k",
            "messages": [
                {"role": "developer", "content": "Be kind"},
                {
                    "role": "user",
                    "content": [
                        {"type": "text", "text": "See"},
                        {"type": "image_url", "image_url": {"url": data}},
                        {"type": "input_audio", "input_audio": {"data": "UklGRg==", "format": "wav"}},
                        {"type": "file", "file": {"filename": "a.pdf", "file_data": data, "file_id": "f"}},
                    ],
                },
            ],
        }
    ]
    found[RESPONSES] += [
        {
            "model": "m",
            "stream": True,
            "previous_response_id": "resp_0",
            "prompt_cache_key": "k",
            "client_metadata": {"x-codex-turn-metadata": '{"turn_id":"t"}'},
            "text": {"format": {"type": "json_schema"}},
            "max_output_tokens": 5,
            "input": [
                {"type": "mcp_approval_response", "approval_request_id": "a1", "approve": False},
                {"type": "custom_tool_call_output", "call_id": "c2", "output": [{"type": "input_text", "text": "x"}]},
                {"type": "computer_call_output", "call_id": "c3", "output": {"image_url": data}, "status": "failed"},
                {
                    "type": "message",
                    "role": "user",
                    "content": [{"type": "input_text", "text": "See"}, {"type": "input_image", "image_url": data}],
                },
                {"type": "message", "role": "user", "content": "<environment_context>x</environment_context>"},
            ],
        }
    ]
    inline = {"inlineData": {"mimeType": "image/png", "data": _PICTURE}}
    found["google.generate_content"] += [
        {
            "contents": [
                google.user("See", inline, {"fileData": {"fileUri": "gs://b/o"}}),
                google.model("It is"),
                google.user(google.result("read", {"error": "no"}, id="t1")),
            ],
            "generationConfig": {"maxOutputTokens": 5, "responseSchema": {}},
            "tools": [{"googleSearch": {}}],
        }
    ]
    found["bedrock.converse"] += [converse.ASK, {"messages": [{"role": "user", "content": [{"image": source}]}]}]
    found["openai.completions"] = [completions.ASK, {"prompt": ["a", "b"], "suffix": "c", "metadata": {"a": "b"}}]
    found["cohere.chat_v1"] = [
        cohere_v1.ASK,
        {
            "model": "command-test",
            "message": "",
            "conversation_id": "c",
            "chat_history": [
                {"role": "USER", "message": "Read it"},
                {"role": "CHATBOT", "message": "I will", "tool_calls": cohere_v1.CALLS},
            ],
            "tool_results": [{"call": cohere_v1.CALLS[0], "outputs": [{"text": "x", "n": 1}]}],
        },
    ]
    step = {"type": "function_result", "call_id": "c1", "name": "read", "result": {"a": 1}, "is_error": True}
    found["google.interactions"] = [
        interactions.ASK,
        {**interactions.ASK, "input": [*interactions.STEPS, step], "previous_interaction_id": "int_0"},
        {**interactions.ASK, "input": [{"type": "image", "mime_type": "image/png", "data": _PICTURE}]},
    ]
    entries = [
        {"type": "message.input", "role": "user", "content": [{"type": "text", "text": "See"}]},
        *conversations.OUTPUTS,
        {"type": "function.result", "tool_call_id": "c1", "result": "text"},
    ]
    found["dashscope.generation"] += [dashscope.ASK, {"model": "m", "input": {"prompt": "Say hi"}}]
    found["vercel.language_model"] += [vercel.ASK]
    found["cloudflare.run"] = [cloudflare.ASK, {"prompt": "Say hi"}, {"input": "Say hi"}]
    limits = {"max_tokens": 5, "response_format": {"type": "json_schema"}}
    found["mistral.conversations"] = [
        conversations.ASK,
        {"agent_id": "ag", "inputs": entries, "completion_args": limits, "metadata": {"a": "b"}, "tools": [{}]},
    ]
    return found


def _samples() -> list[Sample]:
    asks = _asks()
    chunk = {"id": "c1", "object": "text_completion", "model": "i"}
    text = {**chunk, "choices": [{"text": "Hi", "index": 0, "finish_reason": "stop"}], "usage": completions.USAGE}
    message = {
        "id": "msg_1",
        "type": "message",
        "model": "c",
        "stop_reason": "tool_use",
        "content": [
            {"type": "thinking", "thinking": "Hm", "signature": "c2ln"},
            {"type": "redacted_thinking", "data": "ZW5j"},
            {"type": "server_tool_use", "id": "w1", "name": "web_search", "input": {"query": "x"}},
            {"type": "web_search_tool_result", "tool_use_id": "w1", "content": [{"type": "web_search_result"}]},
            {"type": "mcp_tool_use", "id": "m1", "name": "list", "server_name": "files", "input": {}},
            {"type": "mcp_tool_result", "tool_use_id": "m1", "is_error": True, "content": []},
            {"type": "tool_use", "id": "t1", "name": "read", "input": {"path": "a.txt"}},
        ],
        "usage": {
            "input_tokens": 11,
            "output_tokens": 7,
            "cache_read_input_tokens": 5,
            "cache_creation_input_tokens": 3,
            "cache_creation": {"ephemeral_5m_input_tokens": 1, "ephemeral_1h_input_tokens": 2},
            "server_tool_use": {"web_search_requests": 1},
            "service_tier": "standard",
            "iterations": [
                {"type": "message", "input_tokens": 1, "output_tokens": 1},
                {"type": "compaction", "input_tokens": 2, "output_tokens": 2, "cache_creation": {"x": 1}},
                {"type": "advisor", "model": "a", "input_tokens": 2},
            ],
        },
    }
    items = [
        {"type": "reasoning", "id": "rs_1", "summary": [{"type": "summary_text", "text": "Hm"}]},
        {"type": "message", "phase": "commentary", "content": [{"type": "output_text", "text": "I look"}]},
        {"type": "web_search_call", "id": "ws_1", "status": "completed", "action": {"type": "search", "query": "x"}},
        {"type": "mcp_call", "id": "mc_1", "name": "list", "server_label": "f", "arguments": "{}", "error": "no"},
        {"type": "mcp_approval_request", "id": "ma_1", "name": "rm", "server_label": "f", "arguments": "{}"},
        {"type": "code_interpreter_call", "id": "ci_1", "code": "1", "status": "failed", "output": []},
        {"type": "local_shell_call", "id": "ls_1", "call_id": "c4", "action": {"command": ["ls"]}},
        {"type": "custom_tool_call", "id": "ct_1", "call_id": "c2", "name": "exec", "input": "text(1)"},
    ]
    usage = {
        "input_tokens": 20,
        "input_tokens_details": {"cached_tokens": 8},
        "output_tokens": 9,
        "output_tokens_details": {"reasoning_tokens": 4},
        "total_tokens": 29,
    }
    response = {"id": "resp_1", "object": "response", "status": "incomplete", "model": "m", "output": items}
    response |= {"usage": usage, "incomplete_details": {"reason": "max_output_tokens"}, "service_tier": "flex"}
    tools = [{"index": 0, "id": "c1", "type": "function", "function": {"name": "read", "arguments": "{}"}}]
    said = {"role": "assistant", "content": "It", "reasoning_content": "Hm", "tool_calls": tools}
    counted = {"prompt_tokens": 16, "completion_tokens": 7, "total_tokens": 23, "cost": 0.5}
    counted |= {"prompt_tokens_details": {"cached_tokens": 5}, "completion_tokens_details": {"reasoning_tokens": 2}}
    chat = {"id": "c1", "model": "m", "choices": [{"index": 0, "message": said, "finish_reason": "tool_calls"}]}
    whole = converse.answer(
        {"reasoningContent": {"reasoningText": {"text": "Hm", "signature": "c2ln"}}},
        {"toolUse": {"toolUseId": "t1", "name": "read", "input": {"path": "a.txt"}}},
    )
    gemini = [
        google.chunk(google.thought("Hm")),
        google.chunk("It is", google.call("read", {"a": [1]}, id="t1", partialArgs=[{"jsonPath": "$.a[0]"}])),
        google.chunk({"executableCode": {"code": "1", "language": "PYTHON"}}, {"codeExecutionResult": {"output": "1"}}),
        google.chunk(finish="STOP", usageMetadata=google.USAGE, modelVersion="g-1", responseId="r1"),
    ]
    inter = {**interactions.HEAD, "status": "completed", "usage": interactions.USAGE, "steps": interactions.STEPS}
    mistral = {"conversation_id": "conv_1", "outputs": conversations.OUTPUTS, "usage": conversations.USAGE}
    plan = {"role": "assistant", "tool_plan": "Hm", "tool_calls": tools, "content": [{"type": "text", "text": "It"}]}
    bedrock = "bedrock-runtime.*.amazonaws.com"
    model = "/model/anthropic.c/invoke"
    gemini_host, gemini_path = google.API, "/v1beta/models/g"
    rich: list[tuple[str, str, str, str, list[bytes]]] = [
        (MESSAGES, "api.anthropic.com", "/v1/messages", _SSE, by_blocks(MESSAGES, answers(MESSAGES))),
        (MESSAGES, "api.anthropic.com", "/v1/messages", _JSON, [dump(message)]),
        (CHAT, "api.openai.com", "/v1/chat/completions", _SSE, by_blocks(CHAT, answers(CHAT))),
        (CHAT, "api.x.ai", "/v1/chat/completions", _JSON, [dump({**chat, "usage": counted})]),
        (RESPONSES, "api.openai.com", "/v1/responses", _SSE, by_blocks(RESPONSES, answers(RESPONSES))),
        (RESPONSES, "api.openai.com", "/v1/responses", _JSON, [dump(response)]),
        ("google.generate_content", gemini_host, f"{gemini_path}:streamGenerateContent", _JSON, _array(gemini)),
        ("google.generate_content", gemini_host, f"{gemini_path}:streamGenerateContent", _SSE, _data(gemini)),
        ("bedrock.converse", bedrock, "/model/a/converse-stream", EVENT_STREAM, converse.frames(converse.STREAM)),
        ("bedrock.converse", bedrock, "/model/a/converse", _JSON, [dump(whole)]),
        (
            "bedrock.invoke",
            bedrock,
            f"{model}-with-response-stream",
            EVENT_STREAM,
            [*chunks(invoke.with_metrics(answers(MESSAGES))), exception("throttlingException", "slow"), event("x", {})],
        ),
        ("bedrock.invoke", bedrock, "/model/meta.l/invoke", _JSON, [dump({"generation": "x", "stop_reason": "stop"})]),
        ("ollama.chat", "ollama.com", "/api/chat", _LINES, _lines(ollama.STREAM)),
        ("cohere.chat", "api.cohere.com", "/v2/chat", _SSE, _sse(cohere.STREAM)),
        ("cohere.chat", "api.cohere.com", "/v2/chat", _JSON, [dump({"id": "c", "message": plan} | _COHERE)]),
        ("cohere.chat_v1", cohere_v1.HOST, cohere_v1.PATH, cohere_v1.LINES, _lines(cohere_v1.STREAM)),
        ("cohere.chat_v1", cohere_v1.HOST, cohere_v1.PATH, _JSON, [dump(cohere_v1.ANSWER)]),
        (
            "google.interactions",
            interactions.HOST,
            interactions.PATH,
            _SSE,
            _sse(interactions.STREAM, "event_type"),
        ),
        ("google.interactions", interactions.HOST, interactions.PATH, _JSON, [dump(inter)]),
        ("google.interactions", "llm.example", interactions.PATH, _JSON, [dump(inter)]),
        ("mistral.conversations", conversations.HOST, conversations.PATH, _SSE, _sse(conversations.STREAM)),
        ("mistral.conversations", conversations.HOST, f"{conversations.PATH}/conv_1", _JSON, [dump(mistral)]),
        (
            "openai.completions",
            completions.HOST,
            completions.PATH,
            _SSE,
            [block + b"\n\n" for block in completions.STREAM.split(b"\n\n") if block] + [b"data: [DONE]\n\n"],
        ),
        ("openai.completions", completions.HOST, completions.PATH, _JSON, [dump(text)]),
        ("dashscope.generation", dashscope.HOST, dashscope.PATH, _SSE, [dashscope.wire([e]) for e in dashscope.PIECES]),
        ("dashscope.generation", dashscope.HOST, dashscope.PATH, _SSE, [dashscope.wire([e]) for e in dashscope.GROWN]),
        ("dashscope.generation", dashscope.HOST, dashscope.PATH, _JSON, [dump(dashscope.GROWN[-1])]),
        ("vercel.language_model", vercel.HOST, vercel.PATH, _SSE, _data(vercel.STREAM)),
        ("vercel.language_model", vercel.HOST, vercel.PATH, _JSON, [dump(vercel.DOCUMENT)]),
        ("cloudflare.run", cloudflare.HOST, cloudflare.PATH, _SSE, _data(cloudflare.STREAM)),
        ("cloudflare.run", cloudflare.HOST, cloudflare.PATH, _JSON, [cloudflare.enveloped(cloudflare.STREAM[-1])]),
    ]
    return [
        Sample(api, host, path, "", dump(ask), kind, tuple(pieces), len(pieces) > 1)
        for api, host, path, kind, pieces in rich
        for ask in asks[api]
    ]


_COHERE = {"finish_reason": "TOOL_CALL", "usage": cohere.USAGE}


def _data(pieces: list[dict[str, Any]]) -> list[bytes]:
    return [b"data: %s\n\n" % dump(piece) for piece in pieces]


def _array(pieces: list[dict[str, Any]]) -> list[bytes]:
    """Google's other form of a stream: one array, element by element."""
    *first, last = [dump(piece) for piece in pieces]
    return [b"[" + first[0], *(b"\r\n," + piece for piece in first[1:]), b",\r\n" + last + b"]"]


SAMPLES = [*PLAIN, *_samples()]

_missing = DIALECTS.keys() - {each.api for each in SAMPLES} - {each.api for each in TALKS}
if _missing:
    raise AssertionError(f"no example of {', '.join(sorted(_missing))}")
