"""Who guesses must wait, longer each time, and is forgiven after a while."""

from __future__ import annotations

import pytest

from aitap.access.authentication import backoff as module
from aitap.access.authentication.backoff import Backoff


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(module, "time", clock)
    return clock


def test_a_few_mistakes_cost_nothing_and_each_further_one_twice_as_much(clock: Clock) -> None:
    table, waits = Backoff(), []
    for _ in range(14):
        table.mistake("192.0.2.1")
        waits.append(table.wait("192.0.2.1"))
    assert waits == [0, 0, 0, 0, 0, 1, 2, 4, 8, 16, 32, 60, 60, 60]
    assert table.wait("192.0.2.2") == 0


def test_the_wait_ends_and_at_last_all_is_forgiven(clock: Clock) -> None:
    table = Backoff()
    for _ in range(8):
        table.mistake("192.0.2.1")
    clock.now += 3
    assert table.wait("192.0.2.1") == 1
    clock.now += 601
    assert table.wait("192.0.2.1") == 0
    table.mistake("192.0.2.1")
    assert table.wait("192.0.2.1") == 0


def test_addresses_that_one_machine_has_of_ipv6_are_one(clock: Clock) -> None:
    table = Backoff()
    for number in range(8):
        table.mistake(f"2001:db8:1:2::{number:x}")
    assert table.wait("2001:db8:1:2:ffff::1") > 0
    assert table.wait("2001:db8:1:3::1") == 0


def test_the_table_does_not_grow_for_ever(clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "ADDRESSES", 10)
    table = Backoff()
    for number in range(1000):
        for _ in range(6):
            table.mistake(f"10.0.{number >> 8}.{number & 255}")
    assert sum(table.wait(f"10.0.{number >> 8}.{number & 255}") > 0 for number in range(1000)) == 10
