"""Two turns of one conversation in every API: asked, answered (streamed and not), and sent again with a result."""

from __future__ import annotations

from typing import Any

import msgspec

from tests.capture.framing import EVENT_STREAM, chunks, event
from tests.capture.making import (
    CHAT,
    MESSAGES,
    RESPONSES,
    by_blocks,
    chat_events,
    dump,
    message_events,
    response_events,
)

__all__ = ["ANSWER", "DIALOGUES", "QUESTION", "RESULT", "Dialogue"]

QUESTION = "What says a.txt?"
ANSWER = "It is 你好"
RESULT = "one\ntwo"
ARGUMENTS = {"path": "a.txt"}
SSE = "text/event-stream"


class Dialogue(msgspec.Struct):
    """One API's way to say it."""

    api: str
    ask: dict[str, Any]
    stream: list[bytes]
    whole: dict[str, Any]
    again: dict[str, Any]
    """The next request, as clients send it: the answer in it, and what the tool said."""
    content_type: str = SSE


def _messages() -> Dialogue:
    text, use = {"type": "text", "text": ANSWER}, {"type": "tool_use", "id": "t1", "name": "read", "input": ARGUMENTS}
    thinking = {"type": "thinking", "thinking": "Hm", "signature": "c2ln"}
    system = [{"type": "text", "text": "x-anthropic-billing-header: cch=1;"}, {"type": "text", "text": "Be kind"}]
    tools = [{"name": "read", "input_schema": {"type": "object", "properties": {"signature": {}}}}]
    ask = {"model": "m", "system": system, "tools": tools, "messages": [{"role": "user", "content": QUESTION}]}
    events = message_events(
        [
            ({**thinking, "thinking": "", "signature": ""}, [{"type": "thinking_delta", "thinking": "Hm"}]),
            ({**text, "text": ""}, [{"type": "text_delta", "text": part} for part in ("It is ", "你好")]),
            ({**use, "input": {}}, [{"type": "input_json_delta", "partial_json": '{"path": "a.txt"}'}]),
        ]
    )
    content = [thinking, text, use]
    marked = {"type": "text", "text": QUESTION, "cache_control": {"type": "ephemeral"}}
    result = {"type": "tool_result", "tool_use_id": "t1", "content": RESULT, "cache_control": {"type": "ephemeral"}}
    again = [
        {"role": "user", "content": [marked]},
        {"role": "assistant", "content": [text, use]},
        {"role": "user", "content": [result]},
    ]
    other = [{"type": "text", "text": "x-anthropic-billing-header: cch=2;"}, {"type": "text", "text": "Be kind"}]
    whole = {"id": "msg_1", "type": "message", "role": "assistant", "model": "m", "content": content}
    return Dialogue(MESSAGES, ask, by_blocks(MESSAGES, events), whole, {**ask, "system": other, "messages": again})


def _chat() -> Dialogue:
    call = {"id": "t1", "type": "function", "function": {"name": "read", "arguments": '{"path": "a.txt"}'}}
    message = {"role": "assistant", "content": ANSWER, "tool_calls": [call]}
    deltas = [{"content": "It is "}, {"content": "你好"}, {"tool_calls": [{"index": 0, **call}]}]
    system = {"role": "system", "content": "Be kind"}
    tools = [{"type": "function", "function": {"name": "read"}}]
    ask = {"model": "m", "tools": tools, "messages": [system, {"role": "user", "content": QUESTION}]}
    again = [
        system,
        {"role": "user", "content": [{"type": "text", "text": QUESTION}]},
        message,
        {"role": "tool", "tool_call_id": "t1", "content": RESULT},
    ]
    thought = {**message, "reasoning_content": "Hm"}
    whole = {"id": "c1", "choices": [{"index": 0, "message": thought, "finish_reason": "tool_calls"}]}
    return Dialogue(CHAT, ask, by_blocks(CHAT, chat_events(deltas)), whole, {**ask, "messages": again})


def _responses() -> Dialogue:
    items: list[dict[str, Any]] = [
        {"type": "reasoning", "id": "rs_1", "summary": [], "encrypted_content": "ZW5j"},
        {"type": "message", "id": "m_1", "role": "assistant", "content": [{"type": "output_text", "text": ANSWER}]},
        {"type": "function_call", "id": "f_1", "call_id": "t1", "name": "read", "arguments": '{"path":"a.txt"}'},
    ]
    ask = {"model": "m", "instructions": "Be kind", "tools": [{"type": "function", "name": "read"}], "input": QUESTION}
    again = [
        {"role": "user", "content": [{"type": "input_text", "text": QUESTION}]},
        *({key: value for key, value in item.items() if key != "id"} for item in items),
        {"type": "function_call_output", "call_id": "t1", "output": RESULT},
    ]
    stream = by_blocks(RESPONSES, response_events(items))
    whole = {"id": "resp_1", "object": "response", "status": "completed", "output": items}
    return Dialogue(RESPONSES, ask, stream, whole, {**ask, "input": again})


