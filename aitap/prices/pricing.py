"""From a record to money: what a response cost at list price, or in a few words why nobody knows.

Nothing is guessed. A model that is not in the book, a tier of service without a price, counters that
stopped with the stream: the cost is None, and never 0. Where a provider tells the cost itself, that counts.
What was used under a subscription has its list price all the same; its kind of credential tells it apart.
"""

from __future__ import annotations

from hashlib import blake2b
from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec

from aitap.prices.book import Book, Model, builtin_book
from aitap.prices.names import REQUESTED, vendor_of
from aitap.prices.rates import WHOLE, Rate, rate_of
from aitap.record import TokenUsage

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from aitap.prices.own_prices import OwnPrice
    from aitap.record import Interception

__all__ = ["Call", "Prices"]

_USUAL = {"", "standard", "default", "auto", "on_demand", "traffic_type_unspecified", "unspecified", "not_available"}
_ABROAD = ".api.openai.com"
"""The end of hosts of regions, which cost more for some models; the book does not tell."""
_TIERS = ("service_tier", "serviceTier", "trafficType")
_BESIDE = ("iterations.advisor_message", "iterations.message")
"""What another model did for a response, which is billed beside the counters: advice, or an attempt it broke off."""
_MODELS = frozenset(f"{name}.model" for name in _BESIDE)
_COUNTERS = ("input_tokens", "output_tokens", "cache_read_input_tokens", "cache_creation_input_tokens")
_TELLING = frozenset({*_TIERS, "partial", "speed", "inference_geo", "cost", "cost.total_cost", "refused_at_once"})
"""What of a response's metadata says how it is billed, beside its counters."""
_RARE = _TELLING - {"service_tier", "inference_geo"}
_WAIVERS = {"anthropic", "anthropic-aws"}
"""Providers that do not bill what a model refused before it had put out anything."""
_TELLERS = {"openrouter", "perplexity", "vercel"}
"""Providers that tell what they charge."""
_REMEMBERED, _LONG = 10_000, 500
"""How many kinds of calls are remembered, and the length of names from which none is."""


class Call(NamedTuple):
    """What of an interception its price depends on."""

    provider_name: str
    host: str
    model: str
    started_at: float


class _Offer(NamedTuple):
    """Where the price of a kind of call is found."""

    model: Model | Rate
    factor: int = WHOLE


