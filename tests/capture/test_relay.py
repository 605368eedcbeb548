"""The event loop's end of the line."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from aitap.capture import relay as module
from aitap.capture.relay import BEGIN, CLOSE, DATA, END, MESSAGE, NOTE, OPEN, PIECES, RESPOND, SINGLY, Relay

HEAD: Any = ("route", "POST", "api.anthropic.com", "/v1/messages", "", "HTTP/1.1", (), 0.0)


class Line:
    """Keeps what it is handed."""

    congested = False

    def __init__(self) -> None:
        self.sent: list[list[Any]] = []

    def send(self, items: list[Any]) -> None:
        self.sent.append(list(items))


class Clock:
    """A loop's timers, run by hand."""

    def __init__(self) -> None:
        self.due: list[Callable[[], None]] = []

    def call_later(self, _: float, call: Callable[[], None]) -> None:
        self.due.append(call)

    def tick(self) -> None:
        due, self.due = self.due, []
        for call in due:
            call()


@pytest.fixture
def line() -> Line:
    return Line()


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def relay(line: Line, clock: Clock) -> Relay:
    return Relay(line, clock.call_later)


def begun(relay: Relay) -> module.RelayedExchange:
    exchange = relay.exchange(lambda: HEAD)
    assert exchange is not None
    exchange.begin(b"{}", 1.0)
    return exchange


def test_an_exchange_is_handed_over_in_the_order_in_which_it_happened(relay: Relay, line: Line, clock: Clock) -> None:
    exchange = begun(relay)
    exchange.respond(200, ((b"a", b"b"),), 2.0)
    tap = exchange.tap()
    assert [tap(piece) for piece in (b"one", b"two", b"")] == [b"one", b"two", b""]
    exchange.end(3.0)
    clock.tick()
    assert [item[0] for item in line.sent[0]] == [BEGIN, RESPOND, DATA, DATA, DATA, END]


def test_what_gathers_within_a_tick_goes_in_one_piece(relay: Relay, line: Line, clock: Clock) -> None:
    begun(relay)
    begun(relay)
    assert (len(clock.due), line.sent) == (1, [])
    clock.tick()
    assert [len(items) for items in line.sent] == [2]


def test_chunks_are_handed_over_while_a_stream_is_open_though_taps_arm_nothing(
    relay: Relay, line: Line, clock: Clock
) -> None:
    tap = begun(relay).tap()
    clock.tick()
    tap(b"later")
    clock.tick()
    assert line.sent[1][0][0] == DATA


def test_a_long_stream_is_handed_over_whole_and_in_order(relay: Relay, line: Line, clock: Clock) -> None:
    exchange = begun(relay)
    tap = exchange.tap()
    chunks = [b"%d" % number for number in range(3 * SINGLY)]
    for place, chunk in enumerate(chunks):
        tap(chunk)
        if place % 50 == 0:
            clock.tick()
    exchange.end(3.0)
    clock.tick()
    items = [item for sent in line.sent for item in sent]
    noted = [item[3] for item in items if item[0] == DATA]
    assert noted == chunks[:SINGLY]
    assert [piece for item in items if item[0] == PIECES for piece in item[3]] == chunks[SINGLY:]
    assert list(dict.fromkeys(item[0] for item in items)) == [BEGIN, DATA, PIECES, END]


def test_an_exchange_lasts_as_long_as_it_does_whatever_becomes_of_the_clock(
    relay: Relay, line: Line, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    wall, running = [1_000_000.0], [50.0]
    monkeypatch.setattr(module, "now", lambda: wall[0])
    monkeypatch.setattr(module, "monotonic", lambda: running[0])
    exchange = begun(relay)
    tap = exchange.tap()
    for each in range(SINGLY + 2):
        running[0] += 1
        wall[0] = (-3.0, 4e9)[each % 2]
        tap(b"x")
    clock.tick()
    exchange.end(exchange.now())
    clock.tick()
    [_, *data, pieces, end] = [item for items in line.sent for item in items]
    assert [item[2] for item in data] == [1_000_001.0 + each for each in range(SINGLY)]
    assert (pieces[0], pieces[2], end[2]) == (PIECES, 1_000_066.0, 1_000_066.0)


def test_of_two_long_streams_each_keeps_its_own(relay: Relay, line: Line, clock: Clock) -> None:
    taps = [begun(relay).tap() for _ in range(2)]
    for _ in range(2 * SINGLY):
        for name, tap in zip((b"a", b"b"), taps, strict=True):
            tap(name)
    clock.tick()
    pieces = {item[1]: item[3] for item in line.sent[0] if item[0] == PIECES}
    assert pieces == {1: [b"a"] * SINGLY, 2: [b"b"] * SINGLY}


def test_nothing_wakes_where_nothing_is_open(relay: Relay, clock: Clock) -> None:
    begun(relay).end(2.0)
    clock.tick()
    assert clock.due == []


def test_a_congested_line_begins_nothing_new_and_counts_it(relay: Relay, line: Line) -> None:
    line.congested = True
    assert relay.exchange(lambda: HEAD) is None
    assert relay.socket(lambda: HEAD) is None
    assert relay.refused == 2


def test_a_tap_gives_the_bytes_back_whatever_becomes_of_it(relay: Relay, monkeypatch: pytest.MonkeyPatch) -> None:
    tap = begun(relay).tap()

    def broken() -> float:
        raise RuntimeError

    monkeypatch.setattr(module, "monotonic", broken)
    assert (tap(b"x"), relay.faults) == (b"x", 1)


def test_a_socket_is_opened_by_its_first_message(relay: Relay, line: Line, clock: Clock) -> None:
    socket = relay.socket(lambda: HEAD)
    assert socket is not None
    socket.message(b"{}", 1.0, from_client=True)
    socket.close(2.0, by_client=True)
    clock.tick()
    assert [item[0] for item in line.sent[0]] == [OPEN, MESSAGE, CLOSE]


def test_a_note_of_a_socket_follows_the_message_it_is_about(relay: Relay, line: Line, clock: Clock) -> None:
    socket = relay.socket(lambda: HEAD)
    assert socket is not None
    socket.note({"too": "early"}, 1.0)
    socket.message(b"x", 2.0, from_client=True)
    socket.note({"policy": 1}, 2.0)
    clock.tick()
    assert [item[0] for item in line.sent[0]] == [OPEN, MESSAGE, NOTE]
    assert line.sent[0][-1][2:] == (2.0, {"policy": 1})


def test_a_socket_that_said_nothing_is_never_heard_of(relay: Relay, clock: Clock) -> None:
    socket = relay.socket(lambda: HEAD)
    assert socket is not None
    socket.close(2.0, by_client=True)
    assert clock.due == []


def test_an_exchange_that_never_began_has_no_end(relay: Relay, clock: Clock) -> None:
    exchange = relay.exchange(lambda: HEAD)
    assert exchange is not None
    exchange.end(2.0)
    assert clock.due == []
