"""The policy over WebSockets: handshakes and single messages are refused, and the socket stays."""

from __future__ import annotations

import json
import ssl
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("websockets")

from websockets.exceptions import InvalidStatus
from websockets.sync.client import ClientConnection, connect
from websockets.sync.server import Server, ServerConnection, serve

from tests.proxy.mitmdump import Mitmdump, until
from tests.proxy.upstream import self_signed

WORDS = "Ask the platform team, Gr\u00fc\u00dfe."
PATIENCE = 60.0
NOTED = {"action": "deny", "rule": 1, "mode": "enforce"}


class Provider:
    """Completes every ``response.create`` at once; ``heard`` is all that came, ``opened`` counts handshakes."""

    def __init__(self, folder: Path) -> None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self_signed(folder))
        self.heard: list[dict[str, Any]] = []
        self.opened = 0
        self._server: Server = serve(self._converse, "127.0.0.1", 0, ssl=context)
        self.port: int = self._server.socket.getsockname()[1]
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)
        self._thread.start()

    def close(self) -> None:
        self._server.shutdown()
        self._thread.join(PATIENCE)

    def _converse(self, connection: ServerConnection) -> None:
        self.opened += 1
        for message in connection:
            self.heard.append(json.loads(message))
            response = {"id": f"resp_{len(self.heard)}", "object": "response", "output": []}
            for kind, status in (("response.created", "in_progress"), ("response.completed", "completed")):
                connection.send(json.dumps({"type": kind, "response": {**response, "status": status}}))


@pytest.fixture
def provider(tmp_path: Path) -> Iterator[Provider]:
    found = Provider(tmp_path)
    yield found
    found.close()


Under = Callable[..., Mitmdump]


@pytest.fixture
def under(tmp_path: Path, confdir: Path, provider: Provider, monkeypatch: pytest.MonkeyPatch) -> Iterator[Under]:
    """Start a proxy with one rule, written as TOML."""
    started: list[Mitmdump] = []

    def start(rule: str, mode: str = "enforce") -> Mitmdump:
        file = tmp_path / "aitap.toml"
        file.write_text(f'policy = "{mode}"\n[[rule]]\naction = "deny"\n{rule}\nmessage = "{WORDS}"\n', "utf-8")
        monkeypatch.setenv("AITAP_CONFIG", str(file))
        started.append(Mitmdump(tmp_path, confdir, provider))  # type: ignore[arg-type]
        return started[-1]

    yield start
    for proxy in started:
        proxy.stop()


def open_socket(proxy: Mitmdump, target: str = "/v1/responses") -> ClientConnection:
    headers = {"authorization": "Bearer sk-proj-not-a-real-key-0123456789"}
    address = f"wss://api.openai.com{target}"
    return connect(
        address, ssl=proxy.trust(two_threads=True), proxy=proxy.url, additional_headers=headers, open_timeout=PATIENCE
    )


def ask(connection: ClientConnection, model: str | None, text: str, **more: Any) -> dict[str, Any]:
    """Ask for a response; the event that ends it."""
    named = {} if model is None else {"model": model}
    item = {"type": "message", "role": "user", "content": [{"type": "input_text", "text": text}]}
    connection.send(json.dumps({"type": "response.create", **named, "input": [item], **more}))
    while (event := json.loads(connection.recv(PATIENCE)))["type"] == "response.created":
        pass
    return event


def test_a_message_that_asks_for_a_refused_model_gets_an_error_event_and_the_socket_stays(
    under: Under, provider: Provider
) -> None:
    proxy = under('models = "bad*"')
    with open_socket(proxy) as connection:
        assert ask(connection, "good", "First")["type"] == "response.completed"
        refused = ask(connection, "bad-1", "Second", stream_id="s")
        assert ask(connection, "good", "Third")["type"] == "response.completed"
        nameless = ask(connection, None, "Fourth")
        long = ask(connection, "bad-2", "x" * 600_000)
    assert (refused["type"], refused["status"], refused["stream_id"]) == ("error", 400, "s")
    assert refused["error"]["message"] == long["error"]["message"] == WORDS
    assert "cannot tell which model" in nameless["error"]["message"]
    assert [message["model"] for message in provider.heard] == ["good", "good"]

    records = proxy.records(5)
    assert [record["outcome"] for record in records] == ["completed", "failed", "completed", "failed", "failed"]
    assert [record["metadata"].get("policy") for record in records] == [None, NOTED, None, NOTED, NOTED]
    assert (records[1]["error_type"], records[1]["error_message"]) == ("unauthorized", WORDS)
    assert records[1]["user_prompts"][0]["prompt"] == "Second"


def test_warn_lets_messages_go_on_and_notes_them(under: Under, provider: Provider) -> None:
    proxy = under('models = "bad*"', mode="warn")
    with open_socket(proxy) as connection:
        assert ask(connection, "bad", "First")["type"] == "response.completed"
        assert ask(connection, "good", "Second")["type"] == "response.completed"
    records = proxy.records(2)
    assert [record["metadata"].get("policy") for record in records] == [NOTED | {"mode": "warn"}, None]


def test_a_handshake_that_is_refused_whatever_the_model_reaches_nobody_and_leaves_no_record(
    under: Under, provider: Provider
) -> None:
    proxy = under('providers = "openai"')
    with pytest.raises(InvalidStatus) as caught:
        open_socket(proxy)
    answer = caught.value.response
    assert (answer.status_code, answer.headers["x-aitap-policy"]) == (403, "rule 1")
    assert json.loads(answer.body)["error"]["message"] == WORDS
    until(lambda: "policy rule 1 refuses" in proxy.said(), "the refusal is told")
    assert provider.opened == 0
    assert proxy.all_records() == []


@pytest.mark.parametrize(("target", "status"), [("?model=bad-1", 403), ("", 403), ("?model=good", None)])
def test_a_session_of_realtime_is_decided_by_the_model_of_its_handshake(
    target: str, status: int | None, under: Under, provider: Provider
) -> None:
    proxy = under('models = "bad*"')
    if status is None:
        with open_socket(proxy, f"/v1/realtime{target}") as connection:
            assert ask(connection, None, "Hi")["type"] == "response.completed"
        assert provider.opened == 1
        return
    with pytest.raises(InvalidStatus) as caught:
        open_socket(proxy, f"/v1/realtime{target}")
    assert caught.value.response.status_code == status
    assert provider.opened == 0


def test_a_session_of_realtime_cannot_change_over_to_a_refused_model(under: Under, provider: Provider) -> None:
    proxy = under('models = "bad*"')
    with open_socket(proxy, "/v1/realtime?model=good") as connection:
        connection.send(json.dumps({"type": "session.update", "event_id": "e1", "session": {"model": "bad"}}))
        event = json.loads(connection.recv(PATIENCE))
        assert (event["type"], event["error"]["event_id"], event["error"]["message"]) == ("error", "e1", WORDS)
        assert ask(connection, None, "Hi")["type"] == "response.completed"
    assert [message["type"] for message in provider.heard] == ["response.create"]
