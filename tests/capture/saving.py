"""Saved traffic of our own making: flows as mitmproxy has them, archives as browsers write them."""

from __future__ import annotations

import io
import json
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any

from mitmproxy import flow, http, websocket
from mitmproxy.io import FlowWriter
from mitmproxy.test import tflow, tutils
from wsproto.frame_protocol import Opcode

from tests.capture.making import dump, user

T0 = 1_795_000_000.0

__all__ = ["T0", "archive", "body", "call", "chat_answer", "entry", "flows", "socket_flow"]


def body(text: str = "Say hi", **more: Any) -> bytes:
    return dump({"model": "gpt-test-1", "messages": [user(text)], **more})


def chat_answer(name: str = "chatcmpl-1", **message: Any) -> bytes:
    message = {"role": "assistant", "content": "Hi", **message}
    usage = {"prompt_tokens": 16, "completion_tokens": 7}
    choices = [{"index": 0, "message": message, "finish_reason": "stop"}]
    return dump({"id": name, "object": "chat.completion", "model": "gpt-test-1-x", "choices": choices, "usage": usage})


def call(
    at: float = T0,
    host: str = "api.openai.com",
    path: str = "/v1/chat/completions",
    sent: bytes | None = None,
    answer: bytes | None = b"",
    status: int = 200,
    kind: str = "application/json",
    **fields: str,
) -> http.HTTPFlow:
    """A whole call that began at ``at``, was sent by 1 s later, answered by 2 s, over by 3 s."""
    named = [(b"host", host.encode()), *((k.encode(), v.encode()) for k, v in fields.items())]
    request = tutils.treq(
        method=b"POST", host=host, port=443, scheme=b"https", path=path.encode(), authority=b"",
        content=body() if sent is None else sent, headers=http.Headers(named), timestamp_start=at, timestamp_end=at + 1,
    )  # fmt: skip
    found = tflow.tflow(req=request)
    found.client_conn.sni = host
    found.client_conn.timestamp_end = None
    found.response = tutils.tresp(
        status_code=status, headers=http.Headers([(b"content-type", kind.encode())]),
        content=chat_answer() if answer == b"" else answer, timestamp_start=at + 2, timestamp_end=at + 3,
    )  # fmt: skip
    return found


def socket_flow(messages: Iterable[tuple[bool, bytes]], at: float = T0, path: str = "/v1/responses") -> http.HTTPFlow:
    """A WebSocket with these messages (from the client?, content), one a second, closed by the client."""
    found = call(at, path=path, sent=b"", answer=None, status=101)
    found.request.method = "GET"
    found.request.headers["upgrade"] = "websocket"
    found.websocket = websocket.WebSocketData()
    for number, (from_client, content) in enumerate(messages, 1):
        found.websocket.messages.append(
            websocket.WebSocketMessage(Opcode.TEXT, from_client, content, timestamp=at + number)
        )
    found.websocket.timestamp_end = at + 1000
    found.websocket.closed_by_client = True
    return found


def flows(*found: flow.Flow) -> bytes:
    """A flow file."""
    file = io.BytesIO()
    writer = FlowWriter(file)
    for one in found:
        writer.add(one)
    return file.getvalue()


def entry(
    at: float = T0,
    url: str = "https://api.openai.com/v1/chat/completions",
    sent: bytes | None = None,
    answer: bytes | None = b"",
    status: int = 200,
    **more: Any,
) -> dict[str, Any]:
    """What a browser writes of one call: begun at ``at``, 0.5 s until it was sent, 1.5 s of waiting, 1 s of answer."""
    answer = chat_answer() if answer == b"" else answer
    content: dict[str, Any] = {"size": 1 if answer is None else len(answer), "mimeType": "application/json"}
    if answer is not None:
        content["text"] = answer.decode()
    return {
        "startedDateTime": datetime.fromtimestamp(at, UTC).isoformat().replace("+00:00", "Z"),
        "time": 3000.0,
        "request": {
            "method": "POST",
            "url": url,
            "httpVersion": "http/2.0",
            "headers": [{"name": ":method", "value": "POST"}, {"name": "User-Agent", "value": "curl/8"}],
            "postData": {"mimeType": "application/json", "text": (body() if sent is None else sent).decode()},
            "bodySize": 10,
        },
        "response": {
            "status": status,
            "httpVersion": "http/2.0",
            "headers": [{"name": "content-encoding", "value": "br"}],
            "content": content,
            "bodySize": -1,
        },
        "timings": {"blocked": 100, "dns": 100, "connect": 200, "ssl": 100, "send": 100, "wait": 1500, "receive": 1000},
        **more,
    }


def archive(*entries: Any, **more: Any) -> bytes:
    """A HAR file."""
    creator = {"name": 'a "entries": [ b', "version": "1"}
    log = {"version": "1.2", "creator": creator, "entries": list(entries), "pages": [{"id": "page_1"}], **more}
    return json.dumps({"log": log}).encode()
