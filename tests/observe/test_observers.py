"""Who looks at records can neither lose one nor hold one up."""

from __future__ import annotations

import logging
import threading
from typing import Any

import pytest

from aitap.observe.observers import Lane, Observers, Placed
from aitap.record import Interception
from tests.capture.making import Records
from tests.observe.making import interception
from tests.proxy.mitmdump import until


class Seeing:
    """Notes what it is shown."""

    name = "seeing"

    def __init__(self) -> None:
        self.seen: list[tuple[str, bool, str | None]] = []
        self.closed = False

    def observe(self, record: Interception, *, announced: bool) -> None:
        self.seen.append((record.outcome, announced, record.thread_root_id))

    def close(self, timeout: float) -> None:
        self.closed = True


class Hanging(Seeing):
    """Comes back when it is let go."""

    def __init__(self) -> None:
        super().__init__()
        self.go = threading.Event()

    def observe(self, record: Interception, *, announced: bool) -> None:
        self.go.wait()
        super().observe(record, announced=announced)


class Raising(Seeing):
    """Fails each time."""

    def observe(self, record: Interception, *, announced: bool) -> None:
        raise RuntimeError("no")


def test_an_observer_that_hangs_costs_no_record_and_no_time() -> None:
    sink, hanging, seeing = Records(), Hanging(), Seeing()
    lanes = [Lane(hanging, limit=10), Lane(seeing)]
    observers = Observers(sink, [], lanes)
    for _ in range(100):
        assert observers.submit(interception())
    assert len(sink.all) == 100
    until(lambda: len(seeing.seen) == 100, "the other observer sees all")
    assert 89 <= observers.dropped()["seeing"] + lanes[0].dropped <= 90
    observers.close(0.05)
    assert not hanging.closed
    hanging.go.set()


@pytest.mark.parametrize("inline", [True, False])
def test_an_observer_that_raises_is_told_of_once_and_costs_no_record(
    inline: bool, caplog: pytest.LogCaptureFixture
) -> None:
    sink, raising = Records(), Raising()
    observers = Observers(sink, [raising] if inline else [], [] if inline else [Lane(raising)])
    with caplog.at_level(logging.ERROR):
        for _ in range(5):
            observers.submit(interception())
        observers.close(5)
    assert len(sink.all) == 5
    assert [entry.message for entry in caplog.records] == ["aitap: seeing failed; the records are not affected"]


def test_the_end_says_whether_the_start_was_seen() -> None:
    seeing = Seeing()
    observers = Observers(Records(), [seeing])
    start = interception(took=None)
    observers.submit(start)
    observers.submit(interception(id=start.id))
    observers.submit(interception())
    assert [(outcome, announced) for outcome, announced, _ in seeing.seen] == [
        *(("in_flight", False), ("completed", True), ("completed", False))
    ]


def test_a_lane_waits_for_the_thread_that_storage_finds() -> None:
    seeing, placed = Seeing(), Placed()
    record = interception()

    def place(records: Any) -> bool:
        record.thread_root_id = "found"
        placed.mark([record])
        return True

    observers = Observers(Records(), [], [Lane(seeing, placed)], placed)
    observers.submit(record)
    assert not seeing.seen
    place([record])
    observers.close(5)
    assert seeing.seen == [("completed", False, "found")]
    assert seeing.closed


def test_a_lane_does_not_wait_for_a_database_that_is_gone() -> None:
    seeing = Seeing()
    observers = Observers(Records(), [], [Lane(seeing, Placed())])
    for _ in range(50):
        observers.submit(interception())
    until(lambda: len(seeing.seen) == 50, "every record is told", timeout=60)
    observers.close(5)
    assert {root for _, _, root in seeing.seen} == {None}
