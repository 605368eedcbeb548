"""Tool calls that wait for their result: a client runs a tool between two of its requests.

Nobody on the wire says when a tool began or ended. What is known is when the model asked for it and when the
request came that brought the result; the span between the two is marked as inferred. Bounded: a call whose
result never comes is forgotten.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec

from aitap.observe.spans import Span, common

if TYPE_CHECKING:
    from aitap.record import Interception, ToolUsage

__all__ = ["OpenCalls"]

_MOST = 10_000
_FORGOTTEN_AFTER = 6 * 3600.0
_INPUT = 100


class _Call(NamedTuple):
    at: float
    tool: ToolUsage
    shared: dict[str, Any]
    where: Any


class OpenCalls:
    """Remembers calls by user and call id; ``where`` is whatever the owner wants back with a call's span."""

    def __init__(self) -> None:
        self._open: dict[tuple[str, str], _Call] = {}

    def asked(self, record: Interception, where: Any) -> None:
        """The model asked for these tools."""
        shared = common(record)
        for tool in record.tool_usages:
            if tool.provider_tool_call_id and tool.result_at is None:
                # Not its whole input: that may be a megabyte, of which a span shows the beginning.
                kept = msgspec.structs.replace(tool, input=tool.input[:_INPUT], metadata={}, invocation_error=None)
                call = _Call(record.ended_at or tool.created_at, kept, shared, where)
                self._open[record.initiator_id, tool.provider_tool_call_id] = call
        while len(self._open) > _MOST:
            del self._open[next(iter(self._open))]

    def answered(self, record: Interception, *, contents: bool) -> list[tuple[Span, Any]]:
        """The spans of the calls whose results this request brings, each with its ``where``; once for each call."""
        found = []
        for result in record.lineage.tool_results:
            call = self._open.pop((record.initiator_id, result.call_id), None)
            if call is None or not 0 <= record.started_at - call.at <= _FORGOTTEN_AFTER:
                continue
            attributes = {
                **call.shared,
                "mcp_tool_name": call.tool.tool,
                "mcp_server_url": call.tool.server_url,
                "gen_ai.operation.name": "execute_tool",
                "gen_ai.tool.name": call.tool.tool,
                "gen_ai.tool.call.id": result.call_id,
                "aibridge.inferred": True,
            }
            if contents and record.capture != "minimal":
                attributes["mcp_input"] = call.tool.input.encode("utf-8", "replace")[:_INPUT].decode("utf-8", "ignore")
            error = "the tool failed" if result.status == "error" else None
            span = Span("Intercept.ProcessRequest.ToolCall", call.at, record.started_at, None, attributes, error)
            found.append((span, call.where))
        return found
