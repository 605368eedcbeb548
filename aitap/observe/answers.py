"""What a collector answers to what it was sent, where OpenTelemetry's exporters do not look at it.

They take any answer below 400 for a success. But OTLP lets a collector say in a success how much of it was rejected
(``partial_success``: a quota, a record that is too old), and who answers with a redirection has taken nothing.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

from google.protobuf.message import DecodeError

__all__ = ["Answers"]

_ANSWERS = {
    "traces": ("trace.v1.trace_service_pb2", "ExportTraceServiceResponse"),
    "metrics": ("metrics.v1.metrics_service_pb2", "ExportMetricsServiceResponse"),
    "logs": ("logs.v1.logs_service_pb2", "ExportLogsServiceResponse"),
}
_REJECTED, _WHY = 1, 2
"""Numbers of the fields of ``partial_success``, the same for each signal."""


class Answers:
    """Listens to what an exporter is answered; ``refused`` is why the last batch was not taken whole, else empty."""

    def __init__(self, exporter: Any, signal: str) -> None:
        self.refused = ""
        module, name = _ANSWERS[signal]
        self._answer = getattr(import_module(f"opentelemetry.proto.collector.{module}"), name)
        if hasattr(exporter, "_stub"):
            self._listen_to_grpc(exporter)
        else:
            client = getattr(exporter, "_client", exporter)
            session = getattr(getattr(client, "_transport", client), "_session", None)
            if session is not None:
                session.hooks["response"].append(self._http)

    def _listen_to_grpc(self, exporter: Any) -> None:
        make = exporter._stub

        def made(channel: Any) -> Any:
            stub = make(channel)
            export = stub.Export

            def listened(*args: Any, **kwargs: Any) -> Any:
                answer = export(*args, **kwargs)
                self._look(answer)
                return answer

            stub.Export = listened
            return stub

        # Where a channel is lost, another is made, with a stub of its own.
        exporter._stub = made
        if getattr(exporter, "_client", None) is not None:
            exporter._client = made(exporter._channel)

    def _http(self, response: Any, *_: Any, **__: Any) -> None:
        if 300 <= response.status_code < 400:
            self.refused = f"it answers {response.status_code}, go to {_line(response.headers.get('location'))}"
            return
        try:
            self._look(self._answer.FromString(response.content))
        except DecodeError:
            self.refused = ""  # in another form than OTLP asks for

    def _look(self, answer: Any) -> None:
        values = {field.number: value for field, value in answer.partial_success.ListFields()}
        count = values.get(_REJECTED, 0)
        self.refused = f"it rejected {count} of a batch: {_line(values.get(_WHY))}" if count else ""


def _line(text: str | None) -> str:
    return " ".join((text or "it does not say").split())[:200]
