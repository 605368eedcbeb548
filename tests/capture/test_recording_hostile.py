"""Any split gives the same record; any bytes give a record that ended."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aitap.capture.dialects import DIALECTS
from tests.capture.exchanges import APIS, CODERS, asked, blocking, ended, plain
from tests.capture.making import (
    CHAT,
    MESSAGES,
    RESPONSES,
    answers,
    cut,
    cuts,
    dump,
    record,
    sse,
)


@settings(max_examples=60)
@pytest.mark.parametrize("api", APIS)
@given(data=st.data(), coding=st.sampled_from(list(CODERS)), streamed=st.booleans(), blanks=st.booleans())
def test_any_split_of_an_answer_gives_the_same_record(
    api: str, data: st.DataObject, coding: str, *, streamed: bool, blanks: bool
) -> None:
    answer = sse(api, answers(api), blanks=blanks) if streamed else blocking(api)
    coded = CODERS[coding](answer)
    how: dict[str, Any] = {
        "content_type": data.draw(st.sampled_from(["text/event-stream", "application/json", ""])),
        "response_headers": {"content-encoding": coding},
    }
    whole = record(api, asked(api), coded, **how)
    assert whole.outcome == "completed"
    assert plain(record(api, asked(api), cut(coded, data.draw(cuts(len(coded)))), **how)) == plain(whole)


@settings(max_examples=60)
@pytest.mark.parametrize("api", APIS)
@given(data=st.data())
def test_a_stream_cut_anywhere_is_no_success_and_keeps_what_was_read(api: str, data: st.DataObject) -> None:
    stream = sse(api, answers(api))
    last = stream.rindex(b"data: ", 0, stream.rindex(b"data: ")) if api == CHAT else stream.rindex(b"event: ")
    length = data.draw(st.integers(0, last))
    found = record(api, asked(api), stream[:length])
    if api == CHAT and length >= stream.index(b"\n\n", stream.index(b'"finish_reason":"')):
        assert found.outcome == "completed"  # a finish reason is an end, too
        return
    assert (found.outcome, found.ended_at) == ("failed", 1002.0)
    assert found.error_message
    assert [prompt.prompt for prompt in found.user_prompts] == ["do it"]
    assert all(usage.metadata.get("partial") for usage in found.token_usages)


_FLIP = st.tuples(st.integers(0, 10_000), st.integers(0, 5), st.binary(max_size=4))


def _mutated(stream: bytes, flips: list[tuple[int, int, bytes]]) -> bytes:
    for place, length, new in flips:
        start = place % (len(stream) + 1)
        stream = stream[:start] + new + stream[start + length :]
    return stream


@settings(max_examples=200)
@pytest.mark.parametrize("api", APIS)
@given(
    st.lists(_FLIP, max_size=4),
    st.lists(_FLIP, max_size=4),
    st.booleans(),
    st.lists(st.integers(1, 3000), max_size=5),
    st.sampled_from([200, 200, 200, 400, 529]),
)
def test_a_damaged_exchange_always_ends(
    api: str, question: Any, answer: Any, streamed: bool, points: list[int], status: int
) -> None:
    body = _mutated(dump(asked(api, [{"type": "text", "text": "a"}], tools=[], metadata={"a": "b"})), question)
    response = _mutated(sse(api, answers(api)) if streamed else blocking(api), answer)
    ended(record(api, body, cut(response, points), status=status))


_TEXT = st.text(st.characters(codec="utf-8"), max_size=30)


@settings(max_examples=200)
@given(
    api=st.sampled_from(sorted(DIALECTS)),
    body=st.binary(),
    pieces=st.lists(st.binary(), max_size=4),
    headers=st.dictionaries(
        st.sampled_from(
            [
                *("content-encoding", "user-agent", "authorization", "x-api-key", "x-codex-turn-metadata"),
                *("x-stainless-retry-count", "session-id", "x-claude-code-session-id", "cookie", "x-request-id"),
            ]
        ),
        _TEXT | st.sampled_from(["gzip", "br", "zstd, gzip", "claude-cli/1", "codex_exec/1", "\u0663", "AWS4-x y"]),
    ),
    response_headers=st.dictionaries(
        st.sampled_from(["content-encoding", "content-type", "request-id"]),
        _TEXT
        | st.sampled_from(
            [
                *("gzip", "br", "deflate", "zstd", "text/event-stream", "application/x-ndjson"),
                "application/vnd.amazon.eventstream",
            ]
        ),
    ),
    query=_TEXT,
    status=st.none() | st.integers(100, 599),
    ending=st.sampled_from([{}, {"failure": "broken"}, {"cancelled": True}, {"interrupted": True}]),
)
def test_random_bytes_never_raise_and_always_end(
    api: str,
    body: bytes,
    pieces: list[bytes],
    headers: dict[str, str],
    response_headers: dict[str, str],
    query: str,
    status: int | None,
    ending: dict[str, Any],
) -> None:
    how: dict[str, Any] = {"headers": headers, "response_headers": response_headers, "query": query, "status": status}
    ended(record(api, body, pieces, **how, **ending))


@pytest.mark.parametrize("api", sorted(DIALECTS))
@pytest.mark.parametrize("body", [b"[" * 100_000, b'{"messages":' * 50_000, b'{"messages":[{"content":' + b"[" * 5000])
def test_deep_nesting_is_survived(api: str, body: bytes) -> None:
    ended(record(api, body, body, content_type="application/json"))
    ended(record(api, body, b"event: content_block_start\ndata: " + body + b"\n\n"))
    ended(record(api, body, b"event: content_block_delta\ndata: " + body + b"\n\n"))


@pytest.mark.parametrize("api", sorted(DIALECTS))
@pytest.mark.parametrize("depth", [500, 990, 1500, 6000])
def test_counters_arguments_and_results_nested_deep_are_survived(api: str, depth: int) -> None:
    deep = b'{"a":' * depth + b"1" + b"}" * depth
    usage = b'{"input_tokens":1,"prompt_tokens":1,"output_tokens":1,"x":%b}' % deep
    answers_ = [
        b'{"type":"message_start","message":{"id":"m","usage":%b}}' % usage,
        b'{"choices":[{"index":0,"delta":{"tool_calls":[{"function":{"arguments":%b}}]}}],"usage":%b}' % (deep, usage),
        b'{"type":"response.completed","response":{"id":"r","usage":%b,"output":[{"type":"mcp_call","error":%b}]}}'
        % (usage, deep),
        b'{"error":%b}' % deep,
    ]
    result = b'{"role":"user","type":"x_output","call_id":"c","tool_call_id":"c","output":%b,"content":[%b]}' % (
        deep,
        deep,
    )
    for answer in answers_:
        ended(record(api, b'{"messages":[%b],"input":[%b]}' % (result, result), b"data: " + answer + b"\n\n"))


@pytest.mark.parametrize("api", APIS)
def test_lone_surrogates_anywhere_reach_no_text(api: str) -> None:
    def broken(data: bytes) -> bytes:
        return data.replace(b"do it", rb"do \ud83d").replace(b"model-1", rb"\udc00").replace(b"Let me", rb"\ud800")

    found = record(api, broken(dump(asked(api))), broken(sse(api, answers(api))))
    ended(found)
    assert (found.user_prompts[0].prompt, found.model) == ("do ?", "?")
    assert found.model_thoughts[0].content.startswith("? see")
    text = record(RESPONSES, rb'{"model":"m","input":"\ud800"}')
    assert text.user_prompts[0].prompt == "?"


def test_nul_characters_reach_no_text() -> None:
    stream = sse(CHAT, answers(CHAT)).replace(b"Let me", b"Let\\u0000").replace(b"a.txt", b"a\\u0000")
    found = record(CHAT, asked(CHAT, "do\0it"), stream)
    texts = [found.user_prompts[0].prompt, found.model_thoughts[0].content, found.tool_usages[0].input]
    assert not any("\0" in text for text in texts)
    assert texts[0] == "do\ufffdit"


def test_names_that_a_provider_makes_up_are_kept_in_the_length_of_names() -> None:
    call = {"id": "c", "type": "function", "function": {"name": "f" * 70_000, "arguments": "{}"}}
    choice = {"index": 0, "message": {"tool_calls": [call]}, "finish_reason": "s" * 70_000}
    usage = {"prompt_tokens": 1, "completion_tokens": 1}
    found = record(CHAT, asked(CHAT), dump({"id": "x", "model": "m" * 70_000, "choices": [choice], "usage": usage}))
    assert (found.response_model, found.stop_reason) == ("m" * 256, "s" * 256)
    assert (found.token_usages[0].provider_model, found.tool_usages[0].tool) == ("m" * 256, "f" * 512)


def test_counters_labels_and_media_types_that_somebody_makes_up_have_the_length_of_names() -> None:
    usage = {"input_tokens": 1, "output_tokens": 1, "u" * 70_000: 1, "speed": "s" * 70_000}
    usage |= {f"counter_{number}": number for number in range(10_000)}
    call = {"type": "mcp_tool_use", "id": "m", "name": "list", "server_name": "l" * 70_000, "input": {}}
    answer = {"id": "msg", "model": "m", "type": "message", "content": [call], "usage": usage}
    picture = {"type": "base64", "media_type": "p" * 70_000, "data": "AAAA"}
    page = {"type": "url", "url": "https://example.com/" + "a" * 70_000}
    parts = [{"type": "text", "text": "see"}, *({"type": "image", "source": source} for source in (picture, page))]
    found = record(MESSAGES, asked(MESSAGES, parts), dump(answer), content_type="application/json")
    ended(found)
    assert len(msgspec.json.encode(found)) < 16_000
    assert (found.token_usages[0].input_tokens, found.token_usages[0].metadata["u" * 256]) == (1, 1)
    assert found.tool_usages[0].metadata["server_label"] == "l" * 256
    first, second = found.user_prompts[0].metadata["attachments"]
    assert (first["media_type"], len(second["uri"])) == ("p" * 255, 2048)


@pytest.mark.parametrize(("status", "told"), [(403, "HTTP 403"), (200, "the provider reported an error")])
def test_a_failure_without_words_gets_some(status: int, told: str) -> None:
    found = record(CHAT, asked(CHAT), dump({"error": {"message": "\0"}}), status=status)
    assert (found.outcome, found.error_message) == ("failed", told)
