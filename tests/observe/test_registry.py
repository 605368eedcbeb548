"""Series add up, and there are never more of them than were allowed."""

from __future__ import annotations

import threading
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from prometheus_client.parser import text_string_to_metric_families

from aitap.observe.exposition import exposition
from aitap.observe.registry import OTHER, Histogram, Metric, Registry

TABLE = [
    Metric(name="calls_total", kind="counter", help="c", labels=("model", "kind"), closed=("kind",), limit=3),
    Metric(name="queued", kind="gauge", help="g"),
    Metric(name="spent_seconds", kind="histogram", help="h", labels=("model",), buckets=(0.5, 2.0), compatible=True),
]


def read(registry: Registry, name: str) -> dict[tuple[str, ...], Any]:
    return {metric.name: series for metric, series in registry.read()}.get(name, {})


def scraped(registry: Registry, **how: Any) -> dict[tuple[str, frozenset[tuple[str, str]]], float]:
    families = text_string_to_metric_families(exposition(registry.read(), **how))
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in families
        for sample in family.samples
    }


def test_beyond_the_limit_open_labels_are_other_and_closed_ones_stay() -> None:
    registry = Registry(TABLE)
    for number in range(10):
        registry.add("calls_total", 1, f"made-up-{number}", "input")
        registry.add("calls_total", 1, f"made-up-{number}", "output")
    found = read(registry, "calls_total")
    assert sum(found.values()) == 20
    assert {key for key in found if key[0] == OTHER} == {(OTHER, "input"), (OTHER, "output")}
    assert len(found) == 3 + 2


def test_a_value_falls_into_the_bucket_whose_bound_it_does_not_exceed() -> None:
    registry = Registry(TABLE)
    for value in (0.5, 0.6, 2.0, 9.0):
        registry.observe("spent_seconds", value, "m")
    found = read(registry, "spent_seconds")["m",]
    assert isinstance(found, Histogram)
    assert (found.counts, found.count, found.sum) == ([1, 2, 1], 4, 12.1)
    values = scraped(registry)
    assert [values["aitap_spent_seconds_bucket", frozenset({("model", "m"), ("le", le)})] for le in ("0.5", "2")] == [
        *(1, 3)
    ]
    assert values["aitap_spent_seconds_count", frozenset({("model", "m")})] == 4


@given(st.lists(st.text(), max_size=5))
def test_whatever_a_client_calls_its_model_can_be_scraped(models: list[str]) -> None:
    registry = Registry(TABLE)
    for model in models:
        registry.add("calls_total", 1, model, "input")
    assert sum(scraped(registry).values()) == len(models)


def test_names_of_the_reference_are_there_only_when_asked_for() -> None:
    registry = Registry(TABLE)
    registry.observe("spent_seconds", 1, "m")
    registry.set("queued", {(): 3})
    assert not any(name.startswith("coder") for name, _ in scraped(registry))
    assert {name for name, _ in scraped(registry, compatible=True) if name.startswith("coder")} == {
        f"coder_ai_gateway_spent_seconds_{part}" for part in ("bucket", "count", "sum")
    }


def test_threads_do_not_lose_counts() -> None:
    registry = Registry(TABLE)

    def count() -> None:
        for _ in range(2000):
            registry.add("calls_total", 1, "m", "input")

    threads = [threading.Thread(target=count) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert read(registry, "calls_total")["m", "input"] == 8000


def test_unknown_labels_are_empty() -> None:
    registry = Registry(TABLE)
    registry.add("calls_total", 1, None, "input")
    assert read(registry, "calls_total") == {("", "input"): 1}
