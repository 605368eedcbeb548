"""An output item of the Responses API: which tool it calls, and what came of one. See ``openai_responses``."""

from __future__ import annotations

from typing import Any

import msgspec

from aitap.capture.facts import ToolFact
from aitap.capture.wire import jsontext
from aitap.capture.wire.jsontext import as_dict, as_str, value_of
from aitap.record import ToolKind, ToolResult

__all__ = ["OutputItem", "given_results", "read_item", "result_of", "tool_of", "unnamed"]

Raw = msgspec.Raw
_NONE = Raw(b"")


class OutputItem(msgspec.Struct):
    """An output item, its arguments still the provider's own text."""

    type: str = ""
    id: Raw = _NONE
    call_id: Raw = _NONE
    name: Raw = _NONE
    namespace: Raw = _NONE
    arguments: Raw = _NONE
    input: Raw = _NONE
    action: Raw = _NONE
    actions: Raw = _NONE
    code: Raw = _NONE
    queries: Raw = _NONE
    operation: Raw = _NONE
    server_label: Raw = _NONE
    server_url: Raw = _NONE
    output: Raw = _NONE
    outputs: Raw = _NONE
    result: Raw = _NONE
    results: Raw = _NONE
    error: Raw = _NONE
    status: Raw = _NONE
    role: Raw = _NONE
    phase: Raw = _NONE
    content: Raw = _NONE
    summary: Raw = _NONE
    encrypted_content: Raw = _NONE
    tools: Raw = _NONE
    caller: Raw = _NONE
    agent: Raw = _NONE
    svg_usage: Raw = _NONE


_outputs = msgspec.json.Decoder(OutputItem)

# Run by the provider itself, so that the item tells how the call went; the others wait for the client's answer.
_SERVER_RUN = ("web_search_call", "file_search_call", "code_interpreter_call", "image_generation_call", "mcp_call")


_KINDS: dict[str, ToolKind] = {
    "function_call": "function",
    "custom_tool_call": "custom",
    "mcp_call": "mcp",
    "mcp_approval_request": "mcp",
}


def read_item(raw: Raw) -> OutputItem | None:
    """An item, still undecoded; None where it is none."""
    item: OutputItem | None = jsontext.split(raw, _outputs)
    return item


def unnamed(item: OutputItem, tools: list[ToolFact], results: dict[str, ToolResult]) -> str | None:
    """What a result without an id answers: the provider's search for tools has none (it goes by the item's then)."""
    name = item.type.removesuffix("_output")
    unanswered = (tool.call_id for tool in tools if tool.tool == name and tool.call_id not in results)
    return next(unanswered, None)


def result_of(item: OutputItem, call_id: str) -> ToolResult:
    """What came of a tool, where that is an item of its own."""
    failed = as_str(value_of(item.status)) in ("failed", "incomplete")
    return ToolResult(call_id=call_id, status="error" if failed else "ok", size=_size(item))


def given_results(items: Raw) -> list[ToolResult]:
    """Results that the client gives while a response goes on; how a call went they tell only by a status."""
    found = map(read_item, jsontext.raw_items(items))
    return [
        result_of(item, call_id) if item.status else ToolResult(call_id=call_id, status=None, size=_size(item))
        for item in found
        if item is not None and item.type.endswith("_output") and (call_id := as_str(value_of(item.call_id)))
    ]


def _size(item: OutputItem) -> int | None:
    """Bytes of what a tool gave back; None where the item does not hold it."""
    for raw in (item.output, item.outputs, item.results, item.result, item.tools):
        if raw and bytes(raw) != b"null":
            text = as_str(value_of(raw))
            return len(raw) if text is None else len(text.encode("utf-8", "replace"))
    return None


def tool_of(item: OutputItem) -> ToolFact:
    """The call that an item is."""
    item_id = as_str(value_of(item.id))
    call_id = as_str(value_of(item.call_id)) or item_id
    status = as_str(value_of(item.status))
    error = value_of(item.error)
    metadata: dict[str, Any] = {}
    if namespace := as_str(value_of(item.namespace)):
        metadata["namespace"] = namespace
    if program := as_str(as_dict(value_of(item.caller)).get("caller_id")):  # code that the provider runs calls it
        metadata["caller"] = program[:256]
    if agent := as_str(as_dict(value_of(item.agent)).get("agent_name")):  # one of several that the provider runs
        metadata["agent"] = agent[:256]
    if label := as_str(value_of(item.server_label)):
        metadata["server_label"] = label
    if status == "incomplete":
        metadata["partial"] = True
    if item.type == "mcp_approval_request":
        # The call itself is an item of its own, later, if the person agrees.
        metadata["approval"] = "requested"
    result = None
    if item.type in _SERVER_RUN and status in ("completed", "failed", None):
        failed = status == "failed" or bool(error)
        result = ToolResult(call_id=call_id or "", status="error" if failed else "ok", size=_size(item))
    return ToolFact(
        tool=as_str(value_of(item.action if item.type == "multi_agent_call" else item.name))
        or item.type.removesuffix("_call"),
        input=_input(item),
        kind=_KINDS.get(item.type, "server"),
        call_id=call_id,
        item_id=item_id,
        server_url=as_str(value_of(item.server_url)),
        result=result,
        error=(as_str(error) or jsontext.raw_text(item.error)) if error else None,
        metadata=metadata,
    )


def _input(item: OutputItem) -> str:
    """What the model passed to the tool: text as it is, everything else as the provider's JSON text."""
    for raw in (item.arguments, item.input, item.action, item.actions, item.code, item.operation, item.queries):
        if raw and bytes(raw) != b"null":
            text = as_str(value_of(raw))
            return jsontext.raw_text(raw) if text is None else text
    return ""
