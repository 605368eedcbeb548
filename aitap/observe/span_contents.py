"""What was said, in OpenTelemetry's form of messages, for who asks for contents in traces.

With ``capture = full`` that is the conversation, else what the record has of it: prompt, thoughts, tool calls.
See https://opentelemetry.io/docs/specs/semconv/gen-ai/ (``gen_ai.input.messages``, ``gen_ai.output.messages``).
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import msgspec

from aitap.observe.log_formats import json_text

if TYPE_CHECKING:
    from collections.abc import Mapping

    from aitap.record import Interception, StoredMessage

__all__ = ["contents_of", "contents_wanted"]

_VARIABLE = "OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT"


def contents_wanted(environ: Mapping[str, str] = os.environ) -> bool:
    """Whether the standard variable asks for contents in spans."""
    return environ.get(_VARIABLE, "").strip().lower() in ("true", "span_only", "span_and_event")


def contents_of(record: Interception) -> dict[str, str]:
    """The attributes that say what was said; nothing with ``capture = minimal``."""
    if record.capture == "minimal":
        return {}
    known = {message.digest: message for message in record.contents}
    asked = [_message(message) for message in _chain(known, record.request_digest)]
    if not asked:
        asked = [_said("user", [_text(prompt.prompt)]) for prompt in record.user_prompts]
    parts: list[dict[str, Any]] = [
        {"type": "reasoning", "content": thought.content} for thought in record.model_thoughts
    ]
    answer = known.get(record.response_digest or "")
    if answer is not None:
        parts += _message(answer)["parts"]
    else:
        parts += [
            {"type": "tool_call", "id": tool.provider_tool_call_id, "name": tool.tool, "arguments": tool.input}
            for tool in record.tool_usages
        ]
    found = {}
    if asked:
        found["gen_ai.input.messages"] = json_text(asked)
    if parts:
        found["gen_ai.output.messages"] = json_text(
            [{**_said("assistant", parts), "finish_reason": record.stop_reason}]
        )
    return found


def _chain(known: dict[str, StoredMessage], digest: str | None) -> list[StoredMessage]:
    """The messages up to this one, oldest first."""
    chain: list[StoredMessage] = []
    while digest is not None and (message := known.pop(digest, None)) is not None:
        chain.append(message)
        digest = message.parent_digest
    return chain[::-1]


def _message(message: StoredMessage) -> dict[str, Any]:
    return _said(message.role, [_part(part) for part in msgspec.json.decode(message.content)])


def _part(part: Any) -> Any:
    """From our form (see :mod:`aitap.capture.turns`) to theirs, where they differ."""
    if part.get("type") == "text":
        return _text(part.get("text", ""))
    if part.get("type") == "tool_call":
        return {"type": "tool_call", "id": part.get("id"), "name": part.get("name"), "arguments": part.get("input")}
    if part.get("type") == "tool_result":
        return {"type": "tool_call_response", "id": part.get("id"), "result": part.get("content")}
    return part


def _said(role: str, parts: list[Any]) -> dict[str, Any]:
    return {"role": role, "parts": parts}


def _text(text: str) -> dict[str, Any]:
    return {"type": "text", "content": text}
