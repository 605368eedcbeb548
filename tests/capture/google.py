"""Gemini's requests and answers of our own making, after Google's public API descriptions, and whole exchanges."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from typing import Any

from aitap.capture.dialects.google_answer import AnswerDecoder
from aitap.capture.environment import Environment
from aitap.capture.facts import ResponseFacts
from aitap.capture.recording import Recording, RequestHead
from aitap.capture.response import ResponseBody
from aitap.capture.routes import Router
from aitap.record import Interception

__all__ = [
    "API",
    "CODE_ASSIST",
    "USAGE",
    "array",
    "blocking",
    "call",
    "chunk",
    "dump",
    "events",
    "exchange",
    "model",
    "read",
    "result",
    "streamed",
    "thought",
    "user",
]

API = "generativelanguage.googleapis.com"
CODE_ASSIST = "cloudcode-pa.googleapis.com"
Part = dict[str, Any]

USAGE: dict[str, Any] = {
    "promptTokenCount": 21,
    "cachedContentTokenCount": 8,
    "candidatesTokenCount": 12,
    "thoughtsTokenCount": 4,
    "totalTokenCount": 37,
}


def dump(value: Any) -> bytes:
    return json.dumps(value, ensure_ascii=False).encode()


def user(*parts: str | Part) -> dict[str, Any]:
    """A user's content."""
    return {"role": "user", "parts": [{"text": part} if isinstance(part, str) else part for part in parts]}


def model(*parts: str | Part) -> dict[str, Any]:
    """A model's content."""
    return {**user(*parts), "role": "model"}


def thought(text: str) -> Part:
    return {"text": text, "thought": True}


def call(name: str, args: Any, **more: Any) -> Part:
    return {"functionCall": {"name": name, "args": args, **more}}


def result(name: str, response: Any, **more: Any) -> Part:
    return {"functionResponse": {"name": name, "response": response, **more}}


def chunk(*parts: str | Part, finish: str | None = None, index: int = 0, **more: Any) -> dict[str, Any]:
    """One GenerateContentResponse; ``more`` are its own members."""
    candidate: dict[str, Any] = {"index": index}
    if parts:
        candidate["content"] = model(*parts)
    if finish:
        candidate["finishReason"] = finish
    return {"candidates": [candidate], "modelVersion": "gemini-test-1-001", "responseId": "resp-1", **more}


def events(chunks: Iterable[Any]) -> bytes:
    """``alt=sse``, with the line ends that Google uses."""
    return b"".join(b"data: %s\r\n\r\n" % dump(each) for each in chunks)


def array(chunks: Iterable[Any], *, indent: int | None = 2) -> bytes:
    """Without ``alt=sse``: one JSON array, indented as a rule, its commas on lines of their own."""
    return (
        b"["
        + b"\n,\r\n".join(json.dumps(each, indent=indent, ensure_ascii=False).encode() for each in chunks)
        + b"\n]\n"
    )


def read(
    pieces: bytes | Sequence[bytes],
    content_type: str = "application/json",
    *,
    failed: bool = False,
    decoder: AnswerDecoder | None = None,
) -> ResponseFacts:
    """The facts of an answer that comes in these pieces."""
    body = ResponseBody(decoder or AnswerDecoder(), content_type=content_type, content_encoding="", failed=failed)
    for piece in [pieces] if isinstance(pieces, bytes) else pieces:
        body.feed(piece, 1.0)
    return body.finish(2.0)


def streamed(*chunks: Any) -> ResponseFacts:
    """The facts of a stream, which must be those of the same stream as an array."""
    facts = read(events(chunks), "text/event-stream")
    assert read(array(chunks, indent=None)) == facts
    return facts


def blocking(document: Any) -> ResponseFacts:
    """The facts of an answer in one piece."""
    return read(dump(document))


def exchange(
    path: str,
    body: Any,
    answer: bytes,
    content_type: str = "application/json",
    *,
    host: str = API,
    status: int = 200,
    headers: dict[str, str] | None = None,
    environment: Environment | None = None,
) -> Interception:
    """A whole exchange with a real provider's host and path."""
    route = Router().route(host, path)
    assert route is not None, f"{host}{path} is no model call"
    environment = environment or Environment("00000000-0000-4000-8000-000000000001", "metadata+prompt")
    recording = Recording(environment, RequestHead(route, "POST", host, path, "", "HTTP/1.1", headers or {}, 1000.0))
    recording.begin(dump(body), 1000.0)
    recording.respond(status, {"content-type": content_type})
    recording.feed(answer, 1001.0)
    return recording.end(1002.0)
