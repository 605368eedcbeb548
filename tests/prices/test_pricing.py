"""What a response costs is what its provider's price list says, worked out by hand; what is not listed is unknown."""

from __future__ import annotations

from typing import Any

import pytest

from aitap.prices.own_prices import own_prices
from aitap.prices.pricing import Call, Prices
from aitap.record import TokenUsage
from tests.storage.making import interception

NOW = 1_795_190_400.0  # 2026-11-20T16:00:00Z
LIST = Prices()

# Hosts by the name of the provider's row; where none is given it does not matter.
VERTEX = {"global": "aiplatform.googleapis.com", "regional": "europe-west1-aiplatform.googleapis.com"}


def usage(fresh: int = 0, out: int = 0, read: int = 0, write: int = 0, model: str | None = None, **extra: Any) -> Any:
    return TokenUsage(
        provider_response_id="r",
        input_tokens=fresh,
        output_tokens=out,
        cache_read_input_tokens=read,
        cache_write_input_tokens=write,
        metadata={name.replace("__", "."): value for name, value in extra.items()},
        provider_model=model,
        created_at=NOW,
    )


def cost(provider: str, model: str, told: Any, host: str = "", at: float = NOW, prices: Prices = LIST) -> int | str:
    return prices.cost(Call(provider, host, model, at), told)


@pytest.mark.parametrize(
    ("provider", "model", "told", "micros"),
    [
        # $5 in, $25 out, $0.50 read, $6.25 written for five minutes, $10 for an hour.
        ("anthropic", "claude-opus-4-8", usage(1000, 500, 20_000, 3000), 5_000 + 12_500 + 10_000 + 18_750),
        (
            "anthropic",
            "claude-opus-4-8",
            usage(0, 0, 0, 3000, cache_ephemeral_5m_input=1000, cache_ephemeral_1h_input=2000),
            6_250 + 20_000,
        ),
        # A search is a cent.
        ("anthropic", "claude-opus-4-8", usage(100, web_search_requests=3), 500 + 30_000),
        # Sonnet 4.5: more than 200,000 tokens of input, cached ones among them, change the price of all.
        ("anthropic", "claude-sonnet-4-5", usage(100_000, 1000, 100_000), 300_000 + 15_000 + 30_000),
        ("anthropic", "claude-sonnet-4-5", usage(100_001, 1000, 100_000), 600_006 + 22_500 + 60_000),
        # Reasoning is inside the output and costs nothing more; cached input is a tenth. GPT-5.5: $5, $0.50, $30.
        (
            "openai",
            "gpt-5.5",
            usage(2000, 1000, 8000, completion_reasoning=800, prompt_cached=8000),
            10_000 + 30_000 + 4_000,
        ),
        ("openai", "gpt-5.5", usage(272_001, 10), 2_720_010 + 450),
        # Gemini 2.5 Pro: $1.25 and $10, $2.50 and $15 above 200,000; what it thinks is output already.
        ("google", "gemini-2.5-pro", usage(10_000, 3000, thoughtsTokenCount=2000), 12_500 + 30_000),
        ("google", "gemini-2.5-pro", usage(250_000, 1000), 625_000 + 15_000),
        # Gemini 2.0 Flash hears at $0.70 and reads at $0.10.
        ("google", "gemini-2.0-flash", usage(10_000, 0, promptTokensDetails__AUDIO=4000), 600 + 2_800),
        # Bedrock: what may be served anywhere costs a tenth less.
        ("bedrock", "global.anthropic.claude-opus-4-5-20251101-v1:0", usage(10_000, 1000), 50_000 + 25_000),
        ("bedrock", "eu.anthropic.claude-opus-4-5-20251101-v1:0", usage(10_000, 1000), 55_000 + 27_500),
        ("bedrock", "us.amazon.nova-lite-v1:0", usage(100_000, 10_000), 6_000 + 2_400),
        # Tiers of service.
        ("openai", "gpt-5.5", usage(1000, 1000, service_tier="flex"), 2_500 + 15_000),
        ("openai", "gpt-5.5", usage(1000, 1000, service_tier="priority"), 12_500 + 75_000),
        ("openai", "gpt-5.5", usage(1000, 1000, service_tier="default"), 5_000 + 30_000),
        ("anthropic", "claude-opus-4-8", usage(1000, 1000, service_tier="batch"), 2_500 + 12_500),
        ("anthropic", "claude-opus-4-8", usage(1000, 1000, service_tier="standard", speed="fast"), 10_000 + 50_000),
        ("anthropic", "claude-opus-4-8", usage(1000, 1000, inference_geo="us"), 5_500 + 27_500),
        # Sold by others.
        ("copilot", "claude-opus-4.8", usage(1000, 1000), 5_000 + 25_000),
        ("copilot", "gpt-4.1", usage(1000, 1000), 0),
        ("openrouter", "openai/gpt-5.5", usage(1000, 1000), 5_000 + 30_000),
        ("openrouter", "qwen/qwen3-coder:free", usage(1000, 1000), 0),
        ("databricks", "databricks-gemma-3-12b", usage(1000, 1000), 150 + 500),
        ("cloudflare", "workers-ai/@cf/deepseek-ai/deepseek-r1-distill-qwen-32b", usage(1000, 1000), 497 + 4_881),
        # It says what it charges.
        ("openrouter", "openai/gpt-5.5", usage(1000, 1000, cost=0.0123456), 12_346),
        ("vercel", "openai/gpt-5.5", usage(1000, 1000, cost=0.0123456), 12_346),
    ],
)
def test_a_price_worked_out_by_hand(provider: str, model: str, told: Any, micros: int) -> None:
    assert cost(provider, model, told) == micros


