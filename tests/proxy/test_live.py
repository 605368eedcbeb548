"""Gemini Live by its official SDK, over a WebSocket through a real proxy."""

from __future__ import annotations

import asyncio
import json
import ssl
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from google import genai
from google.genai import types
from websockets.sync.server import Server, ServerConnection, serve

from tests.capture.google import USAGE
from tests.proxy.mitmdump import Mitmdump
from tests.proxy.upstream import self_signed

COUNTED = {"responseTokenCount": USAGE["candidatesTokenCount"], **USAGE}
del COUNTED["candidatesTokenCount"]


class Live:
    """A provider that answers each turn with a call or a word, in binary frames, as Google does."""

    def __init__(self, folder: Path) -> None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self_signed(folder))
        self._server: Server = serve(self._converse, "127.0.0.1", 0, ssl=context)
        self.port: int = self._server.socket.getsockname()[1]
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)
        self._thread.start()

    def close(self) -> None:
        self._server.shutdown()
        self._thread.join(60)

    def _converse(self, connection: ServerConnection) -> None:
        def say(**message: Any) -> None:
            connection.send(json.dumps(message).encode())

        for text in connection:
            message = json.loads(text)
            if "setup" in message:
                say(setupComplete={})
            elif "client_content" in message or "clientContent" in message:
                say(toolCall={"functionCalls": [{"id": "call-1", "name": "light", "args": {"on": True}}]})
            else:
                say(serverContent={"modelTurn": {"role": "model", "parts": [{"text": "It is on"}]}})
                say(serverContent={"turnComplete": True}, usageMetadata=COUNTED)


@pytest.fixture
def own_proxy(tmp_path: Path, confdir: Path) -> Iterator[Mitmdump]:
    provider = Live(tmp_path)
    found = Mitmdump(tmp_path, confdir, provider)  # type: ignore[arg-type]
    yield found
    found.stop()
    provider.close()


def test_each_turn_of_a_session_is_a_record(own_proxy: Mitmdump, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTPS_PROXY", own_proxy.url)
    monkeypatch.setenv("SSL_CERT_FILE", str(own_proxy.certificate))

    async def talk() -> None:
        client = genai.Client(api_key="AIzaSyNotARealKey-0123456789")
        async with client.aio.live.connect(model="gemini-live-test", config={"response_modalities": ["TEXT"]}) as live:
            turn = types.Content(role="user", parts=[types.Part(text="Light, please")])
            await live.send_client_content(turns=turn, turn_complete=True)
            async for message in live.receive():
                if message.tool_call:
                    response = types.FunctionResponse(id="call-1", name="light", response={"result": "ok"})
                    await live.send_tool_response(function_responses=[response])

    asyncio.run(talk())
    second, first = own_proxy.records(2)[::-1]
    assert {record["api"] for record in (first, second)} == {"google.live"}
    assert (first["model"], first["outcome"], second["outcome"]) == ("gemini-live-test", "completed", "completed")
    assert [prompt["prompt"] for prompt in first["user_prompts"]] == ["Light, please"]
    assert [(tool["tool"], tool["result_status"]) for tool in first["tool_usages"]] == [("light", "ok")]
    assert (second["thread_parent_id"], second["user_prompts"]) == (first["id"], [])
    assert [usage["output_tokens"] for usage in second["token_usages"]] == [16]
