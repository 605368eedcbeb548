"""The address where Prometheus reads the metrics, and where an orchestrator asks whether all is well.

``/metrics``, ``/healthz`` (this process answers) and ``/readyz`` (records are kept, in the database or the spool;
else 503 and why).
It is served by threads of the recorder process; requests are answered from memory.
"""

from __future__ import annotations

import socket
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING

from aitap.observe.exposition import CONTENT_TYPE

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["Endpoint"]

_PLAIN = "text/plain; charset=utf-8"
_PATIENCE = 10


class Endpoint:
    """Serves on ``address`` until closed; port 0 is any free one. Raises ``OSError`` where it cannot listen.

    ``metrics`` gives the text for Prometheus, ``ready`` what stands against recording, empty where nothing does.
    """

    def __init__(self, address: tuple[str, int], metrics: Callable[[], str], ready: Callable[[], str]) -> None:
        class Handler(BaseHTTPRequestHandler):
            timeout = _PATIENCE
            server_version = "aitap"
            sys_version = ""

            def do_GET(self) -> None:
                path = self.path.partition("?")[0]
                if path == "/metrics":
                    self._answer(200, metrics(), CONTENT_TYPE)
                elif path == "/healthz":
                    self._answer(200, "ok\n")
                elif path == "/readyz":
                    reason = ready()
                    self._answer(503 if reason else 200, f"{reason or 'ok'}\n")
                else:
                    self._answer(404, "there are /metrics, /healthz and /readyz\n")

            do_HEAD = do_GET  # noqa: N815 - named by the library

            def _answer(self, status: int, text: str, kind: str = _PLAIN) -> None:
                body = text.encode()
                self.send_response(status)
                self.send_header("content-type", kind)
                self.send_header("content-length", str(len(body)))
                self.send_header("cache-control", "no-store")
                self.end_headers()
                if self.command != "HEAD":
                    self.wfile.write(body)

            def log_message(self, format: str, *args: object) -> None:
                """Who asks is of no interest."""

        class Server(ThreadingHTTPServer):
            daemon_threads = True
            address_family = socket.AF_INET6 if ":" in address[0] else socket.AF_INET

            def handle_error(self, request: object, client_address: object) -> None:
                """Who does not wait for the answer does not get it."""

        self._server = Server(address, Handler)
        self._thread = threading.Thread(target=self._server.serve_forever, name="aitap-metrics", daemon=True)
        self._thread.start()

    @property
    def url(self) -> str:
        """Where it is, without a path."""
        host, port = self._server.server_address[:2]
        name = str(host)
        return f"http://[{name}]:{port}" if ":" in name else f"http://{name}:{port}"

    def close(self) -> None:
        """Listen no longer."""
        self._server.shutdown()
        self._server.server_close()
