"""A record is in the trace of the client, or in one that follows from its id."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aitap.observe.trace_context import context_of, ids_of
from aitap.record import Wire
from tests.observe.making import interception

TRACE, SPAN = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"


def test_the_clients_span_is_the_parent() -> None:
    context = context_of(interception(wire=Wire(traceparent=f"00-{TRACE}-{SPAN}-01", tracestate="a=b")))
    assert (context.trace_id, context.parent_id) == (int(TRACE, 16), int(SPAN, 16))
    assert (context.sampled, context.tracestate) == (True, "a=b")


def test_the_client_may_say_that_it_is_not_sampled() -> None:
    assert context_of(interception(wire=Wire(traceparent=f"00-{TRACE}-{SPAN}-00"))).sampled is False


@pytest.mark.parametrize(
    "header",
    [
        "",
        "nothing",
        f"ff-{TRACE}-{SPAN}-01",
        f"00-{'0' * 32}-{SPAN}-01",
        f"00-{TRACE}-{'0' * 16}-01",
        f"00-{TRACE}-{SPAN}-01-more",
        f"00-{TRACE.upper()}-{SPAN}-01",
    ],
)
def test_a_header_that_breaks_the_rules_does_not_count(header: str) -> None:
    record = interception(wire=Wire(traceparent=header))
    assert context_of(record) == context_of(interception(id=record.id))


def test_a_version_to_come_may_say_more() -> None:
    assert context_of(interception(wire=Wire(traceparent=f"01-{TRACE}-{SPAN}-01-more"))).trace_id == int(TRACE, 16)


@given(st.text(max_size=80))
def test_start_and_end_of_a_record_are_in_the_same_trace_whatever_the_header(header: str) -> None:
    start = interception(took=None, wire=Wire(traceparent=header))
    assert ids_of(start) == ids_of(interception(id=start.id, wire=Wire(traceparent=header)))
    assert [len(part) for part in ids_of(start)] == [32, 16]
