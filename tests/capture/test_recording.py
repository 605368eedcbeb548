"""One exchange turned into one record."""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Callable
from typing import Any

import brotli
import msgspec
import pytest
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st

from aitap.capture.recording import Environment, Recording, RequestHead
from aitap.capture.routes import Route
from aitap.record import Interception, ToolResult
from tests.capture.making import (
    CHAT,
    MESSAGES,
    RESPONSES,
    answers,
    cut,
    cuts,
    dump,
    message_events,
    record,
    response_events,
    sse,
    user,
)

APIS = [MESSAGES, CHAT, RESPONSES]
ME = "00000000-0000-4000-8000-000000000001"
CORE = "9f8Zq3vK7rWm2TxLp6Yd"

CODERS: dict[str, Callable[[bytes], bytes]] = {
    "": bytes,
    "gzip": gzip.compress,
    "deflate": zlib.compress,
    "br": lambda data: brotli.compress(data, quality=2),
    "zstd": zstandard.compress,
}


def asked(api: str, text: Any = "do it", **more: Any) -> dict[str, Any]:
    turn = {"input": [user(text)]} if api == RESPONSES else {"messages": [user(text)]}
    return {"model": "model-1", "stream": True, **turn, **more}


def blocking(api: str) -> bytes:
    """The answer of :func:`answers` in one document."""
    if api == RESPONSES:
        return dump(answers(api)[-1]["response"])
    if api == CHAT:
        message = {
            "role": "assistant",
            "reasoning_content": "Let me see \u00e9\u2713",
            "tool_calls": [
                {"id": "call_1", "type": "function", "function": {"name": "read", "arguments": '{"path": "a.txt"}'}},
                {"id": "call_2", "type": "function", "function": {"name": "list", "arguments": "{}"}},
            ],
        }
        usage = answers(api)[-1]["usage"]
        choice = {"index": 0, "message": message, "finish_reason": "tool_calls"}
        return dump({"id": "chatcmpl-1", "model": "gpt-test-1-2026-01-01", "choices": [choice], "usage": usage})
    content = [
        {"type": "thinking", "thinking": "Let me see \u00e9\u2713", "signature": "c2ln"},
        {"type": "redacted_thinking", "data": "ZW5j"},
        {"type": "text", "text": "It is"},
        {"type": "tool_use", "id": "toolu_1", "name": "read", "input": {"path": "a.txt"}},
        {"type": "tool_use", "id": "toolu_2", "name": "list", "input": {}},
    ]
    usage = {"input_tokens": 11, "cache_read_input_tokens": 5, "output_tokens": 7}
    head = {"id": "msg_1", "type": "message", "role": "assistant", "model": "claude-test-1-20260101"}
    return dump({**head, "content": content, "stop_reason": "tool_use", "usage": usage})


def plain(found: Interception) -> Any:
    """A record without what is new each time."""
    return msgspec.to_builtins(
        msgspec.structs.replace(
            found,
            id="",
            user_prompts=[msgspec.structs.replace(child, id="") for child in found.user_prompts],
            token_usages=[msgspec.structs.replace(child, id="") for child in found.token_usages],
            tool_usages=[msgspec.structs.replace(child, id="") for child in found.tool_usages],
            model_thoughts=[msgspec.structs.replace(child, id="") for child in found.model_thoughts],
        )
    )


# A whole exchange


