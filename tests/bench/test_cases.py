from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.cases import CASES, COUNTER, PREVIOUS, STAMP


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_a_request_is_json_of_the_length_it_declares(case):
    session = "8f8a8344-c0c9-4e45-89b7-0be9ca537540"
    values = {COUNTER: b"0000000007", PREVIOUS: b"0000000006"}
    head, _, body = b"".join(values.get(piece, piece) for piece in case.request.pieces(session)).partition(b"\r\n\r\n")
    assert f"\r\nContent-Length: {len(body)}".encode() in head
    assert json.loads(body)["messages"]
    assert b"@" not in head


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_the_frames_of_an_event_stream_are_its_events_as_chunks(case):
    if not case.answer.sse:
        assert case.answer.frames == (case.answer.body,)
        return
    whole, body = b"".join(case.answer.frames), b""
    while whole != b"0\r\n\r\n":
        size, _, rest = whole.partition(b"\r\n")
        body += rest[: int(size, 16)]
        whole = rest[int(size, 16) + 2 :]
    assert body == case.answer.body


@pytest.mark.parametrize("size", ["50", "1000"])
def test_an_event_stream_has_the_events_of_its_title(size):
    assert len(CASES[f"sse{size}"].answer.events) == int(size)


def test_an_answer_gives_back_its_counter_and_its_send_times():
    answer = CASES["paced"].answer
    body = answer.body.replace(COUNTER, b"0000000042").replace(STAMP, b"%019d" % 17)
    assert answer.read(body) == (b"0000000042", [17] * 20)


@given(st.data())
def test_one_changed_byte_of_an_answer_is_noticed(data):
    answer = CASES["sse50"].answer
    body = bytearray(answer.body.replace(COUNTER, b"0000000042"))
    at = data.draw(st.integers(0, len(body) - 1))
    body[at] ^= data.draw(st.integers(1, 127))
    # The counter is the one thing that may be anything, if all its copies agree; there are two.
    with pytest.raises(ValueError):
        answer.read(bytes(body))


@pytest.mark.parametrize("case", ["json", "sse50", "paced"])
def test_a_short_answer_is_noticed(case):
    answer = CASES[case].answer
    body = answer.body.replace(COUNTER, b"0000000042").replace(STAMP, b"%019d" % 17)
    with pytest.raises(ValueError):
        answer.read(body[:-1])
