from __future__ import annotations

import asyncio
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench import websocket
from bench.answers import ACCEPT
from bench.cases import CASES
from bench.client import Client, Exchange, ExchangeError, Socket

NUMBER = b"0000000001"


def receive(*parts: bytes, socket: bool = False) -> Exchange:
    """What a client makes of an answer that arrives in these parts."""

    async def run() -> Exchange:
        client = Client()
        if socket:
            client = Socket()
            client.expected, client.upgraded = b"asked", True
        client.exchange = exchange = Exchange()
        client.done = asyncio.get_running_loop().create_future()
        for part in parts:
            client.data_received(part)
        if not client.done.done():
            client.connection_lost(None)
        await client.done
        return exchange

    return asyncio.run(run())


@pytest.mark.parametrize("case", ["json", "sse50", "eventstream", "socket"])
@given(cuts=st.lists(st.integers(0, 12000), max_size=20))
def test_any_split_of_an_answer_gives_the_same_body(case, cuts):
    answer = CASES[case].answer
    socket = CASES[case].request.upgrade
    whole = (b"" if socket else answer.head) + b"".join(answer.burst(NUMBER))
    edges = [0, *sorted(cuts), len(whole)]
    exchange = receive(*(whole[a:b] for a, b in pairwise(edges)), socket=socket)
    assert answer.read(bytes(exchange.body)) == (NUMBER, [])
    assert tuple(exchange.ends) == (answer.ends if socket else ())
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


@pytest.mark.parametrize(
    "frames",
    [
        websocket.text(b'{"type":"response.created"}'),
        websocket.text(b'{"type":"response.completed"}') * 2,
        b"\x88\x02\x03\xe8",
    ],
    ids=["cut off", "too much", "closed"],
)
def test_a_response_on_a_websocket_that_is_not_whole_is_an_error(frames):
    with pytest.raises(ExchangeError):
        receive(frames, socket=True)


@pytest.mark.parametrize(
    "answer",
    [
        CASES["socket"].answer.head,
        CASES["socket"].answer.head.replace(b"101", b"200").replace(ACCEPT, websocket.accept(b"key")),
    ],
    ids=["another accept", "no upgrade"],
)
def test_a_handshake_that_is_not_accepted_is_an_error(answer):
    async def run() -> None:
        client = Socket()
        client.expected = websocket.accept(b"key")
        client.done = asyncio.get_running_loop().create_future()
        client.data_received(answer)
        await client.done

    with pytest.raises(ExchangeError):
        asyncio.run(run())
