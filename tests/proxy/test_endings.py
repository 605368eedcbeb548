"""However an exchange ends, its record ends too and says how."""

from __future__ import annotations

import json
import threading

import pytest

from tests.proxy.client import ANTHROPIC, OPENAI, Http2Client, connect, exchange, post
from tests.proxy.mitmdump import Mitmdump
from tests.proxy.upstream import Handler, Reply, Request, Upstream, answer
from tests.proxy.wire import (
    CHAT,
    MESSAGES,
    RESPONSES,
    ask_chat,
    ask_messages,
    ask_responses,
    chat_sse,
    message_sse,
    response_sse,
)

EVENTS = "text/event-stream"
PATIENCE = 60.0
CALL = ("toolu_1", "weather", {"city": "Paris"})
BEGUN = message_sse("msg_1", call=CALL).partition(b"event: message_delta")[0]
"""A stream up to and with its tool call, without its end."""


def begin_and_hold(released: threading.Event) -> Handler:
    """Sends :data:`BEGUN`, then nothing until released."""

    def handler(_: Request, reply: Reply) -> None:
        reply.head(200, {"content-type": EVENTS})
        reply.send(BEGUN)
        released.wait(PATIENCE)

    return handler


def has_what_was_read(record: dict[str, object]) -> None:
    [usage] = record["token_usages"]
    assert (usage["input_tokens"], usage["metadata"]["partial"]) == (11, True)
    [call] = record["tool_usages"]
    assert (call["provider_tool_call_id"], json.loads(call["input"])) == ("toolu_1", {"city": "Paris"})
    assert record["user_prompts"][0]["prompt"] == "hi"
    assert record["response_bytes"] == len(BEGUN)


def test_a_client_that_leaves_mid_stream_is_cancelled_with_what_was_read(proxy: Mitmdump, upstream: Upstream) -> None:
    released = threading.Event()
    upstream.serve(begin_and_hold(released))
    connection = connect(proxy, ANTHROPIC)
    answered = post(connection, MESSAGES, ask_messages("hi", stream=True))
    assert answered.read(len(BEGUN)) == BEGUN
    answered.close()
    connection.close()

    record = proxy.record()
    released.set()
    assert (record["outcome"], record["status_code"]) == ("cancelled", 200)
    has_what_was_read(record)


def test_an_http2_stream_that_the_client_resets_is_cancelled_and_its_neighbour_lives(
    proxy: Mitmdump, upstream: Upstream
) -> None:
    released = threading.Event()

    def handler(request: Request, reply: Reply) -> None:
        begin_and_hold(released)(request, reply)
        reply.send(message_sse("msg_1", call=CALL)[len(BEGUN) :])
        reply.end()

    upstream.serve(handler)
    client = Http2Client(proxy, ANTHROPIC)
    left, kept = (client.post(MESSAGES, ask_messages("hi", stream=True)) for _ in range(2))
    client.until(lambda it: all(len(body) == len(BEGUN) for body in it.bodies.values()))
    client.reset(left)
    cancelled = proxy.record()
    released.set()
    client.until(lambda it: kept in it.ended)
    client.close()

    assert cancelled["outcome"] == "cancelled"
    has_what_was_read(cancelled)
    assert client.bodies[kept] == message_sse("msg_1", call=CALL)
    assert proxy.record()["outcome"] == "completed"


def test_a_client_that_closes_its_http2_connection_mid_stream_is_cancelled(proxy: Mitmdump, upstream: Upstream) -> None:
    released = threading.Event()
    upstream.serve(begin_and_hold(released))
    client = Http2Client(proxy, ANTHROPIC)
    stream = client.post(MESSAGES, ask_messages("hi", stream=True))
    client.until(lambda it: len(it.bodies[stream]) == len(BEGUN))
    client.close()
    record = proxy.record()
    released.set()
    assert record["outcome"] == "cancelled"
    has_what_was_read(record)


