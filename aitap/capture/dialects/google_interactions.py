"""Google's Interactions (``POST /v1beta/interactions``), JSON and event stream.

Protocol facts are Google's public API reference ("Interactions API") and its published SDK. A model or an agent is
asked; what was said before is kept by the provider and named by ``previous_interaction_id``, or sent along as steps.
An answer is a list of steps, in a stream begun, continued and ended by their index, and is over with
``interaction.completed``. The first versions said ``content`` for step and ``outputs`` for steps. The counters are
those of ``generateContent`` under other names: thoughts and tool-use prompts stand beside output and input, and what
was cached is inside of the input.

An input says what items of OpenAI's Responses API say: a request is read as those.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from aitap.capture.dialects.chat_answer import error_fact
from aitap.capture.dialects.openai_responses import OpenAIResponses
from aitap.capture.dialects.openai_responses_turns import turns_of
from aitap.capture.facts import ErrorFact, RequestFacts, ResponseFacts, ThoughtFact, ToolFact, UsageFact
from aitap.capture.wire import jsontext
from aitap.capture.wire.jsontext import as_dict, as_int, as_list, as_str, value_of
from aitap.record import ToolKind, ToolResult

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["GoogleInteractions", "InteractionDecoder"]

_responses = OpenAIResponses()


class GoogleInteractions:
    """The dialect ``google.interactions``."""

    name = "google.interactions"

    def request(self, body: bytes, path: str) -> RequestFacts:
        asked = as_dict(value_of(body))
        config = as_dict(asked.get("generation_config"))
        told: dict[str, Any] = {
            "model": as_str(asked.get("model")) or as_str(asked.get("agent")) or "",
            "input": _input(asked.get("input")),
            "instructions": asked.get("system_instruction"),
            "previous_response_id": asked.get("previous_interaction_id"),
            "max_output_tokens": config.get("max_output_tokens"),
            **{name: asked[name] for name in ("stream", "tools") if asked.get(name)},
        }
        try:
            facts = _responses.request(msgspec.json.encode(told), path)
        except (ValueError, RecursionError, OverflowError):
            facts = RequestFacts()
        facts.model = told["model"].removeprefix("models/")
        facts.output_schema = bool(asked.get("response_format"))
        return facts

    def decoder(self, path: str, headers: Mapping[str, str], *, keep_text: bool = False) -> InteractionDecoder:  # noqa: ARG002
        return InteractionDecoder(keep_text=keep_text)


def _input(given: Any) -> Any:
    """A text, a piece of content, several, or steps."""
    if isinstance(given, str):
        return given
    items: list[dict[str, Any]] = []
    loose: list[dict[str, Any]] = []
    for item in map(as_dict, as_list(given) or [given]):
        if item.get("type") in ("text", "image", "audio", "video", "document"):
            loose.append(item)
        elif found := _item(item):
            items.append(found)
    return [*items, {"role": "user", "content": _parts(loose)}] if loose else items


def _item(step: dict[str, Any]) -> dict[str, Any] | None:
    """A step, or a turn as the first versions had it."""
    kind = as_str(step.get("type")) or ""
    if kind in ("user_input", "model_output") or "role" in step:
        user = kind != "model_output" and step.get("role") not in ("model", "assistant")
        return {"role": "user" if user else "assistant", "content": _parts(step.get("content"))}
    if kind.endswith("_result"):
        return {
            "type": "function_call_output",
            "call_id": step.get("call_id"),
            "output": step.get("result"),
            "status": "failed" if step.get("is_error") is True else None,
        }
    if kind.endswith("_call"):
        return {"type": "function_call", "call_id": step.get("id"), "name": step.get("name") or kind}
    return {"type": "reasoning"} if kind == "thought" else None


def _parts(content: Any) -> list[dict[str, Any]]:
    parts: list[dict[str, Any]] = []
    for part in content if isinstance(content, list) else [content]:
        found = {"type": "text", "text": part} if isinstance(part, str) else as_dict(part)
        kind = found.get("type")
        data, media = as_str(found.get("data")), as_str(found.get("mime_type")) or ""
        place = f"data:{media};base64,{data}" if data else found.get("uri")
        if kind == "text":
            parts.append({"type": "input_text", "text": found.get("text")})
        elif kind == "image":
            parts.append({"type": "input_image", "image_url": place})
        elif kind:
            parts.append({"type": "input_file", "file_data" if data else "file_url": place})
    return parts


class _Step:
    """A step of the answer while its pieces arrive."""

    __slots__ = ("begun", "closed", "pieces", "signed")

    def __init__(self, begun: dict[str, Any]) -> None:
        self.begun = begun
        self.pieces: list[str] = []
        self.signed = bool(begun.get("signature"))
        self.closed = False


class InteractionDecoder:
    """Decoder of one answer."""

    def __init__(self, *, keep_text: bool = False) -> None:
        self.skip: tuple[bytes, ...] = ()
        self._keep_text = keep_text
        self._facts = ResponseFacts()
        self._steps: dict[int, _Step] = {}
        self._ended = False

    def event(self, kind: bytes, data: bytes, at: float) -> None:
        facts = self._facts
        event = as_dict(value_of(data))
        name = as_str(event.get("event_type")) or as_str(event.get("type")) or kind.decode("ascii", "replace")
        index = as_int(event.get("index")) or 0
        self._count(as_dict(as_dict(event.get("metadata")).get("usage")))
        match name:
            case "interaction.created" | "interaction.start" | "interaction.completed" | "interaction.complete":
                self._interaction(as_dict(event.get("interaction")), final="complete" in name)
            case "interaction.status_update" if event.get("status") in ("failed", "cancelled"):
                self._status(as_str(event.get("status")))
            case "step.start" | "content.start":
                self._begin(index, as_dict(event.get("step")) or as_dict(event.get("content")))
            case "step.delta" | "content.delta":
                delta = as_dict(event.get("delta"))
                if index not in self._steps:
                    self._begin(index, {"type": delta.get("type")})
                self._delta(self._steps[index], delta)
            case "step.stop" | "content.stop":
                if index in self._steps:
                    self._steps[index].closed = True
            case "error":
                facts.error = error_fact(event)
            case _ if event.get("error"):
                facts.error = error_fact(event)
        if facts.first_output_at is None and name.startswith(("step.", "content.")):
            facts.first_output_at = at

    def document(self, data: bytes) -> None:
        answer = as_dict(value_of(data))
        steps = answer.get("steps", answer.get("outputs"))
        if answer.get("error") and not steps:
            self._facts.error = error_fact(answer)
        elif answer.get("status") and (answer.get("id") or steps is not None or answer.get("usage")):
            # One that the provider does not keep has no id.
            self._interaction(answer, final=True)

    def _interaction(self, told: dict[str, Any], *, final: bool) -> None:
        facts = self._facts
        facts.response_id = as_str(told.get("id")) or facts.response_id
        facts.model = as_str(told.get("model")) or facts.model
        if not final:
            return
        self._count(as_dict(told.get("usage")))
        # A stream that gave the steps one by one ends without them.
        steps = [as_dict(step) for step in as_list(told.get("steps", told.get("outputs")))]
        if not self._steps:
            for index, step in enumerate(steps):
                if step.get("type") != "user_input":
                    self._begin(index, step)
                    self._steps[index].closed = True
        if (tier := as_str(told.get("service_tier"))) and facts.usage is not None:
            facts.usage.extra["serviceTier"] = tier
        if error := as_dict(told.get("error")):
            facts.error = error_fact({"error": error})
        self._status(as_str(told.get("status")))

    def _status(self, status: str | None) -> None:
        facts = self._facts
        facts.stop_reason = status or facts.stop_reason
        self._ended = status != "cancelled"
        if status == "failed" and facts.error is None:
            facts.error = ErrorFact(message="the provider reported a failed interaction")

    def _count(self, counters: dict[str, Any]) -> None:
        if jsontext.counts(counters, (*_COLUMNS, "total_tokens")):
            self._facts.usage = _usage(counters)

    def _begin(self, index: int, step: dict[str, Any]) -> None:
        self._steps[index] = _Step(step)

    def _delta(self, step: _Step, delta: dict[str, Any]) -> None:
        match delta.get("type"):
            case "arguments_delta":
                step.pieces.append(as_str(delta.get("arguments")) or "")
            case "text" if self._keep_text:
                step.pieces.append(as_str(delta.get("text")) or "")
            case "thought_summary":
                step.pieces.append(as_str(as_dict(delta.get("content")).get("text")) or "")
            case "thought_signature":
                step.signed = True
            case str() as kind if kind.endswith(("_call", "_result")):
                step.begun |= {name: value for name, value in delta.items() if value is not None}

    def facts(self) -> ResponseFacts:
        facts = self._facts
        facts.complete = self._ended and facts.error is None
        facts.tools, facts.thoughts, facts.hidden_thoughts = [], [], 0
        if facts.usage is not None:
            facts.usage.extra.pop("partial", None)
            if not self._ended:
                facts.usage.extra["partial"] = True
        calls: dict[str, ToolFact] = {}
        for _, step in sorted(self._steps.items()):
            kind = as_str(step.begun.get("type")) or ""
            if kind == "thought":
                self._think(step)
            elif kind.endswith("_call"):
                tool = _tool(kind, step, ended=self._ended)
                facts.tools.append(tool)
                calls[tool.call_id or ""] = tool
            elif kind.endswith("_result") and (call := calls.get(as_str(step.begun.get("call_id")) or "")):
                call.result = _result(step.begun, call.call_id or "")
        if self._keep_text:
            facts.answer = [turn for _, step in sorted(self._steps.items()) for turn in turns_of(_said(step))]
        return facts

    def _think(self, step: _Step) -> None:
        summary = [as_str(as_dict(part).get("text")) or "" for part in as_list(step.begun.get("summary"))]
        if text := "".join((*summary, *step.pieces)):
            self._facts.thoughts.append(ThoughtFact("thinking", text))
        elif step.signed:
            self._facts.hidden_thoughts += 1


def _arguments(step: _Step) -> str:
    if text := "".join(step.pieces):
        return text
    given = step.begun.get("arguments")
    return given if isinstance(given, str) else "" if given is None else msgspec.json.encode(given).decode()


def _tool(kind: str, step: _Step, *, ended: bool) -> ToolFact:
    begun = step.begun
    where: ToolKind = "function" if kind == "function_call" else "mcp" if kind.startswith("mcp_") else "server"
    metadata: dict[str, Any] = {} if ended or step.closed else {"partial": True}
    if server := as_str(begun.get("server_name")):
        metadata["server_label"] = server
    return ToolFact(
        tool=as_str(begun.get("name")) or kind.removesuffix("_call"),
        input=_arguments(step),
        kind=where,
        call_id=as_str(begun.get("id")),
        metadata=metadata,
    )


def _result(step: dict[str, Any], call_id: str) -> ToolResult:
    failed = step.get("is_error") is True
    return ToolResult(
        call_id=call_id, status="error" if failed else "ok", size=len(msgspec.json.encode(step.get("result")))
    )


def _said(step: _Step) -> dict[str, Any]:
    """A step as an item of the Responses API."""
    kind = as_str(step.begun.get("type")) or ""
    if kind in ("model_output", "text"):
        whole = step.begun.get("content") or step.begun.get("text")
        content = "".join(step.pieces) or [
            {"type": "output_text", "text": part.get("text")} if part.get("type") == "text" else part
            for part in map(as_dict, whole if isinstance(whole, list) else [{"type": "text", "text": whole}])
        ]
        return {"role": "assistant", "content": content}
    if kind.endswith("_call"):
        name = as_str(step.begun.get("name")) or kind.removesuffix("_call")
        return {"type": "function_call", "name": name, "call_id": step.begun.get("id"), "arguments": _arguments(step)}
    return {"type": "reasoning"}


_COLUMNS = ("total_input_tokens", "total_output_tokens")


def _usage(counters: dict[str, Any]) -> UsageFact:
    def count(name: str) -> int:
        return as_int(counters.get(f"total_{name}_tokens")) or 0

    extra: dict[str, Any] = {
        path: number for path, number in jsontext.flat_numbers(counters).items() if path not in _COLUMNS
    }
    for key, value in counters.items():
        for detail in map(as_dict, as_list(value)):  # [{"modality": "audio", "tokens": 7}], [{"type": "x", "count": 1}]
            number = as_int(detail.get("tokens", detail.get("count")))
            if number is not None:
                extra[f"{key}.{detail.get('modality', detail.get('type'))}"] = number
    cached = count("cached")
    return UsageFact(
        input_tokens=max(count("input") - cached, 0) + count("tool_use"),
        output_tokens=count("output") + count("thought"),
        cache_read_input_tokens=cached,
        extra=extra,
    )
