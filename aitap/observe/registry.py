"""Counters, gauges and histograms with a bounded number of series each.

Labels are filled with what clients and providers send, so each metric has a limit of series. What would be
one more is counted under ``other`` in its open labels: sums stay right, and neither this process nor
Prometheus can be filled by a client that makes up model names.
"""

from __future__ import annotations

import threading
from bisect import bisect_left
from typing import TYPE_CHECKING, Any, Literal

import msgspec

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

__all__ = ["OTHER", "Histogram", "Labels", "Metric", "Registry", "Series"]

OTHER = "other"
_LONGEST = 128
_FEW = 64
"""More values than labels have that are ours alone."""


class Metric(msgspec.Struct, frozen=True, kw_only=True):
    """What is measured."""

    name: str
    """As Prometheus has it, without its prefix where ``prefixed``."""
    kind: Literal["counter", "gauge", "histogram"]
    help: str
    labels: tuple[str, ...] = ()
    closed: tuple[str, ...] = ()
    """Labels whose values are ours, and few; the others are open: strangers choose their values."""
    buckets: tuple[float, ...] = ()
    limit: int = 1000
    """The most series; beyond, open labels are ``other``."""
    across: Literal["sum", "max", "min"] = "sum"
    """What several processes on one port say together: a gauge of what they share is no sum."""
    compatible: bool = False
    """The reference has it too, by the same name and labels."""
    otel: str = ""
    """The name by OpenTelemetry's conventions, dotted as its labels are; empty for what is our own."""
    unit: str = ""

    @property
    def prefixed(self) -> bool:
        """Whether the name gets a prefix: what a convention names does not."""
        return not self.otel

    @property
    def most(self) -> int:
        """The most series there can be, those of ``other`` aside."""
        if not self.labels:
            return 1
        return min(self.limit, _FEW) if set(self.labels) == set(self.closed) else self.limit


class Histogram:
    """One series of a histogram: how many values were at most each bound (each counted once), their sum."""

    __slots__ = ("counts", "sum")

    def __init__(self, bounds: int) -> None:
        self.counts = [0] * (bounds + 1)
        self.sum = 0.0

    @property
    def count(self) -> int:
        """How many values there were."""
        return sum(self.counts)

    def copy(self) -> Histogram:
        """The series as it is now."""
        copied = Histogram(0)
        copied.counts, copied.sum = list(self.counts), self.sum
        return copied


Labels = tuple[str, ...]
Series = dict[Labels, "float | Histogram"]

_ACROSS: dict[str, Callable[[Iterable[float]], float]] = {"sum": sum, "max": max, "min": min}


class Registry:
    """The series of a table of metrics. For any thread.

    ``collectors`` are called before each reading, to set what is only looked at then.
    """

    def __init__(self, table: Iterable[Metric]) -> None:
        self.metrics = {metric.name: metric for metric in table}
        self.collectors: list[Callable[[], None]] = []
        self._series: dict[str, Series] = {name: {} for name in self.metrics}
        self._open = {
            name: tuple(label not in metric.closed for label in metric.labels) for name, metric in self.metrics.items()
        }
        self._lock = threading.Lock()

    def add(self, name: str, amount: float = 1, *labels: str | None) -> None:
        """Count ``amount`` more. Labels are given in the order of the table; unknown is empty."""
        with self._lock:
            series = self._series[name]
            key = self._key(name, series, labels)
            before = series.get(key, 0)
            if not isinstance(before, Histogram):
                series[key] = before + amount

    def observe(self, name: str, value: float, *labels: str | None) -> None:
        """Put a value into a histogram."""
        bounds = self.metrics[name].buckets
        with self._lock:
            series = self._series[name]
            key = self._key(name, series, labels)
            found = series.get(key)
            if not isinstance(found, Histogram):
                found = series[key] = Histogram(len(bounds))
            found.counts[bisect_left(bounds, value)] += 1
            found.sum += value

    def set(self, name: str, values: Mapping[Any, float | Histogram]) -> None:
        """These, by their labels, are all the series of a metric now; of those under ``other`` the sum."""
        fresh: Series = {}
        with self._lock:
            for labels, value in values.items():
                key = self._key(name, fresh, labels)
                before = fresh.get(key, 0)
                fresh[key] = value if isinstance(value, Histogram) or isinstance(before, Histogram) else before + value
            self._series[name] = fresh

    def put(self, name: str, value: float, *labels: str | None) -> None:
        """Set one series; others of its metric stay as they are."""
        with self._lock:
            series = self._series[name]
            series[self._key(name, series, labels)] = value

    def join(self, name: str, labels: Labels, value: float | Histogram) -> None:
        """Take in what another process has measured; see ``across``."""
        with self._lock:
            series = self._series[name]
            key = self._key(name, series, labels)
            before = series.get(key)
            if isinstance(value, Histogram):
                joined = before if isinstance(before, Histogram) else Histogram(len(value.counts) - 1)
                joined.counts = [one + other for one, other in zip(joined.counts, value.counts, strict=True)]
                joined.sum += value.sum
                series[key] = joined
            elif before is None or isinstance(before, Histogram):
                series[key] = value
            else:
                series[key] = _ACROSS[self.metrics[name].across]((before, value))

    def read(self) -> list[tuple[Metric, Series]]:
        """Every metric that has series, with these as they are now."""
        for collect in self.collectors:
            collect()
        with self._lock:
            return [
                (
                    self.metrics[name],
                    {key: value.copy() if isinstance(value, Histogram) else value for key, value in series.items()},
                )
                for name, series in self._series.items()
                if series
            ]

    def _key(self, name: str, series: Series, labels: Sequence[str | None]) -> Labels:
        key = tuple((label or "")[:_LONGEST] for label in labels)
        if key in series or len(series) < self.metrics[name].limit:
            return key
        return tuple(OTHER if open_ else label for open_, label in zip(self._open[name], key, strict=True))
