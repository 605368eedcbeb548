"""What a message of Anthropic's counts, by the rules of a record.

Protocol facts are Anthropic's public references ("Messages", "Compaction", "Advisor tool", "Refusals and fallback").
The counters on top are those of the model that answered. Beside them, one by one, stand ``iterations``: what is in the
sums already, the summary of a context, advice, and attempts of models that would not.
"""

from __future__ import annotations

from typing import Any

from aitap.capture.facts import UsageFact
from aitap.capture.wire import jsontext
from aitap.capture.wire.jsontext import as_dict, as_int, as_list, as_str

__all__ = ["BILLED_REFUSALS", "usage_of"]

# The reference's names, by which its dashboards ask; every other counter keeps its own path.
_NAMES = {
    "cache_read_input_tokens": "cache_read_input",
    "cache_creation_input_tokens": "cache_creation_input",
    "cache_creation.ephemeral_5m_input_tokens": "cache_ephemeral_5m_input",
    "cache_creation.ephemeral_1h_input_tokens": "cache_ephemeral_1h_input",
    "server_tool_use.web_search_requests": "web_search_requests",
    "server_tool_use.web_fetch_requests": "web_fetch_requests",
}
_COLUMNS = ("input_tokens", "output_tokens")
_ITERATION = (*_COLUMNS, "cache_read_input_tokens", "cache_creation_input_tokens")

BILLED_REFUSALS = ("bio", "frontier_llm", "reasoning_extraction")
"""Of requests that a model refuses before it has put out anything, those about these are billed all the same."""


def _kind(item: dict[str, Any], served: dict[str, Any] | None, refused: dict[str, str | None]) -> str | None:
    """Under which name an iteration stands beside the sums; None where it is in them."""
    kind = as_str(item.get("type"))
    if kind != "message" or served is None:
        return None if kind == "message" else kind
    model = as_str(item.get("model"))
    if model is None or model == served.get("model"):
        return None  # the model that served it had to call tools before
    category = refused.get(model, next(iter(refused.values()), "unknown") if len(refused) < 2 else "unknown")
    free = not as_int(item.get("output_tokens")) and category not in (*BILLED_REFUSALS, "unknown")
    return "unbilled" if free else "message"


def usage_of(counters: dict[str, Any], refused: dict[str, str | None], *, partial: bool) -> UsageFact | None:
    """The counters of a message by our rules; None where they count nothing.

    ``refused`` is which models would not answer before one did, and why.
    """
    if not jsontext.counts(counters, _ITERATION):
        return None
    extra: dict[str, Any] = {
        _NAMES.get(path, path): number
        for path, number in jsontext.flat_numbers(counters).items()
        if path not in _COLUMNS
    }
    for name in ("service_tier", "speed", "inference_geo"):  # what else the price depends on
        if word := as_str(counters.get(name)):
            extra[name] = word
    if partial:
        extra["partial"] = True
    count = dict.fromkeys(_ITERATION, 0)
    iterations = [as_dict(item) for item in as_list(counters.get("iterations"))]
    served = next((item for item in iterations if item.get("type") == "fallback_message"), None)
    if served is not None:
        # What the message began with was counted for the model that would not; the sums at its end are of this one.
        extra = {path: number for path, number in extra.items() if not path.startswith("cache_ephemeral_")}
        for path, number in jsontext.flat_numbers(served.get("cache_creation"), "cache_creation").items():
            extra[_NAMES.get(path, path)] = number
    for source in (counters, *(item for item in iterations if item.get("type") == "compaction")):
        # What the summary of a context cost is billed, too, and the counters above the iterations leave it out.
        for name in _ITERATION:
            count[name] += as_int(source.get(name)) or 0
        if source is not counters:
            for path, number in jsontext.flat_numbers(source.get("cache_creation"), "cache_creation").items():
                extra[_NAMES.get(path, path)] = extra.get(_NAMES.get(path, path), 0) + number
    for item in iterations:
        if kind := _kind(item, served, refused):
            for name in _ITERATION:
                path = f"iterations.{kind[:64]}.{name}"
                extra[path] = extra.get(path, 0) + (as_int(item.get(name)) or 0)
            if model := as_str(item.get("model")):  # an adviser or a stand-in is a model of its own
                extra[f"iterations.{kind[:64]}.model"] = model[:256]
    return UsageFact(
        input_tokens=count["input_tokens"],
        output_tokens=count["output_tokens"],
        cache_read_input_tokens=count["cache_read_input_tokens"],
        cache_write_input_tokens=count["cache_creation_input_tokens"],
        extra=extra,
    )
