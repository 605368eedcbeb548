"""Requests, answers and whole exchanges of our own making, after the providers' public API descriptions."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterable, Sequence
from functools import lru_cache
from typing import Any

import msgspec
from hypothesis import strategies as st

from aitap.capture.dialects import DIALECTS
from aitap.capture.environment import Environment
from aitap.capture.facts import RequestFacts, ResponseFacts
from aitap.capture.recording import Recording, RequestHead
from aitap.capture.response import ResponseBody
from aitap.capture.retries import Retries
from aitap.capture.routes import Route
from aitap.record import CaptureMode, Interception

__all__ = [
    "CHAT",
    "MESSAGES",
    "RESPONSES",
    "Records",
    "answers",
    "ask",
    "by_blocks",
    "chat_events",
    "cut",
    "cuts",
    "dump",
    "message_events",
    "read",
    "read_bytes",
    "read_document",
    "record",
    "response_events",
    "sse",
    "user",
]

MESSAGES = "anthropic.messages"
CHAT = "openai.chat_completions"
RESPONSES = "openai.responses"

Event = dict[str, Any]


def dump(value: Any, *, blanks: bool = False) -> bytes:
    """JSON as providers write it: without blanks, or with them after commas and colons."""
    return json.dumps(value, separators=(", ", ": ") if blanks else (",", ":"), ensure_ascii=False).encode()


def user(content: Any) -> dict[str, Any]:
    """A user's message, the same in every API."""
    return {"role": "user", "content": content}


class Records:
    """A sink that a test can wait on."""

    def __init__(self) -> None:
        self.all: list[Interception] = []
        self._changed = threading.Condition()

    def submit(self, record: Interception) -> bool:
        with self._changed:
            self.all.append(record)
            self._changed.notify_all()
        return True

    def wait(self, count: int) -> list[Interception]:
        with self._changed:
            assert self._changed.wait_for(lambda: len(self.all) >= count, 60), f"{len(self.all)} of {count} records"
            return list(self.all)


# Streams


def by_blocks(api: str, events: Iterable[Event], *, names: bool = True, blanks: bool = False) -> list[bytes]:
    """The events of a stream, one each; Chat names none and ends with a mark of its own."""
    if api == CHAT:
        return [b"data: %s\n\n" % dump(event, blanks=blanks) for event in events] + [b"data: [DONE]\n\n"]
    return [
        (b"event: %s\n" % event["type"].encode() if names else b"") + b"data: %s\n\n" % dump(event, blanks=blanks)
        for event in events
    ]


def sse(api: str, events: Iterable[Event], *, names: bool = True, blanks: bool = False) -> bytes:
    """A whole stream."""
    return b"".join(by_blocks(api, events, names=names, blanks=blanks))


def message_events(
    blocks: Sequence[tuple[dict[str, Any], Sequence[dict[str, Any]]]] = (),
    *,
    usage: dict[str, Any] | None = None,
    delta_usage: dict[str, Any] | None = None,
    stop: str = "end_turn",
) -> list[Event]:
    """An Anthropic message: each block with its deltas."""
    message = {
        "id": "msg_1",
        "type": "message",
        "role": "assistant",
        "model": "claude-test-1-20260101",
        "content": [],
        "stop_reason": None,
        "stop_sequence": None,
        "usage": {"input_tokens": 11, "output_tokens": 1} if usage is None else usage,
    }
    events: list[Event] = [{"type": "message_start", "message": message}, {"type": "ping"}]
    for index, (block, deltas) in enumerate(blocks):
        events.append({"type": "content_block_start", "index": index, "content_block": block})
        events += [{"type": "content_block_delta", "index": index, "delta": delta} for delta in deltas]
        events.append({"type": "content_block_stop", "index": index})
    end = {"stop_reason": stop, "stop_sequence": None}
    events.append(
        {"type": "message_delta", "delta": end, "usage": {"output_tokens": 7} if delta_usage is None else delta_usage}
    )
    return [*events, {"type": "message_stop"}]


def chat_events(
    deltas: Sequence[dict[str, Any]] = (), *, finish: str = "stop", usage: dict[str, Any] | None = None
) -> list[Event]:
    """A chat completion in chunks: a role, these deltas, a finish reason and, if given, usage."""
    head = {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1, "model": "gpt-test-1-2026-01-01"}

    def chunk(delta: dict[str, Any], reason: str | None = None) -> Event:
        choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": reason}
        return {**head, "choices": [choice], **({} if usage is None else {"usage": None})}

    events = [chunk({"role": "assistant", "content": "", "refusal": None})]
    events += [chunk(delta) for delta in deltas]
    events.append(chunk({}, finish))
    return events if usage is None else [*events, {**head, "choices": [], "usage": usage}]


