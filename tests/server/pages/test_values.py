"""Charts, periods and words: the small things that pages are made of."""

from __future__ import annotations

from datetime import UTC, date, datetime

import pytest

from aitap.server.pages.charts import HEIGHT, WIDTH, bars, days_between, months_between
from aitap.server.pages.forms import Tokens
from aitap.server.pages.periods import PERIODS, period_of
from aitap.server.pages.rendering import _environment, rendered
from aitap.server.pages.words import FILTERS, address, cut, pretty
from aitap.server.problems import Problem
from aitap.storage.filters import Filter


def test_bars_stay_in_their_box_and_keep_their_proportions() -> None:
    spans = days_between(date(2026, 1, 30), date(2026, 2, 3))
    chart = bars("X", "7", spans, {"2026-01-30": 1, "2026-02-03": 4}, str)
    assert [bar.name for bar in chart.bars] == spans
    assert [bar.height for bar in chart.bars] == [HEIGHT / 4, 0, 0, 0, HEIGHT]
    assert all(bar.x >= 0 and bar.x + bar.width <= WIDTH and bar.y + bar.height == HEIGHT for bar in chart.bars)
    assert [text for _, text in chart.lines] == ["2", "4"]


@pytest.mark.parametrize("value", [0, 1, 3, 7, 999_999, 123_456_789_012])
def test_a_scale_ends_at_or_above_the_highest(value: int) -> None:
    chart = bars("X", "", ["2026-01"], {"2026-01": value}, str)
    assert chart.bars[0].height <= HEIGHT
    assert not value or chart.bars[0].height >= HEIGHT / 2


def test_what_is_not_known_has_no_bar() -> None:
    assert bars("X", "", ["2026-01"], {"2026-01": None}, str).bars[0].height == 0


def test_months_go_over_the_years() -> None:
    assert months_between("2025-11", "2026-02") == ["2025-11", "2025-12", "2026-01", "2026-02"]
    assert months_between("2026-02", "2026-02") == ["2026-02"]


def test_a_period_is_of_whole_days_and_the_one_before_is_as_long() -> None:
    period = period_of({"days": "7"}, date(2026, 3, 10))
    within, before = period.within(Filter(model="m")), period.before(Filter(model="m"))
    assert within == Filter(model="m", started_after=datetime(2026, 3, 4, tzinfo=UTC))
    assert before is not None
    assert before.started_after == datetime(2026, 2, 25, tzinfo=UTC)
    assert before.started_before == datetime(2026, 3, 3, 23, 59, 59, 999999, tzinfo=UTC)
    assert before.model == "m"


def test_all_time_has_no_beginning_and_nothing_before() -> None:
    period = period_of({"days": "all"})
    assert (period.first, period.before(Filter()), period.within(Filter())) == (None, None, Filter())
    with pytest.raises(Problem):
        period_of({"days": "8"})
    assert period_of({}).choice in PERIODS


def test_a_token_is_of_one_visitor_and_one_page() -> None:
    tokens = Tokens()
    token = tokens.make("ann")
    assert token != tokens.make("ann")
    assert tokens.holds(token, "ann")
    assert not tokens.holds(token, "ben")
    assert not tokens.holds(token[:-1] + ("0" if token[-1] != "0" else "1"), "ann")
    assert not tokens.holds("", "ann")
    assert not tokens.holds("é.ü", "ann")
    assert not Tokens().holds(token, "ann")


def test_an_address_leaves_out_what_has_no_value() -> None:
    assert address("/x", {"a": None, "b": "", "c": "1 &", "d": "\ud83d"}) == "/x?c=1+%26&d=%3F"
    assert address("/x", {}) == "/x"


@pytest.mark.parametrize(
    ("told", "shown"),
    [('{"b":1,"a":[]}', '{\n  "b": 1,\n  "a": []\n}'), ("no json", "no json"), ({"a": 1}, '{\n  "a": 1\n}'), ("", "")],
)
def test_json_is_indented_and_other_text_is_as_it_is(told: object, shown: str) -> None:
    assert pretty(told) == shown


def test_a_long_text_is_cut_and_says_how_much_is_missing() -> None:
    assert cut("x" * 30, 10) == ("x" * 10, 20)
    assert cut("a\x1bb\u202ec\nd") == ("abc\nd", 0)


def test_a_piece_of_text_is_about_the_word() -> None:
    text = "start " * 100 + "the Needle is here" + " end" * 100
    assert "the Needle is here" in FILTERS["around"](text, ["needle"])
    assert len(FILTERS["around"](text, ["needle"])) < 300
    assert FILTERS["around"]("short", ["nowhere"]) == "short"


def test_templates_escape_and_know_no_way_round() -> None:
    values = {"asked": None, "place": "", "mark": "", "problem": Problem(404, "<b>&\"'")}
    data, _ = rendered("problem.html", values, accepts_gzip=False)
    assert b"&lt;b&gt;&amp;&#34;&#39;" in data
    assert "safe" not in _environment().filters
    assert _environment().autoescape is True
