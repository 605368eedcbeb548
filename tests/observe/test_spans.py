"""The spans of a record: the tree of the reference, times of the wire, errors where there were some."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aitap.observe.semconv import names
from aitap.observe.spans import UPSTREAM, Span, spans_of
from aitap.record import Interception, StoredMessage, UserPrompt, Wire
from tests.observe.making import ANN, T0, interception, turn

OLD = names({})


def tree(spans: list[Span]) -> dict[str, str | None]:
    return {span.name: span.parent.name if span.parent else None for span in spans}


def upstream(record: Interception, **how: Any) -> Span:
    [span] = [span for span in spans_of(record, OLD, **how) if span.attributes.get("aibridge.operation") == UPSTREAM]
    return span


def test_the_tree_of_a_turn_is_the_references() -> None:
    wire = Wire(asked_at=T0 + 0.25, connect_started_at=T0 + 0.25, connected_at=T0 + 0.5, connection_reused=False)
    assert tree(spans_of(turn(wire=wire), OLD)) == {
        "Intercept": None,
        "CachedBridgePool.Acquire": "Intercept",
        "Intercept.CreateInterceptor": "Intercept",
        "Intercept.RecordInterception": "Intercept",
        "Intercept.ProcessRequest": "Intercept",
        "chat claude-test-1": "Intercept.ProcessRequest",
        "Intercept.RecordPromptUsage": "Intercept.ProcessRequest",
        "Intercept.RecordTokenUsage": "Intercept.ProcessRequest",
        "Intercept.RecordToolUsage": "Intercept.ProcessRequest",
        "Intercept.RecordModelThought": "Intercept.ProcessRequest",
        "Intercept.RecordInterceptionEnded": "Intercept",
    }


def test_the_client_span_may_have_the_references_name() -> None:
    assert upstream(turn(), reference=True).name == UPSTREAM


times = st.floats(T0 - 10, T0 + 10)


@given(started=times, asked=times | st.none(), took=st.floats(0, 5), connect=times, connected=times)
def test_no_span_reaches_beyond_its_parent_whatever_the_clock_did(
    started: float, asked: float | None, took: float, connect: float, connected: float
) -> None:
    wire = Wire(asked_at=asked, connect_started_at=connect, connected_at=connected, connection_reused=False)
    for span in spans_of(_timed(started, took, wire), OLD):
        assert span.start <= span.end
        if span.parent is not None:
            assert span.parent.start <= span.start
            assert span.end <= span.parent.end


def _timed(started: float, took: float, wire: Wire) -> Interception:
    record = turn(started, wire=wire)
    record.ended_at = started + took
    return record


@pytest.mark.parametrize(
    ("outcome", "marked"),
    [
        ("completed", set()),
        ("cancelled", set()),
        ("failed", {"Intercept", "Intercept.ProcessRequest", "chat claude-test-1"}),
        ("interrupted", {"Intercept", "Intercept.ProcessRequest", "chat claude-test-1"}),
    ],
)
def test_what_went_wrong_marks_the_spans_that_it_made_fail(outcome: str, marked: set[str]) -> None:
    record = interception(outcome=outcome, error_message="slow down" if outcome == "failed" else None)
    spans = spans_of(record, OLD)
    assert {span.name for span in spans if span.error is not None} == marked


def test_every_span_says_whose_exchange_it_is() -> None:
    record = turn()
    for span in spans_of(record, OLD):
        assert span.attributes["interception_id"] == record.id
        assert span.attributes["user_id"] == ANN
        assert (span.attributes["provider"], span.attributes["model"]) == ("anthropic", "claude-test-1")
        assert (span.attributes["streaming"], span.attributes["request_path"]) == (True, "/v1/messages")
        assert span.attributes["aws_bedrock"] is False


def test_the_client_span_speaks_of_generative_ai() -> None:
    found = upstream(turn()).attributes
    assert found["gen_ai.conversation.id"] == "session-1"
    assert (found["gen_ai.usage.input_tokens"], found["gen_ai.usage.output_tokens"]) == (19, 7)
    assert found["gen_ai.usage.cache_write.input_tokens"] == found["gen_ai.usage.cache_creation.input_tokens"] == 3
    assert (found["gen_ai.response.id"], found["gen_ai.response.finish_reasons"]) == ("msg_1", ["tool_use"])


def test_the_newest_names_are_given_alone_when_asked_for() -> None:
    newest = names({"OTEL_SEMCONV_STABILITY_OPT_IN": "gen_ai_latest_experimental"})
    found = {name for span in spans_of(turn(), newest) for name in span.attributes}
    assert "gen_ai.usage.cache_write.input_tokens" in found
    assert "gen_ai.usage.cache_creation.input_tokens" not in found


def test_no_text_is_in_any_span_unless_it_was_asked_for() -> None:
    record = turn()
    plain = repr([(span.attributes, span.events) for span in spans_of(record, OLD, logs=True)])
    for word in ("do it", "Let me see", "a.txt"):
        assert word not in plain
    asked = upstream(record, contents=True).attributes
    assert json.loads(asked["gen_ai.input.messages"]) == [
        {"role": "user", "parts": [{"type": "text", "content": "do it"}]}
    ]
    [said] = json.loads(asked["gen_ai.output.messages"])
    assert [part["type"] for part in said["parts"]] == ["reasoning", "tool_call"]
    record.capture = "minimal"
    assert "gen_ai.input.messages" not in upstream(record, contents=True).attributes


def test_a_whole_conversation_is_told_where_it_is_captured() -> None:
    words = [("b2:1", None, "user", "hi"), ("b2:2", "b2:1", "assistant", "hello"), ("b2:3", "b2:2", "user", "go")]
    stored = [
        StoredMessage(name, parent, role, json.dumps([{"type": "text", "text": text}]), T0)
        for name, parent, role, text in [*words, ("b2:4", "b2:3", "assistant", "gone")]
    ]
    record = interception(capture="full", contents=stored, request_digest="b2:3", response_digest="b2:4")
    found = upstream(record, contents=True).attributes
    asked = [(entry["role"], entry["parts"][0]["content"]) for entry in json.loads(found["gen_ai.input.messages"])]
    assert asked == [("user", "hi"), ("assistant", "hello"), ("user", "go")]
    assert json.loads(found["gen_ai.output.messages"])[0]["parts"] == [{"type": "text", "content": "gone"}]


def test_log_lines_are_events_of_the_span_that_they_belong_to() -> None:
    found = {
        span.name: [event.attributes["record_type"] for event in span.events]
        for span in spans_of(turn(), OLD, logs=True)
        if span.events
    }
    assert found == {
        "Intercept.RecordInterception": ["interception_start"],
        "Intercept.RecordPromptUsage": ["prompt_usage"],
        "Intercept.RecordTokenUsage": ["token_usage"],
        "Intercept.RecordToolUsage": ["tool_usage"],
        "Intercept.RecordModelThought": ["model_thought"],
        "Intercept.RecordInterceptionEnded": ["interception_end"],
    }


def test_a_prompt_that_cannot_be_encoded_costs_no_span() -> None:
    record = turn(capture="metadata+prompt")
    record.user_prompts = [UserPrompt(provider_response_id="", prompt="\ud800 hi", created_at=T0)]
    assert "hi" in upstream(record, contents=True).attributes["gen_ai.input.messages"]