def response_events(
    items: Sequence[dict[str, Any]] = (),
    *,
    last: str = "response.completed",
    deltas: Sequence[Event] = (),
    **more: Any,
) -> list[Event]:
    """A Responses stream: each output item added and done, and the whole response at its end."""
    head = {"id": "resp_1", "object": "response", "model": "gpt-test-1-2026-01-01", "output": [], "usage": None}
    status = last.removeprefix("response.")
    usage = {
        "input_tokens": 20,
        "input_tokens_details": {"cached_tokens": 8},
        "output_tokens": 9,
        "output_tokens_details": {"reasoning_tokens": 4},
        "total_tokens": 29,
    }
    events: list[Event] = [
        {"type": "response.created", "response": {**head, "status": "in_progress"}},
        {"type": "response.in_progress", "response": {**head, "status": "in_progress"}},
    ]
    for index, item in enumerate(items):
        events.append({"type": "response.output_item.added", "output_index": index, "item": {"type": item["type"]}})
        events += deltas
        events.append({"type": "response.output_item.done", "output_index": index, "item": item})
    final = {**head, "status": status, "output": list(items), "usage": usage, "error": None, **more}
    events.append({"type": last, "response": final})
    return [{**event, "sequence_number": number} for number, event in enumerate(events)]


def answers(api: str) -> list[Event]:
    """A stream of the API with everything in it: thought, text, two calls at once, usage."""
    if api == MESSAGES:
        return message_events(
            [
                (
                    {"type": "thinking", "thinking": "", "signature": ""},
                    [{"type": "thinking_delta", "thinking": part} for part in ("Let me", " see \u00e9\u2713")]
                    + [{"type": "signature_delta", "signature": "c2ln"}],
                ),
                ({"type": "redacted_thinking", "data": "ZW5j"}, []),
                (
                    {"type": "text", "text": ""},
                    [{"type": "text_delta", "text": part} for part in ("It is ", "\u4f60\u597d", ' {"a":1}\n\n')],
                ),
                (
                    {"type": "tool_use", "id": "toolu_1", "name": "read", "input": {}},
                    [{"type": "input_json_delta", "partial_json": part} for part in ("", '{"path": ', '"a.txt"}')],
                ),
                (
                    {"type": "tool_use", "id": "toolu_2", "name": "list", "input": {}},
                    [{"type": "input_json_delta", "partial_json": "{}"}],
                ),
            ],
            usage={"input_tokens": 11, "cache_read_input_tokens": 5, "output_tokens": 1},
            stop="tool_use",
        )
    if api == CHAT:
        call = {"index": 0, "id": "call_1", "type": "function", "function": {"name": "read", "arguments": ""}}
        other = {"index": 1, "id": "call_2", "type": "function", "function": {"name": "list", "arguments": "{}"}}
        return chat_events(
            [
                {"reasoning_content": "Let me"},
                {"reasoning_content": " see \u00e9\u2713"},
                {"content": "It is "},
                {"content": "\u4f60\u597d"},
                {"tool_calls": [call]},
                {"tool_calls": [{"index": 0, "function": {"arguments": '{"path": '}}]},
                {"tool_calls": [{"index": 0, "function": {"arguments": '"a.txt"}'}}, other]},
            ],
            finish="tool_calls",
            usage={"prompt_tokens": 16, "completion_tokens": 7, "prompt_tokens_details": {"cached_tokens": 5}},
        )
    return response_events(
        [
            {
                "type": "reasoning",
                "id": "rs_1",
                "summary": [{"type": "summary_text", "text": "Let me see \u00e9\u2713"}],
                "encrypted_content": "ZW5j",
            },
            {"type": "message", "id": "msg_1", "role": "assistant", "content": [{"type": "output_text", "text": "It"}]},
            {"type": "function_call", "id": "fc_1", "call_id": "call_1", "name": "read", "arguments": '{"path": "a"}'},
            {"type": "custom_tool_call", "id": "ct_1", "call_id": "call_2", "name": "exec", "input": "text(1)"},
        ],
        deltas=[{"type": "response.output_text.delta", "output_index": 0, "delta": "It is \u4f60\u597d"}],
    )


# Reading


