"""Refusals in the words of each provider."""

from __future__ import annotations

import tomllib
from importlib import resources
from typing import Any

import msgspec
import pytest

from aitap.access.policy.provider_refusals import Refusals
from aitap.capture.dialects import DIALECTS
from aitap.capture.errors import body_error, error_type

WORDS = 'Not "this" one, ask \u00fcs.'
TABLE = tomllib.loads(resources.files("aitap.capture").joinpath("data/providers.toml").read_text("utf-8"))


def test_every_dialect_of_the_provider_table_has_an_answer_of_its_own() -> None:
    nobodys = Refusals().answer("no.dialect", "any", WORDS, 1).body
    for api in {route["api"] for routes in TABLE["routes"].values() for route in routes} | set(DIALECTS):
        assert Refusals().answer(api, "any", WORDS, 1).body != nobodys


def test_a_dialect_that_has_none_is_refused_all_the_same() -> None:
    assert body_error(Refusals().answer("no.dialect", "any", WORDS, 1).body).message == WORDS


@pytest.mark.parametrize("api", sorted(DIALECTS))
@pytest.mark.parametrize("provider_name", ["mistral", "another"])
def test_an_answer_is_read_as_a_refusal_with_our_words(api: str, provider_name: str) -> None:
    answer = Refusals().answer(api, provider_name, WORDS, 3)
    error = body_error(answer.body)
    assert error.message == WORDS
    assert error_type(403, error.type) == error_type(None, "permission_denied") == "unauthorized"
    assert answer.headers["x-aitap-policy"] == "rule 3"
    assert answer.headers["content-type"] == "application/json"


def test_amazons_name_of_the_error_stands_in_a_header() -> None:
    assert Refusals().answer("bedrock.converse", "bedrock", WORDS, 1).headers["x-amzn-errortype"] == (
        "AccessDeniedException"
    )


@pytest.mark.parametrize(
    ("api", "frame", "expected"),
    [
        ("openai.responses", {"type": "response.create", "stream_id": "s1"}, {"stream_id": "s1", "status": 400}),
        ("openai.responses", {"type": "response.create"}, {"status": 400}),
        ("openai.realtime", {"type": "response.create", "event_id": "e1"}, {"event_id": "event_policy"}),
    ],
)
def test_a_message_of_a_socket_is_refused_by_an_error_event(
    api: str, frame: dict[str, Any], expected: dict[str, Any]
) -> None:
    event = msgspec.json.decode(Refusals().event(api, msgspec.json.encode(frame), WORDS))
    error = event.pop("error")
    assert event == {"type": "error", **expected}
    assert error["message"] == WORDS
    assert error.get("event_id") == frame.get("event_id")
