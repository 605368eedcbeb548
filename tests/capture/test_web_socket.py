"""What all sockets have in common."""

from __future__ import annotations

import math
from functools import partial

import pytest

from aitap.capture.environment import Environment
from aitap.capture.own_ids import id_of
from aitap.capture.pipeline import Pipeline
from aitap.capture.recording import RequestHead
from aitap.capture.routes import Route
from aitap.capture.web_socket import WebSocket
from tests.capture.making import Records

NOW = 1_790_000_000.25
REALTIME = Route("openai", "openai", "openai.realtime")


def ids(*moments: float) -> list[str]:
    """Of the records that begin at these moments on one socket."""
    pipeline = Pipeline(Environment("me", "metadata+prompt"), Records(), announce_after=60.0)
    head = RequestHead(REALTIME, "GET", "api.openai.com", "/v1/realtime", "model=m", "HTTP/1.1", {}, NOW)
    socket = WebSocket(pipeline, lambda: head)
    socket.own_id = partial(id_of, b"a run", 7)
    return [socket.begin({}, at, at).record.id for at in moments]


@pytest.mark.parametrize("later", [NOW, math.nextafter(NOW, math.inf), NOW + 1, NOW - 1])
def test_each_record_of_a_socket_has_an_id_of_its_own_whatever_the_clock_says(later: float) -> None:
    moments = (NOW, later, NOW, math.nextafter(NOW, math.inf), later)
    assert len(set(ids(*moments))) == len(moments)


def test_whoever_reads_the_same_has_the_same_ids() -> None:
    assert ids(NOW, NOW, NOW + 1) == ids(NOW, NOW, NOW + 1)
