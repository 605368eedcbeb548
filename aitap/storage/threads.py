"""One session's interceptions become threads, as a person would tell the story.

A thread is a prompt and all that followed from it. A sub-agent's thread hangs under the thread that
started it; calls a client makes for itself (titles, summaries, probes) stand apart.
"""

from __future__ import annotations

from typing import Any

from aitap.storage.rows import TOKEN_COUNTERS

__all__ = ["cost_sum", "session_threads", "thread_of", "token_sum"]


def token_sum(interceptions: list[dict[str, Any]]) -> dict[str, int | None]:
    """The four counters summed; ``None`` where no usage was seen at all."""
    usages = [usage for interception in interceptions for usage in interception["token_usages"]]
    return {name: sum(usage[name] for usage in usages) if usages else None for name in TOKEN_COUNTERS}


def cost_sum(interceptions: list[dict[str, Any]]) -> dict[str, int | None]:
    """``cost_micros`` as far as it is known, else None, and how many responses are ``unpriced``."""
    costs = [usage["cost_micros"] for interception in interceptions for usage in interception["token_usages"]]
    known = [cost for cost in costs if cost is not None]
    return {"cost_micros": sum(known) if known else None, "unpriced": len(costs) - len(known)}


def session_threads(interceptions: list[dict[str, Any]]) -> dict[str, Any]:
    """``{"threads": [...], "auxiliary": [...]}`` of interceptions that come oldest first.

    Threads stand in the order in which they began; each has ``subagents``, which are threads again.
    """
    groups: dict[str, list[dict[str, Any]]] = {}
    auxiliary = []
    for interception in interceptions:
        if interception["purpose"] == "conversation":
            groups.setdefault(interception["thread_root_id"] or interception["id"], []).append(interception)
        else:
            auxiliary.append(interception)
    threads = {root: thread_of(root, members) for root, members in groups.items()}
    top = []
    for root, thread in threads.items():
        parent = thread["parent_thread"]
        if parent in threads and not _leads_back(threads, parent, root):
            threads[parent]["subagents"].append(thread)
        else:
            top.append(thread)
    return {"threads": top, "auxiliary": auxiliary}


def _leads_back(threads: dict[str, dict[str, Any]], start: str, root: str) -> bool:
    """Whether ``root`` is above ``start`` already: bad data must not lose threads in a ring."""
    seen = set()
    at: str | None = start
    while at in threads and at not in seen:
        if at == root:
            return True
        seen.add(at)
        at = threads[at]["parent_thread"]
    return at in seen


def thread_of(root: str, members: list[dict[str, Any]]) -> dict[str, Any]:
    """The thread that begins with the interception ``root``, of its members, oldest first; the root may lack."""
    first = next((member for member in members if member["id"] == root), members[0])
    metadata = first["metadata"] or {}
    failed = next((member for member in reversed(members) if member["error_type"] or member["error_message"]), None)
    ends = [member["ended_at"] for member in members]
    return {
        "id": root,
        "parent_thread": metadata.get("parent_thread"),
        "agent": metadata.get("agent"),
        "prompt": next((prompt["prompt"] for member in members for prompt in member["user_prompts"]), None),
        "model": first["model"],
        "provider": first["provider"],
        "credential_kind": first["credential_kind"],
        "credential_hint": first["credential_hint"],
        "started_at": members[0]["started_at"],
        "ended_at": None if None in ends else max(ends),
        "token_usage": token_sum(members),
        "error_type": failed and failed["error_type"],
        "error_message": failed and failed["error_message"],
        "interceptions": members,
        "subagents": [],
    }