@pytest.mark.parametrize("api", APIS)
def test_a_stream_becomes_one_record_with_everything_in_it(api: str) -> None:
    found = record(api, asked(api), sse(api, answers(api)), headers={"user-agent": "curl/8", "x-api-key": f"sk-{CORE}"})
    assert (found.outcome, found.error_type, found.error_message) == ("completed", None, None)
    assert (found.provider, found.provider_name, found.api, found.model) == ("vendor", "instance", api, "model-1")
    assert (found.client, found.client_version, found.user_agent) == ("curl", "8", "curl/8")
    assert (found.credential_kind, found.credential_hint) == ("byok_api_key", "sk-9...p6Yd")
    assert (found.method, found.host, found.path, found.http_version) == (
        *("POST", "api.example.com", "/v1/call", "HTTP/1.1"),
    )
    assert (found.streaming, found.status_code, found.initiator_id) == (True, 200, ME)
    assert found.request_bytes == len(dump(asked(api)))
    assert found.response_bytes == len(sse(api, answers(api)))
    assert [prompt.prompt for prompt in found.user_prompts] == ["do it"]
    assert [thought.content for thought in found.model_thoughts] == ["Let me see \u00e9\u2713"]
    assert len(found.tool_usages) == 2
    (usage,) = found.token_usages
    assert usage.input_tokens == {MESSAGES: 11, CHAT: 11, RESPONSES: 12}[api]
    assert usage.output_tokens == {MESSAGES: 7, CHAT: 7, RESPONSES: 9}[api]
    assert usage.cache_read_input_tokens == {MESSAGES: 5, CHAT: 5, RESPONSES: 8}[api]
    response_id = {MESSAGES: "msg_1", CHAT: "chatcmpl-1", RESPONSES: "resp_1"}[api]
    children = [*found.user_prompts, *found.model_thoughts, *found.tool_usages, usage]
    assert {child.provider_response_id for child in children} == {response_id}
    assert usage.provider_model == found.response_model
    assert found.response_model is not None
    assert found.response_model.endswith(("20260101", "2026-01-01"))


@pytest.mark.parametrize("api", APIS)
def test_a_document_gives_the_same_children_as_the_stream(api: str) -> None:
    streamed = record(api, asked(api), sse(api, answers(api)))
    found = record(api, asked(api, stream=False), blocking(api), content_type="application/json")
    assert (found.outcome, found.streaming, found.time_to_first_token) == ("completed", False, None)
    for one, other in zip(found.tool_usages, streamed.tool_usages, strict=True):
        assert (one.tool, one.provider_tool_call_id, one.kind) == (other.tool, other.provider_tool_call_id, other.kind)
        assert one.input.replace(" ", "") == other.input.replace(" ", "")
    assert [thought.content for thought in found.model_thoughts] == [
        thought.content for thought in streamed.model_thoughts
    ]
    assert found.token_usages[0].input_tokens == streamed.token_usages[0].input_tokens
    assert found.metadata == streamed.metadata


def test_times_are_those_of_the_wire() -> None:
    environment = Environment(ME, "metadata+prompt")
    head = RequestHead(Route("v", "i", MESSAGES), "POST", "h", "/", "", "HTTP/2.0", {}, 1000.0)
    recording = Recording(environment, head)
    recording.begin(dump(asked(MESSAGES)), 1000.5)
    recording.respond(200, {"content-type": "text/event-stream"})
    stream = sse(MESSAGES, answers(MESSAGES))
    first = stream.index(b"event: content_block_start")
    recording.feed(stream[:first], 1001.0)
    recording.feed(stream[first:], 1002.0)
    found = recording.end(1004.0)
    assert (found.started_at, found.ended_at, found.duration) == (1000.0, 1004.0, 4.0)
    assert found.time_to_first_token == 1.5
    assert found.user_prompts[0].created_at == found.last_prompt_at == 1000.0
    assert found.token_usages[0].created_at == 1004.0


def test_redacted_thinking_is_counted_without_content() -> None:
    found = record(MESSAGES, asked(MESSAGES), sse(MESSAGES, answers(MESSAGES)))
    assert found.metadata["hidden_thoughts"] == 1


def test_a_request_id_is_the_first_that_the_provider_sends() -> None:
    for name in ("request-id", "x-request-id", "cf-ray"):
        assert record(CHAT, response_headers={name: "req_1"}).provider_request_id == "req_1"
    assert record(CHAT).provider_request_id is None


def test_a_retry_of_the_sdk_is_counted() -> None:
    assert record(CHAT, headers={"x-stainless-retry-count": "2"}).metadata["retry_count"] == 2
    assert "retry_count" not in record(CHAT, headers={"x-stainless-retry-count": "0"}).metadata


