"""JSON Schemas of all that is answered, in the dialect of OpenAPI 3.1. A test holds every answer against them."""

from __future__ import annotations

from typing import Any

from aitap.storage.administration import ACTIONS
from aitap.storage.daily import SUMS
from aitap.storage.models import CONTENTS
from aitap.storage.usage import BY

__all__ = ["SCHEMAS", "ref"]

Schema = dict[str, Any]

_INT: Schema = {"type": "integer"}
_COUNT: Schema = {"type": "integer", "minimum": 0}
_TEXT: Schema = {"type": "string"}
_FLAG: Schema = {"type": "boolean"}
_UUID: Schema = {"type": "string", "format": "uuid"}
_TIME: Schema = {"type": "string", "format": "date-time"}
_OBJECT: Schema = {"type": "object"}


def ref(name: str) -> Schema:
    """A reference to one of the document's schemas."""
    return {"$ref": f"#/components/schemas/{name}"}


def _or_null(schema: Schema) -> Schema:
    return {"anyOf": [schema, {"type": "null"}]}


def _array(items: Schema) -> Schema:
    return {"type": "array", "items": items}


def _object(required: dict[str, Schema], optional: dict[str, Schema] | None = None) -> Schema:
    return {"type": "object", "properties": required | (optional or {}), "required": list(required)}


_COUNTERS = {
    "input_tokens": _COUNT | {"description": "Uncached input."},
    "output_tokens": _COUNT,
    "cache_read_input_tokens": _COUNT,
    "cache_write_input_tokens": _COUNT,
}

_CHILD = {
    "id": _UUID,
    "interception_id": _UUID,
    "provider_response_id": _TEXT,
    "metadata": _OBJECT,
    "created_at": _TIME,
}

_HEAD = {
    "id": _TEXT,
    "initiator": ref("MinimalUser"),
    "providers": _array(_TEXT),
    "models": _array(_TEXT),
    "client": _or_null(_TEXT),
    "metadata": _OBJECT,
    "started_at": _TIME,
}

_COST = _or_null(_INT) | {"description": "Millionths of a US dollar; null where no price is known."}

_SUMS = dict.fromkeys(SUMS, _COUNT) | {
    "unmetered": _COUNT | {"description": "Calls that were answered without a word on tokens."},
    "usages": _COUNT | {"description": "Responses that told their tokens."},
    "unpriced": _COUNT | {"description": "Of these, those whose cost is not known."},
    **{name: _or_null(_COUNT) | {"description": "null where nobody told."} for name in _COUNTERS},
    "cost_micros": _COST,
}

