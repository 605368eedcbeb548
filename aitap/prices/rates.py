"""What tokens of one model cost at one time: whole-number arithmetic on what a response counted.

Every token is charged once. The four counters of a record do not overlap; audio, pictures, the hour-long
part of cache writes are parts of them, told apart only where they have a price of their own.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

if TYPE_CHECKING:
    from collections.abc import Mapping

    from aitap.record import TokenUsage

__all__ = ["WHOLE", "Rate", "rate_of"]

_SCALE = 1_000_000_000
"""Prices are kept in billionths of a micro-dollar, so that the smallest of them is exact."""

_MOST = 10_000_000 * 1_000_000
"""No response costs ten million dollars."""

WHOLE = 1_000_000
"""A factor of 1."""

_AUDIO_IN = ("prompt_audio", "promptTokensDetails.AUDIO", "input_token_details.audio_tokens")
_AUDIO_OUT = (
    "completion_audio",
    "candidatesTokensDetails.AUDIO",
    "responseTokensDetails.AUDIO",
    "output_token_details.audio_tokens",
)
_AUDIO_READ = ("cacheTokensDetails.AUDIO", "input_token_details.cached_tokens_details.audio_tokens")
_IMAGE_OUT = ("candidatesTokensDetails.IMAGE",)
_HOUR = "cache_ephemeral_1h_input"
_SEARCHES = "web_search_requests"
_PARTS = frozenset({*_AUDIO_IN, *_AUDIO_OUT, *_AUDIO_READ, *_IMAGE_OUT})
_SPECIAL = frozenset({_HOUR, _SEARCHES, *_PARTS})


class Rate(msgspec.Struct, frozen=True, kw_only=True):
    """Prices of one model, in billionths of a micro-dollar a token (or a search, or a request); None is unknown."""

    input: int | None = None
    output: int | None = None
    read: int | None = None
    write: int | None = None
    write_1h: int | None = None
    audio_in: int | None = None
    audio_out: int | None = None
    audio_read: int | None = None
    image_out: int | None = None
    search: int | None = None
    request: int = 0
    above: tuple[tuple[int, Rate], ...] = ()
    """Rates of the whole response where its input has more tokens than this; the largest number first."""

    def cost(self, usage: TokenUsage, factor: int = WHOLE) -> int | str:
        """Micro-dollars, or in a few words why they are not known; ``factor`` is in parts of ``WHOLE``."""
        rate = self
        if rate.above:
            total = usage.input_tokens + usage.cache_read_input_tokens + usage.cache_write_input_tokens
            rate = next((higher for start, higher in rate.above if total > start), rate)
        fresh, output, read, write = rate.input, rate.output, rate.read, rate.write
        if fresh is None or output is None or read is None or write is None:
            if missing := rate._missing(usage):
                return missing
            fresh, output, read, write = fresh or 0, output or 0, read or 0, write or 0
        sum_ = (
            rate.request
            + usage.input_tokens * fresh
            + usage.output_tokens * output
            + usage.cache_read_input_tokens * read
            + usage.cache_write_input_tokens * write
        )
        if not _SPECIAL.isdisjoint(usage.metadata):
            special = rate._special(usage, usage.metadata)
            if isinstance(special, str):
                return special
            sum_ += special
        if factor != WHOLE:
            sum_ = sum_ * factor // WHOLE
        cost = (sum_ + _SCALE // 2) // _SCALE
        return cost if 0 <= cost < _MOST else "its counters cannot be true"

    def _missing(self, usage: TokenUsage) -> str:
        for tokens, price, name in (
            (usage.input_tokens, self.input, "input"),
            (usage.output_tokens, self.output, "output"),
            (usage.cache_read_input_tokens, self.read, "cache reads"),
            (usage.cache_write_input_tokens, self.write, "cache writes"),
        ):
            if tokens and price is None:
                return f"no price for {name}"
        return ""

    def _special(self, usage: TokenUsage, extra: Mapping[str, Any]) -> int | str:
        """What is to be added for the parts that have prices of their own, which the sums charge like the rest."""
        more = 0
        if hour := extra.get(_HOUR):
            if type(hour) is not int or hour < 0:
                return "its counters cannot be true"
            if hour > usage.cache_write_input_tokens:
                return "its counters contradict each other"
            if self.write_1h is None or self.write is None:
                return "no price for cache writes of an hour"
            more = hour * (self.write_1h - self.write)
        if searches := extra.get(_SEARCHES):
            if type(searches) is not int or searches < 0:
                return "its counters cannot be true"
            if self.search is None:
                return "no price for web searches"
            more += searches * self.search
        if _PARTS.isdisjoint(extra):
            return more
        read = _count(extra, _AUDIO_READ)
        heard = _count(extra, _AUDIO_IN)
        for tokens, of, price, base, name in (
            (max(heard - read, 0), usage.input_tokens, self.audio_in, self.input, "audio"),
            (read, usage.cache_read_input_tokens, self.audio_read, self.read, "audio from the cache"),
            (_count(extra, _AUDIO_OUT), usage.output_tokens, self.audio_out, self.output, "spoken output"),
            (_count(extra, _IMAGE_OUT), usage.output_tokens, self.image_out, self.output, "pictures"),
        ):
            if tokens:
                if price is None or base is None:
                    return f"no price for {name}"
                if tokens > of:
                    return "its counters contradict each other"
                more += tokens * (price - base)
        return more


def _count(extra: Mapping[str, Any], names: tuple[str, ...]) -> int:
    for name in names:
        value = extra.get(name)
        if type(value) is int and value > 0:
            return value
    return 0


_FIELDS = {"in": "input", "out": "output"} | {
    name: name for name in ("read", "write", "write_1h", "audio_in", "audio_out", "audio_read", "image_out")
}
_PER_THOUSAND = ("search", "request")


def rate_of(prices: Mapping[str, Any], *, strict: bool = False) -> Rate:
    """The rate of prices as the book writes them: numbers, or the number and then ``[above, number]`` pairs.

    Dollars for a million tokens, for a thousand searches or requests. Unless they are ``strict``, cached tokens
    without a price of their own cost what input costs.
    """
    steps = [
        step for name, value in prices.items() if name != "hours" and isinstance(value, list) for step in value[1:]
    ]
    starts = sorted({start for start, _ in steps}, reverse=True)
    higher = tuple((start, _flat(prices, start, strict=strict)) for start in starts)
    return msgspec.structs.replace(_flat(prices, 0, strict=strict), above=higher)


def _flat(prices: Mapping[str, Any], start: int, *, strict: bool) -> Rate:
    values: dict[str, Any] = {}
    for name, value in prices.items():
        if name in _FIELDS:
            values[_FIELDS[name]] = round(_price(value, start) * _SCALE)
        elif name in _PER_THOUSAND:
            values[name] = round(_price(value, start) * 1000 * _SCALE)
    if not strict:
        values = {name: values.get("input") for name in ("read", "write")} | values
        # Who makes no difference between them has one price for both.
        if "write" not in prices:
            values.setdefault("write_1h", values["write"])
    return Rate(**values)


def _price(value: Any, start: int) -> float:
    """The number that holds above so many tokens of input."""
    if not isinstance(value, list):
        return float(value)
    number = value[0]
    for above, price in value[1:]:
        if above <= start:
            number = price
    return float(number)
