"""A company's month: people with their agents, sub-agents, errors, contents kept, and a session of thousands of steps.

The same on every run, so that pictures of it differ only where the pages do.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from typing import Any

import msgspec

from aitap.access.identity import user_id
from aitap.prices.pricing import Prices
from aitap.record import (
    HostSeen,
    Interception,
    Lineage,
    ModelThought,
    StoredMessage,
    TokenUsage,
    ToolResult,
    ToolUsage,
    UserPrompt,
    message_digest,
)
from aitap.storage.database import open_database
from aitap.storage.users import add_user
from aitap.storage.writer import Writer

__all__ = ["LONG", "NIGHT", "PEOPLE", "long_session", "month", "night", "write"]

PEOPLE = {"ann": "Ann Lindqvist", "ben": "Ben Okafor", "carla": "Carla Moretti", "dev-bot": "Nightly runner"}
LONG, NIGHT = "a-session-of-thousands", "f3b9a6c2-5c3e-4a57-9a41-7f0c1d2e3b4a"

_DAY = 86400.0
_CLIENTS: dict[str, dict[str, Any]] = {
    "Claude Code": {
        "provider": "anthropic",
        "provider_name": "anthropic",
        "host": "api.anthropic.com",
        "path": "/v1/messages",
        "api": "anthropic.messages",
        "user_agent": "claude-cli/2.1.3 (external, cli)",
        "client_version": "2.1.3",
    },
    "Codex": {
        "provider": "openai",
        "provider_name": "openai",
        "host": "api.openai.com",
        "path": "/v1/responses",
        "api": "openai.responses",
        "user_agent": "codex_cli_rs/0.76.0",
        "client_version": "0.76.0",
    },
    "Gemini CLI": {
        "provider": "google",
        "provider_name": "google",
        "host": "generativelanguage.googleapis.com",
        "path": "/v1beta/models/gemini-2.5-pro:streamGenerateContent",
        "api": "google.generate_content",
        "user_agent": "GeminiCLI/0.20.0",
        "client_version": "0.20.0",
    },
}
_MODELS = {
    "Claude Code": ("claude-opus-4-5-20251101", "claude-sonnet-4-5-20250929", "claude-haiku-4-5-20251001"),
    "Codex": ("gpt-5.1-codex", "gpt-5-mini"),
    "Gemini CLI": ("gemini-2.5-pro", "gemini-2.5-flash"),
}
_PROMPTS = (
    "The checkout test is flaky since the upgrade. Find out why and make it deterministic.",
    "Write a migration that splits the address column, and keep the old one readable for a release.",
    "Explain how the retry queue decides what to drop when it is full.",
    "Review this branch: look for races in the cache invalidation.",
    "Add pagination to the audit endpoint, by key and not by offset.",
    "Why is the docker image 1.4 GB? Make it smaller without dropping the debug symbols.",
    "Port the date helpers to the standard library and delete the dependency.",
    "Summarise what changed in the billing module since the last release, for the support team.",
    "The memory of the worker grows by 30 MB an hour. Find the leak.",
    "Translate the onboarding pages to Italian, keep the placeholders.",
)
_TOOLS = (
    ("Bash", '{"command":"pytest -q tests/checkout","description":"Run the tests"}'),
    ("Read", '{"file_path":"/srv/shop/checkout/cart.py"}'),
    ("Grep", '{"pattern":"invalidate\\\\(","path":"src","output_mode":"content"}'),
    ("Edit", '{"file_path":"/srv/shop/checkout/cart.py","old_string":"now()","new_string":"clock.now()"}'),
    ("mcp__linear__get_issue", '{"id":"SHOP-1312"}'),
)


def _call(person: str, client: str, model: str, session: str, at: float, took: float, **fields: Any) -> Interception:
    return Interception(
        **{
            "initiator_id": user_id(person),
            "client": client,
            "model": model,
            "client_session_id": session,
            "started_at": at,
            "ended_at": at + took,
            "duration": took,
            "time_to_first_token": took / 5,
            "method": "POST",
            "http_version": "HTTP/2",
            "status_code": 200,
            "streaming": True,
            "outcome": "completed",
            "credential_kind": "byok_api_key",
            "credential_hint": "sk-a...x9Qw",
            "request_bytes": 183_211,
            "response_bytes": 9_120,
            **_CLIENTS[client],
            **fields,
        }
    )


def _usage(at: float, fresh: int, output: int, read: int = 0, written: int = 0) -> list[TokenUsage]:
    return [
        TokenUsage(
            provider_response_id="msg_1",
            input_tokens=fresh,
            output_tokens=output,
            cache_read_input_tokens=read,
            cache_write_input_tokens=written,
            created_at=at,
        )
    ]


def _tool(name: str, text: str, call: str, at: float) -> ToolUsage:
    return ToolUsage(provider_response_id="msg_1", tool=name, input=text, provider_tool_call_id=call, created_at=at)


def month(now: float, days: int = 30, a_day: int = 6) -> list[Interception]:
    """Sessions of all people on each day, oldest first."""
    chance = random.Random(20)
    records = []
    for day in range(days):
        for number in range(chance.randint(1, a_day) if (day % 7) < 5 else 1):
            person = chance.choice(list(PEOPLE))
            client = chance.choice(["Claude Code", "Claude Code", "Codex", "Gemini CLI"])
            model = chance.choice(_MODELS[client])
            at = now - (days - day) * _DAY + chance.random() * _DAY * 0.9
            name = f"{day:02}-{number}-{person}"
            for step in range(chance.randint(2, 7)):
                at += chance.uniform(4, 40)
                took = chance.uniform(1, 20)
                failed = chance.random() < 0.04
                call = f"{name}-{step}"
                records.append(
                    _call(
                        person,
                        client,
                        model,
                        name,
                        at,
                        took,
                        user_prompts=[
                            UserPrompt(provider_response_id="msg_1", prompt=chance.choice(_PROMPTS), created_at=at)
                        ]
                        if step == 0
                        else [],
                        tool_usages=[] if failed else [_tool(*chance.choice(_TOOLS), call, at + took)],
                        token_usages=[]
                        if failed
                        else _usage(at + took, chance.randint(3, 900), chance.randint(80, 2400), 9000 * step, 3000),
                        lineage=Lineage(
                            tool_results=[ToolResult(call_id=f"{name}-{step - 1}", status="ok", size=900)]
                            if step
                            else []
                        ),
                        **(
                            {
                                "outcome": "failed",
                                "status_code": 529,
                                "error_type": "overloaded",
                                "error_message": "Overloaded",
                            }
                            if failed
                            else {}
                        ),
                    )
                )
                at += took
    return sorted(records, key=lambda record: record.started_at)


class _Chain:
    """A conversation whose messages are kept."""

    def __init__(self) -> None:
        self.last: str | None = None
        self.all: list[StoredMessage] = []

    def say(self, role: str, at: float, *parts: dict[str, Any]) -> str:
        content = msgspec.json.encode(list(parts))
        digest = message_digest(self.last, role, content)
        self.all.append(StoredMessage(digest, self.last, role, content.decode(), at))
        self.last = digest
        return digest


def night(now: float) -> list[Interception]:
    """One session with contents, thoughts, two sub-agents, an error and a call of the client's own."""
    at = now - 1500
    opus, haiku = "claude-opus-4-5-20251101", "claude-haiku-4-5-20251001"
    chain = _Chain()
    records: list[Interception] = [
        _call(
            "ann",
            "Claude Code",
            haiku,
            NIGHT,
            at,
            0.9,
            purpose="auxiliary",
            metadata={"purpose_reason": "title"},
            token_usages=_usage(at, 412, 18),
        )
    ]

    def step(
        prompt: str | None,
        thought: str | None,
        tools: list[tuple[str, str, str]],
        answer: str,
        results: list[tuple[str, str, str]] = (),  # type: ignore[assignment]
        took: float = 6.0,
        agent: str | None = None,
        model: str = opus,
        **fields: Any,
    ) -> None:
        nonlocal at
        at += 3
        own = chain if agent is None else _Chain()
        parts: list[dict[str, Any]] = [
            {"type": "tool_result", "id": call, "content": [{"type": "text", "text": text}], "error": status == "error"}
            for call, status, text in results
        ]
        if prompt:
            parts.append({"type": "text", "text": prompt})
        asked = own.say("user", at, *parts)
        said: list[dict[str, Any]] = [{"type": "text", "text": answer}] if answer else []
        said += [
            {"type": "tool_call", "id": call, "name": name, "input": msgspec.json.decode(text)}
            for name, text, call in tools
        ]
        answered = own.say("assistant", at + took, *said) if said else None
        records.append(
            _call(
                "ann",
                "Claude Code",
                model,
                NIGHT,
                at,
                took,
                capture="full",
                contents=list(own.all),
                request_digest=asked,
                response_digest=answered,
                stop_reason="tool_use" if tools else "end_turn",
                provider_request_id=f"req_{len(records):04}",
                user_prompts=[UserPrompt(provider_response_id="msg_1", prompt=prompt, created_at=at)] if prompt else [],
                model_thoughts=[
                    ModelThought(
                        provider_response_id="msg_1", content=thought, metadata={"source": "thinking"}, created_at=at
                    )
                ]
                if thought
                else [],
                tool_usages=[_tool(name, text, call, at + took) for name, text, call in tools],
                token_usages=[]
                if fields
                else _usage(at + took, 6, 60 + 9 * len(answer), 24_000 + 700 * len(records), 1800),
                lineage=Lineage(
                    tool_results=[ToolResult(call_id=c, status=s, size=len(t)) for c, s, t in results],  # type: ignore[arg-type]
                    agent=agent or "main",
                    is_subagent=agent is not None,
                    agent_name="Explore" if agent else None,
                ),
                **fields,
            )
        )
        at += took

    step(
        "The login test fails since yesterday. Find out why, fix it, and run the whole test suite afterwards.",
        "The user wants the failing login test fixed. First look at the test and at what changed in auth.",
        [
            ("Bash", '{"command":"git log --oneline -5 -- src/auth","description":"Recent changes"}', "t1"),
            ("Read", '{"file_path":"/srv/shop/tests/test_login.py"}', "t2"),
        ],
        "I'll look at the test and at what changed in the authentication code.",
    )
    step(
        None,
        None,
        [("Task", '{"description":"Find callers","prompt":"Find every caller of verify_token in src/"}', "t3")],
        "The token check changed yesterday. Let me find everything that calls it.",
        [
            ("t1", "ok", "9c2e1f0 auth: compare times in UTC\n41d07aa auth: drop the legacy cookie"),
            (
                "t2",
                "ok",
                "def test_login_expires(clock):\n    clock.advance(hours=2)\n    assert not verify_token(token)",
            ),
        ],
    )
    step(
        "Find every caller of verify_token in src/",
        None,
        [("Grep", '{"pattern":"verify_token","path":"src"}', "s1"), ("Glob", '{"pattern":"**/auth*.py"}', "s2")],
        "",
        took=2.1,
        agent="sub-1",
        model=haiku,
    )
    step(
        None,
        None,
        [],
        "Three callers: src/web/session.py:41, src/api/keys.py:88 and src/auth.py:17.",
        [("s1", "ok", "src/web/session.py:41\nsrc/api/keys.py:88"), ("s2", "error", "no such folder")],
        took=3.3,
        agent="sub-1",
        model=haiku,
    )
    step(
        None,
        None,
        [],
        "",
        [("t3", "ok", "Three callers")],
        took=0.6,
        outcome="failed",
        status_code=529,
        error_type="overloaded",
        error_message="Overloaded",
    )
    step(
        None,
        "The clock skew check compares naive with aware times. Fix it in verify_token.",
        [
            ("Edit", '{"file_path":"/srv/shop/src/auth.py","old_string":"utcnow()","new_string":"now(UTC)"}', "t4"),
            ("Bash", '{"command":"pytest -q"}', "t5"),
        ],
        "The comparison mixes naive and aware times: I'll make both aware, then run everything.",
        [("t3", "ok", "Three callers")],
        took=14.2,
    )
    step(
        None,
        None,
        [],
        "Fixed. All 412 tests pass; the login test failed because `utcnow()` has no zone.",
        [("t4", "ok", "The file was changed."), ("t5", "ok", "412 passed in 31.07s")],
        took=5.0,
    )
    step(
        "great, now bump the version\nand write the changelog entry",
        None,
        [],
        "Version 4.8.1 with an entry under Fixed.",
        took=21.0,
    )
    return records


