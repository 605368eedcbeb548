from __future__ import annotations

import asyncio
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.cases import CASES, COUNTER
from bench.client import Client, Exchange, ExchangeError


def receive(*parts: bytes) -> Exchange:
    """What a client makes of an answer that arrives in these parts."""

    async def run() -> Exchange:
        client = Client()
        client.exchange = exchange = Exchange()
        client.done = asyncio.get_running_loop().create_future()
        for part in parts:
            client.data_received(part)
        if not client.done.done():
            client.connection_lost(None)
        await client.done
        return exchange

    return asyncio.run(run())


@pytest.mark.parametrize("case", ["json", "sse50"])
@given(cuts=st.lists(st.integers(0, 8000), max_size=20))
def test_any_split_of_an_answer_gives_the_same_body(case, cuts):
    answer = CASES[case].answer
    whole = answer.head + b"".join(answer.frames)
    edges = [0, *sorted(cuts), len(whole)]
    exchange = receive(*(whole[a:b] for a, b in pairwise(edges)))
    assert bytes(exchange.body) == answer.body
    assert answer.read(bytes(exchange.body).replace(COUNTER, b"0000000001"))[0] == b"0000000001"
    assert len(exchange.arrivals(answer)) == len(answer.events)


def test_an_event_has_arrived_when_its_last_byte_has():
    answer = CASES["sse50"].answer
    exchange = Exchange()
    exchange.marks = [(100, answer.ends[0] - 1), (200, answer.ends[1]), (300, answer.ends[-1])]
    assert exchange.arrivals(answer)[:3] == [200, 200, 300]


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 502 Bad Gateway\r\ncontent-length: 0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nabc",
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n",
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\nmore",
    ],
    ids=["status", "cut off", "cut off between chunks", "too much"],
)
def test_an_answer_that_is_not_whole_and_good_is_an_error(answer):
    with pytest.raises(ExchangeError):
        receive(answer)
