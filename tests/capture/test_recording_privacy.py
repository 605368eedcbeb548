"""What is never stored."""

from __future__ import annotations

import msgspec
import pytest

from tests.capture.exchanges import APIS, CORE, asked
from tests.capture.making import (
    CHAT,
    MESSAGES,
    RESPONSES,
    answers,
    dump,
    record,
    response_events,
    sse,
)


@pytest.mark.parametrize("api", APIS)
def test_minimal_capture_keeps_no_text_at_all(api: str) -> None:
    marked = sse(api, answers(api)).replace(b"Let me", b"MARK").replace(b"a.txt", b"MARK").replace(b"text(1)", b"MARK")
    marked = marked.replace(b'{\\"path\\": \\"a\\"}', b"MARK")
    found = record(api, asked(api, "MARK it"), marked, capture="minimal")
    assert b"MARK" not in msgspec.json.encode(found)
    assert (len(found.user_prompts), len(found.tool_usages), len(found.model_thoughts)) == (1, 2, 1)
    children = [found.user_prompts[0].metadata, found.tool_usages[0].metadata, found.model_thoughts[0].metadata]
    assert all(metadata["chars"] > 3 for metadata in children)
    assert found.capture == "minimal"
    assert found.token_usages[0].output_tokens > 0


SECRETS = {
    "x-api-key": f"sk-ant-api03-{CORE}",
    "authorization": f"Bearer opaque{CORE}",
    "cookie": f"session={CORE}",
    "proxy-authorization": f"Basic {CORE}",
}


@pytest.mark.parametrize("name", SECRETS)
def test_no_credential_reaches_the_record_in_any_field(name: str) -> None:
    words = f"bad credential {SECRETS[name]} ({SECRETS[name].rpartition(' ')[2]})"
    item = {"type": "mcp_call", "id": "m", "name": "n", "arguments": "{}", "error": words}
    answer = response_events([item], last="response.failed", error={"message": words, "code": words})
    error = dump({"type": "error", "error": {"type": words, "message": words}})
    for found in (
        record(RESPONSES, asked(RESPONSES), sse(RESPONSES, answer), headers=SECRETS),
        record(MESSAGES, asked(MESSAGES), error, status=401, headers=SECRETS),
        record(MESSAGES, asked(MESSAGES), words.encode(), status=401, headers=SECRETS),
        record(MESSAGES, asked(MESSAGES), b"event: error\ndata: " + error + b"\n\n", headers=SECRETS),
        record(MESSAGES, asked(MESSAGES), status=None, failure=words, headers=SECRETS),
    ):
        assert CORE.encode() not in msgspec.json.encode(found)
        assert "bad credential" in (found.error_message or "")


def test_a_key_in_the_query_reaches_no_field() -> None:
    words = f"bad url https://example.com/v1/call?alt=sse&key=AIza{CORE}"
    found = record(CHAT, asked(CHAT), words.encode(), status=400, query=f"alt=sse&key=AIza{CORE}")
    assert CORE.encode() not in msgspec.json.encode(found)
    assert (found.path, found.credential_hint) == ("/v1/call", "AIza...p6Yd")


def test_the_address_of_an_attachment_loses_the_signature_that_opens_it() -> None:
    url = f"https://bucket.example.com/a.png?X-Amz-Credential=AKIA{CORE}&X-Amz-Signature={CORE}"
    chat = [{"type": "text", "text": "look"}, {"type": "image_url", "image_url": {"url": url}}]
    responses = [{"type": "input_text", "text": "look"}, {"type": "input_image", "image_url": url}]
    for api, content in ((CHAT, chat), (RESPONSES, responses)):
        found = record(api, asked(api, content), sse(api, answers(api)))
        assert CORE.encode() not in msgspec.json.encode(found)
        kept = found.user_prompts[0].metadata["attachments"]
        assert kept == [{"type": "image", "uri": "https://bucket.example.com/a.png"}]


def test_the_address_of_an_mcp_server_loses_what_may_authenticate() -> None:
    item = {
        "type": "mcp_call",
        "id": "m",
        "name": "n",
        "arguments": "{}",
        "server_url": f"https://me:{CORE}@mcp.example.com:8443/sse?token={CORE}#{CORE}",
    }
    found = record(RESPONSES, asked(RESPONSES), sse(RESPONSES, response_events([item])))
    assert found.tool_usages[0].server_url == "https://mcp.example.com:8443/sse"
    assert (found.tool_usages[0].kind, found.tool_usages[0].result_status) == ("mcp", "ok")


def test_headers_that_are_kept_are_cut() -> None:
    found = record(CHAT, headers={"user-agent": "x" * 9999, "x-request-id": "y" * 9999})
    assert len(found.user_agent or "") == len(found.client_request_id or "") == 512
