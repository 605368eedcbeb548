"""A user's own prices: ``[[price]]`` rows of ``aitap.toml``, which come before the book.

A row says for which provider (a name of the provider table) and which models it holds, and then either
what a million tokens cost in US dollars, or whose list price it is, with a factor. What is wrong with a
row is said in one line. What a row has no price for is unknown, not free: a machine of one's own that
shall cost nothing has rows with 0.
"""

from __future__ import annotations

import difflib
import math
import re
from functools import lru_cache
from typing import Any

import msgspec

__all__ = ["OwnPrice", "OwnPriceError", "own_prices"]

_PRICES = ("input", "output", "cache_read", "cache_write", "cache_write_1h")
_KEYS = ("provider", "model", "as", "multiplier", *_PRICES)


class OwnPriceError(ValueError):
    """A row that cannot be used. The text is one line that says which, why, and what would be right."""


class OwnPrice(msgspec.Struct, frozen=True, array_like=True):
    """One row: US dollars for a million tokens, or ``like`` whom; None is unknown."""

    provider: str = "*"
    model: str = "*"
    """A pattern in which ``*`` stands for anything, as ``provider`` is; case does not count."""
    like: str = ""
    multiplier: float = 1.0
    input: float | None = None
    output: float | None = None
    cache_read: float | None = None
    cache_write: float | None = None
    cache_write_1h: float | None = None

    def fits(self, provider: str, model: str) -> bool:
        """Whether the row is for this model of this provider."""
        return _test(self.provider).fullmatch(provider) is not None and _test(self.model).fullmatch(model) is not None

    @property
    def prices(self) -> dict[str, float]:
        """What the row has, under the names of the book."""
        told = zip(("in", "out", "read", "write", "write_1h"), (getattr(self, name) for name in _PRICES), strict=True)
        return {name: price for name, price in told if price is not None}


@lru_cache(maxsize=256)
def _test(pattern: str) -> re.Pattern[str]:
    return re.compile(".*".join(map(re.escape, pattern.split("*"))), re.IGNORECASE | re.DOTALL)


def own_prices(rows: Any) -> tuple[OwnPrice, ...]:
    """A user's rows, checked. Raises :class:`OwnPriceError` for the first thing that is wrong with one."""
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        raise OwnPriceError("write each price as a table of its own, under [[price]]")
    return tuple(_row(number, row) for number, row in enumerate(rows, 1))


def _row(number: int, row: dict[str, Any]) -> OwnPrice:
    where = f"price row {number}"
    for key in row:
        if key not in _KEYS:
            near = difflib.get_close_matches(key, _KEYS, n=1, cutoff=0.0)[0]
            raise OwnPriceError(f"{where}: unknown key {key!r}, did you mean {near!r}?")
    if "provider" not in row and "model" not in row:
        raise OwnPriceError(f'{where} says neither provider nor model: write model = "*" if it is for all there are')
    provider, model = (_text(where, key, row.get(key, "*")) for key in ("provider", "model"))
    prices = {key: _number(where, key, row[key]) for key in _PRICES if key in row}
    if "as" in row:
        if prices:
            raise OwnPriceError(f"{where} has both as and {next(iter(prices))}: choose one")
        factor = _number(where, "multiplier", row.get("multiplier", 1.0))
        return OwnPrice(provider, model, _vendor(where, row["as"]), factor)
    if "multiplier" in row:
        raise OwnPriceError(f'{where}: multiplier goes with as, such as as = "anthropic"')
    if "input" not in prices or "output" not in prices:
        raise OwnPriceError(f"{where} needs input and output, in US dollars for a million tokens, or as")
    return OwnPrice(provider, model, "", 1.0, *(prices.get(key) for key in _PRICES))


def _text(where: str, key: str, value: Any) -> str:
    if not isinstance(value, str) or not value:
        raise OwnPriceError(f"{where}: {key} is a name, which may have * in it")
    return value


def _number(where: str, key: str, value: Any) -> float:
    if type(value) not in (int, float) or not math.isfinite(value) or not 0 <= value <= 1_000_000:
        raise OwnPriceError(f"{where}: {key} = {value!r} is no number from 0 to 1000000")
    return float(value)


def _vendor(where: str, value: Any) -> str:
    # The book is read only by who needs it.
    from aitap.prices.book import builtin_book  # noqa: PLC0415

    known = builtin_book().vendors
    if not isinstance(value, str) or value not in known:
        near = difflib.get_close_matches(str(value), known, n=1, cutoff=0.0)[0]
        raise OwnPriceError(f"{where}: the book has no vendor {value!r}, did you mean {near!r}?")
    return value
