"""``python -m aitap.prices.generate``: makes ``book.json`` from the data of `genai-prices`, which must be installed.

genai-prices (Pydantic, MIT licence, https://github.com/pydantic/genai-prices) keeps dated list prices of
many providers, reviewed one by one. Its rules for names are written to find something; ours must not
guess. So the book lists names, and a name is in it only where the data set itself finds the same model by
it. What has prices for things that no record tells (seconds, pages, pictures) is left out: it stays unpriced.
"""

from __future__ import annotations

import argparse
import hashlib
import importlib.metadata
import re
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec

from aitap.prices.book import BOOK, FORMAT

__all__ = ["book", "main"]

VENDORS = (
    *("anthropic", "arcee", "avian", "aws", "azure", "baseten", "cerebras", "cloudflare", "cohere", "databricks"),
    *("deepseek", "doubleword", "fireworks", "github-copilot", "google", "groq"),
    *("huggingface_cerebras", "huggingface_fireworks-ai", "huggingface_groq", "huggingface_hyperbolic"),
    *("huggingface_nebius", "huggingface_novita", "huggingface_nscale", "huggingface_ovhcloud", "huggingface_publicai"),
    *("huggingface_sambanova", "huggingface_together", "meta", "minimax", "mistral", "moonshotai", "novita", "openai"),
    *("openrouter", "ovhcloud", "perplexity", "together", "x-ai", "zai", "zhipuai"),
)
UNITS = {
    "input_mtok": "in",
    "output_mtok": "out",
    "cache_read_mtok": "read",
    "cache_write_mtok": "write",
    "cache_write_1h_mtok": "write_1h",
    "input_audio_mtok": "audio_in",
    "output_audio_mtok": "audio_out",
    "cache_audio_read_mtok": "audio_read",
    "output_image_mtok": "image_out",
    "web_searches_kcount": "search",
    "requests_kcount": "request",
}
TOOLS = ("storage_searches_kcount",)
"""Fees of tools that no record counts; the tokens have a price all the same."""
TIERS = {("processing", "batch"): "batch", ("speed", "fast"): "speed_fast"} | {
    ("service_tier", tier): tier for tier in ("default", "flex", "priority", "fast")
}
NO_REGIONAL_PREMIUM = re.compile(r"claude-(?:[123]|4-(?:opus|sonnet)|(?:opus|sonnet)-4-[01]|v1)")
"""Models of Anthropic's from before Sonnet 4.5: https://platform.claude.com/docs/en/about-claude/pricing, "Third-party
platform pricing". All later ones cost a tenth more on Vertex AI where the endpoint is not the global one."""


