"""The one form that values have in every database."""

from __future__ import annotations

import math
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aitap.storage.fields import parse_timestamp, timestamp_text


@given(st.floats(-2e9, 6e9) | st.integers(0, 4 * 10**9))
def test_a_moment_is_told_to_the_nearest_microsecond(seconds: float) -> None:
    moment = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=round(seconds * 1_000_000))
    assert timestamp_text(seconds) == moment.isoformat(" ", "microseconds")
    assert parse_timestamp(timestamp_text(seconds)) == moment


@pytest.mark.parametrize("seconds", [math.nan, math.inf])
def test_what_is_no_moment_has_no_text(seconds: float) -> None:
    with pytest.raises((ValueError, OverflowError)):
        timestamp_text(seconds)
