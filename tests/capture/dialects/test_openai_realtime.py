"""Responses of OpenAI Realtime; the conversation round them is the socket's affair."""

from __future__ import annotations

from typing import Any

import pytest

from aitap.capture.dialects import DIALECTS
from aitap.capture.facts import ResponseFacts
from tests.capture.making import dump


def read(*events: dict[str, Any]) -> ResponseFacts:
    decoder = DIALECTS["openai.realtime"].decoder("/v1/realtime", {})
    for number, event in enumerate(events):
        decoder.event(event["type"].encode(), dump(event), float(number))
    return decoder.facts()


def done(status: str = "completed", **more: Any) -> dict[str, Any]:
    return {"type": "response.done", "response": {"id": "resp_1", "status": status, "output": [], **more}}


def test_cached_input_is_taken_out_of_input_and_audio_is_counted_beside() -> None:
    details = {"cached_tokens": 64, "audio_tokens": 8, "cached_tokens_details": {"audio_tokens": 3}}
    usage = {"input_tokens": 127, "output_tokens": 148, "total_tokens": 275, "input_token_details": details}
    found = read(done(usage={**usage, "output_token_details": {"audio_tokens": 112}})).usage
    assert found is not None
    assert (found.input_tokens, found.cache_read_input_tokens, found.output_tokens) == (63, 64, 148)
    assert found.extra["input_tokens_details.audio_tokens"] == 8
    assert found.extra["input_tokens_details.cached_tokens_details.audio_tokens"] == 3
    assert found.extra["output_tokens_details.audio_tokens"] == 112


def test_no_usage_is_unknown() -> None:
    assert read(done()).usage is None
    assert read(done(usage=None)).usage is None


def test_a_response_that_was_cut_keeps_the_calls_that_were_whole() -> None:
    call = {"type": "function_call", "name": "light", "call_id": "c", "arguments": "{}"}
    facts = read({"type": "response.output_item.done", "response_id": "r", "output_index": 0, "item": call})
    assert ([tool.tool for tool in facts.tools], facts.complete) == (["light"], False)


@pytest.mark.parametrize(
    ("status", "complete", "error"),
    [("completed", True, None), ("incomplete", True, None), ("cancelled", False, None), ("failed", False, "Quota")],
)
def test_its_status_says_whether_it_is_complete(status: str, complete: bool, error: str | None) -> None:
    details = {"error": {"type": "insufficient_quota", "message": "Quota"}} if error else None
    facts = read(done(status, status_details=details))
    assert (facts.complete, facts.error.message if facts.error else None) == (complete, error)


def test_the_model_is_that_of_the_session() -> None:
    assert read({"type": "session.updated", "session": {"model": "m-1"}}, done()).model == "m-1"
