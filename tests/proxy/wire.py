"""Requests and answers of the three APIs, as their documentation gives them, made small.

No two requests are alike: a number that means nothing to the recorder keeps them from being retries of each other.
"""

from __future__ import annotations

import itertools
import json
from typing import Any

__all__ = [
    "CHAT",
    "MESSAGES",
    "RESPONSES",
    "ask_chat",
    "ask_messages",
    "ask_responses",
    "chat_json",
    "chat_sse",
    "message_json",
    "message_sse",
    "response_json",
    "response_sse",
]

MESSAGES = "/v1/messages"
CHAT = "/v1/chat/completions"
RESPONSES = "/v1/responses"

MODEL = "claude-test-1"
GPT = "gpt-test-1"

_number = itertools.count(2)  # with 1 it would be a probe

Call = tuple[str, str, dict[str, Any]]
"""A tool call: its id, the tool, its input."""


def ask_messages(prompt: str, *, stream: bool = False, **more: Any) -> bytes:
    """An Anthropic Messages request."""
    messages = [{"role": "user", "content": prompt}]
    return _dump(
        {"model": MODEL, "max_tokens": 64, "messages": messages, "stream": stream, "top_k": next(_number), **more}
    )


def ask_chat(prompt: str, *, stream: bool = False, **more: Any) -> bytes:
    """A Chat Completions request, which asks for usage where it streams."""
    options = {"stream": True, "stream_options": {"include_usage": True}} if stream else {}
    return _dump(
        {"model": GPT, "messages": [{"role": "user", "content": prompt}], "seed": next(_number), **options, **more}
    )


def ask_responses(prompt: str, *, stream: bool = False, **more: Any) -> bytes:
    """A Responses request."""
    return _dump({"model": GPT, "input": prompt, "stream": stream, "max_output_tokens": next(_number), **more})


def message_json(id: str, *, text: str = "", call: Call | None = None) -> bytes:
    """An Anthropic message: 11 input tokens, 5 read and 3 written by the cache, 7 output tokens."""
    content: list[dict[str, Any]] = [{"type": "text", "text": text}] if text else []
    if call:
        content.append({"type": "tool_use", "id": call[0], "name": call[1], "input": call[2]})
    message = _message(id) | {"content": content, "stop_reason": "tool_use" if call else "end_turn"}
    message["usage"] = message["usage"] | {"output_tokens": 7}
    return _dump(message)


def message_sse(id: str, *, text: str = "", thinking: str = "", call: Call | None = None) -> bytes:
    """The same as :func:`message_json` in events, a few letters in each."""
    blocks: list[tuple[dict[str, Any], list[dict[str, Any]]]] = []
    if thinking:
        deltas = [{"type": "thinking_delta", "thinking": thinking}, {"type": "signature_delta", "signature": "c2ln"}]
        blocks.append(({"type": "thinking", "thinking": "", "signature": ""}, deltas))
    if text:
        blocks.append(({"type": "text", "text": ""}, [{"type": "text_delta", "text": part} for part in _parts(text)]))
    if call:
        parts = [{"type": "input_json_delta", "partial_json": part} for part in ("", *_parts(json.dumps(call[2])))]
        blocks.append(({"type": "tool_use", "id": call[0], "name": call[1], "input": {}}, parts))
    events: list[dict[str, Any]] = [{"type": "message_start", "message": _message(id)}, {"type": "ping"}]
    for index, (block, deltas) in enumerate(blocks):
        events.append({"type": "content_block_start", "index": index, "content_block": block})
        events += [{"type": "content_block_delta", "index": index, "delta": delta} for delta in deltas]
        events.append({"type": "content_block_stop", "index": index})
    end = {"stop_reason": "tool_use" if call else "end_turn", "stop_sequence": None}
    events.append({"type": "message_delta", "delta": end, "usage": {"output_tokens": 7}})
    events.append({"type": "message_stop"})
    return b"".join(b"event: %s\ndata: %s\n\n" % (event["type"].encode(), _dump(event)) for event in events)


def _message(id: str) -> dict[str, Any]:
    return {
        "id": id,
        "type": "message",
        "role": "assistant",
        "model": MODEL,
        "content": [],
        "stop_reason": None,
        "stop_sequence": None,
        "usage": {
            "input_tokens": 11,
            "cache_read_input_tokens": 5,
            "cache_creation_input_tokens": 3,
            "output_tokens": 1,
        },
    }


CHAT_USAGE = {
    "prompt_tokens": 16,
    "completion_tokens": 7,
    "total_tokens": 23,
    "prompt_tokens_details": {"cached_tokens": 5},
    "completion_tokens_details": {"reasoning_tokens": 2},
}


def chat_json(id: str, *, text: str | None = None, call: Call | None = None) -> bytes:
    """A chat completion: 11 input tokens, 5 cached, 7 output tokens."""
    message: dict[str, Any] = {"role": "assistant", "content": text, "refusal": None}
    if call:
        function = {"name": call[1], "arguments": json.dumps(call[2])}
        message["tool_calls"] = [{"id": call[0], "type": "function", "function": function}]
    choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": "tool_calls" if call else "stop"}
    body = {"id": id, "object": "chat.completion", "created": 1, "model": GPT, "choices": [choice]}
    return _dump(body | {"usage": CHAT_USAGE})


