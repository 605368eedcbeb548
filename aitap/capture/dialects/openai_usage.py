"""Counters of Chat Completions and of Responses, as OpenAI defines them and as others who speak the same fill them in.

OpenAI's own are plain: input contains what was cached, output contains the reasoning, and the total is the sum of
both (OpenAI, "The completion object", "The response object"). Others keep the names and not the sums:

* reasoning beside the output, not inside (xAI's models, Google's description of them on Vertex AI), or in the total
  alone (Gemini by its OpenAI-compatible address);
* input without what was cached (gateways before Anthropic's models);
* cached tokens at the top (DeepSeek, Moonshot), written ones under names of Anthropic's (LiteLLM, Qwen, Vercel).

The total says which it is: where it exceeds the sum of input and output, what it has more is looked for among the
counters that may have been left out. What the provider bills is what the parts then add up to.
"""

from __future__ import annotations

from typing import Any

from aitap.capture.facts import UsageFact
from aitap.capture.wire import jsontext
from aitap.capture.wire.jsontext import as_dict, as_int, as_str

__all__ = ["chat_usage", "response_usage"]

_WRITTEN = ("cache_write_tokens", "cache_creation_tokens", "cache_creation_input_tokens")

_CHAT_NAMES = {
    "prompt_tokens_details.audio_tokens": "prompt_audio",
    "prompt_tokens_details.cached_tokens": "prompt_cached",
    "completion_tokens_details.audio_tokens": "completion_audio",
    "completion_tokens_details.reasoning_tokens": "completion_reasoning",
    "completion_tokens_details.accepted_prediction_tokens": "completion_accepted_prediction",
    "completion_tokens_details.rejected_prediction_tokens": "completion_rejected_prediction",
}
_RESPONSE_NAMES = {
    "input_tokens_details.cached_tokens": "input_cached",
    "output_tokens_details.reasoning_tokens": "output_reasoning",
}


def chat_usage(counters: dict[str, Any], *, partial: bool) -> UsageFact | None:
    """The ``usage`` of a chat completion, and ``service_tier`` beside it; None where it counts nothing."""
    prompt, completion = ("prompt_tokens", "completion_tokens")
    if not counters.keys() & {prompt, completion}:
        prompt, completion = ("input_tokens", "output_tokens")  # a few gateways use the newer names
    if not jsontext.counts(counters, (prompt, completion)):
        return None
    details = as_dict(counters.get(f"{prompt}_details"))
    cached = _most(
        *(details.get(name) for name in ("cached_tokens", "cache_read_input_tokens")),
        *(
            counters.get(name)
            for name in ("prompt_cache_hit_tokens", "cached_tokens", "cached_input_tokens", "cache_read_input_tokens")
        ),
        # Mistral has two places more for the same.
        *(counters.get("num_cached_tokens"), as_dict(counters.get("prompt_token_details")).get("cached_tokens")),
    )
    written = _most(*(place.get(name) for place in (details, counters) for name in _WRITTEN))
    reasoning = as_dict(counters.get(f"{completion}_details")).get("reasoning_tokens", counters.get("reasoning_tokens"))
    fact = _settled(counters, (prompt, completion), (cached, written), as_int(reasoning))
    fact.extra = _extra(counters, _CHAT_NAMES, (prompt, completion))
    if tier := as_str(counters.get("service_tier")):
        fact.extra["service_tier"] = tier
    if partial:
        fact.extra["partial"] = True
    return fact


def response_usage(counters: dict[str, Any]) -> UsageFact | None:
    """The ``usage`` of a response; None where it counts nothing."""
    names = ("input_tokens", "output_tokens")
    if not jsontext.counts(counters, names):
        return None
    details = as_dict(counters.get("input_tokens_details"))
    stored = _most(details.get("cached_tokens")), _most(*(details.get(name) for name in _WRITTEN))
    reasoning = as_int(as_dict(counters.get("output_tokens_details")).get("reasoning_tokens"))
    fact = _settled(counters, names, stored, reasoning)
    fact.extra = _extra(counters, _RESPONSE_NAMES, names)
    return fact


def _most(*values: Any) -> int:
    """The same counter may stand in several places, in some of them as 0."""
    return max((number for value in values if (number := as_int(value)) is not None), default=0)


def _settled(
    counters: dict[str, Any], names: tuple[str, str], stored: tuple[int, int], reasoning: int | None
) -> UsageFact:
    """Uncached input and all output, by what the total says is inside of what."""
    read, said = (as_int(counters.get(name)) or 0 for name in names)
    cached, written = stored
    apart = cached + written
    inside = True
    match (as_int(counters.get("total_tokens")) or 0) - read - said:
        case beyond if beyond <= 0:
            pass
        case beyond if beyond == reasoning:
            said += beyond
        case beyond if apart and beyond in (apart, apart + (reasoning or 0)):
            said += beyond - apart
            inside = False
        case beyond if reasoning is None:
            said += beyond  # thoughts that no counter of their own tells of
    return UsageFact(
        input_tokens=max(read - apart, 0) if inside else read,
        output_tokens=said,
        cache_read_input_tokens=cached,
        cache_write_input_tokens=written,
    )


def _extra(counters: dict[str, Any], names: dict[str, str], columns: tuple[str, str]) -> dict[str, Any]:
    flat = jsontext.flat_numbers(counters)
    return {names.get(path, path): number for path, number in flat.items() if path not in columns}
