"""A tool call becomes a span when the request comes that brings its result."""

from __future__ import annotations

from aitap.observe.open_calls import OpenCalls
from aitap.record import Interception, Lineage, ToolResult
from tests.observe.making import T0, interception, turn


def answering(at: float, call: str, status: str | None = "ok", **fields: object) -> Interception:
    results = [ToolResult(call_id=call, status=status, size=3)]  # type: ignore[arg-type]
    return interception(at, lineage=Lineage(tool_results=results), **fields)


def test_the_span_goes_from_the_call_to_the_request_with_its_result() -> None:
    calls = OpenCalls()
    calls.asked(turn(), "there")
    [(span, where)] = calls.answered(answering(T0 + 9, "toolu_1"), contents=False)
    assert (span.name, span.start, span.end, where) == ("Intercept.ProcessRequest.ToolCall", T0 + 2, T0 + 9, "there")
    assert (span.attributes["mcp_tool_name"], span.attributes["aibridge.inferred"]) == ("read", True)
    assert span.error is None
    assert "mcp_input" not in span.attributes
    assert calls.answered(answering(T0 + 10, "toolu_1"), contents=False) == []


def test_a_tool_that_failed_is_an_error() -> None:
    calls = OpenCalls()
    calls.asked(turn(), None)
    [(span, _)] = calls.answered(answering(T0 + 9, "toolu_1", "error"), contents=True)
    assert span.error == "the tool failed"
    assert span.attributes["mcp_input"] == '{"path": "a.txt"}'


def test_the_result_of_somebody_elses_call_or_of_a_later_one_is_none() -> None:
    calls = OpenCalls()
    calls.asked(turn(), None)
    other = "22222222-2222-5222-8222-222222222222"
    assert calls.answered(answering(T0 + 9, "toolu_1", initiator_id=other), contents=False) == []
    assert calls.answered(answering(T0 + 1, "toolu_1"), contents=False) == []


def test_of_an_input_only_what_a_span_shows_is_kept() -> None:
    calls = OpenCalls()
    asking = turn()
    asking.tool_usages[0].input = "x" * 1_000_000
    calls.asked(asking, None)
    assert [len(call.tool.input) for call in calls._open.values()] == [100]
    [(span, _)] = calls.answered(answering(T0 + 9, "toolu_1"), contents=True)
    assert span.attributes["mcp_input"] == "x" * 100