@pytest.mark.parametrize("coding", CODERS)
def test_a_coded_request_is_read_and_its_size_is_that_of_the_wire(coding: str) -> None:
    body = CODERS[coding](dump(asked(RESPONSES)))
    found = record(RESPONSES, body, headers={"content-encoding": coding})
    assert (found.model, found.request_bytes) == ("model-1", len(body))
    assert found.user_prompts[0].prompt == "do it"


@pytest.mark.parametrize("coding", ["gzip", "lzma", "zstd"])
def test_a_request_that_cannot_be_decoded_is_recorded_all_the_same(coding: str) -> None:
    found = record(CHAT, b"{no", sse(CHAT, answers(CHAT)), headers={"content-encoding": coding})
    assert found.metadata["request_undecoded"]
    assert (found.model, found.user_prompts, found.outcome) == ("", [], "completed")
    assert len(found.token_usages) == 1


# Any split, any bytes


@settings(max_examples=60)
@pytest.mark.parametrize("api", APIS)
@given(data=st.data(), coding=st.sampled_from(list(CODERS)), streamed=st.booleans(), blanks=st.booleans())
def test_any_split_of_an_answer_gives_the_same_record(
    api: str, data: st.DataObject, coding: str, *, streamed: bool, blanks: bool
) -> None:
    answer = sse(api, answers(api), blanks=blanks) if streamed else blocking(api)
    coded = CODERS[coding](answer)
    how: dict[str, Any] = {
        "content_type": data.draw(st.sampled_from(["text/event-stream", "application/json", ""])),
        "response_headers": {"content-encoding": coding},
    }
    whole = record(api, asked(api), coded, **how)
    assert whole.outcome == "completed"
    assert plain(record(api, asked(api), cut(coded, data.draw(cuts(len(coded)))), **how)) == plain(whole)


@settings(max_examples=60)
@pytest.mark.parametrize("api", APIS)
@given(data=st.data())
def test_a_stream_cut_anywhere_is_no_success_and_keeps_what_was_read(api: str, data: st.DataObject) -> None:
    stream = sse(api, answers(api))
    last = stream.rindex(b"data: ", 0, stream.rindex(b"data: ")) if api == CHAT else stream.rindex(b"event: ")
    length = data.draw(st.integers(0, last))
    found = record(api, asked(api), stream[:length])
    if api == CHAT and length >= stream.index(b"\n\n", stream.index(b'"finish_reason":"')):
        assert found.outcome == "completed"  # a finish reason is an end, too
        return
    assert (found.outcome, found.ended_at) == ("failed", 1002.0)
    assert found.error_message
    assert [prompt.prompt for prompt in found.user_prompts] == ["do it"]
    assert all(usage.metadata.get("partial") for usage in found.token_usages)


_FLIP = st.tuples(st.integers(0, 10_000), st.integers(0, 5), st.binary(max_size=4))


def _mutated(stream: bytes, flips: list[tuple[int, int, bytes]]) -> bytes:
    for place, length, new in flips:
        start = place % (len(stream) + 1)
        stream = stream[:start] + new + stream[start + length :]
    return stream


def ended(found: Interception) -> None:
    assert found.outcome in ("completed", "failed", "cancelled", "interrupted")
    assert found.ended_at is not None
    assert (found.error_type is None) == (found.outcome != "failed")
    assert (found.error_message is None) == (found.outcome != "failed")
    assert len(found.user_prompts) <= 1
    assert len(found.token_usages) <= 1
    msgspec.json.encode(found).decode()  # no lone surrogate, nothing that is no plain value


@settings(max_examples=200)
@pytest.mark.parametrize("api", APIS)
@given(
    st.lists(_FLIP, max_size=4),
    st.lists(_FLIP, max_size=4),
    st.booleans(),
    st.lists(st.integers(1, 3000), max_size=5),
    st.sampled_from([200, 200, 200, 400, 529]),
)
def test_a_damaged_exchange_always_ends(
    api: str, question: Any, answer: Any, streamed: bool, points: list[int], status: int
) -> None:
    body = _mutated(dump(asked(api, [{"type": "text", "text": "a"}], tools=[], metadata={"a": "b"})), question)
    response = _mutated(sse(api, answers(api)) if streamed else blocking(api), answer)
    ended(record(api, body, cut(response, points), status=status))


