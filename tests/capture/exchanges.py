"""The same exchange in each API, and what must hold of any record."""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Callable
from typing import Any

import brotli
import msgspec
import zstandard

from aitap.record import Interception
from tests.capture.making import (
    CHAT,
    MESSAGES,
    RESPONSES,
    answers,
    dump,
    user,
)

__all__ = ["APIS", "CODERS", "CORE", "ME", "asked", "blocking", "ended", "plain"]

APIS = [MESSAGES, CHAT, RESPONSES]
ME = "00000000-0000-4000-8000-000000000001"
CORE = "9f8Zq3vK7rWm2TxLp6Yd"

CODERS: dict[str, Callable[[bytes], bytes]] = {
    "": bytes,
    "gzip": gzip.compress,
    "deflate": zlib.compress,
    "br": lambda data: brotli.compress(data, quality=2),
    "zstd": zstandard.compress,
}


def asked(api: str, text: Any = "do it", **more: Any) -> dict[str, Any]:
    turn = {"input": [user(text)]} if api == RESPONSES else {"messages": [user(text)]}
    return {"model": "model-1", "stream": True, **turn, **more}


def blocking(api: str) -> bytes:
    """The answer of :func:`answers` in one document."""
    if api == RESPONSES:
        return dump(answers(api)[-1]["response"])
    if api == CHAT:
        message = {
            "role": "assistant",
            "reasoning_content": "Let me see \u00e9\u2713",
            "tool_calls": [
                {"id": "call_1", "type": "function", "function": {"name": "read", "arguments": '{"path": "a.txt"}'}},
                {"id": "call_2", "type": "function", "function": {"name": "list", "arguments": "{}"}},
            ],
        }
        usage = answers(api)[-1]["usage"]
        choice = {"index": 0, "message": message, "finish_reason": "tool_calls"}
        return dump({"id": "chatcmpl-1", "model": "gpt-test-1-2026-01-01", "choices": [choice], "usage": usage})
    content = [
        {"type": "thinking", "thinking": "Let me see \u00e9\u2713", "signature": "c2ln"},
        {"type": "redacted_thinking", "data": "ZW5j"},
        {"type": "text", "text": "It is"},
        {"type": "tool_use", "id": "toolu_1", "name": "read", "input": {"path": "a.txt"}},
        {"type": "tool_use", "id": "toolu_2", "name": "list", "input": {}},
    ]
    usage = {"input_tokens": 11, "cache_read_input_tokens": 5, "output_tokens": 7}
    head = {"id": "msg_1", "type": "message", "role": "assistant", "model": "claude-test-1-20260101"}
    return dump({**head, "content": content, "stop_reason": "tool_use", "usage": usage})


def plain(found: Interception) -> Any:
    """A record without what is new each time."""
    return msgspec.to_builtins(
        msgspec.structs.replace(
            found,
            id="",
            user_prompts=[msgspec.structs.replace(child, id="") for child in found.user_prompts],
            token_usages=[msgspec.structs.replace(child, id="") for child in found.token_usages],
            tool_usages=[msgspec.structs.replace(child, id="") for child in found.tool_usages],
            model_thoughts=[msgspec.structs.replace(child, id="") for child in found.model_thoughts],
        )
    )


def ended(found: Interception) -> None:
    assert found.outcome in ("completed", "failed", "cancelled", "interrupted")
    assert found.ended_at is not None
    assert (found.error_type is None) == (found.outcome != "failed")
    assert (found.error_message is None) == (found.outcome != "failed")
    assert len(found.user_prompts) <= 1
    assert len(found.token_usages) <= 1
    msgspec.json.encode(found).decode()  # no lone surrogate, nothing that is no plain value
