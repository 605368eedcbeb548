"""One exchange of every dialect and transport that is known: what is asked, and what the provider answers.

The dialogues are those of the tests (:mod:`tests.capture.dialogues`), once streamed and once whole, each under every
road by which it is called; the answers of sockets are lists of messages.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import msgspec

from tests.capture.dialogues import DIALOGUES, QUESTION, Dialogue
from tests.capture.making import dump, response_events

__all__ = ["SAMPLES", "SOCKETS", "Sample", "SocketSample"]


@dataclass(frozen=True)
class Sample:
    """One exchange over HTTP. A ``*`` in the host stands for any one label."""

    api: str
    host: str
    path: str
    query: str
    body: bytes
    content_type: str
    """Of the answer."""
    pieces: tuple[bytes, ...]
    """The answer, event by event where it is streamed."""
    streamed: bool

    @property
    def name(self) -> str:
        """For people."""
        return f"{self.api} {'streamed' if self.streamed else 'whole'} {self.host}"


@dataclass(frozen=True)
class SocketSample:
    """Responses over a WebSocket."""

    api: str
    host: str
    path: str
    query: str
    ask: bytes
    """The message that asks for one."""
    answers: tuple[bytes, ...]
    """The messages of the answer; the last one ends it."""


_AZURE, _COPILOT = "*.openai.azure.com", "api.*.githubcopilot.com"
_BEDROCK, _VERTEX = "bedrock-runtime.*.amazonaws.com", "*-aiplatform.googleapis.com"
_GEMINI, _ASSIST = "generativelanguage.googleapis.com", "cloudcode-pa.googleapis.com"
_PROJECT = "/v1/projects/p/locations/l/publishers"

_ROADS: dict[str, tuple[tuple[str, str], ...]] = {
    "anthropic.messages": (
        ("api.anthropic.com", "/v1/messages"),
        (_COPILOT, "/v1/messages"),
        ("openrouter.ai", "/api/v1/messages"),
        ("*.llm.example", "/proxy/v1/messages"),
    ),
    "openai.chat_completions": (
        ("api.openai.com", "/v1/chat/completions"),
        (_AZURE, "/openai/deployments/gpt/chat/completions"),
        (_COPILOT, "/chat/completions"),
        ("api.mistral.ai", "/v1/chat/completions"),
    ),
    "openai.responses": (
        ("api.openai.com", "/v1/responses"),
        (_AZURE, "/openai/v1/responses"),
        ("chatgpt.com", "/backend-api/codex/responses"),
    ),
    "google.generate_content": ((_GEMINI, "/v1beta/models/g:{}"), (_VERTEX, _PROJECT + "/google/models/g:{}")),
    "google.code_assist": ((_ASSIST, "/v1internal:{}"),),
    "vertex.anthropic": ((_VERTEX, _PROJECT + "/anthropic/models/c:{}"),),
    "bedrock.converse": ((_BEDROCK, "/model/a/{}"),),
    "bedrock.invoke": ((_BEDROCK, "/model/anthropic.c/{}"),),
    "ollama.chat": (("ollama.com", "/api/chat"),),
    "ollama.generate": (("ollama.com", "/api/generate"),),
    "cohere.chat": (("api.cohere.com", "/v2/chat"),),
    "dashscope.generation": (("dashscope.aliyuncs.com", "/api/v1/services/aigc/text-generation/generation"),),
    "vercel.language_model": (("ai-gateway.vercel.sh", "/v4/ai/language-model"),),
}
_METHODS = {
    "google.generate_content": ("generateContent", "streamGenerateContent"),
    "google.code_assist": ("generateContent", "streamGenerateContent"),
    "vertex.anthropic": ("rawPredict", "streamRawPredict"),
    "bedrock.converse": ("converse", "converse-stream"),
    "bedrock.invoke": ("invoke", "invoke-with-response-stream"),
}
"""What stands in the path for an answer that is whole, and for one that is streamed."""


def _derived(known: dict[str, Dialogue]) -> list[Dialogue]:
    """Dialects that wrap another."""
    google, messages = known["google.generate_content"], known["anthropic.messages"]
    inner = [msgspec.json.decode(piece.removeprefix(b"data: ")) for piece in google.stream]
    pieces = [b"data: %s\n\n" % dump({"response": item, "traceId": "t"}) for item in inner]
    wrapped = {"model": "g", "project": "p", "request": google.ask}
    version = {"anthropic_version": "vertex-2023-10-16"}
    plain = [{"model": "m", "response": part, "done": False} for part in ("It is ", "你", "好")]
    last: dict[str, Any] = {"model": "m", "response": "", "done": True, "done_reason": "stop"}
    last |= {"prompt_eval_count": 11, "eval_count": 7}
    lines = [dump(item) + b"\n" for item in (*plain, last)]
    ask = {"model": "m", "prompt": QUESTION}
    return [
        Dialogue("google.code_assist", wrapped, pieces, {"response": google.whole}, {}),
        Dialogue("vertex.anthropic", messages.ask | version, messages.stream, messages.whole, {}),
        Dialogue("ollama.generate", ask, lines, last | {"response": "It is 你好"}, {}, "application/x-ndjson"),
    ]


def _samples() -> list[Sample]:
    known = {dialogue.api: dialogue for dialogue in DIALOGUES}
    return [
        _sample(dialogue, host, path, streamed=streamed)
        for dialogue in (*known.values(), *_derived(known))
        for host, path in _ROADS[dialogue.api]
        for streamed in (False, True)
    ]


def _sample(dialogue: Dialogue, host: str, path: str, *, streamed: bool) -> Sample:
    api = dialogue.api
    ask = dialogue.ask
    if api not in _METHODS:
        ask = ask | {"stream": streamed}
    query = "alt=sse" if streamed and api.startswith("google.") else ""
    path = path.format(_METHODS[api][streamed]) if api in _METHODS else path
    pieces = tuple(dialogue.stream) if streamed else (dump(dialogue.whole),)
    kind = dialogue.content_type if streamed else "application/json"
    return Sample(api, host, path, query, dump(ask), kind, pieces, streamed)


def _sockets() -> list[SocketSample]:
    items = [{"type": "message", "id": "m_1", "role": "assistant", "content": [{"type": "output_text", "text": "It"}]}]
    ask = dump({"type": "response.create", "model": "m", "input": QUESTION})
    answers = tuple(dump(event) for event in response_events(items))
    response: dict[str, Any] = {"id": "resp_1", "object": "realtime.response", "output": []}
    call = {"id": "i_1", "type": "function_call", "name": "read", "call_id": "t1", "arguments": "{}"}
    usage = {"total_tokens": 30, "input_tokens": 20, "output_tokens": 10}
    place = {"response_id": "resp_1", "output_index": 0}
    spoken = (
        {"type": "response.created", "response": {**response, "status": "in_progress"}},
        {"type": "response.output_item.added", "item": call, **place},
        {"type": "response.output_audio.delta", "item_id": "i_1", "content_index": 0, "delta": "UklGRg==", **place},
        {"type": "response.done", "response": {**response, "status": "completed", "output": [call], "usage": usage}},
    )
    realtime = SocketSample(
        *("openai.realtime", "api.openai.com", "/v1/realtime", "model=gpt-realtime", dump({"type": "response.create"})),
        tuple(dump(event) for event in spoken),
    )
    return [
        SocketSample("openai.responses", "api.openai.com", "/v1/responses", "", ask, answers),
        SocketSample("openai.responses", "chatgpt.com", "/backend-api/codex/responses", "", ask, answers),
        realtime,
    ]


SAMPLES = _samples()
SOCKETS = _sockets()
