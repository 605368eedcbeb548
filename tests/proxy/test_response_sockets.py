"""The Responses API over a WebSocket through a real proxy: a conversation, a day on one socket, a refusal, an abort."""

from __future__ import annotations

import json
import os
import socket
import sqlite3
import ssl
import struct
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import openai
import pytest
from openai.resources.responses import Responses
from websockets.exceptions import InvalidStatus
from websockets.sync.client import ClientConnection, connect
from websockets.sync.server import Server, ServerConnection, serve

from tests.proxy.mitmdump import Mitmdump, until
from tests.proxy.sdks import OPENAI_KEY, Tap
from tests.proxy.upstream import Reply, Request, Upstream, answer, self_signed
from tests.proxy.wire import GPT, RESPONSES, response_json, response_sse

PATIENCE = 60.0
SDK = pytest.mark.skipif(
    not hasattr(Responses, "connect"),
    reason="this openai SDK has no WebSocket for the Responses API",
)
SHELL = {
    "type": "custom_tool_call",
    "id": "ctc_1",
    "call_id": "call_1",
    "name": "shell",
    "input": "ls -l",
    "status": "completed",
}

TURNS, FRAMES = 1000, 50
"""A day on one socket: so many turns of so many frames from the provider."""
MARGIN = 3 * 1024 * 1024
"""Bytes for half a day of what is bounded, but not full yet: SQLite's page cache, the writer's memory of threads."""
CODEX = {
    "user-agent": "codex_cli_rs/0.169.0 (Debian)",
    "authorization": f"Bearer {OPENAI_KEY}",
    "session-id": "day",
    "thread-id": "day",
}

Converse = Callable[[ServerConnection], None]


class Provider:
    """A provider on loopback that gives each WebSocket to ``converse``; ``over`` is set when the first has ended."""

    def __init__(self, folder: Path) -> None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self_signed(folder))
        self.converse: Converse = lambda connection: None
        self.over = threading.Event()
        self._server: Server = serve(self._serve, "127.0.0.1", 0, ssl=context)
        self.port: int = self._server.socket.getsockname()[1]
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)
        self._thread.start()

    def _serve(self, connection: ServerConnection) -> None:
        try:
            self.converse(connection)
        finally:
            self.over.set()

    def close(self) -> None:
        self._server.shutdown()
        self._thread.join(PATIENCE)


@pytest.fixture
def provider(tmp_path: Path) -> Iterator[Provider]:
    found = Provider(tmp_path)
    yield found
    found.close()


@pytest.fixture
def own_proxy(tmp_path: Path, confdir: Path, provider: Provider) -> Iterator[Mitmdump]:
    found = Mitmdump(tmp_path, confdir, provider)  # type: ignore[arg-type]
    yield found
    found.stop()


def frames(id: str, output: list[dict[str, Any]]) -> list[str]:
    """A response with these items, as the events of a stream, one in each frame."""
    whole = json.loads(response_json(id)) | {"output": output}
    begun = whole | {"status": "in_progress", "output": [], "usage": None}
    events: list[dict[str, Any]] = [{"type": "response.created", "response": begun}]
    for index, item in enumerate(output):
        at = {"output_index": index}
        events.append({"type": "response.output_item.added", **at, "item": item | {"status": "in_progress"}})
        events.append({"type": "response.output_item.done", **at, "item": item})
    events.append({"type": "response.completed", "response": whole})
    return [json.dumps(event | {"sequence_number": number}) for number, event in enumerate(events)]


def message(text: str) -> dict[str, Any]:
    """An item of the model's that says something."""
    part = {"type": "output_text", "text": text, "annotations": [], "logprobs": []}
    return {"id": "msg_1", "type": "message", "status": "completed", "role": "assistant", "content": [part]}


def said(text: str) -> dict[str, Any]:
    """An item of the user's."""
    return {"type": "message", "role": "user", "content": [{"type": "input_text", "text": text}]}


def sdk_session(proxy: Mitmdump, client: openai.OpenAI) -> Any:
    """The SDK's connection manager, sent through the proxy."""
    options: Any = {"ssl": proxy.trust(two_threads=True), "proxy": proxy.url, "open_timeout": PATIENCE}
    return client.responses.connect(websocket_connection_options=options)


