"""Requests that repeat one that failed."""

from __future__ import annotations

from aitap.capture.retries import Retries


def test_the_same_request_again_repeats_the_newest_that_failed() -> None:
    retries = Retries()
    retries.failed("one", "request", 100.0)
    retries.failed("two", "request", 110.0)
    assert retries.find("request", 120.0) == "two"


def test_another_request_repeats_nothing() -> None:
    retries = Retries()
    retries.failed("one", "request", 100.0)
    assert retries.find("another", 101.0) is None


def test_a_failure_is_remembered_for_ten_minutes() -> None:
    retries = Retries()
    retries.failed("one", "request", 100.0)
    assert retries.find("request", 700.0) == "one"
    assert retries.find("request", 700.5) is None


def test_the_memory_is_bounded_and_forgets_the_oldest() -> None:
    retries = Retries()
    retries.failed("again", "request 0", 100.0)
    for number in range(10_000):
        retries.failed(str(number), f"request {number}", 100.0)
    assert retries.find("request 0", 100.0) is None
    assert retries.find("request 9999", 100.0) == "9999"


def test_once_it_was_answered_the_same_is_asked_anew() -> None:
    retries = Retries()
    retries.failed("a", "ask", 1000.0)
    retries.failed("b", "bid", 1000.0)
    retries.answered("ask")
    assert (retries.find("ask", 1001.0), retries.find("bid", 1001.0)) == (None, "b")