_TEXT = st.text(st.characters(codec="utf-8"), max_size=30)


@settings(max_examples=200)
@given(
    api=st.sampled_from(APIS),
    body=st.binary(),
    pieces=st.lists(st.binary(), max_size=4),
    headers=st.dictionaries(
        st.sampled_from(
            [
                *("content-encoding", "user-agent", "authorization", "x-api-key", "x-codex-turn-metadata"),
                *("x-stainless-retry-count", "session-id", "x-claude-code-session-id", "cookie", "x-request-id"),
            ]
        ),
        _TEXT | st.sampled_from(["gzip", "br", "zstd, gzip", "claude-cli/1", "codex_exec/1", "\u0663", "AWS4-x y"]),
    ),
    response_headers=st.dictionaries(
        st.sampled_from(["content-encoding", "content-type", "request-id"]),
        _TEXT | st.sampled_from(["gzip", "br", "deflate", "zstd", "text/event-stream", "application/x-ndjson"]),
    ),
    query=_TEXT,
    status=st.none() | st.integers(100, 599),
    ending=st.sampled_from([{}, {"failure": "broken"}, {"cancelled": True}, {"interrupted": True}]),
)
def test_random_bytes_never_raise_and_always_end(
    api: str,
    body: bytes,
    pieces: list[bytes],
    headers: dict[str, str],
    response_headers: dict[str, str],
    query: str,
    status: int | None,
    ending: dict[str, Any],
) -> None:
    how: dict[str, Any] = {"headers": headers, "response_headers": response_headers, "query": query, "status": status}
    ended(record(api, body, pieces, **how, **ending))


@pytest.mark.parametrize("api", APIS)
@pytest.mark.parametrize("body", [b"[" * 100_000, b'{"messages":' * 50_000, b'{"messages":[{"content":' + b"[" * 5000])
def test_deep_nesting_is_survived(api: str, body: bytes) -> None:
    ended(record(api, body, body, content_type="application/json"))
    ended(record(api, body, b"event: content_block_start\ndata: " + body + b"\n\n"))
    ended(record(api, body, b"event: content_block_delta\ndata: " + body + b"\n\n"))


@pytest.mark.parametrize("api", APIS)
def test_lone_surrogates_anywhere_reach_no_text(api: str) -> None:
    def broken(data: bytes) -> bytes:
        return data.replace(b"do it", rb"do \ud83d").replace(b"model-1", rb"\udc00").replace(b"Let me", rb"\ud800")

    found = record(api, broken(dump(asked(api))), broken(sse(api, answers(api))))
    ended(found)
    assert (found.user_prompts[0].prompt, found.model) == ("do ?", "?")
    assert found.model_thoughts[0].content.startswith("? see")
    text = record(RESPONSES, rb'{"model":"m","input":"\ud800"}')
    assert text.user_prompts[0].prompt == "?"


def test_nul_characters_reach_no_text() -> None:
    stream = sse(CHAT, answers(CHAT)).replace(b"Let me", b"Let\\u0000").replace(b"a.txt", b"a\\u0000")
    found = record(CHAT, asked(CHAT, "do\0it"), stream)
    texts = [found.user_prompts[0].prompt, found.model_thoughts[0].content, found.tool_usages[0].input]
    assert not any("\0" in text for text in texts)
    assert texts[0] == "do\ufffdit"


# How it ends


def test_usage_that_never_came_stays_unknown() -> None:
    found = record(CHAT, asked(CHAT), sse(CHAT, answers(CHAT)[:-1]))
    assert (found.outcome, found.token_usages) == ("completed", [])


