"""Made-up traffic: sessions of people at work with coding agents, the same for the same seed.

Few people do most of the work, few models get most of the calls, and some pairs of the two are very rare:
what a filter finds ranges from nothing to nearly all.
"""

from __future__ import annotations

import heapq
import itertools
import json
import math
import uuid
from dataclasses import dataclass
from hashlib import blake2b
from random import Random
from typing import TYPE_CHECKING, Any

from aitap.record import Interception, Lineage, ModelThought, TokenUsage, ToolUsage, UserPrompt

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["MODELS", "Traffic", "user_id"]

DAY = 86400.0


@dataclass(frozen=True)
class Model:
    """What is called under one name, by which road."""

    name: str
    provider: str
    provider_name: str
    host: str
    path: str
    api: str
    weight: float
    price: tuple[int, int, int, int] | None
    """Micro-dollars for a thousand tokens: input, output, cache read, cache write."""


_ANTHROPIC = ("anthropic", "anthropic", "api.anthropic.com", "/v1/messages", "anthropic.messages")
_BEDROCK = ("anthropic", "bedrock", "bedrock-runtime.eu-west-1.amazonaws.com", "/model/x/invoke", "anthropic.messages")
_OPENAI = ("openai", "openai", "api.openai.com", "/v1/responses", "openai.responses")
_CHATGPT = ("openai", "chatgpt", "chatgpt.com", "/backend-api/codex/responses", "openai.responses")
_AZURE = ("openai", "azure-eu", "eu.openai.azure.com", "/openai/responses", "openai.responses")
_COPILOT = ("copilot", "copilot", "api.githubcopilot.com", "/chat/completions", "openai.chat_completions")
_GOOGLE = ("google", "gemini", "generativelanguage.googleapis.com", "/v1beta/models/x", "google.generate_content")
_ROUTER = ("openai", "openrouter", "openrouter.ai", "/api/v1/chat/completions", "openai.chat_completions")

MODELS = (
    Model("claude-opus-4-8", *_ANTHROPIC, 30, (5000, 25000, 500, 6250)),
    Model("claude-sonnet-5", *_ANTHROPIC, 22, (3000, 15000, 300, 3750)),
    Model("claude-haiku-4-5", *_ANTHROPIC, 9, (1000, 5000, 100, 1250)),
    Model("claude-opus-4-8", *_BEDROCK, 3, (5000, 25000, 500, 6250)),
    Model("gpt-5.2-codex", *_CHATGPT, 12, (1250, 10000, 125, 0)),
    Model("gpt-5.2", *_OPENAI, 7, (1250, 10000, 125, 0)),
    Model("gpt-5.2-mini", *_OPENAI, 3, (250, 2000, 25, 0)),
    Model("gpt-5.2", *_AZURE, 1, (1250, 10000, 125, 0)),
    Model("gpt-5.2", *_COPILOT, 4, (1250, 10000, 125, 0)),
    Model("claude-sonnet-5", *_COPILOT, 3, (3000, 15000, 300, 3750)),
    Model("gemini-3-pro", *_GOOGLE, 4, (2000, 12000, 200, 0)),
    Model("gemini-3-flash", *_GOOGLE, 1.5, (300, 2500, 30, 0)),
    Model("qwen3-coder-480b", *_ROUTER, 0.4, None),
    Model("kimi-k2.5", *_ROUTER, 0.08, None),
    Model("claude-3-opus-20240229", *_ANTHROPIC, 0.01, (15000, 75000, 1500, 18750)),
)
_SMALL = {
    "anthropic": MODELS[2],
    "bedrock": MODELS[2],
    "openai": MODELS[6],
    "chatgpt": MODELS[6],
    "azure-eu": MODELS[6],
    "copilot": MODELS[8],
    "gemini": MODELS[11],
    "openrouter": MODELS[12],
}
_CLIENTS: dict[str, tuple[tuple[str | None, str | None, float], ...]] = {
    "anthropic": (("Claude Code", "2.1.91", 90), ("OpenCode", "1.4.2", 7), ("Zed", "0.214.0", 2), (None, None, 1)),
    "bedrock": (("Claude Code", "2.1.91", 100),),
    "openai": (("OpenCode", "1.4.2", 40), ("Cline", "3.40.0", 40), (None, None, 20)),
    "chatgpt": (("Codex", "0.72.0", 100),),
    "azure-eu": (("Cline", "3.40.0", 100),),
    "copilot": (("GitHub Copilot (VS Code)", "0.36.1", 80), ("GitHub Copilot (CLI)", "0.0.371", 20)),
    "gemini": (("Gemini CLI", "0.21.0", 97), ("Goose", "1.16.0", 3)),
    "openrouter": (("OpenCode", "1.4.2", 70), ("Kilo Code", "4.140.0", 30)),
}
_TOOLS = ("Bash", "Read", "Edit", "Grep", "Write", "Glob", "Task", "WebFetch", "mcp__jira__search", "apply_patch")
_PROSE = (
    "the function returns a list of rows and should not raise when the file is empty please fix test for parser "
    "module so that it handles quotes add an index to the table explain why this query is slow refactor into smaller "
    "parts rename variable update docs check types run linter again commit result look at error in line memory leak "
    "thread lock timeout socket header stream token cache session user model price budget report chart page button"
)


