from __future__ import annotations

import pytest

from bench.load import Crowd, Slice
from bench.report import summarize, table
from bench.rounds import Measured

NAMES = ("plain", "aitap")


def measured(*ratios: float) -> Measured:
    """Rounds in which the addon's requests/s are these shares of plain's."""
    found = Measured()
    found.slices["json"] = [
        {
            "plain": Slice(requests=100, seconds=1.0, cpu=1.0, first=[1.0]),
            "aitap": Slice(requests=100, seconds=1 / ratio, cpu=1.0, first=[1.0]),
        }
        for ratio in ratios
    ]
    return found


@pytest.mark.parametrize(
    ("ratios", "verdict"),
    [
        ([0.98] * 8, "ok"),
        ([0.9] * 8, "MISS"),
        ([0.9] * 5 + [1.1] * 3, "miss?"),
        ([0.9] * 3 + [1.1] * 5, "ok"),
        ([0.9] * 2, "miss?"),
    ],
)
def test_a_miss_is_one_only_where_the_rounds_agree(ratios, verdict):
    assert summarize(measured(*ratios), NAMES).figures["json"]["requests"].verdict == verdict


def test_the_ratio_is_the_median_of_the_rounds_own_ratios():
    figure = summarize(measured(0.5, 0.9, 1.3), NAMES).figures["json"]["requests"]
    assert (figure.middle, figure.low, figure.high) == pytest.approx((0.9, 0.5, 1.3))


def test_where_cpu_time_is_unknown_nothing_is_said_of_it():
    found = measured(1.0)
    for one in found.slices["json"][0].values():
        one.cpu = 0.0
    assert "cpu" not in summarize(found, NAMES).figures["json"]


@pytest.mark.parametrize("rows", [99, 101])
def test_rows_that_are_not_the_requests_answered_are_a_problem(rows):
    found = measured(1.0)
    found.answered = {"plain": 100, "aitap": 100}
    found.upstream_requests = 200
    found.stored = {"aitap": {"rows": rows, "complete": 100, "with_usage": 100}}
    (problem,) = summarize(found, NAMES).problems
    assert problem in table(summarize(found, NAMES), found)


def test_a_failed_stream_and_one_that_was_not_open_with_the_others_are_problems():
    found = Measured()
    found.crowd["plain"] = Crowd(streams=10, answered=9, errors=["connection lost"], open_at_once=9)
    assert len(summarize(found, NAMES).problems) == 2


def test_memory_per_stream_is_the_growth_beyond_plain():
    found = Measured()
    found.crowd["plain"] = Crowd(streams=1000, open_at_once=1000, rss_before=10**8, rss_open=10**8 + 300 * 1024_000)
    found.crowd["aitap"] = Crowd(
        streams=1000, open_at_once=1000, rss_before=2 * 10**8, rss_open=2 * 10**8 + 304 * 1024_000
    )
    assert summarize(found, NAMES).memory == pytest.approx(4.0)
