"""The answer of the Responses API: :class:`ResponsesDecoder`. See ``openai_responses`` for the protocol."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from aitap.capture.dialects.chat_answer import error_fact
from aitap.capture.dialects.openai_responses_turns import item_turns, turns_of
from aitap.capture.dialects.openai_usage import response_usage
from aitap.capture.dialects.responses_items import OutputItem, given_results, read_item, result_of, tool_of, unnamed
from aitap.capture.facts import (
    ErrorFact,
    ResponseFacts,
    ThoughtFact,
    Turn,
)
from aitap.capture.wire import jsontext
from aitap.capture.wire.jsontext import as_dict, as_int, as_list, as_str, value_of

if TYPE_CHECKING:
    from aitap.record import ToolResult

__all__ = ["ResponsesDecoder"]

Raw = msgspec.Raw
_NONE = Raw(b"")


class _Response(msgspec.Struct):
    id: Raw = _NONE
    object: Raw = _NONE
    model: Raw = _NONE
    status: Raw = _NONE
    output: Raw = _NONE
    usage: Raw = _NONE
    tool_usage: Raw = _NONE
    copilot_usage: Raw = _NONE
    service_tier: Raw = _NONE
    error: Raw = _NONE
    incomplete_details: Raw = _NONE
    input_tokens: Raw = _NONE
    answers: Raw = _NONE  # of the Decisions API, whose requests and counters are those of Responses
    background: Raw = _NONE
    created_at: Raw = _NONE


class _Event(msgspec.Struct):
    type: str = ""
    response: Raw = _NONE
    item: Raw = _NONE
    output_index: int | None = None
    error: Raw = _NONE
    delta: Raw = _NONE
    input: Raw = _NONE
    copilot_usage: Raw = _NONE


_GOING_ON = ("queued", "in_progress")
"""What becomes of a response in background is told to who asks later."""

_event = msgspec.json.Decoder(_Event)
_response = msgspec.json.Decoder(_Response)


class ResponsesDecoder:
    """Decoder of one response."""

    # Deltas repeat what the item's done event says whole; text, audio and images are no facts.
    _DELTA_KINDS = tuple(
        b"response." + name
        for name in (
            b"output_text.",
            b"function_call_arguments.",
            b"custom_tool_call_input.",
            b"mcp_call_arguments.",
            b"reasoning_summary_",
            b"reasoning_text.",
            b"refusal.",
            b"content_part.",
            b"audio.",
            b"code_interpreter_call_code.",
            b"image_generation_call.",
        )
    )

    _DELTAS = tuple(b"event: " + kind for kind in _DELTA_KINDS)

    def __init__(self, *, keep_text: bool = False) -> None:
        self.skip: tuple[bytes, ...] = ()
        self._keep_text = keep_text
        self._texts: dict[int, list[str]] = {}
        self._facts = ResponseFacts()
        self._done: dict[int, Raw] = {}
        self._final: list[Raw] = []
        self._given: dict[str, ToolResult] = {}
        self._ended = False

    def event(self, kind: bytes, data: bytes, at: float) -> None:
        if kind in (b"response.created", b"response.in_progress") and self._facts.response_id:
            return
        if data.startswith(b"[DONE]") or (self.skip and kind.startswith(self._DELTA_KINDS)):
            return
        event: _Event | None = jsontext.split(data, _event)
        if event is None:
            return
        name = event.type or kind.decode("ascii", "replace")
        match name:
            case "response.completed" | "response.incomplete" | "response.failed" | "response.cancelled":
                self._read(event.response, final=True)
                self._ended = True
                self._bill(event.copilot_usage)
                if name == "response.failed" and self._facts.error is None:
                    self._facts.error = ErrorFact(message="the provider reported a failed response")
            case "response.created" | "response.in_progress" | "response.queued":
                self._read(event.response, final=False)
            case "response.output_item.done":
                index = event.output_index if event.output_index is not None else len(self._done)
                self._done[index] = Raw(bytes(event.item))
                self._texts.pop(index, None)
            case "response.output_text.delta" if self._keep_text:
                # Kept for the case that the stream is cut before it says the item whole.
                self._texts.setdefault(event.output_index or 0, []).append(as_str(value_of(event.delta)) or "")
            case "response.inject":
                # The client's own, over a WebSocket: results of tools, while the response goes on.
                self._given |= {given.call_id: given for given in given_results(event.input)}
            case "error":
                self._facts.error = error_fact(value_of(data))
            case _:
                if event.error and (error := value_of(event.error)):
                    self._facts.error = error_fact({"error": error})
        if self._facts.first_output_at is None and name.startswith("response.output_item."):
            self._facts.first_output_at = at
            self.skip = () if self._keep_text else self._DELTAS

    def document(self, data: bytes) -> None:
        response: _Response | None = jsontext.split(data, _response)
        if response is None:
            return
        whole = response.output or response.usage or response.status or response.input_tokens
        if (whole and (response.id or response.object)) or response.answers:
            self._read(Raw(data), final=True)
        elif response.error:
            self._facts.error = error_fact(value_of(data))

    def _read(self, raw: Raw, *, final: bool) -> None:
        response: _Response | None = jsontext.split(raw, _response) if raw else None
        if response is None:
            return
        facts = self._facts
        facts.response_id = as_str(value_of(response.id)) or facts.response_id
        facts.model = as_str(value_of(response.model)) or facts.model
        if bytes(response.background) == b"true" and (made := as_int(value_of(response.created_at))):
            facts.background = float(made)
        if not final:
            return
        self._ended = True
        status = as_str(value_of(response.status))
        facts.settled = status not in _GOING_ON
        reason = as_str(as_dict(value_of(response.incomplete_details)).get("reason"))
        facts.stop_reason = reason or status
        if usage := as_dict(value_of(response.usage)):
            facts.usage = response_usage(usage)
        if facts.usage is not None:
            facts.usage.extra |= jsontext.flat_numbers(value_of(response.tool_usage), "tool_usage")
            self._bill(response.copilot_usage)
            if tier := as_str(value_of(response.service_tier)):
                facts.usage.extra["service_tier"] = tier
        if error := value_of(response.error):
            facts.error = error_fact({"error": error})
        elif status == "failed":
            facts.error = ErrorFact(message="the provider reported a failed response")
        self._final = [Raw(bytes(item)) for item in jsontext.raw_items(response.output)]

    def _bill(self, counters: Raw) -> None:
        """GitHub Copilot says beside a response, or in it, what its own units come to."""
        if self._facts.usage is not None:
            self._facts.usage.extra |= jsontext.flat_numbers(value_of(counters), "copilot_usage")

    def facts(self) -> ResponseFacts:
        facts = self._facts
        facts.complete = self._ended and facts.error is None
        facts.tools, facts.thoughts, facts.hidden_thoughts = [], [], 0
        results: dict[str, ToolResult] = {}
        drawn: dict[str, int] = {}
        for raw in self._final or [item for _, item in sorted(self._done.items())]:
            item = read_item(raw)
            if item is None:
                continue
            if item.type == "reasoning":
                self._reasoning(item)
            elif item.type == "message":
                if as_str(value_of(item.phase)) == "commentary":
                    facts.thoughts += [ThoughtFact("commentary", text) for text in _texts(item.content, "output_text")]
            elif item.type.endswith("_call") or item.type in ("mcp_approval_request", "program"):
                facts.tools.append(tool_of(item))
                for path, number in jsontext.flat_numbers(value_of(item.svg_usage), "svg_usage").items():
                    drawn[path] = drawn.get(path, 0) + (as_int(number) or 0)
            elif item.type.endswith("_output"):
                call_id = as_str(value_of(item.call_id)) or unnamed(item, facts.tools, results)
                if call_id:
                    results[call_id] = result_of(item, call_id)
        if facts.usage is not None:
            facts.usage.extra |= drawn
        for tool in facts.tools:
            tool.result = tool.result or results.get(tool.call_id or "") or self._given.get(tool.call_id or "")
        if self._keep_text:
            facts.answer = self._answer()
        return facts

    def _answer(self) -> list[Turn]:
        if self._final:
            return [turn for raw in self._final for turn in item_turns(raw)]
        items = {index: as_dict(value_of(raw)) for index, raw in self._done.items()}
        for index, pieces in self._texts.items():
            items[index] = {"type": "message", "role": "assistant", "content": "".join(pieces)}
        return [turn for _, item in sorted(items.items()) for turn in turns_of(item)]

    def _reasoning(self, item: OutputItem) -> None:
        thoughts = [ThoughtFact("reasoning_summary", text) for text in _texts(item.summary, "summary_text")]
        thoughts += [ThoughtFact("reasoning_content", text) for text in _texts(item.content, "reasoning_text")]
        self._facts.thoughts += thoughts
        if not thoughts and as_str(value_of(item.encrypted_content)):
            self._facts.hidden_thoughts += 1


def _texts(raw: Raw, kind: str) -> list[str]:
    parts = map(as_dict, as_list(value_of(raw)))
    return [text for part in parts if part.get("type", kind) == kind and (text := as_str(part.get("text")))]