def _comparable(facts: ResponseFacts) -> Any:
    """What must not depend on how the same values are written: all but the exact text of JSON inside."""
    plain = msgspec.to_builtins(facts)
    for tool in plain["tools"]:
        tool["input"] = _value(tool["input"])
        tool["error"] = _value(tool["error"])
        if tool["result"]:
            del tool["result"]["size"]
    return plain


def _value(text: str | None) -> Any:
    try:
        return json.loads(text or "null")
    except ValueError:
        return text


def _facts(api: str, pieces: Iterable[bytes], content_type: str) -> ResponseFacts:
    decoder = DIALECTS[api].decoder("/", {})
    body = ResponseBody(decoder, content_type=content_type, content_encoding="", failed=False)
    for piece in pieces:
        body.feed(piece, 1.0)
    return body.finish(2.0)


def read(api: str, events: Sequence[Event]) -> ResponseFacts:
    """The facts of a stream.

    It is read with and without event names, with and without blanks in its JSON, at once and event by event,
    so that each test also shows that what is skipped on the way holds no fact.
    """
    readings = []
    for names in (True, False):
        for blanks in (False, True):
            blocks = by_blocks(api, events, names=names, blanks=blanks)
            readings += [_facts(api, pieces, "text/event-stream") for pieces in ([b"".join(blocks)], blocks)]
    for other in readings[1:]:
        assert _comparable(other) == _comparable(readings[0])
    return readings[0]


def read_bytes(api: str, stream: bytes) -> ResponseFacts:
    """The facts of a stream that is written just so."""
    return _facts(api, [stream], "text/event-stream")


def read_document(api: str, document: Any) -> ResponseFacts:
    """The facts of an answer that is not streamed, with and without blanks in its JSON."""
    readings = [_facts(api, [dump(document, blanks=blanks)], "application/json") for blanks in (False, True)]
    assert _comparable(readings[1]) == _comparable(readings[0])
    return readings[0]


def ask(api: str, **body: Any) -> RequestFacts:
    """The facts of a request, with and without blanks in its JSON."""
    facts = DIALECTS[api].request(dump(body), "/")
    other = DIALECTS[api].request(dump(body, blanks=True), "/")
    for name in ("model", "streaming", "newest", "system", "has_tools", "max_tokens", "output_schema", "body_ids"):
        assert getattr(facts, name) == getattr(other, name)
    return facts


def cut(data: bytes, points: Iterable[int]) -> list[bytes]:
    """The bytes in pieces, cut at these places."""
    ends = [*sorted({point for point in points if 0 < point < len(data)}), len(data)]
    starts = [0, *ends[:-1]]
    return [data[start:end] for start, end in zip(starts, ends, strict=True)]


def cuts(length: int) -> st.SearchStrategy[list[int]]:
    """Places to cut bytes of this length at: none, some, or every one."""
    return st.one_of(
        st.lists(st.integers(1, max(length - 1, 1)), max_size=20), st.just(list(range(1, length))), st.just([])
    )


@lru_cache
def _shared(capture: CaptureMode) -> Environment:
    return Environment("00000000-0000-4000-8000-000000000001", capture)


def _environment(capture: CaptureMode) -> Environment:
    """One that remembers no earlier exchange; its tables are read once."""
    environment = _shared(capture)
    environment.retries = Retries()
    return environment


def record(
    api: str,
    body: bytes | dict[str, Any] = b"{}",
    response: bytes | Iterable[bytes] = b"",
    *,
    status: int | None = 200,
    headers: dict[str, str] | None = None,
    response_headers: dict[str, str] | None = None,
    content_type: str = "text/event-stream",
    query: str = "",
    purpose: Any = "conversation",
    environment: Environment | None = None,
    capture: CaptureMode = "metadata+prompt",
    at: float = 1000.0,
    **ending: Any,
) -> Interception:
    """A whole exchange: asked at ``at``, answered 1 s later, ended 2 s later. ``status`` None: never answered."""
    head = RequestHead(
        route=Route("vendor", "instance", api, purpose),
        method="POST",
        host="api.example.com",
        path="/v1/call",
        query=query,
        http_version="HTTP/1.1",
        headers=headers or {},
        started_at=at,
    )
    recording = Recording(environment or _environment(capture), head)
    recording.begin(body if isinstance(body, bytes) else dump(body), at)
    if status is not None:
        recording.respond(status, {"content-type": content_type, **(response_headers or {})})
        for piece in [response] if isinstance(response, bytes) else response:
            recording.feed(piece, at + 1)
    return recording.end(at + 2, **ending)
