"""The same thing of the same subject, only once in a while."""

from __future__ import annotations

import pytest

from aitap.access import quiet as module
from aitap.access.quiet import Quiet


class Clock:
    """Stands for the module ``time``."""

    now = 1000.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(module, "time", clock)
    return clock


def test_one_address_is_spoken_of_once_a_second(clock: Clock) -> None:
    quiet = Quiet(1.0, 10)
    assert [quiet.may_speak("a"), quiet.may_speak("a"), quiet.may_speak("b")] == [True, False, True]
    clock.now += 1
    assert quiet.may_speak("a")


def test_no_more_subjects_are_remembered_than_was_said(clock: Clock) -> None:
    quiet = Quiet(60.0, 2)
    assert all(quiet.may_speak(subject) for subject in "abc")
    assert [quiet.may_speak(subject) for subject in "cb"] == [False, False]
    assert quiet.may_speak("a")
