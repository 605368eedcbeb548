"""Threads of a session: who hangs under whom."""

from __future__ import annotations

from typing import Any

from aitap.storage.threads import session_threads, token_sum


def interception(id: str, root: str | None = None, second: int = 0, **fields: Any) -> dict[str, Any]:
    return {
        "id": id,
        "thread_root_id": root,
        "purpose": "conversation",
        "metadata": {},
        "model": "m",
        "provider": "anthropic",
        "credential_kind": "centralized",
        "credential_hint": None,
        "started_at": f"2026-03-01T12:00:{second:02}.000000+00:00",
        "ended_at": f"2026-03-01T12:00:{second:02}.500000+00:00",
        "error_type": None,
        "error_message": None,
        "user_prompts": [],
        "token_usages": [],
    } | fields


def usage(tokens: int) -> dict[str, int]:
    names = ("input_tokens", "output_tokens", "cache_read_input_tokens", "cache_write_input_tokens")
    return dict.fromkeys(names, tokens)


def names(threads: list[dict[str, Any]]) -> list[Any]:
    return [
        (thread["id"], [member["id"] for member in thread["interceptions"]], names(thread["subagents"]))
        for thread in threads
    ]


def test_interceptions_gather_under_their_root() -> None:
    found = session_threads([interception("a"), interception("b", "a", 1), interception("c", None, 2)])
    assert names(found["threads"]) == [("a", ["a", "b"], []), ("c", ["c"], [])]


def test_subagents_hang_under_the_thread_that_started_them_however_deep() -> None:
    found = session_threads(
        [
            interception("a"),
            interception("b", metadata={"parent_thread": "a", "agent": "Explore"}),
            interception("c", metadata={"parent_thread": "b"}),
        ]
    )
    assert names(found["threads"]) == [("a", ["a"], [("b", ["b"], [("c", ["c"], [])])])]
    assert found["threads"][0]["subagents"][0]["agent"] == "Explore"


def test_a_ring_of_parents_loses_no_thread() -> None:
    found = session_threads(
        [
            interception("a", metadata={"parent_thread": "b"}),
            interception("b", metadata={"parent_thread": "a"}),
            interception("c", metadata={"parent_thread": "a"}),
            interception("d", metadata={"parent_thread": "d"}),
            interception("e", metadata={"parent_thread": "elsewhere"}),
        ]
    )
    assert [name for name, _, _ in names(found["threads"])] == ["a", "b", "c", "d", "e"]


def test_auxiliary_calls_and_probes_stand_apart() -> None:
    found = session_threads([interception("a", purpose="auxiliary"), interception("b", purpose="probe")])
    assert found["threads"] == []
    assert [record["id"] for record in found["auxiliary"]] == ["a", "b"]


def test_a_thread_has_the_prompt_of_its_first_prompt_and_the_last_error() -> None:
    found = session_threads(
        [
            interception("a", error_type="overloaded", error_message="1"),
            interception("b", "a", 1, user_prompts=[{"prompt": "hi"}], error_type="timeout", error_message="2"),
            interception("c", "a", 2, ended_at=None),
        ]
    )
    (thread,) = found["threads"]
    assert (thread["prompt"], thread["error_message"], thread["ended_at"]) == ("hi", "2", None)


def test_tokens_sum_over_what_is_known_and_are_unknown_otherwise() -> None:
    assert set(token_sum([interception("a")]).values()) == {None}
    some = interception("b", token_usages=[usage(2), usage(3)])
    assert set(token_sum([interception("a"), some]).values()) == {5}
