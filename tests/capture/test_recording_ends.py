"""How a record ends: completed, failed, cancelled or interrupted, and with which words."""

from __future__ import annotations

import zlib
from typing import Any

import pytest

from tests.capture.exchanges import APIS, CODERS, asked, ended
from tests.capture.making import (
    CHAT,
    MESSAGES,
    RESPONSES,
    answers,
    record,
    response_events,
    sse,
)


def test_usage_that_never_came_stays_unknown() -> None:
    found = record(CHAT, asked(CHAT), sse(CHAT, answers(CHAT)[:-1]))
    assert (found.outcome, found.token_usages) == ("completed", [])


@pytest.mark.parametrize(
    ("status", "body", "kind", "message"),
    [
        (400, b'{"type":"error","error":{"type":"invalid_request_error","message":"No"}}', "bad_request", "No"),
        (401, b'{"error":{"message":"No","type":"invalid_request_error"}}', "unauthorized", "No"),
        (429, b'{"error":"No"}', "rate_limited", "No"),
        (529, b'{"type":"error","error":{"type":"overloaded_error","message":"No"}}', "overloaded", "No"),
        (500, b'{"message":"No"}', "server_error", "No"),
        (403, b'{"detail":"No"}', "unauthorized", "No"),
        (502, b"<html>Bad gateway</html>", "server_error", "<html>Bad gateway</html>"),
        (504, b"", "timeout", "HTTP 504"),
        (503, b"  \n", "overloaded", "HTTP 503"),
        (400, b'data: {"error":{"message":"No"}}\n\n', "bad_request", "No"),
        (500, b'event: error\ndata: {"type":"error","error":{"message":"No"}}\n\n', "server_error", "No"),
    ],
)
@pytest.mark.parametrize("api", APIS)
def test_an_http_error_of_any_shape_is_a_failure_with_the_providers_words(
    api: str, status: int, body: bytes, kind: str, message: str
) -> None:
    found = record(api, asked(api), [body[:9], body[9:]], status=status, content_type="application/json")
    assert (found.outcome, found.status_code, found.error_type) == ("failed", status, kind)
    assert found.error_message == message
    assert found.token_usages == []
    assert [(prompt.prompt, prompt.provider_response_id) for prompt in found.user_prompts] == [("do it", "")]


@pytest.mark.parametrize(
    ("api", "event", "kind"),
    [
        (MESSAGES, {"type": "error", "error": {"type": "overloaded_error", "message": "No"}}, "overloaded"),
        (CHAT, {"error": {"message": "No", "type": "tokens", "code": "rate_limit_exceeded"}}, "rate_limited"),
        (CHAT, {"error": {"message": "No", "code": 502}}, "server_error"),
        (RESPONSES, {"type": "error", "code": "rate_limit_exceeded", "message": "No"}, "rate_limited"),
        (RESPONSES, {"type": "error", "error": {"type": "server_error", "message": "No"}}, "server_error"),
        (
            RESPONSES,
            {"type": "response.failed", "response": {"status": "failed", "error": {"code": "x", "message": "No"}}},
            "unknown",
        ),
    ],
)
def test_an_error_in_a_stream_is_a_failure_with_what_was_read_until_then(
    api: str, event: dict[str, Any], kind: str
) -> None:
    begun = answers(api)[: -1 if api == RESPONSES else -2]
    found = record(api, asked(api), sse(api, [*begun, event]))
    assert (found.outcome, found.status_code, found.error_type, found.error_message) == ("failed", 200, kind, "No")
    assert len(found.tool_usages) == 2
    assert found.model_thoughts


def test_an_incomplete_response_is_completed_with_its_reason() -> None:
    events = response_events(last="response.incomplete", incomplete_details={"reason": "max_output_tokens"})
    found = record(RESPONSES, asked(RESPONSES), sse(RESPONSES, events))
    assert (found.outcome, found.stop_reason) == ("completed", "max_output_tokens")


@pytest.mark.parametrize(
    ("ending", "outcome", "kind"),
    [
        ({}, "failed", "unknown"),
        ({"failure": "connection lost"}, "failed", "unknown"),
        ({"failure": "peer timed out"}, "failed", "timeout"),
        ({"cancelled": True, "failure": "Client disconnected."}, "cancelled", None),
        ({"interrupted": True}, "interrupted", None),
    ],
)
def test_a_broken_stream_says_who_went_first(ending: dict[str, Any], outcome: str, kind: str | None) -> None:
    found = record(MESSAGES, asked(MESSAGES), sse(MESSAGES, answers(MESSAGES))[:900], **ending)
    assert (found.outcome, found.error_type) == (outcome, kind)
    assert found.token_usages[0].metadata["partial"] is True
    assert ending.get("failure") in (None, found.error_message) or outcome == "cancelled"


def test_a_request_that_was_never_answered_is_a_failure_of_the_server() -> None:
    found = record(CHAT, asked(CHAT), status=None, failure="connection refused")
    assert (found.outcome, found.status_code, found.error_type) == ("failed", None, "server_error")
    assert found.error_message == "connection refused"
    assert record(CHAT, asked(CHAT), status=None, cancelled=True).outcome == "cancelled"


def test_an_answer_that_was_whole_is_completed_however_the_connection_ended() -> None:
    stream = sse(MESSAGES, answers(MESSAGES))
    for ending in ({"cancelled": True}, {"failure": "reset"}, {"interrupted": True}):
        assert record(MESSAGES, asked(MESSAGES), stream, **ending).outcome == "completed"


@pytest.mark.parametrize("coding", ["gzip", "br", "zstd", "deflate"])
def test_a_response_that_cannot_be_decoded_ends_as_a_failure_with_what_was_read(coding: str) -> None:
    coded = CODERS[coding](sse(MESSAGES, answers(MESSAGES)) + bytes(range(256)) * 4)
    whole = sse(MESSAGES, answers(MESSAGES))
    stream = zlib.compressobj(wbits=31)
    pieces = [stream.compress(whole[:900]) + stream.flush(zlib.Z_SYNC_FLUSH), b"\xff" * 50]
    found = record(MESSAGES, asked(MESSAGES), pieces, response_headers={"content-encoding": "gzip"})
    assert (found.outcome, len(found.token_usages)) == ("failed", 1)
    ended(record(MESSAGES, asked(MESSAGES), coded[::-1], response_headers={"content-encoding": coding}))


def test_an_unknown_coding_is_named() -> None:
    found = record(CHAT, asked(CHAT), b"x", response_headers={"content-encoding": "lzma"})
    assert (found.outcome, found.error_message) == ("failed", "unknown content coding 'lzma'")
