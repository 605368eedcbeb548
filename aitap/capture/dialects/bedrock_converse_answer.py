"""The answer of Amazon Bedrock Converse, whole or as events; Amazon's own models give the same to InvokeModel.

Protocol facts are Amazon's public API reference ("ConverseStream", "ContentBlock", "TokenUsage"): blocks open, grow
and close by their index, a message is whole with ``messageStop``, and ``metadata`` after it brings the usage, in which
``inputTokens`` exclude cached ones.
"""

from __future__ import annotations

from typing import Any

import msgspec

from aitap.capture.dialects.bedrock_converse_turns import turns_of
from aitap.capture.facts import ErrorFact, ResponseFacts, ThoughtFact, ToolFact, UsageFact
from aitap.capture.wire import jsontext
from aitap.capture.wire.jsontext import as_dict, as_int, as_list, as_str, value_of
from aitap.record import ToolKind, ToolResult

__all__ = ["ConverseDecoder", "billed_by", "exception_fact", "tool_result"]

Raw = msgspec.Raw
_NONE = Raw(b"")


def exception_fact(kind: bytes, data: bytes) -> ErrorFact:
    """What an exception frame says."""
    body = as_dict(value_of(data))
    name = kind.partition(b":")[2].decode("utf-8", "replace")
    message = as_str(body.get("message")) or as_str(body.get("Message")) or as_str(body.get("originalMessage"))
    return ErrorFact(message=message or name or "the provider reported an error", type=name or None)


def billed_by(tier: str | None, latency: str | None) -> dict[str, str]:
    """What the price of a response depends on beside its tokens: the tier that served it, and how fast it was to be."""
    return {name: word for name, word in (("serviceTier", tier), ("speed", latency)) if word and len(word) < 64}


def tool_result(block: dict[str, Any]) -> ToolResult | None:
    """What became of a tool call; None where it does not say which."""
    call_id = as_str(block.get("toolUseId"))
    if not call_id:
        return None
    parts = [as_dict(part) for part in as_list(block.get("content"))]
    texts = [as_str(part.get("text")) for part in parts]
    size = sum(
        len(msgspec.json.encode(part)) if text is None else len(text.encode())
        for part, text in zip(parts, texts, strict=True)
    )
    return ToolResult(call_id=call_id, status="error" if block.get("status") == "error" else "ok", size=size)


class _ToolUse(msgspec.Struct):
    """A tool call, its input still the provider's own text."""

    toolUseId: str | None = None  # noqa: N815
    name: str = ""
    input: Raw = _NONE
    type: str | None = None


class _Block(msgspec.Struct):
    toolUse: _ToolUse | None = None  # noqa: N815
    toolResult: Raw = _NONE  # noqa: N815
    reasoningContent: Raw = _NONE  # noqa: N815


class _Output(msgspec.Struct):
    message: Raw = _NONE


class _MessageBody(msgspec.Struct):
    content: Raw = _NONE


class _Document(msgspec.Struct):
    output: Raw = _NONE
    stopReason: Raw = _NONE  # noqa: N815
    usage: Raw = _NONE
    metrics: Raw = _NONE
    trace: Raw = _NONE
    serviceTier: Raw = _NONE  # noqa: N815
    performanceConfig: Raw = _NONE  # noqa: N815
    inputTokens: Raw = _NONE  # noqa: N815


_ACCOUNTS = ("usage", "metrics", "trace", "serviceTier", "performanceConfig")

_document = msgspec.json.Decoder(_Document)
_output = msgspec.json.Decoder(_Output)
_message_body = msgspec.json.Decoder(_MessageBody)
_block = msgspec.json.Decoder(_Block)


class _Open:
    """A tool call or a piece of reasoning while its deltas arrive."""

    __slots__ = ("call", "closed", "hidden", "pieces", "result")

    def __init__(self, call: _ToolUse | None = None) -> None:
        self.call = call
        self.pieces: list[str] = []
        self.hidden = False
        self.closed = False
        self.result: dict[str, Any] = {}


