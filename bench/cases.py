"""The traffic of the bench: each request and its answer, prebuilt as byte strings.

Requests look like those of Claude Code (a session id in a header and in ``metadata``) or of the
Anthropic SDK (no id at all); answers have the shape of the Messages API. No two requests or answers
are equal: a ten-digit counter is patched into each, so that nothing downstream can profit from a
repetition, and the width stays the same, so that every answer can be compared byte by byte.
"""

from __future__ import annotations

import json
import random
import re
import uuid
from dataclasses import dataclass, field
from functools import cached_property
from itertools import accumulate

__all__ = ["CASES", "HOST", "Answer", "Case", "Request"]

HOST = "api.anthropic.com"

# Placeholders have the width of what replaces them.
COUNTER = b"@counter@@"
PREVIOUS = b"@previous@"
SESSION = b"@session@".ljust(36, b"-")
STAMP = b"@stamp@".ljust(19, b"-")


@dataclass(frozen=True)
class Answer:
    """A response of the upstream: one JSON body, or server-sent events ``pace`` seconds apart (0: in one burst)."""

    events: tuple[bytes, ...]
    sse: bool
    pace: float = 0.0
    gated: bool = False
    """Whether the events after the first wait until the load generator opens the gate."""

    @cached_property
    def body(self) -> bytes:
        """The whole body, placeholders in it."""
        return b"".join(self.events)

    @cached_property
    def ends(self) -> tuple[int, ...]:
        """The offset in the body at which each event is complete."""
        return tuple(accumulate(map(len, self.events)))

    @cached_property
    def head(self) -> bytes:
        """Status line and headers, a placeholder in ``request-id``."""
        kind = "text/event-stream; charset=utf-8" if self.sse else "application/json"
        length = "transfer-encoding: chunked" if self.sse else f"content-length: {len(self.body)}"
        return (
            "HTTP/1.1 200 OK\r\ndate: Fri, 20 Nov 2026 15:28:24 GMT\r\n"
            f"content-type: {kind}\r\n{length}\r\nconnection: keep-alive\r\ncache-control: no-cache\r\n"
            "anthropic-organization-id: 00000000-0000-0000-0000-000000000001\r\n"
            "anthropic-ratelimit-unified-status: allowed\r\nserver: cloudflare\r\ncf-ray: b75fb12eee8e497c-FRA\r\n"
            f"request-id: req_bench_{COUNTER.decode()}\r\n\r\n"
        ).encode()

    @cached_property
    def frames(self) -> tuple[bytes, ...]:
        """What goes over the wire after the head: one HTTP chunk for each event, or the body."""
        if not self.sse:
            return self.events
        chunks = [b"%x\r\n%b\r\n" % (len(event), event) for event in self.events]
        chunks[-1] += b"0\r\n\r\n"
        return tuple(chunks)

    @cached_property
    def _slots(self) -> tuple[int, tuple[int, ...]]:
        return self.body.index(COUNTER), tuple(match.start() for match in re.finditer(STAMP, self.body))

    def read(self, body: bytes) -> tuple[bytes, list[int]]:
        """The counter and the send times (monotonic nanoseconds; empty where not stamped) in a received body.

        Raises ``ValueError`` when the body is not, byte for byte, what the upstream sent.
        """
        at, stamps = self._slots
        counter = body[at : at + len(COUNTER)]
        expected = self.body.replace(COUNTER, counter)
        times = [int(body[start : start + len(STAMP)]) for start in stamps] if len(body) == len(expected) else []
        for time in times:
            expected = expected.replace(STAMP, b"%019d" % time, 1)
        if body != expected or not counter.isdigit():
            raise ValueError(f"the answer differs from what was sent: {len(body)} bytes for {len(expected)}")
        return counter, times


@dataclass(frozen=True)
class Request:
    """A request whose body may name the tool call of the answer before (``PREVIOUS``)."""

    head: bytes
    body: bytes

    def pieces(self, session: str) -> tuple[bytes, ...]:
        """The request of one session, cut at its counters: literal, marker, literal, marker, ... literal."""
        head = self.head.replace(b"@length@", str(len(self.body)).encode())
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


def _text(size: int, seed: int) -> str:
    """About ``size`` characters of something like code: indented, quoted, many lines."""
    source = random.Random(seed)
    words = ["return", "self", "value", '"name"', "for", "item", "in", "result:", "if", "not", "def", "(x,", "y)", "é"]
    lines = []
    while size > 0:
        line = "    " * source.randrange(4) + " ".join(source.choices(words, k=source.randrange(3, 12)))
        lines.append(line)
        size -= len(line) + 1
    return "\n".join(lines)


