"""A real collector gets the trace of each exchange: the reference's tree, with times of the wire and errors set."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from tests.observe.collector import Collector, GrpcCollector, HttpCollector, plain
from tests.observe.traces import ERROR, check_tree, names_of, trace_of
from tests.proxy.client import ANTHROPIC, OPENAI, connect, exchange, post
from tests.proxy.mitmdump import Mitmdump, until
from tests.proxy.test_endings import BEGUN, begin_and_hold
from tests.proxy.test_secrets import HEADERS, QUERY, SECRET, refused
from tests.proxy.upstream import Handler, Upstream, answer, in_turn
from tests.proxy.wire import (
    CHAT,
    MESSAGES,
    RESPONSES,
    ask_chat,
    ask_messages,
    ask_responses,
    chat_json,
    chat_sse,
    message_json,
    message_sse,
    response_json,
    response_sse,
)

EVENTS = "text/event-stream"
CALL = ("toolu_1", "weather", {"city": "Paris"})
TRACE, SPAN = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"

Start = Callable[..., Mitmdump]


def thoughtful_message() -> bytes:
    whole = json.loads(message_json("msg_1", text="Sunny", call=CALL))
    whole["content"] = [{"type": "thinking", "thinking": word, "signature": "c2ln"} for word in ("a", "b")] + whole[
        "content"
    ]
    return json.dumps(whole).encode()


def reasoning(id: str) -> dict[str, Any]:
    return {"id": id, "type": "reasoning", "summary": [{"type": "summary_text", "text": f"thought {id}"}]}


def function() -> dict[str, Any]:
    arguments = json.dumps(CALL[2])
    return {"id": "fc_1", "type": "function_call", "call_id": "call_1", "name": "weather", "arguments": arguments}


def reasoned_response() -> bytes:
    return json.dumps(
        json.loads(response_json("resp_1")) | {"output": [reasoning("r1"), reasoning("r2"), function()]}
    ).encode()


def reasoned_stream() -> bytes:
    whole = json.loads(reasoned_response())
    events: list[dict[str, Any]] = [{"type": "response.created", "response": whole | {"output": [], "usage": None}}]
    for index, item in enumerate(whole["output"]):
        events.append({"type": "response.output_item.done", "output_index": index, "item": item})
    events.append({"type": "response.completed", "response": whole})
    return b"".join(
        b"event: %s\ndata: %s\n\n" % (event["type"].encode(), json.dumps(event).encode()) for event in events
    )


def refuse(status: int, kind: str) -> Handler:
    return answer(json.dumps({"error": {"type": kind, "message": "No."}}).encode(), status=status)


BROKEN = b'event: error\ndata: {"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}}\n\n'
CHAT_BROKEN = b'data: {"error": {"message": "The server had an error", "type": "server_error"}}\n\n'


class Scenario(NamedTuple):
    host: str
    target: str
    body: bytes
    handler: Handler
    children: tuple[int, int, int, int] = (1, 1, 0, 0)
    """Prompts, token usages, tools and thoughts; by our rules a call that fails has its prompt, too."""
    failed: bool = False


def messages(handler: Handler, *how: Any, stream: bool = False) -> Scenario:
    return Scenario(ANTHROPIC, MESSAGES, ask_messages("hi", stream=stream), handler, *how)


def chat(handler: Handler, *how: Any, stream: bool = False) -> Scenario:
    return Scenario(OPENAI, CHAT, ask_chat("hi", stream=stream), handler, *how)


def responses(handler: Handler, *how: Any, stream: bool = False) -> Scenario:
    return Scenario(OPENAI, RESPONSES, ask_responses("hi", stream=stream), handler, *how)


def events(body: bytes) -> Handler:
    return answer(body, EVENTS)


CHAT_BEGUN = chat_sse("c", text="Hello").partition(b"\n\n")[0] + b"\n\n"
MALFORMED = b"event: response.created\ndata: {not json\n\n"
INVALID = "invalid_request_error"

SCENARIOS = {
    "messages blocking, a tool": messages(answer(message_json("m", call=CALL)), (1, 1, 1, 0)),
    "messages streaming, a tool": messages(
        events(message_sse("m", thinking="hm", call=CALL)), (1, 1, 1, 1), stream=True
    ),
    "messages blocking, two thoughts": messages(answer(thoughtful_message()), (1, 1, 1, 2)),
    "messages refused with 400": messages(refuse(400, INVALID), (1, 0, 0, 0), True),
    "messages with an error in the stream": messages(events(BEGUN + BROKEN), (1, 1, 1, 0), True, stream=True),
    "chat blocking": chat(answer(chat_json("c", text="Hello"))),
    "chat streaming": chat(events(chat_sse("c", text="Hello")), stream=True),
    "chat with an error in the stream": chat(events(CHAT_BEGUN + CHAT_BROKEN), (1, 0, 0, 0), True, stream=True),
    "chat refused with 400": chat(refuse(400, INVALID), (1, 0, 0, 0), True),
    "responses blocking": responses(answer(response_json("r", text="Hello"))),
    "responses streaming": responses(events(response_sse("r", text="Hello")), stream=True),
    "responses blocking, two thoughts": responses(answer(reasoned_response()), (1, 1, 1, 2)),
    "responses streaming, two thoughts": responses(events(reasoned_stream()), (1, 1, 1, 2), stream=True),
    "responses with a malformed event": responses(events(MALFORMED), (1, 0, 0, 0), True, stream=True),
    "responses with a malformed body": responses(answer(b'{"id": "resp_1", '), (1, 0, 0, 0), True),
    "responses refused with 429": responses(refuse(429, "rate_limit_error"), (1, 0, 0, 0), True, stream=True),
    "responses refused with 401": responses(refuse(401, "invalid_api_key"), (1, 0, 0, 0), True),
}


@pytest.fixture(scope="module")
def collector() -> Iterator[HttpCollector]:
    found = HttpCollector()
    yield found
    found.close()


@pytest.fixture(scope="module")
def traced(
    tmp_path_factory: pytest.TempPathFactory, confdir: Path, _provider: Upstream, collector: HttpCollector
) -> Iterator[Mitmdump]:
    """A proxy that sends its traces to the collector."""
    with pytest.MonkeyPatch.context() as patch:
        for name, value in collector.environ.items():
            patch.setenv(name, value)
        patch.setenv("AITAP_TRACE_ENABLE", "true")
        patch.setenv("AITAP_DECRYPT", "all")
        proxy = Mitmdump(tmp_path_factory.mktemp("traced"), confdir, _provider)
    yield proxy
    proxy.stop()


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_the_tree_of_each_scenario(
    scenario: str, traced: Mitmdump, collector: HttpCollector, upstream: Upstream
) -> None:
    host, target, body, handler, children, failed = SCENARIOS[scenario]
    upstream.serve(handler)
    exchange(traced, host, target, body)
    check_tree(trace_of(collector, traced.record()["id"]), children, failed=failed)


def test_times_are_those_of_the_wire(traced: Mitmdump, collector: HttpCollector, upstream: Upstream) -> None:
    upstream.serve(answer(message_sse("msg_1", text="Hello"), EVENTS))
    exchange(traced, ANTHROPIC, MESSAGES, ask_messages("hi", stream=True))
    record = traced.record()
    spans = trace_of(collector, record["id"])
    root = next(span for span in spans if span.name == "Intercept")
    assert abs((root.end_time_unix_nano - root.start_time_unix_nano) / 1e9 - record["duration"]) < 0.001
    [client] = [span for span in spans if span.name == "chat claude-test-1"]
    found = plain(client.attributes)
    assert (found["gen_ai.usage.input_tokens"], found["server.address"]) == (19, ANTHROPIC)
    assert found["gen_ai.response.time_to_first_chunk"] == record["time_to_first_token"]
    assert client.kind == 3


def test_the_clients_span_is_the_parent(traced: Mitmdump, collector: HttpCollector, upstream: Upstream) -> None:
    upstream.serve(answer(message_json("msg_1", text="Hello")))
    exchange(traced, ANTHROPIC, MESSAGES, ask_messages("hi"), traceparent=f"00-{TRACE}-{SPAN}-01", tracestate="a=b")
    spans = trace_of(collector, traced.record()["id"])
    root = next(span for span in spans if span.name == "Intercept")
    assert (root.trace_id.hex(), root.parent_span_id.hex(), root.trace_state) == (TRACE, SPAN, "a=b")


def test_a_client_that_is_not_sampled_is_recorded_and_not_traced(
    traced: Mitmdump, collector: HttpCollector, upstream: Upstream
) -> None:
    upstream.serve(answer(message_json("msg_1", text="Hello")))
    exchange(traced, ANTHROPIC, MESSAGES, ask_messages("hi"), traceparent=f"00-{TRACE}-{SPAN}-00")
    left_out = traced.record()["id"]
    exchange(traced, ANTHROPIC, MESSAGES, ask_messages("hi"))
    trace_of(collector, traced.record()["id"])
    assert not [span for span in collector.spans if plain(span.attributes).get("interception_id") == left_out]


def test_a_cancelled_stream_is_no_error(traced: Mitmdump, collector: HttpCollector, upstream: Upstream) -> None:
    released = threading.Event()
    upstream.serve(begin_and_hold(released))
    connection = connect(traced, ANTHROPIC)
    answered = post(connection, MESSAGES, ask_messages("hi", stream=True))
    assert answered.read(len(BEGUN)) == BEGUN
    answered.close()
    connection.close()
    record = traced.record()
    released.set()
    assert record["outcome"] == "cancelled"
    check_tree(trace_of(collector, record["id"]), (1, 1, 1, 0), failed=False)


def test_a_tool_call_is_a_span_from_call_to_result(
    traced: Mitmdump, collector: HttpCollector, upstream: Upstream
) -> None:
    call = ("toolu_result", *CALL[1:])
    upstream.serve(in_turn(answer(message_json("msg_1", call=call)), answer(message_json("msg_2", text="Sunny"))))
    exchange(traced, ANTHROPIC, MESSAGES, ask_messages("hi"))
    first = traced.record()
    result = [{"type": "tool_result", "tool_use_id": call[0], "content": "no", "is_error": True}]
    body = json.loads(ask_messages("hi")) | {"messages": [{"role": "user", "content": result}]}
    exchange(traced, ANTHROPIC, MESSAGES, json.dumps(body).encode())
    second = traced.record()
    trace_of(collector, second["id"])
    spans = trace_of(collector, first["id"])
    [span] = [span for span in spans if span.name == "Intercept.ProcessRequest.ToolCall"]
    assert names_of(spans)[span.parent_span_id] == "Intercept.ProcessRequest"
    assert (plain(span.attributes)["gen_ai.tool.call.id"], span.status.code) == (call[0], ERROR)
    root = next(span for span in trace_of(collector, second["id"]) if span.name == "Intercept")
    assert span.end_time_unix_nano == root.start_time_unix_nano


def test_what_is_no_call_of_a_model_is_a_span_of_its_own(
    traced: Mitmdump, collector: HttpCollector, upstream: Upstream
) -> None:
    upstream.serve(answer(b'{"data": []}'))
    connection = connect(traced, ANTHROPIC)
    connection.request("GET", "/v1/models?key=secret")
    connection.getresponse().read()
    connection.close()
    [span] = until(lambda: [span for span in collector.spans if span.name == "Passthrough"], "a span")
    found = plain(span.attributes)
    assert (found["passthrough_url"], found["passthrough_method"]) == ("/v1/models", "GET")
    assert found["passthrough_upstream_url"] == "https://api.anthropic.com/v1/models"


def test_getting_to_know_an_mcp_server_is_three_spans(
    traced: Mitmdump, collector: HttpCollector, upstream: Upstream
) -> None:
    server = {"serverInfo": {"name": "weather", "version": "1"}, "protocolVersion": "2025-06-18", "capabilities": {}}
    said = b"event: message\ndata: %s\n\n" % json.dumps({"jsonrpc": "2.0", "id": 1, "result": server}).encode()
    tools = json.dumps({"jsonrpc": "2.0", "id": 2, "result": {"tools": [{"name": "now"}]}}).encode()
    upstream.serve(in_turn(answer(said, EVENTS, headers={"mcp-session-id": "s1"}), answer(tools)))
    connection = connect(traced, "mcp.example.com")
    both = {"accept": "application/json, text/event-stream"}
    asked = json.dumps({"jsonrpc": "2.0", "id": 1, "method": "initialize"}).encode()
    assert post(connection, "/mcp", asked, **both).read() == said
    listed = json.dumps({"jsonrpc": "2.0", "id": 2, "method": "tools/list"}).encode()
    assert post(connection, "/mcp", listed, mcp_session_id="s1", **both).read() == tools
    connection.close()
    fetched = "StreamableHTTPServerProxy.Init.fetchTools"
    [last] = until(lambda: [span for span in collector.spans if span.name == fetched], "the spans")
    tree = [span for span in collector.spans if span.trace_id == last.trace_id]
    assert {span.name for span in tree} == {"ServerProxyManager.Init", "StreamableHTTPServerProxy.Init", fetched}
    found = plain(last.attributes)
    assert (found["mcp_server_name"], found["mcp_tool_count"]) == ("weather", 1)


def test_no_credential_and_no_text_is_in_any_span(
    traced: Mitmdump, collector: HttpCollector, upstream: Upstream
) -> None:
    upstream.serve(refused)
    exchange(traced, OPENAI, CHAT + QUERY, ask_chat("what only the user knows"), **HEADERS)
    trace_of(collector, traced.record()["id"])
    everything = repr(collector.spans)
    assert SECRET not in everything
    assert "what only the user knows" not in everything


@pytest.fixture(params=[HttpCollector, GrpcCollector])
def any_collector(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[Collector]:
    found: Collector = request.param()
    for name, value in found.environ.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_HEADERS", "x-token=sesame")
    monkeypatch.setenv("OTEL_SERVICE_NAME", "our proxy")
    yield found
    found.close()


def test_traces_logs_and_metrics_reach_a_collector_by_either_protocol(
    any_collector: Collector, start_proxy: Start, upstream: Upstream
) -> None:
    settings = {"structured_logging": "true", "log_to": "otlp", "trace_enable": "true", "trace_logs": "true"}
    settings["metrics_otlp"] = "true"
    proxy = start_proxy(
        arguments=tuple(word for name, value in settings.items() for word in ("--set", f"aitap_{name}={value}"))
    )
    upstream.serve(answer(message_sse("msg_1", thinking="hm", call=CALL), EVENTS))
    exchange(proxy, ANTHROPIC, MESSAGES, ask_messages("hi", stream=True))
    record = proxy.record()
    spans = trace_of(any_collector, record["id"])
    check_tree(spans, (1, 1, 1, 1), failed=False)
    assert sorted(plain(event.attributes)["record_type"] for span in spans for event in span.events) == [
        *("interception_end", "interception_start", "model_thought", "prompt_usage", "token_usage", "tool_usage")
    ]
    root = next(span for span in spans if span.name == "Intercept")
    lines = until(lambda: any_collector.logs if len(any_collector.logs) == 6 else None, "six lines")
    assert {(line.trace_id, line.span_id) for line in lines} == {(root.trace_id, root.span_id)}
    assert plain(lines[0].attributes)["interception_id"] == record["id"]
    assert {line.body.string_value for line in lines} == {"interception log"}

    def counted() -> Any:
        metric = any_collector.metrics.get("aitap_interceptions_total")
        return metric and metric.sum.data_points

    [point] = until(counted, "the metric")
    assert (point.as_double or point.as_int, plain(point.attributes)["client"]) == (1, record["client"] or "")
    assert any_collector.metrics["gen_ai.client.token.usage"].unit == "{token}"
    assert all(headers["x-token"] == "sesame" for headers in any_collector.headers)
    assert {resource["service.name"] for resource in any_collector.resources} == {"our proxy"}


@pytest.mark.parametrize("protocol", ["grpc", "http/protobuf"])
@pytest.mark.parametrize("hangs", [True, False])
def test_a_collector_that_is_not_there_costs_no_record_and_no_time_at_the_end(
    protocol: str, hangs: bool, start_proxy: Start, upstream: Upstream, monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        if not hangs:
            listener.close()
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", f"http://127.0.0.1:{port}")
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_PROTOCOL", protocol)
        monkeypatch.setenv("OTEL_BSP_SCHEDULE_DELAY", "50")
        monkeypatch.setenv("AITAP_TRACE_ENABLE", "true")
        proxy = start_proxy()
        upstream.serve(answer(message_sse("msg_1", text="Hello"), EVENTS))
        for _ in range(20):
            assert exchange(proxy, ANTHROPIC, MESSAGES, ask_messages("hi", stream=True))[0] == 200
        proxy.records(20)
        assert proxy.stop() == 0
        assert "records were lost" not in proxy.said()
        assert proxy.said().count("the collector does not take traces") <= 1
        assert "Traceback" not in proxy.said()
