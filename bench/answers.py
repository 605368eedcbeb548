"""What the upstream answers, prebuilt as byte strings: the Messages and the Responses API.

A Messages answer is one JSON body, server-sent events, or the same events in Amazon's event stream; a
Responses answer is the messages of a WebSocket. No two answers are equal: a ten-digit counter is
patched into each, so that nothing downstream can profit from a repetition, and the width stays the
same, so that every answer can be compared byte by byte.
"""

from __future__ import annotations

import base64
import gzip
import json
import random
import re
import struct
from dataclasses import dataclass
from functools import cached_property
from itertools import accumulate
from typing import ClassVar
from zlib import crc32

from bench import websocket

__all__ = [
    "ACCEPT",
    "COUNTER",
    "STAMP",
    "AmazonAnswer",
    "Answer",
    "SocketAnswer",
    "amazon",
    "json_body",
    "prose",
    "responses",
    "sse",
]

# Placeholders have the width of what replaces them.
COUNTER = b"@counter@@"
STAMP = b"@stamp@".ljust(19, b"-")
ACCEPT = b"@accept@".ljust(28, b"-")


@dataclass(frozen=True)
class Answer:
    """A response of the upstream: one JSON body, or server-sent events ``pace`` seconds apart (0: in one burst)."""

    stream_type: ClassVar[str] = "text/event-stream; charset=utf-8"

    events: tuple[bytes, ...]
    """As they stand in the body, placeholders in them."""
    streamed: bool
    """Whether each event is an HTTP chunk of its own."""
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
        kind = self.stream_type if self.streamed else "application/json"
        length = "transfer-encoding: chunked" if self.streamed else f"content-length: {len(self.body)}"
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
        if not self.streamed:
            return self.events
        chunks = [b"%x\r\n%b\r\n" % (len(event), event) for event in self.events]
        chunks[-1] += b"0\r\n\r\n"
        return tuple(chunks)

    @cached_property
    def _stamps(self) -> tuple[int, ...]:
        return tuple(match.start() for match in re.finditer(STAMP, self.body))

    @cached_property
    def _first_counter(self) -> int:
        return self.body.index(COUNTER)

    def patches(self, counter: bytes) -> list[tuple[bytes, bytes]]:
        """What in body and frames is to be replaced, and by what, to make the answer with this counter."""
        return [(COUNTER, counter)]

    def counter(self, body: bytes) -> bytes:
        """The counter in a received body; raises ``ValueError`` or gives nonsense where the body is broken."""
        return body[self._first_counter : self._first_counter + len(COUNTER)]

    def burst(self, counter: bytes) -> list[bytes]:
        """The frames of the answer with this counter."""
        frames = list(self.frames)
        for old, new in self.patches(counter):
            frames = [frame.replace(old, new) if old in frame else frame for frame in frames]
        return frames

    def retold(self, body: bytes) -> None:
        """Raise ``ValueError`` unless a received body tells what this answer tells, in whatever words.

        A gateway parses it, writes it anew and may compress it: an id of ours, and the usage or the number of events,
        are all that can then be asked for.
        """
        if body.startswith(b"\x1f\x8b"):
            body = gzip.decompress(body)
        wanted = len(self.events) if self.streamed else 1
        found = body.count(b"\ndata:") if self.streamed else body.count(b'"usage"')
        if found != wanted or b"msg_bench_" not in body:
            raise ValueError(f"an answer of {found} parts came where {wanted} were sent: {body[:200]!r}")

    def read(self, body: bytes) -> tuple[bytes, list[int]]:
        """The counter and the send times (monotonic nanoseconds; empty where not stamped) in a received body.

        Raises ``ValueError`` when the body is not, byte for byte, what the upstream sent.
        """
        counter = self.counter(body)
        expected = self.body
        for old, new in self.patches(counter):
            expected = expected.replace(old, new)
        stamps = self._stamps if len(body) == len(expected) else ()
        times = [int(body[start : start + len(STAMP)]) for start in stamps]
        for time in times:
            expected = expected.replace(STAMP, b"%019d" % time, 1)
        if body != expected or not counter.isdigit():
            raise ValueError(f"the answer differs from what was sent: {len(body)} bytes for {len(expected)}")
        return counter, times


