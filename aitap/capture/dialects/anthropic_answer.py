"""The answer of Anthropic Messages: :class:`MessageDecoder`. See ``anthropic_messages`` for the protocol."""

from __future__ import annotations

from typing import Any

import msgspec

from aitap.capture.dialects.anthropic_turns import turns_of
from aitap.capture.dialects.anthropic_usage import BILLED_REFUSALS, usage_of
from aitap.capture.facts import (
    ErrorFact,
    ResponseFacts,
    ThoughtFact,
    ToolFact,
)
from aitap.capture.wire import jsontext
from aitap.capture.wire.jsontext import as_dict, as_int, as_str, value_of
from aitap.record import ToolKind, ToolResult

__all__ = ["MessageDecoder"]

Raw = msgspec.Raw
_NONE = Raw(b"")


class _Block(msgspec.Struct):
    """A content block as it stands in a message, its tool input still the provider's own text."""

    type: str = ""
    id: Raw = _NONE
    name: Raw = _NONE
    text: Raw = _NONE
    thinking: Raw = _NONE
    input: Raw = _NONE
    server_name: Raw = _NONE
    tool_use_id: Raw = _NONE
    is_error: Raw = _NONE
    content: Raw = _NONE
    caller: Raw = _NONE
    toolset_name: Raw = _NONE
    origin: Raw = msgspec.field(default=_NONE, name="from")
    to: Raw = _NONE
    trigger: Raw = _NONE


class _Start(msgspec.Struct):
    index: int
    content_block: _Block


class _Delta(msgspec.Struct):
    type: str = ""
    text: str = ""
    partial_json: str = ""
    thinking: str = ""


class _DeltaEvent(msgspec.Struct):
    index: int
    delta: _Delta


class _Document(msgspec.Struct):
    type: Raw = _NONE
    id: Raw = _NONE
    model: Raw = _NONE
    content: Raw = _NONE
    stop_reason: Raw = _NONE
    stop_details: Raw = _NONE
    usage: Raw = _NONE
    error: Raw = _NONE
    input_tokens: Raw = _NONE
    copilot_usage: Raw = _NONE


_start = msgspec.json.Decoder(_Start)
_delta = msgspec.json.Decoder(_DeltaEvent)
_document = msgspec.json.Decoder(_Document)
_block = msgspec.json.Decoder(_Block)

_TEXT_DELTAS = (
    b'event: content_block_delta\ndata: {"type":"content_block_delta","index":%d,"delta":{"type":"text_delta",',
    b'event: content_block_delta\ndata: {"type": "content_block_delta", "index": %d, "delta": {"type": "text_delta",',
)
_MOST_SKIPPED = 64
"""Each prefix is tried on each event: an answer in ever so many blocks shall not make that dear."""

_TOOLS: dict[str, ToolKind] = {"tool_use": "function", "server_tool_use": "server", "mcp_tool_use": "mcp"}


class _Open:
    """A block of a stream, from its start to its stop."""

    __slots__ = ("block", "closed", "pieces")

    def __init__(self, block: _Block) -> None:
        self.block = block
        self.pieces: list[str] = []
        self.closed = False