class ConverseDecoder:
    """Decoder of one Converse response."""

    def __init__(self, *, keep_text: bool = False) -> None:
        self.skip: tuple[bytes, ...] = ()
        self._keep_text = keep_text
        self._texts: dict[int, list[Any]] = {}
        self._facts = ResponseFacts()
        self._blocks: dict[int, _Open] = {}
        self._results: dict[str, dict[str, Any]] = {}
        self._given: dict[int, dict[str, Any]] = {}
        self._stopped = False

    def event(self, kind: bytes, data: bytes, at: float) -> None:
        facts = self._facts
        text = kind == b"contentBlockDelta" and b'"delta":{"text"' in data
        if text and facts.first_output_at is not None and not self._keep_text:
            return  # answer text is no fact; the member's name cannot stand unescaped inside a string
        if kind.startswith((b"exception:", b"error:")):
            facts.error = exception_fact(kind, data)
            return
        event = as_dict(value_of(data))
        index = as_int(event.get("contentBlockIndex")) or 0
        match kind:
            case b"contentBlockStart":
                self._on_start(index, as_dict(event.get("start")))
            case b"contentBlockDelta":
                self._on_delta(index, as_dict(event.get("delta")))
            case b"contentBlockStop":
                if index in self._blocks:
                    self._blocks[index].closed = True
            case b"messageStop":
                facts.stop_reason = as_str(event.get("stopReason"))
                self._stopped = True
            case b"metadata":
                self._account(event)
        if facts.first_output_at is None and kind in (b"contentBlockStart", b"contentBlockDelta"):
            facts.first_output_at = at

    def _on_start(self, index: int, start: dict[str, Any]) -> None:
        if call := as_dict(start.get("toolUse")):
            self._blocks[index] = _Open(
                _ToolUse(as_str(call.get("toolUseId")), as_str(call.get("name")) or "", type=as_str(call.get("type")))
            )
        elif result := as_dict(start.get("toolResult")):
            self._results[as_str(result.get("toolUseId")) or ""] = self._given[index] = result

    def _on_delta(self, index: int, delta: dict[str, Any]) -> None:
        if call := as_dict(delta.get("toolUse")):
            opened = self._blocks.setdefault(index, _Open(_ToolUse()))
            opened.pieces.append(as_str(call.get("input")) or "")
        elif thought := as_dict(delta.get("reasoningContent")):
            opened = self._blocks.setdefault(index, _Open())
            opened.pieces.append(as_str(thought.get("text")) or "")
            opened.hidden = opened.hidden or "redactedContent" in thought or "signature" in thought
        elif (pieces := as_list(delta.get("toolResult"))) and (result := self._given.get(index)) is not None:
            result["content"] = [*as_list(result.get("content")), *pieces]
        elif self._keep_text and (text := as_str(delta.get("text"))):
            self._texts.setdefault(index, []).append(text)

    def document(self, data: bytes) -> None:
        parts: _Document | None = jsontext.split(data, _document)
        if parts is None:
            return
        if not parts.output and not parts.stopReason:
            self._stopped = bool(parts.inputTokens)  # the answer to CountTokens
            return
        output: _Output | None = jsontext.split(parts.output, _output)
        message: _MessageBody | None = jsontext.split(output.message, _message_body) if output is not None else None
        for index, item in enumerate(jsontext.raw_items(message.content) if message is not None else []):
            self._on_block(index, item)
        self._facts.stop_reason = as_str(value_of(parts.stopReason))
        self._account({name: value_of(getattr(parts, name)) for name in _ACCOUNTS})
        self._stopped = True

    def _on_block(self, index: int, item: Raw) -> None:
        block: _Block | None = jsontext.split(item, _block)
        if block is None:
            return
        if block.toolUse is not None:
            self._blocks[index] = _Open(block.toolUse)
        elif block.toolResult:
            result = as_dict(value_of(block.toolResult))
            self._results[as_str(result.get("toolUseId")) or ""] = result
        elif block.reasoningContent:
            opened = self._blocks[index] = _Open()
            reasoning = as_dict(value_of(block.reasoningContent))
            opened.pieces.append(as_str(as_dict(reasoning.get("reasoningText")).get("text")) or "")
            opened.hidden = True
        elif self._keep_text:
            self._texts[index] = [as_dict(value_of(item))]
        if index in self._blocks:
            self._blocks[index].closed = True

    def _account(self, event: dict[str, Any]) -> None:
        """Usage, and which model a prompt router chose."""
        if usage := as_dict(event.get("usage")):
            self._facts.usage = _usage(usage, as_dict(event.get("metrics")))
            tier = as_str(as_dict(event.get("serviceTier")).get("type"))
            latency = as_str(as_dict(event.get("performanceConfig")).get("latency"))
            self._facts.usage.extra |= billed_by(tier, latency)
        router = as_dict(as_dict(event.get("trace")).get("promptRouter"))
        self._facts.model = as_str(router.get("invokedModelId")) or self._facts.model

    def facts(self) -> ResponseFacts:
        facts = self._facts
        facts.complete = self._stopped and facts.error is None
        facts.tools, facts.thoughts, facts.hidden_thoughts = [], [], 0
        for _, opened in sorted(self._blocks.items()):
            if opened.call is not None:
                facts.tools.append(self._tool(opened, opened.call))
            elif content := "".join(opened.pieces):
                facts.thoughts.append(ThoughtFact("thinking", content))
            elif opened.hidden:
                facts.hidden_thoughts += 1
        if self._keep_text:
            facts.answer = turns_of({"role": "assistant", "content": self._answer()})
        return facts

    def _answer(self) -> list[dict[str, Any]]:
        """The blocks as a client sends them back."""
        said: dict[int, dict[str, Any]] = {
            index: pieces[0] if isinstance(pieces[0], dict) else {"text": "".join(pieces)}
            for index, pieces in self._texts.items()
        }
        for index, opened in self._blocks.items():
            if (call := opened.call) is not None:
                arguments = "".join(opened.pieces) or value_of(call.input)
                use = {"toolUseId": call.toolUseId, "name": call.name, "input": arguments, "type": call.type}
                said[index] = {"toolUse": use}
        return [block for _, block in sorted(said.items())] + [{"toolResult": r} for r in self._results.values()]

    def _tool(self, opened: _Open, call: _ToolUse) -> ToolFact:
        kind: ToolKind = "server" if call.type == "server_tool_use" else "function"
        result = self._results.get(call.toolUseId or "")
        return ToolFact(
            tool=call.name,
            input="".join(opened.pieces) or jsontext.raw_text(call.input),
            kind=kind,
            call_id=call.toolUseId,
            result=None if result is None else tool_result(result),
            metadata={} if opened.closed else {"partial": True},
        )


