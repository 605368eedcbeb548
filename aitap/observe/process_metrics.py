"""Metrics of this recorder and of the proxy it serves, looked at when they are asked for."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from aitap import __version__
from aitap.observe.metric_table import HOOK_SECONDS
from aitap.observe.record_metrics import route_of
from aitap.observe.registry import Histogram
from aitap.storage.losses import DIED, LOSSES

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from aitap.capture.pipeline import Pipeline
    from aitap.observe.registry import Registry
    from aitap.storage.writer import Writer

__all__ = ["ProcessMetrics"]

_PROXY_COUNTERS = {
    "hook_errors": "hook_errors_total",
    "unrecorded": "unrecorded_exchanges_total",
    "restarts": "recorder_restarts_total",
    "dropped": "recorder_dropped_items_total",
    "waiting": "line_waiting_bytes",
}


class ProcessMetrics:
    """Fills a registry with what can be looked at: queues, counters of others, what is open.

    ``database_url`` is where records go; ``dropped`` and ``failures`` tell, by name, what observers left out and
    which exports failed.
    """

    def __init__(
        self,
        registry: Registry,
        writer: Writer,
        database_url: str,
        dropped: Callable[[], Mapping[str, int]],
        failures: Callable[[], Mapping[str, int]],
    ) -> None:
        self.pipeline: Pipeline | None = None
        self._died = 0
        self._registry = registry
        self._writer = writer
        self._dropped = dropped
        self._failures = failures
        # sqlite:////absolute/path.db
        self._database = Path(database_url[len("sqlite:///") :]) if database_url.startswith("sqlite:///") else None
        registry.set("build_info", {(__version__,): 1})
        registry.set("start_timestamp_seconds", {(): time.time()})
        registry.collectors.append(self.collect)

    def collect(self) -> None:
        """Look at everything now."""
        put = self._registry.set
        stats = self._writer.stats
        put("records_written_total", {(): stats.written})
        put("records_lost_total", {(reason,): stats.lost_by[reason] for reason in LOSSES} | {(DIED,): self._died})
        put("records_queued", {(): stats.queued})
        put("records_spooled", {(): stats.spooled})
        put("records_adopted_total", {(): stats.adopted})
        put("spool_bytes", {(): self._writer.spool_bytes})
        put("spool_limit_bytes", {(): self._writer.spool_limit})
        put("database_retries_total", {(): stats.retries})
        put("retention_removed_total", {(): stats.removed})
        put("observations_dropped_total", {(name,): count for name, count in self._dropped().items()})
        put("export_failures_total", {(signal,): count for signal, count in self._failures().items()})
        if self._database is not None:
            put("database_bytes", {(): self._size(self._database)})
        if self.pipeline is not None:
            self._open(self.pipeline)

    def proxy_said(self, stats: Mapping[str, Any]) -> None:
        """What :class:`aitap.observe.proxy_stats.ProxyStats` sent."""
        self._died = stats.get("died", self._died)
        for name, metric in _PROXY_COUNTERS.items():
            if name in stats:
                self._registry.set(metric, {(): stats[name]})
        refusals = {(part, str(reason)): count for part, reason, count in stats.get("refusals", ())}
        self._registry.set("proxy_refusals_total", refusals)
        used = {(kind, name, period, unit): ratio for kind, name, period, unit, ratio in stats.get("budgets", ())}
        self._registry.set("budget_used_ratio", used)
        self._registry.put("proxy_connect_sessions_total", stats.get("read", 0), "mitm")
        hooks: dict[tuple[str], Histogram] = {}
        for hook, counts, spent in stats.get("hooks", ()):
            histogram = hooks[hook,] = Histogram(len(HOOK_SECONDS))
            histogram.counts, histogram.sum = list(counts), spent
        self._registry.set("hook_seconds", hooks)

    def _open(self, pipeline: Pipeline) -> None:
        inflight: dict[tuple[str, ...], float] = {}
        by_provider: dict[tuple[str, ...], float] = {}
        for record in pipeline.open_records():
            key = (record.provider_name, record.model, route_of(record.path, record.model))
            inflight[key] = inflight.get(key, 0) + 1
            by_provider[key[:1]] = by_provider.get(key[:1], 0) + 1
        self._registry.set("interceptions_inflight", inflight)
        self._registry.set("proxy_inflight_mitm_requests", by_provider)

    @staticmethod
    def _size(database: Path) -> int:
        files = (database, database.with_name(f"{database.name}-wal"))
        return sum(path.stat().st_size for path in files if path.exists())
