"""The traffic of the bench: each request, prebuilt as byte strings, and its answer.

Requests look like those of Claude Code (a session id in a header and in ``metadata``), of Codex on a
WebSocket (the same), or of the Anthropic SDK (no id at all). No two are equal: see :mod:`bench.answers`.
"""

from __future__ import annotations

import json
import re
import uuid
from dataclasses import dataclass, field

from bench.answers import COUNTER, Answer, amazon, json_body, prose, responses, sse

__all__ = ["CASES", "HOST", "KEY", "PREVIOUS", "Case", "Request"]

HOST = "api.anthropic.com"

# Placeholders have the width of what replaces them.
PREVIOUS = b"@previous@"
SESSION = b"@session@".ljust(36, b"-")
KEY = b"@key@".ljust(24, b"-")


@dataclass(frozen=True)
class Request:
    """A request whose body may name the tool call of the answer before, or that answer (``PREVIOUS``)."""

    head: bytes
    body: bytes
    host: str = HOST
    upgrade: bool = False
    """Whether ``head`` opens a WebSocket, on which each request is then a ``body``."""

    @property
    def endpoint(self) -> tuple[str, bool]:
        """Requests with the same one can share a connection."""
        return self.host, self.upgrade

    def opening(self, session: str) -> bytes:
        """The head of one session's WebSocket; ``KEY`` stays in it."""
        return self.head.replace(SESSION, session.encode())

    def pieces(self, session: str) -> tuple[bytes, ...]:
        """The request of one session, cut at its counters: literal, marker, literal, marker, ... literal."""
        head = b"" if self.upgrade else self.head.replace(b"@length@", str(len(self.body)).encode())
        whole = (head + self.body).replace(SESSION, session.encode())
        return tuple(re.split(b"(%b|%b)" % (COUNTER, PREVIOUS), whole))


@dataclass(frozen=True)
class Case:
    """One kind of exchange, and how hard the load generator drives it."""

    name: str
    title: str
    request: Request
    answer: Answer
    connections: int
    alone: int = 0
    """Requests one after the other, without other load, for the time to first event. Paced cases need none."""
    targets: dict[str, float] = field(default_factory=dict)


def _tools(count: int) -> list[dict[str, object]]:
    return [
        {
            "name": f"Tool{number}" if number else "Bash",
            "description": prose(900, number),
            "input_schema": {
                "$schema": "https://json-schema.org/draft/2020-12/schema",
                "type": "object",
                "properties": {"command": {"type": "string"}, "timeout": {"type": "number"}},
                "required": ["command"],
            },
        }
        for number in range(count)
    ]


def _agent_turns(size: int) -> list[dict[str, object]]:
    """A tool loop of about ``size`` bytes: the newest message is the result of the call in the answer before."""
    messages: list[dict[str, object]] = []
    number = 0
    while size > 0:
        result = prose(3000 + 2000 * (number % 5), number)
        size -= len(result.encode()) + 500
        last = size <= 0
        call = f"toolu_bench_{PREVIOUS.decode()}" if last else f"toolu_bench_h{number:08d}"
        use = {"type": "tool_use", "id": call, "name": "Bash", "input": {"command": f"sed -n {number},+80p a.py"}}
        answer: dict[str, object] = {"tool_use_id": call, "type": "tool_result", "content": result, "is_error": False}
        if last:
            answer["content"] = f"{result}\n{COUNTER.decode()}"
            answer["cache_control"] = {"type": "ephemeral"}
        messages += [
            {"role": "assistant", "content": [{"type": "text", "text": "Let me look at that."}, use]},
            {"role": "user", "content": [answer]},
        ]
        number += 1
    return messages


