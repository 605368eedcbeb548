"""From a record to its spans: plain values, with times of the wire.

The tree and its names are the reference's; the span that is the call of the model is, besides, a client span
by OpenTelemetry's conventions for generative AI::

    Intercept                       the exchange, from first byte to last
    ├─ CachedBridgePool.Acquire     the connection to the provider: begun, or reused
    ├─ Intercept.CreateInterceptor  the request, until it is whole
    ├─ Intercept.RecordInterception
    ├─ Intercept.ProcessRequest     from then on
    │  ├─ chat MODEL                (Intercept.ProcessRequest.Upstream)
    │  ├─ Intercept.ProcessRequest.ToolCall     see aitap.observe.open_calls
    │  └─ Intercept.Record{PromptUsage,TokenUsage,ToolUsage,ModelThought}, one for each
    └─ Intercept.RecordInterceptionEnded

What is recorded takes no time on the wire, so those spans mark a moment. A failed exchange is an error of
Intercept, ProcessRequest and the client span, which here lasts as long as the response does.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from aitap.observe import log_lines, semconv
from aitap.observe.record_metrics import error_code
from aitap.observe.span_contents import contents_of

if TYPE_CHECKING:
    from aitap.record import Interception, Passed

__all__ = ["UPSTREAM", "Event", "Span", "common", "passthrough", "spans_of"]

UPSTREAM = "Intercept.ProcessRequest.Upstream"

Attributes = dict[str, Any]

_ANTHROPIC = ("anthropic.messages", "bedrock.invoke", "bedrock.converse", "vertex.anthropic")
_TEXTS = ("prompt", "input", "content")
_REASONING = ("completion_reasoning", "output_reasoning", "reasoning_tokens", "thoughts_token_count")


class Event(msgspec.Struct):
    """A moment in a span. ``at`` is in epoch seconds."""

    name: str
    at: float
    attributes: Attributes


class Span(msgspec.Struct):
    """One span; times are in epoch seconds. Attributes that are None are not known."""

    name: str
    start: float
    end: float
    parent: Span | None = None
    """None for the topmost."""
    attributes: Attributes = {}
    error: str | None = None
    """What went wrong; empty where nobody said, None where nothing did."""
    client: bool = False
    """Whether it is a call to another service."""
    events: list[Event] = []


def common(record: Interception) -> Attributes:
    """What the reference says of every span of an interception."""
    known: Attributes = {
        "request_path": record.path,
        "interception_id": record.id,
        "user_id": record.initiator_id,
        "provider": record.provider_name,
        "model": record.model,
        "streaming": record.streaming,
        "api_key_id": record.api_key_id,
    }
    if record.api in _ANTHROPIC:
        known["aws_bedrock"] = record.provider == "bedrock"
    return known


def spans_of(
    record: Interception, names: semconv.Names, *, reference: bool = False, contents: bool = False, logs: bool = False
) -> list[Span]:
    """The spans of a record that has ended, parents before children.

    ``reference`` names the client span as the reference does. ``contents`` puts what was said into it, as far as
    the record has it; ``logs`` puts the record's log lines into spans as events, their texts only with ``contents``.
    """
    shared = common(record)
    start = record.started_at
    end = max(record.ended_at or start, start)
    asked = min(max(record.wire.asked_at or start, start), end)
    error = _error(record)
    root = Span("Intercept", start, end, None, {**shared, **_ours(record)}, error)
    recorded = Span("Intercept.RecordInterception", asked, asked, root, shared)
    process = Span("Intercept.ProcessRequest", asked, end, root, shared, error)
    upstream = Span(
        UPSTREAM if reference else f"{semconv.operation(record)} {record.model}".rstrip(),
        asked,
        end,
        process,
        {**shared, **_genai(record, names)},
        error,
        client=True,
    )
    if contents:
        upstream.attributes |= contents_of(record)
    ended = Span("Intercept.RecordInterceptionEnded", end, end, root, shared)
    found = [root, *_connection(record, root, shared)]
    found += [Span("Intercept.CreateInterceptor", start, asked, root, shared), recorded, process, upstream]
    children = _children(record, process, shared, asked, end)
    if logs:
        lines = [log_lines.start_of(record), *log_lines.children_of(record), log_lines.end_of(record)]
        for span, line in zip([recorded, *children, ended], lines, strict=True):
            told = line if contents else {name: value for name, value in line.items() if name not in _TEXTS}
            span.events = [Event(log_lines.MESSAGE, span.start, {"logger": log_lines.LOGGER, **told})]
    return [*found, *children, ended]


def passthrough(passed: Passed) -> Span:
    """The span of a request to an AI host that is no call of a model."""
    attributes = {
        "passthrough_url": passed.path,
        "passthrough_upstream_url": f"https://{passed.host}{passed.path}",
        "passthrough_method": passed.method,
        "provider": passed.provider,
        "user_id": passed.initiator_id,
        "http.response.status_code": passed.status,
    }
    error = "no answer came" if passed.status is None else None
    return Span("Passthrough", passed.started_at, max(passed.ended_at, passed.started_at), None, attributes, error)


def _error(record: Interception) -> str | None:
    if record.outcome == "failed":
        return record.error_message or ""
    return "the proxy stopped" if record.outcome == "interrupted" else None


def _connection(record: Interception, root: Span, shared: Attributes) -> list[Span]:
    wire = record.wire
    if wire.connected_at is None or wire.connect_started_at is None:
        return []
    start = min(max(wire.connect_started_at, root.start), root.end)
    end = min(max(wire.connected_at, start), root.end)
    attributes = {**shared, "aibridge.connection.reused": wire.connection_reused, "server.address": record.host}
    return [Span("CachedBridgePool.Acquire", start, end, root, attributes)]


def _children(record: Interception, process: Span, shared: Attributes, asked: float, end: float) -> list[Span]:
    """In the order of :func:`aitap.observe.log_lines.children_of`."""
    return [
        *(Span("Intercept.RecordPromptUsage", asked, asked, process, shared) for _ in record.user_prompts),
        *(Span("Intercept.RecordTokenUsage", end, end, process, shared) for _ in record.token_usages),
        *(
            Span(
                "Intercept.RecordToolUsage",
                end,
                end,
                process,
                {**shared, "mcp_tool_name": tool.tool, "mcp_server_url": tool.server_url},
            )
            for tool in record.tool_usages
        ),
        *(Span("Intercept.RecordModelThought", end, end, process, shared) for _ in record.model_thoughts),
    ]


def _ours(record: Interception) -> Attributes:
    return {
        "aibridge.client.name": record.client,
        "aibridge.client.version": record.client_version,
        "aibridge.initiator.id": record.initiator_id,
        "aibridge.credential.kind": record.credential_kind,
        "aibridge.capture.mode": record.capture,
        "aibridge.outcome": record.outcome,
        "aibridge.purpose": record.purpose,
        "aibridge.thread.parent_id": record.thread_parent_id,
        "aibridge.thread.root_id": record.thread_root_id,
        "aibridge.retry_of": record.retry_of,
        "session.id": record.session_id or record.client_session_id,
        "user_agent.original": record.user_agent,
    }


def _genai(record: Interception, names: semconv.Names) -> Attributes:
    attributes: Attributes = {
        "aibridge.operation": UPSTREAM,
        "gen_ai.operation.name": semconv.operation(record),
        "gen_ai.provider.name": semconv.provider(record),
        "gen_ai.request.model": record.model,
        "server.address": record.host,
        "gen_ai.conversation.id": record.client_session_id or record.session_id or None,
        "gen_ai.request.stream": record.streaming,
        "gen_ai.request.max_tokens": record.wire.max_tokens,
        "gen_ai.response.model": record.response_model,
        "gen_ai.response.finish_reasons": [record.stop_reason] if record.stop_reason else None,
        "gen_ai.response.time_to_first_chunk": record.time_to_first_token,
        "http.response.status_code": record.status_code,
        "error.type": error_code(record) or None,
    }
    for usage in record.token_usages:
        read, written = usage.cache_read_input_tokens, usage.cache_write_input_tokens
        attributes["gen_ai.response.id"] = usage.provider_response_id or None
        attributes["gen_ai.usage.input_tokens"] = semconv.input_tokens(usage.input_tokens, read, written)
        attributes["gen_ai.usage.output_tokens"] = usage.output_tokens
        attributes["gen_ai.usage.cache_read.input_tokens"] = read
        attributes |= dict.fromkeys(names.cache_write, written)
        reasoning = (usage.metadata[name] for name in _REASONING if isinstance(usage.metadata.get(name), int))
        attributes["gen_ai.usage.reasoning.output_tokens"] = next(reasoning, None)
    return attributes