_COLUMNS = (
    "inputTokens",
    "outputTokens",
    "cacheReadInputTokens",
    "cacheReadInputTokenCount",
    "cacheWriteInputTokens",
    "cacheWriteInputTokenCount",
)


def _usage(counters: dict[str, Any], metrics: dict[str, Any]) -> UsageFact:
    extra: dict[str, Any] = {
        path: number for path, number in jsontext.flat_numbers(counters).items() if path not in _COLUMNS
    }
    # Cache writes by how long they live, under the names that Anthropic's own counters get.
    for detail in map(as_dict, as_list(counters.get("cacheDetails"))):
        if (number := as_int(detail.get("inputTokens"))) is not None:
            extra[f"cache_ephemeral_{detail.get('ttl')}_input"] = number
    if (latency := as_int(metrics.get("latencyMs"))) is not None:
        extra["latencyMs"] = latency

    def count(*names: str) -> int:
        return next((number for name in names if (number := as_int(counters.get(name))) is not None), 0)

    return UsageFact(
        input_tokens=count("inputTokens"),
        output_tokens=count("outputTokens"),
        cache_read_input_tokens=count("cacheReadInputTokens", "cacheReadInputTokenCount"),
        cache_write_input_tokens=count("cacheWriteInputTokens", "cacheWriteInputTokenCount"),
        extra=extra,
    )