@pytest.mark.parametrize(
    ("provider", "names", "base"),
    [
        ("anthropic", ["claude-opus-4-5-20251101", "claude-opus-4-5-latest", "anthropic/claude-opus-4-5"], 5_000),
        ("anthropic", ["claude-sonnet-4-20250514", "claude-sonnet-4-0", "CLAUDE-SONNET-4"], 3_000),
        ("openai", ["gpt-4o", "gpt-4o-2024-11-20", "openai/gpt-4o", "gpt-4o-20241120"], 2_500),
        ("openai", ["gpt-4o-2024-05-13", "gpt-4o-20240513"], 5_000),
        ("google", ["gemini-2.5-pro", "models/gemini-2.5-pro", "publishers/google/models/gemini-2.5-pro"], 1_250),
        ("google", ["gemini-2.0-flash-001"], 100),
        ("vertex", ["claude-opus-4-5@20251101", "claude-opus-4-5@default"], 5_000),
        (
            "bedrock",
            ["arn:aws:bedrock:us-east-1:123456789012:inference-profile/global.anthropic.claude-opus-4-5-20251101-v1:0"],
            5_000,
        ),
        ("bedrock", ["openai.gpt-oss-120b-1:0", "openai.gpt-oss-120b"], 150),
        ("huggingface", ["openai/gpt-oss-120b:cerebras"], 350),
    ],
)
def test_dates_versions_and_paths_do_not_change_a_price(provider: str, names: list[str], base: int) -> None:
    assert {cost(provider, name, usage(1000), VERTEX["global"]) for name in names} == {base}


