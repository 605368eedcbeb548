"""OpenAI Realtime by its official SDK, over a WebSocket through a real proxy."""

from __future__ import annotations

import json
import ssl
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import openai
import pytest
from websockets.sync.server import Server, ServerConnection, serve

from tests.proxy.mitmdump import Mitmdump
from tests.proxy.sdks import OPENAI_KEY
from tests.proxy.upstream import self_signed

USAGE = {
    "total_tokens": 30,
    "input_tokens": 20,
    "output_tokens": 10,
    "input_token_details": {"cached_tokens": 5, "text_tokens": 20, "audio_tokens": 0},
    "output_token_details": {"text_tokens": 4, "audio_tokens": 6},
}


class Realtime:
    """A provider that answers each ``response.create`` as the reference says, with a bit of audio."""

    def __init__(self, folder: Path) -> None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self_signed(folder))
        self._server: Server = serve(self._converse, "127.0.0.1", 0, ssl=context, compression="deflate")
        self.port: int = self._server.socket.getsockname()[1]
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)
        self._thread.start()

    def close(self) -> None:
        self._server.shutdown()
        self._thread.join(60)

    def _converse(self, connection: ServerConnection) -> None:
        def say(kind: str, **more: Any) -> None:
            connection.send(json.dumps({"type": kind, "event_id": "event_1", **more}))

        say("session.created", session={"type": "realtime", "object": "realtime.session", "model": "gpt-realtime-x"})
        count = 0
        for message in connection:
            if json.loads(message)["type"] != "response.create":
                continue
            count += 1
            response = {"id": f"resp_{count}", "object": "realtime.response", "status": "in_progress", "output": []}
            say("response.created", response=response)
            call = {"id": "item_1", "type": "function_call", "name": "light", "call_id": "call_1", "arguments": "{}"}
            place = {"response_id": response["id"], "output_index": 0}
            say("response.output_item.added", item=call, **place)
            say("response.output_audio.delta", item_id="item_1", content_index=0, delta="UklGRg==", **place)
            say("response.done", response={**response, "status": "completed", "output": [call], "usage": USAGE})


@pytest.fixture
def provider(tmp_path: Path) -> Iterator[Realtime]:
    found = Realtime(tmp_path)
    yield found
    found.close()


@pytest.fixture
def own_proxy(tmp_path: Path, confdir: Path, provider: Realtime) -> Iterator[Mitmdump]:
    found = Mitmdump(tmp_path, confdir, provider)  # type: ignore[arg-type]
    yield found
    found.stop()


def test_each_response_of_a_session_is_a_record(own_proxy: Mitmdump, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTPS_PROXY", own_proxy.url)
    client = openai.OpenAI(api_key=OPENAI_KEY)
    options: Any = {"ssl": own_proxy.trust(), "proxy": own_proxy.url}
    with client.realtime.connect(model="gpt-realtime-test", websocket_connection_options=options) as session:
        for prompt in ("Light, please", "And off"):
            content: Any = [{"type": "input_text", "text": prompt}]
            session.conversation.item.create(item={"type": "message", "role": "user", "content": content})
            session.response.create()
            assert next(event for event in session if event.type == "response.done").response.status == "completed"
    records = own_proxy.records(2)
    assert [record["user_prompts"][0]["prompt"] for record in records] == ["Light, please", "And off"]
    assert {record["api"] for record in records} == {"openai.realtime"}
    assert {record["model"] for record in records} == {"gpt-realtime-test"}
    assert {record["response_model"] for record in records} == {"gpt-realtime-x"}
    assert {record["outcome"] for record in records} == {"completed"}
    assert [record["tool_usages"][0]["tool"] for record in records] == ["light"] * 2
    usage = records[0]["token_usages"][0]
    assert (usage["input_tokens"], usage["cache_read_input_tokens"], usage["output_tokens"]) == (15, 5, 10)
    assert records[0]["session_id"] == records[1]["session_id"]
    assert OPENAI_KEY not in json.dumps(records)
