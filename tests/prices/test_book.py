"""The book says what the data set it was made from says, by every name, at any time, above any threshold."""

from __future__ import annotations

import importlib.metadata
import random
from datetime import UTC, datetime
from decimal import ROUND_HALF_UP, Decimal
from typing import Any

import msgspec
import pytest

from aitap.prices.book import BOOK, FORMAT, builtin_book
from aitap.prices.generate import book
from aitap.prices.names import FALLBACKS, vendor_of
from aitap.prices.rates import Rate
from aitap.record import TokenUsage

TOLD = msgspec.json.decode(BOOK.read_bytes())


def test_the_book_says_where_it_comes_from() -> None:
    origin = TOLD["origin"]
    assert TOLD["format"] == FORMAT
    assert origin["name"] == "genai-prices"
    assert len(origin["sha256"]) == 64
    licence = BOOK.with_name("LICENSE.genai-prices").read_text("utf-8")
    assert "MIT" in licence
    assert "Pydantic Services" in licence


def test_no_name_of_one_vendor_has_two_prices() -> None:
    for vendor, models in TOLD["models"].items():
        names = [name for model in models for name in (*model["names"], *model.get("anywhere", ()))]
        assert len(names) == len(set(names)), vendor
        assert all(name == name.lower().strip() for name in names)


def test_every_vendor_that_a_row_of_the_provider_table_is_sold_by_is_in_the_book() -> None:
    rows = ("anthropic", "anthropic-aws", "azure", "bedrock", "chatgpt", "code-assist", "copilot", "google", "moonshot")
    rows += ("openai", "openrouter", "vertex", "xai", "zai", "mistral", "groq", "deepseek", "together", "perplexity")
    rows += ("arcee", "avian", "baseten", "cloudflare", "databricks", "doubleword", "meta", "ovhcloud")
    known = set(builtin_book().vendors)
    assert {vendor_of(row, "", "") for row in rows} <= known
    assert {vendor_of("huggingface", "", f"m:{runner}") for runner in ("groq", "together", "cerebras")} <= known
    assert vendor_of("zai", "open.bigmodel.cn", "") in known
    assert {seller for sellers in FALLBACKS.values() for seller in sellers} <= known


def counted(draw: random.Random) -> dict[str, int]:
    most = draw.choice((50, 5_000, 150_000, 600_000))
    return {name: draw.randrange(most) for name in ("input", "output", "read", "write")}


PARTS = {
    "audio_in": ("input", "prompt_audio", "input_audio_tokens"),
    "audio_out": ("output", "completion_audio", "output_audio_tokens"),
    "audio_read": ("read", "cacheTokensDetails.AUDIO", "cache_audio_read_tokens"),
    "image_out": ("output", "candidatesTokensDetails.IMAGE", "output_image_tokens"),
}
"""What has a price of its own: which counter it is a part of, what we call it and what the data set does."""


def ours(
    rate: Rate, counts: dict[str, int], hour: int, parts: dict[str, int] | None = None, searches: int = 0
) -> int | str:
    extra = {name: count for name, count in (parts or {}).items() if count}
    if "prompt_audio" in extra or "cacheTokensDetails.AUDIO" in extra:
        # What was heard is told with what of it was in the cache.
        extra["prompt_audio"] = extra.get("prompt_audio", 0) + extra.get("cacheTokensDetails.AUDIO", 0)
    return rate.cost(
        TokenUsage(
            provider_response_id="",
            input_tokens=counts["input"],
            output_tokens=counts["output"],
            cache_read_input_tokens=counts["read"],
            cache_write_input_tokens=counts["write"],
            metadata=extra
            | ({"cache_ephemeral_1h_input": hour} if hour else {})
            | ({"web_search_requests": searches} if searches else {}),
            created_at=0,
        )
    )


def theirs(
    model: Any,
    provider: Any,
    counts: dict[str, int],
    hour: int,
    at: datetime,
    context: dict[str, str],
    parts: dict[str, int] | None = None,
    searches: int = 0,
) -> int:
    more = {PARTS[part][2]: count for part, count in (parts or {}).items()}
    if "input_audio_tokens" in more:
        more = {"cache_audio_read_tokens": 0, "cache_audio_write_tokens": 0} | more
        more["input_audio_tokens"] += more["cache_audio_read_tokens"]
    usage = pytest.importorskip("genai_prices").Usage(
        **more,
        **({"web_searches": searches} if searches else {}),
        input_tokens=counts["input"] + counts["read"] + counts["write"],
        output_tokens=counts["output"],
        cache_read_tokens=counts["read"],
        cache_write_tokens=counts["write"],
        **({"cache_write_1h_tokens": hour} if hour else {}),
    )
    price = model.calc_price(usage, provider, genai_request_timestamp=at, price_context=context or None).total_price
    return int((price * 1_000_000).quantize(Decimal(1), ROUND_HALF_UP))


