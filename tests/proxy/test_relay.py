"""What the provider sends reaches the client: every byte, unchanged, and as soon as it is sent."""

from __future__ import annotations

import gzip
import threading
import zlib
from collections.abc import Callable

import brotli
import pytest
import zstandard
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.proxy.client import ANTHROPIC, OPENAI, Http2Client, connect, exchange, post
from tests.proxy.mitmdump import Mitmdump
from tests.proxy.upstream import Reply, Request, Upstream, answer, in_turn, ragged
from tests.proxy.wire import CHAT, MESSAGES, RESPONSES, ask_chat, ask_messages, ask_responses, message_json, message_sse

EVENTS = "text/event-stream; charset=utf-8"
PATIENCE = 60.0

ENCODERS: dict[str, Callable[[bytes], bytes]] = {
    "gzip": gzip.compress,
    "br": brotli.compress,
    "zstd": zstandard.compress,
    "deflate": zlib.compress,
}


def test_the_first_event_arrives_while_the_provider_still_holds_the_second(proxy: Mitmdump, upstream: Upstream) -> None:
    events = message_sse("msg_1", text="one two").split(b"\n\n")
    first, rest = events[0] + b"\n\n", b"\n\n".join(events[1:])
    arrived = threading.Event()

    def handler(_: Request, reply: Reply) -> None:
        reply.head(200, {"content-type": EVENTS})
        reply.send(first)
        assert arrived.wait(PATIENCE)
        reply.send(rest)
        reply.end()

    upstream.serve(handler)
    connection = connect(proxy, ANTHROPIC)
    answered = post(connection, MESSAGES, ask_messages("hi", stream=True))
    got = b""
    while len(got) < len(first):
        got += answered.read1()
    assert got == first
    arrived.set()
    assert got + answered.read() == first + rest
    assert proxy.record()["outcome"] == "completed"


def test_the_time_to_the_first_token_is_that_of_the_first_model_output(proxy: Mitmdump, upstream: Upstream) -> None:
    upstream.serve(answer(message_sse("msg_1", text="one two"), EVENTS))
    exchange(proxy, ANTHROPIC, MESSAGES, ask_messages("hi", stream=True))

    record = proxy.record()
    assert 0 < record["time_to_first_token"] <= record["duration"] < PATIENCE


@pytest.mark.parametrize("encoding", ENCODERS)
@pytest.mark.parametrize("streaming", [False, True])
def test_an_encoded_response_is_relayed_as_it_came_and_read(
    encoding: str, streaming: bool, proxy: Mitmdump, upstream: Upstream
) -> None:
    plain = message_sse("msg_1", text="Hello") if streaming else message_json("msg_1", text="Hello")
    body = ENCODERS[encoding](plain)
    kind = EVENTS if streaming else "application/json"
    upstream.serve(answer(body, kind, headers={"content-encoding": encoding}, chunked=True))

    assert exchange(proxy, ANTHROPIC, MESSAGES, ask_messages("hi", stream=streaming)) == (200, body)
    record = proxy.record()
    assert (record["outcome"], record["response_bytes"]) == ("completed", len(body))
    assert record["token_usages"][0]["output_tokens"] == 7


@pytest.mark.parametrize("encoding", ENCODERS)
def test_an_encoded_request_is_relayed_as_it_came_and_read(encoding: str, proxy: Mitmdump, upstream: Upstream) -> None:
    body = ENCODERS[encoding](ask_responses("What is in the box?"))
    upstream.serve(answer(b'{"error": {"type": "server_error", "message": "Later"}}', status=500))
    exchange(proxy, OPENAI, RESPONSES, body, content_encoding=encoding)

    assert upstream.exchanges[0][0].body == body
    record = proxy.record()
    assert (record["request_bytes"], record["model"]) == (len(body), "gpt-test-1")
    assert record["user_prompts"][0]["prompt"] == "What is in the box?"


def test_a_request_in_chunks_is_read_whole(proxy: Mitmdump, upstream: Upstream) -> None:
    body = ask_messages("in pieces")
    upstream.serve(answer(message_json("msg_1", text="Hello")))
    connection = connect(proxy, ANTHROPIC)
    connection.request("POST", MESSAGES, ragged(body), {"content-type": "application/json"}, encode_chunked=True)
    assert connection.getresponse().status == 200

    assert upstream.exchanges[0][0].body == body
    assert proxy.record()["user_prompts"][0]["prompt"] == "in pieces"


def test_requests_on_one_kept_connection_are_one_record_each(proxy: Mitmdump, upstream: Upstream) -> None:
    upstream.serve(
        in_turn(
            answer(message_json("msg_1", text="one")),
            answer(message_sse("msg_2", text="two"), EVENTS),
            answer(b'{"type": "error", "error": {"type": "api_error", "message": "three"}}', status=500),
            answer(message_json("msg_4", text="four")),
        )
    )
    connection = connect(proxy, ANTHROPIC)
    for number in range(1, 5):
        body = ask_messages(f"number {number}", stream=number == 2)
        assert post(connection, MESSAGES, body).read() == upstream.exchanges[number - 1][1].sent

    records = proxy.records(4)
    assert [record["outcome"] for record in records] == ["completed", "completed", "failed", "completed"]
    assert [record["user_prompts"][0]["prompt"] for record in records] == [f"number {n}" for n in range(1, 5)]
    assert {record["http_version"] for record in records} == {"HTTP/1.1"}


