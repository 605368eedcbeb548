"""OpenAI Realtime over a WebSocket."""

from __future__ import annotations

import tracemalloc
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aitap.capture.environment import Environment
from aitap.capture.pipeline import Pipeline
from aitap.capture.realtime_socket import RealtimeSocket
from aitap.capture.recording import RequestHead
from aitap.capture.routes import Route
from aitap.record import Interception
from tests.capture.making import Records, dump

REALTIME = "openai.realtime"
USAGE = {
    "total_tokens": 275,
    "input_tokens": 127,
    "output_tokens": 148,
    "input_token_details": {
        "cached_tokens": 64,
        "text_tokens": 119,
        "audio_tokens": 8,
        "cached_tokens_details": {"text_tokens": 64, "audio_tokens": 0},
    },
    "output_token_details": {"text_tokens": 36, "audio_tokens": 112},
}
CALL = {
    "id": "item_9",
    "object": "realtime.item",
    "type": "function_call",
    "status": "completed",
    "name": "light",
    "call_id": "call_1",
    "arguments": '{"on": true}',
}


class Wire:
    """A socket whose steps are taken at once; each message comes a second after the one before."""

    def __init__(self, query: str = "model=gpt-realtime-test") -> None:
        self.records = Records()
        self.pipeline = Pipeline(Environment("me", "metadata+prompt"), self.records, announce_after=60.0)
        head = RequestHead(
            *(Route("openai", "openai", REALTIME), "GET", "api.openai.com", "/v1/realtime", query, "HTTP/1.1", {}, 1.0)
        )
        self.socket = RealtimeSocket(self.pipeline, lambda: head)
        self.at = 1000.0

    def _pass(self) -> list[Interception]:
        self.at += 1
        while self.pipeline.inbox:
            source, what, at = self.pipeline.inbox.popleft()
            source.step(what, at)
        return self.records.all

    def raw(self, content: bytes, *, from_client: bool) -> list[Interception]:
        self.socket.message(content, self.at, from_client=from_client)
        return self._pass()

    def client(self, kind: str, **more: Any) -> list[Interception]:
        return self.raw(dump({"type": kind, **more}), from_client=True)

    def server(self, kind: str, **more: Any) -> list[Interception]:
        return self.raw(dump({"type": kind, "event_id": "event_1", **more}), from_client=False)

    def say(self, text: str) -> None:
        content = [{"type": "input_text", "text": text}]
        self.client("conversation.item.create", item={"type": "message", "role": "user", "content": content})

    def speak(self, item: str) -> None:
        self.client("input_audio_buffer.append", audio="UklGRg==" * 100)
        self.server("input_audio_buffer.committed", item_id=item, previous_item_id=None)

    def understand(self, item: str, text: str) -> list[Interception]:
        kind = "conversation.item.input_audio_transcription.completed"
        return self.server(kind, item_id=item, content_index=0, transcript=text)

    def transcribe(self) -> None:
        self.server("session.updated", session={"audio": {"input": {"transcription": {"model": "stt-test"}}}})

    def created(self, name: str = "resp_1") -> list[Interception]:
        return self.server("response.created", response={"id": name, "status": "in_progress"})

    def done(self, name: str = "resp_1", status: str = "completed", **more: Any) -> list[Interception]:
        response = {"object": "realtime.response", "id": name, "status": status, "output": [], "usage": USAGE, **more}
        return self.server("response.done", response=response)

    def close(self, *, by_client: bool = True) -> list[Interception]:
        self.socket.close(self.at, by_client=by_client)
        return self._pass()


def prompts(records: list[Interception]) -> list[str | None]:
    return [record.user_prompts[0].prompt if record.user_prompts else None for record in records]


def test_a_response_is_a_record_with_its_prompt_tool_calls_and_counters() -> None:
    wire = Wire()
    wire.server("session.created", session={"model": "gpt-realtime-test-2026-01-01"})
    wire.say("Light, please")
    wire.client("response.create")
    wire.created()
    wire.server("response.output_item.added", response_id="resp_1", output_index=0, item={"type": "function_call"})
    wire.server("response.output_audio.delta", response_id="resp_1", delta="UklGRg==")
    (record,) = wire.done(output=[CALL])
    assert (record.outcome, record.api, record.model) == ("completed", REALTIME, "gpt-realtime-test")
    assert (record.response_model, record.streaming, record.status_code) == (
        *("gpt-realtime-test-2026-01-01", True, 101),
    )
    assert (record.started_at, record.ended_at, record.time_to_first_token) == (1002.0, 1006.0, 2.0)
    assert prompts([record]) == ["Light, please"]
    (tool,) = record.tool_usages
    assert (tool.tool, tool.input, tool.provider_tool_call_id, tool.kind) == (
        *("light", '{"on": true}', "call_1", "function"),
    )
    (usage,) = record.token_usages
    assert (usage.input_tokens, usage.cache_read_input_tokens, usage.output_tokens) == (63, 64, 148)
    assert usage.metadata["input_tokens_details.audio_tokens"] == 8
    assert usage.metadata["output_tokens_details.audio_tokens"] == 112
    assert record.response_bytes > record.request_bytes > 0


