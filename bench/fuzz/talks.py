"""What is mutated on WebSockets: every language of one, with everything that either side says in it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from bench.corpus import SOCKETS
from tests.capture.google import API
from tests.capture.making import RESPONSES, answers, dump

__all__ = ["TALKS", "Talk"]


@dataclass(frozen=True)
class Talk:
    """What is said on a WebSocket: the client's first words, and turns, each of them asked and answered."""

    api: str
    host: str
    path: str
    query: str
    opening: tuple[bytes, ...]
    turns: tuple[tuple[tuple[bytes, ...], tuple[bytes, ...]], ...]


def _live() -> Talk:
    usage = {
        "promptTokenCount": 21,
        "cachedContentTokenCount": 8,
        "responseTokenCount": 12,
        "thoughtsTokenCount": 4,
        "totalTokenCount": 37,
        "responseTokensDetails": [{"modality": "AUDIO", "tokenCount": 12}],
    }
    setup = {"model": "models/gemini-live-test", "systemInstruction": {"parts": [{"text": "Be kind"}]}, "tools": [{}]}
    call = {"id": "f1", "name": "read", "args": {"path": "a.txt"}}
    said = {"turns": [{"role": "user", "parts": [{"text": "Say hi"}]}], "turnComplete": True}
    answered = {"functionResponses": [{"id": "f1", "name": "read", "response": {"output": "x"}}]}
    speech = {"realtimeInput": {"audio": {"mimeType": "audio/pcm;rate=16000", "data": "UklGRg=="}}}
    heard = {"serverContent": {"inputTranscription": {"text": "Say it"}}}
    voice = {"serverContent": {"modelTurn": {"parts": [{"inlineData": {"data": "UklGRg=="}}]}}}
    thought = {"serverContent": {"modelTurn": {"role": "model", "parts": [{"text": "Hm", "thought": True}]}}}
    spoken = {"serverContent": {"outputTranscription": {"text": "Hi"}}}
    over = {"serverContent": {"turnComplete": True}, "usageMetadata": usage}
    turns: list[tuple[list[Any], list[Any]]] = [
        ([{"clientContent": said}], [thought, spoken, over]),
        ([speech, speech], [heard, voice, spoken, {"serverContent": {"interrupted": True}}, over]),
        ([{"realtimeInput": {"text": "And now?"}}], [voice, {"toolCall": {"functionCalls": [call]}}]),
        ([{"toolResponse": answered}], [{"toolCallCancellation": {"ids": ["f1"]}}, spoken, over]),
        ([{"client_content": said}], [{"goAway": {"timeLeft": "1s"}}, {"error": {"code": 8, "message": "no"}}]),
    ]
    path = "/ws/google.ai.generativelanguage.v1beta.GenerativeService.BidiGenerateContent"
    return Talk("google.live", API, path, "key=x", (dump({"setup": setup}),), _said(turns))


def _realtime() -> Talk:
    place = {"response_id": "resp_1", "output_index": 0}
    call = {"id": "i_1", "type": "function_call", "name": "read", "call_id": "t1", "arguments": "{}"}
    counted = {
        "total_tokens": 30,
        "input_tokens": 20,
        "output_tokens": 10,
        "input_token_details": {"cached_tokens": 4, "audio_tokens": 3, "cached_tokens_details": {"audio_tokens": 1}},
        "output_token_details": {"audio_tokens": 2, "text_tokens": 8},
    }
    begun = {"type": "response.created", "response": {"id": "resp_1", "object": "realtime.response"}}
    done = {"id": "resp_1", "object": "realtime.response", "status": "completed", "output": [call], "usage": counted}
    session = {"type": "session.created", "session": {"model": "gpt-rt", "audio": {"input": {"transcription": {}}}}}
    item = {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "Say hi"}]}
    result = {"type": "function_call_output", "call_id": "t1", "output": "x"}
    heard = {"item_id": "s1", "transcript": "Say it"}
    spoken = [
        begun,
        {"type": "response.output_item.added", "item": call, **place},
        {"type": "response.output_audio.delta", "item_id": "i_1", "delta": "UklGRg==", **place},
        {"type": "response.output_item.done", "item": call, **place},
        {"type": "response.done", "response": done},
    ]
    asked = {"type": "response.create", "event_id": "e1", "response": {"conversation": "none", "input": [item]}}
    wrong = {"type": "error", "error": {"event_id": "e1", "type": "invalid_request_error", "message": "no"}}
    late = {"type": "conversation.item.input_audio_transcription.completed", **heard}
    turns: list[tuple[list[Any], list[Any]]] = [
        ([{"type": "conversation.item.create", "item": item}, {"type": "response.create"}], [session, *spoken]),
        ([{"type": "conversation.item.create", "item": result}, asked], spoken),
        ([], [{"type": "input_audio_buffer.committed", "item_id": "s1"}, *spoken, late]),
        ([{"type": "session.update", "session": {"instructions": "Be kind", "tools": [{}]}}, asked], [wrong]),
        ([{"type": "response.cancel"}], [{"type": "response.done", "response": {**done, "status": "cancelled"}}]),
    ]
    return Talk("openai.realtime", "api.openai.com", "/v1/realtime", "model=gpt-realtime", (), _said(turns))


def _codex() -> Talk:
    lane = {"stream_id": "a"}
    ask = {"type": "response.create", "model": "m", "input": "Say hi", **lane}
    metadata = {"x-codex-turn-metadata": '{"turn_id":"t"}', "content-encoding": "gzip"}
    answer = [{**each, **lane} for each in answers(RESPONSES)]
    steer = {"type": "response.steer", "input": "Stop that", **lane}
    turns: list[tuple[list[Any], list[Any]]] = [
        ([{**ask, "client_metadata": metadata}], answer),
        ([ask, steer], [*answer, *answer]),
        ([ask, {**ask, "stream_id": "b"}], [*answer, *({**each, "stream_id": "b"} for each in answer)]),
        (
            [ask],
            [{"type": "response.failed", "response": {"id": "r", "error": {"code": "x", "message": "no"}}, **lane}],
        ),
        ([ask], [{"type": "error", "status": 429, "error": {"type": "usage_limit_reached", "resets_at": 1}}]),
    ]
    return Talk("openai.responses", "chatgpt.com", "/backend-api/codex/responses", "", (), _said(turns))


def _said(turns: list[tuple[list[Any], list[Any]]]) -> tuple[tuple[tuple[bytes, ...], tuple[bytes, ...]], ...]:
    return tuple((tuple(map(dump, asked)), tuple(map(dump, answered))) for asked, answered in turns)


TALKS = [
    *(Talk(each.api, each.host, each.path, each.query, (), (((each.ask,), each.answers),)) for each in SOCKETS),
    _live(),
    _realtime(),
    _codex(),
]
