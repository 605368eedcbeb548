"""The observer that sends each record to an OpenTelemetry collector as a trace.

The spans are made after the fact, so they are put together here and handed to the SDK's batch processor
ended: sampling (``OTEL_TRACES_SAMPLER``), batches and their bound (``OTEL_BSP_*``), exporter and resource
are the SDK's. What does not go into its queue is left out; nothing waits for the collector.
"""

from __future__ import annotations

import math
import os
from random import getrandbits
from typing import TYPE_CHECKING, Any

from opentelemetry.sdk.trace import Event, ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.trace import (
    NonRecordingSpan,
    SpanContext,
    SpanKind,
    Status,
    StatusCode,
    TraceFlags,
    TraceState,
    set_span_in_context,
)

from aitap.observe.log_otlp import attribute_values
from aitap.observe.mcp_inits import McpInits
from aitap.observe.open_calls import OpenCalls
from aitap.observe.otlp import SCOPE, exporter, resource
from aitap.observe.semconv import names
from aitap.observe.span_contents import contents_wanted
from aitap.observe.spans import Span, passthrough, spans_of
from aitap.observe.trace_context import TraceContext, context_of, passed_context

if TYPE_CHECKING:
    from collections.abc import Iterable

    from aitap.observe.mcp_inits import Tree
    from aitap.observe.settings import ObserveSettings
    from aitap.record import Interception, Passed
    from aitap.redaction.redactor import Redactor

__all__ = ["Tracing"]

_SAMPLED = TraceFlags(TraceFlags.SAMPLED)
_QUEUE = 16_384
"""Spans that may wait, unless ``OTEL_BSP_MAX_QUEUE_SIZE`` says otherwise: some 1500 records."""


class Tracing:
    """An :class:`aitap.observe.observers.Observer`. Raises ``ValueError`` where an ``OTEL_*`` variable is wrong."""

    name = "the trace"

    def __init__(self, settings: ObserveSettings, redactor: Redactor | None = None) -> None:
        self.exporter = exporter("traces")
        self._settings = settings
        self._names = names()
        self._contents = contents_wanted()
        self._calls = OpenCalls()
        self._inits = McpInits(redactor)
        self._resource = resource()
        self._provider = TracerProvider(resource=self._resource, shutdown_on_exit=False)
        sending: Any = self.exporter
        size = None if os.environ.get("OTEL_BSP_MAX_QUEUE_SIZE") else _QUEUE
        self._processor = BatchSpanProcessor(sending, max_queue_size=size)

    def observe(self, record: Interception, *, announced: bool) -> None:
        """Send the spans that are over by now."""
        if not announced:
            for span, (parent, state) in self._calls.answered(record, contents=self._contents):
                self._processor.on_end(self._readable(span, _context(parent.trace_id, state=state), parent))
        if record.ended_at is None:
            return
        context = context_of(record)
        spans = spans_of(
            record,
            self._names,
            reference=self._settings.trace_names == "reference",
            contents=self._contents,
            logs=self._settings.trace_logs,
        )
        if (sent := self._send(spans, context)) is not None:
            self._calls.asked(record, sent)

    def passed(self, passed: Passed) -> None:
        """Send the spans of a request that is no call of a model."""
        if passed.provider:
            self._send([passthrough(passed)], passed_context(passed))
        if passed.question:
            self._send_inits(self._inits.seen(passed))
        self._send_inits(self._inits.due(passed.ended_at))

    def close(self, timeout: float) -> None:  # noqa: ARG002 - who calls it waits no longer than it wants to
        """Send the rest."""
        self._send_inits(self._inits.due(math.inf))
        self._processor.shutdown()

    def _send_inits(self, trees: Iterable[Tree]) -> None:
        for spans, passed in trees:
            self._send(spans, passed_context(passed))

    def _send(self, spans: Iterable[Span], context: TraceContext) -> tuple[SpanContext, TraceState] | None:
        """Hand over a tree, if it is sampled; the place of what happens in ``Intercept.ProcessRequest``."""
        root, *rest = spans
        state = TraceState.from_header([context.tracestate]) if context.tracestate else TraceState()
        parent = None
        if context.parent_id is not None:
            flags = _SAMPLED if context.sampled else TraceFlags()
            parent = SpanContext(context.trace_id, context.parent_id, is_remote=True, trace_flags=flags)
        within = set_span_in_context(NonRecordingSpan(parent)) if parent is not None else None
        sampled = self._provider.sampler.should_sample(
            within, context.trace_id, root.name, SpanKind.INTERNAL, attribute_values(root.attributes)
        )
        if not sampled.decision.is_sampled():
            return None
        known = {id(root): _context(context.trace_id, context.span_id, state)}
        self._processor.on_end(self._readable(root, known[id(root)], parent))
        process = known[id(root)]
        for span in rest:
            own = known[id(span)] = _context(context.trace_id, state=state)
            if span.name == "Intercept.ProcessRequest":
                process = own
            self._processor.on_end(self._readable(span, own, known[id(span.parent)]))
        return process, state

    def _readable(self, span: Span, context: SpanContext, parent: SpanContext | None) -> ReadableSpan:
        return ReadableSpan(
            name=_text(span.name),
            context=context,
            parent=parent,
            resource=self._resource,
            attributes=attribute_values(span.attributes),
            events=[
                Event(event.name, attribute_values(event.attributes), int(event.at * 1e9)) for event in span.events
            ],
            kind=SpanKind.CLIENT if span.client else SpanKind.INTERNAL,
            status=Status() if span.error is None else Status(StatusCode.ERROR, _text(span.error) or None),
            start_time=int(span.start * 1e9),
            end_time=int(span.end * 1e9),
            instrumentation_scope=SCOPE,
        )


def _context(trace_id: int, span_id: int | None = None, state: TraceState | None = None) -> SpanContext:
    own = span_id or getrandbits(64) or 1
    return SpanContext(trace_id, own, is_remote=False, trace_flags=_SAMPLED, trace_state=state)


def _text(text: str) -> str:
    """Halves of surrogate pairs, which clients send, would cost the whole batch."""
    return text if text.isascii() else text.encode("utf-8", "replace").decode()
