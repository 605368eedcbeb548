"""The proxy as a process: it ends cleanly, survives a crash, and its own faults stay its own."""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.proxy.client import ANTHROPIC, connect, exchange, post
from tests.proxy.mitmdump import Mitmdump, aitap, until
from tests.proxy.upstream import Reply, Request, Upstream, answer
from tests.proxy.wire import MESSAGES, ask_messages, message_json, message_sse

EVENTS = "text/event-stream"
PATIENCE = 60.0
BEGUN = message_sse("msg_1", text="one").partition(b"event: message_delta")[0]

StartProxy = Callable[..., Mitmdump]


@pytest.fixture
def held(upstream: Upstream):
    """Makes the provider begin an answer and hold the rest back; set, it lets go."""
    released = threading.Event()

    def handler(_: Request, reply: Reply) -> None:
        reply.head(200, {"content-type": EVENTS})
        reply.send(BEGUN)
        released.wait(PATIENCE)

    upstream.serve(handler)
    yield released
    released.set()


def intact(proxy: Mitmdump) -> bool:
    """Whether SQLite finds nothing wrong with the database."""
    with sqlite3.connect(proxy.database) as database:
        return database.execute("PRAGMA integrity_check").fetchall() == [("ok",)]


def test_a_finished_record_is_in_the_database_after_sigterm(start_proxy: StartProxy, upstream: Upstream) -> None:
    upstream.serve(answer(message_json("msg_1", text="Hello")))
    proxy = start_proxy()
    for _ in range(20):
        assert exchange(proxy, ANTHROPIC, MESSAGES, ask_messages("hi"))[0] == 200
    assert proxy.stop(signal.SIGTERM) == 0

    assert [record["outcome"] for record in proxy.all_records()] == ["completed"] * 20
    assert intact(proxy)


@pytest.mark.parametrize("with_signal", [signal.SIGTERM, signal.SIGINT])
def test_a_proxy_that_is_told_to_stop_amid_a_stream_stops_and_ends_the_record(
    with_signal: signal.Signals, start_proxy: StartProxy, held: threading.Event
) -> None:
    proxy = start_proxy()
    answered = post(connect(proxy, ANTHROPIC), MESSAGES, ask_messages("hi", stream=True))
    assert answered.read(len(BEGUN)) == BEGUN
    assert proxy.stop(with_signal) == 0

    [record] = proxy.all_records()
    assert record["outcome"] in {"cancelled", "failed", "interrupted"}
    assert record["ended_at"] is not None
    assert record["token_usages"][0]["metadata"]["partial"] is True
    assert intact(proxy)


def test_a_killed_proxy_leaves_a_sound_database_and_the_next_one_marks_what_was_open(
    start_proxy: StartProxy, held: threading.Event
) -> None:
    proxy = start_proxy()
    answered = post(connect(proxy, ANTHROPIC), MESSAGES, ask_messages("hi", stream=True))
    assert answered.read(len(BEGUN)) == BEGUN
    until(lambda: [record["outcome"] for record in proxy.all_records()] == ["in_flight"], "the open record")
    proxy.stop(signal.SIGKILL)
    assert intact(proxy)

    record = start_proxy().record()
    assert (record["outcome"], record["user_prompts"][0]["prompt"]) == ("interrupted", "hi")
    assert record["ended_at"] is not None


def test_a_killed_proxy_loses_no_record_older_than_the_flush_interval(
    start_proxy: StartProxy, upstream: Upstream
) -> None:
    upstream.serve(answer(message_json("msg_1", text="Hello")))
    proxy = start_proxy()
    for _ in range(5):
        exchange(proxy, ANTHROPIC, MESSAGES, ask_messages("hi"))
    assert len(proxy.records(5)) == 5
    proxy.stop(signal.SIGKILL)

    assert [record["outcome"] for record in start_proxy().records(5)] == ["completed"] * 5