@pytest.mark.parametrize(
    ("status", "body", "kind", "message"),
    [
        (400, b'{"type":"error","error":{"type":"invalid_request_error","message":"No"}}', "bad_request", "No"),
        (401, b'{"error":{"message":"No","type":"invalid_request_error"}}', "unauthorized", "No"),
        (429, b'{"error":"No"}', "rate_limited", "No"),
        (529, b'{"type":"error","error":{"type":"overloaded_error","message":"No"}}', "overloaded", "No"),
        (500, b'{"message":"No"}', "server_error", "No"),
        (403, b'{"detail":"No"}', "unauthorized", "No"),
        (502, b"<html>Bad gateway</html>", "server_error", "<html>Bad gateway</html>"),
        (504, b"", "timeout", "HTTP 504"),
        (503, b"  \n", "overloaded", "HTTP 503"),
        (400, b'data: {"error":{"message":"No"}}\n\n', "bad_request", "No"),
        (500, b'event: error\ndata: {"type":"error","error":{"message":"No"}}\n\n', "server_error", "No"),
    ],
)
@pytest.mark.parametrize("api", APIS)
def test_an_http_error_of_any_shape_is_a_failure_with_the_providers_words(
    api: str, status: int, body: bytes, kind: str, message: str
) -> None:
    found = record(api, asked(api), [body[:9], body[9:]], status=status, content_type="application/json")
    assert (found.outcome, found.status_code, found.error_type) == ("failed", status, kind)
    assert found.error_message == message
    assert found.token_usages == []
    assert [(prompt.prompt, prompt.provider_response_id) for prompt in found.user_prompts] == [("do it", "")]


@pytest.mark.parametrize(
    ("api", "event", "kind"),
    [
        (MESSAGES, {"type": "error", "error": {"type": "overloaded_error", "message": "No"}}, "overloaded"),
        (CHAT, {"error": {"message": "No", "type": "tokens", "code": "rate_limit_exceeded"}}, "rate_limited"),
        (CHAT, {"error": {"message": "No", "code": 502}}, "server_error"),
        (RESPONSES, {"type": "error", "code": "rate_limit_exceeded", "message": "No"}, "rate_limited"),
        (RESPONSES, {"type": "error", "error": {"type": "server_error", "message": "No"}}, "server_error"),
        (
            RESPONSES,
            {"type": "response.failed", "response": {"status": "failed", "error": {"code": "x", "message": "No"}}},
            "unknown",
        ),
    ],
)
def test_an_error_in_a_stream_is_a_failure_with_what_was_read_until_then(
    api: str, event: dict[str, Any], kind: str
) -> None:
    begun = answers(api)[: -1 if api == RESPONSES else -2]
    found = record(api, asked(api), sse(api, [*begun, event]))
    assert (found.outcome, found.status_code, found.error_type, found.error_message) == ("failed", 200, kind, "No")
    assert len(found.tool_usages) == 2
    assert found.model_thoughts


def test_an_incomplete_response_is_completed_with_its_reason() -> None:
    events = response_events(last="response.incomplete", incomplete_details={"reason": "max_output_tokens"})
    found = record(RESPONSES, asked(RESPONSES), sse(RESPONSES, events))
    assert (found.outcome, found.stop_reason) == ("completed", "max_output_tokens")


@pytest.mark.parametrize(
    ("ending", "outcome", "kind"),
    [
        ({}, "failed", "unknown"),
        ({"failure": "connection lost"}, "failed", "unknown"),
        ({"failure": "peer timed out"}, "failed", "timeout"),
        ({"cancelled": True, "failure": "Client disconnected."}, "cancelled", None),
        ({"interrupted": True}, "interrupted", None),
    ],
)
def test_a_broken_stream_says_who_went_first(ending: dict[str, Any], outcome: str, kind: str | None) -> None:
    found = record(MESSAGES, asked(MESSAGES), sse(MESSAGES, answers(MESSAGES))[:900], **ending)
    assert (found.outcome, found.error_type) == (outcome, kind)
    assert found.token_usages[0].metadata["partial"] is True
    assert ending.get("failure") in (None, found.error_message) or outcome == "cancelled"


def test_a_request_that_was_never_answered_is_a_failure_of_the_server() -> None:
    found = record(CHAT, asked(CHAT), status=None, failure="connection refused")
    assert (found.outcome, found.status_code, found.error_type) == ("failed", None, "server_error")
    assert found.error_message == "connection refused"
    assert record(CHAT, asked(CHAT), status=None, cancelled=True).outcome == "cancelled"


