"""What is remembered for strangers is bounded in number and in length."""

from __future__ import annotations

import pytest

from aitap.short_questions import LONGEST, remembering


def test_an_answer_is_found_once_and_the_memory_keeps_so_many() -> None:
    asked: list[tuple[str, int]] = []

    def shout(text: str, times: int) -> str:
        asked.append((text, times))
        return text.upper() * times

    loud = remembering(shout, entries=2)
    assert [loud("a", 2), loud("a", 2), loud("b", 1), loud("c", 1)] == ["AA", "AA", "B", "C"]
    assert asked == [("a", 2), ("b", 1), ("c", 1)]
    assert loud.cache_info().currsize == 2


@pytest.mark.parametrize("long", ["x" * (LONGEST + 1), b"x" * (LONGEST + 1)])
def test_a_long_question_is_answered_and_not_kept(long: str | bytes) -> None:
    size = remembering(len, entries=8)
    assert [size(long), size(long[:-1])] == [LONGEST + 1, LONGEST]
    assert size.cache_info().currsize == 1
