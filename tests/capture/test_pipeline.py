"""From what happened on the wire to finished records."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from typing import Any

import pytest

from aitap.capture.environment import Environment
from aitap.capture.exchange import Exchange
from aitap.capture.pipeline import Pipeline
from aitap.capture.recording import RequestHead
from aitap.capture.routes import Route
from tests.capture.making import CHAT, MESSAGES, Records, answers, cut, dump, sse, user

BODY = dump({"model": "m", "stream": True, "messages": [user("do it")]})
STREAM = sse(MESSAGES, answers(MESSAGES))
HEADERS = ((b"Content-Type", b"text/event-stream"), (b"Request-Id", b"req_1"))


@pytest.fixture
def records() -> Records:
    return Records()


class Eager(Pipeline):
    """Decodes each happening at once."""

    def put(self, item: Any) -> None:
        super().put(item)
        self.drain()


Start = Callable[..., Eager]


@pytest.fixture
def start(records: Records) -> Start:
    def begin(*, announce_after: float = 60.0) -> Eager:
        environment = Environment("00000000-0000-4000-8000-000000000001", "metadata+prompt")
        return Eager(environment, records, announce_after=announce_after)

    return begin


def head(api: str = MESSAGES) -> RequestHead:
    return RequestHead(Route("v", "i", api), "POST", "h", "/", "", "HTTP/1.1", {}, time.time())


def exchange(pipeline: Pipeline, *, answer: bytes = STREAM, ended: bool = True) -> Exchange:
    found = Exchange(pipeline, head)
    found.begin(BODY, time.time())
    found.respond(200, HEADERS, time.time())
    for piece in cut(answer, range(0, len(answer), 100)):
        found.feed(piece, time.time())
    if ended:
        found.end(time.time())
    return found


def test_an_exchange_becomes_one_record(start: Start, records: Records) -> None:
    exchange(start())
    (record,) = records.wait(1)
    assert (record.outcome, record.model, record.provider_request_id) == ("completed", "m", "req_1")
    assert len(record.tool_usages) == 2


def test_exchanges_at_the_same_time_are_kept_apart(start: Start, records: Records) -> None:
    pipeline = start()
    several = [Exchange(pipeline, head) for _ in range(20)]
    for number, one in enumerate(several):
        one.begin(dump({"model": f"m{number}", "messages": [user(f"prompt {number}")]}), time.time())
        one.respond(200, HEADERS, time.time())
    for piece in cut(STREAM, range(0, len(STREAM), 50)):
        for one in several:
            one.feed(piece, time.time())
    for one in several:
        one.end(time.time())
    found = {record.model: record for record in records.wait(20)}
    assert len(found) == 20
    for number in range(20):
        record = found[f"m{number}"]
        assert (record.outcome, record.user_prompts[0].prompt) == ("completed", f"prompt {number}")


def test_an_exchange_ends_once(start: Start, records: Records) -> None:
    pipeline = start()
    found = exchange(pipeline)
    found.end(time.time(), failure="again")
    found.feed(b"late", time.time())
    exchange(pipeline)
    assert [record.outcome for record in records.wait(2)] == ["completed", "completed"]
    assert len(records.all) == 2


def test_an_exchange_that_lasts_is_announced_and_then_recorded_under_the_same_id(
    start: Start, records: Records
) -> None:
    pipeline = start(announce_after=0.0)
    found = exchange(pipeline, ended=False)
    assert pipeline.announce() is None
    (first,) = records.wait(1)
    assert (first.outcome, first.ended_at, first.user_prompts[0].prompt) == ("in_flight", None, "do it")
    found.end(time.time())
    second = records.wait(2)[1]
    assert (second.id, second.outcome) == (first.id, "completed")


def test_a_short_exchange_is_recorded_once(start: Start, records: Records) -> None:
    pipeline = start(announce_after=60.0)
    for _ in range(5):
        exchange(pipeline)
        pipeline.announce()
    assert [record.outcome for record in records.wait(5)] == ["completed"] * 5


def test_it_says_when_there_is_something_to_announce(start: Start, records: Records) -> None:
    pipeline = start(announce_after=60.0)
    exchange(pipeline, ended=False)
    assert 50 < (pipeline.announce() or 0) <= 60
    assert records.all == []


def test_closing_decodes_what_is_queued_and_ends_what_is_open(records: Records) -> None:
    pipeline = Pipeline(Environment("me", "metadata+prompt"), records, announce_after=60.0)
    exchange(pipeline)
    exchange(pipeline, answer=STREAM[:900], ended=False)
    exchange(pipeline, ended=False)
    assert records.all == []
    pipeline.close()
    assert [record.outcome for record in records.all] == ["completed", "interrupted", "completed"]
    assert all(record.ended_at is not None for record in records.all)


def test_an_exchange_without_an_answer_is_recorded(start: Start, records: Records) -> None:
    found = Exchange(start(), head)
    found.begin(BODY, time.time())
    found.end(time.time(), failure="connection refused")
    (record,) = records.wait(1)
    assert (record.outcome, record.error_message) == ("failed", "connection refused")


def test_a_request_that_never_became_whole_is_no_record(start: Start, records: Records) -> None:
    pipeline = start()
    found = Exchange(pipeline, head)
    found.end(time.time(), failure="client went")
    exchange(pipeline)
    assert [record.outcome for record in records.wait(1)] == ["completed"]


@pytest.mark.parametrize(
    "where",
    ["Recording._lineage", "Recording.respond", "Recording.feed", "ResponseBody.finish", "add_children", "judge"],
)
def test_a_mistake_of_ours_costs_what_one_record_says_and_tells_so(
    start: Start, records: Records, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, where: str
) -> None:
    """Wherever it is made: the record is there, and was begun, once."""

    def broken(*_: Any, **__: Any) -> None:
        raise ZeroDivisionError

    pipeline = start()
    begun: list[str] = []
    pipeline.on_opened = begun.append
    with monkeypatch.context() as patch, caplog.at_level(logging.ERROR):
        patch.setattr(f"aitap.capture.recording.{where}", broken)
        exchange(pipeline)
        (record,) = records.wait(1)
    assert (record.outcome, record.error_type, record.model) == ("failed", "unknown", "m")
    assert pipeline.decode_errors == 1
    assert "ZeroDivisionError" in caplog.text
    exchange(pipeline)
    pipeline.close()
    assert [found.outcome for found in records.all] == ["failed", "completed"]
    assert begun == [found.id for found in records.all]
    assert pipeline.open_records() == []


def test_a_mistake_before_there_is_a_record_is_counted(start: Start, records: Records) -> None:
    pipeline = start()
    found = Exchange(pipeline, lambda: head("no such api"))
    found.begin(BODY, time.time())
    found.respond(200, HEADERS, time.time())
    found.feed(STREAM, time.time())
    found.end(time.time())
    exchange(pipeline)
    assert [record.outcome for record in records.wait(1)] == ["completed"]
    assert pipeline.decode_errors == 1


def test_header_names_are_matched_without_case_and_the_first_of_several_counts(start: Start, records: Records) -> None:
    found = Exchange(start(), lambda: head(CHAT))
    found.begin(BODY, time.time())
    headers = ((b"CONTENT-type", b"text/event-stream"), (b"X-Request-ID", b"one"), (b"x-request-id", b"two"))
    found.respond(200, headers, time.time())
    found.feed(sse(CHAT, answers(CHAT)), time.time())
    found.end(time.time())
    (record,) = records.wait(1)
    assert (record.outcome, record.provider_request_id) == ("completed", "one")


def test_a_clock_that_is_set_back_does_not_keep_what_lasts_from_being_announced(
    start: Start, records: Records, monkeypatch: pytest.MonkeyPatch
) -> None:
    pipeline = start(announce_after=5.0)
    exchange(pipeline, ended=False)
    assert pipeline.announce() is not None
    assert records.all == []
    before = time.time() - 3600
    monkeypatch.setattr(time, "time", lambda: before)
    assert pipeline.announce() is None
    assert [record.outcome for record in records.all] == ["in_flight"]