class Prices:
    """The book with the user's own rows before it. For one thread."""

    def __init__(self, own: Sequence[OwnPrice] = (), book: Book | None = None) -> None:
        self._own = own
        self._book = book or builtin_book()
        digest = blake2b(msgspec.json.encode(list(own)), digest_size=4).hexdigest()
        self.version = f"{self._book.version}+{digest}" if own else self._book.version
        """Of the book, with a digest of the user's rows where there are any."""
        self._offers: dict[tuple[str, str, str, str | None], _Offer | str] = {}

    def fill(self, records: Iterable[Interception]) -> None:
        """Write the cost of each token usage into it, with the version of the prices that were asked."""
        for record in records:
            for usage in record.token_usages:
                found = self.cost(record, usage)
                usage.cost_micros = None if isinstance(found, str) else found
                usage.price_book = self.version

    def cost(self, call: Interception | Call, usage: TokenUsage) -> int | str:
        """Micro-dollars, or why they are not known. Counters as in the record."""
        key = (call.provider_name, call.host, call.model, usage.provider_model)
        offer = self._offers.get(key)
        if offer is None:
            offer = self._offer(*key)
            # Names of models are what clients choose to send.
            if len(call.model) + len(usage.provider_model or "") < _LONG:
                if len(self._offers) >= _REMEMBERED:
                    self._offers.clear()
                self._offers[key] = offer
        extra = usage.metadata
        tier, factor = "", WHOLE
        if not _TELLING.isdisjoint(extra):
            if "partial" in extra:
                return "its counters are not final: the stream was cut"
            if call.provider_name in _TELLERS and (told := _told(call.provider_name, extra)) is not None:
                return told
            if "refused_at_once" in extra and call.provider_name in _WAIVERS:
                return 0
            # As nearly all of Anthropic's are.
            if extra.get("service_tier") != "standard" or not _RARE.isdisjoint(extra):
                tier = _tier(extra)
            if extra.get("inference_geo") == "us":
                factor = WHOLE * 11 // 10
        if isinstance(offer, str):
            return offer
        rate = offer.model if isinstance(offer.model, Rate) else offer.model.rate(tier, call.started_at)
        if rate is None:
            return f"no price for service tier {tier!r}"
        found = rate.cost(usage, offer.factor if factor == WHOLE else offer.factor * factor // WHOLE)
        return found if isinstance(found, str) or _MODELS.isdisjoint(extra) else self._with_others(call, extra, found)

    def _with_others(self, call: Interception | Call, extra: Mapping[str, Any], cost: int) -> int | str:
        """A cost, and that of what other models did for the same response."""
        for name in _BESIDE:
            model = extra.get(f"{name}.model")
            if not isinstance(model, str):
                continue
            offer = self._offer(call.provider_name, call.host, model, model)
            if isinstance(offer, str):
                return offer
            rate = offer.model if isinstance(offer.model, Rate) else offer.model.rate("", call.started_at)
            counted = [extra.get(f"{name}.{counter}", 0) for counter in _COUNTERS]
            if rate is None or any(type(number) is not int or number < 0 for number in counted):
                return "its counters cannot be true" if rate else "no price for this model"
            fresh, out, read, write = counted
            other = TokenUsage(
                provider_response_id="",
                input_tokens=fresh,
                output_tokens=out,
                cache_read_input_tokens=read,
                cache_write_input_tokens=write,
                created_at=call.started_at,
            )
            more = rate.cost(other, offer.factor)
            if isinstance(more, str):
                return more
            cost += more
        return cost

    def _offer(self, provider: str, host: str, model: str, answered: str | None) -> _Offer | str:
        for row in self._own:
            if row.fits(provider, model) or (answered and row.fits(provider, answered)):
                if not row.like:
                    return _Offer(rate_of(row.prices, strict=True))
                return self._listed(row.like, model, answered, round(row.multiplier * WHOLE))
        if provider == "openai" and host.endswith(_ABROAD):
            return "regional processing has another price, which is not in the book"
        vendor = vendor_of(provider, host, model)
        if vendor is None:
            return "no list price for this provider"
        found = self._listed(vendor, model, answered, WHOLE)
        if provider == "vertex" and host != "aiplatform.googleapis.com" and isinstance(found, _Offer):
            # All endpoints but the global one.
            factor = found.model.regional if isinstance(found.model, Model) else WHOLE
            return found._replace(factor=factor)
        return found

    def _listed(self, vendor: str, model: str, answered: str | None, factor: int) -> _Offer | str:
        """The list price, by the name of the model that is billed."""
        names = [answered, model]
        if vendor.partition("_")[0] in REQUESTED:
            # A name of the router's own stands for whatever it chose.
            names = [answered] if model.startswith("openrouter/") else [model]
        for name in names:
            if name and (found := self._book.model(vendor, name)):
                return _Offer(found, factor)
        return "no price for this model"


def _tier(extra: Mapping[str, Any]) -> str:
    """The tier of service that served a response; empty for the usual one."""
    found = ""
    for name in _TIERS:
        word = extra.get(name)
        if isinstance(word, str) and (word := word.lower()) not in _USUAL:
            found = word.removeprefix("on_demand_")
    speed = extra.get("speed", "standard")
    if speed != "standard":
        found = f"{found}+speed_{speed}" if found else f"speed_{speed}"
    return found


def _told(provider: str, extra: Mapping[str, Any]) -> int | None:
    """What the provider itself says it charges, in US dollars."""
    if provider == "openrouter":
        cost, upstream = extra.get("cost"), extra.get("cost_details.upstream_inference_cost")
        # With a key of the user's own at the provider behind, it charges no more than a fee.
        if isinstance(upstream, int | float) and isinstance(cost, int | float) and upstream > cost:
            return None
    elif provider == "vercel":
        # Nothing, where the user's own key at the provider behind is charged.
        cost = extra.get("cost") or None
    else:
        cost = extra.get("cost.total_cost")
    if isinstance(cost, bool) or not isinstance(cost, int | float) or not 0 <= cost < 1e6:
        return None
    return round(cost * 1_000_000)
