"""Gemini Live over a WebSocket."""

from __future__ import annotations

import tracemalloc
from functools import lru_cache
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aitap.capture.environment import Environment
from aitap.capture.live_socket import LiveSocket
from aitap.capture.pipeline import Pipeline
from aitap.capture.recording import RequestHead
from aitap.capture.retries import Retries
from aitap.capture.routes import Route, Router
from aitap.capture.sockets import socket_type
from aitap.record import CaptureMode, Interception
from tests.capture.exchanges import ended
from tests.capture.making import Records, dump

HOST = "generativelanguage.googleapis.com"
PATH = "/ws/google.ai.generativelanguage.v1beta.GenerativeService.BidiGenerateContent"
USAGE = {
    "promptTokenCount": 21,
    "cachedContentTokenCount": 8,
    "responseTokenCount": 12,
    "thoughtsTokenCount": 4,
    "totalTokenCount": 37,
    "responseTokensDetails": [{"modality": "AUDIO", "tokenCount": 12}],
}
SETUP = {"model": "models/gemini-live-test", "systemInstruction": {"parts": [{"text": "Be kind"}]}, "tools": [{}]}


@lru_cache
def _environment(capture: CaptureMode) -> Environment:
    return Environment("me", capture)


class Wire:
    """A socket whose steps are taken at once; each message comes a second after the one before."""

    def __init__(self, capture: CaptureMode = "full", *, setup: bool = True) -> None:
        self.records = Records()
        environment = _environment(capture)
        environment.retries = Retries()
        self.pipeline = Pipeline(environment, self.records, announce_after=60.0)
        route = Route("google", "google", "google.live")
        head = RequestHead(route, "GET", HOST, PATH, "key=x", "HTTP/1.1", {}, 1.0)
        self.socket = LiveSocket(self.pipeline, lambda: head)
        self.at = 1000.0
        if setup:
            self.client(setup=SETUP)
            self.server(setupComplete={})

    def _pass(self) -> list[Interception]:
        self.at += 1
        while self.pipeline.inbox:
            source, what, at = self.pipeline.inbox.popleft()
            source.step(what, at)
        return self.records.all

    def raw(self, content: bytes, *, from_client: bool) -> list[Interception]:
        self.socket.message(content, self.at, from_client=from_client)
        return self._pass()

    def client(self, **message: Any) -> list[Interception]:
        return self.raw(dump(message), from_client=True)

    def server(self, **message: Any) -> list[Interception]:
        return self.raw(dump(message), from_client=False)

    def ask(self, text: str) -> None:
        self.client(clientContent={"turns": [{"role": "user", "parts": [{"text": text}]}], "turnComplete": True})

    def speak(self) -> None:
        """The client's microphone, the model's voice."""
        self.client(realtimeInput={"audio": {"mimeType": "audio/pcm;rate=16000", "data": "UklGRg==" * 100}})

    def content(self, *parts: dict[str, Any], **more: Any) -> list[Interception]:
        turn = {"modelTurn": {"role": "model", "parts": list(parts)}} if parts else {}
        return self.server(serverContent={**turn, **more})

    def close(self, *, by_client: bool = True) -> list[Interception]:
        self.socket.close(self.at, by_client=by_client)
        return self._pass()


@pytest.mark.parametrize(
    ("host", "path", "name"),
    [
        (HOST, PATH, "google"),
        (HOST, PATH.replace("v1beta", "v1alpha") + "Constrained", "google"),
        (
            "us-central1-aiplatform.googleapis.com",
            "/ws/google.cloud.aiplatform.v1.LlmBidiService/BidiGenerateContent",
            "vertex",
        ),
    ],
)
def test_live_sockets_are_known_by_their_path(host: str, path: str, name: str) -> None:
    route = Router().route(host, path)
    assert route is not None
    assert (route.api, route.provider_name, route.socket_only) == ("google.live", name, True)
    assert socket_type(route.api) is LiveSocket


@pytest.mark.parametrize("apart", [True, False])
def test_a_turn_is_an_interception_whenever_its_counters_come(apart: bool) -> None:
    wire = Wire()
    wire.ask("Say hi")
    wire.content({"text": "Let me", "thought": True})
    wire.content({"text": "Hi"})
    if apart:
        wire.content(turnComplete=True)
        assert wire.server(usageMetadata=USAGE)
    else:
        wire.server(serverContent={"turnComplete": True}, usageMetadata=USAGE)
    [record] = wire.records.all
    assert (record.api, record.model, record.outcome) == ("google.live", "gemini-live-test", "completed")
    assert (record.streaming, record.status_code, record.stop_reason) == (True, 101, "STOP")
    [usage] = record.token_usages
    assert (usage.input_tokens, usage.output_tokens, usage.cache_read_input_tokens) == (13, 16, 8)
    assert usage.metadata["candidatesTokensDetails.AUDIO"] == 12
    assert [prompt.prompt for prompt in record.user_prompts] == ["Say hi"]
    assert [thought.content for thought in record.model_thoughts] == ["Let me"]
    assert (record.started_at, record.time_to_first_token) == (1002.0, 1.0)
    assert record.credential_kind == "byok_api_key"