def test_an_answer_that_was_whole_is_completed_however_the_connection_ended() -> None:
    stream = sse(MESSAGES, answers(MESSAGES))
    for ending in ({"cancelled": True}, {"failure": "reset"}, {"interrupted": True}):
        assert record(MESSAGES, asked(MESSAGES), stream, **ending).outcome == "completed"


@pytest.mark.parametrize("coding", ["gzip", "br", "zstd", "deflate"])
def test_a_response_that_cannot_be_decoded_ends_as_a_failure_with_what_was_read(coding: str) -> None:
    coded = CODERS[coding](sse(MESSAGES, answers(MESSAGES)) + bytes(range(256)) * 4)
    whole = sse(MESSAGES, answers(MESSAGES))
    stream = zlib.compressobj(wbits=31)
    pieces = [stream.compress(whole[:900]) + stream.flush(zlib.Z_SYNC_FLUSH), b"\xff" * 50]
    found = record(MESSAGES, asked(MESSAGES), pieces, response_headers={"content-encoding": "gzip"})
    assert (found.outcome, len(found.token_usages)) == ("failed", 1)
    ended(record(MESSAGES, asked(MESSAGES), coded[::-1], response_headers={"content-encoding": coding}))


def test_an_unknown_coding_is_named() -> None:
    found = record(CHAT, asked(CHAT), b"x", response_headers={"content-encoding": "lzma"})
    assert (found.outcome, found.error_message) == ("failed", "unknown content coding 'lzma'")


# Prompts, retries, purpose


def test_attachments_are_noted_in_the_metadata_of_the_prompt() -> None:
    image = {"type": "image", "source": {"type": "url", "url": "https://example.com/a.png"}}
    found = record(MESSAGES, asked(MESSAGES, [image, {"type": "text", "text": "look"}]))
    assert found.user_prompts[0].metadata == {"attachments": [{"type": "image", "uri": "https://example.com/a.png"}]}


def test_the_same_bytes_after_a_failure_are_a_retry_whose_prompt_does_not_count_again() -> None:
    environment = Environment(ME, "metadata+prompt")
    first = record(MESSAGES, asked(MESSAGES), status=429, environment=environment)
    second = record(MESSAGES, asked(MESSAGES), environment=environment, at=1010.0, cancelled=True)
    third = record(MESSAGES, asked(MESSAGES), sse(MESSAGES, answers(MESSAGES)), environment=environment, at=1020.0)
    assert len(first.user_prompts) == 1
    assert (second.retry_of, second.user_prompts, second.metadata["prompt_of"]) == (first.id, [], first.id)
    assert (third.retry_of, third.user_prompts, third.outcome) == (second.id, [], "completed")
    assert len({first.id, second.id, third.id}) == 3


def test_the_same_words_after_an_answer_are_no_retry() -> None:
    environment = Environment(ME, "metadata+prompt")
    for at in (1000.0, 1010.0):
        found = record(CHAT, asked(CHAT), sse(CHAT, answers(CHAT)), environment=environment, at=at)
        assert found.retry_of is None
        assert len(found.user_prompts) == 1


def test_the_same_bytes_of_another_session_are_no_retry() -> None:
    environment = Environment(ME, "metadata+prompt")
    agent = {"user-agent": "claude-cli/2.1"}
    for session in ("a", "b"):
        headers = {**agent, "x-claude-code-session-id": session}
        assert record(MESSAGES, asked(MESSAGES), status=529, headers=headers, environment=environment).retry_of is None


@pytest.mark.parametrize(
    ("how", "purpose", "reason"),
    [
        ({"purpose": "auxiliary"}, "auxiliary", None),
        ({"headers": {"x-claude-code-request-class": "auxiliary"}}, "auxiliary", "auxiliary"),
        ({"body": asked(MESSAGES, max_tokens=1)}, "probe", "probe"),
        ({"body": asked(MESSAGES, system="You are a title generator.")}, "auxiliary", "title"),
    ],
)
def test_a_request_nobody_typed_has_no_prompt(how: dict[str, Any], purpose: str, reason: str | None) -> None:
    found = record(MESSAGES, how.pop("body", asked(MESSAGES)), sse(MESSAGES, answers(MESSAGES)), **how)
    assert (found.purpose, found.user_prompts, found.last_prompt_at) == (purpose, [], None)
    assert found.metadata.get("purpose_reason") == reason
    assert len(found.token_usages) == 1


