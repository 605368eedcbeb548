"""Bars over time, as numbers that a template draws: positions in a fixed box, scales that end at round figures."""

from __future__ import annotations

import math
from datetime import date, timedelta
from typing import TYPE_CHECKING, Any

import msgspec

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

__all__ = ["HEIGHT", "WIDTH", "Bar", "Chart", "bars", "days_between", "months_between"]

WIDTH, HEIGHT = 600.0, 150.0
"""Of the box in which bars are drawn."""
_GAP = 0.22
"""Of a bar's place that stays empty."""
_LABELS = 6


class Bar(msgspec.Struct, frozen=True):
    """One span of time."""

    x: float
    y: float
    width: float
    height: float
    name: str
    """The span: ``2026-11-20`` or ``2026-11``."""
    value: float | None
    text: str
    """The value as people read it."""


class Chart(msgspec.Struct, frozen=True):
    """What a template needs to draw one."""

    title: str
    total: str
    """The sum of all, as people read it."""
    bars: list[Bar]
    lines: list[tuple[float, str]]
    """Heights of the scale's lines, and what they stand for."""
    labels: list[tuple[float, str]]
    """Where on the axis of time which span is named."""


def bars(
    title: str,
    total: str,
    spans: Sequence[str],
    values: Mapping[str, float | None],
    told: Callable[[Any], str],
) -> Chart:
    """A chart of one value for each of these spans, in their order; what is not among the values is nothing."""
    highest = max((value or 0 for value in values.values()), default=0)
    top = _round_up(highest)
    place = WIDTH / max(1, len(spans))
    found = []
    for number, span in enumerate(spans):
        value = values.get(span, 0)
        height = HEIGHT * (value or 0) / top
        if value and height < 1.5:
            height = 1.5  # a little is not nothing
        found.append(
            Bar(
                round(number * place + place * _GAP / 2, 2),
                round(HEIGHT - height, 2),
                round(place * (1 - _GAP), 2),
                round(height, 2),
                span,
                value,
                told(value),
            )
        )
    step = max(1, math.ceil(len(spans) / _LABELS))
    labels = [(round((number + 0.5) * place, 2), spans[number]) for number in range(0, len(spans), step)]
    lines = [(round(HEIGHT * (1 - share), 2), told(_whole(top * share))) for share in (0.5, 1.0)] if highest else []
    return Chart(title, total, found, lines, [(x, _short(name)) for x, name in labels])


def _round_up(value: float) -> float:
    """The least of 1, 2, 4, 6, 8 times a power of ten that is no less; two lines divide it well."""
    if value <= 0:
        return 1.0
    power = 10.0 ** math.floor(math.log10(value))
    return next(step * power for step in (1, 2, 4, 6, 8, 10) if step * power >= value * 0.999999)


def _whole(value: float) -> float:
    return int(value) if value == int(value) else value


def _short(span: str) -> str:
    if len(span) == 7:
        return f"{date.fromisoformat(span + '-01'):%b %Y}"
    day = date.fromisoformat(span)
    return f"{day:%b} {day.day}"


def days_between(first: date, last: date) -> list[str]:
    """Every day, both ends too."""
    return [(first + timedelta(days=number)).isoformat() for number in range((last - first).days + 1)]


def months_between(first: str, last: str) -> list[str]:
    """Every month (``2026-11``), both ends too."""
    (year, month), (last_year, last_month) = (map(int, name.split("-")) for name in (first, last))
    numbers = range(12 * year + month - 1, 12 * last_year + last_month)
    return [f"{number // 12:04}-{number % 12 + 1:02}" for number in numbers]