def main() -> None:
    """Write the book, or with ``--check`` only say whether it is what the installed data make."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else None)
    parser.add_argument("--check", action="store_true", help="write nothing; status 1 where the book is another")
    arguments = parser.parse_args()
    made = book()
    if arguments.check:
        old = msgspec.json.decode(BOOK.read_bytes())
        raise SystemExit(old["models"] != made["models"])
    head = {name: value for name, value in made.items() if name != "models"}
    vendors = ",\n".join(
        f'"{vendor}": [\n' + ",\n".join(msgspec.json.encode(model).decode() for model in models) + "\n]"
        for vendor, models in made["models"].items()
    )
    text = msgspec.json.format(msgspec.json.encode(head), indent=1).decode()
    BOOK.write_text(text.removesuffix("\n}") + ',\n "models": {\n' + vendors + "\n}}\n", encoding="utf-8")


def book() -> dict[str, Any]:
    """The whole book, from the installed data."""
    import genai_prices.data  # noqa: PLC0415 # an extra of the developers'

    version = importlib.metadata.version("genai-prices")
    data = Path(genai_prices.data.__file__).read_bytes()
    known = {provider.id: provider for provider in genai_prices.data.providers}
    return {
        "format": FORMAT,
        "version": f"{datetime.now(UTC):%Y-%m-%d}",
        "origin": {
            "name": "genai-prices",
            "version": version,
            "url": "https://github.com/pydantic/genai-prices",
            "sha256": hashlib.sha256(data).hexdigest(),
            "licence": "MIT, see LICENSE.genai-prices",
        },
        "units": "US dollars for a million tokens; search and request: for a thousand",
        "models": {vendor: _models(known[vendor]) for vendor in VENDORS},
    }


def _models(provider: Any) -> list[dict[str, Any]]:
    found = []
    for model in provider.models:
        entries = _entries(model)
        names, anywhere = _names(provider, model)
        if entries and (names or anywhere):
            told: dict[str, Any] = {"names": names}
            if anywhere:
                told["anywhere"] = anywhere
            if provider.id in ("anthropic", "google") and model.id.startswith("claude"):
                told |= {} if NO_REGIONAL_PREMIUM.match(model.id) else {"regional": 1.1}
            told["prices"] = entries
            if tiers := _tiers(model):
                told["tiers"] = tiers
            found.append(told)
    return found


def _names(provider: Any, model: Any) -> tuple[list[str], list[str]]:
    """Names that are the model's whole name, or such as may stand after a prefix; dates and versions are cut off."""
    exact, anywhere = {model.id}, set()
    clauses = [model.match]
    while clauses:
        clause = clauses.pop()
        kind = type(clause).__name__
        if kind in ("ClauseOr", "ClauseAnd"):
            clauses += clause.or_ if kind == "ClauseOr" else clause.and_
        elif kind == "ClauseEquals":
            exact.add(clause.equals)
        elif kind == "ClauseStartsWith":
            exact.add(_stem(clause.starts_with))
        elif kind in ("ClauseContains", "ClauseEndsWith"):
            anywhere.add(_stem(clause.contains if kind == "ClauseContains" else clause.ends_with))
    sets = ({name.lower() for name in exact} - anywhere, {name.lower() for name in anywhere})
    return tuple(sorted(name for name in names if provider.find_model(name) is model) for names in sets)  # type: ignore[return-value]


def _stem(text: str) -> str:
    return text.strip("-@.:/")


def _entries(model: Any) -> list[dict[str, Any]] | None:
    """Prices with the moments from which they hold; None where a record cannot tell what they are for."""
    dated = model.prices if isinstance(model.prices, list) else [None]
    entries = []
    for one in dated:
        prices = _prices(model.prices if one is None else one.prices)
        if not prices:
            if prices is None or not _free(model):
                return None
            prices = {"in": 0, "out": 0}
        elif "in" not in prices or ("out" not in prices and not _answers_nothing(model)):
            return None
        entries.append(_when(one and one.constraint) | prices)
    return entries


def _free(model: Any) -> bool:
    # Elsewhere, no price is a price that nobody entered.
    return bool(model.id.endswith(":free") or "Included in the subscription" in (model.price_comments or ""))


def _answers_nothing(model: Any) -> bool:
    return "embed" in model.id or "rerank" in model.id


def _prices(price: Any) -> dict[str, Any] | None:
    found: dict[str, Any] = {}
    for key, value in price.__dict__.items():
        if value is None or key in TOOLS:
            continue
        if key not in UNITS:
            return None
        tiers = getattr(value, "tiers", None)
        found[UNITS[key]] = (
            _number(value)
            if tiers is None
            else [_number(value.base), *([tier.start, _number(tier.price)] for tier in tiers)]
        )
    return found


def _number(value: Any) -> int | float:
    return int(value) if value == int(value) else float(value)


def _when(constraint: Any) -> dict[str, Any]:
    if constraint is None:
        return {}
    if type(constraint).__name__ == "StartDateConstraint":
        return {"from": constraint.start_date.isoformat()}
    times = (constraint.start_time, constraint.end_time)
    if any(time.utcoffset() for time in times):
        raise SystemExit(f"hours in another zone than UTC: {times}")
    return {"hours": [f"{time:%H:%M}" for time in times]}


def _tiers(model: Any) -> dict[str, list[dict[str, Any]]]:
    found: dict[str, list[dict[str, Any]]] = {}
    for variant in model.price_variants or ():
        [(key, value)] = variant.when.items()
        prices = _prices(variant.prices)
        if (name := TIERS.get((key, value))) and prices is not None:
            found.setdefault(name, []).append(_when(variant.constraint) | prices)
    return found


if __name__ == "__main__":
    main()