def test_the_result_of_a_tool_call_is_no_prompt_and_goes_on_from_the_response() -> None:
    wire = Wire()
    wire.client("response.create")
    wire.created()
    wire.done(output=[CALL])
    output = {"type": "function_call_output", "call_id": "call_1", "output": "on"}
    wire.client("conversation.item.create", item=output)
    wire.client("response.create")
    wire.created("resp_2")
    record = wire.done("resp_2")[1]
    assert prompts([record]) == [None]
    assert record.lineage.previous_response_id == "resp_1"
    assert [result.call_id for result in record.lineage.tool_results] == ["call_1"]


HEARD = "conversation.item.input_audio_transcription."
COUNTED = {"type": "tokens", "input_tokens": 17, "output_tokens": 5, "total_tokens": 22}


def test_a_transcript_that_bills_is_a_record_beside_the_conversation() -> None:
    wire = Wire()
    wire.transcribe()
    wire.speak("item_1")
    wire.created()
    (transcript,) = wire.server(f"{HEARD}completed", item_id="item_1", transcript="What is the time?", usage=COUNTED)
    assert (transcript.model, transcript.response_model, transcript.outcome) == ("stt-test", "stt-test", "completed")
    assert (transcript.purpose, transcript.metadata["purpose_reason"]) == ("auxiliary", "transcription")
    assert (transcript.started_at, transcript.ended_at, transcript.user_prompts) == (1002.0, 1004.0, [])
    (usage,) = transcript.token_usages
    assert (usage.input_tokens, usage.output_tokens, usage.provider_response_id) == (17, 5, "item_1")
    assert transcript.response_bytes > 0
    answer = wire.done()[1]
    assert (prompts([answer]), answer.purpose) == (["What is the time?"], "conversation")


@pytest.mark.parametrize(
    ("kind", "session"),
    [
        ("session.created", {"type": "transcription", "audio": {"input": {"transcription": {"model": "stt-test"}}}}),
        (
            "transcription_session.created",
            {"object": "realtime.transcription_session", "input_audio_transcription": {"model": "stt-test"}},
        ),
    ],
)
def test_a_session_for_transcripts_alone_has_a_record_for_each(kind: str, session: dict[str, Any]) -> None:
    wire = Wire("intent=transcription")
    wire.server(kind, session=session)
    for item in ("item_1", "item_2", "item_3"):
        wire.speak(item)
    wire.server(f"{HEARD}completed", item_id="item_1", transcript="One", usage={"type": "duration", "seconds": 1.5})
    wire.server(f"{HEARD}completed", item_id="item_2", transcript="Two")
    wire.server(f"{HEARD}failed", item_id="item_3", error={"type": "server_error", "message": "No"})
    first, second, third = wire.close()
    assert {record.model for record in wire.records.all} == {"stt-test"}
    assert (first.metadata["audio_seconds"], first.token_usages) == (1.5, [])
    assert (second.outcome, second.token_usages) == ("completed", [])
    assert (third.outcome, third.error_type, third.error_message) == ("failed", "server_error", "No")


def test_speech_is_answered_without_being_asked_and_told_by_its_transcript() -> None:
    wire = Wire()
    wire.transcribe()
    wire.speak("item_1")
    wire.understand("item_1", "What is the time?")
    wire.created()
    (record,) = wire.done()
    assert prompts([record]) == ["What is the time?"]
    assert record.started_at == 1002.0


def test_a_response_waits_for_a_late_transcript_but_ends_when_it_was_done() -> None:
    wire = Wire()
    wire.transcribe()
    wire.speak("item_1")
    wire.created()
    assert wire.done() == []
    (record,) = wire.understand("item_1", "What is the time?")
    assert prompts([record]) == ["What is the time?"]
    assert (record.outcome, record.ended_at) == ("completed", 1004.0)