CONTEXTS = {"": {}, "batch": {"processing": "batch"}, "speed_fast": {"speed": "fast"}} | {
    tier: {"service_tier": tier} for tier in ("flex", "priority", "fast", "default")
}
DATES = [
    datetime(year, month, day, hour, 30, tzinfo=UTC)
    for year, month, day, hour in (
        *(
            (2025, 6, 1, 3),
            (2026, 3, 12, 12),
            (2026, 3, 13, 0),
            (2026, 10, 20, 5),
            (2026, 11, 20, 16),
            (2027, 2, 1, 23),
        ),
    )
]


@pytest.mark.parametrize("vendor", list(TOLD["models"]))
def test_it_calculates_as_the_data_set_does(vendor: str) -> None:
    """Its own calculator is the oracle, wherever it is the same data."""
    data = pytest.importorskip("genai_prices.data")
    draw = random.Random(vendor)
    provider = next(provider for provider in data.providers if provider.id == vendor)
    compared = 0
    for told in TOLD["models"][vendor]:
        for name in (*told["names"], *told.get("anywhere", ())):
            model = builtin_book().model(vendor, f"{name}:x" if vendor.startswith("huggingface_") else name)
            source = provider.find_model(name)
            assert model is not None
            assert source is not None
            for tier in ("", *told.get("tiers", ())):
                at = draw.choice(DATES)
                if (rate := model.rate(tier, at.timestamp())) is None:
                    # A tier that nobody knew at that time.
                    assert tier
                    continue
                counts = counted(draw)
                if rate.output is None:
                    counts["output"] = 0
                hour = (
                    draw.randrange(counts["write"] + 1) if rate.write_1h is not None and "write_1h" in str(told) else 0
                )
                assert ours(rate, counts, hour) == theirs(source, provider, counts, hour, at, CONTEXTS[tier]), (
                    name,
                    tier,
                )
                compared += 1
    assert compared


SPECIAL = [
    (vendor, told)
    for vendor, models in TOLD["models"].items()
    for told in models
    if "," in str([value for entry in told["prices"] for value in entry.values() if isinstance(value, list)])
    or any(key in entry for entry in told["prices"] for key in (*PARTS, "hours", "search"))
]


def edges(draw: random.Random, told: dict[str, Any]) -> dict[str, int]:
    """Counters whose input is about a threshold, or something of each kind."""
    starts = [
        step[0]
        for entry in told["prices"]
        for name, value in entry.items()
        if isinstance(value, list) and name != "hours"
        for step in value[1:]
    ]
    counts = {name: draw.choice((0, 1, draw.randrange(90_000))) for name in ("input", "output", "read", "write")}
    if starts and draw.random() < 0.8:
        whole = draw.choice(starts) + draw.choice((-1, 0, 1, 2))
        counts["read"], counts["write"] = draw.randrange(whole // 3), draw.randrange(whole // 3)
        counts["input"] = whole - counts["read"] - counts["write"]
    return counts


@pytest.mark.parametrize("vendor", sorted({vendor for vendor, _ in SPECIAL}))
def test_at_thresholds_hours_and_with_parts_of_other_prices_it_calculates_as_the_data_set_does(vendor: str) -> None:
    """Audio heard, read from the cache and spoken, searches, the minutes about a change of price: 12 draws each."""
    data = pytest.importorskip("genai_prices.data")
    draw = random.Random(f"{vendor} again")
    provider = next(provider for provider in data.providers if provider.id == vendor)
    for told in (told for of, told in SPECIAL if of == vendor):
        name = (*told["names"], *told.get("anywhere", ()))[0]
        model = builtin_book().model(vendor, f"{name}:x" if vendor.startswith("huggingface_") else name)
        source = provider.find_model(name)
        assert model is not None
        for _ in range(12):
            at = draw.choice(
                (*DATES, datetime(2026, 11, 20, draw.randrange(24), draw.choice((29, 30, 31)), tzinfo=UTC))
            )
            rate = model.rate("", at.timestamp())
            assert rate is not None
            counts = edges(draw, told)
            if rate.output is None:
                counts["output"] = 0
            hour = draw.randrange(counts["write"] + 1) if rate.write_1h is not None and "write_1h" in str(told) else 0
            parts = {
                part: draw.randrange(counts[PARTS[part][0]] + 1) for part in PARTS if getattr(rate, part) is not None
            }
            searches = draw.randrange(4) if rate.search is not None else 0
            ours_ = ours(rate, counts, hour, {PARTS[part][1]: count for part, count in parts.items()}, searches)
            assert ours_ == theirs(source, provider, counts, hour, at, {}, parts, searches), (name, at, counts, parts)


def test_the_book_is_what_its_generator_makes_of_that_version() -> None:
    pytest.importorskip("genai_prices")
    if importlib.metadata.version("genai-prices") != TOLD["origin"]["version"]:
        pytest.skip("another version of the data is installed")
    assert msgspec.json.decode(msgspec.json.encode(book()["models"])) == TOLD["models"]