def _claude_code(name: str, *, stream: bool, history: int = 0, tools: int = 1) -> Request:
    """A request as Claude Code 2.1 makes it: reminder and prompt, a trailing system message, ids everywhere."""
    session = SESSION.decode()
    user = json.dumps({"device_id": "d" * 64, "account_uuid": "", "session_id": session}, separators=(",", ":"))
    # In a tool loop the prompt stays what it was; a first turn has a prompt of its own.
    prompt = "please find out why the test fails" + ("" if history else f", attempt {COUNTER.decode()}")
    body = {
        "model": "claude-opus-5-5",
        "messages": [
            {
                "role": "user",
                "content": [
                    {
                        "type": "text",
                        "text": "<system-reminder>\n# gitStatus\nbranch: main\n</system-reminder>",
                    },
                    {"type": "text", "text": prompt},
                ],
            },
            {"role": "system", "content": [{"type": "text", "text": "# Environment\n - Platform: linux"}]},
            *_agent_turns(history),
        ],
        "system": [
            {"type": "text", "text": "x-anthropic-billing-header: cc_version=2.1.329.9d4; cc_entrypoint=cli;"},
            {"type": "text", "text": "You are Claude Code, Anthropic's official CLI for Claude."},
        ],
        "tools": _tools(tools),
        "metadata": {"user_id": user},
        "max_tokens": 128000,
        "thinking": {"type": "adaptive", "display": "omitted"},
        "stream": stream,
    }
    head = (
        f"POST /v1/messages?beta=true HTTP/1.1\r\nAccept: application/json\r\nContent-Type: application/json\r\n"
        f"User-Agent: claude-cli/2.1.329 (external, cli)\r\nX-Claude-Code-Session-Id: {session}\r\n"
        "X-Stainless-Arch: x64\r\nX-Stainless-Lang: js\r\nX-Stainless-OS: Linux\r\n"
        "X-Stainless-Package-Version: 0.128.0\r\nX-Stainless-Retry-Count: 0\r\nX-Stainless-Runtime: node\r\n"
        "X-Stainless-Runtime-Version: v26.12.1\r\nX-Stainless-Timeout: 600\r\n"
        "anthropic-beta: claude-code-20250219,interleaved-thinking-2025-05-14,effort-2025-11-24\r\n"
        "anthropic-dangerous-direct-browser-access: true\r\nanthropic-version: 2023-06-01\r\n"
        f"x-api-key: sk-ant-api03-{'b' * 80}\r\nx-app: cli\r\nx-claude-1p-request-class: main\r\n"
        f"x-claude-code-prompt-id: {uuid.uuid5(uuid.NAMESPACE_URL, name)}\r\nx-claude-code-request-class: main\r\n"
        f"x-client-request-id: 07be3cc7-9b44-4ade-be65-48{COUNTER.decode()}\r\n"
        f"Connection: keep-alive\r\nHost: {HOST}\r\nAccept-Encoding: gzip, deflate, br, zstd\r\n"
        f"x-bench-case: {name}\r\nContent-Length: @length@\r\n\r\n"
    )
    return Request(head.encode(), json.dumps(body, ensure_ascii=False, separators=(",", ":")).encode())


def _bedrock(name: str, model: str) -> Request:
    """The same for Bedrock: the model in the path, the version in the body, signed."""
    direct = _claude_code(name, stream=True)
    body = {"anthropic_version": "bedrock-2023-05-31", **json.loads(direct.body)}
    del body["model"], body["stream"]
    host = "bedrock-runtime.us-east-1.amazonaws.com"
    signature = (
        "AWS4-HMAC-SHA256 Credential=AKIABENCHBENCHBENCH0/20261120/us-east-1/bedrock/aws4_request, "
        f"SignedHeaders=accept;content-type;host;x-amz-date, Signature={'b' * 64}"
    )
    head = direct.head.decode()
    head = head.replace("/v1/messages?beta=true", f"/model/{model}/invoke-with-response-stream").replace(HOST, host)
    head = re.sub("x-api-key: .*?\r\n", f"authorization: {signature}\r\nx-amz-date: 20261120T152824Z\r\n", head)
    return Request(head.encode(), json.dumps(body, ensure_ascii=False, separators=(",", ":")).encode(), host)


def _codex(name: str) -> Request:
    """A turn as Codex asks for it on its WebSocket: only what is new, after the response before."""
    session = SESSION.decode()
    turn = json.dumps({"session_id": session, "thread_id": session, "request_kind": "turn"}, separators=(",", ":"))
    prompt = f"please find out why the test fails, attempt {COUNTER.decode()}"
    tools = [
        {
            "type": "function",
            "name": tool["name"],
            "description": tool["description"],
            "parameters": tool["input_schema"],
        }
        for tool in _tools(1)
    ]
    body = {
        "type": "response.create",
        "model": "gpt-5.5-codex",
        "instructions": prose(1500, 12),
        "previous_response_id": f"resp_bench_{PREVIOUS.decode()}",
        "input": [{"type": "message", "role": "user", "content": [{"type": "input_text", "text": prompt}]}],
        "tools": tools,
        "tool_choice": "auto",
        "parallel_tool_calls": True,
        "reasoning": {"effort": "medium"},
        "store": False,
        "stream": True,
        "include": ["reasoning.encrypted_content"],
        "prompt_cache_key": session,
        "client_metadata": {"x-codex-turn-metadata": turn},
    }
    host = "api.openai.com"
    head = (
        f"GET /v1/responses HTTP/1.1\r\nHost: {host}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
        f"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {KEY.decode()}\r\n"
        f"authorization: Bearer sk-proj-{'b' * 80}\r\nopenai-beta: responses_websockets=2026-02-06\r\n"
        "user-agent: codex_cli_rs/0.169.0 (Debian 12.0.0; x86_64) xterm\r\noriginator: codex_cli_rs\r\n"
        f"session-id: {session}\r\nthread-id: {session}\r\nx-codex-turn-metadata: {turn}\r\n"
        f"x-bench-case: {name}\r\n\r\n"
    )
    whole = json.dumps(body, ensure_ascii=False, separators=(",", ":"))
    return Request(head.encode(), whole.encode(), host, upgrade=True)


