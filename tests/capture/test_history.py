"""Digests of conversations."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from aitap.capture.facts import Message
from aitap.capture.history import body_digest, conversation_digests
from tests.capture.making import CHAT, MESSAGES, RESPONSES, ask, user

ANSWER = {"role": "assistant", "content": "yes"}

turns = st.lists(st.builds(Message, st.sampled_from(["user", "tool"]), st.lists(st.text(), max_size=3)), max_size=6)


def digests(*messages: Any, api: str = MESSAGES, scope: str = "me", client: str | None = None) -> list[str]:
    body: dict[str, Any] = {"input" if api == RESPONSES else "messages": list(messages)}
    conversation = ask(api, **body).conversation
    assert conversation is not None
    return conversation_digests(scope, conversation(), client)


@given(turns, turns)
def test_a_conversation_that_goes_on_shares_its_beginning(first: list[Message], more: list[Message]) -> None:
    short, long = conversation_digests("me", first, None), conversation_digests("me", first + more, None)
    assert long[: len(short)] == short
    assert len(long) == len(first) + len(more)


def test_other_words_are_another_conversation() -> None:
    assert digests(user("a"))[-1] != digests(user("b"))[-1]
    assert digests(user("a"), ANSWER, user("b"))[-1] != digests(user("b"), ANSWER, user("a"))[-1]
    assert digests(user([{"type": "text", "text": part} for part in ("a", "b")]))[-1] != digests(user("ab"))[-1]


def test_equal_words_of_two_senders_are_two_conversations() -> None:
    assert digests(user("a"), scope="me") != digests(user("a"), scope="you")


def test_what_changes_when_a_turn_is_sent_again_does_not_count() -> None:
    marked = [{"type": "text", "text": "a", "cache_control": {"type": "ephemeral"}}]
    reminded = [{"type": "text", "text": "<system-reminder>noon</system-reminder>"}, {"type": "text", "text": "a"}]
    system = {"role": "system", "content": "# Environment"}
    expected = digests(user("a"), ANSWER, user("b"))
    assert digests(user(marked), ANSWER, user("b")) == expected
    assert digests(user(reminded), ANSWER, user("b")) == expected
    assert digests(user("a"), system, ANSWER, user("b")) == expected
    assert digests(user("a"), {"role": "assistant", "content": "merged and trimmed"}, user("b")) == expected
    assert digests(user("a"), user("b")) == expected


def test_that_tools_answered_counts_but_not_what() -> None:
    def result(content: str) -> dict[str, Any]:
        return user([{"type": "tool_result", "tool_use_id": "t", "content": content}])

    assert digests(user("a"), ANSWER, result("x")) == digests(user("a"), ANSWER, result("y"))
    assert digests(user("a"), ANSWER, result("x"))[-1] != digests(user("a"))[-1]


def test_the_three_apis_digest_the_same_words_alike() -> None:
    assert digests(user("a"), ANSWER, user("b")) == digests(user("a"), ANSWER, user("b"), api=CHAT)
    assert digests(user("a"), ANSWER, user("b")) == digests(user("a"), ANSWER, user("b"), api=RESPONSES)


def test_a_body_digest_is_equal_for_equal_bytes_of_one_sender_alone() -> None:
    assert body_digest("me", b"body") == body_digest("me", b"body")
    assert len({body_digest("me", b"body"), body_digest("me", b"Body"), body_digest("you", b"body")}) == 3