@dataclass(frozen=True)
class AmazonAnswer(Answer):
    """Events as Bedrock streams them: each in base64 in a ``chunk`` frame, whose checksum depends on the counter."""

    stream_type: ClassVar[str] = "application/vnd.amazon.eventstream"

    inner: tuple[bytes, ...] = ()
    """The events that have the counter in them, before they were wrapped."""

    @cached_property
    def _placeholders(self) -> tuple[bytes, ...]:
        return tuple(map(_wrapped, self.inner))

    @cached_property
    def _first_inner(self) -> tuple[int, int, int]:
        """Where the base64 with the first counter begins and ends in the body, and the counter in what it holds."""
        start = self.body.index(self._placeholders[0])
        start = self.body.index(_BYTES, start) + len(_BYTES)
        return start, self.body.index(b'"', start), self.inner[0].index(COUNTER)

    def patches(self, counter: bytes) -> list[tuple[bytes, bytes]]:
        """Whole frames, made anew."""
        made = (_wrapped(event.replace(COUNTER, counter)) for event in self.inner)
        return list(zip(self._placeholders, made, strict=True))

    def counter(self, body: bytes) -> bytes:
        """See :class:`Answer`."""
        start, end, at = self._first_inner
        return base64.b64decode(body[start:end])[at : at + len(COUNTER)]


@dataclass(frozen=True)
class SocketAnswer(Answer):
    """Messages of a WebSocket. The body is all of them one after the other, the head what accepts the upgrade."""

    @cached_property
    def head(self) -> bytes:
        """See :class:`Answer`; a placeholder in ``Sec-WebSocket-Accept``."""
        return (
            "HTTP/1.1 101 Switching Protocols\r\ndate: Fri, 20 Nov 2026 15:28:24 GMT\r\n"
            f"Connection: upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Accept: {ACCEPT.decode()}\r\n"
            "openai-processing-ms: 12\r\nserver: cloudflare\r\ncf-ray: b75fb12eee8e497d-FRA\r\n\r\n"
        ).encode()

    @cached_property
    def frames(self) -> tuple[bytes, ...]:
        """A WebSocket frame for each event."""
        return tuple(map(websocket.text, self.events))


_BYTES = b'{"bytes":"'


def _wrapped(event: bytes) -> bytes:
    """An event in a frame of Amazon's event stream, with both checksums, padded as Bedrock does it."""
    values = {":event-type": "chunk", ":content-type": "application/json", ":message-type": "event"}
    headers = b"".join(
        struct.pack(">B", len(name)) + name.encode() + struct.pack(">BH", 7, len(value)) + value.encode()
        for name, value in values.items()
    )
    payload = _BYTES + base64.b64encode(event) + b'","p":"%b"}' % b"abcdefghijklmnopqrstuvwxyz"[: len(event) % 26]
    prelude = struct.pack(">II", 16 + len(headers) + len(payload), len(headers))
    start = prelude + struct.pack(">I", crc32(prelude)) + headers + payload
    return start + struct.pack(">I", crc32(start))


def prose(size: int, seed: int) -> str:
    """About ``size`` characters of something like code: indented, quoted, many lines."""
    source = random.Random(seed)
    words = ["return", "self", "value", '"name"', "for", "item", "in", "result:", "if", "not", "def", "(x,", "y)", "é"]
    lines = []
    while size > 0:
        line = "    " * source.randrange(4) + " ".join(source.choices(words, k=source.randrange(3, 12)))
        lines.append(line)
        size -= len(line) + 1
    return "\n".join(lines)


_USAGE = {"input_tokens": 12, "cache_creation_input_tokens": 340, "cache_read_input_tokens": 9000, "output_tokens": 180}
_CALL = {"type": "tool_use", "id": f"toolu_bench_{COUNTER.decode()}", "name": "Bash", "input": {}}