def _sdk(name: str, *, history: int = 0) -> Request:
    """A request as the Anthropic SDK for Python makes it: nothing in it names a session or a client program."""
    messages: list[dict[str, object]] = [
        {"role": "user", "content": f"What is the capital of France? ({COUNTER.decode()})"},
        {"role": "assistant", "content": "Paris."},
        {"role": "user", "content": "And how many people live there? " * 20},
        *_agent_turns(history),
    ]
    body = {"max_tokens": 2048, "messages": messages, "model": "claude-sonnet-4-5", "tools": _tools(1)}
    head = (
        f"POST /v1/messages HTTP/1.1\r\nHost: {HOST}\r\nAccept-Encoding: gzip, deflate, br\r\n"
        "Connection: keep-alive\r\nx-stainless-timeout: NOT_GIVEN\r\nx-stainless-retry-count: 0\r\n"
        "x-stainless-read-timeout: 600\r\nAccept: application/json\r\nContent-Type: application/json\r\n"
        "User-Agent: Anthropic/Python 1.17.0\r\nX-Stainless-Lang: python\r\nX-Stainless-Package-Version: 1.17.0\r\n"
        "X-Stainless-OS: Linux\r\nX-Stainless-Arch: x64\r\nX-Stainless-Runtime: CPython\r\n"
        f"X-Stainless-Runtime-Version: 3.12.1\r\nX-Api-Key: sk-ant-api03-{'b' * 80}\r\nX-Stainless-Async: false\r\n"
        f"anthropic-version: 2023-06-01\r\nx-bench-case: {name}\r\nContent-Length: @length@\r\n\r\n"
    )
    return Request(head.encode(), json.dumps(body, ensure_ascii=False).encode())


_SPEED = {"requests": 0.97, "cpu": 1.03, "first": 0.1}

CASES = {
    case.name: case
    for case in (
        Case("json", "1 KB JSON", _claude_code("json", stream=False), json_body(tool=False), 8, 40, _SPEED),
        Case("json-no-ids", "1 KB JSON, no ids", _sdk("json-no-ids"), json_body(tool=False), 8, 40, _SPEED),
        Case("sse50", "SSE, 50 events", _claude_code("sse50", stream=True), sse(50), 8, 25, _SPEED),
        Case("sse1000", "SSE, 1000 events", _claude_code("sse1000", stream=True), sse(1000), 4, 5, _SPEED),
        Case(
            "eventstream",
            "Bedrock, 50 events",
            _bedrock("eventstream", "us.anthropic.claude-opus-5-5"),
            amazon(50),
            8,
            20,
            _SPEED,
        ),
        Case(
            "socket",
            "WebSocket, 25 messages",
            _codex("socket"),
            responses(20),
            8,
            20,
            {"requests": 0.97, "cpu": 1.03},
        ),
        Case(
            "300k",
            "300 KB request",
            _claude_code("300k", stream=False, history=280_000, tools=20),
            json_body(tool=True),
            4,
            20,
            _SPEED,
        ),
        Case(
            "300k-no-ids",
            "300 KB, no ids",
            _sdk("300k-no-ids", history=300_000),
            json_body(tool=True),
            4,
            20,
        ),
        Case(
            "2m",
            "2 MB request",
            _claude_code("2m", stream=False, history=1_980_000, tools=20),
            json_body(tool=True),
            2,
            10,
            {"cpu": 1.05},
        ),
        Case(
            "paced",
            "SSE, 20 events 20 ms apart",
            _claude_code("paced", stream=True),
            sse(20, pace=0.02),
            8,
            0,
            {"first": 0.1, "event": 0.1},
        ),
        Case(
            "many",
            "slow streams",
            _claude_code("many", stream=True, history=18_000),
            sse(12, pace=1.0, gated=True),
            1000,
            0,
            {"memory": 5.0},
        ),
        Case(
            "many-quick",
            "slow streams, few",
            _claude_code("many-quick", stream=True, history=18_000),
            sse(12, pace=0.3, gated=True),
            100,
            0,
            {"memory": 5.0},
        ),
    )
}
