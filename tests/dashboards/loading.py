"""Records with known numbers, as the writer stores them: few enough to add up by hand.

============ ==== ======== ================= =========== ========================================================
started at   who  provider model             client      what
============ ==== ======== ================= =========== ========================================================
-0:00:10     ann  ...      ...               ...         before the span: is in no panel
0:01:00      ann  anthropic claude-opus-4-8  Claude Code  a prompt, a thought, Bash; 10/5/100/20 tokens, 1.50 USD
0:02:00      ann  anthropic claude-opus-4-8  Claude Code  Bash answered; an MCP tool that failed; 3/7/200/0, no price
1:01:00      ben  openai   gpt-5.5           not known   a prompt, read without an answer; 1000/50/0/0, no price
1:02:00      ben  openai   gpt-5.5           Codex       fails: rate_limited, no usage
2:01:00      ann  anthropic claude-haiku-4-5 Claude Code  a title, for the client itself; 8/2/0/0, 0.25 USD
2:02:00      ben  openai   gpt-5.5           Codex       goes on
2:03:00      Eve  google   gemini-3-pro      Gemini CLI  of nobody who is known; 1/1/0/0, costs nothing
============ ==== ======== ================= =========== ========================================================
"""

from __future__ import annotations

from typing import Any

from peewee import Database

from aitap.record import HostSeen, Interception, ModelThought, TokenUsage, ToolUsage
from aitap.storage.keys import create_key, end_key
from aitap.storage.users import add_user, remove_user
from aitap.storage.writer import Writer
from tests.storage.making import ANN, BEN, interception, lineage, prompt, thought

__all__ = ["END", "EVE", "START", "load"]

START = 1_794_999_600.0
"""A full hour."""
END = START + 3 * 3600
EVE = "33333333-3333-5333-8333-333333333333"
_CAT = "44444444-4444-5444-8444-444444444444"


def _usage(at: float, fresh: int, output: int, read: int, written: int, micros: int | None = None) -> list[TokenUsage]:
    usage = TokenUsage(
        provider_response_id="msg",
        input_tokens=fresh,
        output_tokens=output,
        cache_read_input_tokens=read,
        cache_write_input_tokens=written,
        cost_micros=micros,
        created_at=at,
    )
    return [usage]


def _tool(at: float, name: str, call: str, **fields: Any) -> ToolUsage:
    return ToolUsage(
        provider_response_id="msg", tool=name, input='{"a":1}', provider_tool_call_id=call, created_at=at, **fields
    )


def _of_ann(at: float, **fields: Any) -> Interception:
    return interception(
        START + at,
        fields.pop("took", 2.0),
        **{"client": "Claude Code", "client_version": "2.1.0", "client_session_id": "s1", **fields},
    )


def _of_ben(at: float, **fields: Any) -> Interception:
    values = {"provider": "openai", "provider_name": "openai", "model": "gpt-5.5", "host": "api.openai.com"}
    values |= {"initiator_id": BEN, "api": "openai.responses", "path": "/v1/responses"}
    return interception(START + at, fields.pop("took", 6.0), **{**values, **fields})


def _records(key: str) -> list[Interception]:
    thoughts: list[ModelThought] = [thought("Let me look", START + 61)]
    return [
        _of_ann(-10, user_prompts=[prompt("too early", START - 10)], token_usages=_usage(START - 9, 1, 1, 1, 1, 1)),
        _of_ann(
            60,
            api_key_id=key,
            user_prompts=[prompt("fix the bug", START + 60)],
            model_thoughts=thoughts,
            tool_usages=[_tool(START + 61, "Bash", "call_1")],
            token_usages=_usage(START + 62, 10, 5, 100, 20, 1_500_000),
            time_to_first_token=0.5,
            duration=2.0,
        ),
        _of_ann(
            120,
            took=4.0,
            api_key_id=key,
            lineage=lineage("call_1"),
            tool_usages=[
                _tool(
                    START + 121, "query", "call_2", kind="mcp", server_url="https://db.example", invocation_error="boom"
                )
            ],
            token_usages=_usage(START + 122, 3, 7, 200, 0),
            time_to_first_token=1.5,
            duration=4.0,
        ),
        _of_ben(
            3660,
            user_agent="curl/8.1",
            user_prompts=[prompt("what's new?", START + 3660)],
            tool_usages=[_tool(START + 3661, "read", "call_3")],
            token_usages=_usage(START + 3662, 1000, 50, 0, 0),
            time_to_first_token=3.0,
            duration=6.0,
        ),
        _of_ben(
            3720,
            took=0.5,
            client="Codex",
            client_version="0.9",
            outcome="failed",
            error_type="rate_limited",
            error_message="slow down",
            status_code=429,
            duration=0.5,
        ),
        _of_ann(
            7260,
            model="claude-haiku-4-5",
            purpose="auxiliary",
            user_prompts=[prompt("Write a title", START + 7260)],
            token_usages=_usage(START + 7261, 8, 2, 0, 0, 250_000),
            duration=2.0,
        ),
        _of_ben(7320, took=None, client="Codex", client_version="0.9"),
        interception(
            START + 7380,
            1.0,
            initiator_id=EVE,
            provider="google",
            provider_name="google",
            model="gemini-3-pro",
            client="Gemini CLI",
            host="generativelanguage.googleapis.com",
            token_usages=_usage(START + 7381, 1, 1, 0, 0, 0),
            duration=1.0,
        ),
    ]


def _seen() -> list[HostSeen]:
    tunnel = HostSeen(
        host="example.com",
        mode="tunnelled",
        initiator_id=ANN,
        client="curl",
        at=START + 100,
        connections=3,
        bytes_sent=100,
        bytes_received=2000,
    )
    refused = HostSeen(
        host="api.openai.com",
        mode="decrypted",
        provider="openai",
        provider_name="openai",
        initiator_id=BEN,
        at=START + 200,
        refusals=2,
        error="unknown ca",
    )
    late = HostSeen(host="late.example", mode="tunnelled", initiator_id=ANN, at=END + 100, connections=1)
    return [tunnel, refused, late]


def load(database: Database) -> None:
    """Store them all."""
    for name, user in (("ann", ANN), ("ben", BEN), ("cat", _CAT)):
        assert add_user(database, user, name)
    laptop = create_key(database, ANN, name="laptop")[1]["id"]
    lost = create_key(database, BEN, name="lost")[1]["id"]
    end_key(database, lost)
    remove_user(database, _CAT)
    writer = Writer(database, flush_interval=0.0)
    writer.start()
    for record in _records(laptop):
        assert writer.submit(record)
        assert writer.flush(20.0)
    for seen in _seen():
        writer.seen(seen)
    assert writer.close()
