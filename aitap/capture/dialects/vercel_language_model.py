"""What Vercel's AI SDK and its AI Gateway speak with each other (``POST /v4/ai/language-model``).

Protocol facts are the SDK's published source (the package ``@ai-sdk/gateway`` and its specification of a language
model, versions 2 to 4): the model and whether it streams stand in headers alone. A prompt is a list of messages whose
content is a list of parts, an answer a list of parts of the same kind, or a stream of events that begin, continue and
end them. It is over with ``finish``, which brings the counters: numbers in version 2, later objects of which ``total``
is the sum of the others, so that what a cache gave is inside of the input and reasoning inside of the output.

A request says what one of Chat Completions says, and is read as that.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from aitap.capture.dialects.chat_answer import error_fact
from aitap.capture.dialects.openai_chat import OpenAIChat
from aitap.capture.dialects.openai_chat_turns import turns_of
from aitap.capture.facts import RequestFacts, ResponseFacts, ThoughtFact, ToolFact, UsageFact
from aitap.capture.wire import jsontext
from aitap.capture.wire.jsontext import as_dict, as_int, as_list, as_str, value_of
from aitap.record import ToolResult

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["LanguageModelDecoder", "VercelLanguageModel"]

_chat = OpenAIChat()


_MOST_DOLLARS = 1e9
"""What is more is no price of a call; a database's sum of microdollars has room for it."""


class VercelLanguageModel:
    """The dialect ``vercel.language_model``."""

    name = "vercel.language_model"

    def request(self, body: bytes, path: str) -> RequestFacts:
        asked = as_dict(value_of(body))
        messages = [message for given in as_list(asked.get("prompt")) for message in _messages(as_dict(given))]
        chat = {"messages": messages, "tools": asked.get("tools") or [], "max_tokens": asked.get("maxOutputTokens")}
        try:
            facts = _chat.request(msgspec.json.encode(chat), path)
        except (ValueError, RecursionError, OverflowError):
            return RequestFacts()
        facts.output_schema = bool(as_dict(asked.get("responseFormat")).get("schema"))
        return facts

    def decoder(
        self,
        path: str,  # noqa: ARG002 - the answer says it all
        headers: Mapping[str, str],  # noqa: ARG002
        *,
        keep_text: bool = False,
    ) -> LanguageModelDecoder:
        return LanguageModelDecoder(keep_text=keep_text)


def _messages(message: dict[str, Any]) -> list[dict[str, Any]]:
    """One message as those of Chat Completions, where each result of a tool is a message of its own."""
    content = message.get("content")
    if not isinstance(content, list):
        return [message]
    parts = [as_dict(part) for part in content]
    results = [_result(part) for part in parts if part.get("type") == "tool-result"]
    calls = [_call(part) for part in parts if part.get("type") == "tool-call"]
    said = [found for part in parts if (found := _part(part))]
    rest = {"role": message.get("role"), "content": said, **({"tool_calls": calls} if calls else {})}
    return [*([rest] if said or calls else []), *results]


def _part(part: dict[str, Any]) -> dict[str, Any] | None:
    match part.get("type"):
        case "text":
            return {"type": "text", "text": part.get("text")}
        case "file":
            media, data = as_str(part.get("mediaType")) or "", part.get("data")
            given = as_dict(data)  # version 4 has one object for all forms of it
            place = as_str(given.get("url")) or as_str(given.get("data")) or as_str(data) or ""
            place = place if "://" in place or place.startswith("data:") else f"data:{media};base64,{place}"
            if media.startswith("image/"):
                return {"type": "image_url", "image_url": {"url": place}}
            return {"type": "file", "file": {"file_data": place}}
    return None


def _call(part: dict[str, Any]) -> dict[str, Any]:
    return {"id": part.get("toolCallId"), "function": {"name": part.get("toolName"), "arguments": _arguments(part)}}


def _arguments(part: dict[str, Any]) -> str:
    """What a tool is called with: a text of JSON in an answer, the value itself in a prompt."""
    given = part.get("input")
    return given if isinstance(given, str) else "" if given is None else msgspec.json.encode(given).decode()


def _result(part: dict[str, Any]) -> dict[str, Any]:
    output = as_dict(part.get("output", part.get("result")))
    told = output.get("value")
    text = told if isinstance(told, str) else msgspec.json.encode(told if "value" in output else output).decode()
    return {"role": "tool", "tool_call_id": part.get("toolCallId"), "content": text}


