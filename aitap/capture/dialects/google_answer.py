"""Gemini's answer: one ``GenerateContentResponse``, or a stream of them as events or as a JSON array.

Protocol facts are Google's public references of the Gemini API and of Vertex AI. A candidate is whole
with its ``finishReason``; a prompt that was refused gets ``promptFeedback.blockReason`` and no candidate.
``usageMetadata`` is cumulative: the last value of each counter wins. ``totalTokenCount`` is there defined
as the sum of prompt, candidates, tool-use prompt and thoughts, so those four overlap nowhere; only the
cached content is part of the prompt, and taken out of it.

Theory of operation. Most responses of a stream are one more piece of text and the counters so far. One
that differs from such a response before it in nothing but that text and the numbers among its counters
is not decoded but held: its counters are read once something else follows, or nothing does.
"""

from __future__ import annotations

import re
from typing import Any

import msgspec

from aitap.capture.dialects.google_numbers import blocked_word, finish_word, modality_word, traffic_word
from aitap.capture.dialects.google_partial_args import PartialArguments
from aitap.capture.dialects.google_server_tools import ServerTools
from aitap.capture.dialects.google_turns import turns_of
from aitap.capture.facts import ErrorFact, ResponseFacts, ThoughtFact, ToolFact, UsageFact
from aitap.capture.wire import jsontext
from aitap.capture.wire.jsontext import as_dict, as_int, as_list, as_str, value_of

__all__ = ["AnswerDecoder"]

Raw = msgspec.Raw
_NONE = Raw(b"")


class _Chunk(msgspec.Struct, rename="camel"):
    candidates: Raw = _NONE
    usage_metadata: Raw = _NONE
    prompt_feedback: Raw = _NONE
    model_version: Raw = _NONE
    response_id: Raw = _NONE
    error: Raw = _NONE
    total_tokens: Raw = _NONE
    response: Raw = _NONE


class _Part(msgspec.Struct, rename="camel"):
    text: Raw = _NONE
    thought: Raw = _NONE
    thought_signature: Raw = _NONE
    function_call: Raw = _NONE
    executable_code: Raw = _NONE
    code_execution_result: Raw = _NONE
    tool_call: Raw = _NONE
    tool_response: Raw = _NONE
    inline_data: Raw = _NONE


class _Content(msgspec.Struct):
    parts: list[_Part] | None = None


class _Candidate(msgspec.Struct, rename="camel"):
    index: int = 0
    content: _Content | None = None
    finish_reason: str | int | None = None
    grounding_metadata: Raw = _NONE
    url_context_metadata: Raw = _NONE


class _Call(msgspec.Struct, rename="camel"):
    id: Raw = _NONE
    name: Raw = _NONE
    args: Raw = _NONE
    partial_args: Raw = _NONE
    will_continue: Raw = _NONE


# Members that say more than a piece of text does. None of them can stand unescaped inside a string.
_MORE_THAN_TEXT = (
    b'"finishReason"',
    b'"functionCall"',
    b'"thought"',
    b'"thoughtSignature"',
    b'"error"',
    b'"executableCode"',
    b'"codeExecutionResult"',
    b'"toolCall"',
    b'"toolResponse"',
    b'"groundingMetadata"',
    b'"urlContextMetadata"',
    b'"promptFeedback"',
)
_TEXT = re.compile(rb'"text"\s*:\s*"[^"\\]*+(?:\\.[^"\\]*+)*+"', re.DOTALL)
_DIGITS = b"0123456789"

_chunk = msgspec.json.Decoder(_Chunk)
_candidates = msgspec.json.Decoder(list[_Candidate])
_candidate = msgspec.json.Decoder(_Candidate)
_call = msgspec.json.Decoder(_Call)


