"""Responses in background: asked for by one exchange, fetched by others."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from aitap.capture.own_ids import answer_id_of
from aitap.capture.routes import Router
from aitap.capture.saved import Replay, SavedExchange
from aitap.record import Interception
from tests.capture.making import RESPONSES, dump, response_events, sse, user
from tests.capture.saving import T0

ROUTER = Router()
MADE = 1_795_000_001
CALL = {"type": "function_call", "id": "fc_1", "call_id": "call_1", "name": "read", "arguments": "{}"}
SAID = {"type": "reasoning", "id": "rs_1", "summary": [{"type": "summary_text", "text": "Hm"}]}
BACKGROUND = {"background": True, "created_at": MADE}
ID = answer_id_of("openai", "resp_1", MADE)
JSON, SSE = ((b"content-type", b"application/json"),), ((b"content-type", b"text/event-stream"),)


def response(status: str, **more: Any) -> bytes:
    """A response as it is told, at any time."""
    [whole] = [e["response"] for e in response_events([SAID, CALL], last="response.completed") if "response" in e][-1:]
    bare = {} if status == "completed" else {"output": [], "usage": None}
    return dump({**whole, **BACKGROUND, **bare, "status": status, **more})


def stream(*, from_event: int = 0, to_event: int | None = None) -> bytes:
    """The events of the response, or some of them."""
    events = response_events([SAID, CALL], **BACKGROUND)
    events[0]["response"].update(BACKGROUND)
    return sse(RESPONSES, events[from_event:to_event])


def exchange(answer: bytes, at: float, method: str = "GET", path: str = "/v1/responses/resp_1", **more: Any) -> Any:
    fields = {
        "hosts": ("api.openai.com",), "port": 443, "method": method, "path": path, "query": "", "headers": (),
        "http_version": "HTTP/1.1", "started_at": T0 + at, "body": None, "asked_at": T0 + at, "status": 200,
        "response_headers": SSE if answer.startswith(b"event") else JSON, "responded_at": T0 + at,
        "response": answer, "ended_at": T0 + at + 1,
    }  # fmt: skip
    return SavedExchange(**{**fields, **more})


def asked(answer: bytes, **more: Any) -> Any:
    body = dump({"model": "o3-deep-research", "background": True, "input": [user("do it")]})
    return exchange(answer, 0.0, "POST", "/v1/responses", body=body, **more)


def records(*exchanges: Any, player: Replay | None = None) -> list[Interception]:
    player = player or Replay(ROUTER, "me", "metadata+prompt")
    found = [record for exchange in exchanges for record in player.records(exchange)]
    assert player.decode_errors == 0
    return found


def test_however_often_an_answer_is_polled_it_is_recorded_once() -> None:
    """Under an id that follows from the response, so that another process stores it a second time as little."""
    waiting = [exchange(response("in_progress"), 1.0 + number) for number in range(10)]
    ready = [exchange(response("completed"), 20.0 + number) for number in range(10)]
    post, got = records(asked(response("queued")), *waiting, *ready)
    assert (post.method, post.stop_reason, post.token_usages, len(post.user_prompts)) == ("POST", "queued", [], 1)
    assert (got.method, got.started_at, got.outcome, got.id) == ("GET", T0 + 20, "completed", ID)
    assert got.token_usages[0].output_tokens == 9
    assert [call.provider_tool_call_id for call in got.tool_usages] == ["call_1"]
    assert [thought.content for thought in got.model_thoughts] == ["Hm"]
    assert got.user_prompts == []
    [late] = records(exchange(response("completed"), 400_000.0))
    assert late.id == got.id


def test_a_streams_rest_that_is_fetched_tells_all() -> None:
    cut = asked(stream(to_event=3), ending="cancelled")
    rest = exchange(stream(from_event=4), 5.0, query="stream=true&starting_after=3")
    post, got = records(cut, rest)
    assert (post.outcome, post.token_usages) == ("cancelled", [])
    assert (got.outcome, got.streaming, got.time_to_first_token) == ("completed", True, None)
    assert got.token_usages[0].output_tokens == 9


def test_who_stayed_to_the_end_has_told_all() -> None:
    [post] = records(asked(stream()), exchange(response("completed"), 9.0))
    assert post.token_usages[0].output_tokens == 9
    assert post.lineage.answer_id == ID


@pytest.mark.parametrize(
    "fetched",
    [
        exchange(response("completed", background=False), 1.0),
        exchange(response("completed"), 1.0, path="/v1/responses/resp_1/input_items"),
        exchange(dump({"error": {"message": "not found"}}), 1.0, status=404),
        exchange(stream(to_event=4), 1.0, ending="broken", failure="reset"),
        exchange(b"{", 1.0),
        exchange(response("completed"), 1.0, "POST"),
        exchange(response("completed"), 1.0, "DELETE"),
        exchange(response("completed"), 1.0, path="/v1/files/resp_1"),
        exchange(response("completed"), 1.0, hosts=("example.com",)),
    ],
    ids=["foreground", "items", "unknown", "cut", "broken", "POST", "DELETE", "path", "host"],
)
def test_what_says_nothing_new_of_a_response_in_background_is_no_record(fetched: SavedExchange) -> None:
    assert records(fetched) == []


def test_a_response_that_is_cancelled_or_fails_is_told_as_such() -> None:
    [cancelled] = records(exchange(response("cancelled"), 1.0, "POST", "/v1/responses/resp_1/cancel"))
    assert (cancelled.stop_reason, cancelled.token_usages) == ("cancelled", [])
    [failed] = records(exchange(response("failed", error={"code": "server_error", "message": "no"}), 1.0))
    assert (failed.outcome, failed.error_message) == ("failed", "no")


def test_ids_that_a_provider_uses_again_are_two_responses() -> None:
    again = exchange(response("completed", created_at=MADE + 60), 70.0)
    first, second = records(exchange(response("completed"), 1.0), again)
    assert first.id != second.id


def test_what_is_fetched_is_known_by_its_path_and_no_call() -> None:
    fetch = ROUTER.fetch("api.openai.com", "/v1/responses/resp_1")
    assert fetch is not None
    assert fetch.fetched
    assert msgspec.structs.replace(fetch, fetched=False) == ROUTER.route("api.openai.com", "/v1/responses")
    assert ROUTER.route("api.openai.com", "/v1/responses/resp_1") is None
    for path in ("/v1/responses", "/v1/responses/", "/v1/responses/a/b", "/v1/chat/completions/a"):
        assert ROUTER.fetch("api.openai.com", path) is None
    assert ROUTER.fetch("api.openai.com", "/v1/responses/resp_1/cancel", post=True) == fetch
    assert ROUTER.fetch("api.openai.com", "/v1/responses/resp_1", post=True) is None