def test_the_prompt_of_a_sub_agent_says_that_an_agent_wrote_it() -> None:
    headers = {
        "user-agent": "claude-cli/2.1",
        "x-claude-code-session-id": "s",
        "x-claude-code-agent-id": "a",
        "x-claude-code-agent-type": "Explore",
    }
    found = record(MESSAGES, asked(MESSAGES), headers=headers)
    assert found.user_prompts[0].metadata == {"author": "agent"}
    assert found.metadata["agent_type"] == "Explore"
    assert (found.client_session_id, found.lineage.agent, found.lineage.is_subagent) == ("s", "a", True)


# Lineage


def test_results_of_the_newest_turn_alone_go_into_the_lineage() -> None:
    call = {"role": "assistant", "content": [{"type": "tool_use", "id": "t", "name": "n", "input": {}}]}

    def result(id: str) -> dict[str, Any]:
        return user([{"type": "tool_result", "tool_use_id": id, "content": "four"}])

    body = {"messages": [user("do it"), call, result("old"), call, result("new")]}
    assert record(MESSAGES, body).lineage.tool_results == [ToolResult(call_id="new", status="ok", size=4)]


def test_the_response_a_request_goes_on_from_is_in_the_lineage() -> None:
    body = {"previous_response_id": "resp_0", "input": [{"type": "function_call_output", "call_id": "c"}]}
    lineage = record(RESPONSES, body).lineage
    assert (lineage.previous_response_id, lineage.history) == ("resp_0", [])
    assert [result.call_id for result in lineage.tool_results] == ["c"]


def test_history_is_digested_only_where_a_client_sends_no_id() -> None:
    body = asked(MESSAGES)
    assert len(record(MESSAGES, body).lineage.history) == 1
    headers = {"user-agent": "claude-cli/2.1", "x-claude-code-session-id": "s"}
    assert record(MESSAGES, body, headers=headers).lineage.history == []
    assert record(MESSAGES, body, purpose="auxiliary").lineage.history == []


# What is never stored


@pytest.mark.parametrize("api", APIS)
def test_minimal_capture_keeps_no_text_at_all(api: str) -> None:
    marked = sse(api, answers(api)).replace(b"Let me", b"MARK").replace(b"a.txt", b"MARK").replace(b"text(1)", b"MARK")
    marked = marked.replace(b'{\\"path\\": \\"a\\"}', b"MARK")
    found = record(api, asked(api, "MARK it"), marked, capture="minimal")
    assert b"MARK" not in msgspec.json.encode(found)
    assert (len(found.user_prompts), len(found.tool_usages), len(found.model_thoughts)) == (1, 2, 1)
    children = [found.user_prompts[0].metadata, found.tool_usages[0].metadata, found.model_thoughts[0].metadata]
    assert all(metadata["chars"] > 3 for metadata in children)
    assert found.capture == "minimal"
    assert found.token_usages[0].output_tokens > 0


SECRETS = {
    "x-api-key": f"sk-ant-api03-{CORE}",
    "authorization": f"Bearer opaque{CORE}",
    "cookie": f"session={CORE}",
    "proxy-authorization": f"Basic {CORE}",
}


