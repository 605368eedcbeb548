"""The metrics, sent to an OpenTelemetry collector every minute (``OTEL_METRIC_EXPORT_INTERVAL``, in ms)."""

from __future__ import annotations

import os
import threading
import time
from typing import TYPE_CHECKING

from opentelemetry.sdk.metrics.export import (
    AggregationTemporality,
    Gauge,
    HistogramDataPoint,
    Metric,
    MetricsData,
    NumberDataPoint,
    ResourceMetrics,
    ScopeMetrics,
    Sum,
)
from opentelemetry.sdk.metrics.export import Histogram as HistogramData

from aitap.observe.metric_table import PREFIX
from aitap.observe.otlp import SCOPE, exporter, resource
from aitap.observe.registry import Histogram

if TYPE_CHECKING:
    from collections.abc import Iterable

    from aitap.observe import registry

__all__ = ["OtlpMetrics"]

_INTERVAL = 60_000.0


class OtlpMetrics:
    """Sends all of a registry, again and again, from a thread of its own."""

    def __init__(self, metrics: registry.Registry) -> None:
        self.exporter = exporter("metrics")
        self._registry = metrics
        self._resource = resource()
        self._start = time.time_ns()
        self._over = threading.Event()
        self._interval = _interval()
        self._thread = threading.Thread(target=self._serve, name="aitap-metrics-otlp", daemon=True)
        self._thread.start()

    def close(self, timeout: float) -> None:
        """Send a last time."""
        self._over.set()
        self._thread.join(timeout)

    def _serve(self) -> None:
        over = False
        while not over:
            over = self._over.wait(self._interval)
            self._send()

    def _send(self) -> None:
        metrics = list(self._metrics(time.time_ns()))
        scope = ScopeMetrics(scope=SCOPE, metrics=metrics, schema_url="")
        batch = MetricsData([ResourceMetrics(resource=self._resource, scope_metrics=[scope], schema_url="")])
        try:
            self.exporter.export(batch)
        except Exception:  # noqa: BLE001 - told and counted there
            return

    def _metrics(self, now: int) -> Iterable[Metric]:
        for metric, series in self._registry.read():
            data: Sum | Gauge | HistogramData
            if metric.kind == "histogram":
                points = [
                    HistogramDataPoint(
                        attributes=dict(zip(metric.labels, key, strict=True)),
                        start_time_unix_nano=self._start,
                        time_unix_nano=now,
                        count=value.count,
                        sum=value.sum,
                        bucket_counts=value.counts,
                        explicit_bounds=metric.buckets,
                        min=None,  # type: ignore[arg-type] # not known, and optional in the protocol
                        max=None,  # type: ignore[arg-type]
                    )
                    for key, value in series.items()
                    if isinstance(value, Histogram)
                ]
                data = HistogramData(points, AggregationTemporality.CUMULATIVE)
            else:
                numbers = [
                    NumberDataPoint(dict(zip(metric.labels, key, strict=True)), self._start, now, value)
                    for key, value in series.items()
                    if not isinstance(value, Histogram)
                ]
                counter = metric.kind == "counter"
                data = Sum(numbers, AggregationTemporality.CUMULATIVE, is_monotonic=True) if counter else Gauge(numbers)
            yield Metric(metric.otel or f"{PREFIX}{metric.name}", metric.help, metric.unit, data)


def _interval() -> float:
    """Seconds between two sendings."""
    try:
        return float(os.environ.get("OTEL_METRIC_EXPORT_INTERVAL", _INTERVAL)) / 1000
    except ValueError:
        return _INTERVAL / 1000
