"""OpenAI's older Completions."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.capture.exchanges import ended
from tests.capture.framing import exchange
from tests.capture.making import cut, cuts, dump

HOST, PATH = "api.openai.com", "/v1/completions"
USAGE = {"prompt_tokens": 5, "completion_tokens": 7, "total_tokens": 12}
ASK = {"model": "instruct-test", "prompt": "Say hi", "stream": True, "max_tokens": 16}
HEAD = {"id": "cmpl-1", "object": "text_completion", "model": "instruct-test-2"}


def chunk(text: str, finish: str | None = None, index: int = 0) -> dict[str, Any]:
    return {**HEAD, "choices": [{"text": text, "index": index, "logprobs": None, "finish_reason": finish}]}


STREAM = b"".join(
    b"data: %s\n\n" % dump(each)
    for each in [chunk("Hi "), chunk("你好"), chunk("", "stop"), {**HEAD, "choices": [], "usage": USAGE}]
)


@settings(max_examples=30)
@given(st.data())
def test_a_stream_gives_the_same_facts_for_any_split(data: st.DataObject) -> None:
    body = STREAM + b"data: [DONE]\n\n"
    record = exchange(HOST, PATH, ASK, cut(body, data.draw(cuts(len(body)))), "text/event-stream")
    assert (record.api, record.model, record.response_model) == (
        "openai.completions",
        "instruct-test",
        "instruct-test-2",
    )
    assert (record.outcome, record.stop_reason, record.time_to_first_token) == ("completed", "stop", 1.0)
    assert [(usage.input_tokens, usage.output_tokens) for usage in record.token_usages] == [(5, 7)]
    assert [prompt.prompt for prompt in record.user_prompts] == ["Say hi"]


def test_one_document_gives_the_same_facts() -> None:
    answer = {**HEAD, "choices": [{"text": "Hi", "index": 0, "finish_reason": "length"}], "usage": USAGE}
    record = exchange(HOST, PATH, {**ASK, "stream": False}, dump(answer))
    assert (record.outcome, record.stop_reason, record.token_usages[0].input_tokens) == ("completed", "length", 5)


@pytest.mark.parametrize(
    "asked",
    [
        {"prompt": "def f(", "suffix": "return a"},
        {"prompt": "<|fim_prefix|>def f(<|fim_suffix|>return a<|fim_middle|>"},
        {"prompt": "<fim_prefix>def f(<fim_suffix>return a<fim_middle>"},
        {"prompt": "<\uff5cfim\u2581begin\uff5c>def f(<\uff5cfim\u2581hole\uff5c>return a<\uff5cfim\u2581end\uff5c>"},
        {"prompt": "<PRE> def f( <SUF>return a <MID>"},
        {"prompt": "[SUFFIX]return a[PREFIX] def f("},
    ],
)
def test_filling_in_a_gap_is_no_conversation(asked: dict[str, str]) -> None:
    record = exchange("api.deepseek.com", "/beta/completions", {"model": "m", **asked}, STREAM, "text/event-stream")
    assert (record.purpose, record.metadata["purpose_reason"], record.user_prompts) == ("auxiliary", "completion", [])


@pytest.mark.parametrize(
    ("host", "path"),
    [
        ("mine.openai.azure.com", "/openai/deployments/m/completions"),
        ("api.together.xyz", "/v1/completions"),
        ("api.fireworks.ai", "/inference/v1/completions"),
    ],
)
def test_it_is_spoken_by_others_too(host: str, path: str) -> None:
    record = exchange(host, path, {"model": "m", "prompt": ["Say", "hi"]}, STREAM, "text/event-stream")
    assert (record.api, record.model, record.user_prompts[0].prompt) == ("openai.completions", "m", "Say\nhi")


@given(st.sampled_from([None, 5, [1, 2], {}, [[1]], "", [None], {"a": 1}]), st.booleans())
def test_an_odd_member_never_raises(odd: Any, inside: bool) -> None:
    answer = {**HEAD, "choices": [{"text": odd, "index": odd if inside else 0, "finish_reason": "stop"}], "usage": odd}
    record = exchange(HOST, PATH, {"model": "m", "prompt": odd, "suffix": odd}, dump(answer))
    ended(record)
    assert record.outcome == "completed"
