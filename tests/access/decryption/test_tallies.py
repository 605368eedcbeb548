"""What is told of tunnels and refusals: nothing lost, nothing twice, and no more often than needed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from aitap.access.decryption.tallies import Sight, Tallies
from aitap.record import HostSeen

SIGHT = Sight("example.com", "tunnelled", "", "", "u", "curl", "127.0.0.1")


class Tunnel:
    def __init__(self, sight: Sight = SIGHT) -> None:
        self.sight = sight
        self.sent = self.received = 0


class Clock:
    """``call_later`` of a loop whose time the test moves."""

    def __init__(self) -> None:
        self.now = 0.0
        self.waiting: list[tuple[float, Callable[[], None]]] = []

    def call_later(self, delay: float, action: Callable[[], None]) -> Any:
        self.waiting.append((self.now + delay, action))

    def go(self, seconds: float) -> None:
        end = self.now + seconds
        while due := [item for item in self.waiting if item[0] <= end]:
            item = min(due, key=lambda item: item[0])
            self.waiting.remove(item)
            self.now = item[0]
            item[1]()
        self.now = end


def started() -> tuple[Tallies, Clock, list[HostSeen]]:
    tallies, clock, told = Tallies(), Clock(), []
    tallies.start(told.append, clock.call_later)
    return tallies, clock, told


def sums(told: list[HostSeen]) -> tuple[int, int, int, int]:
    return (
        sum(seen.connections for seen in told),
        sum(seen.bytes_sent for seen in told),
        sum(seen.bytes_received for seen in told),
        sum(seen.refusals for seen in told),
    )


def test_a_tunnel_is_told_of_when_it_opens_and_when_it_ends() -> None:
    tallies, clock, told = started()
    tunnel = Tunnel()
    tallies.opened(tunnel)
    clock.go(1)
    assert sums(told) == (1, 0, 0, 0)
    tunnel.sent, tunnel.received = 10, 20
    tallies.ended(tunnel)
    clock.go(1)
    assert sums(told) == (1, 10, 20, 0)
    assert (told[-1].host, told[-1].mode, told[-1].client, told[-1].client_address) == (
        "example.com",
        "tunnelled",
        "curl",
        "127.0.0.1",
    )


def test_a_long_tunnel_is_told_of_once_a_minute_as_long_as_anything_passes() -> None:
    tallies, clock, told = started()
    tunnel = Tunnel()
    tallies.opened(tunnel)
    for _ in range(3):
        tunnel.sent += 5
        clock.go(61)
    assert sums(told) == (1, 15, 0, 0)
    count = len(told)
    clock.go(600)
    assert len(told) == count


def test_a_thousand_tries_make_a_handful_of_entries() -> None:
    tallies, clock, told = started()
    for _ in range(1000):
        tallies.refused(SIGHT._replace(mode="decrypted"), "unknown ca")
        clock.go(0.001)
    clock.go(1)
    assert sums(told)[3] == 1000
    assert len(told) <= 5
    assert told[-1].error == "unknown ca"


def test_an_idle_proxy_does_not_wake() -> None:
    tallies, clock, _ = started()
    tunnel = Tunnel()
    tallies.opened(tunnel)
    tallies.ended(tunnel)
    clock.go(120)
    assert clock.waiting == []


def test_what_came_before_the_start_is_told_after_it() -> None:
    tallies, clock, told = Tallies(), Clock(), []
    tallies.opened(Tunnel())
    tallies.start(told.append, clock.call_later)
    clock.go(1)
    assert sums(told) == (1, 0, 0, 0)


def test_the_stop_tells_of_open_tunnels_and_nothing_is_told_after_it() -> None:
    tallies, clock, told = started()
    tunnel = Tunnel()
    tallies.opened(tunnel)
    tunnel.received = 7
    tallies.stop()
    assert sums(told) == (1, 0, 7, 0)
    tunnel.received = 8
    tallies.ended(tunnel)
    clock.go(120)
    assert sums(told) == (1, 0, 7, 0)


@given(st.lists(st.tuples(st.integers(0, 3), st.sampled_from("osrewt")), max_size=60))
def test_whatever_happens_in_whatever_order_is_told_exactly_once(happenings: list[tuple[int, str]]) -> None:
    tallies, clock, told = started()
    tunnels: dict[int, Tunnel] = {}
    real: Counter[str] = Counter()
    for number, what in happenings:
        tunnel = tunnels.get(number)
        if what == "o" and tunnel is None:
            tunnels[number] = Tunnel(SIGHT._replace(host=f"h{number % 2}"))
            tallies.opened(tunnels[number])
            real["connections"] += 1
        elif what == "s" and tunnel is not None:
            tunnel.sent += 3
            real["sent"] += 3
        elif what == "r" and tunnel is not None:
            tunnel.received += 4
            real["received"] += 4
        elif what == "e" and tunnel is not None:
            tallies.ended(tunnels.pop(number))
        elif what == "w":
            clock.go(70)
        elif what == "t":
            clock.go(0.1)
    tallies.stop()
    assert sums(told) == (real["connections"], real["sent"], real["received"], 0)
