"""A clock that was set forwards makes nothing old before a day has passed."""

from __future__ import annotations

from aitap.storage.steady import BELIEVED_AFTER, SteadyClock

HOUR = 3600.0


class Hands:
    def __init__(self) -> None:
        self.wall, self.running = 1_000_000.0, 50.0

    def pass_(self, seconds: float) -> None:
        self.wall += seconds
        self.running += seconds


def steady(hands: Hands) -> SteadyClock:
    return SteadyClock(lambda: hands.wall, lambda: hands.running)


def test_time_passes_as_the_wall_clock_says_it() -> None:
    hands = Hands()
    clock = steady(hands)
    hands.pass_(10 * HOUR)
    assert clock.now() == hands.wall
    hands.wall += 30
    assert clock.now() == hands.wall


def test_a_jump_forwards_is_believed_after_a_day_and_time_goes_on_meanwhile() -> None:
    hands = Hands()
    clock = steady(hands)
    before = hands.wall
    hands.wall += 1000 * HOUR
    assert clock.now() == before
    hands.pass_(HOUR)
    assert clock.now() == before + HOUR
    hands.pass_(BELIEVED_AFTER)
    assert clock.now() == hands.wall


def test_a_jump_that_is_undone_leaves_no_trace() -> None:
    hands = Hands()
    clock = steady(hands)
    hands.wall += 10 * HOUR
    clock.now()
    hands.wall -= 10 * HOUR
    hands.pass_(2 * BELIEVED_AFTER)
    assert clock.now() == hands.wall
    hands.wall += 10 * HOUR
    assert clock.now() == hands.wall - 10 * HOUR


def test_a_clock_that_was_set_back_is_believed_at_once() -> None:
    hands = Hands()
    clock = steady(hands)
    hands.wall -= 10 * HOUR
    assert clock.now() == hands.wall


def test_the_machines_own_clocks_are_taken() -> None:
    clock = SteadyClock()
    assert clock.now() <= clock.now()


def test_a_clock_that_is_far_beyond_what_was_heard_last_is_not_believed_at_once() -> None:
    hands = Hands()
    clock = steady(hands)
    clock.begin(hands.wall - 10 * 24 * HOUR)
    assert clock.now() == hands.wall
    heard = hands.wall - 1000 * 24 * HOUR
    clock.begin(heard)
    assert clock.now() == heard
    hands.pass_(HOUR)
    assert clock.now() == heard + HOUR
    hands.pass_(BELIEVED_AFTER)
    assert clock.now() == hands.wall
