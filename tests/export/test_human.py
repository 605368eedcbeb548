"""Values as people read them."""

from __future__ import annotations

import unicodedata
from datetime import datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aitap.export import human


@given(st.text())
def test_no_text_can_act_on_a_terminal(text: str) -> None:
    for shown in (human.safe(text), human.one_line(text)):
        assert not [char for char in shown if char not in "\n\t" and unicodedata.category(char) in {"Cc", "Cf", "Cs"}]
    assert "\n" not in human.one_line(text)
    assert "\n" not in human.tool_input(text)


@pytest.mark.parametrize(
    ("number", "text"),
    [
        (None, "\u2013"),
        (0, "0"),
        (999, "999"),
        (1000, "1.0k"),
        (12_345, "12.3k"),
        (99_949, "99.9k"),
        (99_950, "100k"),
        (999_499, "999k"),
        (999_500, "1.0M"),
        (1_234_567_890, "1.2G"),
    ],
)
def test_counts(number: int | None, text: str) -> None:
    assert human.count(number) == text


@given(st.integers(0, 10**12 - 1))
def test_a_count_fits_five_characters(number: int) -> None:
    assert len(human.count(number)) <= 5


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (None, "\u2013"),
        (0.004, "0.00s"),
        (0.42, "0.42s"),
        (0.999, "1.0s"),
        (3.21, "3.2s"),
        (9.97, "10s"),
        (59.6, "1m 00s"),
        (125, "2m 05s"),
        (7260, "2h 01m"),
        (100_000, "1d 3h"),
    ],
)
def test_spans(seconds: float | None, text: str) -> None:
    assert human.span(seconds) == text


def test_times_are_as_short_as_their_distance_allows() -> None:
    now = datetime(2026, 6, 15, 12, 0).astimezone()
    assert human.day_and_time((now - timedelta(minutes=1)).isoformat(), now) == "11:59:00"
    assert human.day_and_time((now - timedelta(days=40)).isoformat(), now) == "May  6 12:00"
    assert human.day_and_time((now - timedelta(days=400)).isoformat(), now) == "2025-05-11"
    assert human.day_and_time(None, now) == "\u2013"


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ('{"command":"ls -la","description":"List"}', "ls -la"),
        ('{"command":["bash","-lc","ls"]}', "bash -lc ls"),
        ('{"file_path":"/a/b"}', "/a/b"),
        ('{"a":1,"b":"x\\ny"}', "a=1 b=x y"),
        ("*** Begin Patch\n*** End Patch", "*** Begin Patch *** End Patch"),
        ("", ""),
        ("[1, 2]", "[1, 2]"),
    ],
)
def test_tool_input_says_what_the_call_is_about(text: str, shown: str) -> None:
    assert human.tool_input(text) == shown


def test_sizes_and_ids() -> None:
    assert [human.size(number) for number in (None, 12, 1234)] == ["\u2013", "12 B", "1.2 kB"]
    assert human.short_id("019ab3de-6c1f-7d20-8a5e-3f2b1c0d9e8f") == "1c0d9e8f"
    assert human.short_id("session-1234567") == "1234567"
    assert human.model_name("claude-haiku-4-5-20251001", brief=True) == "claude-haiku-4-5"
    assert human.model_name("gpt-4o-2024-08-06", brief=True) == "gpt-4o"
    assert human.model_name("", brief=True) == human.model_name("\u200b", brief=False) == human.DASH
