"""Saved exchanges on the way of live ones."""

from __future__ import annotations

from typing import Any

import msgspec

from aitap.capture.routes import Router
from aitap.capture.saved import Replay, SavedExchange, SavedMessage
from aitap.record import Interception
from tests.capture.making import CHAT, answers, dump, response_events, sse, user
from tests.capture.saving import T0, body, chat_answer

ROUTER = Router()


def saved(**more: Any) -> SavedExchange:
    values: dict[str, Any] = {
        "hosts": ("api.openai.com",),
        "port": 443,
        "method": "POST",
        "path": "/v1/chat/completions",
        "query": "",
        "http_version": "HTTP/1.1",
        "headers": (),
        "started_at": T0,
        "body": body(),
        "asked_at": T0 + 1,
        "status": 200,
        "response_headers": ((b"content-type", b"application/json"),),
        "responded_at": T0 + 2,
        "response": chat_answer(),
        "ended_at": T0 + 3,
    }
    return SavedExchange(**{**values, **more})


def replay() -> Replay:
    return Replay(ROUTER, "me", "metadata+prompt")


def records(*exchanges: SavedExchange) -> list[Interception]:
    player = replay()
    found = [record for exchange in exchanges for record in player.records(exchange)]
    assert player.decode_errors == 0
    assert not player._pipeline._open
    assert not player._pipeline._unannounced
    return found


def test_a_saved_exchange_gives_the_record_that_it_would_have_given_live() -> None:
    (record,) = records(saved())
    assert (record.outcome, record.provider_name, record.model, record.status_code) == (
        *("completed", "openai", "gpt-test-1", 200),
    )
    assert record.user_prompts[0].prompt == "Say hi"
    assert record.token_usages[0].output_tokens == 7
    assert (record.started_at, record.ended_at, record.duration) == (T0, T0 + 3, 3.0)


def test_ids_are_made_of_what_was_exchanged() -> None:
    """The same exchange has the same ids, in whatever run; any other has others. They sort by time."""
    stream = sse(CHAT, answers(CHAT))
    whole = saved(response=stream, response_headers=((b"content-type", b"text/event-stream"),), body=body(stream=True))
    (first,), (again,) = records(whole), records(whole)
    assert msgspec.to_builtins(first) == msgspec.to_builtins(again)
    tools = [tool.id for tool in first.tool_usages]
    assert len(tools) == 2
    assert tools == sorted(tools)
    others = [
        saved(),
        saved(body=body("else")),
        saved(response=chat_answer("other")),
        saved(started_at=T0 + 0.001),
        saved(path="/v1/responses"),
        saved(query="a=b"),
    ]
    found = [record.id for other in others for record in records(other)]
    assert len({first.id, *found}) == len(others) + 1
    early, late = records(saved(), saved(started_at=T0 + 0.001))
    assert early.id < late.id


def test_when_pieces_of_a_body_came_is_not_made_up() -> None:
    stream = sse(CHAT, answers(CHAT))
    headers = ((b"content-type", b"text/event-stream"),)
    (record,) = records(saved(response=stream, response_headers=headers, body=body(stream=True)))
    assert (record.streaming, record.time_to_first_token) == (True, None)


def test_what_a_file_leaves_out_is_told_and_not_taken_for_a_failure() -> None:
    (record,) = records(saved(response=None))
    assert (record.outcome, record.error_type, record.token_usages) == ("completed", None, [])
    assert record.metadata == {"response_unsaved": True}
    (record,) = records(saved(response=None, status=500))
    assert record.outcome == "failed"
    (record,) = records(saved(body=None))
    assert record.metadata["request_unsaved"] is True


def test_an_exchange_ends_as_the_file_says() -> None:
    for ending, outcome in (("broken", "failed"), ("cancelled", "cancelled"), ("interrupted", "interrupted")):
        for status in (None, 200):
            (record,) = records(saved(ending=ending, status=status, response=b'{"id"', failure="gone"))
            assert record.outcome == outcome
            assert record.ended_at == T0 + 3


def test_a_retry_is_known_by_its_id_that_lasts() -> None:
    failed = saved(status=500, response=b"{}")
    first, second = records(failed, saved(started_at=T0 + 5))
    assert second.retry_of == first.id
    assert second.user_prompts == []


def test_each_response_of_a_socket_is_a_record_with_the_times_of_its_messages() -> None:
    messages: list[SavedMessage] = []
    for turn in range(2):
        create = dump({"type": "response.create", "model": "m", "input": [user(f"prompt {turn}")]})
        messages.append(SavedMessage(create, T0 + 10 * turn, from_client=True))
        messages += [SavedMessage(dump(event), T0 + 10 * turn + 2, from_client=False) for event in response_events()]
    messages.append(SavedMessage(dump({"type": "response.create", "input": "x"}), T0 + 50, from_client=True))
    for ending, outcome in (("cancelled", "cancelled"), ("broken", "failed"), ("interrupted", "interrupted")):
        found = records(
            saved(method="GET", path="/v1/responses", status=101, messages=tuple(messages), ending=ending, body=b"")
        )
        assert [record.outcome for record in found] == ["completed", "completed", outcome]
        assert [record.started_at for record in found] == [T0, T0 + 10, T0 + 50]
        assert len({record.id for record in found}) == 3


def test_what_is_no_call_of_a_model_gives_nothing() -> None:
    assert records(
        saved(hosts=("example.com",), path="/"),
        saved(hosts=("example.com",), body=b"{}"),
        saved(method="GET"),
        saved(path="/v1/models"),
        saved(path="/v1/realtime"),
    ) == []  # fmt: skip


def test_a_host_that_is_in_no_table_is_recorded_by_what_it_is_asked() -> None:
    (record,) = records(saved(hosts=("10.0.0.1", "llm.example.com")))
    assert (record.provider, record.provider_name, record.host) == ("unknown", "llm.example.com", "llm.example.com")
