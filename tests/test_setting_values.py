"""What people write for a value is understood, and what is no value learns how to write one."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aitap.setting_values import address, boolean, duration


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("100ms", 0.1),
        ("0", 0.0),
        ("0s", 0.0),
        ("1.5h", 5400.0),
        ("60d", 5184000.0),
        ("2w", 1209600.0),
        (" 3 m ", 180.0),
    ],
)
def test_a_duration_is_a_number_and_a_unit(text: str, seconds: float) -> None:
    assert duration(text) == pytest.approx(seconds)


@given(st.text())
def test_any_text_is_a_duration_or_learns_how_to_write_one(text: str) -> None:
    reason = ""
    try:
        value = duration(text)
    except ValueError as error:
        value, reason = 0.0, str(error)
    assert value >= 0.0
    assert not reason or "60d" in reason


@pytest.mark.parametrize("text", ["", "60", "-1d", "1y", "1 d 2 h", "d", "1,5h", "inf", "1e3s"])
def test_what_is_no_duration_says_how_to_write_one(text: str) -> None:
    with pytest.raises(ValueError, match="100ms"):
        duration(text)


@pytest.mark.parametrize(
    ("text", "means"), [("true", True), ("On", True), (" 1 ", True), ("no", False), ("off", False)]
)
def test_what_people_write_for_true_and_false(text: str, means: bool) -> None:
    assert boolean(text) is means


@pytest.mark.parametrize(
    ("text", "means"),
    [
        ("127.0.0.1:9464", ("127.0.0.1", 9464)),
        ("[::1]:0", ("::1", 0)),
        (":80", ("", 80)),
        ("localhost:1", ("localhost", 1)),
        ("", None),
    ],
)
def test_an_address_is_a_host_and_a_port(text: str, means: tuple[str, int] | None) -> None:
    assert address(text) == means


@pytest.mark.parametrize("text", ["9464", "localhost", "::1:80", "host:99999", "host:port"])
def test_what_is_no_address_is_refused_with_an_example(text: str) -> None:
    with pytest.raises(ValueError, match=r"127\.0\.0\.1:9464"):
        address(text)
