"""Session logs of our own making, in the forms in which Claude Code 2.1 and Codex 0.169 were seen to write them."""

from __future__ import annotations

import json
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

__all__ = ["T0", "claude_answer", "codex_count", "codex_record", "codex_start", "moment", "write"]

T0 = 1_795_000_000.0


def moment(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def claude_answer(
    number: int, *, at: float = T0, output: int = 33, session: str = "s1", block: str = "text", **more: Any
) -> dict[str, Any]:
    """The line of one block of an answer."""
    usage = {
        "input_tokens": 21,
        "cache_creation_input_tokens": 5,
        "cache_read_input_tokens": 100,
        "output_tokens": output,
        "cache_creation": {"ephemeral_5m_input_tokens": 5},
        "service_tier": "standard",
    }
    message = {"id": f"msg_{number}", "model": "claude-opus-5-5", "role": "assistant", "usage": usage}
    return {
        "type": "assistant",
        "sessionId": session,
        "requestId": f"req_{number}",
        "uuid": f"u-{number}-{block}",
        "timestamp": moment(at),
        "isSidechain": False,
        "message": {**message, "content": [{"type": block}]},
        **more,
    }


def codex_start(session: str = "c1", model: str = "gpt-6.1-sol", at: float = T0) -> list[dict[str, Any]]:
    return [
        {"timestamp": moment(at), "type": "session_meta", "payload": {"id": session, "cli_version": "0.169.0"}},
        {"timestamp": moment(at), "type": "turn_context", "payload": {"model": model}},
    ]


def _usage(times: int) -> dict[str, int]:
    one = {"input_tokens": 21, "cached_input_tokens": 8, "cache_write_input_tokens": 0, "output_tokens": 12}
    return {name: times * value for name, value in {**one, "reasoning_output_tokens": 4, "total_tokens": 33}.items()}


def codex_count(times: int, *, at: float = T0) -> dict[str, Any]:
    """The event that tells the counts of the last response and of all so far."""
    info = {"total_token_usage": _usage(times), "last_token_usage": _usage(1)} if times else None
    return {"timestamp": moment(at), "type": "event_msg", "payload": {"type": "token_count", "info": info}}


def codex_record(number: int, *, at: float = T0) -> dict[str, Any]:
    payload = {"thread_id": "c1", "response_id": f"resp_{number}", "usage": _usage(1)}
    return {"timestamp": moment(at), "type": "token_usage_record", "payload": payload}


def write(path: Path, lines: Iterable[dict[str, Any] | str]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join((line if isinstance(line, str) else json.dumps(line)) + "\n" for line in lines))
    return path
