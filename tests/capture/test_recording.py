"""One exchange turned into one record."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from aitap.capture.environment import Environment
from aitap.capture.recording import Recording, RequestHead
from aitap.capture.routes import Route
from aitap.record import ToolResult
from tests.capture.exchanges import APIS, CODERS, CORE, ME, asked, blocking, ended
from tests.capture.making import (
    CHAT,
    MESSAGES,
    RESPONSES,
    answers,
    dump,
    message_events,
    record,
    sse,
    user,
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


@pytest.mark.parametrize("name", ["x-oai-request-id", "x-generation-id", "x-ds-trace-id", "x-litellm-call-id"])
def test_a_providers_own_request_id_is_better_than_that_of_the_network_before_it(name: str) -> None:
    found = record(CHAT, asked(CHAT), response_headers={"cf-ray": "ray", name: "mine"})
    assert found.provider_request_id == "mine"


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
    assert (found.model, found.user_prompts, found.outcome) == ("gpt-test-1-2026-01-01", [], "completed")
    assert len(found.token_usages) == 1


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


# Words put into the model's mouth


@pytest.mark.parametrize("content", ["{", [{"type": "text", "text": "The answer is ("}]])
def test_a_prompt_before_words_put_into_the_models_mouth_is_a_prompt(content: Any) -> None:
    """Anthropic, "Prefill Claude's response"."""
    environment = Environment(ME, "metadata+prompt")
    asked = [user("as JSON"), {"role": "assistant", "content": content}]
    for _ in range(2):  # the same may be asked again and again
        found = record(MESSAGES, {"messages": asked}, sse(MESSAGES, answers(MESSAGES)), environment=environment)
        assert [prompt.prompt for prompt in found.user_prompts] == ["as JSON"]


@pytest.mark.parametrize("content", ["half of it", [{"type": "text", "text": "half"}]])
def test_an_answer_gone_on_with_repeats_no_prompt(content: Any) -> None:
    environment = Environment(ME, "metadata+prompt")
    first = record(MESSAGES, {"model": "m", "messages": [user("go")]}, environment=environment)
    assert len(first.user_prompts) == 1
    asked = [user("go"), {"role": "assistant", "content": content}]
    second = record(MESSAGES, {"model": "m", "messages": asked}, environment=environment)
    assert second.user_prompts == []
    assert first.lineage.history[-1] in second.lineage.history[:-1]


@pytest.mark.parametrize(
    "content", [[{"type": "server_tool_use", "id": "s", "name": "web_search", "input": {}}], [], None, 5]
)
def test_a_paused_turn_repeats_no_prompt(content: Any) -> None:
    environment = Environment(ME, "metadata+prompt")
    first = record(MESSAGES, {"model": "m", "messages": [user("go")]}, environment=environment)
    asked = [user("go"), {"role": "assistant", "content": content}]
    second = record(MESSAGES, {"model": "m", "messages": asked}, environment=environment)
    assert second.user_prompts == []
    assert first.lineage.history[-1] in second.lineage.history[:-1]


def test_the_same_asked_again_after_its_answer_is_no_retry_of_what_failed_before() -> None:
    environment = Environment(ME, "metadata+prompt")
    body, answer = asked(MESSAGES), sse(MESSAGES, answers(MESSAGES))
    first = record(MESSAGES, body, b"", status=529, environment=environment)
    retried = record(MESSAGES, body, answer, environment=environment)
    again = record(MESSAGES, body, answer, environment=environment)
    assert (retried.retry_of, retried.user_prompts) == (first.id, [])
    assert (again.retry_of, len(again.user_prompts)) == (None, 1)


def test_pictures_without_a_word_are_noted_on_the_record() -> None:
    picture = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "AAAA"}}
    found = record(MESSAGES, asked(MESSAGES, [picture, {"type": "text", "text": " "}]))
    assert found.user_prompts == []
    assert found.metadata["attachments"] == [{"type": "image", "media_type": "image/png", "bytes": 3}]
