"""Each thing known of a record is told once, by the field names that the reference uses."""

from __future__ import annotations

import pytest

from aitap.observe.log_lines import NO_ID, lines_of
from tests.observe.making import ANN, interception, turn

FIELDS = {
    "interception_start": {
        *("interception_id", "initiator_id", "api_key_id", "provider", "model", "client", "client_session_id"),
        *("started_at", "metadata", "correlating_tool_call_id", "thread_parent_id", "thread_root_id"),
    },
    "interception_end": {"interception_id", "ended_at"},
    "token_usage": {
        *("interception_id", "msg_id", "input_tokens", "output_tokens", "cache_read_input_tokens"),
        *("cache_write_input_tokens", "created_at", "metadata"),
    },
    "prompt_usage": {"interception_id", "msg_id", "prompt", "created_at", "metadata"},
    "tool_usage": {
        *("interception_id", "msg_id", "tool_call_id", "tool", "input", "server_url", "injected"),
        *("invocation_error", "created_at", "metadata"),
    },
    "model_thought": {"interception_id", "content", "created_at", "metadata"},
}


@pytest.mark.parametrize("kind", FIELDS)
def test_the_fields_of_the_reference_are_there(kind: str) -> None:
    record = turn()
    [line] = [line for line in lines_of(record, announced=False) if line["record_type"] == kind]
    assert FIELDS[kind] <= line.keys()
    assert line["interception_id"] == record.id


def test_a_record_that_was_announced_is_not_started_twice() -> None:
    record = turn()
    start = lines_of(interception(took=None), announced=False)
    rest = lines_of(record, announced=True)
    assert [line["record_type"] for line in start] == ["interception_start"]
    assert [line["record_type"] for line in rest] == [
        *("prompt_usage", "token_usage", "tool_usage", "model_thought", "interception_end")
    ]


def test_what_the_start_says_of_thread_and_tool_call() -> None:
    parent = "22222222-2222-7222-8222-222222222222"
    line = lines_of(turn(thread_parent_id=parent), announced=False)[0]
    assert (line["thread_parent_id"], line["thread_root_id"]) == (parent, NO_ID)
    assert (line["correlating_tool_call_id"], line["initiator_id"]) == ("toolu_0", ANN)
    assert line["started_at"] == "2026-11-18T11:06:40.000000Z"


def test_minimal_capture_tells_no_text() -> None:
    for line in lines_of(turn(capture="minimal"), announced=False):
        assert line.keys().isdisjoint({"prompt", "input", "content"})
