"""Ids that strangers choose are kept in a length that indexes and memory bear."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from aitap.capture.environment import Environment
from aitap.capture.recording import Recording, RequestHead
from aitap.capture.routes import Route
from aitap.capture.their_ids import LONGEST, kept_id
from tests.capture.making import MESSAGES, RESPONSES, message_events, record, response_events, sse, user


@given(st.text(max_size=40))
def test_an_id_of_usual_length_stays_as_it_is(text: str) -> None:
    assert kept_id(text) is text


@given(st.text(min_size=1, max_size=3), st.integers(LONGEST, 3 * LONGEST))
def test_a_longer_one_is_cut_and_stays_another_than_its_neighbour(text: str, times: int) -> None:
    long = text * times
    found = {kept_id(long), kept_id(long + "a"), kept_id(long + "b"), kept_id(long + "\ud800")}
    assert len(found) >= 3 + (len(long) > LONGEST)
    assert all(len(kept) <= LONGEST for kept in found)
    assert kept_id(long) == kept_id(text * times)


def test_a_result_under_a_long_id_names_the_call_that_was_made_under_it() -> None:
    long = "call_" + "y" * 100_000
    calls = sse(MESSAGES, message_events([({"type": "tool_use", "id": long, "name": "Bash", "input": {}}, [])]))
    [usage] = record(MESSAGES, response=calls).tool_usages
    result = {"type": "tool_result", "tool_use_id": long, "content": "done"}
    [answered] = record(MESSAGES, {"messages": [user([result])]}).lineage.tool_results
    assert usage.provider_tool_call_id == answered.call_id == kept_id(long)


def test_a_response_of_a_long_id_is_named_by_the_request_that_continues_it() -> None:
    long = "resp_" + "z" * 100_000
    events = [
        {**event, "response": {**event["response"], "id": long}} if "response" in event else event
        for event in response_events()
    ]
    [usage] = record(RESPONSES, {"input": "Hi"}, sse(RESPONSES, events)).token_usages
    later = record(RESPONSES, {"input": "And?", "previous_response_id": long})
    assert usage.provider_response_id == later.lineage.previous_response_id == kept_id(long)


def test_a_host_of_any_length_is_kept_as_long_as_a_name_can_be() -> None:
    head = RequestHead(Route("v", "v", MESSAGES), "POST", "h" * 60_000, "/", "", "HTTP/1.1", {}, 1000.0)
    assert Recording(Environment("u", "minimal"), head).record.host == "h" * 253
