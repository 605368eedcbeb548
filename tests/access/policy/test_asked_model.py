"""Which models a request names."""

from __future__ import annotations

import asyncio
import gzip
import json
import time
from typing import Any

import brotli
import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from aitap.access.policy import asked_model
from aitap.access.policy.asked_model import in_body, in_frame, in_path, in_query, undone

LONG = 600_000
"""Bytes of a body that is read in slices."""


def read(body: bytes) -> tuple[str, ...]:
    return asyncio.run(in_body(body))


def long(*members: str, filler: str = "x") -> bytes:
    """An object with these members in this order; ``...`` stands for a long one."""
    text = json.dumps([{"role": "user", "content": f'say "model": "no" {filler}' * (LONG // 20)}])
    return ("{" + ",".join(f'"messages":{text}' if part == "..." else part for part in members) + "}").encode()


@pytest.mark.parametrize(
    ("api", "path", "expected"),
    [
        ("bedrock.invoke", "/model/eu.anthropic.claude-1-v1%3A0/invoke", (("eu.anthropic.claude-1-v1:0",), True)),
        ("cloudflare.run", "/client/v4/accounts/a/ai/run/%40cf/meta/llama-1", (("@cf/meta/llama-1",), True)),
        ("openai.chat_completions", "/serving-endpoints/my%20gpt/invocations", (("my gpt",), False)),
        (
            "bedrock.converse",
            "/model/arn%3Aaws%3Abedrock%3Aeu-west-1%3A1%3Ainference-profile%2Feu.claude/converse-stream",
            (("arn:aws:bedrock:eu-west-1:1:inference-profile/eu.claude",), True),
        ),
        ("google.generate_content", "/v1beta/models/gemini-2:streamGenerateContent", (("gemini-2",), True)),
        (
            "google.generate_content",
            "/v1/projects/p/locations/l/publishers/google/models/gemini-2:generateContent",
            (("gemini-2",), True),
        ),
        ("vertex.anthropic", "/v1/publishers/anthropic/models/claude-1:rawPredict", (("claude-1",), True)),
        ("vertex.anthropic", "/v1/publishers/anthropic/models/count-tokens:rawPredict", ((), False)),
        (
            "openai.chat_completions",
            "/v1/publishers/mistralai/models/mistral-1:streamRawPredict",
            (("mistral-1",), False),
        ),
        ("openai.chat_completions", "/openai/deployments/our%2Dgpt/chat/completions", (("our-gpt",), False)),
        ("openai.chat_completions", "/v1/chat/completions", ((), False)),
        ("anthropic.messages", "/v1/messages", ((), False)),
    ],
)
def test_a_path_names_its_model(api: str, path: str, expected: Any) -> None:
    assert in_path(api, path) == expected


def test_a_handshake_of_realtime_names_its_model() -> None:
    assert in_query("model=gpt-realtime&x=1") == ("gpt-realtime",)
    assert in_query("api-version=1&deployment=ours") == ("ours",)
    assert in_query("call_id=c") == ()


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (b'{"messages": [{"model": "inner"}], "model": "outer"}', ("outer",)),
        (b'{"model": "a", "models": ["b", "a", 3]}', ("a", "b")),
        (b'{"model": "models/gemini"}', ("gemini",)),
        (b'{"project": "p", "request": {"model": "inner"}}', ("inner",)),
        (b'{"model": 5}', ()),
        (b'{"mod\\u0065l": "hidden"}', ("hidden",)),
        (b'{"model": "first", "model": "last"}', ("first", "last")),
        (b'{"mod\\u0065l": "first", "model": "last"}', ("first", "last")),
        (b'{"\\u004Dodel": "first", "model": "last"}', ("first", "last")),
        (b'{"model\\u0073": ["first"], "model": "last"}', ("first", "last")),
        (b'{"model": "first", "MODEL": "last"}', ("first", "last")),
        (b'{"model": "first", "x": [' + b'{"model": "no"},' * 9 + b'0], "model": "last"}', ("first", "last")),
        (b'{"request": {"model": "first"}, "request": {"model": "last"}}', ("first", "last")),
        (b'{"model": " padded "}', ("padded",)),
        (b'["model"]', ()),
        (b"no json", ()),
        (b"", ()),
    ],
)
def test_a_body_names_its_models(body: bytes, expected: tuple[str, ...]) -> None:
    assert read(body) == expected


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (long('"model":"first"', "..."), ("first",)),
        (long("...", '"model" : "last"', '"stream":true'), ("last",)),
        (long('"metadata":{"model":"inner"}', "...", '"model":"outer"'), ("outer",)),
        (long('"model":"one"', "...", '"model":"two"'), ("one", "two")),
        (long('"models":["a","b"]', "...", '"model":"c"'), ("a", "b", "c")),
        (long('"model":"one"', "...", '"mod\\u0065l":"two"'), ("one", "two")),
        (long('"model":"one"', "...", '"Model":"two"'), ("one", "two")),
        (long("...", '"tools":[{"model":{"type":"string"}}]', '"model":"outer"'), ("outer",)),
        (long("...", '"model":"middle"', '"more":' + json.dumps("y" * LONG)), ("middle",)),
        (long('"request":{"model":"inner"}', "..."), ("inner",)),
        (long("..."), ()),
        (b"no json " * LONG, ()),
    ],
    ids=lambda value: "" if isinstance(value, bytes) else "-".join(value),
)
def test_a_long_body_names_the_same(body: bytes, expected: tuple[str, ...]) -> None:
    assert len(body) > LONG
    assert read(body) == expected