def _google() -> Dialogue:
    call = {"functionCall": {"id": "t1", "name": "read", "args": ARGUMENTS}}
    thought = {"text": "Hm", "thought": True, "thoughtSignature": "c2ln"}

    def chunk(*parts: dict[str, Any], **more: Any) -> dict[str, Any]:
        return {"candidates": [{"index": 0, "content": {"role": "model", "parts": list(parts)}, **more}]}

    pieces = [chunk(thought), chunk({"text": "It is "}), chunk({"text": "你"}), chunk({"text": "好"}), chunk(call)]
    pieces.append(chunk(finishReason="STOP"))
    ask = {
        "systemInstruction": {"parts": [{"text": "Be kind"}]},
        "tools": [{"functionDeclarations": [{"name": "read"}]}],
        "contents": [{"role": "user", "parts": [{"text": QUESTION}]}],
    }
    answered = {"id": "t1", "name": "read", "response": {"output": RESULT}}
    again = [
        {"parts": {"text": QUESTION}},
        {"role": "model", "parts": [{"text": ANSWER}, {**call, "thoughtSignature": "c2ln"}]},
        {"role": "user", "parts": [{"functionResponse": answered}]},
    ]
    whole = chunk(thought, {"text": ANSWER}, call, finishReason="STOP")
    stream = [b"data: %s\n\n" % dump(piece) for piece in pieces]
    return Dialogue("google.generate_content", ask, stream, whole, {**ask, "contents": again})


def _converse() -> Dialogue:
    use = {"toolUse": {"toolUseId": "t1", "name": "read", "input": ARGUMENTS}}
    start = {"toolUse": {"toolUseId": "t1", "name": "read"}}
    events: list[tuple[str, Any]] = [
        ("messageStart", {"role": "assistant"}),
        ("contentBlockDelta", {"contentBlockIndex": 0, "delta": {"reasoningContent": {"text": "Hm"}}}),
        ("contentBlockDelta", {"contentBlockIndex": 1, "delta": {"text": "It is "}}),
        ("contentBlockDelta", {"contentBlockIndex": 1, "delta": {"text": "你好"}}),
        ("contentBlockStart", {"contentBlockIndex": 2, "start": start}),
        ("contentBlockDelta", {"contentBlockIndex": 2, "delta": {"toolUse": {"input": '{"path": "a.txt"}'}}}),
        ("messageStop", {"stopReason": "tool_use"}),
    ]
    tools = {"tools": [{"toolSpec": {"name": "read"}}, {"cachePoint": {"type": "default"}}]}
    user = {"role": "user", "content": [{"text": QUESTION}]}
    ask = {"system": [{"text": "Be kind"}], "toolConfig": tools, "messages": [user]}
    marked = {"role": "user", "content": [{"text": QUESTION}, {"cachePoint": {"type": "default"}}]}
    result = {"toolUseId": "t1", "content": [{"text": RESULT}], "status": "success"}
    again = [
        marked,
        {"role": "assistant", "content": [{"text": ANSWER}, use]},
        {"role": "user", "content": [{"toolResult": result}]},
    ]
    thought = {"reasoningContent": {"reasoningText": {"text": "Hm", "signature": "c2ln"}}}
    message = {"role": "assistant", "content": [thought, {"text": ANSWER}, use]}
    whole = {"output": {"message": message}, "stopReason": "tool_use"}
    stream = [event(kind, payload) for kind, payload in events]
    return Dialogue("bedrock.converse", ask, stream, whole, {**ask, "messages": again}, EVENT_STREAM)


def _invoke() -> Dialogue:
    inner = _messages()
    version = {"anthropic_version": "bedrock-2023-05-31"}
    events = [msgspec.json.decode(block.split(b"data: ", 1)[1]) for block in inner.stream]
    return Dialogue(
        "bedrock.invoke", inner.ask | version, chunks(events), inner.whole, inner.again | version, EVENT_STREAM
    )


def _ollama() -> Dialogue:
    call = {"function": {"name": "read", "arguments": ARGUMENTS}}
    message = {"role": "assistant", "content": ANSWER, "tool_calls": [call]}
    pieces = [
        {"message": {"role": "assistant", "content": "", "thinking": "Hm"}},
        {"message": {"role": "assistant", "content": "It is "}},
        {"message": {"role": "assistant", "content": "你好"}},
        {"message": {"role": "assistant", "content": "", "tool_calls": [call]}},
        {"message": {"role": "assistant", "content": ""}, "done": True, "done_reason": "stop"},
    ]
    system = {"role": "system", "content": "Be kind"}
    tools = [{"type": "function", "function": {"name": "read"}}]
    ask = {"model": "m", "tools": tools, "messages": [system, {"role": "user", "content": QUESTION}]}
    again = [*ask["messages"], message, {"role": "tool", "tool_name": "read", "content": RESULT}]  # type: ignore[misc]
    stream = [dump({"model": "m", "done": False} | piece) + b"\n" for piece in pieces]
    whole = {"model": "m", "message": {**message, "thinking": "Hm"}, "done": True, "done_reason": "stop"}
    return Dialogue("ollama.chat", ask, stream, whole, {**ask, "messages": again}, "application/x-ndjson")


