"""An OpenTelemetry collector's stand-in: takes traces over HTTP, counts them and keeps none."""

from __future__ import annotations

import contextlib
import gzip
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any

from bench import machine

if TYPE_CHECKING:
    from multiprocessing.connection import Connection

__all__ = ["BYTES", "TRACES", "serve"]

# Places in the memory shared with the bench.
TRACES, BYTES = range(2)

_NAME = b"\x2a\x09Intercept"
"""``Span.name`` (field 5, a string of nine bytes) of opentelemetry/proto/trace/v1/trace.proto: one for each trace."""


def serve(ready: Connection, taken: Any, cores: set[int] | None) -> None:
    """Serve until the other end of ``ready`` closes; the port is sent there. ``taken`` is shared memory."""
    machine.pin(0, cores)

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            if self.headers.get("content-encoding") == "gzip":
                body = gzip.decompress(body)
            taken[TRACES] += body.count(_NAME)
            taken[BYTES] += len(body)
            self.send_response(200)
            self.send_header("content-length", "0")
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:
            """Nobody reads it."""

    class Server(ThreadingHTTPServer):
        daemon_threads = True

    server = Server(("127.0.0.1", 0), Handler)
    ready.send(server.server_port)
    server.timeout = 0.2
    with contextlib.suppress(KeyboardInterrupt, EOFError, OSError):
        while not ready.poll():
            server.handle_request()
