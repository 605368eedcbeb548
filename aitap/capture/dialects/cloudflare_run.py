"""Cloudflare's own language of Workers AI (``POST .../ai/run/@cf/MAKER/MODEL``; its gateway: ``.../workers-ai/@cf/``).

Protocol facts are Cloudflare's public API reference ("Workers AI", "Execute AI model"): the model stands in the path,
an answer in the envelope ``result``, a stream without one. Most models answer with a text in ``response``, calls of
tools beside it, and the counters that Chat Completions have; newer ones with all that Chat Completions or Responses
say. So what is asked and answered is read as those.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

import msgspec

from aitap.capture.dialects.chat_answer import ChatDecoder
from aitap.capture.dialects.openai_chat import OpenAIChat
from aitap.capture.dialects.openai_responses import OpenAIResponses
from aitap.capture.dialects.responses_answer import ResponsesDecoder
from aitap.capture.facts import RequestFacts
from aitap.capture.wire.jsontext import as_dict, as_list, as_str, value_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from aitap.capture.facts import ResponseFacts

__all__ = ["CloudflareRun", "RunDecoder"]

_chat = OpenAIChat()
_responses = OpenAIResponses()
_MODEL = re.compile(r"/(@(?:cf|hf)/.+)$")


class CloudflareRun:
    """The dialect ``cloudflare.run``."""

    name = "cloudflare.run"

    def request(self, body: bytes, path: str) -> RequestFacts:
        asked = as_dict(value_of(body))
        if prompt := as_str(asked.get("prompt")):
            asked["messages"] = [{"role": "user", "content": prompt}]
        try:
            facts = (_responses if "input" in asked else _chat).request(msgspec.json.encode(asked), path)
        except (ValueError, RecursionError, OverflowError):
            facts = RequestFacts()
        match = _MODEL.search(unquote(path))
        facts.model = match[1] if match else ""
        return facts

    def decoder(self, path: str, headers: Mapping[str, str], *, keep_text: bool = False) -> RunDecoder:  # noqa: ARG002
        return RunDecoder(keep_text=keep_text)


class RunDecoder:
    """Decoder of one answer: takes it out of its envelope, and passes on what is inside."""

    def __init__(self, *, keep_text: bool = False) -> None:
        self.skip: tuple[bytes, ...] = ()
        self._keep_text = keep_text
        self._inner: ChatDecoder | ResponsesDecoder = ChatDecoder(keep_text=keep_text)

    def event(self, kind: bytes, data: bytes, at: float) -> None:
        if b'"response"' not in data and b'"tool_calls"' not in data:
            self._inner.event(kind, data, at)
            return
        told = as_dict(value_of(data))
        if told.get("type") or "choices" in told:
            if told.get("type") and isinstance(self._inner, ChatDecoder):
                self._inner = ResponsesDecoder(keep_text=self._keep_text)
            self._inner.event(kind, data, at)
        else:
            self._inner.event(kind, msgspec.json.encode(_completion("delta", told)), at)

    def document(self, data: bytes) -> None:
        answer = as_dict(value_of(data))
        result = as_dict(answer.get("result")) or (answer if "result" not in answer else {})
        if isinstance(result.get("output"), list):
            self._inner = ResponsesDecoder(keep_text=self._keep_text)
        elif "response" in result or "tool_calls" in result:
            result = _completion("message", result)
        self._inner.document(msgspec.json.encode(result))

    def facts(self) -> ResponseFacts:
        return self._inner.facts()


def _completion(member: str, told: dict[str, Any]) -> dict[str, Any]:
    """A text in ``response``, or a piece of it, as Chat Completions have it."""
    text = told.get("response")
    said = text if isinstance(text, str) or text is None else msgspec.json.encode(text).decode()
    calls = [_call(index, as_dict(call)) for index, call in enumerate(as_list(told.get("tool_calls")))]
    message = {"content": said, "tool_calls": calls} if calls else {"content": said}
    return {"choices": [{"index": 0, member: message}], "usage": told.get("usage")}


def _call(index: int, call: dict[str, Any]) -> dict[str, Any]:
    """A call, whose name and arguments may stand on top."""
    function = as_dict(call.get("function")) or {"name": call.get("name"), "arguments": call.get("arguments")}
    return {"index": index, "id": call.get("id"), "function": function}