def test_parallel_streams_of_one_http2_connection_do_not_mix(proxy: Mitmdump, upstream: Upstream) -> None:
    count = 8
    together = threading.Barrier(count)

    def handler(request: Request, reply: Reply) -> None:
        number = request.headers["x-number"]
        reply.head(200, {"content-type": EVENTS})
        for event in message_sse(f"msg_{number}", text=f"answer {number}").split(b"\n\n")[:-1]:
            together.wait(PATIENCE)
            reply.send(event + b"\n\n")
        reply.end()

    upstream.serve(handler)
    client = Http2Client(proxy, ANTHROPIC)
    streams = {
        client.post(MESSAGES, ask_messages(f"number {n}", stream=True), x_number=str(n)): n for n in range(count)
    }
    client.until(lambda it: len(it.ended) == count)
    client.close()

    for stream, number in streams.items():
        assert client.bodies[stream] == message_sse(f"msg_{number}", text=f"answer {number}")
    records = proxy.records(count)
    assert {record["http_version"] for record in records} == {"HTTP/2.0"}
    assert {(r["user_prompts"][0]["prompt"], r["token_usages"][0]["provider_response_id"]) for r in records} == {
        (f"number {n}", f"msg_{n}") for n in range(count)
    }


def test_a_large_request_and_a_large_response_pass_whole(proxy: Mitmdump, upstream: Upstream) -> None:
    body = ask_messages("hi", system="x" * 3_000_000)
    large = message_json("msg_1", text="y" * 3_000_000)
    upstream.serve(answer(large, chunked=True))

    assert exchange(proxy, ANTHROPIC, MESSAGES, body) == (200, large)
    assert upstream.exchanges[0][0].body == body
    assert proxy.record()["request_bytes"] == len(body)


@pytest.mark.parametrize(
    ("method", "host", "target"),
    [
        ("GET", OPENAI, "/v1/models"),
        ("GET", ANTHROPIC, "/v1/models?limit=5"),
        ("GET", OPENAI, "/v1/responses/resp_1"),
        ("POST", OPENAI, "/v1/embeddings"),
        ("POST", ANTHROPIC, "/api/event_logging/v2/batch"),
        ("POST", "example.com", "/upload"),
    ],
)
def test_what_is_no_call_of_a_model_is_relayed_and_not_recorded(
    method: str, host: str, target: str, decrypting: Mitmdump, upstream: Upstream
) -> None:
    upstream.serve(in_turn(answer(b'{"data": []}'), answer(message_json("msg_1", text="after"))))
    connection = connect(decrypting, host)
    connection.request(method, target, ask_messages("hi") if method == "POST" else None)
    answered = connection.getresponse()
    assert (answered.status, answered.read()) == (200, b'{"data": []}')
    exchange(decrypting, ANTHROPIC, MESSAGES, ask_messages("afterwards"))

    # Records are written in the order of their ends, so one for the first request would be there by now.
    assert decrypting.record()["user_prompts"][0]["prompt"] == "afterwards"


APIS = {
    "messages": (ANTHROPIC, MESSAGES, ask_messages),
    "chat": (OPENAI, CHAT, ask_chat),
    "responses": (OPENAI, RESPONSES, ask_responses),
}
BROKEN = st.binary(max_size=600) | st.binary(max_size=200).map(message_sse("msg_1", text="x")[:300].__add__)


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    body=BROKEN,
    kind=st.sampled_from(["application/json", EVENTS, "application/octet-stream"]),
    encoding=st.sampled_from([None, *ENCODERS, "compress"]),
    api=st.sampled_from(sorted(APIS)),
)
def test_random_bytes_are_relayed_unchanged_and_end_a_failed_record(
    body: bytes, kind: str, encoding: str | None, api: str, proxy: Mitmdump, upstream: Upstream
) -> None:
    host, target, ask = APIS[api]
    upstream.serve(answer(body, kind, headers={"content-encoding": encoding} if encoding else {}))

    assert exchange(proxy, host, target, ask("hi", stream=kind == EVENTS)) == (200, body)
    assert proxy.record()["outcome"] == "failed"


@settings(max_examples=20, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(body=st.binary(max_size=300) | st.text(max_size=100).map(lambda text: f'{{"model": "{text}"}}'.encode()))
def test_random_bytes_of_a_request_reach_the_provider_unchanged(
    body: bytes, proxy: Mitmdump, upstream: Upstream
) -> None:
    refusal = b'{"type": "error", "error": {"type": "invalid_request_error", "message": "What?"}}'
    upstream.forget()
    upstream.serve(answer(refusal, status=400))

    assert exchange(proxy, ANTHROPIC, MESSAGES, body) == (400, refusal)
    assert upstream.exchanges[0][0].body == body
    assert proxy.record()["error_type"] == "bad_request"


@pytest.mark.parametrize("streamed", [False, True], ids=["whole", "streamed"])
def test_a_request_without_a_length_reaches_a_provider_of_http_1_as_it_is(
    start_proxy: Callable[..., Mitmdump], upstream: Upstream, streamed: bool
) -> None:
    """HTTP/2 needs no content-length, HTTP/1.1 does: without one the body would be taken for the next request."""
    options = ("--set", "stream_large_bodies=1") if streamed else ()
    proxy = start_proxy(command="aitap run", arguments=options)
    upstream.serve(answer(message_json("msg_1", text="Hello")))
    body = ask_messages("hi")
    with upstream.speaking("http/1.1"):
        client = Http2Client(proxy, ANTHROPIC)
        streams = [client.post(MESSAGES, body) for _ in range(2)]
        client.until(lambda client: client.ended.issuperset(streams))
    assert [client.heads[stream][":status"] for stream in streams] == ["200", "200"]
    assert [(request.http_version, request.body) for request, _ in upstream.exchanges] == [("HTTP/1.1", body)] * 2
    assert [record["outcome"] for record in proxy.records(2)] == ["completed"] * 2