def test_a_client_that_leaves_before_the_answer_is_cancelled(proxy: Mitmdump, upstream: Upstream) -> None:
    arrived, released = threading.Event(), threading.Event()

    def handler(_: Request, reply: Reply) -> None:
        arrived.set()
        released.wait(PATIENCE)

    upstream.serve(handler)
    connection = connect(proxy, ANTHROPIC)
    connection.request("POST", MESSAGES, ask_messages("hi"))
    assert arrived.wait(PATIENCE)
    connection.close()

    record = proxy.record()
    released.set()
    assert (record["outcome"], record["status_code"], record["token_usages"]) == ("cancelled", None, [])
    assert record["user_prompts"][0]["prompt"] == "hi"


def test_a_provider_that_resets_mid_stream_fails_with_what_was_read(proxy: Mitmdump, upstream: Upstream) -> None:
    read = threading.Event()

    def handler(request: Request, reply: Reply) -> None:
        begin_and_hold(read)(request, reply)
        reply.reset()

    upstream.serve(handler)
    connection = connect(proxy, ANTHROPIC)
    answered = post(connection, MESSAGES, ask_messages("hi", stream=True))
    assert answered.read(len(BEGUN)) == BEGUN
    read.set()

    record = proxy.record()
    assert (record["outcome"], record["status_code"]) == ("failed", 200)
    assert record["error_message"]
    has_what_was_read(record)


def test_a_provider_that_resets_before_it_answers_fails(proxy: Mitmdump, upstream: Upstream) -> None:
    upstream.serve(lambda _, reply: reply.reset())
    status, _ = exchange(proxy, ANTHROPIC, MESSAGES, ask_messages("hi"))

    record = proxy.record()
    assert status == 502
    assert (record["outcome"], record["token_usages"]) == ("failed", [])
    assert record["error_message"]


def test_a_provider_that_resets_an_http2_stream_fails_that_one_alone(proxy: Mitmdump, upstream: Upstream) -> None:
    whole = message_sse("msg_2", text="Hello")

    def handler(request: Request, reply: Reply) -> None:
        reply.head(200, {"content-type": EVENTS})
        reply.send(BEGUN if request.headers["x-number"] == "1" else whole)
        reply.reset() if request.headers["x-number"] == "1" else reply.end()

    upstream.serve(handler)
    client = Http2Client(proxy, ANTHROPIC)
    broken, kept = (client.post(MESSAGES, ask_messages("hi", stream=True), x_number=number) for number in "12")
    client.until(lambda it: {broken, kept} <= it.ended)
    client.close()

    assert client.bodies[kept] == whole
    assert {record["outcome"] for record in proxy.records(2)} == {"failed", "completed"}


@pytest.mark.parametrize(
    ("host", "target", "ask", "whole", "end"),
    [
        (ANTHROPIC, MESSAGES, ask_messages, message_sse("msg_1", text="Hello"), b"event: message_delta"),
        (OPENAI, CHAT, ask_chat, chat_sse("c1", text="Hello"), b"data: [DONE]"),
        (OPENAI, RESPONSES, ask_responses, response_sse("r1", text="Hello"), b"event: response.completed"),
    ],
)
def test_a_stream_that_ends_without_its_last_event_failed(
    host: str, target: str, ask: object, whole: bytes, end: bytes, proxy: Mitmdump, upstream: Upstream
) -> None:
    cut = whole.partition(end)[0]
    if target == CHAT:
        cut = cut.partition(b'"finish_reason": "stop"')[0].rpartition(b"data: ")[0]
    upstream.serve(answer(cut, EVENTS))

    assert exchange(proxy, host, target, ask("hi", stream=True)) == (200, cut)
    assert proxy.record()["outcome"] == "failed"


