"""Names of OpenTelemetry's conventions for generative AI, both generations of them, and what ours are called there.

The names that are spread today (semantic conventions 1.41) are the default. With
``OTEL_SEMCONV_STABILITY_OPT_IN=gen_ai_latest_experimental`` they are those of the conventions' own repository
(open-telemetry/semantic-conventions-genai). As OpenTelemetry's own helper for Python does, the default says
``cache_write`` beside ``cache_creation``.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import msgspec

if TYPE_CHECKING:
    from collections.abc import Mapping

    from aitap.record import Interception

__all__ = ["Names", "input_tokens", "names", "operation", "provider"]


class Names(msgspec.Struct, frozen=True):
    """What differs from one generation to the other."""

    latest: bool
    duration: str
    first_chunk: str
    cache_write: tuple[str, ...]


_SPREAD = Names(
    latest=False,
    duration="gen_ai.client.operation.duration",
    first_chunk="gen_ai.client.operation.time_to_first_chunk",
    cache_write=("gen_ai.usage.cache_write.input_tokens", "gen_ai.usage.cache_creation.input_tokens"),
)
_LATEST = Names(
    latest=True,
    duration="gen_ai.client.inference.duration",
    first_chunk="gen_ai.client.inference.time_to_first_chunk",
    cache_write=("gen_ai.usage.cache_write.input_tokens",),
)


def names(environ: Mapping[str, str] = os.environ) -> Names:
    """The generation that is asked for."""
    wanted = environ.get("OTEL_SEMCONV_STABILITY_OPT_IN", "").replace(" ", "").split(",")
    return _LATEST if "gen_ai_latest_experimental" in wanted else _SPREAD


_OPERATIONS = {
    "google.generate_content": "generate_content",
    "google.code_assist": "generate_content",
    "google.live": "generate_content",
    "ollama.generate": "text_completion",
    "openai.completions": "text_completion",
}
_PROVIDERS = {
    "bedrock": "aws.bedrock",
    "google": "gcp.gemini",
    "mistral": "mistral_ai",
    "azure": "azure.ai.openai",
    "xai": "x_ai",
    "moonshot": "moonshot_ai",
    "watsonx": "ibm.watsonx.ai",
}
_NAMED = {
    "anthropic": "anthropic",
    "azure-ai": "azure.ai.inference",
    "cohere": "cohere",
    "deepseek": "deepseek",
    "groq": "groq",
    "perplexity": "perplexity",
    **_PROVIDERS,
}


def operation(record: Interception) -> str:
    """``gen_ai.operation.name``."""
    return _OPERATIONS.get(record.api, "chat")


def provider(record: Interception) -> str:
    """``gen_ai.provider.name``: the well-known name of who answers, else our own for it."""
    if record.host.endswith("aiplatform.googleapis.com"):
        return "gcp.vertex_ai"
    if record.host.endswith((".openai.azure.com", ".cognitiveservices.azure.com")):
        return "azure.ai.openai"
    name = record.provider_name.partition("/")[0]
    return _NAMED.get(name) or _PROVIDERS.get(record.provider) or name or record.provider


def input_tokens(uncached: int, cache_read: int, cache_write: int) -> int:
    """``gen_ai.usage.input_tokens`` counts what was cached, too; a record's does not."""
    return uncached + cache_read + cache_write
