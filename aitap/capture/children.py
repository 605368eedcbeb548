"""The rows beside an interception's own: what it cost, the tools that were called, what the model thought.

Every text has been redacted before it stands here, every name and id has the length that the database has for it.
"""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING, Any

from aitap.capture.credentials import bare_url
from aitap.capture.errors import error_message
from aitap.capture.their_ids import kept_id
from aitap.record import Interception, ModelThought, TokenUsage, ToolUsage

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from aitap.capture.facts import ResponseFacts, ToolFact
    from aitap.capture.texts import Texts

__all__ = ["LONGEST_WORD", "add_children"]

LONGEST_WORD = 256
"""Characters that are kept of a model's name and of a reason to stop; twice as many of a tool's name."""
_MOST_COUNTERS = 256
"""Kept of one answer; providers send some twenty."""


def add_children(
    record: Interception,
    facts: ResponseFacts,
    texts: Texts,
    *,
    servers: Mapping[str, str],
    secrets: Callable[[], frozenset[str]],
    at: float,
) -> None:
    """Give a record what the answer told.

    ``servers`` are the MCP servers that the request named, by their labels; ``secrets`` gives the call's own
    credentials, which an error may repeat; ``at`` is when the answer ended, in epoch seconds.
    """
    response_id = kept_id(facts.response_id or "")
    for prompt in record.user_prompts:
        prompt.provider_response_id = response_id
    if facts.usage is not None:
        record.token_usages = [
            TokenUsage(
                provider_response_id=response_id,
                input_tokens=facts.usage.input_tokens,
                output_tokens=facts.usage.output_tokens,
                cache_read_input_tokens=facts.usage.cache_read_input_tokens,
                cache_write_input_tokens=facts.usage.cache_write_input_tokens,
                metadata=_short(facts.usage.extra),
                provider_model=facts.model,
                created_at=at,
            )
        ]
    for number, tool in enumerate(facts.tools):
        field = f"tool_usages.{number}"
        tool.metadata = _short(tool.metadata)
        failed = texts.failure(f"{field}.invocation_error", tool.error, tool.metadata)
        usage = ToolUsage(
            provider_response_id=response_id,
            tool=tool.tool[: 2 * LONGEST_WORD],
            input=texts.kept(f"{field}.input", tool.input, tool.metadata),
            kind=tool.kind,
            provider_tool_call_id=kept_id(tool.call_id),
            provider_item_id=kept_id(tool.item_id),
            server_url=bare_url(_server(tool, servers)),
            invocation_error=None if failed is None else error_message(failed, secrets()),
            metadata=tool.metadata,
            created_at=at,
        )
        if tool.result is not None:
            usage.result_status, usage.result_bytes, usage.result_at = tool.result.status, tool.result.size, at
        record.tool_usages.append(usage)
    for number, thought in enumerate(facts.thoughts):
        metadata: dict[str, Any] = {"source": thought.source}
        record.model_thoughts.append(
            ModelThought(
                provider_response_id=response_id,
                content=texts.kept(f"model_thoughts.{number}.content", thought.content, metadata),
                metadata=metadata,
                created_at=at,
            )
        )


def _server(tool: ToolFact, servers: Mapping[str, str]) -> str | None:
    return tool.server_url or servers.get(tool.metadata.get("server_label", ""))


def _short(metadata: dict[str, Any]) -> dict[str, Any]:
    """Counters and words as a provider names them, in the length of names."""
    return {
        name[:LONGEST_WORD]: value[:LONGEST_WORD] if isinstance(value, str) else value
        for name, value in islice(metadata.items(), _MOST_COUNTERS)
    }
