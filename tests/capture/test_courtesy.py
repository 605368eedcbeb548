"""Two threads that take turns at one work."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from aitap.capture.courtesy import PER_THREAD, Courtesy


def served(behind: list[bool]) -> list[int]:
    """The priorities at which so many steps and one were taken, after each of which this was so."""
    taken: list[int] = []
    states: Iterator[bool] = iter(behind)

    def step() -> bool:
        taken.append(os.getpriority(os.PRIO_PROCESS, threading.get_native_id() if PER_THREAD else 0))
        return len(taken) <= len(behind)

    in_a_thread(lambda: Courtesy().run(step, lambda: next(states)))
    return taken


def in_a_thread(work: Callable[[], None]) -> None:
    """Do it where a lower priority is nobody else's; what it raises is raised."""
    with ThreadPoolExecutor(1) as pool:
        pool.submit(work).result()


@pytest.mark.skipif(not PER_THREAD, reason="threads have no priority of their own")
def test_steps_are_taken_with_lower_priority_but_while_there_is_much_to_catch_up_with() -> None:
    usual = os.getpriority(os.PRIO_PROCESS, 0)
    found = served([False, True, True, False, True, False])
    assert [priority > usual for priority in found] == [True, True, False, False, True, False, True]
    assert os.getpriority(os.PRIO_PROCESS, 0) == usual


def test_no_step_is_left_out_or_taken_twice_whoever_takes_it() -> None:
    assert len(served([bool(number % 3) for number in range(1000)])) == 1001


@pytest.mark.parametrize("behind", [False, True])
def test_what_a_step_raises_is_raised(behind: bool) -> None:
    steps = iter([True, True])

    def step() -> bool:
        try:
            return next(steps)
        except StopIteration:
            raise OSError("the line is broken") from None

    with pytest.raises(OSError, match="the line is broken"):
        in_a_thread(lambda: Courtesy().run(step, lambda: behind))
