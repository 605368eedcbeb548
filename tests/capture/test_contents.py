"""Contents: every message once, whatever the dialect, and nothing at all unless they are asked for."""

from __future__ import annotations

from sys import getsizeof
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from aitap.capture import contents as module
from aitap.capture.dialects import DIALECTS
from aitap.capture.environment import Environment
from aitap.capture.facts import Turn
from aitap.record import Interception, StoredMessage, message_digest
from tests.capture.dialogues import ANSWER, ARGUMENTS, DIALOGUES, QUESTION, RESULT, Dialogue
from tests.capture.making import (
    CHAT,
    MESSAGES,
    RESPONSES,
    by_blocks,
    dump,
    message_events,
    record,
    response_events,
    sse,
)
from tests.capture.making import user as said
from tests.capture.test_response_socket import Wire


@pytest.fixture
def environment() -> Environment:
    return Environment("00000000-0000-4000-8000-000000000001", "full")


def text(value: str) -> dict[str, Any]:
    return {"type": "text", "text": value}


def spoken(record: Interception, digest: str | None) -> list[tuple[str, Any]]:
    """The chain that ends at a digest, oldest first: who speaks, and the parts."""
    known = {message.digest: message for message in record.contents}
    chain = []
    while digest is not None and (message := known.get(digest)):
        chain.append((message.role, msgspec.json.decode(message.content)))
        digest = message.parent_digest
    return chain[::-1]


def each(dialogues: list[Dialogue]) -> Any:
    return pytest.mark.parametrize("dialogue", dialogues, ids=[dialogue.api for dialogue in dialogues])


@each(DIALOGUES)
@pytest.mark.parametrize("streamed", [True, False])
def test_an_answer_is_the_very_message_that_the_next_request_sends(
    dialogue: Dialogue, streamed: bool, environment: Environment
) -> None:
    response = dialogue.stream if streamed else [dump(dialogue.whole)]
    content_type = dialogue.content_type if streamed else "application/json"
    first = record(dialogue.api, dialogue.ask, response, content_type=content_type, environment=environment)
    again = record(dialogue.api, dialogue.again, environment=environment)
    assert first.outcome == "completed"
    new = {message.digest for message in again.contents} - {message.digest for message in first.contents}
    assert new == {again.request_digest}
    assert (first.system_digest, first.tools_digest) == (again.system_digest, again.tools_digest)


@each(DIALOGUES)
def test_what_was_said_is_read_in_one_form(dialogue: Dialogue, environment: Environment) -> None:
    first = record(
        dialogue.api, dialogue.ask, dialogue.stream, content_type=dialogue.content_type, environment=environment
    )
    again = record(dialogue.api, dialogue.again, environment=environment)
    call_id = {} if dialogue.api == "ollama.chat" else {"id": "t1"}
    call = {"type": "tool_call", "name": "read", "input": ARGUMENTS, **call_id}
    answer = spoken(first, first.response_digest)
    assert answer[0] == ("user", [text(QUESTION)])
    assert [part for role, parts in answer[1:] for part in parts if role == "assistant"] == [text(ANSWER), call]
    answers = {"id": "read"} if dialogue.api == "ollama.chat" else call_id
    result = {"type": "tool_result", "content": [text(RESULT)], **answers}
    assert spoken(again, again.request_digest) == [*answer, ("tool", [result])]
    assert spoken(first, first.system_digest) == [("system", [text("Be kind")])]
    [(role, tools)] = spoken(first, first.tools_digest)
    assert role == "tools"
    assert "read" in str(tools)
    assert "cachePoint" not in str(tools)


@each(DIALOGUES)
def test_a_stream_that_is_cut_keeps_what_came(dialogue: Dialogue, environment: Environment) -> None:
    if dialogue.api == "bedrock.invoke":
        pieces = dialogue.stream[:-3]
    elif dialogue.api != RESPONSES:
        last = next(number for number, piece in enumerate(dialogue.stream) if "好".encode() in piece)
        pieces = dialogue.stream[: last + 1]
    else:
        delta = {"type": "response.output_text.delta", "output_index": 0, "delta": "It is"}
        pieces = by_blocks(RESPONSES, [*response_events()[:2], delta])
    cut = record(dialogue.api, dialogue.ask, pieces, content_type=dialogue.content_type, environment=environment)
    assert cut.outcome == "failed"
    assert spoken(cut, cut.response_digest)[-1][1][0]["text"].startswith("It is")


