"""The first page: what was spent and used over time, by whom, of which model, with which client."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from aitap.export import human
from aitap.server.pages.asking import Asked, View
from aitap.server.pages.charts import Chart, bars, days_between, months_between
from aitap.server.pages.filtering import CHOSEN, page_filter, selects
from aitap.server.pages.periods import PERIODS, Period, period_of
from aitap.storage.rows import TOKEN_COUNTERS
from aitap.storage.usage import usage

if TYPE_CHECKING:
    from collections.abc import Callable

    from peewee import Database

__all__ = ["PARAMETERS", "overview", "tokens_of"]

PARAMETERS = ("days", *CHOSEN)

_MOST_DAYS = 92
"""More are told by months."""
_LEADERS = 8
_BOARDS = (("user", "Users", "initiator"), ("model", "Models", "model"), ("client", "Clients", "client"))

Row = dict[str, Any]


def overview(database: Database, asked: Asked) -> View:
    """``GET /``."""
    period = period_of(asked.parameters)
    wanted = page_filter(database, asked)
    within = period.within(wanted)
    daily = period.first is not None and (period.today - period.first).days < _MOST_DAYS
    span = "day" if daily else "month"
    rows, total = usage(database, within, (span,))
    earlier = period.before(wanted)
    boards = [
        {"title": title, "parameter": parameter, "rows": _leaders(database, within, name)}
        for name, title, parameter in _BOARDS
        if name != "user" or asked.caller.sees_all
    ]
    values = {
        "period": period,
        "periods": PERIODS,
        "total": total,
        "tokens": tokens_of(total),
        "input": _input(total),
        "earlier": usage(database, earlier, ())[1] if earlier else None,
        "charts": _charts(rows, total, _spans(rows, period, daily=daily)),
        "span": span,
        "rows": [row | {"tokens": tokens_of(row)} for row in reversed(rows)],
        "boards": boards,
        "selects": selects(database, asked),
    }
    return View("overview.html", values)


def tokens_of(row: Row) -> int | None:
    """All tokens of a row of usage; None where nothing told them."""
    found = [row[name] for name in TOKEN_COUNTERS if row[name] is not None]
    return sum(found) if found else None


def _input(row: Row) -> int:
    return sum(row[name] or 0 for name in TOKEN_COUNTERS if name != "output_tokens")


def _spans(rows: list[Row], period: Period, *, daily: bool) -> list[str]:
    if daily and period.first is not None:
        return days_between(period.first, period.today)
    this = f"{period.today:%Y-%m}"
    first = f"{period.first:%Y-%m}" if period.first else min((row["month"] for row in rows), default=this)
    return months_between(first, max(this, *(row["month"] for row in rows)) if rows else this)


def _charts(rows: list[Row], total: Row, spans: list[str]) -> list[Chart]:
    drawn: tuple[tuple[str, Callable[[Row], Any], Callable[[Any], str]], ...] = (
        ("Spend", lambda row: row["cost_micros"], human.money),
        ("Tokens", tokens_of, human.count),
        ("Requests", lambda row: row["interceptions"], human.count),
        ("Errors", lambda row: row["errors"], human.count),
    )
    place = "day" if rows and "day" in rows[0] else "month"
    return [
        bars(title, told(value(total)), spans, {row[place]: value(row) for row in rows}, told)
        for title, value, told in drawn
    ]


def _leaders(database: Database, filter: Any, name: str) -> list[Row]:
    """The first of them, each with its ``share`` (0 to 100) of the most that one of them has."""
    rows, _ = usage(database, filter, (name,))
    rows = rows[:_LEADERS]
    by_cost = any(row["cost_micros"] for row in rows)
    sizes = [(row["cost_micros"] if by_cost else tokens_of(row)) or 0 for row in rows]
    most = max(sizes, default=0) or 1
    found = []
    for row, size in zip(rows, sizes, strict=True):
        named = row[name]
        if name == "user":
            label, value = named["username"] or human.short_id(named["id"]), named["username"] or named["id"]
        else:
            label = value = named
        label = human.one_line(label, 60) or human.DASH
        found.append(
            row | {"label": label, "value": value, "share": round(100 * size / most, 1), "tokens": tokens_of(row)}
        )
    return found