def test_a_turn_that_the_model_begins_by_itself_has_what_was_heard_as_its_prompt() -> None:
    wire = Wire()
    wire.speak()
    wire.content(inputTranscription={"text": "Say "})
    wire.content(inputTranscription={"text": "hi"})
    wire.content({"inlineData": {"mimeType": "audio/pcm", "data": "AAAA"}})
    wire.content(outputTranscription={"text": "Hi"})
    wire.server(serverContent={"turnComplete": True}, usageMetadata=USAGE)
    wire.speak()
    wire.content({"inlineData": {"mimeType": "audio/pcm", "data": "AAAA"}})
    wire.content(interrupted=True)
    wire.server(serverContent={"turnComplete": True}, usageMetadata=USAGE)
    first, second = wire.records.all
    assert [prompt.prompt for prompt in first.user_prompts] == ["Say hi"]
    assert (second.user_prompts, second.stop_reason, second.outcome) == ([], "INTERRUPTED", "completed")
    assert second.lineage.history == [first.lineage.history[-1], second.id]  # a thread


def test_a_call_and_its_answer_are_two_interceptions_of_a_thread() -> None:
    wire = Wire()
    wire.ask("Light on")
    calls = [{"id": "c1", "name": "light", "args": {"on": True}}, {"id": "c2", "name": "list", "args": {}}]
    wire.server(toolCall={"functionCalls": calls}, usageMetadata=USAGE)
    wire.server(toolCallCancellation={"ids": ["c2"]})
    results = [{"id": "c1", "name": "light", "response": {"result": "ok"}}]
    wire.client(toolResponse={"functionResponses": results})
    wire.content({"text": "It is on"})
    wire.server(serverContent={"turnComplete": True}, usageMetadata=USAGE)
    first, second = wire.records.all
    assert (first.outcome, first.stop_reason, len(first.token_usages)) == ("completed", "TOOL_CALL", 1)
    assert [(tool.tool, tool.input, tool.metadata) for tool in first.tool_usages] == [
        ("light", '{"on":true}', {}),
        ("list", "{}", {"cancelled": True}),
    ]
    assert [result.call_id for result in second.lineage.tool_results] == ["c1"]
    assert (second.outcome, second.user_prompts) == ("completed", [])


def test_a_socket_that_closes_ends_its_turn() -> None:
    wire = Wire()
    wire.ask("Say hi")
    wire.content({"text": "Hi"})
    [record] = wire.close()
    assert (record.outcome, [prompt.prompt for prompt in record.user_prompts]) == ("cancelled", ["Say hi"])
    wire = Wire()
    wire.ask("Say hi")
    [record] = wire.close(by_client=False)
    assert (record.outcome, record.token_usages) == ("failed", [])
    assert Wire().close() == []


def test_a_turn_that_is_over_and_never_counted_has_unknown_usage() -> None:
    wire = Wire()
    wire.ask("Say hi")
    wire.content(turnComplete=True)
    wire.ask("And now?")
    wire.content({"text": "Hi"})
    wire.server(serverContent={"turnComplete": True}, usageMetadata=USAGE)
    first, second = wire.records.all
    assert (first.outcome, first.token_usages, first.user_prompts[0].prompt) == ("completed", [], "Say hi")
    assert (second.outcome, len(second.token_usages), second.user_prompts[0].prompt) == ("completed", 1, "And now?")


def test_hours_of_speech_leave_nothing_behind() -> None:
    wire = Wire("metadata+prompt")

    def hour() -> int:
        for _ in range(100):
            wire.speak()
            wire.content({"inlineData": {"mimeType": "audio/pcm", "data": "A" * 4000}})
            wire.server(serverContent={"turnComplete": True}, usageMetadata=USAGE)
            wire.records.all.clear()
            wire.pipeline._unannounced.clear()
        return tracemalloc.get_traced_memory()[0]

    tracemalloc.start()
    first = hour()
    assert hour() - first < 50_000
    tracemalloc.stop()


_ODD = st.sampled_from([None, 5, "x", [], {}, [None], True, {"parts": 5}, {"turns": [5, {"parts": "x"}]}, {"text": 1}])
_NAMES = st.sampled_from(
    [
        *("setup", "clientContent", "client_content", "realtimeInput", "toolResponse", "serverContent", "toolCall"),
        *("usageMetadata", "toolCallCancellation", "error", "goAway"),
    ]
)
_INNER = st.dictionaries(
    st.sampled_from(["modelTurn", "turnComplete", "turns", "text", "functionCalls", "functionResponses", "model"]), _ODD
)


@settings(max_examples=40)
@given(st.lists(st.tuples(st.booleans(), st.dictionaries(_NAMES, _ODD | _INNER, max_size=3)), max_size=12))
def test_any_messages_end_in_records_that_are_whole(messages: list[tuple[bool, dict[str, Any]]]) -> None:
    wire = Wire(setup=False)
    for from_client, message in messages:
        wire.raw(dump(message), from_client=from_client)
        wire.raw(b"{" + dump(message), from_client=from_client)
    for record in wire.close():
        ended(record)
    assert wire.pipeline.decode_errors == 0