def chat_sse(id: str, *, text: str = "", call: Call | None = None) -> bytes:
    """The same as :func:`chat_json` in chunks."""
    deltas: list[dict[str, Any]] = [{"role": "assistant", "content": ""}]
    deltas += [{"content": part} for part in _parts(text)]
    if call:
        arguments = _parts(json.dumps(call[2]))
        first = {"index": 0, "id": call[0], "type": "function", "function": {"name": call[1], "arguments": ""}}
        deltas.append({"tool_calls": [first]})
        deltas += [{"tool_calls": [{"index": 0, "function": {"arguments": part}}]} for part in arguments]
    base = {"id": id, "object": "chat.completion.chunk", "created": 1, "model": GPT}
    chunks = [base | {"choices": [{"index": 0, "delta": delta, "finish_reason": None}]} for delta in deltas]
    finish = {"index": 0, "delta": {}, "finish_reason": "tool_calls" if call else "stop"}
    chunks += [base | {"choices": [finish]}, base | {"choices": [], "usage": CHAT_USAGE}]
    return b"".join(b"data: %s\n\n" % _dump(chunk) for chunk in chunks) + b"data: [DONE]\n\n"


RESPONSE_USAGE = {
    "input_tokens": 16,
    "input_tokens_details": {"cached_tokens": 5, "cache_write_tokens": 0},
    "output_tokens": 7,
    "output_tokens_details": {"reasoning_tokens": 2},
    "total_tokens": 23,
}


def response_json(id: str, *, text: str = "", call: Call | None = None) -> bytes:
    """A Responses object: 11 input tokens, 5 cached, 7 output tokens."""
    return _dump(_response(id, "completed", [_item(id, text, call)]))


def response_sse(id: str, *, text: str = "", call: Call | None = None) -> bytes:
    """The same as :func:`response_json` in events."""
    item = _item(id, text, call)
    at = {"item_id": item["id"], "output_index": 0}
    events: list[dict[str, Any]] = [
        {"type": "response.created", "response": _response(id, "in_progress", [])},
        {"type": "response.in_progress", "response": _response(id, "in_progress", [])},
    ]
    if call:
        whole = json.dumps(call[2])
        started = item | {"arguments": "", "status": "in_progress"}
        events.append({"type": "response.output_item.added", "output_index": 0, "item": started})
        delta = {"type": "response.function_call_arguments.delta", **at}
        events += [delta | {"delta": part} for part in _parts(whole)]
        events.append({"type": "response.function_call_arguments.done", **at, "name": call[1], "arguments": whole})
    else:
        part, at = item["content"][0], at | {"content_index": 0}
        started = item | {"content": [], "status": "in_progress"}
        events.append({"type": "response.output_item.added", "output_index": 0, "item": started})
        events.append({"type": "response.content_part.added", **at, "part": part | {"text": ""}})
        delta = {"type": "response.output_text.delta", **at, "logprobs": []}
        events += [delta | {"delta": part} for part in _parts(text)]
        events.append({"type": "response.output_text.done", **at, "text": text, "logprobs": []})
        events.append({"type": "response.content_part.done", **at, "part": part})
    events.append({"type": "response.output_item.done", "output_index": 0, "item": item})
    events.append({"type": "response.completed", "response": _response(id, "completed", [item])})
    numbered = [event | {"sequence_number": number} for number, event in enumerate(events)]
    return b"".join(b"event: %s\ndata: %s\n\n" % (event["type"].encode(), _dump(event)) for event in numbered)


def _item(id: str, text: str, call: Call | None) -> dict[str, Any]:
    if call:
        arguments = json.dumps(call[2])
        item = {"id": f"fc_{id}", "type": "function_call", "status": "completed"}
        return item | {"call_id": call[0], "name": call[1], "arguments": arguments}
    part = {"type": "output_text", "text": text, "annotations": [], "logprobs": []}
    return {"id": f"msg_{id}", "type": "message", "status": "completed", "role": "assistant", "content": [part]}


def _response(id: str, status: str, output: list[dict[str, Any]]) -> dict[str, Any]:
    return {
        "id": id,
        "object": "response",
        "created_at": 1,
        "status": status,
        "error": None,
        "incomplete_details": None,
        "instructions": None,
        "metadata": {},
        "model": GPT,
        "output": output,
        "parallel_tool_calls": True,
        "temperature": 1.0,
        "tool_choice": "auto",
        "tools": [],
        "top_p": 1.0,
        "usage": RESPONSE_USAGE if status == "completed" else None,
    }


def _parts(text: str) -> list[str]:
    """A text as models send it, a few letters at a time."""
    return [text[start : start + 4] for start in range(0, len(text), 4)]


def _dump(value: Any) -> bytes:
    return json.dumps(value).encode()
