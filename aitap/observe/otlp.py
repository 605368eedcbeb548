"""What traces, logs and metrics share on their way to an OpenTelemetry collector.

Only loaded where one of them is switched on (``pip install 'aitap[otel]'``). Where the collector is and how
it is spoken to is said by the standard ``OTEL_*`` variables; the protocol is ``http/protobuf`` unless
``OTEL_EXPORTER_OTLP_PROTOCOL`` (or that of the signal) says ``grpc``. A collector that cannot be reached is
told of once, and once more when it can be.
"""

from __future__ import annotations

import logging
import os
import uuid
from importlib import import_module
from typing import TYPE_CHECKING, Any, Literal

from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.util.instrumentation import InstrumentationScope

from aitap import __version__
from aitap.observe.answers import Answers

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["SCOPE", "Told", "exporter", "protocol", "resource"]

logger = logging.getLogger(__name__)

Signal = Literal["traces", "metrics", "logs"]

SCOPE = InstrumentationScope("aitap", __version__)

_EXPORTERS = {
    "traces": ("trace_exporter", "OTLPSpanExporter"),
    "metrics": ("metric_exporter", "OTLPMetricExporter"),
    "logs": ("_log_exporter", "OTLPLogExporter"),
}
_PACKAGES = {"grpc": "grpc", "http/protobuf": "http"}


def protocol(signal: Signal, environ: Mapping[str, str] = os.environ) -> str:
    """``grpc`` or ``http/protobuf``, as the environment says; the latter for anything else."""
    named = environ.get(f"OTEL_EXPORTER_OTLP_{signal.upper()}_PROTOCOL") or environ.get("OTEL_EXPORTER_OTLP_PROTOCOL")
    return named if named in _PACKAGES else "http/protobuf"


def exporter(signal: Signal) -> Told:
    """OpenTelemetry's exporter for a signal. Raises ``ValueError`` where an ``OTEL_*`` variable is wrong."""
    # What it says of each try that fails, we say once.
    logging.getLogger("opentelemetry").setLevel(logging.CRITICAL)
    module, name = _EXPORTERS[signal]
    package = _PACKAGES[protocol(signal)]
    return Told(getattr(import_module(f"opentelemetry.exporter.otlp.proto.{package}.{module}"), name)(), signal)


def resource() -> Resource:
    """Who tells: ``OTEL_SERVICE_NAME`` and ``OTEL_RESOURCE_ATTRIBUTES``, else aitap."""
    own = {"service.version": __version__, "service.instance.id": str(uuid.uuid4())}
    named = os.environ.get("OTEL_SERVICE_NAME") or "service.name=" in os.environ.get("OTEL_RESOURCE_ATTRIBUTES", "")
    return Resource.create(own if named else {"service.name": "aitap", **own})


class Told:
    """An exporter whose failures are counted, and told when they begin and when they are over.

    What the collector rejects of a batch, in an answer that is none of failure, is a failure too.
    """

    def __init__(self, inner: Any, signal: Signal) -> None:
        self.failures = 0
        self.silent = False
        """Whether somebody else tells."""
        self._answers = Answers(inner, signal)
        self._inner = inner
        self._signal = signal
        self._failing = False

    def export(self, batch: Any, *args: Any, **kwargs: Any) -> Any:
        """Send a batch; what :meth:`opentelemetry.sdk.trace.export.SpanExporter.export` gives."""
        try:
            result = self._inner.export(batch, *args, **kwargs)
        except Exception:
            self._noted(ok=False)
            raise
        if result.name == "SUCCESS" and self.refused:
            result = type(result).FAILURE
        self._noted(ok=result.name == "SUCCESS")
        return result

    @property
    def refused(self) -> str:
        """What the collector said against the last batch that reached it; empty where it took it."""
        return self._answers.refused

    def _noted(self, *, ok: bool) -> None:
        self.failures += not ok
        if ok == self._failing:
            self._failing = not ok
            if self.silent:
                return
            if ok:
                logger.warning("aitap: the collector takes %s again", self._signal)
            else:
                why = f", {self.refused}" if self.refused else ""
                logger.error(
                    "aitap: the collector does not take %s%s; records are stored all the same", self._signal, why
                )

    def shutdown(self, **kwargs: Any) -> None:
        """Give up what is being tried."""
        self._inner.shutdown(**kwargs)

    def force_flush(self, timeout_millis: float = 10_000) -> bool:
        """Nothing is kept back here."""
        return bool(self._inner.force_flush(timeout_millis))
