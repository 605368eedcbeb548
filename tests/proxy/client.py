"""Clients that show every byte: HTTP/1.1 and HTTP/2 through the proxy, with nothing decoded."""

from __future__ import annotations

import http.client
import socket
import ssl
from collections.abc import Callable
from typing import Any, Protocol

import h2.config
import h2.connection
import h2.events

from tests.proxy.mitmdump import Mitmdump

__all__ = ["ANTHROPIC", "OPENAI", "Http2Client", "connect", "exchange", "post"]

ANTHROPIC = "api.anthropic.com"
OPENAI = "api.openai.com"
TIMEOUT = 60.0


class Proxy(Protocol):
    """Whatever listens on loopback and relays to a proxy."""

    @property
    def port(self) -> int:
        """Where."""

    def trust(self) -> ssl.SSLContext:
        """A TLS context that trusts it."""


def connect(proxy: Proxy, host: str) -> http.client.HTTPSConnection:
    """A connection to a provider, through CONNECT and TLS; requests on it reuse it."""
    connection = http.client.HTTPSConnection("127.0.0.1", proxy.port, context=proxy.trust(), timeout=TIMEOUT)
    connection.set_tunnel(host, 443)
    return connection


def post(connection: http.client.HTTPSConnection, target: str, body: bytes, **headers: str) -> http.client.HTTPResponse:
    """Send a POST and read the response's head; underscores in header names stand for dashes."""
    fields = {name.replace("_", "-"): value for name, value in headers.items()}
    connection.request("POST", target, body, {"content-type": "application/json", "user-agent": "raw/1.0"} | fields)
    return connection.getresponse()


def exchange(proxy: Mitmdump, host: str, target: str, body: bytes, **headers: str) -> tuple[int, bytes]:
    """One POST on a connection of its own: the status and the body as it came, still encoded."""
    connection = connect(proxy, host)
    try:
        response = post(connection, target, body, **headers)
        return response.status, response.read()
    finally:
        connection.close()


class Http2Client:
    """One HTTP/2 connection to a provider, and what came on its streams."""

    def __init__(self, proxy: Mitmdump, host: str) -> None:
        plain = socket.create_connection(("127.0.0.1", proxy.port), TIMEOUT)
        plain.sendall(f"CONNECT {host}:443 HTTP/1.1\r\nHost: {host}:443\r\n\r\n".encode())
        established = b""
        while not established.endswith(b"\r\n\r\n"):
            established += plain.recv(1)
        context = proxy.trust()
        context.set_alpn_protocols(["h2"])
        self._host = host
        self._socket = context.wrap_socket(plain, server_hostname=host)
        assert self._socket.selected_alpn_protocol() == "h2"
        self._http = h2.connection.H2Connection(h2.config.H2Configuration(header_encoding="utf-8"))
        self._http.initiate_connection()
        self.heads: dict[int, dict[str, str]] = {}
        self.bodies: dict[int, bytes] = {}
        self.ended: set[int] = set()

    def post(self, target: str, body: bytes, **headers: str) -> int:
        """Send a request; the number of its stream."""
        stream = self._http.get_next_available_stream_id()
        fields = {":method": "POST", ":scheme": "https", ":authority": self._host, ":path": target}
        fields |= {"content-type": "application/json", "user-agent": "raw/2.0"}
        fields |= {name.replace("_", "-"): value for name, value in headers.items()}
        self.bodies[stream] = b""
        self._http.send_headers(stream, list(fields.items()))
        self._http.send_data(stream, body, end_stream=True)
        self._socket.sendall(self._http.data_to_send())
        return stream

    def reset(self, stream: int) -> None:
        """Give a stream up, as a client does that has read enough."""
        self._http.reset_stream(stream, 8)
        self._socket.sendall(self._http.data_to_send())

    def until(self, enough: Callable[[Http2Client], Any]) -> None:
        """Read until enough has come; the connection's end before that is an error."""
        while not enough(self):
            data = self._socket.recv(65536)
            assert data, "the connection ended too early"
            for event in self._http.receive_data(data):
                self._take(event)
            self._socket.sendall(self._http.data_to_send())

    def _take(self, event: h2.events.Event) -> None:
        if isinstance(event, h2.events.ResponseReceived):
            self.heads[event.stream_id] = dict(event.headers)
        elif isinstance(event, h2.events.DataReceived):
            self.bodies[event.stream_id] += event.data
            self._http.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
        elif isinstance(event, (h2.events.StreamEnded, h2.events.StreamReset)):
            self.ended.add(event.stream_id)

    def close(self) -> None:
        """Close the connection under all streams."""
        self._socket.close()
