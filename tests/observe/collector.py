"""A real OTLP collector on loopback, over HTTP and over gRPC, that keeps what it gets."""

from __future__ import annotations

import sys
import threading
from concurrent import futures
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import grpc
from opentelemetry.proto.collector.logs.v1 import logs_service_pb2, logs_service_pb2_grpc
from opentelemetry.proto.collector.metrics.v1 import metrics_service_pb2, metrics_service_pb2_grpc
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2, trace_service_pb2_grpc

__all__ = ["Collector", "GrpcCollector", "HttpCollector", "plain"]

_REQUESTS: dict[str, Any] = {
    "/v1/traces": trace_service_pb2.ExportTraceServiceRequest,
    "/v1/metrics": metrics_service_pb2.ExportMetricsServiceRequest,
    "/v1/logs": logs_service_pb2.ExportLogsServiceRequest,
}


def plain(attributes: Any) -> dict[str, Any]:
    """OTLP attributes as a dictionary."""

    def value(of: Any) -> Any:
        kind = of.WhichOneof("value")
        return [value(item) for item in of.array_value.values] if kind == "array_value" else getattr(of, kind)

    return {attribute.key: value(attribute.value) for attribute in attributes}


class Collector:
    """What came, in the order in which it came."""

    protocol = ""

    def __init__(self) -> None:
        self.spans: list[Any] = []
        self.metrics: dict[str, Any] = {}
        self.logs: list[Any] = []
        self.resources: list[dict[str, Any]] = []
        self.headers: list[dict[str, str]] = []
        self.rejects = 0
        """So many things of a batch it says it does not take, in answers that are none of failure."""
        self.status = 200
        """Its answer over HTTP."""

    @property
    def environ(self) -> dict[str, str]:
        """What makes a proxy send here, soon."""
        return {
            "OTEL_EXPORTER_OTLP_ENDPOINT": self.endpoint,
            "OTEL_EXPORTER_OTLP_PROTOCOL": self.protocol,
            "OTEL_EXPORTER_OTLP_INSECURE": "true",
            "OTEL_BSP_SCHEDULE_DELAY": "50",
            "OTEL_BLRP_SCHEDULE_DELAY": "50",
            "OTEL_METRIC_EXPORT_INTERVAL": "200",
        }

    endpoint = ""

    def answer(self, request: Any) -> Any:
        """What is said to it, where it is taken."""
        module, name = type(request).__module__, type(request).__name__
        answer = getattr(sys.modules[module], name.replace("Request", "Response"))()
        if self.rejects:
            rejected = next(name for name in answer.partial_success.DESCRIPTOR.fields_by_name if "rejected" in name)
            setattr(answer.partial_success, rejected, self.rejects)
            answer.partial_success.error_message = "too\nold"
        return answer

    def take(self, request: Any) -> None:
        for resource in getattr(request, "resource_spans", ()):
            self.resources.append(plain(resource.resource.attributes))
            self.spans += [span for scope in resource.scope_spans for span in scope.spans]
        for resource in getattr(request, "resource_logs", ()):
            self.logs += [record for scope in resource.scope_logs for record in scope.log_records]
        for resource in getattr(request, "resource_metrics", ()):
            self.metrics |= {metric.name: metric for scope in resource.scope_metrics for metric in scope.metrics}

    def close(self) -> None:
        raise NotImplementedError


class HttpCollector(Collector):
    protocol = "http/protobuf"

    def __init__(self) -> None:
        super().__init__()
        collector = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                request = _REQUESTS[self.path]()
                request.ParseFromString(self.rfile.read(int(self.headers["content-length"])))
                collector.headers.append({name.lower(): value for name, value in self.headers.items()})
                collector.take(request)
                body = collector.answer(request).SerializeToString()
                self.send_response(collector.status)
                if collector.status >= 300:
                    self.send_header("location", "https://elsewhere.example/")
                self.send_header("content-length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, format: str, *args: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.endpoint = f"http://127.0.0.1:{self._server.server_port}"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


class GrpcCollector(Collector):
    protocol = "grpc"

    def __init__(self) -> None:
        super().__init__()
        collector = self

        class Taking:
            def Export(self, request: Any, context: grpc.ServicerContext) -> Any:  # noqa: N802 - named by the protocol
                collector.headers.append({str(key): str(value) for key, value in context.invocation_metadata()})
                collector.take(request)
                return collector.answer(request)

        self._server = grpc.server(futures.ThreadPoolExecutor(4))
        trace_service_pb2_grpc.add_TraceServiceServicer_to_server(Taking(), self._server)
        metrics_service_pb2_grpc.add_MetricsServiceServicer_to_server(Taking(), self._server)
        logs_service_pb2_grpc.add_LogsServiceServicer_to_server(Taking(), self._server)
        self.endpoint = f"http://127.0.0.1:{self._server.add_insecure_port('127.0.0.1:0')}"
        self._server.start()

    def close(self) -> None:
        self._server.stop(None).wait()
