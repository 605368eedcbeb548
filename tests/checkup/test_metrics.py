"""What the running proxy counts, in the doctor's words."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from aitap.checkup.finding import Finding
from aitap.checkup.metrics import check_metrics
from aitap.observe.endpoint import Endpoint
from aitap.observe.exposition import exposition
from aitap.observe.metric_table import metrics
from aitap.observe.proxy_stats import HOOKS
from aitap.observe.registry import Registry
from tests.checkup.making import situation


@pytest.fixture
def registry() -> Registry:
    registry = Registry(metrics())
    registry.set("records_written_total", {(): 12})
    return registry


@pytest.fixture
def place(registry: Registry) -> Iterator[str]:
    endpoint = Endpoint(("127.0.0.1", 0), lambda: exposition(registry.read()), lambda: "")
    yield endpoint.url.removeprefix("http://")
    endpoint.close()


def findings(confdir: Path, place: str) -> dict[str, Finding]:
    where = situation(confdir, environ={"AITAP_METRICS_LISTEN": place} if place else {})
    return {finding.check: finding for finding in check_metrics(where)}


def spend(registry: Registry, seconds: float) -> None:
    for hook in HOOKS[:4]:
        registry.observe("hook_seconds", seconds / 4, hook)


def test_what_recording_costs_and_that_nothing_is_lost_is_told(tmp_path: Path, place: str, registry: Registry) -> None:
    spend(registry, 0.00008)
    found = findings(tmp_path, place)
    assert {finding.status for finding in found.values()} == {"ok"}
    assert "takes 80 us" in found["metrics.overhead"].what
    assert "nothing was lost" in found["metrics.lost"].what
    assert "12 records" in found["metrics.lost"].what


def test_a_loss_is_a_problem_and_a_slow_machine_a_warning(tmp_path: Path, place: str, registry: Registry) -> None:
    registry.add("unrecorded_exchanges_total", 3)
    spend(registry, 0.02)
    found = findings(tmp_path, place)
    assert found["metrics.lost"].status == "problem"
    assert "3 exchanges" in found["metrics.lost"].what
    assert found["metrics.overhead"].status == "warning"


def test_an_address_where_nobody_answers_is_a_warning_and_none_is_a_hint(tmp_path: Path) -> None:
    assert findings(tmp_path, "127.0.0.1:1")["metrics.address"].status == "warning"
    assert "metrics_listen" in findings(tmp_path, "")["metrics.address"].what
