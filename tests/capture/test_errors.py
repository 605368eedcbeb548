"""Failures by the names a record knows."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aitap.capture.errors import MAX_MESSAGE, body_error, error_message, error_type
from aitap.capture.facts import ErrorFact

TYPES = {"bad_request", "unauthorized", "rate_limited", "overloaded", "server_error", "timeout", "unknown"}


@pytest.mark.parametrize(
    ("status", "name"),
    [
        *((400, "bad_request"), (404, "bad_request"), (413, "bad_request"), (422, "bad_request")),
        *((401, "unauthorized"), (402, "unauthorized"), (403, "unauthorized"), (407, "unauthorized")),
        *((429, "rate_limited"), (503, "overloaded"), (529, "overloaded")),
        *((408, "timeout"), (504, "timeout"), (524, "timeout")),
        *((500, "server_error"), (502, "server_error"), (599, "server_error")),
        *((200, "unknown"), (302, "unknown"), (None, "unknown")),
    ],
)
def test_the_status_tells_the_kind(status: int | None, name: str) -> None:
    assert error_type(status) == name


def test_a_status_wins_over_the_words_beside_it() -> None:
    assert error_type(400, "overloaded_error") == "bad_request"
    assert error_type(429, "invalid_request_error 500") == "rate_limited"


@pytest.mark.parametrize(
    ("kind", "name"),
    [
        ("overloaded_error", "overloaded"),
        ("UNAVAILABLE", "overloaded"),
        ("rate_limit_error", "rate_limited"),
        ("tokens rate_limit_exceeded", "rate_limited"),
        ("insufficient_quota", "rate_limited"),
        ("RESOURCE_EXHAUSTED", "rate_limited"),
        ("ThrottlingException", "rate_limited"),
        ("slow_down", "overloaded"),
        ("quota_exceeded", "rate_limited"),
        ("usage_not_included", "unauthorized"),
        ("bio_policy", "bad_request"),
        ("data_residency_mismatch", "bad_request"),
        ("image_parse_error", "bad_request"),
        ("empty_image_file", "bad_request"),
        ("unsupported_parameter", "bad_request"),
        ("timeout_error", "timeout"),
        ("DEADLINE_EXCEEDED", "timeout"),
        ("authentication_error", "unauthorized"),
        ("permission_error", "unauthorized"),
        ("billing_error", "unauthorized"),
        ("invalid_request_error invalid_api_key", "unauthorized"),
        ("invalid_request_error", "bad_request"),
        ("invalid_prompt", "bad_request"),
        ("not_found_error", "bad_request"),
        ("request_too_large", "bad_request"),
        ("context_length_exceeded", "bad_request"),
        ("server_error", "server_error"),
        ("api_error", "server_error"),
        ("INTERNAL", "server_error"),
        ("429", "rate_limited"),
        ("502", "server_error"),
        ("error", "unknown"),
        ("", "unknown"),
        (None, "unknown"),
    ],
)
def test_in_a_stream_that_began_well_the_providers_word_tells_the_kind(kind: str | None, name: str) -> None:
    assert error_type(200, kind) == name
    assert error_type(None, kind) == name


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b'{"type":"error","error":{"type":"invalid_request_error","message":"No"}}', "No"),
        (b'{"error": {"message": "No", "code": null}}', "No"),
        (b'{"error": "No"}', "No"),
        (b'{"message": "No"}', "No"),
        (b'[{"error": {"code": 400, "message": "No", "status": "INVALID_ARGUMENT"}}]', "No"),
        (b'{"detail": "No"}', "No"),
        (b'{"success": false, "errors": [{"code": 10000, "message": "No"}], "messages": [], "result": null}', "No"),
        (b'{"success": false, "error": [{"code": 2001, "message": "No"}], "result": []}', "No"),
        (b'{"errors": []}', '{"errors": []}'),
        (
            b'{"error": {"message": "No", "code": 429, "metadata": {"raw": "too long", "provider_name": "P"}}}',
            "No: too long",
        ),
        (b'{"detail": [{"loc": 1}]}', '{"detail": [{"loc": 1}]}'),
        (b'{"Message": "No"}', "No"),
        (b'{"other": 1}', '{"other": 1}'),
        (b'"No"', '"No"'),
        (b"<html>Bad gateway</html>\n", "<html>Bad gateway</html>"),
        (b"\xff\xfe", "\ufffd\ufffd"),
        (b"[]", "[]"),
        (b"", ""),
    ],
)
def test_an_error_body_of_any_shape_gives_its_words(body: bytes, message: str) -> None:
    assert body_error(body).message == message


def test_an_error_body_gives_the_providers_type() -> None:
    assert body_error(b'{"error": {"message": "No", "type": "t", "code": "c"}}') == ErrorFact("No", "t c")


def test_a_message_is_cut_at_4_kib_between_characters() -> None:
    cut = error_message("\u20ac" * 5000, frozenset())
    assert len(cut.encode()) <= MAX_MESSAGE
    assert set(cut) == {"\u20ac"}


def test_a_secret_on_the_edge_of_the_cut_is_masked_whole() -> None:
    secret = "opaque9f8Zq3vK7rWm2TxLp6Yd"
    for offset in range(len(secret) + 1):
        body = b"x" * (MAX_MESSAGE - offset) + secret.encode()
        kept = error_message(body_error(body).message, frozenset({secret}))
        assert secret[4:10] not in kept


def test_a_message_holds_nothing_a_database_refuses() -> None:
    assert error_message("a\0b", frozenset()) == "ab"


@given(st.binary(), st.none() | st.integers(100, 599), st.none() | st.text())
def test_any_body_status_and_word_is_answered(body: bytes, status: int | None, kind: str | None) -> None:
    assert error_type(status, kind) in TYPES
    assert len(error_message(body_error(body).message, frozenset()).encode()) <= MAX_MESSAGE
