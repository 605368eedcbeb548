from __future__ import annotations

import base64
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aitap.capture.wire.eventstream import EventStreamParser
from bench import websocket
from bench.answers import COUNTER, STAMP, Answer
from bench.cases import CASES

NUMBER = b"0000000042"


def body_of(answer: Answer, number: bytes = NUMBER) -> bytes:
    """The body as the upstream sends it in one burst."""
    data, body = b"".join(answer.burst(number)), b""
    if not answer.streamed:
        return data
    while data != b"0\r\n\r\n":
        size, _, rest = data.partition(b"\r\n")
        body += rest[: int(size, 16)]
        data = rest[int(size, 16) + 2 :]
    return body


def messages(data: bytes) -> list[bytes]:
    """The payloads of WebSocket frames."""
    found, at = [], 0
    while at < len(data):
        frame = websocket.frame_at(data, at)
        assert frame is not None
        assert (frame.opcode, frame.final) == (websocket.TEXT, True)
        found.append(frame.payload)
        at = frame.end
    return found


@pytest.mark.parametrize("case", [name for name in CASES if CASES[name].answer.streamed])
def test_the_chunks_of_a_stream_are_its_events(case):
    answer = CASES[case].answer
    assert answer.ends[-1] == len(body_of(answer))
    assert body_of(answer, COUNTER) == answer.body


@pytest.mark.parametrize(("case", "count"), [("sse50", 50), ("sse1000", 1000), ("eventstream", 50), ("socket", 25)])
def test_a_stream_has_the_events_of_its_title(case, count):
    assert str(count) in CASES[case].title
    assert len(CASES[case].answer.events) == count


def test_bedrock_s_frames_have_right_checksums_and_the_events_of_the_message_with_its_counter():
    parser = EventStreamParser()
    found = parser.feed(body_of(CASES["eventstream"].answer))
    assert parser.problem is None
    assert {kind for kind, _ in found} == {b"chunk"}
    events = [json.loads(base64.b64decode(json.loads(data)["bytes"])) for _, data in found]
    assert len(events) == 50
    assert events[0]["message"]["id"] == "msg_bench_0000000042"
    assert events[-1]["amazon-bedrock-invocationMetrics"]["outputTokenCount"] == 180


def test_a_response_on_a_websocket_is_a_message_for_each_event_and_the_last_completes_it():
    found = list(map(json.loads, messages(body_of(CASES["socket"].answer))))
    assert [event["sequence_number"] for event in found] == list(range(25))
    assert sum(event["type"] == "response.output_text.delta" for event in found) == 20
    last = found[-1]["response"]
    assert (last["id"], last["usage"]["output_tokens"]) == ("resp_bench_0000000042", 180)
    assert "".join(event.get("delta", "") for event in found) == last["output"][0]["content"][0]["text"]


@pytest.mark.parametrize("case", ["json", "sse50", "eventstream"])
def test_an_answer_gives_back_its_counter(case):
    answer = CASES[case].answer
    assert answer.read(body_of(answer)) == (NUMBER, [])


def test_a_paced_answer_gives_back_its_counter_and_its_send_times():
    answer = CASES["paced"].answer
    body = answer.body.replace(COUNTER, NUMBER).replace(STAMP, b"%019d" % 17)
    assert answer.read(body) == (NUMBER, [17] * 20)


@pytest.mark.parametrize("case", ["sse50", "eventstream"])
@given(st.data())
def test_one_changed_byte_of_an_answer_is_noticed(case, data):
    answer = CASES[case].answer
    body = bytearray(body_of(answer))
    at = data.draw(st.integers(0, len(body) - 1))
    body[at] ^= data.draw(st.integers(1, 127))
    # The counter is the one thing that may be anything, if all its copies agree; there are two.
    with pytest.raises(ValueError):
        answer.read(bytes(body))


@pytest.mark.parametrize("case", ["json", "sse50", "eventstream", "paced", "socket"])
def test_a_short_answer_is_noticed(case):
    answer = CASES[case].answer
    body = answer.body.replace(COUNTER, NUMBER).replace(STAMP, b"%019d" % 17)
    with pytest.raises(ValueError):
        answer.read(body[:-1])