SCHEMAS: dict[str, Schema] = {
    "Error": _object(
        {"message": _TEXT},
        {"detail": _TEXT, "validations": _array(_object({"field": _TEXT, "detail": _TEXT}))},
    ),
    "MinimalUser": _object({"id": _UUID, "username": _TEXT, "name": _TEXT, "avatar_url": _TEXT}),
    "TokenUsage": _object(
        _CHILD
        | _COUNTERS
        | {
            "provider_model": _or_null(_TEXT) | {"description": "The model that answered, where the provider said."},
            "cost_micros": _COST,
            "price_book": _or_null(_TEXT) | {"description": "The version of the prices that were asked."},
        },
    ),
    "UserPrompt": _object(_CHILD | {"prompt": _TEXT}),
    "ToolUsage": _object(
        _CHILD
        | {
            "server_url": _TEXT,
            "tool": _TEXT,
            "input": _TEXT | {"description": "The arguments exactly as they were sent, JSON as a rule."},
            "injected": _FLAG,
            "invocation_error": _TEXT,
            "provider_tool_call_id": _or_null(_TEXT),
            "provider_item_id": _or_null(_TEXT),
            "kind": _TEXT,
            "result_status": _or_null({"enum": ["ok", "error"]}),
            "result_at": _or_null(_TIME),
            "result_bytes": _or_null(_COUNT),
        }
    ),
    "ModelThought": _object(_CHILD | {"content": _TEXT}),
    "Interception": _object(
        {
            "id": _UUID,
            "api_key_id": _or_null(_TEXT),
            "initiator_id": _UUID,
            "initiator": ref("MinimalUser"),
            "provider": _TEXT,
            "provider_name": _TEXT,
            "model": _TEXT,
            "client": _or_null(_TEXT),
            "metadata": _OBJECT,
            "started_at": _TIME,
            "ended_at": _or_null(_TIME),
            "token_usages": _array(ref("TokenUsage")),
            "user_prompts": _array(ref("UserPrompt")),
            "tool_usages": _array(ref("ToolUsage")),
            "model_thoughts": _array(ref("ModelThought")),
            "session_id": _TEXT,
            "client_session_id": _or_null(_TEXT),
            "client_version": _or_null(_TEXT),
            "thread_parent_id": _or_null(_UUID),
            "thread_root_id": _or_null(_UUID),
            "credential_kind": _TEXT,
            "credential_hint": _TEXT,
            "user_agent": _or_null(_TEXT),
            "api": _TEXT,
            "host": _TEXT,
            "path": _TEXT,
            "status_code": _or_null(_INT),
            "streaming": _FLAG,
            "outcome": {"enum": ["completed", "failed", "cancelled", "in_flight", "interrupted"]},
            "purpose": {"enum": ["conversation", "auxiliary", "probe"]},
            "error_type": _or_null(_TEXT),
            "error_message": _or_null(_TEXT),
            "duration": _or_null({"type": "number"}) | {"description": "Seconds."},
            "time_to_first_token": _or_null({"type": "number"}) | {"description": "Seconds."},
            "last_prompt_at": _or_null(_TIME),
            "method": _TEXT,
            "http_version": _TEXT,
            "response_model": _or_null(_TEXT) | {"description": "The model that answered."},
            "provider_request_id": _or_null(_TEXT),
            "client_request_id": _or_null(_TEXT) | {"description": "The client's x-request-id."},
            "stop_reason": _or_null(_TEXT),
            "request_bytes": _COUNT,
            "response_bytes": _COUNT,
            "retry_of": _or_null(_UUID) | {"description": "The interception whose request this one repeats."},
            "capture": {"enum": ["minimal", "metadata+prompt", "full"]},
            **{name: _or_null(_TEXT) | {"description": "Where its contents were kept."} for name in CONTENTS},
        }
    ),
    "Interceptions": _object({"count": _COUNT, "results": _array(ref("Interception"))}),
    "TokenSum": _object(_COUNTERS | {"metadata": {"type": "object", "additionalProperties": {"type": "number"}}}),
    "Session": _object(
        _HEAD
        | {
            "threads": _COUNT,
            "token_usage_summary": _object(_COUNTERS),
            "token_usage_known": _FLAG,
            "last_active_at": _TIME,
            "interceptions": _COUNT,
            "prompts": _COUNT,
            "tool_calls": _COUNT,
            "errors": _COUNT,
            "unpriced": _COUNT,
            "cost_micros": _COST,
            "pinned": _FLAG,
        },
        {"ended_at": _TIME, "last_prompt": _TEXT},
    ),
    "Sessions": _object({"count": _COUNT, "sessions": _array(ref("Session"))}),
    "AgenticAction": _object(
        {
            "interception_id": _UUID,
            "model": _TEXT,
            "token_usage": ref("TokenSum"),
            "thinking": _array(_object({"text": _TEXT})),
            "tool_calls": _array(ref("ToolUsage")),
        }
    ),
    "Thread": _object(
        {
            "id": _UUID,
            "model": _TEXT,
            "provider": _TEXT,
            "credential_kind": _TEXT,
            "credential_hint": _TEXT,
            "started_at": _TIME,
            "token_usage": ref("TokenSum"),
            "agentic_actions": _array(ref("AgenticAction")),
            "interceptions": _COUNT,
        },
        {
            "prompt": _TEXT,
            "ended_at": _TIME,
            "error_type": _TEXT,
            "error_message": _TEXT,
            "parent_thread": _TEXT,
            "agent": _TEXT,
        },
    ),
    "SessionThreads": _object(
        _HEAD
        | {
            "token_usage_summary": ref("TokenSum"),
            "token_usage_known": _FLAG,
            "threads": _array(ref("Thread")),
            "thread_count": _COUNT,
            "last_active_at": _TIME,
            "cost_micros": _COST,
        },
        {"ended_at": _TIME, "page_started_at": _TIME, "page_ended_at": _TIME},
    ),
    "UsageSums": _object(_SUMS),
    "UsageRow": _object(
        _SUMS,
        {name: _TEXT for name in BY if name != "user"} | {"user": ref("MinimalUser")},
    ),
    "Usage": _object({"by": _array({"enum": list(BY)}), "rows": _array(ref("UsageRow")), "total": ref("UsageSums")}),
    "AuditEntry": _object(
        {
            "id": _UUID,
            "read_at": _TIME | {"description": "When it was shown or done."},
            "reader": ref("MinimalUser"),
            "api_key_id": _or_null(_TEXT),
            "address": _TEXT,
            "subject": _or_null(ref("MinimalUser")),
            "path": _TEXT,
            "query": _TEXT,
            "records": _COUNT,
            "action": _or_null({"enum": list(ACTIONS)}),
            "detail": _or_null(_OBJECT),
        }
    ),
    "Audit": _object({"results": _array(ref("AuditEntry"))}),
    "Names": _array(_TEXT),
    "Health": _object({"status": {"enum": ["ok", "unavailable"]}}),
}
