"""Records to tell of."""

from __future__ import annotations

from typing import Any

from aitap.record import Interception, Lineage, ModelThought, TokenUsage, ToolResult, ToolUsage, UserPrompt, Wire

__all__ = ["ANN", "T0", "interception", "turn"]

ANN = "11111111-1111-5111-8111-111111111111"
T0 = 1_795_000_000.0


def interception(at: float = T0, took: float | None = 2.0, **fields: Any) -> Interception:
    """An interception that started at ``at`` and, unless ``took`` is None, ended."""
    values: dict[str, Any] = {
        "initiator_id": ANN,
        "provider": "anthropic",
        "provider_name": "anthropic",
        "model": "claude-test-1",
        "client": "Claude Code",
        "started_at": at,
        "ended_at": None if took is None else at + took,
        "duration": took,
        "api": "anthropic.messages",
        "method": "POST",
        "host": "api.anthropic.com",
        "path": "/v1/messages",
        "http_version": "HTTP/1.1",
        "outcome": "in_flight" if took is None else "completed",
        "status_code": None if took is None else 200,
        "wire": Wire(asked_at=at + 0.25),
    }
    return Interception(**{**values, **fields})


def turn(at: float = T0, **fields: Any) -> Interception:
    """A whole turn of an agent: a prompt, a thought, a tool call, and the result of an earlier one."""
    return interception(
        at,
        streaming=True,
        time_to_first_token=0.5,
        stop_reason="tool_use",
        response_model="claude-test-1-20260101",
        client_session_id="session-1",
        user_prompts=[UserPrompt(provider_response_id="msg_1", prompt="do it", created_at=at)],
        token_usages=[
            TokenUsage(
                provider_response_id="msg_1",
                input_tokens=11,
                output_tokens=7,
                cache_read_input_tokens=5,
                cache_write_input_tokens=3,
                metadata={"server_tool_use.web_search_requests": 2},
                created_at=at + 2,
            )
        ],
        tool_usages=[
            ToolUsage(
                provider_response_id="msg_1",
                provider_tool_call_id="toolu_1",
                tool="read",
                input='{"path": "a.txt"}',
                created_at=at + 2,
            )
        ],
        model_thoughts=[
            ModelThought(
                provider_response_id="msg_1", content="Let me see", metadata={"source": "thinking"}, created_at=at + 2
            )
        ],
        lineage=Lineage(tool_results=[ToolResult(call_id="toolu_0", status="ok", size=12)]),
        **fields,
    )
