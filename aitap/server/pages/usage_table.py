"""Usage and cost by anything, as a table and as CSV, and what nobody knows the cost of."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any

import msgspec

from aitap.prices.pricing import Prices
from aitap.server.pages.asking import Asked, View
from aitap.server.pages.filtering import CHOSEN, DAYS, page_filter, selects
from aitap.server.pages.overview import tokens_of
from aitap.server.pages.periods import PERIODS, period_of
from aitap.server.problems import invalid_parameters
from aitap.storage.unpriced import unpriced
from aitap.storage.usage import BY, usage

if TYPE_CHECKING:
    from peewee import Database

    from aitap.storage.filters import Filter

__all__ = ["PARAMETERS", "usage_asked_for", "usage_table"]

PARAMETERS = ("by", "then", "days", *DAYS, *CHOSEN, "provider_name", "unpriced")

_MOST = 250
"""Rows on the page; the download has all."""


def usage_table(database: Database, asked: Asked) -> View:
    """``GET /usage``."""
    rows, total, by = usage_asked_for(database, asked)
    values = {
        "by": by,
        "rows": [row | {"tokens": tokens_of(row)} for row in rows[:_MOST]],
        "left": max(0, len(rows) - _MOST),
        "total": total,
        "choices": [name for name in BY if name != "user" or asked.caller.sees_all],
        "period": None if _own_days(asked) else period_of(asked.parameters),
        "periods": PERIODS,
        "selects": selects(database, asked),
        "lacks": total["unpriced"] + total["unmetered"],
        # To find out why takes longer than all the rest.
        "unpriced": unpriced(database, _filter(database, asked), _prices()) if asked.given("unpriced") else [],
    }
    return View("usage.html", values)


def usage_asked_for(database: Database, asked: Asked) -> tuple[list[dict[str, Any]], dict[str, Any], list[str]]:
    """Rows, their sum, and by what they are told. Raises :class:`aitap.server.problems.Problem`."""
    named = [asked.parameters.get("by", "model"), asked.parameters.get("then", "")]
    by = list(dict.fromkeys(name for name in named if name))
    if wrong := {key: name for key, name in zip(("by", "then"), named, strict=True) if name and name not in BY}:
        raise invalid_parameters({key: f"choose one of {', '.join(BY)}" for key in wrong})
    rows, total = usage(database, _filter(database, asked), by)
    return rows, total, by


def _own_days(asked: Asked) -> bool:
    return any(name in asked.parameters for name in DAYS)


def _filter(database: Database, asked: Asked) -> Filter:
    wanted = msgspec.structs.replace(page_filter(database, asked), ended=False)
    return wanted if _own_days(asked) else period_of(asked.parameters).within(wanted)


@functools.cache
def _prices() -> Prices:
    return Prices()
