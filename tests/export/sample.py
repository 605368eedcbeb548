"""Records as agents leave them: two people, sub-agents, a retry, errors, a call in flight."""

from __future__ import annotations

import time
from typing import Any

from aitap.access.identity import local_user
from aitap.prices.pricing import Prices
from aitap.record import (
    Interception,
    Lineage,
    ModelThought,
    TokenUsage,
    ToolResult,
    ToolUsage,
    UserPrompt,
)
from aitap.storage.database import open_database
from aitap.storage.writer import Writer

ME = local_user()[0]
BOB = "7b3c8a52-0a53-4c07-9d0e-0b8f6f5e1a42"

CLAUDE_SESSION = "f3b9a6c2-5c3e-4a57-9a41-7f0c1d2e3b4a"
CODEX_SESSION = "019ab3de-6c1f-7d20-8a5e-3f2b1c0d9e8f"


class Story:
    """Builds interceptions one after the other, each some seconds after the last."""

    def __init__(self, begin: float) -> None:
        self.now = begin
        self.records: list[Interception] = []

    def call(
        self,
        *,
        prompt: str | None = None,
        tools: list[tuple[str, str, str]] | None = None,
        thoughts: tuple[str, ...] = (),
        tokens: tuple[int, int, int, int] | None = (0, 0, 0, 0),
        took: float = 4.0,
        pause: float = 1.5,
        results: list[ToolResult] | None = None,
        lineage: dict[str, Any] | None = None,
        **fields: Any,
    ) -> Interception:
        start = self.now
        end = start + took
        self.now = end + pause
        response = f"msg_{len(self.records):04}"
        fields = {
            "initiator_id": ME,
            "provider": "anthropic",
            "provider_name": "anthropic",
            "model": "claude-opus-4-8",
            "client": "Claude Code",
            "client_version": "2.1.3",
            "client_session_id": CLAUDE_SESSION,
            "user_agent": "claude-cli/2.1.3 (external, cli)",
            "api": "anthropic.messages",
            "method": "POST",
            "host": "api.anthropic.com",
            "path": "/v1/messages",
            "http_version": "HTTP/1.1",
            "status_code": 200,
            "streaming": True,
            "stop_reason": "tool_use" if tools else "end_turn",
            "time_to_first_token": took / 4,
            "duration": took,
            "request_bytes": 183_211,
            "response_bytes": 9_120,
            "outcome": "completed",
            "credential_kind": "byok_subscription",
            "credential_hint": "sk-a...x9Qw",
            "provider_request_id": f"req_{len(self.records):04}",
            "ended_at": end,
        } | fields
        record = Interception(
            started_at=start,
            last_prompt_at=start if prompt else None,
            token_usages=[]
            if tokens is None
            else [
                TokenUsage(
                    provider_response_id=response,
                    input_tokens=tokens[0],
                    output_tokens=tokens[1],
                    cache_read_input_tokens=tokens[2],
                    cache_write_input_tokens=tokens[3],
                    metadata={"thinking_tokens": 120} if thoughts else {},
                    created_at=end,
                )
            ],
            user_prompts=[UserPrompt(provider_response_id=response, prompt=prompt, created_at=start)] if prompt else [],
            tool_usages=[
                ToolUsage(
                    provider_response_id=response, tool=tool, input=text, provider_tool_call_id=id_, created_at=end
                )
                for tool, text, id_ in tools or []
            ],
            model_thoughts=[
                ModelThought(
                    provider_response_id=response, content=text, metadata={"source": "thinking"}, created_at=end
                )
                for text in thoughts
            ],
            lineage=Lineage(tool_results=results or [], **(lineage or {})),
            **fields,
        )
        self.records.append(record)
        return record


def result(call_id: str, status: str | None = "ok", size: int = 1200) -> ToolResult:
    return ToolResult(call_id=call_id, status=status, size=size)  # type: ignore[arg-type]