def _tools(count: int) -> list[dict[str, object]]:
    return [
        {
            "name": f"Tool{number}" if number else "Bash",
            "description": _text(900, number),
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
        result = _text(3000 + 2000 * (number % 5), number)
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


_USAGE = {"input_tokens": 12, "cache_creation_input_tokens": 340, "cache_read_input_tokens": 9000, "output_tokens": 180}
_CALL = {"type": "tool_use", "id": f"toolu_bench_{COUNTER.decode()}", "name": "Bash", "input": {}}


def _json(*, tool: bool) -> Answer:
    content: list[object] = [{"type": "text", "text": _text(300 if tool else 400, 7)}]
    if tool:
        content.append(_CALL | {"input": {"command": "pytest -x"}})
    message = {
        "id": f"msg_bench_{COUNTER.decode()}",
        "type": "message",
        "role": "assistant",
        "model": "claude-opus-5-5",
        "content": content,
        "stop_reason": "tool_use" if tool else "end_turn",
        "stop_sequence": None,
        "usage": _USAGE | {"service_tier": "standard"},
    }
    # Padded with what JSON allows, so that the size is what the case's title says.
    return Answer((json.dumps(message, separators=(",", ":")).encode().ljust(1024),), sse=False)


def _sse(count: int, *, pace: float = 0.0, gated: bool = False) -> Answer:
    """``count`` events: a text, then a tool call. Paced ones carry the time at which they were sent."""
    message: dict[str, object] = {
        "id": f"msg_bench_{COUNTER.decode()}",
        "type": "message",
        "role": "assistant",
        "model": "claude-opus-5-5",
        "content": [],
        "stop_reason": None,
        "stop_sequence": None,
        "usage": _USAGE | {"output_tokens": 1},
    }
    words = ("Let", " me look", " at the", " failing test", ' "test_proxy"', " first.\n")
    data: list[dict[str, object]] = [
        {"type": "message_start", "message": message},
        {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}},
        {"type": "ping"},
    ]
    data += [
        {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": words[number % len(words)]}}
        for number in range(count - 11)
    ]
    data += [
        {"type": "content_block_stop", "index": 0},
        {"type": "content_block_start", "index": 1, "content_block": _CALL},
    ]
    data += [
        {"type": "content_block_delta", "index": 1, "delta": {"type": "input_json_delta", "partial_json": part}}
        for part in ("", '{"command": "py', 'test -x"}')
    ]
    data += [
        {"type": "content_block_stop", "index": 1},
        {"type": "message_delta", "delta": {"stop_reason": "tool_use", "stop_sequence": None}, "usage": _USAGE},
        {"type": "message_stop"},
    ]
    stamp = {"sent": STAMP.decode()} if pace else {}
    events = [
        f"event: {event['type']}\ndata: {json.dumps(event | stamp, separators=(',', ':'))}\n\n".encode()
        for event in data
    ]
    return Answer(tuple(events), sse=True, pace=pace, gated=gated)


_SPEED = {"requests": 0.97, "cpu": 1.03, "first": 0.1}

CASES = {
    case.name: case
    for case in (
        Case("json", "1 KB JSON", _claude_code("json", stream=False), _json(tool=False), 8, 40, _SPEED),
        Case("json-no-ids", "1 KB JSON, no ids", _sdk("json-no-ids"), _json(tool=False), 8, 40, _SPEED),
        Case("sse50", "SSE, 50 events", _claude_code("sse50", stream=True), _sse(50), 8, 25, _SPEED),
        Case("sse1000", "SSE, 1000 events", _claude_code("sse1000", stream=True), _sse(1000), 4, 5, _SPEED),
        Case(
            "300k",
            "300 KB request",
            _claude_code("300k", stream=False, history=280_000, tools=20),
            _json(tool=True),
            4,
            20,
            _SPEED,
        ),
        Case(
            "300k-no-ids",
            "300 KB, no ids",
            _sdk("300k-no-ids", history=300_000),
            _json(tool=True),
            4,
            20,
        ),
        Case(
            "2m",
            "2 MB request",
            _claude_code("2m", stream=False, history=1_980_000, tools=20),
            _json(tool=True),
            2,
            10,
            {"cpu": 1.05},
        ),
        Case(
            "paced",
            "SSE, 20 events 20 ms apart",
            _claude_code("paced", stream=True),
            _sse(20, pace=0.02),
            8,
            0,
            {"first": 0.1, "event": 0.1},
        ),
        Case(
            "many",
            "slow streams",
            _claude_code("many", stream=True, history=18_000),
            _sse(12, pace=1.0, gated=True),
            1000,
            0,
            {"memory": 5.0},
        ),
        Case(
            "many-quick",
            "slow streams, few",
            _claude_code("many-quick", stream=True, history=18_000),
            _sse(12, pace=0.3, gated=True),
            100,
            0,
            {"memory": 5.0},
        ),
    )
}
