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
    known = set(builtin_book().vendors)
    assert {vendor_of(row, "", "") for row in rows} <= known
    assert {vendor_of("huggingface", "", f"m:{runner}") for runner in ("groq", "together", "cerebras")} <= known
    assert vendor_of("zai", "open.bigmodel.cn", "") in known
    assert {seller for sellers in FALLBACKS.values() for seller in sellers} <= known


def counted(draw: random.Random) -> dict[str, int]:
    most = draw.choice((50, 5_000, 150_000, 600_000))
    return {name: draw.randrange(most) for name in ("input", "output", "read", "write")}


def ours(rate: Rate, counts: dict[str, int], hour: int) -> int | str:
    return rate.cost(
        TokenUsage(
            provider_response_id="",
            input_tokens=counts["input"],
            output_tokens=counts["output"],
            cache_read_input_tokens=counts["read"],
            cache_write_input_tokens=counts["write"],
            metadata={"cache_ephemeral_1h_input": hour} if hour else {},
            created_at=0,
        )
    )


def theirs(model: Any, provider: Any, counts: dict[str, int], hour: int, at: datetime, context: dict[str, str]) -> int:
    usage = pytest.importorskip("genai_prices").Usage(
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


def test_the_book_is_what_its_generator_makes_of_that_version() -> None:
    pytest.importorskip("genai_prices")
    if importlib.metadata.version("genai-prices") != TOLD["origin"]["version"]:
        pytest.skip("another version of the data is installed")
    assert msgspec.json.decode(msgspec.json.encode(book()["models"])) == TOLD["models"]
