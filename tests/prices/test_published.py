"""The providers' public price pages, typed in by hand, and sums of them worked out with fractions.

Pages: platform.claude.com/docs (pricing), platform.openai.com/docs/pricing, ai.google.dev/gemini-api/docs/pricing,
aws.amazon.com/bedrock/pricing. No price is taken from the book that is tested.
"""

from __future__ import annotations

import random
from fractions import Fraction
from typing import Any, NamedTuple

import pytest

from tests.prices.test_pricing import cost, usage


class Listed(NamedTuple):
    """US dollars for a million tokens; None where the page has no such price."""

    provider: str
    model: str
    fresh: str
    out: str
    read: str | None = None
    write_5m: str | None = None
    write_1h: str | None = None
    told: dict[str, Any] = {}  # noqa: RUF012 - what the response says of the tier that served it


BATCH, FLEX, PRIORITY = ({"service_tier": tier} for tier in ("batch", "flex", "priority"))

LIST = [
    Listed("anthropic", "claude-opus-4-1-20250805", "15", "75", "1.50", "18.75", "30"),
    Listed("anthropic", "claude-opus-4-5-20251101", "5", "25", "0.50", "6.25", "10"),
    Listed("anthropic", "claude-sonnet-4-5-20250929", "3", "15", "0.30", "3.75", "6"),
    Listed("anthropic", "claude-haiku-4-5-20251001", "1", "5", "0.10", "1.25", "2"),
    Listed("anthropic", "claude-3-5-haiku-20241022", "0.80", "4", "0.08", "1", "1.60"),
    Listed("anthropic", "claude-3-haiku-20240307", "0.25", "1.25", "0.03", "0.30", "0.50"),
    # A batch costs half, what it reads from a cache and writes to one too.
    Listed("anthropic", "claude-sonnet-4-5", "1.50", "7.50", "0.15", "1.875", "3", BATCH),
    Listed("anthropic", "claude-haiku-4-5", "0.50", "2.50", "0.05", "0.625", "1", BATCH),
    Listed("openai", "gpt-5", "1.25", "10", "0.125"),
    Listed("openai", "gpt-5-mini", "0.25", "2", "0.025"),
    Listed("openai", "gpt-5-nano", "0.05", "0.40", "0.005"),
    Listed("openai", "gpt-4.1", "2", "8", "0.50"),
    Listed("openai", "gpt-4.1-mini", "0.40", "1.60", "0.10"),
    Listed("openai", "gpt-4o", "2.50", "10", "1.25"),
    Listed("openai", "gpt-4o-mini", "0.15", "0.60", "0.075"),
    Listed("openai", "o3", "2", "8", "0.50"),
    Listed("openai", "o4-mini", "1.10", "4.40", "0.275"),
    Listed("openai", "gpt-5", "0.625", "5", "0.0625", told=FLEX),
    Listed("openai", "gpt-5", "2.50", "20", "0.25", told=PRIORITY),
    Listed("openai", "gpt-4.1", "3.50", "14", "0.875", told=PRIORITY),
    Listed("openai", "gpt-4o", "1.25", "5", told=BATCH),
    Listed("google", "gemini-2.5-pro", "1.25", "10", "0.125"),
    Listed("google", "gemini-2.5-flash", "0.30", "2.50", "0.03"),
    Listed("google", "gemini-2.5-flash-lite", "0.10", "0.40", "0.01"),
    Listed("google", "gemini-3-pro-preview", "2", "12", "0.20"),
    Listed("bedrock", "us.anthropic.claude-sonnet-4-20250514-v1:0", "3", "15", "0.30", "3.75"),
    # An inference profile of one geography costs a tenth more than the global one.
    Listed("bedrock", "global.anthropic.claude-sonnet-4-5-20250929-v1:0", "3", "15", "0.30", "3.75", "6"),
    Listed("bedrock", "us.anthropic.claude-sonnet-4-5-20250929-v1:0", "3.30", "16.50", "0.33", "4.125", "6.60"),
    Listed("bedrock", "eu.anthropic.claude-haiku-4-5-20251001-v1:0", "1.10", "5.50", "0.11", "1.375", "2.20"),
    Listed("bedrock", "amazon.nova-micro-v1:0", "0.035", "0.14", "0.00875"),
    Listed("bedrock", "amazon.nova-lite-v1:0", "0.06", "0.24", "0.015"),
    Listed("bedrock", "us.amazon.nova-pro-v1:0", "0.80", "3.20", "0.20"),
]

