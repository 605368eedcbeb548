"""Traces as a collector has them, and the tree that each must be."""

from __future__ import annotations

from collections import Counter
from typing import Any

from tests.observe.collector import Collector, plain
from tests.proxy.mitmdump import until

__all__ = ["ALWAYS", "ERROR", "check_tree", "names_of", "trace_of"]

UPSTREAM = "Intercept.ProcessRequest.Upstream"
ERROR = 2
"""``STATUS_CODE_ERROR``."""

PARENTS = {
    "Intercept": None,
    "CachedBridgePool.Acquire": "Intercept",
    "Intercept.CreateInterceptor": "Intercept",
    "Intercept.RecordInterception": "Intercept",
    "Intercept.ProcessRequest": "Intercept",
    UPSTREAM: "Intercept.ProcessRequest",
    "Intercept.RecordPromptUsage": "Intercept.ProcessRequest",
    "Intercept.RecordTokenUsage": "Intercept.ProcessRequest",
    "Intercept.RecordToolUsage": "Intercept.ProcessRequest",
    "Intercept.RecordModelThought": "Intercept.ProcessRequest",
    "Intercept.RecordInterceptionEnded": "Intercept",
}
ALWAYS = [name for name in PARENTS if "Usage" not in name and "Thought" not in name]
FAILED = {"Intercept", "Intercept.ProcessRequest", UPSTREAM}
_KINDS = ("PromptUsage", "TokenUsage", "ToolUsage", "ModelThought")


def names_of(spans: list[Any]) -> dict[bytes, str]:
    """Names by span id, the call of the model by the reference's."""
    return {span.span_id: plain(span.attributes).get("aibridge.operation", span.name) for span in spans}


def trace_of(collector: Collector, interception: str) -> list[Any]:
    """The spans of one interception, once the last one has come."""

    def found() -> list[Any] | None:
        spans = [
            span for span in list(collector.spans) if plain(span.attributes).get("interception_id") == interception
        ]
        return spans if any(span.name == "Intercept.RecordInterceptionEnded" for span in spans) else None

    return until(found, f"the trace of {interception}")


def check_tree(
    spans: list[Any], counts: tuple[int, int, int, int], *, failed: bool = False, connection: bool = True
) -> None:
    """That this is the tree of one interception with so many children, and nothing else."""
    names = names_of(spans)
    children = {f"Intercept.Record{kind}": count for kind, count in zip(_KINDS, counts, strict=True)}
    wanted = Counter(ALWAYS) + Counter(children) - Counter([] if connection else ["CachedBridgePool.Acquire"])
    assert Counter(names.values()) == wanted
    by_id = {span.span_id: span for span in spans}
    for span in spans:
        parent = PARENTS[names[span.span_id]]
        assert names.get(span.parent_span_id) == parent
        if parent is not None:
            outer = by_id[span.parent_span_id]
            assert outer.start_time_unix_nano <= span.start_time_unix_nano
            assert span.start_time_unix_nano <= span.end_time_unix_nano <= outer.end_time_unix_nano
    assert {names[span.span_id] for span in spans if span.status.code == ERROR} == (FAILED if failed else set())
    assert len({span.trace_id for span in spans}) == 1