class MessageDecoder:
    """Decoder of one Messages response."""

    def __init__(self, *, keep_text: bool = False) -> None:
        self.skip: tuple[bytes, ...] = ()
        self._keep_text = keep_text
        self._facts = ResponseFacts()
        self._usage: dict[str, Any] = {}
        self._blocks: dict[int, _Open] = {}
        self._stopped = False

    def event(self, kind: bytes, data: bytes, at: float) -> None:
        facts = self._facts
        match kind:
            case b"content_block_delta":
                self._on_delta(data)
            case b"content_block_start":
                if facts.first_output_at is None:
                    facts.first_output_at = at
                self._on_start(data)
            case b"content_block_stop":
                opened = self._blocks.get(as_int(as_dict(value_of(data)).get("index")) or 0)
                if opened is not None:
                    opened.closed = True
            case b"ping":
                pass
            case _:
                self._on_other(data, at)

    def _on_start(self, data: bytes) -> None:
        event: _Start | None = jsontext.split(data, _start)
        if event is None:
            return
        self._blocks[event.index] = _Open(event.content_block)
        if event.content_block.type == "fallback":
            # One model would not, and another takes over: the start of the message named the first.
            served = as_str(as_dict(value_of(event.content_block.to)).get("model"))
            self._facts.model = served or self._facts.model
        if event.content_block.type == "text" and not self._keep_text and len(self.skip) < _MOST_SKIPPED:
            # Answer text is no fact. Providers write JSON with or without blanks.
            self.skip = tuple(dict.fromkeys((*self.skip, *(form % event.index for form in _TEXT_DELTAS))))

    def _on_delta(self, data: bytes) -> None:
        event: _DeltaEvent | None = jsontext.split(data, _delta)
        opened = None if event is None else self._blocks.get(event.index)
        if event is None or opened is None:
            return
        if event.delta.type == "input_json_delta":
            opened.pieces.append(event.delta.partial_json)
        elif event.delta.type == "thinking_delta":
            opened.pieces.append(event.delta.thinking)
        elif event.delta.type == "text_delta" and self._keep_text:
            opened.pieces.append(event.delta.text)

    def _on_other(self, data: bytes, at: float) -> None:
        event = as_dict(value_of(data))
        match event.get("type"):
            case "message_start":
                message = as_dict(event.get("message"))
                self._facts.response_id = as_str(message.get("id"))
                self._facts.model = as_str(message.get("model"))
                self._count(as_dict(message.get("usage")))
            case "message_delta":
                delta = as_dict(event.get("delta"))
                self._facts.stop_reason = as_str(delta.get("stop_reason")) or self._facts.stop_reason
                self._facts.stop_category = _category(delta.get("stop_details")) or self._facts.stop_category
                self._count(as_dict(event.get("usage")))
                self._count({"copilot_usage": event.get("copilot_usage")})
            case "message_stop":
                self._count({"copilot_usage": event.get("copilot_usage")})
                self._stopped = True
            case "error":
                self._facts.error = _error(event)
            case "content_block_start":
                # A stream without event names says the type in its data alone.
                self.event(b"content_block_start", data, at)
            case "content_block_delta":
                self._on_delta(data)
            case "content_block_stop":
                self.event(b"content_block_stop", data, at)
            case None if event.get("error"):
                # Gateways send errors of their own shape.
                self._facts.error = _error(event)

    def document(self, data: bytes) -> None:
        parts: _Document | None = jsontext.split(data, _document)
        if parts is None:
            return
        if parts.error and (error := as_dict(value_of(parts.error))):
            self._facts.error = _error({"error": error})
            return
        if not parts.content and not parts.input_tokens:
            return
        self._facts.response_id = as_str(value_of(parts.id))
        self._facts.model = as_str(value_of(parts.model))
        self._facts.stop_reason = as_str(value_of(parts.stop_reason))
        self._facts.stop_category = _category(value_of(parts.stop_details))
        # GitHub Copilot says beside the counters what its own units come to.
        self._count(as_dict(value_of(parts.usage)) | {"copilot_usage": value_of(parts.copilot_usage)})
        for index, item in enumerate(jsontext.raw_items(parts.content)):
            block = jsontext.split(item, _block)
            if block is not None:
                opened = self._blocks[index] = _Open(block)
                opened.closed = True
        self._stopped = True

    def _count(self, usage: dict[str, Any]) -> None:
        for key, value in usage.items():
            if isinstance(value, dict) and isinstance(self._usage.get(key), dict):
                self._usage[key] |= value
            elif value is not None:
                self._usage[key] = value

    def facts(self) -> ResponseFacts:
        facts = self._facts
        facts.complete = self._stopped and facts.error is None
        hops = [opened.block for _, opened in sorted(self._blocks.items()) if opened.block.type == "fallback"]
        facts.usage = usage_of(self._usage, _refused(hops), partial=not self._stopped) if self._usage else None
        refused = facts.stop_reason == "refusal" and facts.stop_category not in BILLED_REFUSALS
        if refused and facts.usage is not None and not facts.usage.output_tokens:
            facts.usage.extra["refused_at_once"] = True
        facts.tools, facts.thoughts, facts.hidden_thoughts, facts.late_results = [], [], 0, []
        calls: dict[str, ToolFact] = {}
        for _, opened in sorted(self._blocks.items()):
            block = opened.block
            if block.type == "thinking":
                content = "".join(opened.pieces) or as_str(value_of(block.thinking))
                if content:
                    facts.thoughts.append(ThoughtFact("thinking", content))
                else:
                    facts.hidden_thoughts += 1
            elif block.type == "redacted_thinking":
                facts.hidden_thoughts += 1
            elif block.type in _TOOLS:
                tool = _tool(opened)
                facts.tools.append(tool)
                if tool.call_id:
                    calls[tool.call_id] = tool
            elif block.type.endswith("_tool_result"):
                call_id = as_str(value_of(block.tool_use_id)) or ""
                result, error = _server_result(block, call_id)
                if (call := calls.get(call_id)) is not None:
                    call.result, call.error = result, error
                elif call_id:
                    facts.late_results.append(result)
        if self._keep_text:
            blocks = [_whole(opened) for _, opened in sorted(self._blocks.items())]
            facts.answer = turns_of({"role": "assistant", "content": blocks})
        return facts


