"""Requests that repeat one that failed."""

from __future__ import annotations

from aitap.capture.retries import Retries


def test_the_same_bytes_again_repeat_the_newest_that_failed() -> None:
    retries = Retries()
    retries.failed("one", "me", b"body", 100.0)
    retries.failed("two", "me", b"body", 110.0)
    assert retries.find("me", b"body", 120.0) == "two"


def test_other_bytes_and_other_senders_repeat_nothing() -> None:
    retries = Retries()
    retries.failed("one", "me", b"body", 100.0)
    assert retries.find("me", b"Body", 101.0) is None
    assert retries.find("me", b"bodies", 101.0) is None
    assert retries.find("you", b"body", 101.0) is None


def test_a_failure_is_remembered_for_ten_minutes() -> None:
    retries = Retries()
    retries.failed("one", "me", b"body", 100.0)
    assert retries.find("me", b"body", 700.0) == "one"
    assert retries.find("me", b"body", 700.5) is None


def test_a_request_without_a_body_is_never_a_repeat() -> None:
    retries = Retries()
    retries.failed("one", "me", b"", 100.0)
    assert retries.find("me", b"", 100.0) is None


def test_the_memory_is_bounded_and_forgets_the_oldest() -> None:
    retries = Retries()
    for number in range(10_000):
        retries.failed(str(number), f"sender {number}", b"body", 100.0)
    assert retries.find("sender 0", b"body", 100.0) is None
    assert retries.find("sender 9999", b"body", 100.0) == "9999"
    for number in range(100):
        retries.failed(str(number), "me", b"%04d" % number, 100.0)
    assert retries.find("me", b"0000", 100.0) is None
    assert retries.find("me", b"0099", 100.0) == "99"


def test_once_it_was_answered_the_same_is_asked_anew() -> None:
    retries = Retries()
    retries.failed("a", "me", b"ask", 1000.0)
    retries.failed("b", "me", b"bid", 1000.0)
    retries.answered("me", b"ask")
    assert (retries.find("me", b"ask", 1001.0), retries.find("me", b"bid", 1001.0)) == (None, "b")
