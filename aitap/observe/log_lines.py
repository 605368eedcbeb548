"""From a record to the lines that tell it: one for each thing known of it, the same fields in every form.

Message, record types and fields are those of Coder's AI Gateway, so that rules written for its logs find the
same here; ``interception_end`` says more. With ``capture = minimal`` the texts (prompt, tool input, thought)
are left out, for they are not in the record.
"""

from __future__ import annotations

from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from aitap.record import Interception

__all__ = ["LOGGER", "MESSAGE", "NO_ID", "Fields", "children_of", "end_of", "lines_of", "moment", "start_of"]

MESSAGE = "interception log"
LOGGER = "aitap.interceptions"
NO_ID = "00000000-0000-0000-0000-000000000000"
"""Stands where a thread has no parent or root."""

Fields = dict[str, Any]


def moment(seconds: float) -> str:
    """RFC 3339 in UTC, to the microsecond."""
    return datetime.fromtimestamp(seconds, timezone.utc).strftime("%Y-%m-%dT%H:%M:%S.%fZ")  # noqa: UP017


def lines_of(record: Interception, *, announced: bool) -> list[Fields]:
    """The lines due now, oldest first; ``announced`` says that the start was told before."""
    started = [] if announced else [start_of(record)]
    return started if record.ended_at is None else [*started, *children_of(record), end_of(record)]


def start_of(record: Interception) -> Fields:
    """What is known when the request is whole."""
    results = record.lineage.tool_results
    return {
        "record_type": "interception_start",
        "interception_id": record.id,
        "initiator_id": record.initiator_id,
        "api_key_id": record.api_key_id,
        "provider": record.provider,
        "provider_name": record.provider_name,
        "model": record.model,
        "client": record.client,
        "client_version": record.client_version,
        "client_session_id": record.client_session_id,
        "session_id": record.session_id or record.client_session_id,
        "started_at": moment(record.started_at),
        "metadata": record.metadata,
        "correlating_tool_call_id": results[-1].call_id if results else None,
        "thread_parent_id": record.thread_parent_id or NO_ID,
        "thread_root_id": record.thread_root_id or NO_ID,
        "purpose": record.purpose,
        "api": record.api,
        "host": record.host,
        "path": record.path,
        "streaming": record.streaming,
    }


def end_of(record: Interception) -> Fields:
    """How it went."""
    return {
        "record_type": "interception_end",
        "interception_id": record.id,
        "ended_at": moment(record.ended_at or record.started_at),
        "outcome": record.outcome,
        "status_code": record.status_code,
        "error_type": record.error_type,
        "error_message": record.error_message,
        "stop_reason": record.stop_reason,
        "response_model": record.response_model,
        "provider_request_id": record.provider_request_id,
        "duration": record.duration,
        "time_to_first_token": record.time_to_first_token,
        "request_bytes": record.request_bytes,
        "response_bytes": record.response_bytes,
        "retry_of": record.retry_of,
    }


def children_of(record: Interception) -> list[Fields]:
    """Prompts, tokens, tools and thoughts, in this order."""
    texts = record.capture != "minimal"
    return [
        *(
            _child(record, "prompt_usage", prompt, {"prompt": prompt.prompt} if texts else {})
            for prompt in record.user_prompts
        ),
        *(
            _child(
                record,
                "token_usage",
                usage,
                {
                    "input_tokens": usage.input_tokens,
                    "output_tokens": usage.output_tokens,
                    "cache_read_input_tokens": usage.cache_read_input_tokens,
                    "cache_write_input_tokens": usage.cache_write_input_tokens,
                },
            )
            for usage in record.token_usages
        ),
        *(
            _child(
                record,
                "tool_usage",
                tool,
                {
                    "tool_call_id": tool.provider_tool_call_id,
                    "tool": tool.tool,
                    **({"input": tool.input} if texts else {}),
                    "server_url": tool.server_url,
                    "injected": tool.injected,
                    "invocation_error": tool.invocation_error,
                    "kind": tool.kind,
                },
            )
            for tool in record.tool_usages
        ),
        *(
            _child(record, "model_thought", thought, {"content": thought.content} if texts else {})
            for thought in record.model_thoughts
        ),
    ]


def _child(record: Interception, kind: str, child: Any, own: Fields) -> Fields:
    return {
        "record_type": kind,
        "interception_id": record.id,
        "msg_id": child.provider_response_id or None,
        **own,
        "created_at": moment(child.created_at),
        "metadata": child.metadata,
    }
