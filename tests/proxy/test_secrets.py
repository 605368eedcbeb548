"""No credential a client sends is found anywhere afterwards, whatever field carried it."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable

import pytest

from tests.proxy.client import ANTHROPIC, OPENAI, connect
from tests.proxy.mitmdump import Mitmdump, aitap
from tests.proxy.upstream import Handler, Reply, Request, Upstream, answer
from tests.proxy.wire import (
    CHAT,
    MESSAGES,
    RESPONSES,
    ask_chat,
    ask_messages,
    ask_responses,
    chat_json,
    message_json,
    response_json,
)

SECRET = "9f8Zq3vK7rWm2TxLp6Yd"
"""The core of each planted credential; the masked hint may show four characters at either end, not these."""

HEADERS = {
    "authorization": f"Bearer sk-ant-oat01-{SECRET}-tail",
    "x-api-key": f"sk-ant-api03-{SECRET}-tail",
    "x-goog-api-key": f"AIza{SECRET}tail",
    "api-key": f"azur{SECRET}tail",
    "cookie": f"session={SECRET}",
    "proxy-authorization": "Basic " + base64.b64encode(f"user:{SECRET}".encode()).decode(),
    "x-amz-security-token": f"FwoG{SECRET}tail",
    "statsig-api-key": f"client-{SECRET}",
    "x-auth-token": f"{SECRET}",
    "helicone-auth": f"Bearer sk-helicone-{SECRET}",
    "cf-aig-authorization": f"Bearer {SECRET}",
    "sec-websocket-protocol": f"realtime, openai-insecure-api-key.sk-{SECRET}",
}
SIGNATURE = (
    f"AWS4-HMAC-SHA256 Credential=AKIA{SECRET}/20261120/us-east-1/bedrock/aws4_request, "
    f"SignedHeaders=host, Signature={SECRET}"
)
QUERY = f"?key=AIza{SECRET}tail&api_key={SECRET}&access_token={SECRET}&X-Amz-Signature={SECRET}&beta=true"
ECHO = f"Incorrect API key provided: sk-proj-{SECRET}-tail. You can find your key in your account."

APIS = {
    "messages": (ANTHROPIC, MESSAGES, ask_messages, message_json),
    "chat": (OPENAI, CHAT, ask_chat, chat_json),
    "responses": (OPENAI, RESPONSES, ask_responses, response_json),
}
BODY_FIELDS = {
    "mcp_servers": [{"type": "url", "url": "https://mcp.invalid/sse", "name": "m", "authorization_token": SECRET}],
    "tools": [
        {
            "type": "mcp",
            "server_label": "m",
            "server_url": f"https://user:{SECRET}@mcp.invalid/sse?token={SECRET}",
            "authorization": SECRET,
            "headers": {"Authorization": f"Bearer {SECRET}", "X-Api-Key": SECRET},
        }
    ],
    "metadata": {"user_id": "someone", "api_key": SECRET, "authorization": f"Bearer {SECRET}"},
    "api_key": SECRET,
    "key": SECRET,
}


def refused(_: Request, reply: Reply) -> None:
    """The provider repeats the key in its answer, as OpenAI does, and sets a cookie."""
    body = json.dumps({"error": {"type": "invalid_request_error", "message": ECHO, "code": "invalid_api_key"}}).encode()
    reply.head(401, {"content-type": "application/json", "set-cookie": f"__cf_bm={SECRET}"}, length=len(body))
    reply.send(body)
    reply.end()


@pytest.fixture(scope="module")
def outputs() -> list[str]:
    """The commands whose output is searched."""
    return ["export --contents", "export --format csv", "interceptions list --json", "sessions list --json"]


@pytest.mark.parametrize("capture", ["metadata+prompt", "full"])
def test_planted_credentials_are_found_nowhere(
    capture: str,
    start_proxy: Callable[..., Mitmdump],
    upstream: Upstream,
    outputs: list[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("COLUMNS", "1000")  # no luck by lines cut to fit a terminal
    proxy = start_proxy(arguments=("--set", "termlog_verbosity=debug", "--set", f"aitap_capture={capture}"))
    count = 0

    def call(host: str, target: str, body: bytes, handler: Handler, headers: dict[str, str]) -> None:
        nonlocal count
        upstream.serve(handler)
        connection = connect(proxy, host)
        connection.request("POST", target, body, {"content-type": "application/json"} | headers)
        connection.getresponse().read()
        connection.close()
        count += 1

    for host, target, ask, told in APIS.values():
        for handler in (answer(told("id_1", text="Hello")), refused):
            for name, value in HEADERS.items():
                call(host, target, ask("hi"), handler, {name: value})
            call(host, target, ask("hi"), handler, {"authorization": SIGNATURE})
            call(host, target + QUERY, ask("hi"), handler, HEADERS)
            call(host, target, ask("hi", **BODY_FIELDS), handler, HEADERS)
        with upstream.refusing():
            call(host, target + QUERY, ask("hi"), refused, HEADERS)

    records = proxy.records(count)
    assert {record["outcome"] for record in records} == {"completed", "failed"}
    assert any("..." in record["credential_hint"] for record in records), "a credential was seen and masked"

    assert any(record["request_digest"] for record in records) is (capture == "full")

    files = {path.name: path.read_bytes() for path in proxy.folder.iterdir()}
    assert {"aitap.db", "aitap.db-wal", "mitmdump.log"} <= files.keys()
    said = {words: aitap(*words.split(), AITAP_DATABASE_URL=proxy.database_url) for words in outputs}
    assert {words: result.returncode for words, result in said.items()} == dict.fromkeys(outputs, 0)
    places = files | {words: (result.stdout + result.stderr).encode() for words, result in said.items()}
    encoded = base64.b64encode(f"user:{SECRET}".encode())
    assert [place for place, text in places.items() if SECRET.encode() in text or encoded in text] == []

    proxy.stop()
    assert SECRET.encode() not in proxy.database.read_bytes()