@pytest.mark.parametrize(
    ("provider", "model", "told", "why"),
    [
        ("anthropic", "claude-opus-9", usage(1000), "model"),
        ("anthropic", "claude-opus-4-8-fast", usage(1000), "model"),
        ("openai", "gpt-5.5-ultra-codex", usage(1000), "model"),
        ("google", "gemini-2.5-pro-preview-tts-new", usage(1000), "model"),
        # A region without a price of its own is not that of its neighbour.
        ("bedrock", "apac.anthropic.claude-fable-5-v1:0", usage(1000), "model"),
        ("bedrock", "us-gov.anthropic.claude-fable-5-v1:0", usage(1000), "model"),
        ("bedrock", "arn:aws:bedrock:us-east-1:1:application-inference-profile/abc", usage(1, model="x"), "model"),
        ("openrouter", "openai/gpt-5.5:nitro", usage(1000, model="openai/gpt-5.5"), "model"),
        ("huggingface", "openai/gpt-oss-120b", usage(1000), "provider"),
        # One's own machine is not free by itself, and a gateway's price is its owner's affair.
        ("ollama", "llama3.3:70b", usage(1000), "provider"),
        ("lmstudio", "qwen3", usage(1000), "provider"),
        ("gateway", "claude-opus-4-8", usage(1000), "provider"),
        ("vercel", "openai/gpt-5.5", usage(1000), "provider"),
        # Nothing is what it charges where the key at the provider behind is the user's own.
        ("vercel", "openai/gpt-5.5", usage(1000, cost=0.0), "provider"),
        ("unknown", "claude-opus-4-8", usage(1000), "provider"),
        ("anthropic", "claude-opus-4-8", usage(1000, partial=True), "not final"),
        ("anthropic", "claude-opus-4-8", usage(1000, service_tier="priority"), "priority"),
        ("google", "gemini-2.5-pro", usage(1000, trafficType="PROVISIONED_THROUGHPUT"), "provisioned_throughput"),
        ("anthropic", "claude-opus-4-8", usage(1000, 0, 0, 5, cache_ephemeral_1h_input=6), "contradict"),
        ("openai", "gpt-4.1", usage(1000, 10, prompt_audio=400), "audio"),
        ("openai", "gpt-5.5", usage(10**30), "cannot be true"),
    ],
)
def test_what_nobody_told_is_unknown(provider: str, model: str, told: Any, why: str) -> None:
    found = cost(provider, model, told)
    assert isinstance(found, str)
    assert why in found


def test_openai_in_a_region_has_prices_of_its_own() -> None:
    assert isinstance(cost("openai", "gpt-5.5", usage(1000), "eu.api.openai.com"), str)
    assert isinstance(cost("openai", "gpt-5.5", usage(1000), "jp.api.openai.com"), str)
    assert cost("openai", "gpt-5.5", usage(1000), "api.openai.com") == 5_000


@pytest.mark.parametrize(
    ("model", "micros"), [("claude-opus-4-5", 5_500), ("claude-opus-4-1", 15_000), ("gemini-2.5-pro", 1_250)]
)
def test_a_region_of_vertex_costs_a_tenth_more_for_newer_models_of_anthropic(model: str, micros: int) -> None:
    assert cost("vertex", model, usage(1000), VERTEX["regional"]) == micros


def test_the_model_that_answered_is_billed() -> None:
    """A deployment of Azure's has a name of its own; an alias stands for what answers."""
    assert cost("azure", "our-chat", usage(1000, model="gpt-4o-2024-08-06")) == 2_500
    assert cost("google", "gemini-flash-latest", usage(1000, model="gemini-2.5-pro")) == 1_250
    assert cost("openrouter", "openrouter/auto", usage(1000, model="openai/gpt-5.5")) == 5_000


def test_what_another_model_did_for_a_response_is_billed_beside_it_at_its_own_price() -> None:
    """Anthropic, "Advisor tool", "Refusals and fallback"."""
    alone = LIST.cost(Call("anthropic", "", "claude-sonnet-4-5", NOW), usage(1000, 100))
    wise = LIST.cost(Call("anthropic", "", "claude-opus-4-1", NOW), usage(500, 50, 40, 30))
    assert isinstance(alone, int)
    assert isinstance(wise, int)
    for name in ("iterations__advisor_message", "iterations__message"):
        counted: dict[str, Any] = {
            f"{name}__model": "claude-opus-4-1",
            f"{name}__input_tokens": 500,
            f"{name}__output_tokens": 50,
            f"{name}__cache_read_input_tokens": 40,
            f"{name}__cache_creation_input_tokens": 30,
        }
        call = Call("anthropic", "", "claude-sonnet-4-5", NOW)
        assert LIST.cost(call, usage(1000, 100, **counted)) == alone + wise
        assert LIST.cost(call, usage(1000, 100, **counted | {f"{name}__model": "claude-unheard"})) == (
            "no price for this model"
        )
        assert LIST.cost(call, usage(1000, 100, **counted | {f"{name}__output_tokens": -1})) == (
            "its counters cannot be true"
        )


