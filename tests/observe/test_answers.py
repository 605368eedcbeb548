"""What a collector says against a batch in an answer that is none of failure counts as a failure."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from opentelemetry.sdk.metrics.export import MetricsData

from aitap.observe.log_otlp import OtlpLog
from aitap.observe.otlp import Signal, exporter
from tests.observe.collector import Collector, GrpcCollector, HttpCollector


@pytest.fixture(params=[HttpCollector, GrpcCollector])
def collector(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[Collector]:
    collector: Collector = request.param()
    for name, value in collector.environ.items():
        monkeypatch.setenv(name, value)
    yield collector
    collector.close()


def test_what_is_rejected_is_counted_and_told(collector: Collector, caplog: pytest.LogCaptureFixture) -> None:
    log = OtlpLog()
    try:
        for collector.rejects in (0, 3, 3, 0):
            log.tell({"n": 1}, 1.0, None)
            log._provider.force_flush()
    finally:
        log.close(1.0)
    assert len(collector.logs) == 4
    assert log.exporter.failures == 2
    assert [record.message for record in caplog.records if record.name == "aitap.observe.otlp"] == [
        "aitap: the collector does not take logs, it rejected 3 of a batch: too old; records are stored all the same",
        "aitap: the collector takes logs again",
    ]


def test_a_redirection_takes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """A gateway that wants another scheme, or somebody to sign in."""
    collector = HttpCollector()
    collector.status = 302
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", collector.endpoint)
    nothing: dict[Signal, Any] = {"traces": [], "metrics": MetricsData([]), "logs": []}
    try:
        for signal, batch in nothing.items():
            sender = exporter(signal)
            assert sender.export(batch).name == "FAILURE"
            assert sender.refused == "it answers 302, go to https://elsewhere.example/"
            sender.shutdown()
    finally:
        collector.close()