@pytest.mark.parametrize("streaming", [False, True])
@pytest.mark.parametrize("fault", ["hook", "tap", "prompt", "decoder", "submit"])
def test_a_fault_of_ours_never_reaches_the_traffic(
    fault: str, streaming: bool, start_proxy: StartProxy, upstream: Upstream, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TEST_FAULT", fault)
    body = message_sse("msg_1", text="Hello") if streaming else message_json("msg_1", text="Hello")
    upstream.serve(answer(body, EVENTS if streaming else "application/json"))
    proxy = start_proxy("fault.py")

    for _ in range(2):
        assert exchange(proxy, ANTHROPIC, MESSAGES, ask_messages("hi", stream=streaming)) == (200, body)
    assert proxy.stop() == 0
    assert "injected fault" in proxy.said()
    if fault == "decoder":
        assert [record["outcome"] for record in proxy.all_records()] == ["failed"] * 2


def test_a_database_that_cannot_be_written_never_reaches_the_traffic(
    start_proxy: StartProxy, upstream: Upstream
) -> None:
    body = message_json("msg_1", text="Hello")
    upstream.serve(answer(body))
    proxy = start_proxy()
    with sqlite3.connect(proxy.database, isolation_level=None) as rival:
        rival.execute("BEGIN IMMEDIATE")
        for _ in range(3):
            assert exchange(proxy, ANTHROPIC, MESSAGES, ask_messages("hi")) == (200, body)
        rival.execute("ROLLBACK")
    rival.close()

    assert [record["outcome"] for record in proxy.records(3)] == ["completed"] * 3


def test_a_recorder_that_is_killed_never_reaches_the_traffic_and_is_replaced(
    start_proxy: StartProxy, upstream: Upstream
) -> None:
    body = message_json("msg_1", text="Hello")
    upstream.serve(answer(body))
    proxy = start_proxy()
    connection = connect(proxy, ANTHROPIC)
    assert post(connection, MESSAGES, ask_messages("before")).read() == body
    proxy.record()
    [recorder] = proxy.children()
    os.kill(recorder, signal.SIGKILL)

    assert post(connection, MESSAGES, ask_messages("amid")).read() == body
    until(lambda: proxy.children() not in ([], [recorder]), "another recorder")
    assert post(connection, MESSAGES, ask_messages("after")).read() == body
    until(lambda: "after" in [r["user_prompts"][0]["prompt"] for r in proxy.all_records()], "the record after it")
    assert proxy.stop() == 0
    assert intact(proxy)


def test_two_proxies_may_share_a_database(start_proxy: StartProxy, upstream: Upstream) -> None:
    upstream.serve(answer(message_json("msg_1", text="Hello")))
    first, second = start_proxy(), start_proxy()
    for proxy in (first, second):
        exchange(proxy, ANTHROPIC, MESSAGES, ask_messages("hi"))

    assert [record["outcome"] for record in first.records(2)] == ["completed"] * 2


def test_replayed_flows_pass_and_are_recorded_once_each(
    start_proxy: StartProxy, upstream: Upstream, tmp_path: Path
) -> None:
    upstream.serve(answer(message_sse("msg_1", text="Hello"), EVENTS))
    flows = tmp_path / "flows.mitm"
    first = start_proxy(arguments=("-w", str(flows)))
    for _ in range(2):
        exchange(first, ANTHROPIC, MESSAGES, ask_messages("hi", stream=True))
    first.records(2)
    assert first.stop() == 0
    upstream.forget()
    upstream.serve(answer(message_sse("msg_2", text="Hello again"), EVENTS))
    first.forget()
    again = start_proxy(arguments=("--client-replay", str(flows), "--set", "keepserving=true"))
    again._seen = first._seen  # what the first one wrote is known

    records = again.records(2)
    assert [record["token_usages"][0]["provider_response_id"] for record in records] == ["msg_2"] * 2
    assert len(upstream.exchanges) == 2
    assert "Addon error" not in again.said()


def test_aitap_run_says_where_everything_is_records_and_stops_on_ctrl_c(
    start_proxy: StartProxy, upstream: Upstream
) -> None:
    upstream.serve(answer(message_json("msg_1", text="Hello")))
    proxy = start_proxy(command="aitap run")
    exchange(proxy, ANTHROPIC, MESSAGES, ask_messages("hi"))
    assert proxy.record()["outcome"] == "completed"
    assert proxy.stop(signal.SIGINT) == 0

    said = proxy.said()
    assert proxy.url in said
    assert str(proxy.certificate) in said
    assert proxy.database_url in said
    assert "Traceback" not in said


def test_aitap_exec_takes_a_client_through_the_proxy(proxy: Mitmdump, upstream: Upstream) -> None:
    upstream.serve(answer(message_json("msg_1", text="Hello")))
    program = "import sys, anthropic; print(anthropic.Anthropic().messages.create(**eval(sys.argv[1])).content[0].text)"
    ask = {"model": "claude-test-1", "max_tokens": 64, "messages": [{"role": "user", "content": "from a child"}]}
    where = ("--proxy", proxy.url, "--confdir", str(proxy.confdir))
    result = aitap("exec", *where, "--", sys.executable, "-c", program, repr(ask), ANTHROPIC_API_KEY="sk-not-a-key")

    assert (result.stdout, result.stderr, result.returncode) == ("Hello\n", "", 0)
    assert proxy.record()["user_prompts"][0]["prompt"] == "from a child"


def test_the_export_gives_what_was_recorded(start_proxy: StartProxy, upstream: Upstream) -> None:
    upstream.serve(answer(message_json("msg_1", text="Hello")))
    proxy = start_proxy()
    exchange(proxy, ANTHROPIC, MESSAGES, ask_messages("hi"))
    proxy.record()

    exported = aitap("export", "--format", "jsonl", AITAP_DATABASE_URL=proxy.database_url)
    assert (exported.returncode, exported.stderr) == (0, "")
    [record] = map(json.loads, exported.stdout.splitlines())
    assert (record["outcome"], record["user_prompts"][0]["prompt"]) == ("completed", "hi")
