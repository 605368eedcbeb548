"""Everybody who is told of records as they are made, on those that came of the attack: log lines, spans and metrics."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, cast

from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans
from prometheus_client.parser import text_string_to_metric_families

from aitap.observe.exposition import exposition
from aitap.observe.log_formats import FORMATS
from aitap.observe.log_lines import lines_of
from aitap.observe.metric_table import metrics
from aitap.observe.record_metrics import RecordMetrics
from aitap.observe.registry import Registry
from aitap.observe.settings import ObserveSettings
from aitap.observe.tracing import Tracing

if TYPE_CHECKING:
    from collections.abc import Iterator

    from aitap.record import Interception

__all__ = ["Tellers"]


class _Encoded:
    """Makes of each span the bytes that a collector gets."""

    def on_end(self, span: Any) -> None:
        """See ``BatchSpanProcessor``."""
        encode_spans([span]).SerializeToString()

    def shutdown(self) -> None:
        """See ``BatchSpanProcessor``."""


class Tellers:
    """Told of the records of one recorder."""

    def __init__(self) -> None:
        self._registry = Registry(metrics())
        self._counted = RecordMetrics(self._registry)
        self._traced = Tracing(ObserveSettings(trace_enable=True, trace_logs=True))
        self._traced._processor.shutdown()
        self._traced._processor = cast("Any", _Encoded())

    def told(self, record: Interception) -> Iterator[str]:
        """What cannot be told of a record that is over."""
        try:
            self._counted.observe(record, announced=False)
            self._traced.observe(record, announced=False)
            for fields in lines_of(record, announced=False):
                for name, form in FORMATS.items():
                    line = form(fields, 1.0, None).decode()
                    if line.count("\n") != 1 or not line.endswith("\n"):
                        yield f"a line in {name} is not one line: {line[:200]!r}"
                    if name == "json":
                        json.loads(line)
        except Exception as error:  # noqa: BLE001 - this is what is looked for
            yield f"it cannot be told: {error!r:.300}"

    def close(self) -> Iterator[str]:
        """What of the metrics cannot be read."""
        self._traced.close(0.0)
        try:
            for _ in text_string_to_metric_families(exposition(self._registry.read())):
                pass
        except Exception as error:  # noqa: BLE001 - this is what is looked for
            yield f"the metrics cannot be read: {error!r:.300}"