def finish(session: Any) -> str:
    """Read to the end of a response; its id."""
    return next(event for event in session if event.type == "response.completed").response.id


def open_socket(proxy: Mitmdump) -> ClientConnection:
    """A socket of Codex."""
    return connect(
        f"wss://api.openai.com{RESPONSES}",
        ssl=proxy.trust(two_threads=True),
        proxy=proxy.url,
        user_agent_header=None,
        additional_headers=CODEX,
        open_timeout=PATIENCE,
    )


def ask(text: str, **more: Any) -> str:
    """A frame that asks for a response."""
    return json.dumps({"type": "response.create", "model": GPT, "store": False, "input": [said(text)], **more})


def abort(connection: ClientConnection | ServerConnection) -> None:
    """End the TCP connection without a close frame, and without TLS knowing."""
    # Nothing lingers: what follows the shutdown, which wakes the reading thread, is a reset.
    connection.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    connection.socket.shutdown(socket.SHUT_RDWR)


def left_open(proxy: Mitmdump) -> list[dict[str, Any]]:
    """Records that have not ended."""
    return [record for record in proxy.all_records() if record["ended_at"] is None]


@SDK
def test_a_prewarm_a_turn_and_what_goes_on_from_its_tool_are_three_interceptions(
    own_proxy: Mitmdump, provider: Provider, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[dict[str, Any]] = []

    def converse(connection: ServerConnection) -> None:
        for number, output in enumerate(([], [SHELL], [message("Two files")]), 1):
            asked.append(json.loads(connection.recv()))
            for frame in frames(f"resp_{number}", output):
                connection.send(frame)
        connection.recv()

    provider.converse = converse
    monkeypatch.setenv("HTTPS_PROXY", own_proxy.url)
    tools: Any = [{"type": "custom", "name": "shell", "description": "Runs a command"}]
    result = "a.txt\nb.txt ü"
    with sdk_session(own_proxy, openai.OpenAI(api_key=OPENAI_KEY)) as session:
        # Older versions have no word for it, and pass on what they are given.
        session.send({"type": "response.create", "model": GPT, "tools": tools, "input": [], "generate": False})
        warm = finish(session)
        session.response.create(model=GPT, tools=tools, input=[said("What is here?")], previous_response_id=warm)
        turn = finish(session)
        output: Any = {"type": "custom_tool_call_output", "call_id": "call_1", "output": result}
        session.response.create(model=GPT, tools=tools, input=[output], previous_response_id=turn)
        assert finish(session) == "resp_3"
        own_proxy.records(3)
        abort(session._connection)
        assert provider.over.wait(PATIENCE)
    assert [frame.get("generate") for frame in asked] == [False, None, None]

    prewarm, first, second = own_proxy.all_records()
    everything = (prewarm, first, second)
    assert [record["purpose"] for record in everything] == ["auxiliary", "conversation", "conversation"]
    assert prewarm["metadata"]["purpose_reason"] == "prewarm"
    assert [[prompt["prompt"] for prompt in record["user_prompts"]] for record in everything] == (
        [[], ["What is here?"], []]
    )
    assert [len(record["tool_usages"]) for record in everything] == [0, 1, 0]
    [tool] = first["tool_usages"]
    assert (tool["tool"], tool["kind"], tool["input"]) == ("shell", "custom", "ls -l")
    assert (tool["provider_tool_call_id"], tool["result_bytes"]) == ("call_1", len(result.encode()))
    assert second["thread_parent_id"] == first["id"]
    for record in everything:
        assert (record["outcome"], record["status_code"], record["api"]) == ("completed", 101, "openai.responses")
        assert (record["model"], record["streaming"], record["path"]) == (GPT, True, RESPONSES)
        [usage] = record["token_usages"]
        assert (usage["input_tokens"], usage["cache_read_input_tokens"], usage["output_tokens"]) == (11, 5, 7)
    assert OPENAI_KEY not in json.dumps(everything)


@pytest.mark.parametrize(("who", "outcome"), [("client", "cancelled"), ("provider", "failed")])
def test_a_socket_that_breaks_off_without_a_close_frame_ends_the_turn_that_is_open(
    who: str, outcome: str, own_proxy: Mitmdump, provider: Provider
) -> None:
    begun = threading.Event()

    def converse(connection: ServerConnection) -> None:
        connection.recv()
        connection.send(frames("resp_1", [message("Hello")])[0])
        if who == "provider":
            begun.wait(PATIENCE)
            abort(connection)
        for _ in connection:
            pass

    provider.converse = converse
    connection = open_socket(own_proxy)
    connection.send(ask("Hello?"))
    assert json.loads(connection.recv(PATIENCE))["type"] == "response.created"
    until(lambda: left_open(own_proxy), "the turn is announced")
    if who == "client":
        abort(connection)
    begun.set()

    record = own_proxy.record()
    assert (record["outcome"], record["user_prompts"][0]["prompt"]) == (outcome, "Hello?")
    assert left_open(own_proxy) == []
    assert provider.over.wait(PATIENCE)


def resident(pid: int) -> int:
    """Bytes of memory that a process holds (proc(5), statm: the second number, in pages)."""
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def ended(proxy: Mitmdump) -> int:
    """How many records have ended; cheaper than to read them."""
    with closing(sqlite3.connect(proxy.database)) as database:
        [(count,)] = database.execute("SELECT count(*) FROM aibridge_interceptions WHERE ended_at IS NOT NULL")
    return count


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_a_socket_that_is_open_all_day_takes_no_memory_and_loses_no_turn(
    own_proxy: Mitmdump, provider: Provider
) -> None:
    events = response_sse("resp_N", text="word" * (FRAMES - 8)).decode().splitlines()
    template = [line.removeprefix("data: ") for line in events if line.startswith("data: ")]
    assert len(template) == FRAMES

    def converse(connection: ServerConnection) -> None:
        for number, _ in enumerate(connection):
            for frame in template:
                connection.send(frame.replace("resp_N", f"resp_{number}"))

    provider.converse = converse
    [recorder] = own_proxy.children()
    used: list[dict[str, int]] = []
    with open_socket(own_proxy) as connection:
        for half in (range(TURNS // 2), range(TURNS // 2, TURNS)):
            for number in half:
                connection.send(ask(f"turn {number}", previous_response_id=f"resp_{number - 1}"))
                for _ in range(FRAMES):
                    last = connection.recv(PATIENCE)
                assert json.loads(last)["response"]["id"] == f"resp_{number}"
            until(lambda half=half: ended(own_proxy) >= half.stop, "every turn is recorded")
            used.append({"mitmdump": resident(own_proxy.process.pid), "recorder": resident(recorder)})

    grown = {name: used[1][name] - used[0][name] for name in used[0]}
    assert max(grown.values()) <= MARGIN, f"after half a day {used[0]}, grown by {grown} since"
    assert own_proxy.children() == [recorder]
    records = own_proxy.all_records()
    assert [record["user_prompts"][0]["prompt"] for record in records] == [f"turn {number}" for number in range(TURNS)]
    responses = [record["token_usages"][0]["provider_response_id"] for record in records]
    assert responses == [f"resp_{number}" for number in range(TURNS)]
    assert {record["outcome"] for record in records} == {"completed"}


@SDK
def test_a_refused_handshake_leaves_no_record_and_the_post_after_it_one(
    proxy: Mitmdump, upstream: Upstream, monkeypatch: pytest.MonkeyPatch
) -> None:
    def handler(request: Request, reply: Reply) -> None:
        if request.headers.get("upgrade") == "websocket":
            answer(b"{}", status=426)(request, reply)
        else:
            answer(response_json("resp_1", text="Hello"))(request, reply)

    upstream.serve(handler)
    monkeypatch.setenv("HTTPS_PROXY", proxy.url)
    before = len(proxy.all_records())
    client = Tap(proxy).openai()
    with pytest.raises(InvalidStatus) as refused, sdk_session(proxy, client):
        pass
    assert refused.value.response.status_code == 426
    assert client.responses.create(model=GPT, input="Hello?").output_text == "Hello"

    record = proxy.record()
    assert (record["outcome"], record["status_code"]) == ("completed", 200)
    assert record["user_prompts"][0]["prompt"] == "Hello?"
    assert len(proxy.all_records()) == before + 1
    assert [request.method for request, _ in upstream.exchanges] == ["GET", "POST"]
