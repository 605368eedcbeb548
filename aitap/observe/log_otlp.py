"""Log lines as OTLP log records: the message is the body, the fields are attributes (objects among them as JSON)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from opentelemetry._logs import LogRecord, SeverityNumber
from opentelemetry.sdk._logs import LoggerProvider
from opentelemetry.sdk._logs.export import BatchLogRecordProcessor
from opentelemetry.trace import NonRecordingSpan, SpanContext, TraceFlags, set_span_in_context

from aitap import __version__
from aitap.observe.log_formats import json_text
from aitap.observe.log_lines import LOGGER, MESSAGE
from aitap.observe.otlp import exporter, resource

if TYPE_CHECKING:
    from collections.abc import Callable

    from opentelemetry.sdk._logs import LogRecordProcessor

    from aitap.observe.log_formats import TraceIds
    from aitap.observe.log_lines import Fields

__all__ = ["OtlpLog", "attribute_values"]


class OtlpLog:
    """Sends lines to the collector, in batches, from a thread of the SDK's, unless another ``processor`` is given."""

    def __init__(self, processor: Callable[[Any], LogRecordProcessor] = BatchLogRecordProcessor) -> None:
        self.resource = resource()
        self._provider = LoggerProvider(self.resource, shutdown_on_exit=False)
        self.exporter = exporter("logs")
        self._provider.add_log_record_processor(processor(self.exporter))
        self._logger = self._provider.get_logger(LOGGER, __version__)

    def tell(self, fields: Fields, at: float, ids: TraceIds | None) -> None:
        """Queue one line; never waits."""
        context = None
        if ids is not None:
            span = SpanContext(int(ids[0], 16), int(ids[1], 16), is_remote=False, trace_flags=TraceFlags(1))
            context = set_span_in_context(NonRecordingSpan(span))
        self._logger.emit(
            LogRecord(
                timestamp=int(at * 1e9),
                observed_timestamp=int(at * 1e9),
                context=context,
                severity_number=SeverityNumber.INFO,
                severity_text="INFO",
                body=MESSAGE,
                attributes=attribute_values(fields),
            )
        )

    def close(self, timeout: float) -> None:  # noqa: ARG002 - who calls it waits no longer than it wants to
        """Send the rest."""
        self._provider.shutdown()


def attribute_values(fields: Fields) -> dict[str, Any]:
    """What is known of these fields, as OpenTelemetry takes it: an object becomes its JSON."""
    return {name: _value(value) for name, value in fields.items() if value is not None}


def _value(value: Any) -> Any:
    if isinstance(value, str):
        # Half of a surrogate pair, which clients send, would cost the whole batch.
        return value if value.isascii() else value.encode("utf-8", "replace").decode()
    return json_text(value) if isinstance(value, dict) else value
