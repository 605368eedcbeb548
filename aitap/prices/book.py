"""The book of list prices: data that :mod:`aitap.prices.generate` made, and how a model is found in it."""

from __future__ import annotations

from datetime import UTC, date, datetime
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from aitap.prices.names import FALLBACKS, forms, inner_forms
from aitap.prices.rates import WHOLE, Rate, rate_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

__all__ = ["BOOK", "FORMAT", "Book", "Model", "builtin_book"]

BOOK = Path(__file__).with_name("book.json")
FORMAT = 1


class _Entry(msgspec.Struct, frozen=True):
    """Rates with the time in which they hold: from a day on, or from one minute of each day to another, in UTC."""

    rate: Rate
    since: int = 0
    hours: tuple[int, int] | None = None

    def holds(self, at: float) -> bool:
        if self.hours is None:
            return at >= self.since
        begin, end = self.hours
        minute = int(at % 86400 // 60)
        return begin <= minute < end if begin <= end else minute >= begin or minute < end


class Model:
    """One model of one vendor: its rates, of any time and any tier of service."""

    def __init__(self, told: dict[str, Any]) -> None:
        self.regional = round(told.get("regional", 1) * WHOLE)
        """What an endpoint of one region costs, as a factor in parts of ``WHOLE``."""
        self._told = told
        self._entries: dict[str, tuple[_Entry, ...]] = {}
        self._usual: Rate | None = None

    def rate(self, tier: str, at: float) -> Rate | None:
        """What holds at this moment (epoch seconds) for a tier of service, ``""`` for the usual one; None: unknown."""
        if not tier and self._usual is not None:
            return self._usual
        entries = self._entries.get(tier)
        if entries is None:
            if tier and tier not in self._told.get("tiers", ()):
                return None
            entries = self._entries[tier] = tuple(self._of_tier(tier))
            if not tier and len(entries) == 1 and entries[0].hours is None:
                self._usual = entries[0].rate
        # The last that holds counts; before the first of all, what is known from then on.
        return next((entry.rate for entry in reversed(entries) if entry.holds(at)), None)

    def _of_tier(self, tier: str) -> Iterator[_Entry]:
        prices = self._told["prices"]
        if not tier:
            for place, entry in enumerate(prices):
                yield _entry(entry, first=place == 0)
            return
        overlays = self._told.get("tiers", {}).get(tier, ())
        # A tier says what is different; the list that it is different from changes at days of its own.
        days = sorted({entry.get("from", "") for entry in (*prices, *overlays)})
        for day in days:
            base = [entry for entry in prices if entry.get("from", "") <= day and "hours" not in entry]
            over = [entry for entry in overlays if entry.get("from", "") <= day]
            if base and over:
                # Of tiers the first that holds counts.
                yield _entry({**base[-1], **over[0], "from": day}, first=False)


def _entry(told: dict[str, Any], *, first: bool) -> _Entry:
    since, hours = 0, None
    if (day := told.get("from")) and not first:
        since = int(datetime.combine(date.fromisoformat(day), datetime.min.time(), UTC).timestamp())
    if told.get("hours"):
        begin, end = (int(text[:2]) * 60 + int(text[3:]) for text in told["hours"])
        hours = (begin, end)
    return _Entry(rate_of(told), since, hours)


class Book:
    """All models of all vendors."""

    def __init__(self, told: dict[str, Any]) -> None:
        self.version = str(told["version"])
        self._models: dict[str, tuple[dict[str, Model], dict[str, Model]]] = {}
        for vendor, models in told["models"].items():
            names: dict[str, Model] = {}
            anywhere: dict[str, Model] = {}
            for one in models:
                model = Model(one)
                for name in one.get("anywhere", ()):
                    anywhere.setdefault(name, model)
                for name in (*one["names"], *one.get("anywhere", ())):
                    names.setdefault(name, model)
            self._models[vendor] = names, anywhere

    @property
    def vendors(self) -> Iterable[str]:
        """Who is in it."""
        return self._models.keys()

    def model(self, vendor: str, name: str) -> Model | None:
        """The model that this vendor sells under this name, or None where that is not certain."""
        for seller in (vendor, *FALLBACKS.get(vendor, ())):
            names, anywhere = self._models.get(seller, ({}, {}))
            for form in forms(vendor, name):
                if found := names.get(form):
                    return found
            # Bedrock's regions are among the names where they have prices of their own.
            inner = anywhere if seller == "aws" else names
            for form in inner_forms(vendor, name):
                if found := inner.get(form):
                    return found
        return None


@lru_cache(maxsize=1)
def builtin_book() -> Book:
    """The book of this version."""
    return Book(msgspec.json.decode(BOOK.read_bytes()))