def long_session(now: float, steps: int, person: str = "ben") -> Iterator[Interception]:
    """One thread of so many steps."""
    begin = now - 20.0 * steps
    for number in range(steps):
        at = begin + 20.0 * number
        yield _call(
            person,
            "Claude Code",
            "claude-sonnet-4-5-20250929",
            LONG,
            at,
            6.0,
            user_prompts=[UserPrompt(provider_response_id="m", prompt="Go through all files", created_at=at)]
            if number == 0
            else [],
            tool_usages=[_tool("Read", f'{{"file_path":"/srv/shop/file-{number:05}.py"}}', f"l{number}", at + 6)],
            token_usages=_usage(at + 6, 5, 120, 20_000 + number, 400),
            lineage=Lineage(
                tool_results=[ToolResult(call_id=f"l{number - 1}", status="ok", size=800)] if number else [],
                agent="main",
            ),
        )


def write(url: str, *stories: list[Interception], people: bool = True) -> None:
    """What a proxy would have stored, and the people."""
    database = open_database(url, migrate=True)
    if people:
        for username, name in PEOPLE.items():
            add_user(database, user_id(username), username, name=name)
    writer = Writer(database, flush_interval=0.01, prices=Prices())
    writer.start()
    for story in stories:
        for record in story:
            assert writer.submit(record)
        assert writer.flush(60)
    for host, mode, provider, client in (
        ("chatgpt.com", "observed", "openai", "Codex"),
        ("registry.npmjs.org", "tunnelled", "", "Claude Code"),
    ):
        writer.seen(
            HostSeen(
                host=host,
                mode=mode,  # type: ignore[arg-type]
                provider=provider,
                provider_name=provider,
                initiator_id=user_id("ben"),
                client=client,
                at=max(record.started_at for story in stories for record in story),
                connections=12,
                bytes_sent=48_112,
                bytes_received=2_911_040,
            )
        )
    assert writer.close()
    assert writer.stats.lost == 0
    database.close()