def _cohere() -> Dialogue:
    call = {"id": "t1", "type": "function", "function": {"name": "read", "arguments": '{"path":"a.txt"}'}}
    events: list[dict[str, Any]] = [
        {"type": "message-start", "id": "c-1"},
        {"type": "tool-plan-delta", "delta": {"message": {"tool_plan": "Hm"}}},
        {"type": "content-start", "index": 0, "delta": {"message": {"content": {"type": "text", "text": ""}}}},
        {"type": "content-delta", "index": 0, "delta": {"message": {"content": {"text": "It is "}}}},
        {"type": "content-delta", "index": 0, "delta": {"message": {"content": {"text": "你好"}}}},
        {"type": "tool-call-start", "index": 0, "delta": {"message": {"tool_calls": call}}},
        {"type": "tool-call-end", "index": 0},
        {"type": "message-end", "delta": {"finish_reason": "TOOL_CALL"}},
    ]
    system = {"role": "system", "content": "Be kind"}
    tools = [{"type": "function", "function": {"name": "read"}}]
    ask = {"model": "m", "tools": tools, "messages": [system, {"role": "user", "content": QUESTION}]}
    content = [{"type": "text", "text": ANSWER}]
    message = {"role": "assistant", "tool_plan": "Hm", "content": content, "tool_calls": [call]}
    again = [*ask["messages"], message, {"role": "tool", "tool_call_id": "t1", "content": RESULT}]  # type: ignore[misc]
    stream = [b"data: %s\n\n" % dump(item) for item in events]
    whole = {"id": "c-1", "message": message, "finish_reason": "TOOL_CALL"}
    return Dialogue("cohere.chat", ask, stream, whole, {**ask, "messages": again})


def _dashscope() -> Dialogue:
    call = {"id": "t1", "type": "function", "function": {"name": "read", "arguments": '{"path": "a.txt"}'}}

    def said(reason: str = "null", **message: Any) -> dict[str, Any]:
        return {"output": {"choices": [{"finish_reason": reason, "message": {"role": "assistant", **message}}]}}

    events = [
        said(content="", reasoning_content="Hm"),
        said(content="It is "),
        said(content="你好"),
        said(content="", tool_calls=[{"index": 0, **call}]),
        said("tool_calls", content=""),
    ]
    system = {"role": "system", "content": "Be kind"}
    user = {"role": "user", "content": QUESTION}
    parameters = {"incremental_output": True, "tools": [{"type": "function", "function": {"name": "read"}}]}
    ask = {"model": "m", "input": {"messages": [system, user]}, "parameters": parameters}
    message = {"role": "assistant", "content": ANSWER, "tool_calls": [call]}
    again = [system, {"role": "user", "content": [{"text": QUESTION}]}, message]
    again.append({"role": "tool", "tool_call_id": "t1", "content": RESULT})
    stream = [b"id:1\nevent:result\n:HTTP_STATUS/200\ndata:%s\n\n" % dump(each) for each in events]
    whole = said("tool_calls", **{name: value for name, value in message.items() if name != "role"})
    return Dialogue("dashscope.generation", ask, stream, whole, {**ask, "input": {"messages": again}})


def _vercel() -> Dialogue:
    call = {"type": "tool-call", "toolCallId": "t1", "toolName": "read"}
    events: list[dict[str, Any]] = [
        {"type": "reasoning-delta", "id": "0", "delta": "Hm"},
        {"type": "text-delta", "id": "1", "delta": "It is "},
        {"type": "text-delta", "id": "1", "delta": "你好"},
        {**call, "input": '{"path": "a.txt"}'},
        {"type": "finish", "finishReason": "tool-calls", "usage": {}},
    ]
    text = {"type": "text", "text": ANSWER}
    system = {"role": "system", "content": "Be kind"}
    user = {"role": "user", "content": [{"type": "text", "text": QUESTION}]}
    ask = {"prompt": [system, user], "tools": [{"type": "function", "name": "read"}]}
    output = {"type": "text", "value": RESULT}
    result = {"type": "tool-result", "toolCallId": "t1", "toolName": "read", "output": output}
    again = [
        *ask["prompt"],
        {"role": "assistant", "content": [{"type": "reasoning", "text": "Hm"}, text, {**call, "input": ARGUMENTS}]},
        {"role": "tool", "content": [result]},
    ]
    content = [{"type": "reasoning", "text": "Hm"}, text, {**call, "input": '{"path": "a.txt"}'}]
    whole = {"content": content, "finishReason": {"unified": "tool-calls", "raw": "tool_use"}, "usage": {}}
    stream = [b"data: %s\n\n" % dump(each) for each in events]
    return Dialogue("vercel.language_model", ask, stream, whole, {**ask, "prompt": again})


DIALOGUES = [
    make()
    for make in (_messages, _chat, _responses, _google, _converse, _invoke, _ollama, _cohere, _dashscope, _vercel)
]