ABOVE_200K = [
    Listed("anthropic", "claude-sonnet-4-5-20250929", "6", "22.50", "0.60", "7.50", "12"),
    Listed("google", "gemini-2.5-pro", "2.50", "15", "0.25"),
    Listed("google", "gemini-3-pro-preview", "4", "18", "0.40"),
]


def rounded(micros: Fraction) -> int:
    """To the nearest micro-dollar, halves up."""
    return (2 * micros.numerator + micros.denominator) // (2 * micros.denominator)


def by_hand(row: Listed, fresh: int, out: int, read: int, write_5m: int, write_1h: int) -> int:
    told = ((fresh, row.fresh), (out, row.out), (read, row.read), (write_5m, row.write_5m), (write_1h, row.write_1h))
    return rounded(sum((tokens * Fraction(price) for tokens, price in told if price is not None), Fraction(0)))


def ours(row: Listed, fresh: int, out: int, read: int, write_5m: int, write_1h: int) -> int | str:
    hour = {"cache_ephemeral_5m_input": write_5m, "cache_ephemeral_1h_input": write_1h} if write_1h else {}
    return cost(row.provider, row.model, usage(fresh, out, read, write_5m + write_1h, **hour, **row.told))


def draw(dice: random.Random, row: Listed, most: int) -> tuple[int, int, int, int, int]:
    counts = [dice.choice((0, 1, dice.randrange(most))) for _ in range(5)]
    for place, price in enumerate((row.fresh, row.out, row.read, row.write_5m, row.write_1h)):
        if price is None:
            counts[place] = 0
    fresh, out, read, write_5m, write_1h = counts
    return fresh, out, read, write_5m, write_1h


@pytest.mark.parametrize("row", LIST, ids=lambda row: "-".join([row.model, *row.told.values()]))
def test_any_usage_costs_what_the_price_page_says(row: Listed) -> None:
    """40 draws each, below all thresholds."""
    dice = random.Random(row.model)
    for _ in range(40):
        counts = draw(dice, row, 50_000)
        assert ours(row, *counts) == by_hand(row, *counts), counts


@pytest.mark.parametrize("row", ABOVE_200K, ids=lambda row: row.model)
def test_above_200_000_tokens_of_input_all_of_it_costs_the_higher_price(row: Listed) -> None:
    """Input is what is fresh, read and written together; output does not count for the threshold."""
    lower = next(one for one in LIST if one[:2] == row[:2] and not one.told)
    dice = random.Random(row.model)
    for beyond in (0, 1, 2, 50_000):
        for _ in range(10):
            _, out, read, write_5m, write_1h = draw(dice, row, 60_000)
            fresh = 200_000 + beyond - read - write_5m - write_1h
            counts = (fresh, out, read, write_5m, write_1h)
            assert ours(row, *counts) == by_hand(row if beyond else lower, *counts), counts


@pytest.mark.parametrize(
    ("provider", "model", "told", "cents"),
    [
        # Anthropic's own example of a session: 50,000 in and 15,000 out of Opus are $0.25 and $0.375; with 40,000 of
        # the input read from the cache $0.05, $0.02 and $0.375.
        ("anthropic", "claude-opus-4-6", usage(50_000, 15_000), "62.5"),
        ("anthropic", "claude-opus-4-6", usage(10_000, 15_000, 40_000), "44.5"),
        # $10 for a thousand searches, beside the tokens.
        ("anthropic", "claude-sonnet-4-5", usage(6_039, 931, web_search_requests=1), "4.2082"),
        # Thoughts are billed as output, and are in it: Responses say so, Gemini's are added when they are recorded.
        ("openai", "o3", usage(75, 1186, completion_reasoning=1024), "0.9638"),
        ("google", "gemini-2.5-flash", usage(10_000, 2_000, thoughtsTokenCount=1_500), "0.8"),
        # Spoken input of Gemini 2.5 Flash is $1, what it reads of that from the cache $0.10.
        ("google", "gemini-2.5-flash", usage(1_000, 0, promptTokensDetails__AUDIO=1_000), "0.1"),
    ],
)
def test_worked_examples(provider: str, model: str, told: Any, cents: str) -> None:
    assert cost(provider, model, told) == rounded(Fraction(cents) * 10_000)