def test_a_provider_that_refuses_the_connection_fails(proxy: Mitmdump, upstream: Upstream) -> None:
    with upstream.refusing():
        status, _ = exchange(proxy, ANTHROPIC, MESSAGES, ask_messages("hi"))

    record = proxy.record()
    assert status == 502
    assert (record["outcome"], record["token_usages"]) == ("failed", [])
    assert record["error_message"]
    assert record["user_prompts"][0]["prompt"] == "hi"


def anthropic_error(type: str, message: str) -> bytes:
    return json.dumps({"type": "error", "error": {"type": type, "message": message}}).encode()


def openai_error(type: str, message: str) -> bytes:
    return json.dumps({"error": {"type": type, "message": message, "param": None, "code": None}}).encode()


@pytest.mark.parametrize(
    ("status", "kind", "error_type"),
    [
        (400, "invalid_request_error", "bad_request"),
        (401, "authentication_error", "unauthorized"),
        (403, "permission_error", "unauthorized"),
        (404, "not_found_error", "bad_request"),
        (413, "request_too_large", "bad_request"),
        (429, "rate_limit_error", "rate_limited"),
        (500, "api_error", "server_error"),
        (504, "timeout_error", "timeout"),
        (529, "overloaded_error", "overloaded"),
    ],
)
def test_an_error_of_messages_is_recorded_in_the_providers_words(
    status: int, kind: str, error_type: str, proxy: Mitmdump, upstream: Upstream
) -> None:
    body = anthropic_error(kind, "No, and here is why")
    upstream.serve(answer(body, status=status, headers={"request-id": "req_7"}))

    assert exchange(proxy, ANTHROPIC, MESSAGES, ask_messages("hi", stream=True)) == (status, body)
    record = proxy.record()
    assert (record["outcome"], record["status_code"], record["error_type"]) == ("failed", status, error_type)
    assert (record["error_message"], record["provider_request_id"]) == ("No, and here is why", "req_7")


@pytest.mark.parametrize(("target", "ask"), [(CHAT, ask_chat), (RESPONSES, ask_responses)])
@pytest.mark.parametrize(
    ("status", "kind", "error_type"),
    [
        (400, "invalid_request_error", "bad_request"),
        (401, "invalid_request_error", "unauthorized"),
        (429, "insufficient_quota", "rate_limited"),
        (500, "server_error", "server_error"),
        (503, "server_error", "overloaded"),
    ],
)
def test_an_error_of_openai_is_recorded_in_the_providers_words(
    target: str, ask: object, status: int, kind: str, error_type: str, proxy: Mitmdump, upstream: Upstream
) -> None:
    body = openai_error(kind, "No, and here is why")
    upstream.serve(answer(body, status=status, headers={"x-request-id": "req_8"}))

    assert exchange(proxy, OPENAI, target, ask("hi")) == (status, body)
    record = proxy.record()
    assert (record["outcome"], record["status_code"], record["error_type"]) == ("failed", status, error_type)
    assert (record["error_message"], record["provider_request_id"]) == ("No, and here is why", "req_8")


def test_an_error_event_inside_a_stream_fails_the_record(proxy: Mitmdump, upstream: Upstream) -> None:
    body = BEGUN + b"event: error\ndata: " + anthropic_error("overloaded_error", "Overloaded") + b"\n\n"
    upstream.serve(answer(body, EVENTS))
    exchange(proxy, ANTHROPIC, MESSAGES, ask_messages("hi", stream=True))

    record = proxy.record()
    assert (record["outcome"], record["status_code"]) == ("failed", 200)
    assert (record["error_type"], record["error_message"]) == ("overloaded", "Overloaded")


def test_an_error_that_is_no_json_is_still_an_error(proxy: Mitmdump, upstream: Upstream) -> None:
    page = b"<html><h1>502 Bad Gateway</h1></html>"
    upstream.serve(answer(page, "text/html", status=502))

    assert exchange(proxy, ANTHROPIC, MESSAGES, ask_messages("hi")) == (502, page)
    record = proxy.record()
    assert (record["outcome"], record["error_type"]) == ("failed", "server_error")
