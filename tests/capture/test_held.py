"""What is held for the next recorder, and how long."""

from __future__ import annotations

from aitap.capture import held
from aitap.capture.held import Held


def frames(found: Held, count: int, size: int = 10, begun: int = 1, waiting: int = 0) -> list[bytes]:
    added = [bytes([number]) * size for number in range(count)]
    for data in added:
        found.add([memoryview(data)], size, begun, waiting)
    return added


def pieces(found: Held) -> list[bytes]:
    return [bytes(piece) for piece in found.pieces()]


def test_a_frame_is_held_until_nothing_of_it_is_needed_or_goes_on() -> None:
    found = Held()
    added = frames(found, 5)
    found.let_go(needed=4, wanted=2)
    assert pieces(found) == added[2:]
    assert (found.first, found.begun, found.bytes) == (2, 3, 30)
    found.let_go(needed=5, wanted=5)
    assert (pieces(found), found.first) == ([], 5)


def test_what_only_goes_on_is_held_within_a_bound_of_its_own() -> None:
    found = Held()
    frames(found, 5, size=held.WANTED // 2)
    found.let_go(needed=4, wanted=0)
    assert (found.first, found.missing) == (3, None)


def test_what_is_needed_beyond_the_bound_is_missing_until_it_is_safe() -> None:
    found = Held()
    frames(found, 5, size=held.NEEDED // 2, begun=3)
    assert (found.first, found.missing) == (3, 9)
    found.let_go(needed=2, wanted=2)
    assert found.missing == 3
    found.let_go(needed=3, wanted=3)
    assert found.missing is None


def test_what_was_not_handed_over_is_never_missing() -> None:
    found = Held()
    size = held.NEEDED // 2
    for number in range(5):
        found.add([memoryview(bytes(size))], size, 1, (number + 1) * size)
    assert (found.first, found.missing) == (0, None)


def test_frames_that_the_dead_recorder_cannot_have_had_are_told_apart() -> None:
    found = Held()
    frames(found, 4)
    found.let_go(1, 1)
    assert found.again(waiting=30) == (1, 1)
    assert found.again(waiting=29) == (1, 2)
    assert found.again(waiting=10) == (1, 3)
    assert found.again(waiting=0) == (1, 4)


def test_what_one_before_may_have_had_stays_so_where_the_last_got_nothing() -> None:
    found = Held()
    frames(found, 4)
    assert found.again(waiting=10) == (0, 3)
    assert found.again(waiting=40) == (0, 3)


def test_what_is_given_up_is_missing_and_what_never_went_out_is_kept() -> None:
    found = Held()
    added = frames(found, 4, begun=2)
    found.give_up(waiting=20)
    assert (pieces(found), found.missing) == (added[2:], 4)


def test_a_socket_is_remembered_until_the_frame_that_closed_it_is_let_go() -> None:
    found = Held()
    found.opened(7, "seven")
    found.opened(8, "eight")
    frames(found, 2)
    found.closed(7)
    found.let_go(2, 2)
    assert found.sockets == ["seven", "eight"]
    frames(found, 1)
    found.let_go(3, 3)
    assert found.sockets == ["eight"]
