"""The normal form: two ways to say the same thing are one, and no bytes of what is no text are kept."""

from __future__ import annotations

import base64
import copy
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aitap.capture.environment import Environment
from aitap.capture.turns import blob, encode, offered_tools, other, system_texts, text, tool_call
from tests.capture.making import CHAT, MESSAGES, RESPONSES, record

GOOGLE, CONVERSE = "google.generate_content", "bedrock.converse"
MARKER = {"cache_control": {"type": "ephemeral", "ttl": "1h"}}

words = st.text(min_size=1, max_size=40)
arguments = st.dictionaries(
    st.text(max_size=5), st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(max_size=9), max_size=4
)
turn = st.tuples(words, words, arguments, words)
"""A question, an answer, the arguments of a call and its result."""


def digest(api: str, body: Any) -> str | None:
    """What a conversation is known by, read by a fresh process."""
    found = record(api, body, environment=Environment("u", "full"))
    assert "contents_unread" not in found.metadata
    return found.request_digest


def shuffled(value: Any) -> Any:
    """The same with the members of every object in another order."""
    if isinstance(value, dict):
        return {key: shuffled(item) for key, item in reversed(value.items())}
    return [shuffled(item) for item in value] if isinstance(value, list) else value


@given(st.lists(turn, min_size=1, max_size=3), st.integers(0, 8))
def test_messages_with_moved_markers_and_other_forms_are_the_same(turns: list[Any], marked: int) -> None:
    plain: list[Any] = []
    other: list[Any] = []
    for number, (question, answer, given_, result) in enumerate(turns):
        use = {"type": "tool_use", "id": f"t{number}", "name": "read", "input": given_}
        back = {"type": "tool_result", "tool_use_id": f"t{number}", "content": result}
        block = [{"type": "text", "text": question}]
        thought = {"type": "thinking", "thinking": "hm", "signature": "c2ln"}
        said = {"type": "text", "text": answer}
        plain += [
            {"role": "user", "content": question},
            {"role": "assistant", "content": [said, use]},
            {"role": "user", "content": [back]},
        ]
        other += [
            {"role": "user", "content": block},
            {"role": "assistant", "content": [thought, said, use]},
            {"role": "user", "content": [{**back, "content": [{"type": "text", "text": result}]}]},
        ]
    place = other[marked % len(other)]["content"]
    place[-1] = {**place[-1], **MARKER}
    assert digest(MESSAGES, {"messages": plain}) == digest(MESSAGES, {"messages": shuffled(other)})


@given(turn)
def test_chat_in_other_forms_is_the_same(said: Any) -> None:
    question, answer, given_, result = said
    call: dict[str, Any] = {"id": "t1", "function": {"name": "read", "arguments": json.dumps(given_)}}
    plain = [
        {"role": "user", "content": question},
        {"role": "assistant", "content": answer, "tool_calls": [call]},
        {"role": "tool", "tool_call_id": "t1", "content": result},
    ]
    other: list[Any] = copy.deepcopy(plain)
    other[0]["content"] = [{"type": "text", "text": question, **MARKER}]
    other[1]["content"] = [{"type": "text", "text": answer}]
    other[1]["reasoning_content"] = "hm"
    other[1]["tool_calls"][0]["function"]["arguments"] = json.dumps(shuffled(given_), indent=2)
    other[2]["content"] = [{"type": "text", "text": result}]
    assert digest(CHAT, {"messages": plain}) == digest(CHAT, {"messages": other})


@given(turn)
def test_items_with_and_without_ids_are_the_same(said: Any) -> None:
    question, answer, given_, result = said
    plain = [
        {"role": "user", "content": question},
        {"role": "assistant", "content": answer},
        {"type": "function_call", "call_id": "t1", "name": "read", "arguments": json.dumps(given_)},
        {"type": "function_call_output", "call_id": "t1", "output": result},
    ]
    other = [
        {"type": "message", "role": "user", "content": [{"type": "input_text", "text": question}]},
        {"type": "reasoning", "id": "rs_1", "summary": [], "encrypted_content": "ZW5j"},
        {
            "type": "message",
            "id": "m_1",
            "status": "completed",
            "role": "assistant",
            "content": [{"type": "output_text", "text": answer, "annotations": []}],
        },
        {**plain[2], "id": "fc_1", "status": "completed", "arguments": json.dumps(given_, indent=1)},
        {**plain[3], "id": "fo_1"},
    ]
    assert digest(RESPONSES, {"input": plain}) == digest(RESPONSES, {"input": other})


