from __future__ import annotations

import json

import pytest

from bench.answers import COUNTER
from bench.cases import CASES, PREVIOUS, Case

SESSION = "8f8a8344-c0c9-4e45-89b7-0be9ca537540"
HTTP = [case for case in CASES.values() if not case.request.upgrade]


def said(case: Case) -> bytes:
    """A request as it is sent."""
    values = {COUNTER: b"0000000007", PREVIOUS: b"0000000006"}
    return b"".join(values.get(piece, piece) for piece in case.request.pieces(SESSION))


@pytest.mark.parametrize("case", HTTP, ids=[case.name for case in HTTP])
def test_a_request_is_json_of_the_length_it_declares(case):
    head, _, body = said(case).partition(b"\r\n\r\n")
    assert f"\r\nContent-Length: {len(body)}".encode() in head
    assert f"\r\nHost: {case.request.host}\r\n".encode() in head
    assert json.loads(body)["messages"]
    assert b"@" not in head


def test_a_request_on_a_websocket_is_one_message_after_the_response_before():
    message = json.loads(said(CASES["socket"]))
    assert message["type"] == "response.create"
    assert message["previous_response_id"] == "resp_bench_0000000006"
    assert "0000000007" in message["input"][0]["content"][0]["text"]


def test_the_handshake_of_a_websocket_has_all_but_its_key():
    opening = CASES["socket"].request.opening(SESSION)
    assert opening.count(b"@") == 2
    assert opening.endswith(b"\r\nx-bench-case: socket\r\n\r\n")
    assert opening.count(SESSION.encode()) == 4