def claude_code(begin: float) -> list[Interception]:
    story = Story(begin)
    main = {"agent": "main"}
    story.call(
        model="claude-haiku-4-5-20251001",
        purpose="auxiliary",
        metadata={"purpose_reason": "title"},
        tokens=(412, 18, 0, 0),
        took=0.9,
        pause=0.2,
    )
    story.call(
        prompt="The login test fails since yesterday. Find out why, fix it, and run the whole test suite afterwards.",
        thoughts=("The user wants the failing login test fixed. First look at the test and at what changed in auth.",),
        tools=[
            ("Bash", '{"command":"git log --oneline -5 -- src/auth","description":"Recent changes"}', "toolu_1"),
            ("Read", '{"file_path":"/home/ann/shop/tests/test_login.py"}', "toolu_2"),
        ],
        tokens=(3, 187, 0, 24_512),
        took=5.4,
        lineage=main,
    )
    story.call(
        results=[result("toolu_1"), result("toolu_2", size=4_096)],
        tools=[
            ("Task", '{"description":"Find callers","prompt":"Find every caller of verify_token in src/"}', "toolu_3")
        ],
        tokens=(6, 240, 24_512, 3_110),
        took=7.25,
        lineage=main,
    )
    sub = {"agent": "sub-1", "is_subagent": True, "agent_name": "Explore"}
    story.call(
        prompt="Find every caller of verify_token in src/",
        model="claude-haiku-4-5-20251001",
        tools=[
            ("Grep", '{"pattern":"verify_token\\\\(","path":"src"}', "toolu_s1"),
            ("Glob", '{"pattern":"**/auth*.py"}', "toolu_s2"),
        ],
        tokens=(4, 96, 0, 8_020),
        took=2.1,
        lineage=sub,
    )
    story.call(
        results=[result("toolu_s1"), result("toolu_s2", "error", 80)],
        model="claude-haiku-4-5-20251001",
        tokens=(9, 310, 8_020, 1_200),
        took=3.3,
        lineage=sub,
    )
    refused = story.call(
        results=[result("toolu_3", size=2_200)],
        outcome="failed",
        status_code=529,
        error_type="overloaded",
        error_message="Overloaded",
        tokens=None,
        took=0.6,
        stop_reason=None,
        time_to_first_token=None,
        lineage=main,
    )
    story.call(
        retry_of=refused.id,
        results=[result("toolu_3", size=2_200)],
        thoughts=("The clock skew check compares naive with aware times.", "Fix it in verify_token."),
        tools=[
            (
                "Edit",
                '{"file_path":"/home/ann/shop/src/auth.py","old_string":"utcnow()","new_string":"now(UTC)"}',
                "t4",
            ),
            ("Bash", '{"command":"pytest -q"}', "toolu_5"),
        ],
        tokens=(6, 802, 27_622, 2_410),
        took=14.2,
        lineage=main,
    )
    story.call(results=[result("t4"), result("toolu_5", "error", 8_800)], tokens=(8, 411, 30_032, 950), lineage=main)
    story.call(
        prompt="great, now bump the version\nand write the changelog entry",
        tokens=(14, 1_204, 30_982, 1_310),
        took=65.0,
        lineage=main,
    )
    return story.records


def codex(begin: float) -> list[Interception]:
    story = Story(begin)
    common: dict[str, Any] = {
        "initiator_id": BOB,
        "provider": "openai",
        "provider_name": "openai",
        "model": "gpt-5.2-codex",
        "client": "Codex",
        "client_version": "0.76.0",
        "client_session_id": CODEX_SESSION,
        "user_agent": "codex_cli_rs/0.76.0",
        "api": "openai.responses",
        "host": "api.openai.com",
        "path": "/v1/responses",
        "credential_kind": "byok_api_key",
    }
    story.call(
        prompt="Übersetze README.md ins Deutsche 🙂",
        tools=[("shell", '{"command":["bash","-lc","cat README.md"]}', "call_1")],
        tokens=(2_311, 64, 6_144, 0),
        **common,
    )
    story.call(results=[result("call_1", None)], tokens=(9_120, 2_210, 8_192, 0), took=31.0, **common)
    return story.records


def scripts(begin: float) -> list[Interception]:
    story = Story(begin)
    common: dict[str, Any] = {"client": "Unknown", "client_version": None, "client_session_id": None}
    story.call(prompt="ping \x1b[31mred\x1b[0m \x07", tokens=(12, 3, 0, 0), took=0.41, **common)
    story.call(
        prompt="=cmd|' /C calc'!A0",
        model="meta-llama/Llama-3.3-70B-Instruct-Turbo",
        provider="openai",
        provider_name="together",
        host="api.together.xyz",
        api="openai.chat_completions",
        path="/v1/chat/completions",
        tokens=None,
        outcome="cancelled",
        took=2.5,
        **common,
    )
    story.call(
        prompt="Summarise the minutes",
        outcome="in_flight",
        ended_at=None,
        duration=None,
        status_code=None,
        tokens=None,
        stop_reason=None,
        time_to_first_token=None,
        **common,
    )
    return story.records


def sample(now: float | None = None) -> list[Interception]:
    """All records, oldest first; the last is in flight since moments."""
    now = time.time() if now is None else now
    return codex(now - 26 * 3600) + claude_code(now - 1800) + scripts(now - 20)


def write(url: str, records: list[Interception]) -> None:
    """What a proxy would have stored."""
    database = open_database(url, migrate=True)
    writer = Writer(database, flush_interval=0.01, prices=Prices())
    writer.start()
    for record in records:
        assert writer.submit(record)
        # One by one, as in life: a result is sent after its call was stored.
        assert writer.flush(60)
    assert writer.close()
    assert writer.stats.lost == 0
    database.close()