@each(DIALOGUES)
@pytest.mark.parametrize("capture", ["minimal", "metadata+prompt"])
def test_without_full_capture_nothing_is_computed(
    dialogue: Dialogue, capture: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def never(*_: Any, **__: Any) -> Any:
        raise AssertionError

    monkeypatch.setattr(module, "message_digest", never)
    monkeypatch.setattr(module, "blake2b", never)
    monkeypatch.setattr(module, "encode", never)
    found = record(dialogue.api, dialogue.ask, dialogue.stream, content_type=dialogue.content_type, capture=capture)
    assert found.outcome == "completed"
    assert found.contents == []
    assert {found.request_digest, found.response_digest, found.system_digest, found.tools_digest} == {None}


@each(DIALOGUES)
def test_facts_are_the_same_with_and_without_contents(dialogue: Dialogue, environment: Environment) -> None:
    def facts(**more: Any) -> Any:
        found = record(dialogue.api, dialogue.ask, dialogue.stream, content_type=dialogue.content_type, **more)
        plain = msgspec.to_builtins(found)
        children = ("user_prompts", "tool_usages", "model_thoughts", "token_usages")
        for child in (child for name in children for child in plain[name]):
            del child["id"]
        ours = ("id", "capture", "contents", "request_digest", "response_digest", "system_digest", "tools_digest")
        return {name: value for name, value in plain.items() if name not in ours}

    assert facts(environment=environment) == facts()


def test_the_skipping_of_text_is_only_given_up_for_contents() -> None:
    events = by_blocks(MESSAGES, message_events([({"type": "text", "text": ""}, [])]))
    for keep_text in (True, False):
        decoder = DIALECTS[MESSAGES].decoder("/", {}, keep_text=keep_text)
        for block in events[:3]:
            kind, data = block.strip().split(b"\n")
            decoder.event(kind.removeprefix(b"event: "), data.removeprefix(b"data: "), 1.0)
        assert bool(decoder.skip) is not keep_text


def turns_of_agent(count: int, size: int = 2000) -> list[list[dict[str, Any]]]:
    """The requests of an agent's session: each with all that was said before."""
    messages: list[dict[str, Any]] = [said("Fix the tests. " + "x" * size)]
    requests = []
    for number in range(count):
        requests.append(list(messages))
        use = {"type": "tool_use", "id": f"t{number}", "name": "Bash", "input": {"command": f"run {number}"}}
        messages.append({"role": "assistant", "content": [text(f"Step {number}"), use]})
        output = f"{number} " + chr(97 + number % 26) * size
        messages.append(said([{"type": "tool_result", "tool_use_id": f"t{number}", "content": output}]))
    return requests


def marked(messages: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The same with a cache marker on the last message, as clients move it on."""
    *before, last = messages
    content = last["content"] if isinstance(last["content"], list) else [text(last["content"])]
    *parts, part = content
    return [*before, {**last, "content": [*parts, {**part, "cache_control": {"type": "ephemeral"}}]}]


def test_a_session_costs_what_was_new_in_each_turn(environment: Environment) -> None:
    """80 turns that send 40 times as much in sum take less than one and a half times the last request."""
    system, tools = "Be an agent. " + "y" * 20_000, [{"name": "Bash", "description": "z" * 20_000}]
    stored: dict[str, StoredMessage] = {}
    sent = 0
    for number, messages in enumerate(turns_of_agent(80)):
        body = dump({"model": "m", "system": system, "tools": tools, "messages": marked(messages)})
        sent += len(body)
        use = {"type": "tool_use", "id": f"t{number}", "name": "Bash", "input": {}}
        arguments = {"type": "input_json_delta", "partial_json": f'{{"command": "run {number}"}}'}
        answer = [
            (text(""), [{"type": "text_delta", "text": f"Step {number}"}]),
            (use, [arguments]),
        ]
        found = record(MESSAGES, body, sse(MESSAGES, message_events(answer)), environment=environment)
        stored |= {message.digest: message for message in found.contents}
    columns = sum(len(m.content.encode()) + len(m.digest) + len(m.parent_digest or "") for m in stored.values())
    assert sent > 30 * len(body)
    assert columns < 1.5 * len(body)
    assert len(stored) == 2 + 1 + 2 * 79 + 1


def test_what_was_read_lately_is_not_read_again(environment: Environment, monkeypatch: pytest.MonkeyPatch) -> None:
    first, second = turns_of_agent(41)[-2:]
    record(MESSAGES, {"messages": first}, environment=environment)
    counted = []
    monkeypatch.setattr(module, "message_digest", lambda *parts: counted.append(parts) or message_digest(*parts))
    found = record(MESSAGES, {"messages": second}, environment=environment)
    assert len(counted) == 2
    assert len(found.contents) == len(second)


def test_memory_for_reuse_is_bounded() -> None:
    contents = module.Contents(limit=100_000)
    environment = Environment("u", "full")
    environment.contents = contents
    for number in range(100):
        record(MESSAGES, {"messages": [said(f"{number}" + "x" * 5000)]}, environment=environment)
    held = sum(len(m.content) for kept in (contents._new, contents._old) for chain in kept.values() for m in chain)
    assert held < 2 * 100_000


def test_memory_for_reuse_counts_bytes_not_characters() -> None:
    contents = module.Contents(limit=100_000)
    environment = Environment("u", "full")
    environment.contents = contents
    for number in range(100):
        record(MESSAGES, {"messages": [said(f"{number}\U0001f600" + "x" * 5000)]}, environment=environment)
    kept = (m for half in (contents._new, contents._old) for chain in half.values() for m in chain)
    assert sum(getsizeof(message.content) for message in kept) < 2 * 100_000


def test_a_changed_message_parts_the_conversation_from_there_on(environment: Environment) -> None:
    [messages] = turns_of_agent(5)[-1:]
    first = record(MESSAGES, {"messages": messages}, environment=environment)
    changed = [
        *messages[:4],
        said([{"type": "tool_result", "tool_use_id": "t1", "content": "[cleared]"}]),
        *messages[5:],
    ]
    second = record(MESSAGES, {"messages": changed}, environment=environment)
    shared = [one.digest == two.digest for one, two in zip(first.contents, second.contents, strict=True)]
    assert shared == [True] * 4 + [False] * (len(messages) - 4)


class TestPreviousResponse:
    """A request that names the response before it continues that one's answer."""

    items = (
        {"type": "message", "id": "m_1", "role": "assistant", "content": [{"type": "output_text", "text": "Hello"}]},
    )

    def test_known(self, environment: Environment) -> None:
        stream = sse(RESPONSES, response_events(self.items))
        first = record(RESPONSES, {"input": "Hi"}, stream, environment=environment)
        second = record(RESPONSES, {"input": "More", "previous_response_id": "resp_1"}, environment=environment)
        assert [message.parent_digest for message in second.contents] == [first.response_digest]

    def test_an_answer_without_content_leads_to_what_it_answered(self, environment: Environment) -> None:
        first = record(
            RESPONSES, {"input": "Hi", "generate": False}, sse(RESPONSES, response_events()), environment=environment
        )
        second = record(RESPONSES, {"input": "More", "previous_response_id": "resp_1"}, environment=environment)
        assert first.response_digest is None
        assert [message.parent_digest for message in second.contents] == [first.request_digest]

    def test_unknown(self, environment: Environment) -> None:
        found = record(RESPONSES, {"input": "More", "previous_response_id": "resp_9"}, environment=environment)
        assert spoken(found, found.request_digest) == [
            ("system", [{"type": "previous_response", "id": "resp_9"}]),
            ("user", [text("More")]),
        ]

    def test_of_another_user(self, environment: Environment) -> None:
        record(RESPONSES, {"input": "Hi"}, sse(RESPONSES, response_events(self.items)), environment=environment)
        environment.initiator_id = "someone else"
        body = {"input": "More", "previous_response_id": "resp_1"}
        found = record(RESPONSES, body, environment=environment)
        assert found.contents[0].parent_digest is None


def test_turns_over_a_socket_are_one_conversation() -> None:
    wire = Wire()
    wire.pipeline.environment.capture = "full"
    answered = {"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": "Yes"}]}
    wire.ask(input=[said("One")])
    wire.server(*map(dump, response_events([answered])))
    wire.ask(input=[said("Two")], previous_response_id="resp_1")
    wire.server(*map(dump, response_events([answered])))
    wire.ask(input=[said("Three")], previous_response_id="resp_1")
    first, second, third = wire.server(*map(dump, response_events()))
    parents = [record.contents[0].parent_digest for record in (first, second, third)]
    assert parents == [None, first.response_digest, second.response_digest]
    assert [len(record.contents) for record in (first, second, third)] == [2, 2, 1]