members = st.recursive(
    st.text(max_size=8) | st.integers() | st.sampled_from(['"model":"x"', '\\"model":', "model"]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["model", "models", "input", 'a"model']), inner, max_size=3)
    ),
    max_leaves=12,
)


@given(st.dictionaries(st.sampled_from(["model", "messages", "tools", "é"]), members), st.booleans())
def test_slices_find_what_a_parser_finds(body: dict[str, Any], ascii_only: bool) -> None:
    """With slices so short that every border is tried."""
    data = json.dumps(body, ensure_ascii=ascii_only).encode("utf-8", "surrogatepass")
    expected = read(data)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(asked_model, "_SLICE", 7)
        assert read(data) == expected


@pytest.mark.parametrize(
    ("coding", "pack"),
    [("gzip", gzip.compress), ("br", brotli.compress), ("zstd", zstandard.compress), ("identity", bytes)],
)
def test_codings_are_undone(coding: str, pack: Any) -> None:
    assert asyncio.run(undone(pack(b'{"model":"m"}'), coding)) == b'{"model":"m"}'


@pytest.mark.parametrize("coding", ["gzip", "rot13"])
def test_what_cannot_be_undone_is_empty(coding: str) -> None:
    assert asyncio.run(undone(b"\0not that", coding)) == b""


def test_a_body_that_expands_without_end_is_let_go_of() -> None:
    assert asyncio.run(undone(zstandard.compress(bytes(80 * 1024 * 1024)), "zstd")) == b""


@pytest.mark.parametrize(
    ("frame", "expected"),
    [
        ({"type": "response.create", "model": "m"}, (True, ("m",))),
        ({"type": "response.create"}, (True, ())),
        ({"type": "session.update", "session": {"model": "m"}}, (False, ("m",))),
        ({"type": "response.create", "response": {"model": "m"}}, (True, ("m",))),
        ({"type": "input_audio_buffer.append", "audio": "AAAA"}, (False, ())),
        ({"type": "response.create", "model": "m", "input": "x" * LONG}, (True, ("m",))),
        ({"setup": {"model": "models/gemini-live-test"}}, (True, ("gemini-live-test",))),
        ({"setup": {"model": "projects/p/locations/l/publishers/google/models/m"}}, (True, ("m",))),
        ({"realtimeInput": {"audio": {"data": "AAAA"}}}, (False, ())),
        ([], (False, ())),
    ],
)
def test_a_frame_says_whether_it_asks_and_for_which_model(frame: Any, expected: Any) -> None:
    assert asyncio.run(in_frame(json.dumps(frame).encode())) == expected


@pytest.mark.parametrize("long", ["", "x" * LONG])
def test_a_frame_cannot_hide_a_member_behind_another_of_its_name(long: str) -> None:
    frame = '{"type":"response.create","model":"first","type":"x","model":"last","input":"' + long + '"}'
    assert asyncio.run(in_frame(frame.encode())) == (True, ("first", "last"))


def test_the_event_loop_goes_on_while_a_long_body_is_read() -> None:
    body = long('"model":"first"', "...", "...", "...", "...")
    assert len(body) > 2_000_000
    turns: list[float] = []

    async def run() -> None:
        async def beat() -> None:
            while True:
                turns.append(time.perf_counter())
                await asyncio.sleep(0)

        other = asyncio.create_task(beat())
        assert await in_body(body) == ("first",)
        other.cancel()

    asyncio.run(run())
    assert len(turns) > 1
