"""Google's SDK, and Anthropic's for Claude on Vertex AI, through a real proxy."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from typing import Any

import anthropic
import pytest
from google import genai
from google.genai import errors, types
from google.oauth2.credentials import Credentials

from tests.capture.google import USAGE, array, call, chunk, dump, events, thought, user
from tests.proxy.client import exchange
from tests.proxy.mitmdump import Mitmdump
from tests.proxy.sdks import Tap
from tests.proxy.upstream import Upstream, answer, in_turn
from tests.proxy.wire import message_json, message_sse

EVENTS = "text/event-stream"
KEY = "AIzaSyNotARealKey-0123456789"
TOKEN = "ya29.not-a-real-token-0123456789"
GEMINI = "gemini-test-1"
TEXT = "Gr\u00fc\u00dfe, Welt"

BLOCKING = dump(chunk(thought("Hm."), TEXT, finish="STOP", usageMetadata=USAGE))
STREAM = events([chunk(thought("Hm.")), chunk(TEXT[:5]), chunk(TEXT[5:], finish="STOP", usageMetadata=USAGE)])


@pytest.fixture(autouse=True)
def _environment(proxy: Mitmdump, monkeypatch: pytest.MonkeyPatch) -> None:
    """What a user sets; the SDK stands on one HTTP library or another, and each of them heeds it."""
    monkeypatch.setenv("HTTPS_PROXY", proxy.url)
    monkeypatch.setenv("SSL_CERT_FILE", str(proxy.certificate))


def gemini() -> genai.Client:
    return genai.Client(api_key=KEY)


def vertex() -> genai.Client:
    return genai.Client(vertexai=True, project="p", location="europe-west4", credentials=Credentials(token=TOKEN))


def text(made: genai.Client) -> str | None:
    return made.models.generate_content(model=GEMINI, contents="Say hi").text


def text_stream(made: genai.Client) -> str:
    return "".join(part.text or "" for part in made.models.generate_content_stream(model=GEMINI, contents="Say hi"))


def async_text_stream(made: genai.Client) -> str:
    async def run() -> str:
        found = await made.aio.models.generate_content_stream(model=GEMINI, contents="Say hi")
        return "".join([part.text or "" async for part in found])

    return asyncio.run(run())


@pytest.mark.parametrize("program", [text, text_stream, async_text_stream], ids=lambda program: program.__name__)
@pytest.mark.parametrize(
    ("make", "name", "host"),
    [
        (gemini, "google", "generativelanguage.googleapis.com"),
        (vertex, "vertex", "europe-west4-aiplatform.googleapis.com"),
    ],
)
def test_googles_sdk_gets_its_answer_and_one_exact_record_is_kept(
    make: Callable[[], genai.Client],
    name: str,
    host: str,
    program: Callable[[genai.Client], str],
    proxy: Mitmdump,
    upstream: Upstream,
) -> None:
    streaming = program is not text
    body = STREAM if streaming else BLOCKING
    upstream.serve(answer(body, EVENTS if streaming else "application/json; charset=UTF-8"))

    assert program(make()) == TEXT

    record = proxy.record()
    expected = {
        "api": "google.generate_content",
        "provider": "google",
        "provider_name": name,
        "host": host,
        "client": "Google GenAI SDK",
        "client_version": genai.__version__,
        "model": GEMINI,
        "response_model": "gemini-test-1-001",
        "stop_reason": "STOP",
        "outcome": "completed",
        "streaming": streaming,
        "request_bytes": len(upstream.exchanges[0][0].body),
        "response_bytes": len(body),
        "credential_kind": "byok_api_key" if name == "google" else "byok_subscription",
    }
    assert {key: record[key] for key in expected} == expected
    [usage] = record["token_usages"]
    assert (usage["input_tokens"], usage["cache_read_input_tokens"], usage["output_tokens"]) == (13, 8, 16)
    assert [prompt["prompt"] for prompt in record["user_prompts"]] == ["Say hi"]
    assert [found["content"] for found in record["model_thoughts"]] == ["Hm."]


@pytest.mark.parametrize("ids", [{}, {"id": "call-1"}], ids=["without_ids", "with_ids"])
def test_the_function_calls_of_googles_sdk_make_one_thread(
    ids: dict[str, str], proxy: Mitmdump, upstream: Upstream
) -> None:
    asked = dump(chunk(call("weather", {"city": "K\u00f6ln"}, **ids), finish="STOP", usageMetadata=USAGE))
    upstream.serve(in_turn(answer(asked), answer(BLOCKING)))

    def weather(city: str) -> str:
        """The weather in a city."""
        return f"Rain in {city}"

    weather.__annotations__ = {"city": str, "return": str}  # the SDK reads no postponed ones
    config = types.GenerateContentConfig(tools=[weather])
    assert gemini().models.generate_content(model=GEMINI, contents="Say hi", config=config).text == TEXT

    first, second = proxy.records(2)
    assert second["thread_parent_id"] == first["id"]
    assert second["session_id"] == first["session_id"]
    assert second["user_prompts"] == []
    [found] = first["tool_usages"]
    assert (found["tool"], json.loads(found["input"])) == ("weather", {"city": "K\u00f6ln"})
    assert found["provider_tool_call_id"] == ids.get("id")
    assert found["result_status"] == "ok"


def test_googles_error_reaches_the_sdk_and_the_record(proxy: Mitmdump, upstream: Upstream) -> None:
    error = {"error": {"code": 429, "message": f"Quota of {KEY} is used up.", "status": "RESOURCE_EXHAUSTED"}}
    upstream.serve(answer(dump(error), status=429))

    with pytest.raises(errors.ClientError):
        text(gemini())

    record = proxy.record()
    assert (record["outcome"], record["error_type"]) == ("failed", "rate_limited")
    assert record["error_message"].startswith("Quota of AIza...")
    assert KEY not in record["error_message"]


def test_a_stream_that_is_one_json_array_is_read_as_it_comes(proxy: Mitmdump, upstream: Upstream) -> None:
    body = array([chunk(thought("Hm.")), chunk(TEXT), chunk(finish="STOP", usageMetadata=USAGE)])
    upstream.serve(answer(body, chunked=True))

    path = f"/v1beta/models/{GEMINI}:streamGenerateContent?key={KEY}"
    assert exchange(proxy, "generativelanguage.googleapis.com", path, dump({"contents": [user("hi")]})) == (200, body)

    record = proxy.record()
    assert (record["outcome"], record["stop_reason"], record["path"]) == ("completed", "STOP", path.partition("?")[0])
    assert record["time_to_first_token"] is not None
    assert KEY not in json.dumps(record)


@pytest.mark.parametrize("streaming", [False, True])
def test_claude_on_vertex_is_recorded_as_anthropics(streaming: bool, proxy: Mitmdump, upstream: Upstream) -> None:
    form = message_sse if streaming else message_json
    upstream.serve(answer(form("msg_1", text=TEXT), EVENTS if streaming else "application/json"))
    made = anthropic.AnthropicVertex(
        region="us-east5", project_id="p", access_token=TOKEN, max_retries=0, http_client=Tap(proxy)._client(anthropic)
    )
    ask: dict[str, Any] = {"max_tokens": 64, "messages": [{"role": "user", "content": "Say hi"}]}
    ask["model"] = "claude-test-1@20260101"
    if streaming:
        with made.messages.stream(**ask) as stream:
            message = stream.get_final_message()
    else:
        message = made.messages.create(**ask)
    assert message.content[0].text == TEXT

    record = proxy.record()
    assert (record["api"], record["provider"], record["provider_name"]) == ("anthropic.messages", "anthropic", "vertex")
    assert (record["model"], record["streaming"], record["outcome"]) == (ask["model"], streaming, "completed")
    assert [prompt["prompt"] for prompt in record["user_prompts"]] == ["Say hi"]
    assert record["token_usages"][0]["output_tokens"] == 7


def test_an_interaction_is_recorded(proxy: Mitmdump, upstream: Upstream) -> None:
    head = {"id": "int_1", "model": GEMINI, "created": "2026-01-01T00:00:00Z", "updated": "2026-01-01T00:00:00Z"}
    usage = {"total_input_tokens": 21, "total_cached_tokens": 8, "total_output_tokens": 12, "total_thought_tokens": 4}
    told: list[dict[str, Any]] = [
        {"event_type": "interaction.created", "interaction": {**head, "status": "in_progress", "steps": []}},
        {"event_type": "step.start", "index": 0, "step": {"type": "model_output"}},
        {"event_type": "step.delta", "index": 0, "delta": {"type": "text", "text": TEXT}},
        {"event_type": "step.stop", "index": 0},
        {
            "event_type": "interaction.completed",
            "interaction": {**head, "status": "completed", "steps": [], "usage": usage},
        },
    ]
    body = b"".join(f"event: {event['event_type']}\ndata: {json.dumps(event)}\n\n".encode() for event in told)
    upstream.serve(answer(body + b"event: done\ndata: [DONE]\n\n", EVENTS))
    client = gemini()  # it closes its connections as soon as nobody holds it
    stream = client.interactions.create(model=GEMINI, input="Say hi", stream=True)
    assert [event.event_type for event in stream] == [event["event_type"] for event in told]

    record = proxy.record()
    assert (record["api"], record["model"], record["outcome"]) == ("google.interactions", GEMINI, "completed")
    [usage] = record["token_usages"]
    assert (usage["input_tokens"], usage["cache_read_input_tokens"], usage["output_tokens"]) == (13, 8, 16)
    assert [prompt["prompt"] for prompt in record["user_prompts"]] == ["Say hi"]