class AnswerDecoder:
    """Decoder of one answer; ``wrapped`` where each response stands in a ``response`` member (Code Assist).

    ``vertex`` is whether Vertex AI gives it, whose numbers for words are its own.
    """

    def __init__(self, *, wrapped: bool = False, vertex: bool = False, keep_text: bool = False) -> None:
        self.skip: tuple[bytes, ...] = ()
        self._vertex = vertex
        self._keep_text = keep_text
        self._answers: dict[int, list[Any]] = {}
        self._wrapped = wrapped
        self._facts = ResponseFacts()
        self._usage: dict[str, Any] = {}
        self._held = b""
        self._form: tuple[bytes, ...] | None = None
        self._tools: list[ToolFact] = []
        self._server = ServerTools(self._tools)
        self._thoughts: list[list[str]] = []
        self._thinking: dict[int, list[str]] = {}
        self._streamed: list[tuple[ToolFact, PartialArguments]] = []
        self._calling: dict[int, tuple[ToolFact, PartialArguments]] = {}
        self._signatures = 0
        self._open: set[int] = set()
        self._finished = False

    def event(self, kind: bytes, data: bytes, at: float) -> None:  # noqa: ARG002 - all events are of one kind
        form = _form(data)
        if form is not None and form == self._form and not self._keep_text:
            self._held = data
            return
        self._release()
        self._read(data, at)
        self._form = None if self._thinking or any(member in data for member in _MORE_THAN_TEXT) else form

    def _release(self) -> None:
        """Read the counters of the response that is held."""
        if self._held and (chunk := self._split(self._held)):
            self._count(chunk.usage_metadata)
        self._held = b""

    def document(self, data: bytes) -> None:
        if self._read(data, None) and self._facts.error is None:
            self._finished = True
            self._open.clear()

    def _read(self, data: bytes, at: float | None) -> bool:
        """Take in one response; False where it is none."""
        chunk = self._split(data)
        if chunk is None:
            return False
        facts = self._facts
        if chunk.error and (error := value_of(chunk.error)):
            facts.error = _error(error)
        facts.response_id = facts.response_id or as_str(value_of(chunk.response_id))
        facts.model = facts.model or as_str(value_of(chunk.model_version))
        self._count(chunk.usage_metadata)
        blocked = blocked_word(as_dict(value_of(chunk.prompt_feedback)).get("blockReason"))
        if blocked:
            facts.stop_reason = facts.stop_reason or blocked
            self._finished = True
        for candidate in _read_candidates(chunk.candidates):
            self._take(candidate, at)
        return bool(chunk.candidates or chunk.usage_metadata or blocked or chunk.total_tokens)

    def _split(self, data: bytes) -> _Chunk | None:
        chunk: _Chunk | None = jsontext.split(data, _chunk)
        if chunk is not None and self._wrapped and chunk.response and not chunk.error:
            chunk = jsontext.split(chunk.response, _chunk)
        return chunk

    def _count(self, counters: Raw) -> None:
        self._usage |= {key: value for key, value in as_dict(value_of(counters)).items() if value is not None}

    def _take(self, candidate: _Candidate, at: float | None) -> None:
        facts = self._facts
        self._open.add(candidate.index)
        parts = (candidate.content and candidate.content.parts) or ()
        for part in parts:
            self._part(candidate.index, part)
        if parts and at is not None and facts.first_output_at is None:
            facts.first_output_at = at
        self._server.grounded(candidate.index, candidate.grounding_metadata, candidate.url_context_metadata)
        if reason := finish_word(candidate.finish_reason, vertex=self._vertex):
            self._open.discard(candidate.index)
            self._finished = True
            if candidate.index == 0 or facts.stop_reason is None:
                facts.stop_reason = reason

    def _part(self, index: int, part: _Part) -> None:
        if part.thought_signature:
            self._signatures += 1
        if self._keep_text and not part.function_call:
            self._answers.setdefault(index, []).append(_said(part))
        if part.text:
            if bytes(part.thought) == b"true":
                run = self._thinking.get(index)
                if run is None:
                    run = self._thinking[index] = []
                    self._thoughts.append(run)
                run.append(as_str(value_of(part.text)) or "")
            elif len(part.text) > len(b'""'):
                self._thinking.pop(index, None)
            return
        self._thinking.pop(index, None)
        if part.function_call:
            self._function(index, part.function_call)
        else:
            self._server.part(part.executable_code, part.code_execution_result, part.tool_call, part.tool_response)

    def _function(self, index: int, raw: Raw) -> None:
        call: _Call | None = jsontext.split(raw, _call)
        if call is None:
            return
        name = as_str(value_of(call.name))
        open_call = None if name else self._calling.pop(index, None)
        if open_call is None:
            if not name and not call.args:
                return
            text = jsontext.raw_text(call.args)
            tool = ToolFact(tool=name or "", input="" if text == "null" else text, call_id=as_str(value_of(call.id)))
            open_call = tool, PartialArguments()
            self._tools.append(tool)
            if self._keep_text:
                self._answers.setdefault(index, []).append(tool)
            if call.partial_args or call.will_continue:
                self._streamed.append(open_call)
        for argument in as_list(value_of(call.partial_args)):
            open_call[1].take(as_dict(argument))
        if bytes(call.will_continue) == b"true":
            open_call[0].metadata["partial"] = True
            self._calling[index] = open_call
        else:
            open_call[0].metadata.pop("partial", None)

    def facts(self) -> ResponseFacts:
        self._release()
        facts = self._facts
        facts.answer = []
        ended = self._finished and not self._open
        facts.complete = ended and facts.error is None
        facts.usage = _usage(self._usage, partial=not ended) if self._usage else None
        for tool, arguments in self._streamed:
            tool.input = arguments.text() or tool.input
        facts.tools = self._server.with_searches(self._tools)
        texts = ("".join(run) for run in self._thoughts)
        facts.thoughts = [ThoughtFact("thinking", text) for text in texts if text]
        # A signature is the thought itself, encrypted; where the thought is shown too, nothing is hidden.
        facts.hidden_thoughts = 0 if facts.thoughts else self._signatures
        for _, parts in sorted(self._answers.items()):
            whole = [_called(part) if isinstance(part, ToolFact) else part for part in parts]
            facts.answer = [*facts.answer, *turns_of({"role": "model", "parts": whole})]
        return facts