def test_memory_of_responses_is_bounded() -> None:
    contents = module.Contents()
    found = record(RESPONSES, {"input": "Hi"}, status=None, environment=Environment("u", "full"))
    for number in range(10_000):
        contents.response(found, [], f"resp_{number}")
    assert len(contents._responses) < 5000
    assert contents._responses["u", "resp_9999"] == found.request_digest
    contents.response(found, [], "r" * 100_000)
    assert max(len(response) for _, response in contents._responses) <= 512


def test_each_digest_covers_what_is_stored(environment: Environment) -> None:
    found = record(MESSAGES, {"messages": turns_of_agent(4)[-1], "system": "Be kind"}, environment=environment)
    for message in found.contents:
        assert message.digest == message_digest(message.parent_digest, message.role, message.content.encode())
        assert message.digest.startswith("b2:")


def test_what_is_announced_does_not_change_any_more(environment: Environment) -> None:
    found = record(CHAT, {"messages": [said("Hi")]}, status=None, environment=environment)
    announced = msgspec.structs.replace(found)
    environment.contents.response(found, [Turn("assistant", [text("Hello")])], None)
    assert (len(announced.contents), len(found.contents)) == (1, 2)


@given(st.binary(max_size=200))
def test_no_request_is_too_odd(body: bytes) -> None:
    environment = Environment("u", "full")
    for api in DIALECTS:
        found = record(api, b'{"messages": [%s], "input": [%s]}' % (body, body), environment=environment)
        assert "contents_unread" not in found.metadata


_json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=9),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["role", "type", "content", "text", "parts", "input", "data", "source", "media_type", "id"])
            | st.text(max_size=3),
            inner,
            max_size=5,
        )
    ),
    max_leaves=20,
)


@given(st.lists(_json, max_size=4))
def test_no_message_is_too_odd(messages: list[Any]) -> None:
    environment = Environment("u", "full")
    for api in DIALECTS:
        body = {"messages": messages, "input": messages, "contents": messages, "system": messages, "tools": messages}
        found = record(api, body, environment=environment)
        assert found.error_message != "the recorder could not read this exchange; the traffic was not affected"