@pytest.mark.parametrize("name", SECRETS)
def test_no_credential_reaches_the_record_in_any_field(name: str) -> None:
    words = f"bad credential {SECRETS[name]} ({SECRETS[name].rpartition(' ')[2]})"
    item = {"type": "mcp_call", "id": "m", "name": "n", "arguments": "{}", "error": words}
    answer = response_events([item], last="response.failed", error={"message": words, "code": words})
    error = dump({"type": "error", "error": {"type": words, "message": words}})
    for found in (
        record(RESPONSES, asked(RESPONSES), sse(RESPONSES, answer), headers=SECRETS),
        record(MESSAGES, asked(MESSAGES), error, status=401, headers=SECRETS),
        record(MESSAGES, asked(MESSAGES), words.encode(), status=401, headers=SECRETS),
        record(MESSAGES, asked(MESSAGES), b"event: error\ndata: " + error + b"\n\n", headers=SECRETS),
        record(MESSAGES, asked(MESSAGES), status=None, failure=words, headers=SECRETS),
    ):
        assert CORE.encode() not in msgspec.json.encode(found)
        assert "bad credential" in (found.error_message or "")


def test_a_key_in_the_query_reaches_no_field() -> None:
    words = f"bad url https://example.com/v1/call?alt=sse&key=AIza{CORE}"
    found = record(CHAT, asked(CHAT), words.encode(), status=400, query=f"alt=sse&key=AIza{CORE}")
    assert CORE.encode() not in msgspec.json.encode(found)
    assert (found.path, found.credential_hint) == ("/v1/call", "AIza...p6Yd")


def test_the_address_of_an_mcp_server_loses_what_may_authenticate() -> None:
    item = {
        "type": "mcp_call",
        "id": "m",
        "name": "n",
        "arguments": "{}",
        "server_url": f"https://me:{CORE}@mcp.example.com:8443/sse?token={CORE}#{CORE}",
    }
    found = record(RESPONSES, asked(RESPONSES), sse(RESPONSES, response_events([item])))
    assert found.tool_usages[0].server_url == "https://mcp.example.com:8443/sse"
    assert (found.tool_usages[0].kind, found.tool_usages[0].result_status) == ("mcp", "ok")


def test_headers_that_are_kept_are_cut() -> None:
    found = record(CHAT, headers={"user-agent": "x" * 9999, "x-request-id": "y" * 9999})
    assert len(found.user_agent or "") == len(found.client_request_id or "") == 512


# Server tools


def test_a_tool_the_provider_ran_is_complete_at_once() -> None:
    blocks: list[Any] = [
        ({"type": "server_tool_use", "id": "s1", "name": "web_search", "input": {}}, []),
        ({"type": "web_search_tool_result", "tool_use_id": "s1", "content": [{"a": 1}]}, []),
    ]
    (tool,) = record(MESSAGES, asked(MESSAGES), sse(MESSAGES, message_events(blocks))).tool_usages
    assert (tool.kind, tool.result_status, tool.result_at, tool.result_bytes) == ("server", "ok", 1002.0, 9)


def test_a_tool_the_client_runs_waits_for_its_result() -> None:
    for tool in record(CHAT, asked(CHAT), sse(CHAT, answers(CHAT))).tool_usages:
        assert (tool.result_status, tool.result_at, tool.result_bytes) == (None, None, None)


# Snapshots


def test_a_snapshot_is_in_flight_and_does_not_change_later() -> None:
    head = RequestHead(Route("v", "i", MESSAGES), "POST", "h", "/", "", "HTTP/2.0", {}, 1000.0)
    recording = Recording(Environment(ME, "metadata+prompt"), head)
    recording.begin(dump(asked(MESSAGES)), 1000.0)
    snapshot = recording.snapshot()
    before = msgspec.json.encode(snapshot)
    recording.respond(200, {"content-type": "text/event-stream"})
    recording.feed(sse(MESSAGES, answers(MESSAGES)), 1001.0)
    final = recording.end(1002.0)
    assert msgspec.json.encode(snapshot) == before
    assert (snapshot.outcome, snapshot.ended_at, snapshot.id) == ("in_flight", None, final.id)
    assert [prompt.prompt for prompt in snapshot.user_prompts] == ["do it"]


def test_a_record_that_could_not_be_read_is_ended_as_a_failure() -> None:
    head = RequestHead(Route("v", "i", MESSAGES), "POST", "h", "/", "", "HTTP/2.0", {}, 1000.0)
    recording = Recording(Environment(ME, "metadata+prompt"), head)
    found = recording.unreadable(1002.0)
    ended(found)
    assert (found.outcome, found.duration) == ("failed", 2.0)