def test_what_a_model_refused_at_once_costs_nothing_where_the_provider_says_so() -> None:
    """Anthropic, "Fallback credit" and release notes of June 2026."""
    assert LIST.cost(Call("anthropic", "", "claude-sonnet-4-5", NOW), usage(1000, refused_at_once=True)) == 0
    assert LIST.cost(Call("bedrock", "", "anthropic.claude-sonnet-4-5", NOW), usage(1000, refused_at_once=True)) != 0


def test_a_price_is_that_of_its_day() -> None:
    """Gemini 3.8 Flash costs twice as much from New Year's Day of 2027."""
    before, after = 1_798_761_599.0, 1_798_761_600.0
    assert (
        cost("google", "gemini-3.8-flash", usage(1000), at=before),
        cost("google", "gemini-3.8-flash", usage(1000), at=after),
    ) == (750, 1_500)


def test_halves_are_rounded_up_once() -> None:
    """1 token read at $0.50 is half a micro-dollar; the sum is rounded, not its parts."""
    assert cost("anthropic", "claude-opus-4-8", usage(0, 0, 1)) == 1
    assert cost("anthropic", "claude-haiku-4-5", usage(0, 0, 1)) == 0
    assert cost("anthropic", "claude-haiku-4-5", usage(0, 0, 4, 1)) == 2


def test_a_fee_for_ones_own_key_is_not_what_the_model_costs() -> None:
    told = usage(1000, 1000, cost=0.001, cost_details__upstream_inference_cost=0.035)
    assert cost("openrouter", "openai/gpt-5.5", told) == 35_000


OWN = Prices(
    own_prices(
        [
            {"provider": "ollama", "model": "llama3*", "input": 0, "output": 0},
            {"provider": "gateway", "as": "anthropic", "multiplier": 0.85},
            {"model": "gpt-5.5", "input": 4, "output": 20, "cache_read": 0.4},
            {"provider": "openai", "model": "*", "as": "openai", "multiplier": 1.1},
        ]
    )
)


@pytest.mark.parametrize(
    ("provider", "model", "told", "found"),
    [
        ("ollama", "llama3.3:70b", usage(1000, 10), 0),
        ("ollama", "qwen3", usage(1000), "no list price for this provider"),
        ("gateway", "claude-opus-4-8", usage(1000, 1000, service_tier="batch"), round(0.85 * 15_000)),
        ("gateway", "mystery", usage(1000), "no price for this model"),
        ("azure", "gpt-5.5", usage(1000, 1000, 1000), 4_000 + 20_000 + 400),
        # A price that the row does not have is not known; it is not that of input.
        ("azure", "gpt-5.5", usage(1000, 0, 0, 5), "no price for cache writes"),
        ("azure", "ours", usage(1000, model="gpt-5.5"), 4_000),
        ("openai", "gpt-4o", usage(1000, 0, 1000), 2_750 + 1_375),
    ],
)
def test_rows_of_ones_own_come_first(provider: str, model: str, told: Any, found: int | str) -> None:
    assert cost(provider, model, told, prices=OWN) == found


def test_records_are_filled_with_the_version_that_was_asked() -> None:
    record = interception(NOW, model="claude-opus-4-8", token_usages=[usage(1000), usage(1000, partial=True)])
    OWN.fill([record])
    assert [told.cost_micros for told in record.token_usages] == [5_000, None]
    assert {told.price_book for told in record.token_usages} == {OWN.version}
    assert OWN.version.startswith(LIST.version + "+")


def test_names_that_clients_make_up_take_no_memory() -> None:
    prices = Prices()
    for number in range(10_050):
        prices.cost(Call("anthropic", "", f"m{number}", NOW), usage(1))
    assert len(prices._offers) <= 10_000