def _error(event: dict[str, Any]) -> ErrorFact:
    error = as_dict(event.get("error"))
    message = as_str(error.get("message")) or as_str(event.get("error")) or "the provider reported an error"
    return ErrorFact(message=message, type=as_str(error.get("type")))


def _category(stop_details: Any) -> str | None:
    """Of a refusal: ``cyber``, ``bio``, ..."""
    category = as_str(as_dict(stop_details).get("category"))
    return category[:64] if category else None


def _refused(hops: list[_Block]) -> dict[str, str | None]:
    """Which models would not, and why, of what stands between the pieces of the answer."""
    return {
        as_str(as_dict(value_of(hop.origin)).get("model")) or "": as_str(as_dict(value_of(hop.trigger)).get("category"))
        for hop in hops
    }


def _tool(opened: _Open) -> ToolFact:
    block = opened.block
    text = "".join(opened.pieces) or jsontext.raw_text(block.input)
    metadata: dict[str, Any] = {} if opened.closed else {"partial": True}
    if server := as_str(value_of(block.server_name)):
        metadata["server_label"] = server
    if toolset := as_str(value_of(block.toolset_name)):  # a browser's "click" is not the tool that has this name alone
        metadata["toolset"] = toolset[:256]
    caller = as_dict(value_of(block.caller))
    if program := as_str(caller.get("tool_id")):  # code that the provider runs calls it, not the model itself
        metadata["caller"] = program[:256]
    return ToolFact(
        tool=as_str(value_of(block.name)) or "",
        input="" if text == "null" else text,
        kind=_TOOLS[block.type],
        call_id=as_str(value_of(block.id)),
        metadata=metadata,
    )


def _whole(opened: _Open) -> dict[str, Any]:
    """A block as a client sends it back."""
    block = {name: value_of(getattr(opened.block, name)) for name in _MEMBERS if getattr(opened.block, name)}
    pieces = "".join(opened.pieces)
    if pieces and opened.block.type in _TOOLS:
        block["input"] = pieces
    elif pieces and opened.block.type == "text":
        block["text"] = (as_str(block.get("text")) or "") + pieces
    return {"type": opened.block.type} | block


_MEMBERS = ("id", "name", "text", "input", "server_name", "tool_use_id", "is_error", "content")


def _server_result(block: _Block, call_id: str) -> tuple[ToolResult, str | None]:
    """How a tool went that the provider ran, and the provider's code for why it failed.

    Failure is said by ``is_error`` or by a content type that ends in ``_error``.
    """
    content = as_dict(value_of(block.content))
    failed = value_of(block.is_error) is True or (as_str(content.get("type")) or "").endswith("_error")
    result = ToolResult(call_id=call_id, status="error" if failed else "ok", size=len(block.content))
    return result, as_str(content.get("error_code")) if failed else None
