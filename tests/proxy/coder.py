"""A Coder deployment on loopback, as far as it says whose a session token is."""

from __future__ import annotations

import http.server
import json
import threading

__all__ = ["Deployment"]


class Deployment:
    """A Coder deployment's ``/api/v2/users/me``, below a path of its own."""

    def __init__(self) -> None:
        self.users: dict[str, dict[str, str]] = {}
        self.asked: list[str] = []
        self.status: int | None = None
        deployment = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                token = self.headers["Coder-Session-Token"]
                deployment.asked.append(token)
                user = deployment.users.get(token) if self.path == "/base/api/v2/users/me" else None
                self.send_response(deployment.status or (200 if user else 401))
                self.end_headers()
                self.wfile.write(json.dumps(user or {"message": "no"}).encode())

            def log_message(self, *_: object) -> None:
                pass

        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}/base"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
