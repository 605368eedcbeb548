"""What all sockets have in common."""

from __future__ import annotations

import math
from functools import partial
from typing import Any

import pytest

from aitap.capture.environment import Environment
from aitap.capture.own_ids import id_of
from aitap.capture.pipeline import Pipeline
from aitap.capture.realtime_socket import RealtimeSocket
from aitap.capture.recording import RequestHead
from aitap.capture.routes import Route
from aitap.capture.web_socket import WebSocket
from tests.capture.making import Records, dump

NOW = 1_790_000_000.25
REALTIME = Route("openai", "openai", "openai.realtime")


def ids(*begun: tuple[float, str]) -> list[str]:
    """Of the records that begin on one socket, each at a moment, with a name or without."""
    pipeline = Pipeline(Environment("me", "metadata+prompt"), Records(), announce_after=60.0)
    head = RequestHead(REALTIME, "GET", "api.openai.com", "/v1/realtime", "model=m", "HTTP/1.1", {}, NOW)
    socket = WebSocket(pipeline, lambda: head)
    socket.own_id = partial(id_of, b"a run", 7)
    return [socket.begin({}, at, at, name=name).record.id for at, name in begun]


@pytest.mark.parametrize("later", [NOW, math.nextafter(NOW, math.inf), NOW + 1, NOW - 1])
def test_each_record_of_a_socket_has_an_id_of_its_own_whatever_the_clock_says(later: float) -> None:
    begun = [(at, "") for at in (NOW, later, NOW, math.nextafter(NOW, math.inf), later)]
    assert len(set(ids(*begun))) == len(begun)


def test_whoever_reads_the_same_has_the_same_ids() -> None:
    begun = [(NOW, ""), (NOW, ""), (NOW + 1, "")]
    assert ids(*begun) == ids(*begun)


def test_what_has_a_name_has_the_same_id_whatever_began_before_it() -> None:
    """A recorder that takes over for a dead one has not heard all."""
    late = (NOW, "item_1")
    [whole] = {ids((NOW, ""), (NOW + 1, ""), late)[-1], ids((NOW + 1, ""), late)[-1], ids(late)[-1]}
    assert whole not in ids((NOW, ""), (NOW, "item_2"), (NOW + 1, ""))


def test_a_mistake_of_ours_at_an_end_costs_what_the_records_say(monkeypatch: pytest.MonkeyPatch) -> None:
    """The one that ends, and all that are open: each is there, as one that could not be read."""
    records = Records()
    pipeline = Pipeline(Environment("me", "metadata+prompt"), records, announce_after=60.0)
    head = RequestHead(REALTIME, "GET", "api.openai.com", "/v1/realtime", "model=m", "HTTP/1.1", {}, NOW)
    socket = RealtimeSocket(pipeline, lambda: head)
    begun: list[str] = []
    pipeline.on_opened = begun.append

    def broken(*_: Any, **__: Any) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr("aitap.capture.recording.add_children", broken)
    for kind, from_client in (("create", True), ("create", True), ("created", False), ("done", False)):
        socket.message(dump({"type": f"response.{kind}", "response": {"id": "r"}}), NOW, from_client=from_client)
    pipeline.drain()
    pipeline.close()
    assert [(record.outcome, record.error_type) for record in records.all] == [("failed", "unknown")] * 2
    assert sorted(record.id for record in records.all) == sorted(begun)
    assert pipeline.open_records() == []