def json_body(*, tool: bool) -> Answer:
    """A whole message of 1 KB: a text, and a tool call if asked for."""
    content: list[object] = [{"type": "text", "text": prose(300 if tool else 400, 7)}]
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
    return Answer((json.dumps(message, separators=(",", ":")).encode().ljust(1024),), streamed=False)


def _message_events(count: int) -> list[dict[str, object]]:
    """A message in so many events: a text, then a tool call."""
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
    return data


def sse(count: int, *, pace: float = 0.0, gated: bool = False) -> Answer:
    """A message in ``count`` server-sent events. Paced ones carry the time at which they were sent."""
    stamp = {"sent": STAMP.decode()} if pace else {}
    events = [
        f"event: {event['type']}\ndata: {json.dumps(event | stamp, separators=(',', ':'))}\n\n".encode()
        for event in _message_events(count)
    ]
    return Answer(tuple(events), streamed=True, pace=pace, gated=gated)


def amazon(count: int) -> Answer:
    """A message in ``count`` frames of Amazon's event stream; the last has Bedrock's own counters, too."""
    data = _message_events(count)
    data[-1]["amazon-bedrock-invocationMetrics"] = {
        "inputTokenCount": _USAGE["input_tokens"],
        "outputTokenCount": _USAGE["output_tokens"],
        "invocationLatency": 2115,
        "firstByteLatency": 871,
        "cacheReadInputTokenCount": _USAGE["cache_read_input_tokens"],
        "cacheWriteInputTokenCount": _USAGE["cache_creation_input_tokens"],
    }
    events = [json.dumps(event, separators=(",", ":")).encode() for event in data]
    inner = tuple(event for event in events if COUNTER in event)
    return AmazonAnswer(tuple(map(_wrapped, events)), streamed=True, inner=inner)


def responses(deltas: int) -> Answer:
    """A response of the Responses API: one text, in so many pieces."""
    pieces = [f"{word} " for word in prose(deltas * 20, 11).split()[:deltas]]
    place = {"item_id": f"msg_bench_{COUNTER.decode()}", "output_index": 0, "content_index": 0}
    part = {"type": "output_text", "annotations": [], "logprobs": [], "text": "".join(pieces)}
    item = {"id": place["item_id"], "type": "message", "role": "assistant", "phase": "final_answer"}
    done = item | {"status": "completed", "content": [part]}
    response: dict[str, object] = {
        "id": f"resp_bench_{COUNTER.decode()}",
        "object": "response",
        "created_at": 1795188504,
        "status": "in_progress",
        "error": None,
        "incomplete_details": None,
        "instructions": prose(1500, 12),
        "max_output_tokens": None,
        "model": "gpt-5.5-codex",
        "output": [],
        "parallel_tool_calls": True,
        "reasoning": {"effort": "medium", "summary": None},
        "service_tier": "default",
        "store": False,
        "tool_choice": "auto",
        "usage": None,
    }
    usage = {
        "input_tokens": 9352,
        "input_tokens_details": {"cached_tokens": 9000},
        "output_tokens": 180,
        "output_tokens_details": {"reasoning_tokens": 0},
        "total_tokens": 9532,
    }
    said: list[dict[str, object]] = [
        {"type": "response.created", "response": response},
        {"type": "response.in_progress", "response": response},
        {
            "type": "response.output_item.added",
            "output_index": 0,
            "item": item | {"status": "in_progress", "content": []},
        },
        *({"type": "response.output_text.delta", **place, "delta": piece, "logprobs": []} for piece in pieces),
        {"type": "response.output_item.done", "output_index": 0, "item": done},
        {
            "type": "response.completed",
            "response": response | {"status": "completed", "output": [done], "usage": usage},
        },
    ]
    events = [
        json.dumps(event | {"sequence_number": number}, separators=(",", ":")).encode()
        for number, event in enumerate(said)
    ]
    return SocketAnswer(tuple(events), streamed=False)