@pytest.mark.parametrize("how", ["next", "close", "failed"])
def test_a_transcript_that_never_comes_costs_the_prompt_alone(how: str) -> None:
    wire = Wire()
    wire.transcribe()
    wire.speak("item_1")
    wire.created()
    assert wire.done() == []
    if how == "next":
        wire.created("resp_2")
        wire.done("resp_2")
    elif how == "close":
        wire.close()
    else:
        wire.server("conversation.item.input_audio_transcription.failed", item_id="item_1", error={})
    record = wire.records.all[0]
    assert (record.outcome, prompts([record]), len(record.token_usages)) == ("completed", [None], 1)


def test_a_response_that_ends_twice_while_it_waits_is_two_records() -> None:
    wire = Wire()
    wire.transcribe()
    wire.speak("item_1")
    wire.created()
    wire.done()
    wire.done()
    assert [record.outcome for record in wire.close()] == ["completed"] * 2


def test_speech_that_is_not_transcribed_is_counted() -> None:
    wire = Wire()
    wire.speak("item_1")
    wire.created()
    (record,) = wire.done()
    assert (record.outcome, prompts([record]), len(record.token_usages)) == ("completed", [None], 1)
    assert record.request_bytes > 800


def test_text_and_speech_of_one_turn_are_one_prompt() -> None:
    wire = Wire()
    wire.say("Look at this")
    wire.say("and this")
    wire.speak("item_1")
    wire.understand("item_1", "what is it?")
    wire.client("response.create")
    wire.created()
    assert prompts(wire.done()) == ["Look at this\nand this\nwhat is it?"]


@pytest.mark.parametrize(
    ("status", "details", "outcome", "error"),
    [
        ("cancelled", {"type": "cancelled", "reason": "turn_detected"}, "cancelled", None),
        ("incomplete", {"type": "incomplete", "reason": "max_output_tokens"}, "completed", None),
        ("failed", {"type": "failed", "error": {"code": "rate_limit_exceeded"}}, "failed", "rate_limited"),
        ("failed", {}, "failed", "unknown"),
    ],
)
def test_a_response_says_how_it_ended(status: str, details: Any, outcome: str, error: str | None) -> None:
    wire = Wire()
    wire.client("response.create")
    wire.created()
    (record,) = wire.done(status=status, status_details=details)
    assert (record.outcome, record.error_type) == (outcome, error)
    assert len(record.token_usages) == 1
    assert record.stop_reason == details.get("reason", status)


def test_an_error_ends_the_response_that_was_asked_for_in_vain() -> None:
    wire = Wire()
    wire.client("response.create", event_id="mine")
    wire.server("error", error={"type": "invalid_request_error", "message": "No such item", "event_id": "other"})
    assert wire.records.all == []
    (record,) = wire.server("error", error={"type": "invalid_request_error", "message": "No", "event_id": "mine"})
    assert (record.outcome, record.error_type, record.error_message) == ("failed", "bad_request", "No")


def test_an_error_amid_a_response_that_comes_to_its_end_is_forgotten() -> None:
    wire = Wire()
    wire.client("response.create")
    wire.created()
    wire.server("error", error={"type": "server_error", "message": "hiccup"})
    assert [record.outcome for record in wire.done()] == ["completed"]


def test_an_error_amid_a_response_that_never_ends_is_why_it_failed() -> None:
    wire = Wire()
    wire.client("response.create")
    wire.created()
    wire.server("error", error={"type": "server_error", "message": "gone"})
    (record,) = wire.close(by_client=False)
    assert (record.outcome, record.error_message) == ("failed", "gone")


@pytest.mark.parametrize(
    ("query", "update", "created", "model"),
    [
        ("model=in-query", "asked", "answered", "in-query"),
        ("api-version=1&deployment=mine", None, "answered", "mine"),
        ("", "asked", "answered", "asked"),
        ("", None, "answered", "answered"),
        ("", None, None, ""),
    ],
)
def test_the_model_is_that_of_the_query_else_of_the_session(
    query: str, update: str | None, created: str | None, model: str
) -> None:
    wire = Wire(query)
    wire.server("session.created", session={"model": created} if created else {})
    wire.client("session.update", session={"model": update} if update else {})
    wire.client("response.create")
    (record,) = wire.done()
    assert (record.model, record.response_model) == (model, created)