_SAID = {
    "text": "text",
    "thought": "thought",
    "executableCode": "executable_code",
    "codeExecutionResult": "code_execution_result",
    "toolCall": "tool_call",
    "toolResponse": "tool_response",
    "inlineData": "inline_data",
}


def _said(part: _Part) -> dict[str, Any]:
    """A part as a client sends it back."""
    return {name: value_of(raw) for name, field in _SAID.items() if (raw := getattr(part, field))}


def _called(tool: ToolFact) -> dict[str, Any]:
    return {"functionCall": {"id": tool.call_id, "name": tool.tool, "args": tool.input}}


def _form(data: bytes) -> tuple[bytes, ...] | None:
    """What stays the same from one piece of text to the next; None where a response holds no text."""
    text = _TEXT.search(data)
    if text is None:
        return None
    counters = data.rfind(b'"usageMetadata"')
    if counters < text.end():
        counters = len(data)
    return data[: text.start()], data[text.end() : counters], data[counters:].translate(None, _DIGITS)


def _read_candidates(raw: Raw) -> list[_Candidate]:
    if not raw:
        return []
    try:
        return _candidates.decode(raw)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        found = (jsontext.split(item, _candidate) for item in jsontext.raw_items(raw))
        return [candidate for candidate in found if candidate is not None]


def _error(error: Any) -> ErrorFact:
    """A ``google.rpc.Status``, whose ``status`` is the name of its code."""
    if isinstance(error, str):
        return ErrorFact(message=error)
    error = as_dict(error)
    kind = error.get("status") or error.get("code")
    message = as_str(error.get("message")) or "the provider reported an error"
    return ErrorFact(message=message, type=None if kind is None else str(kind))


_COLUMNS = ("promptTokenCount", "candidatesTokenCount")


_COUNTERS = (*_COLUMNS, "cachedContentTokenCount", "thoughtsTokenCount", "toolUsePromptTokenCount", "totalTokenCount")


def _usage(counters: dict[str, Any], *, partial: bool) -> UsageFact | None:
    if not jsontext.counts(counters, _COUNTERS):
        return None  # Vertex AI tells the kind of traffic long before it has counted anything

    def count(name: str) -> int:
        return as_int(counters.get(name)) or 0

    extra: dict[str, Any] = {
        path: number for path, number in jsontext.flat_numbers(counters).items() if path not in _COLUMNS
    }
    for key, value in counters.items():
        for detail in map(as_dict, as_list(value)):  # [{"modality": "AUDIO", "tokenCount": 7}]
            if (number := as_int(detail.get("tokenCount"))) is not None:
                extra[f"{key}.{modality_word(detail.get('modality'))}"] = number
    words = {
        "trafficType": traffic_word(counters.get("trafficType")),
        "serviceTier": as_str(counters.get("serviceTier")),
    }
    extra |= {key: word for key, word in words.items() if word}
    if partial:
        extra["partial"] = True
    cached = count("cachedContentTokenCount")
    return UsageFact(
        input_tokens=max(count("promptTokenCount") - cached, 0) + count("toolUsePromptTokenCount"),
        output_tokens=count("candidatesTokenCount") + count("thoughtsTokenCount"),
        cache_read_input_tokens=cached,
        extra=extra,
    )