class LanguageModelDecoder:
    """Decoder of one answer."""

    def __init__(self, *, keep_text: bool = False) -> None:
        self.skip: tuple[bytes, ...] = ()
        self._keep_text = keep_text
        self._facts = ResponseFacts()
        self._said: list[str] = []
        self._thoughts: dict[str, list[str]] = {}
        self._begun: dict[str, tuple[dict[str, Any], list[str]]] = {}
        self._tools: dict[str, ToolFact] = {}
        self._usage: dict[str, Any] = {}
        self._cost: float | None = None
        self._ended = False

    def event(self, kind: bytes, data: bytes, at: float) -> None:  # noqa: ARG002 - events say their type themselves
        facts = self._facts
        if data.startswith(b'{"type":"text-delta"') and facts.first_output_at is not None and not self._keep_text:
            return  # answer text is no fact
        part = as_dict(value_of(data))
        name = as_str(part.get("type")) or ""
        match name:
            case "response-metadata":
                self._answered(part)
            case "text-delta":
                self._said.append(as_str(part.get("delta")) or "")
            case "reasoning-delta":
                self._thoughts.setdefault(str(part.get("id")), []).append(as_str(part.get("delta")) or "")
            case "tool-input-start":
                self._begun[str(part.get("id"))] = part, []
            case "tool-input-delta" if str(part.get("id")) in self._begun:
                self._begun[str(part.get("id"))][1].append(as_str(part.get("delta")) or "")
            case "finish":
                self._end(part)
            case "error":
                facts.error = error_fact({"error": part.get("error")})
            case _ if part.get("error"):
                facts.error = error_fact(part)
            case _:
                self._take(part)
        if facts.first_output_at is None and name.endswith(("-delta", "tool-input-start", "tool-call")):
            facts.first_output_at = at

    def document(self, data: bytes) -> None:
        answer = as_dict(value_of(data))
        if not isinstance(answer.get("content"), list):
            return
        for place, part in enumerate(map(as_dict, answer["content"])):
            if part.get("type") == "reasoning":
                self._thoughts[str(place)] = [as_str(part.get("text")) or ""]
            elif part.get("type") == "text":
                self._said.append(as_str(part.get("text")) or "")
            else:
                self._take(part)
        self._answered(as_dict(answer.get("response")))
        self._end(answer)

    def _answered(self, told: dict[str, Any]) -> None:
        self._facts.response_id = as_str(told.get("id")) or self._facts.response_id
        self._facts.model = as_str(told.get("modelId")) or self._facts.model

    def _take(self, part: dict[str, Any]) -> None:
        call_id = as_str(part.get("toolCallId")) or ""
        if part.get("type") == "tool-call":
            self._tools[call_id] = ToolFact(
                tool=as_str(part.get("toolName")) or "",
                input=_arguments(part),
                kind="server" if part.get("providerExecuted") is True else "function",
                call_id=call_id or None,
            )
        elif part.get("type") == "tool-result" and (tool := self._tools.get(call_id)):
            failed = part.get("isError") is True
            size = len(msgspec.json.encode(part.get("result")))
            tool.result = ToolResult(call_id=call_id, status="error" if failed else "ok", size=size)

    def _end(self, end: dict[str, Any]) -> None:
        facts = self._facts
        reason = end.get("finishReason")
        facts.stop_reason = as_str(reason) or as_str(as_dict(reason).get("unified"))
        self._usage = as_dict(end.get("usage")) or self._usage
        self._cost = _amount(as_dict(as_dict(end.get("providerMetadata")).get("gateway")).get("cost"))
        self._ended = True
        if facts.stop_reason == "error" and facts.error is None:
            facts.error = error_fact({"error": "the provider reported a failed generation"})

    def facts(self) -> ResponseFacts:
        facts = self._facts
        facts.complete = self._ended and facts.error is None
        facts.usage = _usage(self._usage)
        if facts.usage is not None and self._cost is not None:
            facts.usage.extra["cost"] = self._cost
        thoughts = ["".join(pieces) for pieces in self._thoughts.values()]
        facts.thoughts = [ThoughtFact("thinking", thought) for thought in thoughts if thought]
        # What was begun comes whole in the end, unless the stream is cut.
        cut = [
            ToolFact(as_str(part.get("toolName")) or "", "".join(pieces), call_id=call_id, metadata={"partial": True})
            for call_id, (part, pieces) in self._begun.items()
            if call_id not in self._tools
        ]
        facts.tools = [*self._tools.values(), *cut]
        if self._keep_text:
            calls = [{"id": t.call_id, "function": {"name": t.tool, "arguments": t.input}} for t in facts.tools]
            facts.answer = turns_of({"role": "assistant", "content": "".join(self._said), "tool_calls": calls})
        return facts


def _usage(counters: dict[str, Any]) -> UsageFact | None:
    """The counters of any version by our rules; None where they count nothing."""
    asked, said = as_dict(counters.get("inputTokens")), as_dict(counters.get("outputTokens"))
    read, written = as_int(counters.get("inputTokens")), as_int(counters.get("outputTokens"))
    cached, stored = as_int(counters.get("cachedInputTokens")) or 0, 0
    if asked or said:
        cached, stored = (as_int(asked.get(name)) or 0 for name in ("cacheRead", "cacheWrite"))
        read, written = as_int(asked.get("total")), as_int(said.get("total"))
    if read is None and written is None:
        return None
    fresh = as_int(asked.get("noCache"))
    if fresh is None:
        # Of version 2 the number is each provider's own, so that it may be without what was cached.
        fresh = (read or 0) - (cached + stored if cached + stored <= (read or 0) else 0)
    return UsageFact(
        input_tokens=fresh,
        output_tokens=written or 0,
        cache_read_input_tokens=cached,
        cache_write_input_tokens=stored,
        extra={
            path: number
            for path, number in jsontext.flat_numbers(counters).items()
            if path not in ("inputTokens", "outputTokens", "inputTokens.total", "outputTokens.total")
        },
    )


def _amount(value: Any) -> float | None:
    """US dollars, a number or one as text; None where it is none that can be."""
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        return None
    try:
        amount = float(value)
    except (ValueError, OverflowError):
        return None
    return amount if 0 <= amount < _MOST_DOLLARS else None