def user_id(number: int) -> str:
    """The id of the user of this rank; 0 works most."""
    return str(uuid.uuid5(uuid.NAMESPACE_URL, f"aitap-bench/{number}"))


class Traffic:
    """Interceptions of ``days`` days from ``begin`` (epoch seconds, midnight UTC), about ``rows`` of them."""

    def __init__(self, *, begin: float, days: int, rows: int, users: int, seed: int) -> None:
        self._dice = Random(seed)
        self._begin, self._days, self._rows = begin, days, rows
        self._users = [user_id(number) for number in range(users)]
        self._weights = list(itertools.accumulate(1 / (rank + 3) for rank in range(users)))
        known = _PROSE.split()
        words = [self._dice.choice(known) for _ in range(20_000)]
        self._text = " ".join(words)
        # Each has a few models at hand, and another only now and then.
        choices = list(itertools.accumulate(model.weight for model in MODELS))
        self._models = [self._dice.choices(MODELS, cum_weights=choices, k=3) for _ in range(users)]
        self._all_models = choices

    def records(self) -> Iterator[Interception]:
        """At most ``rows`` of them, in the order of their starts."""
        # A session has some 18 interceptions.
        return itertools.islice(self._merged(self._session_starts(1 + self._rows * 2 // 35)), self._rows)

    def _session_starts(self, count: int) -> list[float]:
        dice = self._dice
        starts = []
        for _ in range(count):
            # People work by day, most of them in the afternoon; agents also at night.
            hour = dice.gauss(14, 3) % 24 if dice.random() < 0.9 else dice.uniform(0, 24)
            starts.append(self._begin + dice.randrange(self._days) * DAY + hour * 3600)
        return sorted(starts)

    def _merged(self, starts: list[float]) -> Iterator[Interception]:
        """The records of all sessions by their starts; a session is begun when its turn has come."""
        end = self._begin + self._days * DAY
        open_: list[tuple[float, int, Interception, Iterator[Interception]]] = []
        for number, start in enumerate([*starts, math.inf]):
            while open_ and open_[0][0] <= start:
                at, order, record, rest = heapq.heappop(open_)
                if at < end:
                    yield record
                following = next(rest, None)
                if following is not None:
                    heapq.heappush(open_, (following.started_at, order, following, rest))
            if start < math.inf:
                session = self._session(start)
                first = next(session)
                heapq.heappush(open_, (first.started_at, number, first, session))

    def _id(self, at: float) -> str:
        """A version 7 UUID of this moment."""
        bits = self._dice.getrandbits(74)
        tail = bits & 0x3FFF_FFFF_FFFF_FFFF | 0x8000_0000_0000_0000
        text = f"{int(at * 1000):012x}7{bits >> 62:03x}{tail:016x}"
        return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"

    def _words(self, median: float) -> str:
        size = int(median * math.exp(self._dice.gauss(0, 0.9)))
        start = self._dice.randrange(60_000)
        return self._text[start : start + max(8, min(size, 8000))]

    def _session(self, start: float) -> Iterator[Interception]:
        dice = self._dice
        user = dice.choices(range(len(self._users)), cum_weights=self._weights)[0]
        model = dice.choice(self._models[user])
        if dice.random() < 0.02:
            model = dice.choices(MODELS, cum_weights=self._all_models)[0]
        clients = _CLIENTS[model.provider_name]
        client, version, _ = dice.choices(clients, [weight for *_, weight in clients])[0]
        own = f"{dice.getrandbits(128):032x}"
        session: str | None = f"{own[:8]}-{own[8:12]}-4{own[13:16]}-a{own[17:20]}-{own[20:]}"
        if client in (None, "Zed", "Cline"):
            session = None
        common: dict[str, Any] = {
            "initiator_id": self._users[user],
            "api_key_id": f"key-{user:04}" if user % 4 else None,
            "client": client,
            "client_version": version,
            "client_session_id": session,
            "credential_kind": "byok_subscription" if model.provider_name == "chatgpt" else "byok_api_key",
            "credential_hint": "sk-a...9f2c",
            "user_agent": f"{(client or 'python-requests').lower().replace(' ', '-')}/{version or '2.32'} (linux; x64)",
            "method": "POST",
            "http_version": "HTTP/2.0",
            "status_code": 200,
            "streaming": True,
            "outcome": "completed",
        }
        at, context = start, dice.randint(9_000, 24_000)
        budget = max(1, min(400, int(math.exp(dice.gauss(2.5, 0.9)))))
        if session is not None:
            yield self._call(_SMALL[model.provider_name], at, 900, common, purpose="auxiliary", prompt=None, root=None)
            at += 0.2
        while budget > 0:
            root, turns = None, max(1, min(budget, int(dice.expovariate(1 / 7)) + 1))
            parent, prompt_at = None, at
            for turn in range(turns):
                typed = self._words(140) if turn == 0 else None
                last = turn == turns - 1
                record = self._call(
                    model,
                    at,
                    context,
                    common,
                    prompt=typed,
                    root=root,
                    parent=parent,
                    prompt_at=prompt_at,
                    tools=not last,
                )
                record.session_id = session or root or record.id
                yield record
                root, parent = root or record.id, record.id
                context = min(context + dice.randint(300, 4_000), 180_000)
                at = (record.ended_at or at) + dice.expovariate(1 / 3)
            budget -= turns
            at += 20 + dice.expovariate(1 / 240)

    def _call(
        self,
        model: Model,
        at: float,
        context: int,
        common: dict[str, Any],
        *,
        prompt: str | None,
        root: str | None,
        parent: str | None = None,
        prompt_at: float | None = None,
        purpose: Any = "conversation",
        tools: bool = False,
    ) -> Interception:
        dice = self._dice
        at = round(at, 6)
        own_id, took = self._id(at), math.exp(dice.gauss(1.3, 0.7))
        end = round(at + took, 6)
        response = f"msg_01{dice.getrandbits(110):022x}"[:28]
        record = Interception(
            **common,
            id=own_id,
            provider=model.provider,
            provider_name=model.provider_name,
            model=model.name,
            session_id=common["client_session_id"] or root or own_id,
            thread_parent_id=parent,
            thread_root_id=root,
            started_at=at,
            ended_at=end,
            last_prompt_at=prompt_at,
            api=model.api,
            host=model.host,
            path=model.path,
            response_model=model.name,
            provider_request_id=f"req_011{dice.getrandbits(84):021x}",
            stop_reason="tool_use" if tools else "end_turn",
            time_to_first_token=round(took / 4, 6),
            duration=round(took, 6),
            request_bytes=context * 4,
            response_bytes=dice.randint(900, 30_000),
            purpose=purpose,
            lineage=Lineage(request=blake2b(own_id.encode(), digest_size=16).hexdigest()),
        )
        if prompt is not None:
            record.user_prompts = [
                UserPrompt(provider_response_id=response, prompt=prompt, created_at=at, id=self._id(at))
            ]
        if dice.random() < 0.02:
            record.outcome, record.status_code, record.response_model, record.stop_reason = "failed", 529, None, None
            record.error_type, record.error_message = "overloaded", "Overloaded"
            return record
        fresh, output = dice.randint(3, 900), dice.randint(20, 1500)
        read, write = context * 9 // 10, context // 10
        cost = None
        if model.price is not None:
            counts = (fresh, output, read, write)
            cost = sum(count * price // 1000 for count, price in zip(counts, model.price, strict=True))
        record.token_usages = [
            TokenUsage(
                provider_response_id=response,
                input_tokens=fresh,
                output_tokens=output,
                cache_read_input_tokens=read,
                cache_write_input_tokens=write,
                metadata={"service_tier": "standard"} if model.provider == "anthropic" else {},
                provider_model=model.name,
                cost_micros=cost,
                price_book="2026-11-01",
                created_at=end,
                id=self._id(end),
            )
        ]
        if dice.random() < 0.4 and purpose == "conversation":
            record.model_thoughts = [
                ModelThought(
                    provider_response_id=response,
                    content=self._words(220),
                    metadata={"source": "thinking"},
                    created_at=end,
                    id=self._id(end),
                )
            ]
        if tools:
            record.tool_usages = [self._tool(response, end) for _ in range(1 + (dice.random() < 0.2))]
        return record

    def _tool(self, response: str, at: float) -> ToolUsage:
        dice = self._dice
        return ToolUsage(
            provider_response_id=response,
            tool=dice.choice(_TOOLS),
            input=json.dumps({"command": self._words(90), "timeout": 120000}),
            provider_tool_call_id=f"toolu_01{dice.getrandbits(88):022x}",
            result_status="error" if dice.random() < 0.05 else "ok",
            result_at=at + 0.5,
            result_bytes=dice.randint(20, 9000),
            created_at=at,
            id=self._id(at),
        )