@given(turn, st.integers(1, 39))
def test_gemini_in_pieces_and_snake_case_is_the_same(said: Any, cut: int) -> None:
    question, answer, given_, result = said
    plain = [
        {"role": "user", "parts": [{"text": question}]},
        {"role": "model", "parts": [{"text": answer}, {"functionCall": {"name": "read", "args": given_}}]},
        {"role": "user", "parts": [{"functionResponse": {"name": "read", "response": {"output": result}}}]},
    ]
    pieces: list[Any] = [{"text": "hm", "thought": True}, {"text": answer[:cut]}, {"text": answer[cut:]}]
    call = {"function_call": {"name": "read", "args": given_}, "thought_signature": "c2ln"}
    other = [
        {"parts": {"text": question}},
        {"role": "MODEL", "parts": [*pieces, call]},
        {"role": "user", "parts": [{"function_response": {"name": "read", "response": {"output": result}}}]},
    ]
    assert digest(GOOGLE, {"contents": plain}) == digest(GOOGLE, {"contents": other})


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Hi", "Hi "),
        ([{"type": "text", "text": "a"}, {"type": "text", "text": "b"}], "ab"),
        ([{"type": "tool_result", "tool_use_id": "t", "content": "x"}], "x"),
        (
            [{"type": "tool_result", "tool_use_id": "t", "content": "x"}],
            [{"type": "tool_result", "tool_use_id": "t", "content": "x", "is_error": True}],
        ),
    ],
)
def test_what_differs_stays_different(one: Any, other: Any) -> None:
    first, second = (digest(MESSAGES, {"messages": [{"role": "user", "content": said}]}) for said in (one, other))
    assert first != second


IMAGE = base64.b64encode(b"\x89PNG" + b"pixels" * 500).decode()


@pytest.mark.parametrize(
    ("api", "part"),
    [
        (MESSAGES, {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": IMAGE}}),
        (
            MESSAGES,
            {
                "type": "tool_result",
                "tool_use_id": "t",
                "content": [{"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": IMAGE}}],
            },
        ),
        (CHAT, {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{IMAGE}"}}),
        (CHAT, {"type": "image", "image": f"data:image/png;base64,{IMAGE}"}),
        (CHAT, {"type": "video_url", "video_url": {"url": f"data:video/mp4;base64,{IMAGE}"}}),
        (CHAT, {"type": "video", "video": [f"data:image/jpeg;base64,{IMAGE}"]}),
        (RESPONSES, {"type": "input_image", "image_url": f"data:image/png;base64,{IMAGE}"}),
        (RESPONSES, {"type": "input_audio", "input_audio": {"data": IMAGE, "format": "wav"}}),
        (GOOGLE, {"inlineData": {"mimeType": "image/png", "data": IMAGE}}),
        (CONVERSE, {"image": {"format": "image/png", "source": {"bytes": IMAGE}}}),
        ("ollama.chat", None),
    ],
)
def test_an_image_is_known_by_its_digest_not_by_its_bytes(api: str, part: Any) -> None:
    message = {"role": "user", "content": [part], "parts": [part], "images": [IMAGE]}
    if part is None:
        message = {"role": "user", "content": "look", "images": [IMAGE]}
    body = {"messages": [message], "input": [message], "contents": [message]}
    found = record(api, body, environment=Environment("u", "full"))
    content = "".join(message.content for message in found.contents)
    assert blob("image", None, IMAGE)["digest"] in content
    assert '"bytes":3004' in content
    assert IMAGE[:40] not in content


def test_arguments_are_values_whatever_their_names() -> None:
    given_ = {"signature": "s", "data": "d", "format": "f", "cache_control": 1}
    assert tool_call("t", "sign", json.dumps(given_))["input"] == given_
    assert tool_call("t", "sign", "text(1)")["input"] == "text(1)"
    assert tool_call("t", "sign", "")["input"] == tool_call("t", "sign", None)["input"] == {}


def test_the_billing_line_of_claude_code_is_no_system_prompt() -> None:
    blocks = [{"type": "text", "text": "x-anthropic-billing-header: cch=1;"}, {"type": "text", "text": "Be kind"}]
    assert system_texts(blocks) == [text("Be kind")] == system_texts("Be kind") == system_texts({"text": "Be kind"})


def test_tools_are_kept_but_for_cache_markers() -> None:
    tool = {"name": "read", "input_schema": {"properties": {"signature": {}, "cache_control": {}}}}
    assert offered_tools([tool | MARKER]) == [tool]
    assert offered_tools({"tools": [{"toolSpec": tool}, {"cachePoint": {}}]}) == [{"toolSpec": tool}]


def test_what_opens_a_server_is_not_kept() -> None:
    tool = {"type": "mcp", "server_label": "m", "server_url": "https://u:p@mcp.invalid/sse?token=t"}
    secret = {"authorization": "s", "headers": {"X-Api-Key": "s"}, "authorization_token": "s"}
    assert offered_tools([tool | secret]) == [{**tool, "server_url": "https://mcp.invalid/sse"}]
    assert blob("image", None, None, "https://h/i.png?X-Amz-Signature=s")["uri"] == "https://h/i.png"


def test_what_json_cannot_hold_is_a_value_error() -> None:
    with pytest.raises(ValueError, match="surrogate"):
        encode("\ud800")


@pytest.mark.parametrize("levels", [10, 990])
@pytest.mark.parametrize("kind", [list, dict])
def test_a_part_of_any_depth_has_a_form(kind: type[Any], levels: int) -> None:
    """Found by bench.fuzz: the answer that held it was no record."""
    value: Any = "said"
    for _ in range(levels):
        value = [value] if kind is list else {"a": value}
    [part] = other({"type": "new", "value": value})
    found = b"said" in encode(part)
    assert found == (levels == 10)
