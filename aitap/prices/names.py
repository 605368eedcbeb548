"""Whose prices a call has, and under which names its model may stand in the book. All rules are here.

A name that the book does not have is tried without what does not change a price: a date, a version, a
path before it. Nothing else is left out: of two models that look alike, a guess would be wrong half the
time, and no price is better than a wrong one.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["FALLBACKS", "REQUESTED", "forms", "inner_forms", "vendor_of"]

_VENDORS = {
    "anthropic": "anthropic",
    "anthropic-aws": "anthropic",
    "arcee": "arcee",
    "avian": "avian",
    "azure": "azure",
    "baseten": "baseten",
    "bedrock": "aws",
    "cerebras": "cerebras",
    "chatgpt": "openai",
    "cloudflare": "cloudflare",
    "code-assist": "google",
    "cohere": "cohere",
    "copilot": "github-copilot",
    "databricks": "databricks",
    "deepseek": "deepseek",
    "doubleword": "doubleword",
    "fireworks": "fireworks",
    "google": "google",
    "groq": "groq",
    "meta": "meta",
    "minimax": "minimax",
    "mistral": "mistral",
    "moonshot": "moonshotai",
    "novita": "novita",
    "openai": "openai",
    "openrouter": "openrouter",
    "ovhcloud": "ovhcloud",
    "perplexity": "perplexity",
    "together": "together",
    "vertex": "google",
    "xai": "x-ai",
    "zai": "zai",
}
"""Rows of the provider table to vendors of the book. Whoever is not here has no list price: a gateway or a
machine of one's own costs what its owner says."""

FALLBACKS = {"azure": ("openai", "anthropic", "deepseek", "x-ai", "moonshotai"), "google": ("anthropic",)}
"""Who sells the models of others at their list price; as in the data that the book is made from."""

REQUESTED = frozenset({"aws", "openrouter", "huggingface"})
"""Where the name that was asked for says more than that of the model that answered: a region, a variant."""

_BACK = re.compile(
    r"(?:\[1m\]"  # Claude Code's word for the long context, whose price the tokens tell
    r"|@default|[-@]latest"
    r"|[-@]20\d\d-?(?:0[1-9]|1[0-2])-?(?:0[1-9]|[12]\d|3[01])"
    r"|(?:(?<=flash)|(?<=lite)|(?<=-pro))-00\d"  # Gemini's stable versions
    r")$"
)
_COMPACT = re.compile(r"^(.*)-(20\d\d)(\d\d)(\d\d)$")
_DASHED = re.compile(r"^(.*)-(20\d\d)-(\d\d)-(\d\d)$")
_BEDROCK_BACK = re.compile(r"(?:-v\d+(?::\d+)?(?::\d+k)?|:\d+(?::\d+k)?|-20\d{6})$")
_FRONT = re.compile(
    r"^(?:models/|workers-ai/|publishers/[a-z-]+/models/|projects/.*/models/|accounts/fireworks/models/"
    r"|(?:anthropic|cohere|deepseek|google|minimax|mistral|mistralai|moonshotai|openai|x-ai|xai|z-ai|zai)/)"
)
_REGION = re.compile(r"^(?:apac|au|ca|eu|in|jp|us)\.")
_MAKER = re.compile(r"^(?!global\.|us-gov\.)[a-z0-9]+\.")


def vendor_of(provider_name: str, host: str, model: str) -> str | None:
    """The vendor of the book who sells this, or None."""
    if provider_name == "huggingface":
        # The router sells what others run, at their prices; it chooses among them unless it is told one.
        _, colon, runner = model.rpartition(":")
        return f"huggingface_{runner}" if colon else None
    if provider_name == "zai" and host == "open.bigmodel.cn":
        return "zhipuai"
    return _VENDORS.get(provider_name)


def forms(vendor: str, name: str) -> Iterator[str]:
    """The name as it is, then without what comes behind and does not change the price."""
    name = name.strip().lower()
    back = _BACK
    if vendor == "aws":
        back = _BEDROCK_BACK
        if name.startswith("arn:"):
            name = name.rpartition("/")[2]
    elif vendor.startswith("huggingface_"):
        name = name.rpartition(":")[0]
    yield name
    if vendor == "aws" and not back.search(name):
        yield f"{name}-1:0"  # Bedrock's newer endpoint (Mantle) has OpenAI's open models without a version
    # One day in the other spelling, lest a price of that day be passed over.
    for pattern, spelling in ((_COMPACT, r"\1-\2-\3-\4"), (_DASHED, r"\1-\2\3\4")):
        if (other := pattern.sub(spelling, name)) != name:
            yield other
    while (shorter := back.sub("", name)) != name:
        name = shorter
        yield name


def inner_forms(vendor: str, name: str) -> Iterator[str]:
    """The same without what stands before it: a path, or a region of Bedrock's with the maker of the model."""
    if vendor == "aws":
        for form in forms(vendor, name):
            bare = _REGION.sub("", form)
            yield bare
            yield _MAKER.sub("", bare)
    else:
        yield from forms(vendor, _FRONT.sub("", name.strip().lower()))
