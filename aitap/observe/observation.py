"""All that is told of the records in one recorder process, put together as the settings ask.

Where nothing is switched on, nothing of it is loaded and records go straight to the writer. What cannot be
had (an address in use, a variable that makes no sense) is told and done without: the records come first.
"""

from __future__ import annotations

import logging
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from aitap.observe.observers import Lane, Observers, Placed
from aitap.observe.readiness import told_to_strangers

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from aitap.capture.pipeline import Pipeline, Sink
    from aitap.observe.endpoint import Endpoint
    from aitap.observe.metrics_otlp import OtlpMetrics
    from aitap.observe.observers import Observer
    from aitap.observe.otlp import Told
    from aitap.observe.process_metrics import ProcessMetrics
    from aitap.observe.record_logs import Teller
    from aitap.observe.record_metrics import RecordMetrics
    from aitap.observe.registry import Registry
    from aitap.observe.report import Reporting
    from aitap.observe.settings import ObserveSettings
    from aitap.observe.tracing import Tracing
    from aitap.record import HostSeen, Passed
    from aitap.redaction.redactor import Redactor
    from aitap.storage.writer import Writer

__all__ = ["Observation"]

logger = logging.getLogger(__name__)

T = TypeVar("T")


class Observation:
    """The observers of one recorder; ``sink`` is where its pipeline sends the records."""

    def __init__(
        self, settings: ObserveSettings, writer: Writer, database_url: str, redactor: Redactor | None = None
    ) -> None:
        self.sink: Sink = writer
        self.faults = 0
        self._settings = settings
        self._redactor = redactor
        self._writer = writer
        self._observers: Observers | None = None
        self._exporters: dict[str, Told] = {}
        self._traced: Tracing | None = None
        self._counted: RecordMetrics | None = None
        self._process: ProcessMetrics | None = None
        self._registry: Registry | None = None
        self._endpoint: Endpoint | None = None
        self._reporting: Reporting | None = None
        self._sent: OtlpMetrics | None = None
        slow: list[Observer] = []
        if settings.structured_logging and (logs := _tried("the log", self._record_logs)):
            slow.append(logs)
        if settings.trace_enable and (traced := _tried("the traces", self._tracing)):
            slow.append(traced)
        if settings.metrics:
            self._metrics(database_url)
        counters: list[Observer] = [self._counted] if self._counted is not None else []
        if slow:
            placed = Placed()
            writer.on_placed = placed.mark
            self._observers = Observers(writer, counters, [Lane(observer, placed) for observer in slow], placed)
        elif counters:
            self._observers = Observers(writer, counters)
        self.sink = self._observers or writer

    def start(self, pipeline: Pipeline) -> None:
        """Recording begins: open the address of the metrics, send them to the collector."""
        registry = self._registry
        if registry is None or self._process is None:
            return
        self._process.pipeline = pipeline
        if self._settings.metrics_otlp and (sent := _tried("the metrics", lambda: _otlp_metrics(registry))):
            self._sent = sent
            self._exporters["metrics"] = sent.exporter
        address, line = self._settings.metrics_listen, self._settings.metrics_line
        if address is not None and line is not None:
            self._reporting = _tried("the line of the metrics", lambda: self._report(line, registry))
        elif address is not None:
            self._endpoint = _tried("the address of the metrics", lambda: self._listen(address, registry))

    def host_seen(self, seen: HostSeen) -> None:
        """A tunnel, or a handshake that was refused."""
        if self._counted is not None:
            self._bear(self._counted.host_seen, seen)

    def passed(self, passed: Passed) -> None:
        """A request that is no call of a model."""
        if self._counted is not None and passed.provider:
            self._bear(self._counted.passed, passed.provider, passed.method, passed.path)
        if self._traced is not None:
            self._bear(self._traced.passed, passed)

    def proxy_said(self, stats: Mapping[str, Any]) -> None:
        """What the proxy process counts."""
        if self._process is not None:
            self._bear(self._process.proxy_said, stats)

    def close(self, timeout: float) -> None:
        """Have the rest told, within so many seconds; the writer is closed by now."""
        if self._endpoint is not None:
            self._endpoint.close()
        if self._observers is not None:
            self._observers.close(timeout)
        if self._sent is not None:
            self._sent.close(timeout / 2)
        if self._reporting is not None:
            self._reporting.close()

    def _bear(self, tell: Callable[..., None], *what: Any) -> None:
        """What is told while records are made must not cost one of them."""
        try:
            tell(*what)
        except Exception:
            self.faults += 1
            if self.faults == 1:
                logger.exception("aitap: something could not be told; the records are not affected")

    def _tracing(self) -> Observer:
        from aitap.observe.tracing import Tracing

        self._traced = Tracing(self._settings, self._redactor)
        self._exporters["traces"] = self._traced.exporter
        return self._traced

    def _metrics(self, database_url: str) -> None:
        from aitap.observe.metric_table import metrics
        from aitap.observe.process_metrics import ProcessMetrics
        from aitap.observe.record_metrics import RecordMetrics
        from aitap.observe.registry import Registry

        registry = self._registry = Registry(metrics())
        self._counted = RecordMetrics(registry)
        self._process = ProcessMetrics(
            registry,
            self._writer,
            database_url,
            lambda: self._observers.dropped() if self._observers is not None else {},
            lambda: {signal: exporter.failures for signal, exporter in self._exporters.items()},
        )

    def _listen(self, address: tuple[str, int], registry: Registry) -> Endpoint:
        from aitap.observe.endpoint import Endpoint
        from aitap.observe.exposition import exposition

        compatible = self._settings.metrics_compatible
        endpoint = Endpoint(address, lambda: exposition(registry.read(), compatible=compatible), self._not_ready)
        logger.setLevel(logging.INFO)
        logger.info("aitap: metrics at %s/metrics", endpoint.url)
        return endpoint

    def _report(self, line: int, registry: Registry) -> Reporting:
        from aitap.observe.report import Reporting

        return Reporting(line, registry, self._not_ready)

    def _not_ready(self) -> str:
        return told_to_strangers(self._writer.keeps_nothing)

    def _record_logs(self) -> Observer:
        from aitap.observe.log_files import LogFile, StandardError
        from aitap.observe.log_formats import FORMATS
        from aitap.observe.record_logs import RecordLogs, Written
        from aitap.observe.trace_context import ids_of

        settings = self._settings
        teller: Teller
        if settings.log_to == "otlp":
            from aitap.observe.log_otlp import OtlpLog

            teller = OtlpLog()
            self._exporters["logs"] = teller.exporter
        elif settings.log_to == "stderr":
            teller = Written(FORMATS[settings.log_format], StandardError())
        else:
            file = LogFile(Path(settings.log_to).expanduser(), size=settings.log_size, keep=settings.log_files)
            teller = Written(FORMATS[settings.log_format], file)
        return RecordLogs(teller, ids_of if settings.trace_enable else None)


def _otlp_metrics(registry: Registry) -> OtlpMetrics:
    from aitap.observe.metrics_otlp import OtlpMetrics

    return OtlpMetrics(registry)


def _tried(what: str, make: Callable[[], T]) -> T | None:
    try:
        return make()
    except Exception as error:  # noqa: BLE001
        logger.error("aitap: %s cannot be had: %s; records are stored all the same", what, error)  # noqa: TRY400
        return None
