"""Records in the reference's JSON shapes.

A field that the reference has is of the reference's type: text that is not known is ``""`` there and a sum of
nothing is 0, so that its clients can read it. Fields beyond that are ours and say ``null`` for what is not known.
A field that the reference leaves out where there is nothing is left out here too.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

import msgspec

from aitap.storage.rows import TOKEN_COUNTERS

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

__all__ = ["interception", "session", "session_detail", "usage_sum", "user"]

Record = dict[str, Any]

_CHILD_TEXTS = {
    "token_usages": ("provider_response_id",),
    "user_prompts": ("provider_response_id",),
    "tool_usages": ("provider_response_id", "server_url", "invocation_error"),
    "model_thoughts": ("provider_response_id",),
}
_LONGEST_HINT = 15


def interception(record: Record) -> Record:
    """One of the list of interceptions."""
    found = record | {
        "initiator": user(record["initiator"]),
        "provider_name": record["provider_name"] or "",
        "credential_hint": _hint(record["credential_hint"]),
    }
    for children, names in _CHILD_TEXTS.items():
        found[children] = [child | {name: child[name] or "" for name in names} for child in record[children]]
    return found


def session(record: Record) -> Record:
    """One of the list of sessions."""
    own = ("interceptions", "prompts", "tool_calls", "errors", "unpriced", "cost_micros", "pinned")
    return {
        **_session_head(record),
        "threads": record["threads"],
        "token_usage_summary": {name: record["token_usage_summary"][name] or 0 for name in TOKEN_COUNTERS},
        "token_usage_known": None not in record["token_usage_summary"].values(),
        **_given("last_prompt", record["last_prompt"]),
        "last_active_at": record["last_active_at"],
        **{name: record[name] for name in own},
    }


def session_detail(record: Record, threads: Sequence[Record], usages: Iterable[Sequence[Any]]) -> Record:
    """One session with a page of its threads; ``usages`` are those of all of it."""
    found = {
        **_session_head(record),
        "token_usage_summary": usage_sum(usages),
        "token_usage_known": None not in record["token_usage_summary"].values(),
        "threads": [_thread(thread) for thread in threads],
        "thread_count": record["threads"],
        "last_active_at": record["last_active_at"],
        "cost_micros": record["cost_micros"],
    }
    if threads:
        ends = [thread["ended_at"] for thread in threads if thread["ended_at"]]
        found["page_started_at"] = min(thread["started_at"] for thread in threads)
        found |= _given("page_ended_at", max(ends, default=None))
    return found


def usage_sum(usages: Iterable[Sequence[Any]]) -> Record:
    """The counters summed, and under ``metadata`` every further number, nested names joined by dots."""
    sums = [0] * len(TOKEN_COUNTERS)
    metadata: Counter[str] = Counter()
    for *counters, more in usages:
        sums = [have + new for have, new in zip(sums, counters, strict=True)]
        _add_numbers(metadata, "", msgspec.json.decode(more) if isinstance(more, str | bytes) else more)
    return dict(zip(TOKEN_COUNTERS, sums, strict=True)) | {"metadata": dict(sorted(metadata.items()))}


def _session_head(record: Record) -> Record:
    return {
        "id": record["id"],
        "initiator": user(record["initiator"]),
        "providers": sorted(record["providers"]),
        "models": sorted(record["models"]),
        "client": record["client"],
        "metadata": record["metadata"] or {},
        "started_at": record["started_at"],
        **_given("ended_at", record["ended_at"]),
    }


def _thread(thread: Record) -> Record:
    members = thread["interceptions"]
    return {
        "id": thread["id"],
        **_given("prompt", thread["prompt"]),
        "model": thread["model"],
        "provider": thread["provider"],
        "credential_kind": thread["credential_kind"],
        "credential_hint": _hint(thread["credential_hint"]),
        "started_at": thread["started_at"],
        **_given("ended_at", thread["ended_at"]),
        "token_usage": _usage_of(members),
        "agentic_actions": [_action(member) for member in members if member["tool_usages"] or member["model_thoughts"]],
        **_given("error_type", thread["error_type"]),
        **_given("error_message", thread["error_message"]),
        **_given("parent_thread", thread["parent_thread"]),
        **_given("agent", thread["agent"]),
        "interceptions": len(members),
    }


def _action(member: Record) -> Record:
    return {
        "interception_id": member["id"],
        "model": member["model"],
        "token_usage": _usage_of([member]),
        "thinking": [{"text": thought["content"]} for thought in member["model_thoughts"]],
        "tool_calls": interception(member)["tool_usages"],
    }


def _usage_of(members: Sequence[Record]) -> Record:
    usages = (usage for member in members for usage in member["token_usages"])
    return usage_sum([*(usage[name] for name in TOKEN_COUNTERS), usage["metadata"]] for usage in usages)


def _add_numbers(sums: Counter[str], prefix: str, values: Any) -> None:
    for name, value in values.items() if isinstance(values, dict) else ():
        if isinstance(value, dict):
            _add_numbers(sums, f"{prefix}{name}.", value)
        elif isinstance(value, int | float) and not isinstance(value, bool):
            sums[prefix + name] += value  # type: ignore[assignment]


def _given(name: str, value: Any) -> Record:
    return {} if value is None else {name: value}


def user(person: Record) -> Record:
    """A user as part of a record."""
    return {"id": person["id"]} | {name: person[name] or "" for name in ("username", "name", "avatar_url")}


def _hint(hint: str | None) -> str:
    """As the reference shows it: only what is surely masked."""
    if not hint:
        return ""
    return hint if len(hint) <= _LONGEST_HINT and "..." in hint else "..."