def test_responses_beside_the_conversation_are_told_apart() -> None:
    wire = Wire()
    wire.say("Hello")
    wire.client("response.create")
    wire.created("a")
    aside = [{"type": "message", "role": "user", "content": [{"type": "input_text", "text": "Sum up"}]}]
    wire.client("response.create", response={"conversation": "none", "input": aside})
    wire.created("b")
    wire.done("b")
    found = wire.done("a")
    assert prompts(found) == ["Sum up", "Hello"]
    wire.client("response.create")
    wire.created("c")
    assert wire.done("c")[2].lineage.previous_response_id == "a"


def test_what_is_open_at_the_close_is_cancelled_failed_or_interrupted() -> None:
    for by_client, outcome in ((True, "cancelled"), (False, "failed")):
        wire = Wire()
        wire.client("response.create")
        assert [record.outcome for record in wire.close(by_client=by_client)] == [outcome]
    wire = Wire()
    wire.say("Hello")
    wire.client("response.create")
    wire.created()
    wire.socket.stop(2000.0)
    assert [(record.outcome, record.model) for record in wire.records.all] == [("interrupted", "gpt-realtime-test")]
    assert prompts(wire.records.all) == ["Hello"]


def test_a_client_that_never_waits_does_not_fill_memory() -> None:
    wire = Wire()
    for _ in range(200):
        wire.client("response.create")
    assert len(wire.records.all) >= 100


def test_a_socket_that_is_open_for_hours_holds_nothing_of_what_is_over() -> None:
    wire = Wire()
    wire.transcribe()

    def hour() -> int:
        for number in range(400):
            wire.speak(f"item_{number}")
            wire.say("x" * 1000)
            wire.created(f"resp_{number}")
            wire.server("response.output_audio.delta", response_id=f"resp_{number}", delta="UklGRg==" * 500)
            wire.done(f"resp_{number}")
            wire.records.all.clear()
            wire.pipeline._unannounced.clear()
        return tracemalloc.get_traced_memory()[0]

    tracemalloc.start()
    first = hour()
    assert hour() - first < 100_000
    tracemalloc.stop()


_frames = st.one_of(
    st.tuples(st.booleans(), st.binary(max_size=30)),
    st.tuples(
        st.just(True),
        st.sampled_from(
            [
                b'{"type":"response.create"}',
                b'{"type":"response.create","event_id":"e","response":{"conversation":"none","input":[5,{}]}}',
                b'{"type":"response.create","response":"no"}',
                b'{"type":"conversation.item.create","item":{"role":"user","content":[{"type":"input_text","text":5}]}}',
                b'{"type":"conversation.item.create","item":{"role":"user","content":"text"}}',
                b'{"type":"conversation.item.create","item":{"type":"function_call_output","call_id":5}}',
                b'{"type":"conversation.item.create","item":[]}',
                b'{"type":"session.update","session":{"model":5,"tools":5,"audio":[]}}',
                b'{"type":"session.update","session":{"input_audio_transcription":{"model":"w"}}}',
                b'{"type":5}',
            ]
        ),
    ),
    st.tuples(
        st.just(False),
        st.sampled_from(
            [
                b'{"type":"session.created","session":{"model":"m"}}',
                b'{"type":"input_audio_buffer.committed","item_id":"i"}',
                b'{"type":"input_audio_buffer.committed","item_id":5}',
                b'{"type":"conversation.item.input_audio_transcription.completed","item_id":"i","transcript":"t"}',
                b'{"type":"conversation.item.input_audio_transcription.completed"}',
                b'{"type":"response.created","response":{"id":"r"}}',
                b'{"type":"response.created","response":5}',
                b'{"type":"response.output_item.done","response_id":"r","output_index":"x","item":{"type":"message"}}',
                b'{"type":"response.done","response":{"id":"r","status":"completed","usage":{"input_tokens":-1}}}',
                b'{"type":"response.done","response":{"id":"q","status":5,"output":5,"status_details":5}}',
                b'{"type":"response.done"}',
                b'{"type":"error","error":{"event_id":"e"}}',
                b'{"type":"error"}',
            ]
        ),
    ),
)


@given(st.lists(_frames, max_size=30))
def test_any_frames_in_any_order_never_raise_and_each_response_done_is_a_record_that_ended(
    frames: list[tuple[bool, bytes]],
) -> None:
    wire = Wire()
    for from_client, content in frames:
        wire.raw(content, from_client=from_client)
    found = wire.close()
    assert all(record.ended_at is not None and record.outcome != "in_flight" for record in found)
    assert len(found) >= sum(content.startswith(b'{"type":"response.done"') for _, content in frames)
    assert not wire.pipeline._open
